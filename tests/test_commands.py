"""What clients ask of the core: answers, refusals that change nothing, and who waits for how long."""

from pathlib import Path
from typing import Any

import pytest

from meshd.errors import CallerError, Code
from meshd.events import Command, CommandBatch, CommandCancelled, ReplyBatch
from meshd.limits import BODY_SIZE_MAX, READ_LIMIT_MAX, STEP_BUDGET, WAIT_MS
from meshd.post import HOUR_MS, Text, encode_text
from tests.homes import HERE, PLAZA, Home, Stranger, Table
from tests.wire import WALL_MS, Author


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


@pytest.fixture
def oak(table: Table) -> Home:
    return table.home("oak")


def refused(home: Home, method: str, **params: Any) -> Code:
    """The code with which a command is refused; nothing was written by it."""
    before = home.carry.last_sequence(), home.log.last_cursor(), home.log.channels()
    with pytest.raises(CallerError) as error:
        home.ask(method, **params)
    assert (home.carry.last_sequence(), home.log.last_cursor(), home.log.channels()) == before
    return error.value.code


def error_of(home: Home, number: int) -> Code:
    error = home.replies[number].error
    assert error is not None
    return error.code


# --- post ---


def test_a_post_is_answered_when_it_is_on_disk(oak: Home) -> None:
    first = oak.ask("post", channel="#Plaza", text="hello")
    assert (first["v"], first["channel"], first["state"], first["first"]) == (1, "plaza", "queued", True)
    assert oak.ask("post", channel="plaza", text="again")["first"] is False
    oak.stop()
    oak.start()
    (hello, again) = oak.ask("read", channel="plaza")["posts"]
    assert (hello["id"], hello["text"], hello["trust"]) == (first["id"], "hello", "self")
    assert again["text"] == "again"


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"channel": "plaza", "text": ""}, Code.usage),
        ({"channel": "plaza", "text": "\ud800"}, Code.usage),
        ({"channel": "plaza", "text": "x" * BODY_SIZE_MAX}, Code.usage),
        ({"channel": "pla za", "text": "x"}, Code.usage),
        ({"channel": "group:plaza", "text": "x"}, Code.not_found),
        ({"channel": "plaza", "text": "x", "keep": "1y"}, Code.usage),
        ({"channel": "plaza", "text": "x", "wait": "delivered"}, Code.refused),
        ({"channel": "plaza", "text": "x", "wait": "for ever"}, Code.usage),
        ({"channel": "plaza", "text": "x", "wait": "held", "timeout": 0}, Code.usage),
        ({"channel": "plaza", "text": "x", "wait": "held", "timeout": float("nan")}, Code.usage),
        ({"channel": "plaza", "text": "x", "reply_to": "abc"}, Code.usage),
        ({"channel": "plaza", "text": "x", "reply_to": "abcdef"}, Code.not_found),
    ],
)
def test_a_post_that_is_refused_changes_nothing(oak: Home, params: dict[str, Any], code: Code) -> None:
    assert refused(oak, "post", **params) is code


def test_a_reply_names_a_post_by_a_prefix_of_its_id(oak: Home) -> None:
    asked = oak.post("who?")
    oak.post("me", reply_to=asked[:6].upper())
    assert oak.ask("read", channel="plaza")["posts"][1]["reply_to"] == asked


def test_a_post_waits_for_a_receipt_and_its_time_may_be_up(table: Table, oak: Home) -> None:
    number = oak.command("post", channel="plaza", text="hello", wait="held", timeout=2)
    table.run(1_999)
    assert number not in oak.replies
    table.run(1)
    assert error_of(oak, number) is Code.timed_out
    assert len(oak.raws()) == 1  # it stays queued


def test_nobody_is_answered_who_hung_up(table: Table, oak: Home) -> None:
    number = oak.command("post", channel="plaza", text="hello", wait="held")
    oak.handle(CommandCancelled(number))
    table.run(WAIT_MS)
    assert number not in oak.replies


