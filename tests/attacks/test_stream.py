"""F: hostile streams: frames that never come, lengths that are too large, links that are cut anywhere."""

import tracemalloc
from pathlib import Path

import pytest

from meshd import codec
from meshd.events import BytesReceived, CloseLink, LinkClosed, LinkOpened, SendBytes, Wake
from meshd.limits import FRAME_MS, HALF_OPEN_MAX, MESSAGE_SIZE_MAX
from meshd.proto import message as msg
from meshd.proto.session import State
from tests.homes import HERE, PLAZA, Home, Stranger, Table, linked
from tests.wire import Author, Pair, frames, session

OAK = Author()
MIB = 1024 * 1024


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Table(tmp_path).home()
    made.ask("channel.join", name="plaza")
    return made


def test_F01_a_frame_that_never_comes_is_bounded_in_size_and_time(home: Home) -> None:
    endless, patient, honest = linked(home, 1), linked(home, 2), linked(home, 3)
    home.receive(endless.home_link, b"\xff\xff" + bytes(10))
    home.table.settle()
    assert endless.down is not None
    home.receive(patient.home_link, (16_400).to_bytes(2, "big") + bytes(16_399))
    assert len(home.node.sessions[patient.home_link]._buffer) <= 128 * 1024
    home.table.run(FRAME_MS - 1)
    assert patient.down is None
    honest.give(OAK.envelope(channel=PLAZA), fresh=True)
    assert home.texts() == ["hello"]
    home.table.passed_ms += 1
    effects = home.handle(Wake())
    assert CloseLink(patient.home_link, "a frame took too long") in effects and honest.is_open


def test_F01_links_in_the_handshake_hold_little_of_messages_that_never_end(home: Home) -> None:
    for seed in range(HALF_OPEN_MAX):
        stranger = Stranger(home, seed=seed, greeting=[])
        home.table.settle()
        writer = stranger.session._writer
        assert writer is not None
        writer.queue(bytes(MESSAGE_SIZE_MAX), 3)
        for frame in list(writer.frames(2 * MESSAGE_SIZE_MAX, 0))[:-1]:
            home.receive(stranger.home_link, frame)
        home.table.settle()
    readers = [each._reader for each in home.node.sessions.values() if each._reader is not None]
    assert sum(len(lane) for reader in readers for lane in reader._lanes) <= HALF_OPEN_MAX * 128 * 1024


def test_F02_a_prefix_of_4_gib_closes_a_fresh_link_and_costs_nothing(home: Home) -> None:
    tracemalloc.start()
    try:
        effects = home.handle(LinkOpened(900, HERE, False))
        effects += home.handle(BytesReceived(900, b"\xff\xff\xff\xff"))
        assert tracemalloc.get_traced_memory()[1] < MIB
    finally:
        tracemalloc.stop()
    sent = [effect.content for effect in effects if isinstance(effect, SendBytes)]
    assert [len(frame) for frame in frames(b"".join(sent))] == [32]
    assert any(isinstance(effect, CloseLink) and effect.link == 900 for effect in effects)


def test_F03_a_recorded_session_cut_at_every_byte_delivers_whole_messages_only() -> None:
    pair = Pair()
    pair.run()
    said: list[msg.Message] = [msg.Have(0, bytes(20)), msg.Give(1, bytes(1500)), msg.Bye(0)]
    for message in said:
        pair.dialler.send(message)
        pair.run()
    stream, ends, at = pair.sent[pair.dialler], [], 0
    for frame in frames(stream):
        at += 2 + len(frame)
        ends.append(at)
    replayed = session(2, dialled=False)  # the same randomness, so that the recording fits
    got: list[msg.Message] = []
    states = []
    for offset, byte in enumerate(stream, 1):
        before = len(got)
        got += replayed.receive(bytes((byte,)), 0)
        assert len(got) == before or offset in ends
        states.append(replayed.state)
        assert replayed.tick(0) is None
    assert got == pair.got[pair.acceptor] and states[-1] is State.OPEN
    assert [states.index(state) + 1 for state in (State.ANSWERED, State.GREETING, State.GREETED)] == ends[:3]
    assert states.index(State.OPEN) + 1 in ends


def test_F03_a_link_cut_at_every_byte_of_a_gift_leaves_all_of_it_or_nothing(home: Home) -> None:
    gift = [OAK.envelope(channel=PLAZA), OAK.envelope(channel=PLAZA, incarnation=8)]
    giver = linked(home, 1)
    giver.session.send(msg.Give(1, codec.join(gift)))
    size = len(giver.session.take_output(0))
    for offset in range(size):
        giver = linked(home, offset)
        giver.session.send(msg.Give(1, codec.join(gift)))
        home.receive(giver.home_link, giver.session.take_output(0)[:offset])
        home.handle(LinkClosed(giver.home_link, "cut"))
        assert home.raws() == [] and not home.node.keyset
    giver = linked(home, size)
    giver.give(*gift)
    assert home.raws() == gift
