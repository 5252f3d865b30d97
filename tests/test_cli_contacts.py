"""`mesh contact`: what is asked of the daemon and of the user, and cards from files and pictures."""

import io
import sys
import types
import zlib
from pathlib import Path
from struct import pack
from typing import Any

import pytest
import segno

from cli import child, picture
from cli.contacts import card_text
from cli.root import run
from meshd.errors import CallerError, Code
from tests.cli_script import ID, answer_with

CARD = "MESHD:1:" + "A" * 112
WORDS = "one two three"
OAK = {
    "id": ID, "name": "oak", "trust": "seen", "vouched_by": [], "added": True, "muted": False, "blocked": True,
    "fingerprint": WORDS,
}  # fmt: skip
ANSWER = {
    "v": 1,
    "id": ID,
    "contacts": [OAK, {**OAK, "id": "00" * 32, "name": "\x1b[2Jelm#0000"}],
    "fingerprint": WORDS,
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    methods = ("list", "add", "verify", "vouch", "rename", "mute", "unmute", "block", "unblock")
    return answer_with(monkeypatch, {f"contact.{method}": ANSWER for method in methods})


@pytest.mark.parametrize(
    ("line", "method", "params"),
    [
        (["add", CARD, "--name", "oak"], "add", {"card": CARD, "name": "oak"}),
        (["verify", "oak", "--words", WORDS], "verify", {"who": "oak", "words": WORDS}),
        (["verify", "oak", "--card", CARD], "verify", {"who": "oak", "card": CARD}),
        (["rename", "oak#7f3a", "the baker"], "rename", {"who": "oak#7f3a", "n": "the baker"}),
        (["mute", "oak"], "mute", {"who": "oak"}),
        (["unblock", "oak"], "unblock", {"who": "oak"}),
    ],
)
def test_what_is_asked(asked: Any, capsys: Any, line: list[str], method: str, params: dict[str, str]) -> None:
    assert run(["contact", *line]) == 0
    assert asked == [(f"contact.{method}", params)]
    assert capsys.readouterr().out.splitlines()[0] == f"oak {ID[:8]}: seen, added, blocked"


def test_the_list_is_inert(asked: Any, capsys: Any) -> None:
    assert run(["contact", "list"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"oak\tseen\tadded, blocked\t{ID[:8]}",
        "\\x1b[2Jelm#0000\tseen\tadded, blocked\t00000000",
    ]


def test_by_whose_word_somebody_is_vouched_for(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    elm = {
        **OAK,
        "id": "00" * 32,
        "name": "elm",
        "trust": "vouched",
        "vouched_by": [ID, "cd" * 32],
        "blocked": False,
    }
    document = {
        "v": 1,
        "id": elm["id"],
        "contacts": [{**OAK, "trust": "verified"}, elm],
        "groups": ["ef" * 16],
    }
    asked = answer_with(monkeypatch, {"contact.vouch": document, "contact.list": document})
    assert run(["contact", "vouch", "elm", "--remove"]) == 0 and run(["contact", "list"]) == 0
    assert asked[0] == ("contact.vouch", {"who": "elm", "remove": True})
    said, where, _, listed = capsys.readouterr().out.splitlines()
    assert (
        said == "elm 00000000: vouched by oak, cdcdcdcd, added" and where == "said in 1 group that you share"
    )
    assert listed == "elm\tvouched by oak, cdcdcdcd\tadded\t00000000"


def test_verifying_shows_the_words_and_asks(asked: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "at_terminal", lambda: True)
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert run(["contact", "verify", "oak"]) == 0
    assert WORDS in capsys.readouterr().err
    assert [params for _, params in asked] == [{"who": "oak"}, {"who": "oak", "words": WORDS}]


def test_words_that_differ_verify_nothing(asked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "at_terminal", lambda: True)
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    assert run(["contact", "verify", "oak"]) == Code.invalid
    assert [params for _, params in asked] == [{"who": "oak"}]


def test_verifying_off_a_terminal_names_the_options(asked: Any, capsys: Any) -> None:
    assert run(["contact", "verify", "oak"]) == Code.usage
    assert "--words" in capsys.readouterr().err and len(asked) == 1


# --- cards in files ---


def test_a_card_from_a_text_file(tmp_path: Path) -> None:
    (tmp_path / "card").write_text(f"{CARD}\n")
    assert card_text(f"@{tmp_path / 'card'}") == f"{CARD}\n" and card_text(CARD) == CARD


@pytest.mark.parametrize(("content", "code"), [(None, Code.usage), (b"\xff\xfe", Code.invalid)])
def test_a_file_that_is_none(tmp_path: Path, content: bytes | None, code: Code) -> None:
    if content is not None:
        (tmp_path / "card").write_bytes(content)
    with pytest.raises(CallerError) as caught:
        card_text(f"@{tmp_path / 'card'}")
    assert caught.value.code is code


def test_id_qr_writes_a_picture_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    answer_with(monkeypatch, {"id.show": {"id": ID, "name": "oak", "fingerprint": WORDS, "card": CARD}})
    file = tmp_path / "card.png"
    assert run(["id", "qr", "--png", str(file)]) == 0
    before = file.read_bytes()
    assert before.startswith(picture.HEAD) and run(["id", "qr", "--png", str(file)]) == Code.refused
    assert file.read_bytes() == before


def test_a_long_card_is_asked_of_the_daemon_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shown = {"id": ID, "name": "oak", "fingerprint": WORDS, "card": "MESHD:2:" + "A" * 800}
    asked = answer_with(monkeypatch, {"id.show": shown})
    assert run(["id", "show", "--prekeys"]) == 0 == run(["id", "show"])
    assert run(["id", "qr", "--prekeys", "--png", str(tmp_path / "card.png")]) == 0
    assert asked == [("id.show", {"prekeys": True}), ("id.show", {}), ("id.show", {"prekeys": True})]
    answer_with(monkeypatch, {"id.show": CallerError(Code.not_running, "no")})
    assert run(["id", "qr", "--prekeys"]) == Code.not_running


def chunk(kind: bytes, content: bytes) -> bytes:
    return pack(">I", len(content)) + kind + content + pack(">I", zlib.crc32(kind + content))


def png(
    width: int, height: int, depth: int, colour: int, rows: bytes, *more: bytes, interlaced: int = 0
) -> bytes:
    head = chunk(b"IHDR", pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced))
    return picture.HEAD + head + b"".join(more) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("made", "levels"),
    [
        (png(2, 2, 8, 0, b"\0\1\2\0\3\4"), [b"\1\2", b"\3\4"]),
        (png(2, 2, 8, 0, b"\1\1\2\2\3\4"), [b"\1\3", b"\4\7"]),  # sub, up
        (png(2, 2, 8, 0, b"\0\x0a\x14\3\1\1"), [b"\x0a\x14", b"\x06\x0e"]),  # average
        (png(2, 2, 8, 0, b"\0\x0a\x14\4\1\1"), [b"\x0a\x14", b"\x0b\x15"]),  # Paeth
        (png(2, 1, 8, 2, b"\1\1\2\3\1\1\1"), [b"\2\3"]),  # RGB
        (png(1, 1, 8, 6, b"\0\1\2\3\4"), [b"\2"]),  # RGBA
        (png(1, 1, 16, 4, b"\0\7\1\2\3"), [b"\7"]),  # 16 bits, with alpha
        (png(5, 1, 1, 0, b"\0\xa8"), [b"\xff\0\xff\0\xff"]),
        (png(3, 1, 2, 0, b"\0\x1b"), [b"\0\x55\xaa"]),
        (png(2, 1, 4, 3, b"\0\x10", chunk(b"PLTE", b"\1\2\3\4\5\6")), [b"\5\2"]),
    ],
)
def test_every_kind_of_png_is_grey(made: bytes, levels: list[bytes]) -> None:
    assert picture._grey(made) == (len(levels[0]), levels)


@pytest.mark.parametrize(
    "made",
    [
        picture.HEAD,
        picture.HEAD + b"junk" * 5,
        png(2, 2, 8, 0, b"\0\1\2"),  # cut
        png(1, 1, 8, 5, b"\0\1"),
        png(1, 1, 3, 0, b"\0\1"),
        png(1, 1, 8, 0, b"\0\1", interlaced=1),
        png(0, 1, 8, 0, b""),
        png(2**31, 2**31, 16, 6, b""),
        png(3, 1, 8, 3, b"\0\1\2\3", chunk(b"PLTE", b"\1\2\3")),
    ],
)
def test_a_png_that_lies_is_invalid(made: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zxingcpp", types.ModuleType("zxingcpp"))
    with pytest.raises(CallerError) as caught:
        picture.qr_text(made)
    assert caught.value.code is Code.invalid


def test_without_zxing_cpp_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zxingcpp", None)
    with pytest.raises(CallerError, match="pip install zxing-cpp"):
        picture.qr_text(picture.HEAD)


def test_a_drawn_card_is_read_back() -> None:
    pytest.importorskip("zxingcpp", reason="the optional package zxing-cpp is not installed")
    for colours in ({}, {"dark": "navy", "light": "#ffe"}, {"light": None}):
        drawn = io.BytesIO()
        segno.make(CARD, micro=False).save(drawn, kind="png", scale=4, **colours)
        assert picture.qr_text(drawn.getvalue()) == CARD
