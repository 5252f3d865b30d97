"""The RPC: what a client may say, what it gets, and in which order. The core is played by a fake."""

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from meshd import limits
from meshd.daemon import api, rpc
from meshd.daemon.client import Client
from meshd.daemon.rpc import Rpc
from meshd.errors import CallerError, Code
from meshd.events import Command, CommandBatch, CommandCancelled, Event, Reply, ReplyBatch
from tests.fake_control import FakeControl


class FakeFeed:
    """A log of numbered posts; those with an even number are in channel `even`."""

    def __init__(self) -> None:
        self.size = 0
        self.gaps: list[api.Missing] = []
        self.firings: list[dict[str, Any]] = []
        self.reads: list[int] = []

    def channel_id(self, text: str) -> bytes:
        if text != "even":
            raise CallerError(Code.not_found, "no such channel")
        return text.encode()

    def cursor(self) -> int:
        return self.size

    def posts(self, cursor: int, channel: bytes | None, limit: int) -> list[tuple[int, dict[str, Any]]]:
        self.reads.append(limit)
        wanted = (n for n in range(cursor + 1, self.size + 1) if channel is None or n % 2 == 0)
        return [(n, {"id": f"{n:064x}"}) for n, _ in zip(wanted, range(limit), strict=False)]

    def fired(self, channel: bytes | None) -> list[dict[str, Any]]:
        return self.firings

    def missing(self, channel: bytes | None) -> list[api.Missing]:
        return self.gaps


class FakeCore:
    """Answers `post` with its number and keeps `sync` waiting; everything else is an empty document."""

    def __init__(self, rpc_: Rpc) -> None:
        self.rpc = rpc_
        self.events: list[Event] = []

    def on_event(self, event: Event) -> None:
        self.events.append(event)
        match event:
            case Command(number, "sync", _):
                pass
            case Command(number, "channel.leave", _):
                self.rpc.answer(Reply(number, None, CallerError(Code.not_found, "no such channel")))
            case Command(number, "read", params):
                self.rpc.answer(Reply(number, {"posts": ["x" * params["limit"]]}))
            case Command(number):
                self.rpc.answer(Reply(number, {}))
            case CommandBatch(number, commands):
                replies = [Reply(one.number, {"id": one.params["text"]}) for one in commands]
                self.rpc.answer_batch(ReplyBatch(number, replies))


class Talk:
    """A client's side of a connection."""

    def __init__(self, feed: FakeFeed, core: FakeCore, stream: trio.abc.Stream, stopped: list[str]) -> None:
        self.feed = feed
        self.core = core
        self.stream = stream
        self.stopped = stopped
        self._unread = b""

    async def say(self, *values: object) -> None:
        await self.stream.send_all("".join(json.dumps(value) + "\n" for value in values).encode())

    async def hear(self) -> Any:
        with trio.fail_after(5):
            while b"\n" not in self._unread:
                chunk = await self.stream.receive_some()
                assert chunk, "the daemon closed the connection"
                self._unread += chunk
        line, self._unread = self._unread.split(b"\n", 1)
        return json.loads(line)

    async def ask(self, method: str, **params: object) -> Any:
        await self.say(request(method, **params))
        return await self.hear()


def request(method: str, id_: object = 1, **params: object) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id_, "method": method, "params": params}


def make_rpc() -> tuple[Rpc, FakeFeed, FakeCore, list[str]]:
    feed, stopped = FakeFeed(), []
    made = Rpc(feed, FakeControl(stopped))  # type: ignore[arg-type]
    core = FakeCore(made)
    made._on_event = core.on_event
    return made, feed, core, stopped


@pytest.fixture
async def talk(nursery: trio.Nursery) -> Talk:
    made, feed, core, stopped = make_rpc()
    ours, theirs = trio.testing.memory_stream_pair()
    nursery.start_soon(made._serve, theirs)
    return Talk(feed, core, ours, stopped)


async def test_an_answer_is_the_document_under_its_id(talk: Talk) -> None:
    await talk.say(request("status", id_="a"))
    assert await talk.hear() == {"jsonrpc": "2.0", "id": "a", "result": {"v": 1, "pid": 42}}


