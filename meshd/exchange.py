"""The exchange of envelopes over open sessions: reconcile, have, want, give, gone.

The rule: this is where the set meets the links. It decides what is sent to whom and hands messages to `send`; it
never touches bytes of a link. Bodies are read from carry only when a link has room for them, so that a slow link costs
ids and no memory. What is given by a link is taken in through `Intake` and passed on by the rules of gossip
(protocol.md, "Exchange").
"""

import random
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from meshd import codec
from meshd.errors import PeerError
from meshd.events import Effect, Now
from meshd.giving import Giving
from meshd.ids import REFERENCE_SIZE, key_reference
from meshd.ingress import Ingress
from meshd.intake import Intake
from meshd.limits import (
    ANNOUNCED_MAX,
    ANSWER_MS,
    CONTACT_FACTOR,
    ENVELOPE_SIZE_MAX,
    EXPIRES_SOON_S,
    EXPIRY_AHEAD_HOURS_MAX,
    EXPLORE_MS,
    JITTERED_ROUND_OF,
    MESSAGE_SIZE_MAX,
    RECONCILE_FRAME_SIZE,
    REFERENCES_MAX,
    WANTED_MS,
    WANTS_MAX,
)
from meshd.post import HOUR_MS
from meshd.proto.fair import OWN
from meshd.proto.gossip import Announced, Outflow, Wanted
from meshd.proto.keyed import KeyedRounds
from meshd.proto.keyset import KeySet
from meshd.proto.message import (
    SHORT_ID_SIZE,
    VERSION,
    Give,
    Gone,
    Have,
    Hello,
    Keyed,
    Message,
    Push,
    Reconcile,
    Want,
    pieces,
)
from meshd.proto.receipts import Receipts
from meshd.proto.reconcile import Difference, Initiator, respond
from meshd.proto.rounds import Rounds
from meshd.proto.slices import Given
from meshd.proto.tree import Tree
from meshd.store.carry import Carry


class Holding(NamedTuple):
    """What a hello tells of a set: from which hour on, how many, and their fingerprint."""

    floor_hour: int
    key_count: int
    fingerprint: bytes


