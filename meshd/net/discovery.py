"""Finding peers on the same network by mDNS: sockets and tasks around `net/segment`.

The rule: one socket per interface and address family, so that every packet has a known interface, every
fe80:: address gets its scope, and only addresses of the same interface are announced there. A packet is taken
only from port 5353 and from an address that belongs to that interface's network (RFC 6762 §11). Reading is
paid for by the byte, READ_RATE a second for each socket: what a flood brings beyond that the kernel drops at
no cost to us.

Discovery is the one that watches the interfaces, in every mode, and says NetworkChanged: it closes the
sockets of what went, then tells the core, which draws new names; and an announcement is made only on networks
that were there when it was given and have stayed. So no network ever sees the names that another one saw,
whatever the timing, and for the same reason nothing is said, not even goodbye, on an interface whose networks
have changed.

Modes: `announce` speaks and listens. `listen` sends no packet at all, neither questions nor answers; it hears
what others announce and what they answer to others. (The kernel's own IGMP and MLD reports of the joined
group are no packets of ours and still go out.) `off` opens no socket.

Trouble is expected: no interface yet, an fe80:: address that is tentative for two seconds, a port that
someone holds alone, an interface that goes. Each socket is retried by itself with growing pauses, and
DiscoveryState tells whether any works. None of it ever ends `run`.
"""

import contextlib
import errno
import ipaddress
import math
import random
import socket
import struct
import sys
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import trio

from meshd.events import DiscoveryState, NetworkChanged, PeerFound, PeerLost
from meshd.limits import ADDRESSES_PER_INSTANCE_MAX
from meshd.net import interfaces
from meshd.net.interfaces import Interface
from meshd.net.mdns import PACKET_SIZE_MAX, Announcement, read_packet
from meshd.net.segment import Segment

PORT = 5353
GROUP_4, GROUP_6 = "224.0.0.251", "ff02::fb"
READ_RATE = 128 * 1024  # bytes a second: some 450 announcements, ten times what a crowded network says
READ_BURST = 256 * 1024  # bytes
PACKET_COST = 128  # bytes, on top of a packet's own
RETRY_S = (0.5, 60.0)  # first pause after trouble, doubling up to the second
OWN_MAX = 16  # former instances of ours that still may be heard

_IP_MULTICAST_ALL, _IPV6_MULTICAST_ALL = 49, 29  # <linux/in.h>, <linux/in6.h>; not in the socket module

Emit = Callable[[PeerFound | PeerLost | DiscoveryState | NetworkChanged], None]
Watch = Callable[[interfaces.OnChange], Awaitable[None]]
Key = tuple[int, socket.AddressFamily]  # interface index and family


@dataclass(eq=False)
class _Station:
    """One segment's socket, tasks and place in the nursery."""

    interface: Interface
    family: socket.AddressFamily
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    segment: Segment | None = None  # while the socket is open
    woken: trio.Event = field(default_factory=trio.Event)
    leaves_politely: bool = True


def open_socket(interface: Interface, family: socket.AddressFamily) -> trio.socket.SocketType:
    """A UDP socket on port 5353 that sends to and hears from this interface alone. Raises OSError."""
    udp = socket.socket(family, socket.SOCK_DGRAM)
    try:
        udp.setblocking(False)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "SO_REUSEPORT"):
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if sys.platform == "linux":
            _bind_to_device(udp, interface.name)
        if family == socket.AF_INET:
            request = struct.pack("4s4si", socket.inet_aton(GROUP_4), b"\0\0\0\0", interface.index)
            udp.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
            udp.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
            udp.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, request)
            udp.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
            if sys.platform == "linux":
                udp.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
            udp.bind(("", PORT))
        else:
            request = socket.inet_pton(socket.AF_INET6, GROUP_6) + struct.pack("@I", interface.index)
            udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
            udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 1)
            udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, interface.index)
            udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
            if sys.platform == "linux":
                udp.setsockopt(socket.IPPROTO_IPV6, _IPV6_MULTICAST_ALL, 0)
            udp.bind(("::", PORT))
    except OSError:
        udp.close()
        raise
    return trio.socket.from_stdlib_socket(udp)


def _bind_to_device(udp: socket.socket, name: str) -> None:
    """Have answers sent to us alone come to this socket; without it they may reach another of ours, which
    drops them, and the next answer to all makes up for it. Old kernels allow it to root only."""
    with contextlib.suppress(PermissionError):
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name.encode())


