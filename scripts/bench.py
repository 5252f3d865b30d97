"""`scripts/bench [NAME]… [--plots DIR]`: the benchmarks, one JSON object a line; without a name all that have goals.

The rule: an absolute time means little on a shared laptop, so every line carries the calibration of the same run:
how many raw Ed25519 signatures one core verifies a second, and what one durable SQLCipher commit costs. Goals are in
those terms; `met` says whether this run met them. Daemons are real processes on loopback with homes in a temporary
folder, on the disk that holds it; the last reader is a client of the RPC socket, like any other.

Some have no part in that and run only when they are named: `flood` (what others pay for one neighbour's junk) and
`growth`, which take minutes, the latter being what `--plots DIR` draws; `members` (a group of 200 is made, changed and
written to); and `peers`, which installs other people's programs to compare with.

It measures one machine that does nothing else. It does not measure Wi-Fi, and says nothing about many nodes
(`scripts/sim` does).
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import bench_backlog
import bench_flood
import bench_groups
import bench_growth
import bench_handshake
import bench_idle
import bench_live
import bench_members
import bench_memory
import bench_panic
import bench_peers
import bench_post
import bench_reconcile
import bench_sealed
import bench_search
import bench_start
import bench_sustained
import plots

from meshd import crypto
from meshd.store.carry import Carry

BENCHES: dict[str, Callable[[], Iterator[dict[str, Any]]]] = {
    "backlog": bench_backlog.run,
    "sealed": bench_sealed.run,
    "live": bench_live.run,
    "reconcile": bench_reconcile.run,
    "post": bench_post.run,
    "idle": bench_idle.run,
    "search": bench_search.run,
    "sustained": bench_sustained.run,
    "start": bench_start.run,
    "memory": bench_memory.run,
    "handshake": bench_handshake.run,
    "panic": bench_panic.run,
    "groups": bench_groups.run,
}
OPTIONAL = {
    "growth": bench_growth.run,
    "flood": bench_flood.run,
    "peers": bench_peers.run,
    "members": bench_members.run,
}


def verifies_a_second() -> int:
    """Raw Ed25519 verifications of a 100-byte message a second, on one core; the best of five short runs."""
    public, secret = crypto.ed25519_keypair(bytes(range(32)))
    message = bytes(100)
    signature = crypto.sign(secret, message)
    best = 0.0
    for _ in range(5):
        started = time.perf_counter()
        for _ in range(2000):
            crypto.verify(public, message, signature)
        best = max(best, 2000 / (time.perf_counter() - started))
    return round(best)


def commit_ms() -> float:
    """One durable commit of one envelope, in milliseconds: the median of a hundred."""
    with tempfile.TemporaryDirectory() as folder:
        carry = Carry.create(Path(folder) / "carry.db", bytes(32), bytes(32), "private")
        taken = []
        for number in range(100):
            carry.insert([(number.to_bytes(40, "big"), bytes(450))])
            started = time.perf_counter()
            carry.commit()
            taken.append((time.perf_counter() - started) * 1000)
        carry.close()
    return round(statistics.median(taken), 3)


def main(argv: list[str]) -> int:
    """Runs the benchmarks with these names; 2 if there is none of that name, 1 if a goal was missed."""
    every = BENCHES | OPTIONAL
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Benchmarks; one JSON object a line.")
    parser.add_argument("names", metavar="NAME", nargs="*", help=f"one of {', '.join(every)}")
    parser.add_argument("--plots", metavar="DIR", type=Path, help="draw growth there as PNG")
    options = parser.parse_args(argv)
    unknown = [name for name in options.names if name not in every]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]}; there are: {', '.join(every)}")
    names = options.names or list(BENCHES)
    if options.plots is not None:
        plots.require()
        names = list(dict.fromkeys([*options.names, "growth"]))
    missed = False
    grown = []
    for name in names:
        calibration = {"verifies_s": verifies_a_second(), "commit_ms": commit_ms()}
        for figures in every[name]():
            line = judge(figures, calibration)
            missed |= not line.get("met", True)
            print(json.dumps(line), flush=True)
            if name == "growth":
                grown.append(line)
    if options.plots is not None:
        for made in plots.draw(grown, options.plots):
            print(made, file=sys.stderr)
    return int(missed)


def judge(figures: dict[str, Any], calibration: dict[str, Any]) -> dict[str, Any]:
    """The figures with their calibration, and whether the goals that depend on it were met."""
    line = {**figures, **calibration}
    if "ratio_goal" in line:  # posts a second, of raw verifications a second
        line["ratio"] = round(line["posts_s"] / line["verifies_s"], 3)
        line["met"] = line["met"] and line["ratio"] >= line["ratio_goal"]
    if line["bench"] == "live":
        commits_ms = line["commits"] * line["commit_ms"]
        line["met"] = line["p50_ms"] <= max(line["p50_goal_ms"], commits_ms)
        if line["p99_goal_ms"] is not None:
            line["met"] = line["met"] and line["p99_ms"] <= max(line["p99_goal_ms"], commits_ms)
    return line


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
