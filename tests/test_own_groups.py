"""Groups on nodes: members in different homes, who reads what, and what comes out where halves did not meet."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from meshd.errors import CallerError
from meshd.post import HOUR_MS
from tests.homes import Home, Table
from tests.test_inbox import befriend, identity

DAY_MS = 24 * HOUR_MS
NAMES = ("oak", "elm", "ash", "fir", "yew")


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def friends(table: Table, count: int) -> list[Home]:
    """Homes in a row, all of which have each other's cards and prekeys."""
    homes = [table.home(name) for name in NAMES[:count]]
    befriend(*homes)
    line(table, homes)
    table.run(1000)
    return homes


def line(table: Table, homes: list[Home]) -> None:
    for left, right in pairwise(homes):
        table.link(left, right)


def apart(table: Table, *homes: Home) -> None:
    """Cut every link of these."""
    for home in homes:
        for link in list(home.node.sessions):
            table.cut(home, link)
    table.settle()


def group(table: Table, count: int, **how: Any) -> list[Home]:
    """Friends in a group `kitchen` that the first has made."""
    homes = friends(table, count)
    homes[0].ask("group.create", name="kitchen", **how)
    for home in homes[1:]:
        homes[0].ask("group.invite", group="kitchen", who=home.log.name)
    table.run(60_000)
    for home in homes[1:]:
        home.ask("group.accept", invite="kitchen")
    table.run(1000)
    return homes


def members(home: Home) -> list[str]:
    """The names of the members, as a home shows them."""
    return sorted(member["name"] for member in home.ask("group.members", group="kitchen")["members"])


def epoch(home: Home) -> str:
    found: str = home.ask("group.members", group="kitchen")["epoch"]
    return found


def say(home: Home, text: str) -> None:
    home.post(text, channel="kitchen")
    home.table.run(1000)


def read(home: Home) -> list[str]:
    return home.texts("group:kitchen")


def test_who_is_invited_and_accepts_reads_and_is_read(table: Table) -> None:
    oak, elm, ash = group(table, 3)
    assert members(oak) == members(elm) == members(ash) == ["ash", "elm", "oak"]
    assert epoch(oak) == epoch(elm) == epoch(ash)
    for home, text in ((oak, "bread"), (elm, "water"), (ash, "salt")):
        say(home, text)
    assert read(oak) == read(elm) == read(ash) == ["bread", "water", "salt"]
    assert oak.log.missing() == elm.log.missing() == ash.log.missing() == []
    shown = oak.ask("group.members", group="kitchen")["members"]
    assert [member["admin"] for member in shown if member["name"] == "oak"] == [True]
    assert not any(member["pending"] for member in shown)


def test_an_epoch_costs_one_key_for_each_other_member(table: Table) -> None:
    oak, elm, _ = group(table, 3)
    for home in (oak, elm):
        before = len(oak.raws())
        home.ask("group.rotate", group="kitchen")
        table.run(60_000)
        assert len(oak.raws()) - before == 1 + 2, "nobody sends it to who made it"


def test_nobody_is_pulled_into_a_group(table: Table) -> None:
    oak, elm = friends(table, 2)
    oak.ask("group.create", name="kitchen")
    oak.ask("group.invite", group="kitchen", who="elm")
    oak.post("bread", channel="kitchen")
    table.run(60_000)
    assert elm.ask("channel.list")["channels"] == [] and elm.log.count_posts() == 0
    with pytest.raises(CallerError, match="no group"):
        elm.ask("read", channel="group:kitchen")
    elm.ask("group.accept", invite="kitchen")
    assert read(elm) == ["bread"]