class Discovery:
    """Announces this node and reports others; `on_event` gets PeerFound, PeerLost, DiscoveryState,
    NetworkChanged.

    PeerFound comes again when an instance's addresses change. An instance that is forgotten for want of room
    is not reported lost. NetworkChanged means that a network appeared or went since the last `announce` (or
    since `run` began), and asks for the next `announce`.
    """

    def __init__(
        self,
        on_event: Emit,
        mode: str = "announce",
        *,
        rng: random.Random | None = None,
        watch: Watch = interfaces.watch,
        snapshot: Callable[[], tuple[Interface, ...]] = interfaces.snapshot,
        open_socket: Callable[[Interface, socket.AddressFamily], trio.socket.SocketType] = open_socket,
        on_addresses: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_addresses` is called when addresses came or went since the last `announce`, and no network did."""
        self._emit = on_event
        self._on_addresses = on_addresses
        self._mode = mode
        self._rng = rng or random.Random()
        self._watch = watch
        self._snapshot = snapshot
        self._open_socket = open_socket
        self._stations: dict[Key, _Station] = {}
        self._trouble: dict[Key | None, str] = {}  # None: watching the interfaces
        self._reported: dict[str, PeerFound] = {}
        self._ours: Announcement | None = None
        self._own: deque[str] = deque(maxlen=OWN_MAX)
        self._networks: frozenset[tuple[int, str]] | None = None  # where `_ours` may be announced
        self._interfaces: tuple[Interface, ...] = ()  # as they were at the last announce, or look
        self._state: DiscoveryState | None = None
        self._nursery: trio.Nursery | None = None

    def announce(self, instance: str, host: str, port: int, tag: str) -> None:
        """Announce this from now on, on the networks that are there now; goodbye is said for the former one.

        Instance and host are random labels of letters and digits, tag is 32 hex characters.
        """
        self._interfaces = self._snapshot()
        self._networks = interfaces.networks(self._interfaces)
        self._own.append(instance)
        if self._mode == "announce":
            self._ours = Announcement(instance, host, port, tag)
        for station in self._stations.values():
            self._announce_on(station)

    def _announce_on(self, station: _Station) -> None:
        if self._ours is None or station.segment is None or self._networks is None:
            return
        if station.interface.networks() <= self._networks:
            station.segment.announce(self._ours, trio.current_time())
            station.woken.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Work until cancelled, then say goodbye (within half a second)."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            pause_s = RETRY_S[0]
            while True:
                try:
                    await self._watch(self._refresh)
                except OSError as error:
                    self._set_trouble(None, f"the network interfaces can't be watched: {error.strerror}")
                await trio.sleep(pause_s)
                pause_s = min(pause_s * 2, RETRY_S[1])

    # --- stations ---

    def _refresh(self, found: tuple[Interface, ...], changed: frozenset[int]) -> None:
        """Follow the interfaces: a station for each family of each that carries multicast."""
        wanted = {} if self._mode == "off" else _stations_for(found)
        for key, station in list(self._stations.items()):
            if (
                key not in wanted
                or key[0] in changed
                or wanted[key].networks() != station.interface.networks()
            ):
                station.leaves_politely = False
                self._close(key)
        for key, interface in wanted.items():
            known = self._stations.get(key)
            if known is None:
                self._stations[key] = station = _Station(interface, key[1])
                if self._nursery is not None:
                    self._nursery.start_soon(self._serve, key, station)
            elif known.interface != interface:  # another address in the same networks
                known.interface = interface
                if known.segment is not None:
                    known.segment.interface = interface
                    self._announce_on(known)
        self._trouble.pop(None, None)
        self._report_state()
        there = frozenset(network for network in interfaces.networks(found) if network[0] not in changed)
        fresh = self._networks is not None and not there <= self._networks
        if self._networks is not None:
            self._networks &= there
        before, self._interfaces = self._interfaces, found
        if changed or fresh:
            self._emit(NetworkChanged())
        elif before != found and self._networks is not None:
            self._on_addresses()

    def _close(self, key: Key) -> None:
        station = self._stations.pop(key)
        self._trouble.pop(key, None)
        self._leave_segment(station)
        station.scope.cancel()

    def _leave_segment(self, station: _Station) -> None:
        segment, station.segment = station.segment, None
        for instance in segment.sightings if segment else ():
            self._judge(instance)

    async def _serve(self, key: Key, station: _Station) -> None:
        """Keep one station going until its interface goes or we do."""
        with station.scope:
            pause_s = RETRY_S[0]
            while True:
                begun = trio.current_time()
                try:
                    await self._speak_and_listen(key, station)
                except* OSError as errors:
                    self._set_trouble(key, f"mDNS on {station.interface.name}: {_reason(errors)}")
                self._leave_segment(station)
                if trio.current_time() - begun > RETRY_S[1]:
                    pause_s = RETRY_S[0]
                await trio.sleep(pause_s)
                pause_s = min(pause_s * 2, RETRY_S[1])

    async def _speak_and_listen(self, key: Key, station: _Station) -> None:
        with self._open_socket(station.interface, station.family) as udp:
            segment = Segment(
                station.interface, self._rng, trio.current_time(), silent=self._mode == "listen"
            )
            station.segment = segment
            self._announce_on(station)
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._listen, segment, station, udp)
                    await self._speak(key, segment, station, udp)
            finally:
                if station.leaves_politely and trio.current_effective_deadline() == -math.inf:  # cancelled
                    await self._say_goodbye(segment, station, udp)

    async def _speak(
        self, key: Key, segment: Segment, station: _Station, udp: trio.socket.SocketType
    ) -> None:
        while True:
            now = trio.current_time()
            for packet in segment.speak(now):
                await _send(udp, packet, _group(station))
            if self._trouble.pop(key, None):
                self._report_state()
            for instance in segment.expire(now):
                self._judge(instance)
            station.woken = trio.Event()
            with trio.move_on_at(max(segment.due(), now)):
                await station.woken.wait()

    async def _listen(self, segment: Segment, station: _Station, udp: trio.socket.SocketType) -> None:
        allowance, filled = float(READ_BURST), trio.current_time()
        while True:
            content, sender = await udp.recvfrom(PACKET_SIZE_MAX + 1)
            now = trio.current_time()
            allowance = min(READ_BURST, allowance + (now - filled) * READ_RATE) - len(content) - PACKET_COST
            filled = now
            if _is_neighbour(segment, sender) and (packet := read_packet(content)):
                if packet.query:
                    if answer := segment.questioned(packet, now):
                        await _send(udp, answer, sender)
                else:
                    changed, forgotten = segment.heard(packet, self._own, now)
                    self._forget(forgotten)
                    for instance in changed:
                        self._judge(instance)
                station.woken.set()
            if allowance < 0:
                await trio.sleep(-allowance / READ_RATE)

    async def _say_goodbye(self, segment: Segment, station: _Station, udp: trio.socket.SocketType) -> None:
        with trio.move_on_after(0.5, shield=True):
            for _ in range(2):
                for packet in segment.goodbye():
                    await _send(udp, packet, _group(station))
                    await trio.sleep(0.1)

    # --- reports ---

    def _sightings(self, instance: str) -> list[PeerFound]:
        found = []
        for station in self._stations.values():
            sighting = station.segment.sightings.get(instance) if station.segment else None
            if sighting is not None and sighting.complete and station.segment is not None:
                found.append(PeerFound(instance, sighting.tag, tuple(station.segment.addresses(sighting))))
        return found

    def _judge(self, instance: str) -> None:
        """Report an instance if what all segments together know of it has changed."""
        found = self._sightings(instance)
        if not found:
            if self._reported.pop(instance, None):
                self._emit(PeerLost(instance))
            return
        addresses = {address for peer in found for address in peer.addresses}
        ordered = sorted(addresses, key=lambda address: (":" in address.host, address))
        peer = PeerFound(instance, found[0].tag, tuple(ordered[:ADDRESSES_PER_INSTANCE_MAX]))
        if self._reported.get(instance) != peer:
            self._reported[instance] = peer
            self._emit(peer)

    def _forget(self, forgotten: list[str]) -> None:
        for instance in forgotten:
            if not self._sightings(instance):
                self._reported.pop(instance, None)

    def _set_trouble(self, key: Key | None, reason: str) -> None:
        self._trouble[key] = reason
        self._report_state()

    def _report_state(self) -> None:
        ok = self._mode == "off" or any(key not in self._trouble for key in self._stations)
        reason = "" if ok else next(iter(self._trouble.values()), "no network that carries multicast is up")
        state = DiscoveryState(self._mode, ok, reason)
        if state != self._state:
            self._state = state
            self._emit(state)


def _stations_for(found: tuple[Interface, ...]) -> dict[Key, Interface]:
    wanted: dict[Key, Interface] = {}
    for interface in found:
        for ip, _ in interface.addresses if interface.multicast else ():
            wanted[interface.index, socket.AF_INET if ip.version == 4 else socket.AF_INET6] = interface
    return wanted


def _is_neighbour(segment: Segment, sender: tuple[str, int] | tuple[str, int, int, int]) -> bool:
    if sender[1] != PORT or (len(sender) == 4 and sender[3] not in (0, segment.interface.index)):
        return False
    return segment.on_link(ipaddress.ip_address(sender[0].partition("%")[0]))


def _group(station: _Station) -> tuple[str, int] | tuple[str, int, int, int]:
    if station.family == socket.AF_INET:
        return GROUP_4, PORT
    return GROUP_6, PORT, 0, station.interface.index


async def _send(
    udp: trio.socket.SocketType, packet: bytes, to: tuple[str, int] | tuple[str, int, int, int]
) -> None:
    """Send a datagram; one that a firewall or a full queue takes away is lost like any other."""
    try:
        await udp.sendto(packet, to)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOBUFS):
            raise


def _reason(errors: BaseExceptionGroup[OSError]) -> str:
    first: BaseException = errors
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return (isinstance(first, OSError) and first.strerror) or type(first).__name__
