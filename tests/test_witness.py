"""Witnesses on nodes: what is said of the dark, of people and of plans, when, and what follows from it."""

from pathlib import Path

import pytest

from meshd.errors import CallerError, Code
from meshd.limits import ATTEST_HOLD_S, BEAT_MS, HOLD_FIRST_MS, SILENT_DELAY_MS
from meshd.plans.cue import Call, Dark
from meshd.plans.plan import Version
from meshd.plans.watch import Watch
from meshd.post import HOUR_MS, KIND_STATEMENT
from meshd.statement import HOLD, LOOKED, SILENT
from tests.homes import Home, Table
from tests.test_inbox import identity
from tests.test_own_groups import apart, group, line
from tests.witnesses import (
    Arranged,
    arrange,
    attest,
    attested_by,
    go_dark,
    go_light,
    hold,
    later,
    silence,
    state,
    version,
    witness,
    words,
)

MINUTE_MS = 60_000
HOLD_MS = ATTEST_HOLD_S * 1000


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def refusal(home: Home) -> CallerError:
    with pytest.raises(CallerError) as caught:
        attest(home)
    return caught.value


def fired(home: Home, made: Version, watch: Watch) -> list[int]:
    """The scenarios that fire at a home now, by place."""
    plans = witness(home).plans
    assert plans is not None
    senses = witness(home).senses(made, home.table.now(), lambda scenario: None)
    return [place for place, _ in watch.look(plans.arrangement(made.channel), senses)]


# --- the dark ---


def test_who_sees_the_dark_says_so_when_asked_and_all_in_the_group_see_by_whom(table: Table) -> None:
    homes = oak, elm, ash = group(table, 3)
    arrange(homes, Dark(2))
    assert refusal(oak).code is Code.not_met
    go_dark(oak, elm)
    assert attested_by(oak) == []  # seeing it is not saying it
    assert attest(oak) == 1 and attest(elm) == 1
    assert attested_by(oak) == attested_by(elm) == attested_by(ash) == ["elm", "oak"]


def test_an_attestation_is_over_after_half_an_hour_unless_it_is_made_anew(table: Table) -> None:
    homes = oak, _, ash = group(table, 3)
    arrange(homes, Dark(2))
    go_dark(oak)
    attest(oak)
    for _ in range(4):
        later(table, HOLD_MS)
        assert attested_by(ash) == ["oak"]
    apart(table, *homes)
    table.run(HOLD_MS + MINUTE_MS)
    assert attested_by(ash) == [] and attested_by(oak) == ["oak"]


def test_who_sees_light_again_says_nothing_any_more(table: Table) -> None:
    homes = oak, elm, _ = group(table, 3)
    arrange(homes, Dark(2))
    go_dark(oak)
    attest(oak)
    go_light(oak)
    later(table, HOLD_MS)
    assert attested_by(elm) == []
    go_dark(oak)  # it was asked for in that one blackout
    later(table, HOLD_MS)
    assert attested_by(elm) == []


def test_a_restart_goes_on_attesting(table: Table) -> None:
    homes = oak, elm, _ = group(table, 3)
    made = arrange(homes, Dark(2))
    go_dark(oak)
    attest(oak)
    oak.stop()
    oak.start()
    assert attested_by(oak) == ["oak"]
    hold(oak, made)
    later(table, HOLD_MS + MINUTE_MS)
    assert attested_by(elm) == ["oak"]


def test_it_is_said_where_a_plan_waits_for_the_dark_and_where_there_are_plans_if_none_does(
    table: Table,
) -> None:
    homes = oak, elm, _ = group(table, 3)
    go_dark(oak)
    assert refusal(oak).code is Code.refused
    arrange(homes, Call())
    assert attest(oak) == 1 and attested_by(elm) == ["oak"]
    oak.ask("group.create", name="cellar")
    assert attest(oak) == 1


def test_the_dark_is_met_where_it_is_seen_and_attested_by_enough(table: Table) -> None:
    homes = oak, elm, ash = group(table, 3)
    made = arrange(homes, Dark(2))
    watches = {home: Watch(made) for home in homes}
    go_dark(oak, elm)
    attest(oak)
    assert [fired(home, made, watches[home]) for home in homes] == [[], [], []]
    attest(elm)
    assert [fired(home, made, watches[home]) for home in homes] == [[0], [0], []]
    go_dark(ash)
    assert fired(ash, made, watches[ash]) == [0]


# --- signs of life ---


def said(home: Home, by: Home) -> int:
    """How many statements of somebody a home has, of this day."""
    rows = home.log._database.read(
        "SELECT COUNT(*) FROM post p JOIN chain h ON h.number = p.chain JOIN author a ON a.number = h.author"
        " WHERE p.kind = ? AND a.key = ?",
        (KIND_STATEMENT, identity(by)),
    )
    return int(rows[0][0])


def beats(*homes: Home, is_on: bool = True) -> None:
    for home in homes:
        witness(home).heartbeat(is_on, home.table.now())
        home.ask("status")


