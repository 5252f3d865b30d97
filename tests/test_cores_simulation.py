"""The scenario `arranged`, briefly: a plan on real cores, which are parted and lose power.

`scripts/sim --scenario arranged --seeds 25` does it at length. What it demands is worth something only if it notices
what is wrong.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from meshd.plans.arrangement import Arrangement
from meshd.plans.watch import Fired, Senses, Watch
from meshd.store.plans import Plans
from tests.simulation.cores import Cores, Run

SMALL = replace(Cores(), nodes=4, organisers=3, steps=12)


def test_laptops_that_are_parted_and_lose_power_show_the_same_of_a_plan(tmp_path: Path) -> None:
    outcome = Run(SMALL, 3, tmp_path).run()
    assert outcome.said > 10 and outcome.fired > 2 and outcome.starts > SMALL.nodes


def test_it_notices_what_is_told_again_after_a_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Plans, "fire", lambda self, id, place, is_drill, ms: None)
    with pytest.raises(AssertionError, match="told 2 times"):
        Run(SMALL, 3, tmp_path).run()


def test_it_notices_what_each_laptop_dates_by_its_own_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Watch.look

    def dated(self: Watch, known: Arrangement, senses: Senses) -> list[Fired]:
        fresh = honest(self, known, senses)
        self.fired |= dict.fromkeys(fresh, senses.now_ms)
        self.stands = {each: self.fired[each] for each in self.stands}
        return fresh

    monkeypatch.setattr(Watch, "look", dated)
    with pytest.raises(AssertionError, match="do not agree"):
        Run(SMALL, 3, tmp_path).run()
