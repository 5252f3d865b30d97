"""Attacks on what is sealed (C, E, G, I, V): flipped bits, junk, words moved elsewhere, seizures, observers."""

from collections.abc import Iterator
from hashlib import blake2b
from itertools import product
from pathlib import Path

import pytest

from meshd import daykeys, envelope, ids
from meshd.ids import key_reference
from meshd.keyring import Keyring
from meshd.limits import GRAFT_MS
from meshd.post import HOUR_MS, KIND_EPOCH
from meshd.proto import message as msg
from meshd.store.carry import Carry
from meshd.store.log import Log
from tests.groups import DAY, EPOCH, EXPIRY, GROUP, HOUR_NOW, KEY, inside, join, parsed, seal, sealed_post
from tests.homes import KEY as FILE_KEY
from tests.homes import PLAZA, Home, Stranger, Table, key, linked
from tests.wire import Author

OAK, ELM = Author(1), Author(2)
DAY_MS = 24 * HOUR_MS


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


@pytest.fixture
def member(table: Table) -> Home:
    home = table.home()
    join(home)
    return home


def shown(home: Home) -> list[str]:
    return home.texts("group:kitchen")


def flips(raw: bytes) -> Iterator[bytes]:
    for bit in range(8 * len(raw)):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        yield bytes(changed)


# --- tampering ---


def test_C10_no_flipped_bit_of_a_sealed_envelope_opens_and_none_keeps_the_true_one_out(member: Home) -> None:
    raw, now = sealed_post(OAK), member.table.now()
    for changed in flips(raw):
        member.node.intake.take([changed], "liar", now)
    assert member.log.count_posts() == 0 and member.log.openings.over(EXPIRY, 10) == []
    assert len(member.node.intake.take([raw], "honest", now).new) == 1
    for changed in flips(raw):
        member.node.intake.take([changed], "liar", now)
    assert member.log.count_posts() == 1


def test_C10_who_gives_flipped_sealed_envelopes_is_blamed_only_for_their_shape(member: Home) -> None:
    raw = sealed_post(OAK)
    giver = linked(member, 1)
    in_ciphertext = bytearray(raw)
    in_ciphertext[-20] ^= 1
    giver.give(bytes(in_ciphertext))
    assert giver.is_open and member.raws() == [bytes(in_ciphertext)]
    giver.give(raw)
    assert giver.is_open and shown(member) == ["hello"]
    giver.give(raw[:-1])
    assert giver.down is not None


def test_E07_junk_for_a_good_announced_sealed_id_is_another_envelope(table: Table, member: Home) -> None:
    raw = sealed_post(OAK)
    junk = raw[:-1] + bytes((raw[-1] ^ 1,))
    assert key(junk)[8:] != key(raw)[8:], "the id covers every byte"
    liar, honest = linked(member, 1), linked(member, 2)
    liar.say(msg.Have(0, key_reference(key(raw))))
    liar.give(junk)
    honest.say(msg.Have(0, key_reference(key(raw))))
    table.run(GRAFT_MS)
    honest.give(raw)
    assert shown(member) == ["hello"]
    forged = Author(66).envelope(channel=PLAZA)
    liar.give(forged[:-1] + bytes((forged[-1] ^ 1,)))
    assert liar.down is not None, "a forged public one still costs its bringer the link"
    assert honest.is_open


def test_E03_a_post_sealed_again_into_another_group_or_epoch_is_not_shown_there(member: Home) -> None:
    """A member of both carries words from one into the other: under its key, and as they were signed."""
    join(member, channel=b"h" * 16, name="hall", key=b"h" * 32)
    join(member, channel=GROUP, epoch=b"f" * 32, key=b"f" * 32)
    giver = linked(member, 1)
    giver.give(seal(inside(OAK), key=b"h" * 32), seal(inside(OAK), key=b"f" * 32, nonce=b"2" * 24))
    assert giver.is_open and member.log.count_posts() == 0
    giver.give(sealed_post(OAK, nonce=b"3" * 24))
    assert shown(member) == ["hello"] and member.texts("hall") == []


def test_I06_a_post_in_the_clear_is_not_shown_in_a_group_and_status_says_that_one_came(member: Home) -> None:
    giver = linked(member, 1)
    giver.give(OAK.envelope(channel=GROUP), OAK.envelope(channel=GROUP, incarnation=8))
    assert shown(member) == [] and member.log.count_posts() == 0
    (alarm,) = member.ask("status")["alarms"]
    assert alarm.startswith("2 posts in the clear")
    member.ask("channel.leave", channel="kitchen")
    join(member)
    assert shown(member) == [], "not when it is looked at again either"


# --- time ---


def epoch_post() -> bytes:
    return inside(OAK, kind=KIND_EPOCH, epoch=b"", keep_until=HOUR_NOW + 2000)


def test_G09_one_sealed_epoch_by_five_couriers_counts_once_and_after_its_time_not_at_all(
    table: Table, member: Home
) -> None:
    seen: list[bytes] = []
    member.node.intake.sealing.readers[KIND_EPOCH] = lambda inside, now: seen.append(inside.id)
    raw = seal(epoch_post())
    for seed in range(5):
        courier = linked(member, seed)
        courier.give(raw, fresh=True)
        table.cut(courier, courier.link)
    table.settle()
    assert len(seen) == 1 and member.raws() == [raw]
    table.run(5 * DAY_MS)
    assert member.raws() == []
    linked(member, 9).give(raw)
    assert member.raws() == [] and len(seen) == 1
    assert member.node.intake.sealing.keyring.open(parsed(raw)) is None, "its key is gone"


