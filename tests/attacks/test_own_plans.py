"""Attacks on plans on nodes: who is hostile posts what no client would, and who seizes laptops reads their files."""

from pathlib import Path

import pytest

from meshd import crypto
from meshd.errors import CallerError
from meshd.limits import (
    LOOK_MS,
)
from meshd.plans import act as acts
from meshd.plans import plan as plans
from meshd.plans import shares
from meshd.plans.plan import Version
from meshd.post import KIND_PLAN_ACT
from meshd.statement import CALL, KEY, SHARE, SIGN_PLAN, STAND_DOWN, Statement
from tests.group_plans import (
    BRIDGE,
    NOON,
    SECRET,
    act,
    plans_of,
    propose,
    scenario,
    state,
)
from tests.groups import bring
from tests.homes import Home, Table
from tests.hostile_plans import Hostile
from tests.plan_parts import forged
from tests.test_inbox import identity
from tests.test_own_groups import apart, group, line


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def arranged(table: Table, count: int = 4, organisers: int = 2, **how: object) -> tuple[list[Home], Version]:
    """A group whose first few organise a plan and whose others hold its shares."""
    homes = group(table, count)
    stewards = homes[organisers:] if count > organisers + 1 else ()
    version = propose(homes[0], homes[:organisers], stewards, people=homes, **how)  # type: ignore[arg-type]
    for home in homes[1:organisers]:
        act(home, version, SIGN_PLAN)
    assert {state(home, version) for home in homes} == {"active"}
    return homes, version


def files(home: Home) -> bytes:
    """All that the open databases of a home hold, value by value."""
    found = []
    for database in (home.log._database, home.carry._database):
        tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE '%VIRTUAL%'"
        for (name,) in database.read(tables):
            for row in database.read(f"SELECT * FROM {name}"):
                found += [each if isinstance(each, bytes) else str(each).encode() for each in row]
    return b"\n".join(found)


def tell(homes: list[Home], *raws: bytes) -> None:
    """Everybody is given this."""
    for home in homes:
        bring(home, *raws)
    homes[0].table.run(1000)


# --- shares and seized laptops ---


def test_L01_a_share_too_few_opens_nothing_on_any_node_and_one_more_opens_everywhere(table: Table) -> None:
    homes, version = arranged(table, 5, needed=3)
    for steward in homes[2:4]:
        act(steward, version, SHARE, BRIDGE)
    for steward in homes[2:5]:  # the last of them holds the third, and has not released it
        assert scenario(steward, version) == "sealed"
        assert (
            plans_of(steward).key(version, 0) is None
            and len(plans_of(steward).shares_held(version, 0).true) == 2
        )
    act(homes[4], version, SHARE, BRIDGE)
    assert {scenario(home, version) for home in homes} == {"open"}
    assert all(plans_of(home).response(version, 0) == SECRET for home in homes)


def test_L02_a_false_share_is_named_everywhere_and_the_true_ones_open(table: Table) -> None:
    homes, version = arranged(table, 5, needed=2)
    liar = homes[2]
    true = plans_of(liar).share(version, 0)
    assert true is not None
    tell(homes, Hostile(liar).act(version, SHARE, BRIDGE, forged(true)))
    sealed = version.plan.scenarios[0]
    for home in homes:
        combined, false = plans_of(home).arrangement(version.channel).released(version, sealed)
        assert combined is not None and combined.key is None and false == {identity(liar)}
    act(homes[3], version, SHARE, BRIDGE)
    act(homes[4], version, SHARE, BRIDGE)
    assert {scenario(home, version) for home in homes} == {"open"}


def test_L03_a_share_that_was_made_otherwise_is_refused_when_it_is_typed_in(table: Table) -> None:
    homes, version = arranged(table, 4)
    true = plans_of(homes[2]).share(version, 0)
    assert true is not None
    with pytest.raises(CallerError, match="false"):
        plans_of(homes[3]).enter_share(version, 0, forged(true), table.now())
    assert not plans_of(homes[3]).shares_held(version, 0).true
    plans_of(homes[3]).enter_share(version, 0, true, table.now())
    assert scenario(homes[3], version) == "open" and scenario(homes[2], version) == "sealed"


