"""Six laptops in a line, each linked to its neighbours only: hops, a cut in the middle, and what healing costs.

The figures are printed (`pytest -s`). Payload is all that TCP carries over the middle link from the moment it is
back, both ways, repetitions included; it is held against the summed lengths of the envelopes that have to cross.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from cli.client import Client
from meshd.daemon.home import Home
from meshd.daemon.init import open_home
from meshd.store import keyslot
from tests.lab.lab import Bridge, Capture, Lab, Laptop
from tests.lab.waiting import wait_until
from tests.laptops import Rpc

pytestmark = pytest.mark.lab
needs_tshark = pytest.mark.skipif(not shutil.which("tshark"), reason="needs tshark: apt-get install tshark")
CHANNEL = "plaza"
TEXT_SIZE = 256
EACH = 500  # posts on either side of the cut
HEALED_S = 5
SHARE = 1.3
WHOLE, CUT = [1, 2, 2, 2, 2, 1], [1, 2, 1, 1, 2, 1]  # links of each laptop


class Line(NamedTuple):
    lab: Lab
    middle: Bridge
    laptops: list[Laptop]
    clients: list[Client]

    def links(self) -> list[int]:
        return [len(client.call("status")["links"]) for client in self.clients]

    def posts(self) -> list[int]:
        return [client.call("status")["counts"]["posts"] for client in self.clients]

    def switch(self, how: str, on: bool) -> None:
        """The middle link: laptops see their interface go, one sees its cable go, or nobody sees anything."""
        if how == "interfaces":
            for laptop in self.laptops[2:4]:
                laptop.set_link(self.middle, on)
        elif how == "cable":
            self.laptops[2].set_cable(self.middle, on)
        else:
            self.lab.hub("link", "set", self.middle.name, "up" if on else "down")


@pytest.fixture
def line() -> Iterator[Line]:
    """Linked, all in one channel."""
    with Lab() as lab:
        bridges, laptops = lab.line(6)
        for laptop in laptops:
            laptop.mesh("init", "--no-passphrase")
            laptop.mesh("up")
        made = Line(lab, bridges[2], laptops, [Client(laptop.home) for laptop in laptops])
        wait_until(lambda: made.links() == WHOLE, 10, made.links)
        for client in made.clients:
            client.call("channel.join", {"name": CHANNEL})
        yield made
        for laptop in laptops:  # shown when a test fails
            if said := (Path(laptop.home) / "daemon.log").read_text():
                print(f"laptop {laptop.number}: {said}")


def post(laptop: Laptop) -> set[str]:
    """EACH posts in one batch; their ids."""
    texts = [f"{laptop.number} {number} ".ljust(TEXT_SIZE, ".") for number in range(EACH)]
    rpc = Rpc(Path(laptop.home))
    rpc.say(
        [
            {"jsonrpc": "2.0", "id": text[:9], "method": "post", "params": {"channel": CHANNEL, "text": text}}
            for text in texts
        ]
    )
    ids = {answer["result"]["id"] for answer in rpc.hear()}
    rpc.close()
    return ids


def envelopes_size(laptop: Laptop) -> int:
    """The summed lengths of all that a laptop carries; its daemon has ended."""
    slot = keyslot.read(Path(laptop.home))
    opened = open_home(Home(laptop.home), keyslot.parameters(slot).stretch(None), slot)
    size = sum(len(raw) for _, raw in opened.carry.after(0, 4 * EACH))
    opened.carry.close()
    opened.log.close()
    return size


def test_a_post_crosses_five_hops(line: Line) -> None:
    first, last = line.clients[0], line.clients[5]
    first.call("post", {"channel": CHANNEL, "text": "from one end"})
    crossed_s = wait_until(lambda: bool(last.call("read", {"channel": CHANNEL})["posts"]), 2, line.posts)
    print(f"five hops: {crossed_s:.3f} s")


@needs_tshark
@pytest.mark.parametrize(
    ("how", "noticed"),
    [("interfaces", True), ("cable", True), ("bridge", True), ("bridge", False)],
    ids=["interfaces off", "cable pulled", "silence", "silence that nobody noticed"],
)
def test_a_cut_in_the_middle_heals_quickly_and_cheaply(line: Line, how: str, noticed: bool) -> None:
    line.switch(how, on=False)
    posted = post(line.laptops[0]) | post(line.laptops[5])
    wait_until(lambda: line.posts() == [EACH] * 6, 20, line.posts)
    if noticed:
        wait_until(lambda: line.links() == CUT, 45, line.links)
    else:
        assert line.links() == WHOLE
    capture = Capture(line.lab, line.middle, line.laptops[3])
    line.switch(how, on=True)
    healed_s = wait_until(lambda: line.posts() == [2 * EACH] * 6, 20, line.posts)
    capture.stop()
    payload = sum(int(size) for (size,) in capture.fields("tcp.len > 0", "tcp.len"))
    again = sum(int(size) for (size,) in capture.fields("tcp.analysis.retransmission", "tcp.len"))
    for client in line.clients:
        kept = client.call("read", {"channel": CHANNEL, "limit": 3 * EACH})["posts"]
        assert {one["id"] for one in kept} == posted
    line.laptops[2].mesh("down")
    envelopes = envelopes_size(line.laptops[2])
    share = payload / envelopes
    print(
        f"{how}: healed in {healed_s:.2f} s; {payload} bytes ({again} of them again)"
        f" for {envelopes} of envelopes: {share:.3f}"
    )
    assert healed_s < HEALED_S
    assert share <= SHARE