def batch(home: Home, *texts: str) -> ReplyBatch:
    commands = [Command(100 + n, "post", {"channel": "plaza", "text": text}) for n, text in enumerate(texts)]
    (reply,) = [e for e in home.handle(CommandBatch(99, commands)) if isinstance(e, ReplyBatch)]
    assert reply.number == 99
    return reply


def test_a_batch_of_posts_is_answered_in_order(oak: Home) -> None:
    replies = batch(oak, "a", "b", "c").replies
    shown = oak.ask("read", channel="plaza")["posts"]
    assert [reply.number for reply in replies] == [100, 101, 102]
    assert [reply.result["id"] for reply in replies if reply.result] == [post["id"] for post in shown]


def test_a_batch_with_one_mistake_posts_nothing(oak: Home) -> None:
    replies = batch(oak, "a", "", "c").replies
    assert [reply.error.code for reply in replies if reply.error] == [Code.usage] * 3
    assert oak.raws() == [] and oak.log.channels() == []


# --- read ---


def test_reading_joins_and_shows_what_is_carried(table: Table, oak: Home) -> None:
    stranger = Stranger(oak)
    table.settle()
    raws = [
        Author(3).envelope(
            channel=PLAZA, incarnation=n, hlc=WALL_MS + n << 16, body=encode_text(Text("", b"", str(n)))
        )
        for n in range(2 * STEP_BUDGET)
    ]
    for start in range(0, len(raws), 64):
        stranger.give(*raws[start : start + 64])
    number = oak.command("read", channel="plaza", limit=1000)
    assert number not in oak.replies  # it waits until all is opened
    table.settle()
    result = oak.replies[number].result
    assert result is not None and [post["text"] for post in result["posts"]] == [
        str(n) for n in range(len(raws))
    ]


def test_a_cursor_reads_on_without_skipping(oak: Home) -> None:
    for number in range(5):
        oak.post(str(number))
    texts, cursor = [], 0
    while posts := (page := oak.ask("read", channel="plaza", since=str(cursor), limit=2))["posts"]:
        texts += [post["text"] for post in posts]
        assert page["cursor"] > cursor
        cursor = page["cursor"]
    assert texts == ["0", "1", "2", "3", "4"]
    oak.post("5")
    assert [post["text"] for post in oak.ask("read", since=cursor)["posts"]] == ["5"]


def test_an_age_reads_what_is_younger(table: Table, oak: Home) -> None:
    oak.post("old")
    table.passed_ms += 3 * HOUR_MS
    oak.post("new")
    assert [post["text"] for post in oak.ask("read", since="2h")["posts"]] == ["new"]
    assert [post["text"] for post in oak.ask("read", since="4h")["posts"]] == ["old", "new"]


def test_the_newest_are_shown_oldest_first(oak: Home) -> None:
    for number in range(5):
        oak.post(str(number))
    assert [post["text"] for post in oak.ask("read", limit=2)["posts"]] == ["3", "4"]


@pytest.mark.parametrize(
    "params", [{"limit": 0}, {"limit": READ_LIMIT_MAX + 1}, {"since": "yesterday"}, {"since": "-1"}]
)
def test_a_read_that_makes_no_sense_is_refused(oak: Home, params: dict[str, Any]) -> None:
    assert refused(oak, "read", **params) is Code.usage


def test_reading_a_channel_marks_it_read(table: Table, oak: Home) -> None:
    oak.ask("channel.join", name="plaza")
    stranger = Stranger(oak)
    table.settle()
    stranger.give(Author(3).envelope(channel=PLAZA))
    assert [channel["unread"] for channel in oak.ask("channel.list")["channels"]] == [1]
    oak.ask("read", channel="plaza")
    assert [channel["unread"] for channel in oak.ask("channel.list")["channels"]] == [0]


# --- channels ---


