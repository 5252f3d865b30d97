"""Rounds: when two nodes reconcile, and who asks.

The rule: a round finds what differs, and everything converges because rounds never stop. One runs when a link opens
(after a short jitter; the side that has more asks, so that no ids are sent for what the other lacks; equal
fingerprints need none), then every 2–5 s with one link at random, doubling to 30 s while nothing differs.

A node that has less than who asks it takes in from one link at a time: while a round with one link is bringing
envelopes, the questions of others wait, so that a laptop which comes back to a crowd gets what it missed once, and
not once from everybody. That turn ends when nothing comes for TAKING_IN_MS, and lasts TURN_MS and TURN_EACH_MS more for
each new envelope; then whoever waits longest is next. So a link that claims to have more and brings little delays
the others and stops nobody (protocol.md, "Reconcile").

What a round finds may stay lacking: one of the two has evicted it, or refuses it. A round that finds what the last one
with that link found is as good as one that found nothing, and that link is left alone for REPEATED_EACH_MS for each
envelope, so that asking in vain for some thousands costs 2 kB/s.

At most one round of our own is open with a link; one that stalls for ROUND_MS is given up and begun anew.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass, field

from meshd.limits import (
    RECONCILE_IDLE_MS,
    RECONCILE_JITTER_MS,
    RECONCILE_MAX_MS,
    RECONCILE_MIN_MS,
    REPEATED_EACH_MS,
    REPEATED_MAX_MS,
    ROUND_MS,
    TAKING_IN_MS,
    TURN_EACH_MS,
    TURN_MS,
)
from meshd.proto.message import Reconcile


@dataclass(slots=True)
class Round:
    """A round of our own with one link."""

    number: int
    floor_hour: int
    deadline_ms: int
    count: int = 0  # of what it found
    total: int = 0  # of the beginnings of the ids of that, to tell it from what another round found
    unheld: dict[bytes, None] = field(default_factory=dict)  # own posts that the peer may hold (`receipts`)

    def found(self, ids: Iterable[bytes]) -> None:
        """It found these."""
        for identity in ids:
            self.count += 1
            self.total += int.from_bytes(identity[:8], "big")


class Rounds:
    """The schedule. Times are monotonic milliseconds."""

    def __init__(self, rng: random.Random, mono_ms: int) -> None:
        self._rng = rng
        self._links: dict[int, int | None] = {}  # open links, and when their first round is due
        self._open: dict[int, Round] = {}
        self._found: dict[int, tuple[int, int]] = {}  # what the last round with each link found
        self._alone_ms: dict[int, int] = {}  # until when a link is left alone
        self._parked: dict[int, Reconcile] = {}
        self._taking_in: tuple[int, int, int] | None = None  # link, end of its turn if silent, and at most
        self._number = 0
        self._all_ms = mono_ms - RECONCILE_MIN_MS  # when rounds were made due with all, or will be
        self._pause_ms = RECONCILE_MAX_MS
        self._next_ms = mono_ms + self._pause_ms

    # --- whom to ask ---

    def opened(self, link: int, *, ask: bool, mono_ms: int) -> None:
        """A link is open; `ask` if the first round is ours."""
        self._links[link] = mono_ms + self._rng.randrange(RECONCILE_JITTER_MS) if ask else None

    def closed(self, link: int) -> None:
        """A link is gone."""
        self._links.pop(link, None)
        self._open.pop(link, None)
        self._found.pop(link, None)
        self._alone_ms.pop(link, None)
        self._parked.pop(link, None)
        if self._taking_in is not None and self._taking_in[0] == link:
            self._taking_in = None

    def all_due(self, mono_ms: int) -> list[int]:
        """Make a round due with every open link; the links."""
        for link, due_ms in self._links.items():
            self._links[link] = mono_ms if due_ms is None else min(due_ms, mono_ms)
        return list(self._links)

    def all_due_soon(self, mono_ms: int) -> None:
        """The same, but not again within RECONCILE_MIN_MS: then it is due at the end of that."""
        if mono_ms > self._all_ms:
            self._all_ms = max(mono_ms, self._all_ms + RECONCILE_MIN_MS)
            self.all_due(self._all_ms)

    def due(self, mono_ms: int) -> list[int]:
        """The links to begin a round with now."""
        if not self.is_taking_in(mono_ms):
            self._taking_in = None
        for link in [link for link, pending in self._open.items() if pending.deadline_ms <= mono_ms]:
            del self._open[link]
            self._links[link] = mono_ms  # what it would have found is still to be found
        due = [link for link, due_ms in self._waiting() if due_ms <= mono_ms]
        for link in due:
            self._links[link] = None
        if self._next_ms <= mono_ms:
            if some := [link for link in self._links if self._alone_ms.get(link, 0) <= mono_ms]:
                due.append(self._rng.choice(some))
            self._plan(mono_ms)
        return [link for link in dict.fromkeys(due) if link not in self._open]

    def _waiting(self) -> list[tuple[int, int]]:
        """Links whose round is to come, and when; a round that is open is waited for, since it began before."""
        return [
            (link, due_ms)
            for link, due_ms in self._links.items()
            if due_ms is not None and link not in self._open
        ]

    def postpone(self, link: int, mono_ms: int) -> None:
        """A round that is due must wait until what is on the way has come."""
        self._links[link] = mono_ms + TAKING_IN_MS

    def begin(self, link: int, floor_hour: int, mono_ms: int) -> Round:
        """A round with this link begins."""
        self._number += 1
        begun = self._open[link] = Round(self._number, floor_hour, mono_ms + ROUND_MS)
        return begun

    def current(self, link: int, number: int) -> Round | None:
        """The open round that an answer belongs to; None for an answer to nothing we asked."""
        pending = self._open.get(link)
        return pending if pending is not None and pending.number == number else None

    def stepped(self, link: int, mono_ms: int) -> None:
        """Our round with this link goes on."""
        self._open[link].deadline_ms = mono_ms + ROUND_MS

    def is_open(self, link: int) -> bool:
        """Whether a round of ours with this link is not through yet."""
        return link in self._open

    def asking(self, link: int) -> bool:
        """Whether a round of ours with this link is due or open."""
        return link in self._open or self._links.get(link) is not None

    def ended(self, link: int, mono_ms: int) -> None:
        """Our round with this link is over."""
        ended = self._open.pop(link)
        found = ended.count, ended.total
        is_repeated = ended.count > 0 and found == self._found.get(link)
        self._found[link] = found
        if is_repeated:
            self._alone_ms[link] = mono_ms + min(ended.count * REPEATED_EACH_MS, REPEATED_MAX_MS)
        if ended.count and not is_repeated:
            self._pause_ms = RECONCILE_MIN_MS
        else:
            self._pause_ms = min(self._pause_ms * 2, RECONCILE_IDLE_MS)
        self._plan(mono_ms)

    def _plan(self, mono_ms: int) -> None:
        spread_ms = RECONCILE_MAX_MS - RECONCILE_MIN_MS
        self._next_ms = (
            mono_ms + max(self._pause_ms - spread_ms, RECONCILE_MIN_MS) + self._rng.randrange(spread_ms)
        )

    # --- whom to answer ---

    def park(self, link: int, question: Reconcile, mono_ms: int) -> bool:
        """Whether a question must wait, because another link is bringing us what we lack or others wait already."""
        if self.is_taking_in(mono_ms):
            waits = self._taking_in is not None and self._taking_in[0] != link
        else:
            waits = bool(self._parked)
        if waits:
            self._parked[link] = question
        return waits

    def taking_in(self, link: int, mono_ms: int, new: int = 0) -> None:
        """This link is about to bring what we lack, or just brought so many new envelopes."""
        if not self.is_taking_in(mono_ms):
            self._taking_in = link, mono_ms + TAKING_IN_MS, mono_ms + TURN_MS
        elif self._taking_in is not None and self._taking_in[0] == link:
            end_ms = min(self._taking_in[2] + new * TURN_EACH_MS, mono_ms + TURN_MS)
            self._taking_in = link, min(mono_ms + TAKING_IN_MS, end_ms), end_ms

    def is_taking_in(self, mono_ms: int) -> bool:
        """Whether some link is bringing us what we lack."""
        return self._taking_in is not None and self._taking_in[1] > mono_ms

    def unparked(self, mono_ms: int) -> tuple[int, Reconcile] | None:
        """A question that need not wait any longer."""
        if not self._parked or self.is_taking_in(mono_ms):
            return None
        link = next(iter(self._parked))
        return link, self._parked.pop(link)

    def next_deadline(self) -> int | None:
        """When `due` or `unparked` has something."""
        deadlines = [due_ms for _, due_ms in self._waiting()]
        deadlines += [pending.deadline_ms for pending in self._open.values()]
        if self._links:
            deadlines.append(self._next_ms)
        if self._taking_in is not None:  # somebody may wait for its end, here or behind a command
            deadlines.append(self._taking_in[1])
        return min(deadlines, default=None)
