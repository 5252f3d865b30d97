"""Public envelopes: a post and its signature, nothing more."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd import codec, crypto, envelope, limits, post
from meshd.errors import PeerError
from meshd.ids import envelope_key, post_id
from tests import wire
from tests.wire import HOUR, Author

OAK = Author()
SIGNED = post.encode(OAK.post())
SIGNATURE = post.sign(OAK.secret, post_id(SIGNED))
RAW = envelope.seal_public(SIGNED, SIGNATURE)


def refused(raw: bytes) -> None:
    with pytest.raises(PeerError):
        envelope.parse(raw)


def parse(raw: bytes) -> envelope.Envelope:
    parsed = envelope.parse(raw)
    assert parsed is not None
    return parsed


def test_an_envelope_is_version_type_post_signature() -> None:
    assert codec.pack(1, 0, SIGNED, SIGNATURE) == RAW
    parsed = parse(RAW)
    assert parsed.raw == RAW
    assert parsed.post == OAK.post()
    assert parsed.id == post_id(SIGNED)
    assert parsed.expiry_hour == HOUR + 24
    assert parsed.key == envelope_key(HOUR + 24, post_id(SIGNED))
    assert crypto.verify(*envelope.check(parsed))


def test_a_second_signature_changes_no_id() -> None:
    assert parse(envelope.seal_public(SIGNED, bytes(64))).key == parse(RAW).key


def test_a_signature_of_somebody_else_or_over_something_else_does_not_verify() -> None:
    other = Author(2)
    assert not crypto.verify(*envelope.check(parse(envelope.seal_public(SIGNED, bytes(64)))))
    assert not crypto.verify(
        *envelope.check(parse(envelope.seal_public(SIGNED, post.sign(other.secret, post_id(SIGNED)))))
    )
    assert not crypto.verify(
        *envelope.check(parse(envelope.seal_public(post.encode(OAK.post(kind=2)), SIGNATURE)))
    )


@pytest.mark.parametrize("size", [0, 63, 65])
def test_a_signature_has_64_bytes(size: int) -> None:
    refused(envelope.seal_public(SIGNED, bytes(size)))


@given(st.integers(0, 127), st.integers(0, 127), st.binary(max_size=60))
def test_what_a_later_version_may_say_is_refused_in_silence(version: int, kind: int, rest: bytes) -> None:
    raw = bytes((0x94, version, kind)) + rest
    if version != 1 or kind > 1:
        assert envelope.parse(raw) is None
    else:
        refused(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"\x94", b"\x94\1", b"\x84\1\0", b"\xc4\1\0", codec.pack(SIGNED, SIGNATURE), codec.pack(1, SIGNED),
        codec.pack(128, 0, SIGNED, SIGNATURE), codec.pack(1, 128, SIGNED, SIGNATURE),
        b"\xdc\0\4" + RAW[1:], b"\xdd\0\0\0\4" + RAW[1:], RAW + b"\0", RAW[:-1], RAW + RAW,
        codec.pack(1, 0, SIGNED), codec.pack(1, 0, SIGNED, SIGNATURE, 0),
        wire.array(wire.item(1, 1), wire.item(0), wire.item(SIGNED), wire.item(SIGNATURE)),
        wire.array(wire.item(1), wire.item(0), wire.item(SIGNED, 4), wire.item(SIGNATURE)),
        wire.array(wire.item(1), wire.item(0), wire.item(SIGNED), wire.item(SIGNATURE, 2)),
    ],
)  # fmt: skip
def test_what_is_malformed_under_our_version_is_the_peers_fault(raw: bytes) -> None:
    refused(raw)


def test_the_size_limit_holds_for_every_version() -> None:
    longest = b"\x94\2\0".ljust(limits.ENVELOPE_SIZE_MAX, b"\0")
    assert envelope.parse(longest) is None
    refused(longest + b"\0")


def test_the_largest_post_fits() -> None:
    raw = OAK.envelope(body=bytes(limits.BODY_SIZE_MAX), parents=bytes(range(256)))
    assert len(raw) <= limits.ENVELOPE_SIZE_MAX
    assert crypto.verify(*envelope.check(parse(raw)))


@given(st.binary(max_size=200))
def test_junk_is_refused_or_of_another_version(raw: bytes) -> None:
    with contextlib.suppress(PeerError):
        assert envelope.parse(raw) is None
