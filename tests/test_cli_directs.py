"""`mesh dm` and `mesh requests`, with the daemon scripted: what it is asked, and what is printed."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from cli import text
from cli.root import run
from meshd.errors import CallerError, Code
from tests.cli_script import ID, POST, Asked, Script, answer_with

WRITTEN = {
    "id": ID,
    "channel": "elm",
    "state": "queued",
    "first": False,
    "pending": False,
    "old_prekey": False,
}
STRANGER = {
    "id": ID,
    "name": "oak#7f3a",
    "text": "it is\x1b[2J me",
    "time": "2026-11-22T13:00:00.000Z",
    "group": None,
}
INVITES = {**STRANGER, "text": "kitchen", "group": "6b" * 16}


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[Script], Asked]:
    return partial(answer_with, monkeypatch)


def test_dm_asks_for_one_person_and_says_no_more_than_is_known(script: Any, capsys: Any) -> None:
    asked = script({"dm": WRITTEN})
    assert run(["dm", "elm", "bread", "--keep", "6h", "--wait", "delivered", "--timeout", "60"]) == 0
    (call,) = asked
    assert call[0] == "dm" and {name: value for name, value in call[1].items() if value} == {
        "who": "elm", "text": "bread", "keep": "6h", "wait": "delivered", "timeout": 60.0,
    }  # fmt: skip
    assert capsys.readouterr().out == "7f3a7f3a in elm: on disk here, handed to nobody yet\n"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"state": "delivered"}, "a receipt of the addressee is here"),
        ({"pending": True}, "they can't read it until they show one"),
        ({"pending": True, "old_prekey": True}, "whoever has had that laptop since can read it too"),
    ],
)
def test_dm_says_who_can_read_it(script: Any, capsys: Any, changed: Script, said: str) -> None:
    script({"dm": {**WRITTEN, **changed}})
    assert run(["dm", "elm", "bread", *(["--old-prekey"] if changed.get("old_prekey") else [])]) == 0
    assert said in capsys.readouterr().out


def test_help_says_what_an_old_prekey_costs(capsys: Any) -> None:
    assert run(["dm", "--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert (
        "opens only on a laptop that was locked, not off, since its day, and for whoever took that laptop"
        in said
    )


def test_dm_to_somebody_unknown_ends_with_the_code_of_the_error(script: Any, capsys: Any) -> None:
    script({"dm": CallerError(Code.refused, "there is no card of them here")})
    assert run(["dm", "elm", "bread", "--json"]) == 6
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "refused"


def test_requests_show_first_words_inert_and_who_invites(script: Any, capsys: Any) -> None:
    asked = script({"requests": {"requests": [STRANGER, INVITES]}, "requests.accept": {"requests": []}})
    assert run(["requests"]) == 0
    assert capsys.readouterr().out == (
        "oak#7f3a\tit is\\x1b[2J me\t7f3a7f3a\noak#7f3a\tinvites you to kitchen\t7f3a7f3a\n"
    )
    assert run(["requests", "accept", "oak#7f3a"]) == 0
    assert asked[-1] == ("requests.accept", {"who": "oak#7f3a"})


def test_a_post_that_was_delivered_says_so() -> None:
    own = {**POST, "trust": "self", "channel": "elm"}
    assert "delivered: a receipt of the addressee is here" in "\n".join(text.post({**own, "delivered": True}))
    assert "delivered" not in "\n".join(text.post({**own, "delivered": False}))
