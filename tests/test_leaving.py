"""Leaving a group: the others hear of it and send no more keys, and it is no invitation until it is one again."""

from pathlib import Path

import pytest

from meshd.errors import CallerError
from meshd.statement import CALL, SIGN_PLAN
from tests.group_plans import BRIDGE, act, go_on, plans_of, propose, state
from tests.homes import Home, Table
from tests.test_inbox import identity
from tests.test_own_groups import DAY_MS, apart, epoch, group, line, members, read, say


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def leave(home: Home) -> bool:
    told: bool = home.ask("group.leave", group="kitchen")["told"]
    return told


def is_asked(home: Home) -> bool:
    """Whether the group shows as an invitation, or as anything at all."""
    assert home.ask("channel.list")["channels"] == []
    return bool(home.ask("requests")["requests"])


def agree(*homes: Home) -> list[str]:
    """Who is in, by all of these, under one epoch."""
    assert len({epoch(home) for home in homes}) == 1
    (listed,) = {tuple(sorted(each["id"] for each in document(home)["members"])) for home in homes}
    return [home.log.name for home in homes[0].table.homes if identity(home).hex() in listed]


def document(home: Home) -> dict[str, list[dict[str, str]]]:
    return dict(home.ask("group.members", group="kitchen"))


def test_who_leaves_holds_no_key_reads_nothing_more_and_is_sent_none(table: Table) -> None:
    oak, elm, ash = group(table, 3)
    say(elm, "bread")
    told = elm.ask("group.leave", group="kitchen")
    assert told == {"v": 1, "id": document(oak)["id"], "name": "kitchen", "told": True}
    assert elm.log.epoch_keys.all() == [] and not is_asked(elm)
    table.run(60_000)
    assert agree(oak, ash) == ["oak", "ash"] and document(oak)["acts"] == []
    say(oak, "water")
    assert read(ash) == ["bread", "water"] and elm.log.count_posts() == 0
    for _ in range(2):
        apart(table, oak, elm, ash)
        table.run(8 * DAY_MS)  # the group is renewed
        line(table, [elm, oak, ash])
        table.run(60_000)
        assert not is_asked(elm) and elm.log.groups.all() == [] and elm.log.epoch_keys.all() == []
        elm.stop()
        elm.start()
        elm.node.intake.sealing.look_again()
        table.run(1000)
    assert agree(oak, ash) == ["oak", "ash"]


def test_leaving_its_channel_leaves_a_group_alike_and_a_direct_without_a_word(table: Table) -> None:
    oak, elm, _ = group(table, 3)
    oak.ask("dm", who="elm", text="salt")
    table.run(60_000)
    before = len(elm.raws())
    elm.ask("channel.leave", channel="oak")
    assert len(elm.raws()) == before
    elm.ask("channel.leave", channel="group:kitchen")
    table.run(60_000)
    assert members(oak) == ["ash", "oak"]


def test_who_has_not_heard_of_it_invites_nobody_back(table: Table) -> None:
    oak, elm, ash = group(table, 3)
    apart(table, ash)
    leave(elm)
    ash.ask("group.rotate", group="kitchen")
    table.run(60_000)
    apart(table, oak, elm)
    table.link(ash, elm)  # with the key of an epoch that elm was not told to be out of
    ash.ask("group.rotate", group="kitchen")
    table.run(30_000)
    assert not is_asked(elm) and elm.log.groups.all() == []
    table.link(oak, ash)
    table.run(5 * 60_000)
    assert agree(oak, ash) == ["oak", "ash"] and not is_asked(elm)


def test_who_left_comes_back_by_a_later_invitation(table: Table) -> None:
    oak, elm, ash = group(table, 3)
    leave(elm)
    table.run(60_000)
    oak.ask("group.invite", group="kitchen", who="elm")
    table.run(60_000)
    (request,) = elm.ask("requests")["requests"]
    assert request["text"] == "kitchen"
    elm.ask("group.accept", invite="kitchen")
    table.run(60_000)
    say(oak, "bread")
    say(elm, "water")
    assert read(elm) == read(ash) == ["bread", "water"] and agree(oak, elm, ash) == ["oak", "elm", "ash"]
    apart(table, oak, elm, ash)
    table.run(8 * DAY_MS)
    line(table, [oak, elm, ash])
    table.run(5 * 60_000)
    assert agree(oak, elm, ash) == ["oak", "elm", "ash"], "what was said when leaving is over"
    leave(elm)
    table.run(60_000)
    assert agree(oak, ash) == ["oak", "ash"] and not is_asked(elm)


