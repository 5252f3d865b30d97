"""What tests of prekeys and key envelopes share: three people, their prekeys, and a key to be delivered."""

import random
from typing import NamedTuple

from meshd import crypto
from meshd.crypto import Entropy
from meshd.groups import keyenvelope
from meshd.groups.keyenvelope import Delivered, KeyEnvelope
from meshd.groups.prekeys import Announcement, OwnPrekeys

TODAY = 20_500  # a key day
HOUR = TODAY * 24 + 10


class Person(NamedTuple):
    """An identity with prekeys that were announced on a day."""

    identity: bytes
    secret: bytes
    own: OwnPrekeys
    prekeys: Announcement


def seeded(seed: int | str) -> Entropy:
    """A source of bytes that are the same each time."""
    return random.Random(seed).randbytes


def person(name: str, day: int = TODAY) -> Person:
    identity, secret = crypto.ed25519_keypair(random.Random(name).randbytes(32))
    own = OwnPrekeys()
    prekeys, _ = own.announce(day, seeded(f"prekeys of {name}"))
    return Person(identity, secret, own, prekeys)


OAK, ASH, ELM = person("oak"), person("ash"), person("elm")
CHANNEL, EPOCH, KEY = b"c" * 16, b"e" * 32, b"k" * 32
DELIVERED = Delivered(CHANNEL, EPOCH, OAK.identity, TODAY, KEY)
DAYS = range(TODAY, TODAY + 4)


def sealed(
    to: Person = ASH,
    by: Person = OAK,
    *,
    days: range = DAYS,
    delivered: Delivered = DELIVERED,
    seed: int = 1,
) -> bytes:
    """A key envelope's content: what Oak sends to Ash unless said otherwise."""
    return keyenvelope.seal(seeded(seed), by.secret, to.identity, to.prekeys, days, delivered)


def parsed(content: bytes) -> KeyEnvelope:
    found = keyenvelope.parse(content)
    assert found is not None
    return found


def opened(content: bytes, by: Person = ASH) -> Delivered | None:
    return keyenvelope.open(parsed(content), by.identity, by.own.secret)
