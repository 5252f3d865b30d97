"""The commands, with the daemon scripted: what it is asked, and what is printed."""

import io
import json
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from cli import console
from cli.root import run
from cli.text import local_time
from meshd.errors import CallerError, Code
from meshd.limits import BODY_SIZE_MAX
from tests.cli_script import CHANNELS, GAP, ID, PEERS, POST, READ, STATUS, Asked, Script, answer_with

NOTHING: Script = {"posts": [], "missing": [], "fired": [], "cursor": 7}


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[Script], Asked]:
    return partial(answer_with, monkeypatch)


def test_post_asks_the_daemon_and_says_no_more_than_is_known(script: Any, capsys: Any) -> None:
    asked = script({"post": {"v": 1, "id": ID, "channel": "square", "state": "queued"}})
    assert run(["post", "square", "hello", "--keep", "6h", "--reply-to", "7f3a7f"]) == 0
    assert asked == [("post", {"channel": "square", "text": "hello", "keep": "6h", "reply_to": "7f3a7f"})]
    out, err = capsys.readouterr()
    assert out == "7f3a7f3a in square: on disk here, handed to nobody yet\n" and err == ""


FIRED = {
    "plan": ID, "version": 1, "title": "Sat\x1burday", "group": "kitchen", "scenario": "bridge-closed", "drill": False,
    "time": "2026-12-05T12:00:00.000Z", "stands": True,
}  # fmt: skip


