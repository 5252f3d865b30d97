"""What is fuzzed: one function a target, which makes an input, runs the product on it, and checks what comes out.

The rule: PeerError (and a silent None) is an answer, anything else that is raised is a fault; what is accepted must be
canonical, within its limits, and what an honest node could have sent. A target returns whether its input was accepted,
so that a run shows that both ways were tried.
"""

import random
from collections.abc import Callable
from functools import partial
from typing import Any

from meshd import codec, crypto, envelope, limits, post
from meshd.errors import PeerError
from meshd.ids import envelope_key, key_hour
from meshd.limits import LANES, MESSAGE_SIZE_MAX, TAG_SIZE
from meshd.noise import CipherState
from meshd.proto import message as msg
from meshd.proto.frame import FrameReader
from meshd.proto.keyset import KeySet
from meshd.proto.reconcile import Initiator, respond
from meshd.proto.session import Session, State
from tests.fuzz import keys, mutate, plans, sealed
from tests.homes import PLAZA
from tests.wire import HOUR, WALL_MS, Author, Pair, hello, session

Target = Callable[[random.Random], bool]
FRAME_LIMIT = 32 * 1024
_AUTHORS = [Author(seed) for seed in range(1, 6)]
_KEY = b"k" * 32
_SCHEMAS = (
    (int,),
    (bytes,),
    (int, bytes),
    (str, bytes, str),
    (int, int, bytes, bytes),
    (int, bytes, int, str),
)


def fuzz_codec(rng: random.Random) -> bool:
    """Any array against any schema; what is accepted packs to the same bytes."""
    schema = rng.choice(_SCHEMAS)
    honest: dict[type, mutate.Slot] = {
        int: mutate.number(rng) >> 1,
        bytes: mutate.chunk(rng),
        str: "é" * rng.randrange(40),
    }
    raw = mutate.scratched(rng, mutate.array(rng, [honest[kind] for kind in schema]))
    try:
        slots = codec.unpack(raw, schema, rng.choice((len(raw), 4096)))
    except PeerError:
        return False
    assert codec.pack(*slots) == raw and tuple(map(type, slots)) == schema
    return True


def _post(rng: random.Random, author: Author) -> list[mutate.Slot]:
    """The slots of a post, all right about half of the time, and else one that is not."""
    made = author.post(
        channel=PLAZA,
        incarnation=rng.choice((1, 2, rng.getrandbits(63))),
        sequence=rng.choice((1, 2, 3, 4, limits.SEQUENCE_MAX)),
        parents=rng.randbytes(32 * rng.randrange(1, 9)),
        hlc=(WALL_MS - rng.randrange(3_600_000)) << 16,
        kind=rng.choice((1, 1, 2, 255)),
        keep_until=HOUR + rng.choice((1, 24, 72, 168)),
        body=codec.pack(*_text(rng)),
    )
    if rng.random() < 0.3:
        near: dict[str, list[Any]] = {
            "sequence": [0, 1, limits.SEQUENCE_MAX + 1],
            "parents": [b"", rng.randbytes(32 * 9), rng.randbytes(33), bytes(64)],
            "hlc": [(WALL_MS + ahead) << 16 for ahead in (-(10**12), -(10**7), 10**7, 10**12)],
            "kind": [0, 256],
            "keep_until": [0, HOUR - 1, HOUR, HOUR + 169, HOUR + 170],
            "epoch": [rng.randbytes(32)],
        }
        slot = rng.choice(list(near))
        made = made._replace(**{slot: rng.choice(near[slot])})
    slots: list[mutate.Slot] = list(made)
    if rng.random() < 0.1:
        slots[rng.randrange(len(slots))] = rng.choice((mutate.number(rng), mutate.chunk(rng)))
    return slots


def _text(rng: random.Random) -> tuple[str, bytes, str]:
    return "x" * rng.choice((0, 10, 64, 65)), rng.randbytes(rng.choice((0, 32, 31))), "é" * rng.randrange(200)


def _signed(rng: random.Random, author: Author) -> bytes:
    slots = _post(rng, author)
    return mutate.array(rng, slots) if rng.random() < 0.3 else codec.pack(*slots)


def _envelope(rng: random.Random) -> bytes:
    """Rightly signed, whatever stands in it."""
    author = rng.choice(_AUTHORS)
    return author.seal(_signed(rng, author))


def fuzz_envelope(rng: random.Random) -> bool:
    """Envelopes and posts, most of them rightly signed whatever stands in them."""
    raw = (
        _envelope(rng)
        if rng.random() < 0.5
        else envelope.seal_public(_signed(rng, _AUTHORS[0]), rng.randbytes(64))
    )
    if rng.random() < 0.3:
        raw = mutate.scratched(rng, mutate.array(rng, [1, 0, _signed(rng, _AUTHORS[0]), raw[-64:]]))
    try:
        parsed = envelope.parse(raw)
    except PeerError:
        return False
    if not isinstance(parsed, envelope.Envelope):
        return False
    made = parsed.post
    assert envelope.seal_public(post.encode(made), parsed.signature) == raw
    assert parsed.key == envelope_key(made.keep_until, parsed.id) and key_hour(parsed.key) < 2**32
    assert (
        max(made.incarnation, made.sequence, made.hlc) < 2**63
        and len(made.parent_ids()) <= limits.PARENTS_MAX
    )
    text = post.parse_text(made.body)
    assert text is None or codec.pack(*text) == made.body
    crypto.verify(*envelope.check(parsed))
    return True


