"""Makes posts.json and envelopes.json: posts from fixed seeds, and one post for each rule that it breaks.

Rule: a refused post is the plain one with one slot changed, signed properly by its author all the same, so that
nothing but the rule named can be the reason. Envelopes are judged by the node's own intake, at one moment, so what
the file says of them is what a node does.
"""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from vectors_ed25519 import signature_with_torsion, small_order_keys, torsion_key
from vectors_fixed import NETWORK_KEY, NOW_HOUR, NOW_MS, SQUARE, Vector, fixed, identity, require_refusal

from meshd import codec, crypto, envelope, post
from meshd.events import Now
from meshd.hlc import Clock
from meshd.ids import LABEL_SIGNATURE, envelope_key, key_reference
from meshd.intake import Intake
from meshd.limits import BODY_SIZE_MAX, KEEP_HOURS_MAX
from meshd.post import HOUR_MS, Post, Text
from meshd.proto.keyset import KeySet
from meshd.store.carry import Carry

_ORDER = 2**252 + 27742317777372353535851937790883648493  # of the main subgroup
_SEED, OAK, _SECRET = identity("oak")
PLAIN = Post(
    version=1,
    channel=SQUARE,
    epoch=b"",
    author=OAK,
    incarnation=0x1122334455667788,
    sequence=1,
    parents=b"",
    hlc=NOW_MS << 16,
    kind=post.KIND_TEXT,
    keep_until=NOW_HOUR + 72,
    body=post.encode_text(Text("oak", b"", "water at the north gate")),
)
_FIRST = post.post_id(post.encode(PLAIN))
_PARENTS = b"".join(fixed(f"parent {n}") for n in range(8))
_END = (NOW_MS + KEEP_HOURS_MAX * HOUR_MS) // HOUR_MS  # the last hour that a keep-until may name

