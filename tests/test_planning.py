"""What the user does about plans, by command, among homes on a table."""

from pathlib import Path

import pytest

from meshd.errors import CallerError, Code
from meshd.limits import HOLD_FIRST_MS
from meshd.proposing import Stretched
from tests.homes import Home, Table
from tests.planners import PHRASES, SALT, file, open_, propose, publish, say, shown, stretched
from tests.test_inbox import identity
from tests.test_own_groups import group
from tests.test_vouching import later

HOUR_MS = 3_600_000


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


@pytest.fixture
def homes(table: Table) -> list[Home]:
    return group(table, 3)


@pytest.fixture
def arranged(homes: list[Home]) -> list[Home]:
    """Three homes with a plan that two of them have signed; all three are stewards."""
    propose(homes[0], file(homes[:2], homes))
    say(homes[1], "plan.sign")
    return homes


def refused(code: Code, said: str, home: Home, method: str, **params: object) -> None:
    with pytest.raises(CallerError, match=said) as caught:
        home.ask(method, **params)
    assert caught.value.code is code


def states(homes: list[Home], scenario: str) -> list[str]:
    return [shown(home, scenario)["state"] for home in homes]


# --- arranging ---


def test_a_plan_is_proposed_signed_and_shown_alike(homes: list[Home]) -> None:
    oak, elm, ash = homes
    told = propose(oak, file([oak, elm], homes))
    assert (told["version"], told["state"], told["needed"]) == (1, "proposed", 2)
    assert [each["name"] for each in told["signers"]] == [oak.log.name]
    signed = say(elm, "plan.sign")
    assert signed["state"] == "active" and len(signed["signers"]) == 2 and signed["id"] == told["id"]
    assert say(elm, "plan.sign") == signed, "once is enough"
    for home in homes:
        (plan,) = home.ask("plan.list")["plans"]
        assert (plan["id"], plan["group"], plan["title"]) == (told["id"], "kitchen", "Saturday")
        assert [each["id"] for each in plan["organisers"]] == sorted(
            identity(each).hex() for each in (oak, elm)
        )
        assert [each["name"] for each in plan["scenarios"]] == ["bridge", "home", "noon"]
    assert states(homes, "bridge") == ["open", "open", "sealed"]
    assert shown(elm, "bridge")["response"] == {
        "text": "Meet at the old mill.", "place": "", "at": "+30m", "checklist": ["water"],
    }  # fmt: skip
    assert shown(ash, "bridge")["response"] is None
    assert shown(ash, "bridge")["locks"] == ["phrase", "shares"] and shown(ash, "bridge")["cue"] == {
        "call": True
    }
    assert shown(ash, "noon")["state"] == "open" and list(shown(ash, "noon")["cue"]) == ["at"]


def test_a_plan_goes_by_its_title_or_the_beginning_of_an_id(arranged: list[Home]) -> None:
    oak = arranged[0]
    id = oak.ask("plan.show", plan="saturday")["plans"][0]["id"]
    assert oak.ask("plan.show", plan=id[:6])["plans"][0]["id"] == id
    for wrong in ("Sunday", id[:5], ""):
        refused(Code.not_found, f"there is no plan {wrong} here", oak, "plan.show", plan=wrong)
    refused(Code.not_found, "it has bridge, home, noon", oak, "cue.fire", plan="Saturday", scenario="gone")
    propose(oak, file(arranged[:1], title="SATURDAY", threshold=1))
    refused(Code.usage, "Saturday could be: ", oak, "plan.show", plan="Saturday")


