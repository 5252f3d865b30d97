"""Keys and sealed posts over time: what a node erases when, what it keeps, and never by a clock in doubt."""

from pathlib import Path

import pytest

from meshd import daykeys
from meshd.errors import CallerError
from meshd.post import HOUR_MS
from tests.groups import (
    DAY,
    EPOCH,
    GROUP,
    HOUR_NOW,
    KEY,
    bring,
    inside,
    join,
    members,
    seal,
    sealed_post,
    shown,
)
from tests.homes import Home, Table, linked
from tests.wire import WALL_MS, Author

OAK, ELM = Author(1), Author(2)
DAY_MS = 24 * HOUR_MS


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def stored(home: Home) -> list[tuple[bytes, bytes, int, bytes]]:
    return home.log.epoch_keys.all()


def test_keys_are_there_after_a_start_and_gone_after_leaving(table: Table) -> None:
    (oak,) = members(table)
    oak.post("one", channel="kitchen")
    oak.stop()
    oak.start()
    assert stored(oak) == [(GROUP, EPOCH, DAY, KEY)]
    oak.post("two", channel="kitchen")
    assert shown(oak) == ["one", "two"]
    oak.ask("channel.leave", channel="kitchen")
    assert stored(oak) == [] and oak.node.intake.sealing.keyring.channels() == []
    linked(oak, 1).give(sealed_post(OAK))
    oak.stop()
    oak.start()
    assert oak.node.intake.sealing.posting(GROUP) == b"" and len(oak.raws()) == 3
    with pytest.raises(CallerError, match="in no group"):
        oak.ask("read", channel="group:kitchen")


def test_a_locked_node_holds_no_key_and_carries_on(table: Table) -> None:
    (oak,) = members(table)
    oak.stop()
    oak.locked = True
    oak.start()
    raw = sealed_post(OAK)
    linked(oak, 1).give(raw)
    assert oak.raws() == [raw] and oak.node.intake.sealing.keyring.channels() == []
    oak.stop()
    oak.locked = False
    oak.start()
    assert shown(oak) == ["hello"]


def test_the_keys_of_a_day_are_erased_an_hour_after_its_end(table: Table) -> None:
    (oak,) = members(table)
    end_ms = (DAY + 1) * DAY_MS - WALL_MS
    table.run(end_ms + HOUR_MS - 1)
    assert stored(oak) == [(GROUP, EPOCH, DAY, KEY)]
    table.run(1)
    moved = daykeys.advance(KEY, 1)
    assert stored(oak) == [(GROUP, EPOCH, DAY + 1, moved)]
    assert oak.node.intake.sealing.keyring.keys(GROUP, EPOCH) == [(DAY + 1, moved)]
    assert (oak.folder / "log-wal").stat().st_size == 0, "the journal would still have the key"
    table.run(3 * DAY_MS)
    assert stored(oak) == [(GROUP, EPOCH, DAY + 4, daykeys.advance(KEY, 4))]
    oak.post("still", channel="kitchen")
    assert shown(oak)[-1:] == ["still"]


def test_who_has_no_time_erases_nothing(table: Table) -> None:
    (oak,) = members(table)
    oak.stop()
    table.skew_ms = 30 * 365 * DAY_MS
    oak.start()
    assert oak.node.time.state == "unsynced"
    table.run(3 * DAY_MS)
    assert stored(oak) == [(GROUP, EPOCH, DAY, KEY)]
    assert shown(oak) == []


def test_after_a_long_stop_erasing_waits_for_somebody_who_agrees(table: Table) -> None:
    (oak,) = members(table)
    table.run(HOUR_MS)
    oak.stop()
    table.skew_ms = 20 * DAY_MS
    oak.start()
    table.run(2 * HOUR_MS)
    assert oak.node.time.state == "jumped" and stored(oak) == [(GROUP, EPOCH, DAY, KEY)]
    oak.ask("clock.confirm")
    table.run(1)
    assert stored(oak) == [(GROUP, EPOCH, DAY + 20, daykeys.advance(KEY, 20))]


def test_status_says_from_which_day_on_a_seizure_shows_what(table: Table) -> None:
    oak = table.home()
    assert "groups and directs" not in str(oak.ask("status")["exposed"])
    join(oak)
    assert "expires on 2026-09-21 (UTC) or later" in oak.ask("status")["exposed"][0]
    table.run(2 * DAY_MS)
    assert "expires on 2026-09-23 (UTC) or later" in oak.ask("status")["exposed"][0]


def test_sealed_posts_are_gone_at_their_keep_until_own_ones_too(table: Table) -> None:
    (oak,) = members(table)
    bring(oak, sealed_post(ELM, keep_until=HOUR_NOW + 24))
    oak.post("short", channel="kitchen", keep="6h")
    oak.post("long", channel="kitchen", keep="7d")
    oak.post("public", keep="6h")
    assert shown(oak) == ["hello", "short", "long"]
    table.run(7 * HOUR_MS)
    assert shown(oak) == ["hello", "long"]
    table.run(18 * HOUR_MS)
    assert shown(oak) == ["long"] and oak.texts() == ["public"]
    assert oak.ask("search", query="short OR hello OR public", limit=10)["posts"] == []
    table.run(7 * DAY_MS)
    assert shown(oak) == [] and oak.log.openings.over(10**6, 10) == [] and oak.log.missing() == []
    oak.post("again", channel="kitchen")
    assert shown(oak) == ["again"]


def test_a_post_that_lasts_longer_than_its_envelope_stays(table: Table) -> None:
    (oak,) = members(table)
    content = inside(OAK, kind=77, keep_until=HOUR_NOW + 48)
    bring(oak, seal(content, hour=HOUR_NOW + 6))
    identity = oak.log.openings.over(HOUR_NOW + 6, 1)[0][1]
    table.run(8 * HOUR_MS)
    assert oak.raws() == [] and oak.log.row(identity) is not None
