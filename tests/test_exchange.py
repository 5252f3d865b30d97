"""The exchange over open links: who asks, what is given to whom, receipts, and that a slow link costs ids alone."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshd import codec
from meshd.events import BytesReceived
from meshd.ids import key_reference
from meshd.limits import (
    ANNOUNCE_MS,
    ANNOUNCED_MAX,
    ANSWER_MS,
    GIVE_SIZE_MAX,
    GRAFT_MS,
    OUTBOX_FILL_SIZE,
    OUTBOX_SIZE_MAX,
    RECONCILE_IDLE_MS,
    RECONCILE_JITTER_MS,
    STEP_BUDGET,
)
from meshd.post import Text, encode_text
from meshd.proto import message as msg
from meshd.proto.keyset import KeySet
from meshd.proto.reconcile import Initiator, respond
from tests.homes import PLAZA, Home, Stranger, Table, key
from tests.wire import HOUR, WALL_MS, Author, hello


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def said(number: int, size: int = 0) -> bytes:
    """The n-th envelope of somebody, with a text of this size at least."""
    body = encode_text(Text("", b"", str(number).ljust(size, ".")))
    return Author(3).envelope(channel=PLAZA, incarnation=number, body=body, hlc=WALL_MS + number << 16)


def stranger(home: Home, seed: int = 7, **greets: object) -> Stranger:
    """One that has linked; the home's first round with it is over, since it says to have more."""
    made = Stranger(
        home, seed=seed, greeting=[hello(key_count=2**30, **greets), msg.Tags(bytes(msg.TAGS_SIZE))]
    )
    home.table.settle()
    made.got.clear()
    return made


# --- fresh, announced, wanted ---


def test_what_came_fresh_goes_on_at_once_to_all_but_where_it_came_from(table: Table) -> None:
    oak = table.home()
    giver, other, third = (stranger(oak, seed) for seed in (1, 2, 3))
    giver.give(said(1), fresh=True)
    table.run(ANNOUNCE_MS)
    assert giver.got == [msg.Have(0, key_reference(key(said(1))))]  # the receipt
    for each in (other, third):
        assert each.got == [msg.Give(1, codec.join([said(1)]))]


def test_what_was_asked_for_is_announced_and_not_pushed(table: Table) -> None:
    oak = table.home()
    giver, other = stranger(oak, 1), stranger(oak, 2)
    giver.give(said(1), said(2))
    assert other.got == []
    table.run(ANNOUNCE_MS)
    references = b"".join(key_reference(key(said(number))) for number in (1, 2))
    assert giver.got == [msg.Have(0, references)]
    assert other.got == [msg.Have(0, references)]


def test_a_duplicate_goes_nowhere(table: Table) -> None:
    oak = table.home()
    giver, other = stranger(oak, 1), stranger(oak, 2)
    giver.give(said(1), fresh=True)
    other.got.clear()
    other.give(said(1), fresh=True)
    assert giver.heard(msg.Give) == [] and other.got == []


def test_an_announced_envelope_is_wanted_unless_it_is_here(table: Table) -> None:
    oak = table.home()
    giver = stranger(oak)
    giver.give(said(1), fresh=True)
    giver.got.clear()
    giver.say(msg.Have(0, key_reference(key(said(1))) + key_reference(key(said(2)))))
    table.run(GRAFT_MS - 1)
    assert giver.heard(msg.Want) == []
    table.run(1)
    assert giver.heard(msg.Want) == [msg.Want(key(said(2))[8:24])]


