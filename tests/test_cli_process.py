"""The program as a process, and its client on a real socket: what no scripted daemon can show."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from cli.client import Client
from meshd.errors import CallerError, Code
from tests.cli_script import CHANNELS, POST, READ

pytestmark = pytest.mark.real

MESH = [sys.executable, "-I", "-m", "cli"]
Answers = Callable[[dict[str, Any]], list[bytes]]


def line(document: dict[str, Any]) -> bytes:
    return json.dumps({"jsonrpc": "2.0", **document}).encode() + b"\n"


def result(request: dict[str, Any], document: dict[str, Any]) -> bytes:
    return line({"id": request["id"], "result": document})


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Callable[[Answers], str]]:
    """Starts a thread that answers each request with the bytes it is told; gives the home to name."""
    listener = socket.socket(socket.AF_UNIX)
    threads = []

    def serve(answers: Answers) -> str:
        listener.bind(str(tmp_path / "ctl.sock"))
        listener.listen()
        threads.append(threading.Thread(target=accept, args=(answers,), daemon=True))
        threads[0].start()
        return str(tmp_path)

    def accept(answers: Answers) -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            with suppress(BrokenPipeError), peer, peer.makefile("rb") as requests:
                for request in requests:
                    for piece in answers(json.loads(request)):
                        peer.sendall(piece)

    yield serve
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    for thread in threads:
        thread.join()


def test_an_answer_may_come_in_pieces_and_between_notices(daemon: Any) -> None:
    notices = [line({"method": "post", "params": {"n": n}}) for n in range(3)]

    def answers(request: dict[str, Any]) -> list[bytes]:
        whole = notices[0] + notices[1] + result(request, {"ok": request["params"]}) + notices[2]
        return [whole[:5], whole[5:70], whole[70:]]

    with Client(daemon(answers)) as client:
        assert client.call("status", {"given": 1, "absent": None}) == {"ok": {"given": 1}}
        seen = client.notices(0.01)
        assert [next(seen)["params"]["n"] for _ in range(3)] == [0, 1, 2]  # type: ignore[index]
        assert next(seen) is None


def test_an_error_of_the_daemon_keeps_its_code(daemon: Any) -> None:
    def answers(request: dict[str, Any]) -> list[bytes]:
        return [
            line(
                {
                    "id": request["id"],
                    "error": {"code": -32005, "message": "no", "data": {"code": "not_found"}},
                }
            )
        ]

    with Client(daemon(answers)) as client, pytest.raises(CallerError) as refusal:
        client.call("status")
    assert (refusal.value.code, refusal.value.message) == (Code.not_found, "no")


def test_a_daemon_that_is_silent_times_out_and_may_answer_later(daemon: Any) -> None:
    go_on = threading.Event()

    def answers(request: dict[str, Any]) -> list[bytes]:
        go_on.wait(5)
        return [result(request, {"late": True})]

    with Client(daemon(answers), timeout_s=0.01) as client:
        with pytest.raises(CallerError) as refusal:
            client.call("status")
        assert refusal.value.code is Code.timed_out
        go_on.set()
        assert client.answer(5) == {"late": True}


def test_a_daemon_that_hangs_up_is_said_to_have_stopped(daemon: Any) -> None:
    home = daemon(lambda request: [])
    with Client(home) as client:
        client.send("down")
        client._socket.shutdown(socket.SHUT_WR)
        with pytest.raises(CallerError) as refusal:
            client.answer(5)
    assert refusal.value.code is Code.not_running


def test_a_home_with_a_long_path_is_reached(tmp_path: Path) -> None:
    home = tmp_path / ("d" * 120)
    home.mkdir()
    listener = socket.socket(socket.AF_UNIX)
    folder = os.open(home, os.O_RDONLY)
    listener.bind(f"/proc/self/fd/{folder}/ctl.sock")
    listener.listen()
    with listener, Client(str(home)):
        pass
    os.close(folder)


def test_a_closed_pipe_is_quiet(daemon: Any) -> None:
    many = {**READ, "posts": [POST] * 5000}
    home = daemon(lambda request: [result(request, many)])
    reader = subprocess.Popen([*MESH, "--home", home, "read"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert reader.stdout and reader.stderr
    reader.stdout.readline()
    reader.stdout.close()
    assert reader.wait(10) == 0
    assert reader.stderr.read() == b""
    reader.stderr.close()


def test_ctrl_c_is_130_and_quiet(daemon: Any) -> None:
    def answers(request: dict[str, Any]) -> list[bytes]:
        return [result(request, READ if request["method"] == "read" else {"subscription": 1})]

    home = daemon(answers)
    reader = subprocess.Popen(
        [*MESH, "--home", home, "read", "--follow", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert reader.stdout
    while b"cursor" not in reader.stdout.readline():
        pass
    reader.send_signal(signal.SIGINT)
    _, err = reader.communicate(timeout=10)
    assert reader.returncode == 130 and err.strip() == b""


def complete(home: str, words: str) -> tuple[list[str], float]:
    environment = {
        **os.environ, "_MESH_COMPLETE": "bash_complete", "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1), "MESHD_HOME": home,
    }  # fmt: skip
    start = time.monotonic()
    done = subprocess.run(MESH, env=environment, capture_output=True, text=True, timeout=10)
    assert done.stderr == ""
    return [found.removeprefix("plain,") for found in done.stdout.split()], time.monotonic() - start


def test_live_channels_are_completed(daemon: Any) -> None:
    home = daemon(lambda request: [result(request, CHANNELS)])
    assert complete(home, "mesh post sq")[0] == ["square"]
    assert complete(home, "mesh read x")[0] == []
    assert complete("/nowhere", f"mesh --home {home} post sq")[0] == ["square"]


def test_completion_gives_up_on_a_daemon_that_does_not_answer(daemon: Any, tmp_path: Path) -> None:
    found, took_s = complete(daemon(lambda request: []), "mesh post sq")
    assert found == [] and took_s < 1  # 0.2 s on a machine that has nothing else to do
    assert complete(str(tmp_path / "none"), "mesh post sq")[0] == []


def test_the_program_starts_without_what_is_slow() -> None:
    slow = {"trio", "nacl", "msgpack", "sqlcipher3", "zeroconf", "rich", "asyncio", "subprocess", "platformdirs",
            "segno", "dataclasses", "ipaddress", "hashlib", "logging", "email", "importlib.metadata"}  # fmt: skip
    code = (
        "import sys\nfrom cli.root import run\nrun(['--home', '/nowhere', 'post', 'square', 'hello'])\n"
        f"print(sorted({slow!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=10)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("args", [["--help"], ["read", "--help"]])
def test_a_full_disk_and_a_closed_stdout_are_no_traceback(args: list[str]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([*MESH, *args], stdout=full, stderr=subprocess.PIPE, text=True, timeout=10)
    assert done.returncode == Code.error and done.stderr.startswith("mesh: ") and done.stderr.count("\n") == 1
    closed = f"exec {sys.executable} -I -m cli {' '.join(args)} >&-"
    done = subprocess.run(["sh", "-c", closed], stderr=subprocess.PIPE, text=True, timeout=10)
    assert (done.returncode, done.stderr) == (0, "")
