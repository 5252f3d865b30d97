"""What holds for every command: help, global options, colours, errors and exit statuses."""

import io
import json
import re
import shlex
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import click
import pytest

from cli import console, root
from cli.commands import Command, Group
from cli.root import mesh, run
from meshd.errors import CallerError, Code
from tests.cli_script import PEERS, READ, STATUS, Asked, Script, answer_with


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[Script], Asked]:
    return partial(answer_with, monkeypatch)


def commands(group: click.Group = mesh, path: str = "mesh") -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")


# --- help ---


@pytest.mark.parametrize("path", ["mesh", *(path for path, _ in commands())])
def test_every_help_fits_a_screen_and_shows_an_example(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*path.split()[1:], "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 24 and max(map(len, lines)) <= 80
    assert lines[-1].startswith(f"Example: {path}" if path != "mesh completion" else "Example: eval")


@pytest.mark.parametrize("path", [path for path, command in commands() if isinstance(command, Command)])
def test_every_example_can_be_parsed(path: str) -> None:
    example = dict(commands())[path].example  # type: ignore[attr-defined]
    words = re.sub(r'^eval "\$\((.*)\)"$', r"\1", example).split(" > ")[0].split(" && ")[0]
    context = mesh.make_context("mesh", shlex.split(words)[1:], resilient_parsing=False)
    while isinstance(context.command, Group):
        name, command, rest = context.command.resolve_command(
            context, [*context._protected_args, *context.args]
        )
        assert command is not None
        context = command.make_context(name, rest, parent=context)


def test_no_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    assert "mesh" in capsys.readouterr().out


# --- global options ---


@pytest.mark.parametrize(
    "args",
    [
        ["--json", "--home", "H", "peer", "list"],
        ["peer", "--json", "list", "--home", "H"],
        ["--home", "else", "peer", "list", "--json", "--home", "H"],
    ],
)
def test_global_options_stand_anywhere_and_the_last_wins(
    args: list[str], script: Any, capsys: Any, monkeypatch: Any
) -> None:
    script({"peer.list": PEERS})
    homes: list[str | None] = []
    connect = console.Console.connect

    def noted(self: console.Console) -> Any:
        homes.append(self.home_option)
        return connect(self)

    monkeypatch.setattr(console.Console, "connect", noted)
    assert run(args) == 0
    assert json.loads(capsys.readouterr().out) == PEERS
    assert homes == ["H"]


def test_options_come_from_the_environment_too(script: Any, capsys: Any, monkeypatch: Any) -> None:
    asked = script({"read": READ, "status": STATUS})
    monkeypatch.setenv("MESHD_JSON", "1")
    monkeypatch.setenv("MESHD_READ_LIMIT", "7")
    assert run(["read"]) == 0
    assert json.loads(capsys.readouterr().out) == READ
    assert asked == [("read", {"limit": 7})]


@pytest.mark.parametrize(
    ("color", "environment", "coloured"),
    [
        ("auto", {}, True),
        ("auto", {"NO_COLOR": "1"}, False),
        ("auto", {"NO_COLOR": ""}, True),
        ("auto", {"TERM": "dumb"}, False),
        ("never", {}, False),
        ("always", {"NO_COLOR": "1"}, True),
    ],
)
def test_colour_is_a_choice(
    color: str, environment: dict[str, str], coloured: bool, script: Any, capsys: Any, monkeypatch: Any
) -> None:
    script({"read": READ})
    monkeypatch.setattr(console.Console, "terminal", True)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    run(["--color", color, "read"])
    assert ("\x1b[" in capsys.readouterr().out) is coloured


def test_no_colour_off_a_terminal(script: Any, capsys: Any) -> None:
    script({"read": READ})
    run(["read"])
    assert "\x1b" not in capsys.readouterr().out


# --- errors ---


@pytest.mark.parametrize("code", list(Code))
def test_an_error_is_one_line_a_document_and_its_status(code: Code, script: Any, capsys: Any) -> None:
    script({"peer.list": CallerError(code, "what is wrong: what to do")})
    assert run(["peer", "list"]) == code
    assert capsys.readouterr() == ("", "mesh: what is wrong: what to do\n")
    assert run(["peer", "list", "--json"]) == code
    out, err = capsys.readouterr()
    assert json.loads(out) == {"v": 1, "error": {"code": code.name, "message": "what is wrong: what to do"}}
    assert err == "mesh: what is wrong: what to do\n"


def test_F13_an_error_that_quotes_the_net_is_inert(script: Any, capsys: Any) -> None:
    script({"peer.list": CallerError(Code.usage, "which \x1b]0;x\x07?")})
    run(["peer", "list"])
    assert capsys.readouterr().err == "mesh: which \\x1b]0;x\\x07?\n"


@pytest.mark.parametrize("args", [["post"], ["post", "square"], ["channel", "join"], ["channel", "leave"]])
def test_a_missing_channel_or_text_explains_the_hash(args: list[str], capsys: Any) -> None:
    assert run(args) == Code.usage
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and root.HASH_REMARK in err


@pytest.mark.parametrize(
    "args",
    [["nonsense"], ["peer"], ["post", "a", "b", "c"], ["read", "--limit", "0"], ["--color", "red", "status"],
     ["status", "--nonsense"], ["init", "--open", "--invite", "x", "--no-passphrase"]],
)  # fmt: skip
def test_a_wrong_command_line_is_one_line_with_status_2(args: list[str], capsys: Any) -> None:
    assert run([*args, "--json"]) == Code.usage
    out, err = capsys.readouterr()
    assert json.loads(out)["error"]["code"] == "usage"
    assert err.startswith("mesh: ") and err.count("\n") == 1


def test_a_home_without_daemon_says_what_to_do(tmp_path: Path, capsys: Any) -> None:
    assert run(["--home", str(tmp_path), "status"]) == Code.not_running
    assert "mesh up" in capsys.readouterr().err
    assert run(["--home", str(tmp_path / "none"), "status"]) == Code.not_running
    assert "mesh init" in capsys.readouterr().err
    assert run(["--home", str(tmp_path / "none"), "up"]) == Code.not_found


def test_a_passphrase_is_never_guessed_off_a_terminal(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert run(["--home", str(tmp_path), "init"]) == Code.usage
    err = capsys.readouterr().err
    assert all(option in err for option in ("--passphrase-file", "--passphrase-fd", "--no-passphrase"))
    assert run(["--home", str(tmp_path), "init", "--passphrase-fd", "3", "--no-passphrase"]) == Code.usage


# --- completion ---


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_the_script_of_a_shell(shell: str, capsys: Any) -> None:
    assert run(["completion", shell]) == 0
    assert f"_MESH_COMPLETE={shell}_complete" in capsys.readouterr().out
