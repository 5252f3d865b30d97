"""The command line, with the daemon scripted: what is asked, what is printed, and how it ends."""

import io
import json
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from cli import console, root
from cli.commands import Command, Group
from cli.root import mesh, run
from meshd.errors import CallerError, Code
from meshd.limits import BODY_SIZE_MAX

Script = dict[str, Any]
ID = "7f3a" * 16

POST = {
    "id": ID, "channel": "square", "author": "ab" * 32, "name": "oak#abab", "trust": "self", "text": "hello",
    "time": "2026-11-22T13:00:00Z", "clock_off_s": 0, "kind": "text", "reply_to": None,
    "held_by": {"contacts": 1, "others": 2}, "sealed": False, "expires": "2026-11-25T13:00:00Z",
}  # fmt: skip
GAP = {"author": "oak#abab", "channel": "square", "count": 3}
READ = {"v": 1, "posts": [POST], "missing": [GAP], "cursor": 41}
CHANNELS = {
    "v": 1,
    "channels": [{"id": "01" * 16, "name": "square", "kind": "public", "members": None, "unread": 2}],
}
PEERS = {
    "v": 1,
    "peers": [
        {
            "address": "192.168.1.7:4040",
            "contact": None,
            "state": "open",
            "rtt_ms": 1.25,
            "in_bytes": 7,
            "out_bytes": 9,
        }
    ],
}
STATUS = {
    "v": 1, "id": ID, "name": "oak", "uptime_s": 130, "pid": 4711, "socket": "/h/ctl.sock", "encrypted": False,
    "locked": False, "network": {"kind": "open", "id": "cd" * 16}, "listen": ["192.168.1.2:5151"],
    "links": [{"peer": "ee" * 32, "contact": None, "address": "192.168.1.7:4040",
               "since": "2026-11-22T13:00:00Z", "direction": "out"}],
    "counts": {"posts": 10, "envelopes": 12, "channels": 2}, "clock": {"state": "ok", "off_s": 0},
    "internet": None, "discovery": {"mode": "announce", "ok": True, "reason": ""}, "exposed": [],
}  # fmt: skip


class ScriptedClient:
    """The daemon's side of a conversation: an answer, or an error, for each method; requests are kept."""

    def __init__(self, script: Script, asked: list[tuple[str, dict[str, Any]]]) -> None:
        self.script, self.asked = script, asked
        self.answer_size = 0

    def __enter__(self) -> "ScriptedClient":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def call(self, method: str, params: Any = None, timeout_s: float | None = None) -> Any:
        self.asked.append((method, {n: v for n, v in (params or {}).items() if v is not None}))
        answer = self.script[method]
        answer = answer.pop(0) if isinstance(answer, list) else answer
        if isinstance(answer, CallerError):
            raise answer
        self.answer_size = len(json.dumps(answer))
        return answer

    def send(self, method: str, params: Any = None) -> None:
        self.sent = self.call(method, params)

    def answer(self, patience_s: float) -> Any:
        return self.sent

    def notices(self, pause_s: float) -> Iterator[Any]:
        yield from self.script["notices"]
        raise KeyboardInterrupt  # the only end of following


Asked = list[tuple[str, dict[str, Any]]]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[Script], Asked]:
    def scripted(script: Script) -> Asked:
        asked: Asked = []
        monkeypatch.setattr(console.Console, "connect", lambda _: ScriptedClient(script, asked))
        return asked

    return scripted


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


# --- results ---


def test_post_asks_the_daemon_and_says_no_more_than_is_known(script: Any, capsys: Any) -> None:
    asked = script({"post": {"v": 1, "id": ID, "channel": "square", "state": "queued"}})
    assert run(["post", "square", "hello", "--keep", "6h", "--reply-to", "7f3a7f"]) == 0
    assert asked == [("post", {"channel": "square", "text": "hello", "keep": "6h", "reply_to": "7f3a7f"})]
    out, err = capsys.readouterr()
    assert out == "7f3a7f3a in square: on disk here, handed to nobody yet\n" and err == ""


def test_post_waits_when_asked_to(script: Any) -> None:
    asked = script({"post": {"id": ID, "channel": "square", "state": "held"}})
    run(["post", "square", "hello", "--wait", "held"])
    run(["post", "square", "hello", "--wait", "held", "--timeout", "3"])
    assert [params["timeout"] for _, params in asked] == [60.0, 3.0]