def test_what_fired_is_shown_by_read_status_and_follow(script: Any, capsys: Any) -> None:
    over = {**FIRED, "drill": True, "stands": False}
    script(
        {
            "read": {**NOTHING, "fired": [FIRED, over]},
            "status": {**STATUS, "plans": {"active": 2, "fired": 1, "alarms": ["1 of 3 \x07 shares"]}},
        }
    )
    at = local_time(str(FIRED["time"]))
    assert run(["read"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    named = "bridge-closed of the plan Sat\\x1burday"
    assert first == f"{at} kitchen  {named} has fired: `mesh plan show 7f3a7f3a`"
    assert second.startswith(f"{at} kitchen  drill of {named} had fired, and does not stand")
    run(["status"])
    *_, plans, alarm = capsys.readouterr().out.splitlines()
    assert plans == "plans      2 active, 1 fired: `mesh plan list`"
    assert alarm == "warning    1 of 3 \\x07 shares"


def test_post_waits_when_asked_to(script: Any) -> None:
    asked = script({"post": {"id": ID, "channel": "square", "state": "held"}})
    run(["post", "square", "hello", "--wait", "held", "--timeout", "3"])
    assert asked == [("post", {"channel": "square", "text": "hello", "wait": "held", "timeout": 3.0})]


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
    monkeypatch.setattr("cli.posts._LONG_SIZE", 400)
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
    assert asked[1] == ("subscribe", {"channel": "square", "cursor": 41, "missing": True, "fired": True})


def test_following_shows_text_without_cursors(script: Any, capsys: Any) -> None:
    script({"read": READ, "subscribe": {"subscription": 1}, "notices": [None]})
    assert run(["read", "--follow"]) == 130
    assert "cursor" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("via", "said"), [("own", "written here"), ("bundle", "by a bundle"), ("carry", "carried")]
)
def test_show_says_how_a_post_came(via: str, said: str, script: Any, capsys: Any) -> None:
    came = {"signature": "valid", "first_seen": POST["time"], "via": via, "parents": [], "forked": False}
    script({"show": {**POST, **came}})
    run(["show", ID])
    assert f", {said}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "method", "params", "answer", "lines"),
    [
        (["channel", "list"], "channel.list", {}, CHANNELS, ["square\tpublic\t2"]),
        (["channel", "join", "square"], "channel.join", {"name": "square"}, CHANNELS, ["square\tpublic\t2"]),
        (["channel", "leave", "square"], "channel.leave", {"channel": "square"}, {"channels": []}, []),
        (["peer", "list"], "peer.list", {}, PEERS, ["192.168.1.7:4040\twaiting (refused)\t-\t1.2\t7\t9"]),
        (["peer", "add", "h:1"], "peer.add", {"address": "h:1"}, {"peers": []}, []),
        (["peer", "drop", "h:1"], "peer.drop", {"address": "h:1"}, {"peers": []}, []),
        (["peer", "ping", "h:1"], "peer.ping", {"who": "h:1"}, {"rtt_ms": 3}, ["answered within 3 ms"]),
        (["search", "'a b' -c", "square"], "search", {"query": "'a b' -c", "channel": "square"}, NOTHING, []),
        (["search", "a", "--limit", "3"], "search", {"query": "a", "limit": 3}, NOTHING, []),
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


BUNDLED: Script = {"new": 1, "known": 2, "refused": 3, "expired": 4, "whole": True}


def test_a_bundle_is_named_by_its_absolute_path(
    script: Any, capsys: Any, tmp_path: Any, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = script({"bundle.export": {"envelopes": 3, "bytes": 99}, "bundle.import": BUNDLED})
    assert run(["bundle", "export", "a", "--since", "2h", "--channel", "square"]) == 0
    assert run(["bundle", "import", "../a"]) == 0
    assert asked == [
        ("bundle.export", {"file": f"{tmp_path}/a", "since": "2h", "channel": "square"}),
        ("bundle.import", {"file": f"{tmp_path.parent}/a"}),
    ]
    assert capsys.readouterr() == ("3 envelopes, 99 bytes\n1 new, 2 known, 3 refused, 4 expired\n", "")


def test_a_bundle_that_is_not_whole_is_no_failure_but_said(script: Any, capsys: Any) -> None:
    script({"bundle.import": {**BUNDLED, "whole": False}})
    assert run(["bundle", "import", "a", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["whole"] is False and "cut off or damaged" in err


def test_show_says_where_a_post_comes_from(script: Any, capsys: Any) -> None:
    shown = {**POST, "signature": "valid", "first_seen": POST["time"], "via": "10.0.0.2:\x1b4", "parents": [ID],
             "forked": False}  # fmt: skip
    asked = script({"show": shown})
    assert run(["show", "7f3a7f"]) == 0
    assert asked == [("show", {"id": "7f3a7f"})]
    out = capsys.readouterr().out
    for said in (ID, "ab" * 32, "verified just now", "by 10.0.0.2:", "parents     7f3a7f3a\n"):
        assert said in out
    assert "two different posts" not in out and "\x1b" not in out
    script({"show": {**shown, "signature": "was-valid", "forked": True}})
    run(["show", ID])
    out = capsys.readouterr().out
    assert "by 10.0.0.2" in out and "verified when it came" in out and "two different posts" in out


def test_mark_says_what_it_means(script: Any, capsys: Any) -> None:
    asked = script({"mark": {"v": 1, "id": ID, "marked": True}})
    assert run(["mark", "7f3a7f"]) == 0 and asked == [("mark", {"id": "7f3a7f"})]
    assert "a seizure would show it" in capsys.readouterr().out
    asked = script({"mark": {"v": 1, "id": ID, "marked": False}})
    assert run(["mark", ID, "--remove"]) == 0 and asked == [("mark", {"id": ID, "remove": True})]
    assert "goes when its time is over" in capsys.readouterr().out


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
        "ADDRESS           STATE              CONTACT  RTT MS  BYTES IN  BYTES OUT",
        "192.168.1.7:4040  waiting (refused)  -        1.2     7         9",
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


def test_watching_shows_the_status_until_ctrl_c(script: Any, capsys: Any, monkeypatch: Any) -> None:
    naps = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", nap)
    asked = script({"status": STATUS})
    assert run(["status", "--watch", "--json"]) == 130
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [STATUS] * 3
    assert naps == [1.0] * 3 and len(asked) == 3


# --- the internet ---

INTERNET: dict[str, Any] = {
    "v": 1, "state": "local", "since": "2026-11-22T13:04:00Z", "dark": True, "dark_since": "2026-11-22T13:09:00Z",
    "reason": "the internet is gone, and was here within seven days", "last_seen": "2026-11-22T13:04:00Z",
    "observations": [
        {"source": "routes", "found": "a way out", "detail": "", "since": None},
        {"source": "system", "found": "nothing", "detail": "not \x1b answered", "since": "2026-11-22T13:04:00Z"},
    ],
    "attested_by": [{"id": "aa" * 32, "name": "oak"}, {"id": "bb" * 32, "name": "fe\x1brn"}],
}  # fmt: skip


def test_internet_says_what_is_seen_and_by_whom(script: Any, capsys: Any) -> None:
    gone, dark = local_time(INTERNET["since"]), local_time(INTERNET["dark_since"])
    asked = script({"internet": INTERNET})
    assert run(["internet"]) == 0 and asked == [("internet", {})]
    assert capsys.readouterr().out.splitlines() == [
        f"internet   local since {gone}",
        f"dark       yes, since {dark}",
        "because    the internet is gone, and was here within seven days",
        f"last seen  {gone}",
        "routes     a way out",
        f"system     nothing: not \\x1b answered, since {gone}",
        "attested   by oak, fe\\x1brn",
    ]
    nobody = {"state": None, "since": None, "dark": False, "dark_since": None, "last_seen": None}
    script(
        {"internet": {**INTERNET, **nobody, "reason": "nobody looks", "observations": [], "attested_by": []}}
    )
    assert run(["internet"]) == 0
    assert capsys.readouterr().out == "internet   unknown\ndark       no\nbecause    nobody looks\n"
