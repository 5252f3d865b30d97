"""When scenarios fire on one node: by what everybody knows, and by what it sees itself."""

from typing import Any

import pytest

from meshd.limits import CALL_SPAN_MS
from meshd.plans.arrangement import Arrangement, Called, Said
from meshd.plans.cue import After, At, Call, Cue, Dark, Phrase, Silence, Some
from meshd.plans.plan import Plan, Scenario, Version
from meshd.plans.watch import Senses, Watch
from meshd.statement import CALL, KEY, SIGN_PLAN, STAND_DOWN
from tests.plan_parts import PLAN, RESPONSE
from tests.test_arrangement import (
    BEGIN_MS,
    BRIDGE,
    END_MS,
    FERN,
    FIRST,
    KEY_BYTES,
    OAK,
    SECOND,
    arrangement,
    said,
)

OBSERVERS = frozenset(PLAN.identities(PLAN.observers))
NOON_S = PLAN.from_s + 3600
NOON_MS = NOON_S * 1000


def version(*cues: Cue, id: bytes = b"1" * 32, **changes: Any) -> Version:
    """A plan with these cues; the first scenario is sealed."""
    sealed = FIRST.plan.scenarios[0]._replace(cue=cues[0])
    others = [Scenario(f"s{place}", cue, RESPONSE, None) for place, cue in enumerate(cues[1:], start=1)]
    plan: Plan = PLAN._replace(scenarios=(sealed, *others), **changes)
    return FIRST._replace(id=id, plan=plan)


def arranged(made: Version, *more: Said) -> Arrangement:
    signed = [said(who, SIGN_PLAN, made, ms=BEGIN_MS - 1) for who in (OAK, FERN)]
    return arrangement(made, *signed, *more)


def calls(made: Version, ms: int = BEGIN_MS, *, drill: bool = False) -> list[Said]:
    return [said(who, CALL, made, BRIDGE, ms=ms, drill=drill) for who in (OAK, FERN)]


def senses(now_ms: int = BEGIN_MS, **changes: Any) -> Senses:
    calm = Senses(now_ms, True, False, frozenset(), lambda scenario, cue: frozenset(), lambda scenario: None)
    return calm._replace(**changes)


def test_a_call_fires_once_at_the_stamp_that_completes_it() -> None:
    made = version(Call())
    watch, known = Watch(made), arranged(made, *calls(made, BEGIN_MS + 5))
    assert watch.look(known, senses()) == [(0, False)] and watch.fired == {(0, False): BEGIN_MS + 5}
    assert watch.look(known, senses()) == []
    known.add(said(OAK, CALL, made, BRIDGE, ms=BEGIN_MS))
    known.add(said(FERN, CALL, made, BRIDGE, ms=BEGIN_MS + 1))
    assert watch.look(known, senses()) == [] and watch.fired == {(0, False): BEGIN_MS + 1}, "it was earlier"


def test_when_it_fired_here_stays_though_the_call_that_did_it_counts_no_longer() -> None:
    made = version(Call())
    forged = said(FERN, CALL, made, BRIDGE, ms=BEGIN_MS + 1)
    forgotten: list[Said] = []
    known = Arrangement(lambda each: each not in forgotten)
    known.add_version(made)
    for each in (*arranged(made).all(made, SIGN_PLAN), *calls(made, BEGIN_MS + 9), forged):
        assert known.add(each)
    watch = Watch(made)
    assert watch.look(known, senses()) == [(0, False)] and watch.fired == {(0, False): BEGIN_MS + 9}
    known.add(said(OAK, CALL, made, BRIDGE, ms=BEGIN_MS + 2))
    watch.look(known, senses())
    forgotten.append(forged)
    assert watch.look(known, senses()) == [] and watch.stands == {(0, False): BEGIN_MS + 9}
    assert watch.fired == {(0, False): BEGIN_MS + 2}


def test_a_call_needs_no_clock() -> None:
    made = version(Call())
    assert Watch(made).look(arranged(made, *calls(made)), senses(0, is_synced=False)) == [(0, False)]


def test_a_time_fires_when_it_has_come_and_never_by_a_clock_in_doubt() -> None:
    made = version(At(NOON_S))
    watch, known = Watch(made), arranged(made)
    assert watch.next_ms(BEGIN_MS) == NOON_MS and watch.next_ms(NOON_MS) is None
    assert watch.look(known, senses(NOON_MS - 1)) == []
    assert watch.look(known, senses(NOON_MS + 9, is_synced=False)) == [] and not watch.latched
    assert watch.look(known, senses(NOON_MS + 9)) == [(0, False)] and watch.fired == {(0, False): NOON_MS}


def test_nothing_fires_before_a_plan_is_arranged_or_out_of_its_time() -> None:
    made = version(At(NOON_S))
    assert Watch(made).look(arrangement(made), senses(NOON_MS)) == []
    assert Watch(made).look(arranged(made), senses(END_MS + 1)) == []
    last = version(At(PLAN.until_s))
    assert Watch(last).look(arranged(last), senses(END_MS)) == [(0, False)]
    early = version(At(PLAN.from_s - 1))
    assert Watch(early).look(arranged(early), senses(BEGIN_MS)) == []


