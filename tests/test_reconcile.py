"""Reconcile finds the difference, whatever the sets, the limit and the opening, in the bytes it should."""

import json
import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshd.errors import PeerError
from meshd.ids import envelope_key
from meshd.proto.keyset import KeySet, varint
from meshd.proto.reconcile import FRAME_SIZE_MIN, Initiator, respond
from scripts import vectors_reconcile

VECTORS = json.loads((Path(__file__).parent / "vectors" / vectors_reconcile.FILE).read_text())
END = b"\0\0"  # the bound at infinity


def converse(
    here: KeySet, there: KeySet, *, floor: int = 0, limit: int = 0, probe: bool = False
) -> tuple[list[bytes], list[bytes], list[bytes]]:
    """All messages, what the initiator has alone, what it needs. Fails if there is no end to it."""
    initiator = Initiator(here, floor, limit)
    message: bytes | None = initiator.probe() if probe else initiator.initiate()
    messages, have, need = list[bytes](), list[bytes](), list[bytes]()
    while message is not None:
        assert len(messages) < 500, "no end"
        messages += [message, respond(there, floor, message, limit)]
        keys, ids, message = initiator.receive(messages[-1])
        have += keys
        need += ids
    return messages, have, need


def keys_of(count: int, seed: int, hours: int = 1) -> list[bytes]:
    rng = random.Random(seed)
    return [envelope_key(490_000 + rng.randrange(hours), rng.randbytes(32)) for _ in range(count)]


# --- what it finds ---

# Ids with long common prefixes and zeros at the end make bounds of every length, and equal ones.
hours = st.sampled_from([0, 1, 489_999, 490_000, 490_001, 2**32, 2**64 - 2])
ids = st.one_of(
    st.binary(min_size=32, max_size=32),
    st.builds(
        lambda zeros, rest: bytes(zeros) + rest[zeros:],
        st.integers(0, 31),
        st.binary(min_size=32, max_size=32),
    ),
    st.builds(lambda start: start.ljust(32, b"\0"), st.binary(max_size=3)),
)
few_keys = st.dictionaries(ids, hours, max_size=60)


@given(few_keys, st.data(), st.sampled_from([0, FRAME_SIZE_MIN]), st.booleans())
@settings(max_examples=120)
def test_both_then_hold_the_union(
    keys: dict[bytes, int], data: st.DataObject, limit: int, probe: bool
) -> None:
    side = data.draw(st.lists(st.sampled_from("hhbbbbt"), min_size=len(keys), max_size=len(keys)))
    here = {envelope_key(hour, id) for (id, hour), who in zip(keys.items(), side, strict=True) if who in "hb"}
    there = {
        envelope_key(hour, id) for (id, hour), who in zip(keys.items(), side, strict=True) if who in "bt"
    }
    _, have, need = converse(KeySet(here), KeySet(there), limit=limit, probe=probe)
    assert sorted(have) == sorted(here - there)
    assert sorted(need) == sorted(key[8:] for key in there - here)


@pytest.mark.parametrize("limit", [0, 4096, 4097, 20_000])
@pytest.mark.parametrize("probe", [False, True])
@pytest.mark.parametrize(
    ("only_here", "only_there", "both"), [(40, 40, 1000), (0, 900, 3), (900, 0, 0), (400, 400, 400)]
)
def test_large_sets(limit: int, probe: bool, only_here: int, only_there: int, both: int) -> None:
    keys = keys_of(only_here + only_there + both, seed=both, hours=4)
    here, there = keys[: only_here + both], keys[only_here:]
    messages, have, need = converse(KeySet(here), KeySet(there), limit=limit, probe=probe)
    assert sorted(have) == sorted(keys[:only_here])
    assert sorted(need) == sorted(key[8:] for key in keys[only_here + both :])
    assert not limit or max(map(len, messages)) <= limit


def test_a_list_names_each_id_once_and_doubles_of_it_count_once() -> None:
    id = bytes(31) + b"\1"
    answer = Initiator(KeySet()).receive(b"\x61" + END + b"\2\2" + id + id)
    assert answer == ([], [id], None)


