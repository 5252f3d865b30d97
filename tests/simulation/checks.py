"""What must hold in a simulated world: safety always, convergence after healing.

The rule: safety is checked all the time, while links die and laptops crash; liveness is only demanded once everything
is healed, and then within a bound. Each check says in its message which machine broke it. What readers are shown
(nothing twice, nothing backwards, nothing that nobody wrote, no fork) is checked at each reading, that no acknowledged
post is lost at each start, that no outbox overflows at each sending, and the rest on one machine a second.
"""

from collections import Counter

from meshd.limits import EXPIRES_SOON_S
from meshd.post import HOUR_MS
from meshd.proto.session import State
from tests.simulation.machine import Machine
from tests.simulation.world import EPOCH_MS, SECOND_MS, World


class Checks:
    """The checks of one world; each raises AssertionError."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._turn = 0

    def every_second(self) -> None:
        """Look closely at one machine, each in turn; its reader reads on, whether it was told to or not."""
        machine = self._world.machines[self._turn % len(self._world.machines)]
        self._turn += 1
        if machine.node is not None:
            self._world.read_on(machine)
            self._set_is_what_is_carried(machine)

    def _set_is_what_is_carried(self, machine: Machine) -> None:
        node = machine.on
        carried = list(node.carry.keys())
        keyset = node.keyset.slice(0, len(node.keyset))
        assert keyset == sorted(carried), f"machine {machine.number}: the set is not what is carried"
        machine.check_acknowledged()

    def _mesh_ms(self, machine: Machine) -> int:
        return machine.on.time.read(self._world.now(machine)).wall_ms

    def _lasting(self, machine: Machine) -> list[bytes]:
        """The keys it carries of what does not expire soon by any clock: that is what nodes compare."""
        wall_ms = max(self._mesh_ms(other) for other in self._world.machines)
        hour = (wall_ms + EXPIRES_SOON_S * 1000) // HOUR_MS + 1
        keyset = machine.on.keyset
        return keyset.slice(keyset.rank(hour.to_bytes(8, "big")), len(keyset))

    def converged(self) -> bool:
        """Whether all machines carry the same, and have opened it all."""
        machines = self._world.machines
        intakes = [machine.on.intake for machine in machines]
        if any(intake.behind or intake.is_scanning or intake.release_ms is not None for intake in intakes):
            return False
        first = self._lasting(machines[0])
        return all(self._lasting(machine) == first for machine in machines[1:])

    def who_lags(self) -> str:
        """How many envelopes each machine carries that has not the most of them."""
        counts = {machine.number: len(self._lasting(machine)) for machine in self._world.machines}
        most = max(counts.values())
        lagging = [f"machine {number}: {count}" for number, count in counts.items() if count < most]
        return f"of {most} envelopes, {', '.join(lagging) or 'all have as many, but not the same'}"

    def everything_arrived(self) -> None:
        """Every post that lasts was shown to every reader, in whole chains unless some of it expired or was undone
        by a restored copy; and none was lost."""
        machines = self._world.machines
        keys = self._lasting(machines[0])
        sealed = {key for machine in machines for key in machine.log.openings.known(keys)}
        assert bool(sealed) == any(machine.is_member for machine in machines), "nothing that lasts is sealed"
        for machine in machines:
            self._world.read_on(machine)
            self._set_is_what_is_carried(machine)
            readable = keys if machine.is_member else [key for key in keys if key not in sealed]
            lasting = set(machine.log.openings.posts_of(readable))
            whole = len(lasting) == len(machine.seen) and not any(each.restores for each in machines)
            opened = machine.log.openings.known(keys)
            assert opened == (sealed if machine.is_member else set()), (
                f"machine {machine.number} opened {len(opened)} of {len(sealed)} sealed envelopes"
            )
            in_log = [row.id for row in machine.log.after(0, None, len(machine.seen) + 1)]
            assert in_log == list(machine.seen), f"machine {machine.number}: its reader skipped posts"
            assert lasting <= set(in_log), f"machine {machine.number} carries what it does not show"
            for row in machine.log.after(0, None, len(in_log)):
                off_ms = abs((row.hlc >> 16) - EPOCH_MS - self._world.now_ms)
                assert off_ms < self._world.now_ms + HOUR_MS, (
                    f"machine {machine.number}: {row.text} has an odd time"
                )
                assert abs(row.first_seen_ms - EPOCH_MS) < self._world.now_ms + HOUR_MS
            gaps = machine.log.missing()
            assert not (whole and gaps), f"machine {machine.number} misses {gaps} of whole chains"

    def one_link_a_pair(self) -> None:
        """Once things settled: at most one link for each two machines, open on both sides; no link without a wire.
        Laptops go on trying each other, so that one side may not have heard yet that a link opened or closed."""
        before = self._one_sided()
        if before:
            self._world.run(SECOND_MS)
        one_sided = self._one_sided()
        assert not before & one_sided, f"{before} (machine, link) are open on one side only"
        pairs: Counter[tuple[int, int]] = Counter()
        for machine in self._world.machines:
            for link, session in machine.on.sessions.items():
                end = self._world.wires.end(machine, link)
                assert end is not None and end.up, f"machine {machine.number}: link {link} leads nowhere"
                assert end.peer.machine is not machine, f"machine {machine.number} is linked with itself"
                if session.state is State.OPEN and (machine.number, link) not in one_sided:
                    pairs[machine.number, end.peer.machine.number] += 1
        twice = [pair for pair, count in pairs.items() if count > 1]
        assert not twice, f"more than one link between {twice}"

    def _one_sided(self) -> set[tuple[int, int]]:
        """Open links that the other side does not have open: (machine, link)."""
        found = set()
        for machine in self._world.machines:
            for link, session in machine.on.sessions.items():
                end = self._world.wires.end(machine, link)
                if session.state is State.OPEN and end is not None:
                    far = end.peer.machine.on.sessions.get(end.peer.link)
                    if far is None or far.state is not State.OPEN:
                        found.add((machine.number, link))
        return found
