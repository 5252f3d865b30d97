"""Gossip: passing fresh envelopes on, announcing the others, and asking for what was announced.

The rule: what is fresh (posted here, or received as fresh) goes at once to every open link but the one it came from.
What came by reconcile, or because we asked, is announced to the others with `have`, never pushed: they may be getting
it elsewhere. Every new envelope is also acknowledged with a `have` to who gave it. An announced envelope that is not
here is wanted from one link at a time.

What a link is still to be given waits as arrival sequences in carry, never as bytes: fresh ones first, then, oldest
arrival first, what it asked for or was shown to lack (protocol.md, "Gossip").
"""

from bisect import insort
from collections import Counter, deque
from itertools import takewhile

from meshd.limits import OWED_MAX, WANTED_MS

Short = bytes  # the first 16 bytes of an envelope id


class Outflow:
    """What one link is still to be given."""

    def __init__(self) -> None:
        self.fresh: deque[int] = deque()  # arrival sequences
        self.asked: deque[Short] = deque()  # ids whose arrival sequences are not looked up yet
        self.announce: list[bytes] = []  # references
        self._owed: list[int] = []  # arrival sequences, newest first, so that the oldest pops cheaply
        self._owed_set: set[int] = set()

    def ask(self, ids: list[Short]) -> None:
        """The peer lacks these; over OWED_MAX the rest waits for a later round."""
        room = OWED_MAX - len(self.asked) - len(self._owed)
        self.asked.extend(ids[: max(room, 0)])

    def owe(self, sequences: list[int]) -> None:
        """Give these, in the order of their arrival here."""
        new = [sequence for sequence in sequences if sequence not in self._owed_set]
        self._owed_set.update(new)
        if len(new) < 8:
            for sequence in new:
                insort(self._owed, sequence, key=lambda s: -s)
        else:
            self._owed = sorted(self._owed + new, reverse=True)

    def next_owed(self, most: int) -> list[int]:
        """Take out the oldest, at most `most`."""
        taken = self._owed[: -most - 1 : -1]
        del self._owed[-most:]
        self._owed_set.difference_update(taken)
        return taken

    def owing(self) -> bool:
        """Whether bulk waits for this link."""
        return bool(self.asked or self._owed)


class Wanted:
    """What was asked for and has not come: each from one link, for WANTED_MS; so many from each link and no more, so
    that one which announces what it does not give keeps nobody from what others have."""

    def __init__(self) -> None:
        self._asked: dict[Short, tuple[int, int]] = {}  # id → link and deadline, earliest deadline first
        self._counts: Counter[int] = Counter()  # by link

    def ask(self, ids: list[Short], link: int, most: int, mono_ms: int) -> list[Short]:
        """Those of `ids` that nobody is being asked for, up to `most` awaited from this link in all; they count as
        asked from it now."""
        asked = []
        for short in ids:
            if self._counts[link] >= most:
                break
            if short not in self._asked:
                self._asked[short] = link, mono_ms + WANTED_MS
                self._counts[link] += 1
                asked.append(short)
        return asked

    def came(self, short: Short) -> None:
        """It is here."""
        self._forget(short)

    def gone(self, short: Short, link: int) -> None:
        """It will not come from this link."""
        if self._asked.get(short, (None, 0))[0] == link:
            self._forget(short)

    def closed(self, link: int) -> None:
        """Nothing comes from this link any more."""
        for short in [short for short, (asked, _) in self._asked.items() if asked == link]:
            self._forget(short)

    def count(self, link: int) -> int:
        """How many envelopes are still awaited from this link."""
        return self._counts[link]

    def expired(self, mono_ms: int) -> bool:
        """Forget what did not come in time; whether there was any."""
        late = list(takewhile(lambda short: self._asked[short][1] <= mono_ms, self._asked))
        for short in late:
            self._forget(short)
        return bool(late)

    def next_deadline(self) -> int | None:
        """When `expired` forgets something."""
        return next((deadline_ms for _, deadline_ms in self._asked.values()), None)

    def _forget(self, short: Short) -> None:
        if short in self._asked:
            link, _ = self._asked.pop(short)
            self._counts[link] -= 1
            if not self._counts[link]:
                del self._counts[link]
