"""Slices: what links gave and is not looked at yet.

The rule: while other links speak, so many envelopes are looked at in one event and no more (SLICE_MAX), of one link
after the other; the rest of what a link gave waits, and meanwhile nothing more is read of that link (effect Rest). So
who gives much, asked for or not, keeps nobody waiting for longer than a slice. When no other link has said anything
for LIVELY_MS there is nobody to keep waiting, and all is looked at at once, which costs fewer commits.
"""

from collections import deque
from typing import NamedTuple

from meshd.limits import LIVELY_MS, SLICE_MAX


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
        self._left = SLICE_MAX  # of this event

    def __bool__(self) -> bool:
        return bool(self._waiting)

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
        if link not in self._waiting and not self._is_lively(link, mono_ms):
            return given
        now = 0 if link in self._waiting else self._left
        self._left -= min(now, len(given.raws))
        if later := given.raws[now:]:
            self._waiting.setdefault(link, deque()).append(given._replace(raws=later))
        return given._replace(raws=given.raws[:now])

    def end_event(self) -> tuple[int, Given] | None:
        """At the end of an event: a slice of what waits, unless one was looked at in it."""
        fresh_event, self._left = self._left == SLICE_MAX, SLICE_MAX
        if not self._waiting or not fresh_event:
            return None
        link = next(iter(self._waiting))
        queue = self._waiting.pop(link)
        given = queue.popleft()
        if later := given.raws[SLICE_MAX:]:
            queue.appendleft(given._replace(raws=later))
        if queue:
            self._waiting[link] = queue
        return link, given._replace(raws=given.raws[:SLICE_MAX])

    def _is_lively(self, link: int, mono_ms: int) -> bool:
        return any(
            other != link and mono_ms - heard_ms < LIVELY_MS for other, heard_ms in self._heard_ms.items()
        )
