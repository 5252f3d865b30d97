"""Retention: what is deleted when its time is over, a slice at a time.

The rule: every hour one pass over what is past its time, in slices of PRUNE_BUDGET so that no event takes long, and
only while the clock is trusted (`meshtime`). From the set and `carry`: what expired, which rounds leave out already,
and what expires further ahead than any node accepts (it was taken in while there was no time to judge by). From
`log`: the keys of days that are over, first of all, inbox keys and prekeys too; what was sealed, once its keep-until is
over; other people's public posts READABLE_DAYS after their own time, and what was missing and nobody can have any more.
Own public posts stay: their author may want them, and chains go on from them. So does what the user has marked, until
the mark is taken off.

At the end of a pass both journals are emptied, because they keep what was deleted until then.
"""

from collections.abc import Iterator

from meshd.daykeys import first_kept_day
from meshd.events import Now
from meshd.limits import EXPIRY_AHEAD_HOURS_MAX, PRUNE_BUDGET, READABLE_DAYS
from meshd.post import HOUR_MS
from meshd.proto.keyset import KeySet
from meshd.sealing import Sealing
from meshd.store.carry import Carry
from meshd.store.log import Log

_SPARE_HOURS = (
    24  # between what we accept and what we delete as too far ahead: our clock may have been set a little
)


class Retention:
    """Owns how far the pass of this hour has come."""

    def __init__(self, carry: Carry, log: Log | None, keyset: KeySet, sealing: Sealing) -> None:
        self._carry, self._log, self._keyset, self._sealing = carry, log, keyset, sealing
        self._hour = 0  # of the last pass that was begun
        self._pass: Iterator[None] | None = None
        self.is_through = False  # a pass has just ended: its journals are to be emptied after the commit

    def step(self, now: Now) -> None:
        """The next slice, if one is due. The caller sees to it that the clock is trusted."""
        hour = now.wall_ms // HOUR_MS
        if self._pass is None and hour != self._hour:
            self._hour, self._pass = hour, self._slices(hour)
        if self._pass is None:
            return
        for _ in self._pass:
            return  # one slice an event
        self._pass, self.is_through = None, True
        if self._log is not None:
            self._carry.set_erased(self._hour)

    def again(self) -> None:
        """Begin a pass at once, if none is under way: something may go now that stayed."""
        self._hour = 0

    def empty_journals(self) -> None:
        """After the commit of the last slice."""
        self.is_through = False
        self._carry.checkpoint()
        if self._log is not None:
            self._log.checkpoint()

    def next_deadline(self, now: Now) -> int:
        """When `step` has something to do, in monotonic milliseconds."""
        if self._pass is not None or now.wall_ms // HOUR_MS != self._hour:
            return now.mono_ms
        return now.mono_ms + HOUR_MS - now.wall_ms % HOUR_MS

    def _slices(self, hour: int) -> Iterator[None]:
        if self._log is not None:
            self._sealing.erase(hour)
            self._log.contacts.move_inboxes(first_kept_day(hour))
            self._log.inboxes.erase(first_kept_day(hour))
        expired, too_far = hour + 1, hour + EXPIRY_AHEAD_HOURS_MAX + _SPARE_HOURS + 1
        while gone := self._keyset.remove_below(expired.to_bytes(8, "big"), PRUNE_BUDGET):
            self._carry.remove(gone)
            yield
        while gone := self._keyset.remove_from(too_far.to_bytes(8, "big"), PRUNE_BUDGET):
            self._carry.remove(gone)
            yield
        if self._log is not None:
            readable_from = (hour - READABLE_DAYS * 24) * HOUR_MS << 16
            for _ in self._log.prune(readable_from, hour, PRUNE_BUDGET):
                yield
