"""A subscription: a place in the log, from which a reader is sent on.

The rule: nothing waits in memory for a subscriber. A slice of at most RPC_SLICE_MAX posts or RPC_SLICE_SIZE
bytes is read from the log when the subscriber has taken the one before, so the log is the only queue there
is. A post is named by a notification only after it is on disk, because it comes from there.

`fired` notifications say which scenario of a plan has fired, and whether that stands: all that have when the
subscription begins, and then each that fires or changes.

`missing` notifications say how many posts of an author are known to exist and are not here: one when a gap
shows, one when its size changes, and one with a count of 0 when it closes. They are sent at the end of what
there is to read, so that the gaps of a backlog in progress are not told one by one.

Posts of who is muted are passed over: a subscription notifies, and that is what was muted.
"""

from typing import Any

from meshd import limits
from meshd.daemon.feed import Feed
from meshd.daemon.request import encode

Document = dict[str, Any]
Place = tuple[str | None, str]  # author, if known, and channel


class Subscription:
    """`behind` says that there may be something to read. `channel` None: all of them."""

    def __init__(
        self, number: int, cursor: int, channel: bytes | None, wants_missing: bool, wants_fired: bool = False
    ) -> None:
        self.number = number
        self.behind = True
        self._cursor = cursor
        self._channel = channel
        self._gaps: dict[Place, Document] | None = {} if wants_missing else None
        self._fired: list[Document] | None = [] if wants_fired else None

    def read(self, feed: Feed) -> bytes:
        """The next slice as lines, perhaps none; `behind` is False when it was the last for now."""
        head = f'{{"jsonrpc":"2.0","method":"post","params":{{"subscription":{self.number},"cursor":'
        lines: list[str] = []
        size = 0
        posts = feed.posts(self._cursor, self._channel, limits.RPC_SLICE_MAX)
        for cursor, document in posts:
            self._cursor = cursor
            if document is None:
                continue
            line = f'{head}{cursor},"post":{encode(document)}}}}}\n'
            lines.append(line)
            size += len(line)
            if size > limits.RPC_SLICE_SIZE:
                return "".join(lines).encode()
        self.behind = len(posts) == limits.RPC_SLICE_MAX
        if not self.behind and self._fired is not None:
            told, self._fired = self._fired, feed.fired(self._channel)
            lines += [self._line("fired", each) for each in self._fired if each not in told]
        if not self.behind and self._gaps is not None:
            lines += self._missing(feed, self._gaps)
        return "".join(lines).encode()

    def _missing(self, feed: Feed, told: dict[Place, Document]) -> list[str]:
        found: dict[Place, Document] = {
            (gap["author"], gap["channel"]): gap for gap in feed.missing(self._channel)
        }
        changed = [gap for place, gap in found.items() if told.get(place) != gap]
        changed += [{**gap, "count": 0} for place, gap in told.items() if place not in found]
        told.clear()
        told.update(found)
        return [self._line("missing", gap) for gap in changed]

    def _line(self, what: str, document: Document) -> str:
        head = f'{{"jsonrpc":"2.0","method":"{what}","params":{{"subscription":{self.number},"{what}":'
        return f"{head}{encode(document)}}}}}\n"