def test_heartbeats_are_given_by_who_chose_so_about_once_an_hour(table: Table) -> None:
    homes = oak, elm, ash = group(table, 3)
    arrange(homes, silence(homes, oak))
    beats(oak)
    later(table, 12 * HOUR_MS)
    assert 12 <= said(ash, oak) <= 24 + 2  # and receipts
    assert said(ash, elm) <= 2
    beats(oak, is_on=False)
    before = said(ash, oak)
    later(table, 6 * HOUR_MS)
    assert said(ash, oak) - before <= 1


def test_any_post_is_a_sign_of_life_and_spares_the_heartbeat(table: Table) -> None:
    homes = oak, elm, _ = group(table, 3)
    made = arrange(homes, silence(homes, oak))
    beats(oak)
    for _ in range(8):
        later(table, BEAT_MS // 2)
        oak.post("bread", channel="kitchen")
        table.run(1000)
    assert said(elm, oak) == 1  # the receipt
    assert witness(elm).heard_ms(made.channel, identity(oak)) >= table.now().wall_ms - MINUTE_MS


def test_no_plan_that_waits_for_silence_no_heartbeat(table: Table) -> None:
    homes = oak, elm, _ = group(table, 3)
    beats(oak)
    later(table, 3 * HOUR_MS)
    arrange(homes, Call())
    later(table, 3 * HOUR_MS)
    assert said(elm, oak) == 1  # the receipt


def test_heartbeats_go_on_after_a_restart(table: Table) -> None:
    homes = oak, elm, _ = group(table, 3)
    made = arrange(homes, silence(homes, oak))
    beats(oak)
    oak.stop()
    oak.start()
    assert witness(oak).beats
    hold(oak, made)
    line(table, [oak, elm])
    later(table, 2 * HOUR_MS)
    assert said(elm, oak) >= 2


# --- silence ---


def test_who_is_not_heard_for_the_hours_is_called_silent_and_enough_of_that_is_met(table: Table) -> None:
    homes = oak, elm, ash, fir = group(table, 4)
    made = arrange(homes, silence(homes, oak, hours=6))
    beats(*homes)
    later(table, 5 * HOUR_MS + HOUR_MS // 2, away=(oak,))
    assert words(elm, SILENT) == []
    later(table, HOUR_MS, away=(oak,))
    assert words(elm, SILENT) == sorted(map(identity, (elm, ash, fir)))
    assert fired(elm, made, Watch(made)) == [0]
    assert fired(oak, made, Watch(made)) == []


def test_a_sign_of_life_cancels_silence_at_once(table: Table) -> None:
    homes = oak, elm, _, _ = group(table, 4)
    made = arrange(homes, silence(homes, oak, hours=6))
    beats(*homes[1:])
    later(table, 7 * HOUR_MS, away=(oak,))
    assert len(words(elm, SILENT)) == 3
    oak.post("here I am", channel="kitchen")
    line(table, [oak, elm])
    table.run(1000)
    assert fired(elm, made, Watch(made)) == []
    later(table, 5 * HOUR_MS, away=(oak,))
    assert fired(elm, made, Watch(made)) == []
    later(table, 2 * HOUR_MS, away=(oak,))
    assert fired(elm, made, Watch(made)) == [0]  # silent again


def test_who_gives_heartbeats_answers_at_once_when_called_silent(table: Table) -> None:
    homes = oak, elm, _, _ = group(table, 4)
    made = arrange(homes, silence(homes, oak, hours=6))
    beats(*homes)
    later(table, 7 * HOUR_MS, away=(oak,))
    assert len(words(elm, SILENT)) == 3
    heard_ms = witness(elm).heard_ms(made.channel, identity(oak))
    table.run(10 * MINUTE_MS)
    oak.post("bread", channel="plaza")  # not in this group
    line(table, [oak, elm])
    table.run(2000)
    assert witness(elm).heard_ms(made.channel, identity(oak)) > heard_ms
    assert fired(elm, made, Watch(made)) == []


def test_who_heard_fewer_than_half_of_the_others_calls_nobody_silent(table: Table) -> None:
    homes = oak, elm, ash, fir = group(table, 4)
    made = arrange(homes, silence(homes, oak, hours=6, observers=1))
    beats(*homes)
    later(table, 9 * HOUR_MS, away=tuple(homes))
    assert [words(home, SILENT) for home in homes] == [[], [], [], []]
    assert [fired(home, made, Watch(made)) for home in homes] == [[], [], [], []]
    apart(table, *homes)
    fir.stop()
    oak.stop()
    later(table, 9 * HOUR_MS)
    assert words(elm, SILENT) == sorted(map(identity, (elm, ash)))  # each has heard the other: one of two


def test_silence_is_told_again_before_what_was_said_is_over(table: Table) -> None:
    homes = oak, elm, _ = group(table, 3)
    made = arrange(homes, silence(homes, oak, hours=6))
    beats(*homes[1:])
    later(table, 40 * HOUR_MS, away=(oak,))
    assert len(words(elm, SILENT)) == 2
    assert fired(elm, made, Watch(made)) == [0]


def test_silence_is_counted_from_when_the_plan_begins(table: Table) -> None:
    homes = oak, elm, _ = group(table, 3)
    now_s = table.now().wall_ms // 1000
    arrange(homes, silence(homes, oak, hours=2), from_s=now_s + 10 * 3600)
    beats(*homes)
    later(table, 11 * HOUR_MS, away=(oak,))
    assert words(elm, SILENT) == []
    later(table, HOUR_MS + 2 * SILENT_DELAY_MS, away=(oak,))
    assert len(words(elm, SILENT)) == 2


def test_the_last_sign_of_life_is_remembered_longer_than_its_post(table: Table) -> None:
    homes = _, elm, ash = group(table, 3)  # ash has made no epoch, which is kept for long
    made = arrange(homes, silence(homes, ash, hours=96))
    ash.post("bread", channel="kitchen", keep="6h")
    table.run(1000)
    ash.stop()
    said_ms = witness(elm).heard_ms(made.channel, identity(ash))
    later(table, 80 * HOUR_MS)
    assert elm.log.said.newest(made.channel, identity(ash)) is None, "no post of theirs is left"
    assert witness(elm).heard_ms(made.channel, identity(ash)) == said_ms > 0


# --- receipts, drills, readiness ---


def test_who_holds_a_version_says_so_and_says_it_again(table: Table) -> None:
    homes = oak, elm, ash = group(table, 3)
    made = version(homes, Call())
    hold(oak, made)
    hold(elm, made)
    table.run(HOLD_FIRST_MS + 1000)
    assert witness(ash).holders(made) == frozenset(map(identity, homes))  # itself, whether or not it said so
    assert witness(oak).holders(made) == {identity(oak), identity(elm)}
    before = len(oak.raws())
    later(table, 48 * HOUR_MS)
    assert 2 * 2 <= len(oak.raws()) - before <= 2 * 4
    assert witness(ash).holders(made) == frozenset(map(identity, homes))


def test_a_version_that_is_not_arranged_has_no_holders(table: Table) -> None:
    homes = oak, elm, _ = group(table, 3)
    made = version(homes, Call())
    plans = Arranged(made)
    plans.arranged._said.clear()
    witness(oak).plans = plans
    witness(oak).look_again()
    table.run(HOUR_MS)
    assert words(elm, HOLD) == []


def test_a_version_that_is_only_proposed_after_the_standing_one_has_no_holders(table: Table) -> None:
    homes = oak, elm, _ = group(table, 3)
    made = version(homes, Call())
    plan = made.plan._replace(number=2, first=made.id, previous=made.id)
    proposed = made._replace(id=b"w" * 32, plan=plan)
    plans = Arranged(made)
    plans.arranged.add_version(proposed)
    plans.versions = lambda: [made, proposed]  # type: ignore[method-assign]
    witness(oak).plans = plans
    witness(oak).look_again()
    oak.ask("status")
    table.run(HOLD_FIRST_MS + 1000)
    assert witness(elm).holders(made) >= {identity(oak)}
    assert identity(oak) not in witness(elm).holders(proposed)


def test_a_drill_is_scored_by_who_was_reached_and_who_looked(table: Table) -> None:
    homes = oak, elm, _ = group(table, 3)
    made = arrange(homes, Call())
    for home in homes:
        witness(home).reached(made, "case0", table.now())
        home.ask("status")
        table.run(MINUTE_MS)
    for _ in range(2):
        witness(elm).looked(made, "case0", table.now())
        elm.ask("status")
    table.run(1000)
    reached, looked, last_ms = witness(oak).drill(made, "case0")
    assert (reached, looked) == (frozenset(map(identity, homes)), {identity(elm)})
    assert last_ms is not None and table.now().wall_ms - 3 * MINUTE_MS < last_ms < table.now().wall_ms
    assert witness(oak).drill(made, "case1") == (frozenset(), frozenset(), None)
    carried = len(oak.raws())
    witness(elm).looked(made, "case0", table.now())
    assert len(oak.raws()) == carried and words(oak, LOOKED) == [identity(elm)]


def test_who_was_put_out_says_nothing_of_the_plan_any_more(table: Table) -> None:
    homes = oak, _, ash = group(table, 3)
    arrange(homes, Dark(1))
    go_dark(ash)
    oak.ask("group.remove", group="kitchen", who=ash.log.name)
    table.run(1000)
    with pytest.raises(CallerError, match="no group of yours") as caught:
        witness(ash).attest(table.now())
    assert caught.value.code is Code.refused


def test_a_silence_that_was_told_a_day_ago_is_none(table: Table) -> None:
    homes = _, elm, ash = group(table, 3)
    leaf = silence(homes, ash)
    made = arrange(homes, leaf)
    ash.stop()
    later(table, 7 * HOUR_MS)
    state(elm, SILENT, made.id, b"case0")
    now = table.now()
    told = witness(elm).silent(made, "case0", leaf, now)
    assert identity(elm) in told
    over = now._replace(wall_ms=now.wall_ms + 24 * HOUR_MS)
    assert witness(elm).silent(made, "case0", leaf, over) == frozenset()
