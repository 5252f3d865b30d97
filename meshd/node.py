"""The core: one event in, a list of effects out, everything it wrote committed in between.

The rule: `handle` is synchronous and reads no clock, no socket and no randomness but what it is given; two nodes that
are given the same events, times and randomness do the same. Each event is one transaction in each database it writes,
`carry` first. Effects come after the commit that they rest on: what links are told is in `carry`, so it goes out while
`log` still writes; answers, and the hint that the log has grown, come when both are on the disk. Effects are hints:
readers go on from a cursor in the log.

This file owns the links: which exist, where they lead, when they end. Which may stay is `door`'s, who is behind them
`recognition`'s, what is said over an open one `exchange`'s, what is taken in `intake`'s, whom to dial `proto.peers`',
and what clients ask for `commands`'.

A peer that breaks the protocol is dealt with in `_on_bytes`, or in `_go_on` if its question had to wait, and nowhere
else: its link is closed.
"""

import random
from collections.abc import Collection, Iterator, Sequence

from meshd import crypto
from meshd.author import Author
from meshd.commands import Commands
from meshd.directs import Directs
from meshd.door import Door
from meshd.envelope import Envelope, Sealed
from meshd.errors import CallerError, Code, DiskFull, PeerError
from meshd.events import (
    Advanced,
    BytesReceived,
    CloseLink,
    Command,
    CommandBatch,
    CommandCancelled,
    Dial,
    DialFailed,
    DiscoveryState,
    Drained,
    Effect,
    Event,
    LinkClosed,
    LinkEffect,
    LinkOpened,
    Listening,
    NetworkChanged,
    Now,
    PeerFound,
    PeerLost,
    SendBytes,
    Sighting,
    Stopping,
    Wake,
)
from meshd.exchange import Exchange
from meshd.hlc import Clock
from meshd.ids import Address, link_psk
from meshd.inbox import Inbox
from meshd.indexing import Indexing
from meshd.intake import Intake
from meshd.internet import Internet
from meshd.limits import DARK_AFTER_S, HALF_OPEN_MAX
from meshd.loading import load_own
from meshd.meshtime import MeshTime
from meshd.own_groups import OwnGroups
from meshd.own_plans import OwnPlans
from meshd.presence import Presence
from meshd.proto import message as msg
from meshd.proto import slots
from meshd.proto.keyset import KeySet
from meshd.proto.peers import Peers
from meshd.proto.session import Session, State
from meshd.recognition import Recognition
from meshd.room import Room
from meshd.store.carry import Carry
from meshd.store.log import Log
from meshd.upkeep import Upkeep
from meshd.vouching import Vouching
from meshd.witness import Witness


