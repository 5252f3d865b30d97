"""Freezing: where a plan says so, nobody is added to its group by who sees a blackout; removals always work."""

from pathlib import Path

import pytest

from meshd.errors import CallerError, Code
from meshd.limits import HEAL_EACH_MS
from meshd.plans.cue import Dark
from meshd.plans.plan import FREEZE_WHEN_DARK, SINGLE
from meshd.statement import ADD_MEMBER
from tests.attacks.test_vouching import kitchen
from tests.homes import Home, Table
from tests.test_inbox import identity
from tests.test_own_groups import friends, group, members
from tests.witnesses import arrange, go_dark, go_light, state, witness


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def without_fir(table: Table) -> tuple[Home, Home, Home]:
    """Oak, elm and ash in a group; fir is a friend."""
    oak, elm, ash, _ = friends(table, 4)
    oak.ask("group.create", name="kitchen")
    oak.ask("group.invite", group="kitchen", who=["elm", "ash"])
    table.run(60_000)
    for home in (elm, ash):
        home.ask("group.accept", invite="kitchen")
    table.run(1000)
    return oak, elm, ash


def test_nobody_is_added_in_the_dark_where_the_plan_says_so_and_removals_work(table: Table) -> None:
    homes = oak, _, _ = without_fir(table)
    arrange(list(homes), Dark(1), flags=FREEZE_WHEN_DARK)
    go_dark(oak)
    with pytest.raises(CallerError, match="dark") as caught:
        oak.ask("group.invite", group="kitchen", who="fir")
    assert caught.value.code is Code.refused
    again = oak.ask("group.invite", group="kitchen", who="elm")  # who is in may be sent the key again
    assert again["invite"]
    oak.ask("group.remove", group="kitchen", who="ash")
    assert members(oak) == ["elm", "oak"]
    go_light(oak)
    oak.ask("group.invite", group="kitchen", who="fir")
    assert members(oak) == ["elm", "fir", "oak"]


def test_without_the_flag_or_where_it_is_light_anybody_is_added(table: Table) -> None:
    homes = oak, _, _ = group(table, 3)
    arrange(homes, Dark(1), flags=FREEZE_WHEN_DARK)
    assert not witness(oak).is_frozen(kitchen(oak), table.now())
    go_dark(oak)
    assert witness(oak).is_frozen(kitchen(oak), table.now())
    arrange(homes, Dark(1), flags=SINGLE)
    assert not witness(oak).is_frozen(kitchen(oak), table.now()), "another flag"


def test_a_plan_of_one_group_freezes_no_other(table: Table) -> None:
    homes = oak, _, _ = group(table, 3)
    arrange(homes, Dark(1), flags=FREEZE_WHEN_DARK)
    frozen = kitchen(oak)
    oak.ask("group.create", name="garden")
    groups = oak.node.groups
    assert groups is not None
    (other,) = [own for own in groups.groups.values() if own is not frozen]
    go_dark(oak)
    assert witness(oak).is_frozen(frozen, table.now()) and not witness(oak).is_frozen(other, table.now())


def test_what_several_decided_is_carried_out_once_it_is_light(table: Table) -> None:
    homes = _, elm, ash = without_fir(table)
    for home in (elm, ash):  # oak administers it no longer, so the members decide, two of three
        home.ask("group.admin", group="kitchen", who="oak", remove=True)
        table.run(1000)
    table.run(60_000)
    arrange(list(homes), Dark(1), flags=FREEZE_WHEN_DARK)
    go_dark(*homes)
    current = kitchen(elm).group.current()
    fir = identity(table.homes[3])
    assert current is not None
    for home in (elm, ash):
        with pytest.raises(CallerError, match="dark"):
            home.ask("group.invite", group="kitchen", who="fir")
        state(home, ADD_MEMBER, current.id, fir)  # as if it had been said before
    table.run(6 * HEAL_EACH_MS)
    assert [members(home) for home in homes] == [["ash", "elm", "oak"]] * 3
    go_light(*homes)
    table.run(3 * HEAL_EACH_MS + 1000)
    assert [members(home) for home in homes] == [["ash", "elm", "fir", "oak"]] * 3
