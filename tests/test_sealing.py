"""Sealed channels on nodes: who reads, who only carries, what is passed over, and when keys and posts are gone."""

from pathlib import Path
from typing import Any

import pytest

from meshd import crypto, daykeys, post
from meshd.envelope import CONTENT_KEY
from meshd.errors import CallerError, Code
from meshd.events import Now
from meshd.limits import ASIDE_MAX, HLC_AHEAD_MS, STEP_BUDGET
from meshd.post import HOUR_MS, Text, encode_text
from tests.groups import (
    DAY,
    EPOCH,
    EXPIRY,
    GROUP,
    HOUR_NOW,
    KEY,
    bring,
    commit,
    inside,
    join,
    members,
    parsed,
    seal,
    sealed_post,
    shown,
)  # fmt: skip
from tests.homes import PLAZA, Table, linked
from tests.wire import WALL_MS, Author

OAK, ELM = Author(1), Author(2)
DAY_MS = 24 * HOUR_MS


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


# --- who reads ---


def test_members_read_each_other_through_one_who_can_not(table: Table) -> None:
    oak, elm = members(table, 2)
    relay = table.home()
    table.link(oak, relay)
    table.link(elm, relay)
    table.settle()
    for home, text in ((oak, "bread"), (elm, "water"), (oak, "salt")):
        home.post(text, channel="kitchen")
        table.run(1000)
    assert shown(oak) == shown(elm) == ["bread", "water", "salt"]
    assert len(relay.raws()) == 3 and relay.log.count_posts() == 0
    with pytest.raises(CallerError, match="no group"):
        relay.ask("read", channel="group:kitchen")
    (row, *_) = elm.log.after(0, GROUP, 10)
    assert (row.channel_name, row.channel_kind, row.text) == ("kitchen", "group", "bread")
    document = elm.ask("read", channel="kitchen")["posts"][0]
    assert document["sealed"] is True and document["channel"] == "kitchen"


def test_who_carries_finds_no_word_key_or_name_in_what_it_has(table: Table) -> None:
    (oak,) = members(table)
    relay = table.home()
    table.link(oak, relay)
    text = "the bakery at eight"
    oak.post(text, channel="kitchen")
    table.run(1000)
    assert oak.node.author is not None
    (raw,) = relay.raws()
    for secret in (text.encode(), oak.node.author.public, GROUP, EPOCH, KEY, b"kitchen", b"home0"):
        assert secret not in raw
    assert len(parsed(raw).ciphertext) == 512 + 16


def test_a_key_that_comes_later_opens_what_is_carried_already(table: Table) -> None:
    (oak,) = members(table)
    late = table.home()
    table.link(oak, late)
    for number in range(5):
        oak.post(str(number), channel="kitchen")
        oak.post(str(number))
    table.run(1000)
    assert len(late.raws()) == 10
    join(late)
    assert shown(late) == ["0", "1", "2", "3", "4"]
    assert late.texts() == ["0", "1", "2", "3", "4"]


def test_posts_of_one_start_and_of_the_next_stand_in_one_chain(table: Table) -> None:
    (oak,) = members(table)
    oak.post("one", channel="kitchen")
    oak.post("two", channel="kitchen")
    oak.stop()
    oak.start()
    oak.post("three", channel="kitchen")
    one, two, three = oak.log.after(0, GROUP, 10)
    assert [row.sequence for row in (one, two, three)] == [1, 2, 1]
    assert (two.parents, three.parents) == (one.id, two.id)
    assert shown(oak) == ["one", "two", "three"]


def test_who_holds_a_sealed_post_of_ours_is_counted_before_and_after_a_start(table: Table) -> None:
    (oak,) = members(table)
    oak.post("bread", channel="kitchen")
    first = table.home()
    table.link(oak, first)
    table.run(2000)
    (row,) = oak.log.after(0, GROUP, 10)
    assert row.held_others == 1
    oak.stop()
    oak.start()
    table.link(oak, table.home())
    table.run(2000)
    (row,) = oak.log.after(0, GROUP, 10)
    assert row.held_others == 2
    waiting = oak.command("post", channel="kitchen", text="salt", wait="held")
    table.run(1000)
    assert oak.replies[waiting].result is not None and oak.replies[waiting].result["state"] == "held"


