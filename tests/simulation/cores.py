"""A plan on real cores: laptops with real files and links, which are parted, lose power and come back.

The rule: the very nodes of the other scenarios (`world`) are in a group, and some of them organise a plan of which all
cues hang on posts alone. People call, stand down, drill, release shares, sign and propose other versions wherever their
laptop happens to be, by a clock that is off. Up to m − 1 organisers and k − 1 stewards are hostile: they do all that
the others do, and bring posts that no client would write to whom they like (`traitors`). One or two are put out of the
group, hostile or not, by somebody who may be parted from them; a steward may be burned, so that there is a new version
with new shares. Laptops tell of what fired at most once each, whatever became of their power. What must hold besides
is in `verdicts`.
"""

import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from meshd.errors import CallerError
from meshd.events import Fired
from meshd.plans.cue import Call
from meshd.plans.plan import Version
from meshd.statement import CALL, SHARE, SIGN_PLAN, STAND_DOWN, Statement
from tests import planners
from tests.group_plans import act, only_group, plans_of, propose
from tests.homes import Home
from tests.simulation.machine import Machine, Moment
from tests.simulation.meaning import Meant
from tests.simulation.planners import Town
from tests.simulation.plotters import HOUR_MS, attack
from tests.simulation.proposals import bribed
from tests.simulation.seats import GROUP_NAME, Seat, meet, name_of
from tests.simulation.traitors import Stick, Traitor
from tests.simulation.verdicts import BRIDGE, NAMES, Verdicts
from tests.simulation.world import EPOCH_MS, SECOND_MS, World
from tests.test_inbox import identity

SKEW_MS = 180 * SECOND_MS
HEAL_MS = 400 * SECOND_MS


@dataclass(frozen=True)
class Cores:
    """One kind of plan."""

    about: str = "a plan on real cores, among hostile members, parted, without power, some put out"
    nodes: int = 6
    organisers: int = 4
    hostile: int = 3  # at most: fewer where they would be enough for something
    put_out: int = 2  # at most
    steps: int = 40
    lies: int = 8  # how often hostile people do something, against 20 times that people say something


class Figures(NamedTuple):
    """What came of one run, or of several: they add up."""

    said: int = 0
    refused: int = 0  # what could not be said
    versions: int = 0
    fired: int = 0  # on all laptops together, drills too
    stands: int = 0  # … after healing
    stood_down: int = 0
    opened: int = 0  # sealed scenarios, of one version
    liars: int = 0  # people
    hostile: int = 0  # envelopes that they brought to somebody
    forked: int = 0  # people
    put_out: int = 0
    burned: int = 0
    starts: int = 0
    events: int = 0

    def plus(self, other: "Figures") -> "Figures":
        return Figures(*map(sum, zip(self, other, strict=True)))

    def __str__(self) -> str:
        return (
            f"{self.said} acts said, {self.refused} refused, {self.versions} versions, told {self.fired} times of what"
            f" fired, {self.stands} stand after healing, {self.stood_down} stood down, {self.opened} opened;"
            f" {self.liars} hostile ({self.forked} forked) with {self.hostile} envelopes, {self.put_out} put out,"
            f" {self.burned} burned; {self.starts} starts, {self.events} events"
        )


