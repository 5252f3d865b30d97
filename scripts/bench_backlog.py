"""The backlog: 10 000 public posts of 256 bytes go from one daemon to an empty one, to the last one a client reads.

The clock starts before the dial and stops when a subscriber of the empty one has read the last post. Meanwhile a
stranger who knows the network key links up to the empty one and gives it a forged post: that link must be closed, and
that link only. Afterwards the receiver is killed with SIGKILL and must have everything when it starts again. Bytes are
TCP payload, both ways.
"""

import tempfile
import time
from collections.abc import Iterator

from laptops import cpu_s, fill, network, pid_of
from stranger import Stranger, forged

from cli.laptop import Laptop, start_all

POSTS = 10_000
BYTES_GOAL = 560
RATIO_GOAL = 0.45  # posts a second, of raw verifications a second
PATIENCE_S = 60


def run() -> Iterator[dict[str, object]]:
    """One line."""
    with tempfile.TemporaryDirectory() as folder, network(folder, 2) as (laptops, network_key):
        yield _measure(laptops[0], laptops[1], network_key)


def _measure(giver: Laptop, taker: Laptop, network_key: bytes) -> dict[str, object]:
    fill(giver, "plaza", POSTS)
    pids = [pid_of(giver), pid_of(taker)]
    stranger = Stranger(taker.address, network_key)
    with taker.connect() as control, taker.connect() as reader:
        (channel,) = control.call("channel.join", {"name": "plaza"})["channels"]
        reader.call("subscribe", {"channel": "plaza", "cursor": 0})
        refused = False
        texts: list[str] = []
        before_s = [cpu_s(pid) for pid in pids]
        started = time.perf_counter()
        control.call("peer.add", {"address": giver.address})
        for notice in reader.notices(PATIENCE_S):
            if notice is None:
                raise SystemExit(f"only {len(texts)} of {POSTS} posts came")
            texts.append(notice["params"]["post"]["text"])
            if len(texts) == POSTS // 4:
                refused = stranger.is_refused(forged(bytes.fromhex(channel["id"])))
            if len(texts) == POSTS:
                break
        taken_s = time.perf_counter() - started
        giver_s, taker_s = (cpu_s(pid) - before for pid, before in zip(pids, before_s, strict=True))
        peers = [peer for peer in control.call("peer.list")["peers"] if peer["address"] == giver.address]
    taker.pull_the_plug()
    start_all([taker])
    with taker.connect() as control:
        kept = control.call("read", {"limit": 1})["cursor"]
    payload = sum(peer["in_bytes"] + peer["out_bytes"] for peer in peers) / POSTS
    return {
        "bench": "backlog",
        "posts": POSTS,
        "seconds": round(taken_s, 3),
        "posts_s": round(POSTS / taken_s),
        "giver_cpu_us_post": round(giver_s / POSTS * 1e6),
        "taker_cpu_us_post": round(taker_s / POSTS * 1e6),
        "bytes_post": round(payload, 1),
        "bytes_goal": BYTES_GOAL,
        "ratio_goal": RATIO_GOAL,
        "in_order": texts == sorted(texts),
        "twice": len(texts) - len(set(texts)),
        "forged_refused": refused,
        "other_link": peers[0]["state"],
        "after_sigkill": kept,
        "met": payload <= BYTES_GOAL and refused and peers[0]["state"] == "open" and kept == POSTS,
    }