def _message(rng: random.Random) -> msg.Message:
    reference = (HOUR + rng.choice((-1, 0, 1, 24, 200))).to_bytes(4, "big") + rng.randbytes(16)
    makers: list[Callable[[], msg.Message]] = [
        partial(hello, key_count=mutate.number(rng) >> 1, floor_hour=mutate.number(rng) >> 1),
        lambda: msg.Tags(bytes(msg.TAGS_SIZE)),
        lambda: msg.Proof(rng.randbytes(32), rng.randbytes(64)),
        lambda: msg.Ping(mutate.number(rng) >> 1),
        lambda: msg.Pong(rng.randrange(3)),
        lambda: msg.Bye(mutate.number(rng) >> 1),
        lambda: msg.Reconcile(
            rng.randrange(2),
            rng.randrange(4),
            rng.choice((0, HOUR, 2**63 - 1)),
            mutate.number(rng) >> 1,
            _question(rng),
        ),
        lambda: msg.Have(rng.choice((0, 1)), reference * rng.choice((1, 2, 50))),
        lambda: msg.Want(rng.randbytes(16 * rng.choice((1, 2, 50)))),
        lambda: msg.Give(rng.randrange(2), _gift(rng)),
        lambda: msg.Gone(reference[4:] * rng.choice((1, 2))),
        lambda: msg.Keyed(rng.randrange(2), rng.randrange(4), bytes(20), reference, _question(rng)),
    ]
    return rng.choice(makers)()


def _gift(rng: random.Random) -> bytes:
    raws = []
    for _ in range(rng.randrange(4)):
        raw = _envelope(rng) if rng.random() < 0.7 else sealed.make(rng)
        raws.append(raw if rng.random() < 0.8 else mutate.scratched(rng, raw))
    return mutate.scratched(rng, codec.join(raws)) if rng.random() < 0.3 else codec.join(raws)


def message_bytes(rng: random.Random) -> bytes:
    """A message, more or less."""
    honest = _message(rng)
    raw = msg.encode(honest)
    if rng.random() < 0.5:
        return mutate.scratched(rng, mutate.array(rng, [raw[1], *honest]))
    return raw


def fuzz_message(rng: random.Random) -> bool:
    """Messages of every kind; what is accepted encodes to the same bytes."""
    raw = message_bytes(rng)
    try:
        message = msg.decode(raw)
    except PeerError:
        return False
    if message is None or (isinstance(message, msg.Hello) and msg.VERSION not in message.versions):
        return False
    assert msg.encode(message) == raw and 0 <= msg.lane(message) < LANES
    return True


