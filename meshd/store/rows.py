"""Rows: posts as the log shows them, and the order in which people read them.

The rule: posts are shown in causal order. A post never stands before one that it names as a parent; beyond that
they stand by HLC, then by id, so that every node that holds the same posts shows them in the same order
(protocol.md, "Order").
"""

from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from typing import Any, NamedTuple

from meshd.ids import ID_SIZE
from meshd.store.db import Database, marks, slices

MARKS = (
    "ALTER TABLE post ADD COLUMN marked INTEGER NOT NULL DEFAULT 0",
    "CREATE INDEX post_marked ON post (cursor) WHERE marked",
)

# CROSS JOIN keeps the posts outermost, so that they come in the order of the index that finds them.
_SELECT = """SELECT p.cursor, p.id, c.id, c.name, c.kind, a.key, a.name, h.incarnation, p.sequence, p.parents, p.hlc,
    p.kind, p.keep_until, p.text, p.reply_to, a.number = 1, p.via, p.first_seen_ms, p.held_contacts,
    p.held_others, p.forked, p.epoch, p.marked
    FROM post p
    CROSS JOIN chain h ON h.number = p.chain
    CROSS JOIN author a ON a.number = h.author
    CROSS JOIN channel c ON c.number = p.channel """


class Row(NamedTuple):
    """A post as the log has it. Ids are bytes; hlc, hours and milliseconds as in the post; yes and no are 1 and 0."""

    cursor: int
    id: bytes
    channel: bytes
    channel_name: str
    channel_kind: str
    author: bytes
    author_name: str  # the author's current name, as it came; empty if none did
    incarnation: int
    sequence: int
    parents: bytes
    hlc: int
    kind: int
    keep_until: int
    text: str | None  # None if the post is no text
    reply_to: bytes  # a post id, or empty
    own: int
    via: str
    first_seen_ms: int
    held_contacts: int
    held_others: int
    forked: int
    epoch: bytes = b""  # the one that it names; empty in public
    is_marked: int = 0  # by the user: it stays past its time

    def parent_ids(self) -> list[bytes]:
        """The parents' ids, the author's own previous post first."""
        return [self.parents[start : start + ID_SIZE] for start in range(0, len(self.parents), ID_SIZE)]


def select(database: Database, where: str, values: Sequence[Any], order: str = "p.cursor") -> list[Row]:
    """The rows of a query over the table `post`, named p; the last value is the limit."""
    return list(map(Row._make, database.read(f"{_SELECT}{where} ORDER BY {order} LIMIT ?", values)))


def by_time(row: Row) -> tuple[int, bytes]:
    """The order of rows where no parent says otherwise."""
    return row.hlc, row.id


def causal(rows: Sequence[Row]) -> list[Row]:
    """Rows that stand in order of (HLC, id), with every parent moved before its children.

    Honest stamps are in that order already; this is for those that lie. Ready rows come out by (HLC, id).
    """
    place = {row.id: index for index, row in enumerate(rows)}
    waits = [0] * len(rows)
    children: list[list[int]] = [[] for _ in rows]
    disorder = False
    for index, row in enumerate(rows):
        for each in row.parent_ids():
            parent = place.get(each)
            if parent is not None:
                waits[index] += 1
                children[parent].append(index)
                disorder |= parent > index
    if not disorder:
        return list(rows)
    ready = [index for index, count in enumerate(waits) if not count]
    heapify(ready)
    ordered = []
    while ready:
        index = heappop(ready)
        ordered.append(rows[index])
        for child in children[index]:
            waits[child] -= 1
            if not waits[child]:
                heappush(ready, child)
    return ordered


def latest(database: Database, channels: Sequence[int], hlc: int, limit: int, hiding: str = "") -> list[Row]:
    """The newest `limit` texts of these channels (their numbers) that are stamped `hlc` or later, in causal order.

    `hiding`: what else has to be true of the column `chain`, as SQL that begins with AND.
    """
    reached = _reach(database, channels, hlc, limit, hiding)
    rows: list[Row] = []
    for some in slices(channels):
        where = f"WHERE p.channel IN {marks(some)} AND p.hlc >= ? AND p.text IS NOT NULL{hiding}"
        rows += select(database, where, (*some, reached, limit), "p.hlc DESC, p.id DESC")
    rows.sort(key=by_time)
    return causal(rows[-limit:] if limit else [])


def _reach(database: Database, channels: Sequence[int], hlc: int, limit: int, hiding: str) -> int:
    """The stamp from which on the newest `limit` texts of all these channels are, or `hlc` if there are fewer since.

    Told from an index alone, so that only rows that are shown are read.
    """
    stamps: list[int] = []
    for number in channels:
        stamps += [
            stamp
            for (stamp,) in database.read(
                f"SELECT hlc FROM post WHERE channel = ? AND hlc >= ? AND text IS NOT NULL{hiding}"
                " ORDER BY hlc DESC LIMIT ?",
                (number, hlc, limit),
            )
        ]
    return sorted(stamps)[-limit] if 0 < limit <= len(stamps) else hlc
