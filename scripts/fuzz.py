"""`scripts/fuzz [TARGET]… [--inputs N] [--seed S]`: structure-aware fuzzing of everything that reads hostile bytes.

The rule: a target is one function of tests/fuzz/, and an input depends on the seed and its number alone, so that a
fault is repeated by running to that number again (the tests run the first few thousand of another seed). It prints one
line every tenth of a campaign: inputs so far, how many were accepted, inputs a second, and the resident size, which
must stay flat. Exit status 1 after the first fault, whose traceback it prints.

It does not follow coverage, and tries one process; what it tries is what tests/fuzz/mutate.py thinks of.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz import campaign
from tests.fuzz.node import FuzzNode
from tests.fuzz.targets import make_targets

_STEPS = 10


def resident_mib() -> float:
    """The process's resident size in MiB; 0 where the system does not tell."""
    try:
        status = Path("/proc/self/status").read_text()
    except FileNotFoundError:
        return 0.0
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def fuzz(name: str, target: campaign.Target, seed: int, inputs: int) -> bool:
    """Run one campaign; whether it found nothing."""
    accepted, start_s = 0, time.monotonic()
    for step in range(_STEPS):
        first, end = inputs * step // _STEPS, inputs * (step + 1) // _STEPS
        tally = campaign.run(target, seed, first, end - first)
        accepted += tally.accepted
        if tally.fault:
            print(f"{name}: FAULT at {tally.fault}")
            return False
        rate = end / (time.monotonic() - start_s)
        print(
            f"{name:10} {end:>9} inputs {accepted:>9} accepted {rate:>8.0f}/s {resident_mib():>7.1f} MiB",
            flush=True,
        )
    return True


def main() -> int:
    targets = make_targets()
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description="hostile input by the million")
    parser.add_argument(
        "target", nargs="*", choices=[[], *targets, "node"], help="all but node if none is named"
    )
    parser.add_argument("--inputs", type=int, default=1_000_000, help="inputs a target")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        fine = True
        for name in asked.target or targets:
            if name == "node":
                node = FuzzNode(Path(folder))
                fine = fuzz(name, node, asked.seed, asked.inputs) and fine
                print(f"node carries {node.check()} envelopes, all of which verify")
            else:
                fine = fuzz(name, targets[name], asked.seed, asked.inputs) and fine
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
