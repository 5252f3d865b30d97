"""Openings: which sealed envelopes were opened into `log`, and which post was in each.

The rule: `carry` never says which envelopes are ours, and the id of a sealed one says nothing of the post inside; so
what was opened stands here, as long as the envelope lasts. It is what leads from a post to its envelope and back,
what a second look at all that is carried can leave out, and by what a sealed post is found when its time is over.

A row begins with the envelope's key, so rows stand in the order of expiry.
"""

from collections.abc import Sequence

from meshd.store.db import Database, marks, slices

SCHEMA = (
    "CREATE TABLE opening (envelope BLOB PRIMARY KEY, post BLOB NOT NULL) WITHOUT ROWID",
    "CREATE INDEX opening_post ON opening (substr(post, 1, 8))",
)


class Openings:
    """The opened envelopes of one log, inside its transactions. Envelopes go by their 40-byte keys."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._any = True  # false only when there are none, which spares everybody else the question
        self.forget()

    def forget(self) -> None:
        """Read again from the file, after a rollback."""
        self._any = bool(self._database.read("SELECT 1 FROM opening LIMIT 1"))

    def note(self, opened: Sequence[tuple[bytes, bytes]]) -> None:
        """(key, post id) of envelopes that were opened just now."""
        if opened:
            self._any = True
            self._database.write_many("INSERT OR IGNORE INTO opening VALUES (?, ?)", opened)

    def known(self, keys: Sequence[bytes]) -> set[bytes]:
        """Those of these envelopes that were opened before."""
        found: set[bytes] = set()
        for some in slices(keys) if self._any else ():
            rows = self._database.read(f"SELECT envelope FROM opening WHERE envelope IN {marks(some)}", some)
            found |= {key for (key,) in rows}
        return found

    def posts_of(self, keys: Sequence[bytes]) -> list[bytes]:
        """The id of the post in each of these envelopes; of one that is public it is the envelope's own."""
        found: dict[bytes, bytes] = {}
        for some in slices(keys) if self._any else ():
            rows = self._database.read(
                f"SELECT envelope, post FROM opening WHERE envelope IN {marks(some)}", some
            )
            found.update(rows)
        return [found.get(key, key[8:]) for key in keys]

    def envelope_of(self, post_id: bytes) -> bytes | None:
        """The key of the sealed envelope that this post came in, the one that lasts longest; None if there is none."""
        if not self._any:
            return None
        ((key,),) = self._database.read(
            "SELECT MAX(envelope) FROM opening WHERE substr(post, 1, 8) = ? AND post = ?",
            (post_id[:8], post_id),
        )
        return bytes(key) if key is not None else None

    def forget_posts(self, ids: Sequence[bytes]) -> None:
        """Open the envelopes of these posts anew when they are looked at again."""
        self._database.write_many(
            "DELETE FROM opening WHERE substr(post, 1, 8) = ? AND post = ?", [(id[:8], id) for id in ids]
        )

    def over(self, hour: int, limit: int) -> list[tuple[bytes, bytes]]:
        """Up to `limit` (key, post id) of envelopes that are over at this hour."""
        return list(
            self._database.read(
                "SELECT envelope, post FROM opening WHERE envelope < ? LIMIT ?",
                ((hour + 1).to_bytes(8, "big"), limit),
            )
        )

    def remove(self, keys: Sequence[bytes]) -> None:
        """Forget these envelopes."""
        self._database.write_many("DELETE FROM opening WHERE envelope = ?", [(key,) for key in keys])
