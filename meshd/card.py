"""The text of a card, which a QR code carries from one laptop to another.

The rule: `MESHD:1:` and base32 (RFC 4648, upper case, no padding) of `identity key (32) ‖ u16 day ‖ inbox key of that
day (32) ‖ check (4)`, where the check is the first 4 bytes of the hash with the label of fingerprints over all before
it (protocol.md, "Cards"). The day is counted since 1970; the inbox key moves on daily, and with it what a stored card
holds. All characters fit a QR code's alphanumeric mode, and the text survives being read aloud: case and white space
mean nothing.

The check guards against a slip of the pen, not against anybody: who a key belongs to is settled by comparing the
words, face to face. A card is no secret of its owner alone: whoever has it can notice and write to its owner, and who
has none can do neither. So it is shown to those who may, and published only by who wants to be written to by anybody.
"""

from typing import NamedTuple

from meshd import armor, crypto
from meshd.errors import CallerError, Code
from meshd.ids import LABEL_FINGERPRINT

PREFIX = "MESHD:1:"
_SIZE = 32 + 2 + 32


class Card(NamedTuple):
    """An identity (Ed25519, 32 bytes) with the inbox key (32 bytes) of a day (days since 1970)."""

    identity: bytes
    day: int
    inbox_key: bytes


def encode(identity: bytes, day: int, inbox_key: bytes) -> str:
    """The card of this identity: 120 characters."""
    return armor.encode(PREFIX, LABEL_FINGERPRINT, identity + day.to_bytes(2, "big") + inbox_key)


def decode(text: str) -> Card:
    """What a card says; CallerError(invalid) if it is none, or was damaged, or its identity is no valid key."""
    said = armor.decode(PREFIX, LABEL_FINGERPRINT, text, "card")
    if len(said) != _SIZE:
        raise armor.damaged("card")
    card = Card(said[:32], int.from_bytes(said[32:34], "big"), said[34:])
    if not crypto.is_valid_point(card.identity):
        raise CallerError(Code.invalid, "the key in this card is no valid identity: nobody can have made it")
    return card
