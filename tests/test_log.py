"""The log: posts once and in order, names and tags, holes, forks and heads, whatever the order of arrival."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from meshd.errors import CallerError, Code
from meshd.store import authors, chains
from meshd.store.db import Database
from meshd.store.log import MIGRATIONS, Channel, Log, Row
from tests.logs import (
    ASH,
    BRIDGE,
    HOUR,
    KEY,
    OAK,
    OWN,
    SEED,
    SQUARE,
    START_MS,
    chain,
    entry,
    ids,
    reopened,
    shown,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def log(path: Path) -> Iterator[Log]:
    made = Log.create(path, KEY, SEED, "me", durable=False)
    made.join(SQUARE, "square", "public")
    made.join(BRIDGE, "bridge", "public")
    made.commit()
    yield made
    made.close()


# --- what the node remembers ---


def test_identity_and_place(log: Log, path: Path) -> None:
    assert (log.seed, log.name, log.opened(), log.last_hlc(), log.last_cursor()) == (SEED, "me", 0, 0, 0)
    log.set_opened(7)
    log.set_last_hlc(START_MS + 2000 << 16)
    log.insert_many([entry(OAK, 2, b"1" * 32), entry(OAK, 1)])
    again = reopened(log, path)
    assert (again.seed, again.name, again.opened(), again.last_cursor()) == (SEED, "me", 7, 2)
    assert again.last_hlc() == START_MS + 2000 << 16
    again.close()


def test_left_in_the_middle_of_being_made(path: Path) -> None:
    Database.create(path, KEY, MIGRATIONS, durable=False).close()
    with pytest.raises(CallerError) as caught:
        Log(path, KEY, durable=False)
    assert caught.value.code is Code.invalid


def test_rollback_forgets_everything(log: Log) -> None:
    first, second, third = chain(OAK, 3)
    log.insert_many([first])
    log.commit()
    log.insert_many([third, entry(ASH, 1, b"absent".ljust(32), name="ash")])
    log.set_opened(9)
    log.rollback()
    assert (log.opened(), log.last_cursor(), log.missing(), log.authors.name(ASH)) == (0, 1, [], "")
    assert log.insert_many([second])[0] == 2
    assert log.heads(SQUARE, 8) == [second.id]


# --- posts once, in order ---


def test_row_holds_what_came(log: Log) -> None:
    text = "tab\there, \x00 and \u202e and 🌳"
    first = entry(OAK, 1, name="oak\n", text=text, at_s=1.5)
    answer = entry(OWN, 1, first, reply_to=first.id, at_s=2)
    log.insert_many([first, answer])
    log.count_held([answer.id])
    log.count_held([answer.id], contacts=2, others=0)
    assert log.after(0, None, 10) == [
        Row(
            1, first.id, SQUARE, "square", "public", OAK, "oak\n", 1, 1, b"", START_MS + 1500 << 16, 1,
            HOUR + 72, text, b"", False, "link", START_MS, 0, 0, False,
        ),
        Row(
            2, answer.id, SQUARE, "square", "public", OWN, "me", 1, 1, first.id, START_MS + 2000 << 16, 1,
            HOUR + 72, "hello", first.id, True, "link", START_MS, 2, 1, False,
        ),
    ]  # fmt: skip
    assert log.row(answer.id) == log.after(1, None, 1)[0]
    assert log.row(b"x" * 32) is None


def test_a_post_comes_once(log: Log, path: Path) -> None:
    first, second = chain(OAK, 2)
    assert log.insert_many([first, first]) == [1, None]
    assert log.insert_many([second, first]) == [2, None]
    again = reopened(log, path)
    assert again.insert_many([second]) == [None]
    assert again.insert_many([]) == []
    assert again.count_posts() == 2
    again.close()


def test_channel_that_was_never_joined(log: Log) -> None:
    other = b"other".ljust(16)
    assert (log.after(0, other, 9), log.latest(other, 9), log.missing(other)) == ([], [], [])
    assert (log.heads(other, 9), log.last_own(other), log.joined(other)) == ([], None, False)
    with pytest.raises(KeyError):
        log.insert_many([entry(OAK, 1, channel=other)])


def test_after_goes_on_from_a_cursor(log: Log) -> None:
    square, bridge = chain(OAK, 5), [entry(OAK, n, channel=BRIDGE, at_s=n) for n in (1, 2)]
    log.insert_many([*square[:3], *bridge, *square[3:]])
    assert ids(log.after(0, None, 4)) == [each.id for each in [*square[:3], bridge[0]]]
    assert [row.cursor for row in log.after(4, None, 9)] == [5, 6, 7]
    assert [row.cursor for row in log.after(2, SQUARE, 2)] == [3, 6]
    assert [row.cursor for row in log.after(0, BRIDGE, 9)] == [4, 5]
    assert log.after(7, None, 9) == []


def test_latest_is_by_time_whatever_came_first(log: Log) -> None:
    posts = chain(OAK, 4)
    log.insert_many([posts[2], posts[0], posts[3], posts[1]])
    assert shown(log) == [each.id for each in posts]
    assert ids(log.latest(None, 2)) == [each.id for each in posts[2:]]
    assert ids(log.latest(None, 9, since_ms=START_MS + 3000)) == [each.id for each in posts[2:]]
    assert log.latest(SQUARE, 0) == []


def test_latest_of_all_channels_is_one_order(log: Log) -> None:
    posts = [entry(OAK, n, b"p" * 32, channel=(SQUARE, BRIDGE)[n % 2], at_s=n) for n in range(1, 7)]
    log.insert_many(posts)
    assert ids(log.latest(None, 4)) == [each.id for each in posts[2:]]


def test_parent_before_a_child_that_claims_to_be_older(log: Log) -> None:
    parent = entry(OAK, 1, at_s=50)
    child = entry(ASH, 1, parent, at_s=10)
    grandchild = entry(ASH, 2, child, parent, at_s=20)
    bystander = entry(OWN, 1, at_s=30)
    log.insert_many([child, grandchild, bystander, parent])
    assert shown(log) == [each.id for each in (bystander, parent, child, grandchild)]


def test_same_time_is_ordered_by_id(log: Log) -> None:
    posts = [entry(bytes((n,)) * 32, 1, at_s=1) for n in range(1, 9)]
    log.insert_many(posts)
    assert shown(log) == sorted(each.id for each in posts)


def test_no_text_is_chained_but_not_shown(log: Log) -> None:
    first = entry(OAK, 1)
    silent = entry(OAK, 2, first, text=None)
    third = entry(OAK, 3, silent)
    assert log.insert_many([first, silent, third]) == [1, 2, 3]
    assert shown(log) == ids(log.after(0, None, 9)) == [first.id, third.id]
    assert (log.count_posts(), log.missing()) == (2, [])
    row = log.row(silent.id)
    assert row is not None and row.text is None


def test_find_by_prefix(log: Log) -> None:
    posts = [entry(bytes((n,)) * 32, 1, at_s=n) for n in range(1, 40)]
    log.insert_many(posts)
    for size in 1, 6, 15, 16, 17, 63, 64:
        prefix = posts[7].id.hex()[:size]
        expected = sorted(each.id for each in posts if each.id.hex().startswith(prefix))
        assert ids(log.find(prefix, limit=40)) == expected
    assert log.find("f" * 64) == []
    assert len(log.find(posts[7].id.hex()[:1], limit=1)) == 1


# --- channels ---


def test_leaving_hides_and_joining_shows_again(log: Log, path: Path) -> None:
    square, bridge = entry(OAK, 1), entry(OAK, 1, channel=BRIDGE)
    log.insert_many([square, bridge, entry(OAK, 3, b"2" * 32)])
    log.leave(SQUARE)
    again = reopened(log, path)
    assert not again.joined(SQUARE) and again.joined(BRIDGE)
    assert shown(again, None) == ids(again.after(0, None, 9)) == [bridge.id]
    assert (again.count_posts(), again.missing()) == (1, [])
    assert [channel.name for channel in again.channels()] == ["bridge"]
    assert len(shown(again)) == 2  # asked for by name
    again.join(SQUARE, "square", "public")
    assert (again.count_posts(), again.missing()) == (3, [(OAK, SQUARE, 1)])
    assert again.channel_name(SQUARE) == "square" and again.channel_name(b"x" * 16) == ""
    again.close()


def test_unread_counts_what_others_said_after_the_mark(log: Log) -> None:
    theirs = chain(OAK, 3)
    log.insert_many([*theirs, entry(OWN, 1), entry(OAK, 4, theirs[2], text=None)])

    def unread() -> list[Channel]:
        return [channel for channel in log.channels() if channel.id == SQUARE]

    assert unread() == [Channel(SQUARE, "square", "public", 3)]
    log.set_read(SQUARE, 2)
    assert unread()[0].unread == 1
    log.set_read(SQUARE, 1)
    assert unread()[0].unread == 1
    log.set_read(SQUARE, 5)
    assert unread()[0].unread == 0


# --- names ---


def test_name_is_that_of_the_newest_post_that_has_one(log: Log, path: Path) -> None:
    log.insert_many([entry(OAK, 5, b"4" * 32, name="new"), entry(OAK, 1, name="old")])
    log.insert_many([entry(OAK, 6, b"5" * 32)])
    assert log.authors.name(OAK) == "new"
    assert {row.author_name for row in log.latest(SQUARE, 9)} == {"new"}
    again = reopened(log, path)
    again.insert_many([entry(OAK, 2, b"1" * 32, name="older")])
    assert again.authors.name(OAK) == "new"
    again.close()


def test_own_name_does_not_follow_posts(log: Log) -> None:
    log.insert_many([entry(OWN, 1, name="somebody else")])
    assert log.authors.name(OWN) == "me"
    assert log.authors.name(ASH) == ""


def test_tag_grows_until_it_is_the_only_one(log: Log) -> None:
    near = OAK[:3] + b"\x0b" * 29
    log.insert_many([entry(OAK, 1)])
    assert log.authors.tag(OAK) == OAK.hex()[:4]
    log.insert_many([entry(near, 1)])
    # 0a0a0a0a and 0a0a0a0b: the eighth digit tells them apart.
    assert (log.authors.tag(OAK), log.authors.tag(near)) == ("0a0a0a0a", "0a0a0a0b")
    assert log.authors.tag(ASH) == "a5a5"  # not known here


def test_many_authors_and_chains_do_not_stay_in_memory(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chains, "CHAINS_MAX", 3)
    monkeypatch.setattr(authors, "AUTHORS_MAX", 3)
    people = [bytes((n,)) * 32 for n in range(1, 11)]
    for sequence in 1, 2, 4:
        log.insert_many(
            [entry(who, sequence, *[b"p" * 32] * (sequence > 1), name=f"{who[0]}") for who in people]
        )
        log.commit()
    assert [log.authors.name(who) for who in people] == [f"{n}" for n in range(1, 11)]
    assert log.missing() == [(who, SQUARE, 1) for who in people]