def test_what_one_link_may_not_be_asked_for_is_asked_of_another_or_forgotten(table: Table) -> None:
    oak = table.home()
    full, other = (stranger(oak, seed) for seed in (1, 2))
    exchange = oak.node.exchange
    many = [number.to_bytes(16, "big") for number in range(ANNOUNCED_MAX)]
    exchange._wanted.ask(many, full.home_link, ANNOUNCED_MAX, table.now().mono_ms + 60_000)
    other.say(msg.Have(0, key_reference(key(said(1)))))
    full.say(msg.Have(msg.LATE, key_reference(key(said(1))) + key_reference(key(said(2)))))
    assert full.heard(msg.Want) == [] and other.heard(msg.Want) == [msg.Want(key(said(1))[8:24])]
    other.give(said(1))
    table.settle()
    assert exchange._announced._who == {}


def test_what_is_wanted_is_given_in_the_order_of_its_arrival_and_the_rest_is_gone(table: Table) -> None:
    oak = table.home()
    asker = stranger(oak)
    asker.give(*(said(number) for number in range(5)))
    asker.got.clear()
    unknown = b"\x99" * 16
    asker.say(msg.Want(key(said(3))[8:24] + unknown + key(said(0))[8:24]))
    assert asker.heard(msg.Gone) == [msg.Gone(unknown)]
    assert asker.given() == [said(0), said(3)]


def test_what_is_asked_for_and_does_not_come_is_asked_for_elsewhere(table: Table) -> None:
    oak = table.home()
    silent, honest = stranger(oak, 1), stranger(oak, 2)
    silent.say(msg.Have(0, key_reference(key(said(1)))))
    honest.say(msg.Have(0, key_reference(key(said(1)))))
    table.run(GRAFT_MS)
    assert silent.heard(msg.Want) and not honest.heard(msg.Want)
    table.run(ANSWER_MS - 1)
    assert not honest.heard(msg.Want)
    table.run(1)
    assert honest.heard(msg.Want) == [msg.Want(key(said(1))[8:24])]


def test_what_a_peer_says_it_lacks_comes_when_it_is_gone_elsewhere(table: Table) -> None:
    oak = table.home()
    first, second = stranger(oak, 1), stranger(oak, 2)
    first.say(msg.Have(0, key_reference(key(said(1)))))
    second.say(msg.Have(0, key_reference(key(said(1)))))
    table.run(GRAFT_MS)
    first.say(msg.Gone(key(said(1))[8:24]))
    assert second.heard(msg.Want) == [msg.Want(key(said(1))[8:24])]


# --- receipts ---


def test_each_link_counts_once_among_those_who_hold_a_post(table: Table) -> None:
    oak = table.home()
    holders = [stranger(oak, seed) for seed in (1, 2)]
    identity = oak.post("mine")
    raw = oak.raws()[0]
    for holder in holders:
        holder.say(msg.Have(0, key_reference(key(raw))))
        holder.say(msg.Have(0, key_reference(key(raw))))
        holder.give(raw)
    (post,) = oak.ask("read", channel="plaza")["posts"]
    assert (post["id"], post["held_by"]) == (identity, {"contacts": 0, "others": 2})


def test_a_post_that_waits_to_be_held_is_answered_by_the_first_receipt(table: Table) -> None:
    oak, elm = table.home(), table.home()
    table.link(oak, elm)
    table.settle()
    number = oak.command("post", channel="plaza", text="hello", wait="held", timeout=5)
    assert number not in oak.replies
    table.run(ANNOUNCE_MS)
    result = oak.replies[number].result
    assert result is not None and result["state"] == "held"


def test_a_receipt_that_comes_before_the_log_has_the_post_counts_when_it_has(table: Table) -> None:
    oak = table.home()
    giver = stranger(oak)
    oak.node.intake.take([said(number) for number in range(4 * STEP_BUDGET)], "elsewhere", table.now())
    oak.command("channel.join", name="plaza")
    identity = oak.post("hello")
    giver.session.send(msg.Have(0, key_reference(key(oak.raws()[-1]))))
    oak.receive(giver.home_link, giver.session.take_output(0))
    assert oak.node.intake.behind
    table.settle()
    (post,) = oak.ask("read", channel="plaza", limit=1)["posts"]
    assert (post["id"], post["held_by"]) == (identity, {"contacts": 0, "others": 1})


