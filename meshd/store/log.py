"""`log`: the encrypted database of our identity, the channels we are in, and the posts that can be read.

The rules:

- The **cursor** is a post's place in the order in which the log took posts in. It grows and is never used
  again, so a reader that goes on from a cursor misses nothing and sees nothing twice.
- A post is in the log once, whatever it comes by: `insert_many` answers None for one that is there already.
- Names and texts are kept as they came. Making control and bidi characters inert is up to what shows them.
- A channel that is **left** is only marked: its posts stay, unseen unless that very channel is asked for, and
  joining again shows them. Its id is still taken for posts, so the caller asks `joined` first.
- A post that is no text is kept and chained, but not shown: `after` and `latest` pass over it.
- Nothing here hands out sequences: every start begins a new incarnation, so a restored or copied log is fine.

Ids of authors and channels are long and few, so posts name them by small numbers. Names and tags are in `authors`;
chains, holes and heads in `chains`; the order in which posts are shown in `rows`; what is deleted in `expiry`.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from meshd import crypto
from meshd.errors import CallerError, Code
from meshd.ids import envelope_key
from meshd.post import Post, Text
from meshd.store import authors, epochkeys, expiry, groups, inboxes, openings
from meshd.store.aside import Aside
from meshd.store.authors import SELF, Authors
from meshd.store.chains import Arrival, Chains
from meshd.store.contacts import Contacts
from meshd.store.db import Database, marks, slices
from meshd.store.kept import Kept
from meshd.store.plans import Plans
from meshd.store.rows import Row, latest, select
from meshd.store.schema import MIGRATIONS
from meshd.store.search import Search
from meshd.store.witness import Said

__all__ = ["Channel", "Entry", "Log", "Row"]


class Channel(NamedTuple):
    """A channel that is joined."""

    id: bytes
    name: str
    kind: str
    unread: int  # posts of others after the read mark


class Entry(NamedTuple):
    """A post to insert: `text` is None where the body is none; `via` says how it came; wall milliseconds of when."""

    id: bytes
    post: Post
    text: Text | None
    via: str
    first_seen_ms: int


class Log:
    """The log of one home. Errors as in `db`: CallerError at opening, DiskError later."""

    seed: bytes  # of our identity, 32 bytes
    name: str
    _opened: int
    _last_hlc: int
    _last_cursor: int

    def __init__(self, path: Path, key: bytes, durable: bool = True) -> None:
        self._load(Database(path, key, MIGRATIONS, durable=durable))

    @classmethod
    def create(cls, path: Path, key: bytes, seed: bytes, name: str, durable: bool = True) -> "Log":
        """A new file for the identity with this 32-byte seed, whose owner goes by `name`."""
        database = Database.create(path, key, MIGRATIONS, durable=durable)
        database.write("INSERT INTO node VALUES (1, ?, ?, 0, 0, 0)", (seed, name))
        authors.insert_self(database, crypto.ed25519_keypair(seed)[0], name)
        database.commit()
        log = cls.__new__(cls)
        log._load(database)
        return log

    def _load(self, database: Database) -> None:
        self._database = database
        self.checkpoint, self.probe = database.checkpoint, database.probe
        with database.opening():
            rows = database.read("SELECT seed, name FROM node")
            if not rows:
                raise CallerError(Code.invalid, "log is unfinished: it was left in the middle of being made")
            ((self.seed, self.name),) = rows
            self.authors, self._search, self.kept = Authors(database), Search(database), Kept(database)
            self.contacts, self.inboxes = Contacts(database), inboxes.Inboxes(database)
            self.groups, self._chains, self.aside = groups.Groups(database), Chains(database), Aside(database)
            self.epoch_keys, self.openings = epochkeys.EpochKeys(database), openings.Openings(database)
            self.plans, self.said = Plans(database), Said(database, self._chains)
            self._recall()

    def _recall(self) -> None:
        """Read what is kept in memory, at opening and after a rollback."""
        read = self._database.read
        (row,) = read("SELECT opened, last_hlc, last_cursor FROM node")
        self._opened, self._last_hlc, self._last_cursor = row
        self._node_changed = False
        self._channels: dict[bytes, int] = dict(read("SELECT id, number FROM channel"))
        self._joined = {channel for (channel,) in read("SELECT id FROM channel WHERE joined")}

    # --- what the node remembers ---

    def opened(self) -> int:
        """The sequence in `carry` up to which envelopes were opened into this log."""
        return self._opened

    def set_opened(self, sequence: int) -> None:
        """Remember `opened`, with the next commit."""
        self._node_changed |= sequence != self._opened
        self._opened = sequence

    def last_hlc(self) -> int:
        """Where our hybrid logical clock stood when the last post was taken in, 0 before the first."""
        return self._last_hlc

    def set_last_hlc(self, hlc: int) -> None:
        """Remember `last_hlc`, with the next commit."""
        self._node_changed |= hlc != self._last_hlc
        self._last_hlc = hlc

    def last_cursor(self) -> int:
        """The cursor of the newest post, 0 before the first."""
        return self._last_cursor

    # --- channels ---

    def join(self, channel: bytes, name: str, kind: str) -> None:
        """Put a channel (16-byte id) on the list, again if it was left."""
        self._database.write(
            "INSERT INTO channel (id, name, kind, joined, read) VALUES (?, ?, ?, 1, 0)"
            " ON CONFLICT (id) DO UPDATE SET joined = 1",
            (channel, name, kind),
        )
        ((self._channels[channel],),) = self._database.read(
            "SELECT number FROM channel WHERE id = ?", (channel,)
        )
        self._joined.add(channel)

    def leave(self, channel: bytes) -> None:
        """Take a channel off the list; its posts stay."""
        self._database.write("UPDATE channel SET joined = 0 WHERE id = ?", (channel,))
        self._joined.discard(channel)

    def _number(self, channel: bytes) -> int:
        """A channel's number; 0, which no post has, for one that was never joined."""
        return self._channels.get(channel, 0)

    def channel_name(self, channel: bytes) -> str:
        """The name of a channel that is or was joined, else empty."""
        rows = self._database.read("SELECT name FROM channel WHERE id = ?", (channel,))
        return rows[0][0] if rows else ""

    def joined(self, channel: bytes) -> bool:
        """Whether the channel is on the list."""
        return channel in self._joined

    def channels(self) -> list[Channel]:
        """The channels on the list, by name."""
        self._chains.flush()
        found = []
        for number, identity, name, kind, mark in self._database.read(
            "SELECT number, id, name, kind, read FROM channel WHERE joined ORDER BY name, id"
        ):
            ((unread,),) = self._database.read(
                "SELECT (SELECT COUNT(*) FROM post WHERE channel = ?1 AND cursor > ?2 AND text IS NOT NULL"
                f"{self.contacts.silencing('chain')})"
                " - (SELECT COUNT(*) FROM post WHERE text IS NOT NULL AND cursor > ?2 AND chain IN"
                " (SELECT number FROM chain WHERE channel = ?1 AND author = ?3))",
                (number, mark, SELF),
            )
            found.append(Channel(identity, name, kind, unread))
        return found

    def set_read(self, channel: bytes, cursor: int) -> None:
        """Everything up to `cursor` in this channel was read; the mark never moves back."""
        self._database.write("UPDATE channel SET read = ?2 WHERE id = ?1 AND read < ?2", (channel, cursor))

    # --- posts coming in ---

    def insert_many(self, entries: Sequence[tuple[bytes, Post, Text | None, str, int]]) -> list[int | None]:
        """Take in posts of joined channels, as `Entry`; the cursor of each, None for what was there already."""
        came = [
            Arrival(post_id, post, self._channels[post.channel], self.authors.note(post, text))
            for post_id, post, text, _, _ in entries
        ]
        held = self._find([arrival.id for arrival in came if not self._chains.grows_by(arrival)])
        cursors: list[int | None] = []
        fresh = []
        for entry, arrival in zip(entries, came, strict=True):
            if arrival.id in held:
                cursors.append(None)
                continue
            held[arrival.id] = 0
            self._last_cursor += 1
            cursors.append(self._last_cursor)
            fresh.append((arrival, entry))
        if not fresh:
            return cursors
        self._node_changed = True
        numbers, forks = self._chains.extend([arrival for arrival, _ in fresh], self._find)
        places = range(self._last_cursor - len(fresh) + 1, self._last_cursor + 1)
        self._database.write_many(
            "INSERT INTO post (cursor, id, channel, chain, sequence, parents, hlc, kind, keep_until, text, reply_to,"
            " via, first_seen_ms, epoch) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    cursor, post_id, arrival.channel, number, post.sequence, post.parents, post.hlc, post.kind,
                    post.keep_until, text.text if text else None, text.reply_to if text else b"", via, seen_ms,
                    post.epoch,
                )
                for cursor, number, (arrival, (post_id, post, text, via, seen_ms))
                in zip(places, numbers, fresh, strict=True)
            ],
        )  # fmt: skip
        if forks:
            self.groups.is_fork_new = True
            self._chains.flush()  # who asks whose key it is looks in the file
            self._database.write_many("UPDATE post SET forked = 1 WHERE chain = ? AND sequence = ?", forks)
        return cursors

    def _find(self, ids: Sequence[bytes]) -> dict[bytes, int]:
        """The chain numbers of those posts that are here."""
        wanted = set(ids)
        found = {}
        for some in slices(ids):
            for post_id, chain in self._database.read(
                f"SELECT id, chain FROM post WHERE substr(id, 1, 8) IN {marks(some)}",
                [each[:8] for each in some],
            ):
                if post_id in wanted:
                    found[post_id] = chain
        return found

    def count_held(self, ids: Sequence[bytes], contacts: int = 0, others: int = 1) -> None:
        """Note that so many more peers said they hold each of these posts."""
        self._database.write_many(
            "UPDATE post SET held_contacts = held_contacts + ?, held_others = held_others + ?"
            " WHERE substr(id, 1, 8) = ? AND id = ?",
            [(contacts, others, post_id[:8], post_id) for post_id in ids],
        )

    # --- what a new post names ---

    def last_own(self, channel: bytes) -> bytes | None:
        """The id of our own newest post in a channel, of whichever incarnation."""
        return self._chains.last_of(self._number(channel), SELF)

    def own_living(self, hour: int, limit: int) -> list[bytes]:
        """The keys of the envelopes of our newest posts that are kept past this hour."""
        living = self._chains.living(SELF, hour, limit)
        return [self.openings.envelope_of(post) or envelope_key(until, post) for until, post in living]

    def heads(self, channel: bytes, limit: int, since_hlc: int = 0) -> list[bytes]:
        """Ids of posts in a channel without a known child, stamped then or later, newest first."""
        return self._chains.heads(self._number(channel), limit, since_hlc)

    # --- posts going out ---

    def after(self, cursor: int, channel: bytes | None, limit: int) -> list[Row]:
        """Up to `limit` posts after a cursor, of one channel or all joined ones, in the order of the log."""
        if channel is None:
            return self._rows("WHERE p.cursor > ? AND p.text IS NOT NULL AND c.joined", cursor, limit)
        number = self._number(channel)
        return self._rows(
            "WHERE p.cursor > ? AND p.text IS NOT NULL AND p.channel = ?", cursor, number, limit
        )

    def latest(self, channel: bytes | None, limit: int, since_ms: int | None = None) -> list[Row]:
        """The newest `limit` posts, of one channel or all joined ones, oldest first, parents before children.

        `since_ms`: only those whose authors dated them then or later, wall milliseconds since 1970.
        """
        self._chains.flush()
        places = [channel] if channel is not None else sorted(self._joined)
        numbers = list(map(self._number, places))
        return latest(self._database, numbers, (since_ms or 0) << 16, limit, self.contacts.hiding("chain"))

    def row(self, post_id: bytes) -> Row | None:
        """The post with this 32-byte id, shown or not."""
        rows = self._rows("WHERE substr(p.id, 1, 8) = ? AND p.id = ?", post_id[:8], post_id, 1)
        return rows[0] if rows else None

    def find(self, prefix: str, limit: int = 10) -> list[Row]:
        """Up to `limit` posts whose hex id begins with `prefix` (lower-case hex digits, at least one)."""
        low, high = bytes.fromhex(prefix.ljust(64, "0")), bytes.fromhex(prefix.ljust(64, "f"))
        return self._rows(
            "WHERE substr(p.id, 1, 8) BETWEEN ? AND ? AND p.id BETWEEN ? AND ?",
            low[:8], high[:8], low, high, limit, order="p.id",
        )  # fmt: skip

    def search(self, words: str, channel: bytes | None, after: int | None, limit: int) -> list[Row]:
        """Posts that fit `words` (`search.compile_query`), of one channel or all joined ones, as far as they are
        indexed: the newest `limit`, in the order of `latest`; or the first `limit` after a cursor, in that of the log.
        """
        self._chains.flush()
        place = None if channel is None else self._number(channel)
        return self._search.find(words, place, after, limit, self.contacts.hiding("p.chain"))

    @property
    def indexed(self) -> int:
        """The cursor up to which posts are indexed for `search`."""
        return self._search.cursor

    def index(self) -> None:
        """Index the next slice of posts."""
        self._search.step(self._last_cursor)

    def _rows(self, where: str, *values: Any, order: str = "p.cursor") -> list[Row]:
        self._chains.flush()
        return select(self._database, where + self.contacts.hiding("p.chain"), values, order)

    def count_posts(self) -> int:
        """How many posts there are to be shown."""
        ((count,),) = self._database.read(
            "SELECT COUNT(*) FROM channel c CROSS JOIN post p ON p.channel = c.number AND p.text IS NOT NULL"
            f" WHERE c.joined{self.contacts.hiding('p.chain')}"
        )
        return int(count)

    def missing(self, channel: bytes | None = None) -> list[tuple[bytes | None, bytes, int]]:
        """(author or None if unknown, channel id, how many are missing), of one channel or all joined ones."""
        found: list[tuple[bytes | None, bytes, int]] = []
        for each in [channel] if channel is not None else sorted(self._joined):
            for number, count in self._chains.missing(self._number(each)):
                author = self.authors.key(number) if number else None
                if author is None or not self.contacts.get(author).is_blocked:
                    found.append((author, each, count))
        return found

    # --- transactions ---

    def commit(self) -> None:
        """Make what was written durable."""
        self._chains.flush()
        if self._node_changed:
            self._database.write(
                "UPDATE node SET opened = ?, last_hlc = ?, last_cursor = ?",
                (self._opened, self._last_hlc, self._last_cursor),
            )
            self._node_changed = False
        self._database.commit()
        self._chains.trim()
        self.authors.trim()

    def rollback(self) -> None:
        """Forget what was written since the last commit."""
        self._database.rollback()
        self._chains.forget()
        self.authors.forget()
        self.aside.forget()
        self.openings.forget()
        self._search.forget()
        self.contacts.forget()
        self._recall()

    def prune(self, readable_from: int, hour: int, budget: int) -> Iterator[None]:
        """Delete, a slice at each step: sealed posts not kept past that hour, others' stamped below that HLC, and gaps
        that stay."""
        yield from expiry.sealed_posts(self._database, self._chains, self.openings, hour, budget)
        for number in [*self._channels.values(), None]:
            yield from expiry.posts(self._database, self._chains, number, readable_from, budget)
        yield from self._chains.forget_absent(hour, budget)

    def close(self) -> None:
        """Forget what was not committed and let go of the file."""
        self._database.close()
