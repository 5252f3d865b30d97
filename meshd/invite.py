"""The text that lets a laptop into a private network.

The rule: `MESHD-NET:1:` and base32 (RFC 4648, upper case, no padding) of `network key (32) ‖ check (4)`, where the
check is the first 4 bytes of BLAKE2b with label "meshd/1 network invite" over the key (protocol.md, "Invites"). All
characters fit a QR code's alphanumeric mode, and the text survives being read aloud: case and white space mean
nothing. The check guards against a slip of the pen, not against anybody: the text is a bearer secret, and whoever
has it is in.
"""

from meshd import armor
from meshd.ids import LABEL_INVITE

PREFIX = "MESHD-NET:1:"
_KEY_SIZE = 32


def encode(network_key: bytes) -> str:
    """The invite of the network with this 32-byte key: 70 characters."""
    return armor.encode(PREFIX, LABEL_INVITE, network_key)


def decode(text: str) -> bytes:
    """The network key in an invite; CallerError(invalid) if it is none, or was damaged on its way."""
    key = armor.decode(PREFIX, LABEL_INVITE, text, "invite")
    if len(key) != _KEY_SIZE:
        raise armor.damaged("invite")
    return key