def test_show_verifies_a_sealed_post_again_as_long_as_its_envelope_is_here(table: Table) -> None:
    (oak,) = members(table)
    identity = oak.post("bread", channel="kitchen", keep="24h")
    assert oak.ask("show", id=identity)["signature"] == "valid"
    oak.carry.remove(list(oak.carry.keys()))
    assert oak.ask("show", id=identity)["signature"] == "was-valid"


# --- names ---


def test_a_group_and_a_public_channel_of_one_name_are_told_apart(table: Table) -> None:
    (oak,) = members(table)
    oak.post("public", channel="public:kitchen")
    oak.post("sealed", channel="group:kitchen")
    assert oak.texts("public:kitchen") == ["public"] and shown(oak) == ["sealed"]
    with pytest.raises(CallerError, match=r"group:kitchen .*public:kitchen") as ambiguous:
        oak.post("where", channel="kitchen")
    assert ambiguous.value.code is Code.usage
    join(oak, channel=b"h" * 16)
    with pytest.raises(CallerError, match="could be: group:kitchen"):
        oak.post("where", channel="group:kitchen")


def test_a_group_may_have_a_name_that_no_public_channel_can_have(table: Table) -> None:
    oak = table.home()
    join(oak, name="the kitchen")
    oak.post("bread", channel="the kitchen")
    assert oak.texts("the kitchen") == ["bread"]


# --- what is inside ---

WRONG: dict[str, dict[str, Any]] = {
    "another channel": {"channel": b"x" * 16},
    "a public channel": {"channel": PLAZA, "epoch": b""},
    "another epoch": {"epoch": b"x" * 32},
    "no epoch": {"epoch": b""},
    "a later end than its envelope": {"keep_until": EXPIRY + 1},
    "another author's key": {"author": ELM.key},
    "an author that is no point": {"author": b"\1" + bytes(31)},
    "sequence 0": {"sequence": 0},
}


@pytest.mark.parametrize("slots", WRONG.values(), ids=WRONG)
def test_what_is_wrong_inside_is_carried_blames_nobody_and_changes_nothing(
    table: Table, slots: dict[str, Any]
) -> None:
    (oak,) = members(table)
    oak.ask("channel.join", name="plaza")
    giver, watching = linked(oak, 1), linked(oak, 2)
    before = oak.node.clock.last
    raw = seal(inside(OAK, hlc=WALL_MS + 60_000 << 16, **slots))
    giver.give(raw, fresh=True)
    assert giver.is_open and watching.given() == [raw] and oak.raws() == [raw]
    assert shown(oak) == oak.texts() == [] and oak.log.missing() == []
    assert oak.node.clock.last == before and oak.log.openings.over(EXPIRY + 100, 10) == []
    good = sealed_post(OAK, nonce=b"2" * 24)
    giver.give(good)
    assert shown(oak) == ["hello"]


def test_contents_that_nobody_knows_are_carried_and_not_shown(table: Table) -> None:
    (oak,) = members(table)
    giver = linked(oak, 1)
    contents = [b"", b"\x91\x02", b"\x91\x7f", b"\x93\x00", b"junk", bytes(32_766), inside(OAK)[:-1]]
    for number, content in enumerate(contents):
        giver.give(seal(content, nonce=bytes((number,)) * 24))
    assert giver.is_open and len(oak.raws()) == len(contents) and shown(oak) == []


def test_what_is_no_post_goes_to_whoever_registered_for_it(table: Table) -> None:
    (oak,) = members(table)
    got: list[bytes] = []
    oak.node.intake.sealing.contents[CONTENT_KEY] = lambda opened, sealed, now: got.append(opened.content)
    linked(oak, 1).give(seal(b"\x92\x01\x05"))
    assert got == [b"\x92\x01\x05"]


