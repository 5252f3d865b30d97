"""Attack case S10: half of a hundred laptops hears nothing of the other half for thirty minutes."""

import pytest

from tests.simulation.scenarios import SCENARIOS, run


@pytest.mark.real  # no sockets, but half a minute of one core
def test_S10_a_hundred_nodes_parted_for_thirty_minutes_have_everything_after_they_meet() -> None:
    halves = SCENARIOS["halves"]
    assert (halves.nodes, halves.chaos_s, halves.halves) == (100, 1800, True)
    outcome = run(halves, 1)
    assert outcome.converge_ms <= halves.heal_s * 1000
    assert 1 <= outcome.copies < 3
