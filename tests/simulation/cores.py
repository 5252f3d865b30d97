"""A plan on real cores: laptops with real files and links, which are parted, lose power and come back.

The rule: the very nodes of the other scenarios (`world`) are in a group, and some of them organise a plan of which all
cues hang on posts alone. People call, stand down, drill, release shares and propose other versions wherever their
laptop happens to be. Laptops tell of what fired at most once each, whatever became of their power. After healing all
show the same: which version stands, what fired and since when, what is stood down.
"""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from meshd.errors import CallerError
from meshd.events import Fired, Now, Wake
from meshd.node import Node
from meshd.plans.cue import Call
from meshd.plans.plan import Version
from meshd.statement import CALL, SHARE, SIGN_PLAN, STAND_DOWN
from meshd.store.carry import Carry
from meshd.store.log import Log
from tests.group_plans import BRIDGE, NOON, act, plans_of, propose
from tests.homes import Home
from tests.simulation.machine import Machine, Moment
from tests.simulation.world import SECOND_MS, World

MEET_MS = 120 * SECOND_MS
HEAL_MS = 300 * SECOND_MS


@dataclass(frozen=True)
class Cores:
    """One kind of plan."""

    about: str = "a plan on real cores, which are parted and lose power; all show the same after healing"
    nodes: int = 6
    organisers: int = 4
    steps: int = 40


class Figures(NamedTuple):
    """What came of one run, or of several: they add up."""

    said: int = 0
    refused: int = 0  # what could not be said
    versions: int = 0
    fired: int = 0  # on all laptops together, drills too
    stands: int = 0  # … after healing
    stood_down: int = 0
    starts: int = 0
    events: int = 0

    def plus(self, other: "Figures") -> "Figures":
        return Figures(*map(sum, zip(self, other, strict=True)))

    def __str__(self) -> str:
        return (
            f"{self.said} acts said, {self.refused} refused, {self.versions} versions, told {self.fired} times of what"
            f" fired, {self.stands} stand after healing, {self.stood_down} stood down; {self.starts} starts,"
            f" {self.events} events"
        )


class Seat:
    """Somebody at a laptop, for what is written for `Home`s."""

    def __init__(self, world: World, machine: Machine) -> None:
        self._world, self.machine = world, machine
        self.table = self

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
        return self.machine.on.time.read(self._world.now(self.machine))

    def settle(self) -> None:
        self._world.handle(self.machine, Wake())

    def run(self, duration_ms: int) -> None:
        """What is said goes out by and by."""


