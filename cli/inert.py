"""What came from the net, made harmless to a terminal.

The rule: every string that another laptop had a hand in (a name, a text, an address, a reason, an error
that quotes one of these) goes through `inert` before it is printed for people. A terminal obeys what it is
sent: ESC and the C1 controls move the cursor, rename the window or fill the clipboard (OSC 52), and a bidi
override shows `exe.txt` for `txt.exe`. Each such character is replaced by its visible escape, `\\x1b` or
`\\u202e`, so that the reader sees that something was there, and nothing else is changed: what was text
stays the same text.

Made visible are: C0 and C1 controls and DEL (Unicode category Cc), line and paragraph separators, invisible
format characters (Cf) with all bidi controls among them, and lone surrogates. Left alone are ZWNJ and ZWJ,
which Persian, Indic scripts and emoji are spelled with, and the few format characters that are visible
signs.

A newline in a text is no harm in itself, but a second line could pose as another post. `inert_lines`
therefore gives the lines one by one, and who prints them indents every line but the first. Documents
printed with `--json` need none of this: there everything but printable ASCII is escaped.
"""

import re

_HARMFUL = re.compile(
    "[\0-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f]"
)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def inert(text: str) -> str:
    """`text` on one line, with every character that a terminal would obey replaced by its visible escape."""
    return _HARMFUL.sub(_escape, text)


def inert_lines(text: str) -> list[str]:
    """The lines of `text`, at least one, each inert; CR LF is one line end, and tabs are spaces."""
    return [inert(line) for line in text.replace("\r\n", "\n").replace("\t", "    ").split("\n")]
