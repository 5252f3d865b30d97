"""Memory with a million envelopes in the set, and what it costs to tell another set of that size that nothing differs.

Memory is VmRSS of a real daemon (Linux), set, log and index of the same million posts, after it was ready, has
answered and had some seconds to itself. The probe is reconcile's one-fingerprint opening, made by one side and
answered by the other, both in one process: CPU, the median of many, each after an insert into both sets that made
their running sums stale.
"""

import random
import statistics
import time
from collections.abc import Iterator

import town
from bench_reconcile import HOUR, HOURS, keys_of, loaded

from cli.client import Client
from meshd.limits import RECONCILE_FRAME_SIZE
from meshd.proto.reconcile import Initiator, respond

POSTS = 1_000_000
SETTLE_S = 10
PROBES = 101
RSS_GOAL_MB = 300
PROBE_GOAL_MS = 1


def run() -> Iterator[dict[str, object]]:
    """One line."""
    rss_mb = daemon_mb(POSTS)
    probe_ms = _probe_ms()
    yield {
        "bench": "memory",
        "envelopes": POSTS,
        "rss_mb": round(rss_mb, 1),
        "rss_goal_mb": RSS_GOAL_MB,
        "probe_ms": round(probe_ms, 3),
        "probe_goal_ms": PROBE_GOAL_MS,
        "met": rss_mb <= RSS_GOAL_MB and probe_ms <= PROBE_GOAL_MS,
    }


def daemon_mb(posts: int) -> float:
    """VmRSS of a daemon with that many posts, in MB."""
    path = town.home(posts)
    with town.running(path) as daemon, Client(str(path)) as control:
        held = control.call("status")["counts"]["envelopes"]
        if held < posts:  # and its own prekeys
            raise SystemExit(f"{held} envelopes are in the set, not {posts}")
        time.sleep(SETTLE_S)
        return town.rss_mb(daemon.pid)


def _probe_ms() -> float:
    rng = random.Random(1)
    keys = keys_of(rng, POSTS, HOURS)
    here, there = loaded(keys), loaded(keys)
    del keys
    taken_ns = []
    for fresh in keys_of(rng, PROBES, HOURS):
        here.insert(fresh)
        there.insert(fresh)
        started = time.process_time_ns()
        initiator = Initiator(here, HOUR, RECONCILE_FRAME_SIZE)
        have, need, more = initiator.receive(respond(there, HOUR, initiator.probe(), RECONCILE_FRAME_SIZE))
        taken_ns.append(time.process_time_ns() - started)
        if have or need or more is not None:
            raise SystemExit("equal sets were told apart")
    return statistics.median(taken_ns) / 1e6
