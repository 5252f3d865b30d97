"""`carry`: the encrypted database of envelopes, ours and other people's, and what it takes to pass them on.

The rule: envelopes are kept exactly as they came, under their key (`u64 expiry hour ‖ envelope id`, 40
bytes), and the file never says which are ours: that stands in `log`, so that `carry` may go on relaying while
`log` is locked.

Envelopes are found by id, since peers ask by the beginning of one. The index holds eight bytes of it, which
tell envelopes apart well enough and leave a third of the pages to rewrite at each commit, and whether the body is
here: so that thousands are looked up without a look at their rows, which would cost a page each. That an envelope
comes once is seen to by the set in memory, which loads from here at start and keeps the order of reconcile and of
expiry. The order of arrival is `sequence`, which grows by one and
is never used again, even after removal (AUTOINCREMENT): `log` remembers up to which sequence it has opened.
Envelopes are given in the order of arrival too, so that whoever gets many gets parents mostly before their
children, and each author's posts in a row.

An envelope that was **evicted**, because room was short (`eviction`), keeps its row without the body. So its id stays
in the set until it expires, over restarts too, and rounds do not bring it again and again. Which of an ingress's
envelopes go first is an index: sealed ones (a relay can tell them from public ones by the type byte), then those with
the longest life left, then the newest arrivals, whose pages are at hand.

The network key and the addresses typed in by the user are here as well, since a locked node needs them to find
peers; and the time, so that a clock that went back while the daemon was off is noticed; and what it saw of the
internet (`remembered`).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from meshd.envelope import TYPE_PUBLIC
from meshd.errors import CallerError, Code
from meshd.ids import envelope_key, key_hour
from meshd.store import remembered, shares
from meshd.store.db import Database, marks, slices
from meshd.store.remembered import Remembered
from meshd.store.shares import Shares

_MIGRATIONS = (
    (
        """CREATE TABLE network (
            one INTEGER PRIMARY KEY CHECK (one = 1), key BLOB NOT NULL, kind TEXT NOT NULL)""",
        """CREATE TABLE envelope (
            sequence INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL, hour INTEGER NOT NULL, raw BLOB NOT NULL)""",
        "CREATE INDEX envelope_id ON envelope (substr(id, 1, 8))",
        "CREATE TABLE address (address TEXT PRIMARY KEY, added_ms INTEGER NOT NULL) WITHOUT ROWID",
    ),
    ("ALTER TABLE network ADD COLUMN seen_ms INTEGER NOT NULL DEFAULT 0",),
    shares.SCHEMA,
    ("ALTER TABLE network ADD COLUMN erased_hour INTEGER NOT NULL DEFAULT 0",),
    ("DROP INDEX envelope_id", "CREATE INDEX envelope_id ON envelope (substr(id, 1, 8), kind)"),
    remembered.SCHEMA,
)
_EVICTED, _PUBLIC, _SEALED = range(3)  # kinds: the highest is the first to go
_PUBLIC_TYPE = bytes((TYPE_PUBLIC,))  # the third byte of an envelope
_KEYS_AT_ONCE = 8192  # keys in one turn of `keys`


class Carry:
    """The envelopes of one home. Errors as in `db`: CallerError at opening, DiskError later."""

    network_key: bytes
    network_kind: str
    _seen_ms: int
    erased_hour: int  # of the last whole pass over what is over, in `log` too; 0 before the first

    def __init__(self, path: Path, key: bytes, durable: bool = True) -> None:
        self._load(Database(path, key, _MIGRATIONS, durable=durable))

    @classmethod
    def create(cls, path: Path, key: bytes, network_key: bytes, kind: str, durable: bool = True) -> "Carry":
        """A new file for the network with that 32-byte key, `kind` "open" or "private"."""
        database = Database.create(path, key, _MIGRATIONS, durable=durable)
        database.write("INSERT INTO network (one, key, kind) VALUES (1, ?, ?)", (network_key, kind))
        database.commit()
        carry = cls.__new__(cls)
        carry._load(database)
        return carry

    def _load(self, database: Database) -> None:
        self._database = database
        self.checkpoint, self.probe = database.checkpoint, database.probe
        with database.opening():
            rows = database.read("SELECT key, kind, seen_ms, erased_hour FROM network")
            if not rows:
                raise CallerError(
                    Code.invalid, "carry is unfinished: it was left in the middle of being made"
                )
            ((self.network_key, self.network_kind, self._seen_ms, self.erased_hour),) = rows
            self.shares = Shares(database)
            self._recall()

    def _recall(self) -> None:
        """Read what is kept in memory, at opening and after a rollback."""
        self._internet = remembered.read(self._database)
        found = self._database.read("SELECT seq FROM sqlite_sequence WHERE name = 'envelope'")
        self._last: int = found[0][0] if found else 0

    # --- envelopes ---

    def insert(self, envelopes: Sequence[tuple[bytes, bytes]], ingress: int = 0) -> range:
        """Add (key, raw) pairs whose keys are new (the caller holds the set); their sequences, in order. All came by
        one ingress, a number of `shares`."""
        rows = [
            (key[8:], key_hour(key), raw, ingress, _PUBLIC if raw[2:3] == _PUBLIC_TYPE else _SEALED)
            for key, raw in envelopes
        ]
        self._database.write_many(
            "INSERT INTO envelope (id, hour, raw, ingress, kind) VALUES (?, ?, ?, ?, ?)", rows
        )
        self.shares.add(ingress, len(rows), len(rows), sum(len(raw) for _, raw in envelopes))
        first = self._last + 1
        self._last += len(envelopes)
        return range(first, self._last + 1)

    def remove(self, keys: Sequence[bytes]) -> None:
        """Delete the envelopes with these keys, as far as they are here."""
        ids = {key[8:] for key in keys}
        rows = []
        for some in slices(keys):
            rows += self._database.read(
                "SELECT sequence, id, length(raw), ingress FROM envelope"
                f" WHERE substr(id, 1, 8) IN {marks(some)}",
                [key[8:16] for key in some],
            )
        self._delete([(sequence, size, ingress) for sequence, found, size, ingress in rows if found in ids])

    def _delete(self, rows: Sequence[tuple[int, int, int]]) -> None:
        """Delete these (sequence, size of the body, ingress)."""
        if not rows:
            return
        self._database.write_many("DELETE FROM envelope WHERE sequence = ?", [(row[0],) for row in rows])
        for _, size, ingress in rows:
            self.shares.add(ingress, -1, -1 if size else 0, -size)

    # --- room ---

    def evictable(self, ingress: int, limit: int) -> list[int]:
        """The sequences of up to `limit` envelopes that came by an ingress and have their bodies, the first to go
        first."""
        rows = self._database.read(
            "SELECT sequence FROM envelope WHERE ingress = ? AND kind > ?"
            " ORDER BY kind DESC, hour DESC, sequence DESC LIMIT ?",
            (ingress, _EVICTED, limit),
        )
        return [sequence for (sequence,) in rows]

    def evict(self, ingress: int, rows: Sequence[tuple[int, int]]) -> None:
        """Drop the bodies of these (sequence, size), which came by this ingress; their ids stay."""
        self._database.write_many(
            "UPDATE envelope SET raw = x'', kind = ? WHERE sequence = ?",
            [(_EVICTED, sequence) for sequence, _ in rows],
        )
        self.shares.add(ingress, 0, -len(rows), -sum(size for _, size in rows))

    def forget_evicted(self, ingress: int, limit: int) -> list[bytes]:
        """Delete up to `limit` ids without a body that came by this ingress; their keys."""
        rows = self._database.read(
            "SELECT sequence, hour, id FROM envelope WHERE ingress = ? AND kind = ? ORDER BY hour LIMIT ?",
            (ingress, _EVICTED, limit),
        )
        self._delete([(sequence, 0, ingress) for sequence, _, _ in rows])
        return [envelope_key(hour, identity) for _, hour, identity in rows]

    # --- reading ---

    def last_sequence(self) -> int:
        """The sequence of the newest arrival, 0 before the first."""
        return self._last

    def keys(self) -> Iterator[bytes]:
        """All keys, those without a body too, in the order of arrival. Columns before `raw` are read without the rest
        of a long row."""
        last = 0
        while rows := self._database.read(
            "SELECT sequence, hour, id FROM envelope WHERE sequence > ? ORDER BY sequence LIMIT ?",
            (last, _KEYS_AT_ONCE),
        ):
            yield from [envelope_key(hour, identity) for _, hour, identity in rows]
            last = rows[-1][0]

    def find(self, short_ids: Sequence[bytes]) -> tuple[list[int], list[bytes]]:
        """The sequences of the envelopes that these short ids (16 bytes) stand for, as far as their bodies are here, in
        the order of arrival; and those ids that nothing here has. Of ids that have eight bytes in common, any may be
        found: they had to be sought for long, and who gets one too many loses nothing by it."""
        sequences: set[int] = set()
        absent: list[bytes] = []
        for some in slices(short_ids):
            rows = self._database.read(
                f"SELECT sequence, substr(id, 1, 8) FROM envelope WHERE substr(id, 1, 8) IN {marks(some)}"
                f" AND kind > {_EVICTED}",
                [each[:8] for each in some],
            )
            here = {beginning for _, beginning in rows}
            sequences.update(sequence for sequence, _ in rows)
            absent += [each for each in some if each[:8] not in here]
        return sorted(sequences), absent

    def read(self, sequences: Sequence[int]) -> list[tuple[int, bytes]]:
        """(sequence, envelope) for these sequences, as far as their bodies are here, in the order of arrival."""
        rows: list[tuple[int, bytes]] = []
        for some in slices(sorted(sequences)):
            rows += self._database.read(
                f"SELECT sequence, raw FROM envelope WHERE sequence IN {marks(some)} AND length(raw) > 0"
                " ORDER BY sequence",
                some,
            )
        return rows

    def with_bodies(self, sequences: Sequence[int]) -> list[int]:
        """Those of these sequences whose bodies are here."""
        found: list[int] = []
        for some in slices(sequences):
            rows = self._database.read(
                f"SELECT sequence FROM envelope WHERE sequence IN {marks(some)} AND kind > {_EVICTED}", some
            )
            found += [sequence for (sequence,) in rows]
        return found

    def after(self, sequence: int, limit: int) -> list[tuple[int, bytes]]:
        """Up to `limit` (sequence, envelope) that arrived after the one with this sequence, in that order; evicted ones
        with empty bytes, so that a caller gets past any number of them."""
        rows: list[tuple[int, bytes]] = self._database.read(
            "SELECT sequence, raw FROM envelope WHERE sequence > ? ORDER BY sequence LIMIT ?",
            (sequence, limit),
        )
        return rows

    # --- the time ---

    def seen_ms(self) -> int:
        """The last mesh time that was noted, wall milliseconds; 0 before the first."""
        return self._seen_ms

    def set_seen(self, seen_ms: int) -> None:
        """Note the time, with the next commit."""
        self._database.write("UPDATE network SET seen_ms = ?", (seen_ms,))
        self._seen_ms = seen_ms

    def set_erased(self, hour: int) -> None:
        """What was over at this hour is erased, in `log` too."""
        self._database.write("UPDATE network SET erased_hour = ?", (hour,))
        self.erased_hour = hour

    # --- the internet ---

    def internet(self) -> Remembered:
        """What was noted of the internet."""
        return self._internet

    def note_internet(self, internet: Remembered) -> None:
        """Note it, with the next commit."""
        remembered.write(self._database, internet)
        self._internet = internet

    # --- addresses that the user typed in ---

    def addresses(self) -> list[str]:
        """The remembered addresses, oldest first."""
        return [
            address
            for (address,) in self._database.read("SELECT address FROM address ORDER BY added_ms, address")
        ]

    def add_address(self, address: str, added_ms: int) -> None:
        """Remember an address (wall milliseconds of when); one that is known keeps its place."""
        self._database.write("INSERT OR IGNORE INTO address VALUES (?, ?)", (address, added_ms))

    def drop_address(self, address: str) -> bool:
        """Forget an address; False if it was not known."""
        return self._database.write("DELETE FROM address WHERE address = ?", (address,)) > 0

    # --- transactions ---

    def commit(self) -> None:
        """Make what was written durable."""
        self.shares.flush()
        self._database.commit()

    def rollback(self) -> None:
        """Forget what was written since the last commit."""
        self._database.rollback()
        self.shares.forget()
        self._recall()

    def close(self) -> None:
        """Forget what was not committed and let go of the file."""
        self._database.close()
