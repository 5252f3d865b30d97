"""`mesh` and a real daemon: what a person types on the first day."""

import json
import os
import pty
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from meshd.errors import Code

pytestmark = pytest.mark.real

MESH = [sys.executable, "-I", "-m", "cli"]

Mesh = Callable[..., tuple[int, Any, str]]


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[Mesh]:
    """Runs `mesh --json` in a home of its own: status, document, stderr. The daemon is stopped in the end."""

    def run(*args: str, **options: Any) -> tuple[int, Any, str]:
        done = subprocess.run(
            [*MESH, "--home", str(tmp_path / "home"), "--json", *args],
            **{"capture_output": True, "text": True, "timeout": 60, "stdin": subprocess.DEVNULL, **options},
        )
        return done.returncode, json.loads(done.stdout or "null"), done.stderr

    yield run
    run("down")


def loopback() -> str:
    """An address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def up(mesh: Mesh, *args: str, **options: Any) -> dict[str, Any]:
    address = loopback()
    status, document, err = mesh("up", "--no-mdns", "--listen", address, *args, **options)
    assert status == 0, err
    assert document["listen"] == [address]
    return dict(document)


def test_the_first_day(mesh: Mesh, tmp_path: Path) -> None:
    status, made, err = mesh("init", "--name", "oak", "--no-passphrase")
    assert (status, err) == (0, "")
    assert (
        made["network"]["kind"] == "open"
        and made["encrypted"] is False
        and len(made["fingerprint"].split()) == 12
    )
    assert (tmp_path / "home").stat().st_mode & 0o777 == 0o700
    assert mesh("init", "--no-passphrase")[0] == Code.refused
    assert mesh("id", "show")[1]["id"] == made["id"]  # with no daemon
    assert mesh("status")[0] == Code.not_running

    started = up(mesh)
    assert mesh("up") == (0, {"v": 1, "pid": started["pid"], "listen": started["listen"]}, "")
    shown = mesh("status")[1]
    assert shown["pid"] == started["pid"] and shown["id"] == made["id"]
    assert shown["discovery"]["mode"] == "off"
    assert mesh("id", "show")[1]["fingerprint"] == made["fingerprint"]

    _, first, remark = mesh("post", "square", "-", stdin=None, input="from stdin\n")
    assert "treat 'square' as watched" in remark
    assert first["state"] == "queued" and first["channel"] == "square"
    _, answer, remark = mesh("post", "#square", "answer", "--reply-to", first["id"][:8])
    assert remark == ""
    read = mesh("read", "square")[1]
    assert [post["text"] for post in read["posts"]] == ["from stdin", "answer"]
    assert read["posts"][1]["id"] == answer["id"] and read["posts"][1]["reply_to"] == first["id"]
    assert mesh("read", "--since", str(read["cursor"]))[1]["posts"] == []
    assert [channel["name"] for channel in mesh("channel", "list")[1]["channels"]] == ["square"]

    assert mesh("post", "square", "x", "--wait", "delivered")[0] == Code.refused
    assert mesh("post", "square", "x", "--wait", "held", "--timeout", "0.05")[0] == Code.timed_out
    assert mesh("post", "square", "x", "--reply-to", "abcdef")[0] == Code.not_found
    assert mesh("peer", "add", "nonsense")[0] == Code.usage
    assert mesh("sync")[0] == Code.no_peers

    assert mesh("down")[1]["pid"] == started["pid"]
    assert mesh("down") == (0, {"v": 1, "pid": None, "listen": []}, "")
    assert up(mesh)["pid"] != started["pid"]  # the home is free at once


def test_following_goes_on_with_what_is_posted(mesh: Mesh, tmp_path: Path) -> None:
    mesh("init", "--no-passphrase")
    up(mesh)
    reader = subprocess.Popen(
        [*MESH, "--home", str(tmp_path / "home"), "--json", "read", "square", "--follow"],
        stdout=subprocess.PIPE,
    )
    assert reader.stdout
    assert "cursor" in json.loads(reader.stdout.readline())
    for text in ("one", "two", "\x1b[2J\u202e"):
        mesh("post", "square", text)
    shown: list[str] = []
    while shown[-2:] != ["\x1b[2J\u202e", "cursor"]:
        document = json.loads(reader.stdout.readline())
        shown.append(document.get("text") or next(name for name in document if name != "v"))
    assert [text for text in shown if text != "cursor"] == ["one", "two", "\x1b[2J\u202e"]
    reader.send_signal(signal.SIGINT)
    assert reader.wait(10) == 130
    reader.stdout.close()


def test_a_passphrase_from_a_descriptor_and_from_a_file(mesh: Mesh, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"correct horse\n")
    os.close(writing)
    status, made, _ = mesh("init", "--passphrase-fd", str(reading), pass_fds=(reading,))
    os.close(reading)
    assert status == 0 and made["encrypted"] is True
    words = tmp_path / "words"
    words.write_text("wrong horse\n")
    assert mesh("up", "--no-mdns", "--passphrase-file", str(words))[0] == Code.locked
    assert mesh("up", "--no-mdns")[0] == Code.usage  # no terminal to ask at
    assert mesh("up", "--no-mdns", "--foreground")[0] == Code.usage
    assert mesh("init")[0] == Code.refused  # there is a node already: nobody is asked for anything
    words.write_text("correct horse\n")
    up(mesh, "--passphrase-file", str(words))
    assert mesh("status")[1]["encrypted"] is True


def test_a_passphrase_is_asked_for_at_a_terminal(mesh: Mesh, tmp_path: Path) -> None:
    home = str(tmp_path / "home")
    for words, answers in ((["init"], b"correct horse\n" * 2), (["id", "show"], b"correct horse\n")):
        pid, terminal = pty.fork()
        if pid == 0:
            os.execv(sys.executable, [*MESH, "--home", home, *words])
        shown = b""
        for answer in answers.splitlines(keepends=True):
            while not shown.rstrip().endswith(b":"):
                shown += os.read(terminal, 1024)
            os.write(terminal, answer)
            shown = b""
        while True:
            try:
                shown += os.read(terminal, 1024)
            except OSError:
                break
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, shown
        os.close(terminal)
        assert b"fingerprint" in shown and b"correct horse" not in shown


def test_a_home_with_a_long_path(tmp_path: Path) -> None:
    home = str(tmp_path / ("d" * 120))

    def run(*args: str) -> int:
        return subprocess.run([*MESH, "--home", home, *args], capture_output=True, timeout=60).returncode

    assert run("init", "--no-passphrase") == 0
    try:
        assert run("up", "--no-mdns", "--listen", loopback()) == 0
        assert run("post", "square", "hello") == 0
    finally:
        assert run("down") == 0


def test_two_who_start_it_at_once_get_the_same_daemon(mesh: Mesh, tmp_path: Path) -> None:
    mesh("init", "--no-passphrase")
    command = [
        *MESH,
        "--home",
        str(tmp_path / "home"),
        "--json",
        "up",
        "--no-mdns",
        "--listen",
        loopback(),
    ]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    said = [json.loads(one.communicate(timeout=60)[0]) for one in both]
    assert [one.returncode for one in both] == [0, 0]
    assert said[0] == said[1]
