"""The backlog, sealed: 10 000 posts of 256 bytes in 70 sealed channels go from one daemon to an empty one.

Twice: to one that can't read them, until it holds them all; and to a member of all those channels, 20 groups and 50
directs, until a subscriber has read the last one and a search for it finds it, so that opening, checking and indexing
are paid for. Authors, signatures, keys and envelopes are real; the giver is in none of the channels, its envelopes were
put into its `carry` directly. The clock starts before the dial.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from laptops import cpu_s, numbered, pid_of

from cli.client import Client
from cli.laptop import Laptop, start_all
from meshd import crypto, daykeys, envelope, post
from meshd.daemon.home import Home
from meshd.daemon.init import Opened, create, open_home
from meshd.ids import labelled
from meshd.post import HOUR_MS, Post, Text
from meshd.sealing import Sealing
from meshd.store import keyslot

POSTS = 10_000
GROUPS, DIRECTS = 20, 50
AUTHORS = 140  # two in each channel
RELAY_RATIO_GOAL, MEMBER_RATIO_GOAL = 0.5, 0.15
PATIENCE_S = 60
_KEEP_HOURS = 72
_NETWORK_KEY = b"sealed posts of a benchmark".ljust(32)
_LABEL = b"meshd bench"


def run() -> Iterator[dict[str, object]]:
    """Two lines."""
    yield {**_measure("sealed relay", _all_held, is_member=False), "ratio_goal": RELAY_RATIO_GOAL}
    yield {**_measure("sealed member", _all_read, is_member=True), "ratio_goal": MEMBER_RATIO_GOAL}


def _measure(name: str, wait: Callable[[Client], None], *, is_member: bool) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder, _laptops(folder) as (giver, taker):
        now_ms = time.time_ns() // 10**6
        with _opened(giver) as home:
            home.carry.insert(list(_envelopes(now_ms)))
        with _opened(taker) as home:
            if is_member:
                _join_all(Sealing(home.log), now_ms)
        start_all([giver, taker])
        pids = [pid_of(giver), pid_of(taker)]
        with taker.connect() as control:
            before_s = [cpu_s(pid) for pid in pids]
            started = time.perf_counter()
            control.call("peer.add", {"address": giver.address})
            wait(control)
            taken_s = time.perf_counter() - started
            giver_s, taker_s = (cpu_s(pid) - before for pid, before in zip(pids, before_s, strict=True))
            counts = control.call("status")["counts"]
    return {
        "bench": name,
        "posts": POSTS,
        "seconds": round(taken_s, 3),
        "posts_s": round(POSTS / taken_s),
        "giver_cpu_us_post": round(giver_s / POSTS * 1e6),
        "taker_cpu_us_post": round(taker_s / POSTS * 1e6),
        "read": counts["posts"],
        "met": counts["envelopes"] >= POSTS and counts["posts"] == (POSTS if is_member else 0),
    }


def _all_held(control: Client) -> None:
    until = time.perf_counter() + PATIENCE_S
    while control.call("status")["counts"]["envelopes"] < POSTS:
        if time.perf_counter() > until:
            raise SystemExit("not all of the backlog came")
        time.sleep(0.01)


def _all_read(control: Client) -> None:
    control.call("subscribe", {"cursor": 0})
    for read, notice in enumerate(control.notices(PATIENCE_S), start=1):
        if notice is None:
            raise SystemExit(f"only {read - 1} of {POSTS} posts came")
        if read == POSTS:
            break
    found = control.call("search", {"query": f"{POSTS - 1:08}*"})["posts"]
    if len(found) != 1:
        raise SystemExit("the last post is not found")


# --- homes ---


@contextmanager
def _laptops(folder: str) -> Iterator[tuple[Laptop, Laptop]]:
    laptops = Laptop("giver", folder), Laptop("taker", folder)
    try:
        for laptop in laptops:
            home = Home(laptop.home)
            with home.make():
                create(home, _NETWORK_KEY, "private", laptop.name, None)
        yield laptops
    finally:
        for laptop in laptops:
            laptop.ask_to_end()
        for laptop in laptops:
            laptop.end()


@contextmanager
def _opened(laptop: Laptop) -> Iterator[Opened]:
    """The files of a laptop that is off, for a moment."""
    home = Home(laptop.home)
    with home.lock():
        slot = keyslot.read(home.path)
        opened = open_home(home, keyslot.parameters(slot).stretch(b""), slot)
        yield opened
        for store in (opened.carry, opened.log):
            store.commit()
            store.close()


def _made(what: str, number: int, size: int = 32) -> bytes:
    """Bytes for channel or author number so-and-so, the same in every run."""
    return labelled(_LABEL, what.encode(), number.to_bytes(4, "big"), size=size)


def _join_all(sealing: Sealing, now_ms: int) -> None:
    day = daykeys.key_day(now_ms // HOUR_MS)
    for number in range(GROUPS + DIRECTS):
        kind = "group" if number < GROUPS else "direct"
        channel, epoch, key = (_made(what, number, size) for what, size in (("c", 16), ("e", 32), ("k", 32)))
        sealing.join(channel, f"{kind} {number}", kind, epoch, day, key)


def _envelopes(now_ms: int) -> Iterator[tuple[bytes, bytes]]:
    """(key, envelope) of posts by `AUTHORS`, each in one channel, in the order of their stamps."""
    authors = [crypto.ed25519_keypair(_made("a", number)) for number in range(AUTHORS)]
    until = now_ms // HOUR_MS + _KEEP_HOURS
    days = daykeys.key_day(until) - daykeys.key_day(now_ms // HOUR_MS)
    keys = [daykeys.advance(_made("k", number), days) for number in range(GROUPS + DIRECTS)]
    last = [b""] * AUTHORS
    for number in range(POSTS):
        who, sequence = number % AUTHORS, number // AUTHORS + 1
        public, secret = authors[who]
        channel = who % len(keys)
        text = Text(f"author{who}" if sequence == 1 else "", b"", numbered(number))
        made = Post(
            version=post.VERSION,
            channel=_made("c", channel, 16),
            epoch=_made("e", channel),
            author=public,
            incarnation=1,
            sequence=sequence,
            parents=last[who],
            hlc=(now_ms - POSTS + number) << 16,
            kind=post.KIND_TEXT,
            keep_until=until,
            body=post.encode_text(text),
        )
        signed = post.encode(made)
        identity = last[who] = post.post_id(signed)
        content = envelope.post_content(signed, post.sign(secret, identity))
        raw = envelope.seal(keys[channel], until, _made("n", number, 24), content)
        sealed = envelope.parse(raw)
        if not isinstance(sealed, envelope.Sealed):
            raise SystemExit("no sealed envelope")
        yield sealed.key, raw
