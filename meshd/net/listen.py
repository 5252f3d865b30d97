"""Where others can dial us: the listening sockets.

The rule: unless addresses were given, every `renew` takes a fresh random port, the same on IPv4 and IPv6,
because a port that stays would tell that the laptop at home is the laptop on the square. The kernel picks
the port (from its ephemeral range, so never below 1024); where it is free in one family only, another is
tried. A machine with one family alone works with that one. Given addresses (`--listen`) are bound once and
stay; given port 0, so does the port that the kernel found.

Addresses are reported as others could dial them: those of every interface that has a carrier, loopback apart, or
the given ones.
"""

import errno
import socket

import trio

from meshd import limits
from meshd.errors import CallerError, Code
from meshd.ids import Address
from meshd.net.interfaces import snapshot

# What the socket module calls an address: (host, port), for IPv6 also (flow, scope).
Sockaddr = tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]

_BACKLOG = 128
_PORT_TRIES = 32  # a port free in one family and taken in the other is rare; thirty in a row are a fault
_NO_FAMILY = frozenset((errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT))


class Listeners:
    """The bound sockets, non-blocking. `given` empty: a random port in each family, new at every renew; the first one
    is `port` if that is not 0 and free."""

    def __init__(self, given: tuple[Address, ...] = (), port: int = 0) -> None:
        self._given, self._first_port = given, port
        self.sockets: list[socket.socket] = []

    def renew(self) -> tuple[Address, ...]:
        """Bind (again), close what was bound before, and return where we can be dialled.

        Raises CallerError(refused) if nothing can be bound.
        """
        former = self.sockets
        if self._given:
            if not former:
                bound = [(address, _bind_given(address)) for address in self._given]
                self.sockets = [sock for _, socks in bound for sock in socks]
                # Port 0 is whichever the kernel finds; that one stays then.
                self._given = tuple(Address(address.host, _port(socks[0])) for address, socks in bound)
        else:
            self.sockets = _bind_random(self._first_port)
            self._first_port = 0
            _close(former)
        return self.addresses()

    def addresses(self) -> tuple[Address, ...]:
        """Where we can be dialled, by the addresses that the interfaces have now."""
        if self._given:
            return self._given
        port = self.port
        return tuple(Address(host, port) for host in _hosts({sock.family for sock in self.sockets}))

    @property
    def port(self) -> int:
        """The port to announce: that of the first socket."""
        return _port(self.sockets[0])

    def close(self) -> None:
        """Stop listening."""
        _close(self.sockets)
        self.sockets = []


def _port(sock: socket.socket) -> int:
    port: int = sock.getsockname()[1]
    return port


def _close(sockets: list[socket.socket]) -> None:
    for sock in sockets:
        trio.lowlevel.notify_closing(sock)  # whoever waits to accept on it hears of it
        sock.close()


def _bind(family: int, sockaddr: Sockaddr) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(sockaddr)
        sock.listen(_BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def _bind_given(address: Address) -> list[socket.socket]:
    bound: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        for family, _, _, _, sockaddr in found:
            bound.append(_bind(family, sockaddr))
    except OSError as error:
        for sock in bound:
            sock.close()
        message = f"cannot listen on {address}: {error.strerror}; choose another address or port"
        raise CallerError(Code.refused, message) from None
    return bound


def _bind_random(first: int) -> list[socket.socket]:
    for attempt in range(_PORT_TRIES):
        port = 0 if attempt else first
        bound: list[socket.socket] = []
        try:
            for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
                try:
                    bound.append(_bind(family, (host, port)))
                except OSError as error:
                    if error.errno not in _NO_FAMILY:
                        raise
                    continue
                port = bound[0].getsockname()[1]
        except OSError as error:
            for sock in bound:
                sock.close()
            if error.errno != errno.EADDRINUSE:
                raise CallerError(Code.refused, f"cannot listen: {error.strerror}") from None
            continue
        if not bound:
            raise CallerError(Code.refused, "cannot listen: this machine has neither IPv4 nor IPv6")
        if port >= limits.PORT_MIN:
            return bound
        for sock in bound:
            sock.close()
    raise CallerError(Code.refused, "cannot listen: no port is free in both IPv4 and IPv6")


def _hosts(families: set[int]) -> list[str]:
    """The literal addresses of this machine that another one could dial: a network without carrier has none."""
    hosts = []
    for interface in snapshot():
        for address, _ in interface.addresses:
            if (socket.AF_INET6 if address.version == 6 else socket.AF_INET) not in families:
                continue
            scoped = address.is_link_local and address.version == 6
            hosts.append(f"{address}%{interface.name}" if scoped else str(address))
    return hosts
