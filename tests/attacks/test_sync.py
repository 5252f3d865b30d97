"""Attacks on the exchange of envelopes (attack cases S)."""

from collections.abc import Callable

import pytest

from meshd.errors import PeerError
from meshd.ids import envelope_key
from meshd.limits import RECONCILE_FRAME_SIZE, RECONCILE_RANGES_MAX
from meshd.proto.keyset import KeySet
from meshd.proto.reconcile import Initiator, respond

VERSION = b"\x61"
END = b"\0\0"  # the bound at infinity
SKIP = b"\1\0\0"  # an empty range that is skipped
EMPTY_FINGERPRINT = KeySet().fingerprint(0, 0)
ID = b"\x55" * 32


def keyset(count: int) -> KeySet:
    return KeySet(envelope_key(500_000, number.to_bytes(32, "big")) for number in range(count))


def ask(message: bytes) -> None:
    respond(keyset(100), 0, message, RECONCILE_FRAME_SIZE)


def answer(message: bytes) -> None:
    Initiator(keyset(100), 0, RECONCILE_FRAME_SIZE).receive(message)


@pytest.mark.parametrize("side", [ask, answer])
@pytest.mark.parametrize(
    "message",
    [
        VERSION + SKIP * 10**6,
        VERSION + (b"\1\0\1" + EMPTY_FINGERPRINT) * (RECONCILE_RANGES_MAX + 1),
        VERSION + b"\1\0\2\0" * (RECONCILE_RANGES_MAX + 1),
        VERSION + b"\x0a\1\x80\0" + b"\1\1\x7f\0",
        VERSION + b"\0\1\x80\0" + b"\0\0\0",
        VERSION + b"\x80" * 19 + b"\1" + b"\0\0",
        VERSION + b"\x81" + b"\x80" * 19 + b"\0\0",
        VERSION + END + b"\2" + b"\x80" * 19 + b"\1" + ID,
        VERSION + b"\1\x20" + ID + b"\0" + b"\1\x20" + b"\x66" * 32 + b"\2\1" + b"\x54" * 32,
        VERSION + b"\1\x20" + ID + b"\0" + b"\1\x20" + b"\x66" * 32 + b"\2\1" + b"\x66" * 32,
    ],
    ids=[
        "1e6 ranges",
        "empty fingerprints",
        "empty lists",
        "bounds down",
        "bounds down at infinity",
        "20-byte time",
        "20-byte time above 2^64",
        "20-byte count",
        "id below",
        "id above",
    ],
)
def test_S07_a_malformed_reconcile_message_is_refused(side: Callable[[bytes], None], message: bytes) -> None:
    with pytest.raises(PeerError):
        side(message)


def test_S07_ranges_are_bounded_and_that_many_are_legal() -> None:
    assert respond(keyset(1), 0, VERSION + SKIP * RECONCILE_RANGES_MAX, RECONCILE_FRAME_SIZE) == VERSION
    with pytest.raises(PeerError):
        respond(keyset(1), 0, VERSION + SKIP * (RECONCILE_RANGES_MAX + 1), RECONCILE_FRAME_SIZE)


@pytest.mark.parametrize(
    "question",
    [
        END + b"\2\0",  # "I have nothing": asks for all ids
        b"".join(b"\1\1" + bytes((first,)) + b"\1" + bytes(16) for first in range(1, 256))
        + END
        + b"\1"
        + bytes(16),
    ],
    ids=["no ids", "wrong fingerprints"],
)
def test_S07_a_short_question_gets_no_answer_over_the_limit(question: bytes) -> None:
    many = KeySet(
        envelope_key(0, bytes((first,)) + number.to_bytes(31, "big"))
        for first in range(256)
        for number in range(64)
    )
    assert len(respond(many, 0, VERSION + question, 0)) > 65_536
    assert 60_000 < len(respond(many, 0, VERSION + question, 65_536)) <= 65_536
