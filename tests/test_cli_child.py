"""What is run as a child: its document, its refusals, its passphrase, its log."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cli import child
from cli.child import Passphrase
from cli.console import Console
from meshd.errors import CallerError, Code

pytestmark = pytest.mark.real

DOCUMENT = """print('{"v": 1, "pid": 7}', flush=True)"""


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts a line of Python in the place of `meshd`."""

    def written(code: str) -> Console:
        monkeypatch.setattr(
            child, "command_line", lambda console, *args: [sys.executable, "-Ic", code, *args]
        )
        return Console()

    return written


def refusal(console: Console, passphrase: Passphrase | None = None) -> tuple[Code, str]:
    with pytest.raises(CallerError) as raised:
        child.answer(console, ["run"], "starting", passphrase or Passphrase())
    return raised.value.code, raised.value.message


def test_the_first_line_is_the_answer(program: Any) -> None:
    assert child.answer(program(DOCUMENT), ["init"], "starting", None) == {"v": 1, "pid": 7}


def test_a_refusal_keeps_its_code_and_its_words(program: Any) -> None:
    code = (
        """print('{"v": 1, "error": {"code": "busy", "message": "another meshd"}}'); raise SystemExit(11)"""
    )
    assert refusal(program(code)) == (Code.busy, "another meshd")


@pytest.mark.parametrize(
    "code", ["pass", "print('hello')", "print('[]')", f"{DOCUMENT}; raise SystemExit(9)"]
)
def test_a_child_that_makes_no_sense_is_an_error(code: str, program: Any) -> None:
    assert refusal(program(code))[0] is Code.error


def test_a_passphrase_travels_by_descriptor_and_never_by_argument(program: Any, monkeypatch: Any) -> None:
    code = (
        "import os, sys; number = int(sys.argv[sys.argv.index('--passphrase-fd') + 1])\n"
        "said = open(number).readline().strip(); assert said not in str(sys.argv) + str(os.environ)\n"
        "import json; print(json.dumps({'said': said}))"
    )
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.prompt", lambda *args, **options: "correct horse")
    console = program(code)
    assert child.answer(console, ["init"], "starting", Passphrase.asked(new=True)) == {
        "said": "correct horse"
    }


def test_only_a_locked_home_is_asked_for_its_passphrase(program: Any, monkeypatch: Any) -> None:
    asked: list[bool] = []

    def ask(new: bool) -> Passphrase:
        asked.append(new)
        return Passphrase(("--passphrase-fd", "0"))

    monkeypatch.setattr(Passphrase, "asked", ask)
    locked = (
        "import sys\nif '--passphrase-fd' in sys.argv: print('{}')\n"
        """else: print('{"error": {"code": "locked", "message": "no"}}'); raise SystemExit(4)"""
    )
    assert child.answer(program(locked), ["run"], "starting", None) == {}
    assert asked == [False]
    assert refusal(program(locked), Passphrase()) == (Code.locked, "no")  # wrong, not missing


def test_what_takes_longer_than_a_second_says_what_it_does(
    program: Any, monkeypatch: Any, capfd: Any
) -> None:
    monkeypatch.setattr(child, "_PATIENCE_S", 0.0)
    child.answer(program(DOCUMENT), ["run"], "opening the log", None)
    assert capfd.readouterr().err == "opening the log …\n"


def test_a_daemon_stays_alone_with_its_log(program: Any, tmp_path: Path) -> None:
    (tmp_path / "keyslot").touch()
    code = (
        'import os, sys, time; print(\'{"pid": %d, "session": %d}\' % (os.getpid(), os.getsid(0)), flush=True)\n'
        "print('a reason', file=sys.stderr, flush=True); time.sleep(60)"
    )
    log = child.open_log(str(tmp_path))
    document = child.answer(program(code), ["run"], "starting", None, log)
    os.close(log)
    try:
        assert document["session"] == document["pid"]
        end = time.monotonic() + 5
        while (tmp_path / "daemon.log").read_text() != "a reason\n":
            assert time.monotonic() < end
    finally:
        os.kill(document["pid"], signal.SIGKILL)
        os.waitpid(document["pid"], 0)
    assert (tmp_path / "daemon.log").stat().st_mode & 0o777 == 0o600


def test_no_log_is_made_where_there_is_no_node_nor_through_a_link(tmp_path: Path) -> None:
    with pytest.raises(CallerError) as raised:
        child.open_log(str(tmp_path))
    assert raised.value.code is Code.not_found and list(tmp_path.iterdir()) == []
    (tmp_path / "keyslot").touch()
    (tmp_path / "daemon.log").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CallerError) as raised:
        child.open_log(str(tmp_path))
    assert raised.value.code is Code.refused and not (tmp_path / "elsewhere").exists()
