"""What each ingress fills of `carry`: ids, bodies and bytes of bodies, so that one that floods pays for itself.

An *ingress* is the way an envelope came first: the host at the other end of a link, whatever its port, or a bundle.
Hosts get numbers, anew at every start, and the file holds the numbers alone: it tells which envelopes came the same
way in one run, not from whom. Only so many get a number of their own, since whoever has IPv6 has hosts without end;
those that come later count as one.

Own posts count to the ingress that brought something last. With a number of their own, the file would say which
envelopes are ours, and only `log` may.

The counts are kept in memory and written back with the transaction that changes them.
"""

from collections.abc import Callable, Container
from dataclasses import dataclass

from meshd.limits import INGRESSES_MAX
from meshd.store.db import Database

SCHEMA = (
    "ALTER TABLE envelope ADD COLUMN ingress INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE envelope ADD COLUMN kind INTEGER NOT NULL DEFAULT 1",
    "CREATE INDEX envelope_ingress ON envelope (ingress, kind, hour)",
    """CREATE TABLE share (
        ingress INTEGER PRIMARY KEY, ids INTEGER NOT NULL, bodies INTEGER NOT NULL, size INTEGER NOT NULL)""",
    """INSERT INTO share SELECT ingress, COUNT(*), COUNT(*), SUM(LENGTH(raw)) FROM envelope GROUP BY ingress""",
)
OWN = "own"  # what stands for the way of a post of ours


@dataclass(slots=True)
class Share:
    """What one ingress fills, or all together. `size`: bytes of bodies."""

    ids: int = 0
    bodies: int = 0
    size: int = 0


class Shares:
    """The shares of one carry, inside its transactions."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._numbers: dict[str, int] = {}  # of the hosts of this run
        self._last = 0
        self.forget()
        self._latest = self._last
        self.begun = self._last + 1  # numbers of this run begin here

    def forget(self) -> None:
        """Read again from the file, after a rollback."""
        rows = self._database.read("SELECT ingress, ids, bodies, size FROM share")
        self._shares = {ingress: Share(ids, bodies, size) for ingress, ids, bodies, size in rows}
        self._changed: dict[int, None] = {}
        self._last = max([self._last, *self._shares])
        shares = self._shares.values()
        self.total = Share(
            sum(s.ids for s in shares), sum(s.bodies for s in shares), sum(s.size for s in shares)
        )

    def ingress(self, via: str) -> int:
        """The number for what came by this way: the address of a link, `bundle` or `own`."""
        if via == OWN:
            return self._latest
        host = via.rpartition(":")[0] or via
        if host not in self._numbers:
            if len(self._numbers) < INGRESSES_MAX:
                self._last += 1
                self._numbers[host] = self._last
            else:
                host = next(reversed(self._numbers))
        self._latest = self._numbers[host]
        return self._latest

    def add(self, ingress: int, ids: int, bodies: int, size: int) -> None:
        """So much came, or went if less than 0."""
        for share in (self.total, self._shares.setdefault(ingress, Share())):
            share.ids += ids
            share.bodies += bodies
            share.size += size
        self._changed[ingress] = None

    def fullest(self, measure: Callable[[Share], int], *, since: int, without: Container[int]) -> int | None:
        """The ingress, numbered from `since` on, whose share measures most; None if none has any."""
        most, found = 0, None
        for ingress, share in self._shares.items():
            if ingress >= since and ingress not in without and measure(share) > most:
                most, found = measure(share), ingress
        return found

    def flush(self) -> None:
        """Write back what changed, before a commit."""
        for ingress in self._changed:
            share = self._shares[ingress]
            if share.ids:
                self._database.write(
                    "INSERT OR REPLACE INTO share VALUES (?, ?, ?, ?)",
                    (ingress, share.ids, share.bodies, share.size),
                )
            else:
                del self._shares[ingress]
                self._database.write("DELETE FROM share WHERE ingress = ?", (ingress,))
        self._changed.clear()
