"""A network in memory for discovery: sockets that multicast to each other under a virtual clock.

It has what mDNS relies on and no more: a datagram to the group reaches every open socket of the same net and
family, the sender's included; one to an address reaches the socket of that address. `loss` takes datagrams away
for each receiver by itself. Everything said is kept in `said` with its time.
"""

import ipaddress
import random
import socket
from collections.abc import Callable

import trio

from meshd.net.interfaces import Interface, OnChange

Sockaddr = tuple[str, int] | tuple[str, int, int, int]


class FakeNet:
    """One bridge; `interface(n)` is the n-th laptop's view of it."""

    def __init__(self, seed: int = 0) -> None:
        self.sockets: list[FakeSocket] = []
        self.said: list[tuple[float, Sockaddr, bytes]] = []
        self.loss = 0.0
        self.rng = random.Random(seed)

    def interface(self, number: int, index: int = 2, net: int = 77) -> Interface:
        """Laptop `number`'s interface, IPv4 only."""
        return Interface("wlan0", index, ((ipaddress.ip_address(f"10.{net}.0.{number}"), 24),))

    def open_socket(self, interface: Interface, family: socket.AddressFamily) -> "FakeSocket":
        """What discovery takes for its open_socket."""
        return FakeSocket(self, str(interface.addresses[0][0]))


class FakeSocket:
    def __init__(self, net: FakeNet, host: str) -> None:
        self.net = net
        self.address: Sockaddr = (host, 5353)
        self.put, self.take = trio.open_memory_channel[tuple[bytes, Sockaddr]](10_000)

    def __enter__(self) -> "FakeSocket":
        self.net.sockets.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        self.net.sockets.remove(self)

    async def sendto(self, packet: bytes, to: Sockaddr) -> None:
        await trio.lowlevel.checkpoint()
        self.net.said.append((trio.current_time(), self.address, packet))
        for other in self.net.sockets:
            multicast = ipaddress.ip_address(to[0]).is_multicast
            lost = other is not self and self.net.rng.random() < self.net.loss
            if (multicast or other.address == to) and not lost:
                other.put.send_nowait((packet, self.address))

    async def recvfrom(self, size: int) -> tuple[bytes, Sockaddr]:
        packet, sender = await self.take.receive()
        return packet[:size], sender


class FakeInterfaces:
    """One laptop's interfaces: `set` changes them, `watch` and `snapshot` are what discovery takes."""

    def __init__(self, *found: Interface) -> None:
        self.found = found
        self._on_change: OnChange | None = None

    def set(self, *found: Interface, changed: frozenset[int] | None = None) -> None:
        from meshd.net.interfaces import changed_networks

        before, self.found = self.found, found
        if self._on_change is not None:
            self._on_change(found, changed_networks(before, found) if changed is None else changed)

    def snapshot(self) -> tuple[Interface, ...]:
        return self.found

    async def watch(self, on_change: OnChange) -> None:
        self._on_change = on_change
        on_change(self.found, frozenset())
        await trio.sleep_forever()


Fake = Callable[[Interface, socket.AddressFamily], FakeSocket]
