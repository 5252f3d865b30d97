"""What is remembered of the internet over a stop: how it was, and when it was last there.

The rule: one row, in `carry`, because a laptop that is locked goes on watching, and a lock is a start. Times are mesh
time, wall milliseconds, 0 for never.
"""

from typing import NamedTuple

from meshd.store.db import Database

SCHEMA = (
    """CREATE TABLE internet (
        one INTEGER PRIMARY KEY CHECK (one = 1), state TEXT NOT NULL, since_ms INTEGER NOT NULL,
        full_ms INTEGER NOT NULL, domestic_ms INTEGER NOT NULL, dark_ms INTEGER NOT NULL)""",
)


class Remembered(NamedTuple):
    """`state` and since when; when it was last `full`, when `domestic`; since when it is dark. Empty and 0: not."""

    state: str = ""
    since_ms: int = 0
    full_ms: int = 0
    domestic_ms: int = 0
    dark_ms: int = 0


def read(database: Database) -> Remembered:
    """What was noted last."""
    rows = database.read("SELECT state, since_ms, full_ms, domestic_ms, dark_ms FROM internet")
    return Remembered(*rows[0]) if rows else Remembered()


def write(database: Database, remembered: Remembered) -> None:
    """Note it, with the next commit."""
    database.write("INSERT OR REPLACE INTO internet VALUES (1, ?, ?, ?, ?, ?)", remembered)
