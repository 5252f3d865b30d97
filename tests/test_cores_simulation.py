"""The scenario `arranged`, briefly: a plan on real cores, among hostile members, which are parted and lose power.

`scripts/sim --scenario arranged --seeds 25` does it at length. What it demands is worth something only if it notices
what is wrong, so the rules on which a plan rests are broken on purpose, one after the other.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from meshd.group_plans import GroupPlans
from meshd.plans.arrangement import Arrangement, Said
from meshd.plans.plan import Version
from meshd.plans.watch import Fired, Senses, Watch
from meshd.store.plans import Plans
from tests.simulation.cores import Cores, Figures, Run

SMALL = replace(Cores(), nodes=5, organisers=3, steps=20, lies=16)


def run(folder: Path, *seeds: int) -> Figures:
    total = Figures()
    for seed in seeds:
        (folder / str(seed)).mkdir()
        total = total.plus(Run(SMALL, seed, folder / str(seed)).run())
    return total


def test_a_plan_holds_on_laptops_that_are_parted_lose_power_and_have_hostile_members(tmp_path: Path) -> None:
    total = run(tmp_path, *range(4))
    assert total.said > 30 and total.fired > 10 and total.starts > 3 * SMALL.nodes
    assert total.hostile > 20 and total.forked and total.put_out and total.burned and total.opened


# --- the simulator notices ---


def test_it_notices_what_is_told_again_after_a_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Plans, "fire", lambda self, id, place, is_drill, ms: None)
    _fails(tmp_path, "told 2 times")


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
    _fails(tmp_path, "do not agree")


def test_it_notices_a_stand_down_that_does_not_beat_what_fired(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Arrangement, "is_stood_down", lambda self, version, name, *, is_drill=False: False)
    _fails(tmp_path, "a stand-down of .* was lost")


def test_it_notices_a_drill_that_is_taken_for_real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Arrangement.all

    def blind(
        self: Arrangement, version: Version, purpose: int, subject: str = "", flag: int = 0
    ) -> Iterator[Said]:
        for each in (0, 1):
            yield from honest(self, version, purpose, subject, each)

    monkeypatch.setattr(Arrangement, "all", blind)
    _fails(tmp_path, "without its cue|was lost")


def test_it_notices_what_those_say_who_were_put_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GroupPlans, "counts", lambda self, said: True)
    _fails(tmp_path, "calls that do not count")


def _fails(folder: Path, why: str) -> None:
    with pytest.raises(AssertionError, match=why):
        run(folder, *range(12))
