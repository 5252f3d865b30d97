"""What a link is still to be given, and what was asked for and has not come."""

from hypothesis import given
from hypothesis import strategies as st

from meshd.limits import (
    ANNOUNCE_MS,
    ANNOUNCED_MAX,
    ANSWER_MS,
    GRAFT_MS,
    LATE_MAX,
    NAMED_AT_ONCE,
    OWED_MAX,
    WANTED_MS,
)
from meshd.proto.fair import OWN
from meshd.proto.gossip import RANKS, Announced, Outflow, Wanted
from meshd.proto.message import FRESH, LATE

A, B, C = (bytes((number + 0xA0,)) * 16 for number in range(3))
sequences = st.lists(st.integers(1, 60), max_size=30)
ranks = st.integers(0, RANKS - 1)


def ids(count: int, first: int = 0) -> list[bytes]:
    return [number.to_bytes(16, "big") for number in range(first, first + count)]


@given(st.lists(st.one_of(st.tuples(sequences, ranks), st.integers(1, 20)), max_size=30))
def test_what_is_owed_is_given_once_by_rank_and_the_oldest_first(
    steps: list[tuple[list[int], int] | int],
) -> None:
    outflow = Outflow(0)
    owed: dict[int, int] = {}

    def first() -> list[int]:
        return sorted(owed, key=lambda sequence: (owed[sequence], sequence))

    for step in steps:
        if isinstance(step, int):
            given = outflow.next_owed(step)
            assert given == first()[:step]
            outflow.gave(len(given) // 2)
            for sequence in given[: len(given) // 2]:
                del owed[sequence]
        else:
            new = list(dict.fromkeys(step[0]))
            outflow.owe(new, step[1])
            owed = dict.fromkeys(new, step[1]) | owed
    assert outflow.owing() == bool(owed)
    assert outflow.next_owed(100) == first()


def test_what_one_link_asks_for_is_bounded() -> None:
    outflow = Outflow(0)
    outflow.owe(list(range(10)))
    outflow.ask(ids(OWED_MAX))
    outflow.ask(ids(10, OWED_MAX))
    assert len(outflow.asked) == OWED_MAX - 10
    assert outflow.asked[-1] == ids(1, OWED_MAX - 11)[0]


def test_one_link_at_a_time_is_asked_for_an_envelope() -> None:
    wanted = Wanted()
    assert wanted.ask([A, B], 1, 10, 0) == [A, B]
    assert wanted.ask([A, C], 2, 10, 5) == [C]
    assert (wanted.count(1), wanted.count(2)) == (2, 1)
    wanted.came(A)
    assert wanted.ask([A], 2, 10, 6) == [A]


def test_what_does_not_come_may_be_asked_for_elsewhere() -> None:
    wanted = Wanted()
    wanted.ask([B], 1, 10, 107)
    wanted.ask([A], 1, 10, 100)
    assert wanted.next_deadline() == 100
    assert wanted.expired(99) == []
    assert wanted.expired(100) == [A]
    assert wanted.ask([A, B], 2, 10, 200) == [A]
    assert wanted.next_deadline() == 107
    wanted.came(B)
    assert wanted.next_deadline() == 200


def test_what_a_closed_link_owed_may_be_asked_for_elsewhere_at_once() -> None:
    wanted = Wanted()
    wanted.ask([A, B], 1, 10, 0)
    wanted.ask([C], 2, 10, 0)
    wanted.closed(1)
    assert wanted.ask([A, B, C], 3, 10, 1) == [A, B]
    assert (wanted.count(1), wanted.count(2), wanted.count(3)) == (0, 1, 2)


def test_what_is_awaited_from_one_link_is_bounded_and_takes_no_room_from_others() -> None:
    wanted = Wanted()
    assert wanted.ask(ids(7), 1, 5, 0) == ids(5)
    assert wanted.ask(ids(7), 1, 5, 1) == []
    assert wanted.ask(ids(7), 2, 5, 1) == ids(2, 5)
    wanted.came(ids(1)[0])
    assert wanted.ask(ids(9), 1, 5, 2) == ids(1)


def test_only_who_was_asked_can_say_that_it_is_gone() -> None:
    wanted = Wanted()
    wanted.ask([A], 1, 10, 0)
    wanted.gone(A, 2)
    wanted.gone(B, 1)
    assert wanted.ask([A], 2, 10, 1) == []
    wanted.gone(A, 1)
    assert wanted.ask([A], 2, 10, 1) == [A]


# --- announced ---


def test_what_is_announced_is_asked_for_after_a_moment_and_then_of_one_after_the_other() -> None:
    announced = Announced()
    announced.heard(A, 1, 0, fresh=0)
    announced.heard(B, 2, 5, fresh=0)
    announced.heard(A, 2, 10, fresh=FRESH)
    assert announced.next_deadline() == GRAFT_MS
    assert list(announced.due(GRAFT_MS - 1, Wanted())) == []
    assert list(announced.due(GRAFT_MS + 5, Wanted())) == [(1, A), (2, B)]
    assert announced.is_fresh(A) and not announced.is_fresh(B)
    assert announced.again([A, B], 1_000) == [B]  # nobody else announced that one
    assert list(announced.due(1_000, Wanted())) == [(2, A)]
    assert announced.again([A], 2_000) == [A]
    assert not announced.is_fresh(A) and announced.next_deadline() is None


def test_what_came_by_itself_is_not_asked_for() -> None:
    announced = Announced()
    announced.heard(A, 1, 0, fresh=FRESH)
    announced.came(A)
    assert list(announced.due(GRAFT_MS, Wanted())) == []


def test_who_announced_and_is_gone_is_not_asked() -> None:
    announced = Announced()
    announced.heard(A, 1, 0, fresh=FRESH)
    announced.heard(B, 1, 0, fresh=FRESH)
    announced.heard(B, 2, 0, fresh=FRESH)
    announced.closed(1)
    assert list(announced.due(GRAFT_MS, Wanted())) == [(2, B)]


def test_one_link_announces_so_much_and_takes_no_room_from_others() -> None:
    announced = Announced()
    for short in ids(ANNOUNCED_MAX + 1):
        announced.heard(short, 1, 0, fresh=0)
    (beyond,) = ids(1, ANNOUNCED_MAX)
    announced.heard(beyond, 2, 0, fresh=0)
    due = []
    while announced.next_deadline() is not None:
        due += announced.due(GRAFT_MS, Wanted())
    assert len(due) == ANNOUNCED_MAX + 1 and due[-1] == (2, beyond)


def test_what_will_not_come_by_itself_is_asked_for_at_once_and_of_who_says_so() -> None:
    announced = Announced()
    announced.heard(A, 1, 0, fresh=FRESH)
    announced.heard(A, 2, 5, fresh=LATE)
    announced.heard(B, 2, 5, fresh=LATE)
    assert sorted(announced.due(5, Wanted())) == [(2, A), (2, B)]
    assert announced.is_fresh(A) and announced.is_fresh(B)
    assert announced.again([A, B], 1_000) == [B]
    assert list(announced.due(1_000, Wanted())) == [(1, A)]


def test_what_one_link_announces_again_and_again_is_due_once() -> None:
    announced = Announced()
    for fresh in (LATE, FRESH, LATE, LATE, 0):
        announced.heard(A, 1, 0, fresh=fresh)
    assert list(announced.due(0, Wanted())) == [(1, A)]
    assert announced.next_deadline() is None


def test_what_is_asked_for_already_is_asked_of_another_only_when_it_does_not_come() -> None:
    announced, wanted = Announced(), Wanted()
    announced.heard(A, 1, 0, fresh=FRESH)
    wanted.ask([A], 3, 10, 500)
    announced.heard(A, 2, 5, fresh=LATE)
    assert list(announced.due(GRAFT_MS, wanted)) == []
    assert announced.again(wanted.expired(500), 500) == []
    assert list(announced.due(500, wanted)) == [(2, A)]


def test_so_many_are_asked_for_or_given_up_at_once() -> None:
    announced, wanted = Announced(), Wanted()
    for short in ids(2 * NAMED_AT_ONCE + 1):
        announced.heard(short, 1, 0, fresh=LATE)
    sizes = [len(wanted.ask([each for _, each in announced.due(0, wanted)], 1, 9999, 50)) for _ in range(4)]
    assert sizes == [NAMED_AT_ONCE, NAMED_AT_ONCE, 1, 0] and announced.next_deadline() is None
    assert [len(wanted.expired(50)) for _ in range(4)] == sizes


# --- to be given ---


def test_a_fresh_announcement_goes_at_once_and_what_follows_soon_goes_together() -> None:
    outflow = Outflow(0)
    outflow.announce([A], 0, fresh=True)
    assert outflow.announced(0) == ([A], [])
    outflow.announce([C], 3, fresh=False)
    assert outflow.next_deadline() == 3 + ANNOUNCE_MS
    outflow.announce([B], 5, fresh=True)
    assert outflow.next_deadline() == ANNOUNCE_MS
    assert outflow.announced(ANNOUNCE_MS - 1) == ([], [])
    assert outflow.announced(ANNOUNCE_MS) == ([B], [C])
    assert outflow.next_deadline() is None


def test_what_is_announced_later_puts_nothing_off() -> None:
    outflow = Outflow(0)
    assert outflow.announced(0) == ([], []) and outflow.next_deadline() is None
    for mono_ms in (0, ANNOUNCE_MS - 1):
        outflow.announce([bytes(4) + mono_ms.to_bytes(16, "big")], mono_ms, fresh=False)
    assert outflow.next_deadline() == ANNOUNCE_MS
    assert outflow.announced(ANNOUNCE_MS - 1) == ([], [])
    assert len(outflow.announced(ANNOUNCE_MS)[1]) == 2


def test_what_the_peer_has_is_neither_announced_to_it_nor_pushed() -> None:
    outflow = Outflow(0)
    outflow.announce([bytes(4) + A, bytes(4) + B], 0, fresh=True)
    outflow.fresh.add(OWN, [(bytes(4) + A, 1), (bytes(4) + C, 2)])
    outflow.known(bytes(4) + A, 0)
    assert outflow.announced(ANNOUNCE_MS) == ([bytes(4) + B], [])
    assert len(outflow.fresh) == 1 and outflow.fresh.peek(OWN) == (bytes(4) + C, 2)


def late(outflow: Outflow, count: int) -> list[bytes]:
    """So many fresh ones wait, and are told instead of pushed."""
    outflow.fresh.add(OWN, [(bytes(4) + short, number) for number, short in enumerate(ids(count))])
    return outflow.next_late(0)


def test_so_many_late_ones_are_on_the_way_and_nothing_overtakes_them() -> None:
    outflow = Outflow(0)
    assert len(late(outflow, LATE_MAX + 5)) == LATE_MAX and outflow.next_late(0) == []
    assert outflow.next_push(1, 0) is None
    outflow.fresh.add(3, [(bytes(4) + A, 7)])
    assert outflow.next_push(1, 0) == 3, "it overtakes nothing of its own source"
    outflow.fresh.discard(bytes(4) + A)
    for short in ids(LATE_MAX):
        outflow.known(bytes(4) + short, 30)
    assert outflow.next_push(1, 30) == OWN and len(outflow.fresh) == 5


def test_who_says_nothing_of_late_ones_does_not_want_them() -> None:
    outflow = Outflow(0)
    late(outflow, LATE_MAX + 5)
    outflow.known(bytes(4) + ids(1)[0], 30)
    assert outflow.next_deadline() == 30 + ANSWER_MS
    outflow.forget_unwanted(29 + ANSWER_MS)
    assert outflow.next_push(1, 29 + ANSWER_MS) is None
    outflow.forget_unwanted(30 + ANSWER_MS)
    assert outflow.next_push(1, 30 + ANSWER_MS) == OWN


def test_late_ones_of_one_source_do_not_keep_back_those_of_another() -> None:
    outflow = Outflow(0)
    late(outflow, LATE_MAX + 5)
    outflow.fresh.add(3, [(bytes(4) + A, 7)])
    assert outflow.next_late(0) == [bytes(4) + A]
    outflow.want([*ids(2), A], 0)
    assert [sequence for _, sequence in outflow.fetched.first(2)] == [0, 7]


def test_late_ones_that_are_wanted_wait_behind_nothing_that_must_be_looked_up() -> None:
    outflow = Outflow(0)
    late(outflow, 5)
    outflow.want([ids(5)[3], A, ids(5)[1]], 0)
    assert sorted(sequence for _, sequence in outflow.fetched.first(9)) == [1, 3]
    assert list(outflow.asked) == [A]


def test_what_went_is_under_way_until_the_peer_has_it_or_would_ask_again() -> None:
    outflow = Outflow(0)
    late(outflow, 2)
    for sequence in (0, 1):
        outflow.went(sequence, 0)
    assert outflow.is_under_way(0, 30) and not outflow.is_under_way(2, 30)
    outflow.known(bytes(4) + ids(1)[0], 30)
    assert not outflow.is_under_way(0, 30) and outflow.is_under_way(1, WANTED_MS - 1)
    assert not outflow.is_under_way(1, WANTED_MS)


def test_whose_part_of_the_rate_is_used_up_keeps_nobody_elses_back() -> None:
    outflow = Outflow(0)
    outflow.fresh.add(1, [(bytes(4) + A, 7)])
    outflow.fresh.add(2, [(bytes(4) + B, 8)])
    while outflow.bucket.take(1, 10, 400, 0):
        pass
    assert outflow.next_push(10, 0) == 2


def test_whatever_waits_as_bulk_is_owed() -> None:
    asked, fetched = Outflow(0), Outflow(0)
    assert not asked.owing()
    asked.ask([A])
    late(fetched, 1)
    assert asked.owing() and not fetched.owing()
    fetched.want(ids(1), 0)
    assert fetched.owing()
