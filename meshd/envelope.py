"""Envelopes: the wrapper a post travels in; stored and forwarded as it came, never altered.

The rule: a public envelope adds nothing to the post but its signature. Its id is the post's id, so the signature
is outside it and a second signature over the same post is a duplicate; its expiry hour is the keep-until that the
author signed, so no relay can re-date it (protocol.md, "Envelopes").

`parse` looks at size and shape only. A version or type that we do not know is None: an honest node may run a newer
meshd, so it is refused in silence. What is malformed under our own version is the peer's fault, PeerError.
"""

from typing import NamedTuple

from meshd import codec, crypto, limits, post
from meshd.errors import PeerError
from meshd.ids import envelope_key, post_id

VERSION = 1
TYPE_PUBLIC = 0
SIGNATURE_SIZE = 64

_SCHEMA = (int, int, bytes, bytes)


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


def seal_public(signed: bytes, signature: bytes) -> bytes:
    """The bytes of a public envelope around a signed post."""
    return codec.pack(VERSION, TYPE_PUBLIC, signed, signature)


def parse(raw: bytes) -> Envelope | None:
    """The envelope in these bytes; None if of another version or type; PeerError if no node may accept it."""
    if len(raw) > limits.ENVELOPE_SIZE_MAX:
        raise PeerError("an envelope too long")
    if len(raw) < 3 or raw[0] >> 4 != 0x9 or raw[1] > 0x7F or raw[2] > 0x7F:
        raise PeerError("no envelope")
    if raw[1] != VERSION or raw[2] != TYPE_PUBLIC:
        return None
    _, _, signed, signature = codec.unpack(raw, _SCHEMA, limits.ENVELOPE_SIZE_MAX)
    if len(signature) != SIGNATURE_SIZE:
        raise PeerError("a signature of the wrong length")
    parsed = post.parse(signed)
    return Envelope(envelope_key(parsed.keep_until, post_id(signed)), raw, parsed, signature)


def check(envelope: Envelope) -> crypto.Check:
    """What has to verify for the author to have signed it. The key itself is checked where it is first admitted."""
    return post.check(envelope.post, envelope.id, envelope.signature)
