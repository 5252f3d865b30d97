"""The driver: effects in order, one event at a time, and awake when the core asked for it."""

from collections.abc import Iterator
from typing import Any

import pytest
import trio
import trio.testing

from meshd.daemon.driver import SUSPENDED_MS, Driver
from meshd.errors import DiskError
from meshd.events import (
    Advanced,
    CloseLink,
    Dial,
    Drained,
    Effect,
    Event,
    Fired,
    LinkClosed,
    Listening,
    NetworkChanged,
    Now,
    Renew,
    Reply,
    ReplyBatch,
    SendBytes,
    Wake,
)
from meshd.ids import Address

HERE = Address("192.0.2.1", 4040)


class World:
    """A fake of everything around a driver: a core that answers from a table, and a record of what was done."""

    def __init__(self) -> None:
        self.answers: dict[type[Any], list[Effect]] = {}  # the first part
        self.later: dict[type[Any], list[Effect]] = {}  # and the second
        self.deadlines: dict[type[Any], int | None] = {}
        self.deadline: int | None = None
        self.events: list[tuple[Event, int]] = []
        self.done: list[tuple[Any, ...]] = []
        self.suspended_ms = 0
        self.port = HERE.port
        self.driver = Driver(
            self,
            self,
            self,
            self,
            clock=self.now,
            suspended_ms=lambda: self.suspended_ms,  # type: ignore[arg-type]
            on_fired=lambda fired: self.done.append(("fired", fired)),
        )

    @staticmethod
    def now() -> Now:
        return Now(round(trio.current_time() * 1000), 1_800_000_000_000)

    # the core
    def handle(self, event: Event, now: Now) -> Iterator[list[Effect]]:
        self.events.append((event, now.mono_ms))
        if type(event) in self.deadlines:
            self.deadline = self.deadlines[type(event)]
        yield self.answers.get(type(event), [])
        if type(event) in self.later:
            self.done.append(("logged",))
            yield self.later[type(event)]

    def next_deadline(self) -> int | None:
        return self.deadline

    # links, discovery and clients
    def flush(self) -> None:
        self.done.append(("flush",))

    def renew(self) -> tuple[Address, ...]:
        self.done.append(("renew",))
        return (HERE,)

    def __getattr__(self, name: str) -> Any:
        if name not in ("send", "close", "dial", "announce", "answer", "answer_batch", "advance"):
            raise AttributeError(name)
        return lambda *values: self.done.append((name, *values))


async def test_effects_are_carried_out_in_order_and_flushed_once() -> None:
    world = World()
    reply, batch = Reply(1, {}), ReplyBatch(2, [])
    world.answers[Drained] = [
        SendBytes(1, b"a"), Advanced(7), reply, batch, Dial(HERE), SendBytes(1, b"b"), CloseLink(1, "bye", True),
    ]  # fmt: skip
    world.driver.handle(Drained(1))
    assert world.done == [
        ("send", 1, b"a"), ("advance",), ("answer", reply), ("answer_batch", batch), ("dial", HERE),
        ("send", 1, b"b"), ("close", 1, "bye", True), ("flush",),
    ]  # fmt: skip


async def test_what_links_are_told_is_on_its_way_while_the_log_still_writes() -> None:
    world = World()
    world.answers[Drained] = [SendBytes(1, b"a")]
    world.later[Drained] = [Advanced(7)]
    world.driver.handle(Drained(1))
    assert world.done == [("send", 1, b"a"), ("flush",), ("logged",), ("advance",), ("flush",)]


async def test_what_fired_is_told_to_who_subscribed_and_to_the_hook() -> None:
    world = World()
    fired = Fired(b"p" * 32, 1, "bridge", False, 7)
    world.later[Drained] = [fired]
    world.driver.handle(Drained(1))
    assert world.done == [("flush",), ("logged",), ("advance",), ("fired", fired), ("flush",)]


async def test_an_event_that_comes_up_while_effects_are_carried_out_waits_its_turn() -> None:
    world = World()
    world.answers[NetworkChanged] = [Renew("oak", "elm", "00"), SendBytes(1, b"last")]
    world.answers[Listening] = [SendBytes(1, b"after")]
    world.driver.handle(NetworkChanged())
    assert world.done == [
        ("renew",), ("announce", "oak", "elm", HERE.port, "00"), ("send", 1, b"last"), ("flush",),
        ("send", 1, b"after"), ("flush",),
    ]  # fmt: skip
    assert [event for event, _ in world.events] == [NetworkChanged(), Listening((HERE,))]


async def test_the_core_is_woken_at_its_deadline_and_never_before(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    world = World()
    world.deadlines = {NetworkChanged: 5_000, Wake: None}
    await nursery.start(world.driver.run)
    await trio.sleep(60)
    assert world.events == [(NetworkChanged(), 0), (Wake(), 5_000)]


async def test_an_earlier_or_later_deadline_replaces_the_former(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    world = World()
    world.deadlines = {NetworkChanged: 30_000, Drained: 2_000, LinkClosed: 9_000, Wake: None}
    await nursery.start(world.driver.run)
    await trio.sleep(1)
    world.driver.handle(Drained(1))
    world.driver.handle(LinkClosed(1, ""))
    await trio.sleep(60)
    assert [(type(event), at) for event, at in world.events][-1] == (Wake, 9_000)
    assert len(world.events) == 4


async def test_a_core_with_more_to_do_lets_others_run_between_two_wakes(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    world = World()
    world.deadlines = {NetworkChanged: 0}  # and every Wake leaves it at once
    await nursery.start(world.driver.run)
    for _ in range(50):
        await trio.lowlevel.checkpoint()
    assert 10 < len(world.events) < 60
    nursery.cancel_scope.cancel()


async def test_M08_a_machine_that_slept_has_changed_networks() -> None:
    world = World()
    world.suspended_ms = SUSPENDED_MS
    world.driver.handle(Drained(1))
    world.suspended_ms += SUSPENDED_MS
    world.driver.handle(Drained(2))
    world.driver.handle(Drained(3))
    assert [event for event, _ in world.events] == [Drained(1), NetworkChanged(), Drained(2), Drained(3)]


async def test_a_failing_disk_comes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()

    def fail(event: Event, now: Now) -> list[Effect]:
        raise DiskError("the disk said EIO")

    monkeypatch.setattr(world, "handle", fail)
    with pytest.raises(DiskError):
        world.driver.handle(Drained(1))
    assert world.done == []
