"""Cases E, G and I on what is said in a group: by who holds its key and is not in it, by who was removed, and twice."""

from pathlib import Path

import pytest

from meshd import crypto, envelope, post
from meshd.groups import keyenvelope
from meshd.ids import inbox_channel_id
from meshd.post import HOUR_MS, KIND_TEXT, Text
from tests.attacks.test_own_groups import Infiltrator, keys
from tests.groups import bring, parsed
from tests.homes import Home, Table
from tests.test_inbox import identity
from tests.test_own_groups import DAY_MS, apart, epoch, friends, group, read, say
from tests.wire import Author

NONCE = b"n" * 24


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def sealed(home: Home, content: bytes, hours: int, nonce: bytes = NONCE) -> bytes:
    """An envelope of the group around any content, under the key that this member posts under."""
    sealing = home.node.intake.sealing
    (channel,) = sealing.groups("kitchen")
    until = home.table.now().wall_ms // HOUR_MS + hours
    return envelope.seal(sealing.day_key(channel, sealing.posting(channel), until), until, nonce, content)


def said(home: Home, public: bytes, secret: bytes, text: str) -> bytes:
    """A post in the group by whoever has this secret, sealed under the key that a member posts under."""
    sealing = home.node.intake.sealing
    (channel,) = sealing.groups("kitchen")
    now_ms = home.table.now().wall_ms
    made = Author(1).post(
        channel=channel,
        epoch=sealing.posting(channel),
        author=public,
        hlc=now_ms << 16,
        kind=KIND_TEXT,
        keep_until=now_ms // HOUR_MS + 72,
        body=post.encode_text(Text("", b"", text)),
    )
    signed = post.encode(made)
    content = envelope.post_content(signed, post.sign(secret, post.post_id(signed)))
    return sealed(home, content, 72, nonce=public[:24])


def test_I08_who_has_the_key_of_an_epoch_and_is_no_member_of_it_says_nothing_in_it(table: Table) -> None:
    """Keys get out. Whoever has one reads; it makes nobody a member."""
    oak, elm, ash = group(table, 3)
    thief, member = crypto.ed25519_keypair(b"t" * 32), crypto.ed25519_keypair(ash.log.seed)
    bring(elm, said(oak, *thief, "I am one of you"), said(oak, *member, "I am"))
    assert read(elm) == ["I am"] and len(elm.raws()) == len(oak.raws()) + 2


def test_G01_no_key_is_taken_from_who_was_removed(table: Table) -> None:
    oak, elm, ash = group(table, 3)
    infiltrator, before, after = Infiltrator(elm), b"b" * 32, b"a" * 32
    bring(ash, infiltrator.give_key(ash, before, b"k" * 32))
    assert keys(ash, before), "as long as elm is a member"
    oak.ask("group.remove", group="kitchen", who="elm")
    table.run(60_000)
    bring(ash, infiltrator.give_key(ash, after, b"k" * 32))
    assert not keys(ash, after) and epoch(ash) == epoch(oak)


def test_E03_old_words_sealed_again_by_who_was_removed_come_once_and_last_no_longer(table: Table) -> None:
    oak, elm, ash = group(table, 3)
    apart(table, ash)
    oak.post("bread", channel="kitchen", keep="24h")
    table.run(1000)
    recorded = elm.node.intake.sealing.keyring.open(parsed(elm.raws()[-1]))
    assert recorded is not None
    again = [sealed(elm, recorded.content, hours, nonce=bytes((hours,)) * 24) for hours in (24, 25, 72, 168)]
    oak.ask("group.remove", group="kitchen", who="elm")
    table.link(oak, ash)
    table.run(60_000)
    bring(ash, *again)
    assert read(ash) == ["bread"]
    apart(table, oak, elm, ash)
    table.run(DAY_MS + HOUR_MS)
    assert read(ash) == [] and set(again[2:]) <= set(ash.raws())
    say(oak, "water")
    for home in (oak, elm, ash):
        home.node.intake.sealing.look_again()
    table.run(60_000)
    assert read(ash) == []


def test_C08_words_of_one_group_are_nobodys_in_another(table: Table) -> None:
    """A member of both puts what was said in the kitchen into the hall: same words, same signature, the hall's key."""
    oak, elm, ash = group(table, 3)
    oak.ask("group.create", name="hall")
    oak.ask("group.invite", group="hall", who=["elm", "ash"])
    table.run(60_000)
    for home in (elm, ash):
        home.ask("group.accept", invite="hall")
    table.run(1000)
    elm.post("bread", channel="kitchen", keep="72h")
    table.run(1000)
    recorded = oak.node.intake.sealing.keyring.open(parsed(oak.raws()[-1]))
    sealing = oak.node.intake.sealing
    (hall,) = sealing.groups("hall")
    until = table.now().wall_ms // HOUR_MS + 72
    assert recorded is not None and identity(elm) in recorded.content
    bring(
        ash,
        envelope.seal(sealing.day_key(hall, sealing.posting(hall), until), until, NONCE, recorded.content),
    )
    assert ash.texts("group:hall") == [] and read(ash) == ["bread"]


def passed_off(giver: Home, to: Home, key: bytes) -> bytes:
    """An invitation to a group that does not exist, whose key is one that belongs elsewhere."""
    assert giver.node.author is not None and giver.node.inbox is not None
    hour = giver.table.now().wall_ms // HOUR_MS
    announced = giver.node.inbox.prekeys(identity(to))
    assert announced is not None
    life = keyenvelope.life(announced, hour)
    assert life is not None
    content = giver.node.author.deliver(identity(to), announced, life.days, b"f" * 16, b"f" * 32, key)
    inbox = giver.node.intake.sealing.day_key(inbox_channel_id(identity(to)), b"", life.expiry_hour)
    return giver.node.author.seal(content, inbox, life.expiry_hour).raw


def test_G02_the_key_of_an_epoch_given_as_another_groups_keeps_nobody_from_reading_it(table: Table) -> None:
    """Elm has the new key before ash, and calls it the key of something else."""
    oak, elm, ash = group(table, 3)
    apart(table, ash)
    oak.ask("group.rotate", group="kitchen")
    table.run(60_000)
    ((_, key),) = keys(elm, bytes.fromhex(epoch(oak)))
    bring(ash, passed_off(elm, ash, key))
    table.link(oak, ash)
    table.run(60_000)
    say(oak, "bread")
    assert epoch(ash) == epoch(oak) and read(ash) == ["bread"]


def test_G02_the_key_of_an_inbox_given_as_a_groups_makes_nobody_deaf(table: Table) -> None:
    """Whoever has a card has that key."""
    oak, elm, fir = friends(table, 3)
    _, key = elm.node.inbox.own_key(table.now().wall_ms)  # type: ignore[union-attr]
    bring(elm, passed_off(fir, elm, key))
    apart(table, oak, elm, fir)
    elm.stop()
    elm.start()
    table.link(oak, elm)
    oak.ask("group.create", name="kitchen")
    oak.ask("group.invite", group="kitchen", who="elm")
    table.run(60_000)
    elm.ask("group.accept", invite="kitchen")
    table.run(60_000)
    say(oak, "bread")
    assert read(elm) == ["bread"]
