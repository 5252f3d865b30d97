"""N and V: what a prober, a recorder and a listener on the wire get out of a link.

A prober without the network key, or with an old recording, gets the challenge and nothing else, and costs no
Diffie–Hellman. A listener sees records of four lengths. A key never meets a nonce twice.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from meshd import crypto, noise
from meshd.errors import PeerError
from meshd.events import BytesReceived, CloseLink, Effect, LinkOpened, SendBytes
from meshd.limits import HALF_OPEN_MAX, HANDSHAKE_MS
from meshd.noise import CipherState
from meshd.proto import message as msg
from meshd.proto.frame import RECORD_SIZES, FrameReader
from meshd.proto.session import MESSAGE_1_SIZE, MESSAGE_2_SIZE, MESSAGE_3_SIZE, State
from tests.homes import HERE, Home, Stranger, Table
from tests.wire import PSK, Pair, frames, session

CHALLENGE_SIZE = 32
OTHER_KEY = b"another network".ljust(32)


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


@contextmanager
def curve_work(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Every multiplication on the curve that a handshake does meanwhile."""
    done: list[str] = []

    def shared(secret: bytes, public: bytes) -> bytes:
        done.append("shared")
        return crypto.x25519(secret, public)

    def public(seed: bytes) -> tuple[bytes, bytes]:
        done.append("public")
        return crypto.x25519_keypair(seed)

    with monkeypatch.context() as counting:
        counting.setattr(noise, "x25519", shared)
        counting.setattr(noise, "x25519_keypair", public)
        yield done


def knock(home: Home, link: int, content: bytes) -> list[Effect]:
    """Open a link and say something; all that the node does about it."""
    home.table.run(1)  # so that 64 of them are never half open
    return home.handle(LinkOpened(link, HERE, False)) + home.handle(BytesReceived(link, content))


def answer(effects: list[Effect]) -> list[int]:
    """The lengths of the frames that were sent."""
    sent = b"".join(effect.content for effect in effects if isinstance(effect, SendBytes))
    return [len(frame) for frame in frames(sent)]


def framed(frame: bytes) -> bytes:
    return len(frame).to_bytes(2, "big") + frame


def first_message(home: Home, link: int, psk: bytes = PSK) -> bytes:
    """What a dialler says to a link of this node that was just opened."""
    effects = home.handle(LinkOpened(link, HERE, False))
    (challenge,) = [effect.content for effect in effects if isinstance(effect, SendBytes)]
    dialler = session(link, dialled=True, psk=psk)
    assert list(dialler.receive(challenge, 0)) == []
    return dialler.take_output(0)


