"""Start: from the start of the process until the daemon says that it is ready, with much in its set and its log.

Ready is when its links and its control socket are open. The interpreter's own start and the derivation of the key from
the passphrase are included; the latter is told apart too, because it is as slow as it is on purpose. The median of
five; the files have been read before, so they come from the system's cache.
"""

import statistics
import time
from collections.abc import Iterator

import town

from cli.client import Client
from meshd.store import keyslot

RUNS = 5
GOALS_S = {100_000: 1.5, 1_000_000: 5.0}


def run() -> Iterator[dict[str, object]]:
    """One line for each size."""
    for posts, goal_s in GOALS_S.items():
        path = town.home(posts)
        ready_s, answered_s = [], []
        for _ in range(RUNS):
            with town.running(path) as daemon, Client(str(path)) as control:
                ready_s.append(daemon.ready_s)
                asked = time.perf_counter()
                cursor = control.call("read", {"limit": 1})["cursor"]
                answered_s.append(time.perf_counter() - asked)
                if cursor != posts:
                    raise SystemExit(f"the log ends at {cursor}, not at {posts}")
        median_s = statistics.median(ready_s)
        yield {
            "bench": "start",
            "posts": posts,
            "ready_s": round(median_s, 2),
            "ready_max_s": round(max(ready_s), 2),
            "first_answer_s": round(statistics.median(answered_s), 3),
            "passphrase_s": round(_passphrase_s(), 2),
            "goal_s": goal_s,
            "met": median_s <= goal_s,
        }


def _passphrase_s() -> float:
    """What one derivation takes in this process."""
    parameters = keyslot.Parameters(True, keyslot.COST, bytes(16))
    started = time.perf_counter()
    parameters.stretch(b"any")
    return time.perf_counter() - started
