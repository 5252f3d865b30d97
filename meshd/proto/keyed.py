"""Keyed rounds: comparing a stretch of two sets by sums that nobody could know beforehand.

The rule: the fingerprint of reconcile is a plain sum, so an author of about a thousand accepted posts can look for two
sets of them that have one sum, and give each to another node: rounds between the two would not see it. A keyed round
compares the same keys in the same order by the same messages, but every id counts with another number in the sums:

    keyed id = H("meshd/1 keyed round", handshake hash of the session, id)

The handshake hash holds fresh keys of both sides, so sums that agree under it agree for nobody else and at no other
time. Bounds and lists of ids stay as they are: what differs is had, needed, wanted and given as in any round. One
difference found is enough: once the sets are not the two any more, their plain sums differ too.

Nothing can be summed before the session is there, so each message costs 0.6 µs a key. Hence the bounds: a round covers
one stretch of at most KEYED_KEYS_MAX neighbouring keys, drawn so that every key is as likely to be in it; the side that
dialled asks, once in KEYED_MS; at most KEYED_STEPS_MAX questions make a round, and as many are answered in that time.
What is beyond the bounds is left unanswered and is no fault. A stretch in which the asked side has more than twice the
bound is none of ours either: where counts differ, plain rounds see it (protocol.md, "Reconcile").

The two ends of the stretch travel as references, the first inside, the last not. Both sides build the stretch anew for
each message, so the responder keeps a count, and the initiator the ends.
"""

import random
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate

from meshd.ids import REFERENCE_SIZE, key_reference, keyed_ids
from meshd.limits import KEYED_KEYS_MAX, KEYED_MS, KEYED_STEPS_MAX, RECONCILE_FRAME_SIZE
from meshd.proto.keyset import KeySet, fingerprint_of
from meshd.proto.message import Keyed
from meshd.proto.reconcile import Difference, Initiator, respond

_HEAD = bytes(4)  # what a key has before its reference
END = b"\xff" * REFERENCE_SIZE  # above all that are used


def stretch_of(keyset: KeySet, first: bytes, end: bytes) -> list[bytes]:
    """The keys between two references, the first inside, the last not."""
    return keyset.slice(keyset.rank(_HEAD + first), keyset.rank(_HEAD + end))


class Stretch:
    """Sorted keys with sums over their keyed ids: what `reconcile` compares, in the shape of a `KeySet`."""

    def __init__(self, keys: list[bytes], handshake_hash: bytes) -> None:
        self._keys = keys
        ids = keyed_ids(handshake_hash, (key[8:] for key in keys))
        self._sums = list(accumulate((int.from_bytes(id, "little") for id in ids), initial=0))

    def __len__(self) -> int:
        return len(self._keys)

    def rank(self, key: bytes) -> int:
        return bisect_left(self._keys, key)

    def key_at(self, place: int) -> bytes:
        return self._keys[place]

    def slice(self, first: int, last: int) -> list[bytes]:
        return self._keys[first:last]

    def sum_below(self, place: int) -> int:
        return self._sums[place]

    def gap(self, place: int) -> tuple[int, bytes, bytes]:
        return self._sums[place], self._keys[place - 1], self._keys[place]

    def fingerprint(self, first: int, last: int) -> bytes:
        return fingerprint_of(self._sums[last] - self._sums[first], last - first)


@dataclass(slots=True)
class _Link:
    """What is kept of one open link."""

    handshake_hash: bytes
    due_ms: int | None  # when we ask next; None if that is the peer's part
    number: int = 0  # of our latest round
    ends: tuple[bytes, bytes] | None = None  # of the stretch that our open round covers
    steps: int = 0  # questions of that round
    answered: int = 0  # questions of the peer since …
    since_ms: int = 0


