"""Sessions: the protocol state over one link, from the challenge to the bye.

The accepting side speaks first: 32 random bytes that go into the handshake's prologue, so that a recorded first
message is good for nobody, without a clock or a cache. Then Noise_XXpsk0, then both sides' hello and tags.

    dialler   CHALLENGED ──challenge──▶ REPLIED ──message 2──▶ GREETING ──hello──▶ GREETED ──tags──▶ OPEN
    acceptor  CALLED ──message 1──▶ ANSWERED ──message 3──▶ GREETING ──hello──▶ GREETED ──tags──▶ OPEN
                                                                              OPEN ──bye──▶ CLOSED

The rule: before a message authenticates, nothing is sent in answer to it, and any failure is a PeerError with no
answer at all, so that a prober without the network key learns nothing. The dialler learns the acceptor's link key in
message 2 and hangs up there if it has a session with that key already (or if the key is its own), so the acceptor
knows that whoever completes a handshake had no other open session with it (protocol.md, "Sessions").

Every frame, of the handshake too, is `u16 length ‖ bytes`. Wrong lengths are refused before a byte of them is
waited for. Deadlines: HANDSHAKE_MS from link-up to OPEN, FRAME_MS for a frame, a ping after PING_MS of silence, dead
after DEAD_MS. A stream that ends without a bye was cut. Who goes on asking while more than WAITING_SIZE_MAX bytes wait
for it is cut too: answers that nobody takes would fill our memory.
"""

import enum
from collections.abc import Callable, Iterator, Sequence

from meshd.crypto import Entropy, fresh
from meshd.errors import PeerError
from meshd.limits import (
    DEAD_MS,
    FRAME_MS,
    GREETING_SIZE_MAX,
    HANDSHAKE_MS,
    MESSAGE_SIZE_MAX,
    OUTBOX_FILL_SIZE,
    OUTBOX_SIZE_MAX,
    PING_MS,
    REKEY_RECORDS,
    WAITING_SIZE_MAX,
)
from meshd.noise import XXPSK0, HandshakeState
from meshd.proto import message as msg
from meshd.proto.frame import RECORD_SIZES, FrameReader, FrameWriter

CHALLENGE_SIZE = 32
PROLOGUE = b"meshd/1"
MESSAGE_1_SIZE, MESSAGE_2_SIZE, MESSAGE_3_SIZE = 48, 96, 64


class State(enum.Enum):
    """Where a session stands; a name says what happened last."""

    CHALLENGED = "waiting for the challenge"  # dialler
    REPLIED = "waiting for message 2"  # dialler
    CALLED = "waiting for message 1"  # acceptor
    ANSWERED = "waiting for message 3"  # acceptor
    GREETING = "waiting for hello"
    GREETED = "waiting for tags"
    OPEN = "open"
    CLOSED = "closed"


_EXPECTED = {
    State.CHALLENGED: CHALLENGE_SIZE,
    State.REPLIED: MESSAGE_2_SIZE,
    State.CALLED: MESSAGE_1_SIZE,
    State.ANSWERED: MESSAGE_3_SIZE,
}


