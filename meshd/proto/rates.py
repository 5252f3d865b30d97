"""Rates: how much one link may push at us unasked, and we at it.

The rule: a bucket for each link and direction. It holds PUSH_BURST envelopes and PUSH_SIZE_MINUTE bytes, and fills up
again by PUSH_MINUTE envelopes and PUSH_SIZE_MINUTE bytes a minute. Whoever sends and finds it empty announces instead,
and what is then wanted was asked for. Whoever receives more than that drops it before looking at it, and remembers
nothing: an honest sender sends no more, and what is dropped may come by a round. Since a stream that stalls delivers in
one moment what was sent over many, the receiver's bucket holds RECEIVED_FACTOR as much. What comes over a link whose
bucket is used up by more than a quarter is not pushed on but announced: a noisy neighbour spends its own rate, and not
what we may push at others.

What was asked for, or shown to lack by a round, is not rated: what bounds that is room (protocol.md, "Rates").
"""

from collections.abc import Sequence

from meshd.limits import EXPLORE_MS, PUSH_BURST, PUSH_MINUTE, PUSH_SIZE_MINUTE, RECEIVED_FACTOR, ROUND_MS

_MINUTE_MS = 60_000


class Bucket:
    """What may still be pushed in one direction of one link."""

    def __init__(self, mono_ms: int, factor: int = 1) -> None:
        """Full; `factor` for what it holds."""
        self._count_max, self._size_max = PUSH_BURST * factor, PUSH_SIZE_MINUTE * factor
        self._count, self._size = float(self._count_max), float(self._size_max)
        self._filled_ms = mono_ms

    @classmethod
    def receiving(cls, mono_ms: int) -> "Bucket":
        """The receiver's."""
        return cls(mono_ms, RECEIVED_FACTOR)

    def is_low(self) -> bool:
        """Whether more than a quarter of what it holds was used up of late."""
        return self._count * 4 < self._count_max * 3 or self._size * 4 < self._size_max * 3

    def allow(self, sizes: Sequence[int], mono_ms: int) -> int:
        """How many of the first of these envelopes may pass; they count as passed."""
        passed_ms = mono_ms - self._filled_ms
        self._filled_ms = mono_ms
        self._count = min(self._count + PUSH_MINUTE * passed_ms / _MINUTE_MS, self._count_max)
        self._size = min(self._size + PUSH_SIZE_MINUTE * passed_ms / _MINUTE_MS, self._size_max)
        allowed = 0
        for size in sizes:
            if self._count < 1 or self._size < size:
                break
            self._count -= 1
            self._size -= size
            allowed += 1
        return allowed


class Inflow:
    """What one link gives us: what it may give unasked, what is expected of it, and what it was good for."""

    def __init__(self, mono_ms: int) -> None:
        self._bucket = Bucket(mono_ms, RECEIVED_FACTOR)
        self._expected_ms = mono_ms  # until then, what is not pushed was asked for
        self._brought, self._halved_ms = 0, mono_ms

    def expect(self, mono_ms: int) -> None:
        """Something was wanted from this link, or a round showed that it has what we lack."""
        self._expected_ms = mono_ms + ROUND_MS

    def allowed(self, raws: list[bytes], mono_ms: int, *, pushed: bool) -> list[bytes]:
        """Those that are to be looked at."""
        if pushed or mono_ms >= self._expected_ms:
            return raws[: self._bucket.allow(list(map(len, raws)), mono_ms)]
        return raws

    def is_noisy(self) -> bool:
        """Whether so much was pushed that it is not to be pushed on."""
        return self._bucket.is_low()

    def brought(self, count: int, mono_ms: int) -> None:
        """So many were new here."""
        if count and mono_ms < self._expected_ms:
            self.expect(mono_ms)
        self._brought = self.usefulness(mono_ms) + count

    def usefulness(self, mono_ms: int) -> int:
        """How many were new, those of each EXPLORE_MS ago counting half."""
        periods = (mono_ms - self._halved_ms) // EXPLORE_MS
        self._halved_ms += periods * EXPLORE_MS
        self._brought >>= min(periods, 64)
        return self._brought
