"""protocol.md says what the code does: its limits are the code's, and what the code cites stands in it.

What can be compared by a program is compared here: the table of limits, both ways; section names, both ways between
page and code; hash labels; the table of messages; the list of vector files. That the bytes are as described is shown by
`test_vectors` (the code) and `test_independent` (a reader made from the page alone).
"""

import re
from pathlib import Path

import pytest

from meshd import ids, limits
from meshd.proto import frame, message, peers, reconcile, session
from scripts import vectors

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "protocol.md").read_text()
SECTIONS = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
# `(protocol.md, "Frames")`, and in limits.py several names in a row
CITATION = re.compile(r'protocol\.md,((?:\s+"[^"]+",?)+)')


def section(title: str) -> str:
    """The text of one section."""
    found = re.search(rf"^## {re.escape(title)}$(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


def rows(title: str) -> list[list[str]]:
    """The cells of every table row of a section."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def limit_text(value: object) -> str:
    """A limit as the table writes it."""
    if isinstance(value, dict):
        value = tuple(value.values())
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def wire_limits() -> list[str]:
    """The names in those parts of limits.py whose heading cites protocol.md."""
    names, cited = [], False
    for line in (ROOT / "meshd" / "limits.py").read_text().splitlines():
        if line.startswith("# "):
            cited = bool(CITATION.search(line))
        elif cited and (found := re.match(r"([A-Z_0-9]+) = ", line)):
            names.append(found[1])
    return names


TABLE = {row[0].strip("`"): row[1] for row in rows("Limits") if row[0].startswith("`")}


@pytest.mark.parametrize("name", TABLE)
def test_a_limit_is_the_codes(name):
    assert limit_text(getattr(limits, name)) == TABLE[name]


def test_every_limit_of_the_wire_is_in_the_table():
    names = wire_limits()
    assert len(names) > 40
    assert [name for name in names if name not in TABLE] == []


def test_every_limit_in_the_text_is_in_the_table():
    named = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)*_(?:MAX|MIN|MS|SIZE|HOURS|RECORDS|CLASSES|S)\b", PAGE))
    assert sorted(named - set(TABLE)) == []


def citations() -> list[tuple[str, str]]:
    found = []
    for folder in ("meshd", "cli", "scripts", "tests"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            text = " ".join(line.strip(" #") for line in path.read_text().splitlines())
            for cited in CITATION.findall(text):
                found += [(path.name, name) for name in re.findall(r'"([^"]+)"', cited)]
    return found


def test_every_section_that_code_cites_exists():
    found = citations()
    assert len(found) > 15
    assert [(file, name) for file, name in found if name not in SECTIONS] == []


def test_every_section_that_the_page_names_exists():
    prose = re.sub(r"`[^`]*`|^    .*$", "", PAGE, flags=re.MULTILINE)
    named = set(re.findall(r'"([A-Z][a-z]+(?:\s[a-z]+)*)"', prose))
    assert len(named) > 8
    assert [name for name in sorted(named) if " ".join(name.split()) not in SECTIONS] == []


def test_labels():
    labels = {getattr(ids, name).decode() for name in dir(ids) if name.startswith("LABEL_")}
    local = {ids.LABEL_KEYSLOT.decode()}  # a file of one home
    shown = {row[0].strip("`") for row in rows("Hashes and labels") if row[0].startswith("`meshd/")}
    assert shown == labels - local
    assert ids.COMMONS_KEY.hex() in PAGE


def test_messages():
    table = {int(row[0]): row for row in rows("Messages") if row[0].isdigit()}
    assert set(table) == set(message._KINDS)
    types = {"int": int, "bytes": bytes}
    for number, (cls, schema) in message._KINDS.items():
        assert table[number][1] == cls.__name__.lower()
        assert tuple(types[name] for name in re.findall(r"\((\w+)\)", table[number][2])) == schema
        lane = message.lane(cls(*(each() for each in schema)))
        assert table[number][3] == (f"2 if fresh, else {lane}" if cls is message.Give else str(lane))
    assert message.lane(message.Give(1, b"")) == 2


def test_numbers_in_the_text():
    *most, last = map(str, sorted(frame.RECORD_SIZES))
    assert f"`length` is {', '.join(most)} or {last}" in section("Frames").replace("\n", " ")
    for state, size in session._EXPECTED.items():
        assert re.search(rf"{state.name} .*\({size}\)", section("Sessions"))
    assert [state.name for state in session.State if state.name not in section("Sessions")] == []
    assert f"after {peers.SECOND_DIALLER_MS} ms" in section("Who dials")
    assert f"limit less {reconcile.FRAME_RESERVE}" in section("Reconcile").replace("\n", " ")
    assert f"n < {2 * reconcile.BUCKETS}" in section("Reconcile")


def test_every_vector_file_is_listed():
    listed = {row[0].strip("`") for row in rows("Vectors") if row[0].endswith(".json`")}
    assert listed == set(vectors.FILES)
    assert [
        name for name in sorted(listed) if PAGE.count(f"`{name}`") < 2
    ] == []  # and cited where it belongs
