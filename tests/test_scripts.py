"""Every script sets up what it imports: one that runs with `run` ends in a fresh clone if it needs what tests need."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ONLY_DEV = {"hypothesis", "pytest", "pytest_trio", "coverage", "mypy"}
RUNNING = [
    path
    for path in sorted((ROOT / "scripts").iterdir())
    if path.is_file() and not path.suffix and "needs=run" in path.read_text()
]


def imported(path: Path) -> Iterator[str]:
    """All that a file imports, `a.b` of `from a import b` as well."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))


def files_of(name: str) -> Iterator[Path]:
    """The files of this tree that make up a module: its own, and those of the packages it is in."""
    parts = name.split(".")
    for root in (ROOT, ROOT / "scripts"):
        for end in range(1, len(parts) + 1):
            module = root.joinpath(*parts[:end])
            yield from (
                each for each in (module.with_suffix(".py"), module / "__init__.py") if each.is_file()
            )


def test_there_are_scripts_that_run_without_what_tests_need() -> None:
    assert {"mesh", "bench", "lab"} <= {path.name for path in RUNNING}


@pytest.mark.parametrize("script", RUNNING, ids=lambda path: path.name)
def test_what_a_script_imports_is_set_up_by_it(script: Path) -> None:
    seen, waiting = set[Path](), [script.with_name(script.name.replace("-", "_") + ".py")]
    while waiting:
        if (path := waiting.pop()) in seen or not path.is_file():
            continue
        seen.add(path)
        for name in imported(path):
            assert name.split(".")[0] not in ONLY_DEV, f"{path.relative_to(ROOT)} imports {name}"
            waiting += files_of(name)
