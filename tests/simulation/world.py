"""The simulated world: virtual time, laptops, the networks between them, and a hash over all that happens.

The rule: this is a second driver of the very `Node` that the daemon drives, with real files, handshakes and
encryption; only time, sockets and discovery are made up. All randomness comes from the seed, and nothing depends on the
order of sets or on hashes, so that a seed has one trace: the hash over every event and effect with its time and
machine. What happens at the same millisecond happens in the order in which it was scheduled.

Time moves only between events: a core takes no time to think. A laptop's wall clock is the world's plus its skew.

Discovery is modelled as what mDNS comes to: who is on a network (a segment) learns of the others on it after a moment,
a goodbye is heard by most, and a partition is silent. Addresses are `10.SEGMENT.x.y` with a random port on segments,
and a fixed one (`10.255.x.y:4040`) that others may have typed in.
"""

import heapq
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

from meshd.daykeys import key_day
from meshd.events import (
    Advanced,
    BytesReceived,
    CloseLink,
    Command,
    Dial,
    DialFailed,
    DiscoveryState,
    Effect,
    Event,
    Fired,
    LinkOpened,
    Listening,
    NetworkChanged,
    Now,
    PeerFound,
    PeerLost,
    Renew,
    Reply,
    SendBytes,
    Wake,
)
from meshd.ids import COMMONS_KEY, Address
from meshd.limits import DIAL_MS
from meshd.post import HOUR_MS
from tests.simulation.deliveries import Deliveries
from tests.simulation.machine import Machine, Moment, PowerCut
from tests.simulation.wires import Wire, Wires

EPOCH_MS = 1_790_000_000_000  # wall time at the beginning
BOOT_MS = 1_000_000  # monotonic time at the beginning
WAKES_MAX = 2_000  # at one millisecond, before a core counts as spinning
SECOND_MS = 1_000
GROUP, GROUP_KEY = (
    b"g" * 16,
    b"k" * 32,
)  # of the group in which some laptops are; how they got the key is not shown


