"""Whom to dial and when: back-off, turns, bounds, and which of two crossed links stays."""

import random
from itertools import pairwise, product

import pytest

from meshd.ids import Address
from meshd.limits import (
    ADDRESSES_PER_INSTANCE_MAX,
    BACKOFF_EACH_MS,
    BACKOFF_FEW_MS,
    BACKOFF_MAX_MS,
    BACKOFF_MIN_MS,
    CANDIDATES_MAX,
    CROSSED_MS,
    DIALS_MAX,
    EXPLORE_MS,
    LASTING_MS,
)
from meshd.proto.peers import SECOND_DIALLER_MS, Peers, crossed


def address(number: int) -> Address:
    return Address(f"10.0.0.{number}", 4040)


def found(count: int, seed: int = 1) -> Peers:
    peers = Peers(random.Random(seed))
    for number in range(count):
        peers.found(f"peer{number}", [address(number)], first=True, mono_ms=0)
    return peers


def test_who_dials_as_many_as_it_may_does_not_ask_to_be_woken() -> None:
    peers = found(DIALS_MAX + 1)
    assert peers.next_deadline(9) == 0
    dialled = peers.due(16, 16, 0)
    assert len(dialled) == DIALS_MAX
    assert peers.next_deadline(9) is None
    (left,) = {address(number) for number in range(DIALS_MAX + 1)} - set(dialled)
    peers.failed(dialled[0], "refused", 10)
    assert peers.next_deadline(9) == 0
    assert peers.due(16, 16, 10) == [left]


def test_an_instance_that_loses_all_its_addresses_keeps_those_it_had() -> None:
    peers = found(1)
    peers.found("peer0", [], first=True, mono_ms=5)
    assert peers.due(16, 16, 5) == [address(0)]


def test_a_dial_ends_though_the_instance_has_other_addresses_by_then() -> None:
    peers = found(1)
    assert peers.due(16, 16, 0) == [address(0)]
    peers.found("peer0", [address(7), address(0)], first=True, mono_ms=5)
    peers.failed(address(0), "refused", 10)
    assert len(peers.due(16, 16, 120_000)) == 1


def typed(*numbers: int) -> Peers:
    peers = Peers(random.Random(1))
    for number in numbers:
        peers.add_typed(address(number), 0)
    return peers


def pauses(peers: Peers, turns: int) -> list[int]:
    """The pauses after so many failed dials of the only target that is due."""
    now_ms, found = 0, []
    for _ in range(turns):
        (dialled,) = peers.due(1, 1, now_ms)
        peers.failed(dialled, "refused", now_ms)
        deadline = peers.next_deadline(9)
        assert deadline is not None
        found.append(deadline - now_ms)
        now_ms = deadline
    return found