def test_several_who_are_invited_at_once_cost_one_epoch_and_a_key_each(table: Table) -> None:
    homes = friends(table, 4)
    oak = homes[0]
    oak.ask("group.create", name="kitchen")
    before = len(oak.raws())
    invited = oak.ask("group.invite", group="kitchen", who=["elm", "ash", "fir", "ash"])
    assert [each["id"] for each in invited["invites"]] == [identity(home).hex() for home in homes[1:]]
    assert invited["invite"] is None and len({each["invite"] for each in invited["invites"]}) == 3
    table.run(60_000)
    assert len(oak.raws()) - before == 1 + 3
    for home, each in zip(homes[1:], invited["invites"], strict=True):
        home.ask("group.accept", invite=each["invite"])
    table.run(1000)
    say(oak, "bread")
    assert [read(home) for home in homes] == [["bread"]] * 4 and len({epoch(home) for home in homes}) == 1
    for nobody in ([], [3], ["elm", "nobody"]):
        with pytest.raises(CallerError):
            oak.ask("group.invite", group="kitchen", who=nobody)
    again = oak.ask("group.invite", group="kitchen", who=["elm", "ash"])
    assert again["epoch"] == epoch(oak) and all(each["invite"] for each in again["invites"]), "no new epoch"


def test_an_invitation_is_a_text_for_one_person(table: Table) -> None:
    oak, elm, ash = friends(table, 3)
    oak.ask("group.create", name="kitchen")
    text = oak.ask("group.invite", group="kitchen", who="elm")["invite"]
    with pytest.raises(CallerError, match="for somebody else"):
        ash.ask("group.accept", invite=text)
    with pytest.raises(CallerError, match="damaged"):
        elm.ask("group.accept", invite=text[:-6] + "AAAAAA")
    elm.ask("group.accept", invite=text)
    table.run(1000)
    say(oak, "bread")
    assert read(elm) == ["bread"]


def test_who_was_off_gets_the_keys_from_another_member(table: Table) -> None:
    oak, elm, ash = group(table, 3)
    apart(table, ash)
    ash.stop()
    oak.ask("group.rotate", group="kitchen")
    table.run(1000)
    say(oak, "bread")
    oak.stop()
    table.run(4 * DAY_MS)  # what oak had sent for ash is over
    elm.post("water", channel="kitchen", keep="7d")
    ash.start()
    table.link(elm, ash)
    table.run(10 * 60_000)
    assert "water" in read(ash)


def test_an_act_that_takes_several_is_done_once_enough_have_signed(table: Table) -> None:
    oak, elm, ash = group(table, 3)
    oak.ask("group.admin", group="kitchen", who="elm")
    table.run(60_000)
    (act,) = elm.ask("group.admin", group="kitchen", who="ash")["acts"]
    assert (act["what"], act["needed"]) == ("make admin", 2)
    assert act["signers"] == [identity(elm).hex()] and act["who"] == identity(ash).hex()
    table.run(60_000)
    assert oak.ask("group.members", group="kitchen")["acts"] == [act]
    assert oak.ask("group.admin", group="kitchen", who="ash")["acts"] == []
    table.run(60_000)
    for home in (oak, elm, ash):
        shown = home.ask("group.members", group="kitchen")
        assert all(member["admin"] for member in shown["members"]) and shown["acts"] == []
    fir = table.home("fir")
    befriend(oak, fir)
    with pytest.raises(CallerError, match="no member"):
        oak.ask("group.admin", group="kitchen", who="fir")


def test_groups_go_on_after_a_start(table: Table) -> None:
    oak, elm = group(table, 2)
    say(oak, "bread")
    before = epoch(oak), members(oak)
    for home in (oak, elm):
        home.stop()
        home.start()
    table.link(oak, elm)
    table.run(60_000)
    assert (epoch(oak), members(oak)) == before == (epoch(elm), members(elm))
    say(elm, "water")
    assert read(oak) == read(elm) == ["bread", "water"]