def test_the_first_post_in_a_public_channel_says_treat_as_watched(script: Any, capsys: Any) -> None:
    script({"post": {"id": ID, "channel": "square", "state": "queued", "first": True}})
    assert run(["post", "square", "hello", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["id"] == ID
    assert "treat 'square' as watched" in err


def stdin_is(monkeypatch: pytest.MonkeyPatch, raw: bytes) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(raw), encoding="utf-8"))


def test_text_comes_from_stdin_with_a_dash(script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = script({"post": {"id": ID, "channel": "square", "state": "queued"}})
    for raw, said in ((b"two\nlines\n", "two\nlines"), (b"dos\r\n", "dos"), ("für".encode(), "für")):
        stdin_is(monkeypatch, raw)
        assert run(["post", "square", "-"]) == 0
        assert asked.pop()[1]["text"] == said
    stdin_is(monkeypatch, b"x" * BODY_SIZE_MAX)
    assert run(["post", "square", "-"]) == 0


@pytest.mark.parametrize("raw", [b"\xff\xfe", b"x" * (BODY_SIZE_MAX + 1)])
def test_stdin_that_is_no_text_for_a_post_is_a_usage_error(raw: bytes, script: Any, monkeypatch: Any) -> None:
    asked = script({})
    stdin_is(monkeypatch, raw)
    assert run(["post", "square", "-"]) == Code.usage
    assert asked == []


def test_an_argument_that_is_not_utf8_is_a_usage_error(script: Any, capsys: Any) -> None:
    script({})
    assert run(["post", "square", "caf\udce9"]) == Code.usage
    assert "UTF-8" in capsys.readouterr().err


def test_read_shows_posts_gaps_and_who_holds_what(script: Any, capsys: Any) -> None:
    asked = script({"read": READ})
    assert run(["read", "square", "-n", "5", "--since", "2h"]) == 0
    assert asked == [("read", {"channel": "square", "limit": 5, "since": "2h"})]
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"7f3a7f3a \d\d-\d\d \d\d:\d\d square oak#abab: hello", lines[0])
    assert lines[1].strip() == "handed to 3, 1 of them a contact"
    assert lines[2] == "3 missing from oak#abab in square"


@pytest.mark.parametrize(
    ("contacts", "others", "said"),
    [
        (0, 0, "handed to nobody yet"),
        (0, 2, "handed to 2, none of them a contact"),
        (1, 2, "handed to 3, 1 of them a contact"),
        (2, 0, "handed to 2, 2 of them contacts"),
    ],
)
def test_a_post_is_handed_on_and_never_safe(contacts: int, others: int, said: str) -> None:
    from cli.text import held_by

    assert held_by({"contacts": contacts, "others": others}) == said


