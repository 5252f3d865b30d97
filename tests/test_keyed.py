"""Two sets of one sum are told apart by jittered openings and by keyed rounds, and keyed rounds cost what they may.

Ids are chosen here as an author can't: reconcile does not know what they are hashes of. p + q = r + s, so that p and q
make the same sum as r and s.
"""

import random
from collections import Counter
from itertools import pairwise

import pytest

from meshd.errors import PeerError
from meshd.ids import LABEL_KEYED, envelope_key, key_reference, labelled
from meshd.limits import KEYED_KEYS_MAX, KEYED_MS, KEYED_STEPS_MAX
from meshd.proto.keyed import END, KeyedRounds, Stretch, stretch_of
from meshd.proto.keyset import KeySet, fingerprint_of
from meshd.proto.message import Keyed
from meshd.proto.reconcile import BUCKETS, Initiator, respond

HOUR = 490_000
HASH = bytes(range(64))


def key_of(number: int) -> bytes:
    """The key whose id is this number, as sums read it."""
    return envelope_key(HOUR, (number % 2**256).to_bytes(32, "little"))


def one_sum(seed: int, first_byte: int | None = None) -> tuple[list[bytes], list[bytes]]:
    """p, q and r, s; anywhere in the order, or next to each other: all with this first byte."""
    rng = random.Random(seed)
    p, q, r = (rng.getrandbits(248) for _ in range(3))
    if first_byte is None:
        return [key_of(p), key_of(q)], [key_of(r), key_of(p + q - r)]
    numbers = [256 * n + first_byte for n in (p, q, r, p + q - r)]
    return [key_of(n) for n in numbers[:2]], [key_of(n) for n in numbers[2:]]


def two_sets(first_byte: int | None = None, common: int = 3_000) -> tuple[KeySet, KeySet]:
    rng = random.Random(5)
    keys = [envelope_key(HOUR, rng.randbytes(32)) for _ in range(common)]
    ours, theirs = one_sum(6, first_byte)
    return KeySet(keys + ours), KeySet(keys + theirs)


def difference(
    initiator: Initiator, asked: KeySet | Stretch, opening: bytes
) -> tuple[set[bytes], set[bytes]]:
    """What a whole round tells the initiator: keys only it has, and ids it needs."""
    have, need = set[bytes](), set[bytes]()
    message: bytes | None = opening
    while message is not None:
        found = initiator.receive(respond(asked, 0, message, 0))
        have |= set(found.have)
        need |= set(found.need)
        message = found.reply
    return have, need


NOTHING = set[bytes](), set[bytes]()


# --- jittered openings ---


def test_two_sets_of_one_sum_are_equal_to_plain_rounds() -> None:
    here, there = two_sets(first_byte=0x88)
    initiator = Initiator(here)
    assert difference(initiator, there, initiator.probe()) == NOTHING
    assert difference(initiator, there, initiator.initiate()) == NOTHING


@pytest.mark.parametrize(("first_byte", "rounds"), [(None, 2), (0x88, 60)])
def test_jittered_openings_tell_them_apart(first_byte: int | None, rounds: int) -> None:
    """Soon where they are spread over the order; where all lie in one 256th, a bound falls between now and then."""
    here, there = two_sets(first_byte)
    ours, theirs = one_sum(6, first_byte)
    initiator, rng = Initiator(here), random.Random(7)
    have, need = set[bytes](), set[bytes]()
    for _ in range(rounds):
        found = difference(initiator, there, initiator.initiate(rng))
        have, need = have | found[0], need | found[1]
    assert (have, need) == (set(ours), {key[8:] for key in theirs})


@pytest.mark.parametrize("count", [32, 33, 47, 48, 1_000])
def test_each_place_is_a_bound_as_often(count: int) -> None:
    keys = [envelope_key(HOUR, number.to_bytes(32, "big")) for number in range(count)]
    initiator, rng = Initiator(KeySet(keys)), random.Random(1)
    bounds = Counter[int]()
    draws = 30 * count // BUCKETS + 300
    for _ in range(draws):
        ends = ends_of(initiator.initiate(rng))
        assert len(ends) == BUCKETS - 1 and all(low < high for low, high in pairwise(ends))
        bounds.update(ends)
    assert set(bounds) <= set(range(1, count))
    assert max(bounds.values()) < 5 * draws * (BUCKETS - 1) / (count - 1)
    assert len(bounds) > 0.9 * (count - 1)