class Run:
    """One run, drawn from a seed."""

    def __init__(self, scenario: Cores, seed: int, folder: Path) -> None:
        self.scenario = scenario
        self.world = world = World(seed, scenario.nodes, folder, skew_ms=SKEW_MS)
        self.rng = rng = random.Random(f"cores {seed}")
        self.seats: list[Home] = [Seat(world, machine) for machine in world.machines]  # type: ignore[misc]
        self.heads, self.stewards = self.seats[: scenario.organisers], self.seats[1:]
        self.threshold = rng.randint(2, max(2, len(self.heads) - 1))
        self.needed = rng.randint(2, max(2, len(self.stewards) - 1))
        self.told = Counter[tuple[int, bytes, int, str, bool]]()
        self.out: list[Home] = []  # who was put out
        self.figures = Figures()
        world.on_fired = self._on_fired

    def run(self) -> Figures:
        """All of it; AssertionError if anything that must hold does not."""
        meet(self.world)
        self._choose()
        self._propose_as(self.seats[0], None)
        self.world.run(30 * SECOND_MS)
        for head in self.heads[1:]:
            for version in plans_of(head).versions():
                self._act(head, version, SIGN_PLAN)
        self.world.run(30 * SECOND_MS)
        chosen: list[Callable[[], None]] = self.rng.choices(
            (self._say, self._part, self._strike, self._propose, self._attack, self._put_out, self._burn),
            (20, 4, 6, 1, self.scenario.lies, 2, 2),
            k=self.scenario.steps,
        )
        for happens in chosen:
            happens()
            self.world.run(self.rng.randint(1, 40) * SECOND_MS)
            self._turn_on()
            for seat in self.honest:
                self.verdicts.look(seat)
        self.world.heal()
        self.world.run(HEAL_MS)
        return self._outcome()

    def _choose(self) -> None:
        """Who is hostile: nobody who may put others out, which is another matter, and nobody on whom all waits."""
        seeds = [machine.log.seed for machine in self.world.machines]
        self.town = Town(self.rng, seeds, self._now_ms(), only_group(self.seats[0]).channel)
        offices = (
            ({self._place(each) for each in self.heads}, self.threshold),
            ({self._place(each) for each in self.stewards}, self.needed),
        )
        places = [self._place(each) for each in self.rng.sample(self.seats[1:], len(self.seats) - 1)]
        self.town.hostile = bribed(places, offices, self.scenario.hostile)
        self.honest = [each for each in self.seats if self._place(each) not in self.town.hostile]
        self.traitors = [
            Traitor(self.town, self._place(each), each) for each in self.seats if each not in self.honest
        ]
        for each in self.traitors:
            each.learn()
        self.verdicts = Verdicts(self.town)
        self._add(liars=len(self.traitors))

    def _place(self, seat: Home) -> int:
        return self.town.people.index(self._machine(seat).author)

    def _machine(self, seat: Home) -> Machine:
        return self.world.machines[self.seats.index(seat)]

    def _name(self, seat: Home) -> str:
        return name_of(self._machine(seat))

    def _now_ms(self) -> int:
        return EPOCH_MS + self.world.now_ms

    # --- what people do ---

    def _say(self) -> None:
        """Some say the same of what stands on their laptops."""
        rng = self.rng
        purpose = rng.choice((CALL, CALL, CALL, STAND_DOWN, SIGN_PLAN, SIGN_PLAN, SHARE))
        name, is_drill = rng.choice(NAMES), rng.random() < 0.3
        among = self.stewards if purpose == SHARE else self.heads
        for seat in rng.sample(among, rng.randint(1, len(among))):
            if not seat.is_on:
                continue
            for version in plans_of(seat).versions():
                if purpose == SIGN_PLAN:
                    if version.author not in self.town.liars:
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
            self._add(refused=1)
        else:
            if not seat.is_on:  # its power went in that moment: what is on its disk was said
                self._turn_on()
            self._note(seat, version, purpose, name, is_drill=is_drill)

    def _note(
        self, seat: Home, version: Version, purpose: int, name: str = "", *, is_drill: bool = False
    ) -> None:
        """Somebody said this just now: that is what they meant."""
        said = Statement(purpose, version.channel, version.id, name.encode(), int(is_drill))
        known = plans_of(seat).arrangement(version.channel)
        ours = [
            each.time_ms
            for each in known.all(version, purpose, name, int(is_drill))
            if each.author == identity(seat)
        ]
        if ours:
            self.town.meant.append(Meant(self._place(seat), max(ours), said))
        self._add(said=1)

    def _standing(self, seat: Home) -> list[Version]:
        """The version that stands on somebody's laptop, if any does."""
        plans = plans_of(seat)
        return [each for each in plans.versions() if plans.state(each, seat.table.now()) == "active"]

    def _propose(self) -> None:
        """Two propose what is to follow, who may not have heard of each other."""
        heads = [each for each in self.heads if each in self.honest and each.is_on]
        for seat in self.rng.sample(heads, min(2, len(heads))):
            for before in self._standing(seat)[:1]:
                with suppress(CallerError):
                    self._propose_as(seat, before)

    def _propose_as(self, seat: Home, replaces: Version | None) -> None:
        made = propose(
            seat,
            self.heads,
            self.stewards,
            people=self.seats,
            threshold=self.threshold,
            needed=self.needed,
            second=Call(),
            replaces=replaces,
            seed=f"{self.world.now_ms} {self.seats.index(seat)}",
        )
        self._note(seat, made, SIGN_PLAN)

    def _burn(self) -> None:
        """An organiser burns a steward: who was put out, if anybody was."""
        heads = [each for each in self.heads if each in self.honest and each.is_on and each not in self.out]
        who = self.rng.choice(self.out or self.stewards)
        for seat in self.rng.sample([each for each in heads if each is not who], 1 if heads else 0):
            for before in self._standing(seat)[:1]:
                with suppress(CallerError):
                    planners.publish(seat, plan=before.id.hex(), burn=self._name(who))
                    self._add(burned=1)
                for made in plans_of(seat).versions():
                    if made.plan.previous == before.id and made.author == identity(seat):
                        self._note(seat, made, SIGN_PLAN)

    def _put_out(self) -> None:
        """The group's admin puts somebody out, who may be parted from them."""
        admin, *others = self.seats
        if len(self.out) == self.scenario.put_out or not admin.is_on:
            return
        if self.rng.random() < 0.5:
            self._part()
        who = self.rng.choice([each for each in others if each not in self.out])
        with suppress(CallerError):
            admin.ask("group.remove", group=GROUP_NAME, who=self._name(who))
            self.out.append(who)
            self.verdicts.put_out(self._place(who), admin)
            self._add(put_out=1)

    # --- what hostile people do ---

    def _attack(self) -> None:
        """One hostile person does one thing, and brings it to somebody."""
        town, on = self.town, [each for each in self.seats if each.is_on]
        town.now_ms = self._now_ms()
        for each in self.traitors:
            each.is_known = self._is_known(each)
            if each.seat in on:
                each.learn()
        able = [each for each in self.traitors if each.arrangement.versions]
        if not able or len(on) < 2:
            return
        enemy, (victim, other) = self.rng.choice(able), self.rng.sample(on, 2)
        first, second = Stick(), Stick()
        attack(town, self.traitors, enemy, first, second, NAMES, HOUR_MS)
        for seat, stick in ((victim, first), (other, second)):
            raws = [enemy.seal(raw) for raw in stick.raws]
            if raws and seat.is_on:
                self.world.command(self._machine(seat), "bundle.take", envelopes=raws)
                self._add(hostile=len(raws))

    def _is_known(self, traitor: Traitor) -> bool:
        """Whether everybody in the group knows that this one was put out."""
        return traitor.seat in self.out and all(
            seat.is_on and traitor.identity not in only_group(seat).group.dag.membership().members
            for seat in self.seats
            if seat not in self.out
        )

    # --- what befalls them ---

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
        stay = [each for each in self.honest if each not in self.out]
        for seat in stay:
            members = only_group(seat).group.dag.membership().members
            assert not members & {self.town.people[self._place(each)] for each in self.out}, (
                "somebody is in again"
            )
        watches = self.verdicts.outcome(stay)
        most = Counter(
            (w.version.plan_id, w.version.plan.number, scenario.name, drill)
            for w in watches
            for scenario in w.version.plan.scenarios
            for drill in (False, True)
        )
        for (number, *what), times in self.told.items():
            assert times <= most[tuple(what)], f"machine {number} told {times} times of {what[2]}"  # type: ignore[index]
        known = plans_of(stay[0])
        self._add(
            versions=len(watches),
            fired=sum(self.told.values()),
            stands=sum(len(watch.stands) for watch in watches),
            stood_down=sum(
                known.scenario_state(watch.version, place, is_drill=drill) == "stood-down"
                for watch in watches
                for place in range(len(NAMES))
                for drill in (False, True)
            ),
            opened=len(self.verdicts.opened),
            forked=len(only_group(stay[0]).group.dag.forked),
            starts=sum((machine.boot + 1) // 2 for machine in self.world.machines),
            events=self.world.events,
        )
        return self.figures

    def _add(self, **figures: int) -> None:
        self.figures = self.figures.plus(Figures(**figures))
