"""Frames: any messages in any lanes arrive whole, however they are cut; what is no frame is refused."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd.errors import PeerError
from meshd.limits import FRAME_CLASSES, LANES, MESSAGE_SIZE_MAX, REKEY_MS, REKEY_RECORDS
from meshd.noise import CipherState
from meshd.proto.frame import RECORD_SIZES, FrameReader, FrameWriter, padded_size
from tests import wire

KEY = b"k" * 32
LAST, REKEY = 0b0100, 0b1000
ROOM = 10 * MESSAGE_SIZE_MAX


def ends(**how: int) -> tuple[FrameWriter, FrameReader]:
    return FrameWriter(CipherState(KEY), 0, **how), FrameReader(CipherState(KEY))


def record(writer: FrameWriter, room: int = ROOM, mono_ms: int = 0) -> Iterator[bytes]:
    """What the writer sends, without the lengths."""
    for frame in writer.frames(room, mono_ms):
        assert int.from_bytes(frame[:2], "big") == len(frame) - 2
        yield frame[2:]


def sealed(flags: int, size: int, content: bytes = b"", frame_size: int = 256) -> bytes:
    """The first record of a sender who writes what he likes."""
    plaintext = bytes((flags, size >> 8, size & 0xFF)) + content
    return CipherState(KEY).encrypt_with_ad(b"", plaintext.ljust(frame_size, b"\0"))


messages = st.lists(
    st.tuples(
        st.binary(max_size=40) | st.integers(0, 20_000).map(lambda size: b"m" * size),
        st.integers(0, LANES - 1),
    ),
    max_size=12,
)


@given(messages, st.lists(st.integers(1, 20_000), min_size=1, max_size=12), st.integers(1, 5))
def test_every_lane_delivers_its_messages_in_order(
    queued: list[tuple[bytes, int]], rooms: list[int], rekey_records: int
) -> None:
    writer, reader = ends(rekey_records=rekey_records)
    got: list[bytes] = []
    for number, (message, lane) in enumerate(queued):
        writer.queue(bytes((lane,)) + message, lane)
        for sent in record(writer, rooms[number % len(rooms)]):
            assert len(sent) in RECORD_SIZES
            got += [whole] if (whole := reader.read(sent)) is not None else []
    got += [whole for sent in record(writer) if (whole := reader.read(sent)) is not None]
    assert not writer.waiting()
    for lane in range(LANES):
        assert [m[1:] for m in got if m[0] == lane] == [m for m, queued_in in queued if queued_in == lane]


@pytest.mark.parametrize(
    ("content_size", "frame_size"),
    [
        (0, 256), (253, 256), (254, 256), (508, 256), (509, 1024), (1021, 1024), (1022, 1024), (2044, 1024),
        (2045, 4096), (4093, 4096), (4094, 4096), (8188, 4096), (8189, 16384), (16381, 16384), (16382, 16384),
        (MESSAGE_SIZE_MAX, 16384),
    ],
)  # fmt: skip
def test_the_class_of_a_frame(content_size: int, frame_size: int) -> None:
    assert padded_size(content_size) == frame_size


@given(st.integers(0, 70_000))
def test_padding_is_bounded(content_size: int) -> None:
    size = padded_size(content_size)
    assert size in FRAME_CLASSES
    assert size == 256 or size <= 2 * (content_size + 3)


def test_urgent_lanes_go_first_and_wait_for_one_frame_at_most() -> None:
    writer, reader = ends()
    writer.queue(b"b" * 40_000, 3)
    first = next(record(writer))
    assert reader.read(first) is None
    writer.queue(b"urgent", 0)
    writer.queue(b"own", 1)
    assert reader.read(next(record(writer))) == b"urgent"
    assert reader.read(next(record(writer))) == b"own"
    rest = [reader.read(sent) for sent in record(writer)]
    assert rest[-1] == b"b" * 40_000 and not any(rest[:-1])


def test_room_is_overrun_by_one_frame_at_most() -> None:
    writer, _ = ends()
    writer.queue(bytes(100_000), 3)
    assert len(list(writer.frames(0, 0))) == 0
    assert len(list(writer.frames(1, 0))) == 1
    assert len(list(writer.frames(16_402, 0))) == 1
    assert len(list(writer.frames(16_403, 0))) == 2
    assert writer.waiting()


def test_a_message_of_the_greatest_size_and_one_byte_more() -> None:
    writer, reader = ends()
    with pytest.raises(ValueError):
        writer.queue(bytes(MESSAGE_SIZE_MAX + 1), 0)
    writer.queue(bytes(MESSAGE_SIZE_MAX), 0)
    *parts, whole = [reader.read(sent) for sent in record(writer)]
    assert whole == bytes(MESSAGE_SIZE_MAX) and not any(parts)


def test_a_message_that_never_ends_is_refused_at_its_limit() -> None:
    writer, reader = CipherState(KEY), FrameReader(CipherState(KEY))
    part = bytes((0, 0xFF >> 2, 0xFD)) + bytes(16_381)
    fitting, rest = divmod(MESSAGE_SIZE_MAX, 16_381)
    for _ in range(fitting):
        assert reader.read(writer.encrypt_with_ad(b"", part)) is None
    exactly = bytes((0, rest >> 8, rest & 0xFF)) + bytes(16_381)
    assert reader.read(writer.encrypt_with_ad(b"", exactly)) is None
    one_more = bytes((LAST, 0, 1)) + bytes(253)
    with pytest.raises(PeerError):
        reader.read(writer.encrypt_with_ad(b"", one_more))


def test_each_lane_has_its_own_message_in_progress() -> None:
    writer, reader = CipherState(KEY), FrameReader(CipherState(KEY))

    def say(flags: int, content: bytes) -> bytes | None:
        head = bytes((flags, 0, len(content)))
        return reader.read(writer.encrypt_with_ad(b"", (head + content).ljust(256, b"\0")))

    for lane in range(LANES):
        assert say(lane, b"%d" % lane) is None
    for lane in reversed(range(LANES)):
        assert say(lane | LAST, b"!") == b"%d!" % lane
    assert say(2 | LAST, b"") == b""


def test_the_size_of_the_content_at_the_limit_and_one_past_it() -> None:
    assert FrameReader(CipherState(KEY)).read(sealed(LAST, 253, bytes(253))) == bytes(253)
    with pytest.raises(PeerError):
        FrameReader(CipherState(KEY)).read(sealed(LAST, 254, bytes(253)))
    with pytest.raises(PeerError):
        FrameReader(CipherState(KEY)).read(sealed(LAST, 0xFFFF, frame_size=16384))


@pytest.mark.parametrize("flags", [0x10, 0x20, 0x40, 0x80, 0xF0 | LAST])
def test_unknown_flags_are_refused(flags: int) -> None:
    with pytest.raises(PeerError):
        FrameReader(CipherState(KEY)).read(sealed(flags, 0))


def test_padding_is_not_looked_at() -> None:
    plaintext = bytes((LAST, 0, 1)) + b"m" + b"\xff" * 252
    assert FrameReader(CipherState(KEY)).read(CipherState(KEY).encrypt_with_ad(b"", plaintext)) == b"m"


def test_a_flipped_repeated_or_skipped_record_is_refused() -> None:
    writer, reader = ends()
    for _ in range(2):
        writer.queue(b"m", 0)
    first, second = record(writer)
    flipped = bytes((first[0] ^ 1,)) + first[1:]
    for wrong in (flipped, second):
        with pytest.raises(PeerError):
            reader.read(wrong)
    assert reader.read(first) == b"m"
    with pytest.raises(PeerError):
        reader.read(first)
    assert reader.read(second) == b"m"


def test_a_key_serves_for_so_many_records_and_not_one_more() -> None:
    cipher, reader = CipherState(KEY), FrameReader(CipherState(KEY))
    plain, rekeying = bytes((0, 0, 0)).ljust(256, b"\0"), bytes((REKEY, 0, 0)).ljust(256, b"\0")
    reader._records = REKEY_RECORDS - 2
    reader.read(cipher.encrypt_with_ad(b"", plain))
    reader.read(cipher.encrypt_with_ad(b"", rekeying))
    cipher.rekey()
    reader.read(cipher.encrypt_with_ad(b"", plain))
    reader._records = REKEY_RECORDS - 1
    with pytest.raises(PeerError):
        reader.read(cipher.encrypt_with_ad(b"", plain))


def test_the_sender_rekeys_by_records() -> None:
    writer, reader = ends(rekey_records=3)
    keys = []
    for _ in range(7):
        writer.queue(b"m", 0)
        keys.append(writer._cipher.k)
        assert [reader.read(sent) for sent in record(writer)] == [b"m"]
    assert [keys.index(key) for key in keys] == [0, 0, 0, 3, 3, 3, 6]


def test_the_sender_rekeys_by_time() -> None:
    writer, reader = ends()
    keys = []
    for mono_ms in (
        0,
        REKEY_MS - 1,
        REKEY_MS,
        REKEY_MS + 1,
        2 * REKEY_MS - 1,
        2 * REKEY_MS,
        2 * REKEY_MS + 1,
    ):
        writer.queue(b"m", 0)
        keys.append(writer._cipher.k)
        assert [reader.read(sent) for sent in record(writer, mono_ms=mono_ms)] == [b"m"]
    assert [keys.index(key) for key in keys] == [0, 0, 0, 3, 3, 3, 6]


def test_a_record_shows_nothing_of_its_message() -> None:
    writer, _ = ends()
    writer.queue(b"a text that must not be seen", 0)
    (sent,) = record(writer)
    assert b"text" not in sent and len(sent) == 256 + 16
    assert wire.frames(b"\0\2ab\0\1c") == [b"ab", b"c"]