@pytest.mark.parametrize("probe", [False, True])
def test_below_the_floor_nothing_counts(probe: bool) -> None:
    keys = sorted(keys_of(600, seed=5, hours=6))
    here = [key for number, key in enumerate(keys) if number % 3]
    there = [key for number, key in enumerate(keys) if number % 5]
    floor = 490_002
    messages, have, need = converse(KeySet(here), KeySet(there), floor=floor, probe=probe)
    above = envelope_key(floor, bytes(32))
    assert have == sorted(key for key in set(here) - set(there) if key >= above)
    assert sorted(need) == sorted(key[8:] for key in set(there) - set(here) if key >= above)
    low = [key[8:] for key in keys if key < above]
    assert not any(id in message for message in messages for id in low)


def test_whoever_asks_below_the_floor_is_told_of_nothing_there() -> None:
    low, high = keys_of(40, seed=3), keys_of(40, seed=4)
    there = KeySet([*low, *(envelope_key(490_005, key[8:]) for key in high)])
    bounds = [varint(490_001) + b"\1\x40", b"\1\1\x80", b"\1\1\xc0", END]
    message = b"\x61" + b"".join(bound + b"\2\0" for bound in bounds)  # no ids, in ranges of hour 490 000
    for floor, keys in ((0, low + high), (490_001, high)):
        told = Initiator(KeySet()).receive(respond(there, floor, message, 0))
        assert sorted(told.need) == sorted(key[8:] for key in keys)


def test_keys_may_come_and_go_between_messages() -> None:
    keys = keys_of(3000, seed=6)
    here, there, late = KeySet(keys[:2900]), KeySet(keys[50:2900]), keys[2900:]
    initiator = Initiator(here)
    message: bytes | None = initiator.initiate()
    have = set[bytes]()
    while message is not None:
        answer = respond(there, 0, message, 0)
        for _ in range(9):
            there.insert(late[-1])
            here.insert(late.pop())
        here.remove(keys[0])
        found, _, message = initiator.receive(answer)
        have |= set(found)
    assert set(keys[1:50]) <= have


# --- how much it says ---


def test_equal_sets_cost_one_short_round_trip() -> None:
    keys = keys_of(5000, seed=7, hours=72)
    messages, have, need = converse(KeySet(keys), KeySet(keys), probe=True)
    assert (list(map(len, messages)), have, need) == ([20, 1], [], [])


def test_neighbouring_skips_are_one_and_the_last_is_left_out() -> None:
    keys = sorted(keys_of(640, seed=8))
    there = KeySet(keys)
    there.remove(keys[200])  # of 16 ranges of 40 keys, the sixth differs: five skips before it, ten behind
    answer = respond(there, 0, Initiator(KeySet(keys)).initiate(), 0)
    assert [mode for _, mode in ranges_of(answer)] == [0] + [1] * 16


def test_a_bound_is_as_short_as_can_be() -> None:
    keys = sorted([*keys_of(31, seed=9), envelope_key(490_001, bytes(32))])
    bounds = [bound for bound, _ in ranges_of(Initiator(KeySet(keys)).initiate())]
    for number, bound in enumerate(bounds[:-1]):
        before, key = keys[2 * number + 1], keys[2 * number + 2]
        assert before < bound.ljust(40, b"\0") <= key
        assert len(bound) == 8 or not before < bound[:-1].ljust(40, b"\0")
    assert bounds[-1] == b"\xff" * 8


def ranges_of(message: bytes) -> list[tuple[bytes, int]]:
    """Bound and mode of each range, read by code apart from the product's."""
    at, hour, found = 1, 0, list[tuple[bytes, int]]()

    def number() -> int:
        nonlocal at
        value = 0
        while True:
            value = value << 7 | message[at] & 127
            at += 1
            if message[at - 1] < 128:
                return value

    while at < len(message):
        since = number()
        hour = hour + since - 1 if since else 2**64 - 1
        length = number()
        prefix, at = message[at : at + length], at + length
        mode = number()
        at += {0: 0, 1: 16}[mode] if mode < 2 else 32 * number()
        found.append((hour.to_bytes(8, "big") + prefix, mode))
    assert all(a[0].ljust(40, b"\0") <= b[0].ljust(40, b"\0") for a, b in pairwise(found))
    return found


# --- what it refuses and what it bears ---


@pytest.mark.parametrize("case", VECTORS["refused"], ids=lambda case: case["name"])
def test_refused(case: dict[str, str]) -> None:
    message = bytes.fromhex(case["message"])
    for keyset in (KeySet(), KeySet(keys_of(300, seed=1))):
        with pytest.raises(PeerError):
            respond(keyset, 0, message, 4096)
        with pytest.raises(PeerError):
            Initiator(keyset).receive(message)