def test_an_epoch_is_renewed_after_a_week_and_its_key_goes_after_another(table: Table) -> None:
    oak, elm = group(table, 2)
    first = epoch(oak)
    apart(table, oak, elm)
    table.run(7 * DAY_MS + HOUR_MS)
    table.link(oak, elm)
    table.run(HOUR_MS)
    assert epoch(oak) == epoch(elm) != first
    say(oak, "bread")
    assert read(elm) == ["bread"]
    channel = bytes.fromhex(oak.ask("group.members", group="kitchen")["id"])
    assert bytes.fromhex(first) in oak.node.intake.sealing.keyring.epochs(channel)
    apart(table, oak, elm)
    table.run(9 * DAY_MS)
    assert bytes.fromhex(first) not in oak.node.intake.sealing.keyring.epochs(channel)


def test_epochs_go_when_their_posts_are_over_and_the_group_goes_on(table: Table) -> None:
    oak, elm = group(table, 2)
    apart(table, oak, elm)
    elm.stop()
    table.run(120 * DAY_MS)
    (channel,) = (row.channel for row in oak.log.groups.all())
    assert 13 <= len(oak.log.groups.epochs(channel)) <= 16
    before = epoch(oak), members(oak)
    oak.stop()
    oak.start()
    table.run(60_000)
    assert (epoch(oak), members(oak)) == before
    fir = table.home("fir")
    befriend(oak, fir)
    table.link(oak, fir)
    table.run(1000)
    oak.ask("group.invite", group="kitchen", who="fir")
    table.run(60_000)
    fir.ask("group.accept", invite="kitchen")
    say(oak, "bread")
    assert read(fir) == ["bread"] and len(members(fir)) == 3


def test_a_strict_group_keeps_nothing_over_a_day(table: Table) -> None:
    oak, elm = group(table, 2, strict=True)
    with pytest.raises(CallerError, match="strict"):
        oak.post("bread", channel="kitchen", keep="72h")
    say(oak, "bread")
    assert read(elm) == ["bread"]
    apart(table, oak, elm)
    table.run(2 * DAY_MS)
    assert read(oak) == read(elm) == []


@pytest.mark.parametrize(("history", "reads"), [("none", []), ("all", ["before", "did not know"])])
def test_what_was_posted_by_who_did_not_know_of_a_newcomer(
    table: Table, history: str, reads: list[str]
) -> None:
    oak, elm, ash = friends(table, 3)
    oak.ask("group.create", name="kitchen", history=history)
    oak.ask("group.invite", group="kitchen", who="elm")
    table.run(60_000)
    elm.ask("group.accept", invite="kitchen")
    say(oak, "before")
    apart(table, elm)
    table.link(oak, ash)
    oak.ask("group.invite", group="kitchen", who="ash")
    say(elm, "did not know")
    table.link(elm, ash)
    table.run(60_000)
    ash.ask("group.accept", invite="kitchen")
    table.run(10 * 60_000)
    say(elm, "knows")
    assert sorted(read(ash)) == sorted([*reads, "knows"])


def test_who_is_removed_hears_of_it_and_can_not_post_into_the_void(table: Table) -> None:
    oak, elm, ash = group(table, 3)
    oak.ask("group.remove", group="kitchen", who="elm")
    table.run(60_000)
    shown = elm.ask("group.members", group="kitchen")
    assert (shown["out"], shown["epoch"]) == (True, None) and members(elm) == ["ash", "oak"]
    with pytest.raises(CallerError, match="no longer in the group kitchen"):
        elm.post("water", channel="kitchen")
    for method in ("invite", "remove", "admin"):
        with pytest.raises(CallerError, match="no longer in the group kitchen"):
            elm.ask(f"group.{method}", group="kitchen", who="ash")
    with pytest.raises(CallerError, match="no longer in the group kitchen"):
        elm.ask("group.rotate", group="kitchen")
    for home in (oak, ash):
        assert home.ask("group.members", group="kitchen")["out"] is False
        assert home.ask("group.members", group="kitchen")["acts"] == []
    elm.stop()
    elm.start()
    table.run(9 * DAY_MS)
    assert elm.ask("group.members", group="kitchen")["out"] and elm.log.epoch_keys.all() == []