def test_channels_are_joined_listed_and_left(oak: Home) -> None:
    oak.ask("channel.join", name="Market")
    listed = oak.ask("channel.join", name="plaza")["channels"]
    assert [channel["name"] for channel in listed] == ["market", "plaza"]
    assert [channel["name"] for channel in oak.ask("channel.leave", channel="#market")["channels"]] == [
        "plaza"
    ]
    assert refused(oak, "channel.leave", channel="market") is Code.not_found


def test_a_channel_is_named_by_name_or_by_a_prefix_of_its_id(oak: Home) -> None:
    oak.ask("channel.join", name="plaza")
    for text in ("plaza", "#plaza", "public:plaza", PLAZA.hex(), PLAZA.hex()[:8]):
        assert oak.node.commands.channel(text).id == PLAZA
    oak.ask("channel.join", name=f"public:{PLAZA.hex()[:8]}")  # a name that looks like the id of another
    assert oak.node.commands.channel(PLAZA.hex()[:8]).id != PLAZA
    assert oak.node.commands.channel(PLAZA.hex()[:10]).id == PLAZA


# --- the node and its peers ---


def test_the_identity(oak: Home) -> None:
    shown = oak.ask("id.show")
    assert (shown["name"], shown["id"]) == ("oak", Author(100).key.hex())
    assert len(shown["fingerprint"].split()) == 12


def test_only_a_private_network_has_an_invite(table: Table, oak: Home) -> None:
    assert refused(oak, "invite.network") is Code.refused


def test_peers_are_added_listed_and_dropped(table: Table, oak: Home) -> None:
    oak.ask("peer.add", address="10.0.0.9:40000")
    (listed,) = oak.ask("peer.list")["peers"]
    assert (listed["address"], listed["state"]) == (str(HERE), "dialling")
    assert refused(oak, "peer.add", address="10.0.0.9") is Code.usage
    assert refused(oak, "peer.drop", address="10.0.0.8:40000") is Code.not_found
    assert oak.ask("peer.drop", address="10.0.0.9:40000")["peers"] == []


def test_sync_without_a_link_says_so(oak: Home) -> None:
    assert refused(oak, "sync") is Code.no_peers


def test_sync_answers_when_all_is_through(table: Table, oak: Home) -> None:
    elm = table.home("elm")
    table.link(oak, elm)
    table.run(1_000)
    for number in range(20):
        elm.node.exchange._spread = lambda *_: None  # type: ignore[method-assign]  # nothing is pushed
        elm.post(str(number))
    table.cut(elm, elm.open_links()[0])
    table.settle()
    table.link(oak, elm)
    table.settle()
    number = oak.command("sync", wait=True)
    table.run(3_000)
    result = oak.replies[number].result
    assert result is not None and result["links"] == 1
    assert len(oak.texts()) == 20


def test_sync_does_not_wait_for_a_peer_that_never_answers(table: Table, oak: Home) -> None:
    Stranger(oak)
    table.settle()
    number = oak.command("sync", wait=True)
    table.run(WAIT_MS)
    assert error_of(oak, number) is Code.timed_out


def test_a_method_that_does_not_exist_is_refused(oak: Home) -> None:
    assert refused(oak, "panic") is Code.usage


def test_who_holds_a_post_is_counted_after_a_start_too(table: Table) -> None:
    oak = table.home()
    oak.post("alone")
    oak.post("gone by then", keep="6h")
    oak.stop()
    oak.start()
    elm = table.home()
    table.link(oak, elm)
    table.run(3_000)
    (first, second) = oak.ask("read", channel="plaza")["posts"]
    assert [each["held_by"] for each in (first, second)] == [{"contacts": 0, "others": 1}] * 2


def test_what_expired_is_named_as_a_parent_by_nobody(table: Table) -> None:
    oak, elm = table.home(), table.home()
    for home in (oak, elm):
        home.ask("channel.join", name="plaza")
    table.link(oak, elm)
    table.settle()
    oak.post("long ago")
    table.settle()
    table.skew_ms = 8 * 24 * 3_600_000
    identity = bytes.fromhex(elm.post("now"))
    row = elm.log.row(identity)
    assert row is not None and row.parents == b""
