"""Three laptops in a line that find each other by mDNS, and the one in the middle is locked, and then erased."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab.lab import Lab, Laptop
from tests.laptops import Rpc

pytestmark = pytest.mark.lab
CHANNEL = "plaza"
FOUND_S = 15.0


@pytest.fixture
def secret(tmp_path: Path) -> tuple[str, str]:
    """The options that give the middle's passphrase."""
    (tmp_path / "passphrase").write_text("seven herons at dusk\n")
    return "--passphrase-file", str(tmp_path / "passphrase")


@pytest.fixture
def line(secret: tuple[str, str]) -> Iterator[list[Laptop]]:
    """Linked, all in one channel."""
    with Lab() as lab:
        _, laptops = lab.line(3)
        for number, laptop in enumerate(laptops):
            laptop.mesh("init", *(secret if number == 1 else ("--no-passphrase",)))
            laptop.mesh("up", *(secret if number == 1 else ()))
            laptop.mesh("channel", "join", CHANNEL)
        until(lambda: links(laptops) == [1, 2, 1])
        yield laptops


def links(laptops: list[Laptop]) -> list[int]:
    return [len(laptop.mesh("status")["links"]) for laptop in laptops]


def until(holds: Callable[[], bool]) -> float:
    """Seconds until it held."""
    begun = time.monotonic()
    while not holds():
        assert time.monotonic() - begun < FOUND_S
        time.sleep(0.05)
    return time.monotonic() - begun


def texts(laptop: Laptop) -> list[str]:
    return [post["text"] for post in laptop.mesh("read", CHANNEL)["posts"]]


def test_E14_a_locked_laptop_is_found_relays_and_shows_later_what_it_relayed(
    line: list[Laptop], secret: tuple[str, str]
) -> None:
    first, middle, last = line
    ports = {address.rpartition(":")[2] for address in middle.mesh("status")["listen"]}
    middle.mesh("lock")
    relinked_s = until(lambda: links(line) == [1, 2, 1])
    status = middle.mesh("status")
    assert status["locked"] and {address.rpartition(":")[2] for address in status["listen"]} == ports
    first.mesh("post", CHANNEL, "under a closed lid")
    crossed_s = until(lambda: texts(last) == ["under a closed lid"])
    print(f"links were back {relinked_s:.1f} s after the lock, and a post crossed in {crossed_s:.1f} s")
    middle.mesh("unlock", *secret)
    assert texts(middle) == ["under a closed lid"]


def test_W05_no_socket_is_left_to_announce_or_to_be_dialled_at(line: list[Laptop]) -> None:
    middle = line[1]
    listening = ["ss", "-Haltun"]
    assert ":5353" in middle.run(listening)
    Rpc(Path(middle.home)).ask("peer.list")
    middle.mesh("panic", "--yes")
    until(lambda: "ESTAB" not in middle.run(listening))
    assert {row.split()[1] for row in middle.run(listening).splitlines()} <= {
        "TIME-WAIT",
        "FIN-WAIT-2",
        "LAST-ACK",
    }
    assert not Path(middle.home).exists()
    until(lambda: links([line[0], line[2]]) == [0, 0])
