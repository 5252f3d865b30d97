"""Attacks on time (attack cases T): stamps years ahead or behind, clocks that jump, what expired and comes again."""

from pathlib import Path

import pytest

from meshd.errors import CallerError, Code
from meshd.events import Now
from meshd.limits import (
    ASIDE_MAX,
    EXPIRY_AHEAD_HOURS_MAX,
    HLC_AHEAD_MS,
    HLC_REFUSE_MS,
    KEEP_HOURS_MAX,
)
from meshd.meshtime import MeshTime
from meshd.post import HOUR_MS, Text, encode_text
from meshd.proto import message as msg
from tests.homes import PLAZA, Stranger, Table, key
from tests.wire import HOUR, WALL_MS, Author, hello

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


def test_T02_what_is_ahead_is_carried_and_passed_on_and_shown_when_its_time_comes(table: Table) -> None:
    oak, elm = table.home(), table.home()
    oak.ask("channel.join", name="plaza")
    table.link(oak, elm)
    stranger = Stranger(oak)
    table.settle()
    ahead = dated(WALL_MS + 20 * 60_000, "early")
    stranger.give(ahead, fresh=True)
    assert stranger.is_open and oak.raws() == [ahead] == elm.raws()
    assert oak.texts() == []
    table.run(5 * 60_000 - 1)
    assert oak.texts() == []
    table.run(1)
    assert oak.texts() == ["early"]
    (document,) = oak.ask("read", channel="plaza")["posts"]
    assert document["clock_off_s"] == 15 * 60


def test_T02_what_is_held_aside_waits_over_a_start(table: Table) -> None:
    oak = table.home()
    oak.ask("channel.join", name="plaza")
    stranger = Stranger(oak)
    table.settle()
    stranger.give(dated(WALL_MS + 20 * 60_000, "early"))
    oak.stop()
    oak.start()
    assert oak.texts() == []
    table.run(5 * 60_000)
    assert oak.texts() == ["early"]


def test_T02_what_expires_before_it_is_looked_at_again_is_dropped(table: Table) -> None:
    oak = table.home()
    oak.ask("channel.join", name="plaza")
    stranger = Stranger(oak)
    table.settle()
    stranger.give(dated(WALL_MS + 20 * 60_000, "early", keep_hours=1))
    oak.stop()
    table.skew_ms = 24 * HOUR_MS
    oak.start()
    oak.ask("clock.confirm")
    table.run(1_000)
    assert oak.texts() == [] and oak.raws() == [] and oak.node.intake.release_ms is None


def test_T02_of_one_author_the_nearest_64_wait(table: Table) -> None:
    oak = table.home()
    oak.ask("channel.join", name="plaza")
    stranger = Stranger(oak)
    table.settle()
    late_first = [dated(WALL_MS + (120 - number) * 60_000, f"{number}") for number in range(ASIDE_MAX + 6)]
    stranger.give(*late_first, dated(WALL_MS + 20 * 60_000, "another's", seed=8))
    assert len(oak.raws()) == ASIDE_MAX + 7
    table.run(3 * HOUR_MS)
    waited = [f"{number}" for number in reversed(range(6, ASIDE_MAX + 6))]
    assert oak.texts() == ["another's", *waited]


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
    with pytest.raises(CallerError, match="what time it is"):
        oak.post("nobody knows when")
    Stranger(oak)
    table.settle()
    assert stamp(table, "second") > first


