"""Rates: how much one link may push at us unasked, and we at it.

The rule: a bucket for each link and direction. It holds PUSH_BURST envelopes and PUSH_SIZE_MINUTE bytes, and fills up
again by PUSH_MINUTE envelopes and PUSH_SIZE_MINUTE bytes a minute. Whoever sends and finds it empty announces instead
and says that it will not push, and what is then wanted was asked for. Whoever receives more than that drops it before
looking at it, and remembers nothing: an honest sender sends no more, and what is dropped may come by a round. Since a
stream that stalls delivers in one moment what was sent over many, the receiver's bucket holds RECEIVED_FACTOR as much.

What was asked for, or shown to lack by a round, is not rated: what bounds that is room (protocol.md, "Rates").
"""

from collections.abc import Sequence

from meshd import codec
from meshd.limits import PUSH_BURST, PUSH_MINUTE, PUSH_SIZE_MINUTE, RECEIVED_FACTOR, ROUND_MS

_MINUTE_MS = 60_000


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

    def is_empty(self, mono_ms: int) -> bool:
        """Whether not even the smallest envelope may pass."""
        self._fill(mono_ms)
        return self._count < 1 or self._size < 1

    def allow(self, sizes: Sequence[int], mono_ms: int) -> int:
        """How many of the first of these envelopes may pass; they count as passed."""
        self._fill(mono_ms)
        allowed = 0
        for size in sizes:
            if self._count < 1 or self._size < size:
                break
            self._count -= 1
            self._size -= size
            allowed += 1
        return allowed

    def _fill(self, mono_ms: int) -> None:
        passed_ms, self._filled_ms = mono_ms - self._filled_ms, mono_ms
        self._count = min(self._count + PUSH_MINUTE * self._factor * passed_ms / _MINUTE_MS, self._count_max)
        self._size = min(
            self._size + PUSH_SIZE_MINUTE * self._factor * passed_ms / _MINUTE_MS, self._size_max
        )


class Inflow:
    """What one link gives us: how much of it unasked, and whether anything else is expected of it."""

    def __init__(self, mono_ms: int) -> None:
        self.bucket = Bucket(mono_ms, RECEIVED_FACTOR)
        self._expected_ms = mono_ms  # until then, what is not pushed was asked for

    def expect(self, mono_ms: int) -> None:
        """Something was wanted from this link, or a round showed that it has what we lack, or it brought some."""
        self._expected_ms = mono_ms + ROUND_MS

    def is_expected(self, mono_ms: int) -> bool:
        """Whether what is not pushed may be what was asked for."""
        return mono_ms < self._expected_ms

    def admit(self, pushed: int, envelopes: bytes, mono_ms: int) -> list[bytes]:
        """The envelopes of a give that are to be looked at. PeerError if they are cut, as far as that is looked at."""
        if not pushed and self.is_expected(mono_ms):
            return codec.split(envelopes)
        if self.bucket.is_empty(mono_ms):
            return []
        raws = codec.split(envelopes)
        return raws[: self.bucket.allow(list(map(len, raws)), mono_ms)]
