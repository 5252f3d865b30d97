"""What each ingress fills of `carry`: ids, bodies and bytes of bodies, so that one that floods pays for itself.

An *ingress* is the way an envelope came first: the host at the other end of a link, whatever its port, or a bundle.
Hosts get numbers, anew at every start, and the file holds the numbers alone: it tells which envelopes came the same
way in one run, not from whom. Only so many get a number of their own, since whoever has IPv6 has hosts without end;
those that come later count as one. A contact who was recognised on a link has a number too, whatever the host, until a
link to that host ends. Which numbers are contacts' is in memory only, so after a start all that came before is
strangers', and what contacts wrote themselves is told by its author (`eviction`). It does not stand in the file because
that is open while a node is locked, and who brings somebody's posts first is mostly they.

Own posts count to the ingress that brought something last. With a number of their own, the file would say which
envelopes are ours, and only `log` may.

The counts are kept in memory and written back with the transaction that changes them.
"""

from collections.abc import Callable, Container
from dataclasses import dataclass

from meshd.limits import INGRESSES_MAX, STRANGERS_PART
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
        self._contacts: dict[bytes, int] = {}  # of the contacts who were recognised in this run, by identity
        self._last = 0
        self.forget()
        self._latest = self._strangers = self._last
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
        if via != OWN:
            self._latest = self._numbers.get(_host(via)) or self._number(_host(via))
        return self._latest

    def _number(self, host: str) -> int:
        """A number for a stranger's host; the last of theirs, if there are as many as may be."""
        if len(self._numbers) < INGRESSES_MAX:
            self._last += 1
            self._strangers = self._numbers[host] = self._last
        return self._strangers

    def recognised(self, via: str, identity: bytes) -> None:
        """The link to this address leads to a contact: count what comes by it as theirs."""
        if identity not in self._contacts:
            self._last += 1
            self._contacts[identity] = self._last
        self._numbers[_host(via)] = self._contacts[identity]

    def closed(self, via: str) -> None:
        """The link to this address is down: who comes from there next is a stranger."""
        if self._numbers.get(_host(via)) in self._contacts.values():
            del self._numbers[_host(via)]

    def add(self, ingress: int, ids: int, bodies: int, size: int) -> None:
        """So much came, or went if less than 0."""
        for share in (self.total, self._shares.setdefault(ingress, Share())):
            share.ids += ids
            share.bodies += bodies
            share.size += size
        self._changed[ingress] = None

    def fullest(self, measure: Callable[[Share], int], *, since: int, without: Container[int]) -> int | None:
        """The ingress, numbered from `since` on, whose share measures most; None if none has any. A stranger's, while
        strangers together have more than STRANGERS_PART of all; a contact's otherwise, if there is one."""
        sizes = {ingress: measure(share) for ingress, share in self._shares.items()}
        contacts = set(self._contacts.values())
        strangers = sum(size for ingress, size in sizes.items() if ingress not in contacts)
        is_strangers = strangers > sum(sizes.values()) * STRANGERS_PART
        left = [each for each in sizes if each >= since and each not in without and sizes[each] > 0]
        first = [each for each in left if (each not in contacts) == is_strangers]
        return max(first or left, key=sizes.__getitem__, default=None)

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


def _host(via: str) -> str:
    """An address without its port."""
    return via.rpartition(":")[0] or via
