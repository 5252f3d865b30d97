"""Messages: one array each, its kind first; unknown kinds are skipped, impossible slots are the peer's fault."""

from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd import codec
from meshd.errors import PeerError
from meshd.ids import REFERENCE_SIZE
from meshd.limits import FRAME_CLASSES, FRAME_HEAD_SIZE, MESSAGE_SIZE_MAX, REFERENCES_MAX
from meshd.proto import message as msg
from tests.wire import hello

number = st.integers(0, 2**63 - 1)
FOR_THE_NODE = st.one_of(
    st.builds(msg.Proof, st.binary(min_size=32, max_size=32), st.binary(min_size=64, max_size=64)),
    st.builds(msg.Tags, st.binary(min_size=16, max_size=16).map(lambda tag: tag * msg.TAG_COUNT)),
    st.builds(msg.Bye, number),
    st.builds(msg.Reconcile, st.integers(0, 1), number, number, number, st.binary(max_size=300)),
    st.builds(msg.Have, st.integers(0, 1), st.integers(1, 20).map(lambda count: bytes(20 * count))),
    st.builds(msg.Want, st.integers(1, 20).map(lambda count: bytes(16 * count))),
    st.builds(msg.Give, st.integers(0, 1), st.binary(max_size=300)),
    st.builds(msg.Push, st.integers(0, 1)),
    st.builds(msg.Gone, st.integers(1, 20).map(lambda count: bytes(16 * count))),
)
FOR_THE_SESSION = st.one_of(
    st.builds(
        hello,
        versions=st.binary(max_size=31).map(lambda rest: b"\1" + rest),
        features=number,
        wall_hour=number,
        key_count=number,
        fingerprint=st.binary(min_size=16, max_size=16),
    ),
    st.builds(msg.Ping, number),
    st.builds(msg.Pong, number),
)


def refused(raw: bytes) -> None:
    with pytest.raises(PeerError):
        msg.decode(raw)


@given(FOR_THE_NODE | FOR_THE_SESSION)
def test_round_trip(message: msg.Message) -> None:
    raw = msg.encode(message)
    assert msg.decode(raw) == message
    assert type(msg.decode(raw)) is type(message)
    refused(raw + b"\0")
    refused(raw[:-1])


@given(st.binary(max_size=60))
def test_junk_is_refused_or_skipped_or_canonical(raw: bytes) -> None:
    try:
        message = msg.decode(raw)
    except PeerError:
        return
    if message is not None and not (isinstance(message, msg.Hello) and 1 not in message.versions):
        assert msg.encode(message) == raw


def test_kinds_on_the_wire() -> None:
    heads: list[msg.Message] = [
        hello(), msg.Tags(bytes(1024)), msg.Ping(0), msg.Pong(0), msg.Bye(0), msg.Reconcile(0, 0, 0, 0, b""),
        msg.Have(0, bytes(20)), msg.Want(bytes(16)), msg.Give(0, b""), msg.Gone(bytes(16)),
        msg.Push(0), msg.Keyed(0, 0, bytes(20), b"\1" * 20, b""), msg.Proof(bytes(32), bytes(64)),
    ]  # fmt: skip
    assert [msg.encode(message)[1] for message in heads] == list(range(13))
    assert [msg.lane(message) for message in heads] == [0, 0, 0, 0, 0, 3, 0, 0, 3, 0, 0, 3, 0]
    assert msg.lane(msg.Give(1, b"")) == 2


def test_what_is_said_in_the_control_lane_fits_one_frame() -> None:
    said = [bytes(REFERENCE_SIZE)] * (REFERENCES_MAX + 1)
    first, second = msg.pieces(said)
    assert first + second == b"".join(said)
    assert len(msg.encode(msg.Have(2, first))) <= FRAME_CLASSES[-1] - FRAME_HEAD_SIZE
    assert list(msg.pieces([])) == []


