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
