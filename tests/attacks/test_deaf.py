"""N11: a peer that talks and does not listen. What waits for it is bounded, and so is the work of one read."""

from itertools import chain
from pathlib import Path

import pytest

from meshd.events import BytesReceived, CloseLink, SendBytes
from meshd.ids import Address
from meshd.limits import EXPIRY_AHEAD_HOURS_MAX, OUTBOX_SIZE_MAX, READ_SIZE_MAX, WAITING_SIZE_MAX
from meshd.proto import message as msg
from meshd.proto.session import Session
from tests.homes import PLAZA, Home, Stranger, Table
from tests.wire import HOUR, Author, Pair

OAK = Author()
POSTS = 1000
ALL_IDS = b"\x61\0\0\2\0"  # "I have nothing, up to infinity": asks for every id
REFERENCES = b"".join(
    (HOUR + EXPIRY_AHEAD_HOURS_MAX - 1).to_bytes(4, "big") + number.to_bytes(16, "big")
    for number in range(4000)
)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Table(tmp_path).home()
    for start in range(0, POSTS, 100):
        host = Address(
            f"10.0.1.{start // 100}", 40_000
        )  # another each time: what one may give unasked is bounded
        giver = Stranger(made, seed=1, address=host)
        made.table.settle()
        giver.give(*[OAK.envelope(channel=PLAZA, incarnation=n) for n in range(start, start + 100)])
        made.table.cut(giver, giver.link)
        made.table.settle()
    assert len(made.raws()) == POSTS
    return made


def reads(deaf: Stranger, message: msg.Message, size: int) -> bytes:
    """A message again and again, for as many bytes as one read takes."""
    content = bytearray()
    while len(content) < size:
        deaf.session.send(message)
        content += deaf.session.take_output(0)
        deaf.session.drained()
    return bytes(content[:size])


@pytest.mark.parametrize(
    "asking",
    [
        msg.Reconcile(0, 1, 0, 0, ALL_IDS),
        msg.Ping(2**63 - 1),
        msg.Want(bytes(16 * 4000)),
        msg.Have(0, REFERENCES),
        msg.Reconcile(0, 1, 0, 2**63 - 1, ALL_IDS),
    ],
    ids=["question", "ping", "want", "have", "question of one who has more"],
)
def test_N11_what_waits_for_a_peer_that_stopped_reading_is_bounded(home: Home, asking: msg.Message) -> None:
    deaf, honest = Stranger(home, seed=2), Stranger(home, seed=3)
    home.table.settle()
    sent = 0
    for _ in range(6):  # nothing that is sent arrives, so no outbox is ever drained
        stream = reads(deaf, asking, READ_SIZE_MAX)
        effects = list(chain(*home.node.handle(BytesReceived(deaf.home_link, stream), home.table.now())))
        sent += sum(len(e.content) for e in effects if isinstance(e, SendBytes) and e.link == deaf.home_link)
        if any(isinstance(effect, CloseLink) and effect.link == deaf.home_link for effect in effects):
            break
        writer = home.node.sessions[deaf.home_link]._writer
        assert writer is not None
        assert writer.waiting_size == sum(len(m) for lane in writer._lanes for m in lane)
        assert writer.waiting_size <= WAITING_SIZE_MAX
    assert sent <= OUTBOX_SIZE_MAX
    honest.give(OAK.envelope(channel=PLAZA, incarnation=POSTS))
    assert honest.is_open and len(home.raws()) == POSTS + 1


def test_N11_the_questions_of_one_read_cost_a_few_answers(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = 0

    def counting(session: Session, message: msg.Message) -> None:
        nonlocal answers
        answers += isinstance(message, msg.Reconcile)
        send(session, message)

    deaf = Stranger(home, seed=2)
    home.table.settle()
    send = type(deaf.session).send
    stream = reads(deaf, msg.Reconcile(0, 1, 0, 0, ALL_IDS), READ_SIZE_MAX)
    monkeypatch.setattr(type(deaf.session), "send", counting)
    effects = list(chain(*home.node.handle(BytesReceived(deaf.home_link, stream), home.table.now())))
    assert [type(effect) for effect in effects][-1] is CloseLink
    assert answers <= WAITING_SIZE_MAX // (32 * POSTS) + 2


def test_N11_who_reads_what_it_asked_for_may_ask_on() -> None:
    pair = Pair()
    pair.run()
    for _ in range(20):
        pair.acceptor.send(msg.Give(0, bytes(500_000)))
        pair.dialler.send(msg.Ping(1))
        pair.run()
    assert sum(isinstance(m, msg.Give) for m in pair.got[pair.dialler]) == 20
