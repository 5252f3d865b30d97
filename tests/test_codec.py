"""The strict encoding: what it accepts has one form, and all else is the peer's fault."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd import codec
from meshd.errors import PeerError
from tests import wire

SIZE_MAX = 1000
slots = st.lists(
    st.integers(0, 2**63 - 1) | st.binary(max_size=300) | st.text(max_size=100), min_size=1, max_size=15
)


def refused(raw: bytes, *schema: type, size_max: int = SIZE_MAX) -> None:
    with pytest.raises(PeerError):
        codec.unpack(raw, schema, size_max)


@given(slots)
def test_round_trip_in_the_form_of_the_specification(values: list[int | bytes | str]) -> None:
    raw = codec.pack(*values)
    assert raw == wire.array(*map(wire.item, values))
    assert codec.unpack(raw, tuple(map(type, values)), len(raw)) == tuple(values)


@given(slots, st.data())
def test_the_same_values_in_a_longer_form_are_refused(
    values: list[int | bytes | str], data: st.DataObject
) -> None:
    packed = list(map(wire.item, values))
    which = data.draw(st.integers(0, len(values) - 1))
    value = values[which]
    size = value if isinstance(value, int) else len(value.encode() if isinstance(value, str) else value)
    shortest = len(wire.item(value)) - (0 if isinstance(value, int) else size)
    widths = [w for w in (1, 2, 4, 8 if isinstance(value, int) else 4) if w + 1 > shortest]
    if widths:
        packed[which] = wire.item(value, data.draw(st.sampled_from(widths)))
        refused(wire.array(*packed), *map(type, values), size_max=10**6)
    refused(wire.array(*map(wire.item, values), width=2), *map(type, values), size_max=10**6)
    refused(wire.array(*map(wire.item, values), width=4), *map(type, values), size_max=10**6)


@given(st.binary(max_size=40))
def test_junk_is_refused_or_canonical(raw: bytes) -> None:
    for schema in ((int,), (bytes,), (str,), (int, bytes), (int, int, int)):
        try:
            values = codec.unpack(raw, schema, SIZE_MAX)
        except PeerError:
            continue
        assert raw == wire.array(*map(wire.item, values))


def test_the_size_is_looked_at_before_the_content() -> None:
    raw = codec.pack(b"x" * 10)
    assert codec.unpack(raw, (bytes,), len(raw)) == (b"x" * 10,)
    refused(raw, bytes, size_max=len(raw) - 1)


def test_integers_end_below_2_63() -> None:
    assert codec.unpack(wire.array(wire.item(2**63 - 1)), (int,), SIZE_MAX) == (2**63 - 1,)
    refused(wire.array(wire.item(2**63)), int)
    refused(wire.array(wire.item(2**64 - 1)), int)
    refused(wire.array(wire.MINUS_ONE), int)
    refused(wire.array(b"\xd3" + (2**64 - 2**63).to_bytes(8, "big")), int)


def test_fifteen_slots_and_not_one_more() -> None:
    assert len(codec.unpack(codec.pack(*range(15)), (int,) * 15, SIZE_MAX)) == 15
    refused(wire.array(*[wire.item(1)] * 16), *[int] * 16)


@pytest.mark.parametrize(
    ("raw", "schema"),
    [
        (wire.array(), (int,)),
        (wire.array(wire.item(1)), (int, int)),
        (wire.array(wire.item(1), wire.item(1)), (int,)),
        (wire.array(wire.item(b"")), (str,)),
        (wire.array(wire.item("")), (bytes,)),
        (wire.array(wire.item(1)), (bytes,)),
        (wire.array(wire.TRUE), (int,)),
        (wire.array(wire.FALSE), (int,)),
        (wire.array(wire.NIL), (bytes,)),
        (wire.array(wire.FLOAT), (int,)),
        (wire.array(wire.TIMESTAMP), (int,)),
        (wire.array(wire.array(wire.item(1))), (int,)),
        (wire.array(wire.array(wire.item(1))), (tuple,)),
        (wire.array(wire.EMPTY_MAP), (dict,)),
        (wire.item(1), (int,)),
        (wire.item(b"x"), (bytes,)),
        (wire.NIL, (int,)),
        (wire.EMPTY_MAP, ()),
        (b"", ()),
        (b"\xc1", (int,)),
        (wire.array(b"\xa1\xff"), (str,)),
        (wire.array(b"\xa3\xed\xa0\x80"), (str,)),
        (wire.array(wire.item(1)) + b"\0", (int,)),
        (wire.array(wire.item(1)) * 2, (int,)),
        (wire.array(wire.item(b"abc"))[:-1], (bytes,)),
    ],
    ids=[
        "no slot", "a slot less", "a slot more", "bytes for text", "text for bytes", "int for bytes", "true",
        "false", "nil", "float", "timestamp", "array in array", "array by schema", "map by schema", "bare int",
        "bare bytes", "bare nil", "bare map", "nothing", "the unused byte", "no UTF-8", "a surrogate",
        "trailing byte", "two arrays", "cut short",
    ],
)  # fmt: skip
def test_refused(raw: bytes, schema: tuple[type, ...]) -> None:
    refused(raw, *schema)


@given(st.lists(st.binary(max_size=70)))
def test_join_and_split(parts: list[bytes]) -> None:
    assert codec.split(codec.join(parts)) == parts


def test_the_longest_part() -> None:
    assert codec.split(codec.join([b"x" * 65535, b""])) == [b"x" * 65535, b""]
    with pytest.raises(OverflowError):
        codec.join([b"x" * 65536])


def test_a_list_that_is_cut_anywhere_is_refused() -> None:
    joined = codec.join([b"abc", b"defgh"])
    whole = {0, 5, len(joined)}
    for end in range(len(joined) + 1):
        if end in whole:
            codec.split(joined[:end])
        else:
            with pytest.raises(PeerError):
                codec.split(joined[:end])


def test_chop_takes_whole_elements_up_to_the_count() -> None:
    assert codec.chop(b"", 4, 2) == []
    assert codec.chop(b"aaaabbbb", 4, 2) == [b"aaaa", b"bbbb"]
    for joined in (b"aaaabbbbcccc", b"aaaab", b"aaa"):
        with pytest.raises(PeerError):
            codec.chop(joined, 4, 2)
