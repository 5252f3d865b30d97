"""Who has posted how far: the chains of posts in `log`, their holes, forks and loose ends.

A *chain* is the posts of one author, in one channel, of one incarnation, numbered from 1. The rules:

- A **hole** is a sequence between the lowest and the highest held of a chain that is not held. Below the
  lowest nothing is missing: it may have expired before we came. Only what is held counts, so a claim alone
  costs nothing.
- A **fork** is two posts with one sequence: both are kept, and both are marked.
- The **tip** is the post with the highest sequence. A tip that no held post names as a parent is a *head*: a
  post written now names the heads. What is below the tip has a child by the rules of posts, so it is never a
  head.
- An **absent** post is one that a held post names as a parent and that is not held, other than the author's
  own previous post, which is counted as a hole. Nobody knows who wrote it until it comes.

Posts mostly come in order, so that a chain's row would be written over and over: rows live in a cache that is
written back once a transaction (`flush`), and the ordinary post, next in its chain and child of its tip, asks
the database nothing. The cache is emptied after a commit when it has grown past CHAINS_MAX.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from meshd.ids import ID_SIZE
from meshd.limits import KEEP_HOURS_MAX
from meshd.post import HOUR_MS, Post
from meshd.store.db import Database, marks, slices

SCHEMA = (
    """CREATE TABLE chain (
        number INTEGER PRIMARY KEY, channel INTEGER NOT NULL, author INTEGER NOT NULL,
        incarnation INTEGER NOT NULL, low INTEGER NOT NULL, high INTEGER NOT NULL, held INTEGER NOT NULL,
        tip BLOB NOT NULL, tip_hlc INTEGER NOT NULL, covered INTEGER NOT NULL)""",
    "CREATE UNIQUE INDEX chain_name ON chain (channel, author, incarnation)",
    "CREATE INDEX chain_head ON chain (channel, tip_hlc) WHERE covered = 0",
    "CREATE INDEX chain_hole ON chain (channel) WHERE held <= high - low",
    "CREATE TABLE absent (id BLOB PRIMARY KEY, channel INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE INDEX absent_channel ON absent (channel)",
)
SCHEMA_2 = (
    # Nobody can have a parent any more that lived as long as posts may, and was there before its child.
    "ALTER TABLE absent ADD COLUMN until_hour INTEGER NOT NULL DEFAULT 0",
    "CREATE INDEX absent_until ON absent (until_hour)",
)
CHAINS_MAX = 4096  # chains kept in memory after a commit: about 2 MiB


# No REPLACE: that would write every index of the row anew.
_WRITE = """INSERT INTO chain VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (number) DO UPDATE SET
    low = excluded.low, high = excluded.high, held = excluded.held, tip = excluded.tip,
    tip_hlc = excluded.tip_hlc, covered = excluded.covered"""


class Arrival(NamedTuple):
    """A post that comes in, with the log's numbers for its channel and author."""

    id: bytes
    post: Post
    channel: int
    author: int


class Chain:
    """One row of the table; see the module. Numbers of channel and author are those of `log`."""

    __slots__ = (
        "author", "channel", "covered", "dirty", "held", "high", "incarnation", "low", "number", "tip", "tip_hlc",
    )  # fmt: skip

    def __init__(
        self, number: int, channel: int, author: int, incarnation: int, low: int, high: int, held: int,
        tip: bytes, tip_hlc: int, covered: int,
    ) -> None:  # fmt: skip
        self.number = number
        self.channel = channel
        self.author = author
        self.incarnation = incarnation
        self.low = low
        self.high = high
        self.held = held
        self.tip = tip
        self.tip_hlc = tip_hlc
        self.covered = covered
        self.dirty = False

    def row(self) -> tuple[int | bytes, ...]:
        """The values in the order of the table."""
        return (
            self.number, self.channel, self.author, self.incarnation, self.low, self.high, self.held,
            self.tip, self.tip_hlc, self.covered,
        )  # fmt: skip


