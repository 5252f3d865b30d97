"""The filter that foreign test suites drive: two of them talking to each other, and what it refuses."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts import vectors_reconcile
from scripts.reconcile_harness import Malformed, answers

ROOT = Path(__file__).resolve().parent.parent
VECTORS = json.loads((ROOT / "tests" / "vectors" / vectors_reconcile.FILE).read_text())
ID = "ab" * 32


def items(ranges: list[list[int]]) -> list[str]:
    keys = [vectors_reconcile.vector_key(n) for first, last in ranges for n in range(first, last)]
    return [f"item,{int.from_bytes(key[:8])},{key[8:].hex()}" for key in keys]


class Filter:
    """A running harness."""

    def __init__(self, limit: int) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "FRAMESIZELIMIT": str(limit)}
        self.process = subprocess.Popen(
            [sys.executable, ROOT / "scripts" / "reconcile_harness.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def tell(self, lines: list[str]) -> None:
        assert self.process.stdin
        self.process.stdin.write("".join(f"{line}\n" for line in lines))
        self.process.stdin.flush()

    def answer(self) -> tuple[list[str], str]:
        """The have and need lines, and the line that ends the answer."""
        assert self.process.stdout
        told = list[str]()
        while (line := self.process.stdout.readline().strip()).startswith(("have,", "need,")):
            told.append(line)
        return told, line

    def end(self) -> tuple[int, str]:
        """Close its input: exit code and stderr."""
        _, stderr = self.process.communicate(timeout=60)
        return self.process.returncode, stderr


@pytest.mark.real
@pytest.mark.parametrize(
    "case",
    [
        case
        for case in VECTORS["conversations"]
        if not case["opens_with_one_fingerprint"] and not case["floor_hour"]
    ],
    ids=lambda case: case["name"],
)
def test_two_filters_hold_the_conversations_of_the_vectors(case: dict[str, Any]) -> None:
    here, there = Filter(case["frame_size_limit"]), Filter(case["frame_size_limit"])
    here.tell([*reversed(items(case["initiator"])), "seal", "initiate"])
    there.tell([*items(case["responder"]), "", "seal"])
    messages, told = list[str](), list[str]()
    more, line = here.answer()
    while line != "done":
        messages.append(line)
        there.tell([line])
        silent, line = there.answer()
        assert not silent
        messages.append(line)
        here.tell([line])
        more, line = here.answer()
        told += more
    assert messages == [f"msg,{message}" for message in case["messages"]]
    assert told == [f"have,{id}" for id in case["have"]] + [f"need,{id}" for id in case["need"]]
    assert here.end() == there.end() == (0, "")


@pytest.mark.real
@pytest.mark.parametrize(
    ("limit", "lines"),
    [
        (0, ["nonsense"]),
        (0, ["seal", "msg,"]),
        (0, ["seal", "msg,6100"]),
        (4095, []),
    ],
)
def test_malformed_input_is_one_line_and_a_failure(limit: int, lines: list[str]) -> None:
    wrong = Filter(limit)
    wrong.tell(lines)
    code, stderr = wrong.end()
    assert code != 0
    assert stderr.count("\n") == 1


@pytest.mark.parametrize(
    "lines",
    [
        [f"item,,{ID}"],
        [f"item,-1,{ID}"],
        [f"item,1,{ID}ab"],
        [f"item,1,{ID[:-1]}"],
        [f"item,{2**64 - 1},{ID}"],
        [f"item,1,{ID}", f"item,1,{ID}", "seal"],
        ["initiate"],
        ["msg,61"],
        ["seal", "seal"],
        ["seal", f"item,1,{ID}"],
        ["seal", "initiate", "initiate"],
        ["seal", "msg,6"],
        ["seal", "msg,61,"],
    ],
)
def test_malformed_lines(lines: list[str]) -> None:
    with pytest.raises(Malformed):
        list(answers(lines, 0))


def test_times_up_to_the_last_before_infinity() -> None:
    lines = [f"item,{2**64 - 2},{ID}", f"item,0,{ID}", f"item,1,{ID.upper()}", "seal", "initiate"]
    assert list(answers(lines, 0)) == ["msg,61000002" + "03" + 3 * ID]


def test_a_responder_has_the_last_word() -> None:
    assert list(answers([f"item,7,{ID}", "seal", "msg,6100000200", "msg,61", "msg,6f"], 0)) == [
        "msg,6100000201" + ID,
        "msg,61",
        "msg,61",
    ]


def test_the_input_may_end_at_any_time() -> None:
    assert list(answers([], 0)) == list(answers([f"item,7,{ID}"], 0)) == list(answers(["seal"], 0)) == []
