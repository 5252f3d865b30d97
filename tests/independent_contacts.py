"""Cards and recognition, read as `independent` reads the rest: from protocol.md alone."""

from base64 import b32decode, b32encode
from hashlib import sha512

from nacl import bindings
from nacl.exceptions import BadSignatureError

from tests.independent import Close, H, post, post_id, require, signature_holds
from tests.independent_prekeys import announced as announced_in
from tests.independent_sealed import Ignore


def card(text: str) -> tuple[bytes, int, bytes, bytes]:
    """Identity, day, inbox key, and what a long card announces."""
    text = "".join(text.split()).upper()
    if text.startswith("MESHD:2:"):
        return long_card(text[8:])
    require(text.startswith("MESHD:1:") and len(text) == 120 and "=" not in text)
    try:
        raw = b32decode(text[8:])
    except ValueError as error:
        raise Close from error
    require(raw[66:] == H("meshd/1 identity words", raw[:66])[:4])
    require(bindings.crypto_core_ed25519_is_valid_point(raw[:32]))
    return raw[:32], raw[32] * 256 + raw[33], raw[34:66], b""


def long_card(digits: str) -> tuple[bytes, int, bytes, bytes]:
    try:
        raw = b32decode(digits + "=" * (-len(digits) % 8))
    except ValueError as error:
        raise Close from error
    require(b32encode(raw).decode().rstrip("=") == digits)
    require(raw[-4:] == H("meshd/1 identity words", raw[:-4])[:4])
    announced = raw[34:-4]
    signature, signed = announced[:64], announced[64:]
    found = post(signed, sealed=True)
    require(found.epoch == b"" and bindings.crypto_core_ed25519_is_valid_point(found.author))
    try:
        announced_in(found)
    except Ignore as error:
        raise Close from error
    require(signature_holds(found.author, post_id(signed), signature))
    return found.author, raw[0] * 256 + raw[1], raw[2:34], announced


# --- Recognition ---


def pair_secret(seed: bytes, ours: bytes, theirs: bytes) -> bytes:
    """What we, of that seed, share with them."""
    p = 2**255 - 19
    y = int.from_bytes(theirs, "little") & (2**255 - 1)
    u = (1 + y) * pow(1 - y, -1, p) % p
    shared = bindings.crypto_scalarmult(sha512(seed).digest()[:32], u.to_bytes(32, "little"))
    return H("meshd/1 pair", shared, min(ours, theirs), max(ours, theirs))


def tag(pair: bytes, handshake_hash: bytes, turn: int) -> bytes:
    return H("meshd/1 recognition", pair, handshake_hash, bytes([turn]), size=16)


def proof(identity: bytes, signature: bytes, handshake_hash: bytes, direction: int) -> None:
    label = b"meshd/1 recognition proof"
    signed = bytes([len(label)]) + label + handshake_hash + bytes([direction])
    try:
        bindings.crypto_sign_open(signature + signed, identity)
    except BadSignatureError as error:
        raise Close from error
