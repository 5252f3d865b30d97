"""The encrypted file: what is refused and leaves no trace, what a crash leaves, which failure has which type."""

import shutil
import sqlite3
from pathlib import Path

import pytest
import sqlcipher3

from meshd.errors import CallerError, Code, DiskError, DiskFull
from meshd.store.db import VALUES_MAX, Database, marks, slices

KEY = b"k" * 32
SCHEMA = (("CREATE TABLE word (word TEXT NOT NULL)",),)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    return home / "words"


def made(path: Path, *words: str) -> Database:
    database = Database.create(path, KEY, SCHEMA, durable=False)
    database.write_many("INSERT INTO word VALUES (?)", [(word,) for word in words])
    database.commit()
    return database


def opened(path: Path, key: bytes = KEY) -> Database:
    return Database(path, key, SCHEMA, durable=False)


def words(database: Database) -> list[str]:
    return [word for (word,) in database.read("SELECT word FROM word ORDER BY rowid")]


def contents(folder: Path) -> dict[str, bytes]:
    """What the files hold, without the journal's index (-shm) and an empty journal."""
    files = [file for file in folder.iterdir() if file.is_file() and not file.name.endswith("-shm")]
    return {file.name: held for file in files if (held := file.read_bytes())}


def crashed(path: Path, to: Path) -> Path:
    """What a crash at this moment leaves: the files as they are, with a journal that nobody folded in."""
    to.mkdir()
    for name in contents(path.parent):
        shutil.copy(path.parent / name, to / name)
    return to / path.name


def refusal(path: Path, key: bytes = KEY) -> Code:
    before = contents(path.parent)
    with pytest.raises(CallerError) as caught:
        opened(path, key)
    assert contents(path.parent) == before
    assert caught.value.message.count("\n") == 0
    return caught.value.code


def test_reopened(path: Path) -> None:
    made(path, "oak", "ash").close()
    database = opened(path)
    assert words(database) == ["oak", "ash"]
    database.close()
    assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(contents(path.parent)) == ["words"]


def test_settings(path: Path) -> None:
    for durable, synchronous in (True, 2), (False, 0):
        database = Database.create(path.with_name(f"words-{durable}"), KEY, SCHEMA, durable=durable)
        found = {
            name: database.read(f"PRAGMA {name}")[0][0]
            for name in ("synchronous", "journal_mode", "secure_delete", "temp_store", "locking_mode")
        }
        assert found == {
            "synchronous": synchronous, "journal_mode": "wal", "secure_delete": 1, "temp_store": 2,
            "locking_mode": "exclusive",
        }  # fmt: skip
        database.close()


