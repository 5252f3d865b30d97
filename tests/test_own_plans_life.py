"""The life of plans on nodes: how they reach newcomers, outlive their envelopes, and go."""

from pathlib import Path

import pytest

from meshd.errors import CallerError
from meshd.limits import HEAL_EACH_MS, NEWCOMERS_MS
from meshd.post import HOUR_MS
from meshd.statement import CALL, SIGN_PLAN, STAND_DOWN
from tests.group_plans import BRIDGE, SECRET, act, plans_of, propose, scenario, state
from tests.homes import Home, Table
from tests.test_own_groups import DAY_MS, apart, friends, group, line
from tests.test_vouching import later


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def arranged(table: Table, count: int, **how: object) -> tuple[list[Home], bytes]:
    """A group whose first two organise a plan, which all hold; the version's id."""
    homes = group(table, count)
    version = propose(homes[0], homes[:2], homes[1:3], people=homes, **how)  # type: ignore[arg-type]
    act(homes[1], version, SIGN_PLAN)
    return homes, version.id


def test_who_is_added_later_reads_the_plans(table: Table) -> None:
    oak, elm, ash = friends(table, 3)
    oak.ask("group.create", name="kitchen")
    oak.ask("group.invite", group="kitchen", who="elm")
    table.run(60_000)
    elm.ask("group.accept", invite="kitchen")
    table.run(1000)
    version = propose(oak, [oak, elm], people=[ash])
    act(elm, version, SIGN_PLAN)
    table.run(1000)
    oak.ask("group.invite", group="kitchen", who="ash")
    table.run(NEWCOMERS_MS + 3 * HEAL_EACH_MS)
    assert plans_of(ash).versions() == [], "nothing is held of what was not accepted"
    ash.ask("group.accept", invite="kitchen")
    table.run(1000)
    assert state(ash, version) == "active"
    act(oak, version, CALL, BRIDGE)
    act(elm, version, CALL, BRIDGE)
    assert scenario(ash, version) == "fired"


def test_plans_outlive_their_envelopes_with_a_restart_every_day(table: Table) -> None:
    homes, id = arranged(table, 3, days=40)
    for day in range(30):
        later(table, DAY_MS)
        home = homes[day % 3]
        home.stop()
        home.start()
        line(table, homes)
        table.run(60_000)
    version = plans_of(homes[2]).version(id)
    assert version is not None
    assert {state(home, version) for home in homes} == {"active"}
    hour = table.now().wall_ms // HOUR_MS
    for home in homes:
        posts = home.log.plans.posts(version.channel)
        assert len(posts) == 3 and all(post.expiry_hour > hour for post in posts)
    for home in homes[:2]:
        act(home, version, CALL, BRIDGE)
    assert [scenario(home, version) for home in homes] == ["fired"] * 3
    assert plans_of(homes[2]).response(version, 0) == SECRET


def test_a_plan_goes_when_it_is_over_and_leaves_nothing(table: Table) -> None:
    homes, id = arranged(table, 3, days=2)
    version = plans_of(homes[2]).version(id)
    assert version is not None
    for home in homes[:2]:
        act(home, version, CALL, BRIDGE)
    later(table, 2 * DAY_MS)
    assert state(homes[0], version) == "expired" and scenario(homes[0], version) == "fired"
    later(table, DAY_MS + 2 * HOUR_MS)
    for home in homes:
        assert plans_of(home).versions() == [] and state(home, version) == "unknown"
        for kept in ("plan_post", "plan_key", "plan_share", "plan_latch", "plan_fired"):
            assert home.log._database.read(f"SELECT COUNT(*) FROM {kept}") == [(0,)]


def test_plans_of_a_group_that_is_left_go_and_come_back_with_it(table: Table) -> None:
    homes, id = arranged(table, 3)
    ash = homes[2]
    ash.ask("channel.leave", channel="group:kitchen")
    table.run(1000)
    assert plans_of(ash).versions() == []
    assert ash.log._database.read("SELECT COUNT(*) FROM plan_post") == [(0,)]
    for each in ("remove", "invite"):
        homes[0].ask(f"group.{each}", group="kitchen", who="ash")
        table.run(60_000)
    ash.ask("group.accept", invite="kitchen")
    table.run(60_000)
    assert [each.id for each in plans_of(ash).versions()] == [id]


def test_who_is_off_while_all_happens_finds_the_same(table: Table) -> None:
    oak, elm, ash = group(table, 3)
    apart(table, ash)
    version = propose(oak, [oak, elm], [elm, ash], people=[ash])
    act(elm, version, SIGN_PLAN)
    act(oak, version, CALL, BRIDGE)
    act(elm, version, CALL, BRIDGE)
    later(table, 2 * DAY_MS)
    assert scenario(ash, version) == "fired" and plans_of(ash).response(version, 0) == SECRET
    assert plans_of(ash).share(version, 0) is not None


def test_nothing_is_proposed_where_it_could_not_be_kept(table: Table) -> None:
    oak, elm = group(table, 2, strict=True)
    with pytest.raises(CallerError, match="kept for days"):
        propose(oak, [oak, elm])
    assert plans_of(elm).versions() == []


def test_nothing_is_proposed_that_ends_later_than_a_post_is_kept(table: Table) -> None:
    oak, elm = group(table, 2)
    with pytest.raises(CallerError, match="ends later"):
        propose(oak, [oak, elm], days=90)
    assert propose(oak, [oak, elm], days=88)


def test_a_stand_down_of_all_is_final(table: Table) -> None:
    homes, id = arranged(table, 3)
    version = plans_of(homes[2]).version(id)
    assert version is not None
    act(homes[0], version, STAND_DOWN)
    act(homes[1], version, STAND_DOWN, BRIDGE)
    assert scenario(homes[2], version) == "stood-down" and state(homes[2], version) == "active"
    act(homes[1], version, STAND_DOWN)
    assert {state(home, version) for home in homes} == {"stood-down"}
    with pytest.raises(CallerError, match="stood-down"):
        act(homes[0], version, CALL, BRIDGE)
