"""Posts of plans in a group: they name no epoch, and are stored and chained by whoever does not know their kind."""

from pathlib import Path

import pytest

from meshd.envelope import post_content
from meshd.limits import LONG_KEEP_HOURS_MAX
from meshd.post import HOUR_MS, KIND_PLAN, KIND_PLAN_ACT, KIND_STATEMENT
from tests.groups import bring
from tests.homes import Home, Table
from tests.test_own_groups import group, read, say


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def posted(home: Home, kind: int, epoch: bytes = b"") -> tuple[bytes, bytes]:
    """The id of a long post of the home's in its one group, and an envelope with it."""
    groups, now = home.node.groups, home.table.now()
    assert groups is not None
    (channel,) = groups.groups
    hours = LONG_KEEP_HOURS_MAX - 1 if kind != KIND_STATEMENT else 24
    made = groups._author.sign(channel, epoch, kind, b"of a kind to come", hours, now.wall_ms)
    until = now.wall_ms // HOUR_MS + 24
    day_key = groups._sealing.day_key(channel, groups._sealing.posting(channel), until)
    sealed = groups._author.seal(post_content(made.signed, made.signature), day_key, until)
    return made.id, sealed.raw


def test_who_does_not_know_plans_keeps_and_chains_them(table: Table) -> None:
    oak, elm = group(table, 2)
    for kind in (KIND_PLAN, KIND_PLAN_ACT):
        identity, envelope = posted(elm, kind)
        bring(oak, envelope)
        row = oak.log.row(identity)
        assert row is not None and (row.kind, row.epoch, row.text) == (kind, b"", None)
    say(oak, "bread")
    assert read(oak) == ["bread"]
    assert oak.log.missing() == []


def test_a_statement_without_an_epoch_is_ignored(table: Table) -> None:
    oak, elm = group(table, 2)
    identity, envelope = posted(elm, KIND_STATEMENT)
    bring(oak, envelope)
    assert oak.log.row(identity) is None