def test_a_post_whose_receipt_went_with_its_link_is_found_held_by_a_round(table: Table) -> None:
    oak, elm = table.home(), table.home()
    link, _ = table.link(elm, oak)
    table.run(1000)
    number = elm.command("post", channel="plaza", text="hello", wait="held", timeout=600)
    table.settle()
    table.cut(elm, link)
    table.settle()
    assert "hello" in oak.texts() and number not in elm.replies
    for _ in range(2):
        link, _ = table.link(elm, oak)
        table.run(2 * RECONCILE_IDLE_MS)
        assert number in elm.replies
        assert elm.ask("read", limit=1)["posts"][-1]["held_by"] == {"contacts": 0, "others": 1}
        table.cut(elm, link)


@pytest.mark.parametrize("holds", (True, False))
def test_what_a_round_finds_the_peer_to_lack_is_not_held_by_it(table: Table, holds: bool) -> None:
    oak = table.home()
    number = oak.command("post", channel="plaza", text="hello", wait="held", timeout=600)
    table.settle()
    theirs = KeySet([key(raw) for raw in oak.raws()] if holds else [])
    other = Stranger(oak, greeting=[hello(), msg.Tags(bytes(msg.TAGS_SIZE))])
    table.run(RECONCILE_JITTER_MS)
    asked = [each for each in other.heard(msg.Reconcile) if not each.answer]
    while asked:
        question = asked.pop()
        other.got.clear()
        answer = respond(theirs, question.floor_hour, question.payload, 2**20)
        other.say(msg.Reconcile(1, question.round, question.floor_hour, len(theirs), answer))
        asked = [each for each in other.heard(msg.Reconcile) if not each.answer]
    assert (number in oak.replies) == holds


def test_what_is_given_twice_is_acknowledged_all_the_same(table: Table) -> None:
    oak = table.home()
    giver = stranger(oak)
    giver.give(said(1), fresh=True)
    giver.give(said(1))
    giver.say(msg.Have(0, key_reference(key(said(1)))))
    table.run(ANNOUNCE_MS)
    assert giver.got == [msg.Have(0, key_reference(key(said(1))))]


# --- rounds ---


def test_equal_sets_are_not_compared(table: Table) -> None:
    oak, elm = table.home(), table.home()
    table.link(oak, elm)
    table.run(1_000)
    sent = table.moved
    for home in (oak, elm):
        assert not any(home.node.exchange.rounds.asking(link) for link in home.open_links())
    table.run(500)
    assert table.moved == sent


def test_who_has_more_asks_and_no_ids_are_sent_for_what_the_other_lacks(table: Table) -> None:
    oak, elm = table.home(), table.home()
    for number in range(200):
        oak.post(str(number))
    before = table.moved
    table.link(oak, elm)
    table.run(2_000)
    assert len(elm.texts()) == 200
    overhead = table.moved - before - sum(len(raw) + 2 for raw in oak.raws())
    assert overhead < 200 * 20 + 12_000  # receipts, handshake and padding; not 32 bytes an id on top


def test_each_side_gets_what_it_lacks_once(table: Table) -> None:
    oak, elm = table.home(), table.home()
    for number in range(50):
        oak.post(f"oak {number}")
        elm.post(f"elm {number}")
    table.link(oak, elm)
    table.run(3_000)
    for home in (oak, elm):
        assert len(home.texts()) == 100
        assert (home.node.exchange.sent, home.node.exchange.received) == (50, 50)


