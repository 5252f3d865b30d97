"""Room: whether anything can be written to the disk.

The rule: a full disk is no broken one. What the event that met it had written is rolled back, in both databases, and
from then on nothing is written: what is here is read and passed on, and whoever wants to write is refused. Every
FULL_RETRY_MS a piece of ROOM_SIZE is written for trial, so that one free page does not count as room; what it leaves
behind are free pages in the files, for the posts that come next.
"""

from meshd.errors import CallerError, Code, DiskFull
from meshd.events import CloseLink, Command, CommandBatch, Dial, Effect, Event, Renew, Reply, ReplyBatch
from meshd.limits import FULL_RETRY_MS, ROOM_SIZE
from meshd.store.carry import Carry
from meshd.store.log import Log


class Room:
    """Owns whether the disk is full. Times are monotonic milliseconds."""

    def __init__(self, carry: Carry, log: Log | None) -> None:
        self._stores: list[Carry | Log] = [carry] if log is None else [carry, log]
        self.retry_ms: int | None = None  # when to look again; None while there is room
        self.is_carried = False  # whether what this event brought is committed in carry

    @property
    def is_full(self) -> bool:
        """Whether nothing may be written."""
        return self.retry_ms is not None

    def ran_out(self, event: Event, effects: list[Effect], mono_ms: int) -> list[Effect]:
        """A write found no room in this event, which had these effects so far: forget what is not committed. Returns
        the effects that stand: what was posted and is carried is on the disk, so its answer is true."""
        self._roll_back(mono_ms)
        asked = event.number if isinstance(event, Command | CommandBatch) and not self.is_carried else None
        standing: list[Effect] = []
        for effect in effects:
            match effect:
                case Reply(number) | ReplyBatch(number) if number != asked:
                    standing.append(effect)
                case Dial() | CloseLink() | Renew():
                    standing.append(effect)
        return standing

    def look_again(self, mono_ms: int) -> None:
        """At the beginning of an event: see whether there is room now, if it is time to."""
        self.is_carried = False
        if self.retry_ms is None or mono_ms < self.retry_ms:
            return
        try:
            for store in self._stores:
                store.probe(ROOM_SIZE)
        except DiskFull:
            self._roll_back(mono_ms)
        else:
            self.retry_ms = None

    def _roll_back(self, mono_ms: int) -> None:
        for store in self._stores:
            store.rollback()
        self.retry_ms = mono_ms + FULL_RETRY_MS

    def require(self) -> None:
        """CallerError(refused) while nothing may be written."""
        if self.is_full:
            raise CallerError(Code.refused, "the disk is full: nothing was written; make room and try again")
