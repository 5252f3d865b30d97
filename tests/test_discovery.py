"""Discovery over a network in memory, under a virtual clock: who is found, who is lost, and what is never said."""

import ipaddress
import random
from contextlib import asynccontextmanager

import pytest
import trio

from meshd.events import DiscoveryState, NetworkChanged, PeerFound, PeerLost
from meshd.ids import Address
from meshd.net.discovery import Discovery
from meshd.net.interfaces import Interface
from meshd.net.mdns import read_packet
from tests.fake_net import FakeInterfaces, FakeNet

TAG = "0123456789abcdef" * 2


class Laptop:
    """A discovery with what it reported, and a core that draws new names at every change of network."""

    def __init__(self, net: FakeNet, number: int, mode: str = "announce", **how) -> None:
        self.number = number
        self.interfaces = how.pop("interfaces", FakeInterfaces(net.interface(number)))
        self.events: list[tuple[float, object]] = []
        self.renewals = self.readdressed = 0
        self.answers = how.pop("answers", True)
        self.discovery = Discovery(
            self._event,
            mode,
            rng=random.Random(number),
            watch=how.pop("watch", self.interfaces.watch),
            snapshot=self.interfaces.snapshot,
            open_socket=how.pop("open_socket", net.open_socket),
            on_addresses=self._on_addresses,
        )

    def _on_addresses(self) -> None:
        self.readdressed += 1

    def _event(self, event) -> None:
        self.events.append((trio.current_time(), event))
        if isinstance(event, NetworkChanged) and self.answers:
            self.renew()

    def renew(self) -> None:
        self.renewals += 1
        self.discovery.announce(self.name(), f"host{self.number}x{self.renewals}", 4000 + self.number, TAG)

    def name(self) -> str:
        return f"laptop{self.number}x{self.renewals}"

    def of(self, kind):
        return [event for _, event in self.events if isinstance(event, kind)]

    def present(self) -> set[str]:
        """The instances found and not lost since."""
        names = set()
        for _, event in self.events:
            if isinstance(event, PeerFound):
                names.add(event.instance)
            elif isinstance(event, PeerLost):
                names.discard(event.instance)
        return names


@asynccontextmanager
async def running(*laptops: Laptop):
    async with trio.open_nursery() as nursery:
        for laptop in laptops:
            await nursery.start(lambda task_status, d=laptop.discovery: d.run(task_status=task_status))
            laptop.renew()
        yield nursery
        nursery.cancel_scope.cancel()


@pytest.fixture
def net() -> FakeNet:
    return FakeNet()


async def test_two_find_each_other_with_address_and_tag(net, autojump_clock):
    one, two = Laptop(net, 1), Laptop(net, 2)
    async with running(one, two):
        await trio.sleep(0.2)
        assert one.of(PeerFound) == [PeerFound("laptop2x1", TAG, (Address("10.77.0.2", 4002),))]
        assert two.of(PeerFound) == [PeerFound("laptop1x1", TAG, (Address("10.77.0.1", 4001),))]
        assert one.of(DiscoveryState) == [DiscoveryState("announce", True, "")]


async def test_nothing_is_reported_twice_and_the_net_is_quiet_afterwards(net, autojump_clock):
    laptops = [Laptop(net, number) for number in range(1, 6)]
    async with running(*laptops):
        await trio.sleep(600)
        for laptop in laptops:
            assert len(laptop.of(PeerFound)) == 4 and not laptop.of(PeerLost)
        quiet = [at for at, _, _ in net.said if at > net.said[0][0] + 5]
        assert len(quiet) < 5 * 600 * 0.1  # under a packet each ten seconds from each of the five


async def test_a_goodbye_is_heard_at_once(net, autojump_clock):
    one, two = Laptop(net, 1), Laptop(net, 2)
    async with running(one):
        async with running(two):
            await trio.sleep(3)
        assert one.of(PeerLost) == [PeerLost("laptop2x1")]


async def test_who_walks_away_silently_is_lost_within_the_ttl(net, autojump_clock):
    one, two = Laptop(net, 1), Laptop(net, 2)
    async with running(one):
        async with running(two):
            await trio.sleep(3)
            left_at = trio.current_time()
            net.loss = 1.0
        await trio.sleep(200)
    (lost_at,) = [at for at, event in one.events if isinstance(event, PeerLost)]
    assert 100 < lost_at - left_at <= 121


async def test_new_names_follow_a_goodbye_for_the_old_ones(net, autojump_clock):
    one, two = Laptop(net, 1), Laptop(net, 2)
    async with running(one, two):
        await trio.sleep(3)
        two.renew()
        await trio.sleep(1)
        assert one.present() == {"laptop2x2"}
        assert two.present() == {"laptop1x1"}  # its own former name never came back to it


