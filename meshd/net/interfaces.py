"""Which networks this machine is on, and the moment that changes.

The rule: a *network* is a prefix on an interface that is up, has a carrier and is not loopback. Everything
that names this node to a network (link key, port, instance and host name) is renewed when a network appears
or goes (design, "The link"), so this module has to tell that from an address merely becoming ready: an fe80::
address is tentative for about two seconds after link-up, and its becoming usable is no new network.

An interface that loses its carrier has lost its networks, though its addresses stay configured: a laptop
carried from one hotspot to the next must not be recognisable by what it kept. For the same reason a carrier
that was lost and came back between two looks counts as a change, if the kernel told us of it.

On Linux an AF_NETLINK socket says that something happened; elsewhere we look every few seconds. What is true
is always read afresh (ifaddr for addresses, SIOCGIFFLAGS for the state), so a lost or misread message costs a
delay and never a wrong answer. Changes within DEBOUNCE_S are one change: a link that comes up brings its
addresses one by one, and each renewal closes every session.
"""

import array
import errno
import fcntl
import ipaddress
import os
import socket
import struct
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import ifaddr
import trio

DEBOUNCE_S = 0.2  # from the first sign of a change to the look at what it is
POLL_S = 3.0  # between looks where the kernel does not tell us

# <net/if.h>; the same on Linux and BSD but for the multicast bit
_UP, _LOOPBACK, _RUNNING = 0x1, 0x8, 0x40
_MULTICAST = 0x1000 if sys.platform == "linux" else 0x8000
_SIOCGIFFLAGS = 0x8913 if sys.platform == "linux" else 0xC0206911

# <linux/netlink.h>, <linux/rtnetlink.h>
LINKS_AND_ADDRESSES = 0x1 | 0x10 | 0x100  # RTMGRP: links, IPv4 addresses, IPv6 addresses
ROUTES = 0x40 | 0x400  # RTMGRP: IPv4 routes, IPv6 routes
_NEWLINK, _DELLINK, _NEWADDR, _DELADDR = 16, 17, 20, 21
_HEAD = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_LINK = struct.Struct("=BxHiII")  # family, type, index, flags, change
_ADDRESS = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, index

IP = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface with a carrier: name, kernel index, `(address, prefix length)` in a fixed order, and
    whether it carries multicast."""

    name: str
    index: int
    addresses: tuple[tuple[IP, int], ...]
    multicast: bool = True

    def networks(self) -> frozenset[tuple[int, str]]:
        """The networks it is on, as (interface index, prefix): fe80::/64 of two interfaces are two
        networks."""
        return frozenset(
            (self.index, str(ipaddress.ip_network((address, size), strict=False)))
            for address, size in self.addresses
        )


def networks(interfaces: Iterable[Interface]) -> frozenset[tuple[int, str]]:
    """All networks of these interfaces."""
    return frozenset(network for interface in interfaces for network in interface.networks())


def snapshot() -> tuple[Interface, ...]:
    """The interfaces that are up with a carrier, without loopback, by index. Costs about a millisecond."""
    found: dict[int, Interface] = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for adapter in ifaddr.get_adapters():
            flags = _flags(probe, adapter.name)
            if adapter.index is None or flags & (_UP | _RUNNING | _LOOPBACK) != _UP | _RUNNING:
                continue
            addresses = {_literal(ip) for ip in adapter.ips}
            if adapter.index in found:  # an alias (eth0:1) is the same wire
                addresses.update(found[adapter.index].addresses)
            ordered = sorted(addresses, key=lambda item: (item[0].version, item[0].packed, item[1]))
            found[adapter.index] = Interface(
                adapter.name.partition(":")[0], adapter.index, tuple(ordered), bool(flags & _MULTICAST)
            )
    return tuple(found[index] for index in sorted(found))


def _literal(ip: ifaddr.IP) -> tuple[IP, int]:
    text = ip.ip if isinstance(ip.ip, str) else ip.ip[0]
    return ipaddress.ip_address(text.partition("%")[0]), ip.network_prefix


def _flags(probe: socket.socket, name: str) -> int:
    """The interface's flags, 0 if it has gone meanwhile."""
    request = array.array("B", struct.pack("16sH14x", os.fsencode(name)[:15], 0))
    try:
        fcntl.ioctl(probe, _SIOCGIFFLAGS, request, True)
    except OSError:
        return 0
    return int(struct.unpack_from("=H", request, 16)[0])


