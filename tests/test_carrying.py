"""Bundles through the core: nodes that only meet by a file hold the same, and what is wrong in one is left out."""

from pathlib import Path

import pytest

from meshd import envelope
from meshd.errors import CallerError, Code
from meshd.limits import BUNDLE_SLICE_MAX, FULL_RETRY_MS
from meshd.post import HOUR_MS
from meshd.store.bundle import Reader
from tests.bundles import exported, imported, written
from tests.homes import PLAZA, Home, Table, key
from tests.wire import WALL_MS, Author

HOUR = WALL_MS // HOUR_MS


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


@pytest.fixture
def oak(table: Table) -> Home:
    return table.home("oak")


@pytest.fixture
def ash(table: Table) -> Home:
    return table.home("ash")


def test_nodes_that_only_meet_by_bundles_converge(oak: Home, ash: Home) -> None:
    for number in range(BUNDLE_SLICE_MAX + 3):
        oak.post(f"oak {number}")
    for number in range(3):
        ash.post(f"ash {number}")
    assert imported(ash, exported(oak)) == (BUNDLE_SLICE_MAX + 3, 0, 0, 0)
    assert imported(oak, exported(ash)) == (3, BUNDLE_SLICE_MAX + 3, 0, 0)
    assert oak.texts() == ash.texts() and len(oak.texts()) == BUNDLE_SLICE_MAX + 6
    assert exported(oak) == exported(ash)  # byte for byte: nothing tells whose it is
    assert ash.ask("show", id=oak.log.latest(PLAZA, 1)[0].id.hex())["via"] in ("bundle", "own")


def test_what_came_by_a_bundle_goes_on_by_links(table: Table, oak: Home, ash: Home) -> None:
    elm = table.home("elm")
    table.link(ash, elm)
    table.settle()
    elm.ask("channel.join", name="plaza")
    oak.post("by hand")
    imported(ash, exported(oak))
    assert elm.texts() == ["by hand"]  # with no time passing


def test_export_is_in_the_order_of_keys_and_leaves_out_what_expired(table: Table, oak: Home) -> None:
    for keep in ("7d", "6h", "72h", "24h"):
        oak.post(keep, keep=keep)
    raws = Reader(oak.carry.network_key).feed(exported(oak))
    assert [key(raw) for raw in raws] == sorted(map(key, oak.raws())) and len(raws) == 4
    table.passed_ms += 7 * HOUR_MS
    assert len(Reader(oak.carry.network_key).feed(exported(oak))) == 3


def test_export_of_a_channel_or_an_age(table: Table, oak: Home) -> None:
    oak.post("old")
    table.passed_ms += HOUR_MS
    oak.post("young")
    oak.post("elsewhere", channel="square")

    def texts(**which: str) -> set[str]:
        found = [envelope.parse(raw) for raw in Reader(oak.carry.network_key).feed(exported(oak, **which))]
        ids = {each.id for each in found if each is not None}
        return {row.text for row in oak.log.latest(None, 9) if row.id in ids and row.text}

    assert texts() == {"old", "young", "elsewhere"}
    assert texts(channel="plaza") == {"old", "young"}
    assert texts(since="30m") == {"young", "elsewhere"}
    assert texts(since="30m", channel="plaza") == {"young"}
    for since in ("7", "soon"):
        with pytest.raises(CallerError) as error:
            exported(oak, since=since)
        assert error.value.code is Code.usage


def test_what_is_wrong_in_a_bundle_is_left_out_and_the_rest_taken(oak: Home) -> None:
    author = Author(3)
    good = [author.envelope(channel=PLAZA, incarnation=number) for number in range(1, 6)]
    forged = good[4][:-1] + bytes((good[4][-1] ^ 1,))
    far = author.envelope(channel=PLAZA, keep_until=HOUR + 9 * 24, hlc=WALL_MS + 48 * HOUR_MS << 16)
    old = author.envelope(channel=PLAZA, keep_until=HOUR, hlc=WALL_MS - HOUR_MS << 16)
    newer = b"\x94\x02" + good[0][2:]
    entries = [good[0], b"junk", good[0], forged, good[1], newer, far, old, forged, good[2], good[4]]
    assert imported(oak, written(oak, *entries)) == (4, 1, 5, 1)
    assert sorted(oak.raws()) == sorted([*good[:3], good[4]])
    assert imported(oak, written(oak, *good[:3])) == (0, 3, 0, 0)


def test_D02_a_full_disk_refuses_an_import_and_finds_what_is_indexed(
    table: Table, oak: Home, ash: Home
) -> None:
    oak.post("first")
    oak.command("search", query="first")
    table.settle()
    oak.post("second")
    for number in range(300):
        ash.post(f"post {number} " + "x" * 2000)
    content = exported(ash)
    for store in oak.carry, oak.log:
        ((pages,),) = store._database.read("PRAGMA page_count")
        store._database.read(f"PRAGMA max_page_count = {pages}")
    for _ in range(2):
        with pytest.raises(CallerError) as error:
            imported(oak, content)
        assert error.value.code is Code.refused and len(oak.raws()) == 2
    assert oak.node.indexing.behind
    assert [post["text"] for post in oak.ask("search", query="first")["posts"]] == ["first"]
    assert oak.ask("search", query="second")["posts"] == []
    for store in oak.carry, oak.log:
        store._database.read("PRAGMA max_page_count = 100000")
    table.passed_ms += FULL_RETRY_MS
    table.settle()
    assert imported(oak, content)[0] == BUNDLE_SLICE_MAX + 44


def test_a_locked_node_imports_and_exports(table: Table, oak: Home) -> None:
    shut = table.home("shut", locked=True)
    oak.post("hello")
    assert imported(shut, exported(oak)) == (1, 0, 0, 0)
    assert exported(shut) == exported(oak)