class Exchange:
    """Owns what every open link is to be given, has been asked, and is being reconciled with."""

    def __init__(
        self,
        carry: Carry,
        keyset: KeySet,
        intake: Intake,
        send: Callable[[int, Message], None],
        emit: Callable[[Effect], None],
        rng: random.Random,
        now: Now,
    ) -> None:
        self._carry, self._keyset, self._intake, self._send = carry, keyset, intake, send
        self._rng = rng
        self.rounds = Rounds(rng, now.mono_ms)
        self.keyed = KeyedRounds(keyset, send, rng)
        self.tree = Tree()
        self._announced = Announced()
        self._wanted = Wanted()
        self.giving = Giving(carry, self.rounds, send)
        self._outflows = self.giving.outflows
        self.ingress = Ingress(emit)
        self._told: dict[int, Holding] = {}  # what our hello said, until the session is open
        self._floors: dict[int, int] = {}  # the floor hour that each peer last told
        self.receipts = Receipts(keyset)
        self._brought: Counter[int] = Counter()  # by link: new envelopes, those of long ago counting little
        self._halve_ms = now.mono_ms + EXPLORE_MS
        self.received = 0  # envelopes

    # --- links ---

    def floor_hour(self, now: Now) -> int:
        """The first hour that is compared: what expires within 15 minutes is left out; 0 for who has no time."""
        if not now.synced:
            return 0
        return (now.wall_ms + EXPIRES_SOON_S * 1000) // HOUR_MS + 1

    def holding(self, now: Now) -> Holding:
        """What we hold now, as a hello tells it."""
        floor_hour = self.floor_hour(now)
        first = self._keyset.rank(floor_hour.to_bytes(8, "big"))
        count, fingerprint = len(self._keyset) - first, self._keyset.fingerprint(first, len(self._keyset))
        return Holding(floor_hour, count, fingerprint)

    def greet(self, link: int, host: str, now: Now) -> Hello:
        """Our hello for a link to that host; what comes from now on is for it too, once its session is open."""
        self._outflows[link] = Outflow(now.mono_ms)
        self.ingress.opened(link, host, now)
        self.tree.opened(link)
        told = self._told[link] = self.holding(now)
        wall_hour = now.wall_ms // HOUR_MS if now.synced else 0
        return Hello(
            bytes((VERSION,)), 0, wall_hour, told.floor_hour, ENVELOPE_SIZE_MAX, MESSAGE_SIZE_MAX, *told[1:]
        )

    def opened(self, link: int, hello: Hello, handshake_hash: bytes, *, dialled: bool, now: Now) -> None:
        """A session is open: the side whose hello told of more asks first, the dialler if both told of as many."""
        told = self._told.pop(link)
        self._floors[link] = hello.floor_hour
        self._outflows[link].is_open = True
        equal = told == (hello.floor_hour, hello.key_count, hello.fingerprint)
        ask = not equal and (
            told.key_count > hello.key_count or (told.key_count == hello.key_count and dialled)
        )
        self.rounds.opened(link, ask=ask, mono_ms=now.mono_ms)
        self.keyed.opened(link, handshake_hash, dialled=dialled, mono_ms=now.mono_ms)

    def recognised(self, link: int) -> None:
        """A contact is behind this link: more may come, and go, unasked."""
        self._outflows[link].bucket.widen(CONTACT_FACTOR)
        self.ingress.recognised(link)

    def closed(self, link: int, now: Now) -> None:
        """A session is gone, with all that was queued for it."""
        self._outflows.pop(link, None)
        self.ingress.closed(link, now)
        self._told.pop(link, None)
        self._floors.pop(link, None)
        self.tree.closed(link)
        del self._brought[link]
        self._announced.closed(link)
        self._announced.again(self._wanted.closed(link), now.mono_ms)
        self.rounds.closed(link)
        self.receipts.closed(link)
        self.keyed.closed(link)

    # --- messages in ---

    def receive(self, link: int, message: Message, via: str, now: Now) -> None:
        """Act on a message of an open session; PeerError closes its link."""
        self.ingress.heard(link, now)
        match message:
            case Reconcile(answer=0):
                self._question(link, message, now)
            case Reconcile():
                self._answer(link, message, now)
            case Keyed():
                self.ingress.expect(link, now)
                self._found(link, self.keyed.receive(link, message, now.mono_ms), now)
            case Have(fresh, references):
                self.ingress.told(link, len(references) // REFERENCE_SIZE, now)
                self._have(link, fresh, references, now)
            case Want(ids):
                self.ingress.told(link, len(ids) // SHORT_ID_SIZE, now)
                self._outflows[link].want(codec.chop(ids, SHORT_ID_SIZE, REFERENCES_MAX), now.mono_ms)
            case Give(fresh):
                self._take(link, self.ingress.given(link, message, via, now), now)
                if fresh and self.tree.is_eager(link) and not self.ingress.may_push(link, now):
                    self.tree.silence(link)  # what it pushes is lost, and it may not know that
                    self._send(link, Push(0))
            case Gone(ids):
                for short in codec.chop(ids, SHORT_ID_SIZE, REFERENCES_MAX):
                    if self._wanted.gone(short, link):
                        self._announced.again([short], now.mono_ms)
            case Push(1):
                self.tree.brought(link)
            case Push():
                self.tree.silence(link)
                self._outflows[link].push_is_lost()

    def _take(self, link: int, given: Given, now: Now) -> None:
        """Take in what a link gave, and pass it on."""
        if not given.raws:
            return
        pushed = given.pushed
        taken = self._intake.take(given.raws, given.via, now)
        if taken.new:
            self.ingress.brought(link, now)
        self.received += len(taken.new)
        self._brought[link] += len(taken.new)
        receipt = [key_reference(key) for _, key in taken.new]
        fresh: list[tuple[int, bytes]] = []
        others: list[tuple[int, bytes]] = []
        for (sequence, _), reference in zip(taken.new, receipt, strict=True):
            is_fresh = pushed or self._announced.is_fresh(reference[4:])
            (fresh if is_fresh else others).append((sequence, reference))
        for reference in receipt + list(map(key_reference, taken.known)):
            self._wanted.came(reference[4:])
            self._announced.came(reference[4:])
            self._held_by(link, reference, now)
        if pushed and len(taken.known) > len(taken.new):
            if self.tree.repeated(link):
                self._send(link, Push(0))
        elif pushed and taken.new:
            self.tree.brought(link)
        if others:
            self.rounds.taking_in(link, now.mono_ms, len(others))
        self._spread(fresh, link, now)
        self._announce([other for other in self._outflows if other != link], others, now, fresh=False)
        if receipt:
            self._outflows[link].acknowledge(receipt, now.mono_ms)
        if taken.error is not None:
            raise taken.error

    def _have(self, link: int, fresh: int, references: bytes, now: Now) -> None:
        first_hour, last_hour = now.wall_ms // HOUR_MS, now.wall_ms // HOUR_MS + EXPIRY_AHEAD_HOURS_MAX
        for reference in codec.chop(references, REFERENCE_SIZE, REFERENCES_MAX):
            if self._keyset.starting_with(bytes(4) + reference) is not None:
                self._held_by(link, reference, now)
            elif not now.synced or first_hour < int.from_bytes(reference[:4], "big") <= last_hour:
                self._announced.heard(reference[4:], link, now.mono_ms, fresh=fresh)

    def _want_announced(self, now: Now) -> None:
        """Ask for what was announced and did not come, each from one of those who announced it."""
        by_link: dict[int, list[bytes]] = {}
        for link, short in self._announced.due(now.mono_ms, self._wanted):
            by_link.setdefault(link, []).append(short)
        for link, ids in by_link.items():
            asked = self._want(link, ids, ANNOUNCED_MAX, now.mono_ms + ANSWER_MS, now)
            left = set(ids).difference(asked)  # too much is awaited of this link already, or it was untimely
            self._announced.again([short for short in ids if short in left], now.mono_ms)
            fresh = any(map(self._announced.is_fresh, asked)) and self.ingress.may_push(link, now)
            if fresh and self.tree.graft(link):
                self._send(link, Push(1))

    def _want(self, link: int, ids: list[bytes], most: int, deadline_ms: int, now: Now) -> list[bytes]:
        """Ask for those of `ids` that nobody is being asked for; returns them."""
        timely = [short for short in ids if not self._intake.is_untimely(short, now)]
        asked = self._wanted.ask(timely, link, most, deadline_ms)
        if asked:
            self.ingress.wanted(link, len(asked), now)
        for piece in pieces(asked):
            self._send(link, Want(piece))
        return asked

    # --- reconcile ---

    def _begin(self, link: int, now: Now) -> None:
        """Ask a link whether our sets differ; not while envelopes are still on their way to it or from it."""
        waits = self._on_the_way(link) or self.giving.has_no_room(link, now)
        if waits or self.rounds.is_taking_in(now.mono_ms):
            self.rounds.postpone(link, now.mono_ms)
            return
        floor_hour = max(self.floor_hour(now), self._floors[link])
        initiator = Initiator(self._keyset, floor_hour, RECONCILE_FRAME_SIZE)
        jittered = not self._rng.randrange(JITTERED_ROUND_OF)
        opening = initiator.initiate(self._rng) if jittered else initiator.probe()
        begun = self.rounds.begin(link, floor_hour, now.mono_ms)
        begun.unheld = self.receipts.unheld(floor_hour)
        self._ask(link, begun.number, floor_hour, opening)

    def _on_the_way(self, link: int) -> bool:
        return self._outflows[link].owing() or bool(self._wanted.count(link))

    def _ask(self, link: int, number: int, floor_hour: int, payload: bytes) -> None:
        count = len(self._keyset) - self._keyset.rank(floor_hour.to_bytes(8, "big"))
        self._send(link, Reconcile(0, number, floor_hour, count, payload))

    def _question(self, link: int, question: Reconcile, now: Now, *, waited: bool = False) -> None:
        self._floors[link] = question.floor_hour
        count = len(self._keyset) - self._keyset.rank(question.floor_hour.to_bytes(8, "big"))
        if question.key_count > count and not waited and self.rounds.park(link, question, now.mono_ms):
            return
        answer = respond(self._keyset, question.floor_hour, question.payload, RECONCILE_FRAME_SIZE)
        if len(answer) > 1:
            self.ingress.expect(link, now)
        if question.key_count > count and len(answer) > 1:
            self.rounds.taking_in(link, now.mono_ms)
        self._send(link, Reconcile(1, question.round, self.floor_hour(now), count, answer))

    def _answer(self, link: int, answer: Reconcile, now: Now) -> None:
        self._floors[link] = answer.floor_hour
        current = self.rounds.current(link, answer.round)
        if current is None:
            return
        found = Initiator(self._keyset, current.floor_hour, RECONCILE_FRAME_SIZE).receive(answer.payload)
        self._found(link, found, now)
        current.found([key[8:] for key in found.have] + found.need)
        for key in found.have:
            current.unheld.pop(key_reference(key), None)
        if found.reply is None:
            self.rounds.ended(link, now.mono_ms)
            for reference in current.unheld:
                self._held_by(link, reference, now)
        else:
            self.rounds.stepped(link, now.mono_ms)
            self._ask(link, answer.round, current.floor_hour, found.reply)

    def _found(self, link: int, found: Difference, now: Now) -> None:
        self._outflows[link].ask([key[8:24] for key in found.have])
        need = [identity[:SHORT_ID_SIZE] for identity in found.need]
        self._want(link, need, WANTS_MAX, now.mono_ms + WANTED_MS, now)

    def tick(self, now: Now, *, all_heard: bool) -> list[tuple[int, str]]:
        """Begin the rounds that are due and answer who had to wait. If `all_heard`, because whatever had come from any
        link was handled before, it is the turn of what can wait: a slice of what was given, and of what was asked for.
        Returns the links to close, and why: what waited is only now seen to be malformed."""
        wrong = []
        if all_heard and (waited := self.ingress.turn(now)) is not None:
            try:
                self._take(*waited, now)
            except PeerError as error:
                wrong.append((waited[0], str(error)))
        self.ingress.let_rest(now)
        if self._announced.again(self._wanted.expired(now.mono_ms), now.mono_ms):
            self.rounds.all_due_soon(now.mono_ms)  # what was announced and never came may be had elsewhere
        self._want_announced(now)
        if now.mono_ms >= self._halve_ms:
            self._halve_ms = now.mono_ms + EXPLORE_MS
            self._brought = Counter({link: count // 2 for link, count in self._brought.items()})
        while (unparked := self.rounds.unparked(now.mono_ms)) is not None:
            try:
                self._question(*unparked, now, waited=True)
            except PeerError as error:
                wrong.append((unparked[0], str(error)))
        for link in self.rounds.due(now.mono_ms):
            self._begin(link, now)
        for link in self.keyed.due(now.mono_ms):
            if not self._on_the_way(link):
                self.keyed.begin(link, max(self.floor_hour(now), self._floors[link]))
        self.giving.tick(now, all_heard=all_heard)
        return wrong

    @property
    def unfinished(self) -> bool:
        """Whether `tick` has more to do at once."""
        return self.giving.unfinished

    def next_deadline(self) -> int | None:
        """When `tick` has something to do, in monotonic milliseconds."""
        deadlines = [
            self.rounds.next_deadline(),
            self._wanted.next_deadline(),
            self._announced.next_deadline(),
        ]
        deadlines += [self.keyed.next_deadline(), self.giving.next_deadline(), self.ingress.next_deadline()]
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    @property
    def sent(self) -> int:
        """How many envelopes were given away."""
        return self.giving.sent

    def usefulness(self, link: int) -> int:
        """How many envelopes came over this link first; those of long ago count little."""
        return self._brought[link]

    def busy(self, link: int, now: Now) -> bool:
        """Whether a round with this link, or what one found, is not finished."""
        outflow = self._outflows.get(link)
        if outflow is None:
            return False
        return self._on_the_way(link) or self.rounds.asking(link) or self.rounds.is_taking_in(now.mono_ms)

    # --- envelopes out ---

    def posted(self, new: list[tuple[int, bytes]], now: Now) -> None:
        """Spread posts of our own (arrival sequence, key), and count who holds them."""
        self.receipts.posted([key for _, key in new])
        self._spread([(sequence, key_reference(key)) for sequence, key in new], OWN, now)

    def _spread(self, new: list[tuple[int, bytes]], giver: int, now: Now) -> None:
        """Push what is fresh (arrival sequence, reference) to the eager links and announce it to the others."""
        for link, outflow in self._outflows.items():
            if new and link != giver and self.tree.is_eager(link):
                source = self.ingress.source(giver)
                outflow.fresh.add(source, [(reference, sequence) for sequence, reference in new])
        lazy = [link for link in self._outflows if not self.tree.is_eager(link) and link != giver]
        self._announce(lazy, new, now, fresh=True)

    def _announce(self, links: list[int], new: list[tuple[int, bytes]], now: Now, *, fresh: bool) -> None:
        if new:
            for link in links:
                self._outflows[link].announce((reference for _, reference in new), now.mono_ms, fresh=fresh)

    def _held_by(self, link: int, reference: bytes, now: Now) -> None:
        """This peer holds it: a receipt if it is ours, and nothing to tell it."""
        self._outflows[link].known(reference, now.mono_ms)
        self.receipts.held_by(link, reference)
