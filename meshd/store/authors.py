"""Who is known here: authors and contacts by small numbers, their current names, and the tags that tell them apart.

The rule: an author is a key; a name is only what it calls itself. The current name is the one in its newest post
(by HLC) that carries one; our own is the one given at init and never changes by a post. Two authors may use one
name, so a name is shown with a tag, the beginning of the key, which grows until no other author known here has it.

Authors are looked up for every post that comes in, so the latest are kept in memory.
"""

from meshd.limits import HLC_MAX
from meshd.post import Post, Text
from meshd.store.db import Database

SCHEMA = (
    """CREATE TABLE author (
        number INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, name TEXT NOT NULL, name_hlc INTEGER NOT NULL)""",
)
SELF = 1  # our own number
AUTHORS_MAX = 4096  # authors kept in memory after a commit
TAG_DIGITS = 4  # hex digits of a tag, unless more are needed


def insert_self(database: Database, key: bytes, name: str) -> None:
    """The first author is us."""
    database.write("INSERT INTO author VALUES (?, ?, ?, ?)", (SELF, key, name, HLC_MAX))


class Authors:
    """The authors of one log, inside its transactions."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.forget()

    def forget(self) -> None:
        """Drop what is in memory, after a rollback."""
        self._known: dict[bytes, tuple[int, int]] = {}  # number, HLC of the name
        self._tags: dict[bytes, str] = {}

    def trim(self) -> None:
        """Bound what is in memory, after a commit."""
        if len(self._known) > AUTHORS_MAX:
            self._known.clear()
        if len(self._tags) > AUTHORS_MAX:
            self._tags.clear()

    def note(self, post: Post, text: Text | None) -> int:
        """The number of a post's author, given at first sight; and the name in the post, if it is the newest."""
        known = self._known.get(post.author)
        if known is None:
            known = self._known[post.author] = self._find(post.author) or self._add(post.author)
        number, name_hlc = known
        if text is not None and text.name and post.hlc > name_hlc:
            self._database.write(
                "UPDATE author SET name = ?, name_hlc = ? WHERE number = ?", (text.name, post.hlc, number)
            )
            self._known[post.author] = number, post.hlc
        return number

    def _find(self, key: bytes) -> tuple[int, int] | None:
        rows = self._database.read("SELECT number, name_hlc FROM author WHERE key = ?", (key,))
        return (rows[0][0], rows[0][1]) if rows else None

    def _add(self, key: bytes) -> tuple[int, int]:
        self._tags.clear()  # somebody's may have to grow
        ((number,),) = self._database.read("SELECT MAX(number) + 1 FROM author")
        self._database.write("INSERT INTO author VALUES (?, ?, '', 0)", (number, key))
        return number, 0

    def know(self, key: bytes) -> None:
        """Have a number and a tag for somebody who may never have posted here."""
        if self._find(key) is None:
            self._known[key] = self._add(key)

    def beginning(self, prefix: str, most: int = 10) -> list[bytes]:
        """Up to `most` keys whose hex begins with `prefix` (lower-case hex digits, at most 64), in their order."""
        low, high = bytes.fromhex(prefix.ljust(64, "0")), bytes.fromhex(prefix.ljust(64, "f"))
        rows = self._database.read(
            "SELECT key FROM author WHERE key BETWEEN ? AND ? ORDER BY key LIMIT ?", (low, high, most)
        )
        return [bytes(key) for (key,) in rows]

    def calling_themselves(self, name: str, most: int = 10) -> list[bytes]:
        """Up to `most` keys of those whose current name is this, but for the case of Latin letters."""
        rows = self._database.read(
            "SELECT key FROM author WHERE name = ? COLLATE NOCASE ORDER BY key LIMIT ?", (name, most)
        )
        return [bytes(key) for (key,) in rows]

    def key(self, number: int) -> bytes:
        """The key of the author with this number."""
        ((key,),) = self._database.read("SELECT key FROM author WHERE number = ?", (number,))
        return bytes(key)

    def name(self, key: bytes) -> str:
        """The current name of an author, as it came; empty if none did."""
        rows = self._database.read("SELECT name FROM author WHERE key = ?", (key,))
        return rows[0][0] if rows else ""

    def tag(self, key: bytes) -> str:
        """The first hex digits of a key, as many as tell it from all others known here."""
        tag = self._tags.get(key)
        if tag is None:
            # In the order of keys, whoever shares the longest beginning stands right before or after.
            neighbours = self._database.read(
                "SELECT * FROM (SELECT key FROM author WHERE key < ?1 ORDER BY key DESC LIMIT 1) UNION ALL"
                " SELECT * FROM (SELECT key FROM author WHERE key > ?1 ORDER BY key LIMIT 1)",
                (key,),
            )
            size = TAG_DIGITS
            while any(other.hex()[:size] == key.hex()[:size] for (other,) in neighbours):
                size += 1
            tag = self._tags[key] = key.hex()[:size]
        return tag