def test_N02_a_captured_first_message_is_good_for_nobody(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    oak, elm = table.home(), table.home()
    with curve_work(monkeypatch) as done:
        captured = first_message(oak, 1)
        done.clear()
        assert answer(oak.handle(BytesReceived(1, captured))) == [MESSAGE_2_SIZE]
        assert done == ["public", "shared", "shared"]  # where it was meant for, it is worth some work
        done.clear()
        for link in range(1000, 2000):
            for home in (oak, elm):
                effects = knock(home, link, captured)
                assert answer(effects) == [CHALLENGE_SIZE]
                assert [type(effect) for effect in effects][-1] is CloseLink
                assert link not in home.node.sessions
        assert done == []


@pytest.mark.parametrize("junk", [bytes(48), b"\xff" * 48, bytes(range(48))], ids=["zeros", "ones", "count"])
def test_N03_junk_gets_nothing_beyond_the_challenge(
    table: Table, monkeypatch: pytest.MonkeyPatch, junk: bytes
) -> None:
    home = table.home()
    with curve_work(monkeypatch) as done:
        for link in range(1000, 1100):
            assert answer(knock(home, link, framed(junk))) == [CHALLENGE_SIZE]
        assert done == [] and home.node.sessions == {}


def test_N03_another_network_key_gets_nothing_beyond_the_challenge(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = table.home()
    hello = first_message(home, 1, psk=OTHER_KEY)
    with curve_work(monkeypatch) as done:
        effects = home.handle(BytesReceived(1, hello))
        assert answer(effects) == [] and done == []
    prober = Stranger(home, network_key=OTHER_KEY)
    table.settle()
    assert prober.down is not None and prober.got == [] and prober.session.state is State.REPLIED


def test_N03_every_failure_looks_alike_to_the_prober(table: Table) -> None:
    home = table.home()
    shapes = set()
    good = first_message(home, 900)
    for number, content in enumerate(
        (framed(bytes(48)), good, framed(good[2:34] + bytes(16)), first_message(home, 901, psk=OTHER_KEY))
    ):
        effects = knock(home, 1000 + number, content)
        shapes.add(tuple((type(effect), getattr(effect, "flush", None)) for effect in effects))
    assert len(shapes) == 1


def test_N03_a_crowd_of_probers_keeps_no_honest_peer_out(table: Table) -> None:
    home = table.home()
    for link in range(1000, 1000 + 10 * HALF_OPEN_MAX):
        home.handle(LinkOpened(link, HERE, False))
    assert len(home.node.sessions) <= HALF_OPEN_MAX
    honest = Stranger(home)
    table.settle()
    assert honest.is_open
    table.run(HANDSHAKE_MS)
    assert honest.is_open and len(home.node.sessions) == 1


def test_N13_ten_rekeys_each_way_under_load_lose_nothing_and_reuse_no_nonce(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    used: list[tuple[bytes, bytes]] = []

    def noting(key: bytes, nonce: bytes, ad: bytes, text: bytes) -> bytes:
        if nonce[4:] != b"\xff" * 8:  # with which both sides make the next key
            used.append((key, nonce))
        return crypto.chacha20poly1305_encrypt(key, nonce, ad, text)

    monkeypatch.setattr(noise, "chacha20poly1305_encrypt", noting)
    pair = Pair(session(1, dialled=True, rekey_records=8), session(2, dialled=False, rekey_records=8))
    pair.run()
    sides = (pair.dialler, pair.acceptor)
    for number in range(100):
        for side in sides:
            side.send(msg.Give(number % 2, number.to_bytes(2, "big") + bytes(3000)))
            pair.move(side, cut=997)
    pair.run()
    for side in sides:
        given = [m.envelopes[:2] for m in pair.got[side] if isinstance(m, msg.Give)]
        assert sorted(given) == [number.to_bytes(2, "big") for number in range(100)]
    assert len(used) == len(set(used))
    assert len({key for key, _ in used}) > 2 * 10 + 4  # and four of the handshake


def test_N13_a_record_of_before_the_rekey_is_worth_nothing_after_it() -> None:
    pair = Pair(session(1, dialled=True, rekey_records=1), session(2, dialled=False, rekey_records=1))
    pair.run()
    pair.dialler.send(msg.Bye(0))
    old = pair.dialler.take_output(0)
    assert list(pair.acceptor.receive(old, 0)) == [msg.Bye(0)]
    with pytest.raises(PeerError):
        list(pair.acceptor.receive(old, 0))


@pytest.mark.parametrize("size", range(20))
def test_N16_records_of_0_to_19_bytes_close_the_link_and_no_more(table: Table, size: int) -> None:
    home = table.home()
    opened = Stranger(home)
    table.settle()
    assert opened.is_open
    effects = home.handle(BytesReceived(opened.home_link, framed(bytes(size))))
    assert [type(effect) for effect in effects] == [CloseLink]
    assert answer(knock(home, 1000, framed(bytes(size)))) == [CHALLENGE_SIZE] and home.node.sessions == {}
    with pytest.raises(PeerError):
        FrameReader(CipherState(b"k" * 32)).read(bytes(size))


def test_V02_after_the_handshake_every_record_has_one_of_four_lengths(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams: dict[tuple[int, int], bytes] = {}
    oak, elm = table.home(), table.home()

    def watch(home: Home, link: int, content: bytes) -> None:
        streams[home.number, link] = streams.get((home.number, link), b"") + content
        carry(home, link, content)

    carry = table.carry
    monkeypatch.setattr(table, "carry", watch)
    table.link(oak, elm)
    table.settle()
    for size in (1, 100, 200, 250, 300, 700, 1000, 3000, 5000, 12_000, 16_000):
        oak.post("x" * size)
        elm.post("y" * size)
    table.run(60_000)
    assert oak.texts() and sorted(oak.texts()) == sorted(elm.texts())
    (one, other) = (frames(stream) for stream in streams.values())
    for sent, handshake in ((one, 2), (other, 2)):
        assert {len(frame) for frame in sent[:handshake]} <= {
            CHALLENGE_SIZE, MESSAGE_1_SIZE, MESSAGE_2_SIZE, MESSAGE_3_SIZE,
        }  # fmt: skip
        assert {len(frame) for frame in sent[handshake:]} <= RECORD_SIZES
        assert len(sent) > 22
