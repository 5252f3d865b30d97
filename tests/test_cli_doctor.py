"""How `mesh doctor` says what a child found, its exit status, and the report it writes."""

import json
from pathlib import Path
from typing import Any

import pytest

from cli import child
from cli.root import run
from meshd.errors import Code

FINE = {"name": "daemon", "ok": True, "known": True, "detail": "runs, pid 7", "advice": "", "cause": "",
        "figures": {"uptime_s": 9}}  # fmt: skip
NOTE = {**FINE, "name": "swap", "detail": "in the clear", "advice": "sudo swapoff -a", "figures": {}}
UNKNOWN = {**FINE, "name": "isolation", "known": False, "detail": "nobody at 10.77.1.2", "figures": {}}
WRONG = {**FINE, "name": "permissions", "ok": False, "detail": "others may open /home/oak\x1b[2J",
         "advice": "chmod -R go-rwx /home/oak", "cause": "loose permissions", "figures": {"files": 2}}  # fmt: skip


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Has the child answer with these checks."""

    def answer_with(*checks: dict[str, Any]) -> None:
        monkeypatch.setattr(
            child, "answer", lambda *_: {"v": 1, "checks": list(checks), "never_claimed": ["that time locks"]}
        )

    return answer_with


def test_a_line_for_each_check_and_what_to_do_below(found: Any, capsys: Any) -> None:
    found(FINE, NOTE, UNKNOWN, WRONG)
    assert run(["doctor"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "ok       daemon       runs, pid 7",
        "note     swap         in the clear",
        "                      -> sudo swapoff -a",
        "unknown  isolation    nobody at 10.77.1.2",
        "WRONG    permissions  others may open /home/oak\\x1b[2J",
        "                      -> chmod -R go-rwx /home/oak",
        "1 wrong in 4 checks, 1 unknown",
        "Whatever the checks say, meshd never claims:",
        "  that time locks",
    ]


def test_status_0_when_nothing_wrong_was_found_though_something_is_not_known(found: Any, capsys: Any) -> None:
    found(FINE, NOTE, UNKNOWN)
    assert run(["doctor", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["checks"] == [FINE, NOTE, UNKNOWN]
    found(FINE, WRONG)
    assert run(["doctor", "--json"]) == 1


def test_the_report_holds_causes_and_figures_and_no_details(found: Any, capsys: Any, tmp_path: Path) -> None:
    found(FINE, UNKNOWN, WRONG)
    path = tmp_path / "report"
    assert run(["doctor", "--bundle", str(path), "--yes", "--json"]) == 1
    shown = capsys.readouterr()
    text = path.read_text()
    assert text in shown.err and json.loads(shown.out)["bundle"] == str(path)
    assert text.splitlines()[1:] == [
        "ok      daemon  uptime_s=9",
        "unknown isolation",
        "WRONG   permissions: loose permissions  files=2",
    ]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_report_needs_a_yes_and_replaces_nothing(found: Any, capsys: Any, tmp_path: Path) -> None:
    found(FINE)
    path = tmp_path / "report"
    assert run(["doctor", "--bundle", str(path)]) == Code.usage
    assert "--yes" in capsys.readouterr().err and not path.exists()
    path.write_text("mine")
    assert run(["doctor", "--bundle", str(path), "--yes"]) == Code.refused
    assert path.read_text() == "mine"
