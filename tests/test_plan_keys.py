"""What one node can open of a plan: wrong keys and shares are not kept, and what was opened stays as it is."""

from pathlib import Path

import pytest

from meshd.errors import CallerError
from meshd.plans import parts
from meshd.statement import SHARE, SIGN_PLAN
from tests.group_plans import BRIDGE, SECRET, act, plans_of, propose, scenario
from tests.homes import Table
from tests.test_own_groups import DAY_MS, group


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def test_a_key_that_is_not_the_scenarios_is_not_kept(table: Table) -> None:
    homes = oak, elm, ash = group(table, 3)
    version = propose(oak, [oak, elm], people=homes)
    plans, now = plans_of(ash), table.now()
    with pytest.raises(CallerError, match="does not open"):
        plans.opened(version, 0, bytes(16), now)
    assert plans.response(version, 0) is None and plans.keys.opened_ms(version, 0) is None
    key = plans_of(oak).key(version, 0)
    assert key is not None
    with pytest.raises(CallerError, match="not sealed"):
        plans.opened(version, 1, key, now)
    plans.opened(version, 0, key, now)
    assert plans.response(version, 0) == SECRET


def test_when_a_phrase_opened_it_stands_whatever_opens_it_again(table: Table) -> None:
    homes = oak, elm, ash, fir = group(table, 4)
    version = propose(oak, [oak, elm], [elm, ash, fir], people=homes)
    act(elm, version, SIGN_PLAN)
    plans, then = plans_of(ash), table.now()
    key = plans_of(oak).key(version, 0)
    assert key is not None
    plans.opened(version, 0, key, then)
    plans.opened(version, 0, key, then._replace(wall_ms=then.wall_ms + DAY_MS))
    assert plans.keys.opened_ms(version, 0) == then.wall_ms
    for home in (elm, fir):
        act(home, version, SHARE, BRIDGE)
    assert scenario(fir, version) == "open", "two shares are enough"
    assert plans.keys.opened_ms(version, 0) == then.wall_ms


def test_who_proposes_keeps_an_own_share(table: Table) -> None:
    homes = oak, elm, ash = group(table, 3)
    version = propose(oak, [elm], [oak, ash], people=homes)
    plans = plans_of(oak)
    assert plans.share(version, 0) not in (None, plans_of(ash).share(version, 0))
    assert plans_of(elm).key(version, 0) is not None and scenario(elm, version) == "open"


def test_shares_of_another_scenario_and_of_others_are_not_our_own(table: Table) -> None:
    homes = oak, elm, ash, fir = group(table, 4)
    version = propose(oak, [oak, elm], [elm, fir], people=homes)
    plans = plans_of(ash)
    mine, other = (plans_of(home).share(version, 0) for home in (elm, fir))
    assert mine is not None and other is not None
    store = ash.node.log.plans  # type: ignore[union-attr]
    for place, is_own in ((1, True), (1, False), (0, False)):
        store.put_share(version.id, place, mine if place else other, is_own=is_own)
    assert plans.share(version, 0) is None
    assert plans.response(version, 0) is None and plans.shares_held(version, 0).key is None


def test_a_part_that_we_can_not_open_brings_no_share(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    homes = oak, elm, ash = group(table, 3)
    opened = parts.open_share
    monkeypatch.setattr(parts, "open_share", lambda version, place, number, secret: None)
    version = propose(oak, [oak, elm], [elm, ash], people=homes)
    monkeypatch.setattr(parts, "open_share", opened)
    assert plans_of(ash).version(version.id) is not None and plans_of(ash).share(version, 0) is None
    assert ash.node.log.plans.shares(version.id) == []  # type: ignore[union-attr]
