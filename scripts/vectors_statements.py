"""Makes statements.json: what is signed, by whom, and which of a set of signatures count.

Rule: each entry of `counted` has signatures of which some do not count, for the one reason in its name. Of `vouches`,
those with `until` null say nothing.
"""

from vectors_fixed import Vector, fixed, identity

from meshd import codec, crypto, statement
from meshd.limits import VOUCH_HOURS
from meshd.post import HOUR_MS
from meshd.statement import Statement
from meshd.vouching import parse, vouch

NAMES = ("oak", "elm", "ash", "fir")
_GROUP, _PARENT = fixed("group id", 16), fixed("parent epoch")
_PLAIN = Statement(statement.REMOVE_MEMBER, _GROUP, _PARENT, identity("yew")[1])
_VALID = {
    "remove a member": _PLAIN,
    "a vouch": Statement(
        statement.VOUCH, _GROUP, bytes(32), identity("yew")[1] + (490_224).to_bytes(4, "big")
    ),
    "no subject, the flag set": Statement(255, _GROUP, _PARENT, b"", 1),
    "the longest subject": Statement(16, _GROUP, _PARENT, bytes(range(64))),
}
_OTHERS = {
    "another purpose": _PLAIN._replace(purpose=statement.REMOVE_ADMIN),
    "another channel": _PLAIN._replace(channel=fixed("another group", 16)),
    "about another": _PLAIN._replace(about=fixed("another epoch")),
    "another subject": _PLAIN._replace(subject=identity("oak")[1]),
    "another flag": _PLAIN._replace(flag=1),
}


_HOUR = 490_224
_VOUCH = vouch(_GROUP, identity("yew")[1], _HOUR + VOUCH_HOURS)
_VOUCHES = {
    "a month": (_VOUCH, VOUCH_HOURS),
    "rounded up to the hour": (vouch(_GROUP, identity("yew")[1], _HOUR + VOUCH_HOURS + 1), VOUCH_HOURS),
    "taken back": (vouch(_GROUP, identity("yew")[1], 0), VOUCH_HOURS),
    "a day, in a strict group": (vouch(_GROUP, identity("yew")[1], _HOUR + 24), 24),
    "for longer than a month": (vouch(_GROUP, identity("yew")[1], _HOUR + VOUCH_HOURS + 2), VOUCH_HOURS),
    "a month, in a strict group": (_VOUCH, 24),
    "for oneself": (vouch(_GROUP, identity("oak")[1], _HOUR), VOUCH_HOURS),
    "about something": (_VOUCH._replace(about=_PARENT), VOUCH_HOURS),
    "with the flag": (_VOUCH._replace(flag=1), VOUCH_HOURS),
    "without an hour": (_VOUCH._replace(subject=_VOUCH.subject[:32]), VOUCH_HOURS),
    "with more behind the hour": (_VOUCH._replace(subject=_VOUCH.subject + b"\0"), VOUCH_HOURS),
}


def _vouched(name: str, made: Statement, hours: int) -> Vector:
    said = parse(made, identity("oak")[1], _HOUR * HOUR_MS, hours)
    return {
        "name": name,
        **_slots(made),
        "hours": hours,
        "who": said[0].hex() if said else None,
        "until": said[1] if said else None,
    }


def _slots(made: Statement) -> Vector:
    return {k: v.hex() if isinstance(v, bytes) else v for k, v in made._asdict().items()}


def _signature(name: str, made: Statement = _PLAIN) -> tuple[bytes, bytes]:
    _, public, secret = identity(name)
    return public, statement.sign(secret, made)


def _counted(name: str, signatures: list[tuple[bytes, bytes]]) -> Vector:
    eligible = [identity(each)[1] for each in NAMES[:3]]
    return {
        "name": name,
        "eligible": [public.hex() for public in eligible],
        "signatures": [{"signer": public.hex(), "signature": each.hex()} for public, each in signatures],
        "count": sorted(public.hex() for public in statement.signers(_PLAIN, signatures, eligible)),
    }


def statements() -> Vector:
    """What statements.json holds."""
    oak, elm, fir = _signature("oak"), _signature("elm"), _signature("fir")
    bare = (identity("elm")[1], _bare("elm"))
    flipped = (elm[0], bytes((elm[1][0] ^ 1,)) + elm[1][1:])
    cases = {
        "two": [oak, elm],
        "two, in the other order": [elm, oak],
        "one of them twice": [oak, elm, oak],
        "one not eligible": [oak, fir],
        "one forged": [oak, flipped],
        "a forged one before the true one": [flipped, elm, oak],
        "one under another's name": [oak, (identity("elm")[1], oak[1])],
        "one without the label": [oak, bare],
        **{f"one over {name}": [oak, _signature("elm", other)] for name, other in _OTHERS.items()},
    }
    return {
        "seeds": {name: identity(name)[0].hex() for name in NAMES},
        "valid": [
            {
                "name": name,
                **_slots(made),
                "signed": statement.check(made, b"", b"")[1].hex(),
                "signer": identity("oak")[1].hex(),
                "signature": _signature("oak", made)[1].hex(),
                "body": statement.encode_body(made, _signature("oak", made)[1]).hex(),
            }
            for name, made in _VALID.items()
        ],
        "statement": _slots(_PLAIN),
        "vouches": {
            "author": identity("oak")[1].hex(),
            "time_ms": _HOUR * HOUR_MS,
            "cases": [_vouched(name, *case) for name, case in _VOUCHES.items()],
        },
        "counted": [_counted(name, signatures) for name, signatures in cases.items()],
    }


def _bare(name: str) -> bytes:
    """A signature over the slots alone."""
    return crypto.sign(identity(name)[2], codec.pack(*_PLAIN))
