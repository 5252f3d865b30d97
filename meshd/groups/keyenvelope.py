"""Key envelopes: how the secret of an epoch comes to one member.

The rule (protocol.md, "Key envelopes"): a key envelope is made for one *recipient* and one epoch, with an X25519 key e
of its own. For each key day d that it is meant for it has a *part*: the epoch's K(d), encrypted to the recipient's
prekey of that day. So whoever seizes the recipient's laptop on day d gets K(d) out of it and nothing that expired
before. Behind the parts stands the *tail*, which says what it is the key of and who sent it; it is encrypted under the
K of the last day, so that those who hold the epoch's key see that this member was sent it, and need not do so again,
while all others who read the recipient's inbox see that somebody sent it something.

    part(d) = AEAD of K(d) under H("meshd/1 key part", X25519(e, prekey(d)), e's public key, prekey(d), u32 d)
    tail    = AEAD of channel ‖ epoch ‖ sender ‖ signature under H("meshd/1 key tail", K(last day), e's public key)

AEAD is ChaCha20-Poly1305 with a nonce of zeros: each of these keys is used once, because e is. The sender signs
recipient, channel, epoch, e, days and parts, so nothing of it can be put to another use, to another person or together
with something else. It does not prove that K is the epoch's: that is so once it opens what the epoch's members wrote.

The recipient takes the first day whose secret it has, and has every later K from that. What does not open is None and
nobody's fault: the inbox that it came in is open to all who have the card.
"""

from collections.abc import Callable
from typing import NamedTuple

from meshd import codec, crypto, daykeys
from meshd.crypto import KEY_SIZE, SIGNATURE_SIZE, Entropy
from meshd.envelope import CONTENT_KEY
from meshd.errors import PeerError
from meshd.groups.prekeys import Announcement
from meshd.ids import (
    CHANNEL_ID_SIZE,
    ID_SIZE,
    LABEL_KEY_PART,
    LABEL_KEY_SIGNATURE,
    LABEL_KEY_TAIL,
    labelled,
)
from meshd.limits import KEY_DAYS_MAX, KEY_ENVELOPE_HOURS, KEY_PARTS_MAX, TAG_SIZE

CONTENT_SIZE_MAX = 510  # what the smallest class of sealed envelopes holds
_PART_SIZE = KEY_SIZE + TAG_SIZE
_ABOUT_SIZE = CHANNEL_ID_SIZE + ID_SIZE
_TAIL_SIZE = _ABOUT_SIZE + ID_SIZE + SIGNATURE_SIZE + TAG_SIZE
_DAY_MAX = 2**32 - 1
_SCHEMA = (int, bytes, int, bytes, bytes)
_ONCE = bytes(12)  # the nonce of a key that encrypts one thing
_SIGNATURE_PREFIX = bytes((len(LABEL_KEY_SIGNATURE),)) + LABEL_KEY_SIGNATURE


class KeyEnvelope(NamedTuple):
    """The content of a key envelope whose shape is right."""

    ephemeral: bytes  # e's public key, 32
    first_day: int
    parts: tuple[bytes, ...]  # one for each key day from the first on
    tail: bytes

    @property
    def last_day(self) -> int:
        """The last key day that it is meant for."""
        return self.first_day + len(self.parts) - 1


class Delivered(NamedTuple):
    """What a key envelope says, its signature checked."""

    channel: bytes  # 16
    epoch: bytes  # 32
    sender: bytes  # identity, 32
    day: int  # the key day of the key
    key: bytes  # K(day) of the epoch, if the sender is right


class Life(NamedTuple):
    """How long a key envelope made now can live."""

    days: range  # the key days it has parts for
    expiry_hour: int


def life(prekeys: Announcement, hour: int) -> Life | None:
    """The life of a key envelope made in this hour for who announced these; None: none of them is for today any more.

    It ends with the last prekey, so that nobody carries what its recipient can't open.
    """
    expiry_hour = min(hour + KEY_ENVELOPE_HOURS, (prekeys.last_day + 1) * daykeys.DAY_HOURS - 1)
    days = range(max(daykeys.key_day(hour), prekeys.first_day), daykeys.key_day(expiry_hour) + 1)
    return Life(days, expiry_hour) if days and expiry_hour > hour else None


