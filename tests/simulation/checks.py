"""What must hold in a simulated world: safety always, convergence after healing.

The rule: safety is checked every second of virtual time, while links die and laptops crash; liveness is only demanded
once everything is healed, and then within a bound. Each check says in its message which machine broke it. What
readers are shown (nothing twice, nothing backwards, nothing that nobody wrote, no fork) is checked at each reading,
and that no outbox overflows at each sending.
"""

from collections import Counter

from meshd.proto.session import State
from tests.simulation.machine import Machine
from tests.simulation.world import World


class Checks:
    """The checks of one world; each raises AssertionError."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._turn = 0

    def every_second(self) -> None:
        """Let all readers read on, and look closely at one machine, each in turn."""
        for machine in self._world.machines:
            if machine.node is not None:
                self._world.read_on(machine)
        machine = self._world.machines[self._turn % len(self._world.machines)]
        self._turn += 1
        if machine.node is not None:
            self._set_is_what_is_carried(machine)

    def _set_is_what_is_carried(self, machine: Machine) -> None:
        node = machine.on
        carried = list(node.carry.keys())
        keyset = node.keyset.slice(0, len(node.keyset))
        assert keyset == sorted(carried), f"machine {machine.number}: the set is not what is carried"
        lost = machine.acknowledged.keys() - {key[8:].hex() for key in keyset}
        assert not lost, f"machine {machine.number} lost {len(lost)} posts it had acknowledged"

    def converged(self) -> bool:
        """Whether all machines carry the same, and have opened it all."""
        nodes = [machine.on for machine in self._world.machines]
        first = nodes[0].keyset
        whole = len(first), first.fingerprint(0, len(first))
        return not any(node.intake.behind for node in nodes) and all(
            (len(node.keyset), node.keyset.fingerprint(0, len(node.keyset))) == whole for node in nodes
        )

    def who_lags(self) -> str:
        """How many envelopes each machine carries that has not the most of them."""
        counts = {machine.number: len(machine.on.keyset) for machine in self._world.machines}
        most = max(counts.values())
        lagging = [f"machine {number}: {count}" for number, count in counts.items() if count < most]
        return f"of {most} envelopes, {', '.join(lagging) or 'all have as many, but not the same'}"

    def everything_arrived(self) -> None:
        """Every post that anybody carries was shown to every reader, in whole chains, and none was lost."""
        machines = self._world.machines
        keyset = machines[0].on.keyset
        carried = {key[8:] for key in keyset.slice(0, len(keyset))}
        restored = any(machine.restores for machine in machines)
        for machine in machines:
            self._world.read_on(machine)
            self._set_is_what_is_carried(machine)
            in_log = [row.id for row in machine.log.after(0, None, len(carried) + 1)]
            assert in_log == list(machine.seen), f"machine {machine.number}: its reader skipped posts"
            assert set(in_log) == carried, f"machine {machine.number} carries what it does not show"
            gaps = machine.log.missing()
            assert restored or not gaps, f"machine {machine.number} misses {gaps} of whole chains"
        acknowledged = {bytes.fromhex(each) for machine in machines for each in machine.acknowledged}
        assert acknowledged <= carried

    def one_link_a_pair(self) -> None:
        """Once things settled: at most one link for each two machines, open on both sides; no link without a wire."""
        pairs: Counter[tuple[int, int]] = Counter()
        for machine in self._world.machines:
            for link, session in machine.on.sessions.items():
                end = self._world.wires.end(machine, link)
                assert end is not None and end.up, f"machine {machine.number}: link {link} leads nowhere"
                if session.state is not State.OPEN:
                    continue
                other = end.peer
                peer_session = other.machine.on.sessions.get(other.link)
                assert peer_session is not None and peer_session.state is State.OPEN, (
                    f"machine {machine.number}: link {link} is open on one side only"
                )
                assert other.machine is not machine, f"machine {machine.number} is linked with itself"
                pairs[machine.number, other.machine.number] += 1
        twice = [pair for pair, count in pairs.items() if count > 1]
        assert not twice, f"more than one link between {twice}"
