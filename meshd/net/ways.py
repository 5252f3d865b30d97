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
    """Call `say` at once, then whenever it changed; for ever. Raises OSError."""
    try:
        kernel = interfaces.open_netlink(interfaces.LINKS_AND_ADDRESSES | interfaces.ROUTES)
    except OSError:  # not on Linux, or a sandbox forbids it
        await _poll(say)
        return
    with kernel:
        known = look()  # after the socket listens, so that nothing falls between
        say(known)
        while True:
            await interfaces.receive(kernel)
            with trio.move_on_after(interfaces.DEBOUNCE_S):
                while True:
                    await interfaces.receive(kernel)
            before, known = known, look()
            if known != before:
                say(known)


async def _poll(say: Callable[[WayOut], None]) -> None:
    known = look()
    say(known)
    while True:
        await trio.sleep(interfaces.POLL_S)
        before, known = known, look()
        if known != before:
            say(known)
