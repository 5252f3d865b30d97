"""Nodes on one table: real files, no network, and strangers who may say anything.

The rule: `Table` holds the clock and carries bytes between ends without delay, one delivery after the other, so that a
test reads as what is said in what order. A `Home` is a node with its files and the effects that it left to others. A
`Stranger` is one end of a link with an honest session and whatever greeting and messages the test gives it; what the
node said to it is in `got`, and `down` tells why the node hung up.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from meshd import codec, crypto, envelope
from meshd.events import (
    BytesReceived,
    CloseLink,
    Command,
    Dial,
    Drained,
    Effect,
    Event,
    LinkClosed,
    LinkOpened,
    NetworkChanged,
    Now,
    Reply,
    SendBytes,
    Wake,
)
from meshd.ids import COMMONS_KEY, Address, link_psk, network_id, public_channel_id
from meshd.node import Node
from meshd.proto import message as msg
from meshd.proto.session import Session, State
from meshd.store.carry import Carry
from meshd.store.log import Log
from tests.wire import WALL_MS, hello

MONO_MS = 1_000_000
KEY = bytes(32)  # of the files
PLAZA = public_channel_id(network_id(COMMONS_KEY), "plaza")
HERE = Address("10.0.0.9", 40_000)


def key(raw: bytes) -> bytes:
    """The 40-byte key of an envelope."""
    parsed = envelope.parse(raw)
    assert parsed is not None
    return parsed.key


class End(Protocol):
    """What a link can lead to."""

    def receive(self, link: int, content: bytes) -> None: ...
    def closed(self, link: int, reason: str) -> None: ...


class Table:
    """Time, and the links between ends."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.passed_ms = 0
        self.skew_ms = 0  # of everybody's wall clock
        self.homes: list[Home] = []
        self.moved = 0  # bytes, by any link
        self._far: dict[
            tuple[int, int], tuple[End, int]
        ] = {}  # end and its link → the other end and its link
        self.shuffle: random.Random | None = None  # if set, links take turns at random
        self._queue: list[tuple[int, int, Callable[..., Any], tuple[Any, ...]]] = []  # end and link, and what
        self._links = 0

    def now(self) -> Now:
        return Now(MONO_MS + self.passed_ms, WALL_MS + self.passed_ms + self.skew_ms)

    def home(self, name: str = "", *, network_key: bytes = COMMONS_KEY, locked: bool = False) -> "Home":
        """A new home, its node started; name and keys from its number unless given."""
        number = len(self.homes)
        folder = self.folder / f"home{number}"
        folder.mkdir()
        seed = bytes((100 + number,)) * 32
        Carry.create(folder / "carry", KEY, network_key, "open", durable=False).close()
        Log.create(folder / "log", KEY, seed, name or f"home{number}", durable=False).close()
        made = Home(self, number, folder, locked)
        self.homes.append(made)
        made.start()
        return made

    def link(self, dialler: "Home", acceptor: "Home", address: Address = HERE) -> tuple[int, int]:
        """Open a link between two homes; its number on either side. Nothing is carried until `settle`."""
        ours, theirs = self.join(dialler, acceptor)
        acceptor.handle(LinkOpened(theirs, HERE, False))
        dialler.handle(LinkOpened(ours, address, True))
        return ours, theirs

    def join(self, first: End, second: End) -> tuple[int, int]:
        """Two fresh link numbers that lead to each other."""
        ours, theirs = self._links + 1, self._links + 2
        self._links += 2
        self._far[id(first), ours] = second, theirs
        self._far[id(second), theirs] = first, ours
        return ours, theirs

    def carry(self, end: End, link: int, content: bytes) -> None:
        """Bring bytes to the other end of a link, after what waits already."""
        if (far := self._far.get((id(end), link))) is not None:
            self.moved += len(content)
            self.after(far[0], far[1], far[0].receive, far[1], content)

    def cut(self, end: End, link: int, reason: str = "cut") -> None:
        """End a link; both sides are told."""
        far = self._far.pop((id(end), link), None)
        if far is not None:
            del self._far[id(far[0]), far[1]]
            self.after(end, link, end.closed, link, reason)
            self.after(far[0], far[1], far[0].closed, far[1], "the stream ended")

    def vanish(self, end: End, link: int) -> None:
        """End a link without anybody being told."""
        far = self._far.pop((id(end), link))
        del self._far[id(far[0]), far[1]]

    def far(self, end: End, link: int) -> tuple[End, int]:
        """Where a link leads to."""
        return self._far[id(end), link]

    def after(self, end: End, link: int, call: Callable[..., Any], *arguments: Any) -> None:
        """Call this once all is done that waits for the same end of the same link."""
        self._queue.append((id(end), link, call, arguments))

    def _next(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        place = 0
        if self.shuffle is not None:
            firsts: dict[tuple[int, int], int] = {}
            for number, (end, link, _, _) in enumerate(self._queue):
                firsts.setdefault((end, link), number)
            place = self.shuffle.choice(list(firsts.values()))
        return self._queue.pop(place)[2:]

    def settle(self) -> None:
        """Carry bytes until nobody has anything to say at this moment."""
        while True:
            while self._queue:
                call, arguments = self._next()
                call(*arguments)
            due = [home for home in self.homes if home.is_due()]
            if not due:
                return
            for home in due:
                home.handle(Wake())

    def settle_for(self, deliveries: int) -> None:
        """Make so many deliveries, or fewer if nothing is left to say."""
        for _ in range(deliveries):
            for home in self.homes:
                if not self._queue and home.is_due():
                    home.handle(Wake())
            if self._queue:
                call, arguments = self._next()
                call(*arguments)

    def run(self, ms: int) -> None:
        """Let time pass, from deadline to deadline."""
        end_ms = self.passed_ms + ms
        self.settle()
        while True:
            deadlines = [home.node.next_deadline() for home in self.homes if home.is_on]
            next_ms = min((d - MONO_MS for d in deadlines if d is not None), default=end_ms + 1)
            if next_ms > end_ms:
                break
            self.passed_ms = max(self.passed_ms, next_ms)
            self.settle()
        self.passed_ms = end_ms


class Home:
    """A node on the table. `effects` are those that are no one's business here; `dials` what it wants dialled."""

    def __init__(self, table: Table, number: int, folder: Path, locked: bool) -> None:
        self.table, self.number, self.folder, self.locked = table, number, folder, locked
        self.starts = 0
        self.is_on = False
        self.skew_ms = 0  # of its own wall clock
        self.effects: list[Effect] = []
        self.dials: list[Address] = []
        self.replies: dict[int, Reply] = {}
        self._commands = 0

    def start(self) -> None:
        """Open the files and start the node."""
        self.starts += 1
        self.carry, self.log = Carry(self.folder / "carry", KEY, False), Log(self.folder / "log", KEY, False)
        self.node = Node(
            self.carry,
            None if self.locked else self.log,
            rng=random.Random(f"{self.number} {self.starts}"),
            entropy=random.Random(f"entropy {self.number} {self.starts}").randbytes,
            now=self.table.now(),
        )
        self.is_on = True
        self.handle(NetworkChanged())

    def stop(self) -> None:
        """Drop the node, its files and its links; what it did not commit is gone."""
        for link in list(self.node.sessions):
            self.table.cut(self, link)
        self.is_on = False
        self.carry.close()
        self.log.close()

    # --- links ---

    def handle(self, event: Event) -> list[Effect]:
        """Let the node have an event; returns its effects, which are carried out already."""
        if not self.is_on:
            return []
        now = self.table.now()
        parts = self.node.handle(event, now._replace(wall_ms=now.wall_ms + self.skew_ms))
        effects = [effect for part in parts for effect in part]
        for effect in effects:
            match effect:
                case SendBytes(link, content):
                    self.table.carry(self, link, content)
                    self.table.after(self, link, self.drained, link)
                case CloseLink(link, reason):
                    self.table.cut(self, link, reason)
                case Dial(address):
                    self.dials.append(address)
                case Reply(number):
                    self.replies[number] = effect
                case _:
                    self.effects.append(effect)
        return effects

    def receive(self, link: int, content: bytes) -> None:
        self.handle(BytesReceived(link, content))

    def drained(self, link: int) -> None:
        self.handle(Drained(link))

    def closed(self, link: int, reason: str) -> None:
        self.handle(LinkClosed(link, reason))

    def is_due(self) -> bool:
        deadline = self.node.next_deadline() if self.is_on else None
        return deadline is not None and deadline <= self.table.now().mono_ms

    def open_links(self) -> list[int]:
        return [link for link, session in self.node.sessions.items() if session.state is State.OPEN]

    # --- clients ---

    def command(self, method: str, **params: Any) -> int:
        """Ask for something; the number of the answer in `replies`."""
        self._commands += 1
        self.handle(Command(self._commands, method, params))
        return self._commands

    def ask(self, method: str, **params: Any) -> Mapping[str, Any]:
        """The document that answers a command at once; raises its CallerError."""
        reply = self.replies[self.command(method, **params)]
        if reply.error is not None:
            raise reply.error
        assert reply.result is not None
        return reply.result

    def post(self, text: str, channel: str = "plaza", **params: Any) -> str:
        """Post; the id."""
        identity: str = self.ask("post", channel=channel, text=text, **params)["id"]
        return identity

    def texts(self, channel: str = "plaza") -> list[str]:
        """What `read` shows."""
        number = self.command("read", channel=channel, limit=10_000)
        self.table.settle()
        result = self.replies[number].result
        assert result is not None, self.replies[number].error
        return [post["text"] for post in result["posts"]]

    def raws(self) -> list[bytes]:
        """All envelopes that are carried, in the order of arrival."""
        return [raw for _, raw in self.carry.after(0, 10**6) if raw]


class Stranger:
    """One end of a link to a home, in the hands of the test."""

    def __init__(
        self,
        home: Home,
        *,
        seed: int = 7,
        dials: bool = True,
        network_key: bytes = COMMONS_KEY,
        static: tuple[bytes, bytes] | None = None,
        greeting: Sequence[msg.Message] | None = None,
        address: Address = HERE,
    ) -> None:
        """Dials the home (or is dialled by it), with an empty set unless the greeting says otherwise."""
        entropy = random.Random(f"stranger {seed}").randbytes
        said = (hello(), msg.Tags(bytes(msg.TAGS_SIZE))) if greeting is None else greeting
        self.table = home.table
        self.got: list[msg.Message] = []
        self.down: str | None = None
        self.session = Session(
            dialled=dials,
            static=static or crypto.x25519_keypair(entropy(32)),
            psk=link_psk(network_key),
            entropy=entropy,
            mono_ms=self.table.now().mono_ms,
            greeting=lambda: said,
        )
        self.link, self.home_link = self.table.join(self, home)
        home.handle(LinkOpened(self.home_link, address, not dials))
        self.flush()

    @property
    def is_open(self) -> bool:
        return self.session.state is State.OPEN and self.down is None

    def say(self, *messages: msg.Message) -> None:
        """Send, and let the table settle."""
        for message in messages:
            self.session.send(message)
        self.flush()
        self.table.settle()

    def give(self, *raws: bytes, fresh: bool = False) -> None:
        """Give envelopes."""
        self.say(msg.Give(int(fresh), codec.join(raws)))

    def flush(self) -> None:
        if content := self.session.take_output(self.table.now().mono_ms):
            self.table.carry(self, self.link, content)
        self.session.drained()

    def receive(self, link: int, content: bytes) -> None:
        self.got += self.session.receive(content, self.table.now().mono_ms)
        self.flush()

    def closed(self, link: int, reason: str) -> None:
        self.down = reason

    def heard(self, kind: type[Any]) -> list[Any]:
        """The messages of one kind that the home sent."""
        return [message for message in self.got if type(message) is kind]

    def given(self) -> list[bytes]:
        """The envelopes that the home gave."""
        return [raw for message in self.heard(msg.Give) for raw in codec.split(message.envelopes)]


def linked(home: Home, seed: int) -> Stranger:
    """A stranger whose link is open."""
    stranger = Stranger(home, seed=seed)
    home.table.settle()
    assert stranger.is_open
    return stranger
