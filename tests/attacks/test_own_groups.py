"""Cases G and E on nodes: members who were removed, halves that did not meet, and prekeys that are over."""

from pathlib import Path

import pytest

from tests.homes import Table
from tests.test_inbox import befriend, identity
from tests.test_own_groups import DAY_MS, apart, epoch, friends, group, members, read, say


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def test_G01_who_is_removed_carries_what_comes_and_reads_none_of_it(table: Table) -> None:
    oak, elm, ash = group(table, 3)
    say(oak, "bread")
    oak.ask("group.remove", group="kitchen", who="elm")  # through whom all of it goes
    table.run(60_000)
    say(oak, "water")
    say(ash, "salt")
    assert read(oak) == read(ash) == ["bread", "water", "salt"]
    assert read(elm) == ["bread"] and set(oak.raws()) == set(elm.raws())
    assert members(oak) == members(ash) == ["ash", "oak"]


def test_E03_what_somebody_says_who_was_removed_is_shown_as_that(table: Table) -> None:
    oak, elm, ash = group(table, 3)
    say(elm, "before")
    oak.ask("group.remove", group="kitchen", who="elm")
    table.run(60_000)
    say(elm, "I am still here")  # under the old epoch: nobody told elm
    for home in (oak, ash):
        posts = home.ask("read", channel="kitchen")["posts"]
        assert {post["text"]: post["after_removal"] for post in posts} == {
            "before": False,
            "I am still here": True,
        }


def test_G02_two_halves_change_membership_apart_meet_and_agree(table: Table) -> None:
    oak, elm, ash, fir = group(table, 4)
    yew = table.home("yew")
    befriend(oak, yew)
    befriend(ash, yew)
    oak.ask("group.admin", group="kitchen", who="ash")
    table.run(60_000)
    apart(table, oak, elm, ash, fir)
    table.link(oak, elm)
    table.link(ash, fir)
    table.link(fir, yew)
    table.run(60_000)
    oak.ask("group.remove", group="kitchen", who="fir")
    ash.ask("group.invite", group="kitchen", who="yew")
    table.run(60_000)
    yew.ask("group.accept", invite="kitchen")
    table.run(1000)
    say(oak, "from one half")
    say(ash, "from the other")
    assert read(yew) == ["from the other"] and read(elm) == ["from one half"]
    table.link(elm, ash)
    table.run(5 * 60_000)
    here = [oak, elm, ash, yew]
    listed = [[each["id"] for each in home.ask("group.members", group="kitchen")["members"]] for home in here]
    assert listed == [sorted(identity(home).hex() for home in here)] * 4
    assert len({epoch(home) for home in here}) == 1
    for home in (oak, elm, ash):
        assert sorted(read(home)) == ["from one half", "from the other"]
    for home in here:
        say(home, f"after, {home.log.name}")
    for home in here:
        assert {f"after, {other.log.name}" for other in here} <= set(read(home))
    assert not any("after" in text for text in read(fir))


def test_G11_who_can_not_be_sent_a_key_is_pending(table: Table) -> None:
    oak, elm = friends(table, 2)
    apart(table, oak, elm)
    elm.stop()
    table.run(10 * DAY_MS)
    oak.ask("group.create", name="kitchen")
    document = oak.ask("group.invite", group="kitchen", who="elm")
    assert document["invite"] is None
    assert [member["pending"] for member in document["members"] if member["name"] == "elm"] == [True]
    elm.start()
    table.link(oak, elm)
    table.run(60_000)
    elm.ask("group.accept", invite="kitchen")
    table.run(60_000)
    assert not any(member["pending"] for member in oak.ask("group.members", group="kitchen")["members"])
