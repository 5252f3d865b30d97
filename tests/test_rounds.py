"""When nodes reconcile, whom they ask, and whom they let wait."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd.limits import (
    RECONCILE_IDLE_MS,
    RECONCILE_JITTER_MS,
    RECONCILE_MAX_MS,
    RECONCILE_MIN_MS,
    REPEATED_EACH_MS,
    REPEATED_MAX_MS,
    ROUND_MS,
    TAKING_IN_MS,
    TURN_EACH_MS,
    TURN_MS,
)
from meshd.proto.message import Reconcile
from meshd.proto.rounds import Rounds

QUESTION = Reconcile(0, 1, 500_000, 10, b"\x61")


@pytest.fixture
def rounds() -> Rounds:
    return Rounds(random.Random(1), 0)


def run_one(rounds: Rounds, link: int, mono_ms: int, *found: bytes) -> None:
    """A round of ours with this link, which found these."""
    number = rounds.begin(link, 500_000, mono_ms).number
    current = rounds.current(link, number)
    assert current is not None
    current.found(found)
    rounds.ended(link, mono_ms)


def next_due(rounds: Rounds) -> int:
    deadline = rounds.next_deadline()
    assert deadline is not None
    return deadline


def test_without_links_nothing_is_due(rounds: Rounds) -> None:
    assert rounds.next_deadline() is None
    assert rounds.due(10**6) == []


def test_who_asks_first_does_so_after_a_short_jitter(rounds: Rounds) -> None:
    rounds.opened(1, ask=True, mono_ms=0)
    rounds.opened(2, ask=False, mono_ms=0)
    first_ms = next_due(rounds)
    assert 0 <= first_ms < RECONCILE_JITTER_MS
    assert rounds.due(first_ms - 1) == []
    assert rounds.due(first_ms) == [1]
    assert rounds.due(RECONCILE_MIN_MS - 1) == []


def test_later_rounds_go_to_one_link_at_random_and_rarer_while_nothing_differs(rounds: Rounds) -> None:
    for link in (1, 2, 3):
        rounds.opened(link, ask=False, mono_ms=0)
    now_ms, asked, pauses = 0, set(), []
    for _ in range(30):
        pauses.append(next_due(rounds) - now_ms)
        now_ms += pauses[-1]
        (link,) = rounds.due(now_ms)
        asked.add(link)
        run_one(rounds, link, now_ms)
    assert asked == {1, 2, 3}
    assert RECONCILE_MIN_MS <= pauses[0] <= RECONCILE_MAX_MS
    assert all(RECONCILE_IDLE_MS * 0.85 <= pause <= RECONCILE_IDLE_MS for pause in pauses[10:])
    run_one(rounds, 1, now_ms, b"lacking here")
    assert RECONCILE_MIN_MS <= next_due(rounds) - now_ms <= RECONCILE_MAX_MS


def test_a_link_with_which_the_same_stays_lacking_is_left_alone(rounds: Rounds) -> None:
    for link in (1, 2):
        rounds.opened(link, ask=False, mono_ms=0)
    lacking = [bytes((number,)) * 32 for number in range(200)]
    for _ in range(2):
        run_one(rounds, 1, 1_000, *lacking)
    asked = []
    while (now_ms := next_due(rounds)) < 1_000 + 400 * REPEATED_EACH_MS + RECONCILE_IDLE_MS * 10:
        (link,) = rounds.due(now_ms)
        asked.append((now_ms, link))
        run_one(rounds, link, now_ms)
    first_ms = min(ms for ms, link in asked if link == 1)
    assert first_ms >= 1_000 + 200 * REPEATED_EACH_MS > min(ms for ms, link in asked if link == 2)
    for pair in ([b"one"], [b"two"]):  # as many, and others
        run_one(rounds, 2, now_ms, *pair)
        assert next_due(rounds) - now_ms <= RECONCILE_MAX_MS


def test_a_link_that_came_back_is_not_left_alone(rounds: Rounds) -> None:
    rounds.opened(1, ask=False, mono_ms=0)
    for _ in range(2):
        run_one(rounds, 1, 0, *[bytes((number,)) * 32 for number in range(250)])
    rounds.closed(1)
    rounds.opened(1, ask=False, mono_ms=0)
    assert rounds.due(next_due(rounds)) == [1]


def test_a_link_has_one_round_at_a_time_and_a_stalled_one_is_given_up(rounds: Rounds) -> None:
    rounds.opened(1, ask=True, mono_ms=0)
    rounds.due(RECONCILE_JITTER_MS)
    number = rounds.begin(1, 500_000, 100).number
    rounds.all_due(100)
    assert rounds.due(100) == [] and rounds.is_open(1)
    rounds.stepped(1, 20_000)
    assert rounds.due(20_000 + ROUND_MS - 1) == [] and rounds.current(1, number)
    assert rounds.due(20_000 + ROUND_MS) == [1]  # and is begun anew
    assert rounds.current(1, number) is None


def test_a_round_asked_for_while_one_is_open_comes_after_it(rounds: Rounds) -> None:
    rounds.opened(1, ask=False, mono_ms=0)
    rounds.begin(1, 500_000, 0)
    rounds.all_due(10)
    assert rounds.due(10) == []
    assert next_due(rounds) > 10  # nothing can be done before the open one ends
    rounds.ended(1, 20)
    assert rounds.due(20) == [1]


def test_who_never_gives_what_it_announces_brings_about_no_more_rounds_than_one_in_a_while(
    rounds: Rounds,
) -> None:
    for link in (1, 2):
        rounds.opened(link, ask=False, mono_ms=0)
    rounds.all_due_soon(100)
    assert rounds.due(100) == [1, 2]
    rounds.all_due_soon(100)
    rounds.all_due_soon(101)
    rounds.opened(3, ask=True, mono_ms=102)
    rounds.all_due_soon(102)
    assert rounds.due(102 + RECONCILE_JITTER_MS) == [3], "what is due before that stays so"
    rounds._next_ms = 10**6  # none that comes by itself
    assert next_due(rounds) == 100 + RECONCILE_MIN_MS
    assert rounds.due(100 + RECONCILE_MIN_MS) == [1, 2]
    assert next_due(rounds) == 10**6
    rounds.all_due_soon(101 + 2 * RECONCILE_MIN_MS)
    assert rounds.due(101 + 2 * RECONCILE_MIN_MS) == [1, 2, 3], "what was said in between puts nothing off"


def test_a_round_that_is_not_due_yet_can_be_made_due_and_put_off(rounds: Rounds) -> None:
    rounds.opened(1, ask=True, mono_ms=0)
    assert next_due(rounds) > 0 and rounds.asking(1)
    rounds.all_due(0)
    assert rounds.due(0) == [1] and not rounds.asking(1)
    rounds.postpone(1, 0)
    assert rounds.due(TAKING_IN_MS - 1) == [] and rounds.due(TAKING_IN_MS) == [1]
    rounds.begin(1, 500_000, TAKING_IN_MS)
    assert rounds.asking(1)
    rounds._next_ms = 10**6
    assert rounds.due(TAKING_IN_MS + ROUND_MS - 1) == [] and rounds.due(TAKING_IN_MS + ROUND_MS) == [1]


@pytest.mark.parametrize(("count", "alone_ms"), [(2, 2 * REPEATED_EACH_MS), (10**6, REPEATED_MAX_MS)])
def test_a_link_is_left_alone_for_what_it_repeats_and_no_longer(
    rounds: Rounds, count: int, alone_ms: int
) -> None:
    rounds.opened(1, ask=False, mono_ms=0)
    for times in range(2):
        number = rounds.begin(1, 500_000, 0).number
        current = rounds.current(1, number)
        assert current is not None
        current.count = count
        rounds.ended(1, 0)
        rounds._next_ms = alone_ms - 1
        assert rounds.due(alone_ms - 1) == ([1] if times == 0 else []), (
            "what is found anew is asked for again"
        )
    assert rounds._pause_ms == 2 * RECONCILE_MIN_MS, "as if nothing had been found"
    rounds._next_ms = alone_ms
    assert rounds.due(alone_ms) == [1]


def test_an_answer_belongs_to_its_round_and_link(rounds: Rounds) -> None:
    rounds.opened(1, ask=False, mono_ms=0)
    rounds.opened(2, ask=False, mono_ms=0)
    number = rounds.begin(1, 500_000, 0).number
    assert rounds.current(1, number + 1) is None
    assert rounds.current(2, number) is None
    assert rounds.current(1, number) is not None
    rounds.closed(1)
    assert rounds.current(1, number) is None


def test_while_one_link_brings_others_wait_and_are_answered_after_silence(rounds: Rounds) -> None:
    for link in (1, 2, 3):
        rounds.opened(link, ask=False, mono_ms=0)
    rounds.taking_in(1, 0)
    assert not rounds.park(1, QUESTION, 10)
    assert rounds.park(2, QUESTION, 10) and rounds.park(3, QUESTION, 11)
    rounds.taking_in(1, 200, new=100)
    assert rounds.unparked(200 + TAKING_IN_MS - 1) is None
    assert next_due(rounds) == 200 + TAKING_IN_MS
    assert rounds.unparked(200 + TAKING_IN_MS) == (2, QUESTION)
    assert rounds.park(1, QUESTION, 200 + TAKING_IN_MS)  # behind link 3, which waits longer
    assert rounds.unparked(200 + TAKING_IN_MS) == (3, QUESTION)
    assert rounds.unparked(200 + TAKING_IN_MS) == (1, QUESTION)
    assert rounds.unparked(200 + TAKING_IN_MS) is None


def test_a_turn_without_envelopes_ends(rounds: Rounds) -> None:
    for now_ms in range(0, TURN_MS, 100):
        rounds.taking_in(1, now_ms)
        assert rounds.is_taking_in(now_ms)
    assert not rounds.is_taking_in(TURN_MS)


def test_a_turn_is_its_links_and_nobody_elses(rounds: Rounds) -> None:
    for link in (1, 2):
        rounds.opened(link, ask=False, mono_ms=0)
    rounds.taking_in(1, 0)
    rounds.taking_in(2, TAKING_IN_MS - 2, new=5)
    rounds.closed(2)
    assert rounds.due(TAKING_IN_MS - 1) == [] and rounds.is_taking_in(TAKING_IN_MS - 1)
    assert not rounds.park(1, QUESTION, TAKING_IN_MS - 1) and rounds.park(3, QUESTION, TAKING_IN_MS - 1)
    assert not rounds.is_taking_in(TAKING_IN_MS)
    rounds._next_ms = 10**6
    rounds.due(TAKING_IN_MS)
    assert next_due(rounds) == 10**6, "a turn that is over wakes nobody"


@pytest.mark.parametrize(("at_once", "each_time", "end_ms"), [(10**6, 0, TURN_MS), (0, 5, 2 * TURN_MS - 100)])
def test_a_turn_of_who_brings_too_little_ends(
    rounds: Rounds, at_once: int, each_time: int, end_ms: int
) -> None:
    rounds.taking_in(1, 0)
    rounds.taking_in(1, 0, new=at_once)
    for now_ms in range(100, end_ms, 100):
        rounds.taking_in(1, now_ms, new=each_time)
    assert not rounds.is_taking_in(end_ms)


def test_a_turn_lasts_while_enough_comes(rounds: Rounds) -> None:
    per_step = 100 // TURN_EACH_MS
    for now_ms in range(0, 20 * TURN_MS, 100):
        rounds.taking_in(1, now_ms, new=per_step)
        assert rounds.is_taking_in(now_ms)
    rounds.taking_in(1, 20 * TURN_MS, new=10**6)  # and nobody saves up for later
    assert not rounds.is_taking_in(21 * TURN_MS)


def test_a_link_that_closes_ends_its_turn_and_is_no_longer_answered(rounds: Rounds) -> None:
    rounds.opened(1, ask=False, mono_ms=0)
    rounds.opened(2, ask=False, mono_ms=0)
    rounds.taking_in(1, 0)
    rounds.park(2, QUESTION, 1)
    rounds.closed(2)
    rounds.closed(1)
    assert not rounds.is_taking_in(2) and rounds.unparked(2) is None


@given(st.lists(st.tuples(st.integers(1, 4), st.booleans(), st.integers(1, 400)), min_size=1, max_size=200))
def test_whoever_waits_is_answered(claims: list[tuple[int, bool, int]]) -> None:
    """Whatever links 1 to 4 claim or bring a little of, link 9 is answered within a turn of each and a silence."""
    rounds = Rounds(random.Random(1), 0)
    now_ms = 0
    asked_ms: int | None = None
    for link, brings, pause_ms in claims:
        if not rounds.park(link, QUESTION, now_ms):
            rounds.taking_in(link, now_ms, new=int(brings))
        if asked_ms is None and rounds.park(9, QUESTION, now_ms):
            asked_ms = now_ms
        while (unparked := rounds.unparked(now_ms)) is not None:
            if unparked[0] == 9:
                asked_ms = None
            else:
                rounds.taking_in(unparked[0], now_ms)
        now_ms += pause_ms
        assert asked_ms is None or now_ms - asked_ms <= 5 * (TURN_MS + TAKING_IN_MS + 400)
