"""The control socket: who may talk to the daemon, and how many.

The rule: only the user who owns the home may connect (the socket is 0600 in a 0700 folder, and the kernel is
asked whose process is at the other end), and no client can cost the daemon more than a bounded amount,
whatever it sends: RPC_CLIENTS_MAX at once, RPC_LINE_SIZE_MAX for a line, RPC_UNREAD_SIZE_MAX for the
unfinished lines of all. A client too many is told `busy` and closed.

A socket left over by a daemon that died is replaced, because whoever binds holds the home's lock; anything
else at its place is refused.
"""

import errno
import os
import socket
import stat
import struct
from collections.abc import Callable
from contextlib import suppress
from itertools import count

import trio

from meshd import limits
from meshd.daemon import api
from meshd.daemon.client import Client
from meshd.daemon.control import Control
from meshd.daemon.feed import Feed
from meshd.daemon.request import error_text
from meshd.errors import CallerError, Code
from meshd.events import Command, CommandBatch, CommandCancelled, Event, Reply, ReplyBatch

OnReplies = Callable[[list[Reply]], None]

_BACKLOG = 64
_ACCEPT_PAUSE_S = 0.1  # when descriptors or memory are short


def bind(path: str) -> socket.socket:
    """The listening control socket. The caller holds the home's lock.

    CallerError(refused) if something that is no socket of ours stands in its place, or the system refuses.
    """
    with suppress(FileNotFoundError):
        status = os.lstat(path)
        if not stat.S_ISSOCK(status.st_mode) or status.st_uid != os.geteuid():
            raise CallerError(Code.refused, f"{path} is no socket of ours: remove it and try again")
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.setblocking(False)
        with api.short_path(path) as short:
            listener.bind(short)
        os.chmod(path, 0o600)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise CallerError(Code.refused, f"cannot listen on {path}: {error.strerror}") from None
    return listener


def adopt(descriptor: int) -> socket.socket:
    """A control socket that listens since an earlier start."""
    listener = socket.socket(fileno=descriptor)
    listener.set_inheritable(False)
    listener.setblocking(False)
    return listener


class Rpc:
    """All clients of a daemon."""

    def __init__(self, feed: Feed, control: Control) -> None:
        self.feed = feed
        self.control = control
        self._clients: set[Client] = set()
        self._numbers = count(1)
        self._waiting: dict[int, OnReplies] = {}

    async def run(
        self,
        listener: socket.socket,
        on_event: Callable[[Event], None],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve clients until cancelled."""
        self._on_event = on_event
        async with trio.open_nursery() as nursery:
            task_status.started()
            while True:
                await trio.lowlevel.wait_readable(listener)
                try:
                    sock, _ = listener.accept()
                except OSError as error:
                    if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                        await trio.sleep(_ACCEPT_PAUSE_S)
                    continue
                sock.setblocking(False)
                refusal = self._refusal(sock)
                if refusal is None:
                    nursery.start_soon(self._serve, trio.SocketStream(trio.socket.from_stdlib_socket(sock)))
                else:
                    with sock, suppress(OSError):
                        sock.send((error_text(None, refusal) + "\n").encode())

    def _refusal(self, sock: socket.socket) -> CallerError | None:
        if peer_uid(sock) != os.geteuid():
            return CallerError(Code.refused, "this daemon serves its own user only")
        if len(self._clients) >= limits.RPC_CLIENTS_MAX:
            return CallerError(Code.busy, "the daemon has too many clients: close some and try again")
        return None

    async def _serve(self, stream: trio.abc.Stream) -> None:
        client = Client(self, stream)
        self._clients.add(client)
        try:
            await client.run()
        finally:
            self._clients.remove(client)

    def unread_size(self) -> int:
        """Bytes of unfinished lines, all clients together."""
        return sum(client.unread_size for client in self._clients)

    # --- commands, on their way to the core and back ---

    def number(self) -> int:
        """A number that was not used before, for a command or a subscription."""
        return next(self._numbers)

    def ask(self, command: Command | CommandBatch, on_replies: OnReplies) -> None:
        """Ask the core; `on_replies` gets one reply for each command, perhaps before this returns."""
        self._waiting[command.number] = on_replies
        self._on_event(command)

    def cancel(self, number: int) -> None:
        """Nobody waits for this answer any more."""
        if self._waiting.pop(number, None) is not None:
            self._on_event(CommandCancelled(number))

    def answer(self, reply: Reply) -> None:
        """A reply of the core; one that nobody waits for is dropped."""
        on_replies = self._waiting.pop(reply.number, None)
        if on_replies is not None:
            on_replies([reply])

    def answer_batch(self, batch: ReplyBatch) -> None:
        """The replies to a batch."""
        on_replies = self._waiting.pop(batch.number, None)
        if on_replies is not None:
            on_replies(list(batch.replies))

    def advance(self) -> None:
        """The log has grown: whoever subscribed reads on."""
        for client in self._clients:
            client.advance()


def peer_uid(sock: socket.socket) -> int:
    """The user whose process is at the other end, as the kernel says."""
    if hasattr(socket, "SO_PEERCRED"):
        credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        uid: int = struct.unpack("3i", credentials)[1]
    else:  # macOS: LOCAL_PEERCRED gives a struct xucred, whose second field is the user
        uid = struct.unpack_from("2I", sock.getsockopt(0, 1, 76))[1]
    return uid
