"""Sessions in time: how long a handshake, a frame and silence may last, and the ping that silence brings."""

import pytest

from meshd.limits import DEAD_MS, FRAME_MS, HANDSHAKE_MS, PING_MS
from meshd.proto import message as msg
from tests.test_session import opened
from tests.wire import Pair, session


def test_a_handshake_has_5_seconds_wherever_it_stands() -> None:
    pair = Pair(session(1, dialled=True, mono_ms=100), session(2, dialled=False, mono_ms=100))
    for side in (pair.acceptor, pair.dialler, pair.acceptor, pair.dialler):
        for each in pair.got:
            assert each.next_deadline() == 100 + HANDSHAKE_MS
            assert each.tick(100 + HANDSHAKE_MS - 1) is None
            assert each.tick(100 + HANDSHAKE_MS) is not None
        pair.move(side, mono_ms=5000)
    pair.run(mono_ms=5000)
    for each in pair.got:
        assert each.tick(100 + HANDSHAKE_MS) is None and each.next_deadline() == 5000 + PING_MS


def test_a_trickle_does_not_lengthen_the_handshake() -> None:
    acceptor = session(2, dialled=False)
    for mono_ms in range(0, HANDSHAKE_MS, 100):
        assert list(acceptor.receive(b"\0" if mono_ms == 0 else b"", mono_ms)) == []
    assert acceptor.tick(HANDSHAKE_MS) is not None


def test_a_frame_has_10_seconds_from_its_first_byte() -> None:
    pair = opened()
    pair.dialler.send(msg.Bye(0))
    pair.dialler.send(msg.Bye(1))
    content = pair.dialler.take_output(0)
    assert list(pair.acceptor.receive(content[:1], 1000)) == []
    for mono_ms in range(2000, 1000 + FRAME_MS, 1000):
        list(pair.acceptor.receive(content[mono_ms // 1000 - 1 : mono_ms // 1000], mono_ms))
    assert pair.acceptor.next_deadline() == 1000 + FRAME_MS
    assert pair.acceptor.tick(1000 + FRAME_MS - 1) is None
    assert pair.acceptor.tick(1000 + FRAME_MS) == "a frame took too long"
    list(pair.acceptor.receive(content[10:300], 11_000))
    assert pair.acceptor.next_deadline() == 11_000 + FRAME_MS
    list(pair.acceptor.receive(content[300:], 12_000))
    assert pair.acceptor.next_deadline() == 12_000 + PING_MS


def test_silence_brings_a_ping_and_the_pong_tells_the_round_trip() -> None:
    pair = opened()
    assert pair.dialler.next_deadline() == PING_MS
    assert pair.dialler.tick(PING_MS - 1) is None and pair.dialler.take_output(PING_MS - 1) == b""
    assert pair.dialler.tick(PING_MS) is None
    ping = pair.dialler.take_output(PING_MS)
    assert pair.dialler.tick(PING_MS + 1) is None and pair.dialler.take_output(PING_MS + 1) == b""
    assert list(pair.acceptor.receive(ping, PING_MS + 2)) == []
    assert list(pair.dialler.receive(pair.acceptor.take_output(PING_MS + 2), PING_MS + 5)) == []
    assert pair.dialler.rtt_ms == 5
    assert pair.dialler.next_deadline() == PING_MS + 5 + PING_MS


def test_silence_for_30_seconds_is_death() -> None:
    pair = opened()
    pair.dialler.tick(PING_MS)
    assert pair.dialler.next_deadline() == DEAD_MS
    assert pair.dialler.tick(DEAD_MS - 1) is None
    assert pair.dialler.tick(DEAD_MS) == "nothing was heard for too long"


@pytest.mark.parametrize("number", [0, 2, 2**63 - 1])
def test_a_pong_to_no_ping_of_ours_means_nothing(number: int) -> None:
    pair = opened()
    pair.dialler.tick(PING_MS)
    pair.acceptor.send(msg.Pong(number))
    pair.move(pair.acceptor, mono_ms=PING_MS + 1)
    assert pair.dialler.rtt_ms is None
