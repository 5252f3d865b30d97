"""The driver: events into the core, effects out of it, and the clock between them.

The rule: everything that happens goes through `handle`, in one thread and one event at a time. The core gives out
the effects of an event in two parts, each when what it rests on is committed; the driver carries a part out in
order, hands all outboxes to the kernel once, and lets the core go on. Then it sleeps until the core's next
deadline, at which it sends Wake. An event that comes up while effects are carried out (a Renew is answered with
Listening) waits its turn.

Nothing is caught here: a DiskError or a bug of ours that comes out of the core ends the daemon, because what
was not committed must not be acted on.

A machine that slept says so itself: on Linux the boot clock counts suspended time and the monotonic clock
does not. When they part by more than SUSPENDED_MS the core hears NetworkChanged, as if the laptop had been
carried elsewhere, which it may have been.
"""

import math
import time
from collections import deque
from collections.abc import Callable

import trio

from meshd.daemon.rpc import Rpc
from meshd.events import (
    Advanced,
    CloseLink,
    Dial,
    Effect,
    Event,
    Fired,
    Listening,
    NetworkChanged,
    Now,
    Renew,
    Reply,
    ReplyBatch,
    Rest,
    SendBytes,
    Wake,
)
from meshd.net.discovery import Discovery
from meshd.net.link import Links
from meshd.node import Node

SUSPENDED_MS = 2_000  # clocks read one after the other differ by less; a shorter sleep changed nothing


def read_clock() -> Now:
    """The time, as the core wants it."""
    return Now(time.monotonic_ns() // 1_000_000, time.time_ns() // 1_000_000)


def read_suspended_ms() -> int:
    """How long this machine has been suspended since it booted; 0 where the system does not tell."""
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return 0
    return (time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns()) // 1_000_000


class Driver:
    """Runs one core. `handle` may be called from any task, and from within effects."""

    def __init__(
        self,
        node: Node,
        links: Links,
        discovery: Discovery,
        rpc: Rpc,
        clock: Callable[[], Now] = read_clock,
        suspended_ms: Callable[[], int] = read_suspended_ms,
        on_fired: Callable[[Fired], None] = lambda fired: None,
    ) -> None:
        self._node = node
        self._links = links
        self._discovery = discovery
        self._rpc = rpc
        self._clock = clock
        self._on_fired = on_fired
        self._read_suspended_ms = suspended_ms
        self._suspended_ms = suspended_ms()
        self._waiting: deque[Event] = deque()
        self._handling = False
        self._deadline_ms: int | None = None
        self._sleep = trio.CancelScope()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Start the core, then wake it whenever it asked for that."""
        self.handle(NetworkChanged())
        task_status.started()
        while True:
            with self._sleep:
                await trio.sleep_forever()
            self._sleep = trio.CancelScope()
            self._deadline_ms = None
            self.handle(Wake())

    def handle(self, event: Event) -> None:
        """Let the core have an event, and do what it answers."""
        self._waiting.append(event)
        if self._handling:
            return
        self._handling = True
        suspended_ms = self._read_suspended_ms()
        if suspended_ms - self._suspended_ms > SUSPENDED_MS:
            self._suspended_ms = suspended_ms
            self._waiting.appendleft(NetworkChanged())
        while self._waiting:
            now = self._clock()
            for effects in self._node.handle(self._waiting.popleft(), now):
                for effect in effects:
                    self._apply(effect)
                self._links.flush()
        self._handling = False
        self._set_alarm(now)

    def _apply(self, effect: Effect) -> None:
        match effect:
            case SendBytes(link, content):
                self._links.send(link, content)
            case Advanced():
                self._rpc.advance()
            case Fired():
                self._rpc.advance()  # who subscribed hears of it as well
                self._on_fired(effect)
            case Reply():
                self._rpc.answer(effect)
            case ReplyBatch():
                self._rpc.answer_batch(effect)
            case CloseLink(link, reason, flush):
                self._links.close(link, reason, flush)
            case Rest(link, resting):
                self._links.rest(link, resting)
            case Dial(address):
                self._links.dial(address)
            case Renew(instance, host, tag):
                addresses = self._links.renew()
                self._discovery.announce(instance, host, self._links.port, tag)
                self._waiting.append(Listening(addresses))

    def _set_alarm(self, now: Now) -> None:
        deadline_ms = self._node.next_deadline()
        if deadline_ms == self._deadline_ms:
            return
        self._deadline_ms = deadline_ms
        if deadline_ms is None:
            self._sleep.deadline = math.inf
        else:
            self._sleep.deadline = trio.current_time() + (deadline_ms - now.mono_ms) / 1000
