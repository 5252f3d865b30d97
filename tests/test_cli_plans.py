"""`mesh plan`, `mesh cue` and `mesh heartbeat`, with the daemon scripted: what it is asked, and what is printed."""

import io
import json
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
import pytest

from cli import completion, text_plans
from cli.console import Console
from cli.plans import overwrite
from cli.root import run
from meshd.errors import CallerError, Code
from tests.cli_script import ID, Asked, Script, ScriptedClient, answer_with

OAK, FERN = {"id": "0a" * 32, "name": "oak"}, {"id": "fe" * 32, "name": "fern"}
WORDS = " ".join(f"word{number}" for number in range(20))
PHRASE = "Otter, RIVER — moss  fern reed ivy!"
SIGNED = {
    "v": 1, "id": ID, "version": 1, "version_id": ID, "title": "Saturday", "state": "proposed", "signers": [OAK],
    "needed": 2,
}  # fmt: skip
PROPOSED = {**SIGNED, "phrases": [{"scenario": "bridge-closed", "phrase": "otter river moss fern reed ivy"}]}
SEALED = {
    "name": "bridge-closed", "sealed": True, "locks": ["phrase", "shares"], "cue": {"call": True}, "state": "sealed",
    "fired_at": None, "response": None, "progress": {"have": 1, "needed": 2},
    "shares": {"have": 1, "needed": 3, "released": 1, "false": [FERN]},
    "remarks": ["shares were released before it fired: 1 of 3", "false share by fern"],
}  # fmt: skip
RESPONSE = {
    "text": "Meet.\nForged: line",
    "place": "the mill",
    "at": "+30m",
    "checklist": ["tell the medics"],
}
CLEAR = {
    "name": "blackout", "sealed": False, "locks": [], "state": "open", "fired_at": None, "response": RESPONSE,
    "cue": {"all": [{"dark": {"attested_by": 3}}, {"any": [{"phrase": True}, {"call": True}]}]},
    "progress": None, "shares": None, "remarks": [],
}  # fmt: skip
PLAN = {
    **SIGNED, "state": "active", "group": "kitchen", "author": OAK, "valid_from": "2026-12-05T08:00:00.000Z",
    "valid_until": "2026-12-05T22:00:00.000Z", "organisers": [OAK, FERN], "threshold": 2, "stewards": [OAK, FERN],
    "shares_needed": 2, "observers": [OAK], "freeze_when_dark": True, "scenarios": [SEALED, CLEAR],
}  # fmt: skip
PLANS = {"v": 1, "plans": [PLAN]}
CUE = {
    "v": 1, "plan": ID, "title": "Saturday", "scenario": "bridge-closed", "drill": False, "signers": [OAK],
    "needed": 2, "state": "sealed", "score": None,
}  # fmt: skip
SHARE = {"v": 1, "plan": ID, "scenario": "bridge-closed", "have": 1, "needed": 3, "state": "sealed"}


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[Script], Asked]:
    return partial(answer_with, monkeypatch)


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts text on stdin."""
    return lambda said: monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(said.encode())))


# --- arranging ---


def test_draft_writes_an_example_and_nothing_over_anything(tmp_path: Path, capsys: Any) -> None:
    file = tmp_path / "saturday.toml"
    assert run(["plan", "draft", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"v": 1, "file": str(file)}
    assert "[[scenario]]" in file.read_text() and os.stat(file).st_mode & 0o777 == 0o600
    file.write_text("mine")
    assert run(["plan", "draft", str(file)]) == Code.refused
    capsys.readouterr()
    assert run(["plan", "draft", str(file / "there"), "--json"]) == Code.refused
    assert (
        json.loads(capsys.readouterr().out)["error"]["message"]
        == f"{file}/there can't be written: Not a directory"
    )
    assert file.read_text() == "mine"


def test_propose_shows_the_phrases_and_leaves_the_file(script: Any, tmp_path: Path, capsys: Any) -> None:
    asked = script({"plan.propose": PROPOSED})
    (tmp_path / "p.toml").write_text("in the clear")
    assert (
        run(["plan", "propose", str(tmp_path / "p.toml"), "--group", "kitchen", "--replaces", "Friday"]) == 0
    )
    assert asked == [
        ("plan.propose", {"file": str(tmp_path / "p.toml"), "group": "kitchen", "replaces": "Friday"})
    ]
    out, err = capsys.readouterr()
    assert "  bridge-closed: otter river moss fern reed ivy\n" in out and "signed by 1 of 2: oak" in out
    assert "left as it is, in the clear" in err and (tmp_path / "p.toml").exists()


def test_propose_overwrites_and_removes_the_file_if_told_to(script: Any, tmp_path: Path, capsys: Any) -> None:
    asked = script({"plan.propose": PROPOSED})
    (tmp_path / "p.toml").write_text("in the clear")
    assert (
        run(["plan", "propose", str(tmp_path / "p.toml"), "--group", "k", "--single", "--remove-file"]) == 0
    )
    assert asked[0][1]["single"] is True
    assert not (tmp_path / "p.toml").exists() and "no program can tell" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "answers", "is_removed"),
    [((), True, True), ((), False, False), (("--json",), None, False), (("--keep-file",), None, False)],
)
def test_who_sits_at_a_terminal_is_asked_whether_the_file_goes(
    option: tuple[str, ...],
    answers: bool | None,
    is_removed: bool,
    script: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def confirm(question: str, err: bool) -> bool:
        assert answers is not None, "nobody is asked"
        return answers

    script({"plan.propose": PROPOSED})
    monkeypatch.setattr("cli.plans.at_terminal", lambda: True)
    monkeypatch.setattr(click, "confirm", confirm)
    (tmp_path / "p.toml").write_text("in the clear")
    assert run(["plan", "propose", str(tmp_path / "p.toml"), "--group", "kitchen", *option]) == 0
    assert (tmp_path / "p.toml").exists() is not is_removed


def test_a_phrase_is_asked_for_unseen(script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def prompt(text: str, hide_input: bool, err: bool) -> str:
        assert hide_input and err
        return PHRASE

    asked = script({"plan.open": {"v": 1, "plan": ID, "scenario": "go", "state": "open", "response": None}})
    monkeypatch.setattr("cli.plans.at_terminal", lambda: True)
    monkeypatch.setattr(click, "prompt", prompt)
    assert run(["plan", "open", "Saturday", "go"]) == 0
    assert asked == [("plan.open", {"plan": "Saturday", "scenario": "go", "phrase": PHRASE})]


def test_a_proposal_that_is_refused_leaves_the_file(script: Any, tmp_path: Path) -> None:
    script({"plan.propose": CallerError(Code.invalid, "line 3: threshold is 9")})
    (tmp_path / "p.toml").write_text("in the clear")
    assert run(["plan", "propose", str(tmp_path / "p.toml"), "--group", "k", "--remove-file"]) == Code.invalid
    assert (tmp_path / "p.toml").read_text() == "in the clear"


def test_what_is_removed_is_zeros_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "p").write_bytes(b"in the clear" * 10_000)
    os.link(tmp_path / "p", tmp_path / "another name")
    synced = []
    monkeypatch.setattr(os, "fsync", lambda _: synced.append((tmp_path / "p").read_bytes() == bytes(120_000)))
    overwrite(str(tmp_path / "p"))
    assert synced == [True], "the zeros are on the disk while the name is still there"
    assert not (tmp_path / "p").exists()
    assert (tmp_path / "another name").read_bytes() == bytes(120_000)


def test_nothing_is_overwritten_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "else").write_text("kept")
    (tmp_path / "p").symlink_to("else")
    with pytest.raises(OSError):
        overwrite(str(tmp_path / "p"))
    assert (tmp_path / "else").read_text() == "kept"


@pytest.mark.parametrize(
    ("args", "method", "params", "answer"),
    [
        (["plan", "sign", "Saturday"], "plan.sign", {"plan": "Saturday"}, SIGNED),
        (["plan", "burn", "Saturday", "reed"], "plan.burn", {"plan": "Saturday", "who": "reed"}, PROPOSED),
        (["plan", "list"], "plan.list", {}, PLANS),
        (["plan", "show", "Saturday"], "plan.show", {"plan": "Saturday"}, PLANS),
        (
            ["plan", "share", "show", "Saturday"],
            "plan.share.show",
            {"plan": "Saturday"},
            {**SHARE, "words": WORDS},
        ),
        (
            ["plan", "share", "release", "Saturday", "go"],
            "plan.share.release",
            {"plan": "Saturday", "scenario": "go"},
            SHARE,
        ),
        (
            ["cue", "fire", "Saturday", "go", "--drill"],
            "cue.fire",
            {"plan": "Saturday", "scenario": "go", "drill": True},
            CUE,
        ),
        (["cue", "list"], "cue.list", {}, {"v": 1, "cues": [CUE]}),
        (
            ["plan", "stand-down", "Saturday"],
            "plan.stand-down",
            {"plan": "Saturday"},
            {**CUE, "scenario": None, "version": 1},
        ),
        (["heartbeat", "on"], "heartbeat.on", {}, {"v": 1, "state": "on"}),
        (["heartbeat", "off"], "heartbeat.off", {}, {"v": 1, "state": "off"}),
    ],
)
def test_each_command_asks_for_what_it_says(
    args: list[str], method: str, params: Script, answer: Script, script: Any, capsys: Any
) -> None:
    asked = script({method: answer})
    assert run(args) == 0 and asked == [(method, params)]
    assert capsys.readouterr().out.strip()
    assert run([*args, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"v": 1, **answer}


# --- locks ---


def test_a_phrase_comes_from_a_file_or_stdin_and_is_its_first_line(
    script: Any, typed: Any, tmp_path: Path, capsys: Any
) -> None:
    opened = {"v": 1, "plan": ID, "scenario": "go", "state": "open", "response": RESPONSE}
    asked = script({"plan.open": opened})
    (tmp_path / "phrase").write_text(PHRASE + "\nand a note\n")
    assert (
        run(["plan", "open", "Saturday", "go", "--phrase-file", str(tmp_path / "phrase"), "--pass-on"]) == 0
    )
    typed(PHRASE + "\n")
    assert run(["plan", "open", "Saturday", "go", "--phrase-file", "-"]) == 0
    said = {"plan": "Saturday", "scenario": "go", "phrase": PHRASE + "\n"}
    assert asked == [("plan.open", {**said, "pass_on": True}), ("plan.open", said)]
    out, err = capsys.readouterr()
    assert "go: open" in out and "Meet." in out and PHRASE not in out + err


def test_who_types_a_phrase_or_words_by_hand_is_told_how_to_end(
    script: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Keyboard(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise AssertionError("a line is enough: who typed it waits for the answer")

    asked = script({"plan.open": {"v": 1, "plan": ID, "scenario": "go", "state": "open", "response": None},
                    "plan.share.enter": SHARE})  # fmt: skip
    monkeypatch.setattr("cli.plans.at_terminal", lambda: True)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Keyboard(PHRASE.encode() + b"\nmore\n")))
    assert run(["plan", "open", "Saturday", "go", "--phrase-file", "-"]) == 0
    assert capsys.readouterr().err == "Type the phrase:\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{WORDS}\n".encode())))
    assert run(["plan", "share", "enter", "Saturday", "-"]) == 0
    assert capsys.readouterr().err == "Type the words, then Ctrl-D on a line of its own:\n"
    assert [method for method, _ in asked] == ["plan.open", "plan.share.enter"]
    assert asked[0][1]["phrase"] == PHRASE + "\n"


def test_no_phrase_is_asked_for_where_nobody_is(script: Any, typed: Any, capsys: Any) -> None:
    asked = script({})
    typed("")
    assert run(["plan", "open", "Saturday", "go"]) == Code.usage
    assert "--phrase-file" in capsys.readouterr().err and asked == []


def test_a_phrase_file_that_is_not_there_is_said(script: Any, tmp_path: Path, capsys: Any) -> None:
    script({})
    file = str(tmp_path / "none")
    assert run(["plan", "open", "Saturday", "go", "--phrase-file", file]) == Code.not_found
    assert file in capsys.readouterr().err


def test_a_share_is_typed_in(script: Any, typed: Any) -> None:
    asked = script({"plan.share.enter": SHARE})
    typed(WORDS + "\n")
    assert run(["plan", "share", "enter", "Saturday", "-"]) == 0
    assert asked == [("plan.share.enter", {"plan": "Saturday", "words": WORDS + "\n"})]


# --- what is shown ---


def plain(lines: Any) -> list[str]:
    return [click.unstyle(line) for line in lines]


def test_a_plan_is_shown_with_all_that_is_known() -> None:
    lines = plain(text_plans.shown(PLANS))
    assert lines[:2] == ["Saturday 7f3a7f3a, version 1: active", "  signed by 1 of 2: oak"]
    for line in (
        "  organisers  oak, fern; 2 call or stand down",
        "  bridge-closed: sealed",
        "    when      call (1 of 2)",
        "    opens by  phrase or shares (1 of 3 shares here)",
        "    sealed for this laptop",
        "    ! false share by fern",
        "    when      dark, attested by 3 and (phrase or call)",
        "    text      Meet.",
        "              Forged: line",
        "    place     the mill",
        "    at        30m after it fired",
        "    [ ] tell the medics",
    ):
        assert line in lines


@pytest.mark.parametrize(
    ("cue", "said"),
    [
        ({"after": {"scenario": "go", "delay": "60m"}}, "60m after go"),
        ({"silence": {"of": "oak", "hours": 6, "observers": 2}}, "oak not heard for 6 h, say 2"),
        (
            {"some": {"k": 2, "of": [{"call": True}, {"phrase": True}, {"call": True}]}},
            "2 of: call; phrase; call",
        ),
    ],
)
def test_cues_are_shown_in_words(cue: Script, said: str) -> None:
    shown = {"plans": [{**PLAN, "scenarios": [{**CLEAR, "cue": cue}]}]}
    assert f"    when      {said}" in plain(text_plans.shown(shown))


def test_F13_what_others_wrote_in_a_plan_is_inert() -> None:
    evil = "\x1b]0;x\x07"
    persons = [{"id": "0a" * 32, "name": evil}]
    scenario = {**SEALED, "remarks": [evil], "cue": {"silence": {"of": evil, "hours": 1, "observers": 1}}}
    clear = {**CLEAR, "response": {"text": evil, "place": evil, "at": None, "checklist": [evil]}}
    plan = {
        **PLAN, "title": evil, "group": evil, "author": persons[0], "signers": persons, "organisers": persons,
        "stewards": persons, "observers": persons, "scenarios": [scenario, clear],
    }  # fmt: skip
    names = {"not_holding": persons, "stewards_not_heard": persons, "clocks_off": persons}
    stewards = {"heard": 1, "total": 2, "spare": -1}
    ready = {"holders": 1, "stewards": stewards, "clocks_off": 1, "names": names}
    cue = {**CUE, "title": evil, "signers": persons}
    lines = [
        *text_plans.shown({"plans": [plan]}), *text_plans.plans({"plans": [plan]}), *text_plans.ready(ready),
        *text_plans.cue(cue), *text_plans.stood_down(cue),
    ]  # fmt: skip
    assert not [line for line in plain(lines) if "\x1b" in line or "\x07" in line]


def test_a_drill_tells_its_score_once_it_fired() -> None:
    score = {"reached": 7, "opened": 3, "minutes": 1.5}
    drill = {**CUE, "drill": True, "state": "fired", "score": score}
    assert plain(text_plans.cue(drill)) == [
        "bridge-closed (drill) of Saturday: 1 of 2 called: oak; fired",
        "  reached 7, 3 looked at it, 1.5 min to the last",
    ]


def test_ready_tells_organisers_who() -> None:
    ready = {"holders": 7, "stewards": {"heard": 4, "total": 5, "spare": 1}, "clocks_off": 0}
    assert plain(text_plans.ready(ready))[1] == "stewards   4 of 5 heard from within a day: 1 may be lost"
    names = {"not_holding": [FERN], "stewards_not_heard": [], "clocks_off": []}
    assert "not holding it, as far as they said: fern" in plain(text_plans.ready({**ready, "names": names}))


# --- completion ---


def test_plans_and_their_scenarios_are_completed(monkeypatch: Any) -> None:
    plans = {"plan.list": {"plans": [PLAN, {**PLAN, "title": "next week", "id": "ab" * 32}]}}
    monkeypatch.setattr(completion, "Client", lambda home, timeout_s: ScriptedClient(plans, []))
    context = click.Context(click.Command("show"), obj=Console())
    parameter = click.Argument(["plan"])
    context.params["plan"] = "Saturday"
    assert completion.plans(context, parameter, "") == ["Saturday", "abababab"]
    assert completion.plans(context, parameter, "Sat") == ["Saturday"]
    assert completion.scenarios(context, parameter, "b") == ["bridge-closed", "blackout"]
    context.params["plan"] = "another"
    assert completion.scenarios(context, parameter, "") == []


@pytest.mark.parametrize(
    "name",
    ["$(reboot)", "`reboot`", "a;reboot", "a&b", "a|b", "a>b", "a\nplain,b", "a\tb", "-rf", "#a", "~", "*", "a'", 'a"',
     "a\\", "a!b", "a{b,c}", "", "a\x1b]0;b\x07", "a\u202eb"],
)  # fmt: skip
def test_F13_what_others_are_called_is_completed_only_where_no_shell_obeys_it(
    name: str, monkeypatch: Any
) -> None:
    answers = {
        "plan.list": {"plans": [{**PLAN, "title": name, "id": "ab" * 32}]},
        "requests": {"requests": [{"name": name}, {"name": "Zoë#7f3a"}]},
        "channel.list": {"channels": [{"name": name}, {"name": "गाँव"}]},
        "contact.list": {"contacts": [{"name": name}, {"name": "oak-2"}]},
    }
    monkeypatch.setattr(completion, "Client", lambda home, timeout_s: ScriptedClient(answers, []))
    context, parameter = click.Context(click.Command("show"), obj=Console()), click.Argument(["plan"])
    assert completion.plans(context, parameter, "") == ["abababab"]
    assert completion.askers(context, parameter, "") == ["Zoë#7f3a"]
    assert completion.channels(context, parameter, "") == ["गाँव"]
    assert completion.people(context, parameter, "") == ["oak-2"]
