"""Case I01 on nodes: who was in a group invites somebody under its id first, into a group of his own."""

from pathlib import Path

import pytest

from meshd.daykeys import key_day
from meshd.envelope import post_content
from meshd.groups import acts, epochs
from meshd.groups.epochs import Member, encode_rows
from meshd.limits import EPOCH_KEY_DAYS
from meshd.post import DAY_MS, KIND_EPOCH
from tests.attacks.test_own_groups import Infiltrator
from tests.groups import bring
from tests.homes import Home, Table
from tests.test_inbox import befriend, identity
from tests.test_own_groups import epoch, group, members, read, say

KEY = b"f" * 32


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def row(home: Home, of: Home) -> Member:
    inbox = home.log.contacts.inbox(identity(of))
    assert inbox is not None
    return Member(identity(of), *inbox)


def invitation(hostile: Infiltrator, victim: Home, listed: list[Home], name: str) -> list[bytes]:
    """A key for the victim, and the epoch that it opens: the first of a group of these, under the true one's id."""
    home, author, now_ms = hostile.home, hostile.author, hostile.home.table.now().wall_ms
    me = Member(author.public, *author.inbox(now_ms))
    members = sorted([me, *(row(home, each) for each in listed)])
    last_day = author.next_ms(now_ms) // DAY_MS + EPOCH_KEY_DAYS
    body = acts.first(name, 0, me)._replace(
        rows=encode_rows(members),
        admins=bytes((members.index(me),)),
        key_check=epochs.key_check(KEY, last_day - key_day(hostile.hour)),
    )
    made = author.sign(hostile.own.channel, b"", KIND_EPOCH, epochs.encode(body), 2160, now_ms)
    sealed = author.seal(post_content(made.signed, made.signature), KEY, hostile.hour // 24 * 24 + 23)
    return [hostile.give_key(victim, made.id, KEY), sealed.raw]


def squat(hostile: Infiltrator, victim: Home, *others: Home, name: str = "kitchen") -> None:
    """Invite somebody under the id of the group into another; these others are said to be in it."""
    bring(victim, *invitation(hostile, victim, [victim, *others], name))
    victim.table.run(1000)


def asked(home: Home) -> list[tuple[str, str]]:
    return [(each["name"].split("#")[0], each["text"]) for each in home.ask("requests")["requests"]]


def in_the_true_one(table: Table, oak: Home, victim: Home) -> None:
    table.run(60_000)
    say(oak, "bread")
    say(victim, "water")
    assert read(victim) == read(oak) == ["bread", "water"] and epoch(victim) == epoch(oak)
    assert "ash" in members(oak)


def begin(table: Table, *, knows: bool) -> tuple[Home, Home, Infiltrator]:
    """Oak's group, ash who is to be invited and `knows` elm, and elm who was put out of the group."""
    oak, elm = group(table, 2)
    ash = table.home("ash")
    befriend(oak, ash)
    if knows:
        befriend(elm, ash)
    else:
        elm.ask("contact.add", card=ash.ask("id.show")["card"], name="ash")
    table.link(oak, ash)
    table.run(60_000)
    hostile = Infiltrator(elm)
    oak.ask("group.remove", group="kitchen", who="elm")
    table.run(60_000)
    return oak, ash, hostile


@pytest.mark.parametrize("lists", [False, True])
def test_I01_a_stranger_who_invites_first_gives_way_to_a_contact(table: Table, lists: bool) -> None:
    oak, ash, hostile = begin(table, knows=False)
    squat(hostile, ash, *([oak] if lists else []))
    assert [text for _, text in asked(ash)] == ["kitchen"]
    oak.ask("group.invite", group="kitchen", who="ash")
    table.run(60_000)
    assert asked(ash) == [("oak", "kitchen")]
    squat(hostile, ash, name="cellar")
    assert asked(ash) == [("oak", "kitchen")]
    ash.ask("group.accept", invite="kitchen")
    in_the_true_one(table, oak, ash)


def test_I01_once_a_false_invitation_is_refused_the_true_one_shows(table: Table) -> None:
    oak, ash, hostile = begin(table, knows=True)
    squat(hostile, ash, oak)
    oak.ask("group.invite", group="kitchen", who="ash")
    table.run(60_000)
    assert asked(ash) == [("elm", "kitchen")]  # who is a contact, too: nobody but the user can tell
    ash.ask("requests.refuse", who="elm")
    table.run(1000)
    assert asked(ash) == [("oak", "kitchen")]
    ash.ask("group.accept", invite="kitchen")
    in_the_true_one(table, oak, ash)


def test_I01_whose_false_invitation_was_accepted_leaves_and_is_shown_the_true_one(table: Table) -> None:
    oak, ash, hostile = begin(table, knows=True)
    squat(hostile, ash, oak)
    ash.ask("group.accept", invite="kitchen")
    oak.ask("group.invite", group="kitchen", who="ash")
    table.run(60_000)
    ash.ask("group.leave", group="kitchen")
    table.run(1000)
    assert asked(ash) == [("oak", "kitchen")]
    ash.ask("group.accept", invite="kitchen")
    in_the_true_one(table, oak, ash)


@pytest.mark.parametrize("lists", [False, True])
def test_I01_the_text_of_an_invitation_is_that_of_its_own_group(table: Table, lists: bool) -> None:
    oak, ash, hostile = begin(table, knows=True)
    squat(hostile, ash, *([oak] if lists else []))
    ash.ask("group.accept", invite=oak.ask("group.invite", group="kitchen", who="ash")["invite"])
    in_the_true_one(table, oak, ash)


def test_I01_a_key_of_nothing_keeps_no_invitation_out(table: Table) -> None:
    oak, ash, hostile = begin(table, knows=True)
    bring(ash, hostile.give_key(ash, b"e" * 32, KEY))
    assert asked(ash) == [("elm", "")]
    oak.ask("group.invite", group="kitchen", who="ash")
    table.run(60_000)
    assert asked(ash) == [("oak", "kitchen")]


def test_I01_invitations_for_others_are_dropped_and_not_looked_at_for_ever(table: Table) -> None:
    oak, ash, hostile = begin(table, knows=True)
    began = 0
    look_again = ash.node.intake.sealing.look_again

    def counted() -> None:
        nonlocal began
        began += 1
        assert began < 50, "each is looked at again because of the other"
        look_again()

    ash.node.intake.sealing.look_again = counted  # type: ignore[method-assign]
    for name in ("kitchen", "cellar"):
        bring(ash, *invitation(hostile, ash, [oak], name))
    table.run(60_000)
    assert asked(ash) == []
    oak.ask("group.invite", group="kitchen", who="ash")
    table.run(60_000)
    ash.ask("group.accept", invite="kitchen")
    in_the_true_one(table, oak, ash)