async def test_the_callers_errors_carry_their_code(talk: Talk) -> None:
    answer = await talk.ask("channel.leave", channel="oak")
    assert answer["error"] == {
        "code": -32005,
        "message": "no such channel",
        "data": {"code": "not_found"},
    }


@pytest.mark.parametrize(
    ("line", "number"),
    [
        (b"{", api.PARSE_ERROR),
        (b"\xff", api.PARSE_ERROR),
        (b'{"id": NaN}', api.PARSE_ERROR),
        (b"[" * 100_000, api.PARSE_ERROR),
        (b"1" * 5000, api.PARSE_ERROR),
        (b"[]", api.REQUEST_ERROR),
        (b"7", api.REQUEST_ERROR),
        (b'{"jsonrpc": "2.0", "id": 1}', api.REQUEST_ERROR),
        (b'{"jsonrpc": "1.0", "id": 1, "method": "status"}', api.REQUEST_ERROR),
        (b'{"jsonrpc": "2.0", "id": {}, "method": "status"}', api.REQUEST_ERROR),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "selfdestruct"}', api.METHOD_ERROR),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "status", "params": []}', api.PARAMS_ERROR),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "status", "params": {"x": 1}}', api.PARAMS_ERROR),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "channel.leave"}', api.PARAMS_ERROR),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "read", "params": {"limit": true}}', api.PARAMS_ERROR),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "read", "params": {"limit": "3"}}', api.PARAMS_ERROR),
        (json.dumps([request("status")] * (limits.RPC_BATCH_MAX + 1)).encode(), api.REQUEST_ERROR),
    ],
)
async def test_what_is_no_request_is_refused_and_the_next_line_served(
    talk: Talk, line: bytes, number: int
) -> None:
    await talk.stream.send_all(line + b"\n\n")
    error = (await talk.hear())["error"]
    assert (error["code"], error["data"]["code"]) == (number, "usage")
    assert (await talk.ask("status"))["result"]["pid"] == 42
    assert len(talk.core.events) == 1


async def test_a_parameter_that_is_null_is_not_given(talk: Talk) -> None:
    await talk.ask("post", channel="oak", text="hi", keep=None)
    assert talk.core.events == [Command(1, "post", {"channel": "oak", "text": "hi"})]


async def test_a_notification_gets_no_answer_even_when_it_is_wrong(talk: Talk) -> None:
    wrong = {"jsonrpc": "2.0", "method": "channel.leave"}
    await talk.say(wrong, {**wrong, "params": {"channel": "oak"}}, [wrong, wrong], request("status"))
    assert (await talk.hear())["id"] == 1


async def test_a_batch_of_posts_is_one_command_answered_in_order(talk: Talk) -> None:
    posts = [request("post", id_=n, channel="oak", text=f"t{n}") for n in range(5)]
    del posts[3]["id"]
    await talk.say(posts)
    assert [(one["id"], one["result"]["id"]) for one in await talk.hear()] == [
        (0, "t0"), (1, "t1"), (2, "t2"), (4, "t4"),
    ]  # fmt: skip
    assert [type(event) for event in talk.core.events] == [CommandBatch]


@pytest.mark.parametrize("wrong", [request("status"), request("post", channel="oak"), 7])
async def test_a_batch_with_a_post_is_all_posts_or_nothing(talk: Talk, wrong: object) -> None:
    await talk.say([request("post", id_=8, channel="oak", text="hi"), wrong])
    answers = await talk.hear()
    assert [answer["error"]["data"]["code"] for answer in answers] == ["usage", "usage"]
    assert answers[0]["id"] == 8 and talk.core.events == []


async def test_any_other_batch_is_answered_in_order_when_the_last_answer_is_there(talk: Talk) -> None:
    await talk.say([request("sync", id_=1), request("status", id_=2), request("nonsense", id_=3)])
    await trio.testing.wait_all_tasks_blocked()
    (sync, _) = talk.core.events
    assert isinstance(sync, Command)
    talk.core.rpc.answer(Reply(sync.number, {"links": 0}))
    assert [answer["id"] for answer in await talk.hear()] == [1, 2, 3]


