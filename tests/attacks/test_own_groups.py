"""Cases G and E on nodes: members who were removed, halves that did not meet, and prekeys that are over."""

import random
from pathlib import Path

import pytest

from meshd import statement
from meshd.daykeys import advance, key_day
from meshd.envelope import post_content
from meshd.errors import CallerError
from meshd.groups import epochs, keyenvelope
from meshd.groups.epochs import Epoch
from meshd.ids import inbox_channel_id
from meshd.limits import CANDIDATE_KEYS_MAX, EPOCHS_AHEAD_MAX, EPOCHS_EACH_MAX, VOTES_EACH_MAX
from meshd.post import HOUR_MS, KIND_EPOCH
from meshd.statement import MAKE_ADMIN, Statement
from tests.groups import bring, commit
from tests.homes import Home, Table
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


def test_G01_who_lacks_the_key_of_the_epoch_that_removes_somebody_does_not_post_under_the_one_before(
    table: Table,
) -> None:
    oak, _, ash = group(table, 3)
    before = bytes.fromhex(epoch(oak))
    apart(table, ash)
    oak.ask("group.rotate", group="kitchen")
    oak.ask("group.remove", group="kitchen", who="elm")
    table.settle()
    (held,) = keys(oak, before)
    assert oak.node.groups is not None
    (own,) = oak.node.groups.groups.values()
    newest = sorted(own.group.dag.held.values(), key=lambda each: each.body.depth)[-2:]
    bring(ash, Infiltrator(oak).seal_again(newest[0].id, held[1]))
    table.run(1000)
    assert epoch(ash) == newest[0].id.hex() and ash.post("bread", channel="kitchen")
    bring(ash, Infiltrator(oak).seal_again(newest[1].id, held[1]))
    table.run(1000)
    assert epoch(ash) == newest[1].id.hex()
    with pytest.raises(CallerError, match="no key"):
        ash.post("water", channel="kitchen")


def test_E03_what_somebody_says_who_was_removed_is_shown_as_that(table: Table) -> None:
    oak, elm, ash = group(table, 3)
    say(elm, "before")
    apart(table, elm)
    oak.ask("group.remove", group="kitchen", who="elm")
    say(elm, "I am still here")  # under the old epoch: nobody told elm
    table.link(oak, ash)
    table.link(elm, ash)
    table.run(60_000)
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


@pytest.mark.parametrize("seed", range(3))
def test_G05_of_what_comes_ten_times_in_any_order_or_not_at_all_each_post_is_read_once(
    table: Table, seed: int
) -> None:
    """Epochs, their keys and what is posted under them: 30 % of all deliveries are lost, and what is lost ten times
    comes by the next link."""
    oak, elm, ash = group(table, 3)
    apart(table, ash)
    said = []
    for number in range(90):
        if number % 30 == 0:
            oak.ask("group.rotate", group="kitchen")
            table.run(60_000)
        said.append(f"post {number}")
        (oak, elm)[number % 2].post(said[-1], channel="kitchen")
    table.settle()
    drawn = random.Random(seed)
    coming = [raw for raw in oak.raws() for _ in range(10) if drawn.random() > 0.3]
    drawn.shuffle(coming)
    for start in range(0, len(coming), 7):
        ash.node.intake.take(coming[start : start + 7], "somebody", table.now())
        commit(ash)
    table.run(60_000)
    assert len(coming) > 600 and len(read(ash)) > 80
    table.link(ash, elm)
    table.run(10 * 60_000)
    assert sorted(read(ash)) == sorted(said) and ash.log.missing() == []
    assert epoch(ash) == epoch(oak)