class Chains:
    """The chains of one log, inside its transactions. The log keeps the posts themselves, in a table `post`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.forget()

    def forget(self) -> None:
        """Read again from the file, after a rollback."""
        self._by_name: dict[tuple[int, int, int], Chain] = {}
        self._by_tip: dict[bytes, Chain] = {}
        self._dirty: list[Chain] = []
        ((self._last,),) = self._database.read("SELECT COALESCE(MAX(number), 0) FROM chain")
        self._any_absent = bool(self._database.read("SELECT 1 FROM absent LIMIT 1"))

    def flush(self) -> None:
        """Write back what changed, before a query or a commit."""
        if self._dirty:
            self._database.write_many(_WRITE, [chain.row() for chain in self._dirty])
            for chain in self._dirty:
                chain.dirty = False
            self._dirty = []

    def trim(self) -> None:
        """Bound the cache, after a commit."""
        if len(self._by_name) > CHAINS_MAX:
            self._by_name.clear()
            self._by_tip.clear()

    def grows_by(self, arrival: Arrival) -> bool:
        """Whether this post is above all that its chain ever held, so that the log can't hold it."""
        return arrival.post.sequence > self._chain(arrival).high

    def extend(
        self, posts: Sequence[Arrival], find: Callable[[Sequence[bytes]], dict[bytes, int]]
    ) -> tuple[list[int], list[tuple[int, int]]]:
        """Take in posts that the log does not hold yet.

        Returns the chain number of each, and each (chain number, sequence) that is now forked. `find` gives
        the chain numbers of those ids that the log holds.
        """
        ids = {arrival.id for arrival in posts}
        awaited = self._take_absent(ids)
        numbers: list[int] = []
        forks: list[tuple[int, int]] = []
        batch: set[tuple[int, int]] = set()
        for arrival in posts:
            sequence = arrival.post.sequence
            chain = self._chain(arrival)
            place = (chain.number, sequence)
            if sequence > chain.high:
                chain.high = sequence
                chain.held += 1
                self._set_tip(chain, arrival, arrival.id in awaited)
            elif sequence < chain.low:
                chain.low = sequence
                chain.held += 1
            elif place in batch or self._holds(place):
                forks.append(place)
            else:
                chain.held += 1
            self._touch(chain)
            numbers.append(chain.number)
            batch.add(place)
        self._join(posts, ids, find)
        return numbers, forks

    def _join(
        self, posts: Sequence[Arrival], ids: set[bytes], find: Callable[[Sequence[bytes]], dict[bytes, int]]
    ) -> None:
        """Cover the tips that these posts name as parents; note the parents that are absent."""
        strange: dict[bytes, tuple[int, int]] = {}  # parent → channel, and the hour at which it is over
        for _, post, channel, _ in posts:
            if len(post.parents) <= ID_SIZE and post.sequence > 1:
                continue  # the author's own previous post alone: part of the chain
            for parent in post.parent_ids()[post.sequence > 1 :]:
                tip_of = self._by_tip.get(parent)
                if tip_of is None:
                    if parent not in ids:
                        strange[parent] = channel, post.time_ms // HOUR_MS + KEEP_HOURS_MAX + 1
                elif not tip_of.covered and tip_of.channel == channel:
                    tip_of.covered = 1
                    self._touch(tip_of)
        if not strange:
            return
        known = find(list(strange))
        # A chain in the cache whose tip this were would have been found above, so the file's row is the true one.
        self._database.write_many(
            "UPDATE chain SET covered = 1 WHERE number = ? AND channel = ? AND tip = ?",
            [(number, strange[parent][0], parent) for parent, number in known.items()],
        )
        absent = [(parent, *where) for parent, where in strange.items() if parent not in known]
        if absent:
            self._database.write_many("INSERT OR IGNORE INTO absent VALUES (?, ?, ?)", absent)
            self._any_absent = True

    def _take_absent(self, ids: set[bytes]) -> set[bytes]:
        """Those of the ids that were absent; they no longer are."""
        if not self._any_absent:
            return set()
        found = set()
        for some in slices(sorted(ids)):
            found |= {
                row[0]
                for row in self._database.read(f"SELECT id FROM absent WHERE id IN {marks(some)}", some)
            }
        if found:
            self._database.write_many("DELETE FROM absent WHERE id = ?", [(each,) for each in sorted(found)])
            self._any_absent = bool(self._database.read("SELECT 1 FROM absent LIMIT 1"))
        return found

    def _chain(self, arrival: Arrival) -> Chain:
        """The chain of a post, from the cache, the file, or new and empty below this post's sequence."""
        name = (arrival.channel, arrival.author, arrival.post.incarnation)
        chain = self._by_name.get(name)
        if chain is None:
            rows = self._database.read(
                "SELECT * FROM chain WHERE channel = ? AND author = ? AND incarnation = ?", name
            )
            if rows:
                chain = Chain(*rows[0])
                self._by_tip[chain.tip] = chain
            else:
                self._last += 1
                sequence = arrival.post.sequence
                chain = Chain(self._last, *name, sequence, sequence - 1, 0, b"", 0, 0)
            self._by_name[name] = chain
        return chain

    def _set_tip(self, chain: Chain, arrival: Arrival, covered: bool) -> None:
        self._by_tip.pop(chain.tip, None)
        self._by_tip[arrival.id] = chain
        chain.tip = arrival.id
        chain.tip_hlc = arrival.post.hlc
        chain.covered = int(covered)

    def _touch(self, chain: Chain) -> None:
        if not chain.dirty:
            chain.dirty = True
            self._dirty.append(chain)

    def _holds(self, place: tuple[int, int]) -> bool:
        return bool(self._database.read("SELECT 1 FROM post WHERE chain = ? AND sequence = ? LIMIT 1", place))

    # --- what is over ---

    def shorten(self, removed: dict[int, int]) -> None:
        """Posts were deleted: chain number → the highest sequence among them. What is below it is missing no longer,
        a tip that is gone heads nothing, and an empty chain goes."""
        self.flush()
        self._by_name.clear()
        self._by_tip.clear()
        for number, sequence in removed.items():
            self._database.write(
                "UPDATE chain SET low = MAX(low, COALESCE((SELECT MIN(sequence) FROM post WHERE chain = number"
                " AND sequence > ?1), ?1 + 1)) WHERE number = ?2",
                (sequence, number),
            )
            self._database.write(
                "UPDATE chain SET held = (SELECT COUNT(DISTINCT sequence) FROM post WHERE chain = number"
                " AND sequence >= low), covered = MAX(covered, ? >= high) WHERE number = ?",
                (sequence, number),
            )
            self._database.write(
                "DELETE FROM chain WHERE number = ? AND NOT EXISTS (SELECT 1 FROM post WHERE chain = ?)",
                (number, number),
            )

    def forget_absent(self, hour: int, budget: int) -> Iterator[None]:
        """Forget the absent posts that nobody can have any more, a slice at each step."""
        forget = "DELETE FROM absent WHERE id IN (SELECT id FROM absent WHERE until_hour <= ? LIMIT ?)"
        while self._database.write(forget, (hour, budget)):
            yield
        self._any_absent = bool(self._database.read("SELECT 1 FROM absent LIMIT 1"))

    # --- questions ---

    def heads(self, channel: int, limit: int, since_hlc: int) -> list[bytes]:
        """Ids of up to `limit` heads of a channel with that stamp or a later one, newest first."""
        self.flush()
        rows = self._database.read(
            "SELECT tip FROM chain WHERE channel = ? AND covered = 0 AND tip_hlc >= ?"
            " ORDER BY tip_hlc DESC, tip DESC LIMIT ?",
            (channel, since_hlc, limit),
        )
        return [tip for (tip,) in rows]

    def last_of(self, channel: int, author: int) -> bytes | None:
        """The newest tip of an author in a channel, of whichever incarnation."""
        self.flush()
        rows = self._database.read(
            "SELECT tip FROM chain WHERE channel = ? AND author = ? ORDER BY tip_hlc DESC, tip DESC LIMIT 1",
            (channel, author),
        )
        return rows[0][0] if rows else None

    def living(self, author: int, hour: int, limit: int) -> list[tuple[int, bytes]]:
        """(keep-until, id) of those of an author's newest `limit` posts that are kept past this hour."""
        self.flush()
        found: list[tuple[int, bytes]] = []
        for (number,) in self._database.read(
            "SELECT number FROM chain WHERE channel IN (SELECT number FROM channel) AND author = ?"
            " ORDER BY tip_hlc DESC",
            (author,),
        ):
            rows = self._database.read(
                "SELECT keep_until, id FROM post WHERE chain = ? ORDER BY sequence DESC LIMIT ?",
                (number, limit),
            )
            found += [(until, post_id) for until, post_id in rows if until > hour]
            limit -= len(rows)
            if limit <= 0:
                break
        return found

    def missing(self, channel: int) -> list[tuple[int | None, int]]:
        """(author number, or None for posts that nobody knows the author of; how many are missing)."""
        self.flush()
        found: list[tuple[int | None, int]] = [
            (author, count)
            for author, count in self._database.read(
                "SELECT author, SUM(high - low + 1 - held) FROM chain INDEXED BY chain_hole"
                " WHERE channel = ? AND held <= high - low GROUP BY author ORDER BY author",
                (channel,),
            )
        ]
        ((absent,),) = self._database.read("SELECT COUNT(*) FROM absent WHERE channel = ?", (channel,))
        return [*found, (None, absent)] if absent else found
