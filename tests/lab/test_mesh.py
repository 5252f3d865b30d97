"""The whole program on one real network: found, linked, read, under loss, and silent about who it is."""

import shutil
import time
from collections.abc import Callable, Iterator

import pytest

from cli.client import Client
from tests.lab.lab import Capture, Lab, Laptop, avahi_browse
from tests.lab.waiting import wait_until

pytestmark = pytest.mark.lab
needs_avahi = pytest.mark.skipif(
    not shutil.which("avahi-browse") or not shutil.which("dbus-daemon"),
    reason="needs a foreign mDNS: apt-get install avahi-daemon avahi-utils dbus",
)
needs_tshark = pytest.mark.skipif(not shutil.which("tshark"), reason="needs tshark: apt-get install tshark")

HOST_NAME, USER_NAME, NAME, CHANNEL = "host-canary-7", "user-canary-7", "name-canary-7", "channel-canary-7"


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab() as made:
        yield made


def init(laptop: Laptop) -> dict[str, str]:
    return laptop.mesh("init", "--name", f"{NAME}{laptop.number}", "--no-passphrase")


def up(laptop: Laptop) -> None:
    """Start its daemon on a machine with a name and a user of its own."""
    named = f'hostname {HOST_NAME}; USER={USER_NAME} LOGNAME={USER_NAME} exec "$@"'
    laptop.run(["unshare", "--uts", "sh", "-c", named, "sh", *laptop.mesh_command("up")])


def linked(clients: list[Client], count: int) -> Callable[[], bool]:
    return lambda: all(len(client.call("status")["links"]) == count for client in clients)


def texts(client: Client) -> list[str]:
    return [post["text"] for post in client.call("read", {"channel": CHANNEL})["posts"]]


@pytest.fixture
def five(lab) -> tuple[Lab, list[Laptop], list[Client], float, Capture | None]:
    """Five laptops on one bridge, linked, all in one channel; the seconds from the last one's start; the capture."""
    bridge, laptops = lab.together(5)
    capture = Capture(lab, bridge) if shutil.which("tshark") else None
    for laptop in laptops:
        init(laptop)
    for laptop in laptops[:-1]:
        up(laptop)
    begun = time.monotonic()
    up(laptops[-1])
    clients = [Client(laptop.home) for laptop in laptops]
    wait_until(linked(clients, 4), 10)
    linked_s = time.monotonic() - begun
    for client in clients:
        client.call("channel.join", {"name": CHANNEL})
    return lab, laptops, clients, linked_s, capture


def test_five_are_linked_read_each_other_and_go_on_under_loss(five):
    _, laptops, clients, linked_s, _ = five
    assert linked_s < 3
    clients[0].call("post", {"channel": CHANNEL, "text": "meet at noon"})
    read_s = wait_until(lambda: all("meet at noon" in texts(client) for client in clients[1:]), 10)
    assert read_s < 1
    for laptop in laptops:
        laptop.lose(0.3)
    clients[1].call("post", {"channel": CHANNEL, "text": "under loss"})
    others = [clients[0], *clients[2:]]
    lossy_s = wait_until(lambda: all("under loss" in texts(client) for client in others), 20)
    assert lossy_s < 10
    print(f"linked {linked_s:.2f} s, read {read_s:.3f} s, under 30 % loss {lossy_s:.2f} s")


@needs_avahi
@needs_tshark
def test_M04_no_packet_tells_who_is_there(five):
    _, laptops, clients, _, capture = five
    clients[0].call("post", {"channel": CHANNEL, "text": "text-canary-7"})
    wait_until(lambda: all("text-canary-7" in texts(client) for client in clients), 5)
    identities = [client.call("id.show")["id"] for client in clients]
    (channel,) = [c["id"] for c in clients[0].call("channel.list")["channels"] if c["name"] == CHANNEL]
    for laptop in laptops:
        laptop.mesh("down")  # goodbyes and byes are captured too
    packets = capture.stop()
    assert packets.count(b"_meshd") > 10  # it can be searched, and what is said is in there
    assert len(capture.fields("tcp.len > 0", "tcp.len")) > 50
    words = [HOST_NAME, USER_NAME, NAME, CHANNEL, "text-canary-7", *identities, channel]
    for word in words:
        assert word.encode() not in packets
    for number in (*identities, channel):
        assert bytes.fromhex(number) not in packets


@needs_avahi
def test_a_foreign_implementation_lists_the_daemons(five):
    lab, _, clients, _, _ = five
    lines = avahi_browse(lab.laptop(lab.bridges[0]), "_meshd._tcp")
    ports = {int(line.split(";")[8]) for line in lines}
    listening = {int(client.call("status")["listen"][0].rpartition(":")[2]) for client in clients}
    assert ports == listening


def test_a_lone_laptop_is_found_when_its_network_comes(lab):
    bridge, laptops = lab.together(2)
    laptops[1].set_cable(bridge, plugged=False)
    for laptop in laptops:
        init(laptop)
        up(laptop)
    clients = [Client(laptop.home) for laptop in laptops]
    assert not clients[1].call("status")["discovery"]["ok"]
    laptops[1].set_cable(bridge, plugged=True)
    wait_until(linked(clients, 1), 5)


def test_E13_home_and_square_see_different_names(lab):
    """The same laptop on one network, then on another: instance, host, tag and port differ, and so do link keys."""
    home, square = lab.bridge(), lab.bridge()
    laptop = lab.laptop(home)
    init(laptop)
    up(laptop)
    client = Client(laptop.home)
    watcher = lab.laptop(home, square)
    init(watcher)
    up(watcher)
    other = Client(watcher.home)

    def key() -> set[str]:
        return {link["peer"] for link in other.call("status")["links"]}

    wait_until(lambda: len(key()) == 1, 5)
    before, port = key(), client.call("status")["listen"][0].rpartition(":")[2]
    laptop.set_link(home, up=False)
    laptop.join(square)
    wait_until(lambda: bool(key() - before), 10)
    assert client.call("status")["listen"][0].rpartition(":")[2] != port
