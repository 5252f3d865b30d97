"""N: a crowd at the door of a real daemon. Honest peers come in meanwhile, and nobody stands there for long."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from meshd import limits
from meshd.ids import Address
from tests.laptops import Laptop, Rpc

pytestmark = [
    pytest.mark.real,
    pytest.mark.sleeps,  # a handshake is cut after five seconds of the daemon's clock
]

CHALLENGE_SIZE = 34  # its length, and 32 random bytes


def knock(laptop: Laptop) -> socket.socket:
    return socket.create_connection(Address.parse(laptop.address), timeout=limits.HANDSHAKE_MS / 1000 + 2)


def is_cut(sock: socket.socket) -> bool:
    """Whether the other side ends the stream, and says nothing before; a stream that stays open is a timeout."""
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


def link_up(tmp_path: Path, target: Laptop) -> None:
    """An honest laptop comes and is linked; fails if it has to wait for long."""
    with Laptop(tmp_path / "honest") as honest:
        rpc = Rpc(honest.home)
        rpc.ask("peer.add", address=target.address)
        assert rpc.until("status", "links")


def test_N09_slow_connections_are_cut_and_an_honest_one_gets_in(tmp_path: Path) -> None:
    with Laptop(tmp_path / "oak") as oak:
        crowd = [knock(oak) for _ in range(200)]
        for slow in crowd:
            assert len(slow.recv(CHALLENGE_SIZE)) == CHALLENGE_SIZE
            slow.send(b"x")
        link_up(tmp_path, oak)
        for slow in crowd:
            assert is_cut(slow)
            slow.close()
        assert len(Rpc(oak.home).ask("status")["result"]["links"]) <= 1


@contextmanager
def junk(laptop: Laptop) -> Iterator[list[bool]]:
    """Strangers without the network key, one after the other, each with a first message of the right size."""
    stop, cut = threading.Event(), []

    def shout() -> None:
        while not stop.wait(0.002):
            with knock(laptop) as stranger:
                stranger.recv(CHALLENGE_SIZE)
                stranger.send((96).to_bytes(2, "big") + os.urandom(96))
                cut.append(is_cut(stranger))

    thread = threading.Thread(target=shout)
    thread.start()
    try:
        yield cut
    finally:
        stop.set()
        thread.join()


def test_N03_junk_is_closed_in_silence_and_an_honest_peer_gets_in(tmp_path: Path) -> None:
    with Laptop(tmp_path / "oak") as oak:
        with junk(oak) as cut:
            link_up(tmp_path, oak)
        assert len(cut) > 20 and all(cut)


def test_F02_a_length_of_four_gibibytes_is_closed_and_costs_nothing(tmp_path: Path) -> None:
    with Laptop(tmp_path / "oak") as oak, knock(oak) as stranger:
        before_mib = oak.memory_mib()
        stranger.recv(CHALLENGE_SIZE)
        stranger.sendall(b"\xff" * 4)
        assert is_cut(stranger)
        assert oak.memory_mib() < before_mib + 1
        link_up(tmp_path, oak)
