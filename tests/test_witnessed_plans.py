"""Plans that wait for the dark or for silence, on nodes that keep them for real: what fires, where and when."""

from pathlib import Path

import pytest

from meshd.errors import CallerError
from meshd.limits import ATTEST_HOLD_S, HOLD_FIRST_MS, LOOK_MS
from meshd.plans.cue import Call, Cue, Dark
from meshd.plans.plan import FREEZE_WHEN_DARK, Version
from meshd.post import HOUR_MS
from meshd.statement import CALL, DARK, SIGN_PLAN, SILENT
from tests.group_plans import BRIDGE, act, plans_of, propose, scenario
from tests.homes import Home, Table
from tests.test_inbox import identity
from tests.test_own_groups import apart, group, line
from tests.witnesses import attest, attested_by, go_dark, go_light, later, silence, state, witness, words

MINUTE_MS = 60_000
HOLD_MS = ATTEST_HOLD_S * 1000


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def arranged(homes: list[Home], cue: Cue, **how: object) -> Version:
    """A plan of all of these whose second scenario has this cue."""
    made = propose(homes[0], homes[:2], people=homes, second=cue, **how)  # type: ignore[arg-type]
    act(homes[1], made, SIGN_PLAN)
    return made


def has_fired(homes: list[Home], made: Version) -> list[bool]:
    return [scenario(home, made, 1) == "fired" for home in homes]


def test_the_blackout_fires_where_it_is_seen_once_enough_attest_it(table: Table) -> None:
    homes = oak, elm, ash, fir = group(table, 4)
    made = arranged(homes, Dark(2))
    go_dark(oak, elm, ash)
    assert has_fired(homes, made) == [False] * 4
    attest(oak)
    assert has_fired(homes, made) == [False] * 4
    attest(elm)
    assert has_fired(homes, made) == [True, True, True, False], "within a second, and not where it is light"
    go_dark(fir)
    table.run(LOOK_MS)
    assert has_fired(homes, made) == [True] * 4
    go_light(*homes)
    later(table, HOUR_MS)
    assert has_fired(homes, made) == [True] * 4


def test_an_attestation_that_is_over_counts_no_more(table: Table) -> None:
    homes = oak, elm, ash = group(table, 3)
    made = arranged(homes, Dark(2))
    go_dark(oak, elm)
    attest(oak)
    apart(table, *homes)
    table.link(elm, ash)
    table.run(HOLD_MS + MINUTE_MS)
    attest(elm)
    assert attested_by(elm) == ["elm"] and has_fired(homes, made) == [False] * 3
    table.link(oak, elm)
    table.run(1000)
    assert has_fired(homes, made) == [True, True, False]


def test_who_is_not_heard_for_hours_is_missed_and_a_sign_of_life_in_time_is_enough(table: Table) -> None:
    homes = oak, elm, ash, fir = group(table, 4)
    made = arranged(homes, silence(homes, oak, hours=6, observers=2))
    for home in homes:
        witness(home).heartbeat(True, table.now())
        home.ask("status")
    later(table, 8 * HOUR_MS)
    assert words(elm, SILENT) == []
    later(table, 5 * HOUR_MS, away=(oak,))
    line(table, [oak, elm])
    table.run(1000)
    later(table, 5 * HOUR_MS, away=(oak,))
    assert has_fired(homes, made) == [False] * 4
    (waiting,) = elm.ask("plan.list")["plans"]
    assert waiting["scenarios"][1]["progress"] == {"have": 0, "needed": 2}
    oak.stop()
    later(table, 3 * HOUR_MS)
    (missed,) = elm.ask("plan.list")["plans"]
    assert missed["scenarios"][1]["progress"] == {"have": 3, "needed": 2}
    assert has_fired([elm, ash, fir], made) == [True] * 3


def test_a_hostile_observer_alone_fires_nothing(table: Table) -> None:
    homes = oak, elm, ash, _ = group(table, 4)
    made = arranged(homes, silence(homes, oak, hours=1, observers=2))
    oak.post("bread", channel="kitchen")
    later(table, HOUR_MS // 2)
    for _ in range(3):
        state(elm, SILENT, made.id, b"noon")
        state(elm, DARK, bytes(32), ((table.now().wall_ms + MINUTE_MS) // 1000).to_bytes(4, "big"))
    state(ash, SILENT, made.id, b"noon")  # two liars, and all have heard oak
    assert has_fired(homes, made) == [False] * 4


def test_a_restart_goes_on_attesting_and_giving_heartbeats(table: Table) -> None:
    homes = oak, elm, _ = group(table, 3)
    made = arranged(homes, Dark(2))
    go_dark(oak, elm)
    attest(oak)
    witness(oak).heartbeat(True, table.now())
    oak.ask("status")
    oak.stop()
    oak.start()
    assert witness(oak).beats
    later(table, 2 * HOLD_MS)
    assert attested_by(elm) == ["oak"]
    attest(elm)
    assert has_fired(homes, made) == [True, True, False]


def test_everybody_says_that_they_hold_a_plan_and_were_reached_by_its_drill(table: Table) -> None:
    homes = oak, elm, ash = group(table, 3)
    made = arranged(homes, Call())
    table.run(HOLD_FIRST_MS)
    everybody = frozenset(map(identity, homes))
    assert [witness(home).holders(made) for home in homes] == [everybody] * 3
    for home in (oak, elm):
        act(home, made, CALL, BRIDGE, is_drill=True)
    assert [scenario(home, made, is_drill=True) for home in homes] == ["fired"] * 3
    reached, looked, _ = witness(ash).drill(made, BRIDGE)
    assert (reached, looked) == (everybody, frozenset())
    carried = len(oak.raws())
    oak.stop()
    oak.start()
    line(table, [oak, elm])
    table.run(MINUTE_MS)
    assert len(oak.raws()) == carried, "what was said is not said again"
    assert plans_of(oak).version(made.id) is not None


def test_a_plan_freezes_its_group_in_the_dark_while_it_lives(table: Table) -> None:
    homes = oak, elm, _ = group(table, 3)
    fir = table.home("fir")
    oak.ask("contact.add", card=fir.ask("id.show")["card"], name="fir")
    arranged(homes, Dark(1), flags=FREEZE_WHEN_DARK, days=1)
    go_dark(oak)
    with pytest.raises(CallerError, match="dark"):
        oak.ask("group.invite", group="kitchen", who="fir")
    elm.ask("status")
    later(table, 25 * HOUR_MS)
    assert oak.ask("group.invite", group="kitchen", who="fir")["invite"]
