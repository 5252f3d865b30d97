"""What the log keeps for inboxes: own prekeys' secrets, others' prekeys, who was sent which key, requests, receipts.

The rules:

- A **secret** of an own prekey stands here from before it is announced until its day is over, and nowhere else. Erased
  is erased: rows are overwritten (`secure_delete`), and whoever erases empties the journal after the commit, because
  the journal has what was there before.
- Of an identity's **prekeys** the announcement with the latest stamp is kept, and none other. Those whose days are all
  over go with the secrets, because they only say whom we knew; unless it is of a contact, which the user can see.
- **Sent** is what is known of key envelopes for others, so that a start does not send them all again.
- **Requests** stand in the order in which they came.
- A **receipt** is *owed* for a post of somebody else's until it is sent; own posts are *delivered* once one came. Both
  are forgotten with the post.

Everything is plain bytes and numbers here; what it means is in `groups`.
"""

from collections.abc import Mapping, Sequence

from meshd.limits import PREKEY_DAYS
from meshd.store.db import Database

SCHEMA = (
    "CREATE TABLE own_prekey (day INTEGER PRIMARY KEY, secret BLOB NOT NULL)",
    """CREATE TABLE prekeys (
        identity BLOB PRIMARY KEY, hlc INTEGER NOT NULL, first_day INTEGER NOT NULL,
        keys BLOB NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE key_sent (
        epoch BLOB NOT NULL, member BLOB NOT NULL, day INTEGER NOT NULL, live_until INTEGER NOT NULL,
        sender BLOB NOT NULL, PRIMARY KEY (epoch, member)) WITHOUT ROWID""",
    """CREATE TABLE request (
        number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, sender BLOB NOT NULL, channel BLOB NOT NULL,
        text TEXT NOT NULL, time_ms INTEGER NOT NULL, until INTEGER NOT NULL)""",
    "CREATE TABLE refused (sender BLOB PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID",
    """CREATE TABLE receipt_owed (
        post BLOB PRIMARY KEY, channel BLOB NOT NULL, until INTEGER NOT NULL) WITHOUT ROWID""",
    "CREATE TABLE delivered (post BLOB PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID",
)

RequestRow = tuple[
    bytes, bytes, bytes, str, int, int
]  # id, sender, channel, text, wall milliseconds, until (hour)
SentRow = tuple[int, int, bytes]  # day, hour until which it is live, sender