def test_G02_a_member_who_renews_without_end_fills_no_disk_and_stops_nobody(table: Table) -> None:
    oak, elm, ash = group(table, 3)
    before, hostile = bytes.fromhex(epoch(oak)), Infiltrator(elm)
    last, posts = hostile.own.group.dag.held[before], list[str]()
    for number in range(EPOCHS_EACH_MAX + 10):
        last = hostile.renew(last, before)
        table.run(1000)
        if number % 30 == 0:
            posts.append(f"post {number}")
            say(oak, posts[-1])
    table.run(60_000)
    assert read(ash) == posts
    for home in (oak, ash):
        assert epoch(home) == before.hex()
        assert len(home.log.groups.epochs(last.channel)) <= 3 + EPOCHS_EACH_MAX + 1
        shown = home.ask("group.members", group="kitchen")["members"]
        assert [each["name"] for each in shown if each["tireless"]] == ["elm"]
    oak.ask("group.remove", group="kitchen", who="elm")
    table.run(60_000)
    say(ash, "bread")
    assert epoch(oak) == epoch(ash) != before.hex() and read(oak) == read(ash) == [*posts, "bread"]
    assert read(elm) == posts


def test_G02_what_was_passed_over_is_looked_at_again_once_somebody_builds_on_it(table: Table) -> None:
    oak, elm, ash = group(table, 3)
    before, hostile = bytes.fromhex(epoch(oak)), Infiltrator(elm)
    first = hostile.own.group.dag.held[before]
    made = [hostile.renew(first, before) for _ in range(EPOCHS_EACH_MAX + 3)]
    table.run(60_000)
    assert ash.node.groups is not None
    (own,) = ash.node.groups.groups.values()
    over = [each for each in made if each.id not in own.group.dag.held]
    assert len(over) == 2 and epoch(ash) == before.hex()
    built = Infiltrator(oak).renew(over[0], before)
    table.run(60_000)
    assert epoch(ash) == built.id.hex()


def test_G02_who_signs_without_end_fills_no_disk_and_takes_back_nobody_elses_word(table: Table) -> None:
    oak, elm, ash = group(table, 3)
    oak.ask("group.admin", group="kitchen", who="elm")
    table.run(60_000)
    oak.ask("group.admin", group="kitchen", who="ash")
    hostile, current = Infiltrator(elm), bytes.fromhex(epoch(oak))
    for number in range(2 * VOTES_EACH_MAX):
        hostile.sign(MAKE_ADMIN, bytes((number,)) * 32, identity(ash))
        hostile.sign(MAKE_ADMIN, current, bytes((number,)) * 32)
        table.run(1000)
    table.run(60_000)
    for home in (oak, ash):
        assert len(home.log.groups.votes(hostile.own.channel)) <= VOTES_EACH_MAX + 1
        home.stop()
        home.start()
    table.link(oak, ash)
    (act,) = oak.ask("group.members", group="kitchen")["acts"]
    assert (act["what"], act["signers"]) == ("make admin", [identity(oak).hex()])
    elm.ask("group.admin", group="kitchen", who="ash")
    table.link(elm, oak)
    table.run(60_000)
    shown = oak.ask("group.members", group="kitchen")["members"]
    assert sorted(each["name"] for each in shown if each["admin"]) == ["ash", "elm", "oak"]


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


class Infiltrator:
    """A member who makes by hand what no honest node makes."""

    def __init__(self, home: Home) -> None:
        assert home.node.author is not None and home.node.groups is not None and home.node.inbox is not None
        self.home, self.author, self.inbox = home, home.node.author, home.node.inbox
        (self.own,) = home.node.groups.groups.values()

    @property
    def hour(self) -> int:
        return self.home.table.now().wall_ms // HOUR_MS

    def give_key(self, who: Home, epoch: bytes, key: bytes) -> bytes:
        """An envelope that tells somebody that this is the epoch's key."""
        announced = self.inbox.prekeys(identity(who))
        assert announced is not None
        life = keyenvelope.life(announced, self.hour)
        assert life is not None
        channel = self.own.channel
        content = self.author.deliver(identity(who), announced, life.days, channel, epoch, key)
        inbox = self.home.node.intake.sealing.day_key(inbox_channel_id(identity(who)), b"", life.expiry_hour)
        return self.author.seal(content, inbox, life.expiry_hour).raw

    def seal_again(self, epoch: bytes, key: bytes) -> bytes:
        """An epoch's post, sealed under a key of our own."""
        until = self.hour + 72
        day_key = advance(key, key_day(until) - key_day(self.hour))
        return self.author.seal(self.home.log.groups.content(epoch), day_key, until).raw

    def sign(self, purpose: int, about: bytes, subject: bytes) -> None:
        """A statement about an act, whether or not it makes sense."""
        groups, said = self.home.node.groups, Statement(purpose, self.own.channel, about, subject)
        assert groups is not None
        body = statement.encode_body(said, self.author.sign_statement(said))
        groups.deciding.state(self.own, body, self.home.table.now())
        commit(self.home)

    def renew(self, last: Epoch, under: bytes) -> Epoch:
        """An epoch on this one whose key nobody is sent; its post is published under another's."""
        body = last.body._replace(depth=last.body.depth + 1, parents=(last.id,), acts=())
        wall_ms, until = self.home.table.now().wall_ms, self.hour + 72
        made = self.author.sign(last.channel, b"", KIND_EPOCH, epochs.encode(body), 2160, wall_ms)
        day_key = self.home.node.intake.sealing.day_key(last.channel, under, until)
        sealed = self.author.seal(post_content(made.signed, made.signature), day_key, until)
        self.home.node.publish([sealed], self.home.table.now())
        commit(self.home)
        parsed = epochs.parse(made.post, made.id)
        assert parsed is not None
        return parsed


