"""The demo, whole: that it holds, that it notices a dead daemon, and that nothing is left of it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli import demo
from cli.console import Console
from meshd.errors import CallerError, Code


class Silent:
    """A laptop whose daemon runs until it is told otherwise."""

    fallen = False

    def check(self) -> None:
        if self.fallen:
            raise CallerError(Code.error, "the daemon of oak ended on the way")


def test_a_claim_that_stays_false_ends_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_CLAIM_S", 0.0)
    shown = demo.Demo(Console(), "/nowhere")
    with pytest.raises(CallerError) as raised:
        shown.claim("pigs fly", lambda: False)
    assert raised.value.code is Code.error and "pigs fly" in raised.value.message
    assert shown.claims == []


def test_a_claim_is_asked_until_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_PAUSE_S", 0.0)
    answers = iter([False, False, True])
    shown = demo.Demo(Console(), "/nowhere")
    shown.claim("it comes", lambda: next(answers))
    assert [claim["claim"] for claim in shown.claims] == ["it comes"]


def test_a_daemon_that_ends_while_a_claim_holds_ends_the_demo() -> None:
    laptop = Silent()
    laptop.fallen = True
    shown = demo.Demo(Console(), "/nowhere")
    shown.laptops = [laptop]  # type: ignore[list-item]
    with pytest.raises(CallerError):
        shown.claim("all is well", lambda: True)


def test_where_namespaces_are_not_allowed_the_demo_says_so_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("cli.room.shutil.which", lambda tool, path: None)
    shown = demo.Demo(Console(), "/nowhere")
    shown.laptops = []
    shown.strangers_in_a_room()
    shown.end()
    assert "Not shown" in capsys.readouterr().out
    assert shown.claims == []


@pytest.fixture
def temporary(tmp_path: Path) -> Iterator[Path]:
    """Where the demo makes its folder; nothing may be left in it."""
    yield tmp_path
    assert list(tmp_path.iterdir()) == []
    running = [path for path in Path("/proc").glob("[0-9]*/cmdline") if os.fsencode(tmp_path) in _read(path)]
    assert running == []


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def start(temporary: Path, *args: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-I", "-m", "cli", *args, "demo"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(temporary)},
    )  # fmt: skip


def daemons(temporary: Path) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        words = _read(path).split(b"\0")
        if b"run" in words and any(word.startswith(os.fsencode(temporary)) for word in words):
            found.append(int(path.parent.name))
    return sorted(found)


@pytest.mark.real
def test_the_demo_holds(temporary: Path) -> None:
    shown = start(temporary, "--json")
    out, err = shown.communicate(timeout=120)
    assert shown.returncode == 0, err
    document = json.loads(out)
    assert len(document["claims"]) >= 25 and all(claim["ok"] for claim in document["claims"])
    assert "crosses five hops" in err and "\\x" not in err and "\x1b" not in err


@pytest.mark.real
def test_the_demo_fails_when_one_of_its_daemons_is_killed(temporary: Path) -> None:
    shown = start(temporary)
    while len(running := daemons(temporary)) < 6:
        assert shown.poll() is None
        time.sleep(0.05)
    os.kill(running[2], signal.SIGKILL)
    _, err = shown.communicate(timeout=60)
    assert shown.returncode == 1
    assert err.count("\n") == 1 and "daemon" in err


@pytest.mark.real
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_tidies_up(number: signal.Signals, temporary: Path) -> None:
    shown = start(temporary)
    while len(daemons(temporary)) < 2:
        assert shown.poll() is None
        time.sleep(0.05)
    shown.send_signal(number)
    shown.communicate(timeout=60)
    assert shown.returncode == 130
