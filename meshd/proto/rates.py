"""Rates: how much one link may push at us unasked, and we at it.

The rule: a bucket for each link and direction. It holds PUSH_BURST envelopes and PUSH_SIZE_MINUTE bytes, and fills up
again by PUSH_MINUTE envelopes and PUSH_SIZE_MINUTE bytes a minute. Whoever sends and finds it empty announces instead
and says that it will not push, and what is then wanted was asked for. Whoever receives more than that drops it before
looking at it, and remembers nothing: an honest sender sends no more, and what is dropped may come by a round. It reads
nothing of that link for OVER_RATE_MS besides. Since a stream that stalls delivers in one moment what was sent over
many, the receiver's bucket holds RECEIVED_FACTOR as much. A link that follows another to the same host goes on with its
bucket.

What is pushed over one link came from several. One that brings much must not use up what others might push: each has a
bucket of its own as well, of one part in as many as there are other links. Own posts may take all. Who dials anew goes
on with its part.

What was asked for, or shown to lack by a round, is not rated: what bounds that is room. As many are taken for asked for
as were wanted and did not come; which they are is not looked at, as that would cost more than dropping them
(protocol.md, "Rates").

Announcing and asking cost time too. While others speak a link may name REFERENCES_SECOND envelopes a second, and is not
read for the rest of that second when it named more.
"""

from collections.abc import Sequence

from meshd import codec
from meshd.limits import (
    OVER_RATE_MS,
    PUSH_BURST,
    PUSH_MINUTE,
    PUSH_SIZE_MINUTE,
    RECEIVED_FACTOR,
    REFERENCES_SECOND,
    ROUND_MS,
    SPENT_MAX,
)
from meshd.proto.fair import OWN

_MINUTE_MS = 60_000
_SECOND_MS = 1_000


class Bucket:
    """What may still be pushed in one direction of one link. Times are monotonic milliseconds."""

    def __init__(self, mono_ms: int, factor: int = 1) -> None:
        """Full; `factor` for what it holds."""
        self._factor = 1  # of what comes in
        self._count_max, self._size_max = PUSH_BURST * factor, PUSH_SIZE_MINUTE * factor
        self._count, self._size = float(self._count_max), float(self._size_max)
        self._filled_ms = mono_ms

    def widen(self, factor: int) -> None:
        """From now on allow so many times as much, because a contact is behind the link."""
        self._factor *= factor
        self._count_max, self._size_max = self._count_max * factor, self._size_max * factor
        self._count, self._size = self._count * factor, self._size * factor

    def is_empty(self, mono_ms: int, *, weight: int = 1) -> bool:
        """Whether not even the smallest envelope may pass, counted so many times."""
        self._fill(mono_ms)
        return self._count < weight or self._size < weight

    def is_full(self, mono_ms: int) -> bool:
        """Whether it holds as much as a new one."""
        self._fill(mono_ms)
        return self._count == self._count_max and self._size == self._size_max

    def allow(self, sizes: Sequence[int], mono_ms: int, *, weight: int = 1) -> int:
        """How many of the first of these envelopes may pass; they count as passed, each so many times."""
        self._fill(mono_ms)
        allowed = 0
        for size in sizes:
            if self._count < weight or self._size < size * weight:
                break
            self._count -= weight
            self._size -= size * weight
            allowed += 1
        return allowed

    def _fill(self, mono_ms: int) -> None:
        passed_ms, self._filled_ms = mono_ms - self._filled_ms, mono_ms
        self._count = min(self._count + PUSH_MINUTE * self._factor * passed_ms / _MINUTE_MS, self._count_max)
        self._size = min(
            self._size + PUSH_SIZE_MINUTE * self._factor * passed_ms / _MINUTE_MS, self._size_max
        )


