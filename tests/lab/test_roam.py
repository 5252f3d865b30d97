"""Laptops that are carried about, whose networks flap, and that sleep: links come back, nothing is told twice, and
what `mesh status` and `mesh peer list` say is so at every moment.

A laptop is carried by putting its one cable into another bridge: it keeps its interface and hardware address, as a
laptop with Wi-Fi does, and gets another IPv4 address.
"""

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from cli.client import Client
from tests.lab.lab import Bridge, Capture, Lab, Laptop
from tests.lab.waiting import wait_until

pytestmark = pytest.mark.lab
needs_tshark = pytest.mark.skipif(not shutil.which("tshark"), reason="needs tshark: apt-get install tshark")

CHANNEL = "roam"
PORT = 4040
RUN = 8  # bytes that would not repeat by chance
HEAD = 5  # … and how many of them a record's head may fill: what follows it are a name's first characters


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab() as made:
        yield made


def up(laptop: Laptop, *args: str) -> Client:
    """Make its home, start its daemon, and be in the channel."""
    laptop.mesh("init", "--name", f"n{laptop.number}", "--no-passphrase")
    if args:
        laptop.popen([sys.executable, "-I", "-m", "meshd", "run", "--home", laptop.home, *args])
        wait_until(lambda: os.path.exists(f"{laptop.home}/ctl.sock"), 10)
    else:
        laptop.mesh("up")
    client = Client(laptop.home)
    client.call("channel.join", {"name": CHANNEL})
    return client


def carry(lab: Lab, laptop: Laptop, to: Bridge) -> None:
    """Pull its cable, and plug it into another bridge, where it has another address."""
    (home,) = laptop.bridges
    device, cable = f"eth{home.number}", f"p{laptop.number}b{home.number}"
    lab.hub("link", "set", cable, "down")
    laptop.ip("-4", "address", "flush", "dev", device)
    lab.hub("link", "set", cable, "master", to.name)
    laptop.ip("address", "add", f"{laptop.address(to)}/24", "dev", device)
    lab.hub("link", "set", cable, "up")


def links(client: Client) -> int:
    return len(client.call("status")["links"])


def listening(client: Client) -> set[str]:
    """The IPv4 addresses that its status says others can dial."""
    found: list[str] = client.call("status")["listen"]
    return {address.rpartition(":")[0] for address in found if "%" not in address}


def typed_peer(client: Client) -> dict[str, Any]:
    """What its peer list says of the one peer."""
    peers: list[dict[str, Any]] = client.call("peer.list")["peers"]
    (peer,) = peers
    return peer


def say(client: Client, text: str) -> None:
    client.call("post", {"channel": CHANNEL, "text": text})


def heard(client: Client, text: str) -> Callable[[], bool]:
    return lambda: text in [post["text"] for post in client.call("read", {"channel": CHANNEL})["posts"]]


def process(client: Client) -> tuple[int, int, int]:
    """Process id, open descriptors and threads of a daemon."""
    pid: int = client.call("status")["pid"]
    return pid, len(os.listdir(f"/proc/{pid}/fd")), len(os.listdir(f"/proc/{pid}/task"))


# --- carried ---


def said(capture: Capture, ethernet: str) -> list[bytes]:
    """All that one interface put into UDP and TCP."""
    rows = capture.fields(f"eth.src == {ethernet} && (mdns || tcp.len > 0)", "udp.payload", "tcp.payload")
    return [bytes.fromhex(udp or tcp) for udp, tcp in rows]


def runs(contents: Iterable[bytes], size: int) -> set[bytes]:
    return {content[i : i + size] for content in contents for i in range(len(content) - size + 1)}


@needs_tshark
def test_E13_M04_what_one_network_heard_of_a_laptop_is_not_heard_on_the_next(lab: Lab) -> None:
    """Nothing of eight bytes repeats but what all laptops say alike: a third one, which never moved, is the measure."""
    home, square = lab.bridge(), lab.bridge()
    walker, at_home, on_square = lab.laptop(home), lab.laptop(home), lab.laptop(square)
    before, after = Capture(lab, home), Capture(lab, square)
    hosts = [up(at_home), up(on_square)]
    client = up(walker)
    wait_until(lambda: links(client) == 1, 10)
    key = hosts[0].call("status")["links"][0]["peer"]
    port = client.call("status")["listen"][0].rpartition(":")[2]
    say(client, "from home")
    wait_until(heard(hosts[0], "from home"), 5)
    carry(lab, walker, square)
    wait_until(heard(hosts[1], "from home"), 15)
    assert hosts[1].call("status")["links"][0]["peer"] != key
    assert client.call("status")["listen"][0].rpartition(":")[2] != port
    assert listening(client) == {walker.address(square)}
    before.stop()
    after.stop()

    ethernet = walker.run(["cat", f"/sys/class/net/eth{home.number}/address"]).strip()
    other = on_square.run(["cat", f"/sys/class/net/eth{square.number}/address"]).strip()
    at_first, at_last, alike = said(before, ethernet), said(after, ethernet), runs(said(after, other), HEAD)
    assert min(sum(b"_meshd" in content for content in each) for each in (at_first, at_last)) > 1
    repeated = runs(at_first, RUN) & runs(at_last, RUN)
    assert repeated, "record heads and the service type repeat, so that something was compared"
    assert [run for run in repeated if not runs([run], HEAD) & alike] == []


