"""The hybrid logical clock: 48 bits of wall milliseconds, 16 of counter.

The rule (Kulkarni et al. 2014, "Logical Physical Clocks"): a stamp is later than every stamp seen before it, and
stays close to the wall clock. A remote stamp moves ours at most to our own time + HLC_AHEAD_MS, so that a clock that
is years ahead (or a liar) can't drag everybody's with it. A stamp of ours that nobody would take any more, because it
was given while our own clock was more than a day ahead, is forgotten (protocol.md, "Time").
"""

from meshd.limits import HLC_AHEAD_MS, HLC_REFUSE_MS

_COUNTER_BITS = 16


class Clock:
    """Gives out stamps; `last` is the highest stamp given or seen."""

    def __init__(self, last: int = 0) -> None:
        self.last = last

    def stamp(self, wall_ms: int) -> int:
        """A stamp for an event of our own, later than all before it that others may have taken."""
        self.last = self.next(wall_ms)
        return self.last

    def next(self, wall_ms: int) -> int:
        """The stamp that `stamp` would give."""
        last = self.last if self.last >> _COUNTER_BITS <= wall_ms + HLC_REFUSE_MS else 0
        return max(last + 1, wall_ms << _COUNTER_BITS)

    def observe(self, stamp: int, wall_ms: int) -> None:
        """Take notice of a remote stamp, as far as it may move us."""
        if stamp >> _COUNTER_BITS <= wall_ms + HLC_AHEAD_MS:
            self.last = max(self.last, stamp)
