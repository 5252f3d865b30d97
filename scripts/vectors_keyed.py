"""Makes keyed.json: what ids count as in keyed rounds, and whole keyed rounds, among them two sets of one sum.

Sets are as in reconcile.json (half-open ranges of n), and some keys more. The two sets of one sum hold, besides what is
common, ids p, q here and r, s there with p + q = r + s mod 2^256, read as little-endian integers: any ids will do here,
since reconcile does not know what they are hashes of. So one fingerprint over all is the same for both.
"""

from typing import Any

from vectors_fixed import fixed
from vectors_reconcile import FIRST_HOUR, HOURS, vector_key

from meshd.ids import envelope_key, key_reference, keyed_ids
from meshd.limits import RECONCILE_FRAME_SIZE
from meshd.proto import message as msg
from meshd.proto.keyed import END, Stretch, stretch_of
from meshd.proto.keyset import KeySet
from meshd.proto.reconcile import Initiator, respond

_HASH = fixed("keyed handshake hash", 64)
_START = FIRST_HOUR.to_bytes(4, "big") + bytes(16)


def one_sum() -> tuple[list[bytes], list[bytes]]:
    """The keys p, q and the keys r, s."""
    p, r, s = (fixed(f"one sum {name}") for name in "prs")
    numbers = [int.from_bytes(id, "little") for id in (r, s, p)]
    q = ((numbers[0] + numbers[1] - numbers[2]) % 2**256).to_bytes(32, "little")
    keys = [envelope_key(FIRST_HOUR + 1, id) for id in (p, q, r, s)]
    return keys[:2], keys[2:]


def _within(lower: int, upper: int) -> tuple[bytes, bytes]:
    """The ends of the stretch of places lower ≤ place < upper among the first 200 keys."""
    keys = sorted(map(vector_key, range(200)))
    return key_reference(keys[lower]), key_reference(keys[upper])


# name: initiator's ranges of n and more keys, responder's, ends of the stretch
_ROUNDS: dict[str, tuple[list[list[int]], list[bytes], list[list[int]], list[bytes], tuple[bytes, bytes]]] = {
    "equal": ([[0, 200]], [], [[0, 200]], [], (_START, END)),
    "two sets of one sum": ([[0, 200]], one_sum()[0], [[0, 200]], one_sum()[1], (_START, END)),
    "few, and one lacks on either side": ([[0, 20]], [], [[1, 21]], [], (_START, END)),
    "what lies outside the stretch is not seen": ([[0, 190]], [], [[10, 200]], [], _within(40, 120)),
}


def _round(name: str) -> dict[str, Any]:
    """One keyed round, held now; messages as they travel, the initiator's first."""
    here, more_here, there, more_there, (first, end) = _ROUNDS[name]
    sets = [
        KeySet([vector_key(n) for low, high in ranges for n in range(low, high)] + more)
        for ranges, more in ((here, more_here), (there, more_there))
    ]
    asking, asked = (Stretch(stretch_of(keyset, first, end), _HASH) for keyset in sets)
    initiator = Initiator(asking, 0, RECONCILE_FRAME_SIZE)
    payload: bytes | None = initiator.probe()
    messages, have, need = list[str](), list[str](), list[str]()
    while payload is not None:
        answer = respond(asked, 0, payload, RECONCILE_FRAME_SIZE)
        messages += [msg.encode(msg.Keyed(n, 1, first, end, p)).hex() for n, p in ((0, payload), (1, answer))]
        keys, ids, payload = initiator.receive(answer)
        have += [key.hex() for key in keys]
        need += [id.hex() for id in ids]
    return {
        "name": name,
        "initiator": here,
        "initiator_more": [key.hex() for key in more_here],
        "responder": there,
        "responder_more": [key.hex() for key in more_there],
        "first": first.hex(),
        "end": end.hex(),
        "plain_fingerprints": [keyset.fingerprint(0, len(keyset)).hex() for keyset in sets],
        "messages": messages,
        "have": have,
        "need": need,
    }


def keyed() -> dict[str, Any]:
    """What keyed.json holds."""
    ids = [vector_key(number)[8:] for number in range(3)]
    return {
        "handshake_hash": _HASH.hex(),
        "first_hour": FIRST_HOUR,
        "hours": HOURS,
        "ids": [
            {"id": id.hex(), "keyed_id": keyed_id.hex()}
            for id, keyed_id in zip(ids, keyed_ids(_HASH, ids), strict=True)
        ],
        "rounds": [_round(name) for name in _ROUNDS],
    }
