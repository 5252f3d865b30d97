"""The table of attack cases: what counts as tried and passed, and that every test tries a case that exists."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "scripts" / "attacks.py"


def _load() -> Any:
    spec = importlib.util.spec_from_file_location("attacks_table", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


attacks = _load()
CASES = attacks.areas(attacks.CASES.read_text())
IDS = [case for ids in CASES.values() for case in ids]
PASSED, FAILED = attacks.Outcome("passed", ""), attacks.Outcome("failed", "it broke")
NO_ROOT = attacks.Outcome("skipped", "lab tests need root: sudo scripts/test -m lab")
NO_VECTORS = attacks.Outcome("skipped", "not run: no vectors")


def test_every_case_has_one_line_in_the_area_of_its_letter() -> None:
    lines = [line for line in attacks.CASES.read_text().splitlines() if line and line[0] != "#"]
    assert len(lines) == len(CASES) + len(IDS) and len(IDS) > 100
    assert all(case[0] == area[0] and words for area, ids in CASES.items() for case, words in ids.items())


def test_no_test_tries_a_case_that_does_not_exist() -> None:
    tried = {
        case for path in (ROOT / "tests").rglob("*.py") for case in attacks._ID.findall(path.read_text())
    }
    assert len(tried) > 20 and sorted(tried - set(IDS)) == []


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [
        ([], "not built"),
        ([PASSED], "passed"),
        ([PASSED, FAILED, NO_ROOT], "FAILED"),
        ([PASSED, NO_ROOT], "in part"),
        ([NO_ROOT, NO_ROOT], "needs root"),
        ([NO_ROOT, NO_VECTORS], "not run"),
        ([NO_VECTORS], "not run"),
    ],
)
def test_what_the_outcomes_of_a_case_come_to(outcomes: list[Any], state: str) -> None:
    assert attacks.state(outcomes) == state
    assert state in attacks.line("F01", "words", outcomes)


def test_a_reason_stands_beside_what_was_not_run() -> None:
    assert "no vectors" in attacks.line("C01", "words", [NO_VECTORS])


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-I", SCRIPT, *arguments], capture_output=True, text=True, cwd=ROOT
    )


def test_the_table_of_two_cases() -> None:
    ran = run("C04", "C05")
    assert ran.returncode == 0, ran.stderr
    rows = ran.stdout.splitlines()
    assert rows[0].split()[:3] == ["C04", "passed", "1"] and rows[1].startswith("C05  passed")
    assert rows[-1].split()[:3] == ["all", "2", "2"]


def test_an_unknown_case() -> None:
    ran = run("Z99")
    assert ran.returncode == 2 and "Z99" in ran.stderr