def test_G07_a_laptop_seized_after_its_last_pass_opens_nothing_that_expired(
    table: Table, member: Home
) -> None:
    """Seized with its keys, open, and everything that was ever sent."""
    sent = [
        seal(
            inside(ELM, keep_until=HOUR_NOW + hours, incarnation=hours),
            hour=HOUR_NOW + hours,
            nonce=bytes((hours,)) * 24,
        )
        for hours in range(6, 169, 6)
    ]  # fmt: skip
    stranger = linked(member, 1)
    stranger.give(*sent)
    table.cut(stranger, stranger.link)
    member.post("own words", channel="kitchen", keep="24h")
    sent.append(member.raws()[-1])
    assert len(shown(member)) == len(sent)
    days = 3
    table.run(days * DAY_MS)
    member.stop()
    seized = Log(member.folder / "log", FILE_KEY, durable=False)
    ring = Keyring()
    for held in seized.epoch_keys.all():
        ring.add(*held)
    hour = HOUR_NOW + days * 24
    erased = [raw for raw in sent if daykeys.key_day(parsed(raw).expiry_hour) < daykeys.key_day(hour - 1)]
    living = [raw for raw in sent if parsed(raw).expiry_hour > hour]
    assert len(erased) > 8 and [raw for raw in erased if ring.open(parsed(raw)) is not None] == []
    assert len(living) > 8 and all(ring.open(parsed(raw)) is not None for raw in living)
    texts = seized.after(0, GROUP, 100)
    assert len(texts) == len(living) and all(row.keep_until > hour for row in texts)
    seized.close()


# --- who watches ---


def test_V04_nobody_computes_a_hint_from_what_is_public(member: Home) -> None:
    """An observer who has every public key, every id and all traffic tries each of them as the secret."""
    node = member.node
    assert node.author is not None
    for _ in range(3):
        member.post("hello", channel="kitchen")
    network = ids.network_id(node.carry.network_key)
    public = [
        node.author.public, OAK.key, GROUP, EPOCH, network, node.carry.network_key, PLAZA, ids.link_psk(network), b"",
        *[row.id for row in member.log.after(0, GROUP, 10)], *member.carry.keys(), bytes(32),
    ]  # fmt: skip
    labels = [getattr(ids, name) for name in dir(ids) if name.startswith("LABEL_")]
    for raw in member.raws():
        found = parsed(raw)
        guesses = {found.nonce[:16], found.nonce[8:]}
        for secret, label in product(public, labels):
            for derived in (secret, ids.labelled(label, secret)):
                guesses.add(ids.labelled(label, derived, found.nonce, size=16))
                guesses.add(daykeys.hint(derived, found.nonce))
                guesses.add(blake2b(found.nonce, digest_size=16, key=derived[:64]).digest())
        assert found.hint not in guesses
        assert found.hint == daykeys.hint(
            daykeys.hint_key(daykeys.advance(KEY, daykeys.key_day(found.expiry_hour) - DAY)), found.nonce
        ), "and who has the key does"


def test_V04_yesterdays_key_and_another_groups_tell_nothing_of_a_hint(member: Home) -> None:
    """Who left, or was never in: the keys that they have make other hints."""
    member.post("hello", channel="kitchen", keep="6h")
    found = parsed(member.raws()[0])
    later = daykeys.advance(KEY, daykeys.key_day(found.expiry_hour) - DAY + 1)
    for strange in (later, b"h" * 32, daykeys.seal_key(KEY), daykeys.hint_key(later)):
        assert daykeys.hint(daykeys.hint_key(strange), found.nonce) != found.hint
        assert envelope.unseal(found, daykeys.seal_key(strange)) is None


def test_E14_a_locked_node_relays_what_it_could_read_unlocked_and_holds_no_key(table: Table) -> None:
    ends = [table.home() for _ in range(2)]
    for home in ends:
        join(home)
    middle = table.home()
    join(middle)
    middle.stop()
    middle.locked = True
    middle.start()
    for home in ends:
        table.link(home, middle)
    table.settle()
    ends[0].post("through the bag", channel="kitchen")
    table.run(1000)
    assert shown(ends[1]) == ["through the bag"]
    assert middle.node.intake.sealing.keyring.channels() == []
    middle.stop()
    middle.locked = False
    middle.start()
    assert shown(middle) == ["through the bag"]


def test_E14_what_a_locked_node_has_open_names_no_group(table: Table) -> None:
    """`carry` alone: the same rows, whether the envelopes are ours or not."""
    member, stranger = table.home(), table.home()
    join(member)
    raws = [sealed_post(OAK, incarnation=n, nonce=bytes((n,)) * 24) for n in range(5)]
    for home in (member, stranger):
        giver = Stranger(home, seed=5)
        table.settle()
        giver.give(*raws)
        table.cut(giver, giver.link)
        table.settle()
        home.stop()
    opened = [Carry(home.folder / "carry", FILE_KEY, durable=False) for home in (member, stranger)]
    assert opened[0].after(0, 10) == opened[1].after(0, 10)
    for carry in opened:
        carry.close()