def test_a_post_of_a_kind_goes_to_its_reader_once_and_into_its_chain(table: Table) -> None:
    (oak,) = members(table)
    sealing = oak.node.intake.sealing
    got: list[tuple[bytes, bytes, int]] = []
    sealing.readers[post.KIND_EPOCH] = lambda inside, now: got.append(
        (inside.id, inside.opened.key, inside.opened.day)
    )
    content = inside(OAK, kind=post.KIND_EPOCH, epoch=b"", keep_until=HOUR_NOW + 2000, body=b"members")
    giver = linked(oak, 1)
    giver.give(seal(content), seal(content, nonce=b"2" * 24, hour=EXPIRY + 24))
    giver.give(sealed_post(OAK, sequence=2, parents=got[0][0]))
    assert {identity for identity, _, _ in got} == {got[0][0]} and len(got) == 2
    day = daykeys.key_day(EXPIRY)
    assert [(key, on) for _, key, on in got] == [
        (daykeys.advance(KEY, day - DAY), day), (daykeys.advance(KEY, day + 1 - DAY), day + 1)
    ]  # fmt: skip
    assert shown(oak) == ["hello"] and oak.log.missing() == []
    sealing.look_again()
    table.settle()
    assert len(got) == 2, "what was opened is not opened again"


def test_who_is_not_admitted_is_looked_at_again_when_somebody_asks(table: Table) -> None:
    (oak,) = members(table)
    sealing = oak.node.intake.sealing
    known: set[bytes] = set()
    sealing.admits = lambda inside: inside.post.author in known
    giver = linked(oak, 1)
    giver.give(sealed_post(OAK))
    assert shown(oak) == []
    known.add(OAK.key)
    sealing.look_again()
    assert shown(oak) == ["hello"]


def test_a_key_found_in_what_is_opened_opens_what_was_looked_at_before(table: Table) -> None:
    """A key envelope may come after the posts that it is for."""
    oak = table.home()
    join(oak, channel=b"i" * 16, name="inbox", key=b"i" * 32)
    sealing = oak.node.intake.sealing

    def learn(opened: Any, sealed: Any, now: Now) -> None:
        sealing.join(GROUP, "kitchen", "group", EPOCH, DAY, KEY)

    sealing.contents[CONTENT_KEY] = learn
    giver = linked(oak, 1)
    giver.give(sealed_post(OAK))
    giver.give(seal(b"\x91\x01", key=b"i" * 32))
    assert shown(oak) == ["hello"]
    giver.give(sealed_post(ELM, nonce=b"2" * 24))
    assert shown(oak) == ["hello", "hello"] and not oak.node.intake.behind


def test_a_new_key_is_tried_in_slices_over_a_stop_and_holds_up_nobody_else(table: Table) -> None:
    oak, count = table.home(), 2 * STEP_BUDGET + 10
    bring(oak, *(sealed_post(OAK, incarnation=n, nonce=n.to_bytes(24, "big")) for n in range(count)))
    oak.post("public")
    table.settle()
    oak.node.intake.sealing.join(GROUP, "kitchen", "group", EPOCH, DAY, KEY)
    assert [said["text"] for said in oak.ask("read", channel="plaza")["posts"]] == ["public"]
    assert oak.node.intake.is_scanning
    oak.stop()
    oak.start()
    assert oak.node.intake.is_scanning and 0 < oak.log.count_posts() < count
    assert len(shown(oak)) == count
    assert not oak.node.intake.is_scanning


def test_one_post_in_two_envelopes_is_shown_once(table: Table) -> None:
    (oak,) = members(table)
    giver = linked(oak, 1)
    giver.give(sealed_post(OAK), sealed_post(OAK, nonce=b"2" * 24))
    giver.give(sealed_post(OAK, nonce=b"3" * 24))
    assert shown(oak) == ["hello"] and len(oak.raws()) == 3


def test_a_post_ahead_of_its_time_waits_until_it_is_there(table: Table) -> None:
    (oak,) = members(table)
    ahead_ms = 2 * DAY_MS
    bring(oak, sealed_post(OAK, hlc=WALL_MS + ahead_ms << 16))
    assert shown(oak) == []
    table.run(ahead_ms - HLC_AHEAD_MS - 1)
    assert shown(oak) == []
    table.run(1)
    assert shown(oak) == ["hello"]


