"""Attacks on what plans hear of the dark and of people: lies of one observer, words out of place, and too many."""

from itertools import permutations
from pathlib import Path

import pytest

from meshd import statement
from meshd.limits import ATTEST_HOLD_S, BEAT_ANSWER_MS
from meshd.plans.cue import Dark
from meshd.plans.plan import Version
from meshd.plans.watch import Watch
from meshd.post import HOUR_MS
from meshd.statement import ADD_MEMBER, DARK, HEARTBEAT, HOLD, REACHED, SILENT, Statement
from tests.attacks.test_vouching import kitchen
from tests.homes import Home, Stranger, Table
from tests.test_inbox import identity
from tests.test_own_groups import apart, group, line
from tests.witnesses import (
    arrange,
    attest,
    attested_by,
    go_dark,
    hold,
    later,
    silence,
    state,
    witness,
    words,
)

ZEROS = bytes(32)
HOLD_MS = ATTEST_HOLD_S * 1000


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def until(table: Table, ms: int) -> bytes:
    return ((table.now().wall_ms + ms) // 1000).to_bytes(4, "big")


def fires(home: Home, made: Version) -> bool:
    """Whether anything would fire at a home now."""
    plans = witness(home).plans
    assert plans is not None
    senses = witness(home).senses(made, home.table.now(), lambda scenario: None)
    return bool(Watch(made).look(plans.arrangement(made.channel), senses))


def test_L05_one_observer_is_one_however_often_they_attest_and_nobody_without_the_office_is_any(
    table: Table,
) -> None:
    homes = oak, elm, ash = group(table, 3)
    observers = bytes(sorted(sorted(map(identity, homes)).index(identity(home)) for home in (oak, elm)))
    made = arrange(homes, Dark(2), observers=observers)
    go_dark(oak)
    for _ in range(3):
        state(elm, DARK, ZEROS, until(table, HOLD_MS - 2000))
    state(ash, DARK, ZEROS, until(table, HOLD_MS - 2000))  # a member, and no observer
    assert attested_by(oak) == ["ash", "elm"] and not fires(oak, made)
    attest(oak)
    assert fires(oak, made)


def test_L05_a_hostile_observer_alone_makes_nothing_dark_and_nobody_silent(table: Table) -> None:
    homes = oak, elm, ash, fir = group(table, 4)
    made = arrange(homes, Dark(1), silence(homes, oak, hours=1, observers=1))
    state(elm, DARK, ZEROS, until(table, HOLD_MS - 2000))
    assert not any(fires(home, made) for home in homes)  # who sees light is told nothing
    oak.post("bread", channel="kitchen")
    table.run(1000)
    state(elm, SILENT, made.id, b"case1")
    assert not any(fires(home, made) for home in (oak, ash, fir))  # who has heard them knows better


def test_L05_silence_that_too_few_observers_or_the_person_alone_tell_is_none(table: Table) -> None:
    homes = oak, elm, _, _ = group(table, 4)
    made = arrange(homes, silence(homes, oak, hours=1, observers=2))
    later(table, 2 * HOUR_MS, away=tuple(homes))
    state(elm, SILENT, made.id, b"case0")
    for home in homes:
        assert not fires(home, made)
    state(oak, SILENT, made.id, b"case0")
    assert not fires(elm, made)


def test_L06_what_is_said_of_another_version_or_scenario_counts_for_nothing(table: Table) -> None:
    homes = oak, elm, ash, _ = group(table, 4)
    made = arrange(homes, silence(homes, oak, hours=1, observers=2), silence(homes, elm, hours=90))
    later(table, 2 * HOUR_MS, away=tuple(homes))
    line(table, [elm, ash])
    for home in (elm, ash):
        state(home, SILENT, b"another version".ljust(32), b"case0")
        state(home, SILENT, made.id, b"case1")
        state(home, SILENT, made.id, b"case7")
    assert len(words(elm, SILENT)) == 6 and not fires(elm, made)
    for home in (elm, ash):
        state(home, SILENT, made.id, b"case0")
    assert fires(elm, made)


def test_T02_a_stamp_ahead_attests_no_longer_and_outlives_no_sign_of_life(table: Table) -> None:
    homes = oak, elm, ash = group(table, 3)
    made = arrange(homes, Dark(1), silence(homes, oak, hours=1, observers=1))
    go_dark(ash)
    state(elm, DARK, ZEROS, until(table, HOLD_MS + 60_000))
    assert attested_by(ash) == [] and not fires(ash, made)
    state(elm, DARK, ZEROS, b"\xff" * 4)
    assert attested_by(ash) == []
    oak.post("bread", channel="kitchen")
    table.run(1000)
    elm.skew_ms = 14 * 60_000
    state(elm, SILENT, made.id, b"case1")
    elm.skew_ms = 0
    assert len(words(ash, SILENT)) == 1 and not fires(ash, made)


def test_I01_nobody_attests_or_is_alive_in_anothers_name(table: Table) -> None:
    homes = oak, elm, ash = group(table, 3)
    made = arrange(homes, Dark(1))
    assert elm.node.groups is not None and oak.node.author is not None
    own, heard_ms = kitchen(elm), witness(ash).heard_ms(made.channel, identity(oak))
    for purpose, subject in ((DARK, until(table, HOLD_MS - 2000)), (HEARTBEAT, b"")):
        said = Statement(purpose, own.channel, ZEROS, subject)
        elsewhere = said._replace(channel=b"another channel ")
        for signed in (said._replace(purpose=ADD_MEMBER), elsewhere):
            body = statement.encode_body(said, oak.node.author.sign_statement(signed))
            elm.node.groups.deciding.state(own, body, table.now())
    elm.ask("status")
    table.run(1000)
    assert words(ash, DARK) == words(ash, HEARTBEAT) == [] and attested_by(ash) == []
    assert witness(ash).heard_ms(made.channel, identity(oak)) == heard_ms


@pytest.mark.parametrize("wrong", ["about", "flag", "long", "name"])
def test_I01_a_statement_with_more_in_it_than_belongs_there_says_nothing(table: Table, wrong: str) -> None:
    homes = _, elm, ash = group(table, 3)
    arrange(homes, Dark(1))
    match wrong:
        case "about":
            state(elm, DARK, b"a" * 32, until(table, HOLD_MS - 2000))
        case "flag":
            state(elm, HEARTBEAT, ZEROS, b"", 1)
        case "long":
            state(elm, HEARTBEAT, ZEROS, b"we meet at the bridge")
        case _:
            state(elm, SILENT, b"v" * 32, b"Case 0")
    assert ash.log.said.all() == []


def test_I05_of_what_one_says_the_newest_stands_in_whatever_order_it_comes(tmp_path: Path) -> None:
    for number, order in enumerate(permutations(range(3))):
        folder = tmp_path / str(number)
        folder.mkdir()
        table = Table(folder)
        homes = oak, elm, ash = group(table, 3)
        arrange(homes, Dark(1))
        apart(table, oak, elm, ash)
        raws = []
        for minutes in (25, 5, 15):
            before = len(elm.raws())
            state(elm, DARK, ZEROS, until(table, minutes * 60_000))
            raws.append(elm.raws()[before])
        stranger = Stranger(oak, seed=5)
        table.settle()
        for place in order:
            stranger.give(raws[place])
        table.run(1000)
        assert attested_by(oak) == ["elm"]
        table.run(14 * 60_000)
        assert attested_by(oak) == ["elm"]
        table.run(2 * 60_000)
        assert attested_by(oak) == []


def test_S01_a_forked_key_attests_nothing(table: Table) -> None:
    homes = oak, elm, _ = group(table, 3)
    made = arrange(homes, Dark(1))
    go_dark(oak)
    state(elm, DARK, ZEROS, until(table, HOLD_MS - 2000))
    assert fires(oak, made)
    kitchen(oak).group.dag.set_forked([identity(elm)])
    assert not fires(oak, made) and attested_by(oak) == []


def test_G01_a_removed_member_attests_nothing(table: Table) -> None:
    homes = oak, elm, _ = group(table, 3)
    made = arrange(homes, Dark(1))
    go_dark(oak)
    state(elm, DARK, ZEROS, until(table, HOLD_MS - 2000))
    assert fires(oak, made)
    oak.ask("group.remove", group="kitchen", who="elm")
    assert not fires(oak, made) and attested_by(oak) == []


def test_P01_who_calls_somebody_silent_again_and_again_gets_few_answers(table: Table) -> None:
    homes = oak, elm, ash = group(table, 3)
    made = arrange(homes, silence(homes, oak, hours=6, observers=1))
    witness(oak).heartbeat(True, table.now())
    oak.ask("status")
    answers = set[int]()
    for _ in range(60):
        state(elm, SILENT, made.id, b"case0")
        table.run(29_000)
        answers.add(witness(ash).heard_ms(made.channel, identity(oak)))
    assert 1 < len(answers) <= 2 + 60 * 30_000 // BEAT_ANSWER_MS


def test_E14_a_locked_node_says_and_tells_nothing_of_it(table: Table) -> None:
    homes = oak, elm, _ = group(table, 3)
    made = arrange(homes, Dark(1))
    go_dark(oak)
    attest(oak)
    oak.stop()
    oak.locked = True
    oak.start()
    assert attested_by(oak) == [] and oak.ask("internet")["dark"]
    line(table, [oak, elm])
    table.run(HOLD_MS + 60_000)
    assert attested_by(elm) == []
    oak.stop()
    oak.locked = False
    oak.start()
    hold(oak, made)
    line(table, [oak, elm])
    table.run(2 * 60_000 + 1000)
    assert attested_by(elm) == ["oak"]  # it is still dark, and was asked for


def test_V04_what_witnesses_say_is_one_more_small_envelope_and_names_nobody(table: Table) -> None:
    homes = _, elm, ash = group(table, 3)
    made = arrange(homes, Dark(1))
    apart(table, *homes)
    later(table, HOUR_MS, away=(ash,))
    before = len(elm.raws())
    elm.post("yes", channel="kitchen")
    state(elm, DARK, ZEROS, until(table, HOLD_MS - 2000))
    state(elm, SILENT, made.id, b"case0")
    state(elm, HEARTBEAT, ZEROS)
    state(elm, HOLD, made.id)
    state(elm, REACHED, made.id, b"case0", 1)
    raws = elm.raws()[before:]
    assert len(raws) == 6 and len({len(raw) for raw in raws}) == 1  # as long as a word
    public = (*map(identity, homes), made.id, made.channel, kitchen(elm).row.anchor, b"case0")
    assert not [raw for raw in raws for each in public if each in raw]
