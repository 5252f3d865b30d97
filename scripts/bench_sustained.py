"""Sustained: posts written on one laptop as fast as it takes them, read by a subscriber on another that is linked.

The clock starts before the first request goes to the writer's socket and stops when the subscriber has read the last
post. The posts come in two ways: `batches` of 64 requests, each one transaction, as whoever has much to say sends
them; and `singles`, requests one after the other without waiting for answers. Each of these is a transaction of its
own in two databases, synced on both laptops before it goes on, so what they measure is the disk: compare `commit_ms`.
The goal is that of batches.
"""

import json
import socket
import tempfile
import threading
import time
from collections.abc import Iterator

from laptops import cpu_s, network, numbered, pid_of
from subscriber import Subscriber

from cli.laptop import Laptop
from meshd.daemon import api

POSTS = 20_000
SINGLES = 5_000
BATCH = 64
WARM_UP = 640
GOAL_S = 4_000
PATIENCE_S = 20


def run() -> Iterator[dict[str, object]]:
    """Two lines."""
    with tempfile.TemporaryDirectory() as folder, network(folder, 2) as ((writer, other), _):
        writer.mesh("peer", "add", other.address)
        _measure(writer, other, "warm", WARM_UP, BATCH)
        posts_s, figures = _measure(writer, other, "batches", POSTS, BATCH)
        yield {**figures, "goal_s": GOAL_S, "met": posts_s >= GOAL_S}
        _, figures = _measure(writer, other, "singles", SINGLES, 1)
        yield figures


def _measure(
    writer: Laptop, other: Laptop, how: str, posts: int, batch: int
) -> tuple[float, dict[str, object]]:
    """Posts a second, and what the line says of them."""
    lines = [_line(how, range(at, min(at + batch, posts))) for at in range(0, posts, batch)]
    subscriber = Subscriber(other.home, (how,))
    pids = [pid_of(writer), pid_of(other)]
    with socket.socket(socket.AF_UNIX) as rpc, api.short_path(api.socket_path(writer.home)) as path:
        rpc.connect(path)
        answers: list[bytes] = []
        taking = threading.Thread(target=_take, args=(rpc, len(lines), answers))
        before_s = [cpu_s(pid) for pid in pids]
        taking.start()
        started = time.perf_counter()
        sending = threading.Thread(target=rpc.sendall, args=(b"".join(lines),))
        sending.start()
        taken_s = subscriber.wait_for(posts, PATIENCE_S) - started
        sending.join()
        taking.join()
    writer_s, other_s = (cpu_s(pid) - before for pid, before in zip(pids, before_s, strict=True))
    texts = subscriber.texts()
    subscriber.close()
    if any(b'"error"' in answer for answer in answers):
        raise SystemExit(f"posting failed: {answers[0].decode()}")
    if sorted(texts) != sorted(numbered(number) for number in range(posts)):
        raise SystemExit(
            "the posts did not come once each"
        )  # what is over the rate is fetched, in no strict order
    return posts / taken_s, {
        "bench": "sustained",
        "sent_as": how,
        "batch": batch,
        "posts": posts,
        "posts_s": round(posts / taken_s),
        "writer_cpu_us_post": round(writer_s / posts * 1e6),
        "reader_cpu_us_post": round(other_s / posts * 1e6),
    }


def _line(channel: str, numbers: range) -> bytes:
    """One line of the RPC: a request, or a batch of more than one."""
    requests = [
        {
            "jsonrpc": "2.0",
            "id": number,
            "method": "post",
            "params": {"channel": channel, "text": numbered(number)},
        }
        for number in numbers
    ]
    return json.dumps(requests if len(requests) > 1 else requests[0]).encode() + b"\n"


def _take(rpc: socket.socket, count: int, answers: list[bytes]) -> None:
    """Take that many lines of answers."""
    with rpc.makefile("rb") as lines:
        for _ in range(count):
            answers.append(lines.readline())
