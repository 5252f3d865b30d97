"""What is made of what was seen: which state, when it is dark, and that neither flaps. Times are those of no clock."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd.events import Found, Looked, WayOut
from meshd.internet import State
from meshd.limits import INTERNET_LATELY_MS
from meshd.store.remembered import Remembered
from tests.eyes import (
    ALONE,
    DARK,
    DAY,
    FULL,
    HOUR,
    LIMITED,
    MIN,
    NO_NETWORK,
    PORTAL,
    ROUTED,
    SETTLE,
    UNKNOWN,
    WALL_MS,
    Eye,
    S,
    online,
    probes,
    system,
)

# --- the states ---


@pytest.mark.parametrize(
    ("seen", "state"),
    [
        ([], None),
        ([FULL], None),  # the routes come first
        ([ROUTED], None),  # a way out, and nobody says where it leads
        ([ROUTED, UNKNOWN], None),
        ([NO_NETWORK], State.OFFLINE),
        ([ALONE], State.LOCAL),
        ([ROUTED, FULL], State.FULL),
        ([ROUTED, LIMITED], State.LOCAL),
        ([ROUTED, PORTAL], State.PORTAL),
        ([NO_NETWORK, FULL], State.OFFLINE),  # the routes are told first
        (
            [ROUTED, FULL, probes(Found.NOTHING)],
            State.LOCAL,
        ),  # a network that answers the system's check alone
        ([ROUTED, LIMITED, probes(Found.FULL)], State.FULL),
        ([ROUTED, FULL, probes(Found.DOMESTIC)], State.DOMESTIC),
        ([ROUTED, PORTAL, probes(Found.NOTHING)], State.PORTAL),
        ([ROUTED, PORTAL, probes(Found.DOMESTIC)], State.DOMESTIC),  # a country's wall, no captive portal
        ([ROUTED, LIMITED, probes(Found.PORTAL)], State.PORTAL),
        ([ROUTED, FULL, probes(Found.UNKNOWN)], State.FULL),
    ],
)
def test_state(seen: list[WayOut | Looked], state: State | None) -> None:
    assert Eye().see(*seen).wait(SETTLE).state is state


def test_the_first_state_is_told_at_once_and_any_other_when_it_has_lasted() -> None:
    eye = Eye().see(ROUTED, FULL)
    assert eye.state is State.FULL
    eye.see(LIMITED).wait(SETTLE - 1)
    assert eye.state is State.FULL
    eye.wait(1)
    assert eye.state is State.LOCAL
    assert eye.view.brief(eye.now) == {"state": "local", "since": "2026-12-02T13:00:30.000Z"}


def test_who_looks_often_does_not_put_it_off() -> None:
    eye = online().see(LIMITED)
    for _ in range(SETTLE // S):
        eye.wait(S).see(LIMITED)
    assert eye.state is State.LOCAL


def test_who_is_woken_late_or_only_asked_says_the_same() -> None:
    eye = online().see(LIMITED).sleep(SETTLE)
    assert eye.view.brief(eye.now) == {"state": "local", "since": "2026-12-02T14:00:30.000Z"}
    assert eye.sleep(DARK).dark
    late = online().see(LIMITED).sleep(DARK).see(FULL)
    assert late.dark and late.state is State.LOCAL  # what was due comes before what was seen after it


def test_nobody_looks_any_more() -> None:
    eye = online().see(UNKNOWN).wait(SETTLE)
    assert eye.state is None and eye.view.brief(eye.now) is None and not eye.dark


# --- dark ---


def test_what_was_there_and_is_gone_is_dark_after_five_minutes() -> None:
    eye = online().see(LIMITED).wait(DARK - 1)
    assert not eye.dark and eye.why == "gone for 4 min; that counts as dark in 1 min"
    eye.wait(1)
    assert eye.dark and eye.why == "the internet is gone, and was here within seven days"
    assert eye.document()["dark_since"] == eye.document()["since"].replace("00:30", "05:00")


def test_it_stays_dark_until_all_of_it_has_been_back_for_a_while() -> None:
    eye = online().see(LIMITED).wait(DARK)
    for seen in (PORTAL, ALONE, NO_NETWORK, ROUTED, UNKNOWN, LIMITED):
        eye.see(seen).wait(HOUR)
        assert eye.dark, seen
    eye.see(FULL).wait(SETTLE - 1)
    assert eye.dark
    eye.wait(1)
    assert not eye.dark and eye.why == "the internet is here"


def test_since_when_it_is_dark_does_not_move_on() -> None:
    eye = online().see(LIMITED).wait(DARK)
    since = eye.document()["dark_since"]
    assert eye.wait(HOUR).see(NO_NETWORK).see(ROUTED, LIMITED).wait(DAY).document()["dark_since"] == since


def test_a_line_that_stutters_is_not_dark() -> None:
    eye = online()
    for _ in range(100):
        eye.see(LIMITED).wait(DARK - S).see(FULL).wait(S)
    assert not eye.dark


def test_who_saw_no_internet_for_seven_days_does_not_miss_it() -> None:
    never = Eye().see(ROUTED, LIMITED).wait(DAY)
    assert not never.dark and never.why == "no internet was seen here within seven days, so nobody misses it"
    eye = online().see(LIMITED).wait(DARK)
    seen_ms = eye.view.remembered.full_ms
    eye.wait(seen_ms + INTERNET_LATELY_MS - eye.now.wall_ms)
    assert eye.dark
    assert not eye.wait(1).dark


def test_abroad_is_gone() -> None:
    eye = Eye().see(ROUTED, probes(Found.FULL)).wait(HOUR).see(probes(Found.DOMESTIC)).wait(DARK)
    assert eye.state is State.DOMESTIC and eye.dark and eye.why.startswith("abroad does not answer")


def test_a_country_that_has_always_been_walled_in_is_not_dark_until_that_goes_too() -> None:
    eye = Eye().see(ROUTED, probes(Found.DOMESTIC))
    for _ in range(30 * 24):  # a node has something to do every hour
        assert not eye.wait(HOUR).dark
    eye.see(probes(Found.NOTHING)).wait(DARK - 1)
    assert not eye.dark
    assert eye.wait(1).dark


def test_after_seven_days_of_only_home_that_is_how_it_is() -> None:
    eye = Eye().see(ROUTED, probes(Found.FULL)).wait(HOUR).see(probes(Found.DOMESTIC)).wait(8 * DAY)
    assert not eye.dark
    eye.see(probes(Found.NOTHING)).wait(DARK - 1)
    assert not eye.dark  # it does not begin at what was missed before
    assert eye.wait(1).dark


def test_nobody_looks_so_nobody_misses() -> None:
    eye = online().see(UNKNOWN).wait(DAY)
    assert not eye.dark and "nobody on this laptop looks" in eye.why


def test_an_unsynced_laptop_never_says_that_it_is_dark() -> None:
    eye = online().see(LIMITED).wait(DARK)
    eye.synced = False
    assert not eye.dark and "does not know the time" in eye.why
    eye.synced = True
    assert eye.dark


def test_abroad_does_not_come_back_by_not_knowing_the_time() -> None:
    eye = Eye().see(ROUTED, probes(Found.FULL)).wait(HOUR).see(probes(Found.DOMESTIC)).wait(DARK).restart()
    eye.synced = False
    eye.see(ROUTED, probes(Found.DOMESTIC)).wait(HOUR)
    eye.synced = True
    assert eye.dark


def test_what_was_seen_before_the_time_was_known_is_not_missed() -> None:
    """It was noted by no clock, so nobody knows how long ago that was."""
    eye = Eye()
    eye.synced = False
    eye.see(ROUTED, FULL).wait(HOUR).see(LIMITED).wait(SETTLE)
    eye.synced = True
    assert not eye.see(LIMITED).wait(DAY).dark


def test_a_wall_clock_that_was_years_ahead_does_not_make_it_lately() -> None:
    full_ms = WALL_MS + 400 * DAY
    assert not Eye(Remembered("full", full_ms, full_ms)).see(ROUTED, LIMITED).wait(DAY).dark


# --- what is not a blackout ---


def test_a_captive_portal_is_not_dark() -> None:
    eye = online().see(NO_NETWORK).move().wait(10 * S).see(ROUTED).move().see(PORTAL).wait(DAY)
    assert eye.state is State.PORTAL and not eye.dark and "log in" in eye.why


@pytest.mark.parametrize("seen", [[probes(Found.FULL), LIMITED], [probes(Found.NOTHING), PORTAL]])
def test_one_who_finds_nothing_does_not_outweigh_who_finds_something(seen: list[Looked]) -> None:
    assert not online().see(*seen).wait(DAY).dark


def test_the_time_behind_a_captive_portal_is_not_counted_in() -> None:
    eye = online().see(PORTAL).wait(HOUR).move().see(LIMITED).wait(6 * DARK - 1)
    assert not eye.dark
    assert eye.wait(1).dark


def test_airplane_mode_is_not_dark() -> None:
    eye = online().see(UNKNOWN, NO_NETWORK).move().wait(DAY)
    assert eye.state is State.OFFLINE and not eye.dark and "no way out" in eye.why


def test_a_hotspot_that_leads_nowhere_is_not_dark() -> None:
    eye = online().see(UNKNOWN, ALONE).move().wait(DAY)
    assert eye.state is State.LOCAL and not eye.dark


def test_a_cable_that_leads_nowhere_is_not_looked_over_though_the_system_looks() -> None:
    assert not online().see(LIMITED, ALONE).wait(DAY).dark


@pytest.mark.parametrize("late_ms", [0, 20 * S, 2 * DARK - 1])
def test_a_vpn_that_goes_down_is_not_dark_while_its_owner_mends_it(late_ms: int) -> None:
    """With a switch that lets nothing past the VPN; the system may notice late."""
    eye = online().move().wait(late_ms).see(LIMITED).wait(6 * DARK - 1)
    assert eye.state is State.LOCAL and not eye.dark
    assert not eye.see(FULL).wait(DAY).dark


def test_a_network_that_changed_long_before_has_nothing_to_do_with_it() -> None:
    assert online().move().wait(2 * DARK).see(LIMITED).wait(DARK).dark


def test_who_does_not_mend_it_for_half_an_hour_is_dark() -> None:
    """As is who was carried into the blackout, or only woke up in it."""
    eye = online().move().see(LIMITED).wait(6 * DARK - 1)
    assert not eye.dark
    assert eye.wait(1).dark


def test_what_went_and_came_back_before_is_not_counted_in() -> None:
    eye = online().see(LIMITED).wait(MIN).see(FULL).wait(HOUR).move().see(LIMITED).wait(6 * DARK - 1)
    assert not eye.dark
    assert eye.wait(1).dark


def test_a_change_of_our_own_in_the_middle_makes_it_wait_too() -> None:
    eye = online().see(LIMITED).wait(DARK - 1).move().wait(5 * DARK)
    assert not eye.dark
    assert eye.wait(1).dark


def test_waking_up_is_not_dark() -> None:
    """The system loses all while it sleeps, and finds it again in steps."""
    eye = online().see(NO_NETWORK, UNKNOWN).wait(S)
    eye.move().see(ALONE).wait(2 * S).see(ROUTED, LIMITED).move().wait(40 * S)
    assert not eye.dark
    eye.see(FULL).wait(HOUR)
    assert eye.state is State.FULL and not eye.dark


def test_a_walk_between_two_poor_networks_is_not_dark_on_the_second_at_once() -> None:
    eye = online().move().see(LIMITED).wait(MIN).see(NO_NETWORK).move().wait(HOUR)
    eye.see(ROUTED, LIMITED).move().wait(DARK - 1)
    assert not eye.dark
    assert not eye.see(FULL).wait(DAY).dark


def test_a_walk_through_a_blackout_is_dark_on_the_next_network_after_five_minutes() -> None:
    """The half hour for what may be our own doing runs since it was gone first."""
    eye = online().move().see(LIMITED).wait(MIN).see(NO_NETWORK).move().wait(HOUR)
    assert eye.see(ROUTED, LIMITED).move().wait(DARK).dark


def test_home_answering_again_does_not_begin_the_half_hour_anew() -> None:
    eye = Eye().see(ROUTED, probes(Found.FULL)).wait(HOUR).move().see(probes(Found.NOTHING)).wait(DARK)
    eye.see(probes(Found.DOMESTIC))
    for _ in range(5):
        assert not eye.wait(DARK - S).dark
    assert eye.wait(5 * S).dark


# --- over a stop ---


def test_what_was_seen_is_remembered_over_a_stop() -> None:
    dark = online().see(LIMITED).wait(DARK).restart(away_ms=2 * DAY)
    assert dark.dark and dark.state is None
    before = dark.view.remembered
    dark.see(ROUTED, LIMITED)
    assert dark.view.remembered == before and dark.state is State.LOCAL  # since when, too
    assert not dark.see(FULL).wait(SETTLE).dark

    assert online().restart().see(ROUTED, LIMITED).wait(6 * DARK).dark
    assert not online().restart(away_ms=8 * DAY).see(ROUTED, LIMITED).wait(DAY).dark


@pytest.mark.parametrize("found", [Found.FULL, Found.DOMESTIC])
def test_little_is_written(found: Found) -> None:
    eye, versions = Eye().see(ROUTED, probes(found)).wait(HOUR), set()
    for _ in range(600):
        eye.see(probes(found)).wait(S)
        versions.add(eye.view.remembered)
    assert len(versions) <= 2


# --- whatever is seen ---

WAYS = [ROUTED, ALONE, NO_NETWORK]
WORDS = [*map(system, Found), *map(probes, Found)]
STEPS = st.lists(
    st.tuples(
        st.sampled_from([*WAYS, *WORDS, None]), st.sampled_from([1, S, 10 * S, 31 * S, 6 * MIN, HOUR, DAY])
    ),
    max_size=40,
)


@given(STEPS)
def test_nothing_flaps_and_dark_means_missed(steps: list[tuple[WayOut | Looked | None, int]]) -> None:
    eye = Eye()
    changes: list[tuple[int, State | None, State | None]] = []
    was_dark = False
    full_seen_ms = None
    for event, wait_ms in steps:
        before = eye.state
        if event is None:
            eye.move()
        else:
            eye.see(event)
        end_ms = eye.mono_ms + wait_ms
        while True:
            if eye.state is not before:
                changes.append((eye.mono_ms, before, eye.state))
                before = eye.state
            if eye.state is State.FULL or eye.state is State.DOMESTIC:
                full_seen_ms = eye.mono_ms
            is_dark = eye.dark
            if is_dark and not was_dark:
                assert eye.state in (State.LOCAL, State.DOMESTIC)
                assert full_seen_ms is not None and eye.mono_ms - full_seen_ms <= INTERNET_LATELY_MS
                assert eye.mono_ms - eye.view._missed_ms >= DARK
            if was_dark and not is_dark:
                stale = eye.now.wall_ms - max(eye.view.remembered.full_ms, eye.view.remembered.domestic_ms)
                assert eye.state in (State.FULL, State.DOMESTIC) or stale > INTERNET_LATELY_MS
            was_dark = is_dark
            due_ms = eye.view.due_ms
            if due_ms is None or due_ms > end_ms:
                break
            eye.wait(due_ms - eye.mono_ms)
        eye.wait(end_ms - eye.mono_ms)
    for (first_ms, _, now_is), (second_ms, _, _) in pairwise(changes):
        assert now_is is None or second_ms - first_ms >= SETTLE


@given(st.lists(st.sampled_from([*WAYS, *WORDS]), max_size=12), st.integers(0, 2 * DAY))
def test_what_is_seen_steadily_settles_whatever_came_before(
    seen: list[WayOut | Looked], wait_ms: int
) -> None:
    eye = Eye().see(*seen).wait(wait_ms)
    eye.see(ROUTED, probes(Found.UNKNOWN), FULL).wait(SETTLE)
    assert eye.state is State.FULL and not eye.dark
    fresh = Eye().see(*[each for each in seen if isinstance(each, WayOut)][-1:], ROUTED, FULL).wait(SETTLE)
    assert fresh.state is eye.state
