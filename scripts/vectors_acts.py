"""Makes the acts of plans.json: one of each purpose of kinds 6 and 4, and bodies of which one thing is wrong.

Rule: the signature of each fits its statement, unless its name says otherwise; so it is the slots that hide it.
"""

from vectors_fixed import NOW_MS, Vector, fixed, identity

from meshd import crypto, statement, testimony
from meshd.limits import ATTEST_HOLD_S
from meshd.plans import act
from meshd.plans.act import Act
from meshd.post import KIND_PLAN_ACT, KIND_STATEMENT, Post
from meshd.statement import Statement

_CHANNEL, _SHARE, _KEY = fixed("group id", 16), fixed("a share", 25), fixed("a scenario key", 16)
_, _OAK, _OAK_SECRET = identity("oak")


def _act(
    purpose: int, subject: bytes = b"", payload: bytes = b"", *, about: bytes = b"", flag: int = 0
) -> Act:
    said = Statement(purpose, _CHANNEL, about or fixed("version"), subject, flag)
    signed = statement.check(said, b"", b"")[1]
    return Act(said, crypto.sign(_OAK_SECRET, signed), payload)


def _posted(kind: int, body: bytes) -> Post:
    return Post(1, _CHANNEL, b"", _OAK, 7, 1, b"", NOW_MS << 16, kind, NOW_MS // 3_600_000 + 24, body)


def _is_act(body: bytes) -> bool:
    return act.parse(_posted(KIND_PLAN_ACT, body)) is not None


def acts() -> Vector:
    """What plans.json says of them."""
    valid = {
        "sign": _act(statement.SIGN_PLAN),
        "call": _act(statement.CALL, b"mill"),
        "call in a drill": _act(statement.CALL, b"mill", flag=1),
        "stand down": _act(statement.STAND_DOWN, b"mill"),
        "stand all down": _act(statement.STAND_DOWN),
        "share": _act(statement.SHARE, b"mill", _SHARE),
        "key": _act(statement.KEY, b"mill", _KEY),
    }
    hidden = {
        "a sign with a subject": _act(statement.SIGN_PLAN, b"mill"),
        "a sign about nothing": _act(statement.SIGN_PLAN, about=bytes(32)),
        "a sign in a drill": _act(statement.SIGN_PLAN, flag=1),
        "a call of nothing": _act(statement.CALL),
        "a call in capitals": _act(statement.CALL, b"Mill"),
        "a call with a payload": _act(statement.CALL, b"mill", b"otter river"),
        "a share of 24 bytes": _act(statement.SHARE, b"mill", _SHARE[:-1]),
        "a share in a drill": _act(statement.SHARE, b"mill", _SHARE, flag=1),
        "a key of 32 bytes": _act(statement.KEY, b"mill", bytes(32)),
        "a purpose of kind 4": _act(statement.HOLD),
        "purpose 27": _act(27),
        "a signature over another": _act(statement.CALL, b"mill")._replace(
            signature=_act(statement.CALL, b"stay").signature
        ),
    }
    for cases, right in ((valid, True), (hidden, False)):
        for name, made in cases.items():
            if _is_act(act.encode(made)) != right:
                raise RuntimeError(f"the act {name} is not what it should be")
    return {
        "author": _OAK.hex(),
        "valid": [
            {
                "name": name,
                "body": act.encode(made).hex(),
                "purpose": made.statement.purpose,
                "about": made.statement.about.hex(),
                "subject": made.statement.subject.hex(),
                "flag": made.statement.flag,
                "payload": made.payload.hex(),
            }
            for name, made in valid.items()
        ],
        "hidden": [{"name": name, "body": act.encode(made).hex()} for name, made in hidden.items()],
    }


def _said(purpose: int, subject: bytes = b"", *, about: bytes = b"", flag: int = 0) -> Act:
    return _act(purpose, subject, about=about or fixed("version"), flag=flag)


def _dark(until_s: int) -> Act:
    return _said(statement.DARK, until_s.to_bytes(4, "big"), about=bytes(32))


def _witnessed(name: str, made: Act) -> Vector:
    body = statement.encode_body(made.statement, made.signature)
    found = _posted(KIND_STATEMENT, body)
    parsed = statement.parse_body(_CHANNEL, _OAK, body)
    word = testimony.read(found, parsed[0]) if parsed is not None else None
    what = [word.purpose, word.about.hex(), word.subject.hex(), word.until_s] if word is not None else None
    return {"name": name, "body": body.hex(), "says": what}


def witnesses() -> Vector:
    """What plans.json says of what witnesses say, in posts of one time."""
    held_s = NOW_MS // 1000 + ATTEST_HOLD_S
    made = {
        "dark, for half an hour": _dark(held_s),
        "dark, until the post's own time": _dark(NOW_MS // 1000),
        "silent": _said(statement.SILENT, b"mill"),
        "there": _said(statement.HEARTBEAT, about=bytes(32)),
        "holds the version": _said(statement.HOLD),
        "reached by the drill": _said(statement.REACHED, b"mill", flag=1),
        "looked at it": _said(statement.LOOKED, b"mill", flag=1),
        "dark, for a second longer": _dark(held_s + 1),
        "dark, for ever": _dark(2**32 - 1),
        "dark, about a version": _said(statement.DARK, held_s.to_bytes(4, "big")),
        "dark, until an hour of three bytes": _said(statement.DARK, b"abc", about=bytes(32)),
        "silent, and nothing waits for it": _said(statement.SILENT),
        "silent, in a drill": _said(statement.SILENT, b"mill", flag=1),
        "there, with a word": _said(statement.HEARTBEAT, b"mill", about=bytes(32)),
        "there, about a version": _said(statement.HEARTBEAT),
        "holds nothing": _said(statement.HOLD, about=bytes(32)),
        "reached by what is real": _said(statement.REACHED, b"mill"),
        "a purpose of kind 6": _said(statement.CALL, b"mill"),
    }
    return {"time_ms": NOW_MS, "author": _OAK.hex(), "said": [_witnessed(*each) for each in made.items()]}
