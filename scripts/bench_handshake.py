"""A link between two nodes who know 0, 1 or 64 contacts each, one of them the other: from link-up to proven.

Both nodes run here, one after the other, so the time is what both sides compute together: challenge, Noise handshake,
hello, tags, looking them up, proofs. The files are real, the network and the disk's own time are left out: who was met
last is written only when it is somebody else. What pairs share is in memory after the first link.
"""

import os
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from meshd import crypto
from meshd.events import BytesReceived, Effect, Event, LinkClosed, LinkOpened, NetworkChanged, Now, SendBytes
from meshd.ids import COMMONS_KEY, Address
from meshd.node import Node
from meshd.store.carry import Carry
from meshd.store.log import Log

TIMES = 200
GOAL_MS = 2.5
_NOW = Now(1_000_000, 1_790_000_000_000)
_ADDRESS = Address("10.0.0.1", 4040)


def run() -> Iterator[dict[str, object]]:
    """One line; `bytes` of both directions, the challenge included."""
    moved = {}
    for count in (0, 1, 64):
        with tempfile.TemporaryDirectory() as folder:
            seeds = os.urandom(32), os.urandom(32)
            pair = [_node(Path(folder) / name, seed) for name, seed in zip("ab", seeds, strict=True)]
            for node, other in zip(pair, reversed(seeds), strict=True):
                _know(node, other, count)
            taken_ms = []
            for link in range(TIMES + 1):
                started = time.perf_counter()
                moved[count] = _link(pair, link)
                taken_ms.append((time.perf_counter() - started) * 1000)
                proven = [node.recognition.contact(link) is not None for node in pair]
                for node in pair:
                    _handle(node, LinkClosed(link, "enough"))
    once_ms = statistics.median(taken_ms[1:])
    same = len(set(moved.values())) == 1
    yield {
        "bench": "handshake",
        "contacts": 64,
        "both_sides_ms": round(once_ms, 3),
        "both_sides_goal_ms": GOAL_MS,
        "first_ms": round(taken_ms[0], 3),
        "bytes": sorted(set(moved.values())),
        "same_bytes": same,
        "met": all(proven) and same and once_ms <= GOAL_MS,
    }


def _node(folder: Path, seed: bytes) -> Node:
    folder.mkdir()
    key = os.urandom(32)
    carry = Carry.create(folder / "carry.db", key, COMMONS_KEY, "open", durable=False)
    log = Log.create(folder / "log.db", key, seed, "", durable=False)
    node = Node(carry, log, rng=random.Random(1), entropy=os.urandom, now=_NOW)
    _handle(node, NetworkChanged())
    return node


def _handle(node: Node, event: Event) -> list[Effect]:
    return [effect for part in node.handle(event, _NOW) for effect in part]


def _know(node: Node, other: bytes, count: int) -> None:
    """Have so many contacts, the identity with this seed among them."""
    log = node.require_log()
    for number in range(count):
        seed = other if number == 0 else number.to_bytes(32, "big")
        log.contacts.put(log.contacts.get(crypto.ed25519_keypair(seed)[0])._replace(is_added=True))


def _link(pair: list[Node], link: int) -> int:
    """Open a link and let both say all they have to say; how many bytes that was."""
    dialler, acceptor = pair
    waiting: list[tuple[Node, list[Effect]]] = [
        (acceptor, _handle(dialler, LinkOpened(link, _ADDRESS, True))),
        (dialler, _handle(acceptor, LinkOpened(link, _ADDRESS, False))),
    ]
    moved = 0
    while waiting:
        node, effects = waiting.pop(0)
        content = b"".join(effect.content for effect in effects if isinstance(effect, SendBytes))
        if content:
            moved += len(content)
            other = acceptor if node is dialler else dialler
            waiting.append((other, _handle(node, BytesReceived(link, content))))
    return moved
