"""Links: byte streams to peers, up or down.

The rule: this module knows bytes and events only. Whatever happens on a link becomes an event and is
handed to one synchronous callback; whatever the core wants done comes as a plain call that never blocks
and never calls back. So everything runs in one thread, and a byte passes no queue between the socket and
the core.

Reading: one read takes what the kernel holds, at most READ_SIZE_MAX, and makes one event (one event is one
transaction, so batches form by themselves when the core is busy). If another link that is still up was read within
SHARED_MS it takes no more than READ_SIZE_SHARED, so that nobody waits long behind one read. All links share one buffer,
as only one read is ever in progress. A link that rests is not read, so that its peer waits.

Writing: `send` appends to the link's outbox, and `flush` (once after all effects of an event) hands the
outboxes to the kernel in as few calls as possible. What the kernel does not take, the link's writer sends
later. It takes little that it can't send at once (UNSENT_SIZE): nothing overtakes what it has, and over a slow link
what is urgent would wait behind a megabyte. Once the outbox is below OUTBOX_FILL_SIZE the core is told, from the
writer's task and not from `flush`, so that other links get their turn between two fillings; not for each short message,
but when half of OUTBOX_FILL_SIZE was appended since it was last told, because it goes by that and not by our outbox. An
outbox over OUTBOX_SIZE_MAX, or one that does not move for SEND_STALL_MS, closes the link: the core never waits for a
peer.

Closing: LinkClosed comes exactly once for every LinkOpened, and after CloseLink no bytes of that link are
handed on. A close that flushes sends the outbox, then a FIN, and reads until the peer's FIN for at most
CLOSE_MS: closing with unread bytes would make the kernel send a reset, which can overtake the last words.
"""

import errno
import math
import os
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import count

import trio

from meshd import limits
from meshd.events import BytesReceived, DialFailed, Drained, Event, LinkClosed, LinkOpened
from meshd.ids import Address
from meshd.net.listen import Listeners, Sockaddr

OnEvent = Callable[[Event], None]

_PIECES_MAX = 256  # pieces a sendmsg takes at most; below every system's IOV_MAX
_ACCEPT_PAUSE_S = 0.1  # when descriptors or memory are short: until links have closed
_SHORT = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))


class _Link:
    """One stream: its socket, its outbox, and why it closes."""

    def __init__(self, number: int, sock: socket.socket) -> None:
        self.number = number
        self.sock = sock
        self.outbox: deque[bytes | memoryview] = deque()
        self.outbox_size = 0
        self.filled = trio.Event()  # set: the writer has something to do
        self.untold_size = 0  # bytes that were appended since the core was last told of room
        self.awake = trio.Event()  # set: it may be read
        self.awake.set()
        self.read_s = -math.inf  # when it was read last
        self.scope = trio.CancelScope()
        self.reason = ""  # not empty: it is closing, and nothing more is handed on or taken

    @property
    def owes_drained(self) -> bool:
        """Whether the core is to be told that there is room."""
        told_at, room_at = limits.OUTBOX_FILL_SIZE // 2, limits.OUTBOX_FILL_SIZE
        return self.untold_size >= told_at and self.outbox_size < room_at

    def send_now(self) -> None:
        """Give the kernel what it takes. Raises OSError if the stream is broken."""
        while self.outbox:
            pieces = [self.outbox[i] for i in range(min(len(self.outbox), _PIECES_MAX))]
            try:
                sent = self.sock.sendmsg(pieces)
            except BlockingIOError:
                return
            self.outbox_size -= sent
            while sent and sent >= len(self.outbox[0]):
                sent -= len(self.outbox.popleft())
            if sent:
                self.outbox[0] = memoryview(self.outbox[0])[sent:]
                return


