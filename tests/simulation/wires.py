"""Simulated links: byte streams with latency and a rate, which clog, are cut, and end with or without notice.

The rule: a wire behaves as a TCP stream does to the production driver. Bytes arrive in order or not at all; an outbox
drains only as fast as the wire takes bytes; the core hears Drained once after what it sent, when the outbox is below
its fill mark; LinkClosed comes exactly once for each LinkOpened; a close that flushes gets CLOSE_MS for its last words;
an outbox that does not move for SEND_STALL_MS closes the link.

A wire that is *clogged* takes no bytes and tells nobody (a cable pulled, a laptop gone out of range, a peer that stops
reading). If it comes back in time, the stream goes on as if nothing had been.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from meshd.events import BytesReceived, Drained, Event, LinkClosed
from meshd.limits import CLOSE_MS, OUTBOX_FILL_SIZE, OUTBOX_SIZE_MAX, READ_SIZE_MAX, SEND_STALL_MS
from tests.simulation.machine import Machine

Schedule = Callable[..., None]  # delay_ms, function, arguments
Deliver = Callable[[Machine, int, Event], None]  # machine, boot, event


@dataclass(slots=True, eq=False)
class End:
    """One end of a wire, with what its machine still has to send."""

    machine: Machine
    boot: int
    link: int
    wire: "Wire"
    up: bool = True  # LinkClosed was not said yet
    closing: bool = False
    outbox: deque[bytes] = field(default_factory=deque)
    outbox_size: int = 0
    sending: bool = False
    owes_drained: bool = False
    moved_ms: int = 0  # when the outbox last moved, or began to fill

    @property
    def peer(self) -> "End":
        """The other end."""
        first, second = self.wire.ends
        return second if self is first else first


@dataclass(slots=True, eq=False)
class Wire:
    """A stream between two machines (or from one to itself)."""

    number: int
    latency_ms: int
    rate: int  # bytes a millisecond
    ends: list[End] = field(default_factory=list)
    clogged: bool = False


class Wires:
    """All wires of a world. Times come from `clock`, in milliseconds."""

    def __init__(self, schedule: Schedule, deliver: Deliver, clock: Callable[[], int]) -> None:
        self._schedule, self._deliver, self._clock = schedule, deliver, clock
        self._ends: dict[tuple[int, int], End] = {}  # machine and link number
        self._wires: dict[int, Wire] = {}
        self._made = 0
        self.delivered = 0  # bytes

    def all(self) -> list[Wire]:
        """Those with an end that is up, oldest first."""
        return list(self._wires.values())

    def make(self, dialler: Machine, acceptor: Machine, latency_ms: int, rate: int) -> Wire:
        """A new wire; its first end is the dialler's."""
        self._made += 1
        wire = Wire(self._made, latency_ms, rate)
        for machine in (dialler, acceptor):
            machine.links += 1
            end = End(machine, machine.boot, machine.links, wire)
            wire.ends.append(end)
            self._ends[machine.number, end.link] = end
        self._wires[wire.number] = wire
        return wire

    # --- bytes ---

    def send(self, machine: Machine, link: int, content: bytes) -> None:
        """Append to an outbox; AssertionError if the core overfills it."""
        end = self._ends.get((machine.number, link))
        if end is None or not end.up or end.closing:
            return
        assert end.outbox_size + len(content) <= OUTBOX_SIZE_MAX, (
            f"machine {machine.number}, link {link}: its outbox is full"
        )
        if not end.outbox:
            end.moved_ms = self._clock()
        end.owes_drained = True
        end.outbox.append(content)
        end.outbox_size += len(content)
        if not end.sending:
            end.sending = True
            self._schedule(0, self._pump, end)

    def _pump(self, end: End) -> None:
        """Put the next bytes onto the wire, as much as one read at the other side may take."""
        if not end.up or end.wire.clogged or not end.outbox:
            end.sending = False
            return
        chunk = bytearray()
        while end.outbox and len(chunk) < READ_SIZE_MAX:
            chunk += end.outbox.popleft()
        if len(chunk) > READ_SIZE_MAX:
            end.outbox.appendleft(bytes(chunk[READ_SIZE_MAX:]))
            del chunk[READ_SIZE_MAX:]
        self._schedule(len(chunk) // end.wire.rate, self._departed, end, bytes(chunk))

    def _departed(self, end: End, chunk: bytes) -> None:
        if not end.up:
            return
        end.outbox_size -= len(chunk)
        end.moved_ms = self._clock()
        self._schedule(end.wire.latency_ms, self._arrived, end.peer, chunk)
        if end.owes_drained and end.outbox_size < OUTBOX_FILL_SIZE and not end.closing:
            end.owes_drained = False
            self._deliver(end.machine, end.boot, Drained(end.link))
        if end.closing and not end.outbox:
            self._down(end, "closed")
        self._pump(end)

    def _arrived(self, end: End, chunk: bytes) -> None:
        if end.up and not end.closing:
            self.delivered += len(chunk)
            self._deliver(end.machine, end.boot, BytesReceived(end.link, chunk))

    # --- ends ---

    def close(self, machine: Machine, link: int, reason: str, flush: bool) -> None:
        """Close from one side, after its outbox is sent if `flush`."""
        end = self._ends.get((machine.number, link))
        if end is None or not end.up or end.closing:
            return
        if flush and end.outbox_size:
            end.closing = True
            self._schedule(CLOSE_MS, self._down, end, reason)
        else:
            self._down(end, reason)

    def _down(self, end: End, reason: str) -> None:
        if not end.up:
            return
        self._forget(end)
        self._deliver(end.machine, end.boot, LinkClosed(end.link, reason))
        if end.peer.up and not end.wire.clogged:
            self._schedule(end.wire.latency_ms, self._down, end.peer, "the stream ended")

    def _forget(self, end: End) -> None:
        end.up = False
        end.outbox.clear()
        end.outbox_size = 0
        del self._ends[end.machine.number, end.link]
        if not end.peer.up:
            del self._wires[end.wire.number]

    def sever(self, wire: Wire) -> None:
        """Cut a wire so that both sides notice (a reset)."""
        for end in wire.ends:
            self._down(end, "connection reset")

    def clog(self, wire: Wire) -> None:
        """The wire takes nothing any more, and nobody is told."""
        wire.clogged = True

    def unclog(self, wire: Wire) -> None:
        """The wire takes bytes again, if both ends still think it is there."""
        wire.clogged = False
        for end in wire.ends:
            if end.up and not end.peer.up:
                self._down(end, "connection reset")
            elif end.outbox and not end.sending:
                end.sending = True
                self._schedule(0, self._pump, end)

    def machine_off(self, machine: Machine, *, notice: bool) -> None:
        """A machine went off: its kernel resets its links, or (a flat battery) nobody is told."""
        for end in [end for (number, _), end in self._ends.items() if number == machine.number]:
            if not end.up:
                continue
            if not notice:
                end.wire.clogged = True
            self._forget(end)
            if notice and end.peer.up and not end.wire.clogged:
                self._schedule(end.wire.latency_ms, self._down, end.peer, "connection reset")

    def close_stalled(self) -> None:
        """Close what has not moved for too long; called once a second."""
        for end in list(self._ends.values()):
            if end.up and end.outbox_size and self._clock() - end.moved_ms >= SEND_STALL_MS:
                self._down(end, "it stopped reading")

    def end(self, machine: Machine, link: int) -> End | None:
        """The end that a machine knows as this link."""
        return self._ends.get((machine.number, link))
