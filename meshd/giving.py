"""Giving: what goes out to each open link, as it has room for it.

The rule: what waits for a link waits as references and arrival sequences; bodies are read from carry only when the link
has room, so that a slow link costs ids and no memory. What is fresh goes first, then what the peer fetches because it
was announced instead of pushed, and at last what the peer asked for or was shown to lack (protocol.md, "Exchange",
"Rates").

Of that, what is said about plans goes ahead to who is in their group (`ahead`), and all else oldest arrival first. It
is the order alone that differs: nothing goes before a round is through, and gives are as long as ever, so that nobody
on the way sees it. And nobody else is given in that order, because it tells what is a word about a plan.

All but what is fresh can wait: BULK_SIZE of it goes out, one give a link, before all links have their say again, and
who was given some waits until the others were. To announce something instead of pushing it counts as all of that: the
peer wants it at once, and peers that were told together would all ask at the same moment.
"""

from collections.abc import Callable, Collection, Sequence

from meshd import codec
from meshd.events import Now
from meshd.limits import BULK_SIZE, GIVE_SIZE_MAX, LOOK_UP_BUDGET
from meshd.proto.gossip import Outflow, Short
from meshd.proto.message import FRESH, LATE, Give, Gone, Have, Message, pieces
from meshd.proto.rounds import Rounds
from meshd.store.carry import Carry

_BATCH = 256  # bodies looked up at a time
_FETCHED_BATCH = 64  # … of what is on its first way: within it, one source may go before another


