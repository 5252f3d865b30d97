"""What goes when room is short, and what stays: ingresses, own posts, a locked node, the set's own bound, restarts."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from meshd.ids import envelope_key
from meshd.post import HOUR_MS
from meshd.proto import message as msg
from meshd.store import shares
from meshd.store.carry import _MIGRATIONS, Carry
from meshd.store.contacts import Contact
from meshd.store.db import Database
from tests.homes import HERE, Home, Stranger, Table
from tests.homes import key as key_of
from tests.shelf import KEY, SEALED, SIZE, Shelf
from tests.wire import HOUR, Author


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    made = Shelf(tmp_path / "carry", monkeypatch)
    yield made
    made.carry.close()


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


# --- whose go ---


def test_the_ingress_that_fills_most_pays(shelf: Shelf) -> None:
    shelf.room(10)
    few, many = shelf.put("10.0.0.1:5000", *[7] * 3), shelf.put("10.0.0.2:5000", *[7] * 7)
    fresh = shelf.put("10.0.0.3:5000", 7, 7)
    assert shelf.bodies(few + fresh) == [True] * 5
    assert shelf.bodies(many) == [True] * 5 + [False] * 2, "the newest arrivals first"


def test_by_bytes_and_not_by_number(shelf: Shelf) -> None:
    shelf.room(10)
    small = shelf.put("10.0.0.1:5000", *[7] * 30, size=10)
    large = shelf.put("10.0.0.2:5000", 7, size=700)
    shelf.put("10.0.0.3:5000", 7)
    assert all(shelf.bodies(small)) and shelf.bodies(large) == [False]


def test_sealed_ones_first_then_the_longest_life(shelf: Shelf) -> None:
    shelf.room(6)
    public = shelf.put("10.0.0.1:5000", 7, 30, 9)
    sealed = shelf.put("10.0.0.1:5000", 5, 8, kind=SEALED)
    shelf.put("10.0.0.2:5000", 7)
    shelf.put("10.0.0.2:5000", 7)
    assert shelf.bodies(sealed + public) == [True, False, True, True, True]
    shelf.put("10.0.0.3:5000", 7)
    assert shelf.bodies(sealed + public) == [False, False, True, True, True]
    shelf.put("10.0.0.3:5000", 7)
    assert shelf.bodies(public) == [True, False, True]


def test_what_has_just_come_stays_for_its_event(shelf: Shelf) -> None:
    shelf.room(3)
    shelf.put("10.0.0.1:5000", 7, 7, 7)
    assert all(shelf.bodies(shelf.put("10.0.0.1:5000", 9)))
    assert all(shelf.bodies(shelf.put("10.0.0.1:5000", 8)))


# --- what is left of them ---


def test_an_id_stays_without_its_body_until_it_expires(shelf: Shelf) -> None:
    shelf.room(2)
    keys = shelf.put("10.0.0.1:5000", 7, 8, 9, 10)
    total = shelf.carry.shares.total
    for _ in range(2):
        assert list(shelf.carry.keys()) == keys and len(shelf.keyset) == 4
        assert shelf.bodies(keys) == [True, False, False, True]
        assert [sequence for sequence, _ in shelf.carry.read([1, 2, 3, 4])] == [1, 4]
        assert [bool(raw) for _, raw in shelf.carry.after(0, 9)] == [True, False, False, True]
        assert shelf.carry.shares.total == total
        shelf.reopen()
    shelf.carry.remove(keys)
    shelf.carry.commit()
    shelf.reopen()
    assert shelf.carry.shares.total == shares.Share() and not list(shelf.carry.keys())
    assert shelf.carry._database.read("SELECT * FROM share") == [], "nor is there a trace of who came"


def test_what_was_not_committed_does_not_count(shelf: Shelf) -> None:
    shelf.put("10.0.0.1:5000", 7)
    shelf.carry.insert([(envelope_key(7, b"x" * 32), bytes(50))], shelf.via("10.0.0.2:5000"))
    shelf.carry.evict(1, [(1, SIZE)])
    shelf.carry.rollback()
    assert shelf.carry.shares.total == shares.Share(1, 1, SIZE)
    assert shelf.via("10.0.0.3:5000") > 1


def test_a_carry_of_before_counts_as_one_ingress(tmp_path: Path) -> None:
    old = Database.create(tmp_path / "old", KEY, _MIGRATIONS[:2], durable=False)
    old.write("INSERT INTO network VALUES (1, ?, 'open', 0)", (bytes(32),))
    for number in range(3):
        old.write(
            "INSERT INTO envelope (id, hour, raw) VALUES (?, 7, ?)", (bytes((number,)) * 32, bytes(SIZE))
        )
    old.commit()
    old.close()
    carry = Carry(tmp_path / "old", KEY, durable=False)
    assert carry.shares.total == shares.Share(3, 3, 3 * SIZE)
    assert carry.shares.ingress("own") == 0 and carry.shares.ingress("10.0.0.1:5000") == 1
    assert carry.evictable(0, 9) == [3, 2, 1]
    carry.close()


def count_looks(shelf: Shelf, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """Fail, and do not hang, when what may go is looked for more often than that."""
    looks = count(1)
    honest = shelf.carry.evictable

    def evictable(ingress: int, limit: int) -> list[int]:
        assert next(looks) <= most, "again and again"
        return honest(ingress, limit)

    monkeypatch.setattr(shelf.carry, "evictable", evictable)


def test_who_fills_most_and_has_nothing_that_may_go_is_passed_over(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, others = shelf.put("10.0.0.1:5000", *[7] * 6), shelf.put("10.0.0.2:5000", 7, 7)
    shelf.eviction.keep(range(1, 7))
    count_looks(shelf, monkeypatch, 12)
    shelf.room(8)
    fresh = shelf.put("10.0.0.3:5000", 7)
    assert shelf.bodies(ours + others + fresh) == [True] * 7 + [False, True]
    shelf.room(2)
    last = shelf.put("10.0.0.3:5000", 7)
    assert shelf.bodies(ours + others + fresh + last) == [True] * 6 + [False] * 3 + [True], "nothing is left"


def test_whose_ids_are_most_and_may_not_go_is_passed_over(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, others = shelf.put("10.0.0.1:5000", *[7] * 6), shelf.put("10.0.0.2:5000", 7, 7)
    shelf.eviction.keep(range(1, 7))
    count_looks(shelf, monkeypatch, 24)
    shelf.room(100, ids=8)
    fresh = shelf.put("10.0.0.3:5000", 7)
    assert [key in shelf.keyset for key in ours + others + fresh] == [True] * 7 + [False, True]
    shelf.room(100, ids=2)
    last = shelf.put("10.0.0.3:5000", 7)
    assert [key in shelf.keyset for key in ours + last] == [True] * 7 and len(shelf.keyset) == 7


# --- the set itself ---


def test_a_full_set_lets_ids_of_the_fullest_go_those_without_a_body_first(shelf: Shelf) -> None:
    shelf.room(4, ids=8)
    many = shelf.put("10.0.0.1:5000", *[7] * 7)
    assert shelf.bodies(many) == [True] * 3 + [False] * 3 + [True]
    few = shelf.put("10.0.0.2:5000", 7, 7, 7)
    assert len(shelf.keyset) == 8 and len(list(shelf.carry.keys())) == 8
    assert all(shelf.bodies(few)) and sum(key in shelf.keyset for key in many) == 5


def test_an_id_that_goes_for_the_set_costs_no_body_too(shelf: Shelf) -> None:
    shelf.room(3)
    many = shelf.put("10.0.0.1:5000", *[7] * 5)
    shelf.room(100, ids=5)
    few = shelf.put("10.0.0.2:5000", 7)
    assert len(shelf.keyset) == 5 and sum(shelf.bodies(many)) == 3 and all(shelf.bodies(few))


def test_a_full_set_takes_nothing_more_from_who_fills_it(shelf: Shelf) -> None:
    shelf.room(100, ids=5)
    shelf.put("10.0.0.1:5000", *[7] * 4)
    assert not shelf.eviction.refuses("10.0.0.1:5000")
    shelf.put("10.0.0.2:5000", 7)
    assert shelf.eviction.refuses("10.0.0.1:6000") and not shelf.eviction.refuses("10.0.0.2:5000")


# --- ours ---


def said(number: int, seed: int = 3) -> bytes:
    return Author(seed).envelope(sequence=1, incarnation=number + 1, body=bytes(40), keep_until=HOUR + 72)


def evicted(home: Home) -> int:
    number: int = home.ask("status")["disk"]["evicted"]
    return number


def test_own_posts_stay_and_carry_does_not_tell_which_they_are(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    oak = table.home()
    stranger = Stranger(oak)
    table.settle()
    stranger.give(*[said(number) for number in range(20)])
    for number in range(5):
        oak.post(f"mine {number}", keep="7d")
    rows = oak.carry._database.read("SELECT DISTINCT ingress, kind FROM envelope")
    assert len(rows) == 1, "the ingress is that of a link"
    monkeypatch.setattr("meshd.eviction.CARRY_SIZE_MAX", 0)
    oak.post("one more")
    oak.stop()
    oak.start()
    oak.post("and one")
    assert evicted(oak) == 20 and len(oak.raws()) == 7
    assert len(oak.texts()) == 7


def test_what_came_before_this_start_goes_from_behind_any_number_of_contacts_posts(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    oak = table.home()
    oak.log.contacts.put(Contact(Author(4).key, is_added=True))
    stranger = Stranger(oak)
    table.settle()
    friends = [said(number, 4) for number in range(6)]
    stranger.give(said(1), *friends)
    oak.stop()
    oak.start()
    monkeypatch.setattr("meshd.eviction.EVICTED_AT_ONCE", 2)
    monkeypatch.setattr("meshd.eviction.CARRY_SIZE_MAX", sum(map(len, oak.raws())))
    oak.post("one more")
    assert evicted(oak) == 1 and oak.raws()[:-1] == friends


def test_contacts_posts_go_when_nothing_else_is_left(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    oak = table.home()
    oak.log.contacts.put(Contact(Author(4).key, is_added=True))
    oak.log.contacts.put(Contact(Author(5).key, is_added=True, is_blocked=True))
    oak.post("mine", keep="7d")
    stranger = Stranger(oak)
    table.settle()
    friends, others = [said(n, 4) for n in range(40)], [said(n, 3) for n in range(40)] + [said(1, 5)]
    stranger.give(*others, *friends)
    monkeypatch.setattr("meshd.eviction.CARRY_SIZE_MAX", sum(map(len, oak.raws())) - 10 * len(others[0]))
    stranger.give(said(100))
    assert evicted(oak) >= 10 and set(friends) <= set(oak.raws())
    monkeypatch.setattr("meshd.eviction.CARRY_SIZE_MAX", 30 * len(others[0]))
    stranger.give(said(101))
    left = oak.raws()
    assert 20 < sum(raw in friends for raw in left) < 30 and not set(left) & set(others)
    assert left[0] not in friends and oak.texts() == ["mine"]


def test_whose_posts_they_are_is_not_read_again_and_again(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    oak = table.home()
    stranger = Stranger(oak)
    table.settle()
    stranger.give(said(1))
    for number in range(100):
        oak.post(f"mine {number}", keep="7d")
    oak.stop()
    oak.start()
    stranger = Stranger(oak)
    table.settle()
    stranger.give(*[said(number) for number in range(10, 20)])
    monkeypatch.setattr("meshd.eviction.CARRY_SIZE_MAX", sum(map(len, oak.raws())))
    read = []
    honest = oak.carry.read
    monkeypatch.setattr(oak.carry, "read", lambda some: read.extend(some) or honest(some))
    for number in range(20, 26):
        stranger.give(said(number))
    assert sum(sequence in range(2, 102) for sequence in read) <= 100


def test_whose_posts_they_are_is_forgotten_with_the_posts(table: Table) -> None:
    oak = table.home()
    stranger = Stranger(oak)
    table.settle()
    stranger.give(*[said(number) for number in range(250)])
    table.cut(stranger, stranger.link)
    for day in range(3):
        for number in range(50):
            oak.post(f"{day} {number}", keep="6h")
        table.run(8 * HOUR_MS)
    assert 50 <= len(oak.node.intake.eviction._close) < 150


def test_what_a_contact_brings_counts_as_theirs_while_the_link_is_up(table: Table) -> None:
    oak, elm = table.home("oak"), table.home("elm")
    for home, other in ((oak, elm), (elm, oak)):
        home.ask("contact.add", card=other.ask("id.show")["card"], name=other.log.name)
    link, _ = table.link(elm, oak)
    table.run(100)
    elm.post("hello")
    table.settle()
    shares_ = oak.carry.shares
    (by_elm,) = oak.carry._database.read("SELECT ingress FROM envelope WHERE kind = 1")[0]
    assert shares_.ingress(str(HERE)) == by_elm
    table.cut(elm, link)
    table.settle()
    assert shares_.ingress(str(HERE)) != by_elm


def test_a_locked_node_evicts_only_what_came_since(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    oak = table.home()
    oak.post("mine")
    stranger = Stranger(oak)
    table.settle()
    stranger.give(said(1))
    oak.stop()
    oak.locked = True
    oak.start()
    monkeypatch.setattr("meshd.eviction.CARRY_SIZE_MAX", 10)
    before = oak.raws()
    later = Stranger(oak, seed=8)
    table.settle()
    for number in range(2, 9):
        later.give(said(number))
    assert oak.raws() == [*before, said(8)] and evicted(oak) == 6


def test_what_was_evicted_is_said_to_be_gone_and_not_taken_again(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meshd.eviction.CARRY_SIZE_MAX", 3 * len(said(1)))
    oak = table.home()
    stranger = Stranger(oak, address=HERE)
    table.settle()
    for number in range(5):
        stranger.give(said(number))
    gone = [raw for raw in map(said, range(5)) if raw not in oak.raws()]
    assert len(gone) == 2 == evicted(oak)
    stranger.say(msg.Want(b"".join(key_of(raw)[8:24] for raw in gone)))
    table.run(100)
    assert stranger.given() == [] and sum(len(each.ids) for each in stranger.heard(msg.Gone)) == 32
    stranger.give(*gone)
    assert evicted(oak) == 2 and not set(gone) & set(oak.raws())


def test_a_post_is_read_though_its_envelope_was_evicted(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    oak, elm = table.home(), table.home()
    for home in (oak, elm):
        home.ask("channel.join", name="plaza")
    monkeypatch.setattr("meshd.eviction.CARRY_SIZE_MAX", 1)
    table.link(oak, elm)
    table.settle()
    for number in range(4):
        elm.post(f"post {number}")
        table.settle()
    assert oak.texts() == [f"post {number}" for number in range(4)]
    assert evicted(oak) == 3 and evicted(elm) == 0
    (first, *_) = oak.ask("read", channel="plaza")["posts"]
    assert oak.ask("show", id=first["id"])["signature"] == "was-valid"
