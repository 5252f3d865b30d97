"""What the networks around this laptop let through: interfaces, multicast, neighbours, and who tells its name.

The rule: a probe says no more to a network than a running daemon does. The packets are one question who speaks
meshd here, asked twice on every interface, and connections to laptops that announced themselves or were given
by hand. A node that is to be quiet (`--listen-only`, `--no-mdns`) stays so: then nothing is asked, and only what
others say by themselves is heard.

Multicast that we send comes back to us through the packet filter, as if it had come in by that interface, which
is how a filter that drops it is found without a second laptop. TCP to ourselves takes loopback instead and
proves only that the daemon listens (`firewall` follows the rules for the rest).
"""

import errno
import ipaddress
import math
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import trio

from meshd.daemon import firewall
from meshd.daemon.probe_names import ask_name, squatters
from meshd.daemon.probe_reach import Reached, gateway_answers, listens, reach
from meshd.ids import Address, dialable, discovery_tag
from meshd.limits import ADDRESSES_PER_INSTANCE_MAX
from meshd.net.discovery import GROUP_4, GROUP_6, PORT, open_socket
from meshd.net.interfaces import IP, Interface, snapshot
from meshd.net.mdns import (
    PACKET_SIZE_MAX,
    query_packet,
    read_packet,
    scoped,
)

LISTEN_S = 1.8  # a question at once and another after REPEAT_S; answers come within 0.12 s
REPEAT_S = 1.1  # mDNS answers a question once a second at most
PACKETS_MAX = 2_000  # read on one socket: a flood ends the listening, not the laptop
HEARD_MAX = 64  # laptops kept of those that announce themselves
_LOOPBACK: IP = ipaddress.IPv4Address("127.0.0.1")
_SAMPLE = {
    4: "169.254.77.77",
    6: "fe80::4d4d",
}  # a neighbour, where an interface has no network to take one from


@dataclass(frozen=True, slots=True)
class Loop:
    """Multicast on one interface and address family. `error` is the errno of sending, 0 if it went; `came_back`: our
    own packet did; `others`: packets of other machines; `rules`: what the packet filter does with one that comes in,
    None where its rules can't be read."""

    interface: str
    family: int
    error: int = 0
    came_back: bool = False
    others: int = 0
    rules: firewall.Verdict | None = None


@dataclass(slots=True)
class Heard:
    """A laptop that announces meshd: where it can be dialled, and the tag that its network gives it."""

    instance: str
    tag: str = ""
    port: int = 0
    addresses: set[str] = field(default_factory=set)

    def dialled_at(self) -> Address | None:
        """One address of it, IPv4 if it has one; None until there is one that a daemon would dial too."""
        usable = (Address(host, self.port) for host in self.addresses)
        return min(filter(dialable, usable), key=lambda one: (":" in one.host, one), default=None)


@dataclass(frozen=True, slots=True)
class NetworkFacts:
    """The networks. `idle`: (interface, why it is of no use); `speaks`: whether questions were asked; `incoming`: what
    the filter does with TCP to us, by interface; `listens`: connecting to ourselves worked, None if nothing was
    there to try; `gateway`: whether the router answers, None without one; `host_names`: what another program
    tells about this laptop; `squatters`: users whose programs hold the ports of mDNS or LLMNR."""

    interfaces: tuple[Interface, ...] = ()
    idle: tuple[tuple[str, str], ...] = ()
    speaks: bool = True
    loops: tuple[Loop, ...] = ()
    incoming: tuple[tuple[str, firewall.Verdict], ...] = ()
    rules_read: bool = False
    listens: bool | None = None
    members: tuple[str, ...] = ()
    strangers: tuple[str, ...] = ()
    unsorted: tuple[str, ...] = ()
    reached: tuple[Reached, ...] = ()
    gateway: bool | None = None
    host_names: tuple[str, ...] = ()
    squatters: tuple[tuple[int, str], ...] = ()


async def look_at_network(
    *, speaks: bool, listening: list[Address], given: list[Address], network_key: bytes | None
) -> NetworkFacts:
    """All of it, in six seconds at most. `listening`: the daemon's own addresses; `given`: peers added by hand;
    without a `network_key` nobody can be told from strangers."""
    found = snapshot()
    rules = await trio.to_thread.run_sync(firewall.read, abandon_on_cancel=True)
    loops: list[Loop] = []
    heard: dict[str, Heard] = {}
    names: set[str] = set()
    own = frozenset(ip for interface in found for ip, _ in interface.addresses)
    async with trio.open_nursery() as nursery:
        for interface in found:
            for family in _families(interface):
                nursery.start_soon(_listen, interface, family, own, speaks, rules, loops, heard)
        for ip in (_LOOPBACK, *(own if speaks else ())):
            if ip.version == 4:
                nursery.start_soon(ask_name, ip, names)
    sides: dict[str, list[str]] = {"members": [], "strangers": [], "unsorted": []}
    for one in heard.values():
        if one.tag:
            ours = network_key is not None and one.tag == discovery_tag(network_key, one.instance)
            side = "members" if ours else "strangers" if network_key is not None else "unsorted"
            sides[side].append(one.instance)
    reached: list[Reached] = []
    answered: dict[str, bool | None] = {}

    async def try_ourselves() -> None:
        answered["self"] = await listens(found, listening)

    async def try_gateway() -> None:
        answered["gateway"] = await gateway_answers()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(
            reach, _targets(heard, sides["members"] or sides["unsorted"]), given, found, reached
        )
        nursery.start_soon(try_ourselves)
        nursery.start_soon(try_gateway)
    return NetworkFacts(
        found,
        tuple(_idle(found)),
        speaks,
        tuple(sorted(loops, key=lambda loop: (loop.interface, loop.family))),
        tuple(_incoming(found, [address.port for address in listening], rules)),
        rules is not None,
        answered["self"],
        tuple(sides["members"]),
        tuple(sides["strangers"]),
        tuple(sides["unsorted"]),
        tuple(sorted(reached, key=lambda one: one.address)),
        answered["gateway"],
        tuple(sorted(names)),
        tuple(squatters()),
    )


