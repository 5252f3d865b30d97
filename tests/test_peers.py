"""Whom to dial and when: back-off, turns, bounds, and which of two crossed links stays."""

import random

from meshd.ids import Address
from meshd.limits import DIALS_MAX
from meshd.proto.peers import Peers


def address(number: int) -> Address:
    return Address(f"10.0.0.{number}", 4040)


def found(count: int) -> Peers:
    peers = Peers(random.Random(1))
    for number in range(count):
        peers.found(f"peer{number}", [address(number)], first=True, mono_ms=0)
    return peers


def test_who_dials_as_many_as_it_may_does_not_ask_to_be_woken() -> None:
    peers = found(DIALS_MAX + 1)
    assert peers.next_deadline() == 0
    assert len(peers.due(16, 0)) == DIALS_MAX
    assert peers.next_deadline() is None
    peers.failed(address(0), "refused", 10)
    assert peers.next_deadline() == 0
    assert peers.due(16, 10) == [address(DIALS_MAX)]


def test_an_instance_that_loses_all_its_addresses_keeps_those_it_had() -> None:
    peers = found(1)
    peers.found("peer0", [], first=True, mono_ms=5)
    assert peers.due(16, 5) == [address(0)]


def test_a_dial_ends_though_the_instance_has_other_addresses_by_then() -> None:
    peers = found(1)
    assert peers.due(16, 0) == [address(0)]
    peers.found("peer0", [address(7), address(0)], first=True, mono_ms=5)
    peers.failed(address(0), "refused", 10)
    assert len(peers.due(16, 120_000)) == 1
