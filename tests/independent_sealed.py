"""A second reader of sealed envelopes, written from protocol.md alone, as `independent`.

The rule: nothing of meshd is imported here. Of the primitives, XChaCha20-Poly1305 comes from nacl.
"""

from struct import pack
from typing import NamedTuple

from nacl import bindings
from nacl.exceptions import CryptoError

from tests.independent import (
    Close,
    Drop,
    H,
    Post,
    array,
    envelope_type,
    post,
    post_id,
    require,
    signature_holds,
)

CLASSES = (512, 2048, 8192, 32_768)


class Ignore(Exception):
    """What the page answers with **ignore**."""


# --- Day keys ---


def moved_on(key: bytes, days: int) -> bytes:
    for _ in range(days):
        key = H("meshd/1 next day", key)
    return key


def hint(day_key: bytes, nonce: bytes) -> bytes:
    return H("meshd/1 hint", H("meshd/1 hint key", day_key), nonce, size=16)


def seal_key(day_key: bytes) -> bytes:
    return H("meshd/1 seal key", day_key)


# --- Sealed envelopes ---


class Sealed(NamedTuple):
    hour: int
    nonce: bytes
    hint: bytes
    ciphertext: bytes
    key: bytes

    def header(self) -> bytes:
        return pack(">BBI", 1, 1, self.hour) + self.nonce + self.hint


def sealed(raw: bytes, wall_ms: int) -> Sealed:
    """A sealed envelope that a node takes in, if it does not hold it yet."""
    require(envelope_type(raw) == 1)
    _, _, hour, nonce, hinted, ciphertext = array(raw, "int int int bytes bytes bytes", 34_000)
    assert isinstance(hour, int) and isinstance(nonce, bytes)
    assert isinstance(hinted, bytes) and isinstance(ciphertext, bytes)
    require(hour < 2**32 and len(nonce) == 24 and len(hinted) == 16)
    require(len(ciphertext) in [size + 16 for size in CLASSES])
    if not 0 < hour - wall_ms // 3_600_000 <= 192:
        raise Drop
    return Sealed(hour, nonce, hinted, ciphertext, pack(">Q", hour) + H("meshd/1 envelope", raw))


def opened(found: Sealed, day_key: bytes) -> bytes:
    """The content, for who holds the key of its day."""
    if hint(day_key, found.nonce) != found.hint:
        raise Ignore
    try:
        plain = bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(
            found.ciphertext, found.header(), found.nonce, seal_key(day_key)
        )
    except CryptoError:
        raise Ignore from None
    end = 2 + int.from_bytes(plain[:2], "big")
    if end > len(plain) or plain[end:].strip(b"\0"):
        raise Ignore
    return plain[2:end]


def seal(day_key: bytes, hour: int, nonce: bytes, content: bytes) -> bytes:
    size = next(size for size in CLASSES if len(content) + 2 <= size)
    plain = (pack(">H", len(content)) + content).ljust(size, b"\0")
    made = Sealed(hour, nonce, hint(day_key, nonce), b"", b"")
    ciphertext = bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(
        plain, made.header(), nonce, seal_key(day_key)
    )
    head = b"\xc5" + pack(">H", len(ciphertext))
    return (
        b"\x96\1\1\xce" + pack(">I", hour) + b"\xc4\x18" + nonce + b"\xc4\x10" + made.hint + head + ciphertext
    )


def inside(content: bytes, channel: bytes, epoch: bytes, hour: int) -> Post:
    """The post in a content that a key of this channel and epoch opened."""
    try:
        first, signed, signature = array(content, "int bytes bytes", 34_000)
        assert isinstance(signed, bytes) and isinstance(signature, bytes)
        require(first == 0 and len(signature) == 64)
        found = post(signed, sealed=True)
        require(found.channel == channel)
        require(found.epoch == epoch or (found.epoch == b"" and found.kind in (2, 3, 5, 6)))
        require(hour <= found.keep_until and (found.kind != 1 or hour == found.keep_until))
        require(found.hlc >> 16 < hour * 3_600_000)
        require(signature_holds(found.author, post_id(signed), signature))
    except Close:
        raise Ignore from None
    return found