def test_wrong_key_touches_nothing_and_says_nothing(
    path: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    database = made(path, "oak")
    copy = crashed(path, tmp_path / "crashed")
    database.close()
    assert contents(copy.parent).keys() == {"words", "words-wal"}
    assert refusal(copy, b"x" * 32) is Code.invalid
    assert capfd.readouterr() == ("", "")
    assert words(opened(copy)) == ["oak"]


def test_key_of_the_wrong_size(path: Path) -> None:
    made(path).close()
    for key in b"", b"k" * 31, b"k" * 33:
        with pytest.raises(ValueError, match="32 bytes"):
            opened(path, key)


@pytest.mark.parametrize("content", [b"", b"x" * 15, b"SQLite format 3\0" + bytes(4080), b"\xaa" * 8192])
def test_foreign_file(content: bytes, path: Path) -> None:
    path.write_bytes(content)
    path.chmod(0o600)
    assert refusal(path) is Code.invalid


def test_plain_database(path: Path) -> None:
    plain = sqlite3.connect(path)
    plain.execute("CREATE TABLE word (word TEXT)")
    plain.close()
    path.chmod(0o600)
    assert refusal(path) is Code.invalid


def test_cut_file(path: Path) -> None:
    made(path, *("oak" * 300 for _ in range(40))).close()
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises((CallerError, DiskError)):
        words(opened(path))


def test_no_file(path: Path) -> None:
    assert refusal(path) is Code.not_found
    path.mkdir()
    with pytest.raises(CallerError) as caught:
        opened(path)
    assert caught.value.code is Code.invalid


def test_link_to_a_file(path: Path) -> None:
    made(path).close()
    link = path.with_name("link")
    link.symlink_to(path)
    assert refusal(link) is Code.invalid


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_permissions(mode: int, path: Path) -> None:
    made(path).close()
    path.chmod(mode)
    assert refusal(path) is Code.refused
    path.chmod(0o600)
    opened(path).close()


def test_create_over_something(path: Path) -> None:
    path.write_bytes(b"something")
    with pytest.raises(CallerError) as caught:
        made(path)
    assert caught.value.code is Code.refused
    assert path.read_bytes() == b"something"


def test_create_where_there_is_no_folder(path: Path) -> None:
    with pytest.raises(CallerError) as caught:
        made(path / "deeper")
    assert caught.value.code is Code.refused


def test_second_opener(path: Path) -> None:
    database = made(path, "oak")
    with pytest.raises(CallerError) as caught:
        opened(path)
    assert caught.value.code is Code.busy
    assert words(database) == ["oak"]
    database.close()
    assert words(opened(path)) == ["oak"]


def test_migrations_run_once_in_order(path: Path) -> None:
    made(path, "oak").close()
    grown = (*SCHEMA, ("ALTER TABLE word ADD COLUMN size INTEGER", "UPDATE word SET size = length(word)"))
    for _ in range(2):
        database = Database(path, KEY, grown, durable=False)
        assert database.read("SELECT word, size FROM word") == [("oak", 3)]
        database.close()
    assert refusal(path) is Code.invalid  # written by a newer meshd


def test_migration_that_fails_is_undone(path: Path) -> None:
    made(path, "oak").close()
    broken = (*SCHEMA, ("DELETE FROM word", "no such statement"))
    with pytest.raises(sqlcipher3.OperationalError):
        Database(path, KEY, broken, durable=False)
    assert words(opened(path)) == ["oak"]


def test_unfinished_file(path: Path) -> None:
    Database.create(path, KEY, (), durable=False).close()
    path.chmod(0o600)
    assert refusal(path) is Code.invalid


def test_crash_keeps_what_was_committed_and_nothing_else(path: Path, tmp_path: Path) -> None:
    database = made(path, "oak")
    database.write("INSERT INTO word VALUES ('ash')")
    copy = crashed(path, tmp_path / "crashed")
    assert words(opened(copy)) == ["oak"]
    database.commit()
    assert words(opened(crashed(path, tmp_path / "later"))) == ["oak", "ash"]


def test_rollback(path: Path) -> None:
    database = made(path, "oak")
    database.rollback()
    assert database.write("DELETE FROM word") == 1
    database.rollback()
    assert words(database) == ["oak"]


def test_commit_of_nothing_writes_nothing(path: Path) -> None:
    database = made(path, "oak")
    before = contents(path.parent)
    words(database)
    database.commit()
    assert contents(path.parent) == before


def test_checkpoint_empties_the_journal(path: Path) -> None:
    database = made(path, "oak")
    assert contents(path.parent).keys() == {"words", "words-wal"}
    database.checkpoint()
    assert contents(path.parent).keys() == {"words"}


def test_a_journal_is_longer_than_what_is_in_it_and_a_crash_finds_its_end(path: Path, tmp_path: Path) -> None:
    database = Database.create(path, KEY, SCHEMA)
    journal = path.with_name("words-wal")
    sizes = set()
    for number in range(40):
        database.write("INSERT INTO word VALUES (?)", (str(number),))
        database.commit()
        sizes.add(journal.stat().st_size)
    assert len(sizes) == 1 and journal.read_bytes().endswith(bytes(4096))
    copied = shutil.copytree(path.parent, tmp_path / "copy")
    assert words(opened(copied / "words")) == [str(number) for number in range(40)]
    database.checkpoint()
    assert journal.stat().st_size == 0
    database.write("INSERT INTO word VALUES ('more')")
    database.commit()
    assert journal.read_bytes().endswith(bytes(4096))
    database.close()
    assert words(opened(path))[-2:] == ["39", "more"]


def test_a_journal_that_finds_no_spare_room_is_none_the_worse(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database.create(path, KEY, SCHEMA)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("builtins.open", full)
    database.write("INSERT INTO word VALUES ('more')")
    database.commit()
    monkeypatch.undo()
    database.close()
    assert words(opened(path)) == ["more"]


def test_full_disk(path: Path) -> None:
    database = made(path, "oak")
    database.read("PRAGMA max_page_count = 1")
    with pytest.raises(DiskFull):
        database.write("INSERT INTO word VALUES (?)", ("long" * 5000,))
    database.rollback()
    database.read("PRAGMA max_page_count = 1000")
    database.write("INSERT INTO word VALUES (?)", ("ash",))
    database.commit()
    assert words(database) == ["oak", "ash"]


def test_our_own_mistakes_are_no_failure_of_the_disk(path: Path) -> None:
    database = made(path)
    for sql, values in (
        ("SELECT nothing FROM nowhere", ()),
        ("SELECT ?", ()),
        ("INSERT INTO word VALUES (NULL)", ()),
    ):
        with pytest.raises(sqlcipher3.Error):
            database.write(sql, values)


def test_slices_and_marks() -> None:
    values = list(range(2 * VALUES_MAX + 1))
    cut = list(slices(values))
    assert [len(each) for each in cut] == [VALUES_MAX, VALUES_MAX, 1]
    assert [value for each in cut for value in each] == values
    assert marks([7, 8]) == "(?,?)"