def test_L04_shares_of_two_versions_are_not_mixed(table: Table) -> None:
    homes, version = arranged(table, 4)
    oak, elm, ash, fir = homes
    old = plans_of(ash).share(version, 0)
    second = propose(oak, [oak, elm], [ash, fir], people=homes, replaces=version, seed="two")
    act(elm, second, SIGN_PLAN)
    assert state(fir, version) == "retired" and state(fir, second) == "active" and old is not None
    with pytest.raises(CallerError, match="another version"):
        plans_of(fir).enter_share(second, 0, old, table.now())
    tell(homes, Hostile(ash).act(second, SHARE, BRIDGE, old))
    assert scenario(fir, second) == "sealed"
    _, false = plans_of(fir).arrangement(version.channel).released(second, second.plan.scenarios[0])
    assert false == {identity(ash)}


def test_L09_a_share_that_is_released_early_shows_and_gives_nothing_away(table: Table) -> None:
    homes, version = arranged(table, 5, needed=3)
    act(homes[2], version, SHARE, BRIDGE)
    for home in homes[2:]:
        combined, _ = plans_of(home).arrangement(version.channel).released(version, version.plan.scenarios[0])
        assert combined is not None and len(combined.true) == 1 and combined.key is None
        assert scenario(home, version) == "sealed" and SECRET.text.encode() not in files(home)


def test_L10_seized_stewards_one_too_few_and_all_that_was_sent_give_nothing(table: Table) -> None:
    homes, version = arranged(table, 5, needed=3)
    opens = plans_of(homes[0]).key(version, 0)
    assert opens is not None
    seized = homes[2:4]
    for home in seized:
        found = files(home)
        assert SECRET.text.encode() not in found and opens not in found
    given = [plans_of(home).share(version, 0) or b"" for home in seized]
    seal = version.plan.scenarios[0].seal
    assert seal is not None and shares.combine(version.channel, seal, 3, given).key is None
    assert SECRET.text.encode() not in files(homes[0]), "nor does it stand in the clear with who may read it"


# --- cues ---


def test_L05_one_organiser_counts_once_however_often_and_one_too_few_fires_nothing(table: Table) -> None:
    homes, version = arranged(table, 4, 3)
    caller = Hostile(homes[1])
    now_ms = table.now().wall_ms
    tell(homes, *(caller.act(version, CALL, BRIDGE, ms=now_ms - n) for n in range(5)))
    stranger = Hostile(homes[3])
    tell(homes, stranger.act(version, CALL, BRIDGE), Hostile(homes[3], b"s" * 32).act(version, CALL, BRIDGE))
    for home in homes:
        called = plans_of(home).arrangement(version.channel).called(version, BRIDGE, is_drill=False)
        assert called.callers == {identity(homes[1])} and called.ms is None
        assert scenario(home, version) != "fired"


def test_L05_a_forged_call_and_a_drill_that_is_made_real_fire_nothing(table: Table) -> None:
    homes, version = arranged(table, 4)
    oak, elm = homes[:2]
    for home in (oak, elm):
        act(home, version, CALL, BRIDGE, is_drill=True)
    assert scenario(oak, version, is_drill=True) == "fired"
    liar = Hostile(homes[3])
    drills = plans_of(oak).arrangement(version.channel).all(version, CALL, BRIDGE, 1)
    real = Statement(CALL, version.channel, version.id, BRIDGE.encode())
    until = plans.keep_until(version.plan.until_s)
    bodies = [acts.encode(said.act._replace(statement=real)) for said in drills]
    tell(homes, *(liar.post(KIND_PLAN_ACT, body, until) for body in bodies))
    tell(homes, *(Hostile(oak).post(KIND_PLAN_ACT, body, until) for body in bodies))
    assert all(scenario(home, version) != "fired" for home in homes)
    assert not list(plans_of(elm).arrangement(version.channel).all(version, CALL, BRIDGE))


