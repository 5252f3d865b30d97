"""Makes the acts of plans.json: one of each purpose of kind 6, and bodies of which one thing is wrong.

Rule: the signature of each fits its statement, unless its name says otherwise; so it is the slots that hide it.
"""

from vectors_fixed import NOW_MS, Vector, fixed, identity

from meshd import crypto, statement
from meshd.plans import act
from meshd.plans.act import Act
from meshd.post import KIND_PLAN_ACT, Post
from meshd.statement import Statement

_CHANNEL, _SHARE, _KEY = fixed("group id", 16), fixed("a share", 25), fixed("a scenario key", 16)
_, _OAK, _OAK_SECRET = identity("oak")


def _act(
    purpose: int, subject: bytes = b"", payload: bytes = b"", *, about: bytes = b"", flag: int = 0
) -> Act:
    said = Statement(purpose, _CHANNEL, about or fixed("version"), subject, flag)
    signed = statement.check(said, b"", b"")[1]
    return Act(said, crypto.sign(_OAK_SECRET, signed), payload)


def _is_act(body: bytes) -> bool:
    inside = Post(
        1, _CHANNEL, b"", _OAK, 7, 1, b"", NOW_MS << 16, KIND_PLAN_ACT, NOW_MS // 3_600_000 + 40, body
    )
    return act.parse(inside) is not None


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
