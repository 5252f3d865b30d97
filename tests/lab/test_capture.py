"""What somebody who hears every packet of a link learns, from its first to its last: sizes of four classes.

Two laptops on one bridge meet, level a backlog, talk in both directions, compare, and part. The
TCP streams are put together from the capture and cut by the u16 lengths, as an observer would who knows the protocol.
"""

import shutil
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from cli.client import Client
from meshd.daemon.home import Home
from meshd.daemon.init import Opened, open_home
from meshd.limits import FRAME_CLASSES, TAG_SIZE
from meshd.proto.session import CHALLENGE_SIZE, MESSAGE_1_SIZE, MESSAGE_2_SIZE, MESSAGE_3_SIZE
from meshd.store import keyslot
from tests.lab.lab import Capture, Lab, Laptop
from tests.lab.waiting import wait_until
from tests.laptops import Rpc

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(not shutil.which("tshark"), reason="needs tshark: apt-get install tshark"),
]
CHANNEL = "the-channel-by-the-canal"
NAMES = ["Wilhelmina Overheard", "Bartholomew Listened"]
RECORD_SIZES = {size + TAG_SIZE for size in FRAME_CLASSES}
RUN = 8  # bytes of known plaintext that would not be in the stream by chance

# Connects, waits for the challenge, sends what stands on the command line, and prints all that ever came, in hex.
PROBE = """
import socket, sys
link = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=3)
heard = link.recv(34, socket.MSG_WAITALL)
link.sendall(bytes.fromhex(sys.argv[3]))
try:
    while some := link.recv(4096):
        heard += some
except ConnectionResetError:
    pass
print(heard.hex())
"""


def streams(capture: Capture) -> list[tuple[str, str, bytes]]:
    """(source, target, payload) of each direction of each TCP stream, with addresses as ADDRESS:PORT."""
    places = ["tcp.stream", "ip.src", "ipv6.src", "tcp.srcport", "ip.dst", "ipv6.dst", "tcp.dstport"]
    pieces: dict[tuple[str, str, str], dict[int, bytes]] = defaultdict(dict)
    for row in capture.fields("tcp.len > 0", *places, "tcp.seq", "tcp.payload"):
        number, from4, from6, from_port, to4, to6, to_port, sequence, payload = row
        place = number, f"{from4 or from6}:{from_port}", f"{to4 or to6}:{to_port}"
        pieces[place][int(sequence) - 1] = bytes.fromhex(payload)
    found = []
    for (_, source, target), segments in pieces.items():
        content = bytearray()
        for start, segment in sorted(segments.items()):
            assert start <= len(content), "the capture has a hole"
            content[start : start + len(segment)] = segment
        found.append((source, target, bytes(content)))
    return found


def frame_sizes(content: bytes) -> list[int]:
    """The lengths that an observer reads; the stream must end with a frame."""
    sizes = []
    while content:
        size = int.from_bytes(content[:2], "big")
        assert len(content) >= 2 + size
        sizes.append(size)
        content = content[2 + size :]
    return sizes


def runs(contents: Iterable[bytes]) -> set[bytes]:
    return {content[i : i + RUN] for content in contents for i in range(len(content) - RUN + 1)}


def open_stopped(laptop: Laptop) -> Opened:
    slot = keyslot.read(Path(laptop.home))
    return open_home(Home(laptop.home), keyslot.parameters(slot).stretch(None), slot)


def post(laptop: Laptop, texts: list[str]) -> None:
    rpc = Rpc(Path(laptop.home))
    for text in texts:
        assert "result" in rpc.ask("post", channel=CHANNEL, text=text)
    rpc.close()


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab() as made:
        yield made


