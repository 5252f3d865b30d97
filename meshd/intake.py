"""Taking envelopes in: check, carry, open, log. Links, bundles and our own posts all come through here.

The rule is the order of the checks, cheapest first and everything before any state changes: size and shape
(envelope), known already (the set), refused before (by the hash of its bytes, never by a claimed id), time,
signature. A post that is refused for reasons of time is not asked for again for a minute, and then it is, because our
clock may have been the wrong one. Only a malformed envelope or a bad signature is the peer's fault; what it gave
before that is kept.

An envelope commits in `carry` first, after room was made for it (`eviction`). The log then opens what belongs to a
channel joined here, and keeps the position in carry up to which it has looked, so a crash in between, or a log that
is closed, only delays. Joining a channel sets that position back to the beginning: what is known is skipped, and
nothing else has to be remembered (protocol.md, "Taking posts in"). What is sealed is carried for its shape alone;
what our keys open (`sealing`) goes the same way, and what is wrong inside is passed over in silence, because whoever
brought it could not know. What is stamped more than HLC_AHEAD_MS ahead is carried, and opened when its time comes.
"""

from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

from meshd import crypto, envelope, post
from meshd.envelope import Envelope, Sealed
from meshd.errors import PeerError
from meshd.events import Now
from meshd.eviction import Eviction
from meshd.hlc import Clock
from meshd.limits import (
    EXPIRY_AHEAD_HOURS_MAX,
    HELD_POSTS_MAX,
    HLC_AHEAD_MS,
    HLC_REFUSE_MS,
    STEP_BUDGET,
    UNTIMELY_MS,
)
from meshd.post import HOUR_MS
from meshd.proto.keyset import KeySet
from meshd.proto.message import SHORT_ID_SIZE
from meshd.sealing import Inside, Sealing
from meshd.store.carry import Carry
from meshd.store.log import Log
from meshd.store.shares import OWN

REFUSED_MAX = 4096  # hashes of refused bytes that are remembered
UNTIMELY_MAX = 16_384  # short ids of what was refused for reasons of time; over it, some are asked for again
ADMITTED_MAX = 4096  # author keys whose point was checked
VERIFY_BATCH = 256  # signatures verified before the first bad one among them is noticed: a give's, 6 ms


class Taken(NamedTuple):
    """What came of a list of envelopes."""

    new: list[tuple[int, bytes]]  # arrival sequence in carry, and key
    known: list[bytes]  # keys of what was here already
    error: PeerError | None  # why the rest of the list was not looked at


class Tally(NamedTuple):
    """What came of envelopes that nobody is blamed for. `refused`: wrong, of another version, or too far ahead."""

    new: int = 0
    known: int = 0
    refused: int = 0
    expired: int = 0


