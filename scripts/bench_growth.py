"""Growth: how backlog, reconcile and memory grow with a thousand to a million posts. `scripts/bench --plots DIR`.

The backlog goes from a home of that many posts to an empty one, to the last post that a subscriber there reads, and
ends at a hundred thousand, because a million takes minutes. Reconcile finds 100 keys that one side or the other has
got since the last round: CPU of both sides together, the median after a first run. Memory is VmRSS of a daemon some
seconds after its start. There are no goals here: those are for one size each, in the other benchmarks.
"""

import random
import statistics
import tempfile
import time
from collections.abc import Iterator

import town
from bench_memory import daemon_mb
from bench_reconcile import HOUR, HOURS, RUNS, keys_of, loaded, reconcile
from subscriber import Subscriber

from cli.client import Client
from cli.laptop import Laptop, start_all
from meshd import invite

SIZES = (1_000, 10_000, 100_000, 1_000_000)
BACKLOG_MAX = 100_000
FRESH = 100
PATIENCE_S = 60


def run() -> Iterator[dict[str, object]]:
    """One line for each size."""
    for posts in SIZES:
        line: dict[str, object] = {"bench": "growth", "posts": posts}
        if posts <= BACKLOG_MAX:
            line["backlog_s"] = round(_backlog_s(posts), 3)
        line["reconcile_cpu_ms"] = round(_reconcile_ms(posts), 2)
        line["rss_mb"] = round(daemon_mb(posts), 1)
        yield line


def _backlog_s(posts: int) -> float:
    """From the dial until a subscriber of the empty home has read the last of that many posts."""
    with tempfile.TemporaryDirectory() as folder, town.running(town.home(posts)) as giver:
        taker = Laptop("taker", folder)
        taker.mesh("init", "--invite", invite.encode(town.NETWORK_KEY), "--no-passphrase")
        try:
            start_all([taker])
            subscriber = Subscriber(taker.home, town.CHANNELS)
            with Client(taker.home) as control:
                started = time.perf_counter()
                control.call("peer.add", {"address": giver.address})
            taken_s = subscriber.wait_for(posts, PATIENCE_S) - started
            if len(set(subscriber.texts())) != posts:
                raise SystemExit("a post came twice")
            subscriber.close()
        finally:
            taker.ask_to_end()
            taker.end()
    return taken_s


def _reconcile_ms(keys_each: int) -> float:
    rng = random.Random(1)
    keys = keys_of(rng, keys_each, HOURS)
    here, there = loaded(keys), loaded(keys)
    del keys
    taken_ns = []
    for _ in range(RUNS):
        fresh = keys_of(rng, FRESH, 1, HOUR + HOURS - 1)
        for number, key in enumerate(fresh):
            (here if number % 2 else there).insert(key)
        cpu_ns, _, _, differences = reconcile(here, there, "initiate")
        if differences != FRESH:
            raise SystemExit(f"reconcile found {differences} of {FRESH} differences")
        taken_ns.append(cpu_ns)
        for key in fresh:
            here.insert(key)
            there.insert(key)
    return statistics.median(taken_ns[1:]) / 1e6
