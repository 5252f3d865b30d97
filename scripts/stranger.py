"""A link to a daemon from somebody who holds the network key and keeps to no rule: for benchmarks and attacks.

It speaks the real protocol over a real socket through the same `Session` as the product, so that whatever it does
wrong it does wrong on purpose. Times out after ten seconds of silence.
"""

import os
import socket
import time

from meshd import codec, crypto, envelope, post
from meshd.errors import PeerError
from meshd.ids import link_psk
from meshd.limits import ENVELOPE_SIZE_MAX, MESSAGE_SIZE_MAX, READ_SIZE_MAX
from meshd.proto import message as msg
from meshd.proto.session import Session, State

_TIMEOUT_S = 10


class Stranger:
    """An open session with the daemon at `address` (`HOST:PORT`)."""

    def __init__(self, address: str, network_key: bytes) -> None:
        host, port = address.rsplit(":", 1)
        self._socket = socket.create_connection((host, int(port)), timeout=_TIMEOUT_S)
        self.session = Session(
            dialled=True,
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
        self._socket.sendall(self.session.take_output(_mono_ms()))
        content = self._socket.recv(READ_SIZE_MAX)
        if not content:
            raise ConnectionError("closed")
        messages = list(self.session.receive(content, _mono_ms()))
        self._socket.sendall(self.session.take_output(_mono_ms()))
        self.session.drained()
        return messages

    def is_refused(self, raw: bytes) -> bool:
        """Give an envelope; whether the daemon closes the link on it."""
        self.session.send(msg.Give(1, codec.join([raw])))
        try:
            while True:
                self.pump()
        except (ConnectionError, PeerError):
            return True
        except TimeoutError:
            return False

    def close(self) -> None:
        """End the link without a bye."""
        self._socket.close()


def forged(channel: bytes, text: str = "forged") -> bytes:
    """A well-formed envelope for a channel (16-byte id) whose signature is not its author's."""
    wall_ms = time.time_ns() // 10**6
    public, _ = crypto.ed25519_keypair(b"\7" * 32)
    made = post.Post(
        version=post.VERSION,
        channel=channel,
        epoch=b"",
        author=public,
        incarnation=1,
        sequence=1,
        parents=b"",
        hlc=wall_ms << 16,
        kind=post.KIND_TEXT,
        keep_until=wall_ms // post.HOUR_MS + 24,
        body=post.encode_text(post.Text("", b"", text)),
    )
    return envelope.seal_public(post.encode(made), b"\1" * 64)


def _mono_ms() -> int:
    return time.monotonic_ns() // 10**6
