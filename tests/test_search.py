"""Search: what a query finds, that no query is an error of SQL, and that deleted words leave the file."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlcipher3
from hypothesis import given
from hypothesis import strategies as st

from meshd.errors import CallerError, Code
from meshd.limits import INDEX_SLICE_MAX, INDEX_SLICE_SIZE, QUERY_SIZE_MAX, QUERY_TERMS_MAX
from meshd.post import Text
from meshd.store import db, search
from meshd.store import log as log_module
from meshd.store.log import Entry, Log
from meshd.store.search import compile_query
from tests.wire import Author

KEY, SEED = bytes(32), bytes(range(32))
SQUARE, BRIDGE = b"square".ljust(16), b"bridge".ljust(16)


@pytest.fixture(scope="module")
def oak() -> Author:
    return Author(1)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    made = Log.create(tmp_path / "log", KEY, SEED, "me", durable=False)
    made.join(SQUARE, "square", "public")
    made.join(BRIDGE, "bridge", "public")
    yield made
    made.close()


def insert(log: Log, oak: Author, *texts: str | None, channel: bytes = SQUARE) -> None:
    """Posts of one author, one after the other; None is a post that is no text."""
    first = log.last_cursor()
    log.insert_many(
        [
            Entry(
                number.to_bytes(32, "big"),
                oak.post(channel=channel, sequence=number, hlc=number << 16),
                None if text is None else Text("", b"", text),
                "test",
                0,
            )
            for number, text in enumerate(texts, first + 1)
        ]
    )


def add(log: Log, oak: Author, *texts: str, channel: bytes = SQUARE) -> None:
    """Posts, indexed."""
    insert(log, oak, *texts, channel=channel)
    catch_up(log)


def catch_up(log: Log) -> None:
    while log.indexed < log.last_cursor():
        log.index()


def found(
    log: Log, query: str, channel: bytes | None = None, after: int | None = None, limit: int = 50
) -> list[int]:
    return [row.cursor for row in log.search(compile_query(query), channel, after, limit)]


# --- what a query finds ---


@pytest.mark.parametrize(
    ("query", "cursors"),
    [
        ("bridge", [1, 2, 3]),
        ("BRIDGE Closed", [1, 3]),
        ('"bridge is"', [1, 2]),
        ('"is bridge"', []),
        ("bridge -closed", [2]),
        ('bridge -"is open"', [1, 3]),
        ("clos*", [1, 3]),
        ("clos", []),
        ("brücke", [4]),
        ("brucke", [4]),
        ("BRÜCKE", [4]),
        ("bridge-closed", [3]),
        ("bridge AND closed", []),
        ("and", [5]),
        ("bridge OR", []),
        ("text:bridge", []),
        ("^bridge NEAR(bridge", []),
        ('"bridge is', [1, 2]),
        ("東京*", [6]),
        ("bridge ...", [1, 2, 3]),
        ("bridge ☂", [1, 2, 3]),
        ("c1", []),
        ("place:c1", []),
    ],
)
def test_a_query(query: str, cursors: list[int], log: Log, oak: Author) -> None:
    texts = [
        "the bridge is closed",
        "the bridge is open",
        "bridge: closed!",
        "die Brücke",
        "salt and bread",
        "東京の橋",
    ]
    add(log, oak, *texts)
    assert found(log, query) == cursors


@pytest.mark.parametrize("query", ["", " ", "-closed", "...", '""', "*", "-", '-"a b"', "a" * (QUERY_SIZE_MAX + 1),
                                   "a " * (QUERY_TERMS_MAX + 1)])  # fmt: skip
def test_a_query_for_nothing_or_too_much_is_the_callers_mistake(query: str) -> None:
    with pytest.raises(CallerError) as error:
        compile_query(query)
    assert error.value.code is Code.usage


def test_the_longest_query_is_answered(log: Log, oak: Author) -> None:
    words = [f"w{number}" for number in range(QUERY_TERMS_MAX)]
    add(log, oak, " ".join(words))
    assert found(log, " ".join(words)) == [1]
    assert found(log, "w0 " + " ".join(f"-x{number}" for number in range(QUERY_TERMS_MAX - 1))) == [1]
    assert found(log, "w0 " + "é" * (QUERY_SIZE_MAX - 3)) == []


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory, oak: Author) -> Iterator[Log]:
    made = Log.create(tmp_path_factory.mktemp("search") / "log", KEY, SEED, "me", durable=False)
    made.join(SQUARE, "square", "public")
    add(made, oak, "the bridge is closed")
    yield made
    made.close()


@given(st.text(st.characters(exclude_categories=("Cs",))) | st.text("ab\"-*: ^(){}+,\0NOTAND'", max_size=30))
def test_no_query_is_an_error_of_sql(lasting: Log, query: str) -> None:
    try:
        words = compile_query(query)
    except CallerError:
        return
    for channel in None, SQUARE:
        assert all(row.cursor == 1 for row in lasting.search(words, channel, None, 9))


# --- which, how many, in what order ---


def test_the_newest_are_found_and_shown_oldest_first(log: Log, oak: Author) -> None:
    add(log, oak, *["bridge"] * 5)
    assert found(log, "bridge", limit=3) == [3, 4, 5]


def test_a_cursor_goes_on_from_there(log: Log, oak: Author) -> None:
    add(log, oak, *["bridge"] * 5)
    assert found(log, "bridge", after=1, limit=2) == [2, 3]
    assert found(log, "bridge", after=3, limit=2) == [4, 5]
    assert found(log, "bridge", after=5, limit=2) == []


def test_a_channel_that_was_left_is_found_only_by_name(log: Log, oak: Author) -> None:
    add(log, oak, "the bridge")
    add(log, oak, "the bridge", channel=BRIDGE)
    assert found(log, "bridge") == [1, 2]
    assert found(log, "bridge", SQUARE) == [1] and found(log, "bridge", BRIDGE) == [2]
    log.leave(SQUARE)
    assert found(log, "bridge") == [2] and found(log, "bridge", SQUARE) == [1]
    assert found(log, "bridge", b"plaza".ljust(16)) == []


# --- the index keeps up ---


def test_a_slice_is_bounded_and_the_place_is_kept(log: Log, oak: Author, tmp_path: Path) -> None:
    long = "word " * (INDEX_SLICE_SIZE // 10 + 1)
    insert(log, oak, long, long, *["short"] * INDEX_SLICE_MAX, None)
    assert log.indexed == 0
    log.index()
    assert log.indexed == 2  # two long ones fill a slice
    log.commit()
    log.close()
    again = Log(tmp_path / "log", KEY, durable=False)
    assert again.indexed == 2
    again.index()
    assert again.indexed == 2 + INDEX_SLICE_MAX
    again.index()
    assert again.indexed == again.last_cursor()  # what is no text has no words
    again.close()


def test_a_rollback_takes_the_index_back_too(log: Log, oak: Author) -> None:
    add(log, oak, "first")
    log.commit()
    add(log, oak, "second")
    log.rollback()
    assert (log.indexed, log.last_cursor()) == (1, 1)
    assert found(log, "second") == []


# --- what is deleted is gone ---

WORDS = [hashlib.blake2b(bytes((number,)), digest_size=12).hexdigest() for number in range(50)]


def plain_log(path: Path, monkeypatch: pytest.MonkeyPatch) -> Log:
    """A log without encryption, so that a test can look for words in its file."""

    def connect(name: str, key: bytes, *, uri: bool = False) -> Any:
        return sqlcipher3.connect(name, isolation_level=None, uri=uri)

    monkeypatch.setattr(db, "_connect", connect)
    made = Log.create(path, KEY, SEED, "me", durable=False)
    made.join(SQUARE, "square", "public")
    return made


def left_in(path: Path) -> set[str]:
    """The words whose ends stand in the file or its journal (an index stores words without their common beginnings)."""
    content = b"".join(each.read_bytes() for each in path.parent.iterdir())
    return {word for word in WORDS if word[4:].encode() in content}


def deleted(log: Log, oak: Author) -> None:
    """Index posts in several slices, delete those with canaries, and fold the journal."""
    for word in WORDS:
        add(log, oak, f"said {word} here", "said nothing here")
        log.commit()
    log._database.write("DELETE FROM post WHERE cursor % 2 = 1")
    log.commit()
    log._database.checkpoint()


def test_D09_no_deleted_word_stays_in_the_file(
    tmp_path: Path, oak: Author, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = plain_log(tmp_path / "log", monkeypatch)
    deleted(log, oak)
    assert left_in(tmp_path / "log") == set()
    assert found(log, WORDS[7]) == [] and len(found(log, "said nothing")) == 50
    log.close()


def test_words_stay_without_the_option(tmp_path: Path, oak: Author, monkeypatch: pytest.MonkeyPatch) -> None:
    """So the test above would notice."""
    weak = tuple(sql.replace("'secure-delete', 1", "'secure-delete', 0") for sql in search.SCHEMA)
    schema = tuple(weak if each is search.SCHEMA else each for each in log_module.MIGRATIONS)
    monkeypatch.setattr("meshd.store.log.MIGRATIONS", schema)
    log = plain_log(tmp_path / "log", monkeypatch)
    deleted(log, oak)
    assert len(left_in(tmp_path / "log")) > 25
    log.close()


def test_a_post_that_is_deleted_before_it_is_indexed(log: Log, oak: Author) -> None:
    add(log, oak, "first")
    insert(log, oak, "second")
    log._database.write("DELETE FROM post WHERE cursor = 2")
    catch_up(log)
    assert found(log, "second") == [] and found(log, "first") == [1]
    assert log._database.read("SELECT COUNT(*) FROM search WHERE search MATCH 'text : second'") == [(0,)]
    log._database.write("INSERT INTO search (search) VALUES ('integrity-check')")