class Giving:
    """Owns what every open link is still to be given and told."""

    def __init__(self, carry: Carry, rounds: Rounds, send: Callable[[int, Message], None]) -> None:
        self._carry, self._rounds, self._send = carry, rounds, send
        self.outflows: dict[int, Outflow] = {}
        self.ahead: Callable[[int], Sequence[Collection[Short]]] = lambda link: ()  # … of a link, by rank
        self._bulk_left = BULK_SIZE  # bytes, until all links had their say again
        self._served: set[int] = set()  # links that were given some, while others wait for it
        self.sent = 0  # envelopes

    def tick(self, now: Now, *, all_heard: bool) -> None:
        """An event ends. If `all_heard`, some bulk may be given again, and the next slice of what some link asked for
        is looked up. It is given when all is found."""
        for outflow in self.outflows.values():
            outflow.forget_unwanted(now.mono_ms)
        if not all_heard:
            return
        if self._bulk_left > 0:
            self._served.clear()  # nobody waits
        self._bulk_left = BULK_SIZE
        for link, outflow in self.outflows.items():
            if outflow.asked:
                ids = [outflow.asked.popleft() for _ in range(min(LOOK_UP_BUDGET, len(outflow.asked)))]
                for rank, going in enumerate(self.ahead(link)):
                    if some := [each for each in ids if each in going]:
                        outflow.owe(self._carry.find(some)[0], rank)
                found, absent = self._carry.find(ids)
                outflow.owe(found)
                for piece in pieces(absent):
                    self._send(link, Gone(piece))
                break  # one slice, whoever it is for

    @property
    def unfinished(self) -> bool:
        """Whether there is more to look up, or to give to a link that has room, at once."""
        return bool(self._served) or any(outflow.asked for outflow in self.outflows.values())

    def next_deadline(self) -> int | None:
        """When something is to be told to a link, in monotonic milliseconds."""
        deadlines = [outflow.next_deadline() for outflow in self.outflows.values() if outflow.is_open]
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def announce(self, link: int, now: Now) -> None:
        """Send what is due to be announced to a link."""
        outflow = self.outflows.get(link)
        if outflow is not None and outflow.is_open:
            for fresh, references in zip((FRESH, 0), outflow.announced(now.mono_ms), strict=True):
                for piece in pieces(references):
                    self._send(link, Have(fresh, piece))

    def has_for(self, link: int) -> bool:
        """Whether anything waits to be announced or given to a link."""
        outflow = self.outflows.get(link)
        return outflow is not None and (
            outflow.announce_ms is not None or bool(outflow.fresh) or outflow.owing()
        )

    def has_no_room(self, link: int, now: Now) -> bool:
        """Whether something that may be pushed to a link waits all the same."""
        return self.outflows[link].next_push(self._parts(), now.mono_ms) is not None

    def _parts(self) -> int:
        return max(len(self.outflows) - 1, 1)

    def fill(self, link: int, now: Now) -> bool:
        """Send something to a link that has room; False if there is nothing to send now."""
        outflow = self.outflows.get(link)
        if outflow is None:
            return False
        if outflow.fresh and self._push(link, outflow, now):
            return True
        if self._bulk_left <= 0 or link in self._served:
            return False
        if outflow.fresh and self._tell(link, outflow, now):
            return True
        if outflow.fetched:
            fetched = outflow.fetched.first(_FETCHED_BATCH)
            left = set(self._give(link, sorted(sequence for _, sequence in fetched), now))
            for reference, sequence in fetched:
                if sequence not in left:
                    outflow.fetched.discard(reference)
                    outflow.went(sequence, now.mono_ms)
            return True
        # A round of several steps finds what is lacking bit by bit: its order is known when the round is through.
        found_all = not outflow.asked and not self._rounds.is_open(link)
        if found_all and (owed := outflow.next_owed(_BATCH)):
            outflow.gave(len(owed) - len(self._give(link, owed, now)))
            return True
        return False

    def _push(self, link: int, outflow: Outflow, now: Now) -> bool:
        """Give the next fresh ones unasked, as many as the rate allows; False if it allows none."""
        fitting: list[bytes] = []
        size = 0
        parts = self._parts()
        while (source := outflow.next_push(parts, now.mono_ms)) is not None:
            _, sequence = outflow.fresh.peek(source)
            read = self._carry.read([sequence])  # one by one, as they are few: the rate sees to that
            raw = read[0][1] if read else b""  # carry lacks it by now
            if not outflow.fresh.fits(source, len(raw)):
                continue
            if fitting and size + len(raw) + 2 > GIVE_SIZE_MAX:
                break
            if raw and not outflow.bucket.take(source, parts, len(raw), now.mono_ms):
                break
            outflow.fresh.take(source, len(raw))
            if raw:
                outflow.went(sequence, now.mono_ms)
                fitting.append(raw)
                size += len(raw) + 2
        if fitting:
            self.sent += len(fitting)
            self._send(link, Give(FRESH, codec.join(fitting)))
        return bool(fitting)

    def _tell(self, link: int, outflow: Outflow, now: Now) -> bool:
        """Announce the next fresh ones, because they will not be pushed; False if enough of them are on the way."""
        late = outflow.next_late(now.mono_ms)
        if late:
            self._bulk_left = 0
            self._served.add(link)
        for piece in pieces(late):
            self._send(link, Have(LATE, piece))
        return bool(late)

    def _give(self, link: int, sequences: list[int], now: Now) -> list[int]:
        """Send what fits into one give, in this order; returns the sequences that did not. What carry lacks by now, or
        went on its first way meanwhile, is left out."""
        outflow = self.outflows[link]
        fitting: list[bytes] = []
        left: list[int] = []
        size = 0
        bodies = dict(self._carry.read(sequences))
        for place, sequence in enumerate(sequences):
            if (raw := bodies.get(sequence)) is None or outflow.is_under_way(sequence, now.mono_ms):
                continue
            size += len(raw) + 2
            if fitting and size > GIVE_SIZE_MAX:
                left = sequences[place:]
                break
            fitting.append(raw)
        self._served.add(link)
        if fitting:
            self._bulk_left -= sum(map(len, fitting))
            self.sent += len(fitting)
            self._send(link, Give(0, codec.join(fitting)))
        return left
