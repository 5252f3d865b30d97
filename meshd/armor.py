"""Armor: bytes as a text that survives being copied, read aloud, or drawn as a QR code.

The rule: a prefix that says what it is, then base32 (RFC 4648, upper case, no padding) of `bytes ‖ check (4)`, where
the check is the first 4 bytes of the hash of the bytes under a label of their own. All characters fit a QR code's
alphanumeric mode; case and white space mean nothing. The check guards against a slip of the pen, not against anybody.
"""

import base64
import binascii

from meshd.errors import CallerError, Code
from meshd.ids import labelled

_CHECK_SIZE = 4


def encode(prefix: str, label: bytes, raw: bytes) -> str:
    """The text of these bytes."""
    check = labelled(label, raw)[:_CHECK_SIZE]
    return prefix + base64.b32encode(raw + check).decode().rstrip("=")


def decode(prefix: str, label: bytes, text: str, what: str) -> bytes:
    """The bytes in a text; CallerError(invalid) if it has another prefix, or was damaged. `what` it should be."""
    compact = "".join(text.split()).upper()
    if not compact.startswith(prefix):
        raise CallerError(Code.invalid, f"this is no {what}: one begins with {prefix}")
    digits = compact.removeprefix(prefix)
    try:
        raw = base64.b32decode(digits + "=" * (-len(digits) % 8))[:-_CHECK_SIZE]
    except (binascii.Error, ValueError):
        raise damaged(what) from None
    if encode(prefix, label, raw) != compact:
        raise damaged(what)
    return raw


def damaged(what: str) -> CallerError:
    """The error for a text that can't be what it says it is."""
    return CallerError(
        Code.invalid, f"this {what} is damaged: a character is wrong or missing; copy it again"
    )