def seal(
    entropy: Entropy,
    secret: bytes,
    recipient: bytes,
    prekeys: Announcement,
    days: range,
    delivered: Delivered,
) -> bytes:
    """The content of a key envelope in the recipient's inbox: 395 bytes with four parts.

    `secret` is the sender's Ed25519 secret; `days`, at most KEY_PARTS_MAX of which all have a prekey, as from `life`;
    the first is the day of the key that is delivered. ValueError if these do not fit together.
    """
    keys = [prekeys.key(day) for day in days]
    if not 1 <= len(keys) <= KEY_PARTS_MAX or days[0] != delivered.day:
        raise ValueError("a key envelope begins on the day of its key and has few parts")
    public, own = crypto.x25519_keypair(crypto.fresh(entropy, KEY_SIZE))
    day_key = delivered.key
    parts = b""
    for day, prekey in zip(days, keys, strict=True):
        if prekey is None:
            raise ValueError(f"no prekey of day {day} is known")
        day_key = daykeys.advance(delivered.key, day - delivered.day)
        part_key = _part_key(crypto.x25519(own, prekey), public, prekey, day)
        parts += crypto.chacha20poly1305_encrypt(part_key, _ONCE, b"", day_key)
    about = delivered.channel + delivered.epoch
    signature = crypto.sign(secret, _signed(recipient, about, public, days[0], parts))
    named = about + delivered.sender + signature
    tail = crypto.chacha20poly1305_encrypt(_tail_key(day_key, public), _ONCE, b"", named)
    return codec.pack(CONTENT_KEY, public, days[0], parts, tail)


def parse(content: bytes) -> KeyEnvelope | None:
    """The key envelope in the content of a sealed envelope; None if its shape is wrong."""
    try:
        kind, ephemeral, first_day, joined, tail = codec.unpack(content, _SCHEMA, CONTENT_SIZE_MAX)
        parts = codec.chop(joined, _PART_SIZE, KEY_PARTS_MAX)
    except PeerError:
        return None
    if kind != CONTENT_KEY or len(ephemeral) != KEY_SIZE or len(tail) != _TAIL_SIZE or not parts:
        return None
    return (
        KeyEnvelope(ephemeral, first_day, tuple(parts), tail) if first_day <= _DAY_MAX - len(parts) else None
    )


def open(sealed: KeyEnvelope, recipient: bytes, secret_of: Callable[[int], bytes | None]) -> Delivered | None:
    """What we, the recipient with this identity, are sent; `secret_of` gives our prekeys' secrets by key day."""
    for day, part in enumerate(sealed.parts, sealed.first_day):
        secret = secret_of(day)
        if secret is not None:
            key = _open_part(sealed, secret, day, part)
            return None if key is None else recognise(sealed, recipient, day, key)
    return None


def recognise(sealed: KeyEnvelope, recipient: bytes, day: int, key: bytes) -> Delivered | None:
    """The same with the epoch's key of a day: whether this one brings that key to the recipient, and from whom."""
    if not 0 <= sealed.last_day - day <= KEY_DAYS_MAX:
        return None
    last = daykeys.advance(key, sealed.last_day - day)
    named = crypto.chacha20poly1305_decrypt(_tail_key(last, sealed.ephemeral), _ONCE, b"", sealed.tail)
    if named is None:
        return None
    about, sender, signature = (
        named[:_ABOUT_SIZE],
        named[_ABOUT_SIZE:-SIGNATURE_SIZE],
        named[-SIGNATURE_SIZE:],
    )
    signed = _signed(recipient, about, sealed.ephemeral, sealed.first_day, b"".join(sealed.parts))
    if not crypto.is_valid_point(sender) or not crypto.verify(sender, signed, signature):
        return None
    return Delivered(about[:CHANNEL_ID_SIZE], about[CHANNEL_ID_SIZE:], sender, day, key)


def _open_part(sealed: KeyEnvelope, secret: bytes, day: int, part: bytes) -> bytes | None:
    try:
        shared = crypto.x25519(secret, sealed.ephemeral)
    except PeerError:  # of low order
        return None
    prekey, _ = crypto.x25519_keypair(secret)
    return crypto.chacha20poly1305_decrypt(_part_key(shared, sealed.ephemeral, prekey, day), _ONCE, b"", part)


def _part_key(shared: bytes, ephemeral: bytes, prekey: bytes, day: int) -> bytes:
    return labelled(LABEL_KEY_PART, shared, ephemeral, prekey, day.to_bytes(4, "big"))


def _tail_key(last: bytes, ephemeral: bytes) -> bytes:
    return labelled(LABEL_KEY_TAIL, last, ephemeral)


def _signed(recipient: bytes, about: bytes, ephemeral: bytes, first_day: int, parts: bytes) -> bytes:
    return _SIGNATURE_PREFIX + recipient + about + ephemeral + first_day.to_bytes(4, "big") + parts
