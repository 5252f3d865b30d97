"""The scenario `plans`, briefly: a plan among honest people and hostile ones, in a mesh that loses and splits.

`scripts/sim --scenario plans --seeds 1000` does it at length. What it demands is worth something only if it notices
what is wrong, so the rules on which a plan rests are broken on purpose, one after the other.
"""

from typing import Any

import pytest

from meshd import crypto
from meshd.plans import act as acts
from meshd.plans import arrangement, shares
from meshd.plans.arrangement import Arrangement, Called
from meshd.plans.plan import Version
from meshd.plans.watch import Fired, Watch
from meshd.post import Post
from meshd.statement import CALL
from tests.simulation.plans import Figures, Plans, Run

BRIEF = Plans()
SEEDS = range(12)


def run(*seeds: int) -> Figures:
    total = Figures()
    for seed in seeds:
        total = total.plus(Run(BRIEF, seed).run())
    return total


def test_plans_hold_against_loss_partition_and_hostile_people() -> None:
    total = run(*SEEDS)
    assert total.fired > 20 and total.drills > 10 and total.stood_down > 3 and total.opened > 3
    assert total.hostile > 100 and total.refused > 100 and total.forked > 3 and total.withdrawn


def test_a_seed_has_one_outcome() -> None:
    assert run(1) == run(1) != run(2)


# --- the simulator notices ---


def test_it_notices_a_stand_down_that_does_not_beat_what_fired(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Arrangement, "is_stood_down", lambda self, version, name, *, is_drill=False: False)
    _fails("a stand-down of .* was lost")


def test_it_notices_one_organiser_who_counts_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    def counts_calls(self: Arrangement, version: Version, name: str, *, is_drill: bool) -> Called:
        begin_ms, end_ms = self.span_ms(version)
        stamps = sorted(said.time_ms for said in self.all(version, CALL, name, is_drill))
        within = [ms for ms in stamps if begin_ms <= ms <= end_ms]
        return Called(frozenset(), next(iter(within[version.plan.threshold - 1 :]), None))

    monkeypatch.setattr(Arrangement, "called", counts_calls)
    _fails("without its cue")


def test_it_notices_a_drill_that_is_taken_for_real(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = acts.parse

    def blind(post: Post) -> acts.Act | None:
        act = honest(post)
        return act and act._replace(statement=act.statement._replace(flag=0))

    monkeypatch.setattr(acts, "parse", blind)
    _fails("without its cue|was lost")


def test_it_notices_signatures_that_nobody_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crypto, "verify", lambda public, message, signature: True)
    _fails("without its cue")


def test_it_notices_shares_of_which_fewer_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    split, combine = shares.split, shares.combine
    monkeypatch.setattr(shares, "split", lambda key, needed, *rest: split(key, max(2, needed - 1), *rest))
    monkeypatch.setattr(
        shares,
        "combine",
        lambda channel, seal, needed, given: combine(channel, seal, max(2, needed - 1), given),
    )
    _fails("bridge opened early")


def test_it_notices_a_false_share_that_keeps_the_true_ones_from_opening(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shares, "is_true", lambda channel, seal, share: shares.place(share) is not None)
    _fails("shares were lost|they do not agree")


def test_it_notices_what_fires_again(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Watch.look

    def forgetful(self: Watch, *known: Any) -> list[Fired]:
        self.fired.clear()
        return honest(self, *known)

    monkeypatch.setattr(Watch, "look", forgetful)
    _fails("fired twice")


def test_it_notices_what_stands_by_whom_it_reached_first(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Watch.look

    def stubborn(self: Watch, *known: Any) -> list[Fired]:
        fresh = honest(self, *known)
        self.stands = dict(self.fired)
        return fresh

    monkeypatch.setattr(Watch, "look", stubborn)
    _fails("they do not agree|was lost")


def test_it_notices_a_call_that_comes_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrangement, "CALL_SPAN_MS", 1000)
    _fails("a call of .* was lost")


def _fails(why: str) -> None:
    with pytest.raises(AssertionError, match=why):
        run(*range(30))