class Inboxes:
    """The inboxes of one log, inside its transactions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # --- own prekeys ---

    def secrets(self) -> dict[int, bytes]:
        """The secrets of own prekeys, by key day."""
        return dict(self._database.read("SELECT day, secret FROM own_prekey ORDER BY day"))

    def add_secrets(self, secrets: Mapping[int, bytes]) -> None:
        """Keep these too."""
        self._database.write_many("INSERT INTO own_prekey VALUES (?, ?)", sorted(secrets.items()))

    def erase(self, before_day: int) -> bool:
        """Overwrite the secrets of all days before this one, and forget prekeys that are over; whether any secret was.

        It is done once the transaction is committed and the journal emptied (`Log.checkpoint`).
        """
        self._database.write(
            "DELETE FROM prekeys WHERE first_day + ? <= ? AND identity NOT IN"
            " (SELECT identity FROM contact WHERE added OR verified)",
            (PREKEY_DAYS, before_day),
        )
        return self._database.write("DELETE FROM own_prekey WHERE day < ?", (before_day,)) > 0

    # --- others' prekeys, and our own as announced ---

    def prekeys(self) -> list[tuple[bytes, int, bytes]]:
        """(identity, first day, keys one after the other) of all whose prekeys are known."""
        return list(self._database.read("SELECT identity, first_day, keys FROM prekeys ORDER BY identity"))

    def set_prekeys(self, identity: bytes, hlc: int, first_day: int, keys: bytes) -> bool:
        """Keep an announcement with this stamp; False if a newer one is here, or this one."""
        changed = self._database.write(
            "INSERT INTO prekeys VALUES (?, ?, ?, ?) ON CONFLICT (identity) DO UPDATE SET hlc = excluded.hlc,"
            " first_day = excluded.first_day, keys = excluded.keys WHERE hlc < excluded.hlc",
            (identity, hlc, first_day, keys),
        )
        return changed > 0

    # --- key envelopes for others ---

    def sent(self, epoch: bytes) -> dict[bytes, SentRow]:
        """The last key envelope that counts of this epoch, by member."""
        return {
            member: (day, live_until, sender)
            for member, day, live_until, sender in self._database.read(
                "SELECT member, day, live_until, sender FROM key_sent WHERE epoch = ?", (epoch,)
            )
        }

    def note_sent(self, epoch: bytes, sent: Sequence[tuple[bytes, SentRow]]) -> None:
        """These count now."""
        self._database.write_many(
            "INSERT OR REPLACE INTO key_sent VALUES (?, ?, ?, ?, ?)",
            [(epoch, member, *row) for member, row in sent],
        )

    def forget_sent(self, epoch: bytes) -> None:
        """We do not hold this epoch any more."""
        self._database.write("DELETE FROM key_sent WHERE epoch = ?", (epoch,))

    # --- requests ---

    def requests(self) -> list[RequestRow]:
        """What waits, in the order in which it came."""
        return list(
            self._database.read(
                "SELECT id, sender, channel, text, time_ms, until FROM request ORDER BY number"
            )
        )

    def add_request(self, row: RequestRow) -> None:
        """One more waits."""
        self._database.write(
            "INSERT INTO request (id, sender, channel, text, time_ms, until) VALUES (?, ?, ?, ?, ?, ?)", row
        )

    def remove_requests(self, ids: Sequence[bytes]) -> None:
        """These do not wait any more."""
        self._database.write_many("DELETE FROM request WHERE id = ?", [(each,) for each in ids])

    def refused(self) -> dict[bytes, int]:
        """The senders who were refused, and until which hour."""
        return dict(self._database.read("SELECT sender, until FROM refused ORDER BY sender"))

    def set_refused(self, refused: Mapping[bytes, int]) -> None:
        """These are all."""
        self._database.write("DELETE FROM refused")
        self._database.write_many("INSERT INTO refused VALUES (?, ?)", sorted(refused.items()))

    # --- receipts ---

    def owe(self, post: bytes, channel: bytes, until: int) -> None:
        """A receipt is to be sent for this post, which lasts until that hour."""
        self._database.write("INSERT OR IGNORE INTO receipt_owed VALUES (?, ?, ?)", (post, channel, until))

    def owing(self) -> list[bytes]:
        """The channels in which receipts are owed."""
        rows = self._database.read("SELECT DISTINCT channel FROM receipt_owed ORDER BY channel")
        return [bytes(channel) for (channel,) in rows]

    def owed(self, channel: bytes) -> list[bytes]:
        """The ids of the posts in a channel for which receipts are owed."""
        rows = self._database.read(
            "SELECT post FROM receipt_owed WHERE channel = ? ORDER BY post", (channel,)
        )
        return [bytes(post) for (post,) in rows]

    def forget_owed(self, channel: bytes) -> None:
        """They are sent, or not owed any more."""
        self._database.write("DELETE FROM receipt_owed WHERE channel = ?", (channel,))

    def set_delivered(self, post: bytes, until: int) -> None:
        """A receipt came for an own post, which lasts until that hour."""
        self._database.write("INSERT OR IGNORE INTO delivered VALUES (?, ?)", (post, until))

    def is_delivered(self, post: bytes) -> bool:
        """Whether one came."""
        return bool(self._database.read("SELECT 1 FROM delivered WHERE post = ?", (post,)))

    def forget_receipts(self, hour: int) -> None:
        """Forget what is about posts that are over at this hour."""
        for table in ("receipt_owed", "delivered"):
            self._database.write(f"DELETE FROM {table} WHERE until <= ?", (hour,))