def ends_of(opening: bytes) -> list[int]:
    """The inner bounds of an opening over ids that are small big-endian numbers, as numbers."""
    ends, at = [], 1
    while True:
        time, at = opening[at], at + 1
        if time == 0:
            return ends
        at += 2 if time > 1 else 0  # the first hour takes three bytes
        length = opening[at]
        ends.append(int.from_bytes(opening[at + 1 : at + 1 + length].ljust(32, b"\0"), "big"))
        at += 1 + length + 1 + 16


# --- stretches ---


def test_a_stretch_counts_each_id_as_its_keyed_id() -> None:
    keys = sorted(two_sets(common=50)[0].slice(0, 50))
    stretch = Stretch(keys, HASH)
    keyed = [int.from_bytes(labelled(LABEL_KEYED, HASH, key[8:]), "little") for key in keys]
    assert stretch.fingerprint(3, 40) == fingerprint_of(sum(keyed[3:40]), 37)
    assert stretch.fingerprint(0, 50) != Stretch(keys, HASH[::-1]).fingerprint(0, 50)


@pytest.mark.parametrize("first_byte", [None, 0x88])
def test_a_keyed_round_tells_two_sets_of_one_sum_apart(first_byte: int | None) -> None:
    here, there = two_sets(first_byte)
    ours, theirs = one_sum(6, first_byte)
    asking, asked = (Stretch(keyset.slice(0, len(keyset)), HASH) for keyset in (here, there))
    initiator = Initiator(asking)
    found = difference(initiator, asked, initiator.probe())
    assert found == (set(ours), {key[8:] for key in theirs})


