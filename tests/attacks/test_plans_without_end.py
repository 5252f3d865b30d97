"""Attacks on plans by which somebody would fill the disks of a group, or make all of its laptops work."""

from pathlib import Path

import pytest

from meshd import group_plans
from meshd.limits import (
    CALLS_EACH_MAX,
    RESEAL_HOURS,
    UPKEEP_EACH_MS,
    VERSIONS_EACH_MAX,
    VERSIONS_STRANGERS_MAX,
)
from meshd.post import HOUR_MS, KIND_PLAN, KIND_PLAN_ACT
from meshd.statement import CALL, SIGN_PLAN
from tests.attacks.test_own_plans import arranged
from tests.group_plans import BRIDGE, NOON, act, plans_of, propose, state
from tests.groups import bring, parsed
from tests.homes import Home, Table, key
from tests.hostile_plans import Hostile
from tests.test_inbox import identity
from tests.test_own_groups import line
from tests.test_vouching import later


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def crowd(table: Table, count: int) -> list[Home]:
    """A group of many, linked in a line."""
    homes = [table.home(f"home{number}") for number in range(count)]
    oak = homes[0]
    cards = [home.ask("id.show")["card"] for home in homes]
    for home, card in zip(homes[1:], cards[1:], strict=True):
        home.ask("contact.add", card=cards[0], name="oak")
        oak.ask("contact.add", card=card, name=home.log.name)
    line(table, homes)
    table.run(5000)
    oak.ask("group.create", name="kitchen")
    oak.ask("group.invite", group="kitchen", who=[home.log.name for home in homes[1:]])
    table.run(60_000)
    for home in homes[1:]:
        home.ask("group.accept", invite="kitchen")
    table.run(1000)
    return homes


def test_E04_many_members_and_posts_of_a_plan_that_near_their_end_cost_a_handful_each(table: Table) -> None:
    homes = crowd(table, 12)
    version = propose(homes[0], homes[:2], days=30)
    act(homes[1], version, SIGN_PLAN)
    posts = homes[0].log.plans.posts(version.channel)
    assert len(posts) == 3 and {state(home, version) for home in homes} == {"active"}
    later(table, RESEAL_HOURS * HOUR_MS * 3 // 4)
    held = {key(raw) for raw in homes[0].raws()}
    table.run(HOUR_MS + UPKEEP_EACH_MS * len(homes))
    fresh = [raw for raw in homes[0].raws() if key(raw) not in held]
    groups = homes[0].node.groups
    assert groups is not None
    opened = [groups._sealing.open_again(parsed(raw)) for raw in fresh]
    again = [each.id for each in opened if each is not None and each.post.kind in (KIND_PLAN, KIND_PLAN_ACT)]
    assert set(again) == {each.id for each in posts} and len(again) <= 2 * len(posts)
    hour = table.now().wall_ms // HOUR_MS
    assert all(
        post.expiry_hour > hour + RESEAL_HOURS - 2
        for home in homes
        for post in home.log.plans.posts(version.channel)
    )


def test_a_member_who_proposes_without_end_and_all_strangers_fill_no_disk(table: Table) -> None:
    homes, version = arranged(table, 3)
    oak, elm, ash = homes
    liar = Hostile(ash)
    bring(oak, *(liar.propose(number) for number in range(VERSIONS_EACH_MAX + 9)))
    assert sum(each.author == identity(ash) for each in plans_of(oak).versions()) == VERSIONS_EACH_MAX
    for seed in range(VERSIONS_STRANGERS_MAX + 9):
        bring(oak, Hostile(ash, bytes((seed + 1,)) * 32).propose())
    known = {identity(home) for home in homes}
    strangers = [each for each in plans_of(oak).versions() if each.author not in known]
    assert len(strangers) == VERSIONS_STRANGERS_MAX
    assert state(oak, version) == "active"
    assert propose(oak, [oak, elm], seed="more"), "others have room as before"


def test_organisers_who_were_made_up_fill_no_disk(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    homes, version = arranged(table, 3)
    oak, elm, ash = homes
    monkeypatch.setattr(group_plans, "ACTS_EACH_MAX", 8)
    made_up = [Hostile(ash, bytes((n,)) * 32) for n in range(1, 8)]
    people = tuple(sorted(each.public for each in made_up))
    organisers = bytes(range(7))
    liar = Hostile(ash)
    bring(oak, *(liar.propose(n, people=people, organisers=organisers, threshold=7) for n in range(2)))
    hostile = [each for each in plans_of(oak).versions() if each.author == identity(ash)]
    for each in hostile:
        bring(oak, *(who.act(each, CALL, BRIDGE) for who in made_up))
    about = [post.version for post in oak.log.plans.posts(version.channel) if post.id != post.version]
    assert sum(about.count(each.id) for each in hostile) == 8
    act(elm, version, CALL, BRIDGE)
    bring(oak, Hostile(ash).act(hostile[0], SIGN_PLAN), Hostile(elm).act(version, CALL, NOON))
    arrangement = plans_of(oak).arrangement(version.channel)
    assert len(list(arrangement.all(version, CALL, BRIDGE))) == 1
    assert len(list(arrangement.all(version, CALL, NOON))) == 1, "who is none of them has room as before"


def test_an_organiser_who_speaks_without_end_fills_no_disk(table: Table) -> None:
    homes, version = arranged(table, 3)
    liar, now_ms = Hostile(homes[1]), table.now().wall_ms
    raws = [liar.act(version, CALL, BRIDGE, ms=now_ms - n) for n in range(40)]
    for start in range(0, len(raws), 10):
        bring(homes[0], *raws[start : start + 10])
    assert len(homes[0].log.plans.posts(version.channel)) == 3 + CALLS_EACH_MAX
    earliest = [
        said.time_ms for said in plans_of(homes[0]).arrangement(version.channel).all(version, CALL, BRIDGE)
    ]
    assert earliest == list(range(now_ms - 39, now_ms - 39 + CALLS_EACH_MAX))
