"""A synchronous client of the daemon: one Unix socket, one JSON value a line.

The rule: this is all the command line knows of the daemon, and it is the standard library's socket and
nothing else, because it stands on the path that every `mesh post` pays for. A request waits for its own
answer; the notifications that come in between (subscriptions) are kept, in order, for `notices()`.

Errors, all CallerError: `not_running` where nobody listens (with the command that helps), `refused` where
the socket is another user's, `timed_out` where the daemon does not answer, and the daemon's own codes.
"""

import json
import os
import socket
from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from meshd.daemon import api
from meshd.errors import CallerError, Code
from meshd.limits import RPC_LINE_SIZE_MAX

Document = dict[str, Any]

ANSWER_S = 30.0  # a daemon that is alive answers in milliseconds; an event of its core may take a second
_READ_SIZE = 256 * 1024


class Client:
    """A connection to the daemon of `home`; raises CallerError(not_running) if there is none."""

    def __init__(self, home: str, timeout_s: float = ANSWER_S) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._timeout_s = timeout_s
        self._socket.settimeout(timeout_s)
        self._received = bytearray()
        self._notices: deque[Document] = deque()
        self._number = 0
        self.answer_size = (
            0  # bytes of the last answer: a reader of long answers asks whether it was cut short
        )
        try:
            with api.short_path(api.socket_path(home)) as path:
                self._socket.connect(path)
        except OSError as error:
            self._socket.close()
            raise _unreachable(home, error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def call(self, method: str, params: Document | None = None, timeout_s: float | None = None) -> Document:
        """The result of a method. `timeout_s` is for calls that ask the daemon to wait."""
        self.send(method, params)
        result = self.answer(self._timeout_s if timeout_s is None else timeout_s)
        if result is None:
            raise CallerError(Code.timed_out, "the daemon does not answer: look at daemon.log in its home")
        return result

    def send(self, method: str, params: Document | None = None) -> None:
        """Asks, without waiting for the answer; parameters that are None are not sent."""
        self._number += 1
        given = {name: value for name, value in (params or {}).items() if value is not None}
        request = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": given}
        self._socket.settimeout(self._timeout_s)
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        except OSError:
            raise _gone() from None

    def answer(self, patience_s: float) -> Document | None:
        """The result of what was sent last; None if it did not come in so many seconds: ask again."""
        self._socket.settimeout(patience_s)
        try:
            while "id" not in (answer := self._line()):
                self._notices.append(answer)
        except TimeoutError:
            return None
        except OSError:
            raise _gone() from None
        if "error" in answer:
            raise CallerError(api.error_code(answer["error"]), str(answer["error"].get("message", "refused")))
        result: Document = answer["result"]
        return result

    def notices(self, pause_s: float) -> Iterator[Document | None]:
        """The notifications, as they come, for ever; None whenever none came for `pause_s` seconds."""
        while True:
            while self._notices:
                yield self._notices.popleft()
            self._socket.settimeout(pause_s)
            try:
                yield self._line()
            except TimeoutError:
                yield None
            except OSError:
                raise _gone() from None

    def _line(self) -> Document:
        """The next line that came; TimeoutError keeps what came of it so far."""
        searched = 0
        while (end := self._received.find(b"\n", searched)) < 0:
            searched = len(self._received)
            piece = self._socket.recv(_READ_SIZE)
            if not piece or searched > 2 * RPC_LINE_SIZE_MAX:
                raise _gone()
            self._received += piece
        line = self._received[:end].decode()
        del self._received[: end + 1]
        self.answer_size = end
        document: Document = json.loads(line)
        return document


def _gone() -> CallerError:
    return CallerError(Code.not_running, "the daemon stopped: see daemon.log in its home, then `mesh up`")


def _unreachable(home: str, error: OSError) -> CallerError:
    if isinstance(error, PermissionError):
        return CallerError(Code.refused, f"{home} belongs to another user: name your own with --home")
    if isinstance(error, TimeoutError | BlockingIOError):
        return CallerError(Code.timed_out, "the daemon does not answer: look at daemon.log in its home")
    if not os.path.isdir(home):
        return CallerError(Code.not_running, f"there is no node in {home} yet: `mesh init`, then `mesh up`")
    return CallerError(Code.not_running, f"no daemon runs in {home}: start it with `mesh up`")
