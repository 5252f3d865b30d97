"""What each ingress fills of carry, and which of them pays when room is short."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from meshd.limits import INGRESSES_MAX
from tests.shelf import Shelf


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    made = Shelf(tmp_path / "carry", monkeypatch)
    yield made
    made.carry.close()


def test_a_host_is_one_ingress_whatever_its_port_and_bundles_are_another(shelf: Shelf) -> None:
    assert shelf.via("10.0.0.1:5000") == shelf.via("10.0.0.1:6000") != shelf.via("bundle")
    assert shelf.via("[fe80::1%eth0]:5000") == shelf.via("[fe80::1%eth0]:7") != shelf.via("[fe80::2%eth0]:7")


def test_hosts_without_end_are_one_in_the_end(shelf: Shelf) -> None:
    numbers = {shelf.via(f"10.0.{n >> 8}.{n & 255}:5000") for n in range(INGRESSES_MAX + 10)}
    assert len(numbers) == INGRESSES_MAX


def test_strangers_by_many_hosts_push_out_nothing_that_a_contact_brought(shelf: Shelf) -> None:
    shelf.room(20)
    shares_ = shelf.carry.shares
    shares_.recognised("10.0.0.1:5000", b"elm")
    friends = shelf.put("10.0.0.1:5000", *[7] * 14)
    for host in range(2, 40):
        shelf.put(f"10.0.0.{host}:5000", 7)
    assert all(shelf.bodies(friends)) and shelf.carry.shares.total.bodies == 20
    shares_.closed("10.0.0.1:5000")
    shares_.recognised("10.0.0.77:5000", b"elm")
    assert shelf.bodies(shelf.put("10.0.0.77:5000", *[7] * 3)) == [False, False, True], (
        "now they pay for themselves"
    )
    assert all(shelf.bodies(friends)), "the newest arrivals first"
    assert shelf.via("10.0.0.77:6000") < shelf.via("10.0.0.1:5000"), "a stranger is there now"
    assert sum(shelf.bodies(friends)) + 1 + 5 == shares_.total.bodies, "strangers keep a quarter"


def test_a_contact_pays_when_nothing_that_strangers_brought_may_go(shelf: Shelf) -> None:
    shelf.room(10)
    shelf.carry.shares.recognised("10.0.0.1:5000", b"elm")
    friends, ours = shelf.put("10.0.0.1:5000", 7, 7), shelf.put("10.0.0.2:5000", *[7] * 8)
    shelf.eviction.keep(range(3, 11))
    fresh = shelf.put("10.0.0.3:5000", 7)
    assert shelf.bodies(friends + ours + fresh) == [True, False] + [True] * 9


def test_who_brought_no_body_that_is_left_is_not_the_fullest_of_them(shelf: Shelf) -> None:
    shelf.carry.shares.add(3, 2, 0, 0)
    assert shelf.carry.shares.fullest(lambda share: share.size, since=0, without=()) is None
    assert shelf.carry.shares.fullest(lambda share: share.ids, since=0, without=()) == 3
