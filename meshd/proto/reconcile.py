"""Find the difference of two key sets: negentropy protocol V1, byte for byte with its C++ reference.

The rule: a message is a version byte, 0x61, and adjacent ranges that cover the order from its start:

    message = u8 version ‖ range*
    range   = bound ‖ varint mode ‖ payload
    bound   = varint time ‖ varint length ‖ id prefix   (exclusive; the lower bound is the last upper one)
    time    = 0 for infinity, else 1 + hour − hour of the bound before (0 before the first)
    mode 0, skip: no payload · mode 1, fingerprint: 16 bytes · mode 2, ids: varint count ‖ 32-byte ids

What is behind the last range is skipped. Varints are base 128, most significant digit first
(`keyset.varint`). A bound between two neighbours is the upper one's hour alone if the hours differ, else
also its id up to and including the first byte that differs.

Who asks (the initiator) opens, and answers every answer until it has nothing left to ask; only it learns
the difference. Whoever gets a fingerprint that is not its own splits the range: below 32 keys into the ids
themselves, else into 16 ranges of equal count (the first ones one larger) with a fingerprint each. A list
of ids is answered by the responder with its own ids in that range; the initiator takes the difference and
skips. Neighbouring skips become one, and a skip at the end is left out. The responder keeps nothing between
messages, the initiator nothing but its part: places are found anew from the bounds in each message, so keys
may come and go meanwhile.

A frame limit bounds a message: once it is longer than the limit less 200 bytes, it ends with one
fingerprint over all that was not yet handled, and a list of ids is cut at the first key that no longer
fits. Nothing else bounds what a short question ("no ids at all, up to infinity") may cost.

Both sides look only at keys from their common floor hour on. Ids travel without hours.

Refused with PeerError: an empty message, a version byte outside 0x60–0x6f, a varint longer than 10 bytes or
above 2^64 − 1, an id prefix over 32 bytes, another mode, anything cut short, bounds that go down (equal
ones are legal: a limited answer may end so), ids that no key inside their bounds can have, more ranges than
the cap. Another version 0x60–0x6f is answered with the one byte 0x61, and refused when it is an answer.
After a limit was reached the rest of a message is not read.

Cost of one message, at a million keys: 1.3 µs a skip, 4.5 µs a right fingerprint, 60 µs a wrong one, 0.2 µs
a key where the initiator gets a list; 30 µs more for the first look into a block that changed. So with a
limit of 480 KiB at most 0.1 s whatever a peer sends, of 128 KiB 30 ms; common ones take under 5 ms. What an
empty peer lacks is told in one step, 60 ms for a million keys.
"""

import random
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from meshd.errors import PeerError
from meshd.ids import ID_SIZE, KEY_SIZE
from meshd.limits import RECONCILE_RANGES_MAX
from meshd.proto.keyset import fingerprint_of, varint

VERSION = 0x61
SKIP, FINGERPRINT, IDS = 0, 1, 2
FINGERPRINT_SIZE = 16
BUCKETS = 16
FRAME_SIZE_MIN = 4096  # the smallest frame limit: room for one split or one full list of ids
FRAME_RESERVE = 200  # kept free below the limit for what ends a message
HOUR_SIZE = 8
INFINITY = b"\xff" * HOUR_SIZE  # no key has this hour
_INFINITE_HOUR = 2**64 - 1
VARINT_SIZE_MAX = 10  # bytes that 64 bits need


class Ordered(Protocol):
    """What is compared: sorted keys with a sum over any range of places. See `KeySet` for what each means."""

    def __len__(self) -> int: ...
    def rank(self, key: bytes) -> int: ...
    def key_at(self, place: int) -> bytes: ...
    def slice(self, first: int, last: int) -> list[bytes]: ...
    def sum_below(self, place: int) -> int: ...
    def gap(self, place: int) -> tuple[int, bytes, bytes]: ...
    def fingerprint(self, first: int, last: int) -> bytes: ...


class Difference(NamedTuple):
    """What one answer told the initiator: keys only it has, ids only the responder has, what to send next."""

    have: list[bytes]
    need: list[bytes]
    reply: bytes | None  # None: done


class Initiator:
    """The side that asks. One object may ask again and again: it holds no state of a round."""

    def __init__(
        self,
        keyset: Ordered,
        floor_hour: int = 0,
        frame_size_limit: int = 0,
        ranges_max: int = RECONCILE_RANGES_MAX,
    ) -> None:
        """Compare keys from `floor_hour` on; `frame_size_limit` in bytes, at least 4096, or 0 for none."""
        self._side = _Side(keyset, floor_hour, frame_size_limit, ranges_max)

    def initiate(self, rng: random.Random | None = None) -> bytes:
        """The opening that shows 16 fingerprints, or all ids if there are fewer than 32 (the reference's); of ranges
        of random size if there is an `rng`."""
        side = self._side
        return bytes((VERSION,)) + side.split(_Bounds(), side.first, len(side.keyset), INFINITY, rng)

    def probe(self) -> bytes:
        """The opening with one fingerprint over all, 20 bytes: for sets that are probably equal."""
        return bytes((VERSION,)) + self._side.rest(self._side.first)

    def receive(self, message: bytes) -> Difference:
        """Take an answer. Raises PeerError."""
        difference = Difference([], [], None)
        reply = self._side.answer(message, difference)
        return difference._replace(reply=reply if len(reply) > 1 else None)


