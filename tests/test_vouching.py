"""Vouching on nodes: what is said where, for whom it counts, and for how long."""

from pathlib import Path

import pytest

from meshd.errors import CallerError, Code
from meshd.limits import VOUCH_HOURS
from meshd.post import HOUR_MS
from tests.homes import Home, Table
from tests.test_inbox import identity
from tests.test_own_groups import DAY_MS, apart, friends, group, line


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def verify(home: Home, *others: Home) -> None:
    for other in others:
        home.ask("contact.verify", who=other.log.name, words=other.ask("id.show")["fingerprint"])


def trust(home: Home, other: Home) -> tuple[str, list[str]]:
    """How sure a home is of another, and by whose word (names)."""
    listed = {each["id"]: each for each in home.ask("contact.list")["contacts"]}
    about = listed[identity(other).hex()]
    return about["trust"], [listed[who]["name"] for who in about["vouched_by"]]


def trio(table: Table, **how: str) -> list[Home]:
    """A group of oak, elm and ash; oak has verified elm, and elm ash."""
    oak, elm, ash = group(table, 3, **how)
    verify(oak, elm)
    verify(elm, ash)
    return [oak, elm, ash]


def later(table: Table, ms: int) -> None:
    """Let time pass for homes that are apart, and meet."""
    on = [home for home in table.homes if home.is_on]
    apart(table, *on)
    table.run(ms)
    line(table, on)
    table.run(1000)


def say(home: Home, who: str, **params: object) -> None:
    home.ask("contact.vouch", who=who, **params)
    home.table.run(1000)


def refusal(home: Home, who: str, **params: object) -> CallerError:
    with pytest.raises(CallerError) as caught:
        home.ask("contact.vouch", who=who, **params)
    return caught.value


def test_who_verified_the_voucher_sees_whom_they_vouch_for_and_by_whom(table: Table) -> None:
    oak, elm, ash = trio(table)
    assert trust(oak, ash) == ("seen", [])
    say(elm, "ash")
    assert trust(oak, ash) == ("vouched", ["elm"])
    members = {each["name"]: each for each in oak.ask("group.members", group="kitchen")["members"]}
    assert (members["ash"]["trust"], members["ash"]["vouched_by"]) == ("vouched", [identity(elm).hex()])
    post = ash.post("bread", channel="kitchen")
    table.run(1000)
    shown = oak.ask("show", id=post)
    assert (shown["trust"], shown["vouched_by"]) == ("vouched", [identity(elm).hex()])
    assert oak.texts("group:kitchen") == ["bread"]  # a vouch is no text
    verify(oak, ash)
    assert trust(oak, ash) == ("verified", ["elm"])


def test_trust_goes_one_step_and_from_who_is_verified_alone(table: Table) -> None:
    oak, elm, ash, fir = group(table, 4)
    verify(oak, elm)
    verify(elm, ash)
    verify(ash, fir)
    say(elm, "ash")
    say(ash, "fir")
    assert trust(oak, ash) == ("vouched", ["elm"])
    assert trust(oak, fir) == ("seen", [])  # oak has not verified ash, only heard of it
    assert trust(elm, fir) == ("vouched", ["ash"])
    assert trust(fir, ash) == ("seen", [])


def test_it_is_said_in_groups_shared_with_who_is_meant_and_nowhere_else(table: Table) -> None:
    oak, elm, ash = friends(table, 3)
    verify(oak, elm)
    verify(elm, ash)
    elm.ask("group.create", name="cellar")
    elm.ask("group.invite", group="cellar", who="oak")
    table.run(60_000)
    oak.ask("group.accept", invite="cellar")
    carried = len(elm.raws())
    assert refusal(elm, "ash").code is Code.refused and len(elm.raws()) == carried
    elm.ask("group.create", name="attic")
    elm.ask("group.invite", group="attic", who="ash")
    table.run(60_000)
    ash.ask("group.accept", invite="attic")
    table.run(1000)
    assert len(elm.ask("contact.vouch", who="ash")["groups"]) == 1
    table.run(1000)
    assert trust(oak, ash) == ("seen", [])


def test_only_who_verified_a_key_vouches_for_it(table: Table) -> None:
    oak, elm, _ = trio(table)
    assert "contact verify ash" in refusal(oak, "ash").message
    assert refusal(oak, identity(oak).hex()).code is Code.refused
    elm.ask("contact.block", who="ash")
    assert refusal(elm, "ash").code is Code.refused
    assert refusal(elm, "ash", remove=True).code is Code.not_found


