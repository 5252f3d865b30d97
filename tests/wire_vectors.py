"""Reads the vector files for the tests that hold an implementation against them."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

folder = Path(__file__).parent / "vectors"
b = bytes.fromhex


@cache
def load(name: str) -> Any:
    """A vector file."""
    return json.loads((folder / name).read_text())


def named(entries: list[dict[str, Any]]) -> list[Any]:
    """Entries as pytest parameters, called by their names."""
    return [pytest.param(entry, id=entry["name"]) for entry in entries]