def respond(
    keyset: Ordered,
    floor_hour: int,
    message: bytes,
    frame_size_limit: int,
    ranges_max: int = RECONCILE_RANGES_MAX,
) -> bytes:
    """The answer to an initiator's message; `0x61` alone when nothing is left to say. Raises PeerError.

    `frame_size_limit` is the most bytes of an answer, at least 4096, or 0 for none (a comparison with other
    implementations alone may want that: 5 bytes can ask for all ids).
    """
    return _Side(keyset, floor_hour, frame_size_limit, ranges_max).answer(message, None)


class _Bounds:
    """Writes bounds; remembers the hour of the last one in this message."""

    def __init__(self) -> None:
        self._hour = bytes(HOUR_SIZE)

    def encode(self, bound: bytes) -> bytes:
        """A bound is 8 bytes of hour and 0 to 32 of an id prefix."""
        before, self._hour = self._hour, bound[:HOUR_SIZE]
        if self._hour == INFINITY:
            time = b"\0"
        elif self._hour == before:
            time = b"\1"
        else:
            time = varint(1 + int.from_bytes(self._hour) - int.from_bytes(before))
        return time + varint(len(bound) - HOUR_SIZE) + bound[HOUR_SIZE:]

    def skip(self, bound: bytes) -> bytes:
        """The range that skips up to a bound; nothing without a bound."""
        return self.encode(bound) + b"\0" if bound else b""


class _Side:
    """A key set from a floor hour on, and the bounds on one answer."""

    def __init__(self, keyset: Ordered, floor_hour: int, frame_size_limit: int, ranges_max: int) -> None:
        if frame_size_limit and frame_size_limit < FRAME_SIZE_MIN:
            raise ValueError(f"a frame limit is at least {FRAME_SIZE_MIN} bytes, or 0 for none")
        self.keyset = keyset
        self._floor = floor_hour.to_bytes(HOUR_SIZE)
        self._room = frame_size_limit - FRAME_RESERVE if frame_size_limit else None
        self._ranges_max = ranges_max

    @property
    def first(self) -> int:
        """The place of the first key at or above the floor."""
        return self.keyset.rank(self._floor)

    def rest(self, first: int) -> bytes:
        """One range to infinity: the fingerprint of all keys from a place on."""
        return b"\0\0\1" + self.keyset.fingerprint(first, len(self.keyset))

    def answer(self, message: bytes, difference: Difference | None) -> bytes:
        """Go through a message range by range; the initiator passes the difference to fill in."""
        if not message:
            raise PeerError("an empty reconcile message")
        if not 0x60 <= message[0] <= 0x6F:
            raise PeerError("a reconcile message with no version")
        if message[0] != VERSION:
            if difference is not None:
                raise PeerError("a reconcile answer in another version")
            return bytes((VERSION,))
        out = bytearray((VERSION,))
        bounds = _Bounds()
        skipped = b""  # the upper bound of the skip not yet written, if any
        upper = self.first
        summed, total = 0, 0  # a place and the sum below it: one range's upper end is the next one's lower
        for bound, mode, fingerprint, ids in _ranges(message, self._ranges_max):
            lower, upper = upper, max(upper, self.keyset.rank(bound))
            piece = b""
            if mode == FINGERPRINT:
                lower_total = total if summed == lower else self.keyset.sum_below(lower)
                summed, total = upper, self.keyset.sum_below(upper)
                if fingerprint != fingerprint_of(total - lower_total, upper - lower):
                    piece = bounds.skip(skipped) + self.split(bounds, lower, upper, bound)
            elif mode == IDS and difference is not None:
                self._compare(lower, upper, ids, difference)
            elif mode == IDS:
                if self._room is not None:
                    fitting = lower + (self._room - len(out)) // ID_SIZE + 1
                    if fitting < upper:
                        upper, bound = fitting, self.keyset.key_at(fitting)
                piece = bounds.skip(skipped) + self._list(bounds, lower, upper, bound)
            full = self._room is not None and len(out) + len(piece) > self._room
            if mode == IDS or not full:  # a list was cut to fit, a split is left for another message
                out += piece
            if full:
                return bytes(out) + self.rest(upper)
            skipped = b"" if piece else bound
        return bytes(out)

    def split(
        self, bounds: _Bounds, lower: int, upper: int, bound: bytes, rng: random.Random | None = None
    ) -> bytes:
        """Ranges for the keys at places lower ≤ place < upper, up to the bound."""
        if upper - lower < 2 * BUCKETS:
            return self._list(bounds, lower, upper, bound)
        piece = b""
        total = self.keyset.sum_below(lower)
        for place in _equal(lower, upper) if rng is None else _jittered(lower, upper, rng):
            first, lower, below, edge = lower, place, total, bound
            if lower == upper:
                total = self.keyset.sum_below(upper)
            else:
                total, before, key = self.keyset.gap(lower)
                edge = _edge(before, key)
            piece += bounds.encode(edge) + b"\1" + fingerprint_of(total - below, lower - first)
        return piece

    def _list(self, bounds: _Bounds, lower: int, upper: int, bound: bytes) -> bytes:
        """One range with all its ids."""
        ids = [key[HOUR_SIZE:] for key in self.keyset.slice(lower, upper)]
        return bounds.encode(bound) + b"\2" + varint(len(ids)) + b"".join(ids)

    def _compare(self, lower: int, upper: int, ids: list[bytes], difference: Difference) -> None:
        """Add what the responder's ids in this range say."""
        keys = self.keyset.slice(lower, upper)
        theirs = set(ids)
        if not theirs:  # a newcomer says so about everything at once
            difference.have.extend(keys)
            return
        for key in keys:
            id = key[HOUR_SIZE:]
            if id in theirs:
                theirs.remove(id)
            else:
                difference.have.append(key)
        difference.need.extend(sorted(theirs))


