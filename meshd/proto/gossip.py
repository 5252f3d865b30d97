"""Gossip: passing fresh envelopes on, announcing the others, and asking for what was announced.

The rule: what is fresh (posted here, received as fresh, or fetched because it was announced as fresh and did not come)
goes at once to the eager links (`tree`) and as `have` to the others. What came by reconcile, or because somebody asked,
is announced to all and never pushed: they may be getting it elsewhere. Every new envelope is also acknowledged with a
`have` to who gave it. A `have` waits up to ANNOUNCE_MS for others to go with it; one of fresh envelopes only if another
went less than that ago. Nothing is announced or pushed to a peer that has said meanwhile that it holds it; but what was
given is acknowledged all the same, or who gives it twice (pushed, and because a round asked) would never hear of it.

An announced envelope that is not here has GRAFT_MS to come by itself. Then it is wanted from one of those who announced
it, and if that one does not give it within ANSWER_MS, from the next.

What may not be pushed, because the rate is used up (`rates`), is announced as *late*: it will not come by itself, so
that it is wanted at once. LATE_MAX of each source may be on the way, and while any is, all that follows of that source
is late too, or it would overtake them. A peer that says nothing of those of one source for ANSWER_MS does not want
them.

What a link is still to be given waits as arrival sequences in carry, never as bytes: fresh ones first, in turns of the
links they came from (`fair`), then what it asked for or was shown to lack: by rank, and of one rank the oldest arrival
first (protocol.md, "Gossip").
"""

from bisect import insort
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from meshd.limits import (
    ANNOUNCE_MS,
    ANNOUNCED_MAX,
    ANSWER_MS,
    GRAFT_MS,
    LATE_MAX,
    NAMED_AT_ONCE,
    OWED_MAX,
    WANTED_MS,
)
from meshd.proto.fair import Reference, Turns
from meshd.proto.message import LATE
from meshd.proto.rates import SharedBucket

Short = bytes  # the first 16 bytes of an envelope id
RANKS = 3  # of what a link is owed: two that go ahead, and the rest


@dataclass(slots=True)
class Late:
    """What came from one source and was told as late, and is not known to be there."""

    sequences: dict[Short, int]
    told_ms: int  # when one of them was told, wanted or known last


