"""The keyring: the day keys that this node holds, and which of them opens an envelope.

The rule: a key is held as (key day, K(day)) under the channel and epoch it belongs to (`daykeys`), and a later day's
key is made when an envelope of that day comes. What is erased is *moved on*: the earlier key is gone from here, and
no way leads back to it; a key that comes late is moved on at once to where the others are, so an old key envelope
brings nothing back. Nothing here is on disk: whoever owns the file writes down what `add` and `erase` say has
changed.

An envelope is tested with all keys of its day by its hint, one short hash each; where the hint fits, it is opened. Who
holds no key learns from this that he holds none. One key may be held under several names, because whoever sends us a
key may send another group's, or that of our own inbox, under a name that he made up; so what it opens is given under
each, and what is inside tells which is right.

Of an epoch there may be several keys for a while: whoever sends a key may lie, and only the epoch's post tells which
is the true one. At most CANDIDATE_KEYS_MAX are held, and `keep` keeps the one.
"""

from collections.abc import Callable
from hashlib import blake2b
from typing import NamedTuple

from meshd import daykeys, envelope
from meshd.envelope import Sealed
from meshd.limits import CANDIDATE_KEYS_MAX, KEY_DAYS_MAX

_DAYS_KEPT = (
    16  # days whose keys are kept ready: those of all envelopes that expire within eight days, and more
)


class Opened(NamedTuple):
    """What a key opened. `epoch` is empty for an inbox; `key` is K(d) of the envelope's day."""

    channel: bytes
    epoch: bytes
    day: int
    key: bytes
    content: bytes


class Held(NamedTuple):
    """A day key, and the day it is for (days since 1970)."""

    day: int
    key: bytes


class _Ready(NamedTuple):
    """All that it takes to test and open the envelopes of one day in one epoch."""

    hinting: bytes  # what is hashed before the nonce
    seal_key: bytes
    names: list[tuple[bytes, bytes]]
    key: bytes


class Keyring:
    """The keys of one node, in memory."""

    def __init__(self) -> None:
        self._held: dict[tuple[bytes, bytes], list[Held]] = {}  # by channel and epoch
        self._ready: dict[int, list[_Ready]] = {}  # by day
        self._first_day = 0  # what is before it was erased

    # --- keys ---

    def add(self, channel: bytes, epoch: bytes, day: int, key: bytes) -> bool:
        """Hold K(day) of this channel (16) and epoch (32, or empty); False if it opens nothing that is not opened
        already, or there are too many of this epoch."""
        if day < self._first_day:
            day, key = _moved(Held(day, key), self._first_day)
        held = self._held.setdefault((channel, epoch), [])
        for place, (other_day, other) in enumerate(held):
            apart = day - other_day
            if 0 <= apart <= KEY_DAYS_MAX and daykeys.advance(other, apart) == key:
                return False
            if 0 < -apart <= KEY_DAYS_MAX and daykeys.advance(key, -apart) == other:
                held[place] = Held(day, key)
                break
        else:
            if len(held) >= CANDIDATE_KEYS_MAX:
                return False
            held.append(Held(day, key))
        self._ready.clear()
        return True

    def keep(self, channel: bytes, epoch: bytes, is_key: Callable[[int, bytes], bool]) -> None:
        """It is known by now which (day, key) are this epoch's: hold no other."""
        true = [held for held in self.keys(channel, epoch) if is_key(*held)]
        self.remove(channel, epoch)
        if true:
            self._held[channel, epoch] = true

    def remove(self, channel: bytes, epoch: bytes) -> None:
        """Hold no key of this epoch any more."""
        self._held.pop((channel, epoch), None)
        self._ready.clear()

    def erase(self, before_day: int) -> list[tuple[bytes, bytes]]:
        """Move every key of an earlier day on to this one; the (channel, epoch) of those that were.

        A key that lags by more than KEY_DAYS_MAX days is moved on by so many, and by the rest the next time.
        """
        self._first_day = max(self._first_day, before_day)
        moved = []
        for name, held in self._held.items():
            if any(each.day < before_day for each in held):
                self._held[name] = [_moved(each, before_day) for each in held]
                moved.append(name)
        if moved:
            self._ready.clear()
        return moved

    # --- questions ---

    def open(self, sealed: Sealed) -> Opened | None:
        """What one of the keys opens, under the name that came first; None if none does."""
        return next(iter(self.open_all(sealed)), None)

    def open_all(self, sealed: Sealed) -> list[Opened]:
        """What one of the keys opens, once for each name that it is held under."""
        nonce, hint = sealed.nonce, sealed.hint
        day = daykeys.key_day(sealed.expiry_hour)
        at_hand = self._ready.get(day)
        for ready in self._make_ready(day) if at_hand is None else at_hand:
            if blake2b(ready.hinting + nonce, digest_size=daykeys.HINT_SIZE).digest() == hint:
                content = envelope.unseal(sealed, ready.seal_key)
                return (
                    [Opened(*n, day, ready.key, content) for n in ready.names] if content is not None else []
                )
        return []

    def _make_ready(self, day: int) -> list[_Ready]:
        found: dict[bytes, _Ready] = {}
        for name, held in self._held.items():
            for since, first in held:
                if 0 <= day - since <= KEY_DAYS_MAX:
                    key = daykeys.advance(first, day - since)
                    if key in found:
                        found[key].names.append(name)
                        continue
                    hinting = daykeys.HINT_PREFIX + daykeys.hint_key(key)
                    found[key] = _Ready(hinting, daykeys.seal_key(key), [name], key)
        if len(self._ready) >= _DAYS_KEPT:
            self._ready.clear()
        self._ready[day] = list(found.values())
        return self._ready[day]

    def key(self, channel: bytes, epoch: bytes, day: int) -> bytes | None:
        """K(day) of this epoch; None if it is not held, or erased."""
        for since, key in self.keys(channel, epoch):
            if 0 <= day - since <= KEY_DAYS_MAX:
                return daykeys.advance(key, day - since)
        return None

    def keys(self, channel: bytes, epoch: bytes) -> list[Held]:
        """All that is held of this epoch, the one that came first before the others."""
        return list(self._held.get((channel, epoch), ()))

    def epochs(self, channel: bytes) -> list[bytes]:
        """The epochs of this channel of which a key is held, in the order in which they came."""
        return [epoch for name, epoch in self._held if name == channel]

    def channels(self) -> list[bytes]:
        """The channels of which any key is held, in the order in which they came."""
        return list(dict.fromkeys(channel for channel, _ in self._held))

    def first_day(self) -> int | None:
        """The earliest day of which anything can be opened; None without a key."""
        return min((each.day for held in self._held.values() for each in held), default=None)


def _moved(held: Held, day: int) -> Held:
    """The key of a later day; the same if it is as late already."""
    days = min(max(0, day - held.day), KEY_DAYS_MAX)
    return Held(held.day + days, daykeys.advance(held.key, days))