def test_an_answer_cut_at_the_size_of_a_line_is_gone_on_with(
    script: Any, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.setattr("cli.posts.RPC_LINE_SIZE_MAX", 800)
    pages = [{**READ, "cursor": n, "posts": [{**POST, "text": str(n)}] * 2} for n in (1, 2)]
    asked = script({"read": [*pages, {**READ, "posts": [], "cursor": 2}]})
    assert run(["read", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [post["text"] for post in document["posts"]] == ["1", "1", "2", "2"]
    assert document["cursor"] == 2
    assert [params for _, params in asked] == [{}, {"limit": 48, "since": "1"}, {"limit": 46, "since": "2"}]


def test_following_prints_one_document_a_line(script: Any, capsys: Any) -> None:
    later = {**POST, "id": "aa" * 32, "text": "later"}
    notices = [
        {"method": "post", "params": {"subscription": 1, "cursor": 42, "post": later}},
        {"method": "missing", "params": {"subscription": 1, "missing": {**GAP, "count": 0}}},
        None,
        None,
    ]
    asked = script({"read": READ, "subscribe": {"subscription": 1}, "notices": notices})
    assert run(["read", "square", "--follow", "--json"]) == 130
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        {"v": 1, **POST},
        {"v": 1, "missing": GAP},
        {"v": 1, "cursor": 41},
        {"v": 1, **later},
        {"v": 1, "missing": {**GAP, "count": 0}},
        {"v": 1, "cursor": 42},
    ]
    assert asked[1] == ("subscribe", {"channel": "square", "cursor": 41, "missing": True})


def test_following_shows_text_without_cursors(script: Any, capsys: Any) -> None:
    script({"read": READ, "subscribe": {"subscription": 1}, "notices": [None]})
    assert run(["read", "--follow"]) == 130
    assert "cursor" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "method", "params", "answer", "lines"),
    [
        (["channel", "list"], "channel.list", {}, CHANNELS, ["square\tpublic\t2"]),
        (["channel", "join", "square"], "channel.join", {"name": "square"}, CHANNELS, ["square\tpublic\t2"]),
        (["channel", "leave", "square"], "channel.leave", {"channel": "square"}, {"channels": []}, []),
        (["peer", "list"], "peer.list", {}, PEERS, ["192.168.1.7:4040\topen\t-\t1.2\t7\t9"]),
        (["peer", "add", "h:1"], "peer.add", {"address": "h:1"}, {"peers": []}, []),
        (["peer", "drop", "h:1"], "peer.drop", {"address": "h:1"}, {"peers": []}, []),
        (["sync"], "sync", {}, {"links": 2, "received": 3, "sent": 4}, ["2 links, 3 received, 4 sent"]),
        (["invite", "network"], "invite.network", {}, {"invite": "abc"}, ["abc"]),
    ],
)
def test_a_command_is_its_method(
    args: list[str], method: str, params: Script, answer: Script, lines: list[str], script: Any, capsys: Any
) -> None:
    asked = script({method: answer})
    assert run(args) == 0
    assert asked == [(method, params)]
    assert capsys.readouterr().out.splitlines() == lines
    assert run([*args, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"v": 1, **answer}


def test_status_names_what_matters(script: Any, capsys: Any) -> None:
    script({"status": STATUS})
    assert run(["status"]) == 0
    out = capsys.readouterr().out
    for said in ("oak 7f3a7f3a, up 2 min, pid 4711", "treat it as watched", "no passphrase", "192.168.1.2:5151",
                 "10 posts, 12 envelopes, 2 channels", "dialled by us"):  # fmt: skip
        assert said in out


def test_tables_are_for_terminals(script: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    script({"peer.list": PEERS})
    monkeypatch.setattr(console.Console, "terminal", True)
    run(["peer", "list", "--color", "never"])
    assert capsys.readouterr().out.splitlines() == [
        "ADDRESS           STATE  CONTACT  RTT MS  BYTES IN  BYTES OUT",
        "192.168.1.7:4040  open   -        1.2     7         9",
    ]


def test_id_qr_draws_the_card(script: Any, capsys: Any) -> None:
    shown = {"id": ID, "name": "oak", "fingerprint": "one two", "card": "MESHD:1:" + "A" * 58}
    script({"id.show": shown})
    assert run(["id", "qr"]) == 0
    lines = capsys.readouterr().out.splitlines()
    picture = [line for line in lines if line and set(line) <= set(" ▀▄█")]
    assert len(picture) <= 21 and len({len(line) for line in picture}) == 1


def test_up_when_up_and_down_when_down_are_fine(script: Any, capsys: Any) -> None:
    script({"status": STATUS})
    assert run(["up", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"v": 1, "pid": 4711, "listen": ["192.168.1.2:5151"]}
    script({"status": CallerError(Code.not_running, "no")})
    assert run(["down", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"v": 1, "pid": None, "listen": []}


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
    monkeypatch.setattr(
        console.Console, "connect", lambda self: homes.append(self.home_option) or connect(self)
    )
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
    stdin_is(monkeypatch, b"")
    assert run(["--home", str(tmp_path), "init"]) == Code.usage
    err = capsys.readouterr().err
    assert all(option in err for option in ("--passphrase-file", "--passphrase-fd", "--no-passphrase"))
    assert run(["--home", str(tmp_path), "init", "--passphrase-fd", "3", "--no-passphrase"]) == Code.usage


# --- completion ---


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_the_script_of_a_shell(shell: str, capsys: Any) -> None:
    assert run(["completion", shell]) == 0
    assert f"_MESH_COMPLETE={shell}_complete" in capsys.readouterr().out
