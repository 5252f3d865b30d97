"""M: what a hostile laptop on the same network can do to discovery, and what a listener can learn from it."""

import errno
import ipaddress
import random
import time

import pytest
import trio

from meshd import limits
from meshd.events import DiscoveryState, PeerFound, PeerLost
from meshd.ids import Address, dialable
from meshd.net.discovery import READ_BURST, READ_RATE, Discovery
from meshd.net.interfaces import Interface
from meshd.net.mdns import (
    Announcement,
    announced_addresses,
    answer_packet,
    query_packet,
    read_packet,
)
from meshd.net.segment import Segment
from tests.fake_net import FakeInterfaces, FakeNet

TAG = "0123456789abcdef" * 2
WLAN = Interface("wlan0", 2, ((ipaddress.ip_address("10.77.0.1"), 24),))
EVIL_IP = ipaddress.ip_address("10.77.0.66")


def bogus(number: int, ttl_s: int = 120) -> bytes:
    return answer_packet(Announcement(f"bogus{number}", f"host{number}", 4000, TAG), [EVIL_IP], ttl_s)


def laptop(net: FakeNet, events: list, mode: str = "announce", **how) -> Discovery:
    own = FakeInterfaces(net.interface(1))
    how = {"watch": own.watch, "snapshot": own.snapshot, "open_socket": net.open_socket} | how
    return Discovery(events.append, mode, rng=random.Random(1), **how)


async def flood(net: FakeNet, packets, gap_s: float) -> None:
    with net.open_socket(net.interface(66), 0) as evil:
        for packet in packets:
            await evil.sendto(packet, ("224.0.0.251", 5353))
            await trio.sleep(gap_s)


def test_M01_bogus_services_are_bounded_and_cheap():
    segment = Segment(WLAN, random.Random(1), 0.0)
    packets = [bogus(number) for number in range(10_000)]
    begun = time.process_time()
    for number, content in enumerate(packets):
        packet = read_packet(content)
        assert packet is not None
        segment.heard(packet, (), number * 0.006)
    spent_s = time.process_time() - begun
    assert len(segment.sightings) == limits.CANDIDATES_MAX
    assert spent_s < 60 * 0.25


async def test_M01_the_real_peer_is_found_in_the_flood(autojump_clock):
    net, events = FakeNet(), []
    with net.open_socket(net.interface(2), 0) as peer:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(laptop(net, events).run)
            nursery.start_soon(flood, net, (bogus(number) for number in range(10_000)), 0.006)
            await trio.sleep(30)
            real = answer_packet(Announcement("real", "host", 4000, TAG), [ipaddress.ip_address("10.77.0.2")])
            await peer.sendto(real, ("224.0.0.251", 5353))
            await trio.sleep(0.1)
            assert PeerFound("real", TAG, (Address("10.77.0.2", 4000),)) in events
            nursery.cancel_scope.cancel()


def test_M01_many_instances_on_one_host_are_no_storm():
    segment = Segment(WLAN, random.Random(1), 0.0)
    one_host = Announcement("bogus", "host", 4000, TAG)
    for number in range(limits.CANDIDATES_MAX):
        packet = read_packet(answer_packet(one_host._replace(instance=f"bogus{number}"), [EVIL_IP]))
        changed, _ = segment.heard(packet, (), 1.0)
        assert changed == [f"bogus{number}"]


def pointer_chain() -> bytes:
    """3 kB of compression pointers, each to the one before, and a record whose name is the last."""
    out = bytearray(b"\0\0\x84\0\0\0\0\x02\0\0\0\0")
    name = b"\x01a\0"
    chain_at = len(out) + len(name) + 10
    links = [12] + [chain_at + 2 * number for number in range(1500)]
    chain = b"".join((0xC000 | link).to_bytes(2, "big") for link in links)
    out += name + b"\0\x10\0\x01\0\0\0\x78" + len(chain).to_bytes(2, "big") + chain
    out += (0xC000 | links[-1]).to_bytes(2, "big") + b"\0\x0c\0\x01\0\0\0\x78\0\x02" + b"\xc0\x0c"
    return bytes(out)


def pointer_loop() -> bytes:
    return b"\0\0\x84\0\0\0\0\x01\0\0\0\0" + b"\x01a\xc0\x0c" + b"\0\x0c\0\x01\0\0\0\x78\0\x02\xc0\x0c"


