"""Cards and recognition, read as `independent` reads the rest: from protocol.md alone."""

from base64 import b32decode

from nacl import bindings

from tests.independent import Close, H, require


def card(text: str) -> tuple[bytes, int, bytes]:
    """Identity, day and inbox key."""
    text = "".join(text.split()).upper()
    require(text.startswith("MESHD:1:") and len(text) == 120 and "=" not in text)
    try:
        raw = b32decode(text[8:])
    except ValueError as error:
        raise Close from error
    require(raw[66:] == H("meshd/1 identity words", raw[:66])[:4])
    require(bindings.crypto_core_ed25519_is_valid_point(raw[:32]))
    return raw[:32], raw[32] * 256 + raw[33], raw[34:66]
