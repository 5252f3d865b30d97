"""Receipts: who holds our posts, and that neither posts that are over nor links that are gone are kept in memory."""

import random

import pytest

from meshd.ids import key_reference
from meshd.proto.keyset import KeySet
from meshd.proto.receipts import Receipts
from tests.simulation.growth import lengths

HOUR = 497_000


def keys(count: int, hour: int = HOUR) -> list[bytes]:
    """Keys of posts that expire in this hour."""
    draw = random.Random(hour)
    return [hour.to_bytes(8, "big") + draw.randbytes(32) for _ in range(count)]


def test_each_link_counts_once() -> None:
    (key,) = keys(1)
    receipts = Receipts(KeySet([key]))
    receipts.follow([key])
    for link in (1, 2, 1):
        receipts.held_by(link, key_reference(key))
    receipts.held_by(1, bytes(20))
    assert receipts.take_held() == [(key, 1), (key, 2)]
    assert receipts.take_held() == []


def test_so_many_posts_are_followed_and_the_oldest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshd.proto.receipts.HELD_POSTS_MAX", 3)
    own = keys(4)
    receipts = Receipts(KeySet(own))
    receipts.follow(own)
    for key in own:
        receipts.held_by(1, key_reference(key))
    assert receipts.take_held() == [(key, 1) for key in own[1:]]


def test_posts_that_are_over_are_followed_no_longer() -> None:
    first, later = keys(50), keys(50, HOUR + 6)
    keyset = KeySet(first)
    receipts = Receipts(keyset)
    receipts.follow(first)
    before = lengths(receipts)["_own"]
    for key in first:
        keyset.remove(key)
    for key in later:
        keyset.insert(key)
        receipts.follow([key])
    assert lengths(receipts)["_own"] == before == 50
    receipts.held_by(1, key_reference(first[0]))
    assert receipts.take_held() == []


def test_links_that_came_and_went_leave_nothing_behind() -> None:
    posts = keys(50)
    receipts = Receipts(KeySet(posts))
    receipts.follow(posts)
    before = lengths(receipts)
    for link in range(100):
        for key in posts:
            receipts.held_by(link, key_reference(key))
        assert len(receipts.take_held()) == 50
        receipts.closed(link)
    assert lengths(receipts) == before


def test_who_a_round_may_find_holding_a_post_is_asked_only_of_what_was_made_here_and_nobody_holds() -> None:
    former, held, late, new = *keys(3), *keys(1, HOUR + 1)
    receipts = Receipts(KeySet([former, held, late, new]))
    receipts.follow([former])
    receipts.posted([held, late, new])
    receipts.held_by(1, key_reference(held))
    assert list(receipts.unheld(HOUR)) == [key_reference(late), key_reference(new)]
    assert list(receipts.unheld(HOUR + 1)) == [key_reference(new)]
    assert receipts.unheld(2**64 - 1) == {}, "a peer may say any floor"
    receipts.closed(1)
    assert key_reference(held) not in receipts.unheld(0), "each new link to that peer would count"


def test_of_what_nobody_holds_no_more_is_remembered_than_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshd.proto.receipts.HELD_POSTS_MAX", 3)
    own = keys(5)
    receipts = Receipts(KeySet(own))
    receipts.posted(own)
    assert list(receipts.unheld(0)) == [key_reference(key) for key in own[2:]]
