"""Scenarios: which laptops there are, what happens to them, and what is demanded at the end.

The rule: a scenario is a row of numbers, and one run of one seed has three phases. The laptops start one by one and
settle; then people post while faults happen, with safety checked every second; then all faults end, and within
`heal_s` every laptop must have everything. At last the links must have settled to one for each pair.

Faults are drawn anew in every step (5 s) for each link and each laptop, with the probabilities of the row. "20 % loss
of links" means: in each step each link dies with p = 0.2, half of them without anybody being told.
"""

import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from meshd.limits import DEAD_MS, KEEP_HOURS
from tests.simulation.checks import Checks
from tests.simulation.growth import Growth
from tests.simulation.machine import Machine, Moment
from tests.simulation.world import EPOCH_MS, SECOND_MS, World

TEN_YEARS_MS = 3650 * 86_400_000
ROOM_SIZE = 8  # laptops of a room; below that many, everybody links to everybody
SETTLE_MS = 2 * DEAD_MS  # until corpses of links are noticed and what was dialled crosswise is settled


class Goal(NamedTuple):
    """What is demanded of a run besides that all converges."""

    copies: float  # envelopes sent for each one that was new
    slow_ms: int  # 99 of 100 deliveries to who is connected take no longer
    heal_ms: int  # from the end of a partition until the connected have all


@dataclass(frozen=True)
class Scenario:
    """One kind of day. Probabilities are for each link or laptop in each step."""

    about: str
    nodes: int
    topology: (
        str  # line: each types in the next · bridge: one network · rooms: a ring of networks · overlay: none
    )
    posts: int
    chaos_s: int
    heal_s: int = 120
    step_s: int = 5
    size: int = 0  # bytes of a text at least
    keep: str = ""  # how long posts are kept; else any of the classes
    typed: int = 0  # addresses of others (or its own) that each types in, though discovery may find them too
    loss: float = 0.0  # a link dies
    clogs: float = 0.0  # a link stops for one step
    churn: float = 0.0  # a laptop goes off, or on again
    crashes: float = 0.0  # a laptop's power is cut in the middle of an event; it is on again in the next step
    restores: float = 0.0  # a laptop is put back to an older copy of its files
    moves: float = 0.0  # a laptop is carried to another room
    splits: float = 0.0  # the laptops are parted in two at random, or joined again (once in each step)
    halves: bool = False  # parted in two halves from the beginning to the end
    parts_s: int = 0  # … in every other such stretch of time
    still_s: int = 0  # before anything happens
    goal: Goal | None = None
    rate: int = 2_000  # bytes a millisecond
    skew_ms: int = 0  # of wall clocks, at most
    jumps: float = 0.0  # a wall clock is set anew
    wrong: tuple[int, ...] = ()  # how far the wall clocks of the last laptops are off
    group: int = 0  # so many laptops, far apart, are in a group, and post to it as often as to everybody
    flat: bool = False  # what the cores keep in memory must not grow from the second quarter to the last


SCENARIOS = {
    "calm": Scenario("five laptops on one network", 5, "bridge", 20, 20, typed=1),
    "line": Scenario("six in a row, the links die", 6, "line", 60, 60, size=256, loss=0.1),
    "cut": Scenario("six in a row, parted in the middle while both sides post", 6, "line", 200, 60, size=256,
                    halves=True),
    "clog": Scenario("slow links that stop", 6, "bridge", 60, 60, size=12_000, clogs=0.3, rate=40),
    "crash": Scenario("power cuts in the middle of events", 6, "bridge", 60, 90, crashes=0.3, loss=0.1,
                      typed=1),
    "restore": Scenario("laptops put back to old copies of themselves", 6, "bridge", 60, 120, restores=0.1,
                        churn=0.1),
    "skew": Scenario("clocks that are off by up to ten minutes, and set", 6, "bridge", 40, 60, heal_s=900,
                     loss=0.1, skew_ms=600_000, jumps=0.1),
    "wrong": Scenario("clocks at 1970 and ten years ahead", 6, "bridge", 40, 60, loss=0.1, churn=0.05,
                      wrong=(-EPOCH_MS, TEN_YEARS_MS)),
    "night": Scenario("nine hours apart and together, while posts expire", 3, "bridge", 36, 9 * 3600,
                      step_s=900, keep="6h", splits=0.3, skew_ms=60_000),
    "flicker": Scenario("24 hours in a row whose links last seconds", 8, "line", 960, 24 * 3600, step_s=10,
                        keep="6h", loss=0.6, flat=True),
    "group": Scenario("three of eight in a row are in a group, the others carry what they can't read", 8, "line",
                      60, 60, loss=0.1, churn=0.05, crashes=0.1, group=3),
    "walk": Scenario("people carry posts from room to room", 24, "rooms", 30, 60, moves=0.1, splits=0.1),
    "crowd": Scenario("one network with more laptops than links", 24, "bridge", 10, 20, churn=0.05),
    "halves": Scenario("parted in two for 30 minutes", 100, "overlay", 40, 1800, halves=True, typed=3),
    "square": Scenario("a crowd in a square, parted every other minute, with 20 % loss of links", 200, "bridge",
                       120, 250, still_s=30, loss=0.2, churn=0.02, parts_s=60, goal=Goal(2.6, 700, 3_000)),
    "picnic": Scenario("the same crowd on a calm day", 200, "bridge", 60, 60, still_s=30,
                       goal=Goal(2.2, 700, 0)),
    "storm": Scenario("churn, partitions, crashes and 20 % loss of links", 100, "rooms", 40, 60, loss=0.2,
                      churn=0.05, crashes=0.02, moves=0.02, splits=0.3, typed=1),
}  # fmt: skip


