"""Sealed envelopes: against the vectors, by the code and by a second reader; and what Hypothesis makes of them."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshd import daykeys, envelope, limits
from meshd.envelope import Sealed
from meshd.errors import PeerError
from scripts import vectors
from tests import independent as page
from tests import independent_sealed as other
from tests.wire import HOUR
from tests.wire_vectors import b, load, named

VECTORS = load("sealed.json")
KEY, NONCE = b"\7" * 32, b"\5" * 24


def parsed(raw: bytes) -> Sealed:
    found = envelope.parse(raw)
    assert isinstance(found, Sealed)
    return found


def opened(raw: bytes, key: bytes = KEY) -> bytes | None:
    return envelope.unseal(parsed(raw), daykeys.seal_key(key))


# --- both readers and the vectors ---


def test_day_keys():
    for vector in VECTORS["day_keys"]:
        key = daykeys.advance(b(vector["key"]), vector["days"])
        assert key == other.moved_on(b(vector["key"]), vector["days"]) == b(vector["moved_on"])
        assert daykeys.seal_key(key) == other.seal_key(key) == b(vector["seal_key"])
        nonce = b(vector["nonce"])
        assert daykeys.hint_key(key) == b(vector["hint_key"])
        assert daykeys.hint(daykeys.hint_key(key), nonce) == other.hint(key, nonce) == b(vector["hint"])


@pytest.mark.parametrize("vector", named(VECTORS["opened"]))
def test_what_the_key_opens(vector):
    key, raw, content = b(vector["day_key"]), b(vector["envelope"]), b(vector["content"])
    hour, nonce = vector["expiry_hour"], b(vector["nonce"])
    assert envelope.seal(key, hour, nonce, content) == other.seal(key, hour, nonce, content) == raw
    assert opened(raw, key) == content
    found = other.sealed(raw, hour * 3_600_000 - 1)
    assert other.opened(found, key) == content
    assert found.key == parsed(raw).key == b(vector["key"])
    assert found.key[4:24] == b(vector["reference"]) and found.key[8:] == b(vector["id"])


@pytest.fixture(scope="module")
def carry(tmp_path_factory):
    carry = vectors.vectors_posts.empty_carry(str(tmp_path_factory.mktemp("carry")))
    yield carry
    carry.close()


@pytest.mark.parametrize("vector", named(VECTORS["judged"]))
def test_what_a_carrier_does(vector, carry):
    raw, wall_ms = b(vector["envelope"]), vector["wall_ms"]
    assert vectors.vectors_posts.verdict(carry, raw, wall_ms) == vector["does"]
    try:
        read = other.sealed if page.envelope_type(raw) else page.envelope
        assert read(raw, wall_ms)
        does = "new"
    except page.Drop:
        does = "drop"
    except page.Close:
        does = "close"
    assert does == vector["does"]


@pytest.mark.parametrize("vector", named(VECTORS["unopened"]))
def test_what_the_key_does_not_open(vector):
    raw, key = b(vector["envelope"]), b(vector["day_key"])
    assert opened(raw, key) is None
    with pytest.raises(other.Ignore):
        other.opened(other.sealed(raw, (parsed(raw).expiry_hour - 1) * 3_600_000), key)


@pytest.mark.parametrize("vector", named(VECTORS["inside"]))
def test_what_is_inside(vector):
    content, does = b(vector["content"]), vector["does"]
    assert vectors.vectors_sealed.is_right(content) == (does == "show")
    try:
        other.inside(content, b(VECTORS["channel"]), b(VECTORS["epoch"]), VECTORS["expiry_hour"])
    except other.Ignore:
        assert does == "ignore"
    else:
        assert does == "show"


# --- day keys ---


@given(st.integers(0, 30), st.integers(0, 30))
def test_a_key_moves_on_by_so_many_days_in_one_step_or_in_two(first, second):
    moved = daykeys.advance(daykeys.advance(KEY, first), second)
    assert moved == daykeys.advance(KEY, first + second)


def test_a_key_moves_neither_back_nor_absurdly_far():
    daykeys.advance(KEY, limits.KEY_DAYS_MAX)
    for days in (-1, limits.KEY_DAYS_MAX + 1):
        with pytest.raises(ValueError, match="moved on"):
            daykeys.advance(KEY, days)


def test_a_key_day_begins_with_an_hour_that_is_a_multiple_of_24():
    assert [daykeys.key_day(hour) for hour in (0, 23, 24, 47, 48)] == [0, 0, 1, 1, 2]


# --- envelopes ---


@given(st.binary(max_size=3000), st.integers(0, 2**32 - 1), st.binary(min_size=24, max_size=24))
def test_what_is_sealed_opens_and_has_one_of_four_lengths(content, hour, nonce):
    raw = envelope.seal(KEY, hour, nonce, content)
    assert opened(raw) == content
    assert len(parsed(raw).ciphertext) - limits.TAG_SIZE in limits.PADDING_CLASSES
    assert parsed(raw).expiry_hour == hour


def test_each_class_holds_two_bytes_less_than_its_size_and_the_largest_no_more():
    for size, following in zip(limits.PADDING_CLASSES, limits.PADDING_CLASSES[1:], strict=False):
        for length, expected in ((size - 2, size), (size - 1, following)):
            raw = envelope.seal(KEY, HOUR, NONCE, bytes(length))
            assert len(parsed(raw).ciphertext) == expected + limits.TAG_SIZE
    largest = envelope.seal(KEY, HOUR, NONCE, bytes(limits.PADDING_CLASSES[-1] - 2))
    assert len(largest) <= limits.ENVELOPE_SIZE_MAX
    with pytest.raises(ValueError, match="no envelope"):
        envelope.seal(KEY, HOUR, NONCE, bytes(limits.PADDING_CLASSES[-1] - 1))


def test_another_key_opens_nothing_and_has_other_hints():
    raw = envelope.seal(KEY, HOUR, NONCE, b"secret")
    for strange in (daykeys.advance(KEY, 1), bytes(32)):
        assert opened(raw, strange) is None
        assert daykeys.hint(daykeys.hint_key(strange), NONCE) != parsed(raw).hint


@settings(max_examples=50)
@given(st.lists(st.binary(max_size=600), min_size=2, max_size=8), st.integers(0, 2**64))
def test_no_eight_bytes_stand_in_two_envelopes_header_aside(contents, seed):
    """What stands in all of them, version, type, hour and lengths, is before the nonce or is the head of a slot."""
    rng, seen = random.Random(seed), set()
    for content in contents * 2:
        found = parsed(envelope.seal(KEY, HOUR, rng.randbytes(24), content))
        for noise in (found.nonce, found.hint, found.ciphertext):
            own = {noise[start : start + 8] for start in range(len(noise) - 7)}
            assert not own & seen
            seen |= own


@given(st.binary(max_size=80))
def test_junk_as_content_is_no_post_and_no_accident(content):
    kind = envelope.content_kind(content)
    assert kind is None or 0 <= kind <= 127
    with pytest.raises(PeerError):
        envelope.read_post(content, channel=bytes(16), epoch=bytes(32), expiry_hour=HOUR)
