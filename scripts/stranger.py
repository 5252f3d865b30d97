"""A link to a daemon from somebody who holds the network key and keeps to no rule: for benchmarks and attacks.

It speaks the real protocol over a real socket through the same `Session` as the product, so that whatever it does
wrong it does wrong on purpose. Times out after ten seconds of silence. The kernel notes when bytes came (Linux), so
that a stranger who is slow to read does not blame the daemon for it.
"""

import os
import select
import socket
import struct
import time

from meshd import codec, crypto, envelope, post
from meshd.envelope import Envelope
from meshd.errors import PeerError
from meshd.ids import link_psk, post_id
from meshd.limits import ENVELOPE_SIZE_MAX, MESSAGE_SIZE_MAX
from meshd.proto import message as msg
from meshd.proto.session import Session, State

_TIMEOUT_S = 10
_READ_SIZE = 16 * 1024  # a frame: the kernel's note is of the last of the bytes that are read at once
_SO_TIMESTAMPNS = 35  # Linux: each read tells when its bytes came, as seconds and nanoseconds since 1970


class Stranger:
    """An open session with the daemon at `address` (`HOST:PORT`), or with the one that dialled us."""

    def __init__(self, far: str | socket.socket, network_key: bytes, host: str = "") -> None:
        """`host`: whose address it dials from, if not that which the system chooses."""
        self.read_s = 0.0  # when what was read last had come, wall seconds
        if isinstance(far, str):
            there, port = far.rsplit(":", 1)
            self.socket = socket.create_connection((there, int(port)), _TIMEOUT_S, (host, 0))
        else:
            self.socket = far
        self.socket.settimeout(_TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self.session = Session(
            dialled=isinstance(far, str),
            static=crypto.x25519_keypair(crypto.fresh(os.urandom, 32)),
            psk=link_psk(network_key),
            entropy=os.urandom,
            mono_ms=_mono_ms(),
            greeting=lambda: (
                msg.Hello(b"\1", 0, 0, 0, ENVELOPE_SIZE_MAX, MESSAGE_SIZE_MAX, 0, bytes(16)),
                msg.Tags(bytes(msg.TAGS_SIZE)),
            ),
        )
        while self.session.state is not State.OPEN:
            self.pump()

    def pump(self) -> list[msg.Message]:
        """Send what is queued and take one read; ConnectionError once the daemon has closed the link."""
        self.flush()
        messages = list(self.session.receive(self._read(), _mono_ms()))
        self.flush()
        return messages

    def flush(self) -> None:
        """Send what is queued."""
        self.socket.sendall(self.session.take_output(_mono_ms()))
        self.session.drained()

    def say(self, message: msg.Message) -> list[msg.Message]:
        """Send a message as the daemon takes it; what it said meanwhile, so that neither waits for the other."""
        heard: list[msg.Message] = []
        self.session.send(message)
        content = memoryview(self.session.take_output(_mono_ms()))
        while content:
            readable, writable, _ = select.select([self.socket], [self.socket], [], _TIMEOUT_S)
            if readable:
                heard += self.session.receive(self._read(), _mono_ms())
            if writable:
                content = content[self.socket.send(content) :]
        self.session.drained()
        return heard

    def _read(self) -> bytes:
        content, notes, _, _ = self.socket.recvmsg(_READ_SIZE, 64)
        if not content:
            raise ConnectionError("closed")
        for _, kind, note in notes:
            if kind == _SO_TIMESTAMPNS:
                seconds, nanoseconds = struct.unpack("qq", note)
                self.read_s = seconds + nanoseconds / 1e9
        return content

    def is_refused(self, raw: bytes) -> bool:
        """Give an envelope; whether the daemon closes the link on it."""
        self.session.send(msg.Give(1, codec.join([raw])))
        until_s = time.monotonic() + _TIMEOUT_S
        try:
            while time.monotonic() < until_s:
                self.pump()
        except (ConnectionError, PeerError):
            return True
        except TimeoutError:
            pass
        return False

    def close(self) -> None:
        """End the link without a bye."""
        self.socket.close()


def signed_post(text: str, *, forged: bool = False) -> Envelope:
    """A post by an author of its own, in a channel that nobody reads; with a signature of zeros if it is `forged`."""
    public, secret = crypto.ed25519_keypair(crypto.fresh(os.urandom, 32))
    signed = _signed(bytes(16), text, public)
    signature = bytes(64) if forged else post.sign(secret, post_id(signed))
    made = envelope.parse(envelope.seal_public(signed, signature))
    if not isinstance(made, Envelope):
        raise TypeError("no public envelope")
    return made


def forged(channel: bytes, text: str = "forged") -> bytes:
    """A well-formed envelope for a channel (16-byte id) whose signature is not its author's."""
    public, _ = crypto.ed25519_keypair(b"\7" * 32)
    return envelope.seal_public(_signed(channel, text, public), b"\1" * 64)


def _signed(channel: bytes, text: str, author: bytes) -> bytes:
    """The signed bytes of somebody's first post, written now."""
    wall_ms = time.time_ns() // 10**6
    made = post.Post(
        version=post.VERSION,
        channel=channel,
        epoch=b"",
        author=author,
        incarnation=1,
        sequence=1,
        parents=b"",
        hlc=wall_ms << 16,
        kind=post.KIND_TEXT,
        keep_until=wall_ms // post.HOUR_MS + 24,
        body=post.encode_text(post.Text("", b"", text)),
    )
    return post.encode(made)


def _mono_ms() -> int:
    return time.monotonic_ns() // 10**6
