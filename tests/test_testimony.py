"""What was said lately, as it is kept: over a stop, as long as it matters, and no more of anybody than they may."""

from pathlib import Path

import pytest

from meshd.limits import HOLD_FIRST_MS, WORDS_EACH_MAX
from meshd.plans.cue import Call, Dark
from meshd.post import HOUR_MS
from meshd.statement import CALL, DARK, HEARTBEAT, HOLD, REACHED, SIGN_PLAN
from tests.homes import Table
from tests.test_inbox import identity
from tests.test_own_groups import group
from tests.witnesses import (
    arrange,
    attest,
    attested_by,
    go_dark,
    go_light,
    hold,
    later,
    state,
    witness,
    words,
)


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def test_what_was_said_is_here_after_a_restart_and_gone_when_it_is_over(table: Table) -> None:
    homes = oak, elm, _ = group(table, 3)
    made = arrange(homes, Dark(2), days=1)
    go_dark(elm)
    attest(elm)
    table.run(HOLD_FIRST_MS)
    oak.stop()
    oak.start()
    assert attested_by(oak) == ["elm"] and witness(oak).holders(made) == frozenset(map(identity, homes))
    go_light(elm)
    hold(oak, made)
    later(table, 26 * HOUR_MS)
    assert words(oak, DARK) == [] and len(words(oak, HOLD)) == 3  # as long as the version is here
    for home in homes:
        witness(home).plans = None
    later(table, 26 * HOUR_MS)
    assert oak.log.said.all() == []


def test_what_a_seizure_shows_of_it_is_said(table: Table) -> None:
    homes = oak, elm, _ = group(table, 3)
    arrange(homes, Dark(2))
    told = [each for each in oak.ask("status")["exposed"] if "heard last" in each]
    assert told == []
    table.run(HOLD_FIRST_MS)
    (told,) = [each for each in oak.ask("status")["exposed"] if "heard last" in each]
    assert told.startswith(
        "when each of 3 people of groups with plans was heard last, while these plans last"
    )
    assert len(words(elm, HOLD)) == 3


def test_a_group_that_is_left_leaves_nothing_of_what_was_said_in_it(table: Table) -> None:
    homes = oak, _, _ = group(table, 3)
    arrange(homes, Dark(2))
    table.run(HOLD_FIRST_MS)
    assert words(oak, HOLD)
    oak.ask("channel.leave", channel="kitchen")
    assert oak.log.said.all() == []
    later(table, 2 * HOUR_MS)
    assert oak.log.said.all() == [] and attested_by(oak) == []


def test_who_says_too_much_loses_what_they_said_before_and_nobody_elses(table: Table) -> None:
    homes = oak, elm, ash = group(table, 3)
    made = arrange(homes, Call())
    table.run(HOLD_FIRST_MS)
    for number in range(WORDS_EACH_MAX + 1):
        state(ash, REACHED, b"r" * 32, f"case{number}".encode(), 1)
    assert words(oak, REACHED) == [identity(ash)] * WORDS_EACH_MAX
    assert witness(oak).holders(made) == {identity(oak), identity(elm)}


def test_a_call_in_a_post_of_what_witnesses_say_is_no_testimony(table: Table) -> None:
    homes = oak, elm, _ = group(table, 3)
    made = arrange(homes, Call())
    for purpose in (SIGN_PLAN, CALL, HEARTBEAT):
        about, subject = (bytes(32), b"") if purpose == HEARTBEAT else (made.id, b"case0" * (purpose == CALL))
        state(elm, purpose, about, subject)
    assert [words(oak, purpose) for purpose in (SIGN_PLAN, CALL)] == [[], []]
    assert words(oak, HEARTBEAT) == [identity(elm)]
