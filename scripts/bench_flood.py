"""A flood: one of 16 links of a daemon gives junk as fast as it can; what the posts of the other 15 pay for it.

The others are honest neighbours (`neighbours`), of which seven dial the daemon and eight are dialled by it. They post
POSTS_S posts a second in all, for PHASE_S seconds in calm and then as long under the flood, and each post comes to the
14 others: `calm_p99_ms` and `p99_ms` are from giving a post to the daemon until its bytes were read by another. Of the
flood (`flooder`, which tells the ways), `given` is how many were sent, and `taken` how many of them are in the set;
`cpu_us` is what the daemon used for each that was given, less what it used in calm. `rss_mb` is by how much its memory
grew.
"""

import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import town
from laptops import cpu_s, network, pid_of
from neighbours import Crowd, Neighbour
from stranger import Stranger

from cli.laptop import Laptop

POSTS_S = 10
PHASE_S = 25
DIALLING, DIALLED = 7, 8
WAYS = ("push", "unasked", "announce", "redial", "forged")
TIMES_GOAL = 2  # p99 under the flood, of that in calm
CPU_GOAL_US = 5  # for what is refused by rate, which is what is pushed
FLOODER = Path(__file__).with_name("flooder.py")


def run() -> Iterator[dict[str, object]]:
    """A line for each way to flood."""
    for way in WAYS:
        with tempfile.TemporaryDirectory() as folder, network(folder, 1) as ((laptop,), network_key):
            yield _measure(laptop, network_key, way)


def _measure(laptop: Laptop, network_key: bytes, way: str) -> dict[str, object]:
    crowd = Crowd(_linked(laptop, network_key))
    pid = pid_of(laptop)
    began, before_s = time.perf_counter(), cpu_s(pid)
    lacking = crowd.run(PHASE_S, POSTS_S)
    calm_p50_ms, calm_p99_ms = statistics.median(crowd.taken_ms), p99(crowd.taken_ms)
    calm_cpu = (cpu_s(pid) - before_s) / (time.perf_counter() - began)
    rss_mb, held, before_s = town.rss_mb(pid), _held(laptop), cpu_s(pid)
    flooder = subprocess.Popen(
        [sys.executable, FLOODER, way, laptop.address, network_key.hex()],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert flooder.stdin is not None and flooder.stdout is not None
    flooder.stdout.readline()
    flooder.stdin.write("go\n")
    flooder.stdin.flush()
    began, before_s = time.perf_counter(), cpu_s(pid)
    lacking += crowd.run(PHASE_S, POSTS_S)
    flooder.stdin.write("stop\n")
    flooder.stdin.flush()
    said = json.loads(flooder.stdout.readline())
    used_s = cpu_s(pid) - before_s - calm_cpu * (time.perf_counter() - began)
    flooder.wait()
    times = p99(crowd.taken_ms) / calm_p99_ms
    cpu_us = used_s / max(said["given"], 1) * 1e6
    return {
        "bench": "flood",
        "way": way,
        "posts": 2 * PHASE_S * POSTS_S,
        "lacking": lacking,
        "calm_p50_ms": round(calm_p50_ms, 2),
        "p50_ms": round(statistics.median(crowd.taken_ms), 2),
        "calm_p99_ms": round(calm_p99_ms, 2),
        "p99_ms": round(p99(crowd.taken_ms), 2),
        "times": round(times, 2),
        "times_goal": TIMES_GOAL,
        **said,
        "taken": _held(laptop) - held - PHASE_S * POSTS_S,
        "cpu_us": round(cpu_us, 2),
        "rss_mb": round(town.rss_mb(pid) - rss_mb, 1),
        "met": times <= TIMES_GOAL and not lacking and (way != "push" or cpu_us <= CPU_GOAL_US),
    }


def _linked(laptop: Laptop, network_key: bytes) -> list[Neighbour]:
    """All neighbours, their links open."""
    made = [Neighbour(Stranger(laptop.address, network_key)) for _ in range(DIALLING)]
    for _ in range(DIALLED):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            laptop.mesh("peer", "add", f"127.0.0.1:{listener.getsockname()[1]}")
            made.append(Neighbour(Stranger(listener.accept()[0], network_key)))
    return made


def _held(laptop: Laptop) -> int:
    with laptop.connect() as control:
        return int(control.call("status")["counts"]["envelopes"])


def p99(taken: list[float]) -> float:
    """Of this many, the one that one in a hundred is slower than."""
    return sorted(taken)[len(taken) * 99 // 100]
