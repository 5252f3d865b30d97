"""What is deleted when its time is over: by whom, from where, in which slices, and never by a clock in doubt."""

from pathlib import Path

import pytest

from meshd import limits
from meshd.ids import key_hour
from meshd.limits import PRUNE_BUDGET, READABLE_DAYS
from meshd.post import HOUR_MS, Text, encode_text
from meshd.proto.keyset import KeySet
from meshd.store.log import Log
from tests.homes import PLAZA, Home, Stranger, Table
from tests.logs import ASH, HOUR, KEY, OAK, OWN, SEED, SQUARE, chain, entry, shown
from tests.wire import WALL_MS, Author

HOUR_NOW = WALL_MS // HOUR_MS


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def dated(number: int, *, keep_hours: int = 6, **slots: object) -> bytes:
    body = encode_text(Text("", b"", f"{number}"))
    chosen = {"hlc": WALL_MS + number << 16, "keep_until": HOUR_NOW + keep_hours, **slots}
    return Author(3).envelope(channel=PLAZA, incarnation=number + 1, body=body, **chosen)


def give(home: Home, *raws: bytes) -> None:
    stranger = Stranger(home, seed=len(raws))
    home.table.settle()
    stranger.give(*raws)
    home.table.cut(stranger, stranger.link)
    home.table.settle()


def hours_left(home: Home) -> list[int]:
    keys = home.node.keyset.slice(0, len(home.node.keyset))
    assert sorted(home.carry.keys()) == keys
    return [key_hour(each) - HOUR_NOW for each in keys]


def test_what_expired_leaves_the_set_and_carry_within_the_hour_and_stays_readable(table: Table) -> None:
    oak = table.home()
    give(oak, dated(1), dated(2, keep_hours=24), dated(3, keep_hours=168))
    oak.post("mine", keep="6h")
    table.run(6 * HOUR_MS)
    assert hours_left(oak) == [7, 24, 168], "our own was rounded up to the hour"
    table.run(HOUR_MS)
    assert hours_left(oak) == [24, 168]
    assert sorted(oak.texts()) == ["1", "2", "3", "mine"]
    table.run(162 * HOUR_MS)
    assert hours_left(oak) == []
    assert sorted(oak.texts()) == ["1", "2", "3", "mine"]


def test_others_posts_are_readable_for_thirty_days_and_own_ones_as_long_as_we_like(table: Table) -> None:
    oak = table.home()
    oak.ask("channel.join", name="plaza")
    give(oak, dated(1, keep_hours=168), dated(2, keep_hours=168, kind=9))
    oak.post("mine")
    table.run((READABLE_DAYS * 24 - 1) * HOUR_MS)
    assert oak.texts() == ["1", "mine"]
    table.run(2 * HOUR_MS)
    assert oak.texts() == ["mine"]
    assert [row.text for row in map(oak.log.row, (row.id for row in oak.log.find("0", 99)))] in ([], ["mine"])
    assert oak.log.missing() == []
    assert oak.log._database.read("SELECT COUNT(*) FROM post") == [(1,)]


@pytest.mark.parametrize("confirms", ["a hello", "the user", "nobody"])
def test_after_a_stop_of_days_nothing_goes_until_somebody_agrees(table: Table, confirms: str) -> None:
    oak = table.home()
    give(oak, dated(1))
    oak.stop()
    table.skew_ms = 3 * 24 * HOUR_MS
    oak.start()
    table.run(5 * HOUR_MS)
    assert oak.ask("status")["clock"]["state"] == "jumped"
    assert hours_left(oak) == [6]
    if confirms == "the user":
        oak.ask("clock.confirm")
    elif confirms == "a hello":
        elm = table.home()
        table.link(elm, oak)
    table.run(1_000)
    assert hours_left(oak) == ([6] if confirms == "nobody" else [])


