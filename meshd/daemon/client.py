"""One client of the daemon: its lines, what it waits for, what it has not taken yet.

The rule: answers come when they are ready, those of a batch together and in order. A batch that holds a
`post` holds nothing else and is one transaction, all or none; any other batch is answered one by one. A
client that does not take its answers, or has RPC_WAITING_MAX commands under way, is not read from until it
does. When it hangs up, what is answered already is sent, and the core is told of the commands that wait; so a
client keeps its side open until it has its answers.

An answer over RPC_LINE_SIZE_MAX is replaced by an error; the core stops a long `read` early, at a cursor.

Answers are sent before notifications, hence `{subscription}` before the first of its posts; subscriptions get
one slice each, in turn.
"""

import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from meshd import limits
from meshd.daemon import api, carrier, phrases
from meshd.daemon.request import Request, Wrong, check, decode, error_text, id_of, result_text
from meshd.daemon.subscription import Subscription
from meshd.errors import CallerError, Code
from meshd.events import Command, CommandBatch, Reply

if TYPE_CHECKING:
    from meshd.daemon.rpc import Rpc

_CHUNK_SIZE = 64 * 1024
_TOO_LONG = CallerError(Code.refused, "the answer is over 8 MiB: ask for less at a time")

Slow = Callable[[carrier.Ask, dict[str, Any]], Awaitable[dict[str, Any]]]
Answer = Callable[[str], None]  # takes one answer as text, empty where none is wanted


