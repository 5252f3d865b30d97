"""Which networks there are, and what counts as a change; the kernel's own words were recorded on Linux 6."""

import ipaddress
import struct
import sys

import pytest
import trio

from meshd.net import interfaces
from meshd.net.interfaces import Interface, Told, changed_networks, read_netlink

# RTM_NEWLINK of a veth whose other end was set down, and up again (cut after IFLA_IFNAME; length adjusted)
CARRIER_LOST = bytes.fromhex(
    "300000001000000000000000000000000000010002000000031000000000000009000300657468300000000008000d00"
)
CARRIER_BACK = bytes.fromhex(
    "300000001000000000000000000000000000010002000000431001000000000009000300657468300000000008000d00"
)
# RTM_NEWADDR and RTM_DELADDR of 192.168.5.1/24
ADDRESS_CAME = bytes.fromhex(
    "50000000140000002ce9026bed020000021880000200000008000100c0a8050108000200c0a80501"
    "090003006574683000000000080008008000000014000600ffffffffffffffffcf250300cf250300"
)
ADDRESS_WENT = bytes.fromhex(
    "50000000150000002ce9026bee020000021880000200000008000100c0a8050108000200c0a80501"
    "090003006574683000000000080008008000000014000600ffffffffffffffffcf250300cf250300"
)


def wlan(*addresses: str, index: int = 2) -> Interface:
    parsed = [ipaddress.ip_interface(address) for address in addresses]
    return Interface("wlan0", index, tuple((one.ip, one.network.prefixlen) for one in parsed))


def test_reads_what_the_kernel_says():
    assert read_netlink(CARRIER_LOST) == [Told(2, True)]
    assert read_netlink(CARRIER_BACK) == [Told(2, False)]
    assert read_netlink(ADDRESS_CAME) == [Told(2, False)]
    assert read_netlink(ADDRESS_WENT + CARRIER_LOST) == [Told(2, False), Told(2, True)]


def test_skips_torn_and_foreign_messages():
    for cut in range(len(CARRIER_LOST)):
        assert read_netlink(CARRIER_LOST[:cut]) == []
    assert read_netlink(struct.pack("=HIHII", 24, 16, 3, 0, 0) + bytes(8)) == []
    assert read_netlink(struct.pack("=IHHII", 0, 16, 0, 0, 0) * 3) == []  # a length of zero ends it
    assert read_netlink(struct.pack("=IHHII", 20, 99, 0, 0, 0) + bytes(4) + CARRIER_LOST) == [Told(2, True)]


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        ((), (wlan("10.0.0.1/24"),), {2}),
        ((wlan("10.0.0.1/24"),), (), {2}),
        ((wlan("10.0.0.1/24"),), (wlan("10.0.0.7/24"),), set()),  # another address of the same network
        ((wlan("10.0.0.1/24"),), (wlan("10.0.1.1/24"),), {2}),
        ((wlan("10.0.0.1/24"),), (wlan("10.0.0.1/16"),), {2}),
        ((wlan("10.0.0.1/24"),), (wlan("10.0.0.1/24", "fe80::1/64"),), {2}),
        ((wlan("fd00::1/64"),), (wlan("fd00::1/64", "fd00::abcd/64"),), set()),  # a temporary address
        ((wlan("10.0.0.1/24"),), (wlan("10.0.0.1/24"), wlan("fe80::1/64", index=3)), {3}),
    ],
)
def test_a_network_is_a_prefix_of_an_interface(before, after, changed):
    assert changed_networks(before, after) == changed


def test_a_carrier_lost_and_back_between_two_looks_is_a_change():
    here = (wlan("10.0.0.1/24"),)
    assert changed_networks(here, here, [Told(2, True), Told(2, False)]) == {2}
    assert changed_networks(here, here, [Told(2, False)]) == set()
    assert changed_networks(here, here, [Told(9, True)]) == set()  # nothing of ours was on that one


async def test_polling_tells_of_changes_only(monkeypatch, autojump_clock):
    looks = [(wlan("10.0.0.1/24"),)] * 3 + [(wlan("10.0.0.1/24"), wlan("10.9.0.1/24", index=3))] * 3
    calls = []

    def look():
        found = looks.pop(0)
        if not looks:
            nursery.cancel_scope.cancel()
        return found

    monkeypatch.setattr(interfaces, "snapshot", look)
    monkeypatch.delattr(interfaces.socket, "AF_NETLINK", raising=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(interfaces.watch, lambda found, changed: calls.append((len(found), set(changed))))
    assert calls == [(1, set()), (2, {3})]


@pytest.mark.real
def test_loopback_is_no_network():
    for interface in interfaces.snapshot():
        assert not any(ip.is_loopback for ip, _ in interface.addresses)


@pytest.mark.real
@pytest.mark.skipif(sys.platform != "linux", reason="netlink is the Linux kernel's")
async def test_the_first_call_comes_at_once():
    calls = []
    with trio.move_on_after(5) as scope:
        await interfaces.watch(lambda found, changed: (calls.append((found, changed)), scope.cancel()))
    assert calls == [(interfaces.snapshot(), frozenset())]
