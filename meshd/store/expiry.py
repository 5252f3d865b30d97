"""What is deleted from the log when its time is over.

The rule: other people's posts go, a slice at a time, by the time they carry themselves, oldest first; own posts stay,
and marked ones. The place is kept as a bound (the stamp up to which was looked), never as rows: posts come in between
two slices. What came sealed goes once its own keep-until is over, whoever wrote it, unless it is marked: that is what
its author chose, and what a seized laptop must not show.
"""

from collections.abc import Iterator, Sequence

from meshd.store.authors import SELF
from meshd.store.chains import Chains
from meshd.store.db import Database
from meshd.store.openings import Openings


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
            "SELECT p.cursor, p.hlc, p.chain, p.sequence, h.author, p.marked FROM post p"
            " CROSS JOIN chain h ON h.number = p.chain"
            f" WHERE {where} AND p.hlc >= ? AND p.hlc < ? ORDER BY p.hlc LIMIT ?",
            (*names, from_hlc, before, budget),
        )
        others = [row for row in rows if row[4] != SELF and not row[5]]
        _delete(database, chains, [(cursor, chain, sequence) for cursor, _, chain, sequence, *_ in others])
        if len(rows) < budget:
            return
        from_hlc = rows[-1][1] if others else rows[-1][1] + 1
        yield


def sealed_posts(
    database: Database, chains: Chains, openings: Openings, hour: int, budget: int
) -> Iterator[None]:
    """Delete the posts whose envelopes are over at this hour, and which are not kept past it themselves (a post may be
    sealed again while it lasts); one slice of at most `budget` at each step."""
    while over := openings.over(hour, budget):
        chains.flush()
        gone = []
        for _, post_id in over:
            gone += database.read(
                "SELECT cursor, chain, sequence FROM post WHERE substr(id, 1, 8) = ? AND id = ? AND keep_until <= ?"
                " AND NOT marked",
                (post_id[:8], post_id, hour),
            )
        _delete(database, chains, gone)
        openings.remove([key for key, _ in over])
        yield


def _delete(database: Database, chains: Chains, posts: Sequence[tuple[int, int, int]]) -> None:
    """Delete posts, each (cursor, chain number, sequence)."""
    database.write_many("DELETE FROM post WHERE cursor = ?", [(cursor,) for cursor, _, _ in posts])
    removed: dict[int, int] = {}
    for _, chain, sequence in posts:
        removed[chain] = max(sequence, removed.get(chain, 0))
    chains.shorten(removed)
