"""How long posts take: from the moment somebody posts until each reader who could have it by then is shown it.

The rule: a laptop counts as *connected* with another if at that moment a path of links leads there that are open on
both sides and take bytes. A delivery is measured for whoever was connected with the author when it was posted, and is
left out if the laptop went off or the laptops were parted before it came: it could not come. A *heal* is measured from
the moment a partition ends until everybody who was on then, and is connected with most of the others, was shown all
that had been posted before.
"""

from collections.abc import Sequence

from meshd.proto.session import State
from tests.simulation.machine import Machine
from tests.simulation.wires import Wires


class Deliveries:
    """What was posted when, who could have it, and when they did."""

    def __init__(self, wires: Wires, machines: Sequence[Machine]) -> None:
        self._wires, self._machines = wires, machines
        self._posted: dict[
            str, tuple[int, dict[int, int]]
        ] = {}  # text → when, and boots of who was connected
        self._shown: dict[str, dict[int, tuple[int, int]]] = {}  # text → machine → when, and its boot
        self._parted_ms: list[int] = []

    def posted(self, text: str, author: Machine, now_ms: int) -> None:
        """Somebody is about to post this."""
        self._shown[text] = {}
        self._posted[text] = now_ms, {machine.number: machine.boot for machine in self.connected(author)}

    def shown(self, text: str, machine: Machine, now_ms: int) -> None:
        """A reader is shown it."""
        self._shown[text].setdefault(machine.number, (now_ms, machine.boot))

    def parted(self, now_ms: int) -> None:
        """The laptops are parted."""
        self._parted_ms.append(now_ms)

    def connected(self, first: Machine) -> list[Machine]:
        """Whom a path of working links leads to, itself included."""
        neighbours: dict[int, list[Machine]] = {}
        for wire in self._wires.all():
            one, other = wire.ends
            if (
                not wire.clogged
                and self._is_open(one.machine, one.link)
                and self._is_open(other.machine, other.link)
            ):
                neighbours.setdefault(one.machine.number, []).append(other.machine)
                neighbours.setdefault(other.machine.number, []).append(one.machine)
        found = {first.number: first}
        edge = [first]
        while edge:
            for machine in neighbours.get(edge.pop().number, ()):
                if machine.number not in found:
                    found[machine.number] = machine
                    edge.append(machine)
        return list(found.values())

    @staticmethod
    def _is_open(machine: Machine, link: int) -> bool:
        session = machine.node.sessions.get(link) if machine.node is not None else None
        return session is not None and session.state is State.OPEN

    def delays_ms(self) -> list[int]:
        """How long each delivery took, shortest first."""
        delays = []
        for text, (posted_ms, boots) in self._posted.items():
            for number, boot in boots.items():
                shown_ms, shown_boot = self._shown[text].get(number, (0, -1))
                parted = any(posted_ms <= parted_ms <= shown_ms for parted_ms in self._parted_ms)
                if shown_boot == boot and not parted:
                    delays.append(shown_ms - posted_ms)
        return sorted(delays)

    def all_have(self, texts: Sequence[str], boots: dict[int, int]) -> bool:
        """Whether everybody who has been on since these boots, and is connected, was shown all of these."""
        on = [machine for machine in self._machines if boots.get(machine.number) == machine.boot]
        most: list[Machine] = []
        for machine in on:
            if len(most := self.connected(machine)) * 2 > len(on):
                break
        return all(machine.number in self._shown[text] for machine in most if machine in on for text in texts)
