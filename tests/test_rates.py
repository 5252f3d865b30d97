"""How much one link may give unasked, in both directions."""

import pytest

from meshd import codec
from meshd.errors import PeerError
from meshd.limits import (
    OVER_RATE_MS,
    PUSH_BURST,
    PUSH_MINUTE,
    PUSH_PARTS,
    PUSH_SIZE_MINUTE,
    RECEIVED_FACTOR,
    REFERENCES_SECOND,
    ROUND_MS,
    SPENT_MAX,
)
from meshd.proto.fair import OWN
from meshd.proto.rates import Bucket, Inflow, SharedBucket, Spent


def inflow() -> Inflow:
    """Of a new link."""
    return Inflow(Bucket(0, RECEIVED_FACTOR), 0)


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
    sender, receiver = Bucket(0), inflow()
    sent = sum(sender.allow([400] * 400, seconds * 1000) for seconds in range(300))
    assert PUSH_BURST < sent <= PUSH_BURST * RECEIVED_FACTOR
    assert len(admitted(receiver, sent, 300_000, pushed=1)) == sent


def test_what_a_round_showed_is_not_rated_and_what_is_pushed_is() -> None:
    link = inflow()
    link.expect(0)
    assert len(admitted(link, 10_000, 0, pushed=0)) == 10_000
    assert len(admitted(link, 10_000, 0, pushed=1)) == PUSH_BURST * RECEIVED_FACTOR
    link.brought(1000)
    assert len(admitted(link, 10_000, 999 + ROUND_MS, pushed=0)) == 10_000
    minutes = (1000 + ROUND_MS) / 60_000
    assert len(admitted(link, 10_000, 1000 + ROUND_MS, pushed=0)) == int(PUSH_MINUTE * minutes)


def test_so_many_as_were_wanted_are_not_rated() -> None:
    link = inflow()
    link.want(700, 0)
    assert len(admitted(link, 300, 0, pushed=0)) == 300
    link.want(100, 0)
    assert len(admitted(link, 10_000, 0, pushed=0)) == 500 + PUSH_BURST * RECEIVED_FACTOR
    link.want(10, 0)
    assert admitted(link, 5, ROUND_MS - 1, pushed=1) == [bytes(400)] * 5, "what is pushed takes nothing of it"
    link.brought(ROUND_MS - 1)
    assert len(admitted(link, 4, ROUND_MS, pushed=0)) == 4
    used = 24 + 1  # of what the bucket was filled up with since
    minutes = 2 * ROUND_MS / 60_000
    assert len(admitted(link, 1_000, 2 * ROUND_MS, pushed=0)) == int(PUSH_MINUTE * minutes) - used + 20


def test_what_is_over_the_rate_is_not_even_parsed_and_the_link_rests() -> None:
    link = inflow()
    admitted(link, PUSH_BURST * RECEIVED_FACTOR, 0, pushed=1)
    assert link.rests_ms == 0
    assert link.admit(1, b"\xff\xff cut", 0) == []
    assert link.rests_ms == OVER_RATE_MS
    with pytest.raises(PeerError):
        link.admit(1, b"\xff\xff cut", 60_000)


def test_who_brings_much_leaves_the_others_something_of_what_may_be_pushed() -> None:
    bucket = SharedBucket(0)
    assert sum(bucket.take(1, 400, 0) for _ in range(1000)) == PUSH_BURST // PUSH_PARTS
    assert all(bucket.take(2, 400, 0) for _ in range(10))
    assert not bucket.has_for(1, 0)
    assert sum(bucket.take(OWN, 400, 0) for _ in range(1000)) == PUSH_BURST - PUSH_BURST // PUSH_PARTS - 10


def test_what_a_source_took_is_forgotten_by_halves() -> None:
    bucket = SharedBucket(0)
    taken = {source: sum(bucket.take(source, 400, 0) for _ in range(1000)) for source in (1, OWN)}
    assert taken == {1: PUSH_BURST // PUSH_PARTS, OWN: PUSH_BURST - PUSH_BURST // PUSH_PARTS}
    bucket.allow([400] * PUSH_MINUTE, 60_000 - 1)
    minutes = next(minute for minute in range(1, 9) if bucket.has_for(1, minute * 60_000))
    assert minutes == 2, "75, 37 and 18 against nothing, 1 and 61"


def test_a_link_goes_on_with_the_bucket_of_one_that_ended_at_the_same_host() -> None:
    spent = Spent()
    links = [Inflow(spent.bucket("oak", 0), 0) for _ in range(2)]
    for link in links:
        assert len(admitted(link, 1_000, 0, pushed=1)) == PUSH_BURST * RECEIVED_FACTOR
        spent.keep("oak", link.bucket, 0)
    assert len(admitted(Inflow(spent.bucket("elm", 0), 0), 1, 0, pushed=1)) == 1, "another host"
    for _ in range(2):
        assert len(admitted(Inflow(spent.bucket("oak", 60_000), 0), 1_000, 60_000, pushed=1)) == PUSH_MINUTE
    third = Inflow(spent.bucket("oak", 60_000), 0)
    assert len(admitted(third, 1_000, 60_000, pushed=1)) == PUSH_BURST * RECEIVED_FACTOR, (
        "a third laptop there"
    )


def test_of_links_that_ended_so_many_are_kept_and_those_that_are_full_again_are_not() -> None:
    spent = Spent()
    for number in range(SPENT_MAX + 10):
        bucket = spent.bucket(f"host{number}", 0)
        bucket.allow([400], 0)
        spent.keep(f"host{number}", bucket, 0)
    assert len(spent._buckets) == SPENT_MAX
    spent.keep("last", Bucket(0), 10 * 60_000)
    assert len(spent._buckets) == 1


def test_a_link_rests_for_the_second_in_which_it_named_too_many_and_each_second_begins_anew() -> None:
    inflow = Inflow(Bucket(0), 0)
    inflow.told(REFERENCES_SECOND, 0, alone=False)
    assert inflow.rests_ms == 0, "as many as may be"
    inflow.told(REFERENCES_SECOND, 1000, alone=False)
    assert inflow.rests_ms == 0, "in another second"
    inflow.told(1, 1999, alone=True)
    assert inflow.rests_ms == 0, "nobody has to wait"
    inflow.told(1, 1999, alone=False)
    assert inflow.rests_ms == 2000
