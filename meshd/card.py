"""The text of a card, which a QR code carries from one laptop to another.

The rule: `MESHD:1:` and base32 (RFC 4648, upper case, no padding) of `identity key (32) ‖ u16 day ‖ inbox key of that
day (32) ‖ check (4)`, where the check is the first 4 bytes of the hash with the label of fingerprints over all before
it (protocol.md, "Cards"). The day is counted since 1970; the inbox key moves on daily, and with it what a stored card
holds. All characters fit a QR code's alphanumeric mode, and the text survives being read aloud: case and white space
mean nothing.

A *long card*, `MESHD:2:`, is for who can't hear its owner on the mesh before writing to them. It holds the prekeys too,
as nothing but the post that announces them in the owner's inbox: `u16 day ‖ inbox key (32) ‖ signature (64) ‖ signed
bytes ‖ check (4)`. Its author is the identity of the card, so that nobody can put other prekeys beside it: the twelve
words would not tell.

The check guards against a slip of the pen, not against anybody: who a key belongs to is settled by comparing the
words, face to face. A card is no secret of its owner alone: whoever has it can notice and write to its owner, and who
has none can do neither. So it is shown to those who may, and published only by who wants to be written to by anybody.
"""

from typing import NamedTuple

from meshd import armor, crypto, post
from meshd.errors import CallerError, Code, PeerError
from meshd.groups import prekeys
from meshd.ids import LABEL_FINGERPRINT
from meshd.post import Post

PREFIX = "MESHD:1:"
LONG_PREFIX = "MESHD:2:"
_INBOX_SIZE = 2 + 32
_SIZE = 32 + _INBOX_SIZE


class Card(NamedTuple):
    """An identity (Ed25519, 32 bytes) with the inbox key (32 bytes) of a day (days since 1970); of a long card also the
    signature and the signed bytes of the post that announces its owner's prekeys."""

    identity: bytes
    day: int
    inbox_key: bytes
    announced: bytes = b""

    @property
    def announcement(self) -> Post | None:
        """The post in a long card."""
        return _post(self.announced) if self.announced else None


def encode(identity: bytes, day: int, inbox_key: bytes, announced: bytes = b"") -> str:
    """The card of this identity: 120 characters; a long one, if it has prekeys announced: about 800."""
    inbox = day.to_bytes(2, "big") + inbox_key
    if announced:
        return armor.encode(LONG_PREFIX, LABEL_FINGERPRINT, inbox + announced)
    return armor.encode(PREFIX, LABEL_FINGERPRINT, identity + inbox)


def decode(text: str) -> Card:
    """What a card says; CallerError(invalid) if it is none, or was damaged, or its identity is no valid key or did not
    sign the prekeys in it."""
    if "".join(text.split()).upper().startswith(LONG_PREFIX):
        return _decode_long(text)
    said = armor.decode(PREFIX, LABEL_FINGERPRINT, text, "card")
    if len(said) != _SIZE:
        raise armor.damaged("card")
    card = Card(said[:32], int.from_bytes(said[32:34], "big"), said[34:])
    _check_identity(card.identity)
    return card


def _decode_long(text: str) -> Card:
    said = armor.decode(LONG_PREFIX, LABEL_FINGERPRINT, text, "card")
    announced = said[_INBOX_SIZE:]
    try:
        found = _post(announced)
    except PeerError:
        raise armor.damaged("card") from None
    if prekeys.parse(found) is None or found.epoch:
        raise armor.damaged("card")
    _check_identity(found.author)
    signature, signed = announced[: crypto.SIGNATURE_SIZE], announced[crypto.SIGNATURE_SIZE :]
    if not crypto.verify(*post.check(found, post.post_id(signed), signature)):
        raise CallerError(
            Code.invalid,
            "the prekeys in this card are not signed by its owner: somebody changed it on its way; take it from"
            " their own screen",
        )
    return Card(found.author, int.from_bytes(said[:2], "big"), said[2:_INBOX_SIZE], announced)


def _post(announced: bytes) -> Post:
    """The post behind its signature; PeerError."""
    return post.parse(announced[crypto.SIGNATURE_SIZE :], sealed=True)


def _check_identity(identity: bytes) -> None:
    if not crypto.is_valid_point(identity):
        raise CallerError(Code.invalid, "the key in this card is no valid identity: nobody can have made it")
