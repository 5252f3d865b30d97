"""Frames: messages cut into padded, encrypted records, and put together again.

A frame on the wire is `u16 length ‖ record`, big-endian. After the handshake a record is ChaCha20-Poly1305 of a
plaintext of exactly 256, 1 024, 4 096 or 16 384 bytes, so its length is one of four and says little:

    u8 flags ‖ u16 n ‖ n bytes of a message ‖ zeros
    flags: bits 0–1 lane · bit 2 last frame of its message · bit 3 the sender rekeys after this frame

The rule: a message travels in one lane, frames of different lanes may alternate, and inside a lane one message ends
before the next begins. Lower lanes go first, so what is urgent waits for one frame at most. Each direction has its
own key, and its sender alone decides when to rekey (Noise section 11.3), at the latest after 2^15 records.

Padding is zero when sent and not looked at when received: it is authenticated like the rest (protocol.md, "Frames").
"""

from collections import deque
from collections.abc import Iterator

from meshd.errors import PeerError
from meshd.limits import (
    FRAME_CLASSES,
    FRAME_HEAD_SIZE,
    LANES,
    MESSAGE_SIZE_MAX,
    REKEY_MS,
    REKEY_RECORDS,
    TAG_SIZE,
)
from meshd.noise import CipherState

_LANE_MASK = 0b0011
_LAST = 0b0100
_REKEY = 0b1000
RECORD_SIZES = frozenset(size + TAG_SIZE for size in FRAME_CLASSES)


def padded_size(content_size: int) -> int:
    """The class of the next frame when `content_size` bytes remain: the one that fits them, unless more than half
    of it would be padding; then the next smaller one, full."""
    needed = content_size + FRAME_HEAD_SIZE
    smaller = FRAME_CLASSES[0]
    for size in FRAME_CLASSES:
        if needed <= size:
            return smaller if needed * 2 < size and size > FRAME_CLASSES[0] else size
        smaller = size
    return smaller


class FrameReader:
    """The receiving half of a link after the handshake: bytes in, whole messages out."""

    def __init__(self, cipher: CipherState, message_size_max: int = MESSAGE_SIZE_MAX) -> None:
        self.message_size_max = message_size_max  # of each lane; may grow later
        self._cipher = cipher
        self._lanes = [bytearray() for _ in range(LANES)]
        self._records = 0

    def read(self, record: bytes) -> bytes | None:
        """The message that this record completes, if it does; PeerError for anything that is no frame."""
        plaintext = self._cipher.decrypt_with_ad(b"", record)
        flags, size = plaintext[0], plaintext[1] << 8 | plaintext[2]
        if flags & ~(_LANE_MASK | _LAST | _REKEY) or size > len(plaintext) - FRAME_HEAD_SIZE:
            raise PeerError("a frame with an impossible head")
        self._records += 1
        if flags & _REKEY:
            self._cipher.rekey()
            self._records = 0
        elif self._records >= REKEY_RECORDS:
            raise PeerError("a key used for longer than it may be")
        lane = self._lanes[flags & _LANE_MASK]
        lane += plaintext[FRAME_HEAD_SIZE : FRAME_HEAD_SIZE + size]
        if len(lane) > self.message_size_max:
            raise PeerError("a message longer than it may be")
        if not flags & _LAST:
            return None
        message = bytes(lane)
        lane.clear()
        return message


class FrameWriter:
    """The sending half: messages wait in lanes and leave as frames when there is room for them."""

    def __init__(self, cipher: CipherState, mono_ms: int, *, rekey_records: int = REKEY_RECORDS) -> None:
        self._cipher = cipher
        self._lanes: list[deque[bytes]] = [deque() for _ in range(LANES)]
        self.waiting_size = 0  # bytes of the messages that have not left whole
        self._sent = [0] * LANES  # bytes of the first message of each lane that are gone already
        self._records = 0
        self._rekey_records = rekey_records
        self._keyed_ms = mono_ms

    def queue(self, message: bytes, lane: int) -> None:
        """Append a message (≤ MESSAGE_SIZE_MAX bytes) to a lane."""
        if len(message) > MESSAGE_SIZE_MAX:
            raise ValueError(f"a message of {len(message)} bytes")
        self._lanes[lane].append(message)
        self.waiting_size += len(message)

    def waiting(self) -> bool:
        """Whether any message, or the rest of one, has not left yet."""
        return any(self._lanes)

    def frames(self, room: int, mono_ms: int) -> Iterator[bytes]:
        """Frames as they go onto the wire, urgent lanes first, until nothing waits or `room` bytes are used up
        (the last frame may go over)."""
        while room > 0 and self.waiting():
            frame = self._next(mono_ms)
            room -= len(frame)
            yield frame

    def _next(self, mono_ms: int) -> bytes:
        lane = next(number for number in range(LANES) if self._lanes[number])
        message, start = self._lanes[lane][0], self._sent[lane]
        plaintext_size = padded_size(len(message) - start)
        content = message[start : start + plaintext_size - FRAME_HEAD_SIZE]
        flags = lane
        if start + len(content) == len(message):
            flags |= _LAST
            self._lanes[lane].popleft()
            self.waiting_size -= len(message)
            self._sent[lane] = 0
        else:
            self._sent[lane] = start + len(content)
        self._records += 1
        rekey = self._records >= self._rekey_records or mono_ms - self._keyed_ms >= REKEY_MS
        if rekey:
            flags |= _REKEY
        head = bytes((flags, len(content) >> 8, len(content) & 0xFF))
        record = self._cipher.encrypt_with_ad(b"", (head + content).ljust(plaintext_size, b"\0"))
        if rekey:
            self._cipher.rekey()
            self._records, self._keyed_ms = 0, mono_ms
        return len(record).to_bytes(2, "big") + record
