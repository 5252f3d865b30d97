"""The simulator's scenarios on a few seeds, and the simulator itself: one seed is one trace, and faults are found.

The rule: what the scenarios demand stands in tests/simulation/checks.py. Here each runs with few seeds and in seconds;
`scripts/sim --seeds N` runs many. A check that can't fail is none, so some of the tests break a core on purpose and
want the simulator to notice.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from meshd.events import Now
from meshd.intake import Intake, Taken
from meshd.limits import HLC_AHEAD_MS
from meshd.post import HOUR_MS
from meshd.proto.keyed import KeyedRounds
from meshd.proto.rounds import Rounds
from meshd.store.db import Database
from meshd.store.log import Log
from tests.simulation.machine import FragileCarry
from tests.simulation.scenarios import SCENARIOS, TEN_YEARS_MS, run
from tests.simulation.world import EPOCH_MS, World

ROOT = Path(__file__).resolve().parent.parent
LONG = ("crowd", "flicker", "halves", "night", "picnic", "square", "storm")  # for scripts/sim, or marked real
QUICK = [(name, seed) for name in SCENARIOS if name not in LONG for seed in (1, 2)]
QUICK.remove(("walk", 2))


@pytest.mark.parametrize(("name", "seed"), QUICK)
def test_scenario(name: str, seed: int) -> None:
    outcome = run(SCENARIOS[name], seed)
    assert outcome.posts == SCENARIOS[name].posts
    assert outcome.copies >= 1


FLICKER = replace(SCENARIOS["flicker"], nodes=3, posts=20, chaos_s=1800)


def test_links_that_last_seconds_leave_nothing_behind_in_memory() -> None:
    assert FLICKER.flat
    assert run(FLICKER, 1) == run(FLICKER, 1)


@pytest.mark.real
def test_100_nodes_with_churn_partitions_and_20_percent_loss_of_links_have_everything_after_healing() -> None:
    storm = SCENARIOS["storm"]
    assert (storm.nodes, storm.loss) == (100, 0.2) and storm.churn and storm.splits
    assert run(storm, 1).converge_ms <= storm.heal_s * 1000


@pytest.mark.real
@pytest.mark.parametrize("name", ["picnic", "square"])
def test_a_crowd_in_a_square_has_everything_soon_and_in_few_copies(name: str) -> None:
    """The goals are part of the scenario; here with fewer laptops, but all of its time: the tree has to grow first."""
    day = SCENARIOS[name]
    assert day.nodes == 200 and day.goal is not None
    assert run(replace(day, nodes=32), 1).copies <= day.goal.copies


@pytest.mark.real
def test_a_seed_has_one_trace_under_three_hash_seeds() -> None:
    command = [sys.executable, "scripts/sim.py", "--scenario", "storm", "--nodes", "10", "--seed", "3"]
    traces = set()
    for hash_seed in ("0", "1", "2026"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        traces.add(ran.stdout.partition("trace ")[2].partition(",")[0])
    assert len(traces) == 1 and len(traces.pop()) == 32


def test_laptops_at_1970_and_ten_years_ahead_take_part_within_a_minute(tmp_path: Path) -> None:
    world = World(1, 6, tmp_path)
    wrong = world.machines[:2]
    wrong[0].skew_ms, wrong[1].skew_ms = -EPOCH_MS, TEN_YEARS_MS
    for machine in world.machines:
        machine.segments = (1,)
        world.turn_on(machine)
    for machine in wrong:
        world.post(machine)  # refused: nobody told the time yet
        assert not machine.acknowledged
    world.post(world.machines[5])
    world.run(60_000)
    for machine in wrong:
        assert world.ask(machine, "status")["clock"]["state"] == "unsynced"
        world.post(machine)
        assert len(machine.acknowledged) == 1
    world.run(2_000)
    for machine in world.machines:
        rows = machine.log.after(0, None, 10)
        assert len(rows) == 3
        for row in rows:
            assert 0 <= EPOCH_MS + world.now_ms - (row.hlc >> 16) < HOUR_MS + 60_000
            assert row.hlc >> 16 <= row.first_seen_ms


def test_laptops_that_are_nearly_a_day_off_are_warned_and_take_part(tmp_path: Path) -> None:
    world = World(2, 5, tmp_path)
    ahead, behind, *others = world.machines
    ahead.skew_ms, behind.skew_ms = 20 * HOUR_MS, -20 * HOUR_MS
    for machine in world.machines:
        machine.segments = (1,)
        world.turn_on(machine)
    world.run(60_000)
    for machine, off_h in ((ahead, -20), (behind, 20)):
        clock = world.ask(machine, "status")["clock"]
        assert clock["state"] == "ok" and abs(clock["off_s"] / 3600 - off_h) <= 1 and clock["advice"]
    for machine in world.machines:
        world.post(machine)
    world.run(10_000)
    # By the clock that is behind, a post from the one ahead is nearly two days early: it comes when it is time.
    assert [len(machine.on.keyset) for machine in world.machines] == [5, 4, 5, 5, 5]
    for machine in others:
        writers = {row.author for row in machine.log.after(0, None, 10)}
        assert writers == {each.author for each in (behind, *others)}, "what is ahead waits for its time"
        assert machine.on.intake.release_ms == pytest.approx(
            EPOCH_MS + 20 * HOUR_MS - HLC_AHEAD_MS, abs=100_000
        )


def test_two_seeds_have_two_traces() -> None:
    small = replace(SCENARIOS["calm"], nodes=2, posts=1, chaos_s=5)
    assert run(small, 1).trace == run(small, 1).trace != run(small, 2).trace


@pytest.mark.real
def test_a_failure_says_how_to_repeat_it() -> None:
    breaks = "import runpy, sys; from meshd.intake import Intake; Intake.behind = True; sys.argv[0] = 'sim';"
    command = [sys.executable, "-c", breaks + "runpy.run_path('scripts/sim.py', run_name='__main__')"]
    command += ["--scenario", "calm", "--seed", "7", "--nodes", "2"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 1
    assert "calm: nodes=2, topology=bridge" in ran.stdout
    assert "to repeat: scripts/sim --scenario calm --seed 7 --nodes 2\n" in ran.stdout


# --- the simulator notices ---

SMALL = replace(SCENARIOS["crash"], nodes=3, posts=20, chaos_s=30, heal_s=30)


def test_it_notices_a_post_that_is_spread_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Rounds, "due", lambda self, mono_ms: [])
    monkeypatch.setattr(Rounds, "next_deadline", lambda self: None)
    monkeypatch.setattr(KeyedRounds, "due", lambda self, mono_ms: [])
    monkeypatch.setattr(KeyedRounds, "next_deadline", lambda self: None)
    with pytest.raises(AssertionError, match="no convergence"):
        run(replace(SCENARIOS["cut"], posts=20, heal_s=30), 1)


def test_it_notices_an_acknowledged_post_that_a_crash_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FragileCarry, "commit", lambda self: None)
    monkeypatch.setattr(Database, "checkpoint", lambda self: None)  # there is none inside a transaction
    with pytest.raises(AssertionError, match="lost"):
        run(SMALL, 1)


def test_it_notices_a_post_that_is_shown_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Log.after
    monkeypatch.setattr(
        Log, "after", lambda self, cursor, channel, limit: honest(self, max(0, cursor - 1), channel, limit)
    )
    with pytest.raises(AssertionError, match="the cursor went back"):
        run(SMALL, 1)


def test_it_notices_envelopes_in_the_set_that_are_not_carried(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Intake.take

    def forgetful(self: Intake, raws: Sequence[bytes], via: str, now: Now) -> Taken:
        taken = honest(self, raws, via, now)
        self._keyset.remove(taken.new[0][1]) if taken.new else None
        return taken

    monkeypatch.setattr(Intake, "take", forgetful)
    with pytest.raises(AssertionError, match="the set is not what is carried"):
        run(SMALL, 1)


def test_it_notices_what_a_core_never_forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Rounds.closed

    def leak(self: Rounds, link: int) -> None:
        honest(self, link)
        self.__dict__.setdefault("kept", []).append(link)

    monkeypatch.setattr(Rounds, "closed", leak)
    with pytest.raises(AssertionError, match=r"memory grew: {'exchange.rounds.kept'"):
        run(FLICKER, 1)


def test_it_notices_a_core_that_spins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Intake, "behind", property(lambda self: True))
    with pytest.raises(AssertionError, match="spins"):
        run(SMALL, 1)