def test_a_stretch_reaches_from_one_reference_to_another() -> None:
    keys = [envelope_key(HOUR + number // 10, bytes((number,)) * 32) for number in range(40)]
    keyset = KeySet(keys)
    assert stretch_of(keyset, key_reference(keys[7]), key_reference(keys[31])) == keys[7:31]
    assert stretch_of(keyset, bytes(20), END) == keys


# --- who asks, when and how much ---


class Pair:
    """Two nodes' keyed rounds over one link; `said` is what went over it."""

    def __init__(self, here: KeySet, there: KeySet, seed: int = 1) -> None:
        self.said: list[Keyed] = []
        self.asking = KeyedRounds(here, lambda _, message: self.said.append(message), random.Random(seed))
        self.asked = KeyedRounds(there, lambda _, message: self.said.append(message), random.Random(seed))
        self.asking.opened(1, HASH, dialled=True, mono_ms=0)
        self.asked.opened(1, HASH, dialled=False, mono_ms=0)

    def go_on(self, mono_ms: int = 0) -> tuple[set[bytes], set[bytes]]:
        """Let each answer the other until nobody says anything; what the initiator learnt."""
        have, need, at = set[bytes](), set[bytes](), len(self.said) - 1
        while at < len(self.said):
            message = self.said[at]
            found = (self.asking if message.answer else self.asked).receive(1, message, mono_ms)
            have |= set(found.have)
            need |= set(found.need)
            at += 1
        return have, need


def test_the_side_that_dialled_asks_once_a_minute() -> None:
    pair = Pair(*two_sets())
    asked_ms = []
    for _ in range(5):
        due_ms = pair.asking.next_deadline()
        assert due_ms is not None and pair.asking.due(due_ms - 1) == []
        assert pair.asking.due(due_ms) == [1]
        asked_ms.append(due_ms)
    assert 0 <= asked_ms[0] < KEYED_MS
    assert [later - earlier for earlier, later in pairwise(asked_ms)] == [KEYED_MS] * 4
    assert pair.asked.next_deadline() is None and pair.asked.due(10**9) == []


def test_a_round_finds_what_differs_from_the_floor_on() -> None:
    here, there = two_sets()
    below = envelope_key(HOUR - 1, bytes(32))
    there.insert(below)
    ours, theirs = one_sum(6)
    pair = Pair(here, there)
    pair.asking.begin(1, HOUR)
    assert pair.go_on() == (set(ours), {key[8:] for key in theirs})
    assert len(pair.said) == 4


def test_a_node_with_nothing_asks_nothing() -> None:
    pair = Pair(KeySet(), two_sets()[1])
    pair.asking.begin(1, HOUR)
    assert pair.said == []


def test_each_key_is_as_likely_to_be_compared() -> None:
    count = 3 * KEYED_KEYS_MAX
    keyset = KeySet(envelope_key(HOUR, number.to_bytes(2, "big") * 16) for number in range(count))
    watched = [key_reference(keyset.key_at(place)) for place in range(0, count, 500)]
    seen = Counter[bytes]()
    pair = Pair(keyset, KeySet())
    for _ in range(150):
        pair.asking.begin(1, HOUR)
        question = pair.said[-1]
        assert len(stretch_of(keyset, question.first, question.end)) <= KEYED_KEYS_MAX
        seen.update(each for each in watched if question.first <= each < question.end)
    share = 150 * KEYED_KEYS_MAX / (count + KEYED_KEYS_MAX)
    assert all(share / 2 < seen[each] < share * 2 for each in watched)


def test_an_answer_to_another_round_is_dropped() -> None:
    pair = Pair(*two_sets())
    answer = Keyed(1, 1, bytes(20), END, b"\x61\0\0\2\0")
    assert pair.asking.receive(1, answer, 0) == ([], [], None)  # nothing was asked
    pair.asking.begin(1, HOUR)
    assert pair.asking.receive(1, answer._replace(round=2), 0) == ([], [], None)
    assert len(pair.asking.receive(1, answer, 0).have) == 3_002
    assert pair.asking.receive(1, answer, 0) == ([], [], None)  # that round is over


def test_an_answer_that_leads_to_ever_new_questions_ends() -> None:
    pair = Pair(*two_sets())
    pair.asking.begin(1, HOUR)
    answer = Keyed(1, 1, bytes(20), END, b"\x61\0\0\1" + bytes(16))
    for _ in range(3 * KEYED_STEPS_MAX):
        pair.asking.receive(1, answer, 0)
    assert len(pair.said) == KEYED_STEPS_MAX


def test_so_many_questions_are_answered_in_a_minute_and_no_more() -> None:
    pair = Pair(*two_sets())
    question = Keyed(0, 1, bytes(20), END, b"\x61\0\0\1" + bytes(16))
    for mono_ms in (KEYED_MS, 2 * KEYED_MS - 1):
        for _ in range(3 * KEYED_STEPS_MAX):
            pair.asked.receive(1, question, mono_ms)
        assert len(pair.said) == KEYED_STEPS_MAX
    pair.asked.receive(1, question, 2 * KEYED_MS)
    assert len(pair.said) == KEYED_STEPS_MAX + 1


@pytest.mark.parametrize("more", [0, 1])
def test_a_stretch_with_too_many_keys_is_left_unanswered(more: int) -> None:
    count = 2 * KEYED_KEYS_MAX + more
    pair = Pair(KeySet(), KeySet(envelope_key(HOUR, number.to_bytes(32, "big")) for number in range(count)))
    pair.asked.receive(1, Keyed(0, 1, bytes(20), END, b"\x61\0\0\1" + bytes(16)), 0)
    assert len(pair.said) == 1 - more


def test_a_malformed_payload_is_the_peers_fault() -> None:
    pair = Pair(*two_sets())
    with pytest.raises(PeerError):
        pair.asked.receive(1, Keyed(0, 1, bytes(20), END, b""), 0)
    pair.asking.begin(1, HOUR)
    with pytest.raises(PeerError):
        pair.asking.receive(1, Keyed(1, 1, bytes(20), END, b"\x62"), 0)
