"""Plans under attack, as their users are told of it."""

from collections import Counter
from pathlib import Path

import pytest

from meshd import group_plans
from meshd.errors import CallerError, Code
from meshd.plans import act as acts
from meshd.plans import shares
from meshd.plans.act import Act
from meshd.plans.plan import SHARE_SIZE, keep_until
from meshd.post import KIND_PLAN_ACT
from meshd.statement import CALL, SHARE, STAND_DOWN, Statement
from tests.group_plans import go_on, plans_of
from tests.groups import bring
from tests.homes import Home, Table
from tests.hostile_plans import Hostile
from tests.planners import PHRASES, file, open_, propose, say, shown
from tests.test_inbox import identity
from tests.test_own_groups import group


@pytest.fixture
def homes(tmp_path: Path) -> list[Home]:
    """Four in a group, with a plan: two organise, three of them are stewards of whom it takes three."""
    oak, elm, ash, fir = homes = group(Table(tmp_path), 4)
    propose(oak, file([oak, elm], [elm, ash, fir], needed=3))
    say(elm, "plan.sign")
    return homes


def test_L02_a_forged_share_is_shown_with_who_released_it_and_the_others_open(homes: list[Home]) -> None:
    oak, elm, ash, fir = homes
    propose(oak, file([oak], [elm, ash, fir], threshold=1, needed=3, title="Sunday"))
    words = {home: home.ask("plan.share.show", plan="Saturday")["words"] for home in (elm, ash, fir)}
    forged = fir.ask("plan.share.show", plan="Sunday")["words"]
    (version,) = [each for each in plans_of(fir).versions() if each.plan.title == "Saturday"]
    plans_of(fir).act(version, SHARE, "bridge", fir.table.now(), payload=shares.from_words(forged))
    go_on(fir)
    for home in homes:
        scenario = shown(home, "bridge")
        assert [each["id"] for each in scenario["shares"]["false"]] == [fir.ask("id.show")["id"]]
        assert scenario["shares"]["released"] == 0
        assert f"false share by {scenario['shares']['false'][0]['name']}" in scenario["remarks"]
    for home in (elm, ash):
        say(home, "plan.share.release")
    assert shown(ash, "bridge")["state"] == "sealed"
    assert say(ash, "plan.share.enter", words=words[fir])["state"] == "open"
    assert shown(ash, "bridge")["response"]["text"] == "Meet at the old mill."


def test_L05_one_organiser_who_calls_again_and_again_is_one_of_two(homes: list[Home]) -> None:
    for _ in range(5):
        said = say(homes[0], "cue.fire", scenario="bridge")
    assert (len(said["signers"]), said["state"]) == (1, "open")
    for home in homes:
        assert shown(home, "bridge")["progress"] == {"have": 1, "needed": 2}
        assert shown(home, "bridge")["fired_at"] is None


def test_L05_a_call_by_who_does_not_organise_is_refused(homes: list[Home]) -> None:
    with pytest.raises(CallerError, match="an organiser calls") as caught:
        homes[3].ask("cue.fire", plan="Saturday", scenario="bridge")
    assert caught.value.code is Code.refused


def test_L06_a_call_of_version_1_after_version_2_is_none(homes: list[Home]) -> None:
    oak, elm, ash, _ = homes
    say(oak, "cue.fire", scenario="bridge")
    (first,) = plans_of(oak).versions()
    propose(oak, file([oak, elm], text="Elsewhere."), replaces="Saturday")
    say(elm, "plan.sign")
    with pytest.raises(CallerError, match="this version is retired"):
        plans_of(elm).act(first, CALL, "bridge", elm.table.now())
    told = say(elm, "cue.fire", scenario="bridge")
    assert (len(told["signers"]), told["state"]) == (1, "open"), "what oak said was about the other version"
    assert shown(ash, "bridge")["state"] == "sealed" and shown(ash, "bridge")["progress"]["have"] == 1


def test_L06_a_drill_is_never_real(homes: list[Home]) -> None:
    oak, elm, ash, _ = homes
    for home in (oak, elm):
        say(home, "cue.fire", scenario="bridge", drill=True)
    for home in homes:
        assert shown(home, "bridge")["fired_at"] is None
        assert shown(home, "bridge")["progress"] == {"have": 0, "needed": 2}
    assert shown(ash, "bridge")["response"] is None


def test_L06_a_call_after_its_stand_down_is_refused(homes: list[Home]) -> None:
    for home in homes[:2]:
        say(home, "plan.stand-down", scenario="bridge")
    with pytest.raises(CallerError, match="final") as caught:
        homes[1].ask("cue.fire", plan="Saturday", scenario="bridge")
    assert caught.value.code is Code.refused
    assert {shown(home, "bridge")["state"] for home in homes} == {"stood-down"}


