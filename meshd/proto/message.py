"""Messages: what two sessions say to each other, each one strict msgpack array whose first slot is its kind.

| kind | name | slots after the kind | lane |
|---|---|---|---|
| 0 | hello | versions (bytes), features, wall hour, floor hour, envelope max, message max, count, fingerprint | 0 |
| 1 | tags | 64 recognition tags of 16 bytes | 0 |
| 2 | ping | number | 0 |
| 3 | pong | the ping's number | 0 |
| 4 | bye | reason | 0 |
| 5 | reconcile | 0 from who asks or 1 from who answers, round, floor hour, count, negentropy message | 3 |
| 6 | have | 1 if fresh, 2 if late or 0, references (20 bytes each) of envelopes that the sender holds | 0 |
| 7 | want | first 16 bytes of ids | 0 |
| 8 | give | 1 if fresh or 0, envelopes (`u16 length ‖ bytes` each) | 2 fresh, 3 else |
| 9 | gone | first 16 bytes of ids that were wanted and are not held | 0 |
| 10 | push | 1: give me what is fresh at once, or 0: announce it to me | 0 |
| 11 | keyed | 0 from who asks or 1 from who answers, round, two references, negentropy message | 3 |
| 12 | proof | an identity and its signature, for one who recognised it; else random | 0 |

Lane 0 is control, 1 is free, 2 what is fresh, 3 bulk; lower ones go first. What is announced, wanted and gone is cut
into messages of one frame each, so that nothing in lane 0 is long.

The rule: unknown kinds are skipped, so that a later version can add one; a known kind with other slots is the peer's
fault. `hello` alone is read in two steps, versions first, because a later version may change the rest of it
(protocol.md, "Messages").
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from meshd import codec
from meshd.errors import PeerError
from meshd.ids import ID_SIZE, REFERENCE_SIZE
from meshd.limits import MESSAGE_SIZE_MAX, REFERENCES_MAX

VERSION = 1
SHORT_ID_SIZE = 16
TAG_COUNT = 64
TAGS_SIZE = TAG_COUNT * 16
FINGERPRINT_SIZE = 16
SIGNATURE_SIZE = 64

HELLO, TAGS, PING, PONG, BYE, RECONCILE, HAVE, WANT, GIVE, GONE, PUSH, KEYED, PROOF = range(13)

FRESH, LATE = (
    1,
    2,
)  # of have and give: on its first way; of have alone: so too, and it will not come by itself

BYE_DONE, BYE_VERSION, BYE_DUPLICATE, BYE_FULL, BYE_MOVED = range(5)
BYE_REASONS = ("the peer is shutting down", "no common version", "a second link to the same peer",
               "the peer has no room for another link", "the peer changed networks")  # fmt: skip


class Hello(NamedTuple):
    """The first message of each side."""

    versions: bytes
    features: int
    wall_hour: int
    floor_hour: int
    envelope_size_max: int
    message_size_max: int
    key_count: int
    fingerprint: bytes


class Tags(NamedTuple):
    """Recognition tags, 64 × 16 bytes; random where there is nobody to recognise."""

    tags: bytes


class Proof(NamedTuple):
    """Who the sender is, for a peer that it recognised; random bytes for any other."""

    identity: bytes
    signature: bytes


class Ping(NamedTuple):
    """Asks for a pong with the same number."""

    number: int


class Pong(NamedTuple):
    """Answers a ping."""

    number: int


class Bye(NamedTuple):
    """The last message: the link ends because somebody wanted it to."""

    reason: int


class Reconcile(NamedTuple):
    """One step of a round; `payload` is a negentropy V1 message over what expires at `floor_hour` or later."""

    answer: int
    round: int
    floor_hour: int
    key_count: int
    payload: bytes


class Have(NamedTuple):
    """References of envelopes the sender holds: fresh ones announced, late ones, or others, or the receipt for a
    give."""

    fresh: int
    references: bytes


class Want(NamedTuple):
    """Short ids of envelopes the sender asks for."""

    ids: bytes


class Give(NamedTuple):
    """Envelopes; fresh ones are passed on at once, the others are announced."""

    fresh: int
    envelopes: bytes


class Gone(NamedTuple):
    """Short ids that were wanted and can't be given."""

    ids: bytes


class Push(NamedTuple):
    """Whether the sender wants what is fresh pushed to it or announced."""

    eager: int


