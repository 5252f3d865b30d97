"""`scripts/attacks [CASE|AREA]…`: which attack cases were tried, which passed, which wait for what is not built.

The rule: a case is tried by the tests that carry its id in their names (`test_F01_…`), anywhere under tests/, and by
nothing else; tests/attacks/cases.txt lists all cases, so that what nobody tries is seen too. A case has passed when all
of its tests ran and passed; tests that were skipped are named with the reason, and never count as passed.

It says nothing about how well a test tries its case: that a test fails without the defence is for its author to show.
"""

import re
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
CASES = ROOT / "tests" / "attacks" / "cases.txt"
STATES = ("passed", "FAILED", "in part", "needs root", "not run", "not built")
_NEEDS_ROOT = "lab tests"  # how the reason begins that tests/conftest.py gives
_ID = re.compile(r"\btest_([A-Z]\d\d)_")


class Outcome(NamedTuple):
    """How one test ended: passed, failed or skipped, with the reason or what it said."""

    outcome: str
    said: str


def areas(text: str) -> dict[str, dict[str, str]]:
    """The cases by area: heading → id → words."""
    found: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        first, _, words = line.partition(" ")
        if re.fullmatch(r"[A-Z]", first):
            found[line] = cases = {}
        elif re.fullmatch(r"[A-Z]\d\d", first):
            cases[first] = words
    return found


def trying(chosen: Collection[str]) -> list[Path]:
    """The files with tests of these cases."""
    paths = sorted((ROOT / "tests").rglob("test_*.py"))
    return [path for path in paths if not set(_ID.findall(path.read_text())).isdisjoint(chosen)]


def state(outcomes: Sequence[Outcome]) -> str:
    """What the outcomes of a case's tests come to."""
    if not outcomes:
        return "not built"
    kinds = {each.outcome for each in outcomes}
    if "failed" in kinds:
        return "FAILED"
    if "skipped" not in kinds:
        return "passed"
    skipped = [each.said for each in outcomes if each.outcome == "skipped"]
    if "passed" in kinds:
        return "in part"
    return "needs root" if all(_NEEDS_ROOT in reason for reason in skipped) else "not run"


def line(case: str, words: str, outcomes: Sequence[Outcome]) -> str:
    """A row of the table."""
    reasons = sorted({each.said for each in outcomes if each.outcome == "skipped"})
    why = f": {'; '.join(reasons)}" if reasons else ""
    return f"{case}  {state(outcomes):10}  {len(outcomes) or '-':>4}  {words}{why}"


def summary(cases: dict[str, dict[str, str]], outcomes: dict[str, list[Outcome]]) -> Iterator[str]:
    """Counts for each area, and all together."""
    yield f"{'area':24}{'tried':>7}" + "".join(f"{name:>12}" for name in STATES)
    everything: Counter[str] = Counter()
    for area, ids in cases.items():
        counts = Counter(state(outcomes.get(case, [])) for case in ids)
        everything += counts
        yield _row(area, counts)
    yield _row("all", everything)


def _row(area: str, counts: Counter[str]) -> str:
    tried = counts["passed"] + counts["FAILED"] + counts["in part"]
    return f"{area:24}{tried:>7}" + "".join(f"{counts[name] or '-':>12}" for name in STATES)


class Trials:
    """A pytest plugin: keeps the tests of the chosen cases, in order of case, and prints each case as it ends."""

    def __init__(self, chosen: dict[str, str]) -> None:
        self.outcomes: dict[str, list[Outcome]] = {}
        self._chosen = chosen
        self._case = ""

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        tried = {item: found[1] for item in items if (found := _ID.match(item.name))}
        items[:] = sorted(
            (item for item, case in tried.items() if case in self._chosen), key=lambda item: tried[item]
        )

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        found = _ID.match(report.location[2].rpartition(".")[2])
        if found is None or (report.when != "call" and report.passed):
            return
        if found[1] != self._case:
            self.end_case()
            self._case = found[1]
        # A skip's report is (path, line, "Skipped: reason").
        skip = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        said = skip.removeprefix("Skipped: ") if report.skipped else report.longreprtext
        self.outcomes.setdefault(self._case, []).append(Outcome(report.outcome, said))
        if report.failed:
            print(f"{report.nodeid}\n{said}", file=sys.stderr)

    def end_case(self) -> None:
        """Print the case whose tests just ended."""
        if self._case:
            print(line(self._case, self._chosen[self._case], self.outcomes[self._case]), flush=True)


def main(arguments: Sequence[str]) -> int:
    cases = areas(CASES.read_text())
    everything = {case: words for ids in cases.values() for case, words in ids.items()}
    chosen = {
        case: words
        for case, words in everything.items()
        if not arguments or case in arguments or case[0] in arguments
    }
    unknown = [
        each
        for each in arguments
        if each not in everything and not any(case[0] == each for case in everything)
    ]
    if unknown:
        print(f"attacks: no such case or area: {' '.join(unknown)}", file=sys.stderr)
        return 2
    trials = Trials(chosen)
    # No terminal: the table is what is printed. Options of pyproject.toml that are the terminal's go with it.
    options = ["-p", "no:terminal", "-o", "addopts=", "--import-mode=importlib", "--rootdir", str(ROOT)]
    files = [str(path) for path in trying(chosen)]
    status = pytest.main([*options, *files], plugins=[trials]) if files else pytest.ExitCode.OK
    trials.end_case()
    for case, words in chosen.items():
        if case not in trials.outcomes:
            print(line(case, words, []))
    print()
    shown = {area: {case: ids[case] for case in ids if case in chosen} for area, ids in cases.items()}
    for row in summary({area: ids for area, ids in shown.items() if ids}, trials.outcomes):
        print(row)
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED, pytest.ExitCode.TESTS_FAILED):
        print(f"attacks: the tests did not run to their end: {status}", file=sys.stderr)
        return 1
    return 1 if any(state(found) == "FAILED" for found in trials.outcomes.values()) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