def renewed_apart(table: Table) -> tuple[Home, Home, Home, bytes]:
    """Oak, elm and ash; ash did not hear of the newest epoch yet."""
    oak, elm, ash = group(table, 3)
    apart(table, ash)
    oak.ask("group.rotate", group="kitchen")
    table.run(60_000)
    assert epoch(oak) == epoch(elm) != epoch(ash)
    return oak, elm, ash, bytes.fromhex(epoch(oak))


def keys(home: Home, epoch: bytes) -> list[tuple[int, bytes]]:
    assert home.node.groups is not None
    (own,) = home.node.groups.groups.values()
    return [*home.node.intake.sealing.keyring.keys(own.channel, epoch)]


def all_read_all(table: Table, oak: Home, elm: Home, ash: Home) -> None:
    table.link(oak, ash)
    table.run(10 * 60_000)
    for home in (oak, elm, ash):
        say(home, f"by {home.log.name}")
    assert read(oak) == read(elm) == read(ash) == ["by oak", "by elm", "by ash"]


def test_G02_a_member_who_seals_an_epoch_under_a_key_of_its_own_passes_it_off_to_nobody(table: Table) -> None:
    oak, elm, ash, renewed = renewed_apart(table)
    hostile, false = Infiltrator(elm), b"f" * 32
    bring(ash, hostile.give_key(ash, renewed, false), hostile.seal_again(renewed, false))
    table.run(60_000)
    assert renewed.hex() == epoch(ash) and keys(ash, renewed) == []
    bring(ash, hostile.give_key(ash, renewed, b"g" * 32))  # by now ash knows which is the key
    assert keys(ash, renewed) == []
    all_read_all(table, oak, elm, ash)
    assert keys(ash, renewed) == keys(oak, renewed) != []


def test_G02_false_keys_of_one_member_keep_no_true_one_out(table: Table) -> None:
    oak, elm, ash, renewed = renewed_apart(table)
    hostile = Infiltrator(elm)
    for number in range(CANDIDATE_KEYS_MAX + 1):
        bring(ash, hostile.give_key(ash, renewed, bytes((number,)) * 32))
    for number in range(EPOCHS_AHEAD_MAX + 1):
        bring(ash, hostile.give_key(ash, bytes((number,)) * 32, b"f" * 32))
    assert keys(ash, renewed) == [(keys(oak, renewed)[0][0], bytes(32))]
    assert keys(ash, bytes((EPOCHS_AHEAD_MAX,)) * 32) == []
    held = len(ash.log.epoch_keys.all())
    ash.stop()
    ash.start()
    for number in range(EPOCHS_AHEAD_MAX):
        bring(ash, hostile.give_key(ash, bytes((number,)) * 32, b"g" * 32))
        bring(ash, hostile.give_key(ash, bytes((100 + number,)) * 32, b"f" * 32))
    assert len(ash.log.epoch_keys.all()) <= held  # a stop gives nobody more room
    all_read_all(table, oak, elm, ash)