class KeyedRounds:
    """Which links to ask, what is open, and how much was answered. Times are monotonic milliseconds."""

    def __init__(self, keyset: KeySet, send: Callable[[int, Keyed], None], rng: random.Random) -> None:
        self._keyset, self._send, self._rng = keyset, send, rng
        self._links: dict[int, _Link] = {}

    def opened(self, link: int, handshake_hash: bytes, *, dialled: bool, mono_ms: int) -> None:
        """A link is open; the side that dialled asks."""
        due_ms = mono_ms + self._rng.randrange(KEYED_MS) if dialled else None
        self._links[link] = _Link(handshake_hash, due_ms)

    def closed(self, link: int) -> None:
        """A link is gone."""
        self._links.pop(link, None)

    def due(self, mono_ms: int) -> list[int]:
        """The links to ask now; each is due again in KEYED_MS, whether it is asked or not."""
        due = []
        for link, kept in self._links.items():
            if kept.due_ms is not None and kept.due_ms <= mono_ms:
                kept.due_ms = mono_ms + KEYED_MS
                due.append(link)
        return due

    def next_deadline(self) -> int | None:
        """When `due` has something."""
        return min((kept.due_ms for kept in self._links.values() if kept.due_ms is not None), default=None)

    def begin(self, link: int, floor_hour: int) -> None:
        """Ask a link about a stretch at or above this hour; one whose last round has no answer yet is asked anew."""
        first, end = self._keyset.rank(floor_hour.to_bytes(8, "big")), len(self._keyset)
        if first == end:  # so is it for any hour that does not fit a reference
            return
        drawn = first  # the place where the stretch begins; below the first, so that a first key is drawn as often
        if end - first > KEYED_KEYS_MAX:
            drawn = self._rng.randrange(first - KEYED_KEYS_MAX + 1, end)
        lower, upper = max(drawn, first), min(drawn + KEYED_KEYS_MAX, end)
        start = floor_hour.to_bytes(4, "big") + bytes(REFERENCE_SIZE - 4)
        kept = self._links[link]
        kept.ends = (
            key_reference(self._keyset.key_at(lower)) if lower > first else start,
            key_reference(self._keyset.key_at(upper)) if upper < end else END,
        )
        kept.number += 1
        kept.steps = 0
        stretch = self._stretch(kept, *kept.ends)
        if stretch is not None:
            self._ask(link, kept, Initiator(stretch, 0, RECONCILE_FRAME_SIZE).probe())

    def receive(self, link: int, message: Keyed, mono_ms: int) -> Difference:
        """Act on a message; what an answer told. Raises PeerError."""
        kept = self._links[link]
        if message.answer:
            return self._learn(link, kept, message)
        if mono_ms >= kept.since_ms + KEYED_MS:
            kept.since_ms, kept.answered = mono_ms, 0
        kept.answered += 1
        if kept.answered <= KEYED_STEPS_MAX:
            stretch = self._stretch(kept, message.first, message.end)
            if stretch is not None:
                answer = respond(stretch, 0, message.payload, RECONCILE_FRAME_SIZE)
                self._send(link, message._replace(answer=1, payload=answer))
        return Difference([], [], None)

    def _learn(self, link: int, kept: _Link, answer: Keyed) -> Difference:
        if kept.ends is None or answer.round != kept.number:
            return Difference([], [], None)
        stretch = self._stretch(kept, *kept.ends)
        if stretch is None:
            kept.ends = None
            return Difference([], [], None)
        found = Initiator(stretch, 0, RECONCILE_FRAME_SIZE).receive(answer.payload)
        if found.reply is None or kept.steps == KEYED_STEPS_MAX:
            kept.ends = None
        else:
            self._ask(link, kept, found.reply)
        return found

    def _ask(self, link: int, kept: _Link, payload: bytes) -> None:
        if kept.ends is not None:
            kept.steps += 1
            self._send(link, Keyed(0, kept.number, *kept.ends, payload))

    def _stretch(self, kept: _Link, first: bytes, end: bytes) -> Stretch | None:
        """Our keys between two references; None if they are too many."""
        count = self._keyset.rank(_HEAD + end) - self._keyset.rank(_HEAD + first)
        if count > 2 * KEYED_KEYS_MAX:
            return None
        return Stretch(stretch_of(self._keyset, first, end), kept.handshake_hash)
