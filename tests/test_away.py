"""Members who are away for days read what they hold in time, and a thief opens nothing that was over: briefly.

`scripts/sim --scenario away --seeds 375` does it at length. The thief is only worth something if he notices what is not
erased, so the erasures are left out on purpose, one after the other.
"""

from dataclasses import replace

import pytest

from meshd.groups.prekeys import OwnPrekeys
from meshd.keyring import Keyring
from tests.simulation.away import Away, Figures, Schedule
from tests.simulation.members import Member

SHORT = Away(nodes=4, outsiders=2, days=14, away_days=6, places=2)


def test_members_who_were_away_read_what_they_hold_in_time() -> None:
    total = Figures()
    for seed in (1, 2):
        total = total.plus(Schedule(SHORT, seed).run())
    assert total.held > 100 and total.read > 0.95 * total.held
    assert total.opened == 0 and total.expired > 100 and total.living > 100 and total.epochs > 4


def test_a_seed_has_one_outcome() -> None:
    brief = replace(SHORT, days=3)
    assert Schedule(brief, 1).run() == Schedule(brief, 1).run() != Schedule(brief, 2).run()


def test_a_thief_notices_day_keys_that_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Keyring, "erase", lambda self, before_day: [])
    with pytest.raises(AssertionError, match="that were over are opened"):
        Schedule(SHORT, 1).run()


def test_a_thief_notices_prekeys_that_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OwnPrekeys, "erase", lambda self, before_day: None)
    with pytest.raises(AssertionError, match="that were over are opened"):
        Schedule(SHORT, 1).run()


def test_without_anybody_who_sends_keys_again_less_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Schedule(SHORT, 1).run()
    monkeypatch.setattr(Member, "deliver", lambda self, wall_ms: self.delivery.due(wall_ms, 1))
    assert Schedule(SHORT, 1).run().read < 0.5 * honest.read