def test_what_was_taken_in_without_a_time_and_lasts_too_long_goes_once_there_is_one(table: Table) -> None:
    table.skew_ms = -WALL_MS
    oak = table.home()
    late = WALL_MS + 400 * 24 * HOUR_MS
    far = dated(1, hlc=late << 16, keep_until=late // HOUR_MS + 24)
    give(oak, far, dated(2, keep_hours=168))
    assert hours_left(oak) == [168, 400 * 24 + 24]
    table.skew_ms = 0
    oak.ask("clock.confirm")
    table.settle()
    assert hours_left(oak) == [168]


def test_a_pass_is_cut_into_slices_and_others_are_served_between(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    oak = table.home()
    give(oak, *[dated(number) for number in range(3 * PRUNE_BUDGET // 2)])
    sizes = []
    honest = KeySet.remove_below

    def noted(self: KeySet, key: bytes, most: int) -> list[bytes]:
        sizes.append(len(removed := honest(self, key, most)))
        return removed

    monkeypatch.setattr(KeySet, "remove_below", noted)
    table.run(5 * HOUR_MS)
    sizes.clear()
    table.run(HOUR_MS)
    assert sizes[:3] == [PRUNE_BUDGET, PRUNE_BUDGET // 2, 0]


def test_a_pass_leaves_no_word_in_the_journals(table: Table) -> None:
    oak = table.home()
    give(oak, dated(1))
    for name in ("carry-wal", "log-wal"):
        assert (oak.folder / name).stat().st_size > 0
    table.run(7 * HOUR_MS)
    oak.node.upkeep.retention.empty_journals()
    for name in ("carry-wal", "log-wal"):
        assert (oak.folder / name).stat().st_size == 0


# --- the log's side ---


@pytest.fixture
def log(tmp_path: Path) -> Log:
    log = Log.create(tmp_path / "log", KEY, SEED, "oak", durable=False)
    log.join(SQUARE, "square", "public")
    return log


def prune(log: Log, before_s: float, *, hour: int = 0, budget: int = 2) -> int:
    """Delete what is stamped before that many seconds after the start; how many slices it took."""
    slices = sum(1 for _ in log.prune(HOUR * HOUR_MS + int(before_s * 1000) << 16, hour, budget))
    log.commit()
    return slices


def test_a_chain_that_loses_its_beginning_misses_nothing(log: Log) -> None:
    posts = chain(OAK, 6)
    log.insert_many(posts)
    assert prune(log, 4) == 1
    assert shown(log) == [each.id for each in posts[3:]]
    assert log.missing() == []
    assert log.heads(SQUARE, 8) == [posts[5].id]
    assert log.insert_many([entry(OAK, 8, posts[5], at_s=8)])[0] == 7
    assert [count for _, _, count in log.missing()] == [1], "a hole above is one as ever"


def test_a_hole_goes_with_the_posts_around_it(log: Log) -> None:
    posts = chain(OAK, 5)
    log.insert_many([posts[0], posts[2], posts[4]])
    assert [count for _, _, count in log.missing()] == [2]
    prune(log, 4)
    assert [count for _, _, count in log.missing()] == [] and shown(log) == [posts[4].id]


def test_a_chain_that_is_all_gone_is_forgotten_and_heads_nothing(log: Log) -> None:
    log.insert_many([*chain(OAK, 3), *chain(ASH, 2, incarnation=7), entry(OWN, 1, at_s=1)])
    prune(log, 10)
    assert log.heads(SQUARE, 8) == [entry(OWN, 1, at_s=1).id] == shown(log)
    assert log._database.read("SELECT COUNT(*) FROM chain") == [(1,)]
    again = chain(OAK, 1)
    log.insert_many(again)
    assert log.heads(SQUARE, 8) == [again[0].id, entry(OWN, 1, at_s=1).id]


@pytest.mark.parametrize("later_h", [limits.KEEP_HOURS_MAX, limits.KEEP_HOURS_MAX + 1])
def test_a_parent_that_nobody_can_have_any_more_is_missing_no_longer(log: Log, later_h: int) -> None:
    log.insert_many([entry(OAK, 1, b"absent".ljust(32))])
    assert log.missing() == [(None, SQUARE, 1)]
    prune(log, 0, hour=HOUR + later_h)
    assert log.missing() == ([(None, SQUARE, 1)] if later_h == limits.KEEP_HOURS_MAX else [])


def test_own_posts_do_not_stop_a_pass(log: Log) -> None:
    own = chain(OWN, 5)
    others = [entry(ASH, number, b"p" * 32, at_s=number + 0.5) for number in range(1, 6)]
    log.insert_many([*own, *others])
    prune(log, 100)
    assert shown(log) == [each.id for each in own]