def test_a_typed_peer_of_a_former_network_is_shown_as_it_is_and_reached_again_when_back(lab: Lab) -> None:
    home, square = lab.bridge(), lab.bridge()
    walker, stays = lab.laptop(home), lab.laptop(home)
    place = f"{stays.address(home)}:{PORT}"
    other = up(stays, "--no-mdns", "--listen", place)
    client = up(walker, "--no-mdns")
    client.call("peer.add", {"address": place})
    wait_until(lambda: typed_peer(client)["state"] == "open", 10)
    assert typed_peer(client)["reason"] == ""
    carry(lab, walker, square)
    wait_until(lambda: links(client) == 0, 5)
    wait_until(lambda: "unreachable" in typed_peer(client)["reason"].lower(), 10)
    assert typed_peer(client)["address"] == place
    assert typed_peer(client)["state"] in ("waiting", "dialling")
    say(client, "from the square")
    carry(lab, walker, home)
    back_s = wait_until(heard(other, "from the square"), 15)
    assert typed_peer(client)["state"] == "open" and typed_peer(client)["reason"] == ""
    wait_until(lambda: links(other) == 1, 40)  # the link that it was carried away from is noticed there
    print(f"reached again {back_s:.1f} s after it was back")


# --- networks that come, go and change ---


def test_a_laptop_without_any_network_says_so_and_picks_up_the_first_that_comes(lab: Lab) -> None:
    bridge = lab.bridge()
    other = up(lab.laptop(bridge))
    lone = lab.laptop()
    client = up(lone)
    status = client.call("status")
    assert status["listen"] == [] and status["links"] == [] and not status["discovery"]["ok"]
    assert status["discovery"]["reason"] == "no network that carries multicast is up"
    say(client, "written alone")
    lone.join(bridge)
    wait_until(heard(other, "written alone"), 10)
    status = client.call("status")
    assert status["discovery"]["ok"] and lone.address(bridge) in listening(client)
    lone.set_link(bridge, up=False)
    wait_until(lambda: client.call("status")["listen"] == [], 5)
    assert not client.call("status")["discovery"]["ok"] and links(client) == 0


def test_an_address_that_changes_while_links_are_up_is_told_and_posts_go_on(lab: Lab) -> None:
    bridge, laptops = lab.together(3)
    clients = [up(laptop) for laptop in laptops]
    wait_until(lambda: all(links(client) == 2 for client in clients), 10)
    laptops[0].ip("address", "add", "10.77.1.99/24", "dev", "eth1")
    wait_until(lambda: "10.77.1.99" in listening(clients[0]), 5)
    laptops[0].ip("address", "del", f"{laptops[0].address(bridge)}/24", "dev", "eth1")
    wait_until(lambda: laptops[0].address(bridge) not in listening(clients[0]), 5)
    say(clients[0], "from another address")
    say(clients[1], "to another address")
    told_s = wait_until(heard(clients[2], "from another address"), 45)
    wait_until(heard(clients[0], "to another address"), 45)
    wait_until(lambda: all(links(client) == 2 for client in clients), 60)
    print(f"heard {told_s:.1f} s after the address changed")


def test_an_interface_that_flaps_for_20_seconds_costs_nothing_that_stays(lab: Lab) -> None:
    bridge, laptops = lab.together(3)
    clients = [up(laptop) for laptop in laptops]
    wait_until(lambda: all(links(client) == 2 for client in clients), 10)
    before = [process(client) for client in clients]
    for second in range(20):
        laptops[0].set_link(bridge, up=bool(second % 2))
        say(clients[second % 3], f"flap {second}")
        time.sleep(1)
    assert (second % 2, second) == (1, 19)  # it is up
    back_s = wait_until(lambda: all(links(client) == 2 for client in clients), 40)
    for client in clients:
        for second in range(20):
            wait_until(heard(client, f"flap {second}"), 20)
    time.sleep(4)  # the last dials have ended
    for client, (pid, descriptors, threads) in zip(clients, before, strict=True):
        now = process(client)
        assert now[0] == pid
        assert now[1] <= descriptors + 2, "descriptors were left behind"
        assert now[2] <= threads + 1, "threads were left behind"
    print(
        f"linked again {back_s:.1f} s after the last flap; before {before}, after {[process(c) for c in clients]}"
    )


# --- asleep ---


def test_a_daemon_that_was_stopped_for_35_seconds_is_given_up_and_takes_up_where_it_was(lab: Lab) -> None:
    _, laptops = lab.together(2)
    clients = [up(laptop) for laptop in laptops]
    wait_until(lambda: all(links(client) == 1 for client in clients), 10)
    pid = process(clients[1])[0]
    former = clients[0].call("status")["links"][0]["since"]
    os.kill(pid, signal.SIGSTOP)
    try:
        begun = time.monotonic()
        say(clients[0], "while it slept")
        wait_until(lambda: links(clients[0]) == 0, 34)
        noticed_s = time.monotonic() - begun
        (peer,) = clients[0].call("peer.list")["peers"]
        assert peer["state"] in ("waiting", "dialling", "handshaking") and peer["reason"]
        time.sleep(max(0.0, 35 - (time.monotonic() - begun)))
    finally:
        os.kill(pid, signal.SIGCONT)
    arrived_s = wait_until(heard(clients[1], "while it slept"), 15)
    wait_until(lambda: all(links(client) == 1 for client in clients), 10)
    assert clients[0].call("status")["links"][0]["since"] > former
    print(f"given up after {noticed_s:.1f} s, because {peer['reason']!r}; back in {arrived_s:.1f} s")