def test_what_a_round_of_several_steps_finds_is_given_in_the_order_of_its_arrival(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meshd.exchange.RECONCILE_FRAME_SIZE", 4096)  # about a hundred ids a step
    oak, elm = table.home(), table.home()
    link, _ = table.link(oak, elm)
    table.settle()
    for number in range(250):
        oak.post(str(number))
    table.settle()
    table.cut(oak, link)
    table.settle()
    for number in range(250):
        oak.post(str(number))
    assert len(elm.raws()) == 250
    table.link(oak, elm)
    table.run(2_000)
    assert elm.raws() == oak.raws()


def test_a_crowd_brings_a_newcomer_what_it_missed_once(table: Table) -> None:
    crowd = [table.home() for _ in range(5)]
    for home in crowd[1:]:
        table.link(crowd[0], home)
    table.settle()
    for number in range(60):
        crowd[number % 5].post(str(number))
    table.run(5_000)
    sent = sum(home.node.exchange.sent for home in crowd)
    newcomer = table.home()
    for home in crowd:
        table.link(newcomer, home)
    table.run(5_000)
    assert len(newcomer.texts()) == 60
    assert sum(home.node.exchange.sent for home in crowd) - sent == 60


@settings(max_examples=60)
@given(st.sets(st.integers(0, 400)), st.sets(st.integers(0, 400)))
def test_reconcile_ends_with_the_union(ours: set[int], theirs: set[int]) -> None:
    """Without links: what the initiator finds, had and needed, makes both sets the union."""
    keys = {number: HOUR.to_bytes(8, "big") + number.to_bytes(2, "big") * 16 for number in range(401)}
    mine, yours = KeySet(keys[n] for n in ours), KeySet(keys[n] for n in theirs)
    initiator = Initiator(mine, 0, 2**20)
    question: bytes | None = initiator.probe()
    have: set[bytes] = set()
    need: set[bytes] = set()
    for _ in range(10):
        if question is None:
            break
        found = initiator.receive(respond(yours, 0, question, 2**20))
        have |= set(found.have)
        need |= set(found.need)
        question = found.reply
    assert question is None
    assert have == {keys[n] for n in ours - theirs}
    assert need == {keys[n][8:] for n in theirs - ours}


# --- slow links ---


def test_a_link_that_does_not_drain_costs_ids_and_no_bodies(table: Table) -> None:
    oak = table.home()
    slow = stranger(oak)
    slow.give(*(said(number, 4_000) for number in range(10)))
    for start in range(10, 600, 10):
        slow.give(*(said(number, 4_000) for number in range(start, start + 10)))
    session = oak.node.sessions[slow.home_link]
    session.drained()
    slow.got.clear()
    oak.drained = lambda link: None  # type: ignore[method-assign]
    wanted = b"".join(key(raw)[8:24] for raw in oak.raws())
    slow.say(msg.Want(wanted))
    table.run(1_000)
    given = sum(len(raw) for raw in slow.given())
    assert OUTBOX_FILL_SIZE - GIVE_SIZE_MAX < given <= OUTBOX_FILL_SIZE + 2 * GIVE_SIZE_MAX
    assert given < OUTBOX_SIZE_MAX < 600 * 4_000
    del oak.drained  # type: ignore[misc]
    oak.drained(slow.home_link)
    table.settle()
    assert slow.given() == oak.raws()


def test_a_give_is_a_small_message(table: Table) -> None:
    oak = table.home()
    asker = stranger(oak)
    for start in range(0, 40, 10):
        asker.give(*(said(number, 4_000) for number in range(start, start + 10)))
    asker.got.clear()
    asker.say(msg.Want(b"".join(key(raw)[8:24] for raw in oak.raws())))
    gives = asker.heard(msg.Give)
    assert len(gives) == 3 and all(len(give.envelopes) <= GIVE_SIZE_MAX for give in gives)
    assert asker.given() == oak.raws()


def test_a_peers_fault_closes_its_link_and_no_other(table: Table) -> None:
    oak = table.home()
    bad, good = stranger(oak, 1), stranger(oak, 2)
    oak.handle(BytesReceived(bad.home_link, b"\xff\xff"))
    table.settle()
    assert bad.down is not None and good.is_open and good.down is None