def test_the_dark_is_seen_here_and_attested_and_latches() -> None:
    made = version(Some(2, (Dark(2), At(NOON_S))))
    watch, known = Watch(made), arranged(made)
    one, two = (frozenset(sorted(OBSERVERS)[:count]) for count in (1, 2))
    for is_dark, attesting, is_synced in (
        (True, one | {PLAN.people[4], PLAN.people[5]}, True),  # who is no observer does not count
        (False, OBSERVERS, True),
        (True, OBSERVERS, False),
    ):
        seen = senses(BEGIN_MS + 1, is_dark=is_dark, attesting=attesting, is_synced=is_synced)
        assert watch.look(known, seen) == [] and not watch.latched
    assert watch.look(known, senses(BEGIN_MS + 2, is_dark=True, attesting=two)) == []
    assert watch.latched == {(0, 0): BEGIN_MS + 2}
    assert watch.look(known, senses(NOON_MS)) == [(0, False)], "the light is back, and it was dark"


def test_silence_is_said_by_observers_and_not_by_who_is_missed() -> None:
    missed = PLAN.observers[0]
    cue = Silence(missed, 6, 2)
    made = version(Call(), cue)
    watch, known = Watch(made), arranged(made)
    asked = []

    def silent(scenario: str, leaf: Silence) -> frozenset[bytes]:
        asked.append((scenario, leaf))
        return heard

    heard = frozenset({PLAN.people[missed], sorted(OBSERVERS - {PLAN.people[missed]})[0]})
    assert watch.look(known, senses(silent=silent)) == [] and asked == [("s1", cue)]
    heard = OBSERVERS - {PLAN.people[missed]}
    assert watch.look(known, senses(BEGIN_MS + 7, silent=silent)) == [(1, False)]
    assert watch.fired == {(1, False): BEGIN_MS + 7}


def test_one_scenario_comes_after_another() -> None:
    made = version(Call(), After(2, 60), After(0, 0))
    watch, known = Watch(made), arranged(made, *calls(made, BEGIN_MS + 5))
    assert watch.look(known, senses(BEGIN_MS + 5)) == [(0, False), (2, False)], (
        "at once, whatever their order"
    )
    assert watch.next_ms(BEGIN_MS + 5) == BEGIN_MS + 60_005
    assert watch.look(known, senses(BEGIN_MS + 60_004)) == []
    assert watch.look(known, senses(BEGIN_MS + 60_005)) == [(1, False)]


def test_scenarios_that_come_at_once_after_each_other_fire_together() -> None:
    made = version(Call(), After(2, 0), After(0, 0))
    assert Watch(made).look(arranged(made, *calls(made)), senses()) == [(0, False), (2, False), (1, False)]


def test_a_phrase_that_was_spoken_early_opens_and_fires_nothing_before_the_plan_is_valid() -> None:
    made = version(Phrase())
    for opened_ms, fired_ms in ((1, BEGIN_MS), (BEGIN_MS + 9, BEGIN_MS + 9)):
        watch = Watch(made)
        assert watch.look(arranged(made), senses(opened_ms=lambda name, ms=opened_ms: ms)) == [(0, False)]
        assert watch.fired == {(0, False): fired_ms}
    passed = said(OAK, KEY, made, BRIDGE, payload=KEY_BYTES, ms=BEGIN_MS + 3)
    watch = Watch(made)
    assert watch.look(arranged(made, passed), senses()) == [(0, False)]
    assert watch.fired == {(0, False): BEGIN_MS + 3}
    assert Watch(made).look(arranged(made), senses()) == []


@pytest.mark.parametrize("is_passed", [False, True])
def test_a_phrase_that_was_overheard_waits_for_the_beginning_by_a_clock_that_is_known(
    is_passed: bool,
) -> None:
    made = version(Phrase())
    key = said(OAK, KEY, made, BRIDGE, payload=KEY_BYTES, ms=BEGIN_MS - 9)
    watch, known = Watch(made), arranged(made, *([key] if is_passed else []))

    def look(now_ms: int, is_synced: bool = True) -> list[tuple[int, bool]]:
        opened_ms = None if is_passed else BEGIN_MS - 9
        return watch.look(known, senses(now_ms, is_synced=is_synced, opened_ms=lambda name: opened_ms))

    assert look(BEGIN_MS - 1) == [] and look(BEGIN_MS, is_synced=False) == [] and not watch.stands
    assert look(BEGIN_MS) == [(0, False)]
    assert look(0, is_synced=False) == [] and watch.stands == {(0, False): BEGIN_MS}, "after a stop it stands"
    late = Watch(made)
    assert late.look(known, senses(END_MS + 1, opened_ms=lambda name: BEGIN_MS - 9)) == [(0, False)]