def _equal(lower: int, upper: int) -> Iterator[int]:
    """The ends of 16 ranges of equal count, the first ones one larger."""
    size, larger = divmod(upper - lower, BUCKETS)
    for number in range(BUCKETS):
        lower += size + (number < larger)
        yield lower


def _jittered(lower: int, upper: int, rng: random.Random) -> Iterator[int]:
    """The ends of 16 ranges: one at random in each fifteenth of the places inside, and the upper end.

    Why: an author of about a thousand posts can find two sets of them with one sum. Between nodes that hold one set
    each, bounds known beforehand hide the difference for ever; `keyed` makes sums that nobody knows beforehand.
    """
    inside, cuts = upper - lower - 1, BUCKETS - 1
    for number in range(cuts):
        yield lower + 1 + rng.randrange(number * inside // cuts, (number + 1) * inside // cuts)
    yield upper


def _edge(before: bytes, key: bytes) -> bytes:
    """The shortest bound that parts two neighbouring keys."""
    if before[:HOUR_SIZE] != key[:HOUR_SIZE]:
        return key[:HOUR_SIZE]
    same = HOUR_SIZE
    while before[same] == key[same]:
        same += 1
    return key[: same + 1]


def _ranges(message: bytes, ranges_max: int) -> Iterator[tuple[bytes, int, bytes, list[bytes]]]:
    """The ranges of a message: upper bound as it came, mode, fingerprint, ids. Raises PeerError."""
    at, hour, lower = 1, 0, b""
    for _ in range(ranges_max):
        if at == len(message):
            return
        since, at = _varint(message, at)
        hour = min(hour + since - 1, _INFINITE_HOUR) if since else _INFINITE_HOUR
        length, at = _varint(message, at)
        if length > ID_SIZE:
            raise PeerError("a reconcile bound with more than an id")
        bound = hour.to_bytes(HOUR_SIZE) + message[at : at + length]
        at += length
        if bound < lower and bound.ljust(KEY_SIZE, b"\0") < lower.ljust(KEY_SIZE, b"\0"):
            raise PeerError("reconcile bounds out of order")
        mode, at = _varint(message, at)
        fingerprint, ids = b"", []
        if mode == FINGERPRINT:
            fingerprint = message[at : at + FINGERPRINT_SIZE]
            at += FINGERPRINT_SIZE
        elif mode == IDS:
            count, at = _varint(message, at)
            if count * ID_SIZE > len(message) - at:
                raise PeerError("a reconcile message cut short")
            start, at = at, at + count * ID_SIZE
            ids = [message[i : i + ID_SIZE] for i in range(start, at, ID_SIZE)]
            if not _within(ids, lower, bound):
                raise PeerError("reconcile ids outside their range")
        elif mode != SKIP:
            raise PeerError("a reconcile range of no known mode")
        if at > len(message):
            raise PeerError("a reconcile message cut short")
        yield bound, mode, fingerprint, ids
        lower = bound
    if at < len(message):
        raise PeerError("too many reconcile ranges")


def _within(ids: list[bytes], lower: bytes, upper: bytes) -> bool:
    """Whether each id could belong to a key in lower ≤ key < upper, whatever its hour is."""
    lower, upper = lower.ljust(KEY_SIZE, b"\0"), upper.ljust(KEY_SIZE, b"\0")
    hours = int.from_bytes(upper[:HOUR_SIZE]) - int.from_bytes(lower[:HOUR_SIZE])
    if not ids or hours > 1:
        return True
    if hours == 1:
        return all(id >= lower[HOUR_SIZE:] or id < upper[HOUR_SIZE:] for id in ids)
    return lower[HOUR_SIZE:] <= min(ids) and max(ids) < upper[HOUR_SIZE:]


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """A varint, and the place behind it."""
    if at < len(message) and message[at] < 0x80:  # most are one byte
        return message[at], at + 1
    number = 0
    for place in range(at, min(at + VARINT_SIZE_MAX, len(message))):
        byte = message[place]
        number = number << 7 | byte & 0x7F
        if byte < 0x80:
            if number > _INFINITE_HOUR:
                break
            return number, place + 1
    raise PeerError("a reconcile number cut short or too large")
