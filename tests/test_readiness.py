"""Readiness: what a node knows of who is there to carry a plan out, and whose clock is off."""

from pathlib import Path

import pytest

from meshd.limits import HOLD_FIRST_MS
from meshd.plans.cue import Call
from meshd.post import HOUR_MS
from tests.homes import Table
from tests.test_inbox import identity
from tests.test_own_groups import apart, group, line
from tests.wire import WALL_MS
from tests.witnesses import arrange, later, place, witness

MINUTE_MS = 60_000


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def test_readiness_counts_stewards_who_were_heard_within_a_day(table: Table) -> None:
    homes = oak, _, ash = group(table, 3)
    made = arrange(homes, Call())
    table.run(HOLD_FIRST_MS + 1000)
    stewards = {"heard": 3, "total": 3, "spare": 1}
    assert witness(oak).readiness(made, table.now()) == {"holders": 3, "stewards": stewards, "clocks_off": 0}
    ash.stop()
    later(table, 26 * HOUR_MS)
    stewards = {"heard": 2, "total": 3, "spare": 0}
    assert witness(oak).readiness(made, table.now()) == {"holders": 3, "stewards": stewards, "clocks_off": 0}


def test_readiness_counts_stewards_alone_and_who_asks_is_there(table: Table) -> None:
    homes = oak, elm, ash = group(table, 3)
    two = bytes(sorted((place(homes, oak), place(homes, ash))))
    made = arrange(homes, Call(), stewards=two)
    table.run(HOLD_FIRST_MS + 1000)
    for home in homes:
        assert witness(home).readiness(made, table.now())["stewards"] == {"heard": 2, "total": 2, "spare": 0}
    elm.stop()
    ash.stop()
    tomorrow = table.now()._replace(wall_ms=table.now().wall_ms + 26 * HOUR_MS)
    assert witness(oak).heard_lately(made, tomorrow) == {identity(oak)}, (
        "though it said nothing for a day either"
    )


def test_a_clock_that_is_ahead_is_told(table: Table) -> None:
    homes = oak, elm, _ = group(table, 3)
    made = arrange(homes, Call())
    elm.skew_ms = 10 * MINUTE_MS
    elm.post("bread", channel="kitchen")
    table.run(1000)
    assert witness(oak).clocks_off(made, table.now()) == {identity(elm)}


@pytest.mark.parametrize("off_ms", [-WALL_MS, -3 * HOUR_MS, 3 * HOUR_MS])
def test_a_clock_that_is_off_is_told_by_its_hello(table: Table, off_ms: int) -> None:
    homes = oak, elm, _ = group(table, 3)
    made = arrange(homes, Call())
    for skew_ms, found in ((off_ms, {identity(elm)}), (0, set[bytes]())):
        apart(table, *homes)
        elm.skew_ms = skew_ms
        elm.stop()
        elm.start()
        line(table, homes)
        table.run(1000)
        assert witness(oak).clocks_off(made, table.now()) == found
