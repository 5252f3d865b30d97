"""What it costs to find the difference of two sets: both sides in one process, no link between them.

Two cases. `equal`: two equal sets of 100 000 keys and the one-fingerprint opening. `fresh`: a million keys
over 72 expiry hours, and 100 keys of the newest hour that one side or the other has got since the last
round, so that the sums they made stale are refreshed inside the measured time. Ids are random, as hashes
are. CPU is of both sides together; bytes are of messages before frames pad them. Each case runs several
times: the first run after a build touches everything for the first time and is given apart, the rest by its
median.
"""

import json
import random
import statistics
import sys
import time
from collections.abc import Iterator

from meshd.ids import KEY_SIZE, envelope_key
from meshd.limits import RECONCILE_FRAME_SIZE
from meshd.proto.keyset import KeySet
from meshd.proto.reconcile import Initiator, respond

HOUR = 500_000  # any will do
HOURS = 72
RUNS = 7


def reconcile(asking: KeySet, asked: KeySet, opening: str) -> tuple[int, list[int], list[int], int]:
    """One whole reconcile: CPU in nanoseconds, message sizes up and down, keys that differ."""
    up, down, differences = [], [], 0
    started = time.process_time_ns()
    initiator = Initiator(asking, HOUR, RECONCILE_FRAME_SIZE)
    message: bytes | None = initiator.probe() if opening == "probe" else initiator.initiate()
    while message is not None:
        answer = respond(asked, HOUR, message, RECONCILE_FRAME_SIZE)
        up.append(len(message))
        down.append(len(answer))
        have, need, message = initiator.receive(answer)
        differences += len(have) + len(need)
    return time.process_time_ns() - started, up, down, differences


def keys_of(rng: random.Random, count: int, hours: int, first_hour: int = HOUR) -> list[bytes]:
    return [envelope_key(first_hour + rng.randrange(hours), rng.randbytes(32)) for _ in range(count)]


def loaded(keys: list[bytes]) -> KeySet:
    """A set as a node has it after start: the keys come from an index, in order, and lie in memory so."""
    rows = b"".join(sorted(keys))
    return KeySet(rows[at : at + KEY_SIZE] for at in range(0, len(rows), KEY_SIZE))


def figures(
    name: str, runs: list[tuple[int, list[int], list[int], int]], goal_ms: float
) -> dict[str, object]:
    """One line of results; sizes are those of the last run."""
    _, up, down, differences = runs[-1]
    return {
        "bench": name,
        "cpu_ms": round(statistics.median(run[0] for run in runs[1:]) / 1e6, 2),
        "cpu_first_ms": round(runs[0][0] / 1e6, 2),
        "cpu_goal_ms": goal_ms,
        "round_trips": max(len(run[1]) for run in runs),
        "bytes_up": sum(up),
        "bytes_down": sum(down),
        "differences": differences,
    }


def run() -> Iterator[dict[str, object]]:
    """The two figures, one after the other; about 10 s."""
    rng = random.Random(1)
    keys = keys_of(rng, 100_000, HOURS)
    here, there = loaded(keys), loaded(keys)
    yield figures("reconcile-equal-100k", [reconcile(here, there, "probe") for _ in range(RUNS)], 2)

    keys = keys_of(rng, 1_000_000, HOURS)
    here, there = loaded(keys), loaded(keys)
    del keys
    runs = []
    for _ in range(RUNS):
        fresh = keys_of(rng, 100, 1, HOUR + HOURS - 1)
        for number, key in enumerate(fresh):
            (here if number % 2 else there).insert(key)
        runs.append(reconcile(here, there, "initiate"))
        for key in fresh:  # what reconcile is for
            here.insert(key)
            there.insert(key)
    yield figures("reconcile-fresh-1m", runs, 12)


if __name__ == "__main__":
    for line in run():
        sys.stdout.write(json.dumps(line) + "\n")