def test_a_link_shows_padded_sizes_and_nothing_readable(lab: Lab) -> None:
    bridge, laptops = lab.together(2)
    capture = Capture(lab, bridge)
    texts = [f"the {number}th thing said in confidence" for number in range(300)]
    for laptop, name in zip(laptops, NAMES, strict=True):
        laptop.mesh("init", "--name", name, "--no-passphrase")
    laptops[0].mesh("up")
    post(laptops[0], [*texts[:250], "a long story, told quietly " * 500])
    laptops[1].mesh("up")
    clients = [Client(laptop.home) for laptop in laptops]
    for client in clients:
        client.call("channel.join", {"name": CHANNEL})
    wait_until(lambda: all(client.call("status")["counts"]["posts"] == 251 for client in clients), 10)
    post(laptops[0], texts[250:275])
    post(laptops[1], texts[275:])
    wait_until(lambda: all(client.call("status")["counts"]["posts"] == 301 for client in clients), 10)
    clients[0].call("sync", {"wait": True})
    for laptop in laptops:
        laptop.mesh("down")
    capture.stop()

    heard = streams(capture)
    sizes: Counter[int] = Counter()
    for source, target, content in heard:
        accepts = content[:2] == CHALLENGE_SIZE.to_bytes(2, "big")
        shaken = (CHALLENGE_SIZE, MESSAGE_2_SIZE) if accepts else (MESSAGE_1_SIZE, MESSAGE_3_SIZE)
        found = frame_sizes(content)
        assert tuple(found[:2]) == shaken[: len(found)], f"{source} to {target}"
        assert set(found[2:]) <= RECORD_SIZES
        sizes.update(found[2:])
    print(f"{len(heard)} directions, frames by size: {dict(sorted(sizes.items()))}")
    assert set(sizes) == RECORD_SIZES

    known = [CHANNEL.encode(), b"meshd/1", bytes(64), *(name.encode() for name in NAMES)]
    for laptop in laptops:
        opened = open_stopped(laptop)
        known += [raw for _, raw in opened.carry.after(0, 1000)] + [opened.carry.network_key]
        known += [row.id for row in opened.log.after(0, None, 1000)]
        known += [identity for channel in opened.log.channels() for identity in (channel.id, opened.log.seed)]
        opened.carry.close()
        opened.log.close()
    readable = runs(known)
    assert all(runs([text.encode()]) <= readable for text in texts), "what was said is in the envelopes"
    assert not readable & runs(content for _, _, content in heard)


def test_N02_N03_without_the_key_there_is_the_challenge_and_no_more(lab: Lab) -> None:
    """A daemon of another network, and the first message of a real handshake sent again, to both who were there."""
    bridge, laptops = lab.together(3)
    capture = Capture(lab, bridge)
    for laptop, network in zip(laptops, ("--open", "--open", "--private"), strict=True):
        laptop.mesh("init", network, "--no-passphrase")
        laptop.mesh("up")
    clients = [Client(laptop.home) for laptop in laptops]
    wait_until(lambda: all(len(client.call("status")["links"]) == 1 for client in clients[:2]), 10)
    (listens,) = [a for a in clients[0].call("status")["listen"] if a.startswith(laptops[0].address(bridge))]
    clients[2].call("peer.add", {"address": listens})
    wait_until(lambda: clients[2].call("peer.list")["peers"][0]["reason"] != "", 5)
    assert clients[2].call("status")["links"] == []
    clients[2].call("peer.drop", {"address": listens})
    capture.stop()
    stranger = laptops[2].address(bridge)
    answers = [content for source, target, content in streams(capture) if target.startswith(f"{stranger}:")]
    assert answers and {len(content) for content in answers} == {2 + CHALLENGE_SIZE}

    (first,) = {
        content[: 2 + MESSAGE_1_SIZE]
        for source, _, content in streams(capture)
        if frame_sizes(content)[:2] == [MESSAGE_1_SIZE, MESSAGE_3_SIZE]
    }
    for laptop, client in zip(laptops[:2], clients, strict=False):
        port = client.call("status")["listen"][0].rpartition(":")[2]
        begun = time.monotonic()
        said = laptops[2].run([sys.executable, "-c", PROBE, laptop.address(bridge), port, first.hex()])
        assert len(bytes.fromhex(said)) == 2 + CHALLENGE_SIZE
        assert time.monotonic() - begun < 2, "the link is closed at once"
        assert len(client.call("status")["links"]) == 1
