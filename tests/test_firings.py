"""What is shown of what fired: told once, read by everybody who asks, and alarms for what came too early."""

from pathlib import Path
from typing import Any

import pytest

from meshd.daemon.feed import Feed
from meshd.daemon.subscription import Subscription
from meshd.events import Fired
from meshd.plans import shares
from meshd.statement import CALL, SHARE, SIGN_PLAN, STAND_DOWN
from tests.group_plans import BRIDGE, NOON, act, only_group, plans_of, propose
from tests.homes import Home, Table
from tests.test_own_groups import DAY_MS, apart, group
from tests.test_vouching import later


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def told(home: Home) -> list[Fired]:
    return [effect for effect in home.effects if isinstance(effect, Fired)]


def read(home: Home, **params: Any) -> list[Any]:
    return home.ask("read", **params)["fired"]  # type: ignore[no-any-return]


def notices(subscription: Subscription, home: Home) -> bytes:
    return subscription.read(Feed(home.node))


def test_what_fires_is_told_once_and_read_as_long_as_the_plan_is_kept(table: Table) -> None:
    homes = oak, elm, ash = group(table, 3)
    version = propose(oak, [oak, elm], [ash, elm], people=homes)
    act(elm, version, SIGN_PLAN)
    assert ash.ask("status")["plans"] == {"active": 1, "fired": 0, "alarms": []} and read(ash) == []
    for home in (oak, elm):
        act(home, version, CALL, BRIDGE)
    for home in homes:
        (fired,) = told(home)
        assert (fired.plan, fired.version, fired.scenario, fired.drill) == (version.id, 1, BRIDGE, False)
        assert home.ask("status")["plans"]["fired"] == 1
        (shown,) = read(home)
        assert shown.pop("time").startswith("20")
        group_name = only_group(home).name
        assert shown == {
            "plan": version.id.hex(),
            "version": 1,
            "title": "Saturday",
            "group": group_name,
            "scenario": BRIDGE,
            "drill": False,
            "stands": True,
        }
        assert len(read(home, channel=f"group:{group_name}")) == 1 and read(home, channel="square") == []
    ash.stop()
    ash.start()
    later(table, 2 * DAY_MS)
    assert [fired.scenario for fired in told(ash)] == [BRIDGE, NOON], "over a stop, and later"
    assert [each["scenario"] for each in read(ash)] == [BRIDGE, NOON]


def test_a_drill_is_told_as_one(table: Table) -> None:
    oak, elm = group(table, 2)
    version = propose(oak, [oak, elm])
    act(elm, version, SIGN_PLAN)
    for home in (oak, elm):
        act(home, version, CALL, BRIDGE, is_drill=True)
    assert [fired.drill for fired in told(oak)] == [each["drill"] for each in read(elm)] == [True]
    assert oak.ask("status")["plans"]["fired"] == 0


def test_what_was_stood_down_elsewhere_is_shown_to_stand_no_more(table: Table) -> None:
    homes = oak, elm, ash, fir = group(table, 4)
    version = propose(oak, homes, people=homes)
    for home in homes[1:]:
        act(home, version, SIGN_PLAN)
    apart(table, *homes)
    table.link(oak, elm)
    table.link(ash, fir)
    subscription, quiet = Subscription(7, 1 << 40, None, False, True), Subscription(8, 1 << 40, None, False)
    assert b"fired" not in notices(subscription, oak)
    for home in (oak, elm):
        act(home, version, CALL, BRIDGE)
    assert notices(subscription, oak).count(b'"stands":true') == 1 and notices(subscription, oak) == b""
    for home in (ash, fir):
        act(home, version, STAND_DOWN)
    table.link(elm, ash)
    table.run(1000)
    assert notices(subscription, oak).count(b'"stands":false') == 1
    assert [each["stands"] for each in read(oak)] == [False] and read(fir) == [] and told(fir) == []
    assert oak.ask("status")["plans"]["fired"] == 0 and notices(quiet, oak) == b""


def test_L02_L09_a_share_before_its_cue_and_a_false_one_are_alarms(table: Table) -> None:
    homes = oak, elm, ash, fir = group(table, 4)
    version = propose(oak, [oak, elm], [elm, ash, fir], people=homes)
    act(elm, version, SIGN_PLAN)
    act(ash, version, SHARE, BRIDGE)
    (early,) = oak.ask("status")["plans"]["alarms"]
    assert early == "1 of 2 shares of bridge of the plan Saturday are released before its cue"
    true = plans_of(fir).share(version, 0)
    assert true is not None
    false = true[:-1] + bytes((true[-1] ^ 1,))
    assert shares.place(false) == shares.place(true)
    act(fir, version, SHARE, BRIDGE, payload=false)
    _, named = oak.ask("status")["plans"]["alarms"]
    assert named.endswith("released a false share of bridge of the plan Saturday")
    for home in (oak, elm):
        act(home, version, CALL, BRIDGE)
    assert oak.ask("status")["plans"]["alarms"] == [named], "the cue is there"
