"""Posts: what a person writes, signed by its author.

The rule: the signed bytes are the post. They are hashed and verified exactly as they arrived, and a post that
does not re-encode to the same bytes is refused (codec). The id is a labelled hash of the signed bytes, and the
signature is over a label and that id, so that nothing signed for another purpose is a post (protocol.md, "Posts").

Slots: version, channel id (16), epoch id (32, empty in a public envelope), author (Ed25519, 32), incarnation (63 random
bits, new at every start), sequence (from 1 within author, channel and incarnation), parents (at most 8 ids, the
author's own previous post first), HLC (48 bits of milliseconds, 16 of counter), kind, keep-until (hour), body.

What stands here is true on any node at any time: `parse` raises PeerError for the rest. Whether a post is too old
or too far ahead depends on a clock and is judged where posts are taken in.
"""

from typing import NamedTuple

from meshd import codec, crypto, limits
from meshd.errors import CallerError, Code, PeerError
from meshd.ids import CHANNEL_ID_SIZE, ID_SIZE, LABEL_SIGNATURE, post_id

VERSION = 1
KIND_TEXT = 1
KIND_EPOCH = 2  # in sealed envelopes only, as all below
KIND_PREKEYS = 3
KIND_STATEMENT = 4
KIND_PLAN = 5  # one version of a plan
KIND_PLAN_ACT = 6  # what somebody does about one
KIND_RECEIPT = 7  # says which posts are there
LONG_KINDS = frozenset(
    {KIND_EPOCH, KIND_PLAN, KIND_PLAN_ACT}
)  # long, live long, are sealed anew while they live
EPOCHLESS_KINDS = LONG_KINDS | {
    KIND_PREKEYS
}  # name no epoch: they bring keys, or are for members to come as well
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
POST_SIZE_MAX = limits.BODY_SIZE_MAX + 512  # body, and all other slots at their largest
SEALED_POST_SIZE_MAX = limits.LONG_BODY_SIZE_MAX + 512

_SCHEMA = (int, bytes, bytes, bytes, int, int, bytes, int, int, int, bytes)
_TEXT_SCHEMA = (str, bytes, str)
_SIGNATURE_PREFIX = bytes((len(LABEL_SIGNATURE),)) + LABEL_SIGNATURE


class Post(NamedTuple):
    """The slots of a post, in the order in which they are signed."""

    version: int
    channel: bytes
    epoch: bytes
    author: bytes
    incarnation: int
    sequence: int
    parents: bytes  # ids, one after the other
    hlc: int
    kind: int
    keep_until: int  # hours since 1970-01-01T00:00Z
    body: bytes

    @property
    def time_ms(self) -> int:
        """The wall part of the HLC: milliseconds since 1970, as its author's clock had it."""
        return self.hlc >> 16

    def parent_ids(self) -> list[bytes]:
        """The parents' ids, the author's own previous post first."""
        return [self.parents[i : i + ID_SIZE] for i in range(0, len(self.parents), ID_SIZE)]


class Text(NamedTuple):
    """The body of a post of kind 1."""

    name: str  # the author's name, in its first post of each incarnation in a channel; else empty
    reply_to: bytes  # a post id, or empty
    text: str


def encode(post: Post) -> bytes:
    """The bytes that are signed."""
    return codec.pack(*post)


def parse(signed: bytes, *, sealed: bool = False) -> Post:
    """The post in these bytes, shape checked, signature not; PeerError if no node may accept it.

    `sealed`: it was inside a sealed envelope, where it may name an epoch, and some kinds are long.
    """
    post = Post(*codec.unpack(signed, _SCHEMA, SEALED_POST_SIZE_MAX if sealed else POST_SIZE_MAX))
    if post.version != VERSION:
        raise PeerError("a post of another version inside an envelope of this one")
    if len(post.channel) != CHANNEL_ID_SIZE or len(post.author) != ID_SIZE:
        raise PeerError("an id of the wrong length")
    if post.epoch and not (sealed and len(post.epoch) == ID_SIZE):
        raise PeerError("an epoch where none may be, or of the wrong length")
    parents = codec.chop(post.parents, ID_SIZE, limits.PARENTS_MAX)
    if len(parents) != len(set(parents)) or (post.sequence > 1 and not parents):
        raise PeerError("a parent twice, or none where the author's own must stand")
    if not 1 <= post.sequence <= limits.SEQUENCE_MAX:
        raise PeerError("a sequence out of range")
    if not 1 <= post.kind <= 255:
        raise PeerError("a kind out of range")
    is_long = sealed and post.kind in LONG_KINDS
    if len(post.body) > (limits.LONG_BODY_SIZE_MAX if is_long else limits.BODY_SIZE_MAX):
        raise PeerError("a body too long")
    keep_ms = (limits.LONG_KEEP_HOURS_MAX if is_long else limits.KEEP_HOURS_MAX) * HOUR_MS
    if not post.hlc < post.keep_until * HOUR_MS << 16 <= (post.time_ms + keep_ms) << 16:
        raise PeerError("a keep-until before the post's own time, or too long after it")
    return post


def sign(secret: bytes, identity: bytes) -> bytes:
    """The 64-byte signature for the post with this id, by the 64-byte Ed25519 secret of its author."""
    return crypto.sign(secret, _SIGNATURE_PREFIX + identity)


def check(post: Post, identity: bytes, signature: bytes) -> crypto.Check:
    """What has to verify for the author named in the post to have signed the one with this id (computed by us)."""
    return post.author, _SIGNATURE_PREFIX + identity, signature


def encode_text(body: Text) -> bytes:
    """The body of a text post; CallerError(usage) where name or text are too long."""
    packed = codec.pack(*body)
    if len(packed) > limits.BODY_SIZE_MAX or len(body.name.encode()) > limits.NAME_SIZE_MAX:
        raise CallerError(Code.usage, f"a post holds at most {limits.BODY_SIZE_MAX - 128} bytes of text")
    return packed


def parse_text(body: bytes) -> Text | None:
    """The text in the body of a post of kind 1; None if it is none: such a post is chained, but not shown."""
    try:
        text = Text(*codec.unpack(body, _TEXT_SCHEMA, limits.BODY_SIZE_MAX))
    except PeerError:
        return None
    fits = len(text.name.encode()) <= limits.NAME_SIZE_MAX and len(text.reply_to) in (0, ID_SIZE)
    return text if fits else None


__all__ = [
    "EPOCHLESS_KINDS", "HOUR_MS", "KIND_EPOCH", "KIND_PLAN", "KIND_PLAN_ACT", "KIND_PREKEYS", "KIND_STATEMENT",
    "KIND_TEXT", "LONG_KINDS", "POST_SIZE_MAX", "SEALED_POST_SIZE_MAX", "VERSION", "Post", "Text", "encode",
    "encode_text", "parse", "parse_text", "post_id", "sign",
]  # fmt: skip
