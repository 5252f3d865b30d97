"""How much one link may give unasked, in both directions."""

from meshd.limits import EXPLORE_MS, PUSH_BURST, PUSH_MINUTE, PUSH_SIZE_MINUTE, RECEIVED_FACTOR, ROUND_MS
from meshd.proto.rates import Bucket, Inflow


def test_a_burst_and_then_so_many_a_minute() -> None:
    bucket = Bucket(0)
    assert bucket.allow([400] * 1000, 0) == PUSH_BURST
    assert bucket.allow([400] * 1000, 60_000) == PUSH_MINUTE
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
    assert len(receiver.allowed([bytes(400)] * sent, 300_000, pushed=True)) == sent


def test_what_was_asked_for_is_not_rated_and_what_is_pushed_is() -> None:
    inflow = Inflow(0)
    raws = [bytes(400)] * 10_000
    inflow.expect(0)
    assert inflow.allowed(raws, 0, pushed=False) == raws
    assert len(inflow.allowed(raws, 0, pushed=True)) == PUSH_BURST * RECEIVED_FACTOR
    assert inflow.allowed(raws, ROUND_MS, pushed=False) == raws[: PUSH_MINUTE * ROUND_MS // 60_000]


def test_what_is_expected_stays_so_while_it_comes() -> None:
    inflow = Inflow(0)
    inflow.expect(0)
    for now_ms in range(0, 10 * ROUND_MS, ROUND_MS - 1):
        raws = [bytes(400)] * 1000
        assert inflow.allowed(raws, now_ms, pushed=False) == raws
        inflow.brought(1, now_ms)


def test_a_neighbour_that_pushes_more_than_a_quarter_of_what_is_taken_is_noisy_for_a_while() -> None:
    inflow = Inflow(0)
    inflow.allowed([bytes(400)] * (PUSH_BURST // 2), 0, pushed=True)
    assert not inflow.is_noisy()
    inflow.allowed([bytes(400)] * 60, 0, pushed=True)
    assert inflow.is_noisy()
    inflow.allowed([], 60_000, pushed=True)
    assert not inflow.is_noisy()


def test_what_a_link_brought_long_ago_counts_little() -> None:
    inflow = Inflow(0)
    inflow.brought(100, 0)
    assert inflow.usefulness(EXPLORE_MS - 1) == 100
    assert inflow.usefulness(EXPLORE_MS) == 50
    inflow.brought(10, 2 * EXPLORE_MS)
    assert inflow.usefulness(2 * EXPLORE_MS) == 35
    assert inflow.usefulness(10_000 * EXPLORE_MS) == 0
