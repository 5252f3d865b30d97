"""Envelopes: the wrapper a post travels in; stored and forwarded as it came, never altered.

The rule: a **public** envelope adds nothing to the post but its signature. Its id is the post's id, so the signature
is outside it and a second signature over the same post is a duplicate; its expiry hour is the keep-until that the
author signed, so no relay can re-date it.

A **sealed** envelope says to who carries it when it expires and which of four lengths it has, and nothing else: its
nonce, hint and ciphertext are noise to all but those who hold the day key of its channel (`daykeys`). Its id covers
exactly its bytes, so junk can't stand under the id of a good one. Expiry hour and hint are bound to the ciphertext as
associated data: changed, it opens for nobody (protocol.md, "Envelopes", "Sealed envelopes").

`parse` looks at size and shape only. A version or type that we do not know is None: an honest node may run a newer
meshd, so it is refused in silence. What is malformed under our own version is the peer's fault, PeerError. Nothing
that is found *inside* a sealed envelope is the peer's fault, who can't have known: `unseal` and `read_post` are called
behind the link, and what they refuse is ignored.
"""

import struct
from typing import NamedTuple

from meshd import codec, crypto, daykeys, limits, post
from meshd.errors import PeerError
from meshd.ids import envelope_key, post_id, sealed_id

VERSION = 1
TYPE_PUBLIC = 0
TYPE_SEALED = 1
SIGNATURE_SIZE = 64
NONCE_SIZE = 24
CONTENT_POST = 0  # what a sealed envelope may hold: the first slot of its content
CONTENT_KEY = 1

_PUBLIC = (int, int, bytes, bytes)
_SEALED = (int, int, int, bytes, bytes, bytes)
_POST_CONTENT = (int, bytes, bytes)
_HEADER = struct.Struct(">BBI24s16s")
_HOUR_MAX = 2**32 - 1  # what a reference and the header have room for
_CIPHERTEXT_SIZES = frozenset(size + limits.TAG_SIZE for size in limits.PADDING_CLASSES)
_LENGTH_SIZE = 2


class Envelope(NamedTuple):
    """A public envelope whose shape is right and whose signature is not checked yet."""

    key: bytes  # 40 bytes: expiry hour, id
    raw: bytes  # exactly as it arrived
    post: post.Post
    signature: bytes

    @property
    def id(self) -> bytes:
        """The envelope id, which is the post id (32 bytes)."""
        return self.key[8:]

    @property
    def expiry_hour(self) -> int:
        """The hour at which nobody keeps it any longer, hours since 1970."""
        return self.post.keep_until


class Sealed(NamedTuple):
    """A sealed envelope whose shape is right. Whether anybody can open it is not known."""

    key: bytes  # 40 bytes: expiry hour, id
    raw: bytes  # exactly as it arrived
    expiry_hour: int
    nonce: bytes  # 24
    hint: bytes  # 16
    ciphertext: bytes

    @property
    def id(self) -> bytes:
        """The envelope id, which is not that of the post inside (32 bytes)."""
        return self.key[8:]


class SealedPost(NamedTuple):
    """A post out of a sealed envelope, its shape checked and its signature not."""

    id: bytes  # of the post
    post: post.Post
    signature: bytes


def seal_public(signed: bytes, signature: bytes) -> bytes:
    """The bytes of a public envelope around a signed post."""
    return codec.pack(VERSION, TYPE_PUBLIC, signed, signature)


def seal(day_key: bytes, expiry_hour: int, nonce: bytes, content: bytes) -> bytes:
    """The bytes of a sealed envelope: `day_key` is K(d) of the expiry hour's day, `nonce` 24 random bytes.

    ValueError if the content is longer than the largest class holds (32 766 bytes).
    """
    hint = daykeys.hint(daykeys.hint_key(day_key), nonce)
    size = next((size for size in limits.PADDING_CLASSES if len(content) + _LENGTH_SIZE <= size), None)
    if size is None:
        raise ValueError(f"{len(content)} bytes fit into no envelope")
    padded = (len(content).to_bytes(_LENGTH_SIZE, "big") + content).ljust(size, b"\0")
    header = _HEADER.pack(VERSION, TYPE_SEALED, expiry_hour, nonce, hint)
    ciphertext = crypto.xchacha20poly1305_encrypt(daykeys.seal_key(day_key), nonce, header, padded)
    return codec.pack(VERSION, TYPE_SEALED, expiry_hour, nonce, hint, ciphertext)