@pytest.mark.parametrize("kind", [13, 127])
def test_unknown_kinds_are_skipped_whatever_follows(kind: int) -> None:
    assert msg.decode(codec.pack(kind)) is None
    assert msg.decode(codec.pack(kind, b"x", 1)) is None
    assert msg.decode(bytes((0x92, kind)) + b"\xc1 junk") is None


@pytest.mark.parametrize(
    "raw", [b"", b"\x91", b"\x90", b"\x80\0", b"\xc4\0", b"\0", codec.pack(128), b"\x91\xcc\2"]
)
def test_what_is_no_message(raw: bytes) -> None:
    refused(raw)


def test_a_known_kind_with_other_slots() -> None:
    for raw in (
        codec.pack(2),
        codec.pack(2, 1, 1),
        codec.pack(2, b"1"),
        codec.pack(2, "1"),
        codec.pack(2, 2**63),
    ):
        refused(raw)


@pytest.mark.parametrize("answer", [2, 255])
def test_a_question_is_0_and_an_answer_is_1(answer: int) -> None:
    refused(msg.encode(msg.Reconcile(answer, 0, 0, 0, b"")))
    refused(msg.encode(msg.Give(answer, b"")))
    refused(msg.encode(msg.Have(answer + 1, bytes(20))))  # 2 is late
    refused(msg.encode(msg.Push(answer)))


@pytest.mark.parametrize(("make", "size"), [(partial(msg.Have, 1), 20), (msg.Want, 16), (msg.Gone, 16)])
def test_lists_are_whole_elements_from_one_to_the_limit(
    make: Callable[[bytes], msg.Message], size: int
) -> None:
    for fine in (size, size * REFERENCES_MAX):
        assert msg.decode(msg.encode(make(bytes(fine)))) == make(bytes(fine))
    for wrong in (0, size - 1, size + 1, size * (REFERENCES_MAX + 1)):
        refused(msg.encode(make(bytes(wrong))))


@pytest.mark.parametrize("size", [0, 1008, 1023, 1025, 1040])
def test_tags_are_64(size: int) -> None:
    refused(msg.encode(msg.Tags(bytes(size))))


@pytest.mark.parametrize("size", [0, 15, 17])
def test_a_fingerprint_has_16_bytes(size: int) -> None:
    refused(msg.encode(hello(fingerprint=bytes(size))))


def test_a_message_of_the_greatest_size_and_one_byte_more() -> None:
    room = MESSAGE_SIZE_MAX - len(msg.encode(msg.Give(0, bytes(70_000)))) + 70_000
    longest = msg.Give(0, bytes(room))
    assert len(msg.encode(longest)) == MESSAGE_SIZE_MAX
    assert msg.decode(msg.encode(longest)) == longest
    refused(msg.encode(msg.Give(0, bytes(room + 1))))


@pytest.mark.parametrize("versions", [b"\2", b"\0", b"\2\3\4", bytes(range(2, 34))])
def test_a_hello_without_our_version_tells_its_versions_alone(versions: bytes) -> None:
    later = codec.pack(0, versions, "slots", b"of another", 5)
    assert msg.decode(later) == msg.Hello(versions, 0, 0, 0, 0, 0, 0, b"")
    assert msg.decode(bytes((0x92, 0, 0xC4, len(versions))) + versions + b"\xc1") is not None


def test_a_hello_with_our_version_among_others_has_our_slots() -> None:
    both = hello(versions=b"\3\1\2")
    assert msg.decode(msg.encode(both)) == both
    refused(codec.pack(0, b"\1\2", "slots", b"of another", 5))


@pytest.mark.parametrize(
    "raw",
    [
        codec.pack(0, b""),
        codec.pack(0, bytes(33)),
        codec.pack(0, "\2"),
        codec.pack(0, 2),
        codec.pack(0),
        b"\x92\0\xc4\2\2",
    ],
)
def test_a_hello_without_versions(raw: bytes) -> None:
    refused(raw)