class FuzzFrame:
    """Records under the right key with any head, on readers that live until one is refused."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._sender, self._reader = CipherState(_KEY), FrameReader(CipherState(_KEY))

    def __call__(self, rng: random.Random) -> bool:
        size = rng.choice((256, 256, 1024, 4096, 16384))
        flags = rng.choice((rng.randrange(16), rng.randrange(16), rng.randrange(256)))
        content = rng.choice((0, 1, size - 4, size - 3, size - 2, 0xFFFF, rng.randrange(size)))
        plaintext = (bytes((flags, content >> 8, content & 0xFF)) + message_bytes(rng))[:size].ljust(
            size, b"\xff"
        )
        record = self._sender.encrypt_with_ad(b"", plaintext)
        if rng.random() < 0.02:
            record = mutate.scratched(rng, record)
        try:
            message = self._reader.read(record)
        except PeerError:
            self._begin()
            return False
        if flags & 8:
            self._sender.rekey()
        assert message is None or len(message) <= MESSAGE_SIZE_MAX
        assert len(record) == size + TAG_SIZE
        return True


class FuzzSession:
    """The bytes of a whole session, cut and changed anywhere, and behind the handshake any message."""

    def __init__(self) -> None:
        self._open: Pair | None = None

    def __call__(self, rng: random.Random) -> bool:
        if self._open is None or rng.random() < 0.01:
            self._open = None
            return self._shake(rng)
        pair = self._open
        if pair.dialler._writer is None:
            raise RuntimeError("an open session has a writer")
        pair.dialler._writer.queue(message_bytes(rng)[:MESSAGE_SIZE_MAX], rng.randrange(LANES))
        stream = pair.dialler.take_output(0)
        pair.dialler.drained()
        if rng.random() < 0.02:
            stream = mutate.scratched(rng, stream)
        try:
            list(pair.acceptor.receive(stream, 0))
        except PeerError:
            self._open = None
            return False
        pair.acceptor.take_output(0)
        pair.acceptor.drained()
        assert len(pair.acceptor._buffer) <= 2 + 16384 + TAG_SIZE
        return True

    def _shake(self, rng: random.Random) -> bool:
        """One handshake with a hostile side, which is right in the end half of the time."""
        pair = Pair(session(rng.getrandbits(32), dialled=True), session(rng.getrandbits(32), dialled=False))
        hostile: Session = rng.choice((pair.dialler, pair.acceptor))
        for turn in range(4):
            source = pair.dialler if turn % 2 else pair.acceptor
            target = pair.acceptor if turn % 2 else pair.dialler
            stream = source.take_output(0)
            first = 2 + int.from_bytes(stream[:2], "big")
            challenged = target.state is State.CHALLENGED
            changed = mutate.scratched(rng, stream) if source is hostile and rng.random() < 0.3 else stream
            try:
                list(target.receive(changed, 0))
            except PeerError:
                # Any 32 bytes are a challenge; after it, only what is right gets an answer.
                assert challenged or not target.take_output(0) or changed[:first] == stream[:first]
                return False
            assert changed[:first] == stream[:first] or target.state is not State.OPEN
        if pair.acceptor.state is not State.OPEN:
            return False
        try:
            pair.move(pair.acceptor)
        except PeerError:  # what was put in behind its last words
            return False
        self._open = pair
        return True


def _keys(count: int) -> list[bytes]:
    rng = random.Random(count)
    return [envelope_key(HOUR + rng.randrange(72), rng.randbytes(32)) for _ in range(count)]


_OURS = KeySet(_keys(400))
_THEIRS = KeySet(_keys(400)[:360] + _keys(60))


def _varint(rng: random.Random) -> bytes:
    size = rng.choice((1, 1, 1, 2, 5, 9, 10, 11, 20))
    return bytes(0x80 | rng.randrange(128) for _ in range(size - 1)) + bytes((rng.randrange(128),))


def _question(rng: random.Random) -> bytes:
    """A reconcile message: one of an honest peer, or ranges of our making."""
    choice = rng.randrange(3)
    if choice == 0:
        return mutate.scratched(rng, Initiator(_THEIRS, 0, FRAME_LIMIT).initiate())
    if choice == 1:
        asked = Initiator(_THEIRS, 0, FRAME_LIMIT).probe()
        answer = respond(_OURS, 0, asked, FRAME_LIMIT)
        return mutate.scratched(rng, answer)
    raw = bytearray((rng.choice((0x61, 0x61, 0x61, 0x60, 0x6F, 0x70, 0)),))
    for _ in range(rng.randrange(12)):
        time = _varint(rng) if rng.random() < 0.3 else rng.choice((b"\0", b"\1", b"\2", b"\x0a"))
        length = rng.choice((0, 1, 4, 32, 33))
        raw += time + bytes((length,)) + rng.randbytes(min(length, 32))
        mode = rng.choice((0, 1, 2, 2, 3))
        raw += bytes((mode,)) if rng.random() < 0.95 else _varint(rng)
        if mode == 1:
            raw += rng.randbytes(16)
        elif mode == 2:
            count = rng.randrange(4)
            raw += _varint(rng) if rng.random() < 0.1 else bytes((count,))
            raw += b"".join(sorted(rng.randbytes(32) for _ in range(count)))
    return bytes(raw)


def fuzz_reconcile(rng: random.Random) -> bool:
    """Questions and answers; an answer keeps to its frame limit and is one that the other side takes."""
    raw = _question(rng)
    floor_hour = rng.choice((0, HOUR, HOUR + 30, 2**63 - 1))
    try:
        if rng.random() < 0.5:
            answer = respond(_OURS, floor_hour, raw, FRAME_LIMIT)
            Initiator(_THEIRS, floor_hour, FRAME_LIMIT).receive(answer)
        else:
            found = Initiator(_OURS, floor_hour, FRAME_LIMIT).receive(raw)
            answer = found.reply or b""
            assert all(key_hour(key) >= floor_hour for key in found.have)
            assert len(found.need) <= len(raw) // 32
    except PeerError:
        return False
    assert len(answer) <= FRAME_LIMIT
    return True


def make_targets() -> dict[str, Target]:
    """All targets, fresh, by name."""
    return {
        "codec": fuzz_codec,
        "envelope": fuzz_envelope,
        "keyenvelope": keys.fuzz_key_envelope,
        "prekeys": keys.fuzz_prekeys,
        "receipts": keys.fuzz_receipts,
        "plan": plans.fuzz_plan,
        "act": plans.fuzz_act,
        "sealed": sealed.fuzz,
        "message": fuzz_message,
        "frame": FuzzFrame(),
        "session": FuzzSession(),
        "reconcile": fuzz_reconcile,
    }