class Client:
    """Serves one connection; `run` ends when the other side hangs up or breaks the rules."""

    def __init__(self, rpc: "Rpc", stream: trio.abc.Stream) -> None:
        self._rpc = rpc
        self._stream = stream
        self._unread = bytearray()
        self._unsent = bytearray()
        self._waiting: set[int] = set()  # numbers of commands under way
        self._subscriptions: dict[int, Subscription] = {}
        self._work = trio.Event()  # set: the writer has something to do
        self._room = trio.Event()  # set: the reader may go on
        self._stops = False  # the daemon stops when all is sent
        self._ended = False  # nothing more comes in: what is answered already is sent, and that is all

    async def run(self) -> None:
        """Read and answer until the connection ends."""
        try:
            async with self._stream, trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._write)
                await self._read()
                self._ended = True
                self._work.set()
                nursery.cancel_scope.deadline = trio.current_time() + limits.CLOSE_MS / 1000
        except* trio.BrokenResourceError:
            pass  # it hung up while we were sending
        finally:
            for number in self._waiting:
                self._rpc.cancel(number)
            if self._stops:  # it asked for the end and did not wait for it
                self._rpc.control.stop()

    @property
    def unread_size(self) -> int:
        """Bytes of a line that has not ended yet."""
        return len(self._unread)

    def advance(self) -> None:
        """The log has grown."""
        for subscription in self._subscriptions.values():
            subscription.behind = True
        if self._subscriptions:
            self._work.set()

    # --- lines in ---

    async def _read(self) -> None:
        while chunk := await self._stream.receive_some(_CHUNK_SIZE):
            scanned = len(self._unread)
            self._unread += chunk
            while (end := self._unread.find(b"\n", scanned)) >= 0 and end <= limits.RPC_LINE_SIZE_MAX:
                line = bytes(self._unread[:end])
                del self._unread[: end + 1]
                scanned = 0
                if line.strip():
                    self._take(line)
                await self._wait_for_room()
            if len(self._unread) > limits.RPC_LINE_SIZE_MAX:
                refusal = "a line has at most 8 MiB"
            elif self._rpc.unread_size() > limits.RPC_UNREAD_SIZE_MAX:
                refusal = "too many unfinished lines: end yours sooner"
            else:
                continue
            self._unread.clear()
            self._send(error_text(None, CallerError(Code.usage, refusal), api.REQUEST_ERROR))
            return

    async def _wait_for_room(self) -> None:
        while len(self._unsent) > limits.RPC_UNSENT_SIZE_MAX or len(self._waiting) >= limits.RPC_WAITING_MAX:
            self._room = trio.Event()
            await self._room.wait()

    def _take(self, line: bytes) -> None:
        try:
            value = decode(line)
            if not isinstance(value, list):
                self._take_one(value, self._send)
            elif not 1 <= len(value) <= limits.RPC_BATCH_MAX:
                raise Wrong(api.REQUEST_ERROR, f"a batch holds 1 to {limits.RPC_BATCH_MAX} requests")
            elif any(isinstance(one, dict) and one.get("method") == "post" for one in value):
                self._take_posts(value)
            else:
                self._take_batch(value)
        except Wrong as wrong:
            self._send(error_text(None, wrong.error, wrong.number))

    def _take_one(self, value: Any, answer: Answer) -> None:
        """Act on one request, and hand its answer on when it is there."""
        try:
            request = check(value)
        except Wrong as wrong:
            unwanted = isinstance(value, dict) and isinstance(value.get("method"), str) and "id" not in value
            answer("" if unwanted else error_text(id_of(value), wrong.error, wrong.number))
            return

        def on_replies(replies: list[Reply]) -> None:
            answer(self._text(request, replies[0]))

        if request.method != "status":
            self._rpc.control.touch()
        slow: dict[str, Slow] = {
            "bundle.import": lambda ask, params: carrier.import_(ask, self._rpc.feed.network_key, params),
            "bundle.export": lambda ask, params: carrier.export(ask, self._rpc.feed.network_key, params),
            "plan.propose": phrases.propose,
            "plan.burn": phrases.burn,
            "plan.open": phrases.open_,
        }
        if request.method in slow:
            self._nursery.start_soon(self._do_slowly, slow[request.method], request.params, on_replies)
            return
        local: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
            "down": self._down,
            "lock": self._lock,
            "unlock": self._unlock,
            "panic": lambda _: self._panic(request),
        }
        if request.method not in local:
            self._ask(Command(self._rpc.number(), request.method, request.params), on_replies)
            return
        try:
            on_replies([Reply(0, local[request.method](request.params))])
        except CallerError as error:
            on_replies([Reply(0, None, error)])

    def _take_batch(self, values: list[Any]) -> None:
        """Act on requests one after the other; one line of answers when the last is there."""
        answers = [""] * len(values)
        left, size = len(values), 0

        def answer(index: int, text: str) -> None:
            nonlocal left, size
            size += len(text)
            answers[index] = text if size < limits.RPC_LINE_SIZE_MAX else error_text(None, _TOO_LONG)
            left -= 1
            if not left:
                self._send_all(answers)

        for index, value in enumerate(values):
            self._take_one(value, partial(answer, index))

    def _take_posts(self, values: list[Any]) -> None:
        """Have posts made in one transaction. What is wrong with the first wrong one is everybody's
        answer."""
        try:
            requests = [check(value) for value in values]
            if any(request.method != "post" for request in requests):
                raise Wrong(api.REQUEST_ERROR, "a batch with a post in it holds posts only")
        except Wrong as wrong:
            self._send_all([error_text(id_of(value), wrong.error, wrong.number) for value in values])
            return

        def on_replies(replies: list[Reply]) -> None:
            answered = zip(requests, replies, strict=True)
            self._send_all([self._text(request, reply) for request, reply in answered])

        commands = [Command(self._rpc.number(), request.method, request.params) for request in requests]
        self._ask(CommandBatch(self._rpc.number(), commands), on_replies)

    def _ask(self, command: Command | CommandBatch, on_replies: Callable[[list[Reply]], None]) -> None:
        def on_answer(replies: list[Reply]) -> None:
            self._waiting.discard(command.number)
            self._room.set()
            on_replies(replies)

        self._waiting.add(command.number)
        self._rpc.ask(command, on_answer)

    # --- what the daemon itself does ---

    def _subscribe(self, params: dict[str, Any]) -> dict[str, Any]:
        feed = self._rpc.feed
        channel = feed.channel_id(params["channel"]) if "channel" in params else None
        cursor = params.get("cursor", feed.cursor())
        number = self._rpc.number()
        wanted = params.get("missing", False), params.get("fired", False)
        self._subscriptions[number] = Subscription(number, cursor, channel, *wanted)
        self._work.set()
        return {"subscription": number}

    def _unsubscribe(self, params: dict[str, Any]) -> dict[str, Any]:
        if self._subscriptions.pop(params["subscription"], None) is None:
            raise CallerError(Code.not_found, "there is no such subscription on this connection")
        return {}

    async def _do_slowly(
        self, slow: Slow, params: dict[str, Any], on_replies: Callable[[list[Reply]], None]
    ) -> None:
        """What takes files or long sums. What it asks of the core are commands of this client, one after the other."""
        number = self._rpc.number()  # under way as a whole, so that a client has only so many files open
        self._waiting.add(number)
        try:
            reply = Reply(number, await slow(self._ask_core, params))
        except CallerError as error:
            reply = Reply(number, None, error)
        self._waiting.discard(number)
        self._room.set()
        on_replies([reply])

    async def _ask_core(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """The core's answer to a command of the daemon's own."""
        answered: list[Reply] = []
        there = trio.Event()

        def on_replies(replies: list[Reply]) -> None:
            answered.extend(replies)
            there.set()

        self._ask(Command(self._rpc.number(), method, params), on_replies)
        await there.wait()
        result, error = answered[0].result, answered[0].error
        if result is None:
            raise error or CallerError(Code.error, "there is no answer")
        return {name: value for name, value in result.items() if name != "v"}

    def _down(self, params: dict[str, Any]) -> dict[str, Any]:
        self._rpc.control.down()
        self._stops = True
        return {}

    def _lock(self, params: dict[str, Any]) -> dict[str, Any]:
        self._stops = self._rpc.control.lock()
        return {}

    def _unlock(self, params: dict[str, Any]) -> dict[str, Any]:
        self._stops = self._rpc.control.unlock(params["key"])
        return {}

    def _panic(self, request: Request) -> dict[str, Any]:
        if not request.params["yes"]:
            raise CallerError(Code.usage, "this erases everything of this node for good: say yes")
        self._rpc.control.erase(lambda erased: self._say_last(result_text(request.id, erased)))
        return {}  # to whoever has an `erase` that comes back

    # --- lines out ---

    def _say_last(self, text: str) -> None:
        """Past the writer, which gets no turn any more: as much of it as the system takes at once."""
        if isinstance(self._stream, trio.SocketStream):
            with suppress(OSError):
                os.write(self._stream.socket.fileno(), text.encode() + b"\n")

    def _text(self, request: Request, reply: Reply) -> str:
        if not request.wants_answer:
            return ""
        if reply.result is None:
            return error_text(request.id, reply.error or CallerError(Code.error, "there is no answer"))
        extra = self._rpc.control.status() if request.method == "status" else {}
        text = result_text(request.id, {**reply.result, **extra})
        return text if len(text) < limits.RPC_LINE_SIZE_MAX else error_text(request.id, _TOO_LONG)

    def _send_all(self, answers: list[str]) -> None:
        wanted = [text for text in answers if text]
        self._send(f"[{','.join(wanted)}]" if wanted else "")

    def _send(self, text: str) -> None:
        if text:
            self._unsent += text.encode() + b"\n"
        self._work.set()

    async def _write(self) -> None:
        while True:
            if self._unsent:
                lines, self._unsent = self._unsent, bytearray()
                await self._stream.send_all(lines)
                self._room.set()
            elif self._stops:
                self._rpc.control.stop()
                self._stops = False
            elif self._ended:
                return
            elif behind := [one for one in self._subscriptions.values() if one.behind]:
                for subscription in behind:
                    await self._stream.send_all(subscription.read(self._rpc.feed))
                    if self._unsent:
                        break
            else:
                await self._work.wait()
                self._work = trio.Event()
