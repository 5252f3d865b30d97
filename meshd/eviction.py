"""Eviction: what goes when carry is full, so that whoever floods pushes out what came the same way.

The rule: bodies may fill CARRY_SIZE_MAX, and the set may hold CARRY_IDS_MAX ids (protocol.md, "Room"). Room is made
before what is new is stored, so nothing goes in the event that brought it, in which it is passed on.

- **Bodies** go from the ingress whose bodies fill most; of these sealed ones first, then those with the longest life
  left. Their ids stay in the set, or every round would bring them again.
- **Own posts** stay. Which are ours is in `log`; a locked node can't know, so it takes bodies only from what came
  since its start, when nothing of ours did.
- **Ids** go when the set itself is full, from the ingress that has most, those without a body first; and that ingress
  brings nothing new until another has more. Rounds find such ids lacking again: this bound is there for the memory.

An ingress is a host or a bundle (`store.shares`). What came by many hosts of one person is not seen to be one's.
"""

from collections.abc import Callable, Container, Iterable
from operator import attrgetter

from meshd.limits import CARRY_IDS_MAX, CARRY_SIZE_MAX, EVICTED_AT_ONCE, OWN_KEPT_MAX
from meshd.proto.keyset import KeySet
from meshd.store.carry import Carry
from meshd.store.log import Log
from meshd.store.shares import Share

_ids: Callable[[Share], int] = attrgetter("ids")
_size: Callable[[Share], int] = attrgetter("size")


class Eviction:
    """Makes room in one carry."""

    def __init__(self, carry: Carry, log: Log | None, keyset: KeySet) -> None:
        self._carry, self._shares, self._log, self._keyset = carry, carry.shares, log, keyset
        self._since = carry.shares.begun if log is None else 0
        self._own: dict[bytes, None] | None = None  # ids of our posts, oldest first; None until they matter

    def refuses(self, via: str) -> bool:
        """Whether what comes this way finds no place in the set, because what came this way before fills it."""
        return len(self._keyset) >= CARRY_IDS_MAX and self._shares.ingress(via) == self._fullest(_ids, ())

    def keep(self, ids: Iterable[bytes]) -> None:
        """These envelopes are ours."""
        if self._own is not None:
            self._own.update(dict.fromkeys(ids))
            while len(self._own) > OWN_KEPT_MAX:
                del self._own[next(iter(self._own))]

    def make_room(self, size: int) -> None:
        """For so many more bytes of bodies, and for the ids that are in the set already."""
        spent: list[int] = []  # ingresses with nothing left that may go
        while (over := self._shares.total.size + size - CARRY_SIZE_MAX) > 0:
            fullest = self._fullest(_size, spent)
            if fullest is None:
                break
            if not self._evict(fullest, over):
                spent.append(fullest)
        spent = []
        while (over := len(self._keyset) - CARRY_IDS_MAX) > 0:
            fullest = self._fullest(_ids, spent)
            if fullest is None:
                break
            gone = self._carry.forget_evicted(fullest, over)
            for key in gone:
                self._keyset.remove(key)
            if not gone and not self._evict(fullest, 1):
                spent.append(fullest)

    def _fullest(self, measure: Callable[[Share], int], spent: Container[int]) -> int | None:
        return self._shares.fullest(measure, since=self._since, without=spent)

    def _evict(self, ingress: int, size: int) -> bool:
        """Drop bodies of one ingress until so many bytes are free, or the next of them was looked at; False if
        it has none that may go."""
        kept = 0
        while rows := self._carry.evictable(ingress, EVICTED_AT_ONCE, kept):
            going = []
            for sequence, identity, freed in rows:
                if size <= 0:
                    break
                if self._is_own(identity):
                    kept += 1
                    continue
                going.append((sequence, freed))
                size -= freed
            if going:
                self._carry.evict(ingress, going)
                return True
        return False

    def _is_own(self, identity: bytes) -> bool:
        if self._log is None:
            return False
        if self._own is None:
            newest = self._log.own_living(0, OWN_KEPT_MAX)
            self._own = dict.fromkeys(key[8:] for key in reversed(newest))
        return identity in self._own
