"""What is held aside: posts that are carried, but whose time has not come.

The rule: a post stamped further ahead than clocks may differ is carried and passed on like any other, and shown only
when its time comes. Here stands which envelopes of `carry` wait, by their sequence, and until when; at most ASIDE_MAX
of one author, the nearest ones, so that a clock that is a day ahead (or a liar) fills no reader's future.
"""

from meshd.limits import ASIDE_MAX
from meshd.store.db import Database

SCHEMA = (
    """CREATE TABLE aside (
        sequence INTEGER PRIMARY KEY, author BLOB NOT NULL, due_ms INTEGER NOT NULL)""",
    "CREATE INDEX aside_due ON aside (due_ms)",
    "CREATE INDEX aside_author ON aside (author, due_ms)",
)


class Aside:
    """The waiting ones of one log, inside its transactions."""

    next_due_ms: int | None  # wall milliseconds; None if nothing waits

    def __init__(self, database: Database) -> None:
        self._database = database
        self.forget()

    def forget(self) -> None:
        """Read again from the file, after a rollback."""
        ((self.next_due_ms,),) = self._database.read("SELECT MIN(due_ms) FROM aside")

    def add(self, sequence: int, author: bytes, due_ms: int) -> None:
        """Hold the envelope with this sequence aside; of too many of one author, the furthest ahead is let go of."""
        self._database.write("INSERT OR IGNORE INTO aside VALUES (?, ?, ?)", (sequence, author, due_ms))
        self._database.write(
            "DELETE FROM aside WHERE sequence IN (SELECT sequence FROM aside WHERE author = ?"
            " ORDER BY due_ms LIMIT -1 OFFSET ?)",
            (author, ASIDE_MAX),
        )
        self.next_due_ms = due_ms if self.next_due_ms is None else min(self.next_due_ms, due_ms)

    def take_due(self, wall_ms: int, limit: int) -> list[int]:
        """The sequences of up to `limit` whose time has come; they wait no longer."""
        rows = self._database.read(
            "SELECT sequence FROM aside WHERE due_ms <= ? ORDER BY due_ms LIMIT ?", (wall_ms, limit)
        )
        self._database.write_many("DELETE FROM aside WHERE sequence = ?", rows)
        self.forget()
        return [sequence for (sequence,) in rows]
