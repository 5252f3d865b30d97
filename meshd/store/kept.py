"""What stays: marks on posts, and how much of what kind there is to be read.

The rule: a *mark* is its reader's own, and is told to nobody. A marked post stays past the time at which it would go,
with its words in the index, until the mark is taken off; if its time was over meanwhile, it goes then.

What is counted is what whoever opens this log can read: posts in channels that were left too, and those of who is
blocked.
"""

from typing import NamedTuple

from meshd.store.authors import SELF
from meshd.store.db import Database


class Readable(NamedTuple):
    """How many posts with words there are: by others in public, own ones in public, sealed ones; and marked ones among
    all of these."""

    others: int
    own: int
    sealed: int
    marked: int


class Kept:
    """The marks of one log, inside its transactions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def mark(self, post_id: bytes, is_marked: bool) -> None:
        """Put a mark on a post, or take it off."""
        self._database.write(
            "UPDATE post SET marked = ? WHERE substr(id, 1, 8) = ? AND id = ?",
            (is_marked, post_id[:8], post_id),
        )

    def readable(self) -> Readable:
        """What can be read here."""
        public, sealed = (
            self._database.read(
                "SELECT COUNT(*) FROM channel c CROSS JOIN post p ON p.channel = c.number AND p.text IS NOT NULL"
                f" WHERE c.kind {which} 'public'"
            )[0][0]
            for which in ("=", "<>")
        )
        ((own,),) = self._database.read(
            "SELECT COUNT(*) FROM chain h CROSS JOIN post p ON p.chain = h.number AND p.text IS NOT NULL"
            " CROSS JOIN channel c ON c.number = p.channel AND c.kind = 'public' WHERE h.author = ?",
            (SELF,),
        )
        ((marked,),) = self._database.read("SELECT COUNT(*) FROM post WHERE marked")
        return Readable(public - own, own, sealed, marked)