def test_who_was_removed_and_is_added_again_reads_on(table: Table) -> None:
    oak, elm, ash = group(table, 3)
    say(oak, "bread")
    oak.ask("group.remove", group="kitchen", who="elm")
    table.run(60_000)
    say(oak, "not for elm")
    ash.ask("group.rotate", group="kitchen")
    table.run(60_000)
    oak.ask("group.invite", group="kitchen", who="elm")
    table.run(60_000)
    say(oak, "water")
    say(elm, "salt")
    assert read(elm) == ["bread", "water", "salt"] and epoch(elm) == epoch(oak) == epoch(ash)
    assert members(elm) == members(oak)
    assert read(ash) == ["bread", "not for elm", "water", "salt"]


def test_who_wants_to_post_heals_first(table: Table) -> None:
    oak, elm, ash, fir = group(table, 4)
    oak.ask("group.admin", group="kitchen", who="elm")
    table.run(60_000)
    apart(table, oak, elm, ash, fir)
    oak.ask("group.remove", group="kitchen", who="ash")
    elm.ask("group.remove", group="kitchen", who="fir")
    table.link(oak, elm)
    table.settle()
    oak.node.intake.sealing.look_again()
    table.run(200)
    assert epoch(oak) is None
    oak.post("bread", channel="kitchen")
    assert epoch(oak) is not None and members(oak) == ["elm", "oak"]
    table.run(60_000)
    assert read(elm) == ["bread"]


def test_who_invites_waits_for_an_answer_and_is_not_heard_again_once_refused(table: Table) -> None:
    oak, elm = friends(table, 2)
    oak.ask("group.create", name="kitchen")
    oak.ask("group.invite", group="kitchen", who="elm")
    table.run(60_000)
    (request,) = elm.ask("requests")["requests"]
    assert (request["name"], request["text"], request["id"]) == ("oak", "kitchen", identity(oak).hex())
    assert elm.ask("requests.refuse", who="oak")["requests"] == []
    oak.ask("group.create", name="cellar")
    oak.ask("group.invite", group="cellar", who="elm")
    elm.node.intake.sealing.look_again()
    table.run(60_000)
    assert elm.ask("requests")["requests"] == [] and elm.log.epoch_keys.all() == []
    with pytest.raises(CallerError, match="nothing of oak waits"):
        elm.ask("requests.accept", who="oak")
    apart(table, oak, elm)
    table.run(8 * DAY_MS)
    table.link(oak, elm)
    table.run(60_000)
    oak.ask("group.create", name="attic")
    oak.ask("group.invite", group="attic", who="elm")
    table.run(60_000)
    assert "attic" in [each["text"] for each in elm.ask("requests")["requests"]]
    elm.ask("requests.accept", who="oak")
    oak.post("bread", channel="attic")
    table.run(1000)
    assert elm.texts("group:attic") == ["bread"]


def test_a_blocked_person_invites_nobody(table: Table) -> None:
    oak, elm = friends(table, 2)
    elm.ask("contact.block", who="oak")
    oak.ask("group.create", name="kitchen")
    oak.ask("group.invite", group="kitchen", who="elm")
    table.run(60_000)
    assert elm.ask("requests")["requests"] == [] and elm.log.groups.all() == []


def test_who_is_presumed_arrested_is_out_of_all_groups_and_not_known_any_more(table: Table) -> None:
    oak, elm, ash = group(table, 3)
    told = oak.ask("presume-arrested", who="ash")
    assert told["id"] == identity(ash).hex()
    assert [sorted(each["name"] for each in one["members"]) for one in told["groups"]] == [["elm", "oak"]]
    assert (
        oak.log.contacts.recognisable(10) == [identity(elm)] and oak.log.contacts.inbox(identity(ash)) is None
    )
    table.run(60_000)
    say(oak, "bread")
    assert read(elm) == ["bread"] and read(ash) == []