def unseal(sealed: Sealed, seal_key: bytes) -> bytes | None:
    """The content, under the seal key of its day; None if that is not its key, or its padding is not zeros."""
    header = _HEADER.pack(VERSION, TYPE_SEALED, sealed.expiry_hour, sealed.nonce, sealed.hint)
    padded = crypto.xchacha20poly1305_decrypt(seal_key, sealed.nonce, header, sealed.ciphertext)
    if padded is None:
        return None
    end = _LENGTH_SIZE + int.from_bytes(padded[:_LENGTH_SIZE], "big")
    if end > len(padded) or padded.count(0, end) != len(padded) - end:
        return None
    return padded[_LENGTH_SIZE:end]


def parse(raw: bytes) -> Envelope | Sealed | None:
    """The envelope in these bytes; None if of another version or type; PeerError if no node may accept it."""
    if len(raw) > limits.ENVELOPE_SIZE_MAX:
        raise PeerError("an envelope too long")
    if len(raw) < 3 or raw[0] >> 4 != 0x9 or raw[1] > 0x7F or raw[2] > 0x7F:
        raise PeerError("no envelope")
    if raw[1] != VERSION or raw[2] not in (TYPE_PUBLIC, TYPE_SEALED):
        return None
    if raw[2] == TYPE_SEALED:
        return _parse_sealed(raw)
    _, _, signed, signature = codec.unpack(raw, _PUBLIC, limits.ENVELOPE_SIZE_MAX)
    if len(signature) != SIGNATURE_SIZE:
        raise PeerError("a signature of the wrong length")
    parsed = post.parse(signed)
    return Envelope(envelope_key(parsed.keep_until, post_id(signed)), raw, parsed, signature)


def is_sealed(raw: bytes) -> bool:
    """Whether an envelope that parsed once is a sealed one."""
    return raw[1:3] == bytes((VERSION, TYPE_SEALED))


def _parse_sealed(raw: bytes) -> Sealed:
    _, _, hour, nonce, hint, ciphertext = codec.unpack(raw, _SEALED, limits.ENVELOPE_SIZE_MAX)
    if hour > _HOUR_MAX:
        raise PeerError("an expiry hour out of range")
    if len(nonce) != NONCE_SIZE or len(hint) != daykeys.HINT_SIZE:
        raise PeerError("a nonce or hint of the wrong length")
    if len(ciphertext) not in _CIPHERTEXT_SIZES:
        raise PeerError("a ciphertext of no class")
    return Sealed(envelope_key(hour, sealed_id(raw)), raw, hour, nonce, hint, ciphertext)


def post_content(signed: bytes, signature: bytes) -> bytes:
    """What a sealed envelope holds around a signed post."""
    return codec.pack(CONTENT_POST, signed, signature)


def content_kind(content: bytes) -> int | None:
    """The first slot of a content; None if it is no array that begins with a small int."""
    return content[1] if len(content) >= 2 and content[0] >> 4 == 0x9 and content[1] <= 0x7F else None


def read_post(content: bytes, *, channel: bytes, epoch: bytes, expiry_hour: int) -> SealedPost:
    """The post in the content of an envelope that expires at that hour and was opened with a key of this channel and
    epoch (empty for an inbox). PeerError, which is nobody's fault, unless it belongs there."""
    _, signed, signature = codec.unpack(content, _POST_CONTENT, limits.ENVELOPE_SIZE_MAX)
    if len(signature) != SIGNATURE_SIZE:
        raise PeerError("a signature of the wrong length")
    inside = post.parse(signed, sealed=True)
    if inside.channel != channel:
        raise PeerError("a post of another channel")
    if inside.epoch != epoch and (inside.epoch or inside.kind not in post.EPOCHLESS_KINDS):
        raise PeerError("a post of another epoch")
    if inside.keep_until < expiry_hour or (
        inside.kind == post.KIND_TEXT and inside.keep_until != expiry_hour
    ):
        raise PeerError("an envelope that does not end with its post")
    if inside.time_ms >= expiry_hour * post.HOUR_MS:
        raise PeerError("a post dated after the end of its envelope")
    return SealedPost(post_id(signed), inside, signature)


def check(envelope: Envelope | SealedPost) -> crypto.Check:
    """What has to verify for the author to have signed it. The key itself is checked where it is first admitted."""
    return post.check(envelope.post, envelope.id, envelope.signature)
