"""Mesh time: which clock is believed, when nothing is deleted by it, and what the user is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd.errors import CallerError
from meshd.events import Now
from meshd.limits import HELLOS_MAX, JUMP_MS
from meshd.meshtime import BUILD_MS, POSSIBLE_MS, MeshTime
from meshd.post import HOUR_MS
from tests.wire import HOUR, WALL_MS


def test_a_possible_clock_is_mesh_time() -> None:
    time = MeshTime(Now(5, WALL_MS), 0)
    assert time.read(Now(6, WALL_MS + 1)) == Now(6, WALL_MS + 1, True)
    assert (time.state, time.off_ms, time.advice()) == ("ok", 0, "")


@pytest.mark.parametrize(
    ("wall_ms", "possible"),
    [
        (0, False),
        (BUILD_MS - 1, False),
        (BUILD_MS, True),
        (BUILD_MS + POSSIBLE_MS - 1, True),
        (BUILD_MS + POSSIBLE_MS, False),
    ],
)
def test_a_clock_is_possible_from_the_build_on_for_five_years(wall_ms: int, possible: bool) -> None:
    assert MeshTime(Now(0, wall_ms), 0).read(Now(0, wall_ms)).synced == possible


@pytest.mark.parametrize(
    ("off_ms", "state"),
    [(-JUMP_MS - 1, "unsynced"), (-JUMP_MS, "ok"), (0, "ok"), (JUMP_MS, "ok"), (JUMP_MS + 1, "jumped")],
)
def test_a_stop_is_measured_by_the_last_time_this_home_had(off_ms: int, state: str) -> None:
    assert MeshTime(Now(0, WALL_MS + off_ms), WALL_MS).state == state


@pytest.mark.parametrize("said", [HOUR + 30, HOUR + 31, HOUR + 29])
def test_one_hello_that_agrees_ends_the_doubt_after_a_jump(said: int) -> None:
    time = MeshTime(Now(0, WALL_MS), 0)
    later = Now(1_000, WALL_MS + 30 * HOUR_MS)
    time.read(later)
    assert time.state == "jumped" and time.seen_ms == WALL_MS and "mesh clock confirm" in time.advice()
    time.heard(1, HOUR, 1_000)
    time.read(later)
    assert time.state == "jumped" and time.off_ms < -29 * HOUR_MS
    time.heard(2, said, 1_000)
    time.read(later)
    assert (time.state, time.off_ms) == ("ok", 0)


def test_the_user_ends_it_too() -> None:
    time = MeshTime(Now(0, WALL_MS), 0)
    time.heard(1, HOUR, 0)
    time.read(Now(1_000, WALL_MS + 30 * HOUR_MS))
    time.confirm()
    assert (time.state, time.seen_ms) == ("ok", WALL_MS + 30 * HOUR_MS)


def test_a_clock_that_is_set_back_is_not_believed_until_the_user_says_so() -> None:
    time = MeshTime(Now(0, WALL_MS), 0)
    back = Now(1_000, WALL_MS - 30 * HOUR_MS)
    assert not time.read(back).synced and not time.is_known
    with pytest.raises(CallerError):
        time.require()
    time.confirm()
    assert time.read(back) == back
    time.require()


def test_who_lives_by_hellos_takes_the_beginning_of_the_middle_hour_and_goes_on() -> None:
    time = MeshTime(Now(0, 0), 0)
    for link, hour in enumerate((HOUR, HOUR + 5, HOUR + 900)):
        time.heard(link, hour, 100)
    assert time.read(Now(1_100, 1_100)) == Now(1_100, (HOUR + 5) * HOUR_MS + 1_000, False)
    assert time.off_ms == (HOUR + 5) * HOUR_MS + 1_000 - 1_100
    time.heard(3, HOUR, 100)
    assert time.read(Now(1_100, 1_100)).wall_ms == HOUR * HOUR_MS + 1_000, "of two in the middle the earlier"


def test_hours_that_are_impossible_are_not_heard() -> None:
    time = MeshTime(Now(0, 0), 0)
    for link, hour in enumerate((0, BUILD_MS // HOUR_MS - 1, (BUILD_MS + POSSIBLE_MS) // HOUR_MS, 2**60)):
        time.heard(link, hour, 0)
    time.read(Now(1, 1))
    assert not time.is_known
    time.heard(9, HOUR, 0)
    time.read(Now(2, 2))
    assert time.is_known


def test_the_last_word_of_the_last_links_counts() -> None:
    time = MeshTime(Now(0, 0), 0)
    for link in range(HELLOS_MAX + 1):
        time.heard(link, HOUR + 100 if link == 0 else HOUR, 0)
    time.read(Now(0, 0))
    assert time.off_ms == HOUR * HOUR_MS
    time.heard(5, HOUR + 7, 0)
    assert len(time._said) == HELLOS_MAX


@pytest.mark.parametrize(
    ("past_ms", "agrees"),
    [(-HOUR_MS - 1, False), (-HOUR_MS, True), (2 * HOUR_MS - 1, True), (2 * HOUR_MS, False)],
)
def test_a_clock_agrees_as_far_as_hours_can_tell(past_ms: int, agrees: bool) -> None:
    now = Now(0, HOUR * HOUR_MS + past_ms)
    time = MeshTime(now, 0)
    time.heard(1, HOUR, 0)
    time.read(now)
    assert (time.off_ms == 0) == agrees


def test_a_clock_that_jumps_is_weighed_anew_against_what_was_heard() -> None:
    for jump_ms, state in ((JUMP_MS, "ok"), (JUMP_MS + 1, "jumped")):
        time = MeshTime(Now(0, WALL_MS), 0)
        time.read(Now(1_000, WALL_MS + 1_000 + jump_ms))
        assert time.state == state
    time = MeshTime(Now(0, WALL_MS), 0)
    time.heard(1, HOUR, 0)
    assert time.read(Now(1, WALL_MS + 1)).synced and time.off_ms == 0
    time.read(Now(1_000, WALL_MS + 30 * HOUR_MS))
    assert time.state == "jumped" and time.off_ms < 0


@pytest.mark.parametrize(
    ("hours", "moves"), [((100, 101, 102), True), ((100, 101, 103), False), ((100, 101), False)]
)
def test_three_contacts_who_agree_move_mesh_time_and_what_was_seen_goes_not_back(
    hours: tuple[int, ...], moves: bool
) -> None:
    time = MeshTime(Now(0, WALL_MS), 0)
    for link, back in enumerate(hours):
        time.heard(link, HOUR - back, 0)
    assert time.read(Now(0, WALL_MS)).wall_ms == WALL_MS, "strangers move nothing"
    for link, _ in enumerate(hours):
        time.recognised(link, bytes((link,)))
    wall_ms = (HOUR - 101) * HOUR_MS if moves else WALL_MS
    assert time.read(Now(0, WALL_MS)) == Now(0, wall_ms, True)
    assert time.seen_ms == WALL_MS


@pytest.mark.parametrize(("seen_ms", "floor_ms"), [(0, BUILD_MS), (WALL_MS, WALL_MS)])
def test_who_knows_no_time_counts_on_from_the_latest_that_must_be_over(seen_ms: int, floor_ms: int) -> None:
    assert MeshTime(Now(10, 0), seen_ms).read(Now(15, 5)) == Now(15, floor_ms + 5, False)


@given(
    st.lists(
        st.tuples(st.integers(0, 10**9), st.integers(0, 2**42), st.none() | st.integers(0, 2**42 // HOUR_MS)),
        max_size=20,
    )
)
def test_whatever_happens_the_last_time_seen_never_goes_back_and_is_possible(
    events: list[tuple[int, int, int | None]],
) -> None:
    mono_ms = 0
    time = MeshTime(Now(0, WALL_MS), 0)
    seen_ms = time.seen_ms
    for link, (step_ms, wall_ms, hour) in enumerate(events):
        mono_ms += step_ms
        if hour is not None:
            time.heard(link, hour, mono_ms)
        read = time.read(Now(mono_ms, wall_ms))
        assert time.seen_ms >= seen_ms
        seen_ms = time.seen_ms
        if read.synced:
            assert BUILD_MS <= read.wall_ms < BUILD_MS + POSSIBLE_MS


def test_which_contact_has_another_hour_or_none_is_known() -> None:
    now = Now(5, WALL_MS)
    time = MeshTime(now, 0)
    for link, hour in enumerate((HOUR, HOUR - 1, HOUR + 1, HOUR - 3, HOUR + 3, 0)):
        time.heard(link, hour, now.mono_ms)
        time.recognised(link, bytes([link]) * 32)
    assert [time.is_off(bytes([link]) * 32, now) for link in range(7)] == [False] * 3 + [True] * 3 + [False]
    for link in range(7, 7 + HELLOS_MAX):
        time.heard(link, 0, now.mono_ms)
    assert not time.is_off(bytes([5]) * 32, now)
