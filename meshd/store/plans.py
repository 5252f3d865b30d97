"""The plans of `log`: their posts, the secrets of ours that they brought, and what has come about here.

The rules:

- A **post** (a version, or an act about one) stands here as the content of its envelope: post and signature, exactly as
  they came, because it is sealed anew while it lives. `under` is the epoch of an envelope of it, and `expiry_hour` that
  of the newest one.
- An act **stands** for good once it was found to be older than its author's removal: what shows it may be gone later.
- A **key** of a scenario is here because we are an organiser, or because a lock was opened: then `opened_ms` says when
  it was by a phrase, and is 0 else. **Shares** are our own, or were read aloud to us. What a key opens is nowhere.
- A **latch** and a **firing** are what this node saw for itself, and can't see again.

All but the posts goes with its version. Versions are post ids, places are those of scenarios in the version.
"""

from collections.abc import Collection
from typing import NamedTuple

from meshd.store.db import Database

SCHEMA = (
    """CREATE TABLE plan_post (
        id BLOB PRIMARY KEY, channel BLOB NOT NULL, version BLOB NOT NULL, content BLOB NOT NULL,
        keep_until INTEGER NOT NULL, expiry_hour INTEGER NOT NULL, under BLOB NOT NULL, stands INTEGER NOT NULL)""",
    "CREATE INDEX plan_post_channel ON plan_post (channel)",
    """CREATE TABLE plan_key (
        version BLOB NOT NULL, place INTEGER NOT NULL, key BLOB NOT NULL, opened_ms INTEGER NOT NULL,
        PRIMARY KEY (version, place)) WITHOUT ROWID""",
    """CREATE TABLE plan_share (
        version BLOB NOT NULL, place INTEGER NOT NULL, share BLOB NOT NULL, own INTEGER NOT NULL,
        PRIMARY KEY (version, place, share)) WITHOUT ROWID""",
    """CREATE TABLE plan_latch (
        version BLOB NOT NULL, place INTEGER NOT NULL, leaf INTEGER NOT NULL, ms INTEGER NOT NULL,
        PRIMARY KEY (version, place, leaf)) WITHOUT ROWID""",
    """CREATE TABLE plan_fired (
        version BLOB NOT NULL, place INTEGER NOT NULL, drill INTEGER NOT NULL, ms INTEGER NOT NULL,
        PRIMARY KEY (version, place, drill)) WITHOUT ROWID""",
)
_OF_A_VERSION = ("plan_key", "plan_share", "plan_latch", "plan_fired")


class PlanPost(NamedTuple):
    """A version, or an act."""

    id: bytes
    channel: bytes
    version: bytes  # the id of the version that an act is about, or a version's own
    content: bytes
    keep_until: int
    expiry_hour: int = 0
    under: bytes = b""
    stands: bool = False


class Plans:
    """The plans of one log, inside its transactions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # --- posts ---

    def channels(self) -> list[bytes]:
        """The groups in which there are any."""
        rows = self._database.read("SELECT DISTINCT channel FROM plan_post ORDER BY channel")
        return [bytes(channel) for (channel,) in rows]

    def posts(self, channel: bytes) -> list[PlanPost]:
        """Those of a group, in the order in which they came."""
        rows = self._database.read(
            "SELECT id, channel, version, content, keep_until, expiry_hour, under, stands FROM plan_post"
            " WHERE channel = ? ORDER BY rowid",
            (channel,),
        )
        return [PlanPost._make((*row[:7], bool(row[7]))) for row in rows]

    def add(self, post: PlanPost) -> None:
        """Keep a post that is new."""
        self._database.write("INSERT OR IGNORE INTO plan_post VALUES (?, ?, ?, ?, ?, ?, ?, ?)", post)

    def content(self, id: bytes) -> bytes:
        """What is sealed anew of a post that is here."""
        ((content,),) = self._database.read("SELECT content FROM plan_post WHERE id = ?", (id,))
        return bytes(content)

    def renewed(self, id: bytes, expiry_hour: int, under: bytes) -> None:
        """The newest envelope of a post expires then, and this is the epoch that it is known to be under."""
        self._database.write(
            "UPDATE plan_post SET expiry_hour = ?, under = ? WHERE id = ?", (expiry_hour, under, id)
        )

    def stand(self, id: bytes) -> None:
        """An act is older than its author's removal."""
        self._database.write("UPDATE plan_post SET stands = 1 WHERE id = ?", (id,))

    def forget(self, ids: Collection[bytes]) -> None:
        """Keep these posts no longer, nor what goes with the versions among them."""
        rows = [(id,) for id in ids]
        self._database.write_many("DELETE FROM plan_post WHERE id = ?", rows)
        for table in _OF_A_VERSION:
            self._database.write_many(f"DELETE FROM {table} WHERE version = ?", rows)

    # --- secrets ---

    def keys(self, version: bytes) -> dict[int, tuple[bytes, int]]:
        """The keys of scenarios, and when a phrase opened them, by place."""
        rows = self._database.read("SELECT place, key, opened_ms FROM plan_key WHERE version = ?", (version,))
        return {place: (bytes(key), opened_ms) for place, key, opened_ms in rows}

    def put_key(self, version: bytes, place: int, key: bytes, opened_ms: int) -> None:
        """Keep a scenario's key."""
        self._database.write(
            "INSERT OR REPLACE INTO plan_key VALUES (?, ?, ?, ?)", (version, place, key, opened_ms)
        )

    def shares(self, version: bytes) -> list[tuple[int, bytes, bool]]:
        """(place, share, whether it is our own)."""
        rows = self._database.read(
            "SELECT place, share, own FROM plan_share WHERE version = ? ORDER BY place, share", (version,)
        )
        return [(place, bytes(share), bool(own)) for place, share, own in rows]

    def put_share(self, version: bytes, place: int, share: bytes, *, is_own: bool) -> None:
        """Keep a share of a scenario's key; once."""
        self._database.write(
            "INSERT OR IGNORE INTO plan_share VALUES (?, ?, ?, ?)", (version, place, share, is_own)
        )

    # --- what has come about ---

    def latches(self, version: bytes) -> dict[tuple[int, int], int]:
        """Since when leaves of cues are met, by scenario and leaf."""
        rows = self._database.read("SELECT place, leaf, ms FROM plan_latch WHERE version = ?", (version,))
        return {(place, leaf): ms for place, leaf, ms in rows}

    def latch(self, version: bytes, place: int, leaf: int, ms: int) -> None:
        """A leaf of a cue was met."""
        self._database.write(
            "INSERT OR REPLACE INTO plan_latch VALUES (?, ?, ?, ?)", (version, place, leaf, ms)
        )

    def fired(self, version: bytes) -> dict[tuple[int, bool], int]:
        """When scenarios fired, by place and whether it was a drill."""
        rows = self._database.read("SELECT place, drill, ms FROM plan_fired WHERE version = ?", (version,))
        return {(place, bool(drill)): ms for place, drill, ms in rows}

    def fire(self, version: bytes, place: int, is_drill: bool, ms: int) -> None:
        """A scenario fired, or is known by now to have fired earlier."""
        self._database.write(
            "INSERT OR REPLACE INTO plan_fired VALUES (?, ?, ?, ?)", (version, place, is_drill, ms)
        )
