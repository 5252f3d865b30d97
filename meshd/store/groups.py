"""The groups of `log`: which we are in or invited to, their epochs, and what was said about acts.

The rules:

- An **epoch** stands here as the content of its envelope: post and signature, exactly as they came, because it is
  sealed anew while it lives. `expiry_hour` is that of its newest envelope, `superseded` the hour since when it is not
  the one that we post under (0: it is, or was never held).
- An epoch that was **left** is one of a group that is not wanted any more: its key is not taken again. A group that was
  left is not wanted until we are added again. Both are known as long as an epoch's post may be kept, by their ids.
- A **vote** is the body of a statement by one member about an act, in the order in which they came; which are kept says
  `votes`.
- A **vouch** is the last that one member said of another's key (`vouching`): `hlc` is the stamp of its post.

All that follows from the epochs is computed at the start (`own_groups`), and stands nowhere.
"""

from collections.abc import Callable, Collection
from typing import NamedTuple

from meshd.limits import LONG_KEEP_HOURS_MAX
from meshd.post import HOUR_MS
from meshd.store.db import Database
from meshd.store.rows import Row

SCHEMA = (
    "ALTER TABLE post ADD COLUMN epoch BLOB NOT NULL DEFAULT x''",
    """CREATE TABLE own_group (
        channel BLOB PRIMARY KEY, anchor BLOB NOT NULL, inviter BLOB NOT NULL,
        accepted INTEGER NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE epoch_post (
        id BLOB PRIMARY KEY, channel BLOB NOT NULL, content BLOB NOT NULL, keep_until INTEGER NOT NULL,
        expiry_hour INTEGER NOT NULL, superseded INTEGER NOT NULL)""",
    "CREATE INDEX epoch_post_channel ON epoch_post (channel)",
    """CREATE TABLE vote (
        number INTEGER PRIMARY KEY, channel BLOB NOT NULL, signer BLOB NOT NULL, body BLOB NOT NULL,
        UNIQUE (channel, signer, body))""",
)
SCHEMA_2 = (
    """CREATE TABLE vouch (
        channel BLOB NOT NULL, signer BLOB NOT NULL, subject BLOB NOT NULL, hlc INTEGER NOT NULL,
        expiry_hour INTEGER NOT NULL, PRIMARY KEY (channel, signer, subject)) WITHOUT ROWID""",
    "CREATE TABLE left_epoch (id BLOB PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID",
)


class GroupRow(NamedTuple):
    """A group; `anchor` (32) is the epoch that we came by, `inviter` (32) who brought it, or ourselves."""

    channel: bytes
    anchor: bytes
    inviter: bytes
    is_accepted: bool


class EpochRow(NamedTuple):
    """An epoch's post."""

    id: bytes
    content: bytes
    keep_until: int
    expiry_hour: int
    superseded: int


class Vouch(NamedTuple):
    """What `signer` (32) said of the key `subject` (32); `expiry_hour` 0 takes back what they said before."""

    signer: bytes
    subject: bytes
    hlc: int
    expiry_hour: int

    @property
    def hour(self) -> int:
        """When it was said, hours since 1970."""
        return (self.hlc >> 16) // HOUR_MS


