"""Posts: what is refused on every node, each limit and one past it, and what signs them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd import codec, crypto, limits, post
from meshd.errors import CallerError, PeerError
from meshd.ids import post_id
from tests.wire import HOUR, WALL_MS, Author

OAK = Author()
ID = b"\1" * 32
OTHER = b"\2" * 32


def accepted(**changed: Any) -> post.Post:
    made = OAK.post(**changed)
    assert post.parse(post.encode(made)) == made
    return made


def refused(**changed: Any) -> None:
    with pytest.raises(PeerError):
        post.parse(post.encode(OAK.post(**changed)))


def test_slots_stand_in_the_order_in_which_they_are_signed() -> None:
    made = OAK.post()
    assert post.encode(made) == codec.pack(
        1, made.channel, b"", OAK.key, 7, 1, b"", WALL_MS << 16, 1, HOUR + 24, made.body
    )


def test_a_slot_missing_or_one_too_many() -> None:
    slots: list[Any] = list(OAK.post())
    for wrong in (slots[:-1], [*slots, 0]):
        with pytest.raises(PeerError):
            post.parse(codec.pack(*wrong))


def test_the_version_inside_an_envelope_of_ours_is_ours() -> None:
    refused(version=0)
    refused(version=2)


@pytest.mark.parametrize("size", [0, 15, 17, 32])
def test_a_channel_id_has_16_bytes(size: int) -> None:
    refused(channel=bytes(size))


@pytest.mark.parametrize("size", [0, 31, 33])
def test_an_author_has_32_bytes(size: int) -> None:
    refused(author=bytes(size))


@pytest.mark.parametrize("size", [1, 16, 32])
def test_an_epoch_is_empty_in_a_public_channel(size: int) -> None:
    refused(epoch=bytes(size))


def test_a_sealed_post_names_an_epoch_of_32_bytes_or_none() -> None:
    for epoch in (b"", ID):
        made = OAK.post(epoch=epoch)
        assert post.parse(post.encode(made), sealed=True) == made
    for epoch in (ID[1:], ID + b"\0"):
        with pytest.raises(PeerError):
            post.parse(post.encode(OAK.post(epoch=epoch)), sealed=True)


@pytest.mark.parametrize("long", [post.KIND_EPOCH, post.KIND_PLAN, post.KIND_PLAN_ACT])
def test_some_kinds_are_longer_and_kept_longer_than_others_and_only_when_sealed(long: int) -> None:
    on_the_hour = HOUR * post.HOUR_MS << 16
    longest = {"hlc": on_the_hour, "keep_until": HOUR + limits.LONG_KEEP_HOURS_MAX}
    largest = {"body": bytes(limits.LONG_BODY_SIZE_MAX)}
    post.parse(post.encode(OAK.post(kind=long, **longest, **largest)), sealed=True)
    for slots in (longest, largest):
        refused(kind=long, **slots)
        for kind in (post.KIND_TEXT, post.KIND_PREKEYS, post.KIND_STATEMENT, 77):
            with pytest.raises(PeerError):
                post.parse(post.encode(OAK.post(kind=kind, **slots)), sealed=True)
    longest["keep_until"] += 1
    largest["body"] += b"\0"
    for slots in (longest, largest):
        with pytest.raises(PeerError):
            post.parse(post.encode(OAK.post(kind=long, **slots)), sealed=True)


def test_incarnations_are_63_bits() -> None:
    accepted(incarnation=0)
    accepted(incarnation=limits.INCARNATION_MAX)
    refused(incarnation=limits.INCARNATION_MAX + 1)


def test_sequences_count_from_1_to_the_limit() -> None:
    accepted(sequence=1)
    refused(sequence=0)
    accepted(sequence=limits.SEQUENCE_MAX, parents=ID)
    refused(sequence=limits.SEQUENCE_MAX + 1, parents=ID)


def test_a_second_post_names_the_first() -> None:
    accepted(sequence=2, parents=ID)
    refused(sequence=2, parents=b"")


def test_parents_are_whole_ids_at_most_eight_none_twice() -> None:
    parents = [bytes((number,)) * 32 for number in range(limits.PARENTS_MAX + 1)]
    made = accepted(parents=b"".join(parents[:-1]))
    assert made.parent_ids() == parents[:-1]
    assert OAK.post().parent_ids() == []
    refused(parents=b"".join(parents))
    refused(parents=ID + OTHER + ID)
    refused(parents=ID[:-1])
    refused(parents=ID + b"\0")


def test_kinds_are_1_to_255() -> None:
    refused(kind=0)
    accepted(kind=1)
    accepted(kind=255)
    refused(kind=256)


def test_a_body_of_16_kib() -> None:
    accepted(body=b"")
    accepted(body=bytes(limits.BODY_SIZE_MAX))
    refused(body=bytes(limits.BODY_SIZE_MAX + 1))


def test_a_post_with_every_slot_at_its_largest_fits() -> None:
    top = post.HOUR_MS * (HOUR + limits.KEEP_HOURS_MAX)
    made = accepted(
        incarnation=limits.INCARNATION_MAX,
        sequence=limits.SEQUENCE_MAX,
        parents=bytes(range(256)),
        hlc=(top - limits.KEEP_HOURS_MAX * post.HOUR_MS) << 16,
        kind=255,
        keep_until=HOUR + limits.KEEP_HOURS_MAX,
        body=bytes(limits.BODY_SIZE_MAX),
    )
    assert len(post.encode(made)) <= post.POST_SIZE_MAX
    with pytest.raises(PeerError):
        post.parse(bytes(post.POST_SIZE_MAX + 1))


def test_keep_until_is_after_the_posts_own_time() -> None:
    on_the_hour = HOUR * post.HOUR_MS
    accepted(hlc=(on_the_hour << 16) - 1, keep_until=HOUR)
    refused(hlc=on_the_hour << 16, keep_until=HOUR)
    accepted(hlc=on_the_hour << 16, keep_until=HOUR + 1)
    refused(hlc=WALL_MS << 16, keep_until=0)


def test_keep_until_is_at_most_a_week_and_an_hour_after_it() -> None:
    on_the_hour = HOUR * post.HOUR_MS
    accepted(hlc=on_the_hour << 16, keep_until=HOUR + limits.KEEP_HOURS_MAX)
    refused(hlc=(on_the_hour << 16) - (1 << 16), keep_until=HOUR + limits.KEEP_HOURS_MAX)
    refused(keep_until=2**63 - 1)


def test_the_counter_of_a_stamp_is_no_time() -> None:
    on_the_hour = HOUR * post.HOUR_MS
    accepted(hlc=on_the_hour << 16 | 0xFFFF, keep_until=HOUR + limits.KEEP_HOURS_MAX)


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))
def test_any_stamp_and_any_hour_are_judged_not_stumbled_over(hlc: int, keep_until: int) -> None:
    signed = codec.pack(*OAK.post(hlc=hlc, keep_until=keep_until))
    fits = hlc >> 16 < keep_until * post.HOUR_MS <= (hlc >> 16) + limits.KEEP_HOURS_MAX * post.HOUR_MS
    if fits:
        assert post.parse(signed).time_ms == hlc >> 16
    else:
        with pytest.raises(PeerError):
            post.parse(signed)


def test_a_signature_is_over_a_label_and_the_id() -> None:
    made = OAK.post()
    identity = post_id(post.encode(made))
    signature = post.sign(OAK.secret, identity)
    assert signature == crypto.sign(OAK.secret, b"\x16meshd/1 post signature" + identity)
    assert crypto.verify(*post.check(made, identity, signature))
    assert not crypto.verify(*post.check(made, OTHER, signature))
    assert not crypto.verify(*post.check(made._replace(author=Author(2).key), identity, signature))


@given(st.text(max_size=20), st.sampled_from([b"", ID]), st.text(max_size=200))
def test_a_text_comes_back(name: str, reply_to: bytes, text: str) -> None:
    made = post.Text(name, reply_to, text)
    if len(name.encode()) <= limits.NAME_SIZE_MAX:
        assert post.parse_text(post.encode_text(made)) == made


def test_a_text_may_fill_the_body() -> None:
    room = limits.BODY_SIZE_MAX - len(post.encode_text(post.Text("", b"", "x" * 1000))) + 1000
    fitting = post.Text("", b"", "x" * room)
    assert len(post.encode_text(fitting)) == limits.BODY_SIZE_MAX
    assert post.parse_text(post.encode_text(fitting)) == fitting
    with pytest.raises(CallerError):
        post.encode_text(post.Text("", b"", "x" * (room + 1)))


def test_a_name_of_64_bytes() -> None:
    longest = "é" * (limits.NAME_SIZE_MAX // 2)
    assert post.parse_text(post.encode_text(post.Text(longest, b"", "")))
    with pytest.raises(CallerError):
        post.encode_text(post.Text(longest + "x", b"", ""))
    assert post.parse_text(codec.pack(longest + "x", b"", "")) is None


@pytest.mark.parametrize(
    "body",
    [
        b"", b"plain", codec.pack("", b""), codec.pack("", b"", b""), codec.pack("", "", ""),
        codec.pack("", ID[:-1], ""), codec.pack("", ID + b"\0", ""), codec.pack("", b"", "") + b"\0",
        b"\x93\xa0\xc4\0\xa1\xff", b"\x93\xd9\0\xc4\0\xa0",
    ],
)  # fmt: skip
def test_a_body_that_is_no_text_is_none(body: bytes) -> None:
    assert post.parse_text(body) is None
