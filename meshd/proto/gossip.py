"""Gossip: passing fresh envelopes on, announcing the others, and asking for what was announced.

The rule: what is fresh (posted here, or received as fresh) goes at once to every open link but the one it came from.
What came by reconcile, or because we asked, is announced to the others with `have`, never pushed: they may be getting
it elsewhere. Every new envelope is also acknowledged with a `have` to who gave it. An announced envelope that is not
here is wanted from one link at a time.

What a link is still to be given waits as arrival sequences in carry, never as bytes: fresh ones first, then, oldest
arrival first, what it asked for or was shown to lack (protocol.md, "Gossip").
"""

from bisect import insort
from collections import deque

from meshd.limits import WANTED_MS, WANTS_MAX

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
        """The peer lacks these; over WANTS_MAX the rest waits for a later round."""
        room = WANTS_MAX - len(self.asked) - len(self._owed)
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
    """What was asked for and has not come: one link at a time, for WANTED_MS."""

    def __init__(self) -> None:
        self._asked: dict[Short, tuple[int, int]] = {}  # id → link and deadline, earliest deadline first

    def ask(self, ids: list[Short], link: int, mono_ms: int) -> list[Short]:
        """Those of `ids` that nobody is being asked for; they count as asked from `link` now."""
        asked = []
        for short in ids:
            if short not in self._asked and len(self._asked) < WANTS_MAX:
                self._asked[short] = link, mono_ms + WANTED_MS
                asked.append(short)
        return asked

    def came(self, short: Short) -> None:
        """It is here, or will not come from where we asked."""
        self._asked.pop(short, None)

    def closed(self, link: int) -> None:
        """Nothing comes from this link any more."""
        self._asked = {short: pending for short, pending in self._asked.items() if pending[0] != link}

    def count(self, link: int) -> int:
        """How many envelopes are still awaited from this link."""
        return sum(1 for asked, _ in self._asked.values() if asked == link)

    def expired(self, mono_ms: int) -> bool:
        """Forget what did not come in time; whether there was any."""
        late = []
        for short, (_, deadline_ms) in self._asked.items():
            if deadline_ms > mono_ms:
                break
            late.append(short)
        for short in late:
            del self._asked[short]
        return bool(late)

    def next_deadline(self) -> int | None:
        """When `expired` forgets something."""
        return next((deadline_ms for _, deadline_ms in self._asked.values()), None)
