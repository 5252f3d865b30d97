"""Which laptops a TCP connection reaches, and why one does not.

The rule: a connection tells more than whether it opened. Refused: the machine is there and nobody listens. No route
to an address of our own network: nobody there answered to it three times. Silence: the machine may be there, and
something in between, or a filter of its own, takes the packets away; the kernel's list of neighbours tells
whether it at least answered to its address. Connections are closed as soon as they open.

What gets a connection: laptops that announced themselves, those given by hand if they are on a network of ours
(nothing is looked up, nobody far away is bothered), the default router's discard port, and ourselves.
"""

import errno
import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import trio

from meshd.ids import Address
from meshd.net.interfaces import Interface

REACH_S = 3.5  # the kernel asks three times, a second apart, who has an address
REACHED_MAX = 6  # of each kind (heard, given by hand) that are connected to
_SELF_S = 1.0  # for an answer from this very machine, or from the router beside it


@dataclass(frozen=True, slots=True)
class Reached:
    """What came of connecting to a laptop: open, refused, unreachable (nobody there answers to its address),
    silent (it is there, and no answer came) or failed. `resolved`: the network knows its hardware address."""

    address: str
    outcome: str
    heard: bool
    resolved: bool | None = None


async def listens(interfaces: Iterable[Interface], listening: Iterable[Address]) -> bool | None:
    """Whether the daemon's port takes connections at an address of ours."""
    own = {str(ip) for interface in interfaces for ip, _ in interface.addresses}
    for address in listening:
        if address.host in own:
            return (await _connect(address, _SELF_S))[0] == "open"
    return None


async def reach(
    heard: list[Address], given: list[Address], interfaces: Iterable[Interface], reached: list[Reached]
) -> None:
    """Connect to those heard, and to those given by hand that are on a network of ours."""
    by_hand = [address for address in given if address not in heard and _is_near(address, interfaces)]

    async def one(address: Address, was_heard: bool) -> None:
        outcome, known = await _connect(address, REACH_S)
        reached.append(Reached(str(address), outcome, was_heard, known))

    async with trio.open_nursery() as nursery:
        for address in heard[:REACHED_MAX]:
            nursery.start_soon(one, address, True)
        for address in by_hand[:REACHED_MAX]:
            nursery.start_soon(one, address, False)


def _is_near(address: Address, interfaces: Iterable[Interface]) -> bool:
    networks = (ipaddress.ip_network(item, strict=False) for i in interfaces for item in i.addresses)
    try:
        ip = ipaddress.ip_address(address.host.partition("%")[0])
    except ValueError:  # a name: looking it up would tell a name server of it
        return False
    return any(ip in network for network in networks)


_OUTCOMES = {errno.ECONNREFUSED: "refused", errno.EHOSTUNREACH: "unreachable"}


async def _connect(address: Address, patience_s: float) -> tuple[str, bool | None]:
    """What comes of a connection that is closed at once, and whether the address was resolved."""
    outcome = "silent"
    with trio.move_on_after(patience_s):
        try:
            ((family, kind, _, _, place), *_) = await trio.socket.getaddrinfo(
                address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
            )
            with trio.socket.socket(family, kind) as tcp:
                await tcp.connect(place)
            outcome = "open"
        except OSError as error:
            outcome = _OUTCOMES.get(error.errno or 0, "failed")
    return outcome, resolved(_listing("arp"), address.host)


def _listing(name: str) -> str:
    """A list of the kernel's, empty where there is none."""
    try:
        return Path("/proc/net", name).read_text("ascii")
    except OSError:
        return ""


def resolved(listing: str, host: str) -> bool | None:
    """Whether the text of /proc/net/arp has a hardware address for this one; None if it does not say."""
    for line in listing.splitlines()[1:]:
        words = line.split()
        if len(words) >= 4 and words[0] == host:
            return bool(int(words[2], 16) & 0x2)  # ATF_COM, <linux/if_arp.h>
    return None


def gateways(listing: str) -> list[str]:
    """The default routers in the text of /proc/net/route."""
    found = []
    for line in listing.splitlines()[1:]:
        words = line.split()
        if len(words) > 7 and words[1] == words[7] == "00000000" and words[2] != "00000000":
            found.append(str(ipaddress.IPv4Address(bytes.fromhex(words[2])[::-1])))
    return found


async def gateway_answers() -> bool | None:
    """Whether the default router answers to its address; None if there is none."""
    found = gateways(_listing("route"))
    if not found:
        return None
    outcome, known = await _connect(Address(found[0], 9), _SELF_S)
    return outcome in ("open", "refused") or bool(known)
