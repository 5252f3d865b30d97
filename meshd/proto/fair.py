"""Turns: who goes next on a link, when what is fresh came from several.

The rule is deficit round robin (Shreedhar and Varghese, 1995) by where it came from: each source has a queue of its
own and in each turn sends for TURN_SIZE bytes, and what it saves up for something longer it keeps until its next turn.
So a neighbour that brings much waits behind itself, and whoever brings one thing waits for one turn of each other
source at most (protocol.md, "Gossip").

A size is known only when the envelope is read: `peek` shows what is next, and `fits` is told how long it is.
"""

from collections import OrderedDict
from collections.abc import Sequence
from itertools import islice, zip_longest

from meshd.limits import FRESH_MAX, TURN_SIZE

OWN = 0  # the source of our own posts: links have other numbers

Reference = bytes  # expiry hour and the first 16 bytes of an envelope id


class Turns:
    """What waits for one link: references and arrival sequences, by the link they came from."""

    def __init__(self) -> None:
        self._queues: OrderedDict[int, dict[Reference, int]] = OrderedDict()  # whose turn it is, first
        self._credits: dict[int, int] = {}  # bytes that each may send in this turn or its next

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    def add(self, source: int, new: Sequence[tuple[Reference, int]]) -> None:
        """These came from that link; over FRESH_MAX they are left to a round."""
        queue = self._queues.setdefault(source, {})
        queue.update(new[: max(FRESH_MAX - len(queue), 0)])
        self._credits.setdefault(source, TURN_SIZE)
        self._drop_empty(source)

    def discard(self, reference: Reference) -> None:
        """This one need not go, if it waits."""
        for source, queue in self._queues.items():
            if queue.pop(reference, None) is not None:
                self._drop_empty(source)
                return

    def peek(self, source: int) -> tuple[Reference, int]:
        """The reference and sequence of what is next of one source."""
        return next(iter(self._queues[source].items()))

    def sources(self) -> list[int]:
        """All that something waits of, whose turn it is first."""
        return list(self._queues)

    def of(self, source: int, most: int) -> list[tuple[Reference, int]]:
        """The next of one source."""
        return list(islice(self._queues[source].items(), most))

    def first(self, most: int) -> list[tuple[Reference, int]]:
        """The next, one of each source in turn whatever their sizes are."""
        queues = [iter(queue.items()) for queue in self._queues.values()]
        rows = zip_longest(*queues)
        return list(islice((each for row in rows for each in row if each is not None), most))

    def fits(self, source: int, size: int) -> bool:
        """Whether what `peek` shows, of so many bytes, may go in this turn of its source; else others are next."""
        if self._credits[source] >= size:
            return True
        self._credits[source] += TURN_SIZE
        self._queues.move_to_end(source)
        return False

    def take(self, source: int, size: int) -> None:
        """Take out what `peek` shows, which fits."""
        queue = self._queues[source]
        self._credits[source] -= size
        del queue[next(iter(queue))]
        self._drop_empty(source)

    def _drop_empty(self, source: int) -> None:
        if not self._queues[source]:
            del self._queues[source], self._credits[source]
