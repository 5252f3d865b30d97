"""Cases I, G, P and E on directs: names, blocked people, strangers without end, old keys, and words put elsewhere."""

import random
from pathlib import Path

import pytest

from meshd import crypto, daykeys, envelope, post
from meshd.envelope import Sealed
from meshd.errors import CallerError, Code
from meshd.groups import acts, epochs, keyenvelope
from meshd.groups.epochs import Member
from meshd.groups.keyenvelope import Delivered
from meshd.ids import direct_channel_id, inbox_channel_id, post_id
from meshd.limits import EPOCH_KEY_DAYS, REQUEST_EPOCHS_MAX, REQUESTS_HOUR_MAX
from meshd.post import HOUR_MS, KIND_EPOCH, KIND_TEXT, Post, Text
from tests.groups import bring
from tests.homes import Home, Table
from tests.test_directs import away, direct, dm, keys, stranger, waiting
from tests.test_inbox import befriend, identity
from tests.test_own_groups import DAY_MS, apart, friends, line
from tests.wire import Author


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


class Forger:
    """A key pair of somebody who has elm's card and sends what they like."""

    def __init__(self, number: int, elm: Home) -> None:
        self.entropy = random.Random(f"forger {number}").randbytes
        self.id, self.secret = crypto.ed25519_keypair(self.entropy(32))
        self.elm, self.now_ms = elm, elm.table.now().wall_ms
        self.hour = self.now_ms // HOUR_MS

    def key(self, channel: bytes, epoch: bytes, key: bytes) -> bytes:
        """A key envelope for elm, in elm's inbox."""
        announced = self.elm.node.inbox
        assert announced is not None and self.elm.node.author is not None
        who = identity(self.elm)
        own = [announced._own.secret(self.hour // 24 + n) for n in range(9)]
        publics = tuple(crypto.x25519_keypair(each)[0] for each in own if each is not None)
        prekeys = keyenvelope.Announcement(self.hour // 24, publics)
        days = range(self.hour // 24, self.hour // 24 + 1)
        sent = Delivered(channel, epoch, self.id, days[0], key)
        content = keyenvelope.seal(self.entropy, self.secret, who, prekeys, days, sent)
        inbox_key = self.elm.node.intake.sealing.keyring.key(inbox_channel_id(who), b"", days[0])
        assert inbox_key is not None
        return envelope.seal(inbox_key, days[0] * 24 + 23, self.entropy(24), content)

    def post(
        self, channel: bytes, epoch: bytes, kind: int, body: bytes, hours: int
    ) -> tuple[bytes, bytes, int]:
        """A post of theirs: its id, the content around it, and its keep-until."""
        until = self.hour + hours
        inside = Post(1, channel, epoch, self.id, 5, 1, b"", self.now_ms << 16, kind, until, body)
        signed = post.encode(inside)
        content = envelope.post_content(signed, post.sign(self.secret, post_id(signed)))
        return post_id(signed), content, until

    def sealed(self, key: bytes, content: bytes, until: int) -> bytes:
        return envelope.seal(
            daykeys.advance(key, until // 24 - self.hour // 24), until, self.entropy(24), content
        )


def sealed(home: Home) -> list[Sealed]:
    found = [envelope.parse(raw) for raw in home.raws()]
    return [each for each in found if isinstance(each, Sealed)]


def test_I02_a_direct_by_a_name_that_two_have_is_refused_and_lists_both(table: Table) -> None:
    oak, elm, other = table.home("oak"), table.home("elm"), table.home("elm")
    for home in (elm, other):
        home.post("it is me, elm")
        table.link(oak, home)
    oak.ask("channel.join", name="plaza")
    table.run(1000)
    with pytest.raises(CallerError, match="some call themselves elm") as caught:
        oak.ask("dm", who="elm", text="bread")
    assert caught.value.code is Code.usage
    assert all(identity(home).hex()[:12] in caught.value.message for home in (elm, other))
    assert not [each for each in oak.ask("channel.list")["channels"] if each["kind"] == "direct"]


def test_I03_a_key_that_changes_while_mail_waits_gets_none_of_it(table: Table) -> None:
    oak, elm = away(table)
    dm(oak, elm, "bread")
    false = table.home("elm")
    with pytest.raises(CallerError, match="elm is another key") as caught:
        oak.ask("contact.add", card=false.ask("id.show")["card"], name="elm")
    assert caught.value.code is Code.refused
    false.ask("contact.add", card=oak.ask("id.show")["card"], name="oak")
    table.link(oak, false)
    table.run(HOUR_MS)
    channel = direct_channel_id(identity(oak), identity(false))
    assert oak.node.intake.sealing.keyring.epochs(channel) == [] and keys(oak, elm)
    assert false.ask("channel.list")["channels"] == [] and false.log.count_posts() == 0
    oak.ask("dm", who="elm", text="water")
    assert direct(oak, elm) == ["bread", "water"], "to the key that elm always had"


def test_I06_a_post_in_the_clear_is_never_shown_in_a_direct(table: Table) -> None:
    oak, elm = friends(table, 2)
    dm(oak, elm, "bread")
    channel = direct_channel_id(identity(oak), identity(elm))
    bring(elm, Author(3).envelope(channel=channel))
    assert direct(elm, oak) == ["bread"]
    assert "in the clear" in elm.ask("status")["alarms"][0]


def test_I07_what_a_blocked_person_writes_is_shown_nowhere(table: Table) -> None:
    oak, elm = friends(table, 2)
    dm(oak, elm, "bread")
    elm.ask("contact.block", who="oak")
    dm(oak, elm, "can you hear me")
    assert elm.ask("read")["posts"] == [] and direct(elm, oak) == [] and waiting(elm) == []
    assert [each["unread"] for each in elm.ask("channel.list")["channels"]] == [0]


def test_I07_a_blocked_stranger_has_no_request_and_loses_the_one_that_waits(table: Table) -> None:
    oak, elm = stranger(table)
    dm(oak, elm, "first words")
    elm.ask("contact.block", who=identity(oak).hex())
    assert waiting(elm) == []
    table.run(1000)
    assert elm.log.inboxes.requests() == [] and elm.log.groups.all() == [] and keys(elm, oak) == []
    dm(oak, elm, "second words")
    elm.node.intake.sealing.look_again()
    table.run(HOUR_MS)
    assert waiting(elm) == [] and elm.log.groups.all() == []


def test_I01_a_group_that_takes_the_id_of_a_direct_gives_way(table: Table) -> None:
    oak, elm = friends(table, 2)
    mallory, channel, key = Forger(1, elm), direct_channel_id(identity(oak), identity(elm)), b"k" * 32
    rows = [
        Member(mallory.id, mallory.hour // 24, b"i" * 32),
        Member(identity(elm), mallory.hour // 24, b"j" * 32),
    ]
    body = acts.first("oak", 0, rows[0])._replace(
        rows=epochs.encode_rows(sorted(rows)), admins=b"\0\1", key_check=epochs.key_check(key, EPOCH_KEY_DAYS)
    )
    epoch, content, _ = mallory.post(channel, b"", KIND_EPOCH, epochs.encode(body), 168)
    bring(elm, mallory.key(channel, epoch, key), mallory.sealed(key, content, mallory.hour + 168))
    table.run(1000)
    assert [each["group"] for each in elm.ask("requests")["requests"]] == [channel.hex()]
    dm(oak, elm, "bread")
    assert direct(elm, oak) == ["bread"] and waiting(elm) == []


def test_P02_strangers_by_the_hundred_fill_the_request_box_and_nothing_else(table: Table) -> None:
    elm = table.home("elm")
    elm.ask("id.show")
    table.run(1000)
    for number in range(3 * REQUESTS_HOUR_MAX):
        forger = Forger(number, elm)
        bring(elm, forger.key(direct_channel_id(forger.id, identity(elm)), forger.id, b"k" * 32))
    assert len(elm.log.groups.all()) == len(elm.log.inboxes.requests()) == REQUESTS_HOUR_MAX
    assert len(elm.log.epoch_keys.all()) == REQUESTS_HOUR_MAX and waiting(elm) == []


def test_P02_one_stranger_fills_little_of_it(table: Table) -> None:
    oak, elm = stranger(table)
    for number in range(10):
        dm(oak, elm, f"buy {number}")
    assert waiting(elm) == ["buy 0", "buy 1"]


def test_P02_one_stranger_brings_few_keys(table: Table) -> None:
    elm = table.home("elm")
    elm.ask("id.show")
    table.run(1000)
    forger = Forger(1, elm)
    for number in range(20):
        bring(elm, forger.key(direct_channel_id(forger.id, identity(elm)), bytes((number,)) * 32, b"k" * 32))
    assert len(elm.log.epoch_keys.all()) == REQUEST_EPOCHS_MAX


def test_E03_words_of_a_direct_are_not_shown_in_a_group_nor_from_anybody_else(table: Table) -> None:
    oak, elm, ash = friends(table, 3)
    dm(oak, elm, "only for elm")
    elm.ask("group.create", name="kitchen")
    elm.ask("group.invite", group="kitchen", who="ash")
    table.run(60_000)
    ash.ask("group.accept", invite="kitchen")
    table.run(1000)
    sealing, direct_id = elm.node.intake.sealing, direct_channel_id(identity(oak), identity(elm))
    (opened,) = [
        found.content
        for each in sealed(elm)
        if (found := sealing.keyring.open(each))
        and found.channel == direct_id
        and b"only for elm" in found.content
    ]
    hour = table.now().wall_ms // HOUR_MS
    kitchen = bytes.fromhex(elm.ask("group.members", group="kitchen")["id"])
    for until in range(hour + 70, hour + 75):  # whichever is its own
        key = sealing.day_key(kitchen, sealing.posting(kitchen), until)
        bring(ash, envelope.seal(key, until, until.to_bytes(24, "big"), opened))
    assert ash.texts("kitchen") == [] and ash.log.count_posts() == 0


def test_E03_nobody_speaks_in_a_direct_but_the_two(table: Table) -> None:
    oak, elm = friends(table, 2)
    dm(oak, elm, "bread")
    mallory, channel = Forger(2, elm), direct_channel_id(identity(oak), identity(elm))
    sealing = oak.node.intake.sealing
    epoch = sealing.posting(channel)
    body = post.encode_text(Text("oak", b"", "I am oak"))
    _, content, until = mallory.post(channel, epoch, KIND_TEXT, body, 48)
    bring(elm, envelope.seal(sealing.day_key(channel, epoch, until), until, bytes(24), content))
    assert direct(elm, oak) == ["bread"]


def test_G07_after_its_keep_until_a_direct_opens_from_neither_laptop(table: Table) -> None:
    oak, ash, elm = (table.home(name) for name in ("oak", "ash", "elm"))
    befriend(oak, elm)
    line(table, [oak, ash, elm])
    table.run(1000)
    dm(oak, elm, "burn this", keep="6h")
    dm(elm, oak, "burnt", keep="6h")
    everything = sealed(ash)
    apart(table, oak, ash, elm)
    table.run(9 * DAY_MS)
    for home in (oak, elm):
        opened = [found for each in everything if (found := home.node.intake.sealing.keyring.open(each))]
        assert opened == [] and home.log.count_posts() == 0
        inbox = home.node.inbox
        assert inbox is not None and min(home.log.inboxes.secrets()) * DAY_MS >= table.now().wall_ms - DAY_MS
        raw = b"".join(path.read_bytes() for path in sorted(home.folder.iterdir()))
        assert b"burn this" not in raw


def test_G11_an_old_prekey_is_used_on_demand_alone_and_opens_nothing_that_was_erased(table: Table) -> None:
    oak, elm = away(table)
    before = set(oak.raws())
    assert dm(oak, elm, "bread")["pending"] is True
    inbox, channel = inbox_channel_id(identity(elm)), direct_channel_id(identity(oak), identity(elm))

    def delivered() -> list[keyenvelope.KeyEnvelope]:
        keyring = oak.node.intake.sealing.keyring
        new = [each for each in sealed(oak) if each.raw not in before]
        opened = [found for each in new if (found := keyring.open(each)) and found.channel == inbox]
        return [parsed for each in opened if (parsed := keyenvelope.parse(each.content))]

    assert delivered() == [], "nothing is sealed to a key whose day is over"
    told = dm(oak, elm, "water", old_prekey=True)
    assert (told["old_prekey"], told["pending"]) == (True, True)
    (old,) = delivered()
    today = table.now().wall_ms // DAY_MS
    assert old.first_day == old.last_day < today
    held = [
        each.day for epoch in keys(oak, elm) for each in oak.node.intake.sealing.keyring.keys(channel, epoch)
    ]
    assert min(held) >= today, "the writer keeps nothing of the days before"
    elm.start()  # a laptop that was off, whose clock a peer confirms, erases before it reads
    table.link(oak, elm)
    table.run(60_000)
    assert elm.node.inbox is not None and elm.node.inbox.open_key(old) is None
    assert direct(elm, oak) == ["bread", "water"], "by the key that came once elm had shown one of today"