class Keyed(NamedTuple):
    """One step of a keyed round over what lies between two references; `payload` as in reconcile, with keyed sums."""

    answer: int
    round: int
    first: bytes
    end: bytes
    payload: bytes


Message = Hello | Tags | Ping | Pong | Bye | Reconcile | Have | Want | Give | Gone | Push | Keyed | Proof

_KINDS: dict[int, tuple[type[Message], tuple[type, ...]]] = {
    HELLO: (Hello, (bytes, int, int, int, int, int, int, bytes)),
    TAGS: (Tags, (bytes,)),
    PING: (Ping, (int,)),
    PONG: (Pong, (int,)),
    BYE: (Bye, (int,)),
    RECONCILE: (Reconcile, (int, int, int, int, bytes)),
    HAVE: (Have, (int, bytes)),
    WANT: (Want, (bytes,)),
    GIVE: (Give, (int, bytes)),
    GONE: (Gone, (bytes,)),
    PUSH: (Push, (int,)),
    KEYED: (Keyed, (int, int, bytes, bytes, bytes)),
    PROOF: (Proof, (bytes, bytes)),
}
_NUMBERS = {cls: number for number, (cls, _) in _KINDS.items()}
_CONTROL_LANE, _FRESH_LANE, _BULK_LANE = 0, 2, 3  # 1 is kept for own groups and contacts


def encode(message: Message) -> bytes:
    """The bytes of a message."""
    return codec.pack(_NUMBERS[type(message)], *message)


def lane(message: Message) -> int:
    """The lane a message travels in."""
    match message:
        case Give(fresh=1):
            return _FRESH_LANE
        case Give() | Reconcile() | Keyed():
            return _BULK_LANE
        case _:
            return _CONTROL_LANE


def pieces(elements: Sequence[bytes]) -> Iterator[bytes]:
    """What goes into each have, want or gone when so many references or ids are to be said."""
    for start in range(0, len(elements), REFERENCES_MAX):
        yield b"".join(elements[start : start + REFERENCES_MAX])


def decode(raw: bytes) -> Message | None:
    """The message in these bytes; None for a kind we do not know; PeerError for what is wrong on any node.

    A hello without our version comes back with its versions alone, the rest zero: the caller says bye.
    """
    if len(raw) < 2 or raw[0] >> 4 != 0x9 or raw[1] > 0x7F:
        raise PeerError("no message")
    kind = raw[1]
    if kind not in _KINDS:
        return None
    if kind == HELLO and VERSION not in (versions := _hello_versions(raw)):
        return Hello(versions, 0, 0, 0, 0, 0, 0, b"")
    cls, schema = _KINDS[kind]
    message: Message = cls(*codec.unpack(raw, (int, *schema), MESSAGE_SIZE_MAX)[1:])
    _check(message)
    return message


def _hello_versions(raw: bytes) -> bytes:
    """The versions of a hello of whatever version: always its second slot, a bin8 of 1–32 bytes."""
    if len(raw) < 5 or raw[2] != 0xC4 or not 1 <= raw[3] <= 32 or len(raw) < 4 + raw[3]:
        raise PeerError("a hello without versions")
    return raw[4 : 4 + raw[3]]


def _check(message: Message) -> None:
    match message:
        case Hello():
            wrong = len(message.fingerprint) != FINGERPRINT_SIZE
        case Tags(tags):
            wrong = len(tags) != TAGS_SIZE
        case Proof(identity, signature):
            wrong = len(identity) != ID_SIZE or len(signature) != SIGNATURE_SIZE
        case Have(fresh, references):
            wrong = fresh not in (0, FRESH, LATE) or not references or bool(len(references) % REFERENCE_SIZE)
            wrong = wrong or len(references) > REFERENCE_SIZE * REFERENCES_MAX
        case Want(ids) | Gone(ids):
            wrong = not ids or bool(len(ids) % SHORT_ID_SIZE) or len(ids) > SHORT_ID_SIZE * REFERENCES_MAX
        case Keyed(answer, _, first, end):
            wrong = answer not in (0, 1) or not len(first) == len(end) == REFERENCE_SIZE or first >= end
        case Reconcile() | Give() | Push():
            wrong = message[0] not in (0, 1)
        case _:
            wrong = False
    if wrong:
        raise PeerError("a message with impossible slots")