def test_L09_shares_that_are_released_early_are_counted_shown_and_open_nothing(homes: list[Home]) -> None:
    _, elm, ash, fir = homes
    for count, home in enumerate((elm, ash), start=1):
        say(home, "plan.share.release")
        for other in homes:
            scenario = shown(other, "bridge")
            assert f"shares were released before it fired: {count} of 3" in scenario["remarks"]
    assert shown(ash, "bridge")["response"] is None
    assert shown(fir, "bridge")["state"] == "sealed", "the third is its own, and it has not released it"


def test_L05_forged_cues_are_shown_with_who_tried(homes: list[Home]) -> None:
    oak, elm, ash, fir = homes
    (version,) = plans_of(oak).versions()
    say(oak, "cue.fire", scenario="bridge")
    (called,) = plans_of(fir).arrangement(version.channel).all(version, CALL, "bridge")
    until = keep_until(version.plan.until_s)
    moved = acts.encode(called.act._replace(statement=called.act.statement._replace(purpose=STAND_DOWN)))
    raws = [Hostile(ash).act(version, CALL, "bridge"), Hostile(elm).post(KIND_PLAN_ACT, moved, until)]
    bring(fir, *raws)
    who = {home: home.ask("id.show")["id"] for home in (elm, ash)}
    names = {each["id"]: each["name"] for each in fir.ask("group.members", group="kitchen")["members"]}
    remarks = shown(fir, "bridge")["remarks"]
    assert f"refused: a call by {names[who[ash]]}" in remarks
    assert f"refused: a stand-down by {names[who[elm]]}" in remarks
    assert (shown(fir, "bridge")["progress"], shown(fir, "bridge")["fired_at"]) == (
        {"have": 1, "needed": 2},
        None,
    )


def test_L05_what_is_no_cue_of_the_plan_is_not_remembered_and_cues_only_so_many(
    homes: list[Home], monkeypatch: pytest.MonkeyPatch
) -> None:
    oak, _, ash, fir = homes
    (version,) = plans_of(oak).versions()
    monkeypatch.setattr(group_plans, "REFUSED_EACH_MAX", 1)
    share = Hostile(oak).act(version, SHARE, "bridge", bytes(SHARE_SIZE))  # who is no steward
    bring(fir, share, Hostile(ash).act(version, CALL, "nowhere"))
    assert plans_of(fir).refused(version) == [] and shown(fir, "bridge")["remarks"] == []
    bring(fir, *(Hostile(ash).act(version, purpose, "bridge") for purpose in (CALL, STAND_DOWN)))
    assert [said.purpose for said, _ in plans_of(fir).refused(version)] == [CALL]


def test_L05_who_has_many_cues_refused_hides_nobody_elses(
    homes: list[Home], monkeypatch: pytest.MonkeyPatch
) -> None:
    oak, _, ash, fir = homes
    (version,) = plans_of(oak).versions()
    known = plans_of(ash)._held.of(version)
    monkeypatch.setattr(group_plans, "REFUSED_EACH_MAX", 2)
    strangers = [bytes([number]) * 32 for number in range(3)]
    for author in (identity(fir), *strangers, identity(oak)):
        for purpose, is_drill in ((CALL, 0), (CALL, 1), (STAND_DOWN, 0)):
            said = Statement(purpose, version.channel, version.id, b"bridge", is_drill)
            known.note_refused(Act(said, bytes(64), b""), author)
    found = Counter(author for _, author in known.refused)
    assert found == {identity(fir): 2, identity(oak): 2, strangers[0]: 2}


def test_I02_a_plan_that_is_called_like_the_id_of_another_is_not_taken_for_it(homes: list[Home]) -> None:
    oak, elm, ash, _ = homes
    id = oak.ask("plan.show", plan="Saturday")["plans"][0]["id"]
    propose(ash, file([oak, elm], title=id[:8]))
    for method, params in {"plan.sign": {}, "plan.show": {}, "cue.fire": {"scenario": "bridge"}}.items():
        with pytest.raises(CallerError, match=f"{id[:8]} could be: ") as caught:
            oak.ask(method, plan=id[:8], **params)
        assert caught.value.code is Code.usage
    assert oak.ask("plan.show", plan=id[:9])["plans"][0]["title"] == "Saturday"


def test_E08_wrong_phrases_change_nothing(homes: list[Home]) -> None:
    ash = homes[2]
    before = shown(ash, "bridge")
    for word in ("otter", "river"):
        with pytest.raises(CallerError) as caught:
            open_(ash, "bridge", PHRASES["bridge"].replace(word, "wrong"))
        assert caught.value.code is Code.not_met
    assert shown(ash, "bridge") == before