def test_of_one_author_a_bounded_number_wait_for_their_time(table: Table) -> None:
    (oak,) = members(table)
    giver = linked(oak, 1)
    for number in range(ASIDE_MAX + 5):
        giver.give(
            sealed_post(
                OAK, incarnation=number, nonce=bytes((number,)) * 24, hlc=WALL_MS + HOUR_MS + number << 16
            )
        )
    table.run(2 * HOUR_MS)
    assert len(shown(oak)) == ASIDE_MAX


def test_what_is_of_a_group_of_ours_goes_after_what_nobody_here_can_read(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    (oak,) = members(table)
    ours = [sealed_post(OAK, incarnation=n, nonce=bytes((n,)) * 24) for n in range(1, 20)]
    foreign = [seal(b"", key=bytes(32), nonce=bytes((n,)) * 24) for n in range(1, 40)]
    bring(oak, *foreign)
    oak.post("mine", channel="kitchen", keep="7d")  # it counts to the ingress of the others
    bring(oak, *ours)
    oak.stop()
    oak.start()
    monkeypatch.setattr("meshd.eviction.CARRY_SIZE_MAX", 25 * len(ours[0]))
    bring(oak, seal(b"", key=bytes(32), nonce=b"n" * 24))
    left = [raw for raw in oak.raws() if raw]
    assert set(ours) < set(left) and len(set(left) & set(foreign)) == 4
    monkeypatch.setattr("meshd.eviction.CARRY_SIZE_MAX", 5 * len(ours[0]))
    bring(oak, seal(b"", key=bytes(32), nonce=b"o" * 24))
    left = [raw for raw in oak.raws() if raw]
    mine = oak.node.intake.sealing.open_again(parsed(left[0]))
    assert 0 < len(set(left) & set(ours)) < 5 and mine is not None
    assert mine.post.author.hex() == oak.ask("id.show")["id"]
    assert len(shown(oak)) == 20


# --- writing ---


def test_a_channel_without_a_key_can_not_be_posted_to(table: Table) -> None:
    (oak,) = members(table)
    oak.node.intake.sealing.remove_key(GROUP, EPOCH)
    commit(oak)
    with pytest.raises(CallerError, match="no key") as refused:
        oak.post("bread", channel="kitchen")
    assert refused.value.code is Code.refused
    join(oak)
    oak.post("bread", channel="kitchen")
    (row,) = oak.log.after(0, GROUP, 10)
    assert row.sequence == 1


def test_nonces_are_drawn_anew_and_a_dead_source_seals_nothing(table: Table) -> None:
    (oak,) = members(table)
    for _ in range(20):
        oak.post("the same words", channel="kitchen")
    nonces = {parsed(raw).nonce for raw in oak.raws()}
    assert len(nonces) == 20
    assert oak.node.author is not None
    oak.node.author._entropy = bytes
    with pytest.raises(RuntimeError, match="random source"):
        oak.node.author.seal(b"", KEY, EXPIRY)


def test_a_bundle_takes_what_nobody_here_can_read_along_unless_a_channel_is_asked_for(table: Table) -> None:
    (oak,) = members(table)
    oak.post("bread", channel="kitchen")
    oak.post("public")
    bring(oak, seal(b"", key=bytes(32)))
    bread, public, foreign = oak.raws()

    def given(**asked: Any) -> list[bytes]:
        envelopes: list[bytes] = oak.ask("bundle.give", after=bytes(40), **asked)["envelopes"]
        return envelopes

    assert set(given()) == {bread, public, foreign} == set(given(since="1h"))
    assert given(channel="plaza") == [public] and given(channel="kitchen") == [bread]
    table.run(2 * HOUR_MS)
    assert given(since="1h") == [foreign]


def test_signatures_inside_are_checked_together(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    (oak,) = members(table)
    batches: list[int] = []

    def noting(checks: Any) -> list[bool]:
        batches.append(len(checks))
        return crypto.verify_many(checks)

    monkeypatch.setattr(oak.node.intake, "_verify_many", noting)
    raws = [sealed_post(OAK, incarnation=number, nonce=bytes((number,)) * 24) for number in range(20)]
    linked(oak, 1).give(*raws)
    assert batches == [20]
    text = encode_text(Text("", b"", "known"))
    oak.node.intake.take([sealed_post(OAK, body=text)], "x", table.now())
    assert batches == [20, 1]
