"""Attacks on time (attack cases T): stamps years ahead or behind, clocks that jump, what expired and comes again."""

from pathlib import Path

import pytest

from meshd.limits import (
    EXPIRY_AHEAD_HOURS_MAX,
    HLC_AHEAD_MS,
    HLC_REFUSE_MS,
    KEEP_HOURS_MAX,
)
from meshd.post import HOUR_MS, Text, encode_text
from tests.homes import PLAZA, Stranger, Table
from tests.wire import HOUR, WALL_MS, Author

YEAR_MS = 365 * 24 * HOUR_MS


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def dated(time_ms: int, text: str = "x", *, keep_hours: int = 24, seed: int = 3) -> bytes:
    """An envelope of a post with this stamp, kept so long after it."""
    body = encode_text(Text("", b"", text))
    keep_until = time_ms // HOUR_MS + keep_hours
    return Author(seed).envelope(channel=PLAZA, hlc=time_ms << 16, keep_until=keep_until, body=body)


def stamp(table: Table, text: str) -> int:
    """Post on the first home; the post's HLC."""
    identity = bytes.fromhex(table.homes[0].post(text))
    row = table.homes[0].log.row(identity)
    assert row is not None
    return row.hlc


def test_T01_a_stamp_ten_years_ahead_is_refused_and_moves_no_clock(table: Table) -> None:
    oak = table.home()
    first = stamp(table, "first")
    stranger = Stranger(oak)
    table.settle()
    stranger.give(dated(WALL_MS + 10 * YEAR_MS))
    assert stranger.is_open  # an honest node may have a wrong clock
    assert len(oak.raws()) == 1
    table.passed_ms += 1
    second = stamp(table, "second")
    assert first < second < (WALL_MS + 1_000) << 16
    assert oak.texts() == ["first", "second"]


def test_T01_a_stamp_moves_ours_by_a_quarter_of_an_hour_at_most(table: Table) -> None:
    oak = table.home()
    stranger = Stranger(oak)
    table.settle()
    stranger.give(dated(WALL_MS + HLC_AHEAD_MS + 1, seed=4), dated(WALL_MS + 20 * 60_000, seed=5))
    assert stamp(table, "not moved") == WALL_MS << 16
    stranger.give(dated(WALL_MS + HLC_AHEAD_MS, seed=6))
    assert stamp(table, "moved") == (WALL_MS + HLC_AHEAD_MS << 16) + 1


def test_T01_a_start_does_not_make_good_what_was_refused_to_move_us(table: Table) -> None:
    oak = table.home()
    oak.ask("channel.join", name="plaza")
    stranger = Stranger(oak)
    table.settle()
    stranger.give(dated(WALL_MS + 20 * 3_600_000))
    assert len(oak.raws()) == 1
    oak.stop()
    oak.start()
    assert stamp(table, "after the start") <= WALL_MS + HLC_AHEAD_MS << 16


@pytest.mark.parametrize("ahead_ms", [HLC_REFUSE_MS, HLC_REFUSE_MS + 1])
def test_T01_a_day_ahead_is_the_limit(table: Table, ahead_ms: int) -> None:
    oak = table.home()
    stranger = Stranger(oak)
    table.settle()
    stranger.give(dated(WALL_MS + ahead_ms))
    assert stranger.is_open and len(oak.raws()) == (ahead_ms == HLC_REFUSE_MS)


def test_T03_ten_years_back_with_the_longest_keep_is_expired(table: Table) -> None:
    oak = table.home()
    stranger = Stranger(oak)
    table.settle()
    stranger.give(dated(WALL_MS - 10 * YEAR_MS, keep_hours=KEEP_HOURS_MAX))
    assert stranger.is_open and oak.raws() == []


def test_T03_a_keep_longer_than_any_closes_the_link(table: Table) -> None:
    oak = table.home()
    stranger = Stranger(oak)
    table.settle()
    stranger.give(dated(WALL_MS - 10 * YEAR_MS, keep_hours=10 * 366 * 24))
    assert stranger.down is not None and oak.raws() == []


@pytest.mark.parametrize("hours_left", [0, 1, EXPIRY_AHEAD_HOURS_MAX, EXPIRY_AHEAD_HOURS_MAX + 1])
def test_T03_what_is_accepted_expires_within_eight_days_and_is_not_expired(
    table: Table, hours_left: int
) -> None:
    oak = table.home()
    stranger = Stranger(oak)
    table.settle()
    time_ms = min(WALL_MS + HLC_REFUSE_MS, (HOUR + hours_left) * HOUR_MS - HOUR_MS)
    body = encode_text(Text("", b"", "x"))
    raw = Author(3).envelope(hlc=time_ms << 16, keep_until=HOUR + hours_left, body=body)
    stranger.give(raw)
    assert stranger.is_open and len(oak.raws()) == (0 < hours_left <= EXPIRY_AHEAD_HOURS_MAX)


def test_T04_a_clock_set_back_a_day_brings_no_stamp_or_sequence_back(table: Table) -> None:
    oak = table.home()
    before = [stamp(table, f"before {number}") for number in range(3)]
    stranger = Stranger(oak)
    table.settle()
    stranger.give(dated(WALL_MS - 1_000, "a neighbour's"))
    table.skew_ms = -24 * HOUR_MS
    after = [stamp(table, f"after {number}") for number in range(3)]
    stamps = before + after
    assert stamps == sorted(set(stamps))
    rows = [row for row in oak.log.after(0, None, 10) if row.own]
    assert [row.sequence for row in rows] == [1, 2, 3, 4, 5, 6]
    assert oak.texts()[1:4] == ["before 0", "before 1", "before 2"]
    assert len(oak.raws()) == 7  # nothing was purged


def test_T04_a_clock_set_back_over_a_start_brings_no_stamp_back(table: Table) -> None:
    oak = table.home()
    first = stamp(table, "first")
    oak.stop()
    table.skew_ms = -24 * HOUR_MS
    oak.start()
    assert stamp(table, "second") > first


def test_T07_what_expired_is_refused_a_month_later_by_who_never_saw_it_too(table: Table) -> None:
    oak = table.home()
    raw = dated(WALL_MS)
    first = Stranger(oak, seed=1)
    table.settle()
    first.give(raw)
    assert oak.raws() == [raw]
    elm = table.home()  # has no trace of it
    table.skew_ms = 30 * 24 * HOUR_MS
    second = Stranger(elm, seed=2)
    table.settle()
    second.give(raw)
    assert second.is_open and elm.raws() == []


def test_T10_what_a_wrong_clock_refused_comes_after_it_is_right(table: Table) -> None:
    oak = table.home()
    raw = dated(WALL_MS)
    table.skew_ms = -3 * 24 * HOUR_MS  # our clock is days behind: the post seems far ahead
    stranger = Stranger(oak)
    table.settle()
    stranger.give(raw)
    assert stranger.is_open and oak.raws() == []
    table.skew_ms = 0
    stranger.give(raw)
    assert oak.texts() == ["x"]
