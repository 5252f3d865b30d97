"""How much one link may give unasked, in both directions."""

import pytest

from meshd import codec
from meshd.errors import PeerError
from meshd.limits import PUSH_BURST, PUSH_MINUTE, PUSH_SIZE_MINUTE, RECEIVED_FACTOR, ROUND_MS
from meshd.proto.rates import Bucket, Inflow


def admitted(inflow: Inflow, count: int, mono_ms: int, *, pushed: int) -> list[bytes]:
    """What is looked at of a give of so many."""
    return inflow.admit(pushed, codec.join([bytes(400)] * count), mono_ms)


def test_a_burst_and_then_so_many_a_minute() -> None:
    bucket = Bucket(0)
    assert bucket.allow([400] * 1000, 0) == PUSH_BURST
    assert bucket.allow([400] * 1000, 60_000) == PUSH_MINUTE
    assert bucket.is_empty(60_000 + 60_000 // PUSH_MINUTE - 1)
    assert bucket.allow([400], 60_000 + 60_000 // PUSH_MINUTE - 1) == 0
    assert bucket.allow([400], 60_000 + 60_000 // PUSH_MINUTE) == 1
    assert bucket.allow([400] * 1000, 60 * 60_000) == PUSH_BURST  # it holds no more


def test_long_ones_are_bounded_by_their_bytes() -> None:
    bucket = Bucket(0)
    fits = PUSH_SIZE_MINUTE // 30_000
    assert bucket.allow([30_000] * 300, 0) == fits
    assert bucket.allow([30_000] * 300, 60_000) == fits


def test_the_receiver_takes_what_an_honest_sender_may_have_sent_while_the_stream_stood_still() -> None:
    sender, receiver = Bucket(0), Inflow(0)
    sent = sum(sender.allow([400] * 400, seconds * 1000) for seconds in range(300))
    assert PUSH_BURST < sent <= PUSH_BURST * RECEIVED_FACTOR
    assert len(admitted(receiver, sent, 300_000, pushed=1)) == sent


def test_what_was_asked_for_is_not_rated_and_what_is_pushed_is() -> None:
    inflow = Inflow(0)
    inflow.expect(0)
    assert len(admitted(inflow, 10_000, 0, pushed=0)) == 10_000
    assert len(admitted(inflow, 10_000, 0, pushed=1)) == PUSH_BURST * RECEIVED_FACTOR
    assert len(admitted(inflow, 10_000, ROUND_MS, pushed=0)) == PUSH_MINUTE * ROUND_MS // 60_000


def test_what_is_over_the_rate_is_not_even_parsed() -> None:
    inflow = Inflow(0)
    admitted(inflow, PUSH_BURST * RECEIVED_FACTOR, 0, pushed=1)
    assert inflow.admit(1, b"\xff\xff cut", 0) == []
    with pytest.raises(PeerError):
        inflow.admit(1, b"\xff\xff cut", 60_000)