class Outflow:
    """What one link is still to be given. Times are monotonic milliseconds."""

    def __init__(self, mono_ms: int) -> None:
        self.is_open = False  # the peer's hello has come
        self.bucket = SharedBucket(mono_ms)
        self.fresh = Turns()
        self.asked: deque[Short] = deque()  # ids whose arrival sequences are not looked up yet
        self.announce_ms: int | None = None  # when something is to be announced
        self._announce: dict[Reference, bool] = {}  # → whether it is fresh
        self._receipts: list[Reference] = []  # of what the peer gave
        self._announced_ms = mono_ms - ANNOUNCE_MS  # when something was announced last
        self._gone_ms: dict[
            int, int
        ] = {}  # by arrival sequence, first ones first: when it went on its first way
        self._late: dict[int, Late] = {}  # by source
        self.fetched = Turns()  # late ones that the peer wants, by the first 16 bytes of their ids
        # By rank: arrival sequences, newest first, so that the oldest pops cheaply.
        self._owed: list[list[int]] = [[] for _ in range(RANKS)]
        self._owed_set: set[int] = set()

    def next_deadline(self) -> int | None:
        """When something is to be announced, or told as late because what was told before is not wanted."""
        deadlines = [late.told_ms + ANSWER_MS for late in self._late.values()] if self.fresh else []
        if self.announce_ms is not None:
            deadlines.append(self.announce_ms)
        return min(deadlines, default=None)

    # --- announced ---

    def announce(self, references: Iterable[Reference], mono_ms: int, *, fresh: bool) -> None:
        """Tell the peer of these, soon."""
        self._announce.update(dict.fromkeys(references, fresh))
        self._tell_at(max(mono_ms, self._announced_ms + ANNOUNCE_MS) if fresh else mono_ms + ANNOUNCE_MS)

    def acknowledge(self, references: Iterable[Reference], mono_ms: int) -> None:
        """Tell the peer, soon, that these are here which it gave: it may be waiting to hear it, so nothing that it says
        or gives meanwhile makes that superfluous."""
        self._receipts += references
        self._tell_at(mono_ms + ANNOUNCE_MS)

    def _tell_at(self, due_ms: int) -> None:
        if self.announce_ms is None or due_ms < self.announce_ms:
            self.announce_ms = due_ms

    def announced(self, mono_ms: int) -> tuple[list[Reference], list[Reference]]:
        """What is to be told now: fresh ones, others."""
        if self.announce_ms is None or mono_ms < self.announce_ms:
            return [], []
        announce, self._announce, self.announce_ms = self._announce, {}, None
        receipts, self._receipts = self._receipts, []
        self._announced_ms = mono_ms
        return (
            [each for each, fresh in announce.items() if fresh],
            receipts + [each for each, fresh in announce.items() if not fresh],
        )

    def known(self, reference: Reference, mono_ms: int) -> None:
        """The peer has this one: it need not be told of it or given it as fresh."""
        self._announce.pop(reference, None)
        self.fresh.discard(reference)
        for source, late in self._late.items():
            if (sequence := late.sequences.pop(reference[4:], None)) is not None:
                self._gone_ms.pop(sequence, None)
                late.told_ms = mono_ms
                if not late.sequences:
                    del self._late[source]
                break

    # --- fresh ---

    def forget_unwanted(self, mono_ms: int) -> None:
        """Wait no longer for what the peer was told as late and says nothing of."""
        for source in [each for each, late in self._late.items() if mono_ms >= late.told_ms + ANSWER_MS]:
            del self._late[source]

    def next_push(self, parts: int, mono_ms: int) -> int | None:
        """The source whose next fresh one may be given unasked, if each has one of so many parts."""
        for source in self.fresh.sources():
            if source not in self._late and self.bucket.has_for(source, parts, mono_ms):
                return source
        return None

    def went(self, sequence: int, mono_ms: int) -> None:
        """This one was given on its first way."""
        while self._gone_ms and not self.is_under_way(first := next(iter(self._gone_ms)), mono_ms):
            del self._gone_ms[first]
        self._gone_ms[sequence] = mono_ms

    def is_under_way(self, sequence: int, mono_ms: int) -> bool:
        """Whether this one went so lately that a peer which asks for it, or lacks it, may not know."""
        return mono_ms < self._gone_ms.get(sequence, mono_ms - WANTED_MS) + WANTED_MS

    def push_is_lost(self) -> None:
        """The peer wants nothing pushed, and may have dropped what is under way."""
        self._gone_ms.clear()

    def next_late(self, mono_ms: int) -> list[Reference]:
        """Take out the next fresh ones, to be told of instead: of each source, unless enough of it are on the way."""
        told = []
        for source in self.fresh.sources():
            late = self._late.setdefault(source, Late({}, mono_ms))
            for reference, sequence in self.fresh.of(source, LATE_MAX - len(late.sequences)):
                self.fresh.discard(reference)
                late.sequences[reference[4:]] = sequence
                late.told_ms = mono_ms
                told.append(reference)
        return told

    # --- asked for ---

    def want(self, ids: list[Short], mono_ms: int) -> None:
        """The peer asks for these; late ones are given before all others."""
        rest = ids
        for source, late in self._late.items():
            if wanted := [(short, late.sequences[short]) for short in rest if short in late.sequences]:
                self.fetched.add(source, wanted)
                late.told_ms = mono_ms
                rest = [short for short in rest if short not in late.sequences]
        self.ask(rest)

    def ask(self, ids: list[Short]) -> None:
        """The peer lacks these; over OWED_MAX the rest waits for a later round."""
        room = OWED_MAX - len(self.asked) - len(self._owed_set)
        self.asked.extend(ids[: max(room, 0)])

    def owe(self, sequences: Sequence[int], rank: int = RANKS - 1) -> None:
        """Give these, in the order of their arrival here, behind all of a lower rank; what is owed already is not owed
        twice."""
        new = [sequence for sequence in sequences if sequence not in self._owed_set]
        self._owed_set.update(new)
        if len(new) < 8:
            for sequence in new:
                insort(self._owed[rank], sequence, key=lambda s: -s)
        else:
            self._owed[rank] = sorted(self._owed[rank] + new, reverse=True)

    def next_owed(self, most: int) -> list[int]:
        """What is to be given next, at most `most`."""
        first: list[int] = []
        for owed in self._owed:
            first += owed[: -(most - len(first)) - 1 : -1]
        return first

    def gave(self, count: int) -> None:
        """The first so many of `next_owed` are given, or carry lacks them by now."""
        for owed in self._owed:
            given = owed[max(len(owed) - count, 0) :]
            del owed[len(owed) - len(given) :]
            self._owed_set.difference_update(given)
            count -= len(given)

    def owing(self) -> bool:
        """Whether bulk waits for this link."""
        return bool(self.asked or self._owed_set or self.fetched)


