"""A simulated laptop: two encrypted files, a core while it is on, and one reader who never stops.

The rule: what a laptop has on disk outlives its core, and nothing else does. Turning it on opens the files and makes
a new `Node`; a power cut drops the core in the middle of an event, at one of three points: before carry commits,
between the commits of carry and log, and after both but before any effect is carried out. What was not committed is
then rolled back by the file itself, exactly as after a SIGKILL.

The reader stands for a subscriber: it reads the log from its cursor whenever there is more, and goes on from there
after a crash. `acknowledged` is what the laptop's owner was told: a post that is in there must never be lost.
"""

import enum
import hashlib
import random
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from meshd.crypto import ed25519_keypair
from meshd.events import Effect, Event, Now
from meshd.ids import Address
from meshd.node import Node
from meshd.post import HOUR_MS, Post, Text
from meshd.store.carry import Carry
from meshd.store.log import Log

FILE_KEY = bytes(32)  # what the keyslot would unwrap
READ_LIMIT = 256


class PowerCut(Exception):
    """The laptop went off in the middle of an event."""


class Moment(enum.Enum):
    """Where in an event a power cut strikes."""

    BEFORE_CARRY = "before carry commits"
    BEFORE_LOG = "after carry, before log commits"
    BEFORE_EFFECTS = "after both commits, before any effect"


class FragileCarry(Carry):
    """A carry whose commit can be cut."""

    breaks = False
    written = False

    def insert(self, envelopes: Sequence[tuple[bytes, bytes]], ingress: int = 0) -> range:
        self.written = True
        return super().insert(envelopes, ingress)

    def commit(self) -> None:
        if self.breaks and self.written:
            raise PowerCut
        super().commit()
        self.written = False


class FragileLog(Log):
    """A log whose commit can be cut."""

    breaks = False
    written = False

    def insert_many(self, entries: Sequence[tuple[bytes, Post, Text | None, str, int]]) -> list[int | None]:
        self.written = self.written or bool(entries)
        return super().insert_many(entries)

    def commit(self) -> None:
        if self.breaks and self.written:
            raise PowerCut
        super().commit()
        self.written = False


class Machine:
    """One laptop. `node` is None while it is off."""

    def __init__(self, number: int, folder: Path, seed: int, network_key: bytes) -> None:
        self.number, self.folder, self.seed = number, folder, seed
        self.node: Node | None = None
        self.boot = 0  # how often it was turned on; what was under way for an earlier core is void
        self.skew_ms = 0  # of its wall clock
        self.side = 0  # of a partition
        self.segments: tuple[int, ...] = ()  # the networks it is on
        self.address = Address(
            f"10.255.{number >> 8}.{number & 255}", 4040
        )  # fixed, to be typed in by others
        self.port = 0  # where it listens on its segments
        self.instance = self.tag = ""  # what it announces
        self.links = 0  # link numbers given out
        self.alarm_ms: int | None = None
        self.cut_at: Moment | None = None
        self.cursor = 0  # the reader's
        self.seen: dict[bytes, int] = {}  # post id → cursor at which the reader was shown it
        self.acknowledged: dict[str, str] = {}  # post id → text
        self.received = self.sent = 0  # envelopes, all cores together
        self.restores = 0
        self.is_member = False  # of the group
        self.wants_receipts = False
        author_seed = hashlib.sha256(b"author %d %d" % (seed, number)).digest()
        self.author, _ = ed25519_keypair(author_seed)
        folder.mkdir()
        Carry.create(folder / "carry", FILE_KEY, network_key, "open", durable=False).close()
        Log.create(folder / "log", FILE_KEY, author_seed, f"n{number}", durable=False).close()

    @property
    def on(self) -> Node:
        """The core of a laptop that is on."""
        if self.node is None:
            raise RuntimeError(f"machine {self.number} is off")
        return self.node

    @property
    def log(self) -> Log:
        """The open log of a laptop that is on."""
        return self.on.require_log()

    def turn_on(self, now: Now) -> None:
        """Open the files and make a core."""
        self.boot += 1
        draws = random.Random(f"entropy {self.seed} {self.number} {self.boot}")
        self._carry = FragileCarry(self.folder / "carry", FILE_KEY, durable=False)
        self._log = FragileLog(self.folder / "log", FILE_KEY, durable=False)
        self.node = Node(
            self._carry,
            self._log,
            rng=random.Random(f"rng {self.seed} {self.number} {self.boot}"),
            entropy=draws.randbytes,
            now=now,
            receipts=self.wants_receipts,
        )
        self.check_acknowledged()

    def check_acknowledged(self) -> None:
        """AssertionError unless every post that was acknowledged is carried, or has expired."""
        carried = self.on.carry.keys()
        posts = self.log.openings.posts_of(list(carried))
        missing = self.acknowledged.keys() - {identity.hex() for identity in posts}
        hour = self.on.time.seen_ms // HOUR_MS
        rows = {each: self.log.row(bytes.fromhex(each)) for each in sorted(missing)}
        lost = [each for each, row in rows.items() if row is None or row.keep_until > hour]
        assert not lost, f"machine {self.number} lost {len(lost)} posts it had acknowledged"

    def turn_off(self) -> None:
        """Drop the core; what it did not commit is gone."""
        self.received += self.on.exchange.received
        self.sent += self.on.exchange.sent
        self.node, self.alarm_ms, self.cut_at = None, None, None
        self.boot += 1
        self._carry.close()
        self._log.close()

    def handle(self, event: Event, now: Now) -> Iterator[list[Effect]]:
        """Let the core have an event; PowerCut if one was due and found its moment."""
        self._carry.breaks = self.cut_at is Moment.BEFORE_CARRY
        self._log.breaks = self.cut_at is Moment.BEFORE_LOG
        for effects in self.on.handle(event, now):
            if effects and self.cut_at is Moment.BEFORE_EFFECTS:
                raise PowerCut
            yield effects

    # --- a copy kept elsewhere ---

    @property
    def has_backup(self) -> bool:
        """Whether there is a copy."""
        return (self.folder / "backup").is_dir()

    def back_up(self) -> None:
        """Copy the files of a laptop that is off."""
        copy = self.folder / "backup"
        copy.mkdir(exist_ok=True)
        for name in ("carry", "log"):
            shutil.copy2(self.folder / name, copy / name)

    def restore(self) -> None:
        """Put the copy back: the laptop's owner lives on with what was in it."""
        for name in ("carry", "log"):
            for stale in self.folder.glob(f"{name}-*"):
                stale.unlink()
            shutil.copy2(self.folder / "backup" / name, self.folder / name)
        self.restores += 1
        self.cursor = 0
        self.seen.clear()
        self.acknowledged.clear()

    # --- the reader ---

    def read_on(self) -> list[tuple[bytes, bytes, str]]:
        """What the reader is shown that it had not seen: (post id, author, text); AssertionError if it is shown
        something twice, or backwards."""
        shown = []
        while rows := self.log.after(self.cursor, None, READ_LIMIT):
            for row in rows:
                assert row.cursor > self.cursor, f"machine {self.number}: the cursor went back"
                assert row.id not in self.seen, f"machine {self.number}: post {row.id.hex()[:8]} shown twice"
                assert not row.forked, f"machine {self.number}: {row.id.hex()[:8]} counts as a fork"
                self.cursor = row.cursor
                self.seen[row.id] = row.cursor
                shown.append((row.id, row.author, row.text or ""))
        return shown
