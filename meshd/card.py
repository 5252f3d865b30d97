"""The text of a card, which a QR code carries from one laptop to another.

The rule: `MESHD:1:` and base32 (RFC 4648, upper case, no padding) of `identity key (32) ‖ check (4)`, where the
check is the first 4 bytes of the hash whose words are the fingerprint (protocol.md, "Words"). All characters fit a
QR code's alphanumeric mode. The check guards against a slip of the pen, not against anybody: who a key belongs to
is settled by comparing the words, face to face.
"""

import base64

from meshd.ids import LABEL_FINGERPRINT, labelled

PREFIX = "MESHD:1:"
_CHECK_SIZE = 4


def encode(identity: bytes) -> str:
    """The card of the identity with this 32-byte public key: 66 characters."""
    check = labelled(LABEL_FINGERPRINT, identity)[:_CHECK_SIZE]
    return PREFIX + base64.b32encode(identity + check).decode().rstrip("=")
