"""Reading and searching a large log: 100 000 posts of 256 bytes in 20 channels, asked over the RPC socket.

The words of a post are drawn as in a language: a few stand in most posts, most in few. What is searched for is one
word: one that stands in a third of all posts, and one that stands in a handful; in all channels and in one. The first
search waits until everything is indexed, and is told apart.
"""

import random
import statistics
import tempfile
import time
from collections.abc import Iterator

from laptops import TEXT_SIZE, fill, network

from cli.client import Client

POSTS = 100_000
CHANNELS = 20
RUNS = 50
READ_GOAL_MS = 5
SEARCH_GOAL_MS = 10
WORDS = 20_000


def run() -> Iterator[dict[str, object]]:
    """One line for each question."""
    rng = random.Random(7)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 9))) for _ in range(WORDS)]
    weights = [1 / place for place in range(1, WORDS + 1)]

    def text(number: int) -> str:
        return " ".join(rng.choices(words, weights, k=40)).ljust(TEXT_SIZE, "x")[:TEXT_SIZE]

    with tempfile.TemporaryDirectory() as folder, network(folder, 1) as ((laptop,), _):
        for channel in range(CHANNELS):
            fill(laptop, f"channel{channel}", POSTS // CHANNELS, text)
        with laptop.connect() as control:
            started = time.perf_counter()
            control.call("search", {"query": words[0], "limit": 1}, 120)
            indexed_s = round(time.perf_counter() - started, 3)
            for what, method, params, goal_ms in (
                ("read", "read", {}, READ_GOAL_MS),
                ("read one channel", "read", {"channel": "channel7"}, READ_GOAL_MS),
                ("search a frequent word", "search", {"query": words[2]}, SEARCH_GOAL_MS),
                ("search a rare word", "search", {"query": words[9000]}, SEARCH_GOAL_MS),
                (
                    "search in one channel",
                    "search",
                    {"query": words[2], "channel": "channel7"},
                    SEARCH_GOAL_MS,
                ),
            ):
                figures = _asked(control, method, {**params, "limit": 50}, goal_ms)
                yield {"bench": "search", "what": what, "posts": POSTS, "indexed_s": indexed_s, **figures}


def _asked(control: Client, method: str, params: dict[str, object], goal_ms: int) -> dict[str, object]:
    taken = []
    for _ in range(RUNS):
        started = time.perf_counter()
        found = len(control.call(method, params)["posts"])
        taken.append((time.perf_counter() - started) * 1000)
    p50_ms = statistics.median(taken)
    return {
        "found": found,
        "p50_ms": round(p50_ms, 2),
        "max_ms": round(max(taken), 2),
        "goal_ms": goal_ms,
        "met": p50_ms <= goal_ms,
    }
