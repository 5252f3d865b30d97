"""Slices: what links gave and is not looked at yet.

The rule: while other links speak, so many envelopes of one link are looked at at once (SLICE_MAX) and no more. The rest
waits for a turn, and meanwhile nothing more is read of that link. A turn is one slice, of one link after the other,
when all that had arrived from any link by then has been seen. Whatever is taken in is passed on to each of the links,
which costs more than taking it in, so turns are further apart the more links there are: SLICE_MS in a full house. So
who gives much, asked for or not, keeps nobody waiting for longer than a slice, and never has all of our time.

When no other link has said anything for LIVELY_MS there is nobody to keep waiting, and all is looked at at once.
"""

from collections import Counter, deque
from typing import NamedTuple

from meshd.limits import LINKS_MAX, LIVELY_MS, SLICE_MAX, SLICE_MS


class Given(NamedTuple):
    """Envelopes of one give, or the rest of them."""

    pushed: int
    raws: list[bytes]
    via: str


class Slices:
    """Owns what waits to be looked at. Times are monotonic milliseconds."""

    def __init__(self) -> None:
        self._waiting: dict[int, deque[Given]] = {}  # by link, whose turn it is first
        self._heard_ms: dict[int, int] = {}
        self._looked_at: Counter[int] = Counter()  # by link, at once, since …
        self._since_ms = 0
        self._turn_ms = 0  # of the last turn

    def __contains__(self, link: int) -> bool:
        return link in self._waiting

    def heard(self, link: int, mono_ms: int) -> None:
        """This link said something."""
        self._heard_ms[link] = mono_ms

    def closed(self, link: int) -> None:
        """A link is gone, with what it gave."""
        self._heard_ms.pop(link, None)
        self._waiting.pop(link, None)

    def first(self, link: int, given: Given, mono_ms: int) -> Given:
        """What is to be looked at now; the rest waits."""
        if link not in self._waiting and not self.is_lively(link, mono_ms):
            return given
        if mono_ms - self._since_ms >= SLICE_MS:
            self._since_ms = mono_ms
            self._looked_at.clear()
        now = 0 if link in self._waiting else SLICE_MAX - self._looked_at[link]
        self._looked_at[link] += min(now, len(given.raws))
        if later := given.raws[now:]:
            queue = self._waiting.setdefault(link, deque())
            if queue and queue[-1].pushed == given.pushed:
                later = queue.pop().raws + later
            queue.append(given._replace(raws=later))
        return given._replace(raws=given.raws[:now])

    def turn(self, mono_ms: int) -> tuple[int, Given] | None:
        """All links had their say: a slice of what waits and the link that gave it, if it is time for one."""
        deadline_ms = self.next_deadline()
        if deadline_ms is None or mono_ms < deadline_ms:
            return None
        self._turn_ms = mono_ms
        link = next(iter(self._waiting))
        queue = self._waiting.pop(link)
        given = queue.popleft()
        if later := given.raws[SLICE_MAX:]:
            queue.appendleft(given._replace(raws=later))
        if queue:
            self._waiting[link] = queue
        return link, given._replace(raws=given.raws[:SLICE_MAX])

    def next_deadline(self) -> int | None:
        """When `turn` has something."""
        if not self._waiting:
            return None
        return self._turn_ms + SLICE_MS * len(self._heard_ms) // LINKS_MAX

    def is_lively(self, link: int, mono_ms: int) -> bool:
        """Whether any other link than this one said something lately."""
        return any(
            other != link and mono_ms - heard_ms < LIVELY_MS for other, heard_ms in self._heard_ms.items()
        )
