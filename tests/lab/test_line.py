"""Six laptops in a line, each linked to its neighbours only: hops, a cut in the middle, and what healing costs."""

import shutil
import time
from collections.abc import Iterator

import pytest

from cli.client import Client
from tests.lab.lab import Bridge, Capture, Lab, Laptop

pytestmark = pytest.mark.lab
needs_tshark = pytest.mark.skipif(not shutil.which("tshark"), reason="needs tshark: apt-get install tshark")
CHANNEL = "plaza"
TEXT_SIZE = 256
EACH = 500
ENVELOPE_SIZE = (
    451  # of a public post of TEXT_SIZE bytes with one parent: what the figure is measured against
)


@pytest.fixture
def six() -> Iterator[tuple[Lab, list[Bridge], list[Laptop], list[Client]]]:
    """A line of six, linked, all in one channel."""
    with Lab() as lab:
        bridges, laptops = lab.line(6)
        for laptop in laptops:
            laptop.mesh("init", "--no-passphrase")
            laptop.mesh("up")
        clients = [Client(laptop.home) for laptop in laptops]
        deadline = time.monotonic() + 10
        while [len(links(client)) for client in clients] != [1, 2, 2, 2, 2, 1]:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        for client in clients:
            client.call("channel.join", {"name": CHANNEL})
        yield lab, bridges, laptops, clients


def links(client: Client) -> list[dict[str, str]]:
    found: list[dict[str, str]] = client.call("status")["links"]
    return found


def posts(client: Client) -> int:
    count: int = client.call("status")["counts"]["posts"]
    return count


def test_a_post_crosses_five_hops(six):
    *_, clients = six
    clients[0].call("post", {"channel": CHANNEL, "text": "from one end"})
    begun = time.monotonic()
    while not clients[5].call("read", {"channel": CHANNEL})["posts"]:
        assert time.monotonic() - begun < 2
        time.sleep(0.01)
    print(f"five hops: {time.monotonic() - begun:.3f} s")


@needs_tshark
@pytest.mark.parametrize("side", ["set_link", "set_cable"])
def test_a_cut_in_the_middle_heals_within_five_seconds_and_cheaply(six, side):
    lab, bridges, laptops, clients = six
    middle = bridges[2]
    getattr(laptops[2], side)(middle, False)
    deadline = time.monotonic() + 45  # laptop 4 learns of the silence by its own keepalive
    while [len(links(client)) for client in clients] != [1, 2, 1, 1, 2, 1]:
        assert time.monotonic() < deadline, [len(links(client)) for client in clients]
        time.sleep(0.1)
    for client, word in ((clients[0], "left"), (clients[5], "right")):
        for number in range(EACH):
            text = f"{word} {number} ".ljust(TEXT_SIZE, ".")
            client.call("post", {"channel": CHANNEL, "text": text})
    deadline = time.monotonic() + 20
    while [posts(client) for client in clients] != [EACH] * 6:
        assert time.monotonic() < deadline, [posts(client) for client in clients]
        time.sleep(0.1)
    capture = Capture(lab, middle)
    begun = time.monotonic()
    getattr(laptops[2], side)(middle, True)
    while [posts(client) for client in clients] != [2 * EACH] * 6:
        assert time.monotonic() - begun < 20, [posts(client) for client in clients]
        time.sleep(0.02)
    healed_s = time.monotonic() - begun
    capture.stop()
    payload = sum(
        int(row[0]) for row in capture.fields("tcp.len > 0 && !tcp.analysis.retransmission", "tcp.len")
    )
    share = payload / (2 * EACH * ENVELOPE_SIZE)
    print(f"healed in {healed_s:.2f} s, {payload} bytes, {share:.2f} of the envelopes")
    assert healed_s < 5
    assert share <= 1.3
