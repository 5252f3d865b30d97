"""Live: from publishing a post to its delivery at a subscriber, one post at a time, over one hop and over five.

The clock starts before the request goes to the publisher's socket and stops when the notification was read from the
last laptop's; one process does both, so there is one clock. Each laptop of the line is linked to its neighbours only.
`commits` is how many durable commits of the same run the goal allows, whichever is larger.
"""

import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

from laptops import TEXT_SIZE, network

from cli.laptop import Laptop

POSTS = 300
WARM_UP = 20
PATIENCE_S = 10


def run() -> Iterator[dict[str, object]]:
    """Two lines."""
    with _line(2) as laptops:
        yield _measure(laptops, 1, p50_goal_ms=2, p99_goal_ms=10, commits=10)
    with _line(6) as laptops:
        yield _measure(laptops, 5, p50_goal_ms=8, p99_goal_ms=None, commits=40)


@contextmanager
def _line(count: int) -> Iterator[list[Laptop]]:
    """So many laptops and no more: those behind the reader would take cores and disk from it."""
    with tempfile.TemporaryDirectory() as folder, network(folder, count) as (laptops, _):
        for near, far in pairwise(laptops):
            near.mesh("peer", "add", far.address)
        yield laptops


def _measure(
    line: list[Laptop], hops: int, *, p50_goal_ms: float, p99_goal_ms: float | None, commits: int
) -> dict[str, object]:
    taken_ms = []
    channel = f"hops{hops}"
    with line[0].connect() as publisher, line[-1].connect() as reader:
        reader.call("channel.join", {"name": channel})
        reader.call("subscribe", {"channel": channel})
        notices = reader.notices(PATIENCE_S)
        for number in range(WARM_UP + POSTS):
            text = f"{number:08}".ljust(TEXT_SIZE, "x")
            started = time.perf_counter()
            publisher.send("post", {"channel": channel, "text": text})
            notice = next(notices)
            taken_ms.append((time.perf_counter() - started) * 1000)
            publisher.answer(PATIENCE_S)
            if notice is None or notice["params"]["post"]["text"] != text:
                raise SystemExit(f"post {number} did not come over {hops} hops")
    taken_ms = sorted(taken_ms[WARM_UP:])
    p99_ms = taken_ms[len(taken_ms) * 99 // 100]
    return {
        "bench": "live",
        "hops": hops,
        "p50_ms": round(statistics.median(taken_ms), 2),
        "p99_ms": round(p99_ms, 2),
        "p50_goal_ms": p50_goal_ms,
        "p99_goal_ms": p99_goal_ms,
        "commits": commits,
    }