def test_a_vouch_adds_nobody_to_anything(table: Table) -> None:
    oak, elm, ash = trio(table)
    known = oak.log.contacts.get(identity(ash))
    oak.log.contacts.put(known._replace(is_added=False, petname=""))
    before = (
        oak.log.contacts.all(),
        oak.log.contacts.recognisable(64),
        oak.ask("group.members", group="kitchen"),
    )
    say(elm, "ash")
    assert trust(oak, ash) == ("vouched", ["elm"])
    after = (
        oak.log.contacts.all(),
        oak.log.contacts.recognisable(64),
        oak.ask("group.members", group="kitchen"),
    )
    assert before[:2] == after[:2] and before[2]["epoch"] == after[2]["epoch"]
    assert [each["admin"] for each in before[2]["members"]] == [each["admin"] for each in after[2]["members"]]
    with pytest.raises(CallerError):
        oak.ask("peer.ping", who="ash")


def test_somebody_of_whom_nothing_was_said_is_listed_as_vouched(table: Table) -> None:
    oak, elm, ash = trio(table)
    oak.log._database.write("DELETE FROM contact WHERE identity = ?", (identity(ash),))
    oak.log.contacts.forget()
    say(elm, "ash")
    (listed,) = (each for each in oak.ask("contact.list")["contacts"] if each["id"] == identity(ash).hex())
    assert (listed["trust"], listed["added"]) == ("vouched", False) and "#" in listed["name"]


def test_a_vouch_ends_with_its_month_and_is_forgotten(table: Table) -> None:
    oak, elm, ash = trio(table)
    say(elm, "ash")
    oak.stop()
    oak.start()
    later(table, (VOUCH_HOURS - 2) * HOUR_MS)
    assert trust(oak, ash) == ("vouched", ["elm"])
    later(table, 3 * HOUR_MS)
    assert trust(oak, ash) == ("seen", [])
    later(table, 9 * DAY_MS)
    for home in (oak, elm, ash):
        (own,) = home.node.groups.groups.values() if home.node.groups else ()
        assert home.log.groups.vouches(own.channel) == [] == [by for by in own.vouches.values() if by]


def test_a_vouch_is_renewed_by_saying_it_again(table: Table) -> None:
    oak, elm, ash = trio(table)
    say(elm, "ash")
    later(table, 5 * DAY_MS)
    table.run(60_000)
    say(elm, "ash")
    later(table, (VOUCH_HOURS - 24) * HOUR_MS)
    assert trust(oak, ash) == ("vouched", ["elm"])


def test_a_vouch_is_taken_back(table: Table) -> None:
    oak, elm, ash = trio(table)
    say(elm, "ash")
    say(elm, "ash", remove=True)
    assert trust(oak, ash) == ("seen", [])
    assert refusal(elm, "ash", remove=True).code is Code.not_found
    say(elm, "ash")
    assert trust(oak, ash) == ("vouched", ["elm"])


def test_who_is_presumed_arrested_is_vouched_for_no_longer(table: Table) -> None:
    oak, elm, ash = trio(table)
    say(elm, "ash")
    elm.ask("presume-arrested", who="ash")  # elm is no admin: ash stays in until oak acts
    table.run(1000)
    assert trust(oak, ash) == ("seen", [])


def test_who_comes_later_hears_of_it_within_a_week(table: Table) -> None:
    oak, elm, ash, fir = friends(table, 4)
    oak.ask("group.create", name="kitchen")
    for home in (elm, ash):
        oak.ask("group.invite", group="kitchen", who=home.log.name)
    table.run(60_000)
    for home in (elm, ash):
        home.ask("group.accept", invite="kitchen")
    verify(elm, ash)
    verify(fir, elm)
    table.run(1000)
    say(elm, "ash")
    oak.ask("group.invite", group="kitchen", who="fir")
    table.run(60_000)
    fir.ask("group.accept", invite="kitchen")
    table.run(60_000)
    assert trust(fir, ash) == ("seen", [])  # history is not for newcomers
    later(table, 7 * DAY_MS + HOUR_MS)
    table.run(60_000)
    assert trust(fir, ash) == ("vouched", ["elm"])


def test_a_strict_group_remembers_no_vouch_over_a_day(table: Table) -> None:
    oak, elm, ash = trio(table, strict=True)
    say(elm, "ash")
    assert trust(oak, ash) == ("vouched", ["elm"])
    later(table, 25 * HOUR_MS)
    assert trust(oak, ash) == ("seen", [])


def test_it_counts_while_all_three_are_in(table: Table) -> None:
    oak, elm, ash = trio(table)
    say(elm, "ash")
    oak.ask("group.remove", group="kitchen", who="elm")
    assert trust(oak, ash) == ("seen", [])
    oak.ask("group.invite", group="kitchen", who="elm")
    assert trust(oak, ash) == ("vouched", ["elm"])
    oak.ask("group.remove", group="kitchen", who="ash")
    assert trust(oak, ash) == ("seen", [])


def test_who_has_no_time_counts_none(table: Table) -> None:
    oak, elm, ash = trio(table)
    say(elm, "ash")
    oak.stop()
    oak.skew_ms = -3000 * DAY_MS
    oak.start()
    assert oak.ask("status")["clock"]["state"] == "unsynced" and trust(oak, ash) == ("seen", [])
