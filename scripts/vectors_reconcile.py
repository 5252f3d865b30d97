"""Makes the vectors of reconcile: whole conversations, single questions, and messages that must be refused.

Everything comes from the product's own code and from ids that are hashes of small numbers, so that another
implementation can make the sets again and compare each message byte for byte:

    id(n) = BLAKE2b-256("meshd vector id " ‖ decimal n), hour(n) = first_hour + n mod hours

A set is a list of half-open ranges of n. A conversation lists all messages in turn, the initiator's first,
and what the initiator learnt. A refused message has one thing wrong, named, and is refused by the responder
whatever it holds.
"""

import random
from hashlib import blake2b
from typing import Any

from meshd.errors import PeerError
from meshd.ids import envelope_key
from meshd.proto.keyset import KeySet, varint
from meshd.proto.reconcile import Initiator, respond

FILE = "reconcile.json"
FIRST_HOUR = 490_000
HOURS = 3
_ID_A, _ID_B = bytes(31) + b"\1", bytes(31) + b"\2"
_END = b"\0\0"  # the bound at infinity

# name: initiator's ranges of n, responder's, common floor hour, frame limit, opens with one fingerprint
_CONVERSATIONS: dict[str, tuple[list[list[int]], list[list[int]], int, int, bool]] = {
    "both empty": ([], [], 0, 0, False),
    "equal, one fingerprint": ([[0, 200]], [[0, 200]], 0, 0, True),
    "equal, sixteen fingerprints": ([[0, 200]], [[0, 200]], 0, 0, False),
    "responder empty": ([[0, 40]], [], 0, 0, False),
    "initiator empty": ([], [[0, 40]], 0, 0, True),
    "31 keys are listed": ([[0, 31]], [[0, 30]], 0, 0, False),
    "32 keys are split": ([[0, 32]], [[0, 31]], 0, 0, False),
    "both differ, skips between": ([[0, 2000], [2100, 2103]], [[0, 7], [8, 2001]], 0, 0, False),
    "below the floor nothing counts": ([[0, 60]], [[20, 60]], FIRST_HOUR + 2, 0, False),
    "a list cut by the frame limit": ([], [[0, 300]], 0, 4096, True),
    "splits cut by the frame limit": ([[0, 700]], [[1, 665]], 0, 4096, False),
}

_REFUSED: dict[str, bytes] = {
    "empty message": b"",
    "version byte below 0x60": b"\x5f",
    "version byte above 0x6f": b"\x70",
    "bound cut short": b"\x61\x00",
    "mode cut short": b"\x61\x00\x00",
    "fingerprint cut short": b"\x61" + _END + b"\1" + bytes(15),
    "ids cut short": b"\x61" + _END + b"\2\2" + bytes(63),
    "id prefix cut short": b"\x61\1\x20" + bytes(31),
    "id prefix of 33 bytes": b"\x61\1\x21" + bytes(33) + b"\0",
    "mode 3": b"\x61" + _END + b"\3",
    "varint that does not end": b"\x61" + b"\x80" * 9,
    "varint of 11 bytes": b"\x61" + b"\x80" * 10 + b"\0" + b"\0\0",
    "varint of 2^64": b"\x61" + varint(2**64) + b"\0\0",
    "count of 2^40": b"\x61" + _END + b"\2" + varint(2**40),
    "bounds out of order": b"\x61" + b"\1\1\x80\0" + b"\1\1\x7f\0",
    "id below its range": b"\x61" + b"\1\x20" + _ID_B + b"\0" + b"\1\1\1\2\1" + _ID_A,
    "id at the end of its range": b"\x61" + b"\1\x20" + _ID_B + b"\2\1" + _ID_B,
}


def vector_key(number: int) -> bytes:
    """The key of number n."""
    id = blake2b(f"meshd vector id {number}".encode(), digest_size=32).digest()
    return envelope_key(FIRST_HOUR + number % HOURS, id)


def vector_set(ranges: list[list[int]]) -> KeySet:
    """The set of all n in half-open ranges."""
    return KeySet(vector_key(number) for first, last in ranges for number in range(first, last))


def conversation(name: str) -> dict[str, Any]:
    """One conversation, held now."""
    here, there, floor, limit, one = _CONVERSATIONS[name]
    asking, asked = vector_set(here), vector_set(there)
    initiator = Initiator(asking, floor, limit)
    message: bytes | None = initiator.probe() if one else initiator.initiate()
    messages, have, need = [], list[str](), list[str]()
    while message is not None:
        answer = respond(asked, floor, message, limit)
        messages += [message.hex(), answer.hex()]
        keys, ids, message = initiator.receive(answer)
        have += [key[8:].hex() for key in keys]
        need += [id.hex() for id in ids]
    return {
        "name": name,
        "initiator": here,
        "responder": there,
        "floor_hour": floor,
        "frame_size_limit": limit,
        "opens_with_one_fingerprint": one,
        "messages": messages,
        "have": have,
        "need": need,
    }


def jittered() -> dict[str, Any]:
    """A conversation whose opening is split at places that nothing but chance chose."""
    here, there = [[0, 700]], [[1, 701]]
    initiator, asked = Initiator(vector_set(here)), vector_set(there)
    message: bytes | None = initiator.initiate(random.Random("jittered"))
    messages = []
    while message is not None:
        messages += [message, respond(asked, 0, message, 0)]
        message = initiator.receive(messages[-1]).reply
    return {"initiator": here, "responder": there, "messages": [each.hex() for each in messages]}


def refused(name: str) -> dict[str, str]:
    """One message that must be refused; ours refuses it for the reason given."""
    try:
        respond(KeySet(), 0, _REFUSED[name], 4096)
    except PeerError as error:
        return {"name": name, "message": _REFUSED[name].hex(), "reason": str(error)}
    raise AssertionError(f"not refused: {name}")


def vectors() -> dict[str, Any]:
    """What tests/vectors/reconcile.json holds."""
    some = [[], [[0, 1]], [[0, 2]], [[0, 200]]]
    return {
        "first_hour": FIRST_HOUR,
        "hours": HOURS,
        "varints": {str(n): varint(n).hex() for n in (0, 1, 127, 128, 16383, 16384, 2**32, 2**64 - 1)},
        "fingerprints": [
            {"set": ranges, "fingerprint": keyset.fingerprint(0, len(keyset)).hex()}
            for ranges, keyset in ((ranges, vector_set(ranges)) for ranges in some)
        ],
        "conversations": [conversation(name) for name in _CONVERSATIONS],
        "jittered": jittered(),
        "another_version": {"message": "62aabb", "answer": respond(KeySet(), 0, b"\x62\xaa\xbb", 0).hex()},
        "refused": [refused(name) for name in _REFUSED],
    }