@pytest.mark.parametrize("clock_ms", [0, WALL_MS + 10 * YEAR_MS], ids=["1970", "ten years ahead"])
def test_T08_a_clock_that_cannot_be_right_prunes_nothing_relays_all_and_posts_when_told_the_time(
    table: Table, clock_ms: int
) -> None:
    raw, old = dated(WALL_MS, keep_hours=6), dated(WALL_MS, keep_hours=1, seed=8)
    oak = table.home()
    oak.ask("channel.join", name="plaza")
    before = Stranger(oak)
    table.settle()
    before.give(old)
    oak.stop()
    table.skew_ms = clock_ms - WALL_MS
    oak.start()
    with pytest.raises(CallerError) as refused:
        oak.post("when?")
    assert refused.value.code is Code.refused and "set this machine's clock" in refused.value.message
    assert oak.ask("status")["clock"]["state"] == "unsynced"
    table.run(3 * 24 * HOUR_MS)  # alone, it prunes nothing
    assert oak.raws() == [old] and oak.texts() == ["x"]
    stranger = Stranger(oak, greeting=(hello(wall_hour=HOUR), msg.Tags(bytes(msg.TAGS_SIZE))))
    table.settle()
    (said,) = stranger.heard(msg.Hello)
    assert (said.wall_hour, said.floor_hour) == (0, 0)
    long_gone, far = dated(WALL_MS - 10 * YEAR_MS, seed=4), dated(WALL_MS + 2 * 24 * HOUR_MS, seed=5)
    stranger.give(raw, long_gone, far)
    assert stranger.is_open and oak.raws() == [old, raw, long_gone, far]
    clock = oak.ask("status")["clock"]
    assert clock["state"] == "unsynced" and abs(clock["off_s"] * 1000 + clock_ms - WALL_MS) < 4 * 24 * HOUR_MS
    assert stamp(table, "now I can") >> 16 in range(HOUR * HOUR_MS, (HOUR + 1) * HOUR_MS)
    other = Stranger(oak, seed=9)
    table.settle()
    other.say(msg.Want(key(raw)[8:24]))
    assert raw in other.given()


def test_T08_the_users_word_does_not_make_an_impossible_clock_right(table: Table) -> None:
    table.skew_ms = -WALL_MS
    oak = table.home()
    with pytest.raises(CallerError, match="set this machine's clock"):
        oak.ask("clock.confirm")
    table.skew_ms = 0  # the user sets it
    assert oak.ask("status")["clock"]["state"] == "jumped"
    assert oak.ask("clock.confirm") == {"v": 1, "state": "ok", "off_s": 0, "advice": ""}
    assert oak.post("at last")


def test_T09_three_strangers_who_lie_about_the_time_raise_a_warning_and_no_more(table: Table) -> None:
    oak = table.home()
    for seed in range(3):
        Stranger(oak, seed=seed, greeting=(hello(wall_hour=HOUR + 48), msg.Tags(bytes(msg.TAGS_SIZE))))
        table.settle()
    clock = oak.ask("status")["clock"]
    assert clock["state"] == "ok" and clock["off_s"] > 47 * 3600 and "check the clock" in clock["advice"]
    assert stamp(table, "my own time") == WALL_MS << 16


@pytest.mark.parametrize(
    ("hours", "moved"),
    [
        ((48, 48, 48), True),
        ((48, 48, 0), False),
        ((48, 48, 48, 0), False),  # one agrees with us
        ((48, 48), False),
        ((48, 90, 150), False),  # they agree on nothing
    ],
)
def test_T09_three_contacts_move_mesh_time_if_our_clock_disagrees_with_all(
    hours: tuple[int, ...], moved: bool
) -> None:
    time = MeshTime(Now(0, WALL_MS), 0)
    for number, ahead in enumerate(hours):
        time.heard(bytes((number,)), HOUR + ahead, 0, is_contact=True)
    read = time.read(Now(0, WALL_MS))
    assert (read.wall_ms >= (HOUR + 48) * HOUR_MS) == moved
    assert read.synced and time.state == "ok"


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
    table.skew_ms = -3 * 24 * HOUR_MS  # our clock is days behind: the post seems far ahead
    oak = table.home()
    raw = dated(WALL_MS)
    stranger = Stranger(oak)
    table.settle()
    stranger.give(raw)
    assert stranger.is_open and oak.raws() == []
    table.skew_ms = 0
    stranger.give(raw)
    assert oak.texts() == ["x"]