def test_who_is_invited_before_anybody_has_let_them_go_comes_back_too(table: Table) -> None:
    oak, elm, ash = group(table, 3)
    leave(elm)
    table.settle()
    assert members(oak) == ["ash", "elm", "oak"]
    text = oak.ask("group.invite", group="kitchen", who="elm")["invite"]
    assert not is_asked(elm)
    elm.ask("group.accept", invite=text)
    table.run(5 * 60_000)
    assert agree(oak, elm, ash) == ["oak", "elm", "ash"]
    say(oak, "bread")
    assert read(elm) == read(ash) == ["bread"]


def test_what_is_posted_right_after_somebody_left_is_not_for_them(table: Table) -> None:
    oak, elm, ash = group(table, 3)
    was = epoch(oak)
    leave(elm)
    table.settle()
    assert epoch(oak) == was, "whose turn it is to make another is not known yet"
    say(oak, "water")
    assert epoch(oak) != was and agree(oak, ash) == ["oak", "ash"] and read(ash) == ["water"]


def test_a_call_right_after_somebody_left_is_not_for_them(table: Table) -> None:
    homes = oak, elm, ash = group(table, 3)
    version = propose(oak, [oak, ash], people=homes)
    act(ash, version, SIGN_PLAN)
    was = epoch(oak)
    leave(elm)
    table.settle()
    plans_of(oak).act(version, CALL, BRIDGE, table.now())
    assert epoch(oak) != was
    go_on(oak)
    assert agree(oak, ash) == ["oak", "ash"]


def test_the_text_of_an_old_invitation_brings_nobody_back(table: Table) -> None:
    oak, elm, ash = group(table, 3)
    text = oak.ask("group.invite", group="kitchen", who="elm")["invite"]
    leave(elm)
    elm.ask("group.accept", invite=text)
    table.run(60_000)
    assert agree(oak, ash) == ["oak", "ash"]
    with pytest.raises(CallerError, match="you were removed, or left it"):
        elm.post("bread", channel="kitchen")


def test_somebody_leaves_beside_other_changes(table: Table) -> None:
    oak, elm, ash, fir = group(table, 4)
    oak.ask("group.admin", group="kitchen", who="ash")
    table.run(60_000)
    apart(table, oak, elm, ash, fir)
    table.link(oak, elm)
    table.link(ash, fir)
    leave(elm)
    ash.ask("group.remove", group="kitchen", who="fir")
    table.run(60_000)
    table.link(oak, ash)
    table.run(5 * 60_000)
    assert agree(oak, ash) == ["oak", "ash"]


def test_the_last_admin_leaves_and_the_members_act(table: Table) -> None:
    oak, elm, ash = group(table, 3)
    leave(oak)
    table.run(60_000)
    assert agree(elm, ash) == ["elm", "ash"]
    for home in (elm, ash):
        home.ask("group.admin", group="kitchen", who=identity(ash).hex())
        table.run(60_000)
    assert [each["name"] for each in document(elm)["members"] if each["admin"]] == ["ash"]


def test_who_was_removed_or_has_no_time_leaves_without_a_word(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    oak, elm, ash = group(table, 3)
    oak.ask("group.remove", group="kitchen", who="elm")
    table.run(60_000)
    monkeypatch.setattr(ash.node.time, "_is_possible", lambda wall_ms: False)
    ash.node.time._said.clear()
    for home in (elm, ash):
        before = len(home.raws())
        home.ask("channel.leave", channel="kitchen")
        assert len(home.raws()) == before and not is_asked(home)


def test_with_a_group_its_plans_go_and_they_come_back_with_it(table: Table) -> None:
    oak, elm, ash = group(table, 3)
    version = propose(oak, [oak], people=[oak, elm, ash])
    table.run(60_000)
    assert [len(plans_of(home).versions()) for home in (oak, elm, ash)] == [1, 1, 1]
    leave(elm)
    assert elm.ask("plan.list")["plans"] == [] and plans_of(elm).versions() == []
    table.run(60_000)
    assert state(oak, version) == state(ash, version)
    oak.ask("group.invite", group="kitchen", who="elm")
    table.run(60_000)
    elm.ask("group.accept", invite="kitchen")
    table.run(5 * 60_000)
    assert state(elm, version) == state(oak, version)