class Announced:
    """What was announced and is not here: who announced it, first ones first, and when one of them is asked next. So
    many of each link and no more: an announcement costs nothing to invent."""

    def __init__(self) -> None:
        self._who: dict[Short, list[int]] = {}
        self._fresh: set[Short] = set()
        self._due: deque[tuple[int, Short]] = deque()  # earliest first
        self._counts: Counter[int] = Counter()  # by link

    def heard(self, short: Short, link: int, mono_ms: int, *, fresh: int) -> None:
        """This link announced an envelope that is not here; `fresh` as in `have`."""
        if self._counts[link] >= ANNOUNCED_MAX:
            return
        who = self._who.get(short)
        if who is None:
            who = self._who[short] = []
            if fresh != LATE:
                self._due.append((mono_ms + GRAFT_MS, short))
        if fresh:
            self._fresh.add(short)
        if link in who:
            return  # whoever says it again changes nothing, or each time it would be due once more
        self._counts[link] += 1
        if fresh == LATE:
            who.insert(0, link)
            self._due.appendleft((mono_ms, short))
        else:
            who.append(link)

    def due(self, mono_ms: int, wanted: "Wanted") -> Iterator[tuple[int, Short]]:
        """The link to ask now, and for what; what is wanted already comes, or is due `again`. NAMED_AT_ONCE are looked
        at and no more: the rest is due still."""
        for _ in range(NAMED_AT_ONCE):
            if not self._due or self._due[0][0] > mono_ms:
                return
            _, short = self._due.popleft()
            if short in wanted:
                continue
            who = self._who.get(short)
            if who:
                link = who.pop(0)
                self._uncount(link)
                yield link, short
            elif who is not None:
                self.came(short)

    def again(self, shorts: Iterable[Short], mono_ms: int) -> list[Short]:
        """Who was asked for these did not give them: ask the next; those that nobody else announced."""
        nowhere = []
        for short in shorts:
            if self._who.get(short):
                self._due.appendleft((mono_ms, short))
            else:
                self.came(short)
                nowhere.append(short)
        return nowhere

    def is_fresh(self, short: Short) -> bool:
        """Whether somebody announced it as fresh."""
        return short in self._fresh

    def came(self, short: Short) -> None:
        """It is here, or nowhere."""
        self._fresh.discard(short)
        for link in self._who.pop(short, ()):
            self._uncount(link)

    def closed(self, link: int) -> None:
        """This link gives nothing any more."""
        if self._counts[link]:
            for who in self._who.values():
                if link in who:
                    who.remove(link)
        del self._counts[link]

    def next_deadline(self) -> int | None:
        """When `due` has something."""
        return self._due[0][0] if self._due else None

    def _uncount(self, link: int) -> None:
        self._counts[link] -= 1
        if not self._counts[link]:
            del self._counts[link]


class Wanted:
    """What was asked for and has not come: each from one link, for so long; so many from each link and no more, so
    that one which announces what it does not give keeps nobody from what others have."""

    def __init__(self) -> None:
        self._asked: dict[Short, tuple[int, int]] = {}  # id → link and deadline
        self._deadlines: list[tuple[int, Short]] = []  # a heap; those of what came are passed over
        self._counts: Counter[int] = Counter()  # by link

    def ask(self, ids: Iterable[Short], link: int, most: int, deadline_ms: int) -> list[Short]:
        """Those of `ids` that nobody is being asked for, up to `most` awaited from this link in all; they count as
        asked from it until the deadline."""
        asked = []
        for short in ids:
            if self._counts[link] >= most:
                break
            if short not in self._asked:
                self._asked[short] = link, deadline_ms
                heappush(self._deadlines, (deadline_ms, short))
                self._counts[link] += 1
                asked.append(short)
        return asked

    def came(self, short: Short) -> None:
        """It is here."""
        self._forget(short)

    def gone(self, short: Short, link: int) -> bool:
        """It will not come from this link; False if this link was not asked for it."""
        if self._asked.get(short, (None, 0))[0] != link:
            return False
        self._forget(short)
        return True

    def closed(self, link: int) -> list[Short]:
        """Nothing comes from this link any more; what it had been asked for."""
        lost = [short for short, (asked, _) in self._asked.items() if asked == link]
        for short in lost:
            self._forget(short)
        return lost

    def __contains__(self, short: Short) -> bool:
        """Whether somebody is being asked for it."""
        return short in self._asked

    def count(self, link: int) -> int:
        """How many envelopes are still awaited from this link."""
        return self._counts[link]

    def expired(self, mono_ms: int) -> list[Short]:
        """Forget what did not come in time, NAMED_AT_ONCE at most, and return it."""
        late: list[Short] = []
        while len(late) < NAMED_AT_ONCE and (deadline_ms := self.next_deadline()) is not None:
            if deadline_ms > mono_ms:
                break
            _, short = heappop(self._deadlines)
            self._forget(short)
            late.append(short)
        return late

    def next_deadline(self) -> int | None:
        """When `expired` forgets something."""
        while self._deadlines:
            deadline_ms, short = self._deadlines[0]
            if self._asked.get(short, (0, 0))[1] == deadline_ms:
                return deadline_ms
            heappop(self._deadlines)
        return None

    def _forget(self, short: Short) -> None:
        if short in self._asked:
            link, _ = self._asked.pop(short)
            self._counts[link] -= 1
            if not self._counts[link]:
                del self._counts[link]
