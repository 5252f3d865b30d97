"""Sessions: two of them joined in memory reach OPEN however the stream is cut, and end when time or rules say so."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshd import codec
from meshd.errors import PeerError
from meshd.limits import (
    GREETING_SIZE_MAX,
    MESSAGE_SIZE_MAX,
    OUTBOX_FILL_SIZE,
    OUTBOX_SIZE_MAX,
    REKEY_MS,
    WAITING_SIZE_MAX,
)
from meshd.proto import message as msg
from meshd.proto.frame import RECORD_SIZES
from meshd.proto.session import MESSAGE_1_SIZE, MESSAGE_2_SIZE, MESSAGE_3_SIZE, Session, State
from tests.test_message import FOR_THE_NODE
from tests.wire import Pair, frames, hello, session

GREETING = [hello(), msg.Tags(bytes(msg.TAGS_SIZE))]


def opened(**how: Any) -> Pair:
    pair = Pair(session(1, dialled=True, **how), session(2, dialled=False, **how))
    pair.run()
    assert pair.dialler.state is pair.acceptor.state is State.OPEN
    return pair


def refused(side: Session, content: bytes) -> None:
    with pytest.raises(PeerError):
        list(side.receive(content, 0))
    assert side.take_output(0) == b""


# --- the handshake ---


@pytest.mark.parametrize("cut", [0, 1, 2, 3, 7, 48, 49, 50, 51, 1000])
def test_both_sides_open_at_any_cut(cut: int) -> None:
    pair = Pair()
    pair.run(cut=cut)
    assert pair.dialler.state is pair.acceptor.state is State.OPEN
    assert list(pair.got.values()) == [GREETING, GREETING]
    assert pair.dialler.handshake_hash == pair.acceptor.handshake_hash != b""
    assert pair.dialler.link_key == pair.acceptor._static[0]
    assert pair.acceptor.link_key == pair.dialler._static[0]
    assert pair.dialler.in_bytes == pair.acceptor.out_bytes == len(pair.sent[pair.acceptor])
    assert pair.dialler.hello == hello()


def test_what_goes_over_the_wire() -> None:
    pair = Pair()
    pair.run()
    from_acceptor, from_dialler = frames(pair.sent[pair.acceptor]), frames(pair.sent[pair.dialler])
    assert [len(frame) for frame in from_acceptor[:2]] == [32, MESSAGE_2_SIZE]
    assert [len(frame) for frame in from_dialler[:2]] == [MESSAGE_1_SIZE, MESSAGE_3_SIZE]
    assert {len(frame) for frame in from_acceptor[2:] + from_dialler[2:]} <= RECORD_SIZES


def test_no_two_sessions_share_anything_on_the_wire() -> None:
    streams = []
    for seed in (10, 20):
        pair = Pair(session(seed, dialled=True), session(seed + 1, dialled=False))
        pair.run()
        streams.append(frames(pair.sent[pair.acceptor]) + frames(pair.sent[pair.dialler]))
    one, other = (
        {frame[i : i + 16] for frame in stream for i in range(len(frame) - 15)} for stream in streams
    )
    assert not one & other


def test_the_acceptor_speaks_first_and_the_dialler_says_nothing_before() -> None:
    assert session(1, dialled=True).take_output(0) == b""
    (challenge,) = frames(session(2, dialled=False).take_output(0))
    assert len(challenge) == 32


@pytest.mark.parametrize("size", [0, 1, 31, 33, 48, 272, 65535])
def test_a_challenge_of_another_length_is_refused_before_it_comes(size: int) -> None:
    refused(session(1, dialled=True), size.to_bytes(2, "big"))


@pytest.mark.parametrize("size", [0, 32, MESSAGE_1_SIZE - 1, MESSAGE_1_SIZE + 1, 272, 65535])
def test_a_first_message_of_another_length(size: int) -> None:
    acceptor = session(2, dialled=False)
    acceptor.take_output(0)
    refused(acceptor, size.to_bytes(2, "big"))


@pytest.mark.parametrize("size", [0, MESSAGE_2_SIZE - 1, MESSAGE_2_SIZE + 1, 272, 65535])
def test_a_second_message_of_another_length(size: int) -> None:
    pair = Pair()
    pair.move(pair.acceptor)
    pair.move(pair.dialler)
    refused(pair.dialler, size.to_bytes(2, "big"))


@pytest.mark.parametrize("size", [0, MESSAGE_3_SIZE - 1, MESSAGE_3_SIZE + 1, 272, 65535])
def test_a_third_message_of_another_length(size: int) -> None:
    pair = Pair()
    for side in (pair.acceptor, pair.dialler, pair.acceptor):
        pair.move(side)
    refused(pair.acceptor, size.to_bytes(2, "big"))


@pytest.mark.parametrize("size", [0, 16, 256, 271, 273, 1039, 1041, 16399, 16401, 65535])
def test_a_record_of_no_class(size: int) -> None:
    refused(opened().acceptor, size.to_bytes(2, "big"))


@pytest.mark.parametrize("which", [0, 1, 2])
@given(data=st.data())
@settings(max_examples=30)
def test_a_handshake_message_with_a_flipped_bit_gets_no_answer(which: int, data: st.DataObject) -> None:
    pair = Pair()
    source, target = pair.acceptor, pair.dialler
    for _ in range(which + 1):
        pair.move(source)
        source, target = target, source
    (frame,) = frames(source.take_output(0))[:1]
    bit = data.draw(st.integers(0, 8 * len(frame) - 1))
    flipped = bytearray(frame)
    flipped[bit // 8] ^= 1 << bit % 8
    refused(target, len(frame).to_bytes(2, "big") + flipped)


def test_another_network_key_gets_no_second_message() -> None:
    pair = Pair(dialler=session(1, dialled=True, psk=b"x" * 32))
    pair.move(pair.acceptor)
    refused(pair.acceptor, pair.dialler.take_output(0))


def test_a_dialler_that_does_not_want_this_peer_hangs_up_unseen() -> None:
    seen = []

    def unwanted(link_key: bytes) -> str:
        seen.append(link_key)
        return "known already"

    pair = Pair(dialler=session(1, dialled=True, unwanted=unwanted))
    pair.run()
    assert seen == [pair.acceptor._static[0]]
    assert pair.dialler.hung_up == "known already" and pair.dialler.state is State.CLOSED
    assert [len(frame) for frame in frames(pair.sent[pair.dialler])] == [MESSAGE_1_SIZE]
    assert pair.acceptor.link_key == b"" and pair.acceptor.state is State.ANSWERED


# --- greeting ---


@pytest.mark.parametrize("early", [msg.Tags(bytes(1024)), msg.Ping(1), msg.Give(1, b""), msg.Want(bytes(16))])
def test_hello_comes_first(early: msg.Message) -> None:
    pair = Pair(dialler=session(1, dialled=True, greeting=[early]))
    with pytest.raises(PeerError):
        pair.run()
    assert pair.acceptor.state is State.GREETING


def test_an_unknown_kind_before_hello_is_skipped() -> None:
    pair = Pair(dialler=session(1, dialled=True, greeting=[]))
    pair.run()
    assert pair.dialler._writer is not None
    pair.dialler._writer.queue(codec.pack(99, b"from later"), 0)
    pair.dialler.send(hello())
    pair.dialler._writer.queue(codec.pack(99, b"from later"), 0)
    pair.dialler.send(GREETING[1])
    pair.run()
    assert pair.acceptor.state is State.OPEN and pair.got[pair.acceptor] == GREETING


def test_a_bye_instead_of_hello_is_handed_on() -> None:
    pair = Pair(dialler=session(1, dialled=True, greeting=[msg.Bye(msg.BYE_FULL)]))
    pair.run()
    assert pair.got[pair.acceptor] == [msg.Bye(msg.BYE_FULL)] and pair.acceptor.state is State.GREETING


def greeted_by(size: int) -> Pair:
    """An acceptor that has got that much of a message before hello."""
    pair = Pair(dialler=session(1, dialled=True, greeting=[]))
    pair.run()
    assert pair.dialler._writer is not None
    pair.dialler._writer.queue(codec.pack(99, bytes(size - 5)), 3)
    pair.run()
    return pair


def test_before_tags_a_message_has_16_kib_at_most() -> None:
    pair = greeted_by(GREETING_SIZE_MAX)
    pair.dialler.send(hello())
    pair.dialler.send(GREETING[1])
    pair.dialler.send(msg.Give(0, bytes(GREETING_SIZE_MAX)))
    pair.run()
    assert [type(said) for said in pair.got[pair.acceptor]] == [msg.Hello, msg.Tags, msg.Give]
    assert pair.acceptor._reader is not None
    assert pair.acceptor._reader.message_size_max == MESSAGE_SIZE_MAX
    with pytest.raises(PeerError):
        greeted_by(GREETING_SIZE_MAX + 1)


def test_hello_comes_once() -> None:
    pair = opened()
    pair.dialler.send(hello())
    with pytest.raises(PeerError):
        pair.run()


def test_a_hello_of_other_versions_opens_nothing() -> None:
    pair = Pair(dialler=session(1, dialled=True, greeting=[hello(versions=b"\2\3")]))
    pair.run()
    assert [said.versions for said in pair.got[pair.acceptor] if isinstance(said, msg.Hello)] == [b"\2\3"]
    assert pair.acceptor.state is State.GREETING and pair.acceptor.hello is None


def test_a_hello_of_our_version_among_others_opens() -> None:
    pair = Pair(dialler=session(1, dialled=True, greeting=[hello(versions=b"\1\2"), GREETING[1]]))
    pair.run()
    assert pair.acceptor.state is State.OPEN


# --- messages ---


SAID = st.lists(FOR_THE_NODE, max_size=8)


@given(SAID, SAID, st.lists(st.integers(1, 3000), min_size=1, max_size=8), st.integers(1, 4))
@settings(max_examples=50)
def test_any_messages_both_ways_at_any_cut(
    by_dialler: list[msg.Message], by_acceptor: list[msg.Message], cuts: list[int], rekey_records: int
) -> None:
    pair = opened(rekey_records=rekey_records)
    for said in by_dialler:
        pair.dialler.send(said)
    for said in by_acceptor:
        pair.acceptor.send(said)
    for cut in cuts:
        pair.move(pair.dialler, cut=cut)
        pair.move(pair.acceptor, cut=cut)
    pair.run()
    for side, expected in ((pair.acceptor, by_dialler), (pair.dialler, by_acceptor)):
        for lane in range(4):
            assert [m for m in pair.got[side][2:] if msg.lane(m) == lane] == [
                m for m in expected if msg.lane(m) == lane
            ]


def test_ten_rekeys_each_way_by_records_under_load() -> None:
    pair = opened(rekey_records=10)
    said = {pair.dialler: 0, pair.acceptor: 0}
    for turn in range(60):
        for side in said:
            side.send(msg.Give(turn % 2, random.Random(turn).randbytes(turn * 400)))
            said[side] += 1
            pair.move(side, cut=700)
    pair.run()
    for side in said:
        assert sum(isinstance(m, msg.Give) for m in pair.got[side]) == 60
        assert len(frames(pair.sent[side])) > 10 * 10


def test_ten_rekeys_each_way_by_time() -> None:
    pair = opened()
    keys = {side: {side._writer._cipher.k} for side in pair.got if side._writer is not None}
    for turn in range(1, 11):
        for side in pair.got:
            side.send(msg.Give(1, b"%d" % turn))
            pair.move(side, mono_ms=turn * REKEY_MS)
            assert side._writer is not None
            keys[side].add(side._writer._cipher.k)
    assert [len(found) for found in keys.values()] == [11, 11]
    assert all(
        [m.envelopes for m in got[2:] if isinstance(m, msg.Give)][-1] == b"10" for got in pair.got.values()
    )


def test_a_ping_is_answered_by_the_session_itself() -> None:
    pair = opened()
    pair.dialler.send(msg.Ping(77))
    pair.run()
    assert len(pair.got[pair.acceptor]) == len(pair.got[pair.dialler]) == 2  # the greetings


def test_a_closed_session_takes_nothing_in_and_sends_nothing() -> None:
    pair = opened()
    pair.dialler.send(msg.Ping(1))
    ping = pair.dialler.take_output(0)
    pair.acceptor.close()
    assert list(pair.acceptor.receive(ping, 0)) == []
    pair.acceptor.send(msg.Bye(0))
    assert pair.acceptor.take_output(0) == b""


def test_tags_that_come_again_make_a_session_no_younger() -> None:
    pair = opened()
    pair.dialler.send(GREETING[1])
    assert list(pair.acceptor.receive(pair.dialler.take_output(0), 7000)) == [GREETING[1]]
    assert pair.acceptor.since_ms == 0 and pair.acceptor.state is State.OPEN


def test_what_stands_behind_a_close_is_not_taken_in() -> None:
    pair = opened()
    for kind in (1, 0):
        pair.dialler.send(msg.Push(kind))
    taken = []
    for message in pair.acceptor.receive(pair.dialler.take_output(0), 0):
        taken.append(message)
        pair.acceptor.close()
    assert taken == [msg.Push(1)]


def test_nothing_can_be_said_before_the_handshake_is_through() -> None:
    for side in (session(1, dialled=True), session(2, dialled=False)):
        side.take_output(0)
        side.send(msg.Bye(0))
        assert not side.has_output() and side.take_output(0) == b""


def test_what_is_to_be_sent_is_told_until_it_was_handed_out() -> None:
    pair = opened()
    assert not pair.dialler.has_output()
    pair.dialler.send(msg.Ping(1))
    assert pair.dialler.has_output()
    pair.dialler.take_output(0)
    assert not pair.dialler.has_output()


def test_who_asks_for_more_than_it_takes_is_cut() -> None:
    pair = opened()
    pong = len(msg.encode(msg.Pong(1)))
    filling = WAITING_SIZE_MAX - pong
    empty = len(msg.encode(msg.Give(0, bytes(200_000)))) - 200_000
    while filling > 0:
        size = min(filling, 200_000 + empty)
        pair.acceptor.send(msg.Give(0, bytes(size - empty)))
        filling -= size
    pair.dialler.send(msg.Ping(1))
    assert list(pair.acceptor.receive(pair.dialler.take_output(0), 0)) == []
    pair.dialler.send(msg.Ping(1))
    with pytest.raises(PeerError, match="it asks for more than it takes"):
        list(pair.acceptor.receive(pair.dialler.take_output(0), 0))


def test_a_bye_that_was_queued_before_the_close_still_goes_out() -> None:
    pair = opened()
    pair.dialler.send(msg.Bye(msg.BYE_DONE))
    content = pair.dialler.take_output(0)
    pair.dialler.close()
    assert list(pair.acceptor.receive(content, 0)) == [msg.Bye(msg.BYE_DONE)]


def test_output_is_bounded_until_the_outbox_is_drained() -> None:
    pair = opened()
    for _ in range(20):
        pair.dialler.send(msg.Give(0, bytes(200_000)))
    handed_out = 0
    while content := pair.dialler.take_output(0):
        handed_out += len(content)
    assert OUTBOX_SIZE_MAX // 2 <= handed_out <= OUTBOX_SIZE_MAX // 2 + 16_402
    pair.dialler.drained()
    assert pair.dialler.take_output(0) != b""


def test_bulk_is_asked_for_only_when_nothing_waits_and_the_outbox_is_low() -> None:
    pair = opened()
    assert pair.dialler.has_room()
    pair.dialler.send(msg.Give(0, bytes(OUTBOX_FILL_SIZE)))
    assert not pair.dialler.has_room()
    pair.dialler.take_output(0)
    assert not pair.dialler.has_room()
    pair.dialler.drained()
    assert pair.dialler.has_room()
    assert not session(1, dialled=True).has_room()