class Outcome(NamedTuple):
    """What came of one run."""

    posts: int
    events: int
    converge_ms: int  # virtual time from healing until everybody had everything
    copies: float  # envelopes sent for each one that was new to who got it
    size: int  # bytes that arrived, all links together
    trace: str
    slow_ms: int  # the 99th percentile of deliveries to who was connected
    heals_ms: list[int]  # from the end of each partition until the connected had all


class Day:
    """One run of a scenario."""

    def __init__(self, scenario: Scenario, seed: int, folder: Path) -> None:
        self.scenario = scenario
        self.world = World(seed, scenario.nodes, folder, rate=scenario.rate, skew_ms=scenario.skew_ms)
        for machine, skew_ms in zip(reversed(self.world.machines), scenario.wrong, strict=False):
            machine.skew_ms = skew_ms
        self.checks = Checks(self.world)
        self._growth = Growth(scenario.chaos_s * SECOND_MS)
        self._rng = random.Random(f"day {seed}")
        self._rooms = max(2, scenario.nodes // ROOM_SIZE)
        self._parted = False
        self._heals_ms: list[int] = []

    def run(self) -> Outcome:
        """All three phases; AssertionError if anything that must hold does not."""
        self._begin()
        self._chaos()
        if self.scenario.flat:
            grown = self._growth.grown()
            assert not grown, f"memory grew: {grown}"
        converge_ms = self._heal()
        self.world.run(SETTLE_MS, self.checks.every_second)
        self.checks.one_link_a_pair()
        self.checks.everything_arrived()
        machines = self.world.machines
        for machine in machines:
            machine.turn_off()
        new = sum(machine.received for machine in machines)
        copies = sum(machine.sent for machine in machines) / max(new, 1)
        world = self.world
        delays = world.deliveries.delays_ms()
        slow_ms = delays[len(delays) * 99 // 100]
        goal = self.scenario.goal
        outcome = Outcome(
            len(world.texts),
            world.events,
            converge_ms,
            copies,
            world.wires.delivered,
            world.trace,
            slow_ms,
            self._heals_ms,
        )
        if goal is not None:
            assert copies <= goal.copies and slow_ms <= goal.slow_ms, outcome
            assert max(self._heals_ms, default=0) <= goal.heal_ms, outcome
        return outcome

    # --- phases ---

    def _begin(self) -> None:
        machines = self.world.machines
        self._part()
        for machine in machines:
            machine.segments = self._home(machine)
            machine.is_member = self._is_in_group(machine.number)
            self.world.turn_on(machine)
            others = [self._rng.choice(machines) for _ in range(self.scenario.typed)]
            if self.scenario.topology == "line":
                others += machines[machine.number + 1 : machine.number + 2]
            for other in others:
                self.world.ask(machine, "peer.add", address=str(other.address))
            self.world.run(self._rng.randint(1, 100), self.checks.every_second)
        self.world.run(self.scenario.still_s * SECOND_MS, self.checks.every_second)

    def _is_in_group(self, number: int) -> bool:
        """The first, the last, and those evenly between."""
        count, last = self.scenario.group, self.scenario.nodes - 1
        return number in [round(nth * last / (count - 1)) for nth in range(count)]

    def _home(self, machine: Machine) -> tuple[int, ...]:
        """The networks a laptop begins on, and comes back to."""
        if self.scenario.topology == "rooms":
            room = machine.number % self._rooms
            doorway = machine.number < self._rooms  # one of each room is in the next one, too
            return (1 + room, 1 + (room + 1) % self._rooms) if doorway else (1 + room,)
        return (1,) if self.scenario.topology == "bridge" else ()

    def _part(self) -> None:
        if self.scenario.halves:
            half = len(self.world.machines) // 2
            self.world.split([self.world.machines[:half], self.world.machines[half:]], notice=False)

    def _chaos(self) -> None:
        steps = self.scenario.chaos_s // self.scenario.step_s
        for step in range(steps):
            self._part_by_time(step * self.scenario.step_s)
            due = self.scenario.posts * (step + 1) // steps - self.scenario.posts * step // steps
            self._faults()
            if self.scenario.flat:
                machines = self.world.machines
                self._growth.look(machines[step % len(machines)], step * self.scenario.step_s * SECOND_MS)
            for _ in range(due):
                up = [machine for machine in self.world.machines if machine.node is not None]
                if up:
                    self._post(self._rng.choice(up))
                self.world.run(
                    self._rng.randint(1, self.scenario.step_s * SECOND_MS // (due + 1)),
                    self.checks.every_second,
                )
            rest_ms = self.scenario.step_s * SECOND_MS - self.world.now_ms % (
                self.scenario.step_s * SECOND_MS
            )
            self.world.run(rest_ms, self.checks.every_second)

    def _part_by_time(self, elapsed_s: int) -> None:
        """Part the crowd in two at every other stretch of time, join it again, and watch it heal."""
        parts_s = self.scenario.parts_s
        if not parts_s or elapsed_s % parts_s:
            return
        half = len(self.world.machines) // 2
        if elapsed_s // parts_s % 2:
            sides = self._rng.sample(self.world.machines, half)
            self.world.split([[], sides], notice=False)
        elif elapsed_s:
            for machine in self.world.machines:
                machine.side = 0
            on = {machine.number: machine.boot for machine in self.world.machines if machine.node is not None}
            self._watch_heal(self.world.now_ms, list(self.world.texts), on)

    def _watch_heal(self, healed_ms: int, texts: list[str], boots: dict[int, int]) -> None:
        if self.world.deliveries.all_have(texts, boots):
            self._heals_ms.append(self.world.now_ms - healed_ms)
        else:
            self.world.after(SECOND_MS // 10, self._watch_heal, healed_ms, texts, boots)

    def _post(self, machine: Machine) -> None:
        waits = {"wait": "held", "timeout": 10} if self._rng.random() < 0.2 else {}
        keep = self.scenario.keep or self._rng.choice(list(KEEP_HOURS))
        channel = "kitchen" if machine.is_member and self._rng.random() < 0.5 else "plaza"
        self.world.post(machine, self.scenario.size, channel, keep=keep, **waits)

    def _heal(self) -> int:
        self.world.heal()
        for machine in self.world.machines:
            if machine.segments != self._home(machine):
                self.world.move(machine, self._home(machine))
        healed_ms = self.world.now_ms
        while not self.checks.converged():
            in_time = self.world.now_ms - healed_ms < self.scenario.heal_s * SECOND_MS
            assert in_time, f"no convergence within {self.scenario.heal_s} s: {self.checks.who_lags()}"
            self.world.run(SECOND_MS // 4, self.checks.every_second)
        return self.world.now_ms - healed_ms

    # --- faults ---

    def _faults(self) -> None:
        scenario, world, rng = self.scenario, self.world, self._rng
        for wire in world.wires.all():
            if wire.clogged and rng.random() < 0.5:
                if wire.ends[0].machine.side == wire.ends[1].machine.side:
                    world.wires.unclog(wire)
            elif rng.random() < scenario.loss:
                world.cut(wire, notice=rng.random() < 0.5)
            elif rng.random() < scenario.clogs:
                world.wires.clog(wire)
        if rng.random() < scenario.splits:
            self._parted = not self._parted
            side = [machine for machine in world.machines if self._parted and rng.random() < 0.5]
            rest = [machine for machine in world.machines if machine not in side]
            world.split([rest, side], notice=rng.random() < 0.5)
        for machine in world.machines:
            self._fault(machine)

    def _fault(self, machine: Machine) -> None:
        scenario, world, rng = self.scenario, self.world, self._rng
        if rng.random() < scenario.jumps:
            machine.skew_ms = rng.randint(-scenario.skew_ms, scenario.skew_ms)
        if machine.node is None:
            if rng.random() < 0.5:
                world.turn_on(machine)
        elif rng.random() < scenario.churn:
            world.turn_off(machine, notice=rng.random() < 0.5)
        elif rng.random() < scenario.crashes:
            world.cut_power(machine, rng.choice(list(Moment)))
        elif rng.random() < scenario.restores:
            world.turn_off(machine)
            if machine.has_backup:
                machine.restore()
            else:
                machine.back_up()
            world.turn_on(machine)
        elif rng.random() < scenario.moves:
            world.move(machine, (1 + rng.randrange(self._rooms),))


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder that is gone afterwards, in memory where the system has one there."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="meshd-sim-", dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


def run(scenario: Scenario, seed: int) -> Outcome:
    """One seed of a scenario, from nothing to its outcome."""
    with scratch_folder() as folder:
        return Day(scenario, seed, folder).run()