class Node:
    """A running meshd, as a state machine."""

    def __init__(
        self,
        carry: Carry,
        log: Log | None,
        *,
        rng: random.Random,
        entropy: crypto.Entropy,
        now: Now,
        verify_many: crypto.VerifyMany = crypto.verify_many,
        receipts: bool = False,
        dark_after_s: int = DARK_AFTER_S,
    ) -> None:
        """`log` is None while locked: all but reading and posting goes on. `receipts`: whether senders hear of us."""
        self.carry, self.log = carry, log
        self.rng, self.entropy, self._verify_many, self.receipts = rng, entropy, verify_many, receipts
        self._psk = link_psk(carry.network_key)
        self.time = MeshTime(now, carry.seen_ms())
        now = self.time.read(now)
        self.room = Room(carry, log)
        self.internet = Internet(carry.internet(), now, dark_after_s * 1000)
        self._load(now)
        self.peers = Peers(rng)
        for address in carry.addresses():
            self.peers.add_typed(Address.parse(address), now.mono_ms)
        self.commands = Commands(self)
        self.sessions: dict[int, Session] = {}
        self.addresses: dict[int, Address] = {}  # of the links in `sessions`
        self.opened_ms: dict[int, int] = {}  # wall time at which each open session opened
        self.listening: tuple[Address, ...] = ()
        self.discovery = DiscoveryState("off", False, "not started")
        self.presence, self.door = Presence(carry.network_key, entropy), Door(self)
        self._now, self._effects = now, list[Effect]()

    def _load(self, now: Now) -> None:
        """All that is in memory because it is on the disk: at the start, and when the disk was full."""
        self.keyset = KeySet(self.carry.keys())
        self.clock = Clock(self.log.last_hlc() if self.log else 0)
        self.intake = Intake(self.carry, self.log, self.keyset, self.clock, self._verify_many)
        self.indexing = Indexing(self.log)
        self.author: Author | None = None
        self.inbox: Inbox | None = None
        self.groups: OwnGroups | None = None
        self.vouching: Vouching | None = None
        self.witness: Witness | None = None
        self.directs: Directs | None = None
        self.plans: OwnPlans | None = None
        if self.log is not None:
            load_own(self, self.log, now)
        self.upkeep = Upkeep(self)
        self.recognition = Recognition(self.log, self.entropy, self._send)
        self.exchange = Exchange(self.carry, self.keyset, self.intake, self._send, self.emit, self.rng, now)
        self.exchange.giving.ahead = self._ahead
        self.exchange.receipts.follow(self.intake.own_living(now))

    # --- in and out ---

    def handle(self, event: Event, now: Now) -> Iterator[list[Effect]]:
        """Take one event in, and give out what is to be done about it in two parts: for links, and the rest. DiskError
        if nothing can be promised any more."""
        self._now = self.time.read(now)
        self.room.look_again(now.mono_ms)
        self.intake.is_shut = self.room.is_full
        try:
            self._act(event, self._now)
            self.carry.commit()
            self.room.is_carried = True
            told: list[Effect] = [effect for effect in self._effects if isinstance(effect, LinkEffect)]
            self._effects = [effect for effect in self._effects if not isinstance(effect, LinkEffect)]
            yield told
            if self.log is not None:
                self.log.commit()
            self.upkeep.committed()
        except DiskFull:
            self._on_full(event)
        effects, self._effects = self._effects, []
        yield effects

    def _act(self, event: Event, now: Now) -> None:
        """Take one event in; everything it writes waits for the commits."""
        match event:
            case BytesReceived():
                self._on_bytes(event)
            case Drained(link):
                if link in self.sessions:
                    self.sessions[link].drained()
            case LinkOpened():
                self._on_opened(event)
            case LinkClosed(link, reason):
                self._forget(link, reason)
            case DialFailed(address, reason):
                self.peers.failed(address, reason, now.mono_ms)
            case PeerFound():
                self._on_found(event)
            case PeerLost(instance):
                self.peers.lost(instance)
            case NetworkChanged():
                self._renew()
                self.internet.moved(now)
            case _ if isinstance(event, Sighting):
                self.internet.observe(event, now)
            case Listening(addresses):
                self.listening = addresses
            case DiscoveryState():
                self.discovery = event
            case Command():
                self.commands.take(event, now)
            case CommandBatch():
                self.commands.take_batch(event, now)
            case CommandCancelled(number):
                self.commands.cancel(number)
            case Stopping():
                self.close_all(msg.BYE_DONE, "this laptop is shutting down")
                if not self.room.is_full:
                    self.upkeep.note_time()
        self._go_on(self._now, is_wake=isinstance(event, Wake))

    def _go_on(self, now: Now, *, is_wake: bool) -> None:
        """What is due after every event; and at Wake, which comes after whatever else had happened, what can wait."""
        if not self.room.is_full:
            self.upkeep.go_on(now)
        for link, wrong in self.exchange.tick(now, all_heard=is_wake):
            self.hang_up(link, wrong)
        for link, session in list(self.sessions.items()):
            if now.mono_ms >= session.next_deadline() and (reason := session.tick(now.mono_ms)) is not None:
                self.hang_up(link, reason)
        links = self.sessions.values()
        for address in self.peers.due(slots.room(links), slots.wish(links), now.mono_ms):
            self.emit(Dial(address))
        for link, session in list(self.sessions.items()):
            if session.has_output() or self.exchange.giving.has_for(link):
                self._flush(link)
        self.commands.go_on(now)
        if self.intake.advanced is not None:
            self.emit(Advanced(self.intake.advanced))
            self.intake.advanced = None

    def _on_full(self, event: Event) -> None:
        """Nothing more fits on the disk: forget what this event made of us, as a start would. What links were told in
        it was not to be sent, so they end; they come again, and are given what is here."""
        self._effects = self.room.ran_out(event, self._effects, self._now.mono_ms)
        for link in list(self.sessions):
            self.hang_up(link, "the disk is full")
        self._load(self._now)
        self.intake.is_shut = True
        if isinstance(event, Command | CommandBatch) and not self.room.is_carried:
            self.commands.cancel(event.number)
            self._act(event, self._now)  # again, and nothing is written: who reads is answered

    def next_deadline(self) -> int | None:
        """When the next Wake is due, in monotonic milliseconds; None if only an event from outside can matter."""
        if self.exchange.unfinished:
            return self._now.mono_ms
        deadlines: list[int | None] = [self.exchange.next_deadline(), self.commands.next_deadline()]
        deadlines += [session.next_deadline() for session in self.sessions.values()]
        deadlines.append(self.room.retry_ms if self.room.is_full else self.upkeep.next_deadline(self._now))
        links = self.sessions.values()
        deadlines.append(self.peers.next_deadline(slots.wish(links)) if slots.room(links) > 0 else None)
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def emit(self, effect: Effect) -> None:
        """Have something done once this event is committed."""
        self._effects.append(effect)

    def publish(self, made: Sequence[Envelope | Sealed], now: Now) -> None:
        """Carry envelopes of our own, and pass them on."""
        self.exchange.posted(self.intake.add_own(made, now), now)

    def require_log(self) -> Log:
        """The log; CallerError(locked) while it is closed."""
        if self.log is None:
            raise CallerError(Code.locked, "the log is locked; open it with: mesh unlock")
        return self.log

    # --- links ---

    def _on_opened(self, event: LinkOpened) -> None:
        half_open = [link for link, session in self.sessions.items() if session.state is not State.OPEN]
        if len(half_open) >= HALF_OPEN_MAX:  # the oldest goes: an honest handshake takes milliseconds
            self.hang_up(half_open[0], "too many links in the handshake")
        self.addresses[event.link] = event.address
        if event.dialled:
            self.peers.dialled(event.address, event.link)
        self.sessions[event.link] = Session(
            dialled=event.dialled,
            static=self.presence.link_keys,
            psk=self._psk,
            entropy=self.entropy,
            mono_ms=self._now.mono_ms,
            greeting=lambda: self._greeting(event.link),
            unwanted=lambda link_key: self.door.unwanted(event.link, link_key),
        )

    def _greeting(self, link: int) -> tuple[msg.Message, ...]:
        """Hello, and tags by which contacts know us."""
        session = self.sessions[link]
        tags = self.recognition.greet(link, session.handshake_hash, dialled=session.dialled)
        return self.exchange.greet(link, self.addresses[link].host, self._now), tags

    def _on_bytes(self, event: BytesReceived) -> None:
        link, session = event.link, self.sessions.get(event.link)
        if session is None:
            return
        via = str(self.addresses[link])
        try:
            for message in session.receive(event.content, self._now.mono_ms):
                self._on_message(link, session, message, via)
                if link not in self.sessions:
                    return
        except PeerError as error:
            self.hang_up(link, str(error))
            return
        if session.hung_up is not None:
            self.hang_up(link, session.hung_up)

    def _on_message(self, link: int, session: Session, message: msg.Message, via: str) -> None:
        match message:
            case msg.Hello(versions) if msg.VERSION not in versions:
                self.hang_up(link, "no common version", bye=msg.BYE_VERSION)
            case msg.Hello():
                pass  # tags follow
            case msg.Tags(tags):
                self.recognition.heard(link, tags)
                if link not in self.opened_ms and session.hello is not None:
                    self._on_greeted(link, session, session.hello)
            case msg.Proof():
                self._on_proof(link, message)
            case msg.Bye(reason):
                known = reason < len(msg.BYE_REASONS)
                self.hang_up(link, msg.BYE_REASONS[reason] if known else "the peer said bye")
            case _:
                self.exchange.receive(link, message, via, self._now)

    def _on_greeted(self, link: int, session: Session, hello: msg.Hello) -> None:
        if not self.door.admit(link, self._now.mono_ms):
            return
        self.time.heard(link, hello.wall_hour, self._now.mono_ms)
        self._now = self.time.read(None)  # it may be the first who tells us
        self.opened_ms[link] = self._now.wall_ms
        self.peers.opened(link, self._now.mono_ms)
        self.exchange.opened(link, hello, session.handshake_hash, dialled=session.dialled, now=self._now)

    def _on_proof(self, link: int, proof: msg.Proof) -> None:
        if (identity := self.recognition.proved(link, proof)) is not None:
            self.time.recognised(link, identity)
            self.exchange.recognised(link)
            self.carry.shares.recognised(str(self.addresses[link]), identity)
            if self.log is not None and not self.room.is_full:
                self.log.contacts.met(identity)

    def _send(self, link: int, message: msg.Message) -> None:
        if (session := self.sessions.get(link)) is not None:
            session.send(message)

    def _ahead(self, link: int) -> Sequence[Collection[bytes]]:
        """What goes over a link before all else, if somebody is proven to be behind it (`held_plans`)."""
        contact = self.recognition.contact(link)
        return self.plans.ahead(contact) if self.plans is not None and contact is not None else ()

    def _flush(self, link: int) -> None:
        """Hand out what a session has to send, and fill it up while there is room."""
        session = self.sessions[link]
        self.exchange.giving.announce(link, self._now)
        while True:
            if content := session.take_output(self._now.mono_ms):
                self.emit(SendBytes(link, content))
            if not session.has_room() or not self.exchange.giving.fill(link, self._now):
                return

    def hang_up(self, link: int, reason: str, *, bye: int | None = None) -> None:
        """Close a link from our side."""
        session = self.sessions.get(link)
        if session is None:
            return
        if bye is not None:
            session.send(msg.Bye(bye))
            if content := session.take_output(self._now.mono_ms):
                self.emit(SendBytes(link, content))
        self.emit(CloseLink(link, reason, flush=bye is not None))
        self._forget(link, reason)

    def _forget(self, link: int, reason: str) -> None:
        session = self.sessions.pop(link, None)
        if session is None:
            return
        session.close()
        self.carry.shares.closed(str(self.addresses.pop(link)))
        self.opened_ms.pop(link, None)
        self.exchange.closed(link, self._now)
        self.recognition.closed(link)
        self.peers.closed(link, reason, self._now.mono_ms)

    def drop_address(self, address: Address) -> bool:
        """Give up an address that was typed in, and close its link; False if it is unknown."""
        target = self.peers.drop(str(address))
        if target is not None and target.link is not None:
            self.hang_up(target.link, "given up", bye=msg.BYE_DONE)
        return self.carry.drop_address(str(address))

    def close_all(self, bye: int, reason: str) -> None:
        """Say bye to everybody; `reason` is what our own side is told."""
        for link, session in list(self.sessions.items()):
            self.hang_up(link, reason, bye=bye if session.state is State.OPEN else None)

    # --- networks ---

    def _renew(self) -> None:
        """What one network saw of us is of no use on the next."""
        self.close_all(msg.BYE_MOVED, "this laptop changed networks")
        self.peers.network_changed(self._now.mono_ms)
        self.emit(self.presence.renew())

    def _on_found(self, event: PeerFound) -> None:
        if (addresses := self.presence.fellow(event)) is not None:
            first = self.presence.instance < event.instance
            self.peers.found(event.instance, addresses, first=first, mono_ms=self._now.mono_ms)
