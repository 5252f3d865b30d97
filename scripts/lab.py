"""Laptops on networks of their own, each with a daemon, until Ctrl-C: `scripts/lab SHAPE COUNT`.

`bridge 5` puts five on one network; `line 6` puts six in a line, each on one network with its neighbours only.
Needs root, because each laptop is a network namespace; the host has no route into any of them, and everything is
removed at the end. `tests/lab/lab.py` is the library, with more to do to a laptop than this shows.
"""

import argparse
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # -I leaves it out

from tests.lab.lab import Lab, LabError, Laptop


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/lab", description=__doc__.split("\n\n")[0])
    parser.add_argument("shape", choices=["bridge", "line"])
    parser.add_argument("count", type=int)
    given = parser.parse_args()
    if not 1 <= given.count <= 50:
        parser.error("COUNT is from 1 to 50")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with Lab() as lab:
            if given.shape == "bridge":
                lab.together(given.count)
            else:
                lab.line(given.count)
            for laptop in lab.laptops:
                start(laptop)
            show(lab)
            signal.pause()
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def start(laptop: Laptop) -> None:
    """Make its home and start its daemon."""
    laptop.mesh("init", "--name", f"laptop{laptop.number}", "--no-passphrase")
    laptop.mesh("up")
    print(f"laptop {laptop.number} is up", file=sys.stderr)


def show(lab: Lab) -> None:
    """How to be on each laptop."""
    for laptop in lab.laptops:
        addresses = ", ".join(laptop.address(bridge) for bridge in laptop.bridges)
        print(f"laptop {laptop.number} ({addresses}): MESHD_HOME={laptop.home} scripts/mesh status")
    print(f"a shell on laptop 1: ip netns exec {lab.laptops[0].namespace} sh")
    print(f"its network goes and comes: ip -n {lab.laptops[0].namespace} link set eth1 down (up)")
    print("Ctrl-C ends the lab.", flush=True)


if __name__ == "__main__":
    sys.exit(main())
