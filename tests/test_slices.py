"""What one link gave and is not looked at yet, while others speak."""

from meshd.limits import LIVELY_MS, SLICE_MAX
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
    assert slices.end_event() is None and not slices


def test_a_slice_an_event_while_others_speak_and_nothing_is_lost() -> None:
    slices = Slices()
    slices.heard(2, 0)
    assert slices.first(1, given(100), 0).raws == given(100).raws[:SLICE_MAX]
    assert slices.first(1, given(5, pushed=1), 0).raws == [] and 1 in slices
    assert slices.end_event() is None  # one was looked at in this event
    looked_at = []
    while (slice_of := slices.end_event()) is not None:
        assert slice_of[0] == 1 and len(slice_of[1].raws) <= SLICE_MAX
        looked_at.append(slice_of[1])
    assert [raw for each in looked_at if not each.pushed for raw in each.raws] == given(100).raws[SLICE_MAX:]
    assert looked_at[-1] == given(5, pushed=1) and 1 not in slices


def test_links_take_turns() -> None:
    slices = Slices()
    slices.heard(3, 0)
    for link in (1, 2):
        slices.first(link, given(SLICE_MAX * 3), 0)
    slices.end_event()
    assert [count(slices.end_event()) for _ in range(4)] == [(1, SLICE_MAX), (2, SLICE_MAX)] * 2


def test_what_a_link_gave_goes_with_it() -> None:
    slices = Slices()
    slices.heard(2, 0)
    slices.first(1, given(100), 0)
    slices.closed(1)
    assert slices.end_event() is None and slices.end_event() is None and not slices