_VALID: dict[str, dict[str, Any]] = {
    "the first of an incarnation": {},
    "the second, with its parent and no name": {
        "sequence": 2,
        "parents": _FIRST,
        "hlc": (NOW_MS << 16) + 1,
        "body": post.encode_text(Text("", _FIRST, "and bread")),
    },
    "eight parents": {"sequence": 2, "parents": _PARENTS},
    "a first with parents": {"parents": _PARENTS[:64]},
    "all numbers at their largest but time": {
        "incarnation": 2**63 - 1,
        "sequence": 2**32 - 1,
        "parents": _FIRST,
        "hlc": NOW_MS << 16 | 0xFFFF,
        "kind": 255,
    },
    "incarnation 0": {"incarnation": 0},
    "the latest time": {"hlc": 2**63 - 1, "keep_until": (2**47 - 1) // HOUR_MS + 1},
    "the earliest keep-until": {"hlc": (NOW_HOUR * HOUR_MS - 1) << 16 | 0xFFFF, "keep_until": NOW_HOUR},
    "the latest keep-until": {"keep_until": _END},
    "an empty body": {"kind": 2, "body": b""},
    "the longest body": {"body": post.encode_text(Text("", b"", "x" * (BODY_SIZE_MAX - 7)))},
}
_REFUSED: dict[str, dict[str, Any]] = {
    "version 0": {"version": 0},
    "version 2": {"version": 2},
    "a channel of 15 bytes": {"channel": SQUARE[:15]},
    "a channel of 17 bytes": {"channel": SQUARE + b"\0"},
    "an epoch": {"epoch": bytes(32)},
    "an author of 31 bytes": {"author": OAK[:31]},
    "an author of 33 bytes": {"author": OAK + b"\0"},
    "sequence 0": {"sequence": 0},
    "sequence 2^32": {"sequence": 2**32, "parents": _FIRST},
    "sequence 2 without a parent": {"sequence": 2},
    "parents of 31 bytes": {"parents": _FIRST[:31]},
    "nine parents": {"parents": _PARENTS + fixed("parent 8")},
    "a parent twice": {"parents": _FIRST + _FIRST},
    "kind 0": {"kind": 0},
    "kind 256": {"kind": 256},
    "keep-until at the post's own time": {"hlc": (NOW_HOUR * HOUR_MS) << 16, "keep_until": NOW_HOUR},
    "keep-until an hour too late": {"keep_until": _END + 1},
    "a body of 16 385 bytes": {"body": bytes(BODY_SIZE_MAX + 1)},
    "incarnation 2^63": {"incarnation": 2**63},
    "hlc 2^63": {"hlc": 2**63, "keep_until": 2**47 // HOUR_MS + 1},
}
_BODIES: dict[str, tuple[int | bytes | str, ...] | bytes] = {
    "no array": b"water",
    "empty": b"",
    "a slot too many": ("oak", b"", "water", ""),
    "a name of 65 bytes": ("n" * 65, b"", "water"),
    "a reply to 31 bytes": ("", bytes(31), "water"),
    "text as bytes": ("", b"", b"water"),
    "text that is no UTF-8": b"\x93\xa0\xc4\0\xa1\xff",
    "a length not in its shortest form": b"\x93\xa0\xc4\0\xd9\x01a",
}


def signed_by(name: str, **changes: Any) -> bytes:
    """The envelope of the plain post with these slots changed, signed by an author of this name."""
    _, public, secret = identity(name)
    signed = post.encode(PLAIN._replace(author=public)._replace(**changes))
    return envelope.seal_public(signed, post.sign(secret, post.post_id(signed)))


def posts() -> Vector:
    """What posts.json holds."""
    valid = []
    for name, changes in _VALID.items():
        made = PLAIN._replace(**changes)
        signed = post.encode(made)
        post.parse(signed)
        identifier = post.post_id(signed)
        shown = post.parse_text(made.body) if made.kind == post.KIND_TEXT else None
        slots = {k: v.hex() if isinstance(v, bytes) else v for k, v in made._asdict().items()}
        valid.append(
            {
                "name": name,
                **slots,
                "text": shown and {"name": shown.name, "reply_to": shown.reply_to.hex(), "text": shown.text},
                "signed": signed.hex(),
                "id": identifier.hex(),
                "signature": post.sign(_SECRET, identifier).hex(),
            }
        )
    refused = [(name, post.encode(PLAIN._replace(**changes))) for name, changes in _REFUSED.items()]
    for _, signed in refused:
        require_refusal(post.parse, signed)
    hidden = [
        (name, codec.pack(*body) if isinstance(body, tuple) else body) for name, body in _BODIES.items()
    ]
    if any(post.parse_text(body) is not None for _, body in hidden):
        raise RuntimeError("a body that should not be shown is")
    return {
        "seed": _SEED.hex(),
        "author": OAK.hex(),
        "now_ms": NOW_MS,
        "valid": valid,
        "refused": [{"name": name, "signed": signed.hex()} for name, signed in refused],
        "hidden_bodies": [{"name": name, "body": body.hex()} for name, body in hidden],
    }


def _flipped(raw: bytes, place: int) -> bytes:
    return raw[:place] + bytes((raw[place] ^ 1,)) + raw[place + 1 :]


def _with_signature(author: bytes, sign: Callable[[bytes], bytes]) -> bytes:
    signed = post.encode(PLAIN._replace(author=author))
    prefix = bytes((len(LABEL_SIGNATURE),)) + LABEL_SIGNATURE
    return envelope.seal_public(signed, sign(prefix + post.post_id(signed)))


def judged_envelopes() -> list[tuple[str, bytes, int, str]]:
    """(name, envelope, wall time in ms, what a node that holds none of them does)."""
    good = signed_by("oak")
    signed, signature = post.encode(PLAIN), good[-64:]
    high_s = (int.from_bytes(signature[32:], "little") + _ORDER).to_bytes(32, "little")
    hours = [(PLAIN.keep_until - hours) * HOUR_MS for hours in (0, 192, 193)]
    ahead = {"hlc": (NOW_MS + 24 * HOUR_MS) << 16, "keep_until": NOW_HOUR + 100}
    later = {**ahead, "hlc": (NOW_MS + 24 * HOUR_MS + 1) << 16}
    far = {"hlc": (NOW_MS + 23 * HOUR_MS) << 16, "keep_until": NOW_HOUR + 192}
    cases = [
        ("valid", good, NOW_MS, "new"),
        ("the last millisecond before it expires", good, hours[0] - 1, "new"),
        ("expired", good, hours[0], "drop"),
        ("192 hours ahead", signed_by("oak", **far), NOW_MS, "new"),
        ("193 hours ahead", signed_by("oak", **far), NOW_MS - HOUR_MS, "drop"),
        ("a time 24 hours ahead", signed_by("oak", **ahead), NOW_MS, "new"),
        ("a time 24 hours and a millisecond ahead", signed_by("oak", **later), NOW_MS, "drop"),
        ("an unknown kind", signed_by("oak", kind=77), NOW_MS, "new"),
        ("a body that is no text", signed_by("oak", body=b"\xff"), NOW_MS, "new"),
        ("version 2, whatever follows", b"\x95\x02\x00\xff", NOW_MS, "drop"),
        ("version 127", _changed(good, 1, 127), NOW_MS, "drop"),
        ("type 2", _changed(good, 2, 2), NOW_MS, "drop"),
        ("a public one that says it is sealed", _changed(good, 2, 1), NOW_MS, "close"),
        ("empty", b"", NOW_MS, "close"),
        ("two bytes", good[:2], NOW_MS, "close"),
        ("no array", _changed(good, 0, 0xC4), NOW_MS, "close"),
        ("version 128", _changed(good, 1, 0xCC), NOW_MS, "close"),
        ("a slot too many", b"\x95" + good[1:] + b"\0", NOW_MS, "close"),
        ("a byte behind the end", good + b"\0", NOW_MS, "close"),
        ("cut by a byte", good[:-1], NOW_MS, "close"),
        ("a signature of 63 bytes", codec.pack(1, 0, signed, signature[1:]), NOW_MS, "close"),
        ("34 001 bytes of another version", b"\x95\x02\x00" + bytes(33_998), NOW_MS, "close"),
        ("a post that breaks a rule", signed_by("oak", kind=0), NOW_MS, "close"),
        ("a bit of the signed bytes flipped", _flipped(good, -67 - 5), NOW_MS, "close"),
        ("a bit of R flipped", _flipped(good, -64), NOW_MS, "close"),
        ("a bit of S flipped", _flipped(good, -32), NOW_MS, "close"),
        ("S plus the group's order", good[:-32] + high_s, NOW_MS, "close"),
        ("another author's signature", codec.pack(1, 0, signed, signed_by("elm")[-64:]), NOW_MS, "close"),
        ("a signature over the id without its label", _unlabelled(), NOW_MS, "close"),
        ("a signature that only cofactored verifiers take", _torsion(), NOW_MS, "close"),
        ("an author with a small-order part", _with_signature(*torsion_key(_SEED)), NOW_MS, "close"),
    ]
    for number, key in enumerate(small_order_keys()):
        # For a key of order 1 any S with R = S·B verifies with a lax verifier: here S = 1.
        lax = bytes.fromhex("58" + "66" * 31) + (1).to_bytes(32, "little")
        raw = envelope.seal_public(post.encode(PLAIN._replace(author=key)), lax)
        cases.append((f"author of small order or not canonical, {number}", raw, NOW_MS, "close"))
    return cases


def _changed(raw: bytes, place: int, byte: int) -> bytes:
    return raw[:place] + bytes((byte,)) + raw[place + 1 :]


def _unlabelled() -> bytes:
    signed = post.encode(PLAIN)
    return envelope.seal_public(signed, crypto.sign(_SECRET, post.post_id(signed)))


def _torsion() -> bytes:
    return _with_signature(OAK, lambda message: signature_with_torsion(_SEED, message))


def empty_carry(folder: str) -> Carry:
    """A carry in this folder for `verdict`."""
    return Carry.create(Path(folder) / "carry", bytes(32), NETWORK_KEY, "private", durable=False)


def verdict(carry: Carry, raw: bytes, wall_ms: int) -> str:
    """What a node that holds nothing does with an envelope: new, drop or close."""
    taken = Intake(carry, None, KeySet(), Clock()).take([raw], "vector", Now(0, wall_ms))
    carry.rollback()
    return "new" if taken.new else "close" if taken.error else "drop"


def envelopes() -> Vector:
    """What envelopes.json holds."""
    judged = []
    cases = judged_envelopes()
    with TemporaryDirectory() as folder:
        carry = empty_carry(folder)
        verdicts = [verdict(carry, raw, wall_ms) for _, raw, wall_ms, _ in cases]
        carry.close()
    for (name, raw, wall_ms, does), found in zip(cases, verdicts, strict=True):
        if found != does:
            raise RuntimeError(f"{name}: {found}, not {does}")
        entry: dict[str, Any] = {"name": name, "wall_ms": wall_ms, "does": does, "envelope": raw.hex()}
        if does == "new" and (parsed := envelope.parse(raw)):
            entry |= {
                "id": parsed.id.hex(),
                "expiry_hour": parsed.expiry_hour,
                "key": parsed.key.hex(),
                "reference": key_reference(parsed.key).hex(),
            }
        judged.append(entry)
    hour, some = 2**32 - 1, fixed("envelope id")
    key = envelope_key(hour, some)
    return {
        "judged": judged,
        "keys": [
            {
                "expiry_hour": hour,
                "id": some.hex(),
                "key": key.hex(),
                "reference": key_reference(key).hex(),
                "short_id": some[:16].hex(),
            }
        ],
    }
