"""Envelopes by id and by arrival; sequences that are never used again; addresses."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from meshd.errors import CallerError, Code
from meshd.ids import envelope_key
from meshd.store.carry import _MIGRATIONS, Carry
from meshd.store.db import VALUES_MAX, Database
from meshd.store.remembered import Remembered

KEY = b"c" * 32
HOUR = 500_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "carry"


@pytest.fixture
def carry(path: Path) -> Iterator[Carry]:
    made = Carry.create(path, KEY, b"n" * 32, "private", durable=False)
    yield made
    made.close()


def reopened(carry: Carry, path: Path) -> Carry:
    carry.close()
    return Carry(path, KEY, durable=False)


def key(number: int, hour: int = HOUR) -> bytes:
    return envelope_key(hour, number.to_bytes(4, "big") * 8)


def envelopes(*numbers: int) -> list[tuple[bytes, bytes]]:
    return [(key(number), b"envelope %d" % number) for number in numbers]


def test_network_is_remembered(carry: Carry, path: Path) -> None:
    again = reopened(carry, path)
    assert (again.network_key, again.network_kind) == (b"n" * 32, "private")
    again.close()


def test_left_in_the_middle_of_being_made(path: Path) -> None:
    Database.create(path, KEY, _MIGRATIONS, durable=False).close()
    with pytest.raises(CallerError) as caught:
        Carry(path, KEY, durable=False)
    assert caught.value.code is Code.invalid


def test_the_internet_is_remembered_once_committed(carry: Carry, path: Path) -> None:
    assert carry.internet() == Remembered()
    noted = Remembered("local", 4, 3, 2, 5)
    carry.note_internet(noted)
    assert carry.internet() == noted
    carry.rollback()
    assert carry.internet() == Remembered()
    carry.note_internet(noted._replace(state="full"))
    carry.note_internet(noted)
    carry.commit()
    again = reopened(carry, path)
    assert again.internet() == noted
    again.close()


def test_arrival_is_counted_across_commits_and_restarts(carry: Carry, path: Path) -> None:
    assert carry.last_sequence() == 0
    assert carry.insert(envelopes(5, 3)) == range(1, 3)
    carry.commit()
    again = reopened(carry, path)
    assert again.last_sequence() == 2
    assert again.insert(envelopes(4)) == range(3, 4)
    assert again.after(1, 10) == [(2, b"envelope 3"), (3, b"envelope 4")]
    assert again.after(0, 1) == [(1, b"envelope 5")]
    assert again.after(3, 10) == []
    again.close()


def test_a_sequence_is_never_used_again(carry: Carry, path: Path) -> None:
    carry.insert(envelopes(1, 2))
    carry.remove([key(2), key(9)])
    carry.commit()
    assert list(carry.keys()) == [key(1)]
    again = reopened(carry, path)
    assert again.insert(envelopes(3)) == range(3, 4)
    again.close()


def test_rollback_gives_sequences_back(carry: Carry) -> None:
    carry.insert(envelopes(1))
    carry.commit()
    carry.insert(envelopes(2))
    carry.rollback()
    assert (carry.last_sequence(), list(carry.keys())) == (1, [key(1)])
    assert carry.insert(envelopes(3)) == range(2, 3)


def test_keys_in_order_of_arrival(carry: Carry) -> None:
    pairs = [(key(2, HOUR + 1), b"b"), (key(3), b"c"), (key(1, 2**32 - 1), b"a")]
    carry.insert(pairs)
    assert list(carry.keys()) == [pair[0] for pair in pairs]


def test_keys_over_several_turns(carry: Carry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshd.store.carry._KEYS_AT_ONCE", 4)
    carry.insert(envelopes(*range(9)))
    assert list(carry.keys()) == [key(number) for number in range(9)]


def test_found_by_the_beginning_of_the_id(carry: Carry) -> None:
    numbers = list(range(VALUES_MAX + 3))
    carry.insert(envelopes(*numbers))
    short = [key(number)[8:24] for number in numbers]
    strange = key(10**6)[8:24]
    assert carry.find([*short, strange]) == ([number + 1 for number in numbers], [strange])
    found = carry.read([10**6, *range(VALUES_MAX + 1, 0, -1)])
    assert found == [(number + 1, b"envelope %d" % number) for number in range(VALUES_MAX + 1)]


def test_ids_that_begin_alike(carry: Carry) -> None:
    alike = [envelope_key(HOUR, b"same bytes begin"[:8] + bytes((tail,)) * 24) for tail in range(3)]
    carry.insert([(each, b"%d" % tail) for tail, each in enumerate(alike)])
    assert carry.find([each[8:24] for each in alike]) == ([1, 2, 3], [])
    carry.remove([alike[1]])
    assert list(carry.keys()) == [alike[0], alike[2]]
    assert carry.find([alike[2][8:24]]) == ([1, 3], [])


def test_addresses(carry: Carry, path: Path) -> None:
    carry.add_address("10.0.0.2:4040", 20)
    carry.add_address("10.0.0.1:4040", 30)
    carry.add_address("10.0.0.2:4040", 40)
    carry.commit()
    again = reopened(carry, path)
    assert again.addresses() == ["10.0.0.2:4040", "10.0.0.1:4040"]
    assert again.drop_address("10.0.0.2:4040")
    assert not again.drop_address("10.0.0.2:4040")
    assert again.addresses() == ["10.0.0.1:4040"]
    again.close()