class Run:
    """One run, drawn from a seed."""

    def __init__(self, scenario: Cores, seed: int, folder: Path) -> None:
        self.scenario = scenario
        self.world = world = World(seed, scenario.nodes, folder, skew_ms=120 * SECOND_MS)
        self.rng = random.Random(f"cores {seed}")
        self.seats: list[Home] = [Seat(world, machine) for machine in world.machines]  # type: ignore[misc]
        self.heads = self.seats[: scenario.organisers]
        self.told = Counter[tuple[int, bytes, int, str, bool]]()
        self.said = self.refused = 0
        world.on_fired = self._on_fired

    def run(self) -> Figures:
        """All of it; AssertionError if anything that must hold does not."""
        self._meet()
        first = propose(self.seats[0], self.heads, self.seats[1:], people=self.seats, second=Call())
        self.world.run(30 * SECOND_MS)
        for head in self.heads[1:]:
            act(head, first, SIGN_PLAN)
        self.world.run(30 * SECOND_MS)
        chosen: list[Callable[[], None]] = self.rng.choices(
            (self._say, self._part, self._strike, self._propose), (20, 4, 6, 1), k=self.scenario.steps
        )
        for happens in chosen:
            happens()
            self.world.run(self.rng.randint(1, 40) * SECOND_MS)
            self._turn_on()
        self.world.heal()
        self.world.run(HEAL_MS)
        return self._outcome()

    # --- what happens ---

    def _meet(self) -> None:
        """Everybody is in one group, whose first member asks the others in."""
        world, (first, *others) = self.world, self.world.machines
        for machine in world.machines:
            machine.segments = (1,)
            world.turn_on(machine)
        for machine in world.machines:
            for other in world.machines:
                if other is not machine:
                    card = world.ask(other, "id.show")["card"]
                    world.ask(machine, "contact.add", card=card, name=f"n{other.number}")
        world.ask(first, "group.create", name="kitchen")
        guests = [f"n{each.number}" for each in others]
        self._until(
            lambda: all(
                each["invite"]
                for each in world.ask(first, "group.invite", group="kitchen", who=guests)["invites"]
            )
        )
        for machine in others:
            self._until(lambda m=machine: self._accepts(m))  # type: ignore[misc]
        self._until(
            lambda: all(
                len(world.ask(m, "group.members", group="kitchen")["members"]) == len(world.machines)
                for m in world.machines
            )
        )

    def _accepts(self, machine: Machine) -> bool:
        """Whether the invite is there, and taken."""
        number = self.world.command(machine, "group.accept", invite="kitchen")
        return self.world.replies[number].error is None

    def _until(self, holds: Callable[[], bool]) -> None:
        begun_ms = self.world.now_ms
        while not holds():
            assert self.world.now_ms - begun_ms < MEET_MS, "they did not come together"
            self.world.run(5 * SECOND_MS)

    def _say(self) -> None:
        """Some organisers say the same of what stands on their laptops; or a steward releases."""
        rng = self.rng
        purpose = rng.choice((CALL, CALL, CALL, STAND_DOWN, SIGN_PLAN, SIGN_PLAN, SHARE))
        name, is_drill = rng.choice((BRIDGE, NOON)), rng.random() < 0.3
        for seat in rng.sample(self.heads, rng.randint(1, len(self.heads))):
            if seat.machine.node is None:  # type: ignore[attr-defined]
                continue
            for version in plans_of(seat).versions():
                if purpose == SIGN_PLAN:
                    self._act(seat, version, purpose)
                elif purpose == SHARE:
                    self._act(seat, version, purpose, BRIDGE)
                else:
                    self._act(seat, version, purpose, name, is_drill=is_drill)

    def _act(
        self, seat: Home, version: Version, purpose: int, name: str = "", *, is_drill: bool = False
    ) -> None:
        try:
            act(seat, version, purpose, name, is_drill=is_drill)
        except CallerError:
            self.refused += 1
        else:
            self.said += 1

    def _propose(self) -> None:
        """Two propose what is to follow, who may not have heard of each other."""
        for seat in self.rng.sample(self.heads, 2):
            if seat.machine.node is None:  # type: ignore[attr-defined]
                continue
            standing = [
                each
                for each in plans_of(seat).versions()
                if plans_of(seat).state(each, seat.table.now()) == "active"
            ]
            for before in standing[:1]:
                seed = f"{self.world.now_ms} {seat.machine.number}"  # type: ignore[attr-defined]
                propose(
                    seat,
                    self.heads,
                    self.seats[1:],
                    people=self.seats,
                    second=Call(),
                    replaces=before,
                    seed=seed,
                )

    def _part(self) -> None:
        if self.rng.random() < 0.4:
            self.world.heal()
        else:
            side = [machine for machine in self.world.machines if self.rng.random() < 0.5]
            self.world.split([[], side], notice=self.rng.random() < 0.5)

    def _strike(self) -> None:
        machine = self.rng.choice(self.world.machines)
        if self.rng.random() < 0.5:
            self.world.cut_power(machine, self.rng.choice(list(Moment)))
        elif machine.node is not None:
            self.world.turn_off(machine)

    def _turn_on(self) -> None:
        for machine in self.world.machines:
            if machine.node is None:
                machine.cut_at = None
                self.world.turn_on(machine)

    # --- what must hold ---

    def _on_fired(self, machine: Machine, fired: Fired) -> None:
        key = machine.number, fired.plan, fired.version, fired.scenario, fired.drill
        self.told[key] += 1

    def _outcome(self) -> Figures:
        one, *others = [self._shown(seat) for seat in self.seats]
        for number, other in enumerate(others, start=1):
            assert other == one, f"machines 0 and {number} do not agree: {one} and {other}"
        watches = plans_of(self.seats[0]).watches()
        most = Counter(
            (w.version.plan_id, w.version.plan.number, w.version.plan.scenarios[place].name, drill)
            for w in watches
            for place in (0, 1)
            for drill in (False, True)
        )
        for (number, *what), times in self.told.items():
            assert times <= most[tuple(what)], f"machine {number} told {times} times of {what[2]}"  # type: ignore[index]
        stood_down = [each for _, *states in one for each in states if each[1] == "stood-down"]
        return Figures(
            self.said,
            self.refused,
            len(watches),
            sum(self.told.values()),
            sum(len(watch.stands) for watch in watches),
            len(stood_down),
            sum((machine.boot + 1) // 2 for machine in self.world.machines),
            self.world.events,
        )

    def _shown(self, seat: Home) -> list[tuple[tuple[object, ...], ...]]:
        """All that everybody must show alike, of every version."""
        plans, found = plans_of(seat), []
        for watch in sorted(plans.watches(), key=lambda watch: watch.version.id):
            version = watch.version
            states: list[tuple[object, ...]] = []
            for place, is_drill in ((0, False), (0, True), (1, False), (1, True)):
                state = plans.scenario_state(version, place, is_drill=is_drill)
                shown = (
                    "waits" if state in ("sealed", "open") else state
                )  # what is open differs: some organise
                states.append((place, shown, is_drill, plans.fired_ms(version, place, is_drill=is_drill)))
            found.append(((version.id.hex()[:8], plans.state(version, seat.table.now())), *states))
        return found
