"""How much one link may give unasked, in both directions."""

import pytest

from meshd import codec
from meshd.errors import PeerError
from meshd.limits import (
    CONTACT_FACTOR,
    OVER_RATE_MS,
    PUSH_BURST,
    PUSH_MINUTE,
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
    left = PUSH_SIZE_MINUTE % 30_000 + PUSH_SIZE_MINUTE // 2
    assert bucket.allow([30_000] * 300, 90_000) == left // 30_000


def test_a_bucket_gives_its_last_byte_and_is_empty_without_any() -> None:
    bucket = Bucket(0)
    assert bucket.allow([PUSH_SIZE_MINUTE - 1], 0) == 1 and not bucket.is_empty(0)
    assert bucket.allow([1], 0) == 1 and bucket.is_empty(0)


@pytest.mark.parametrize("size", [1, PUSH_SIZE_MINUTE // 2])
def test_a_bucket_is_full_when_it_has_all_bytes_and_all_envelopes_again(size: int) -> None:
    bucket = Bucket(0)
    bucket.allow([size], 0)
    full_ms = max(60_000 // PUSH_MINUTE, 60_000 * size // PUSH_SIZE_MINUTE)
    assert not bucket.is_full(full_ms - 1) and bucket.is_full(full_ms)


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


def test_what_was_wanted_or_shown_to_lack_and_did_not_come_in_time_is_rated() -> None:
    wanted, lacking = inflow(), inflow()
    wanted.want(10, 0)
    assert len(admitted(wanted, 10_000, ROUND_MS, pushed=0)) == PUSH_BURST * RECEIVED_FACTOR
    lacking.expect(0)
    lacking.brought(ROUND_MS)
    assert len(admitted(lacking, 10_000, ROUND_MS, pushed=0)) == PUSH_BURST * RECEIVED_FACTOR


def test_who_rests_for_its_rate_rests_no_shorter_for_what_it_names() -> None:
    link = inflow()
    admitted(link, PUSH_BURST * RECEIVED_FACTOR + 1, 900, pushed=1)
    link.told(REFERENCES_SECOND + 1, 900, alone=False)
    assert link.rests_ms == 900 + OVER_RATE_MS


def test_what_is_over_the_rate_is_not_even_parsed_and_the_link_rests() -> None:
    link = inflow()
    admitted(link, PUSH_BURST * RECEIVED_FACTOR, 0, pushed=1)
    assert link.rests_ms == 0
    assert link.admit(1, b"\xff\xff cut", 0) == []
    assert link.rests_ms == OVER_RATE_MS
    with pytest.raises(PeerError):
        link.admit(1, b"\xff\xff cut", 60_000)


def shared(bucket: SharedBucket, source: int, parts: int, mono_ms: int) -> int:
    """How many of many short ones of this source pass."""
    return sum(bucket.take(source, parts, 400, mono_ms) for _ in range(1_000))


def test_each_link_has_its_part_of_what_may_be_pushed_over_another_and_own_posts_may_take_all() -> None:
    bucket = SharedBucket(0)
    assert [shared(bucket, source, 15, 0) for source in (1, 2)] == [PUSH_BURST // 15] * 2
    assert not bucket.has_for(1, 15, 0) and bucket.has_for(3, 15, 0)
    assert shared(bucket, OWN, 15, 0) == PUSH_BURST - 2 * (PUSH_BURST // 15)
    assert not bucket.has_for(3, 15, 0), "its part is full, and the bucket empty"
    assert shared(bucket, 1, 15, 60_000) == PUSH_MINUTE // 15


def test_a_part_is_as_large_as_the_links_are_few_now() -> None:
    bucket = SharedBucket(0)
    assert shared(bucket, 1, 10, 0) == PUSH_BURST // 10
    assert shared(bucket, 2, 2, 0) == PUSH_BURST // 2


def test_long_ones_use_up_their_own_part_too() -> None:
    bucket = SharedBucket(0)
    assert sum(bucket.take(1, 10, 20_000, 0) for _ in range(1_000)) == PUSH_SIZE_MINUTE // 10 // 20_000


def test_a_contact_behind_the_link_widens_every_part_of_it() -> None:
    before, after = SharedBucket(0), SharedBucket(0)
    shared(before, 1, 10, 0)
    for bucket in (before, after):
        bucket.widen(CONTACT_FACTOR)
    assert shared(after, 1, 10, 0) == CONTACT_FACTOR * PUSH_BURST // 10
    assert shared(before, 1, 10, 60_000) == CONTACT_FACTOR * PUSH_MINUTE // 10


def test_parts_that_are_full_again_are_forgotten_and_of_the_others_so_many_kept() -> None:
    bucket = SharedBucket(0)
    bucket.widen(100)
    for source in range(1, SPENT_MAX + 10):
        bucket.take(source, 1, 400, 0)
    assert len(bucket._parts) == SPENT_MAX + 1
    bucket.take(OWN, 1, 400, 10 * 60_000)
    bucket.take(SPENT_MAX + 10, 1, 400, 10 * 60_000)
    assert len(bucket._parts) == 1


def test_a_link_goes_on_as_one_that_ended_at_the_same_host_with_its_bucket() -> None:
    spent = Spent()
    source, kept = spent.renewed("oak", 1, 0)
    assert source == 1
    assert len(admitted(Inflow(kept, 0), 1_000, 0, pushed=1)) == PUSH_BURST * RECEIVED_FACTOR
    spent.keep("oak", source, kept, 0)
    other, fresh = spent.renewed("elm", 3, 0)
    assert other == 3 and len(admitted(Inflow(fresh, 0), 1, 0, pushed=1)) == 1, "another host"
    assert spent.renewed("oak", 4, 60_000) == (1, kept)
    assert len(admitted(Inflow(kept, 0), 1_000, 60_000, pushed=1)) == PUSH_MINUTE
    third, fresh = spent.renewed("oak", 5, 60_000)
    assert third == 5, "another laptop there"
    assert len(admitted(Inflow(fresh, 60_000), 1_000, 60_000, pushed=1)) == PUSH_BURST * RECEIVED_FACTOR


def test_of_links_that_ended_so_many_are_kept_and_those_that_are_full_again_are_not() -> None:
    spent = Spent()
    for number in range(SPENT_MAX + 10):
        source, bucket = spent.renewed(f"host{number}", number, 0)
        bucket.allow([400], 0)
        spent.keep(f"host{number}", source, bucket, 0)
    assert len(spent._buckets) == SPENT_MAX
    spent.keep("last", SPENT_MAX, Bucket(0), 10 * 60_000)
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
