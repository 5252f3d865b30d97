"""A disk that is full (attack case D02): at every write of a run, and as SQLite's own bound on pages.

What must hold, wherever the disk runs out: whoever asked is refused or was answered truly; what was answered is there,
now, after room returned and after a start; what is here is read and passed on meanwhile; no sequence is used twice.
"""

from itertools import count
from pathlib import Path
from typing import Any

import pytest

from meshd.errors import CallerError, Code, DiskFull
from meshd.events import Command, CommandBatch, ReplyBatch
from meshd.limits import FULL_RETRY_MS
from meshd.post import Text, encode_text
from meshd.proto import message as msg
from meshd.store.db import Database
from tests.homes import PLAZA, Home, Stranger, Table, key
from tests.wire import Author


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def said(number: int, size: int = 10) -> bytes:
    body = encode_text(Text("", b"", f"{number}".ljust(size, ".")))
    return Author(3).envelope(channel=PLAZA, incarnation=number + 1, body=body)


class Disk:
    """Lets writes fail: none, or all from the n-th on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room: int | None = None  # writes that still find room
        for name in ("write", "write_many", "commit"):
            monkeypatch.setattr(Database, name, self._wrapped(name, getattr(Database, name)))

    def _wrapped(self, name: str, honest: Any) -> Any:
        def write(database: Database, *arguments: Any) -> Any:
            if self.room is not None and (name != "commit" or database._connection.in_transaction):
                self.room -= 1
                if self.room < 0:
                    raise DiskFull("the disk is full")
            return honest(database, *arguments)

        return write


def is_full(home: Home) -> bool:
    return bool(home.ask("status")["disk"]["full"])


def post(home: Home, text: str) -> bool:
    """Whether it was acknowledged."""
    try:
        home.post(text)
    except CallerError as error:
        assert error.code is Code.refused and "the disk is full" in error.message
        return False
    return True


def day(table: Table, disk: Disk, room: int) -> bool:
    """A day in a life, whose disk is full from a write on; whether it ever was."""
    oak, elm = table.home(), table.home()
    for home in (oak, elm):
        home.ask("channel.join", name="plaza")
    acknowledged = [text for text in ("before",) if post(oak, text)]
    table.link(oak, elm)
    table.settle()
    stranger = Stranger(oak)
    table.settle()
    disk.room = room
    acknowledged += [text for text in ("one", "two") if post(oak, text)]
    oak.handle(CommandBatch(900, [Command(901, "post", {"channel": "plaza", "text": "three"}),
                                  Command(902, "post", {"channel": "plaza", "text": "four"})]))  # fmt: skip
    (batch,) = [effect for effect in oak.effects if isinstance(effect, ReplyBatch)]
    assert len({reply.error is None for reply in batch.replies}) == 1, "all or none"
    acknowledged += ["three", "four"] if batch.replies[0].error is None else []
    if stranger.is_open:
        stranger.give(said(1), said(2))
    table.run(1_000)
    full = is_full(oak)
    assert set(acknowledged) <= set(oak.texts()) | set(carried(oak))
    if full:
        assert not post(oak, "refused")
        late = Stranger(oak, seed=8)
        table.settle()
        late.say(msg.Want(key(oak.raws()[0])[8:24]))
        assert late.given() == [oak.raws()[0]], "what is here is passed on"
        late.give(said(3))
        assert late.is_open and said(3) not in oak.raws()
    disk.room = None
    table.run(FULL_RETRY_MS)
    assert not is_full(oak)
    assert post(oak, "after")
    table.link(oak, elm)
    table.run(10_000)
    oak.stop()
    oak.start()
    for home in (oak, elm):
        texts = home.texts()
        assert {*acknowledged, "after"} <= set(texts) and len(texts) == len(set(texts))
        assert not any(row.forked for row in home.log.after(0, None, 100))
        assert home.log.missing() == []
        for store in (home.carry, home.log):
            assert store._database.read("PRAGMA integrity_check") == [("ok",)]
    return full


def carried(home: Home) -> list[str]:
    from meshd import envelope, post

    parsed = [envelope.parse(raw) for raw in home.raws()]
    return [text.text for each in parsed if each and (text := post.parse_text(each.post.body))]


def test_D02_whichever_write_finds_no_room(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    for room in count():
        folder = tmp_path / f"{room}"
        folder.mkdir()
        if not day(Table(folder), disk, room):
            break
    assert room > 15, "there were that many writes to fail"


def test_D02_a_file_that_cannot_grow(table: Table) -> None:
    oak = table.home()
    oak.ask("channel.join", name="plaza")
    stranger = Stranger(oak)
    table.settle()
    for store in (oak.carry, oak.log):
        ((pages,),) = store._database.read("PRAGMA page_count")
        store._database.read(f"PRAGMA max_page_count = {pages + 20}")
    acknowledged = []
    for number in range(200):
        if not post(oak, text := f"mine {number} ".ljust(1_000, ".")):
            break
        acknowledged.append(text)
    assert 5 < len(acknowledged) < 199 and is_full(oak)
    table.settle()
    assert stranger.down is not None
    table.run(3 * FULL_RETRY_MS)
    assert is_full(oak) and oak.texts() == acknowledged
    for store in (oak.carry, oak.log):
        store._database.read("PRAGMA max_page_count = 100000")
    table.run(FULL_RETRY_MS)
    assert not is_full(oak) and post(oak, "after")
    assert oak.texts() == [*acknowledged, "after"]


def test_D02_what_cannot_be_written_is_refused_and_reading_goes_on(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    oak = table.home()
    oak.post("before")
    disk = Disk(monkeypatch)
    disk.room = 0
    assert not post(oak, "now")
    for method, params in (
        ("channel.join", {"name": "market"}),
        ("channel.leave", {"channel": "plaza"}),
        ("peer.add", {"address": "10.0.0.1:4040"}),
        ("clock.confirm", {}),
        ("post", {"channel": "plaza", "text": "x", "wait": "held"}),
    ):
        with pytest.raises(CallerError, match="the disk is full"):
            oak.ask(method, **params)
    assert oak.texts() == ["before"] and oak.texts("market") == []
    assert [each["unread"] for each in oak.ask("channel.list")["channels"]] == [0]