@dataclass(frozen=True, slots=True)
class Told:
    """One thing the kernel said: the interface it speaks of, and whether that interface is without
    carrier."""

    index: int
    carrier_lost: bool


def read_netlink(packet: bytes) -> list[Told]:
    """The link and address messages of one rtnetlink datagram; anything else, or torn, is skipped."""
    told = []
    offset = 0
    while offset + _HEAD.size <= len(packet):
        size, kind = _HEAD.unpack_from(packet, offset)[:2]
        if size < _HEAD.size or offset + size > len(packet):
            break
        body = packet[offset + _HEAD.size : offset + size]
        if kind in (_NEWLINK, _DELLINK) and len(body) >= _LINK.size:
            index, flags = _LINK.unpack_from(body)[2:4]
            told.append(Told(index, kind == _DELLINK or not flags & _UP or not flags & _RUNNING))
        elif kind in (_NEWADDR, _DELADDR) and len(body) >= _ADDRESS.size:
            told.append(Told(_ADDRESS.unpack_from(body)[4], False))
        offset += (size + 3) & ~3
    return told


def changed_networks(
    before: Iterable[Interface], after: Iterable[Interface], told: Iterable[Told] = ()
) -> frozenset[int]:
    """The indexes of the interfaces on which a network appeared or went between two looks, or went and came
    back as the kernel told."""
    old, new = networks(before), networks(after)
    changed = {index for index, _ in old ^ new}
    had = {index for index, _ in old}
    return frozenset(
        changed | {message.index for message in told if message.carrier_lost and message.index in had}
    )


OnChange = Callable[[tuple[Interface, ...], frozenset[int]], None]


async def watch(on_change: OnChange) -> None:
    """Call `on_change(interfaces, changed)` at once, then after every change; for ever. Raises OSError.

    `changed` holds the indexes of the interfaces on which a network appeared or went. It is empty the first
    time, and where only addresses came, went or became ready.
    """
    try:
        kernel = open_netlink(LINKS_AND_ADDRESSES)
    except OSError:  # not on Linux, or a sandbox forbids it
        await _poll(on_change)
        return
    with kernel:
        known = snapshot()  # after the socket listens, so that nothing falls between
        on_change(known, frozenset())
        while True:
            told = await receive(kernel)
            if told == []:
                continue
            before, known = known, snapshot()
            if changed := changed_networks(before, known, told or []):
                on_change(
                    known, changed
                )  # at once: whoever is on the next network must not hear what we were on this
                told = []
            with trio.move_on_after(DEBOUNCE_S):
                while True:
                    told = (told or []) + (await receive(kernel) or [])
            before, known = known, snapshot()
            on_change(known, changed_networks(before, known, told or []))


def open_netlink(groups: int) -> trio.socket.SocketType:
    """A socket on which the kernel tells of changes. OSError where there is no such thing."""
    family = getattr(socket, "AF_NETLINK", None)
    if family is None:
        raise OSError(errno.EAFNOSUPPORT, "no netlink here")
    kernel = socket.socket(family, socket.SOCK_RAW, 0)
    try:
        kernel.bind((0, groups))
    except OSError:
        kernel.close()
        raise
    return trio.socket.from_stdlib_socket(kernel)


async def receive(kernel: trio.socket.SocketType) -> list[Told] | None:
    """What one datagram says; None when the kernel had more to say than we took in, so that anything may
    be."""
    try:
        return read_netlink(await kernel.recv(65536))
    except OSError as error:
        if error.errno != errno.ENOBUFS:
            raise
        return None


async def _poll(on_change: OnChange) -> None:
    known = snapshot()
    on_change(known, frozenset())
    while True:
        await trio.sleep(POLL_S)
        before, known = known, snapshot()
        if before != known:
            on_change(known, changed_networks(before, known))
