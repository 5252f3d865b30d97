"""F13: what another laptop sends must not steer the terminal of who reads it."""

import sys
import unicodedata

import pytest

from cli import text
from cli.console import dumps
from cli.inert import inert, inert_lines

# Visible signs that Unicode files under format characters, and the two joiners that scripts are spelled with.
SHOWN_AS_THEY_ARE = {0x200C, 0x200D, 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD} | set(
    range(0x600, 0x606)
)
HIEROGLYPH_JOINERS = range(0x13430, 0x13440)

ATTACKS = {
    "clear screen": "\x1b[2J\x1b[H",
    "window title": "\x1b]0;owned\x07",
    "clipboard, OSC 52": "\x1b]52;c;cm0gLXJmIH4=\x07",
    "hyperlink, OSC 8": "\x1b]8;;http://example.com\x1b\\bank\x1b]8;;\x1b\\",
    "C1 CSI": "\x9b31m",
    "C1 OSC, string terminator": "\x9d52;c;YQ==\x9c",
    "carriage return over the name": "\rroot#0000: it is safe",
    "backspaces": "abc\b\b\bxyz",
    "bidi override": "\u202egnp.exe",
    "bidi isolate": "\u2067abc\u2069",
    "invisible": "pay\u200bpal\u2060\ufeff",
    "tag characters": "a\U000e0041\U000e007f",
    "line separators": "a\u2028b\u2029c",
    "NUL and DEL": "a\0b\x7fc",
    "lone surrogate, from invalid UTF-8": "a\udc9bb",
}


def post(name: str = "oak#7f3a", said: str | None = "hello", channel: str = "square") -> dict[str, object]:
    return {
        "id": "7f" * 32, "channel": channel, "author": "ab" * 32, "name": name, "trust": "seen", "text": said,
        "time": "2026-11-22T13:00:00Z", "clock_off_s": 0, "kind": "text", "reply_to": None,
        "held_by": {"contacts": 0, "others": 0}, "sealed": False, "expires": "2026-11-25T13:00:00Z",
    }  # fmt: skip


def harmful(line: str) -> list[str]:
    return [c for c in line if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp", "Cs")]


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_F13_text_that_steers_a_terminal_is_shown_inert(attack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("click.style", lambda said, **_: said)  # our own colours are not the net's
    shown = [
        *text.post(post(name=f"{attack}#7f3a", said=f"a{attack}b")),
        *text.post(post(channel=attack, said=None)),
        *text.missing({"author": attack, "channel": attack, "count": 3}),
        *text.channels({"channels": [{"name": attack, "kind": "public", "unread": 1}]}, aligned=True),
        *text.peers(
            {"peers": [{"address": attack, "state": attack, "contact": attack, "rtt_ms": None,
                        "in_bytes": 0, "out_bytes": 0}]}, aligned=False),
    ]  # fmt: skip
    for line in shown:
        assert harmful(line.replace("\t", "")) == []


def test_F13_every_control_and_format_character_is_made_visible() -> None:
    for code in range(sys.maxunicode + 1):
        category = unicodedata.category(chr(code))
        if category in ("Cc", "Cf", "Zl", "Zp", "Cs") and code not in SHOWN_AS_THEY_ARE:
            assert code in HIEROGLYPH_JOINERS or inert(chr(code)) != chr(code), hex(code)
        elif category not in ("Cn", "Cc", "Cf", "Zl", "Zp", "Cs"):
            assert inert(chr(code)) == chr(code), hex(code)


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_F13_documents_are_printable_ascii(attack: str) -> None:
    line = dumps({"text": attack, attack: [attack]})
    assert line.isascii() and line.isprintable()


def test_F13_a_second_line_cannot_pose_as_another_post(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("click.style", lambda said, **_: said)
    forged = "\n".join(text.post(post(name="birch#1234", said="all clear")))
    lines = "\n".join(text.post(post(said=f"hello\n{forged}\r\n{forged}"))).split("\n")
    assert [line[:1] for line in lines] == ["7", " ", " "]


def test_F13_what_is_harmless_stays_as_it_is() -> None:
    for said in ("naïve – “ok”", "مرحبا", "שלום", "می‌خواهم", "👩‍👩‍👧", "日本語", "हिन्दी", "tab\tand\nlines"):
        assert "\n".join(inert_lines(said)) == said.replace("\t", "    ")
