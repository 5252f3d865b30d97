"""Whether this machine is on a network, and whether a route leads out of it.

The rule: the kernel is asked where it would send a packet for somewhere far away, and none is sent: connect() of a UDP
socket looks the route up, and nothing more. So whatever makes the way (a default route, the two halves that a VPN
lays over it, a policy) is taken as the kernel takes it, and the same on every system. Where the way ends nobody is
asked here: a router that has lost its own line is a way out like any other.

What is true is read afresh whenever the kernel says that a link, an address or a route changed; elsewhere than on Linux
we look every few seconds.
"""

import socket
from collections.abc import Callable
from contextlib import suppress

import trio

from meshd.events import WayOut
from meshd.net import interfaces

# Addresses for documentation (RFC 5737, RFC 3849): nobody's, and routed like everybody else's
_FAR = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
_PORT = 9


def look() -> WayOut:
    """The way out at this moment. Costs about a millisecond."""
    is_there = bool(interfaces.snapshot())
    return WayOut(is_there, is_there and any(_is_routed(family, host) for family, host in _FAR))


def _is_routed(family: socket.AddressFamily, host: str) -> bool:
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as udp:
            udp.connect((host, _PORT))
    except OSError:
        return False
    return True


async def watch(say: Callable[[WayOut], None]) -> None:
    """Call `say` at once, then whenever it changed; for ever, whatever the system refuses."""
    kernel: trio.socket.SocketType | None = None
    known: WayOut | None = None
    try:
        while True:
            found = known
            with suppress(OSError):  # descriptors may be short for a moment
                found = look()
            if found is not None and found != known:
                known = found
                say(found)
            kernel = await _wait(kernel)
    finally:
        if kernel is not None:
            kernel.close()


async def _wait(kernel: trio.socket.SocketType | None) -> trio.socket.SocketType | None:
    """Wait until something may have changed; where the kernel tells us the next time, None if it does not."""
    try:
        if kernel is None:
            return interfaces.open_netlink(interfaces.LINKS_AND_ADDRESSES | interfaces.ROUTES)
        await interfaces.receive(kernel)
        with trio.move_on_after(interfaces.DEBOUNCE_S):
            while True:
                await interfaces.receive(kernel)
        return kernel
    except OSError:  # not on Linux, a sandbox forbids it, or descriptors are short
        if kernel is not None:
            kernel.close()
        await trio.sleep(interfaces.POLL_S)
        return None
