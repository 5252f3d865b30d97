"""The text that lets a laptop into a private network.

The rule: `MESHD-NET:1:` and base32 (RFC 4648, upper case, no padding) of `network key (32) ‖ check (4)`, where the
check is the first 4 bytes of BLAKE2b with label "meshd/1 network invite" over the key (protocol.md, "Invites"). All
characters fit a QR code's alphanumeric mode, and the text survives being read aloud: case and white space mean
nothing. The check guards against a slip of the pen, not against anybody: the text is a bearer secret, and whoever
has it is in.
"""

import base64
import binascii

from meshd.errors import CallerError, Code
from meshd.ids import LABEL_INVITE, labelled

PREFIX = "MESHD-NET:1:"
_KEY_SIZE = 32
_CHECK_SIZE = 4


def encode(network_key: bytes) -> str:
    """The invite of the network with this 32-byte key: 70 characters."""
    return PREFIX + base64.b32encode(network_key + _check(network_key)).decode().rstrip("=")


def decode(text: str) -> bytes:
    """The network key in an invite; CallerError(invalid) if it is none, or was damaged on its way."""
    compact = "".join(text.split()).upper()
    if not compact.startswith(PREFIX):
        raise CallerError(Code.invalid, f"this is no invite: one begins with {PREFIX}")
    digits = compact.removeprefix(PREFIX)
    try:
        raw = base64.b32decode(digits + "=" * (-len(digits) % 8))
    except (binascii.Error, ValueError):
        raw = b""
    key, check = raw[:_KEY_SIZE], raw[_KEY_SIZE:]
    if len(key) != _KEY_SIZE or check != _check(key) or encode(key) != compact:
        raise CallerError(
            Code.invalid, "this invite is damaged: a character is wrong or missing; copy it again"
        )
    return key


def _check(network_key: bytes) -> bytes:
    return labelled(LABEL_INVITE, network_key)[:_CHECK_SIZE]
