"""Values of a file that people write as TOML: each of the kind that it should be, or a fault with its line.

The rule: what is wrong is noted and stands for something empty, so that the rest is looked through as well. TOML's own
parser tells no lines, so they are found in the text: that on which a key stands, or else that of its table's header.
A key is known by the scenario that it stands in, from 0, or -1 before the first.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar

_SPAN = re.compile(r"(\d{1,5})([smhd])", re.ASCII)
_SPAN_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_HEADER = re.compile(r"\s*\[\[?\s*([\w.-]+)\s*\]")
_KEY = re.compile(r"\s*\"?([\w-]+)\"?\s*=")
_KINDS = {
    str: "text in quotes",
    list: "a list in brackets",
    dict: "a table in braces",
    bool: "true or false",
    int: "a whole number",
}
_T = TypeVar("_T", str, list[Any], dict[str, Any], bool, int)

Place = tuple[int, str]  # of a key: the number of its scenario, or -1, and its name


def _lines(text: str) -> dict[Place, int]:
    """The line, from 1, on which each key of the plan and of each scenario stands; a table's header is a key too."""
    found: dict[Place, int] = {}
    scenario, table, is_inside = -1, "", False
    for number, line in enumerate(text.splitlines(), start=1):
        was_inside, is_inside = is_inside, is_inside ^ ((line.count('"""') + line.count("'''")) % 2 == 1)
        if was_inside:
            continue
        if header := _HEADER.match(line):
            scenario += header[1] == "scenario"
            table = header[1].removeprefix("scenario").strip(".")
            found.setdefault((scenario if "scenario" in header[1] else -1, table), number)
        elif not table and (key := _KEY.match(line)):
            found.setdefault((scenario, key[1]), number)
    return found


class Values:
    """The values of one file, and what is wrong with them."""

    def __init__(self, text: str) -> None:
        self.faults: list[tuple[int, str]] = []  # line, and what is wrong
        self._lines = _lines(text)

    def fault(self, place: Place, why: str) -> None:
        line = (
            self._lines.get(place) or self._lines.get((place[0], "")) or self._lines.get((-1, place[1])) or 1
        )
        self.faults.append((line, why))

    def value(
        self, table: Mapping[str, Any], key: str, kind: type[_T], place: Place, default: _T | None = None
    ) -> _T:
        """What stands there, if it is of this kind; else its default, or what is empty and a fault."""
        value = table.get(key, default)
        if type(value) is kind:
            return value
        if value is None:
            self.fault(place, f"there is no {key}")
        else:
            self.fault(place, f"{key} is not {_KINDS[kind]}")
        return kind()

    def known(self, table: Mapping[str, Any], keys: str, place: Place) -> None:
        for key in table:
            if key not in keys.split():
                where = (place[0], key) if not place[1] else place
                self.fault(where, f"{key} means nothing here; what may stand: {', '.join(keys.split())}")

    def text(
        self, table: Mapping[str, Any], key: str, most: int, place: Place, default: str | None = None
    ) -> str:
        value = self.value(table, key, str, place, default)
        if len(value.encode()) > most:
            self.fault(place, f"{key} has {len(value.encode())} bytes, and may have {most}")
        return value

    def seconds(self, value: object, place: Place, key: str) -> int:
        if not isinstance(value, datetime) or value.tzinfo is None:
            self.fault(place, f"{key} is no time with its zone, such as 2026-12-05T08:00:00Z")
            return 0
        seconds = int(value.timestamp())
        if not 0 <= seconds < 2**32:
            self.fault(place, f"{key} is too far away")
            return 0
        return seconds

    def span(self, value: str, place: Place, key: str) -> int:
        if (found := _SPAN.fullmatch(value)) is None:
            self.fault(place, f"{key} is no span of time such as 30m, 6h or 2d")
            return 0
        return int(found[1]) * _SPAN_S[found[2]]