class Session:
    """One side of one link. Bytes go in through `receive`; what it wants to send comes out of `take_output`."""

    def __init__(
        self,
        *,
        dialled: bool,
        static: tuple[bytes, bytes],
        psk: bytes,
        entropy: Entropy,
        mono_ms: int,
        greeting: Callable[[], Sequence[msg.Message]],
        unwanted: Callable[[bytes], str | None] = lambda link_key: None,
        rekey_records: int = REKEY_RECORDS,
    ) -> None:
        self.dialled = dialled
        self.state = State.CHALLENGED if dialled else State.CALLED
        self.since_ms = mono_ms  # of link-up, then of OPEN
        self.hello: msg.Hello | None = None  # the peer's
        self.link_key = b""  # the peer's static key, once authenticated
        self.handshake_hash = b""
        self.hung_up: str | None = None  # why we stopped in the middle of a handshake that was going well
        self.rtt_ms: int | None = None
        self.in_bytes = self.out_bytes = 0
        self._static, self._psk, self._entropy = static, psk, entropy
        self._greeting, self._unwanted = greeting, unwanted
        self._rekey_records = rekey_records
        self._noise: HandshakeState | None = None
        self._reader: FrameReader | None = None
        self._writer: FrameWriter | None = None
        self._buffer = bytearray()
        self._frame_since_ms: int | None = None
        self._heard_ms = mono_ms
        self._pinged_ms: int | None = None
        self._ping_number = 0
        self.answered_ping = 0  # number of the last ping that was answered
        self._outstanding = 0  # bytes handed out since the outbox was last known to be drained
        self._output: list[bytes] = []
        if not dialled:
            self._challenge = entropy(CHALLENGE_SIZE)
            self._emit(self._challenge)

    # --- bytes in ---

    def receive(self, content: bytes, mono_ms: int) -> Iterator[msg.Message]:
        """The messages that these bytes complete, one after the other, ping and pong taken care of. PeerError ends
        the session; so does `hung_up`."""
        self.in_bytes += len(content)
        self._heard_ms = mono_ms
        buffer = self._buffer
        buffer += content
        start, end = 0, len(buffer)
        while end - start >= 2 and self.state is not State.CLOSED:
            size = buffer[start] << 8 | buffer[start + 1]
            if not (size == _EXPECTED[self.state] if self.state in _EXPECTED else size in RECORD_SIZES):
                raise PeerError("a frame of a length that none has")
            if end - start < 2 + size:
                break
            frame = bytes(buffer[start + 2 : start + 2 + size])
            start += 2 + size
            if self._reader is None:
                self._shake(frame, mono_ms)
                continue
            raw = self._reader.read(frame)
            decoded = None if raw is None else msg.decode(raw)
            if decoded is not None and (kept := self._take(decoded, mono_ms)) is not None:
                yield kept
            if self._writer is not None and self._writer.waiting_size > WAITING_SIZE_MAX:
                raise PeerError("it asks for more than it takes")
        if start:
            del buffer[:start]
            self._frame_since_ms = None
        if buffer and self._frame_since_ms is None:
            self._frame_since_ms = mono_ms

    def _shake(self, frame: bytes, mono_ms: int) -> None:
        """One frame of the handshake."""
        if self.state is State.CHALLENGED:
            self._begin(frame)
            self._emit(self._given_noise().write_message())
            self.state = State.REPLIED
        elif self.state is State.CALLED:
            self._begin(self._challenge)
            self._given_noise().read_message(frame)
            self._emit(self._given_noise().write_message())
            self.state = State.ANSWERED
        else:
            noise = self._given_noise()
            noise.read_message(frame)
            self.link_key = noise.rs or b""
            if self.state is State.REPLIED:
                self.hung_up = self._unwanted(self.link_key)
                if self.hung_up is not None:
                    self.state = State.CLOSED
                    return
                self._emit(noise.write_message())
            send, receive = noise.split()
            self.handshake_hash = noise.h
            self._reader = FrameReader(receive, GREETING_SIZE_MAX)
            self._writer = FrameWriter(send, mono_ms, rekey_records=self._rekey_records)
            self._noise = None
            self.state = State.GREETING
            for message in self._greeting():
                self.send(message)

    def _begin(self, challenge: bytes) -> None:
        self._noise = HandshakeState(
            XXPSK0,
            initiator=self.dialled,
            prologue=PROLOGUE + challenge,
            s=self._static,
            ephemeral_secret=fresh(self._entropy, 32),
            psks=(self._psk,),
        )

    def _given_noise(self) -> HandshakeState:
        if self._noise is None:
            raise RuntimeError("a handshake message outside a handshake")
        return self._noise

    def _take(self, message: msg.Message, mono_ms: int) -> msg.Message | None:
        """Sessions answer pings themselves; the rest is for the node, which must see hello first."""
        if self.state is State.GREETING and not isinstance(message, msg.Hello | msg.Bye):
            raise PeerError("a message before hello")
        if self.state is State.GREETED and not isinstance(message, msg.Hello | msg.Tags | msg.Bye):
            raise PeerError("a message between hello and tags")
        match message:
            case msg.Hello():
                if self.state is not State.GREETING:
                    raise PeerError("a second hello")
                if msg.VERSION in message.versions:
                    self.state, self.hello = State.GREETED, message
            case msg.Tags() if self.state is State.GREETED and self._reader is not None:
                self.state, self.since_ms = State.OPEN, mono_ms
                self._reader.message_size_max = MESSAGE_SIZE_MAX
            case msg.Ping(number):
                self.send(msg.Pong(number))
                return None
            case msg.Pong(number):
                if self._pinged_ms is not None and number == self._ping_number:
                    self.rtt_ms, self._pinged_ms = mono_ms - self._pinged_ms, None
                    self.answered_ping = number
                return None
        return message

    # --- messages out ---

    def send(self, message: msg.Message) -> None:
        """Queue a message in its lane; dropped when the session is closed."""
        if self._writer is not None and self.state is not State.CLOSED:
            self._writer.queue(msg.encode(message), msg.lane(message))

    def has_output(self) -> bool:
        """Whether `take_output` has anything, or would have if the outbox were empty."""
        return bool(self._output) or (self._writer is not None and self._writer.waiting())

    def has_room(self) -> bool:
        """Whether bulk may be queued: nothing waits in the lanes and the outbox is below its fill mark."""
        waiting = self._writer is not None and self._writer.waiting()
        return self.state is State.OPEN and not waiting and self._outstanding < OUTBOX_FILL_SIZE

    def drained(self) -> None:
        """The outbox is empty."""
        self._outstanding = 0

    def take_output(self, mono_ms: int) -> bytes:
        """The bytes to put into the outbox now, at most what the outbox holds."""
        if self._writer is not None:
            self._output.extend(self._writer.frames(OUTBOX_SIZE_MAX // 2 - self._outstanding, mono_ms))
        content = b"".join(self._output)
        self._output.clear()
        self._outstanding += len(content)
        self.out_bytes += len(content)
        return content

    def close(self) -> None:
        """Nothing is taken in or sent from now on, except what `take_output` still holds."""
        self.state = State.CLOSED

    def _emit(self, frame: bytes) -> None:
        self._output.append(len(frame).to_bytes(2, "big") + frame)

    # --- time ---

    def next_deadline(self) -> int:
        """When `tick` has something to do, in monotonic milliseconds."""
        if self.state is not State.OPEN:
            return self.since_ms + HANDSHAKE_MS
        deadline = self._heard_ms + (PING_MS if self._pinged_ms is None else DEAD_MS)
        return deadline if self._frame_since_ms is None else min(deadline, self._frame_since_ms + FRAME_MS)

    def tick(self, mono_ms: int) -> str | None:
        """The reason to close the link, if time has run out for it; sends a ping when it is due."""
        if self.state is not State.OPEN:
            return "the handshake took too long" if mono_ms >= self.since_ms + HANDSHAKE_MS else None
        if self._frame_since_ms is not None and mono_ms >= self._frame_since_ms + FRAME_MS:
            return "a frame took too long"
        if mono_ms >= self._heard_ms + DEAD_MS:
            return "nothing was heard for too long"
        if mono_ms >= self._heard_ms + PING_MS:
            self.ping(mono_ms)
        return None

    def ping(self, mono_ms: int) -> int:
        """The number of the ping that is under way, sent now if none is: `answered_ping` gets there with its pong."""
        if self._pinged_ms is None:
            self._ping_number += 1
            self._pinged_ms = mono_ms
            self.send(msg.Ping(self._ping_number))
        return self._ping_number
