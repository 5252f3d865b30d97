"""A peer written from protocol.md alone and a node of ours have the same envelopes in the end, whoever dials."""

import random
from itertools import chain
from pathlib import Path

import pytest

from meshd.events import BytesReceived, CloseLink, Command, LinkOpened, NetworkChanged, Now, SendBytes, Wake
from meshd.ids import Address
from meshd.meshtime import MeshTime
from meshd.node import Node
from meshd.store.carry import Carry
from meshd.store.log import Log
from scripts import vectors  # makes the rest of scripts/ importable
from scripts.vectors_fixed import NETWORK_KEY, NOW_MS, entropy, fixed
from scripts.vectors_posts import signed_by
from tests.independent_peer import Peer

ADDRESS = Address("192.168.1.7", 4040)
AUTHORS = [f"author {number}" for number in range(40)]

assert vectors


class Pair:
    """A node, and a foreign peer on a link to it."""

    def __init__(self, folder: Path, *, peer_dials: bool) -> None:
        now = Now(0, NOW_MS)
        self.carry = Carry.create(folder / "carry", bytes(32), NETWORK_KEY, "private", durable=False)
        log = Log.create(folder / "log", bytes(32), fixed("node seed"), "oak", durable=False)
        self.node = Node(self.carry, log, rng=random.Random(1), entropy=entropy("node"), now=now)
        # The vectors' time is before any release.
        self.node.time = self.node.upkeep._time = MeshTime(now, 0, build_ms=NOW_MS)
        secrets = fixed("foreign static"), fixed("foreign ephemeral")
        self.peer = Peer(dials=peer_dials, network_key=NETWORK_KEY, wall_ms=NOW_MS, secrets=secrets)
        self.closed: str | None = None
        self.mono_ms = 0
        self.handle(NetworkChanged())

    def open(self, *, peer_dials: bool) -> None:
        self.handle(LinkOpened(1, ADDRESS, dialled=not peer_dials))
        if said := self.peer.receive(b""):
            self.handle(BytesReceived(1, said))

    def handle(self, event: object) -> None:
        events = [event]
        while events:
            now = Now(self.mono_ms, NOW_MS + self.mono_ms)
            for effect in chain(*self.node.handle(events.pop(0), now)):  # type: ignore[arg-type]
                if isinstance(effect, CloseLink):
                    self.closed = effect.reason
                elif isinstance(effect, SendBytes) and (said := self.peer.receive(effect.content)):
                    events.append(BytesReceived(1, said))

    def pass_time(self, ms: int) -> None:
        end = self.mono_ms + ms
        while (due := self.node.next_deadline()) is not None and due <= end:
            self.mono_ms = max(self.mono_ms + 1, due)
            self.handle(Wake())

    def post(self, text: str) -> None:
        self.handle(Command(1, "post", {"channel": "square", "text": text}))

    def close(self) -> None:
        self.carry.close()
        if self.node.log is not None:
            self.node.log.close()


@pytest.fixture(params=[True, False], ids=["the peer dials", "the node dials"])
def pair(request, tmp_path):
    pair = Pair(tmp_path, peer_dials=request.param)
    pair.peer_dials = request.param
    yield pair
    pair.close()


def envelopes(pair: Pair) -> list[bytes]:
    return sorted(raw for _, raw in pair.carry.after(0, 10_000))


@pytest.mark.parametrize("posts", [0, 1, 60], ids=lambda number: f"{number} own posts")
@pytest.mark.parametrize("foreign", [0, 1, 40], ids=lambda number: f"{number} foreign")
def test_both_have_everything(pair, posts, foreign):
    for author in AUTHORS[:foreign]:
        pair.peer.hold(signed_by(author))
    for number in range(posts):
        pair.post(f"post {number}")
    pair.open(peer_dials=pair.peer_dials)
    pair.pass_time(8_000)
    assert pair.closed is None
    assert envelopes(pair) == sorted(pair.peer.held.values())
    assert len(pair.peer.held) == posts + foreign


def test_a_fresh_post_comes_at_once_and_is_acknowledged(pair):
    pair.open(peer_dials=pair.peer_dials)
    pair.pass_time(500)
    pair.post("water at the north gate")
    assert len(pair.peer.held) == 1
    assert pair.peer.heard[-1] == "give"
    raw = signed_by("fir")
    key = pair.peer.hold(raw)
    pair.peer.give([raw])
    out, pair.peer.out = pair.peer.out, b""
    pair.handle(BytesReceived(1, out))
    pair.pass_time(20)
    assert key[4:24] in pair.peer.acknowledged
    assert envelopes(pair) == sorted(pair.peer.held.values())


def test_another_network_gets_no_answer(tmp_path):
    pair = Pair(tmp_path, peer_dials=True)
    pair.peer = Peer(dials=True, network_key=bytes(32), wall_ms=NOW_MS, secrets=(fixed("a"), fixed("b")))
    pair.open(peer_dials=True)
    assert pair.closed is not None
    assert pair.peer.step == 1  # the challenge, and nothing after it
    pair.close()