async def test_starts_with_no_network_and_takes_up_the_one_that_comes(net, autojump_clock):
    one, two = Laptop(net, 1), Laptop(net, 2, interfaces=FakeInterfaces())
    async with running(one, two):
        await trio.sleep(5)
        assert two.of(DiscoveryState) == [
            DiscoveryState("announce", False, "no network that carries multicast is up")
        ]
        two.interfaces.set(net.interface(2))
        await trio.sleep(0.5)
        assert two.of(NetworkChanged) == [NetworkChanged()]
        assert one.present() == {"laptop2x2"} and two.present() == {"laptop1x1"}
        assert two.of(DiscoveryState)[-1] == DiscoveryState("announce", True, "")


@pytest.mark.parametrize("changed", [None, frozenset({2})])
async def test_no_network_hears_a_name_of_another(net, changed, autojump_clock):
    """Home, then the square: a new network under the same interface, or the same prefix after a lost carrier."""
    laptop = Laptop(net, 1)
    square = net.interface(1, net=77 if changed else 99)
    async with running(laptop):
        await trio.sleep(3)
        moved_at = trio.current_time()
        laptop.interfaces.set(square, changed=changed)
        await trio.sleep(200)
    home = "".join(packet.hex() for at, _, packet in net.said if at < moved_at)
    later = "".join(packet.hex() for at, _, packet in net.said if at >= moved_at)
    for old, new in [("laptop1x1", "laptop1x2"), ("host1x1", "host1x2")]:
        assert old.encode().hex() in home and old.encode().hex() not in later
        assert new.encode().hex() in later


@pytest.mark.parametrize("changed", [None, frozenset({2})])
async def test_until_new_names_are_given_a_new_network_hears_none(net, changed, autojump_clock):
    laptop = Laptop(net, 1, answers=False)
    async with running(laptop):
        await trio.sleep(3)
        moved_at = trio.current_time()
        laptop.interfaces.set(net.interface(1, net=77 if changed else 99), changed=changed)
        await trio.sleep(100)
        assert not any(b"laptop1x1" in packet for at, _, packet in net.said if at >= moved_at)
        laptop.renew()
        await trio.sleep(1)
        assert any(b"laptop1x2" in packet for at, _, packet in net.said)


async def test_a_network_that_came_before_the_watch_began_is_not_missed(net, autojump_clock):
    laptop = Laptop(net, 1, interfaces=FakeInterfaces())
    laptop.renew()
    laptop.interfaces.set(net.interface(1))
    async with trio.open_nursery() as nursery:
        await nursery.start(lambda task_status: laptop.discovery.run(task_status=task_status))
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert laptop.of(NetworkChanged) and any(b"laptop1x2" in packet for _, _, packet in net.said)


async def test_another_address_of_the_same_network_is_announced_under_the_same_name(net, autojump_clock):
    one, two = Laptop(net, 1), Laptop(net, 2)
    async with running(one, two):
        await trio.sleep(3)
        here = net.interface(2)
        assert two.readdressed == 0
        two.interfaces.set(
            Interface(here.name, here.index, (*here.addresses, (ipaddress.ip_address("10.77.0.22"), 24)))
        )
        await trio.sleep(0.5)
        assert two.renewals == two.readdressed == 1
        two.interfaces.set(*two.interfaces.found)
        two.interfaces.set(net.interface(2, net=99))  # another network is another matter
        assert two.readdressed == 1
        assert [str(address) for address in one.of(PeerFound)[-1].addresses] == [
            "10.77.0.2:4002",
            "10.77.0.22:4002",
        ]


async def test_a_third_of_the_packets_lost_delays_but_does_not_prevent(net, autojump_clock):
    net.loss = 0.3
    laptops = [Laptop(net, number) for number in range(1, 6)]
    async with running(*laptops):
        await trio.sleep(600)  # which packets are lost differs: trio's order of tasks is random
    for laptop in laptops:
        assert len({found.instance for found in laptop.of(PeerFound)}) == 4


async def test_mode_off_opens_nothing_but_tells_of_networks(net, autojump_clock):
    laptop = Laptop(net, 1, "off")
    async with running(laptop):
        await trio.sleep(5)
        laptop.interfaces.set(net.interface(1, net=99))
        await trio.sleep(1)
    assert net.said == [] and laptop.of(DiscoveryState) == [DiscoveryState("off", True, "")]
    assert laptop.of(NetworkChanged) == [NetworkChanged()]


async def test_without_multicast_an_interface_is_left_alone(net, autojump_clock):
    vpn = Interface("tun0", 5, ((ipaddress.ip_address("10.8.0.2"), 24),), multicast=False)
    laptop = Laptop(net, 1, interfaces=FakeInterfaces(vpn))
    async with running(laptop):
        await trio.sleep(5)
    assert net.said == []


async def test_a_packet_of_ours_fits_any_network(net, autojump_clock):
    ips = [ipaddress.ip_address(f"10.77.0.{n}") for n in range(1, 30)]
    crowded = Interface("wlan0", 2, tuple((ip, 24) for ip in ips))
    laptop = Laptop(net, 1, interfaces=FakeInterfaces(crowded))
    async with running(laptop):
        await trio.sleep(5)
    assert max(len(packet) for _, _, packet in net.said) < 500
    assert all(read_packet(packet) for _, _, packet in net.said)
