"""The key set against the plainest model there is: a sorted list and sums from scratch."""

import hashlib
import random
from bisect import bisect_left
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from meshd.ids import envelope_key, key_reference
from meshd.proto import keyset as keyset_module
from meshd.proto.keyset import KeySet, fingerprint_of, varint


def fingerprint(keys: list[bytes]) -> bytes:
    """From the definition, a key at a time."""
    total = 0
    for key in keys:
        total = (total + int.from_bytes(key[8:], "little")) % 2**256
    return hashlib.sha256(total.to_bytes(32, "little") + varint(len(keys))).digest()[:16]


def some_keys(count: int, seed: int = 1, hours: int = 5) -> list[bytes]:
    rng = random.Random(seed)
    return [envelope_key(500_000 + rng.randrange(hours), rng.randbytes(32)) for _ in range(count)]


def check(keyset: KeySet, model: list[bytes], rng: random.Random) -> None:
    """Everything one can ask, compared with the sorted list `model`."""
    size = len(model)
    assert len(keyset) == size
    assert keyset.slice(0, size) == model
    for first, last in [(0, size), *(sorted(rng.choices(range(size + 1), k=2)) for _ in range(8))]:
        assert keyset.slice(first, last) == model[first:last]
        assert keyset.fingerprint(first, last) == fingerprint(model[first:last])
    for place in rng.choices(range(size), k=8 * bool(size)):
        key = model[place]
        assert key in keyset
        assert keyset.key_at(place) == key
        assert keyset.rank(key) == place
        assert keyset.rank(key + b"\0") == place + 1
        assert keyset.starting_with(b"\0\0\0\0" + key_reference(key)) == key
        if place:
            assert keyset.gap(place) == (keyset.sum_below(place), model[place - 1], key)
    for probe in some_keys(4, seed=rng.randrange(10**9)):
        assert keyset.rank(probe) == bisect_left(model, probe)
        assert probe not in keyset
        assert keyset.starting_with(probe[:24]) is None


@pytest.mark.parametrize(
    "number, encoded", [(0, "00"), (127, "7f"), (128, "8100"), (2**64 - 1, "81" + "ff" * 8 + "7f")]
)
def test_varint(number: int, encoded: str) -> None:
    assert varint(number).hex() == encoded


def test_an_empty_set() -> None:
    keyset = KeySet()
    assert (len(keyset), keyset.rank(b"\xff"), keyset.slice(0, 0)) == (0, 0, [])
    assert keyset.starting_with(b"") is None
    assert bytes(40) not in keyset
    assert not keyset.remove(bytes(40))
    assert keyset.remove_below(b"\xff" * 40, 10) == []
    assert keyset.fingerprint(0, 0) == hashlib.sha256(bytes(33)).digest()[:16]


def test_the_sum_wraps_at_256_bits_and_the_count_is_part() -> None:
    ids = [b"\xff" * 32, b"\x01" + bytes(31)]  # as little-endian integers: 2^256 - 1 and 1
    both = KeySet(envelope_key(hour, id) for hour, id in enumerate(ids))
    assert both.fingerprint(0, 2) == hashlib.sha256(bytes(32) + b"\2").digest()[:16]
    assert both.fingerprint(0, 2) != both.fingerprint(0, 0) == fingerprint_of(0, 0)


def test_a_key_is_40_bytes() -> None:
    for wrong in (bytes(39), bytes(41)):
        with pytest.raises(ValueError):
            KeySet([bytes(40), wrong])
        with pytest.raises(ValueError):
            KeySet().insert(wrong)


@pytest.mark.parametrize("count", [1, 255, 256, 257, 511, 512, 513, 1500])
def test_built_at_once_and_one_by_one_are_the_same(count: int) -> None:
    keys = some_keys(count)
    grown = KeySet()
    assert all(grown.insert(key) for key in keys)
    assert not any(grown.insert(key) for key in keys[:20])
    for keyset in (KeySet(keys), KeySet(keys + keys[:7]), grown):
        check(keyset, sorted(keys), random.Random(count))


def test_pruning_takes_the_lowest_in_slices() -> None:
    keys = sorted(some_keys(1300))
    keyset = KeySet(keys)
    bound = envelope_key(500_003, bytes(32))
    below = bisect_left(keys, bound)
    removed = []
    while step := keyset.remove_below(bound, 300):
        assert len(step) <= 300
        removed += step
        check(keyset, keys[len(removed) :], random.Random(len(removed)))
    assert removed == keys[:below]


class SetMachine(RuleBasedStateMachine):
    """Any order of changes and questions; small blocks, so that few keys split and empty many."""

    def __init__(self) -> None:
        super().__init__()
        self.keyset, self.model, self.pool = KeySet(), list[bytes](), some_keys(60, seed=7, hours=3)

    @rule(number=st.integers(0, 59))
    def insert(self, number: int) -> None:
        key = self.pool[number]
        assert self.keyset.insert(key) == (key not in self.model)
        self.model = sorted({*self.model, key})

    @rule(numbers=st.lists(st.integers(0, 59), max_size=20))
    def insert_many(self, numbers: list[int]) -> None:
        for number in numbers:
            self.insert(number)

    @rule(number=st.integers(0, 59))
    def remove(self, number: int) -> None:
        key = self.pool[number]
        assert self.keyset.remove(key) == (key in self.model)
        self.model = [other for other in self.model if other != key]

    @rule(number=st.integers(0, 59), most=st.integers(0, 30))
    def prune(self, number: int, most: int) -> None:
        removed = self.keyset.remove_below(self.pool[number], most)
        assert removed == [key for key in self.model if key < self.pool[number]][:most]
        self.model = self.model[len(removed) :]

    @rule(first=st.integers(0, 60), last=st.integers(0, 60))
    def sum(self, first: int, last: int) -> None:
        first, last = sorted((min(first, len(self.model)), min(last, len(self.model))))
        assert self.keyset.fingerprint(first, last) == fingerprint(self.model[first:last])

    @invariant()
    def same_keys(self) -> None:
        assert len(self.keyset) == len(self.model)
        assert self.keyset.slice(0, len(self.model)) == self.model

    @invariant()
    def same_sums(self) -> None:
        ids = [int.from_bytes(key[8:], "little") for key in self.model]
        sums = [self.keyset.sum_below(place) for place in range(len(ids) + 1)]
        assert sums == list(accumulate(ids, initial=0))


def test_any_order_of_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyset_module, "BLOCK_SIZE", 4)
    monkeypatch.setattr(keyset_module, "STRIDE", 2)
    case = SetMachine.TestCase
    case.settings = settings(max_examples=60, stateful_step_count=30)
    case("runTest").runTest()


@given(st.sets(st.binary(min_size=40, max_size=40), max_size=12), st.binary(max_size=40))
@settings(max_examples=100)
def test_a_prefix_is_a_key_filled_up_with_zeros(keys: set[bytes], prefix: bytes) -> None:
    keyset = KeySet(keys)
    assert keyset.rank(prefix) == keyset.rank(prefix.ljust(40, b"\0"))
    assert keyset.starting_with(prefix) == next((key for key in sorted(keys) if key.startswith(prefix)), None)