def _families(interface: Interface) -> list[socket.AddressFamily]:
    versions = {ip.version for ip, _ in interface.addresses} if interface.multicast else set()
    return [family for version, family in ((4, socket.AF_INET), (6, socket.AF_INET6)) if version in versions]


def _idle(used: Iterable[Interface]) -> list[tuple[str, str]]:
    """Interfaces that are there and of no use just now, and why."""
    names = {interface.name for interface in used}
    found = []
    for _, name in socket.if_nameindex():
        try:
            flags = int(_setting(name, "flags"), 16)
            carrier = bool(flags & 0x1) and _setting(name, "carrier") == "1"
        except (OSError, ValueError):
            continue
        if name in names or flags & 0x8 or (flags & 0x10 and not flags & 0x1):  # loopback, an unused tunnel
            continue
        state = "it is switched off"
        if flags & 0x1:
            state = "it has no address" if carrier else "it has no network (no cable, no Wi-Fi joined)"
        found.append((name, state))
    return found


def _setting(interface: str, name: str) -> str:
    return Path("/sys/class/net", interface, name).read_text("ascii").strip()


# --- multicast ---


async def _listen(
    interface: Interface,
    family: socket.AddressFamily,
    own: frozenset[IP],
    speaks: bool,
    rules: firewall.Ruleset | None,
    loops: list[Loop],
    heard: dict[str, Heard],
) -> None:
    """Ask on one interface and hear who answers, ourselves included."""
    version = 4 if family == socket.AF_INET else 6
    group = (GROUP_4, PORT) if version == 4 else (GROUP_6, PORT, 0, interface.index)
    judged = None
    if rules is not None:
        packet = firewall.packet_in(
            interface.name, "udp", PORT, _neighbour(interface, version), str(group[0])
        )
        judged = firewall.verdict(rules, packet)
    question = query_packet(browse=True)
    error, came_back, others = 0, False, 0
    try:
        with open_socket(interface, family) as udp:
            asked = -math.inf
            end = trio.current_time() + LISTEN_S
            for _ in range(PACKETS_MAX):
                if speaks and trio.current_time() - asked >= REPEAT_S:
                    asked = trio.current_time()
                    await udp.sendto(question, group)
                with trio.move_on_at(min(end, asked + REPEAT_S if speaks else end)):
                    content, sender = await udp.recvfrom(PACKET_SIZE_MAX + 1)
                    source = ipaddress.ip_address(sender[0].partition("%")[0])
                    came_back = came_back or (source in own and content == question)
                    if source not in own and sender[1] == PORT:
                        others += 1
                        take(content, interface, heard)
                if trio.current_time() >= end:
                    break
    except OSError as failure:
        error = failure.errno or errno.EIO
    loops.append(Loop(interface.name, version, error, came_back, others, judged))


def take(content: bytes, interface: Interface, heard: dict[str, Heard]) -> None:
    """Keep what an announcement says; a laptop heard twice is one."""
    packet = read_packet(content)
    if packet is None or packet.query:
        return
    for instance, (host, port, ttl_s) in packet.services.items():
        if ttl_s and (instance in heard or len(heard) < HEARD_MAX):
            one = heard.setdefault(instance, Heard(instance))
            one.port = port
            one.tag = packet.tags.get(instance, one.tag)
            told = packet.addresses.get(host, ())[:ADDRESSES_PER_INSTANCE_MAX]
            one.addresses |= {scoped(ip, interface.name) for ip, _, _ in told}


def _neighbour(interface: Interface, version: int) -> str:
    """An address that somebody beside us might have."""
    for ip, size in interface.addresses:
        if ip.version == version:
            network = ipaddress.ip_network((ip, size), strict=False)
            for candidate in (network.network_address + 1, network.network_address + 2):
                if candidate != ip and candidate in network:
                    return str(candidate)
    return _SAMPLE[version]


# --- what the filter lets in ---


def _incoming(
    interfaces: Iterable[Interface], ports: Iterable[int], rules: firewall.Ruleset | None
) -> list[tuple[str, firewall.Verdict]]:
    """What the filter does with the first packet of a link that somebody opens to us, by interface; the worst of all
    addresses and ports. Without a daemon the port is any, for it is drawn at each start."""
    found: list[tuple[str, firewall.Verdict]] = []
    if rules is None:
        return found
    for interface in interfaces:
        verdicts = [
            firewall.verdict(
                rules, firewall.packet_in(interface.name, "tcp", port, _neighbour(interface, ip.version), str(ip))
            )
            for ip, _ in interface.addresses
            if ip.version == 4 or not ip.is_link_local or len(interface.addresses) == 1
            for port in sorted(set(ports)) or [49_152]
        ]  # fmt: skip
        order = (firewall.DROP, firewall.UNKNOWN, firewall.ACCEPT)
        if verdicts:
            found.append((interface.name, min(verdicts, key=lambda verdict: order.index(verdict.outcome))))
    return found


def _targets(heard: dict[str, Heard], wanted: Iterable[str]) -> list[Address]:
    addresses = (heard[instance].dialled_at() for instance in wanted)
    return [address for address in addresses if address is not None]
