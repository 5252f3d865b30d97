"""Plans on nodes: versions and acts come, what follows is the same everywhere, and a stop changes nothing."""

from pathlib import Path

import pytest

from meshd.errors import CallerError
from meshd.statement import CALL, KEY, SHARE, SIGN_PLAN, STAND_DOWN
from tests.group_plans import BRIDGE, NOON, RESPONSE, SECRET, act, plans_of, propose, scenario, state
from tests.homes import Home, Table
from tests.test_own_groups import DAY_MS, apart, group
from tests.test_vouching import later


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def fired(home: Home) -> list[tuple[str, bool]]:
    """What a home is told of from now on."""
    told: list[tuple[str, bool]] = []
    plans_of(home).fired = lambda version, place, is_drill, now: told.append(
        (version.plan.scenarios[place].name, is_drill)
    )
    return told


def test_a_plan_is_arranged_called_and_fires_everywhere_once(table: Table) -> None:
    homes = oak, elm, ash = group(table, 3)
    version = propose(oak, [oak, elm], [ash, elm], people=homes)
    assert [state(home, version) for home in homes] == ["proposed"] * 3
    act(elm, version, SIGN_PLAN)
    assert [state(home, version) for home in homes] == ["active"] * 3
    assert [scenario(home, version) for home in homes] == ["open", "open", "sealed"]
    assert plans_of(elm).response(version, 0) == SECRET and plans_of(ash).response(version, 0) is None
    assert plans_of(ash).response(version, 1) == RESPONSE
    told = [fired(home) for home in homes]
    act(oak, version, CALL, BRIDGE)
    assert [scenario(home, version) for home in homes] == ["open", "open", "sealed"] and told == [[], [], []]
    act(elm, version, CALL, BRIDGE)
    assert [scenario(home, version) for home in homes] == ["fired"] * 3
    assert told == [[(BRIDGE, False)]] * 3
    assert plans_of(ash).response(version, 0) == SECRET, "one of those who called passed the key on"
    later(table, 2 * DAY_MS)
    assert told == [[(BRIDGE, False), (NOON, False)]] * 3
    for home in homes:
        home.stop()
        home.start()
        assert scenario(home, version) == scenario(home, version, 1) == "fired"
        again = fired(home)
        table.run(1000)
        assert again == []


def test_a_stand_down_beats_a_call_of_the_other_side(table: Table) -> None:
    homes = oak, elm, ash, fir = group(table, 4)
    version = propose(oak, homes, people=homes)
    for home in homes[1:]:
        act(home, version, SIGN_PLAN)
    apart(table, *homes)
    table.link(oak, elm)
    table.link(ash, fir)
    for home in (oak, elm):
        act(home, version, CALL, BRIDGE)
    for home in (ash, fir):
        act(home, version, STAND_DOWN)
    assert [scenario(home, version) for home in homes] == ["fired", "fired", "stood-down", "stood-down"]
    table.link(elm, ash)
    table.run(1000)
    assert [scenario(home, version) for home in homes] == ["stood-down"] * 4
    assert {state(home, version) for home in homes} == {"stood-down"}


def test_enough_shares_open_and_a_drill_opens_nothing(table: Table) -> None:
    homes = oak, elm, ash, fir = group(table, 4)
    version = propose(oak, [oak, elm], [elm, ash, fir], people=homes)
    act(elm, version, SIGN_PLAN)
    for home in (oak, elm):
        act(home, version, CALL, BRIDGE, is_drill=True)
    assert scenario(fir, version, is_drill=True) == "fired" and scenario(fir, version) == "sealed"
    act(ash, version, SHARE, BRIDGE)
    assert [plans_of(home).shares_held(version, 0).true for home in homes] == [(1,)] * 4
    assert [scenario(home, version) for home in (ash, fir)] == ["sealed"] * 2, "our own is ours to release"
    act(fir, version, SHARE, BRIDGE)
    assert [scenario(home, version) for home in homes] == ["open"] * 4
    assert plans_of(fir).response(version, 0) == SECRET


def test_our_own_share_counts_with_one_that_was_read_aloud_to_us(table: Table) -> None:
    homes = oak, elm, ash, fir = group(table, 4)
    version = propose(oak, [oak, elm], [elm, ash, fir], people=homes)
    act(elm, version, SIGN_PLAN)
    heard = plans_of(ash).share(version, 0)
    assert heard is not None and scenario(fir, version) == "sealed"
    plans_of(fir).enter_share(version, 0, heard, table.now())
    assert scenario(fir, version) == "open" and scenario(ash, version) == "sealed"


def test_what_is_not_ours_to_say_is_refused(table: Table) -> None:
    homes = oak, elm, ash = group(table, 3)
    version = propose(oak, [oak, elm], [elm, ash], people=homes)
    for home, purpose, subject, why in (
        (ash, SIGN_PLAN, "", "not yours to sign"),
        (ash, CALL, BRIDGE, "no organiser"),
        (ash, STAND_DOWN, "", "no organiser"),
        (ash, KEY, BRIDGE, "no key"),
        (oak, SHARE, BRIDGE, "no share"),
        (oak, CALL, BRIDGE, "proposed"),
        (oak, CALL, "nowhere", "no such scenario"),
    ):
        with pytest.raises(CallerError, match=why):
            act(home, version, purpose, subject)
    elm.log._database.write("DELETE FROM plan_share")  # as if there were no true part in it
    with pytest.raises(CallerError, match="no share"):
        act(elm, version, SHARE, BRIDGE)
    act(elm, version, SIGN_PLAN)
    act(elm, version, SIGN_PLAN)
    assert len(plans_of(ash).arrangement(version.channel).signers(version)) == 2
