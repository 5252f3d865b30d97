"""A direct between the two ends of a line of laptops that share no group and are never linked, while one is off for a
day.

The rule: the two have each other's cards, by hand, and nothing else in common. Everything between them goes through the
three in the middle, who carry it and open none of it. One writes; the other is off, for a day; and before it is back,
the writer's laptop goes off too, so that the two are never on at one time. What is demanded: it is read, answered, and
the answer is read; receipts say so; nobody in the middle has opened anything; and no link ever joined the two ends.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from meshd.limits import RECEIPT_DELAY_MS
from tests.simulation.machine import Machine
from tests.simulation.world import SECOND_MS, World

DAY_MS = 24 * 3600 * SECOND_MS
SETTLE_MS = 120 * SECOND_MS  # until prekeys have crossed the line
REACH_MS = 120 * SECOND_MS  # within which what is carried next door is read


@dataclass(frozen=True)
class Direct:
    """One kind of day."""

    about: str = "two ends of a line write to each other, who are never linked nor on at the same time"
    nodes: int = 5
    off_ms: int = DAY_MS


class Outcome(NamedTuple):
    """What came of one run; times are of the simulation."""

    off_ms: int
    read_ms: int  # from when the addressee was on again until it read the words
    answered_ms: int  # from when the writer was on again until it read the answer
    receipt_ms: int  # … and until the receipt was there
    carried: int  # sealed envelopes that each in the middle carried at the end
    opened: int  # … and opened, all together
    events: int
    trace: str

    def __str__(self) -> str:
        return (
            f"off for {self.off_ms / DAY_MS:.1f} d, read {self.read_ms / 1000:.1f} s after the addressee was on, the"
            f" answer {self.answered_ms / 1000:.1f} s after the writer was, the receipt {self.receipt_ms / 1000:.1f} s;"
            f" {self.carried} envelopes carried by each in the middle, {self.opened} opened by them; {self.events}"
            f" events, trace {self.trace}"
        )


class Line:
    """One run."""

    def __init__(self, scenario: Direct, seed: int, folder: Path) -> None:
        self.scenario = scenario
        self.world = World(seed, scenario.nodes, folder)
        self.oak, *self.between, self.elm = self.world.machines

    def run(self) -> Outcome:
        """All of it; AssertionError if anything that must hold does not."""
        self._begin()
        world, oak, elm = self.world, self.oak, self.elm
        self._pass(SETTLE_MS)
        world.turn_off(elm)
        self._pass(10 * SECOND_MS)
        self._say(oak, "elm", "bread at eight")
        self._pass(self.scenario.off_ms - 10 * SECOND_MS)
        world.turn_off(oak)
        world.turn_on(elm)
        read_ms = self._until(elm, "bread at eight")
        self._say(elm, "oak", "I bring water")
        self._pass(2 * RECEIPT_DELAY_MS)
        world.turn_off(elm)
        world.turn_on(oak)
        answered_ms = self._until(oak, "I bring water")
        receipt_ms = answered_ms + self._until_delivered("bread at eight")
        opened = sum(machine.log.count_posts() for machine in self.between)
        opened += sum(
            len(machine.log.openings.known(list(machine.on.carry.keys()))) for machine in self.between
        )
        assert not opened, f"{opened} were opened by who only carries"
        carried = {len(machine.on.keyset) for machine in self.between}
        assert len(carried) == 1, f"those in the middle do not carry the same: {carried}"
        return Outcome(
            self.scenario.off_ms,
            read_ms,
            answered_ms,
            receipt_ms,
            carried.pop(),
            opened,
            world.events,
            world.trace,
        )

    def _begin(self) -> None:
        machines = self.world.machines
        for machine in machines:
            machine.wants_receipts = True
            self.world.turn_on(machine)
            for following in machines[machine.number + 1 : machine.number + 2]:
                self.world.ask(machine, "peer.add", address=str(following.address))
        for one, other, name in ((self.oak, self.elm, "elm"), (self.elm, self.oak, "oak")):
            card = self.world.ask(other, "id.show")["card"]
            self.world.ask(one, "contact.add", card=card, name=name)

    def _say(self, writer: Machine, who: str, text: str) -> None:
        self.world.texts[text] = writer
        self.world.deliveries.posted(text, writer, self.world.now_ms)
        told = self.world.ask(writer, "dm", who=who, text=text)
        assert not told["pending"], f"{who} can't be sent a key"

    def _pass(self, duration_ms: int) -> None:
        self.world.run(duration_ms, self._are_strangers)

    def _are_strangers(self) -> None:
        """No link joins the two ends."""
        for wire in self.world.wires.all():
            ends = {end.machine for end in wire.ends}
            assert ends != {self.oak, self.elm}, "the ends are linked"

    def _until(self, reader: Machine, text: str) -> int:
        """How long until this is read here."""
        return self._wait(lambda: text in [row.text for row in reader.log.after(0, None, 100)], text)

    def _until_delivered(self, text: str) -> int:
        def is_there() -> bool:
            rows = [row for row in self.oak.log.after(0, None, 100) if row.text == text]
            return any(self.oak.log.inboxes.is_delivered(row.id) for row in rows)

        return self._wait(is_there, f"receipt for {text}")

    def _wait(self, holds: Callable[[], bool], what: str) -> int:
        begun_ms = self.world.now_ms
        while not holds():
            assert self.world.now_ms - begun_ms < REACH_MS, f"no {what} within {REACH_MS // 1000} s"
            self._pass(SECOND_MS // 4)
        return self.world.now_ms - begun_ms


def run(scenario: Direct, seed: int, folder: Path) -> Outcome:
    """One seed, from nothing to its outcome."""
    line = Line(scenario, seed, folder)
    try:
        return line.run()
    finally:
        for machine in line.world.machines:
            if machine.node is not None:
                machine.turn_off()