def test_what_comes_after_a_scenario_falls_with_it_though_it_fired() -> None:
    made = version(Call(), After(0, 60), After(1, 60))
    watch, known = Watch(made), arranged(made, *calls(made))
    watch.look(known, senses(BEGIN_MS + 60_000))
    assert watch.look(known, senses(BEGIN_MS + 120_000)) == [(2, False)] and len(watch.stands) == 3
    assert watch.look(known, senses(0, is_synced=False)) == [] and len(watch.stands) == 3, "latched"
    for who in (OAK, FERN):
        known.add(said(who, STAND_DOWN, made, BRIDGE, ms=END_MS))
    assert watch.look(known, senses(BEGIN_MS + 130_000)) == [] and watch.stands == {}


def test_a_look_at_the_worst_plan_asks_once_for_each_scenario(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty scenarios after each other, whose cues wait for the same call and phrase in every branch."""
    branches = (Call(), Phrase()) * 7
    sealed = FIRST.plan.scenarios[0]
    scenarios = [
        sealed._replace(name=f"s{place}", cue=Some(1, (After(place + 1, 0), *branches)))
        for place in range(29)
    ]
    scenarios.append(sealed._replace(name=BRIDGE, cue=Call()))
    made = FIRST._replace(plan=PLAN._replace(scenarios=tuple(scenarios)))
    known, asked, opened = arranged(made, *calls(made)), list[str](), list[str]()
    called = known.called

    def counted(about: Version, name: str, *, is_drill: bool) -> Called:
        asked.append(name)
        return called(about, name, is_drill=is_drill)

    def opened_ms(name: str) -> None:
        opened.append(name)

    monkeypatch.setattr(known, "called", counted)
    look = Watch(made).look(known, senses(opened_ms=opened_ms))
    assert len(look) == 30 and len(asked) == 2 * 30 and len(opened) == 29


def test_L06_what_was_stood_down_does_not_fire() -> None:
    made = version(Call(), At(NOON_S))
    down = [said(who, STAND_DOWN, made) for who in (OAK, FERN)]
    assert Watch(made).look(arranged(made, *calls(made), *down), senses(NOON_MS)) == []


def test_what_fired_is_told_once_and_does_not_stand_once_it_should_not_have_fired() -> None:
    made = version(Call(), After(0, 60))
    watch, known = Watch(made), arranged(made, *calls(made, BEGIN_MS + 9))
    assert watch.look(known, senses()) == [(0, False)] and watch.stands == {(0, False): BEGIN_MS + 9}
    again = Watch(made)
    again.fired.update(watch.fired)
    assert again.look(known, senses()) == [] and again.stands == watch.stands, "over a stop"
    for late in (
        [said(who, STAND_DOWN, made, ms=END_MS) for who in (OAK, FERN)],
        [said(who, SIGN_PLAN, SECOND, ms=BEGIN_MS + 9) for who in (OAK, FERN)],
    ):
        known, watch = arranged(made, *calls(made, BEGIN_MS + 9)), Watch(made)
        assert watch.look(known, senses()) == [(0, False)]
        known.add_version(SECOND)
        assert all([known.add(act) for act in late])
        assert watch.look(known, senses(BEGIN_MS + 99_000)) == [], "nor does what would have come after it"
        assert not watch.stands and watch.fired == {(0, False): BEGIN_MS + 9}
        assert watch.next_ms(BEGIN_MS) is None


def test_a_drill_fires_apart_and_never_becomes_real() -> None:
    made = version(At(NOON_S))
    watch, known = Watch(made), arranged(made, *calls(made, BEGIN_MS + 1, drill=True))
    assert watch.look(known, senses()) == [(0, True)] and watch.fired == {(0, True): BEGIN_MS + 1}
    assert watch.look(known, senses(NOON_MS)) == [(0, False)], "and does not keep what is real from coming"


def test_what_was_replaced_latches_nothing_more_and_keeps_what_fired() -> None:
    made = version(Call(), At(NOON_S))
    newer = version(Call(), id=b"2" * 32, number=2, first=made.id, previous=made.id)
    signed = [said(who, SIGN_PLAN, newer, ms=BEGIN_MS + 10) for who in (OAK, FERN)]
    watch, known = Watch(made), arranged(made)
    known.add_version(newer)
    for act in (*signed, *calls(made, BEGIN_MS + 9)):
        assert known.add(act)
    assert watch.look(known, senses(NOON_MS)) == [(0, False)], "called in time, heard late; and no time cue"
    assert not watch.latched


def test_L05_a_call_that_comes_too_late_after_the_other_fires_nothing() -> None:
    made = version(Call())
    late = [said(OAK, CALL, made, BRIDGE), said(FERN, CALL, made, BRIDGE, ms=BEGIN_MS + CALL_SPAN_MS + 1)]
    assert Watch(made).look(arranged(made, *late), senses()) == []


@pytest.mark.parametrize("kept", [{(0, 0): NOON_MS}, {}])
def test_latches_are_kept_over_a_stop(kept: dict[tuple[int, int], int]) -> None:
    made = version(Some(2, (At(NOON_S), Call())))
    watch = Watch(made)
    watch.latched.update(kept)
    known = arranged(made, *calls(made))
    assert watch.look(known, senses(NOON_MS, is_synced=False)) == ([(0, False)] if kept else [])