async def test_answers_over_the_line_limit_become_errors(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RPC_LINE_SIZE_MAX", 1000)
    assert "result" in await talk.ask("read", limit=900)
    assert (await talk.ask("read", limit=1000))["error"]["data"]["code"] == "refused"
    await talk.say([request("read", id_=n, limit=400) for n in range(3)])
    assert ["result" in answer for answer in await talk.hear()] == [True, True, False]


async def test_who_hangs_up_cancels_what_waits_and_gets_what_is_answered(talk: Talk) -> None:
    await talk.say(request("sync"), request("status", id_=2))
    assert isinstance(talk.stream, trio.StapledStream)
    await talk.stream.send_eof()
    assert (await talk.hear())["id"] == 2
    assert await talk.stream.receive_some() == b""
    await trio.testing.wait_all_tasks_blocked()
    assert talk.core.events[-1] == CommandCancelled(1)
    talk.core.rpc.answer(Reply(1, {}))  # nobody waits, nothing happens


async def test_down_answers_first_and_stops_then(talk: Talk) -> None:
    assert (await talk.ask("down"))["result"] == {"v": 1}
    await trio.testing.wait_all_tasks_blocked()
    assert talk.stopped == ["stop"]


# --- subscriptions ---


async def cursors(talk: Talk, count: int) -> list[int]:
    return [(await talk.hear())["params"]["cursor"] for _ in range(count)]


async def test_a_subscription_begins_now_unless_a_cursor_is_given(talk: Talk) -> None:
    talk.feed.size = 3
    number = (await talk.ask("subscribe"))["result"]["subscription"]
    talk.feed.size = 5
    talk.core.rpc.advance()
    notice = await talk.hear()
    assert notice["method"] == "post" and notice["params"] == {
        "subscription": number,
        "cursor": 4,
        "post": {"id": f"{4:064x}"},
    }
    assert await cursors(talk, 1) == [5]
    await talk.ask("subscribe", cursor=1, channel="even")
    assert await cursors(talk, 2) == [2, 4]


async def test_a_backlog_comes_in_slices_in_order_and_whole(talk: Talk) -> None:
    talk.feed.size = 2 * limits.RPC_SLICE_MAX + 10
    await talk.ask("subscribe", cursor=0)
    assert await cursors(talk, talk.feed.size) == list(range(1, talk.feed.size + 1))
    assert set(talk.feed.reads) == {limits.RPC_SLICE_MAX}


async def test_a_slice_ends_at_its_size_and_skips_nothing(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "RPC_SLICE_SIZE", 500)
    talk.feed.size = 50
    await talk.ask("subscribe", cursor=0)
    assert await cursors(talk, 50) == list(range(1, 51))
    assert len(talk.feed.reads) > 10


async def test_unsubscribe_ends_it(talk: Talk) -> None:
    number = (await talk.ask("subscribe"))["result"]["subscription"]
    assert "result" in await talk.ask("unsubscribe", subscription=number)
    assert (await talk.ask("unsubscribe", subscription=number))["error"]["data"]["code"] == "not_found"
    talk.feed.size = 1
    talk.core.rpc.advance()
    assert (await talk.ask("status"))["id"] == 1


async def test_an_unknown_channel_is_the_callers_error(talk: Talk) -> None:
    assert (await talk.ask("subscribe", channel="odd"))["error"]["data"]["code"] == "not_found"


async def test_gaps_are_told_when_they_show_change_and_close(talk: Talk) -> None:
    async def after(*gaps: api.Missing) -> Any:
        talk.feed.gaps = list(gaps)
        talk.core.rpc.advance()
        return (await talk.hear())["params"]["missing"]

    await talk.ask("subscribe", missing=True)
    three: api.Missing = {"author": "0a", "name": "oak#0a", "channel": "plaza", "count": 3}
    assert await after(three) == three
    assert await after({**three, "count": 1}) == {**three, "count": 1}
    assert await after() == {**three, "count": 0}
    talk.core.rpc.advance()
    assert (await talk.ask("status"))["id"] == 1


async def test_what_fired_is_told_to_who_asked_and_again_when_it_changes(talk: Talk) -> None:
    await talk.ask("subscribe", fired=True)
    for stands in (True, False):
        talk.feed.firings = [{"scenario": "bridge", "stands": stands}]
        talk.core.rpc.advance()
        assert (await talk.hear())["params"]["fired"] == talk.feed.firings[0]
    talk.core.rpc.advance()
    assert (await talk.ask("status"))["id"] == 1


async def test_a_slow_reader_costs_nothing_and_delays_nobody(nursery: trio.Nursery) -> None:
    made, feed, core, stopped = make_rpc()
    talks = []
    for _ in range(2):
        ours, theirs = trio.testing.lockstep_stream_pair()  # what is sent waits until it is taken
        nursery.start_soon(made._serve, theirs)
        talks.append(Talk(feed, core, ours, stopped))
    slow, quick = talks
    feed.size = 1000
    await slow.ask("subscribe", cursor=0)
    await trio.testing.wait_all_tasks_blocked()
    assert len(feed.reads) == 1
    await quick.ask("subscribe", cursor=0)
    assert await cursors(quick, 1000) == list(range(1, 1001))
    assert await cursors(slow, 1000) == list(range(1, 1001))


async def test_who_takes_no_answers_is_not_read_from(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "RPC_UNSENT_SIZE_MAX", 1000)
    made, feed, core, stopped = make_rpc()
    ours, theirs = trio.testing.lockstep_stream_pair()
    client = Client(made, theirs)
    nursery.start_soon(client.run)
    talk = Talk(feed, core, ours, stopped)
    nursery.start_soon(talk.say, *[request("read", id_=n, limit=300) for n in range(20)])
    await trio.testing.wait_all_tasks_blocked()
    assert len(core.events) < 10 and len(client._unsent) < 2000
    assert [(await talk.hear())["id"] for _ in range(20)] == list(range(20))


async def test_commands_under_way_are_bounded(nursery: trio.Nursery, talk: Talk) -> None:
    count = limits.RPC_WAITING_MAX + 1
    await talk.say(*[request("sync", id_=n) for n in range(count)])
    await trio.testing.wait_all_tasks_blocked()
    assert len(talk.core.events) == limits.RPC_WAITING_MAX
    talk.core.rpc.answer(Reply(1, {}))
    assert (await talk.hear())["id"] == 0
    await trio.testing.wait_all_tasks_blocked()
    assert len(talk.core.events) == count


# --- the socket ---


@pytest.mark.real
async def test_clients_connect_over_a_socket_that_only_the_owner_opens(
    tmp_path: Path, nursery: trio.Nursery
) -> None:
    made, feed, core, stopped = make_rpc()
    path = str(tmp_path / "ctl.sock")
    with rpc.bind(path) as listener:
        assert os.stat(path).st_mode & 0o777 == 0o600
        await nursery.start(made.run, listener, core.on_event)
        talk = Talk(feed, core, await trio.open_unix_socket(path), stopped)
        assert (await talk.ask("status"))["result"]["pid"] == 42
        nursery.cancel_scope.cancel()


@pytest.mark.real
def test_a_socket_left_behind_is_replaced_and_anything_else_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "ctl.sock")
    rpc.bind(path).close()
    rpc.bind(path).close()
    os.unlink(path)
    Path(path).write_text("mine")
    with pytest.raises(CallerError) as caught:
        rpc.bind(path)
    assert caught.value.code is Code.refused and Path(path).read_text() == "mine"


@pytest.mark.real
def test_a_path_too_long_for_a_socket_works_both_ways(tmp_path: Path) -> None:
    home = tmp_path / ("long" * 40)
    home.mkdir()
    path = api.socket_path(str(home))
    with rpc.bind(path) as listener, socket.socket(socket.AF_UNIX) as client:
        with api.short_path(path) as short:
            assert len(os.fsencode(short)) <= api.SOCKET_PATH_SIZE_MAX
            client.connect(short)
        accepted, _ = listener.accept()
        assert rpc.peer_uid(accepted) == os.geteuid()
        accepted.close()


def test_every_error_number_maps_back_to_its_code() -> None:
    numbers: Callable[[Code], int] = api.error_number
    assert len({numbers(code) for code in Code}) == len(Code)
    assert api.error_code({"data": {"code": "not_found"}}) is Code.not_found
    assert api.error_code({"data": {"code": "from_the_future"}}) is Code.error
    assert api.error_code({}) is Code.error