def test_L06_a_call_after_a_stand_down_or_for_an_old_version_fires_nothing(table: Table) -> None:
    homes, version = arranged(table, 4)
    oak, elm = homes[:2]
    for home in (oak, elm):
        act(home, version, STAND_DOWN, NOON)
    calls = [Hostile(home).act(version, CALL, NOON) for home in (oak, elm)]
    tell(homes, *calls)
    assert {scenario(home, version, 1) for home in homes} == {"stood-down"}
    second = propose(oak, [oak, elm], homes[2:], people=homes, replaces=version, seed="two")
    act(elm, second, SIGN_PLAN)
    tell(homes, *(Hostile(home).act(version, CALL, BRIDGE) for home in (oak, elm)))
    for home in homes:
        assert state(home, version) == "retired" and "fired" not in (
            scenario(home, version),
            scenario(home, second),
        )
        called = plans_of(home).arrangement(version.channel).called(version, BRIDGE, is_drill=False)
        assert called.ms is None, "made after the second was arranged"
    with pytest.raises(CallerError, match="retired"):
        act(oak, version, CALL, BRIDGE)


# --- phrases ---


def test_E08_a_thousand_wrong_phrases_and_keys_in_a_group_cost_no_stretching(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    homes, version = arranged(table, 3)
    monkeypatch.setattr(crypto, "argon2id", None)  # who called it would fail
    liar = Hostile(homes[2])
    until = plans.keep_until(version.plan.until_s)
    phrases = [liar.act(version, KEY, BRIDGE, number.to_bytes(16, "big")) for number in range(900)]
    phrases += [liar.post(KIND_PLAN_ACT, f"otter river {number}".encode(), until) for number in range(100)]
    homes[2].post("otter river moss fern reed ivy", channel="kitchen")
    for start in range(0, len(phrases), 250):
        bring(homes[0], *phrases[start : start + 250])
    assert scenario(homes[2], version) == "sealed" and len(plans_of(homes[0]).versions()) == 1
    assert len(homes[0].log.plans.posts(version.channel)) == 3


# --- versions ---


def test_E09_a_version_that_too_few_signed_or_strangers_to_the_one_before_replaces_nothing(
    table: Table,
) -> None:
    homes, version = arranged(table, 4, 3)
    oak, elm, ash, fir = homes
    taken = propose(fir, [fir], threshold=1, replaces=version, seed="taken")
    for home in homes:
        assert (state(home, version), state(home, taken)) == ("active", "proposed")
    second = propose(oak, [oak, elm, ash], [fir, elm], replaces=version, seed="two")
    tell(homes, *(Hostile(fir, bytes((n,)) * 32).act(second, SIGN_PLAN) for n in range(1, 9)))
    for home in homes:
        assert (state(home, version), state(home, second)) == ("active", "proposed")
    act(elm, second, SIGN_PLAN)
    for home in homes:
        assert (state(home, version), state(home, second)) == ("retired", "active")


def test_E09_only_what_can_be_read_is_signed(table: Table) -> None:
    homes = oak, elm, ash = group(table, 3)
    liar = propose(oak, [oak, elm], [elm, ash], people=homes)
    assert elm.log.plans.keys(liar.id)
    elm.log._database.write("DELETE FROM plan_key")  # as if there were no true part in it
    with pytest.raises(CallerError, match="can't read what it says for bridge"):
        act(elm, liar, SIGN_PLAN)


# --- removed and forked organisers ---


def test_E10_an_organiser_who_was_removed_calls_in_vain_but_can_stand_down(table: Table) -> None:
    homes, version = arranged(table, 4, 3)
    oak, elm, ash, fir = homes
    apart(table, ash)
    oak.ask("group.remove", group="kitchen", who="ash")
    table.run(60_000)
    act(elm, version, CALL, BRIDGE)
    act(ash, version, CALL, BRIDGE)  # has not heard of it
    line(table, homes)
    table.run(60_000)
    for home in (oak, elm, fir):
        assert scenario(home, version) != "fired"
    tell([oak, elm, fir], Hostile(oak, ash.log.seed).act(version, STAND_DOWN, BRIDGE))
    act(elm, version, STAND_DOWN, BRIDGE)
    assert {scenario(home, version) for home in (oak, elm, fir)} == {"stood-down"}


def test_E10_what_was_said_before_the_removal_counts_after_it_and_after_a_restart(table: Table) -> None:
    homes, version = arranged(table, 4, 3, threshold=3)
    oak, elm, _, fir = homes
    oak.ask("group.remove", group="kitchen", who="ash")
    table.run(60_000)
    for home in (oak, elm, fir):
        assert state(home, version) == "active"
        home.log._database.write("DELETE FROM post")  # what shows it is gone after a week
        home.log.commit()
        home.stop()
        home.start()
        assert state(home, version) == "active"


def test_E10_what_was_said_before_the_removal_counts_though_it_comes_after_it(table: Table) -> None:
    homes = oak, elm, ash, fir = group(table, 4)
    apart(table, fir)
    before = set(oak.raws())
    version = propose(oak, [oak, elm, ash], people=homes, threshold=3)
    for home in (elm, ash):
        act(home, version, SIGN_PLAN)
    signed = [raw for raw in oak.raws() if raw not in before]
    oak.ask("group.remove", group="kitchen", who="ash")
    table.run(60_000)
    removed = [raw for raw in oak.raws() if raw not in {*before, *signed}]
    bring(fir, *removed)
    for raw in signed:
        bring(fir, raw)
        table.run(1000)
    table.run(LOOK_MS)
    assert {state(home, version) for home in (oak, elm, fir)} == {"active"}


def test_E10_what_shows_that_it_was_said_before_the_removal_may_come_last(table: Table) -> None:
    homes = oak, elm, ash, fir = group(table, 4)
    apart(table, fir)
    version = propose(oak, [oak, elm, ash], people=homes, threshold=3)
    for home in (elm, ash):
        act(home, version, SIGN_PLAN)
    oak.post("bread", channel="kitchen")  # which names what they signed, and is named by the removal
    between = oak.raws()[-1]
    oak.ask("group.remove", group="kitchen", who="ash")
    table.run(60_000)
    bring(fir, *(raw for raw in oak.raws() if raw != between))
    table.run(2 * LOOK_MS)
    assert state(fir, version) == "proposed"
    bring(fir, between)
    table.run(LOOK_MS)
    assert {state(home, version) for home in (oak, elm, fir)} == {"active"}


def test_E10_a_forked_key_on_one_side_and_a_stand_down_on_the_other(table: Table) -> None:
    homes, version = arranged(table, 4, 3)
    oak, elm, ash, fir = homes
    apart(table, *homes)
    table.link(oak, elm)
    table.link(ash, fir)
    twin = Hostile(ash)
    fork = [twin.act(version, CALL, BRIDGE, incarnation=5, ms=table.now().wall_ms - n) for n in (1, 2)]
    bring(elm, fork[0])
    act(elm, version, CALL, BRIDGE)
    assert scenario(oak, version) == scenario(elm, version) == "fired"
    bring(fir, *fork)
    act(ash, version, STAND_DOWN)
    assert scenario(fir, version) == "sealed"
    table.link(elm, ash)
    table.run(1000)
    assert all(scenario(home, version) != "fired" for home in homes), "a forked key called"
    act(elm, version, STAND_DOWN)
    assert {state(home, version) for home in homes} == {"stood-down"}, "but it may stand down"