class Groups:
    """The groups of one log, inside its transactions."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.came_after_removal: Callable[[Row], bool] = lambda row: False  # told by who knows the epochs
        self.is_fork_new = False  # a fork was found, in any group, since somebody last asked for `forked`

    def all(self) -> list[GroupRow]:
        """All that are known."""
        rows = self._database.read(
            "SELECT channel, anchor, inviter, accepted FROM own_group ORDER BY channel"
        )
        return [
            GroupRow(channel, anchor, inviter, bool(accepted)) for channel, anchor, inviter, accepted in rows
        ]

    def put(self, group: GroupRow) -> None:
        """Keep a group, instead of what was known of it."""
        self._database.write("INSERT OR REPLACE INTO own_group VALUES (?, ?, ?, ?)", group)

    def remove(self, channel: bytes) -> None:
        """Forget a group, its epochs, and what was said in it."""
        for table in ("own_group", "epoch_post", "vote", "vouch", "said"):
            self._database.write(f"DELETE FROM {table} WHERE channel = ?", (channel,))

    def leave(self, channel: bytes, ids: Collection[bytes], hour: int) -> None:
        """Forget a group in this hour, and know of these epochs, or of the group itself, that they were left."""
        self.remove(channel)
        self._database.write("DELETE FROM left_epoch WHERE until <= ?", (hour,))
        self._database.write_many(
            "INSERT OR REPLACE INTO left_epoch VALUES (?, ?)",
            [(id, hour + LONG_KEEP_HOURS_MAX) for id in ids],
        )

    def was_left(self, id: bytes) -> bool:
        """Whether this epoch, or this group, was left."""
        return bool(self._database.read("SELECT 1 FROM left_epoch WHERE id = ?", (id,)))

    def want(self, epoch: bytes) -> None:
        """The user wants this epoch after all."""
        self._database.write("DELETE FROM left_epoch WHERE id = ?", (epoch,))

    # --- epochs ---

    def epochs(self, channel: bytes) -> list[EpochRow]:
        """The epochs of a group, in the order in which they came."""
        rows = self._database.read(
            "SELECT id, content, keep_until, expiry_hour, superseded FROM epoch_post WHERE channel = ?"
            " ORDER BY rowid",
            (channel,),
        )
        return [EpochRow(*row) for row in rows]

    def add_epoch(self, channel: bytes, id: bytes, content: bytes, keep_until: int) -> None:
        """Keep an epoch that is new."""
        self._database.write(
            "INSERT OR IGNORE INTO epoch_post VALUES (?, ?, ?, ?, 0, 0)",
            (id, channel, content, keep_until),
        )

    def forget_epochs(self, ids: Collection[bytes]) -> None:
        """Keep these no longer."""
        self._database.write_many("DELETE FROM epoch_post WHERE id = ?", [(id,) for id in ids])

    def content(self, id: bytes) -> bytes:
        """What is sealed anew of an epoch that is here."""
        ((content,),) = self._database.read("SELECT content FROM epoch_post WHERE id = ?", (id,))
        return bytes(content)

    def renewed(self, id: bytes, expiry_hour: int) -> None:
        """An envelope of this epoch's post was seen that expires then."""
        self._database.write(
            "UPDATE epoch_post SET expiry_hour = MAX(expiry_hour, ?) WHERE id = ?", (expiry_hour, id)
        )

    def supersede(self, id: bytes, hour: int) -> None:
        """Since this hour we do not post under this epoch; 0: we do."""
        self._database.write("UPDATE epoch_post SET superseded = ? WHERE id = ?", (hour, id))

    def forked(self, channel: bytes) -> list[bytes]:
        """The identities that are known to have made two posts with one sequence in this group."""
        rows = self._database.read(
            "SELECT DISTINCT a.key FROM channel c CROSS JOIN chain h ON h.channel = c.number CROSS JOIN post p"
            " ON p.chain = h.number AND p.forked CROSS JOIN author a ON a.number = h.author WHERE c.id = ?",
            (channel,),
        )
        return [bytes(key) for (key,) in rows]

    # --- what was said about acts ---

    def votes(self, channel: bytes) -> list[tuple[bytes, bytes]]:
        """(signer, body) of the statements in a group."""
        return list(
            self._database.read("SELECT signer, body FROM vote WHERE channel = ? ORDER BY number", (channel,))
        )

    def add_vote(self, channel: bytes, signer: bytes, body: bytes) -> None:
        """Keep a statement; once."""
        self._database.write(
            "INSERT OR IGNORE INTO vote (channel, signer, body) VALUES (?, ?, ?)", (channel, signer, body)
        )

    def remove_vote(self, channel: bytes, signer: bytes, body: bytes) -> None:
        """Keep a statement no longer."""
        self._database.write(
            "DELETE FROM vote WHERE channel = ? AND signer = ? AND body = ?", (channel, signer, body)
        )

    # --- what was said about people ---

    def vouches(self, channel: bytes) -> list[Vouch]:
        """What members of a group said of each other's keys."""
        rows = self._database.read(
            "SELECT signer, subject, hlc, expiry_hour FROM vouch WHERE channel = ?", (channel,)
        )
        return [Vouch(bytes(signer), bytes(subject), hlc, hour) for signer, subject, hlc, hour in rows]

    def put_vouch(self, channel: bytes, said: Vouch) -> None:
        """Keep this instead of what the same member said of the same key before."""
        self._database.write("INSERT OR REPLACE INTO vouch VALUES (?, ?, ?, ?, ?)", (channel, *said))

    def remove_vouch(self, channel: bytes, said: Vouch) -> None:
        """Forget what one member said of another."""
        self._database.write(
            "DELETE FROM vouch WHERE channel = ? AND signer = ? AND subject = ?", (channel, *said[:2])
        )
