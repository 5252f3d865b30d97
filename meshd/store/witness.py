"""What was said lately in the groups of `log`: attestations, signs of life, silence, receipts; and what we mean to say.

The rule: of what one author says of one thing in one group only the newest is here, with the stamp of its post; it goes
when nothing can follow from it any more (`witness`), and with its group. A heartbeat stands for any sign of life: posts
are deleted sooner than it may matter when somebody was last heard. What the user asked for, to attest and to be heard
regularly, is kept over a stop.
"""

from typing import NamedTuple

from meshd.store.chains import Chains
from meshd.store.db import Database

SCHEMA = (
    """CREATE TABLE said (
        channel BLOB NOT NULL, author BLOB NOT NULL, purpose INTEGER NOT NULL, about BLOB NOT NULL,
        subject BLOB NOT NULL, hlc INTEGER NOT NULL, until_s INTEGER NOT NULL,
        PRIMARY KEY (channel, author, purpose, about, subject)) WITHOUT ROWID""",
    """CREATE TABLE intent (
        one INTEGER PRIMARY KEY CHECK (one = 1), attests INTEGER NOT NULL, beats INTEGER NOT NULL)""",
)
_NEWEST = """SELECT h.tip_hlc, COALESCE(p.first_seen_ms, h.tip_hlc >> 16)
    FROM channel c CROSS JOIN author a CROSS JOIN chain h
    LEFT JOIN post p ON substr(p.id, 1, 8) = substr(h.tip, 1, 8) AND p.id = h.tip
    WHERE c.id = ? AND a.key = ? AND h.channel = c.number AND h.author = a.number
    ORDER BY h.tip_hlc DESC LIMIT 1"""


class Word(NamedTuple):
    """What somebody (32 bytes) said last: purpose, about and subject as in the statement, but for an attestation, whose
    subject is empty here and whose end is `until_s`, seconds since 1970; `hlc` is the stamp of the post."""

    author: bytes
    purpose: int
    about: bytes
    subject: bytes
    hlc: int
    until_s: int = 0

    @property
    def key(self) -> tuple[int, bytes, bytes]:
        """What of one author's words only the newest of is here."""
        return self.purpose, self.about, self.subject

    @property
    def time_ms(self) -> int:
        """When it was said, wall milliseconds as its author's clock had it."""
        return self.hlc >> 16


class Intent(NamedTuple):
    """What we say without being asked each time: that it is dark, until it is not; that we are there."""

    attests: bool = False
    beats: bool = False


class Said:
    """The words of one log, inside its transactions."""

    def __init__(self, database: Database, chains: Chains) -> None:
        self._database, self._chains = database, chains

    def all(self) -> list[tuple[bytes, Word]]:
        """All that is here, with the channel of each."""
        rows = self._database.read("SELECT channel, author, purpose, about, subject, hlc, until_s FROM said")
        return [
            (channel, Word(bytes(author), purpose, bytes(about), bytes(subject), hlc, until_s))
            for channel, author, purpose, about, subject, hlc, until_s in rows
        ]

    def count_people(self) -> int:
        """Of how many people anything is here."""
        ((count,),) = self._database.read("SELECT COUNT(DISTINCT author) FROM said")
        return int(count)

    def put(self, channel: bytes, word: Word) -> None:
        """Keep this instead of what the same author said of the same before."""
        self._database.write("INSERT OR REPLACE INTO said VALUES (?, ?, ?, ?, ?, ?, ?)", (channel, *word))

    def remove(self, channel: bytes, word: Word) -> None:
        """Forget it."""
        self._database.write(
            "DELETE FROM said WHERE channel = ? AND author = ? AND purpose = ? AND about = ? AND subject = ?",
            (channel, *word[:4]),
        )

    def intent(self) -> Intent:
        """What we mean to say."""
        rows = self._database.read("SELECT attests, beats FROM intent")
        return Intent(*map(bool, rows[0])) if rows else Intent()

    def set_intent(self, intent: Intent) -> None:
        """Mean to say this from now on."""
        self._database.write("INSERT OR REPLACE INTO intent VALUES (1, ?, ?)", intent)

    def newest(self, channel: bytes, author: bytes) -> tuple[int, int] | None:
        """The stamp of an author's newest post in a channel, shown or not, and when we saw it first, wall milliseconds;
        None if none is here any more."""
        self._chains.flush()
        rows = self._database.read(_NEWEST, (channel, author))
        return (rows[0][0], rows[0][1]) if rows else None
