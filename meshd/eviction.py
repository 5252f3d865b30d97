"""Eviction: what goes when carry is full, so that whoever floods pushes out what came the same way.

The rule: bodies may fill CARRY_SIZE_MAX, and the set may hold CARRY_IDS_MAX ids (protocol.md, "Room"). Room is made
before what is new is stored, so nothing goes in the event that brought it, in which it is passed on.

- **Bodies** go from the ingress whose bodies fill most: a stranger's, while strangers together have more than
  STRANGERS_PART, so that who comes by many hosts pushes out nothing that contacts brought. Of these sealed ones first,
  then those with the longest life left. Their ids stay in the set, or every round would bring them again.
- **Own posts** stay, and those of contacts and of own groups go when nothing else is left. Which they are is not in
  carry: it is told by the author, and by what our keys opened, and only `log` knows those. So a locked node takes
  bodies only from what came since its start, when nothing of ours did.
- **Ids** go when the set itself is full, from the ingress that has most, those without a body first; and that ingress
  brings nothing new until another has more. Rounds find such ids lacking again: this bound is there for the memory.

An ingress is a contact, a stranger's host or a bundle (`store.shares`).
"""

from collections.abc import Callable, Container, Iterable
from operator import attrgetter

from meshd import crypto, envelope
from meshd.limits import CARRY_IDS_MAX, CARRY_SIZE_MAX, EVICTED_AT_ONCE
from meshd.proto.keyset import KeySet
from meshd.store.carry import Carry
from meshd.store.log import Log
from meshd.store.shares import Share

FOREIGN, CONTACT, OWN = range(3)  # how close an envelope is: the closest goes last
_CLOSE_MIN = 64  # notes of them that are not worth a look at what is still carried
_ids: Callable[[Share], int] = attrgetter("ids")
_size: Callable[[Share], int] = attrgetter("size")


class Eviction:
    """Makes room in one carry."""

    def __init__(self, carry: Carry, log: Log | None, keyset: KeySet) -> None:
        self._carry, self._shares, self._log, self._keyset = carry, carry.shares, log, keyset
        self._since = carry.shares.begun if log is None else 0
        self._own = crypto.ed25519_keypair(log.seed)[0] if log is not None else b""
        self._close: dict[int, int] = {}  # arrival sequence → CONTACT or OWN, as far as it was looked at
        self._close_max = _CLOSE_MIN  # when those that are no longer carried are dropped from it

    def refuses(self, via: str) -> bool:
        """Whether what comes this way finds no place in the set, because what came this way before fills it."""
        return len(self._keyset) >= CARRY_IDS_MAX and self._shares.ingress(via) == self._fullest(_ids, ())

    def keep(self, sequences: Iterable[int]) -> None:
        """What arrived as these is ours."""
        for sequence in sequences:
            self._note(sequence, OWN)

    def make_room(self, size: int) -> None:
        """For so many more bytes of bodies, and for the ids that are in the set already."""
        for stays in (CONTACT, OWN):
            self._free(size, stays)
            self._thin(stays)

    def _free(self, size: int, stays: int) -> None:
        """Drop bodies until there is room for so many more bytes; what is as close as `stays` stays."""
        spent: list[int] = []  # ingresses with nothing left that may go
        while (over := self._shares.total.size + size - CARRY_SIZE_MAX) > 0:
            fullest = self._fullest(_size, spent)
            if fullest is None:
                return
            if not self._evict(fullest, over, stays):
                spent.append(fullest)

    def _thin(self, stays: int) -> None:
        """Drop ids until there are no more than there may be."""
        spent: list[int] = []
        while (over := len(self._keyset) - CARRY_IDS_MAX) > 0:
            fullest = self._fullest(_ids, spent)
            if fullest is None:
                return
            gone = self._carry.forget_evicted(fullest, over)
            for key in gone:
                self._keyset.remove(key)
            if not gone and not self._evict(fullest, 1, stays):
                spent.append(fullest)

    def _fullest(self, measure: Callable[[Share], int], spent: Container[int]) -> int | None:
        return self._shares.fullest(measure, since=self._since, without=spent)

    def _evict(self, ingress: int, size: int, stays: int) -> bool:
        """Drop bodies of one ingress until so many bytes are free, or some were looked at; False if none may go."""
        limit = EVICTED_AT_ONCE
        while True:
            first = self._carry.evictable(ingress, limit)
            open_ = [sequence for sequence in first if self._close.get(sequence, FOREIGN) < stays]
            raws = dict(self._carry.read(open_[:EVICTED_AT_ONCE]))
            going = []
            for sequence in open_[:EVICTED_AT_ONCE]:
                if size > 0 and self._closeness(sequence, raws[sequence]) < stays:
                    going.append((sequence, len(raws[sequence])))
                    size -= len(raws[sequence])
            if going:
                self._carry.evict(ingress, going)
                return True
            if len(first) < limit and len(open_) <= EVICTED_AT_ONCE:
                return False
            limit *= 2  # so many that stay are passed over

    def _closeness(self, sequence: int, raw: bytes) -> int:
        """Whose an envelope is, as far as it can be told: nobody who is locked can, nor from one that did not open."""
        if sequence not in self._close and self._log is not None:
            parsed = envelope.parse(raw)
            if isinstance(parsed, envelope.Envelope):
                author = parsed.post.author
                if author == self._own:
                    self._note(sequence, OWN)
                elif self._log.contacts.get(author).is_known:
                    self._note(sequence, CONTACT)
            elif parsed is not None and self._log.openings.known([parsed.key]):
                row = self._log.row(*self._log.openings.posts_of([parsed.key]))
                self._note(sequence, OWN if row is not None and row.own else CONTACT)
        return self._close.get(sequence, FOREIGN)

    def _note(self, sequence: int, closeness: int) -> None:
        self._close[sequence] = closeness
        if len(self._close) > self._close_max:
            carried = self._carry.with_bodies(list(self._close))
            self._close = {each: self._close[each] for each in carried}
            self._close_max = max(_CLOSE_MIN, 2 * len(carried))
