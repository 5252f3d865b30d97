"""Acts: for each purpose one way to say it, signed by the post's author, and nothing else is an act."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd import codec, crypto, statement
from meshd.plans import act
from meshd.plans.act import Act
from meshd.post import KIND_PLAN, KIND_STATEMENT, Post
from meshd.statement import Statement

PUBLIC, SECRET = crypto.ed25519_keypair(b"o" * 32)
CHANNEL, VERSION, ZEROS = b"g" * 16, b"v" * 32, bytes(32)
SHARE, KEY = b"s" * 25, b"k" * 16
LONGEST = b"a-0" * 10 + b"zz"

SAID = {  # what may be said: purpose, about, subject, flag, payload
    "sign": (statement.SIGN_PLAN, VERSION, b"", 0, b""),
    "call": (statement.CALL, VERSION, b"bridge-closed", 0, b""),
    "call in a drill": (statement.CALL, VERSION, LONGEST, 1, b""),
    "stand down": (statement.STAND_DOWN, VERSION, b"bridge-closed", 0, b""),
    "stand all down": (statement.STAND_DOWN, VERSION, b"", 0, b""),
    "stand a drill down": (statement.STAND_DOWN, VERSION, b"", 1, b""),
    "share": (statement.SHARE, VERSION, b"bridge-closed", 0, SHARE),
    "key": (statement.KEY, VERSION, b"bridge-closed", 0, KEY),
    "dark": (statement.DARK, ZEROS, b"\n\0\0\n", 0, None),
    "silent": (statement.SILENT, VERSION, b"oak-missing", 0, None),
    "heartbeat": (statement.HEARTBEAT, ZEROS, b"", 0, None),
    "hold": (statement.HOLD, VERSION, b"", 0, None),
    "reached": (statement.REACHED, VERSION, b"bridge-closed", 1, None),
    "looked": (statement.LOOKED, VERSION, b"bridge-closed", 1, None),
}
LASTING = [name for name, (*_, payload) in SAID.items() if payload is not None]


def slots(name: str) -> tuple[Statement, bytes]:
    purpose, about, subject, flag, payload = SAID[name]
    return Statement(purpose, CHANNEL, about, subject, flag), payload or b""


def body(said: Statement, payload: bytes, secret: bytes = SECRET) -> bytes:
    return act.encode(Act(said, statement.sign(secret, said), payload))


def posted(raw: bytes, **changes: Any) -> Post:
    made = Post(1, CHANNEL, b"", PUBLIC, 7, 1, b"", 1_764_000_000_000 << 16, 6, 490_100, raw)
    return made._replace(**changes)


@pytest.mark.parametrize("name", SAID)
def test_what_may_be_said(name: str) -> None:
    said, payload = slots(name)
    assert act.fits(said)
    signature = statement.sign(SECRET, said)
    found = act.parse(posted(body(said, payload)))
    if name in LASTING:
        assert found == Act(said, signature, payload)
    else:  # a post of kind 4
        assert found is None
        inside = statement.encode_body(said, signature)
        assert statement.parse_body(CHANNEL, PUBLIC, inside) == (said, signature)


PURPOSES = {name: said[0] for name, said in SAID.items()}
WRONG_SLOTS: list[tuple[str, dict[str, Any]]] = [
    *[(name, {"about": ZEROS if SAID[name][1] == VERSION else VERSION}) for name in SAID],
    *[(name, {"about": VERSION[:31]}) for name in SAID if SAID[name][1] == VERSION],
    *[(name, {"flag": 1}) for name in ("sign", "share", "key", "dark", "silent", "heartbeat", "hold")],
    *[(name, {"flag": 0}) for name in ("reached", "looked")],
    *[(name, {"flag": 2}) for name in SAID],
    *[(name, {"subject": b"x"}) for name in ("sign", "heartbeat", "hold", "dark")],
    *[(name, {"subject": b""}) for name in ("call", "share", "key", "silent", "reached", "looked", "dark")],
    *[
        (name, {"subject": subject})
        for name in ("call", "stand down", "share", "key", "silent", "reached", "looked")
        for subject in (b"Bridge", b"bridge closed", b"bridge\n", LONGEST + b"z", b"\xff")
    ],
    ("dark", {"subject": b"12345"}),
]


@pytest.mark.parametrize(("name", "changes"), WRONG_SLOTS)
def test_what_may_not_be_said(name: str, changes: dict[str, Any]) -> None:
    said, payload = slots(name)
    wrong = said._replace(**changes)
    assert not act.fits(wrong)
    signature = crypto.sign(SECRET, statement.check(wrong, b"", b"")[1])
    assert act.parse(posted(act.encode(Act(wrong, signature, payload)))) is None


@pytest.mark.parametrize("purpose", [0, 1, 5, 15, 27, 255])
def test_other_purposes_are_none(purpose: int) -> None:
    wrong = slots("sign")[0]._replace(purpose=purpose)
    assert not act.fits(wrong)
    signature = crypto.sign(SECRET, statement.check(wrong, b"", b"")[1])
    assert act.parse(posted(act.encode(Act(wrong, signature)))) is None


@pytest.mark.parametrize("name", LASTING)
def test_a_payload_is_whole_and_where_it_belongs(name: str) -> None:
    said, payload = slots(name)
    for wrong in {b"", b"x", KEY, SHARE, payload + b"x"} - {payload}:
        assert act.parse(posted(body(said, wrong))) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": KIND_STATEMENT},
        {"kind": KIND_PLAN},
        {"epoch": VERSION},
        {"channel": b"h" * 16},
        {"author": crypto.ed25519_keypair(b"e" * 32)[0]},
    ],
)
def test_in_another_post_it_is_none(changes: dict[str, Any]) -> None:
    assert act.parse(posted(body(*slots("call")), **changes)) is None


def test_signed_by_another_or_cut() -> None:
    said, payload = slots("call")
    other = crypto.ed25519_keypair(b"e" * 32)[1]
    assert act.parse(posted(body(said, payload, other))) is None
    for signature in (b"", bytes(64), statement.sign(SECRET, said)[:63]):
        claimed = posted(act.encode(Act(said, signature, payload)))
        assert act.parse(claimed) is None and (act.claimed(claimed) is None) == (len(signature) != 64)


BODY = body(*slots("share"))


@given(st.integers(0, len(BODY) * 8 - 1))
def test_a_flipped_bit_is_none_or_another_share(bit: int) -> None:
    raw = bytearray(BODY)
    raw[bit // 8] ^= 1 << bit % 8
    found = act.parse(posted(bytes(raw)))
    if found is not None:
        assert found.statement == slots("share")[0]
        assert found.payload != SHARE


@given(st.binary(max_size=300))
def test_any_bytes_are_none(raw: bytes) -> None:
    assert act.parse(posted(raw)) is None


def test_a_body_that_is_too_long() -> None:
    said, _ = slots("share")
    raw = codec.pack(said.purpose, said.about, said.subject, said.flag, bytes(64), bytes(200))
    assert len(raw) > 256
    assert act.parse(posted(raw)) is None
