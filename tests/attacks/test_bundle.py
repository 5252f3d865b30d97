"""Bundles: whatever a file is called, is, or says, nothing but envelopes comes out of it, and nothing is told by it.

The files are real and read as the daemon does it, the core is one of the table's.
"""

import gzip
import os
import time
import zipfile
from collections.abc import Awaitable, Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from meshd.daemon import carrier
from meshd.errors import CallerError, Code
from meshd.limits import BUNDLE_SIZE_MAX, KEEP_HOURS
from meshd.post import HOUR_MS
from meshd.store.bundle import Reader
from tests.bundles import SALT, exported, imported, written
from tests.homes import PLAZA, Home, Table
from tests.wire import Author

FOREIGN_KEY = bytes(range(32))


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


@pytest.fixture
def oak(table: Table) -> Home:
    made = table.home("oak")
    made.ask("channel.join", name="plaza")
    return made


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    made = tmp_path / "stick"
    made.mkdir()
    return made


def asking(home: Home) -> Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]:
    async def ask(method: str, params: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in home.ask(method, **params).items() if name != "v"}

    return ask


async def take(home: Home, file: Path | str) -> dict[str, Any]:
    return await carrier.import_(asking(home), home.carry.network_key, {"file": str(file)})


async def give(home: Home, file: Path | str, **which: str) -> dict[str, Any]:
    return await carrier.export(asking(home), home.carry.network_key, {"file": str(file), **which})


async def refused(doing: Awaitable[Any]) -> Code:
    with pytest.raises(CallerError) as error:
        await doing
    return error.value.code


async def test_a_file_takes_posts_from_one_home_to_another(table: Table, oak: Home, stick: Path) -> None:
    ash = table.home("ash")
    oak.post("hello")
    wrote = await give(oak, stick / "a")
    assert wrote == {"envelopes": 1, "bytes": (stick / "a").stat().st_size}
    assert await take(ash, stick / "a") == {"new": 1, "known": 0, "refused": 0, "expired": 0, "whole": True}
    assert ash.texts() == ["hello"]


async def test_a_file_that_is_cut_off_is_taken_up_to_the_cut(table: Table, oak: Home, stick: Path) -> None:
    for number in range(9):
        oak.post(str(number))
    content = exported(oak)
    sizes = []
    for size in range(41, len(content) + 1, 150):
        home = table.home()
        (stick / "cut").write_bytes(content[:size])
        found = await take(home, stick / "cut")
        assert found["whole"] is False and len(home.raws()) == found["new"]
        sizes.append(found["new"])
    assert sizes == sorted(sizes) and sizes[0] == 0 and sizes[-1] >= 8


async def test_a_bundle_of_another_network_changes_nothing(table: Table, oak: Home, stick: Path) -> None:
    foreign = table.home("far", network_key=FOREIGN_KEY)
    foreign.post("hello")
    await give(foreign, stick / "far")
    assert await refused(take(oak, stick / "far")) is Code.refused
    assert oak.raws() == [] and len(oak.node.keyset) == 0


# --- B01 ---


async def test_B01_a_path_is_a_regular_file_and_nothing_is_followed(oak: Home, stick: Path) -> None:
    oak.post("hello")
    await give(oak, stick / "real")
    (stick / "link").symlink_to("real")
    (stick / "dangling").symlink_to("../outside")
    (stick / "folder").mkdir()
    before = sorted(stick.parent.rglob("*"))
    for name, code in (("link", Code.refused), ("dangling", Code.refused), ("folder", Code.refused),
                       ("absent", Code.not_found)):  # fmt: skip
        assert await refused(take(oak, stick / name)) is code, name
    for name in ("link", "dangling", "folder", "real"):
        assert await refused(give(oak, stick / name)) is Code.refused, name
    for path in ("real", "../stick/real", "", "~/x", f"{stick}/a\0b"):
        assert await refused(take(oak, path)) is Code.usage and await refused(give(oak, path)) is Code.usage
    assert await refused(take(oak, "/dev/null")) is Code.refused
    assert await refused(take(oak, f"{stick}/\udcff")) is Code.not_found
    assert await refused(give(oak, stick / "absent" / "x")) is Code.not_found
    assert sorted(stick.parent.rglob("*")) == before


async def test_B01_names_inside_a_bundle_are_bytes_that_are_no_envelopes(oak: Home, stick: Path) -> None:
    names = (b"../../outside", b"/etc/passwd", b"CON", b"link -> /tmp")
    (stick / "names").write_bytes(written(oak, *names))
    before = sorted(stick.parent.rglob("*"))
    found = await take(oak, stick / "names")
    assert (found["refused"], found["whole"]) == (len(names), True)
    assert sorted(stick.parent.rglob("*")) == before and oak.raws() == []


# --- B02, B03 ---


