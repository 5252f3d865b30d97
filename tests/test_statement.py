"""Statements: who signed counts once, for this statement alone, whatever else was put beside it."""

import random

import pytest

from meshd import codec, crypto, statement
from meshd.errors import CallerError
from meshd.limits import SUBJECT_SIZE_MAX
from meshd.statement import Statement
from tests.wire_vectors import b, load, named

KEYS = [crypto.ed25519_keypair(bytes([number]) * 32) for number in range(1, 6)]
PUBLIC = [public for public, _ in KEYS]
PLAIN = Statement(statement.REMOVE_MEMBER, b"g" * 16, b"p" * 32, PUBLIC[4])
SIGNED = [(public, statement.sign(secret, PLAIN)) for public, secret in KEYS]
OTHERS = [
    PLAIN._replace(purpose=statement.REMOVE_ADMIN),
    PLAIN._replace(channel=b"h" * 16),
    PLAIN._replace(about=b"q" * 32),
    PLAIN._replace(subject=PUBLIC[3]),
    PLAIN._replace(flag=1),
]


def test_distinct_signers_whatever_the_order():
    signatures = [*SIGNED[:3], SIGNED[0], SIGNED[2]]
    for seed in range(20):
        random.Random(seed).shuffle(signatures)
        assert statement.signers(PLAIN, signatures, PUBLIC) == {*PUBLIC[:3]}


def test_who_is_not_eligible_does_not_count():
    assert statement.signers(PLAIN, SIGNED, PUBLIC[:2]) == {*PUBLIC[:2]}
    assert statement.signers(PLAIN, SIGNED, ()) == frozenset()


@pytest.mark.parametrize("other", OTHERS)
def test_a_signature_over_another_statement_does_not_count(other):
    signatures = [(public, statement.sign(secret, other)) for public, secret in KEYS]
    assert statement.signers(PLAIN, signatures, PUBLIC) == frozenset()
    assert statement.signers(other, signatures, PUBLIC) == {*PUBLIC}


def test_a_signature_under_another_label_does_not_count():
    for label in (b"", b"meshd/1 post signature", b"meshd/2 statement"):
        prefix = bytes([len(label)]) + label if label else b""
        signature = crypto.sign(KEYS[0][1], prefix + codec.pack(*PLAIN))
        assert statement.signers(PLAIN, [(PUBLIC[0], signature)], PUBLIC) == frozenset()


def test_a_forged_signature_keeps_nobody_out():
    forged = [(public, bytes(64)) for public in PUBLIC] + [(PUBLIC[0], SIGNED[1][1]), (b"short", b"")]
    assert statement.signers(PLAIN, forged, PUBLIC) == frozenset()
    assert statement.signers(PLAIN, forged + SIGNED + forged, PUBLIC) == {*PUBLIC}


@pytest.mark.parametrize(
    "wrong",
    [
        PLAIN._replace(purpose=0),
        PLAIN._replace(purpose=256),
        PLAIN._replace(channel=b"g" * 15),
        PLAIN._replace(about=b""),
        PLAIN._replace(subject=bytes(SUBJECT_SIZE_MAX + 1)),
        PLAIN._replace(flag=2),
    ],
)
def test_what_is_no_statement_is_not_signed_and_not_counted(wrong):
    with pytest.raises(CallerError):
        statement.sign(KEYS[0][1], wrong)
    public, signed, _ = statement.check(wrong, PUBLIC[0], b"")
    assert statement.signers(wrong, [(public, crypto.sign(KEYS[0][1], signed))], PUBLIC) == frozenset()


def test_a_subject_of_the_largest_size():
    largest = PLAIN._replace(subject=bytes(SUBJECT_SIZE_MAX))
    signature = statement.sign(KEYS[0][1], largest)
    assert statement.signers(largest, [(PUBLIC[0], signature)], PUBLIC) == {PUBLIC[0]}
    body = statement.encode_body(largest, signature)
    assert statement.parse_body(largest.channel, PUBLIC[0], body) == (largest, signature)


def test_a_body_is_its_authors_and_its_channels():
    body = statement.encode_body(*SIGNED_BODY)
    assert statement.parse_body(PLAIN.channel, PUBLIC[0], body) == SIGNED_BODY
    assert statement.parse_body(PLAIN.channel, PUBLIC[1], body) is None
    assert statement.parse_body(b"h" * 16, PUBLIC[0], body) is None
    for wrong in (b"", body[:-1], body + b"\0", bytes(300), codec.pack(*PLAIN)):
        assert statement.parse_body(PLAIN.channel, PUBLIC[0], wrong) is None


SIGNED_BODY = (PLAIN, SIGNED[0][1])


def read(vector: dict[str, str | int]) -> Statement:
    slots = (vector[name] for name in Statement._fields)
    return Statement(*(b(slot) if isinstance(slot, str) else slot for slot in slots))


@pytest.mark.parametrize("vector", named(load("statements.json")["valid"]))
def test_vector(vector):
    made, signer, signature = read(vector), b(vector["signer"]), b(vector["signature"])
    assert statement.check(made, signer, signature) == (signer, b(vector["signed"]), signature)
    assert statement.parse_body(made.channel, signer, b(vector["body"])) == (made, signature)


@pytest.mark.parametrize("vector", named(load("statements.json")["counted"]))
def test_vector_of_what_counts(vector):
    signatures = [(b(each["signer"]), b(each["signature"])) for each in vector["signatures"]]
    eligible = list(map(b, vector["eligible"]))
    found = statement.signers(read(load("statements.json")["statement"]), signatures, eligible)
    assert sorted(public.hex() for public in found) == vector["count"]
