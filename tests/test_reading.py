"""Search, show and ping, as clients ask for them; and when posts are indexed."""

from pathlib import Path
from typing import Any

import pytest

from meshd import reading
from meshd.documents import rfc3339
from meshd.errors import CallerError, Code
from meshd.limits import INDEX_LATEST_MS, INDEX_QUIET_MS, INDEX_SLICE_MAX, PONG_MS
from meshd.post import HOUR_MS, Text, encode_text
from tests.homes import HERE, PLAZA, Home, Stranger, Table
from tests.wire import WALL_MS, Author


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


@pytest.fixture
def oak(table: Table) -> Home:
    return table.home("oak")


def answer(home: Home, method: str, **params: Any) -> Any:
    """What a command is answered with in the end."""
    number = home.command(method, **params)
    home.table.settle()
    reply = home.replies[number]
    if reply.error is not None:
        raise reply.error
    return reply.result


def refused(home: Home, method: str, **params: Any) -> Code:
    with pytest.raises(CallerError) as error:
        answer(home, method, **params)
    return error.value.code


def texts(document: Any) -> list[str]:
    return [post["text"] for post in document["posts"]]


# --- search ---


def test_search_waits_for_the_index_and_is_like_read(oak: Home) -> None:
    for number in range(4):
        oak.post(f"bridge {number}", channel="plaza" if number % 2 else "square")
    assert oak.node.indexing.behind
    found = answer(oak, "search", query="bridge")
    assert found == answer(oak, "read")
    assert texts(answer(oak, "search", query="bridge", channel="plaza")) == ["bridge 1", "bridge 3"]
    assert texts(answer(oak, "search", query="bridge", limit=1)) == ["bridge 3"]
    assert answer(oak, "search", query="tunnel") == {
        "v": 1,
        "posts": [],
        "missing": [],
        "fired": [],
        "cursor": 4,
    }


def test_a_search_marks_nothing_read_and_joins_nothing(table: Table, oak: Home) -> None:
    stranger = Stranger(oak)
    answer(oak, "channel.join", name="plaza")
    stranger.give(Author(3).envelope(channel=PLAZA))
    assert texts(answer(oak, "search", query="hello", channel="plaza")) == ["hello"]
    assert oak.ask("channel.list")["channels"][0]["unread"] == 1
    assert refused(oak, "search", query="hello", channel="elsewhere") is Code.not_found
    assert len(oak.ask("channel.list")["channels"]) == 1


@pytest.mark.parametrize("params", [{"query": "-a"}, {"query": "a", "limit": 0}, {"query": "a", "since": "2h"},
                                    {"query": "a", "since": "x"}])  # fmt: skip
def test_a_search_that_makes_no_sense_is_refused(oak: Home, params: dict[str, Any]) -> None:
    assert refused(oak, "search", **params) is Code.usage


