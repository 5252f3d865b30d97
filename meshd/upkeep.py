"""Upkeep: what a node writes without anybody's asking, after any event, in slices.

The rule: posts that are carried and not opened or indexed yet, posts whose time has come, what is over, the
time itself, and what was seen of the internet. None of it is owed to anybody at this moment, so all of it waits while
the disk is full.
"""

from typing import TYPE_CHECKING

from meshd.events import Now
from meshd.limits import SEEN_MS
from meshd.retention import Retention

if TYPE_CHECKING:
    from meshd.node import Node


class Upkeep:
    """Owns what is due; made anew when the set is."""

    def __init__(self, node: "Node") -> None:
        self._carry, self._log, self._intake, self._indexing = (
            node.carry,
            node.log,
            node.intake,
            node.indexing,
        )
        self._time, self._groups, self._vouching = node.time, node.groups, node.vouching
        self._directs, self._plans, self._witness = node.directs, node.plans, node.witness
        self._internet = node.internet
        self.retention = Retention(node.carry, node.log, node.keyset, node.intake.sealing)

    def go_on(self, now: Now) -> None:
        """The next slice of each."""
        if self._intake.behind:
            self._intake.step(now)
        elif self._intake.is_scanning:
            self._intake.scan(now)
        self._intake.release(now)
        # What came while we were locked or off is looked at before the keys of days that are over are erased.
        if self._time.state == "ok" and not self._intake.behind:
            if self._directs is not None:
                self._directs.go_on(now)
            self.retention.step(now)
            if self._groups is not None:
                self._groups.go_on(now)
                self._groups.inbox.go_on(now)
            if self._vouching is not None:
                self._vouching.go_on(now)
            if self._witness is not None:
                self._witness.go_on(now)
            if self.retention.is_through and self._log is not None:
                self._intake.advanced = self._log.last_cursor()  # gaps that nobody can fill are gone
        if self._plans is not None and not self._intake.behind:
            self._plans.go_on(now)
        self._indexing.go_on(now)
        self._internet.go_on(now)
        if self._internet.remembered != (before := self._carry.internet()):
            if before.dark_ms and not self._internet.remembered.dark_ms and self._groups is not None:
                self._groups.look_again()  # at who was not added in the dark
            self._carry.note_internet(self._internet.remembered)
        if self._time.seen_ms - self._carry.seen_ms() >= SEEN_MS:
            self.note_time()

    def committed(self) -> None:
        """What this event wrote is on the disk."""
        if self.retention.is_through:
            self.retention.empty_journals()

    def note_time(self) -> None:
        """Remember over a stop what time it was."""
        self._carry.set_seen(self._time.seen_ms)

    def next_deadline(self, now: Now) -> int | None:
        """When `go_on` has something to do, in monotonic milliseconds."""
        if self._intake.behind or self._intake.is_scanning:
            return now.mono_ms
        deadlines = [self._indexing.next_deadline(), self._internet.due_ms]
        if self._time.state == "ok":
            deadlines.append(self.retention.next_deadline(now))
            if self._directs is not None:
                groups = self._directs.groups
                deadlines += [groups.next_deadline(now), groups.inbox.next_deadline(now)]
                deadlines.append(self._directs.receipts.next_deadline(now))
            if self._witness is not None:
                deadlines.append(self._witness.next_deadline(now))
        if self._plans is not None:
            deadlines.append(self._plans.next_deadline(now))
        if (due_ms := self._intake.release_ms) is not None and now.synced:
            deadlines.append(now.mono_ms + max(0, due_ms - now.wall_ms))
        return min((deadline for deadline in deadlines if deadline is not None), default=None)
