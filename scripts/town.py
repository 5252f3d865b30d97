"""Homes full of posts, for the benchmarks: what a laptop has after days in a busy town, made in minutes.

The rule: everything in them is real (keys, signatures, chains, encrypted databases, index), only the way in is short:
posts go straight into `carry` and `log`, past the links and their checks, and nothing is synced to the disk until the
end. A home of each size is made once a run, in a temporary folder that goes with the process; a million posts take
1.5 GB of disk. All are of one private network and have a passphrase, as a person's own would.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from laptops import numbered

from meshd import crypto, envelope, post
from meshd.daemon.home import Home
from meshd.daemon.init import create
from meshd.ids import envelope_key, network_id, public_channel_id
from meshd.post import HOUR_MS, Post, Text
from meshd.store import keyslot
from meshd.store.carry import Carry
from meshd.store.log import Entry, Log

NETWORK_KEY = b"a town of a benchmark".ljust(32)
CHANNELS = tuple(f"channel{number}" for number in range(20))
_AUTHORS = 200  # each in one channel, in turn
_KEEP_HOURS = 72
_SPAN_MS = 6 * HOUR_MS  # the first post is so old
_SLICE = 4096  # posts in one transaction
_CACHE_KIB = 256 * 1024  # while a home is made: holds the indexes by id, whose pages are hit at random
_PASSPHRASE = b"correct horse battery staple"
_FOLDER = tempfile.TemporaryDirectory(prefix="meshd-bench-")


class Running(NamedTuple):
    """A daemon of such a home. `ready_s`: from the start of the process until it said that it is ready."""

    pid: int
    ready_s: float
    address: str


@cache
def home(posts: int) -> Path:
    """A home with that many posts of 256 bytes of others in its set, its log and its index."""
    path = Path(_FOLDER.name) / f"home{posts}"
    made = Home(str(path))
    with made.make():
        create(made, NETWORK_KEY, "private", "oak", _PASSPHRASE)
    (path.parent / "passphrase").write_bytes(_PASSPHRASE + b"\n")
    slot = keyslot.read(path)
    keys = keyslot.open(slot, keyslot.parameters(slot).stretch(_PASSPHRASE))
    carry, log = Carry(made.carry, keys.carry, durable=False), Log(made.log, keys.log, durable=False)
    for store in (carry, log):
        store._database.read(f"PRAGMA cache_size = -{_CACHE_KIB}")
    for name in CHANNELS:
        log.join(_channel_id(name), name, "public")
    source = _posts(posts)
    while some := list(islice(source, _SLICE)):
        sequences = carry.insert([(key, raw) for key, raw, _ in some])
        carry.commit()
        log.insert_many([entry for _, _, entry in some])
        log.set_opened(sequences[-1])
        log.commit()
    while log.indexed < log.last_cursor():
        log.index()
        log.commit()
    carry.close()
    log.close()
    os.sync()  # or the first start would wait for it
    return path


def _channel_id(name: str) -> bytes:
    return public_channel_id(network_id(NETWORK_KEY), name)


def _posts(count: int) -> Iterator[tuple[bytes, bytes, Entry]]:
    """Key, envelope and log entry of posts by `_AUTHORS`, in the order of their stamps."""
    now_ms = time.time_ns() // 10**6
    authors = [crypto.ed25519_keypair(number.to_bytes(32, "big")) for number in range(1, _AUTHORS + 1)]
    channels = [_channel_id(name) for name in CHANNELS]
    last = [b""] * _AUTHORS
    for number in range(count):
        who, sequence = number % _AUTHORS, number // _AUTHORS + 1
        public, secret = authors[who]
        time_ms = now_ms - _SPAN_MS + _SPAN_MS * number // count
        text = Text(f"author{who}" if sequence == 1 else "", b"", numbered(number))
        made = Post(
            version=post.VERSION,
            channel=channels[who % len(channels)],
            epoch=b"",
            author=public,
            incarnation=1,
            sequence=sequence,
            parents=last[who],
            hlc=(time_ms << 16) + number % 2**16,
            kind=post.KIND_TEXT,
            keep_until=-(-time_ms // HOUR_MS) + _KEEP_HOURS,
            body=post.encode_text(text),
        )
        signed = post.encode(made)
        identity = last[who] = post.post_id(signed)
        raw = envelope.seal_public(signed, post.sign(secret, identity))
        yield envelope_key(made.keep_until, identity), raw, Entry(identity, made, text, "carry", time_ms)


@contextmanager
def running(path: Path) -> Iterator[Running]:
    """A daemon of that home, from its start to its end."""
    passphrase = str(path.parent / "passphrase")
    options = ["--json", "--no-mdns", "--listen", "127.0.0.1:0", "--passphrase-file", passphrase]
    started = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-I", "-m", "meshd", "run", "--home", str(path), *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    ) as daemon:
        try:
            if daemon.stdout is None or not (line := daemon.stdout.readline()):
                raise SystemExit(f"the daemon of {path.name} did not start")
            ready_s = time.perf_counter() - started
            yield Running(daemon.pid, ready_s, json.loads(line)["listen"][0])
        finally:
            daemon.terminate()


def rss_mb(pid: int) -> float:
    """VmRSS of a process in MB of 10^6 bytes (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024 / 1e6
