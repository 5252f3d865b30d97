"""What is deleted from the log when its time is over.

The rule: other people's posts go, a slice at a time, by the time they carry themselves, oldest first; own posts stay.
The place is kept as a bound (the stamp up to which was looked), never as rows: posts come in between two slices.
"""

from collections.abc import Iterator

from meshd.store.authors import SELF
from meshd.store.chains import Chains
from meshd.store.db import Database


def posts(
    database: Database, chains: Chains, channel: int | None, before: int, budget: int
) -> Iterator[None]:
    """Delete others' posts of a channel (its number; None: those of any that can't be shown) with a stamp below
    `before`; one slice of at most `budget` rows at each step."""
    where = "p.text IS NULL" if channel is None else "p.text IS NOT NULL AND p.channel = ?"
    names = () if channel is None else (channel,)
    from_hlc = 0
    while True:
        chains.flush()
        rows = database.read(
            "SELECT p.cursor, p.hlc, p.chain, p.sequence, h.author FROM post p CROSS JOIN chain h ON h.number = p.chain"
            f" WHERE {where} AND p.hlc >= ? AND p.hlc < ? ORDER BY p.hlc LIMIT ?",
            (*names, from_hlc, before, budget),
        )
        others = [row for row in rows if row[4] != SELF]
        database.write_many("DELETE FROM post WHERE cursor = ?", [(row[0],) for row in others])
        removed: dict[int, int] = {}
        for _, _, chain, sequence, _ in others:
            removed[chain] = max(sequence, removed.get(chain, 0))
        chains.shorten(removed)
        if len(rows) < budget:
            return
        from_hlc = rows[-1][1] if others else rows[-1][1] + 1
        yield
