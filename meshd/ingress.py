"""Ingress: what each open link gives us, when it is looked at, and whether the link is read on meanwhile.

The rule: two things bound what one link may cost the others. What it gives unasked is rated (`proto.rates`), and what
is over its rate is dropped before it is looked at; the next link to the same host goes on where this one ended, unless
a contact was behind it. What it gives because it was asked for is looked at in slices while others speak
(`proto.slices`).

A link rests (effect Rest), which means that it is not read, while something that it gave waits to be looked at, for
OVER_RATE_MS after it gave more than it may (no honest one does, and dropping costs time too when it comes as fast as a
network can carry it), and for the rest of a second in which it named more envelopes than are looked up while others
speak (protocol.md, "Rates", "Exchange").
"""

from collections.abc import Callable

from meshd.events import Effect, Now, Rest
from meshd.limits import CONTACT_FACTOR
from meshd.proto.message import Give
from meshd.proto.rates import Inflow, Spent
from meshd.proto.slices import Given, Slices


class Ingress:
    """Owns what open links gave and is not looked at yet."""

    def __init__(self, emit: Callable[[Effect], None]) -> None:
        self._emit = emit
        self.inflows: dict[int, Inflow] = {}
        self._sources: dict[int, int] = {}  # the first of the links that each goes on for
        self._hosts: dict[int, str] = {}  # of the links of strangers
        self._spent = Spent()
        self._slices = Slices()
        self._resting: set[int] = set()

    def opened(self, link: int, host: str, now: Now) -> None:
        """A session is about to be open."""
        self._hosts[link] = host
        self._sources[link], bucket = self._spent.renewed(host, link, now.mono_ms)
        self.inflows[link] = Inflow(bucket, now.mono_ms)

    def closed(self, link: int, now: Now) -> None:
        """A session is gone, with what it gave."""
        inflow, host = self.inflows.pop(link, None), self._hosts.pop(link, None)
        source = self._sources.pop(link, link)
        if inflow is not None and host is not None:
            self._spent.keep(host, source, inflow.bucket, now.mono_ms)
        self._slices.closed(link)
        self._resting.discard(link)

    def recognised(self, link: int) -> None:
        """A contact is behind this link."""
        self._hosts.pop(link, None)
        self.inflows[link].bucket.widen(CONTACT_FACTOR)

    def source(self, link: int) -> int:
        """Who pays for what this link brings: the first of those it goes on for."""
        return self._sources.get(link, link)

    def wanted(self, link: int, count: int, now: Now) -> None:
        """So many were asked for of this link."""
        self.inflows[link].want(count, now.mono_ms)

    def expect(self, link: int, now: Now) -> None:
        """A round showed this link to have what we lack."""
        self.inflows[link].expect(now.mono_ms)

    def heard(self, link: int, now: Now) -> None:
        """A link says something."""
        self._slices.heard(link, now.mono_ms)

    def told(self, link: int, references: int, now: Now) -> None:
        """A link named so many envelopes that it has or wants."""
        alone = not self._slices.is_lively(link, now.mono_ms)
        self.inflows[link].told(references, now.mono_ms, alone=alone)

    def given(self, link: int, give: Give, via: str, now: Now) -> Given:
        """What of a give is to be looked at now. PeerError if it is malformed, as far as that is looked at."""
        raws = self.inflows[link].admit(give.fresh, give.envelopes, now.mono_ms)
        return self._slices.first(link, Given(give.fresh, raws, via), now.mono_ms)

    def brought(self, link: int, now: Now) -> None:
        """Some of what this link gave was new: more of what was asked for may follow."""
        self.inflows[link].brought(now.mono_ms)

    def may_push(self, link: int, now: Now) -> bool:
        """Whether anything that this link pushes now is looked at."""
        return not self.inflows[link].bucket.is_empty(now.mono_ms)

    def turn(self, now: Now) -> tuple[int, Given] | None:
        """The next slice of what waits, once all links had their say: the link that gave it, and what."""
        return self._slices.turn(now.mono_ms)

    def let_rest(self, now: Now) -> None:
        """Have links read no more, or read on."""
        for link, inflow in self.inflows.items():
            rests = link in self._slices or inflow.rests_ms > now.mono_ms
            if rests != (link in self._resting):
                self._resting ^= {link}
                self._emit(Rest(link, rests))

    def next_deadline(self) -> int | None:
        """When `turn` has something, or `let_rest` a link that may be read on, in monotonic milliseconds."""
        resting = [link for link in self.inflows if link in self._resting and link not in self._slices]
        deadlines = [self._slices.next_deadline(), *(self.inflows[link].rests_ms for link in resting)]
        return min((deadline for deadline in deadlines if deadline is not None), default=None)
