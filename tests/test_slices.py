"""What one link gave and is not looked at yet, while others speak."""

from meshd.limits import LINKS_MAX, LIVELY_MS, SLICE_MAX, SLICE_MS
from meshd.proto.slices import Given, Slices


def given(count: int, pushed: int = 0) -> Given:
    return Given(pushed, [bytes((number % 256,)) for number in range(count)], "here")


def count(looked_at: tuple[int, Given] | None) -> tuple[int, int] | None:
    """The link, and how many of it."""
    return None if looked_at is None else (looked_at[0], len(looked_at[1].raws))


def test_all_is_looked_at_at_once_while_nobody_else_speaks() -> None:
    slices = Slices()
    slices.heard(1, 0)
    slices.heard(2, 0)
    assert slices.first(1, given(1000), LIVELY_MS) == given(1000)
    assert slices.turn(LIVELY_MS) is None


def test_a_slice_at_a_time_while_others_speak_and_nothing_is_lost() -> None:
    slices = Slices()
    slices.heard(2, 0)
    assert slices.first(1, given(100), 0).raws == given(100).raws[:SLICE_MAX]
    assert slices.first(1, given(5, pushed=1), 0).raws == [] and 1 in slices
    looked_at, now_ms = [], 0
    while (deadline_ms := slices.next_deadline()) is not None:
        now_ms = max(now_ms, deadline_ms)
        slice_of = slices.turn(now_ms)
        assert slice_of is not None and slice_of[0] == 1 and len(slice_of[1].raws) <= SLICE_MAX
        looked_at.append(slice_of[1])
    assert [raw for each in looked_at if not each.pushed for raw in each.raws] == given(100).raws[SLICE_MAX:]
    assert looked_at[-1] == given(5, pushed=1) and 1 not in slices


def test_what_comes_behind_what_waits_waits_too_though_nobody_speaks_any_more() -> None:
    slices = Slices()
    slices.heard(2, 0)
    slices.first(1, given(SLICE_MAX + 5), 0)
    assert slices.first(1, given(3, pushed=1), LIVELY_MS).raws == []
    left = slices.turn(LIVELY_MS), slices.turn(LIVELY_MS + SLICE_MS)
    assert [count(each) for each in left] == [(1, 5), (1, 3)], "in the order in which they came"


def test_who_gives_one_by_one_has_no_more_looked_at_than_who_gives_all_at_once() -> None:
    slices = Slices()
    slices.heard(2, 0)
    looked_at = [len(slices.first(1, given(1), 0).raws) for _ in range(100)]
    assert looked_at == [1] * SLICE_MAX + [0] * (100 - SLICE_MAX)
    assert count(slices.turn(SLICE_MS)) == (1, SLICE_MAX)
    assert slices.first(3, given(1), 0).raws, "others need not wait"


def test_what_waited_and_had_its_turn_gives_no_more_room_before_the_next_slice_is_due() -> None:
    slices = Slices()
    slices.heard(1, 0)
    slices.heard(2, 0)
    slices.first(1, given(SLICE_MAX + 5), 0)
    assert count(slices.turn(SLICE_MS - 1)) == (1, 5) and 1 not in slices
    assert slices.first(1, given(10 * SLICE_MAX), SLICE_MS - 1).raws == []


def test_who_gives_a_slice_each_time_it_may_never_waits() -> None:
    slices = Slices()
    for number in range(3):
        slices.heard(2, number * SLICE_MS)
        assert len(slices.first(1, given(SLICE_MAX), number * SLICE_MS).raws) == SLICE_MAX


def test_who_gives_a_little_now_and_then_never_waits() -> None:
    slices = Slices()
    for number in range(10 * SLICE_MAX):
        slices.heard(2, number * SLICE_MS)
        assert len(slices.first(1, given(2), number * SLICE_MS).raws) == 2


def test_turns_are_further_apart_the_more_links_there_are() -> None:
    for links in (2, LINKS_MAX):
        slices = Slices()
        for link in range(1, links + 1):
            slices.heard(link, 1000)
        slices.first(1, given(SLICE_MAX * 4), 1000)
        assert slices.turn(1000) is not None
        assert slices.next_deadline() == 1000 + SLICE_MS * links // LINKS_MAX
        assert slices.turn(1000 + SLICE_MS * links // LINKS_MAX - 1) is None
        assert slices.turn(1000 + SLICE_MS * links // LINKS_MAX) is not None


def test_links_take_turns() -> None:
    slices = Slices()
    slices.heard(3, 0)
    for link in (1, 2):
        slices.first(link, given(SLICE_MAX * 3), 0)
    turns = [count(slices.turn(number * SLICE_MS)) for number in range(1, 5)]
    assert turns == [(1, SLICE_MAX), (2, SLICE_MAX)] * 2


def test_what_a_link_gave_goes_with_it() -> None:
    slices = Slices()
    slices.heard(2, 0)
    slices.first(1, given(100), 0)
    slices.closed(1)
    assert slices.next_deadline() is None and slices.turn(SLICE_MS) is None and 1 not in slices