class SharedBucket(Bucket):
    """What may be pushed over one link, divided among those it came from, and ourselves."""

    def __init__(self, mono_ms: int) -> None:
        super().__init__(mono_ms)
        self._parts: dict[int, Bucket] = {}  # by source; one that is not here is full

    def widen(self, factor: int) -> None:
        super().widen(factor)
        for part in self._parts.values():
            part.widen(factor)

    def has_for(self, source: int, parts: int, mono_ms: int) -> bool:
        """Whether anything of this source, which has one of so many parts, may pass."""
        if self.is_empty(mono_ms):
            return False
        return source == OWN or not self._part(source, mono_ms).is_empty(mono_ms, weight=parts)

    def take(self, source: int, parts: int, size: int, mono_ms: int) -> bool:
        """Whether an envelope of this source passes; it counts as passed."""
        if source != OWN and not self._part(source, mono_ms).allow([size], mono_ms, weight=parts):
            return False
        return bool(self.allow([size], mono_ms))

    def _part(self, source: int, mono_ms: int) -> Bucket:
        """As large as ours: what passes counts as many times as there are parts, as links come and go."""
        if source not in self._parts:
            used = [(each, part) for each, part in self._parts.items() if not part.is_full(mono_ms)]
            self._parts = dict(used[-SPENT_MAX:])
            self._parts[source] = Bucket(mono_ms)
            self._parts[source].widen(self._factor)
        return self._parts[source]


class Inflow:
    """What one link gives us: how much of it unasked, and whether anything else is expected of it."""

    def __init__(self, bucket: Bucket, mono_ms: int) -> None:
        """`bucket`: a new one, or that of a link that ended (`Spent`)."""
        self.bucket = bucket
        self.rests_ms = mono_ms  # until then, it is not to be read: it gave more than it may
        self._wanted = 0  # envelopes that were asked for by their ids and did not come, until …
        self._wanted_ms = mono_ms
        self._lacking_ms = mono_ms  # until then, what is not pushed may be what a round showed us to lack
        self._references = 0  # that it named in have and want since …
        self._since_ms = mono_ms

    def want(self, count: int, mono_ms: int) -> None:
        """So many were wanted from this link."""
        self._wanted = self._left(mono_ms) + count
        self._wanted_ms = mono_ms + ROUND_MS

    def expect(self, mono_ms: int) -> None:
        """A round showed that this link has what we lack: it may give that, whatever it is."""
        self._lacking_ms = mono_ms + ROUND_MS

    def brought(self, mono_ms: int) -> None:
        """Some of what was asked for was new: more may follow."""
        if self._left(mono_ms):
            self._wanted_ms = mono_ms + ROUND_MS
        if mono_ms < self._lacking_ms:
            self.expect(mono_ms)

    def told(self, references: int, mono_ms: int, *, alone: bool) -> None:
        """It named so many, which takes time whatever they are; `alone` if nobody else speaks who would wait."""
        if mono_ms >= self._since_ms + _SECOND_MS:
            self._since_ms, self._references = mono_ms, 0
        self._references += references
        if self._references > REFERENCES_SECOND and not alone:
            self.rests_ms = max(self.rests_ms, self._since_ms + _SECOND_MS)

    def admit(self, pushed: int, envelopes: bytes, mono_ms: int) -> list[bytes]:
        """The envelopes of a give that are to be looked at. PeerError if they are cut, as far as that is looked at."""
        if not pushed and mono_ms < self._lacking_ms:
            return codec.split(envelopes)
        wanted = 0 if pushed else self._left(mono_ms)
        raws = [] if not wanted and self.bucket.is_empty(mono_ms) else codec.split(envelopes)
        asked = min(wanted, len(raws))
        self._wanted -= asked
        allowed = asked + self.bucket.allow(list(map(len, raws[asked:])), mono_ms)
        if not raws or allowed < len(raws):
            self.rests_ms = mono_ms + OVER_RATE_MS
        return raws[:allowed]

    def _left(self, mono_ms: int) -> int:
        if mono_ms >= self._wanted_ms:
            self._wanted = 0
        return self._wanted


class Spent:
    """The buckets of links that ended, by host, until they would be full again: who dials anew goes on with what was
    left, as the same source. There may be many laptops behind one address, so it holds one for each link that ended
    and not one for all."""

    def __init__(self) -> None:
        self._buckets: list[tuple[str, int, Bucket]] = []  # host and source; those that ended first, first

    def keep(self, host: str, source: int, bucket: Bucket, mono_ms: int) -> None:
        """A link to this host ended."""
        self._buckets = [each for each in self._buckets if not each[2].is_full(mono_ms)]
        self._buckets = [*self._buckets, (host, source, bucket)][-SPENT_MAX:]

    def renewed(self, host: str, link: int, mono_ms: int) -> tuple[int, Bucket]:
        """For a new link to this host: whose it goes on as (its own number, if nobody's), and the bucket."""
        for place, (other, source, bucket) in enumerate(self._buckets):
            if other == host:
                del self._buckets[place]
                return source, bucket
        return link, Bucket(mono_ms, RECEIVED_FACTOR)