def test_another_version_is_answered_with_ours_but_never_in_an_answer() -> None:
    for version in {*range(0x60, 0x70)} - {0x61}:
        message = bytes((version,)) + b"anything"
        assert respond(KeySet(), 0, message, 4096) == b"\x61"
        with pytest.raises(PeerError):
            Initiator(KeySet()).receive(message)


@pytest.mark.parametrize("bounds", [2, 3])
def test_equal_bounds_are_legal(bounds: int) -> None:
    assert respond(KeySet(), 0, b"\x61" + (END + b"\0") * bounds, 0) == b"\x61"


def test_a_time_past_the_last_one_is_infinity() -> None:
    last = varint(2**64 - 1) + b"\0\0"  # skip to hour 2^64 - 2
    past = b"\x61" + last + b"\5\0\2\0" + varint(2**64 - 1) + b"\0\2\0"
    assert respond(KeySet(), 0, past, 0) == b"\x61" + last + 2 * (END + b"\2\0")


@pytest.mark.parametrize(
    ("lower", "upper", "id", "fits"),
    [
        ((5, b"\x40"), (5, b"\x80"), b"\x40" + bytes(31), True),
        ((5, b"\x40"), (5, b"\x80"), b"\x3f" + b"\xff" * 31, False),
        ((5, b"\x40"), (5, b"\x80"), b"\x80" + bytes(31), False),
        ((5, b"\x40"), (6, b""), b"\x3f" + b"\xff" * 31, False),
        ((5, b"\x40"), (6, b""), b"\x40" + bytes(31), True),
        ((5, b"\x80"), (6, b"\x40"), b"\x60" + bytes(31), False),
        ((5, b"\x80"), (6, b"\x40"), b"\x3f" + bytes(31), True),
        ((5, b"\x80"), (7, b""), b"\x00" + bytes(31), True),
        ((5, b""), (5, b""), bytes(32), False),
    ],
)
def test_ids_outside_their_range(
    lower: tuple[int, bytes], upper: tuple[int, bytes], id: bytes, fits: bool
) -> None:
    message = b"\x61" + varint(lower[0] + 1) + varint(len(lower[1])) + lower[1] + b"\0"
    message += varint(upper[0] - lower[0] + 1) + varint(len(upper[1])) + upper[1] + b"\2\1" + id
    if fits:
        assert Initiator(KeySet()).receive(message).need == [id]
    else:
        with pytest.raises(PeerError):
            Initiator(KeySet()).receive(message)


def test_the_frame_limit_has_a_least_size() -> None:
    for wrong in (1, FRAME_SIZE_MIN - 1):
        with pytest.raises(ValueError):
            Initiator(KeySet(), frame_size_limit=wrong)
        with pytest.raises(ValueError):
            respond(KeySet(), 0, b"\x61", wrong)


# --- the vectors ---


def test_the_vectors_are_current() -> None:
    assert vectors_reconcile.vectors() == VECTORS


@pytest.mark.parametrize("case", VECTORS["conversations"], ids=lambda case: case["name"])
def test_a_vector_of_a_conversation(case: dict[str, Any]) -> None:
    """What the file claims is checked apart from how it was made: have and need are the set differences."""
    here, there = (
        {
            vectors_reconcile.vector_key(n)
            for first, last in case[who]
            for n in range(first, last)
            if vectors_reconcile.FIRST_HOUR + n % vectors_reconcile.HOURS >= case["floor_hour"]
        }
        for who in ("initiator", "responder")
    )
    assert sorted(case["have"]) == sorted(key[8:].hex() for key in here - there)
    assert sorted(case["need"]) == sorted(key[8:].hex() for key in there - here)
    limit = case["frame_size_limit"]
    assert all(len(message) <= 2 * limit for message in case["messages"] if limit)


def test_the_vectors_with_a_limit_reach_it() -> None:
    limited = [case for case in VECTORS["conversations"] if case["frame_size_limit"]]
    assert limited
    for case in limited:
        here, there = (vectors_reconcile.vector_set(case[who]) for who in ("initiator", "responder"))
        probe = case["opens_with_one_fingerprint"]
        messages, _, _ = converse(here, there, floor=case["floor_hour"], probe=probe)
        assert max(map(len, messages)) > case["frame_size_limit"]
