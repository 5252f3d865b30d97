"""The scenario `direct`, briefly: two ends of a line that are never on at one time write to each other.

`scripts/sim --scenario direct` has one off for a day. What it demands is worth something only if it notices what is
missing, so the ways on which all rests are cut, one after the other.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from meshd.directs import Directs
from meshd.groups.delivery import Delivery
from tests.simulation.directs import SECOND_MS, Direct, run

SHORT = replace(Direct(), off_ms=600 * SECOND_MS)


def test_two_who_are_never_on_at_one_time_write_answer_and_acknowledge(tmp_path: Path) -> None:
    outcome = run(SHORT, 1, tmp_path)
    assert outcome.opened == 0 and outcome.carried >= 7
    assert max(outcome.read_ms, outcome.answered_ms) < 60 * SECOND_MS


def test_it_notices_a_key_that_is_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Delivery.due
    monkeypatch.setattr(Delivery, "due", lambda self, wall_ms, limit: honest(self, wall_ms, limit)[:0])
    with pytest.raises(AssertionError, match="no bread at eight within"):
        run(SHORT, 1, tmp_path)


def test_it_notices_a_receipt_that_is_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Directs.__init__

    def silent(self: Directs, *parts: object, **named: object) -> None:
        honest(self, *parts, **{**named, "receipts": False})  # type: ignore[arg-type]

    monkeypatch.setattr(Directs, "__init__", silent)
    with pytest.raises(AssertionError, match="no receipt for bread"):
        run(SHORT, 1, tmp_path)
