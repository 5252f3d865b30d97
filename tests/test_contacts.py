"""Contacts in the log: petnames that can't be confused, who is recognised, and whose posts are not shown."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from meshd.errors import CallerError, Code
from meshd.store.contacts import Contact, checked_petname, fold
from meshd.store.log import Log
from tests.logs import ASH, KEY, OAK, SEED, SQUARE, chain, entry, ids, reopened, shown

BEECH = b"\xbe" * 32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def log(path: Path) -> Iterator[Log]:
    log = Log.create(path, KEY, SEED, "me", durable=False)
    log.join(SQUARE, "square", "public")
    yield log
    log.close()


def test_contacts_are_kept(log: Log, path: Path) -> None:
    oak = Contact(OAK, "Oak", is_added=True, is_verified=True, met=3)
    ash = Contact(ASH, is_muted=True, is_blocked=True)
    log.contacts.put(oak)
    log.contacts.put(ash)
    log.contacts.set_inbox(OAK, 20_000, b"i" * 32)
    log.contacts.set_inbox(OAK, 20_001, b"j" * 32)
    again = reopened(log, path)
    assert again.contacts.all() == [ash, oak]
    assert again.contacts.inbox(OAK) == (20_001, b"j" * 32) and again.contacts.inbox(ASH) is None
    assert (again.contacts.trust(OAK), again.contacts.get(BEECH)) == ("verified", Contact(BEECH))


def test_a_rollback_forgets_contacts(log: Log) -> None:
    log.commit()
    log.contacts.put(Contact(OAK, "oak"))
    log.rollback()
    assert log.contacts.all() == [] and log.contacts.called("oak") is None


@pytest.mark.parametrize("alike", ["oak", "OAK", "ｏａｋ", " o ak", "o\u200aak", "\u1d3cak"])
def test_petnames_that_look_alike_are_one(log: Log, alike: str) -> None:
    log.contacts.put(Contact(OAK, "Oak"))
    with pytest.raises(CallerError) as caught:
        log.contacts.put(Contact(ASH, alike))
    assert caught.value.code is Code.refused
    assert log.contacts.all() == [Contact(OAK, "Oak")]
    log.contacts.put(Contact(OAK, alike))  # who has it may write it otherwise


def test_many_may_have_no_petname(log: Log) -> None:
    log.contacts.put(Contact(OAK))
    log.contacts.put(Contact(ASH))
    assert len(log.contacts.all()) == 2 and log.contacts.called("") is None


@pytest.mark.parametrize(
    "bad", ["", "  ", "a#b", "@file", "a\nb", "a\u202eb", "a\u200bb", "a" * 65, "é" * 33, "\ue000"]
)
def test_names_that_are_refused(bad: str) -> None:
    with pytest.raises(CallerError) as caught:
        checked_petname(bad)
    assert caught.value.code is Code.usage


def test_a_petname_is_composed_and_bare() -> None:
    assert checked_petname(" Cafe\u0301 ") == "Caf\u00e9" and checked_petname("é" * 32) == "é" * 32
    assert fold("Stra\u00dfe") == fold("STRASSE")


def test_only_who_was_added_or_verified_is_looked_out_for_and_nobody_who_is_blocked(log: Log) -> None:
    log.contacts.put(Contact(OAK, "oak", is_added=True))
    log.contacts.put(Contact(ASH, "ash", is_verified=True))
    log.contacts.put(Contact(BEECH, "beech", is_muted=True))
    assert sorted(log.contacts.recognisable(64)) == [OAK, ASH]
    log.contacts.put(Contact(OAK, "oak", is_added=True, is_blocked=True))
    assert log.contacts.recognisable(64) == [ASH]


def test_who_was_met_last_comes_first(log: Log) -> None:
    people = [bytes((n,)) * 32 for n in range(70)]
    for identity in people:
        log.contacts.put(Contact(identity, is_added=True))
    for identity in (people[69], people[3], people[69], people[68], people[68]):
        log.contacts.met(identity)
    assert log.contacts.recognisable(64) == [people[68], people[69], people[3], *people[:3], *people[4:62]]


def test_posts_of_who_is_blocked_are_not_shown_and_come_back(log: Log) -> None:
    kept, flood = entry(OAK, 1, at_s=0, text="same words"), [
        entry(ASH, n, at_s=n, text="same words", incarnation=n % 3) for n in range(1, 10)
    ]  # fmt: skip
    log.insert_many([kept, *flood])
    log.insert_many([entry(ASH, 9, incarnation=7), entry(ASH, 11, incarnation=7)])  # and a gap
    log.contacts.put(Contact(ASH, is_blocked=True))
    log.index()
    assert shown(log) == ids(log.after(0, None, 100)) == ids(log.latest(None, 3)) == [kept.id]
    assert ids(log.search('text : ("same")', None, None, 2)) == [kept.id]
    assert ids(log.search('text : ("same")', SQUARE, 0, 2)) == [kept.id]
    assert log.row(flood[0].id) is None and log.find(flood[0].id.hex()[:8]) == []
    assert (log.count_posts(), log.missing(), log.channels()[0].unread) == (1, [], 1)
    log.contacts.put(Contact(ASH))
    assert (log.count_posts(), log.channels()[0].unread, len(log.missing())) == (12, 12, 1)


def test_who_is_muted_is_shown_and_makes_nothing_unread(log: Log) -> None:
    log.insert_many([*chain(OAK, 2), *chain(ASH, 3)])
    log.contacts.put(Contact(ASH, is_muted=True))
    assert log.count_posts() == len(shown(log)) == 5 and log.channels()[0].unread == 2


def test_a_contact_who_never_posted_makes_tags_grow(log: Log) -> None:
    near = OAK[:4] + b"\x0b" * 28
    log.insert_many([entry(OAK, 1)])
    log.authors.know(near)
    assert (log.authors.tag(OAK), log.authors.tag(near)) == ("0a0a0a0a0a", "0a0a0a0a0b")
    assert log.authors.beginning("0a0a") == [OAK, near]