async def test_B02_an_archive_is_refused_by_its_first_bytes(
    oak: Home, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    oak.post("hello")
    content, zipped = exported(oak) + bytes(4_000_000), BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.bundle", content)
    read = []
    honest = os.read
    monkeypatch.setattr(os, "read", lambda file, size: read.append(size) or honest(file, size))
    for bomb in (gzip.compress(content), zipped.getvalue()):
        (stick / "a.bundle").write_bytes(bomb)
        assert await refused(take(oak, stick / "a.bundle")) is Code.invalid
    assert len(read) == 2


async def test_B03_files_without_end_are_refused_before_they_are_read(
    oak: Home, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(stick / "fifo")
    with (stick / "huge").open("wb") as file:
        file.write(exported(oak)[:41])
        file.truncate(10 * 1024**3)
    monkeypatch.setattr(os, "read", None)
    for path in (stick / "fifo", Path("/dev/zero"), stick / "huge"):
        assert await refused(take(oak, path)) is Code.refused


async def test_B03_a_file_that_grows_while_it_is_read_is_capped(
    oak: Home, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (stick / "grows").write_bytes(b"")
    monkeypatch.setattr(carrier, "BUNDLE_SIZE_MAX", 500_000)
    head, entry = exported(oak)[:41], (1000).to_bytes(2, "big") + bytes(1000)
    pieces = iter([head] + [entry * 100] * 1000)
    read = []
    monkeypatch.setattr(os, "read", lambda file, size: read.append(size) or next(pieces))
    found = await take(oak, stick / "grows")
    assert found["whole"] is False and len(read) == 1 + 5 and BUNDLE_SIZE_MAX > 10**9


async def test_B03_zeros_behind_a_head_end_it(oak: Home, stick: Path) -> None:
    with (stick / "zeros").open("wb") as file:
        file.write(exported(oak)[:41])
        file.truncate(BUNDLE_SIZE_MAX)
    assert (await take(oak, stick / "zeros"))["whole"] is False


# --- B04 ---


@pytest.mark.real
async def test_B04_many_duplicates_and_one_that_is_new(table: Table, oak: Home, stick: Path) -> None:
    author = Author(3)
    raws = [author.envelope(channel=PLAZA, incarnation=number) for number in range(1, 1002)]
    imported(oak, written(oak, *raws[:1000]))
    (stick / "a").write_bytes(written(oak, *(raws[:1000] * 100), raws[1000]))
    began = time.process_time()
    found = await take(oak, stick / "a")
    assert (found["new"], found["known"], found["whole"]) == (1, 100_000, True)
    assert time.process_time() - began < 5


def test_B04_what_is_known_is_not_verified_again(
    table: Table, oak: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    raws = [Author(3).envelope(channel=PLAZA, incarnation=number) for number in range(1, 12)]
    imported(oak, written(oak, *raws[:10]))
    verified = []
    honest = oak.node.intake._verify_many
    monkeypatch.setattr(
        oak.node.intake, "_verify_many", lambda checks: verified.extend(checks) or honest(checks)
    )
    assert imported(oak, written(oak, *raws[:10] * 20, raws[10])) == (1, 200, 0, 0)
    assert len(verified) == 1


# --- B06 ---


async def test_B06_a_bundle_tells_nothing_of_its_maker(
    table: Table, oak: Home, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ash = table.home("ash")
    ash.ask("channel.join", name="plaza")
    raws = [Author(3).envelope(channel=PLAZA, incarnation=number) for number in range(1, 9)]
    imported(oak, written(oak, *raws))
    table.passed_ms += 5 * HOUR_MS
    imported(ash, written(ash, *raws[::-1]))
    monkeypatch.setattr(os, "urandom", lambda size: SALT[:size])
    for home, name in ((oak, "a"), (ash, "b")):
        await give(home, stick / name)
    for name in "a", "b":
        status = (stick / name).stat()
        assert (status.st_mode & 0o777, status.st_mtime, status.st_atime) == (0o600, 315_532_800, 315_532_800)
    first, second = (stick / "a").read_bytes(), (stick / "b").read_bytes()
    assert first == second  # whoever made it, however it came, and when


async def test_B06_two_bundles_of_one_network_have_no_bytes_in_common_but_the_beginning(
    oak: Home, stick: Path
) -> None:
    await give(oak, stick / "a")
    await give(oak, stick / "b")
    first, second = (stick / "a").read_bytes(), (stick / "b").read_bytes()
    assert first[:9] == second[:9]
    assert first[9:25] != second[9:25] and first[25:41] != second[25:41] and first[47:] != second[47:]


async def test_B06_what_could_not_be_finished_is_removed(oak: Home, stick: Path, monkeypatch: Any) -> None:
    oak.post("hello")

    def full(file: int, content: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    assert await refused(give(oak, stick / "a")) is Code.error
    assert os.listdir(stick) == []


# --- T07 ---


def test_T07_an_expired_envelope_a_month_later(table: Table, oak: Home) -> None:
    raw = Author(3).envelope(channel=PLAZA)
    content = written(oak, raw)
    assert imported(oak, content) == (1, 0, 0, 0)
    table.passed_ms += 30 * 24 * HOUR_MS
    assert KEEP_HOURS["7d"] < 30 * 24
    table.settle()
    assert oak.raws() == [] and len(oak.node.keyset) == 0
    assert imported(oak, content) == (0, 0, 0, 1)
    assert oak.raws() == [] and Reader(oak.carry.network_key).feed(content) == [raw]
