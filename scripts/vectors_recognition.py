"""Makes recognition.json: what two identities share, their tags in several turns of a session, and their proofs.

Rule: from the seeds of two identities and a handshake hash everything follows; each refused proof has one thing wrong.
"""

from vectors_fixed import Vector, fixed, identity

from meshd import crypto
from meshd.proto.message import Proof
from meshd.recognition import is_proof, pair_secret, proof, tag

_HASH = fixed("handshake hash", 64)
_TURNS = (0, 1, 2, 3, 255)


def recognition() -> Vector:
    """What recognition.json holds."""
    sides = {name: identity(name) for name in ("oak", "elm")}
    oak, elm = sides.values()
    shared = pair_secret(oak[2], elm[1])
    if shared != pair_secret(elm[2], oak[1]):
        raise RuntimeError("the two sides share different secrets")
    said = proof(oak[2], _HASH, 0)
    wrong = {
        "of another session": (said, fixed("another handshake hash", 64), 0),
        "of the other direction": (said, _HASH, 1),
        "with another identity": (said._replace(identity=elm[1]), _HASH, 0),
        "with a changed signature": (said._replace(signature=said.signature[:-1] + b"\0"), _HASH, 0),
    }
    for name, each in wrong.items():
        if is_proof(*each):
            raise RuntimeError(f"not refused: {name}")
    return {
        "identities": [
            {"name": name, "seed": seed.hex(), "identity": public.hex()}
            for name, (seed, public, _) in sides.items()
        ],
        "x25519": crypto.shared_by_identities(oak[2], elm[1]).hex(),
        "pair_secret": shared.hex(),
        "handshake_hash": _HASH.hex(),
        "tags": [{"turn": turn, "tag": tag(shared, _HASH, turn).hex()} for turn in _TURNS],
        "proofs": [
            {"of": name, "direction": direction, "signature": proof(secret, _HASH, direction).signature.hex()}
            for name, (_, _, secret) in sides.items()
            for direction in (0, 1)
        ],
        "refused": [
            {"name": name, **_shown(each), "handshake_hash": handshake_hash.hex(), "direction": direction}
            for name, (each, handshake_hash, direction) in wrong.items()
        ],
    }


def _shown(said: Proof) -> Vector:
    return {"identity": said.identity.hex(), "signature": said.signature.hex()}