class World:
    """Machines and what is between them. AssertionError when something that must always hold does not."""

    def __init__(
        self, seed: int, machines: int, folder: Path, *, rate: int = 2_000, skew_ms: int = 0
    ) -> None:
        """`rate`: bytes a millisecond on each wire; `skew_ms`: how far wall clocks are off at most."""
        self.seed = seed
        self.rng = random.Random(f"world {seed}")
        self.now_ms = 0
        self.events = 0
        self.rate = rate
        self.wires = Wires(self.after, self._deliver, lambda: self.now_ms)
        self.texts: dict[str, Machine] = {}  # every text anybody was told to post → its author
        self.replies: dict[int, Reply] = {}
        self.on_fired: Callable[[Machine, Fired], None] = lambda machine, fired: None
        self._commands: dict[int, tuple[Machine, str]] = {}
        self._queue: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._scheduled = 0
        self._trace = blake2b(digest_size=16)
        self._wakes: Counter[int] = Counter()  # of each machine, at this millisecond
        self._wakes_ms = 0
        self._routes: dict[Address, Machine] = {}
        self.machines = [
            Machine(number, folder / str(number), seed, COMMONS_KEY) for number in range(machines)
        ]
        self.deliveries = Deliveries(self.wires, self.machines)
        for machine in self.machines:
            self._routes[machine.address] = machine
            machine.skew_ms = self.rng.randint(-skew_ms, skew_ms)

    @property
    def trace(self) -> str:
        """The hash over everything so far."""
        return self._trace.hexdigest()

    # --- time ---

    def after(self, delay_ms: int, call: Callable[..., None], *arguments: Any) -> None:
        """Schedule a call."""
        self._scheduled += 1
        heapq.heappush(self._queue, (self.now_ms + delay_ms, self._scheduled, call, arguments))

    def run(self, duration_ms: int, every_second: Callable[[], None] | None = None) -> None:
        """Let time pass; `every_second` is called at each full second of it."""
        end_ms = self.now_ms + duration_ms
        while self.now_ms < end_ms:
            self._run_until(min(end_ms, self.now_ms - self.now_ms % SECOND_MS + SECOND_MS))
            if self.now_ms % SECOND_MS == 0:
                self.wires.close_stalled()
                if every_second is not None:
                    every_second()

    def _run_until(self, end_ms: int) -> None:
        while self._queue and self._queue[0][0] <= end_ms:
            self.now_ms, _, call, arguments = heapq.heappop(self._queue)
            call(*arguments)
        self.now_ms = end_ms

    def now(self, machine: Machine) -> Now:
        """The time as this machine has it."""
        return Now(BOOT_MS + self.now_ms, EPOCH_MS + self.now_ms + machine.skew_ms)

    # --- events in, effects out ---

    def handle(self, machine: Machine, event: Event) -> None:
        """One event of one machine, and its effects."""
        self.events += 1
        self._note(machine, event)
        try:
            for effects in machine.handle(event, self.now(machine)):
                for effect in effects:
                    self._note(machine, effect)
                    self._apply(machine, effect)
        except PowerCut:
            self.turn_off(machine, notice=self.rng.random() < 0.5)
            return
        self._set_alarm(machine)

    def _deliver(self, machine: Machine, boot: int, event: Event) -> None:
        self.after(0, self._deliver_now, machine, boot, event)

    def _deliver_now(self, machine: Machine, boot: int, event: Event) -> None:
        if machine.node is not None and machine.boot == boot:
            self.handle(machine, event)

    def _note(self, machine: Machine, what: Event | Effect) -> None:
        match what:
            case BytesReceived(link, content) | SendBytes(link, content):
                told = f"{self.now_ms} {machine.number} {type(what).__name__} {link} {len(content)}"
                self._trace.update(content)
            case _:
                told = f"{self.now_ms} {machine.number} {what}"
        self._trace.update(told.encode())

    def _set_alarm(self, machine: Machine) -> None:
        deadline_ms = machine.on.next_deadline()
        due_ms = None if deadline_ms is None else max(deadline_ms - BOOT_MS, self.now_ms)
        if due_ms != machine.alarm_ms:
            machine.alarm_ms = due_ms
            if due_ms is not None:
                self.after(due_ms - self.now_ms, self._wake, machine, machine.boot, due_ms)

    def _wake(self, machine: Machine, boot: int, due_ms: int) -> None:
        if machine.node is None or machine.boot != boot or machine.alarm_ms != due_ms:
            return
        if self._wakes_ms != self.now_ms:
            self._wakes_ms = self.now_ms
            self._wakes.clear()
        self._wakes[machine.number] += 1
        spins = self._wakes[machine.number] > WAKES_MAX
        assert not spins, f"machine {machine.number} spins: it wakes again and again at one moment"
        machine.alarm_ms = None
        self.handle(machine, Wake())

    def _apply(self, machine: Machine, effect: Effect) -> None:
        match effect:
            case SendBytes(link, content):
                self.wires.send(machine, link, content)
            case CloseLink(link, reason, flush):
                self.wires.close(machine, link, reason, flush)
            case Dial(address):
                self._dial(machine, address)
            case Renew():
                self._renew(machine, effect)
            case Reply():
                self._answered(effect)
            case Advanced():
                self.read_on(machine)
            case Fired():
                self.on_fired(machine, effect)

    def read_on(self, machine: Machine) -> None:
        """Let a machine's reader see what it has not; all of it must have been posted by who is named."""
        for identity, author, text in machine.read_on():
            writer = self.texts.get(text)
            assert writer is not None and writer.author == author, (
                f"machine {machine.number} shows {identity.hex()[:8]}, which nobody wrote"
            )
            self.deliveries.shown(text, machine, self.now_ms)

    # --- what people do ---

    def command(self, machine: Machine, method: str, **params: Any) -> int:
        """Ask a machine's core for something; the number under which `replies` gets the answer."""
        self._scheduled += 1
        number = self._scheduled
        self._commands[number] = machine, params.get("text", "")
        self.handle(machine, Command(number, method, params))
        return number

    def _answered(self, reply: Reply) -> None:
        self.replies[reply.number] = reply
        machine, text = self._commands.pop(reply.number)
        if text and reply.result is not None:
            machine.acknowledged[reply.result["id"]] = text

    def ask(self, machine: Machine, method: str, **params: Any) -> Mapping[str, Any]:
        """The document that a command answers at once."""
        result = self.replies[self.command(machine, method, **params)].result
        assert result is not None
        return result

    def post(self, machine: Machine, size: int = 0, channel: str = "plaza", **params: Any) -> None:
        """Post a text that nobody posted before, of at least `size` bytes."""
        text = f"post {len(self.texts)} ".ljust(size, ".")
        self.texts[text] = machine
        self.deliveries.posted(text, machine, self.now_ms)
        self.command(machine, "post", channel=channel, text=text, **params)

    # --- laptops ---

    def turn_on(self, machine: Machine) -> None:
        """Turn a laptop on, with the events that the daemon begins with; it listens to the plaza, and is in the group
        if it is a member."""
        machine.turn_on(self.now(machine))
        if machine.is_member and not machine.log.joined(GROUP):
            day = key_day(EPOCH_MS // HOUR_MS)
            machine.on.intake.sealing.join(GROUP, "kitchen", "group", GROUP * 2, day, GROUP_KEY)
        self.handle(machine, NetworkChanged())
        if machine.node is not None:
            self.command(machine, "channel.join", name="plaza")

    def turn_off(self, machine: Machine, *, notice: bool = True) -> None:
        """A laptop goes off; with `notice` its links are reset at once, else its peers find out by and by."""
        self.wires.machine_off(machine, notice=notice)
        if notice:
            self._goodbye(machine, machine.instance)
        machine.turn_off()

    def cut_power(self, machine: Machine, moment: Moment) -> None:
        """Let a laptop go off in the next event that comes to this moment."""
        machine.cut_at = moment

    def move(self, machine: Machine, segments: tuple[int, ...]) -> None:
        """Carry a laptop to other networks."""
        self._goodbye(machine, machine.instance)
        machine.segments = segments
        if machine.node is not None:
            for wire in self.wires.all():
                if any(end.machine is machine for end in wire.ends):
                    self.wires.sever(wire)
            self.handle(machine, NetworkChanged())

    # --- networks ---

    def _segment_address(self, machine: Machine, segment: int) -> Address:
        return Address(f"10.{segment}.{machine.number >> 8}.{machine.number & 255}", machine.port)

    def _renew(self, machine: Machine, renew: Renew) -> None:
        former = machine.instance
        machine.instance, machine.tag = renew.instance, renew.tag
        machine.port = self.rng.randrange(1024, 65536)
        if former:
            self._goodbye(machine, former)
        addresses = [machine.address, *(self._segment_address(machine, s) for s in machine.segments)]
        self._deliver(machine, machine.boot, Listening(tuple(addresses)))
        self._deliver(machine, machine.boot, DiscoveryState("announce", True, ""))
        self._announce(machine)

    def _announce(self, machine: Machine) -> None:
        """A machine and all others on its segments learn of each other, each in its own time; itself too."""
        for other in self.machines:
            if set(other.segments) & set(machine.segments):
                self.after(self.rng.randint(20, 500), self._found, machine, other, machine.instance)
                self.after(self.rng.randint(20, 500), self._found, other, machine, other.instance)

    def _found(self, machine: Machine, finder: Machine, instance: str) -> None:
        common = [segment for segment in machine.segments if segment in finder.segments]
        if machine.node is None or finder.node is None or machine.instance != instance or not common:
            return
        if machine.side == finder.side:
            addresses = tuple(self._segment_address(machine, segment) for segment in common)
            self.handle(finder, PeerFound(instance, machine.tag, addresses))

    def _goodbye(self, machine: Machine, instance: str) -> None:
        for other in self.machines:
            hears = other is not machine and other.node is not None and other.side == machine.side
            if hears and set(other.segments) & set(machine.segments) and self.rng.random() < 0.9:
                self._deliver(other, other.boot, PeerLost(instance))

    def _route(self, dialler: Machine, address: Address) -> Machine | None:
        """Who listens there, if a packet gets there."""
        found = self._routes.get(address)
        if found is None and address.host.count(".") == 3:
            _, segment, high, low = map(int, address.host.split("."))
            number = high << 8 | low
            found = self.machines[number] if number < len(self.machines) else None
            shared = found is not None and segment in found.segments and segment in dialler.segments
            if found is None or found.port != address.port or not shared:
                return None
        return found if found is not None and found.side == dialler.side else None

    def _dial(self, dialler: Machine, address: Address) -> None:
        latency_ms = self.rng.randint(1, 4)
        acceptor = self._route(dialler, address)
        if acceptor is None or acceptor.node is None:
            refused = acceptor is not None or self.rng.random() < 0.5
            delay_ms = 2 * latency_ms if refused else DIAL_MS
            reason = "connection refused" if refused else "it did not answer in time"
            self.after(delay_ms, self._deliver_now, dialler, dialler.boot, DialFailed(address, reason))
            return
        wire = self.wires.make(dialler, acceptor, latency_ms, self.rate)
        ours, theirs = wire.ends
        source = Address(dialler.address.host, 32_768 + wire.number % 28_000)
        accepted, dialled = LinkOpened(theirs.link, source, False), LinkOpened(ours.link, address, True)
        self.after(latency_ms, self._deliver_now, acceptor, acceptor.boot, accepted)
        self.after(2 * latency_ms, self._deliver_now, dialler, dialler.boot, dialled)

    def split(self, sides: Iterable[Iterable[Machine]], *, notice: bool) -> None:
        """Part the machines: sides hear nothing of each other; who is on none stays with the first."""
        self.deliveries.parted(self.now_ms)
        for machine in self.machines:
            machine.side = 0
        for number, side in enumerate(sides):
            for machine in side:
                machine.side = number
        for wire in self.wires.all():
            if wire.ends[0].machine.side != wire.ends[1].machine.side:
                (self.wires.sever if notice else self.wires.clog)(wire)

    def cut(self, wire: Wire, *, notice: bool) -> None:
        """End one link."""
        (self.wires.sever if notice else self.wires.clog)(wire)

    def heal(self) -> None:
        """No partition, nothing clogged, everybody on, and discovery hears everybody again."""
        for machine in self.machines:
            machine.side = 0
            machine.cut_at = None
        for wire in self.wires.all():
            self.wires.unclog(wire)
        for machine in self.machines:
            if machine.node is None:
                self.turn_on(machine)
            else:
                self._announce(machine)
