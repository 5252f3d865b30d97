"""Prekeys: short-lived keys that let others seal something to one person for one day.

The rule (protocol.md, "Prekeys"): an identity has one X25519 key for each key day, the *prekey* of that day. Every day
it signs those of today and of the next PREKEY_DAYS - 1 days in one post of kind 3 in its inbox, where whoever has its
card reads them. A secret is kept as long as day keys are, until its day is over and an hour more. Then it is erased,
and what was sealed to it opens for nobody: not for who copied all that was ever sent and seizes the laptop then.

Why a key a day and so many ahead: who seals something that lives until day d seals it to the prekey of day d as well,
and may do so while the owner is off. Why no more: a laptop that is seized opens what is sealed to days to come.

The newest announcement counts, and it counts whole: an owner who lost older secrets (a restored home) announces
others, and who holds fewer days than there are can't be made to mix two sets. An announcement dated otherwise than
its post would stay the newest for ever, so its first day is the day of the post's own time.
"""

from collections.abc import Mapping
from typing import NamedTuple

from meshd import codec, crypto
from meshd.crypto import KEY_SIZE, Entropy
from meshd.daykeys import DAY_HOURS
from meshd.errors import PeerError
from meshd.ids import inbox_channel_id
from meshd.limits import BODY_SIZE_MAX, PREKEY_DAYS
from meshd.post import HOUR_MS, KIND_PREKEYS, Post

_SCHEMA = (int, bytes)
_DAY_MS = DAY_HOURS * HOUR_MS
_ANY_SECRET = bytes(KEY_SIZE)  # clamping makes it a scalar like any other, which shows points of low order


class Announcement(NamedTuple):
    """The prekeys of one identity: `keys[n]` is that of key day `first_day + n`."""

    first_day: int
    keys: tuple[bytes, ...]

    @property
    def last_day(self) -> int:
        """The last key day for which something can be sealed to them."""
        return self.first_day + len(self.keys) - 1

    def key(self, day: int) -> bytes | None:
        """The prekey of this day, 32 bytes, if it is among them."""
        return self.keys[day - self.first_day] if self.first_day <= day <= self.last_day else None


def encode(announcement: Announcement) -> bytes:
    """The body of the post that announces these; ValueError unless they are PREKEY_DAYS keys."""
    if len(announcement.keys) != PREKEY_DAYS:
        raise ValueError(f"{PREKEY_DAYS} prekeys are announced at a time")
    return codec.pack(announcement.first_day, b"".join(announcement.keys))


def parse(inside: Post) -> Announcement | None:
    """What a post out of a sealed envelope announces, its signature checked by the caller; None if that is nothing
    anybody can use: then the post is ignored."""
    if inside.kind != KIND_PREKEYS or inside.channel != inbox_channel_id(inside.author):
        return None
    try:
        first_day, joined = codec.unpack(inside.body, _SCHEMA, BODY_SIZE_MAX)
        keys = codec.chop(joined, KEY_SIZE, PREKEY_DAYS)
        if first_day != inside.time_ms // _DAY_MS or len(keys) != PREKEY_DAYS:
            return None
        for key in keys:
            crypto.x25519(_ANY_SECRET, key)
    except PeerError:
        return None
    return Announcement(first_day, tuple(keys))


def parse_keys(first_day: int, joined: bytes) -> Announcement:
    """The announcement that was parsed before and kept as the first day and all keys, one after the other."""
    return Announcement(first_day, tuple(codec.chop(joined, KEY_SIZE, PREKEY_DAYS)))


class OwnPrekeys:
    """The secrets of our own prekeys, by key day. They are kept over a stop by who owns the disk."""

    def __init__(self, secrets: Mapping[int, bytes] | None = None) -> None:
        self._secrets = dict(secrets or {})

    def secret(self, day: int) -> bytes | None:
        """The secret of this day's prekey, 32 bytes; None if there was none, or it is erased."""
        return self._secrets.get(day)

    def announce(self, day: int, entropy: Entropy) -> tuple[Announcement, dict[int, bytes]]:
        """What to announce on this key day, and the secrets that are new: to be on disk before it is sent."""
        days = range(day, day + PREKEY_DAYS)
        fresh = {each: crypto.fresh(entropy, KEY_SIZE) for each in days if each not in self._secrets}
        self._secrets |= fresh
        return Announcement(day, tuple(crypto.x25519_keypair(self._secrets[each])[0] for each in days)), fresh

    def erase(self, before_day: int) -> None:
        """Forget the secrets of all days before this one."""
        self._secrets = {day: secret for day, secret in self._secrets.items() if day >= before_day}
