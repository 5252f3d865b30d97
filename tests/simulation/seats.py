"""People at the laptops of a simulated world, for what is written for `Home`s; and how they come to be in one group."""

from collections.abc import Callable, Mapping
from typing import Any

from meshd.events import Now, Wake
from meshd.node import Node
from meshd.store.carry import Carry
from meshd.store.log import Log
from tests.simulation.machine import Machine
from tests.simulation.world import SECOND_MS, World

GROUP_NAME = "kitchen"
MEET_MS = 120 * SECOND_MS


class Seat:
    """Somebody at a laptop."""

    def __init__(self, world: World, machine: Machine) -> None:
        self.world, self.machine = world, machine
        self.table = self

    @property
    def is_on(self) -> bool:
        return self.machine.node is not None

    @property
    def node(self) -> Node:
        return self.machine.on

    @property
    def carry(self) -> Carry:
        self.machine._carry.breaks = False  # power is cut in events, and what is said here is none
        return self.machine._carry

    @property
    def log(self) -> Log:
        self.machine._log.breaks = False
        return self.machine._log

    def now(self) -> Now:
        return self.machine.on.time.read(self.world.now(self.machine))

    def settle(self) -> None:
        self.world.handle(self.machine, Wake())

    def run(self, duration_ms: int) -> None:
        """What is said goes out by and by."""

    def ask(self, method: str, **params: Any) -> Mapping[str, Any]:
        """The document that answers a command at once; raises its CallerError."""
        cut_at, self.machine.cut_at = self.machine.cut_at, None  # the power goes later
        reply = self.world.replies[self.world.command(self.machine, method, **params)]
        self.machine.cut_at = cut_at
        if reply.error is not None:
            raise reply.error
        assert reply.result is not None
        return reply.result


def meet(world: World) -> None:
    """Everybody is in one group, whose first member asks the others in."""
    first, *others = world.machines
    for machine in world.machines:
        machine.segments = (1,)
        world.turn_on(machine)
    for machine in world.machines:
        for other in world.machines:
            if other is not machine:
                card = world.ask(other, "id.show")["card"]
                world.ask(machine, "contact.add", card=card, name=name_of(other))
    world.ask(first, "group.create", name=GROUP_NAME)
    guests = [name_of(each) for each in others]
    _until(
        world,
        lambda: all(
            each["invite"]
            for each in world.ask(first, "group.invite", group=GROUP_NAME, who=guests)["invites"]
        ),
    )
    for machine in others:
        _until(world, lambda m=machine: _accepts(world, m))  # type: ignore[misc]
    _until(
        world,
        lambda: all(
            len(world.ask(m, "group.members", group=GROUP_NAME)["members"]) == len(world.machines)
            for m in world.machines
        ),
    )


def name_of(machine: Machine) -> str:
    """What all others call somebody."""
    return f"n{machine.number}"


def _accepts(world: World, machine: Machine) -> bool:
    """Whether the invite is there, and taken."""
    number = world.command(machine, "group.accept", invite=GROUP_NAME)
    return world.replies[number].error is None


def _until(world: World, holds: Callable[[], bool]) -> None:
    begun_ms = world.now_ms
    while not holds():
        assert world.now_ms - begun_ms < MEET_MS, "they did not come together"
        world.run(5 * SECOND_MS)