def test_an_answer_too_long_stops_at_its_cursor(oak: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(9):
        oak.post(f"bridge {number}")
    monkeypatch.setattr(reading, "READ_ANSWER_SIZE", 2500)
    found = answer(oak, "search", query="bridge", limit=8)
    seen = texts(found)
    while len(seen) < 8:
        found = answer(oak, "search", query="bridge", limit=8 - len(seen), since=found["cursor"])
        assert 0 < len(found["posts"]) < 8
        seen += texts(found)
    assert seen == [f"bridge {number}" for number in range(1, 9)]


# --- when posts are indexed ---


def test_posts_are_indexed_when_it_is_quiet(table: Table, oak: Home) -> None:
    oak.post("one")
    table.passed_ms += INDEX_QUIET_MS - 1
    oak.post("two")
    table.passed_ms += INDEX_QUIET_MS - 1
    table.settle()
    assert oak.log.indexed == 0
    table.passed_ms += 1
    table.settle()
    assert oak.log.indexed == 2
    assert oak.node.indexing.next_deadline() is None


def test_posts_are_indexed_though_it_is_never_quiet(table: Table, oak: Home) -> None:
    for number in range(INDEX_LATEST_MS // 200 + 1):
        assert oak.log.indexed == 0
        oak.post(str(number))
        table.passed_ms += 200
    table.settle()
    assert oak.log.indexed > 0


def test_a_slice_is_an_event(table: Table, oak: Home) -> None:
    author = Author(3)
    answer(oak, "channel.join", name="plaza")
    body = encode_text(Text("", b"", "hello"))
    posts = [
        author.envelope(channel=PLAZA, incarnation=number, body=body)
        for number in range(1, INDEX_SLICE_MAX + 2)
    ]
    stranger = Stranger(oak)
    table.settle()
    for some in (posts[:300], posts[300:]):
        stranger.give(*some)
    number = oak.command("search", query="hello")
    assert oak.log.indexed == INDEX_SLICE_MAX and number not in oak.replies
    table.settle()
    assert oak.log.indexed == INDEX_SLICE_MAX + 1 and number in oak.replies


# --- show ---


def test_show_tells_where_a_post_comes_from(table: Table, oak: Home) -> None:
    mine = oak.post("mine")
    answer(oak, "channel.join", name="plaza")
    table.passed_ms += 5000
    stranger = Stranger(oak)
    table.settle()
    stranger.give(
        raw := Author(3).envelope(channel=PLAZA, parents=bytes.fromhex(mine), hlc=WALL_MS + 1 << 16)
    )
    theirs = oak.log.latest(PLAZA, 1)[0].id.hex()
    read = {post["id"]: post for post in answer(oak, "read")["posts"]}
    assert answer(oak, "show", id=mine) == {
        "v": 1, **read[mine], "vouched_by": [], "signature": "valid", "first_seen": rfc3339(WALL_MS), "via": "own",
        "parents": [], "forked": False, "marked": False,
    }  # fmt: skip
    shown = answer(oak, "show", id=theirs[:6])
    assert shown == {
        "v": 1, **read[theirs], "vouched_by": [], "signature": "valid", "first_seen": rfc3339(WALL_MS + 5000),
        "via": str(HERE), "parents": [mine], "forked": False, "marked": False,
    }  # fmt: skip
    assert raw in oak.raws()


def test_show_says_so_when_there_is_nothing_left_to_verify(oak: Home) -> None:
    identity = oak.post("mine")
    (row,) = oak.log.find(identity)
    oak.carry.remove([oak.node.keyset.slice(0, 1)[0]])
    assert answer(oak, "show", id=row.id.hex())["signature"] == "was-valid"


def test_show_notices_a_carried_signature_that_is_wrong(oak: Home) -> None:
    identity = oak.post("mine")
    raw = oak.raws()[0]
    oak.carry._database.write("UPDATE envelope SET raw = ?", (raw[:-1] + bytes((raw[-1] ^ 1,)),))
    assert refused(oak, "show", id=identity) is Code.invalid


def test_show_shows_a_fork(table: Table, oak: Home) -> None:
    answer(oak, "channel.join", name="plaza")
    author = Author(3)
    stranger = Stranger(oak)
    table.settle()
    stranger.give(*(author.envelope(channel=PLAZA, keep_until=WALL_MS // HOUR_MS + n) for n in (5, 6)))
    assert len(oak.log.latest(PLAZA, 2)) == 2
    for row in oak.log.latest(PLAZA, 2):
        assert answer(oak, "show", id=row.id.hex())["forked"] is True


def test_show_needs_a_post_that_is_here(oak: Home) -> None:
    assert refused(oak, "show", id="abcdef") is Code.not_found
    assert refused(oak, "show", id="abc") is Code.usage


# --- peer ping ---


def test_ping_waits_for_the_answer(table: Table, oak: Home) -> None:
    ash = table.home("ash")
    table.link(oak, ash)
    table.settle()
    number = oak.command("peer.ping", who=str(HERE))
    assert number not in oak.replies
    table.passed_ms += 7
    table.settle()
    assert oak.replies[number].result == {"v": 1, "rtt_ms": 7}
    key = oak.ask("status")["links"][0]["peer"]
    assert answer(oak, "peer.ping", who=key[:6]) == {"v": 1, "rtt_ms": 0}


def test_ping_of_one_that_does_not_answer_ends(table: Table, oak: Home) -> None:
    stranger = Stranger(oak)
    table.settle()
    stranger.receive = lambda link, content: None  # type: ignore[method-assign]
    first, second = oak.command("peer.ping", who=str(HERE)), oak.command("peer.ping", who=str(HERE))
    table.passed_ms += PONG_MS
    table.settle()
    for number in first, second:
        error = oak.replies[number].error
        assert error is not None and error.code is Code.timed_out


def test_ping_of_a_link_that_goes_down_ends_at_once(table: Table, oak: Home) -> None:
    stranger = Stranger(oak)
    table.settle()
    stranger.receive = lambda link, content: None  # type: ignore[method-assign]
    number = oak.command("peer.ping", who=str(HERE))
    table.cut(oak, stranger.home_link)
    table.settle()
    error = oak.replies[number].error
    assert error is not None and error.code is Code.timed_out


def test_ping_needs_one_open_link(table: Table, oak: Home) -> None:
    assert refused(oak, "peer.ping", who="10.0.0.9:40000") is Code.not_found
    oak.ask("peer.add", address="10.0.0.7:4040")
    assert refused(oak, "peer.ping", who="10.0.0.7:4040") is Code.no_peers
    for seed in 7, 8:
        Stranger(oak, seed=seed)
    table.settle()
    assert refused(oak, "peer.ping", who=str(HERE)) is Code.usage
