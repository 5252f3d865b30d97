"""The hybrid clock: stamps only ever grow, and nobody can drag them far."""

from hypothesis import given
from hypothesis import strategies as st

from meshd.hlc import Clock
from meshd.limits import HLC_AHEAD_MS, HLC_REFUSE_MS

WALL_MS = 1_790_000_000_000
walls = st.integers(0, 2**47)
steps = st.lists(st.tuples(st.booleans(), walls, st.integers(0, 2**63 - 1)), max_size=40)


def test_a_stamp_is_the_wall_clock_while_that_goes_on() -> None:
    clock = Clock()
    assert clock.stamp(WALL_MS) == WALL_MS << 16
    assert clock.stamp(WALL_MS) == (WALL_MS << 16) + 1
    assert clock.stamp(WALL_MS + 1) == WALL_MS + 1 << 16


def test_the_counter_goes_over_into_the_milliseconds() -> None:
    clock = Clock((WALL_MS << 16) + 0xFFFF)
    assert clock.stamp(WALL_MS) == WALL_MS + 1 << 16


def test_a_remote_stamp_moves_ours_up_to_the_limit() -> None:
    ahead = WALL_MS + HLC_AHEAD_MS << 16
    clock = Clock(WALL_MS << 16)
    clock.observe(ahead + (1 << 16), WALL_MS)
    assert clock.stamp(WALL_MS) == (WALL_MS << 16) + 1
    clock.observe(ahead, WALL_MS)
    assert clock.stamp(WALL_MS) == ahead + 1


def test_a_stamp_that_nobody_would_take_is_forgotten() -> None:
    clock = Clock()
    clock.stamp(WALL_MS + HLC_REFUSE_MS)
    assert clock.stamp(WALL_MS) == (WALL_MS + HLC_REFUSE_MS << 16) + 1
    assert clock.stamp(WALL_MS - 1) == WALL_MS - 1 << 16


@given(steps)
def test_every_stamp_is_later_than_all_before(events: list[tuple[bool, int, int]]) -> None:
    clock = Clock()
    latest = 0
    for is_own, wall_ms, remote in events:
        if is_own:
            stamp = clock.stamp(wall_ms)
            assert stamp >= wall_ms << 16
            assert stamp > latest or latest >> 16 > wall_ms + HLC_REFUSE_MS
            latest = stamp
        else:
            clock.observe(remote, wall_ms)
            assert clock.last >= latest
            latest = clock.last


@given(walls, st.integers(0, 2**63 - 1))
def test_whatever_is_observed_the_clock_stays_near(wall_ms: int, remote: int) -> None:
    clock = Clock()
    clock.observe(remote, wall_ms)
    assert clock.stamp(wall_ms) >> 16 <= wall_ms + HLC_AHEAD_MS + 1
