"""Plans as people see them: what is there stands in a line, and what is not takes none."""

from typing import Any

import click
import pytest

from cli import text_fired, text_plans
from cli.text import local_time
from tests.cli_script import ID, STATUS
from tests.test_cli_plans import CLEAR, CUE, FERN, OAK, PLAN, PROPOSED, RESPONSE, SEALED, SHARE, SIGNED

TIME = "2026-12-05T12:00:00.000Z"
BARE = {
    **PLAN, "signers": [], "stewards": [], "freeze_when_dark": False,
    "scenarios": [{**CLEAR, "cue": {"at": TIME}, "state": "fired", "fired_at": TIME,
                   "response": {"text": "Go.", "place": "", "at": TIME, "checklist": []}}],
}  # fmt: skip


def plain(lines: Any) -> list[str]:
    return [click.unstyle(line) for line in lines]


def test_what_a_plan_has_not_takes_no_line() -> None:
    assert plain(text_plans.shown({"plans": [BARE]})) == [
        "Saturday 7f3a7f3a, version 1: active",
        "  signed by 0 of 2: nobody",
        "  group       kitchen, proposed by oak",
        f"  valid       {local_time(str(PLAN['valid_from']))} to {local_time(str(PLAN['valid_until']))}",
        "  organisers  oak, fern; 2 call or stand down",
        "  observers   oak",
        "",
        f"  blackout: fired at {local_time(TIME)}",
        f"    when      from {local_time(TIME)}",
        "    text      Go.",
        f"    at        {local_time(TIME)}",
    ]
    full = plain(text_plans.shown({"plans": [{**PLAN, "scenarios": [{**SEALED, "shares": None}]}]}))
    assert "  stewards    oak, fern; 2 open a lock of shares" in full
    assert "  while it is dark nobody is added to the group" in full
    assert "    opens by  phrase or shares" in full, "no count where there is none"


def test_who_proposes_is_told_the_phrases_and_who_reads_it_what_to_do() -> None:
    warning = "A phrase that is overheard opens early; so do as many stewards as it takes, together."
    signed = [
        "Saturday 7f3a7f3a, version 1: proposed",
        "  signed by 1 of 2: oak",
        "  waits for organisers: `mesh plan show beefbeef`, then `mesh plan sign beefbeef`",
    ]
    proposed = {**PROPOSED, "version_id": "beef" * 16}
    assert plain(text_plans.proposed(proposed)) == [
        *signed,
        "Write these down now: no laptop can show them again. Case, punctuation and spacing do not matter.",
        "  bridge-closed: otter river moss fern reed ivy",
        warning,
    ]
    assert plain(text_plans.proposed({**proposed, "phrases": []})) == [*signed, warning]
    assert len(plain(text_plans.signed({**SIGNED, "state": "active"}))) == 2, "nobody is waited for"


@pytest.mark.parametrize(("spare", "said"), [(1, "1 may be lost"), (0, "0 may be lost"), (-2, "2 too few")])
def test_readiness_says_how_many_may_be_lost(spare: int, said: str) -> None:
    ready = {"holders": 7, "stewards": {"heard": 4, "total": 5, "spare": spare}, "clocks_off": 0}
    held = ["held by    7", f"stewards   4 of 5 heard from within a day: {said}", "clocks     none off"]
    assert plain(text_plans.ready(ready)) == held
    names = {"not_holding": [], "stewards_not_heard": [FERN], "clocks_off": []}
    told = ["not holding it, as far as they said: nobody", "stewards not heard from: fern"]
    assert plain(text_plans.ready({**ready, "names": names})) == held + told
    off = {**ready, "clocks_off": 1, "names": {**names, "clocks_off": [OAK]}}
    assert plain(text_plans.ready(off))[2:] == ["clocks     1 off", *told, "clocks that are off: oak"]
    none = {**ready, "stewards": {"heard": 0, "total": 0, "spare": 0}, "names": names}
    assert plain(text_plans.ready(none)) == [held[0], held[2], told[0]]


def test_what_is_opened_is_read_and_what_is_not_is_not() -> None:
    opened = {"scenario": "go", "state": "open", "response": None}
    assert plain(text_plans.opened(opened)) == ["go: open"]
    assert plain(text_plans.opened({**opened, "response": RESPONSE}))[:2] == ["go: open", "  text      Meet."]


def test_a_share_stands_four_words_a_line_and_each_once() -> None:
    words = [f"word{number}" for number in range(20)]
    first, *rows = plain(text_plans.share_words({**SHARE, "words": " ".join(words)}))
    assert first == "bridge-closed: sealed, 1 of 3 shares are here"
    assert [row.split() for row in rows] == [words[at : at + 4] for at in range(0, 20, 4)]


def test_a_call_names_who_called_and_a_score_comes_with_the_firing() -> None:
    assert plain(text_plans.cue(CUE)) == ["bridge-closed of Saturday: 1 of 2 called: oak; sealed"]
    assert plain(text_plans.cue({**CUE, "signers": []})) == [
        "bridge-closed of Saturday: 0 of 2 called; sealed"
    ]
    score = {"reached": 0, "opened": 0, "minutes": 0.0}
    assert len(plain(text_plans.cue({**CUE, "drill": True, "score": score}))) == 1


@pytest.mark.parametrize(
    ("scenario", "drill", "said"),
    [("go", False, "go"), ("go", True, "go (drill)"), (None, False, "all scenarios")],
)
def test_a_stand_down_says_of_what(scenario: str | None, drill: bool, said: str) -> None:
    document = {**CUE, "scenario": scenario, "drill": drill, "state": "stood-down"}
    assert plain(text_plans.stood_down(document)) == [f"{said}: 1 of 2 stood down; stood-down"]


def test_heartbeats_are_on_or_off() -> None:
    assert plain(text_plans.heartbeat({"state": "off"})) == ["off"]
    assert plain(text_plans.heartbeat({"state": "on"}))[0].startswith("on: where a plan waits")


@pytest.mark.parametrize(("active", "fired"), [(0, 0), (1, 0), (0, 1)])
def test_the_status_tells_of_plans_that_are_active_or_fired_and_of_no_others(active: int, fired: int) -> None:
    lines = plain(text_fired.status({**STATUS, "plans": {"active": active, "fired": fired, "alarms": []}}))
    told = [line for line in lines if line.startswith("plans ")]
    assert told == (
        [f"plans      {active} active, {fired} fired: `mesh plan list`"] if active or fired else []
    )


def test_a_firing_stands_or_does_not() -> None:
    fired = {"time": TIME, "group": "kitchen", "drill": False, "scenario": "go", "title": "Saturday",
             "plan": ID, "stands": True}  # fmt: skip
    begun = f"{local_time(TIME)} kitchen  go of the plan Saturday"
    assert plain(text_fired.fired(fired)) == [f"{begun} has fired: `mesh plan show 7f3a7f3a`"]
    (over,) = plain(text_fired.fired({**fired, "stands": False}))
    assert over.startswith(f"{begun} had fired, and does not stand")
    (drill,) = plain(text_fired.fired({**fired, "drill": True}))
    assert "drill of go of the plan Saturday has fired" in drill