def test_a_single_target_is_tried_ever_more_rarely_but_often() -> None:
    found = pauses(typed(1), 12)
    assert BACKOFF_MIN_MS * 3 // 4 <= found[0] < BACKOFF_MIN_MS * 5 // 4
    assert all(BACKOFF_FEW_MS * 3 // 4 <= pause < BACKOFF_FEW_MS * 5 // 4 for pause in found[6:])


def test_many_targets_take_turns() -> None:
    peers = found(CANDIDATES_MAX)
    for now_ms in range(0, 20 * BACKOFF_MAX_MS, 500):
        for dialled in peers.due(DIALS_MAX, DIALS_MAX, now_ms):
            peers.failed(dialled, "refused", now_ms)
    longest = max(target.due_ms for target in peers.targets()) - 20 * BACKOFF_MAX_MS
    most_ms = min(BACKOFF_EACH_MS * CANDIDATES_MAX, BACKOFF_MAX_MS)
    assert most_ms // 2 < longest < most_ms * 5 // 4


def test_a_link_that_lasted_starts_the_pauses_anew_and_a_short_one_does_not() -> None:
    after = {}
    for open_ms in (LASTING_MS - 1, LASTING_MS):
        peers = typed(1)
        pauses(peers, 8)
        now_ms = 10**6
        peers.due(1, 1, now_ms)
        peers.dialled(address(1), 5)
        peers.opened(5, now_ms)
        assert peers.next_deadline(9) is None
        peers.closed(5, "gone", now_ms + open_ms)
        deadline = peers.next_deadline(9)
        assert deadline is not None
        after[open_ms] = deadline - now_ms - open_ms
    assert after[LASTING_MS] < BACKOFF_MIN_MS * 5 // 4 < after[LASTING_MS - 1]


def test_the_addresses_of_an_instance_are_tried_one_after_the_other_at_once() -> None:
    peers = Peers(random.Random(1))
    peers.found("peer", [address(1), address(2)], first=True, mono_ms=0)
    assert peers.due(9, 9, 0) == [address(1)]
    peers.failed(address(1), "refused", 10)
    assert peers.due(9, 9, 10) == [address(2)]
    peers.failed(address(2), "refused", 20)
    assert peers.due(9, 9, 20) == []


def test_the_second_of_two_that_find_each_other_waits() -> None:
    peers = Peers(random.Random(1))
    peers.found("peer", [address(1)], first=False, mono_ms=0)
    assert peers.due(9, 9, SECOND_DIALLER_MS - 1) == []
    assert peers.due(9, 9, SECOND_DIALLER_MS) == [address(1)]


def test_M01_candidates_and_their_addresses_are_bounded() -> None:
    peers = found(CANDIDATES_MAX + 5)
    assert len(peers.targets()) == CANDIDATES_MAX
    peers.add_typed(address(1), 0)  # what the user types in has room
    assert len(peers.targets()) == CANDIDATES_MAX + 1
    few = Peers(random.Random(1))
    few.found("peer", [address(number) for number in range(50)], first=True, mono_ms=0)
    assert len(few.targets()[0].addresses) == ADDRESSES_PER_INSTANCE_MAX


def test_an_instance_that_is_called_like_a_typed_address_changes_nothing_of_it() -> None:
    peers = typed(1)
    peers.found(str(address(1)), [address(2)], first=True, mono_ms=0)
    peers.lost(str(address(1)))
    peers.lost("nobody")
    assert [target.addresses for target in peers.targets()] == [[address(1)]]
    peers.found("peer", [address(2)], first=True, mono_ms=0)
    peers.lost("peer")
    assert len(peers.targets()) == 1


def test_no_more_is_dialled_than_there_is_room_for() -> None:
    assert len(found(5).due(2, 16, 0)) == 2
    for room in (0, -1):
        assert typed(1, 2).due(room, 16, 0) == found(3).due(room, 16, 0) == []


def test_a_dial_that_ends_is_its_own_targets_and_ends_once() -> None:
    peers = found(3)
    peers.due(16, 16, 0)
    for _ in range(2):
        peers.failed(address(0), "refused", 5)
    peers.dialled(address(1), 7)
    peers.failed(address(1), "late", 8)
    ended = [(target.dialling, target.link, target.failures) for target in peers.targets()]
    assert ended == [(False, None, 1), (True, 7, 0), (True, None, 0)]


def test_what_is_typed_in_again_is_dialled_at_once_unless_it_is_linked() -> None:
    peers = typed(1)
    peers.due(16, 16, 0)
    peers.failed(address(1), "refused", 5)
    assert peers.due(16, 16, 5) == []
    peers.add_typed(address(1), 5)
    assert peers.due(16, 16, 5) == [address(1)]
    peers.dialled(address(1), 7)
    peers.add_typed(address(1), 6)
    assert peers.due(16, 16, 6) == [] and peers.is_typed(7)


def test_an_instance_is_dialled_at_once_where_it_is_now_and_not_because_it_says_so_again() -> None:
    peers = found(1)
    peers.found("nowhere", [], first=True, mono_ms=0)
    assert len(peers.targets()) == 1
    peers.due(16, 16, 0)
    peers.failed(address(0), "refused", 5)
    peers.found("peer0", [address(0)], first=True, mono_ms=6)
    assert peers.due(16, 16, 6) == []
    peers.found("peer0", [address(9), address(0)], first=True, mono_ms=7)
    assert peers.due(16, 16, 7) == [address(9)]


def test_a_network_change_forgets_what_was_found_and_tries_what_was_typed_in() -> None:
    peers = typed(1)
    peers.found("peer", [address(2)], first=True, mono_ms=0)
    peers.due(9, 9, 0)
    peers.network_changed(50)
    assert peers.due(9, 9, 50) == [address(1)]


def test_a_target_that_is_linked_already_waits_for_that_links_end() -> None:
    peers = typed(1)
    peers.due(9, 9, 0)
    peers.dialled(address(1), 5)
    peers.same_as(5, 3)
    peers.closed(5, "there is a link to that peer already", 10)
    assert peers.next_deadline(9) is None
    peers.closed(3, "gone", 20)
    assert peers.next_deadline(9) is not None


def test_our_own_address_is_not_dialled_again() -> None:
    peers = typed(1)
    peers.due(9, 9, 0)
    peers.dialled(address(1), 5)
    peers.same_as(5, None)
    peers.closed(5, "that is this node itself", 10)
    assert peers.next_deadline(9) is None and peers.targets()[0].ours


def test_a_dropped_target_is_gone_and_a_late_answer_to_its_dial_is_nothing() -> None:
    peers = typed(1)
    peers.due(9, 9, 0)
    assert peers.drop(str(address(1))) is not None
    peers.failed(address(1), "refused", 5)
    peers.dialled(address(1), 5)
    assert peers.drop(str(address(1))) is None and peers.targets() == []


LOW, HIGH = b"\1" * 32, b"\2" * 32


@pytest.mark.parametrize(("low_dialled_old", "high_dialled_old"), list(product((True, False), repeat=2)))
def test_crossed_dials_leave_the_one_of_the_lower_key_on_both_sides(
    low_dialled_old: bool, high_dialled_old: bool
) -> None:
    """Each side may have seen the two links in either order."""
    keep = crossed(LOW, HIGH, old_dialled=low_dialled_old, new_dialled=not low_dialled_old, old_age_ms=0)
    assert (keep == "old") == low_dialled_old
    keep = crossed(HIGH, LOW, old_dialled=high_dialled_old, new_dialled=not high_dialled_old, old_age_ms=0)
    assert (keep == "old") == (not high_dialled_old)


def test_a_later_link_that_the_peer_dialled_replaces_a_corpse() -> None:
    for old_dialled in (True, False):
        keep = crossed(LOW, HIGH, old_dialled=old_dialled, new_dialled=False, old_age_ms=CROSSED_MS)
        assert keep == "new"


def test_of_two_that_one_side_dialled_that_side_decides() -> None:
    assert crossed(LOW, HIGH, old_dialled=True, new_dialled=True, old_age_ms=0) == "old"
    assert crossed(LOW, HIGH, old_dialled=False, new_dialled=False, old_age_ms=0) == "both"


# --- how many, and which ---


def test_of_what_was_found_no_more_is_dialled_than_wished_and_typed_addresses_always() -> None:
    peers = found(6)
    peers.add_typed(address(9), 0)
    dialled = peers.due(16, 2, 0)
    assert len(dialled) == 3 and address(9) in dialled
    assert peers.due(16, 2, 0) == []  # they are under way


def test_two_that_found_the_same_do_not_dial_the_same() -> None:
    assert len({tuple(found(20, seed).due(16, 3, 0)) for seed in range(8)}) == 8


def test_who_has_links_enough_dials_one_more_now_and_then_whatever_its_pause() -> None:
    peers = found(3)
    for dialled in peers.due(16, 3, 0):
        peers.failed(dialled, "refused", 0)  # all of them pause now
    explored_ms = []
    for now_ms in range(0, 5 * EXPLORE_MS, 100):
        for dialled in peers.due(16, 0, now_ms):
            explored_ms.append(now_ms)
            peers.failed(dialled, "no room", now_ms)
    gaps = [later - earlier for earlier, later in pairwise(explored_ms)]
    assert 3 <= len(gaps) <= 10 and all(EXPLORE_MS // 2 <= gap <= EXPLORE_MS * 3 // 2 + 100 for gap in gaps)


def test_who_knows_nobody_new_is_not_woken_to_explore() -> None:
    peers = typed(1)
    peers.due(16, 0, 0)
    assert peers.next_deadline(0) is None
