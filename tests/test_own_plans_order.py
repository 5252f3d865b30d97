"""Whatever the order in which the posts of a plan come, and however often the laptop stops, the same follows."""

import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshd.plans.plan import Version
from meshd.statement import CALL, SHARE, SIGN_PLAN, STAND_DOWN
from tests.group_plans import BRIDGE, NOON, SECRET, act, plans_of, propose, scenario, state
from tests.groups import bring
from tests.homes import Home, Table
from tests.test_own_groups import apart, group

Story = tuple[Path, int, list[bytes], Version, Version]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """The folder of a member who was away, the time, what was posted meanwhile, and two versions of a plan."""
    table = Table(tmp_path_factory.mktemp("story"))
    oak, elm, ash = homes = group(table, 3)
    apart(table, ash)
    before = set(oak.raws())
    first = propose(oak, [oak, elm], [elm, ash], people=homes)
    act(elm, first, SIGN_PLAN)
    for home in (oak, elm):
        act(home, first, CALL, BRIDGE)
        act(home, first, STAND_DOWN, NOON)
    act(elm, first, SHARE, BRIDGE)
    second = propose(oak, [oak, elm], [elm, ash], people=homes, replaces=first, seed="two")
    act(elm, second, SIGN_PLAN)
    act(oak, second, CALL, BRIDGE)
    ash.stop()
    return ash.folder, table.passed_ms, [raw for raw in oak.raws() if raw not in before], first, second


@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_the_order_and_stops_change_nothing(
    story: Story, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder, passed_ms, raws, first, second = story
    table = Table(tmp_path_factory.mktemp("order"))
    table.passed_ms = passed_ms
    shutil.copytree(folder, table.folder / "ash")
    ash = Home(table, 2, table.folder / "ash", False)
    table.homes.append(ash)
    ash.start()
    order = data.draw(st.permutations(range(len(raws))))
    stops = data.draw(st.sets(st.integers(0, len(raws) - 1), max_size=3))
    for place, number in enumerate(order):
        bring(ash, raws[number])
        if place in stops:
            ash.stop()
            ash.start()
    table.run(1000)
    assert (state(ash, first), state(ash, second)) == ("retired", "active")
    assert (scenario(ash, first), scenario(ash, first, 1)) == ("fired", "stood-down")
    assert scenario(ash, second) == "sealed" and plans_of(ash).response(first, 0) == SECRET
    assert plans_of(ash).share(second, 0) is not None
    ash.stop()
