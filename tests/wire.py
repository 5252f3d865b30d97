"""What tests of the wire share: a packer without strictness, posts of known authors, two sessions joined in memory.

The rule: `Packer` is written from the msgpack specification and not from `meshd.codec`, so that a test of the codec
compares two implementations; it can also write what no honest node writes (wider headers, floats, maps).
"""

import random
import struct
from collections.abc import Sequence
from typing import Any

from meshd import crypto, envelope, post
from meshd.ids import COMMONS_KEY, link_psk, post_id
from meshd.limits import ENVELOPE_SIZE_MAX, MESSAGE_SIZE_MAX
from meshd.proto import message as msg
from meshd.proto.session import Session

WALL_MS = 1_790_000_000_000
HOUR = WALL_MS // post.HOUR_MS
CHANNEL = b"\5" * 16
PSK = link_psk(COMMONS_KEY)


def header(kind: str, size: int, width: int = 0) -> bytes:
    """The head of an array, str or bin of `size`, or of an unsigned int; `width` 0 is the shortest, else bytes."""
    fix = {"array": (0x90, 16), "str": (0xA0, 32), "int": (0x00, 128), "bin": (0, 0)}[kind]
    codes = {"array": {2: 0xDC, 4: 0xDD}, "str": {1: 0xD9, 2: 0xDA, 4: 0xDB}, "bin": {1: 0xC4, 2: 0xC5, 4: 0xC6},
             "int": {1: 0xCC, 2: 0xCD, 4: 0xCE, 8: 0xCF}}[kind]  # fmt: skip
    if not width and size < fix[1]:
        return bytes((fix[0] | size,))
    width = width or next(w for w in codes if size < 256**w)
    return bytes((codes[width],)) + size.to_bytes(width, "big")


def item(value: int | bytes | str, width: int = 0) -> bytes:
    """One slot, its head `width` bytes wide (0: the shortest)."""
    if isinstance(value, int):
        return header("int", value, width)
    if isinstance(value, bytes):
        return header("bin", len(value), width) + value
    return header("str", len(value.encode()), width) + value.encode()


def array(*items: bytes, width: int = 0) -> bytes:
    """An array of items that are packed already."""
    return header("array", len(items), width) + b"".join(items)


FLOAT = b"\xcb" + struct.pack(">d", 1.0)
NAN = b"\xcb" + struct.pack(">d", float("nan"))
MINUS_ZERO = b"\xcb" + struct.pack(">d", -0.0)
TIMESTAMP = b"\xd6\xff" + bytes(4)
NIL, FALSE, TRUE, EMPTY_MAP, MINUS_ONE = b"\xc0", b"\xc2", b"\xc3", b"\x80", b"\xff"


class Author:
    """An identity that writes posts."""

    def __init__(self, seed: int = 1) -> None:
        self.key, self.secret = crypto.ed25519_keypair(bytes((seed,)) * 32)

    def post(self, **changed: Any) -> post.Post:
        """A post that is right in every slot, but for what is changed."""
        made = post.Post(
            version=1,
            channel=CHANNEL,
            epoch=b"",
            author=self.key,
            incarnation=7,
            sequence=1,
            parents=b"",
            hlc=WALL_MS << 16,
            kind=post.KIND_TEXT,
            keep_until=HOUR + 24,
            body=post.encode_text(post.Text("", b"", "hello")),
        )
        return made._replace(**changed)

    def envelope(self, **changed: Any) -> bytes:
        """The public envelope of such a post, signed."""
        return self.seal(post.encode(self.post(**changed)))

    def seal(self, signed: bytes) -> bytes:
        """The public envelope of any bytes, signed as a post."""
        return envelope.seal_public(signed, post.sign(self.secret, post_id(signed)))


def hello(**changed: Any) -> msg.Hello:
    """A hello of an empty node, but for what is changed."""
    made = msg.Hello(
        b"\1", 0, HOUR, HOUR, ENVELOPE_SIZE_MAX, MESSAGE_SIZE_MAX, key_count=0, fingerprint=bytes(16)
    )
    return made._replace(**changed)


def session(
    seed: int,
    *,
    dialled: bool,
    psk: bytes = PSK,
    greeting: Sequence[msg.Message] | None = None,
    mono_ms: int = 0,
    **how: Any,
) -> Session:
    """One side; its keys come from the seed."""
    entropy = random.Random(seed).randbytes
    said = (hello(), msg.Tags(bytes(msg.TAGS_SIZE))) if greeting is None else greeting
    return Session(
        dialled=dialled,
        static=crypto.x25519_keypair(entropy(32)),
        psk=psk,
        entropy=entropy,
        mono_ms=mono_ms,
        greeting=lambda: said,
        **how,
    )


class Pair:
    """A dialler and an acceptor, and all that each has sent and got."""

    def __init__(self, dialler: Session | None = None, acceptor: Session | None = None) -> None:
        self.dialler = dialler or session(1, dialled=True)
        self.acceptor = acceptor or session(2, dialled=False)
        self.got: dict[Session, list[msg.Message]] = {self.dialler: [], self.acceptor: []}
        self.sent: dict[Session, bytes] = {self.dialler: b"", self.acceptor: b""}

    def move(self, source: Session, mono_ms: int = 0, cut: int = 0) -> int:
        """Bring what one side has to say to the other, in pieces of `cut` bytes if given; how many bytes it was."""
        target = self.acceptor if source is self.dialler else self.dialler
        content = source.take_output(mono_ms)
        source.drained()
        self.sent[source] += content
        for start in range(0, len(content), cut or len(content) or 1):
            piece = content[start : start + (cut or len(content))]
            self.got[target] += target.receive(piece, mono_ms)
        return len(content)

    def run(self, mono_ms: int = 0, cut: int = 0) -> None:
        """Let both talk until neither has anything to say."""
        while self.move(self.acceptor, mono_ms, cut) + self.move(self.dialler, mono_ms, cut):
            pass


def frames(stream: bytes) -> list[bytes]:
    """The frames of a stream, without their lengths."""
    cut = []
    while stream:
        size = int.from_bytes(stream[:2], "big")
        cut.append(stream[2 : 2 + size])
        stream = stream[2 + size :]
    return cut
