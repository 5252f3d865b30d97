"""R: what another user, or a program gone mad, can do to the control socket."""

import json
import os
import resource
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from meshd import limits
from meshd.daemon.home import Home
from meshd.errors import CallerError, Code
from tests.laptops import Laptop, Rpc, meshd

pytestmark = pytest.mark.real

NOBODY = 65534
STATUS = b'{"jsonrpc":"2.0","id":1,"method":"status"}\n'


def ask_status(path: str) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        with suppress(BrokenPipeError):  # refused already: the reason can still be read
            client.sendall(STATUS)
        return client.recv(4096)


def as_nobody(function: Callable[[], bytes]) -> bytes:
    """What a function returns in a process of another user."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            os.write(writing, function())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)
    return said


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root: sudo scripts/test")
def test_R01_another_user_is_refused(tmp_path: Path) -> None:
    """Even where the folder and the socket were opened to all, the kernel says who is there."""
    with Laptop(tmp_path / "oak") as oak:
        oak.home.chmod(0o755)
        (oak.home / "ctl.sock").chmod(0o777)
        folder = os.open(oak.home, os.O_PATH)
        answer = json.loads(as_nobody(lambda: ask_status(f"/proc/self/fd/{folder}/ctl.sock")))
        os.close(folder)
        assert answer["error"]["data"]["code"] == "refused" and "result" not in answer
        assert "result" in Rpc(oak.home).ask("status")


@pytest.mark.parametrize("planted", ["link", "file", "open", "foreign"])
def test_R02_a_folder_or_socket_planted_before_the_start_is_refused(tmp_path: Path, planted: str) -> None:
    home = tmp_path / "oak"
    assert meshd(home, "init", "--no-passphrase").returncode == 0
    match planted:
        case "link":
            home.rename(tmp_path / "elsewhere")
            home.symlink_to(tmp_path / "elsewhere")
        case "file":
            (home / "ctl.sock").symlink_to(tmp_path / "target")
        case "open":
            home.chmod(0o777)
        case "foreign":
            if os.geteuid() != 0:
                pytest.skip("giving a folder away needs root: sudo scripts/test")
            os.chown(home, NOBODY, NOBODY)
    ran = meshd(home, "run", "--no-mdns")
    assert ran.returncode == int(Code.refused), ran.stderr
    assert not (tmp_path / "target").exists()


def test_R02_a_home_planted_before_init_is_refused(tmp_path: Path) -> None:
    planted = tmp_path / "oak"
    planted.mkdir(mode=0o777)
    planted.chmod(0o777)
    with pytest.raises(CallerError) as caught, Home(str(planted)).make():
        pass
    assert caught.value.code is Code.refused and list(planted.iterdir()) == []


def is_served(home: Path) -> bool:
    """Whether a new client is; one for whom there is no room may be cut before it has asked."""
    try:
        return "result" in Rpc(home).ask("status")
    except (BrokenPipeError, ConnectionResetError):
        return False


def test_R05_a_thousand_clients_leave_room_and_memory(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    with Laptop(tmp_path / "oak") as oak:
        served = Rpc(oak.home)
        served.ask("status")
        before_mib = oak.memory_mib()
        crowd, refused = [], 0
        for _ in range(1000):
            client = socket.socket(socket.AF_UNIX)
            client.connect(str(oak.home / "ctl.sock"))
            client.settimeout(5)
            crowd.append(client)
        for client in crowd[limits.RPC_CLIENTS_MAX :]:
            refused += b'"busy"' in client.recv(4096) and client.recv(1) == b""
        assert refused == 1000 - limits.RPC_CLIENTS_MAX
        assert "result" in served.ask("status")
        assert oak.memory_mib() < before_mib + 8
        for client in crowd:
            client.close()
        deadline = time.monotonic() + 10  # the daemon hears of the closed ones when it comes to them
        while not is_served(oak.home):
            assert time.monotonic() < deadline
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_R05_an_endless_line_is_cut_and_others_are_served(tmp_path: Path) -> None:
    with Laptop(tmp_path / "oak") as oak:
        served = Rpc(oak.home)
        served.ask("status")
        before_mib = oak.memory_mib()
        endless = Rpc(oak.home)
        sent = 0
        with pytest.raises(OSError):  # reset or broken pipe, as it happens
            for _ in range(1024):
                endless.socket.sendall(b" " * 1024 * 1024)
                sent += 1
        assert sent <= limits.RPC_LINE_SIZE_MAX / 1024 / 1024 + 2
        assert "result" in served.ask("status")
        assert oak.memory_mib("VmHWM") < before_mib + 24


async def test_R05_many_unfinished_lines_are_bounded_together(tmp_path: Path) -> None:
    with Laptop(tmp_path / "oak") as oak:
        served = Rpc(oak.home)
        served.ask("status")
        before_mib = oak.memory_mib()
        cut = 0

        async def send_most_of_a_line() -> None:
            nonlocal cut
            stream = await trio.open_unix_socket(str(oak.home / "ctl.sock"))
            try:
                await stream.send_all(b" " * (limits.RPC_LINE_SIZE_MAX - 1))
                await stream.receive_some()
                cut += 1
            except trio.BrokenResourceError:
                cut += 1

        with trio.move_on_after(3):
            async with trio.open_nursery() as nursery:
                for _ in range(20):
                    nursery.start_soon(send_most_of_a_line)
        assert cut >= 20 - limits.RPC_UNREAD_SIZE_MAX // limits.RPC_LINE_SIZE_MAX
        assert oak.memory_mib("VmHWM") < before_mib + 64
        assert "result" in served.ask("status")
