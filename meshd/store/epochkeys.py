"""The day keys of `log`: what the keyring holds, kept over a stop, and under which epoch one posts in a channel.

The rule: a key that was moved on is written over, so that the earlier one is nowhere in the file: rows are replaced
with `secure_delete` on, and the journal is emptied at the end of the pass that erased (`retention`). All rows of one
epoch are written together, as the keyring says.
"""

from collections.abc import Sequence

from meshd.store.db import Database

SCHEMA = (
    "CREATE TABLE epoch_key (channel BLOB NOT NULL, epoch BLOB NOT NULL, day INTEGER NOT NULL, key BLOB NOT NULL)",
    "CREATE INDEX epoch_key_name ON epoch_key (channel, epoch)",
    "CREATE TABLE posting (channel BLOB PRIMARY KEY, epoch BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE scan (one INTEGER PRIMARY KEY CHECK (one = 1), sequence INTEGER NOT NULL)",
)


class EpochKeys:
    """The keys of one log, inside its transactions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[tuple[bytes, bytes, int, bytes]]:
        """(channel, epoch, day, key) of all, in the order in which they were written."""
        return list(self._database.read("SELECT channel, epoch, day, key FROM epoch_key ORDER BY rowid"))

    def write(self, channel: bytes, epoch: bytes, keys: Sequence[tuple[int, bytes]]) -> None:
        """These (day, key) are all that is held of this epoch."""
        self._database.write("DELETE FROM epoch_key WHERE channel = ? AND epoch = ?", (channel, epoch))
        self._database.write_many(
            "INSERT INTO epoch_key VALUES (?, ?, ?, ?)", [(channel, epoch, day, key) for day, key in keys]
        )

    def sealed_channels(self) -> list[tuple[bytes, str, str]]:
        """(id, name, kind) of the sealed channels, left ones too, whether a key is held or not."""
        return list(self._database.read("SELECT id, name, kind FROM channel WHERE kind <> 'public'"))

    def scan(self) -> int | None:
        """The sequence in `carry` up to which a new key was tried; None if none is new."""
        rows = self._database.read("SELECT sequence FROM scan")
        return rows[0][0] if rows else None

    def set_scan(self, sequence: int | None) -> None:
        """Remember `scan`."""
        if sequence is None:
            self._database.write("DELETE FROM scan")
        else:
            self._database.write("INSERT OR REPLACE INTO scan VALUES (1, ?)", (sequence,))

    def posting(self) -> dict[bytes, bytes]:
        """The epoch under which one posts, by channel."""
        return dict(self._database.read("SELECT channel, epoch FROM posting"))

    def post_under(self, channel: bytes, epoch: bytes) -> None:
        """From now on, post under this epoch in this channel."""
        self._database.write("INSERT OR REPLACE INTO posting VALUES (?, ?)", (channel, epoch))

    def forget(self, channel: bytes) -> None:
        """Nothing is posted in this channel any more."""
        self._database.write("DELETE FROM posting WHERE channel = ?", (channel,))
