"""What is said about plans goes ahead of a backlog, and to fellow members alone."""

from pathlib import Path

import pytest

from meshd.plans.plan import Version
from meshd.statement import CALL, SIGN_PLAN, STAND_DOWN
from tests.group_plans import BRIDGE, act, plans_of, propose, scenario
from tests.homes import Home, Table, key
from tests.test_inbox import befriend
from tests.test_own_groups import apart, group
from tests.test_own_plans import fired

TALK = 150  # posts, two gives of them


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def talk(home: Home) -> None:
    """Somebody goes on and on, in the group and in public."""
    for number in range(TALK):
        home.post(f"{number}", channel=("kitchen", "plaza")[number % 2])
    home.table.run(1000)


def said_while_away(table: Table, count: int) -> tuple[list[Home], Version]:
    """Homes of a group, of which all but the first two are away by now: those call, and stand it down, and talk."""
    homes = oak, elm, *others = group(table, count)
    version = propose(oak, [oak, elm], people=homes)
    act(elm, version, SIGN_PLAN)
    apart(table, *others)
    talk(oak)
    for home in (oak, elm):
        act(home, version, CALL, BRIDGE)
    talk(oak)
    for home in (oak, elm):
        act(home, version, STAND_DOWN, BRIDGE)
    talk(oak)
    return homes, version


def envelopes(home: Home, posts: set[bytes]) -> set[bytes]:
    """The keys of the envelopes of these posts."""
    return {found for id in posts if (found := home.log.openings.envelope_of(id)) is not None}


def about_plans(home: Home) -> set[bytes]:
    """The keys of the envelopes of all that was said about plans."""
    rows = [row for channel in home.log.plans.channels() for row in home.log.plans.posts(channel)]
    return envelopes(home, {row.id for row in rows})


def given(table: Table, giver: Home, taker: Home) -> list[bytes]:
    """The keys of what the giver has and the taker gets from it, in that order."""
    had, before = [key(raw) for raw in giver.raws()], len(taker.raws())
    table.link(taker, giver)
    table.run(5000)
    came = [key(raw) for raw in taker.raws()[before:]]
    assert {key(raw) for raw in taker.raws()} >= set(had)
    return [each for each in came if each in set(had)]


def in_order(keys: list[bytes], giver: Home) -> bool:
    """Whether they are in the order in which they came to the giver."""
    places = {key(raw): place for place, raw in enumerate(giver.raws())}
    return keys == sorted(keys, key=places.__getitem__)


@pytest.mark.parametrize("starts", [1, 2])
def test_who_was_away_hears_first_what_was_stood_down(table: Table, starts: int) -> None:
    (_, elm, ash), version = said_while_away(table, 3)
    if starts == 2:
        elm.stop()
        elm.start()
    told = fired(ash)
    keys, about = given(table, elm, ash), about_plans(elm)
    stood_down = envelopes(elm, plans_of(elm).arrangement(version.channel).stand_downs())
    acts = about & set(keys)
    assert len(keys) > 3 * TALK and len(stood_down) == 2 and len(acts) >= 4
    assert set(keys[:2]) == stood_down and set(keys[: len(acts)]) == acts
    assert in_order(keys[len(acts) :], elm)
    assert scenario(ash, version) == "stood-down" and told == [] and ash.log.missing() == []


def test_nobody_else_is_given_it_in_that_order(table: Table) -> None:
    """One who was put out, a contact who is in no group, and one whom nobody knows."""
    (oak, elm, out), _ = said_while_away(table, 3)
    oak.ask("group.remove", group="kitchen", who=out.log.name)
    table.run(60_000)
    friend, anybody = table.home("fir"), table.home("yew")
    befriend(elm, friend)
    for taker in (out, friend, anybody):
        keys = given(table, elm, taker)
        (link,) = taker.open_links()
        assert (taker.node.recognition.contact(link) is None) == (taker is anybody)
        assert about_plans(elm) & set(keys) and len(keys) > 3 * TALK and in_order(keys, elm)


def test_who_is_locked_gives_in_order(table: Table) -> None:
    (oak, elm, ash), _ = said_while_away(table, 3)
    about = about_plans(elm)
    apart(table, oak)
    elm.stop()
    elm.locked = True
    elm.start()
    keys = given(table, elm, ash)
    assert about & set(keys) and len(keys) > 3 * TALK and in_order(keys, elm)