class Links:
    """All links and listeners of a node. `run` gives it life; the other methods are what effects ask for."""

    def __init__(self, listeners: Listeners) -> None:
        self._listeners = listeners
        self._links: dict[int, _Link] = {}
        self._numbers = count(1)
        self._unsent: list[_Link] = []
        self._buffer = memoryview(bytearray(limits.READ_SIZE_MAX))
        self._gone = trio.Event()  # set: a link is gone

    async def run(
        self, on_event: OnEvent, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Serve links until cancelled; whatever `on_event` raises comes out of here."""
        self._on_event = on_event
        try:
            async with trio.open_nursery() as self._nursery:
                task_status.started()
                await trio.sleep_forever()
        finally:
            self._listeners.close()

    # --- what effects ask for ---

    def send(self, number: int, content: bytes) -> None:
        """Append to a link's outbox; nothing happens if the link is closing or gone."""
        link = self._links.get(number)
        if link is None or link.reason:
            return
        if link.outbox_size + len(content) > limits.OUTBOX_SIZE_MAX:
            self._close(link, "its outbox is full")
            return
        if not link.outbox_size:
            self._unsent.append(link)
        link.untold_size += len(content)
        link.outbox.append(content)
        link.outbox_size += len(content)

    def flush(self) -> None:
        """Send what was appended; call it once after the effects of an event."""
        if not self._unsent:
            return
        unsent, self._unsent = self._unsent, []
        for link in unsent:
            try:
                link.send_now()
            except OSError as error:
                self._close(link, f"sending failed: {error.strerror}")
            if link.outbox or link.owes_drained:
                link.filled.set()

    def close(self, number: int, reason: str, flush: bool) -> None:
        """Close a link, after its outbox is sent if `flush`."""
        link = self._links.get(number)
        if link is not None and not link.reason:
            self._close(link, reason, flush)

    def rest(self, number: int, resting: bool) -> None:
        """Read no more of a link for now, or read on."""
        link = self._links.get(number)
        if link is not None and resting:
            link.awake = trio.Event()
        elif link is not None:
            link.awake.set()

    def dial(self, address: Address) -> None:
        """Open a link; LinkOpened or DialFailed follows."""
        self._nursery.start_soon(self._dial, address)

    def renew(self) -> tuple[Address, ...]:
        """Bind fresh listeners, close the former ones; returns where we can be dialled (Listeners.renew)."""
        former = self._listeners.sockets
        addresses = self._listeners.renew()
        for sock in self._listeners.sockets:
            if sock not in former:
                self._nursery.start_soon(self._accept, sock)
        return addresses

    def addresses(self) -> tuple[Address, ...]:
        """Where we can be dialled now."""
        return self._listeners.addresses()

    async def wait_closed(self) -> None:
        """Wait until there is no link."""
        while self._links:
            self._gone = trio.Event()
            await self._gone.wait()

    @property
    def port(self) -> int:
        """The port that others dial."""
        return self._listeners.port

    # --- the life of a link ---

    def _close(self, link: _Link, reason: str, flush: bool = False) -> None:
        link.reason = reason
        link.awake.set()
        if flush:
            link.scope.deadline = trio.current_time() + limits.CLOSE_MS / 1000
            link.filled.set()
        else:
            link.scope.cancel()

    async def _accept(self, listener: socket.socket) -> None:
        while listener.fileno() >= 0:  # else renewed between two steps: there are other listeners now
            try:
                await trio.lowlevel.wait_readable(listener)
                sock, sockaddr = listener.accept()
            except trio.ClosedResourceError:
                return  # renewed while it waited
            except OSError as error:
                if error.errno in _SHORT:
                    await trio.sleep(_ACCEPT_PAUSE_S)
                continue  # or the caller hung up before we came to it
            try:
                address = _address(sockaddr)
            except OSError:  # the interface it came by is gone already
                sock.close()
                continue
            self._open(sock, address, dialled=False)

    async def _dial(self, address: Address) -> None:
        reason = "it did not answer in time"
        sock = None
        with trio.move_on_after(limits.DIAL_MS / 1000):
            try:
                sock = await _connect(address)
            except OSError as error:
                reason = error.strerror or str(error)
            except UnicodeError:
                reason = "no host can have this name"
        if sock is None:
            self._on_event(DialFailed(address, reason))
        else:
            self._open(sock, address, dialled=True)

    def _open(self, sock: socket.socket, address: Address, dialled: bool) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # A cut link that comes back would else wait for TCP's next, ever later, repetition.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, limits.UNACKNOWLEDGED_MS)
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, limits.UNSENT_SIZE)
        link = _Link(next(self._numbers), sock)
        self._links[link.number] = link
        self._nursery.start_soon(self._serve, link)
        self._on_event(LinkOpened(link.number, address, dialled))

    async def _serve(self, link: _Link) -> None:
        try:
            with link.scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write, link)
                    reason = await self._read(link)
                    link.reason = link.reason or reason
                    nursery.cancel_scope.cancel()
        finally:
            link.sock.close()
            del self._links[link.number]
            self._gone.set()
        self._on_event(LinkClosed(link.number, link.reason))

    async def _read(self, link: _Link) -> str:
        """Hand on what comes in, until the stream ends; returns why it did."""
        while True:
            await link.awake.wait()
            await trio.lowlevel.wait_readable(link.sock)
            try:
                size = link.sock.recv_into(self._buffer[: self._read_size(link)])
            except BlockingIOError:
                continue
            except OSError as error:
                return f"receiving failed: {error.strerror}"
            if not size:
                return "the stream ended"
            if not link.reason:
                self._on_event(BytesReceived(link.number, bytes(self._buffer[:size])))

    def _read_size(self, link: _Link) -> int:
        """How many bytes of this link may be read at once, now that it is read."""
        link.read_s = trio.current_time()
        lately_s = link.read_s - limits.SHARED_MS / 1000
        is_shared = any(each.read_s > lately_s for each in self._links.values() if each is not link)
        return limits.READ_SIZE_SHARED if is_shared else limits.READ_SIZE_MAX

    async def _write(self, link: _Link) -> None:
        """Send what `flush` left over, and say when there is room. Every round waits for something once."""
        while True:
            if link.outbox:
                with trio.move_on_after(limits.SEND_STALL_MS / 1000) as stall:
                    await trio.lowlevel.wait_writable(link.sock)
                if stall.cancelled_caught:
                    self._close(link, link.reason or "it stopped reading")
                try:
                    link.send_now()
                except OSError as error:
                    self._close(link, link.reason or f"sending failed: {error.strerror}")
            elif link.reason:
                with suppress(OSError):  # the peer may be gone already
                    link.sock.shutdown(socket.SHUT_WR)
                return
            else:
                await link.filled.wait()
                link.filled = trio.Event()
            if link.owes_drained and not link.reason:
                link.untold_size = 0
                self._on_event(Drained(link.number))


async def _connect(address: Address) -> socket.socket:
    """A connected socket; every address of a name gets an equal share of the time. Raises OSError."""
    found = await trio.socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    failure = OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
    for family, _, _, _, sockaddr in found:
        with trio.move_on_after(limits.DIAL_MS / 1000 / len(found)):
            try:
                return await _connect_one(family, sockaddr)
            except OSError as error:
                failure = error
    raise failure


async def _connect_one(family: int, sockaddr: Sockaddr) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        code = sock.connect_ex(sockaddr)
        if code == errno.EINPROGRESS:
            await trio.lowlevel.wait_writable(sock)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
    except BaseException:
        sock.close()
        raise
    return sock


def _address(sockaddr: tuple[str, int] | tuple[str, int, int, int]) -> Address:
    """The address of an accepted stream; an IPv6 link-local one names its interface."""
    host = sockaddr[0]
    if len(sockaddr) == 4 and sockaddr[3] and "%" not in host:
        host = f"{host}%{socket.if_indextoname(sockaddr[3])}"
    return Address(host, sockaddr[1])