class Intake:
    """Owns the way of an envelope into the set, carry and log."""

    def __init__(
        self,
        carry: Carry,
        log: Log | None,
        keyset: KeySet,
        clock: Clock,
        verify_many: crypto.VerifyMany = crypto.verify_many,
    ) -> None:
        self._verify_many = verify_many
        self._carry, self._log, self._keyset, self._clock = carry, log, keyset, clock
        self.eviction = Eviction(carry, log, keyset)
        self.sealing = Sealing(log)
        self._refused: OrderedDict[bytes, int] = OrderedDict()
        self._untimely: OrderedDict[bytes, int] = OrderedDict()  # short id → when it was refused for its time
        self._admitted: OrderedDict[bytes, int] = OrderedDict()
        self.is_shut = False  # nothing new is taken in, or opened: the disk is full
        self.advanced: int | None = None  # cursor of the newest post in the log since this was last taken
        if log is not None and log.opened() > carry.last_sequence():
            log.set_opened(
                0
            )  # carry lost its end or is an older copy: its next arrivals are not those looked at

    # --- check and carry ---

    def take(self, raws: Sequence[bytes], via: str, now: Now) -> Taken:
        """Take in what is new among these, from somebody who may lie."""
        new: list[Envelope | Sealed] = []
        known: list[bytes] = []
        error = None
        is_shut = self.is_shut or self.eviction.refuses(via)
        try:
            for raw in raws:
                parsed = envelope.parse(raw)
                if parsed is None:
                    continue
                if self._out_of_time(parsed, now) or (is_shut and parsed.key not in self._keyset):
                    _remember(self._untimely, parsed.id[:SHORT_ID_SIZE], now.mono_ms, UNTIMELY_MAX)
                    continue
                if self._keyset.insert(parsed.key):
                    new.append(parsed)
                else:
                    known.append(parsed.key)
        except PeerError as malformed:
            error = malformed
        accepted, forged = self._verified(new, now)
        for parsed in accepted:
            if isinstance(parsed, Envelope):
                self._clock.observe(parsed.post.hlc, now.wall_ms)
        if forged is not None:
            known = [
                key for key in known if key in self._keyset
            ]  # the good one behind a forged one is not held
        return Taken(self._store(accepted, via, now), known, forged or error)

    def take_each(self, raws: Sequence[bytes], via: str, now: Now) -> Tally:
        """Take in what is new among these, out of a file: what is wrong is left out, and not held against the rest."""
        fine: list[tuple[bytes, bytes]] = []
        known = refused = expired = 0
        is_full = self.eviction.refuses(via)
        for raw in raws:
            try:
                parsed = envelope.parse(raw)
            except PeerError:
                parsed = None
            if parsed is None:
                refused += 1
            elif now.synced and parsed.expiry_hour <= now.wall_ms // HOUR_MS:
                expired += 1
            elif self._out_of_time(parsed, now):
                refused += 1
            elif parsed.key in self._keyset:
                known += 1
            elif is_full:
                refused += 1
            else:
                fine.append((parsed.key, raw))
        taken = self.take([raw for _, raw in fine], via, now)
        new = len(taken.new)
        if taken.error is not None:  # on from the first forged one, one by one
            first = next(place for place, (key, _) in enumerate(fine) if key not in self._keyset)
            refused += 1
            for _, raw in fine[first + 1 :]:
                taken = self.take([raw], via, now)
                new += len(taken.new)
                refused += taken.error is not None
        return Tally(new, len(raws) - new - refused - expired, refused, expired)

    def add_own(self, made: Sequence[Envelope | Sealed], now: Now) -> list[tuple[int, bytes]]:
        """Take in posts of our own; the arrival sequence and key of each."""
        if not all(self._keyset.insert(each.key) for each in made):
            raise RuntimeError("a post of our own twice")
        stored = self._store(made, OWN, now)
        self.eviction.keep(sequence for sequence, _ in stored)
        return stored

    def own_living(self, now: Now) -> list[bytes]:
        """The keys of our own posts that others may come to hold, the newest last."""
        if self._log is None:
            return []
        return self._log.own_living(now.wall_ms // HOUR_MS, HELD_POSTS_MAX)[::-1]

    def is_untimely(self, short: bytes, now: Now) -> bool:
        """Whether the envelope with this short id was refused for reasons of time less than UNTIMELY_MS ago."""
        return self._untimely.get(short, -UNTIMELY_MS) + UNTIMELY_MS > now.mono_ms

    def _out_of_time(self, parsed: Envelope | Sealed, now: Now) -> bool:
        """Expired, or further ahead than clocks differ: refused in silence, and never remembered."""
        if not now.synced:
            return False  # who has no time refuses nothing by it
        if not 0 < parsed.expiry_hour - now.wall_ms // HOUR_MS <= EXPIRY_AHEAD_HOURS_MAX:
            return True
        return isinstance(parsed, Envelope) and parsed.post.time_ms > now.wall_ms + HLC_REFUSE_MS

    def _verified(
        self, new: list[Envelope | Sealed], now: Now
    ) -> tuple[list[Envelope | Sealed], PeerError | None]:
        """Those before the first whose author or signature is wrong, and what is wrong with that one. It and all
        behind it leave the set again. What is sealed has neither, as far as who carries it can tell."""
        public = [(place, parsed) for place, parsed in enumerate(new) if isinstance(parsed, Envelope)]
        for start in range(0, len(public), VERIFY_BATCH):
            batch = public[start : start + VERIFY_BATCH]
            # The hash is over the exact bytes: a good envelope is never kept out by a bad one with the same id.
            authors = dict.fromkeys(parsed.post.author for _, parsed in batch)
            valid = {author for author in authors if self._is_author(author)}
            faults = [self._fault(parsed, valid) for _, parsed in batch]
            first = next((nth for nth, fault in enumerate(faults) if fault), len(batch))
            signed = self._verify_many([envelope.check(parsed) for _, parsed in batch[:first]])
            for nth, (place, parsed) in enumerate(batch):
                fault = faults[nth] or ("" if signed[nth] else "a signature that does not verify")
                if fault:
                    _remember(
                        self._refused, blake2b(parsed.raw, digest_size=16).digest(), now.mono_ms, REFUSED_MAX
                    )
                    for refused in new[place:]:
                        self._keyset.remove(refused.key)
                    return new[:place], PeerError(fault)
            for author in authors:
                _remember(self._admitted, author, now.mono_ms, ADMITTED_MAX)
        return new, None

    def _fault(self, parsed: Envelope, valid: set[bytes]) -> str:
        """What is wrong with an envelope before its signature is looked at, or nothing."""
        if self._refused and blake2b(parsed.raw, digest_size=16).digest() in self._refused:
            return "an envelope that was refused before"
        return "" if parsed.post.author in valid else "an author key that is no valid point"

    def _is_author(self, key: bytes) -> bool:
        return key in self._admitted or crypto.is_valid_point(key)

    def _store(self, accepted: Sequence[Envelope | Sealed], via: str, now: Now) -> list[tuple[int, bytes]]:
        if not accepted:
            return []
        self.eviction.make_room(sum(len(made.raw) for made in accepted))
        before = self._carry.last_sequence()
        ingress = self._carry.shares.ingress(via)
        sequences = self._carry.insert([(made.key, made.raw) for made in accepted], ingress)
        if self._log is not None and self._log.opened() == before:
            self._open(list(zip(sequences, accepted, strict=True)), via, now)
            self._log.set_opened(sequences[-1])
        return list(zip(sequences, (made.key for made in accepted), strict=True))

    # --- open and log ---

    def join(self, channel: bytes, name: str) -> None:
        """Join a public channel; what is carried of it already is opened in the next steps."""
        if self._log is not None and not self.is_shut and not self._log.joined(channel):
            self._log.join(channel, name, "public")
            self._log.set_opened(0)

    def leave(self, channel: bytes) -> None:
        """Leave a channel; of a sealed one the keys go."""
        if self._log is not None:
            self.sealing.leave(channel)

    @property
    def behind(self) -> bool:
        """Whether carry holds what the log has not looked at, and can."""
        return not self.is_shut and self._log is not None and self._log.opened() < self._carry.last_sequence()

    def step(self, now: Now) -> None:
        """Open the next slice of what the log is behind."""
        if self._log is None:
            return
        rows = self._carry.after(self._log.opened(), STEP_BUDGET)
        self._open(_parsed(rows), "carry", now)
        self._log.set_opened(rows[-1][0] if rows else self._carry.last_sequence())

    @property
    def is_scanning(self) -> bool:
        """Whether a new key is still to be tried on what was looked at before."""
        return not self.is_shut and self.sealing.scan is not None

    def scan(self, now: Now) -> None:
        """Look again at the next slice, of what is sealed. A key that is found there begins it anew."""
        if self.sealing.scan is None:
            return
        rows = self._carry.after(self.sealing.scan, STEP_BUDGET)
        self.sealing.scanned(rows[-1][0] if rows else None)
        self._open(_parsed([row for row in rows if envelope.is_sealed(row[1])]), "carry", now)

    def release(self, now: Now) -> None:
        """Show what was held aside and whose time has come, unless it expired meanwhile."""
        if (due_ms := self.release_ms) is None or due_ms > now.wall_ms or self._log is None or not now.synced:
            return
        rows = self._carry.read(self._log.aside.take_due(now.wall_ms, STEP_BUDGET))
        own_hour = now.wall_ms // HOUR_MS
        self._open([each for each in _parsed(rows) if each[1].expiry_hour > own_hour], "carry", now)

    @property
    def release_ms(self) -> int | None:
        """When the next post that is held aside is to be shown, wall milliseconds."""
        return self._log.aside.next_due_ms if self._log is not None else None

    def _open(self, envelopes: list[tuple[int, Envelope | Sealed]], via: str, now: Now) -> None:
        if self._log is None:
            return
        inside = self._unsealed([made for _, made in envelopes if isinstance(made, Sealed)], now)
        opened = []
        for sequence, made in envelopes:
            found = inside.get(made.key) if isinstance(made, Sealed) else made
            if found is None or (isinstance(found, Envelope) and not self._is_wanted(found)):
                continue
            time_ms = found.post.time_ms
            if time_ms > now.wall_ms + HLC_AHEAD_MS and now.synced and via != OWN:
                self._log.aside.add(sequence, found.post.author, time_ms - HLC_AHEAD_MS)
                inside.pop(made.key, None)
                continue
            if not self._log.joined(found.post.channel):
                continue  # an inbox: it has readers, and is shown to nobody
            text = post.parse_text(found.post.body) if found.post.kind == post.KIND_TEXT else None
            # Who has no time can't say that somebody else's is off.
            seen_ms = now.wall_ms if now.synced else max(now.wall_ms, time_ms)
            opened.append((found.id, found.post, text, via, seen_ms))
        cursors = [cursor for cursor in self._log.insert_many(opened) if cursor is not None]
        self._log.openings.note([(key, found.id) for key, found in inside.items()])
        for found in inside.values():
            self.sealing.read(found, now)
        if cursors:
            self.advanced = cursors[-1]
            # Ours, not the posts': a stamp far ahead must not move us further after a restart than it did before.
            self._log.set_last_hlc(self._clock.last)

    def _is_wanted(self, made: Envelope) -> bool:
        """Whether a public post is of a channel that is joined; a sealed one has none."""
        channel = made.post.channel
        if self._log is None or not self._log.joined(channel):
            return False
        if self.sealing.is_sealed(channel):
            self.sealing.in_clear += 1
            return False
        return True

    def _unsealed(self, sealed: list[Sealed], now: Now) -> dict[bytes, Inside]:
        """The posts inside these that we can read and that are right, by the envelope's key."""
        found = {
            key: inside
            for key, inside in self.sealing.open(sealed, now).items()
            if self._is_author(inside.post.author) and self.sealing.admits(inside)
        }
        checks = [post.check(inside.post, inside.id, inside.signature) for inside in found.values()]
        signed = self._verify_many(checks) if checks else []
        right = {key: inside for (key, inside), holds in zip(found.items(), signed, strict=True) if holds}
        for inside in right.values():
            _remember(self._admitted, inside.post.author, now.mono_ms, ADMITTED_MAX)
            self._clock.observe(inside.post.hlc, now.wall_ms)
        return right


def _parsed(rows: list[tuple[int, bytes]]) -> list[tuple[int, Envelope | Sealed]]:
    """The envelopes of these rows of carry that have their bodies, with their sequences."""
    return [(sequence, found) for sequence, raw in rows if raw and (found := envelope.parse(raw)) is not None]


def _remember(known: OrderedDict[bytes, int], item: bytes, mono_ms: int, most: int) -> None:
    """Note an item and when it was seen last; the one not seen for longest goes when there are too many."""
    known[item] = mono_ms
    known.move_to_end(item)
    if len(known) > most:
        known.popitem(last=False)