HOSTILE = {
    "chain": pointer_chain(),
    "loop": pointer_loop(),
    "jumbo": bogus(1) + bytes(8_966 - len(bogus(1))),
    "counts": b"\0\0\x84\0" + b"\xff" * 8,
    "questions": b"\0\0\0\0\xff\xff\0\0\0\0\0\0" + b"\xc0\x0c\0\x0c\0\x01" * 600,
    "empty": b"",
    "head": b"\0\0\x84\0",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_M02_hostile_packets_are_read_in_time_and_mean_nothing(name):
    begun = time.process_time()
    packet = read_packet(HOSTILE[name])
    assert time.process_time() - begun < 0.05
    assert packet is None or not (packet.pointers or packet.services or packet.addresses)


async def test_M02_discovery_survives_them_all(autojump_clock, caplog):
    net, events = FakeNet(), []
    packets = list(HOSTILE.values()) * 50
    mutator = random.Random(5)
    for _ in range(500):
        content = bytearray(bogus(1))
        for _ in range(4):
            content[mutator.randrange(len(content))] = mutator.randrange(256)
        packets.append(bytes(content))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(laptop(net, events).run)
        await trio.sleep(1)
        await flood(net, packets, 0.01)
        await flood(net, [bogus(2)], 0.1)
        assert PeerFound("bogus2", TAG, (Address(str(EVIL_IP), 4000),)) in events
        nursery.cancel_scope.cancel()
    assert len(caplog.records) < 10


async def test_M02_a_flood_is_read_at_a_bounded_rate(autojump_clock):
    net, events, read = FakeNet(), [], []
    content = bogus(1)

    class Endless(type(net.open_socket(net.interface(1), 0))):
        async def recvfrom(self, size):
            await trio.lowlevel.checkpoint()
            read.append(len(content))
            return content, ("10.77.0.66", 5353)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(laptop(net, events, open_socket=lambda *_: Endless(net, "10.77.0.1")).run)
        await trio.sleep(10)
        nursery.cancel_scope.cancel()
    assert READ_RATE * 5 < sum(read) < READ_RATE * 10 + READ_BURST
    assert len(read) < 10_000


async def test_M02_short_lived_records_are_no_storm_of_reports(autojump_clock):
    net, events = FakeNet(), []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(laptop(net, events).run)
        await flood(net, (bogus(number % 10, ttl_s=1) for number in range(1_000)), 0.1)
        nursery.cancel_scope.cancel()
    assert len([event for event in events if isinstance(event, PeerFound)]) == 10
    assert not [event for event in events if isinstance(event, PeerLost)]


@pytest.mark.parametrize(
    ("host", "port", "allowed"),
    [
        ("192.168.1.7", 4040, True),
        ("10.0.0.1", limits.PORT_MIN, True),
        ("172.31.255.255", 65535, True),
        ("100.64.0.1", 4040, True),
        ("169.254.7.7", 4040, True),
        ("fd12::1", 4040, True),
        ("fe80::1%wlan0", 4040, True),
        ("fe80::1", 4040, False),  # without a scope it can't be dialled
        ("fd12::1%wlan0", 4040, False),
        ("127.0.0.1", 4040, False),
        ("::1", 4040, False),
        ("::ffff:127.0.0.1", 4040, False),
        ("::ffff:192.168.1.7", 4040, False),
        ("0.0.0.0", 4040, False),
        ("::", 4040, False),
        ("224.0.0.251", 4040, False),
        ("ff02::1%wlan0", 4040, False),
        ("255.255.255.255", 4040, False),
        ("8.8.8.8", 4040, False),
        ("172.32.0.1", 4040, False),
        ("100.128.0.1", 4040, False),
        ("2001:4860:4860::8888", 4040, False),
        ("2002:c0a8:107::1", 4040, False),
        ("64:ff9b::7f00:1", 4040, False),
        ("192.168.1.7", 0, False),
        ("192.168.1.7", 22, False),
        ("192.168.1.7", 1023, False),
        ("192.168.1.7", 65536, False),
        ("kitchen.local", 4040, False),
        ("192.168.1.07", 4040, False),
        ("", 4040, False),
    ],
)
def test_M03_what_discovery_may_have_us_dial(host, port, allowed):
    assert dialable(Address(host, port)) == allowed


def test_M03_loopback_only_when_asked_for():
    assert dialable(Address("127.0.0.1", 4040), loopback=True)
    assert dialable(Address("::1", 4040), loopback=True)
    assert not dialable(Address("127.0.0.1", 22), loopback=True)
    assert not dialable(Address("8.8.8.8", 4040), loopback=True)


async def test_M03_packets_from_other_networks_or_ports_are_not_read(autojump_clock):
    net, events = FakeNet(), []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(laptop(net, events).run)
        await trio.sleep(1)
        for address in [("8.8.8.8", 5353), ("10.78.0.1", 5353), ("10.77.0.66", 40_000)]:
            with net.open_socket(net.interface(66), 0) as evil:
                evil.address = address
                await evil.sendto(bogus(1), ("224.0.0.251", 5353))
                await trio.sleep(0.1)
        assert not [event for event in events if isinstance(event, PeerFound)]
        nursery.cancel_scope.cancel()


def everything_said(draw: random.Random) -> list[bytes]:
    """All packets of one life, with names as the core draws them."""
    word = lambda size: draw.randbytes(size).hex()  # noqa: E731
    ours = Announcement(word(8), word(8), draw.randrange(1024, 65536), word(16))
    return [
        answer_packet(ours, []),
        answer_packet(ours, [], 0),
        query_packet(browse=True, unicast=True, known=[(ours.instance, 120)]),
        query_packet(
            browse=True, known=[(ours.instance, 120)], instances=[word(8)], hosts=[f"{word(8)}.local."]
        ),
    ]


def test_M04_nothing_but_the_service_type_stays_the_same_across_restarts():
    """Of the text in any packet: record heads (type, class, TTL) and the type's own labels are all that repeats."""
    draw = random.Random(4)
    lives = [everything_said(draw) for _ in range(4)]

    def strings(packets: list[bytes]) -> set[bytes]:
        found = set()
        for packet in packets:
            for begin in range(len(packet) - 7):
                piece = packet[begin : begin + 8]
                if all(0x21 <= byte < 0x7F for byte in piece):
                    found.add(piece)
        return found

    seen = [strings(packets) for packets in lives]
    assert all(len(one) > 20 for one in seen)  # the names are there to be found
    for one in range(4):
        for other in range(one):
            assert seen[one] & seen[other] == set()


def test_M04_an_address_made_from_the_hardware_is_announced_only_alone():
    hardware = ipaddress.ip_address("fe80::5054:ff:fe12:3456")
    private = ipaddress.ip_address("fe80::8d1c:2c35:a0b1:77e2")
    four = ipaddress.ip_address("192.168.1.7")
    assert announced_addresses([hardware]) == [hardware]
    assert announced_addresses([hardware, private]) == [private]
    assert announced_addresses([hardware, four]) == [four]
    public = ipaddress.ip_address("2001:db8::1")
    assert announced_addresses([public, ipaddress.ip_address("127.0.0.1"), four]) == [four]


async def test_M07_listen_mode_sends_no_packet(autojump_clock):
    net, events = FakeNet(), []
    discovery = laptop(net, events, "listen")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(discovery.run)
        await trio.sleep(1)
        discovery.announce("oak", "kitchen", 4000, TAG)
        asking = (
            query_packet(browse=True),
            query_packet(browse=True, unicast=True),
            query_packet(instances=["oak"]),
        )
        await flood(net, [*asking, bogus(1), bogus(1, 0)], 1)
        await trio.sleep(300)
        discovery.announce("oak2", "kitchen2", 4000, TAG)
        nursery.cancel_scope.cancel()
    assert {sender[0] for _, sender, _ in net.said} == {"10.77.0.66"}
    assert PeerLost("bogus1") in events  # it did listen


async def test_M09_a_socket_that_fails_is_tried_again_and_the_state_says_so(autojump_clock):
    net, events = FakeNet(), []
    failures = [OSError(errno.EADDRINUSE, "Address already in use")] * 3

    def open_socket(interface, family):
        if failures:
            raise failures.pop()
        return net.open_socket(interface, family)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(laptop(net, events, open_socket=open_socket).run)
        await trio.sleep(3)
        assert DiscoveryState("announce", False, "mDNS on wlan0: Address already in use") in events
        await trio.sleep(3)
        assert events[-1] == DiscoveryState("announce", True, "")
        nursery.cancel_scope.cancel()


async def test_M09_dying_again_and_again_ends_nothing_and_costs_little(autojump_clock):
    net, events, opened = FakeNet(), [], []

    class Dying:
        def __init__(self, *_):
            opened.append(trio.current_time())

        __enter__ = __exit__ = lambda *_: None

        async def sendto(self, *_):
            raise OSError(errno.ENETDOWN, "Network is down")

    class Socket(Dying):
        def __enter__(self):
            return self

        async def recvfrom(self, _):
            await trio.sleep(0.01)
            raise OSError(errno.ENETDOWN, "Network is down")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(laptop(net, events, open_socket=Socket).run)
        await trio.sleep(3600)
        assert 30 < len(opened) < 100
        assert events.count(DiscoveryState("announce", False, "mDNS on wlan0: Network is down")) >= 1
        nursery.cancel_scope.cancel()


async def test_M09_interfaces_that_can_not_be_watched_are_tried_again(autojump_clock):
    net, events = FakeNet(), []
    own = FakeInterfaces(net.interface(1))
    failures = [OSError(errno.EMFILE, "Too many open files")] * 2

    async def watch(on_change):
        if failures:
            raise failures.pop()
        await own.watch(on_change)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(laptop(net, events, watch=watch, snapshot=own.snapshot).run)
        await trio.sleep(5)
        assert [event.ok for event in events if isinstance(event, DiscoveryState)] == [False, True]
        nursery.cancel_scope.cancel()
