"""Panic: how long `mesh panic --yes` takes on a busy laptop, from the key that starts it to the prompt that comes back.

Busy: it takes in a backlog over a link and posts as fast as its clients ask, with a log of thousands. `keys_ms` is
when the keyslot was gone, `all_ms` when the command had ended and with it the daemon. The clock starts before the
process of the command does. In `hangs` the daemon is stopped first and answers nothing.
"""

import json
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

from laptops import fill, network, numbered, pid_of

from meshd.daemon import api

POSTS = 5_000
BACKLOG = 10_000
GOAL_MS = 1_000
_BATCH = 64


def run() -> Iterator[dict[str, object]]:
    """Two lines."""
    for how in ("answers", "hangs"):
        with tempfile.TemporaryDirectory() as folder, network(folder, 2) as ((oak, elm), _):
            fill(oak, "plaza", POSTS)
            fill(elm, "plaza", BACKLOG)
            daemon = pid_of(oak)
            oak.mesh("peer", "add", elm.address)
            with oak.connect() as control:
                while control.call("status")["counts"]["envelopes"] < POSTS + BACKLOG // 10:
                    pass
            writing = threading.Thread(target=_write_on, args=(oak.home,))
            writing.start()
            size = sum(os.stat(os.path.join(oak.home, name)).st_size for name in os.listdir(oak.home))
            if how == "hangs":
                os.kill(daemon, signal.SIGSTOP)
            gone: list[float] = []
            watching = threading.Thread(target=_watch, args=(os.path.join(oak.home, "keyslot"), gone))
            watching.start()
            started = time.perf_counter()
            document = oak.mesh("panic", "--yes")
            all_ms = (time.perf_counter() - started) * 1000
            watching.join()
            writing.join()
            if document["failed"] or document["left"] or os.path.exists(oak.home):
                raise SystemExit(f"not everything was erased: {document}")
        yield {
            "bench": "panic",
            "daemon": how,
            "home_mb": round(size / 1e6, 1),
            "keys_ms": round((gone[0] - started) * 1000, 1),
            "all_ms": round(all_ms, 1),
            "goal_ms": GOAL_MS,
            "met": all_ms <= GOAL_MS,
        }


def _watch(path: str, gone: list[float]) -> None:
    while os.path.lexists(path):
        time.sleep(0.001)
    gone.append(time.perf_counter())


def _write_on(home: str) -> None:
    """Post until there is nobody any more who takes it."""
    batch = [
        {"jsonrpc": "2.0", "id": n, "method": "post", "params": {"channel": "plaza", "text": numbered(n)}}
        for n in range(_BATCH)
    ]
    with suppress(OSError), socket.socket(socket.AF_UNIX) as rpc:
        with api.short_path(api.socket_path(home)) as path:
            rpc.connect(path)
        answers = rpc.makefile("rb")
        while True:
            rpc.sendall(json.dumps(batch).encode() + b"\n")
            if not answers.readline():
                return
