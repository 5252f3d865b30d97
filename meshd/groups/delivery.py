"""Delivery: which member is to be sent the key of which epoch, and when.

The rule (protocol.md, "Delivery"): any member that holds an epoch's key sends today's to a member who shows newer
prekeys than the last key envelope was made for, once none is live; after a random delay, and not if another did so
meanwhile. The delay grows with the number of members, so that of many who could only few do. A member whose prekeys are
all of days that are over is not *reachable*: it can't be sent anything until it is heard of. (Who is shown as pending
because of that is up to `group`.) Keys of superseded epochs are sent like others, as long as they are held.

That another did is known from what it sent: a member opens the tail of key envelopes for the others (`keyenvelope`).
It can't see whether their parts are right. So the same member is not believed twice in a row: who sends somebody junk
to keep the others quiet delays them by one key envelope's life, and no longer. What came before we held the epoch's key
waits here, so that whoever gets a key out of a burst of key envelopes does not send all the rest again.

Times are mesh time. Who can't trust its clock asks for nothing here and sends nothing.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from meshd import daykeys
from meshd.groups import keyenvelope
from meshd.groups.keyenvelope import KeyEnvelope, Life
from meshd.groups.prekeys import Announcement
from meshd.limits import KEY_DELAY_EACH_MS, KEY_ENVELOPE_HOURS, KEY_ENVELOPES_WAITING_MAX
from meshd.post import HOUR_MS

KeysOf = Callable[[bytes, bytes], Sequence[tuple[int, bytes]]]  # channel, epoch → (key day, key) of each held


class Sent(NamedTuple):
    """The last key envelope that counts, of one epoch for one member."""

    day: int  # that it was made on: the member needs no other before it shows prekeys of a later day
    live_until: int  # hour
    sender: bytes


class Due(NamedTuple):
    """A key that we are to send now."""

    channel: bytes
    epoch: bytes
    member: bytes
    prekeys: Announcement
    life: Life


class _Epoch(NamedTuple):
    channel: bytes
    members: frozenset[bytes]
    sent: dict[bytes, Sent]  # by member


class Delivery:
    """What one node knows of who was sent what. `keys_of` asks its keyring."""

    def __init__(self, own: bytes, rng: random.Random, keys_of: KeysOf) -> None:
        self._own, self._rng, self._keys_of = own, rng, keys_of
        self._epochs: dict[bytes, _Epoch] = {}
        self._prekeys: dict[bytes, Announcement] = {}
        self._due_ms: dict[tuple[bytes, bytes], int] = {}  # by epoch and member
        self._waiting: defaultdict[bytes, list[tuple[KeyEnvelope, int, int]]] = defaultdict(
            list
        )  # expiry, ms
        self.next_due_ms: int | None = None  # wall milliseconds; when `due` has something

    # --- what is known ---

    def hold(
        self,
        channel: bytes,
        epoch: bytes,
        members: Iterable[bytes],
        wall_ms: int,
        *,
        sent: dict[bytes, Sent] | None = None,
        is_ours: bool = False,
    ) -> list[tuple[bytes, Sent]]:
        """We hold this epoch's key. `sent`: what is remembered of it; `is_ours`: we made it, so the first to send it.

        Answers what came for its members before and counts now, to be remembered.
        """
        known = _Epoch(channel, frozenset(members), dict(sent or {}))
        self._epochs[epoch] = known
        found = []
        for member in sorted(known.members):
            for waiting in self._waiting.pop(member, []):
                found += [(member, sent) for _, sent in self.seen(member, *waiting)]
            self._plan(epoch, member, wall_ms, 0 if is_ours else None)
        self._look_ahead()
        return found

    def drop(self, epoch: bytes) -> None:
        """We do not hold this epoch's key any more."""
        self._epochs.pop(epoch, None)
        self._due_ms = {pair: due for pair, due in self._due_ms.items() if pair[0] != epoch}
        self._look_ahead()

    def announced(self, member: bytes, prekeys: Announcement, wall_ms: int) -> None:
        """These are the newest prekeys of an identity."""
        self._prekeys[member] = prekeys
        for epoch in self._epochs:
            self._plan(epoch, member, wall_ms)
        self._look_ahead()

    def prekeys(self, member: bytes) -> Announcement | None:
        """The newest prekeys of an identity, if any are known."""
        return self._prekeys.get(member)

    def seen(
        self, member: bytes, sealed: KeyEnvelope, expiry_hour: int, wall_ms: int
    ) -> list[tuple[bytes, Sent]]:
        """A key envelope came in the inbox of a member. The epoch for which it counts, if any, to be remembered."""
        for epoch, known in self._epochs.items():
            if member not in known.members:
                continue
            for day, key in self._keys_of(known.channel, epoch):
                found = keyenvelope.recognise(sealed, member, day, key)
                if found is None or (found.channel, found.epoch) != (known.channel, epoch):
                    continue
                if found.sender not in known.members:
                    return []
                sent = _sent(sealed, found.sender, expiry_hour, wall_ms // HOUR_MS)
                return self._count(epoch, member, sent, wall_ms)
        waiting = self._waiting[member]
        waiting.append((sealed, expiry_hour, wall_ms))
        del waiting[:-KEY_ENVELOPES_WAITING_MAX]
        return []

    def sent(self, due: Due, wall_ms: int) -> Sent:
        """We sent what was due; to be remembered."""
        sent = Sent(due.life.days[0], due.life.expiry_hour, self._own)
        self._count(due.epoch, due.member, sent, wall_ms)
        return sent

    # --- what to do ---

    def due(self, wall_ms: int, limit: int) -> list[Due]:
        """Up to `limit` that are to be sent now, the longest due first, each to be told to `sent`.

        What can't be sent any more waits for newer prekeys.
        """
        if self.next_due_ms is None or self.next_due_ms > wall_ms:
            return []
        found: list[Due] = []
        for due_ms, epoch, member in sorted((due_ms, *pair) for pair, due_ms in self._due_ms.items()):
            if due_ms > wall_ms or len(found) == limit:
                break
            del self._due_ms[epoch, member]
            prekeys = self._prekeys[member]
            life = keyenvelope.life(prekeys, wall_ms // HOUR_MS)
            if life is not None:
                found.append(Due(self._epochs[epoch].channel, epoch, member, prekeys, life))
        self._look_ahead()
        return found

    def live(self, epoch: bytes, hour: int) -> list[bytes]:
        """The members with a live key envelope of this epoch, as far as we know."""
        return sorted(member for member, sent in self._epochs[epoch].sent.items() if sent.live_until > hour)

    def reachable(self, epoch: bytes, hour: int) -> list[bytes]:
        """The members who can be sent a key now: some prekey of theirs is for today."""
        known = ((member, self._prekeys.get(member)) for member in sorted(self._epochs[epoch].members))
        return [member for member, prekeys in known if prekeys and keyenvelope.life(prekeys, hour)]

    # --- inside ---

    def _count(self, epoch: bytes, member: bytes, sent: Sent, wall_ms: int) -> list[tuple[bytes, Sent]]:
        before = self._epochs[epoch].sent.get(member)
        if before is not None:
            again = sent.sender == before.sender != self._own
            if sent.live_until <= before.live_until or (again and sent.day > before.day):
                return []
        self._epochs[epoch].sent[member] = sent
        self._due_ms.pop((epoch, member), None)
        self._plan(epoch, member, wall_ms)
        self._look_ahead()
        return [(epoch, sent)]

    def _plan(self, epoch: bytes, member: bytes, wall_ms: int, delay_ms: int | None = None) -> None:
        """Draw when to send this member this epoch's key, if that is needed and not drawn yet."""
        known, prekeys = self._epochs[epoch], self._prekeys.get(member)
        if member == self._own or member not in known.members or prekeys is None:
            return
        sent = known.sent.get(member)
        if (epoch, member) in self._due_ms or (sent is not None and prekeys.first_day <= sent.day):
            return
        if delay_ms is None:
            delay_ms = self._rng.randrange(KEY_DELAY_EACH_MS * len(known.members))
        live_ms = sent.live_until * HOUR_MS if sent is not None else 0
        self._due_ms[epoch, member] = max(wall_ms, live_ms) + delay_ms

    def _look_ahead(self) -> None:
        self.next_due_ms = min(self._due_ms.values(), default=None)


def _sent(sealed: KeyEnvelope, sender: bytes, expiry_hour: int, hour: int) -> Sent:
    """What a key envelope of somebody else's counts for: no more than an honest one made now could claim."""
    live_until = min(expiry_hour, (sealed.last_day + 1) * daykeys.DAY_HOURS, hour + KEY_ENVELOPE_HOURS)
    return Sent(min(sealed.first_day, daykeys.key_day(hour)), live_until, sender)