@pytest.mark.parametrize(
    ("changed", "code", "said"),
    [
        ({"text": b"title = 3"}, Code.invalid, "line 1: title is not text"),
        ({"group": "garden"}, Code.not_found, "you are in no group garden"),
        ({"replaces": "Sunday"}, Code.not_found, "no plan Sunday"),
        ({"text": file([]).encode()}, Code.invalid, "organisers"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_sent(
    homes: list[Home], changed: dict[str, object], code: Code, said: str
) -> None:
    asked = {"text": file(homes[:2]).encode(), "group": "kitchen", **changed}
    refused(code, said, homes[0], "plan.phrases", **asked)
    refused(code, said, homes[0], "plan.publish", **asked, stretched={})
    assert homes[0].ask("plan.list")["plans"] == []


def test_a_plan_that_is_over_or_ends_too_late_is_refused(homes: list[Home]) -> None:
    oak = homes[0]
    over, late = (
        file([oak], threshold=1, from_h=-9, until_h=-8),
        file([oak], threshold=1, from_h=24 * 8, until_h=24 * 90),
    )
    refused(Code.expired, "time is over", oak, "plan.phrases", text=over.encode(), group="kitchen")
    refused(Code.usage, "within 89 days", oak, "plan.phrases", text=late.encode(), group="kitchen")
    propose(oak, file([oak], threshold=1, from_h=24 * 8, until_h=24 * 89 - 2))


def test_who_is_in_no_group_with_us_or_was_never_heard_is_named(table: Table, homes: list[Home]) -> None:
    oak, elm, _ = homes
    stranger = table.home("stranger")
    oak.ask("contact.add", card=stranger.ask("id.show")["card"], name="stranger")
    asked = {"text": file([oak, stranger]).encode(), "group": "kitchen"}
    refused(Code.refused, "no members of the group: stranger", oak, "plan.phrases", **asked)
    elm.stop()
    later(table, 9 * 24 * HOUR_MS)
    asked = {"text": file([oak, elm], from_h=200, until_h=300).encode(), "group": "kitchen"}
    refused(Code.refused, f"{elm.log.name} .not heard from for 9 days.: meet", oak, "plan.phrases", **asked)


def test_one_of_several_may_act_alone_only_if_that_is_said(homes: list[Home]) -> None:
    oak = homes[0]
    asked = {"text": file(homes[:2], threshold=1).encode(), "group": "kitchen"}
    refused(Code.invalid, "--single", oak, "plan.phrases", **asked)
    assert propose(oak, file(homes[:2], threshold=1), single=True)["state"] == "active"
    assert say(homes[1], "cue.fire", scenario="bridge")["state"] == "fired"


def test_the_next_version_stands_once_those_of_the_one_before_have_signed(arranged: list[Home]) -> None:
    oak, elm, ash = arranged
    told = propose(ash, file([ash, elm], text="Elsewhere."), replaces="Saturday")
    assert (told["version"], told["state"], told["needed"], told["signers"]) == (2, "proposed", 2, [])
    assert len(ash.ask("plan.show", plan="Saturday")["plans"]) == 2
    (named,) = ash.ask("plan.show", plan=told["version_id"][:8])["plans"]
    assert (named["version"], named["version_id"]) == (2, told["version_id"]), "one version by its own id"
    refused(Code.refused, "not yours to sign", ash, "plan.sign", plan="Saturday")
    assert say(elm, "plan.sign")["version"] == 2
    assert say(oak, "plan.sign")["state"] == "active"
    for home in arranged:
        for name in ("Saturday", told["id"][:8]):
            (plan,) = home.ask("plan.show", plan=name)["plans"]
            assert (plan["version"], plan["id"]) == (2, told["id"])
    assert states(arranged, "bridge") == ["sealed", "open", "open"], "oak is no organiser of it any more"


def test_nothing_is_done_with_a_plan_that_is_not_arranged(homes: list[Home]) -> None:
    propose(homes[0], file(homes[:2]))
    for method, params in {
        "cue.fire": {"scenario": "bridge"},
        "plan.stand-down": {},
    }.items():
        refused(Code.not_met, "Saturday is proposed: 1 of 2", homes[1], method, plan="Saturday", **params)


# --- cues ---


def test_a_call_shows_one_of_two_everywhere_until_the_second_signs(arranged: list[Home]) -> None:
    oak, elm, ash = arranged
    called = say(oak, "cue.fire", scenario="bridge")
    assert (len(called["signers"]), called["needed"], called["state"]) == (1, 2, "open")
    assert len(say(oak, "cue.fire", scenario="bridge")["signers"]) == 1, "the same one twice is one"
    for home in arranged:
        assert shown(home, "bridge")["progress"] == {"have": 1, "needed": 2}
        assert shown(home, "bridge")["state"] != "fired"
        assert [len(each["signers"]) for each in home.ask("cue.list")["cues"]] == [1, 0, 0]
    assert say(elm, "cue.fire", scenario="bridge")["state"] == "fired"
    assert states(arranged, "bridge") == ["fired"] * 3
    response = shown(ash, "bridge")["response"]
    assert response["text"] == "Meet at the old mill." and response["at"].endswith("Z"), (
        "its key was passed on"
    )
    assert shown(ash, "bridge")["fired_at"] < response["at"]
    assert say(oak, "cue.fire", scenario="bridge")["state"] == "fired", "again is no fault"
    refused(Code.refused, "an organiser calls", ash, "cue.fire", plan="Saturday", scenario="bridge")


def test_who_may_call_what_and_when(table: Table, homes: list[Home]) -> None:
    oak, _elm, ash = homes
    propose(oak, file([oak], threshold=1, from_h=1, until_h=2))
    fire = {"plan": "Saturday", "scenario": "bridge"}
    refused(Code.not_met, "not valid yet", oak, "cue.fire", **fire)
    later(table, HOUR_MS)
    refused(Code.refused, "another cue than a call", oak, "cue.fire", **{**fire, "scenario": "noon"})
    refused(Code.refused, "organise", ash, "cue.fire", **fire)
    later(table, 2 * HOUR_MS)
    refused(Code.expired, "over", oak, "cue.fire", **fire)


def test_a_drill_of_anything_fires_and_opens_nothing(arranged: list[Home]) -> None:
    oak, elm, ash = arranged
    for home in (oak, elm):
        told = say(home, "cue.fire", scenario="noon", drill=True)
    assert (
        told["drill"] and told["state"] == "fired" and set(told["score"]) == {"reached", "opened", "minutes"}
    )
    for home in (oak, elm):
        say(home, "cue.fire", scenario="bridge", drill=True)
    assert (
        states(arranged, "bridge") == ["open", "open", "sealed"] and shown(ash, "bridge")["response"] is None
    )
    drills = [each["scenario"] for each in ash.ask("cue.list")["cues"] if each["drill"]]
    assert drills == ["bridge", "noon"]


def test_a_stand_down_is_final(arranged: list[Home]) -> None:
    oak, elm, ash = arranged
    told = say(oak, "plan.stand-down", scenario="bridge")
    assert (len(told["signers"]), told["needed"], told["state"]) == (1, 2, "open")
    assert say(elm, "plan.stand-down", scenario="bridge")["state"] == "stood-down"
    assert states(arranged, "bridge") == ["stood-down"] * 3
    refused(Code.refused, "final", oak, "cue.fire", plan="Saturday", scenario="bridge")
    for home in (oak, elm):
        told = say(home, "plan.stand-down")
    assert told["scenario"] is None and told["state"] == "stood-down"
    assert ash.ask("plan.show", plan="Saturday")["plans"][0]["state"] == "stood-down"


# --- locks ---


def test_a_phrase_opens_what_it_locks_for_who_typed_it(arranged: list[Home]) -> None:
    _oak, _elm, ash = arranged
    with pytest.raises(CallerError, match="does not open it") as caught:
        open_(ash, "bridge", PHRASES["bridge"].replace("moss", "mosses"))
    assert caught.value.code is Code.not_met and states(arranged, "bridge")[2] == "sealed"
    opened = open_(ash, "bridge", "  Otter, RIVER—moss  fern; reed ivy!")
    assert opened["state"] == "open" and opened["response"]["text"] == "Meet at the old mill."
    assert states(arranged, "home") == ["open", "open", "sealed"]


def test_who_passes_a_key_on_opens_it_for_all_and_a_phrase_cue_fires(arranged: list[Home]) -> None:
    ash = arranged[2]
    opened = open_(ash, "home", PHRASES["home"], pass_on=True)
    assert opened["state"] in ("open", "fired") and states(arranged, "home") == ["fired"] * 3


def test_only_a_phrase_lock_opens_by_a_phrase(arranged: list[Home]) -> None:
    refused(Code.refused, "no phrase lock", arranged[2], "plan.salt", plan="Saturday", scenario="noon")


def test_shares_are_shown_released_and_typed_in(arranged: list[Home]) -> None:
    oak, _elm, ash = arranged
    words = {home.number: home.ask("plan.share.show", plan="Saturday") for home in arranged}
    assert {each["scenario"] for each in words.values()} == {"bridge"}
    assert all(len(each["words"].split()) == 20 for each in words.values())
    assert len({each["words"] for each in words.values()}) == 3
    told = say(oak, "plan.share.release", scenario="bridge")
    assert (told["scenario"], told["needed"]) == ("bridge", 2)
    assert shown(ash, "bridge")["shares"]["released"] == 1
    assert "shares were released before it fired: 1 of 2" in shown(ash, "bridge")["remarks"]


def test_a_share_read_aloud_opens_and_a_false_one_names_its_place(homes: list[Home]) -> None:
    oak, elm, ash = homes
    propose(oak, file([oak], homes, threshold=1, needed=3))
    shares = [home.ask("plan.share.show", plan="Saturday")["words"] for home in homes]
    told = say(ash, "plan.share.enter", words=shares[0].upper())
    assert (told["have"], told["needed"], told["state"]) == (2, 3, "sealed"), "its own is one of them"
    propose(oak, file([oak], homes, threshold=1, needed=3, title="Sunday"))
    false = elm.ask("plan.share.show", plan="Sunday")["words"]
    said = f"no share of this version of Saturday: it names the place of {elm.log.name}"
    refused(Code.invalid, said, ash, "plan.share.enter", plan="Saturday", words=false)
    refused(Code.usage, "a share has 20 words", ash, "plan.share.enter", plan="Saturday", words="otter")
    assert say(ash, "plan.share.enter", words=shares[1])["state"] == "open"
    assert shown(ash, "bridge")["response"]["text"] == "Meet at the old mill."
    refused(Code.not_found, "you hold no share", ash, "plan.share.show", plan="Saturday", scenario="home")


# --- burning ---


def test_burning_makes_the_next_version_without_them(table: Table) -> None:
    oak, elm, ash, fir = homes = group(table, 4)
    propose(oak, file([oak, elm], [elm, ash, fir]))
    say(elm, "plan.sign")
    old = fir.ask("plan.share.show", plan="Saturday")["words"]
    refused(Code.refused, "an organiser does that", ash, "plan.phrases", plan="Saturday", burn=fir.log.name)
    told = publish(oak, plan="Saturday", burn=fir.log.name)
    assert (told["version"], told["state"], told["needed"]) == (2, "proposed", 2)
    assert {each["state"] for each in fir.ask("plan.show", plan="Saturday")["plans"]} == {
        "active",
        "proposed",
    }
    assert say(elm, "plan.sign")["state"] == "active"
    (plan,) = ash.ask("plan.show", plan="Saturday")["plans"]
    assert [each["name"] for each in plan["stewards"]] == [elm.log.name, ash.log.name]
    refused(Code.invalid, "no share of this version", ash, "plan.share.enter", plan="Saturday", words=old)
    refused(Code.not_found, "you hold no share", fir, "plan.share.show", plan="Saturday")
    assert states(homes, "bridge") == ["open", "open", "sealed", "sealed"]
    assert open_(ash, "bridge", PHRASES["bridge"])["response"]["text"] == "Meet at the old mill."
    refused(Code.not_found, "no steward", oak, "plan.phrases", plan="Saturday", burn=fir.log.name)


# --- all else ---


def test_a_version_that_is_arranged_while_phrases_are_stretched_is_not_burnt_with_those_of_the_old(
    table: Table,
) -> None:
    oak, _, _, fir = homes = group(table, 4)
    propose(oak, file([oak], homes, threshold=1, needed=2))
    wanted = oak.ask("plan.phrases", plan="Saturday", burn=fir.log.name)["phrases"]
    made = {name: Stretched(SALT, stretched(PHRASES[name])) for name in wanted}
    text = file([oak], homes, threshold=1, needed=2).replace('name = "home"', 'name = "away"')
    stretching = {name: Stretched(SALT, stretched(PHRASES["home"])) for name in ("bridge", "away")}
    oak.ask("plan.publish", group="kitchen", text=text.encode(), replaces="Saturday", stretched=stretching)
    refused(
        Code.refused, "do it again", oak, "plan.publish", plan="Saturday", burn=fir.log.name, stretched=made
    )
    (shown,) = oak.ask("plan.show", plan="Saturday")["plans"]
    assert shown["version"] == 2


def test_readiness_is_in_counts_for_all_and_in_names_for_organisers(arranged: list[Home]) -> None:
    oak, _, ash = arranged
    told = ash.ask("plan.ready", plan="Saturday")
    assert told["holders"] == 3 and told["stewards"]["total"] == 3 and told["clocks_off"] == 0
    assert "names" not in told
    ready = oak.ask("plan.ready", plan="Saturday")
    assert ready["holders"] == 2, "who signed, before anybody else says so"
    assert [each["id"] for each in ready["names"]["not_holding"]] == [identity(ash).hex()]
    oak.table.run(HOLD_FIRST_MS + 1000)
    ready = oak.ask("plan.ready", plan="Saturday")
    assert ready["holders"] == 3 and ready["stewards"] == {"heard": 3, "total": 3, "spare": 1}
    assert ready["names"] == {"not_holding": [], "stewards_not_heard": [], "clocks_off": []}


def test_a_drill_is_scored_by_whom_it_reached_and_who_looked(arranged: list[Home]) -> None:
    for home in arranged[:2]:
        say(home, "cue.fire", scenario="noon", drill=True)
    say(arranged[2], "plan.show")
    (drill,) = (each for each in arranged[0].ask("cue.list")["cues"] if each["drill"])
    assert drill["score"]["reached"] >= 1 and drill["score"]["opened"] == 1


def test_heartbeats_are_switched_and_the_dark_attested_only_if_it_is_dark(arranged: list[Home]) -> None:
    oak = arranged[0]
    assert [oak.ask(f"heartbeat.{word}")["state"] for word in ("on", "off")] == ["on", "off"]
    refused(Code.not_met, "not dark", oak, "internet.attest")


def test_a_locked_log_answers_nothing_of_plans(table: Table) -> None:
    shut = table.home("shut", locked=True)
    for method in ("plan.list", "cue.list", "heartbeat.on", "internet.attest"):
        refused(Code.locked, "locked", shut, method)
    for method in ("plan.show", "plan.sign", "plan.ready", "plan.share.show", "plan.stand-down"):
        refused(Code.locked, "locked", shut, method, plan="Saturday")
