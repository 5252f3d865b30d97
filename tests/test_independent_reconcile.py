"""The second reconcile agrees with the vectors byte for byte, and so with ours on sets they do not hold."""

import random

import pytest

from meshd.proto.keyset import KeySet
from meshd.proto.reconcile import Initiator, respond
from scripts import vectors_reconcile
from tests import independent as ground
from tests import independent_reconcile as other
from tests.wire_vectors import b, load, named


def keys_of(ranges: list[list[int]], floor_hour: int = 0) -> list[bytes]:
    keys = [vectors_reconcile.vector_key(n) for first, last in ranges for n in range(first, last)]
    return sorted(key for key in keys if int.from_bytes(key[:8], "big") >= floor_hour)


def test_varints_and_fingerprints():
    vector = load("reconcile.json")
    for number, made in vector["varints"].items():
        assert other.varint(int(number)).hex() == made
        assert other.read_varint(b(made), 0) == (int(number), len(made) // 2)
    for each in vector["fingerprints"]:
        assert other.print_of(keys_of(each["set"])).hex() == each["fingerprint"]


@pytest.mark.parametrize("vector", named(load("reconcile.json")["conversations"]))
def test_conversation(vector):
    here = keys_of(vector["initiator"], vector["floor_hour"])
    there = keys_of(vector["responder"], vector["floor_hour"])
    opening = other.opening(here)
    if not vector["opens_with_one_fingerprint"]:
        opening = other.encode(other.split(here, other.END))
    assert opening.hex() == vector["messages"][0]
    limit, (had, needed) = vector["frame_size_limit"], ([], [])
    for number in range(0, len(vector["messages"]), 2):
        question, reply = (b(each) for each in vector["messages"][number : number + 2])
        assert other.answer(there, question, limit) == reply
        following = other.answer(here, reply, limit, (had, needed))
        last = number + 2 == len(vector["messages"])
        assert following == (b"\x61" if last else b(vector["messages"][number + 2]))
    assert sorted(key[8:].hex() for key in had) == sorted(vector["have"])
    assert sorted(each.hex() for each in needed) == sorted(vector["need"])


def test_an_opening_with_jittered_bounds():
    vector = load("reconcile.json")["jittered"]
    here, there = keys_of(vector["initiator"]), keys_of(vector["responder"])
    messages, found = list(map(b, vector["messages"])), ([], [])
    equal = other.decode(other.encode(other.split(here, other.END)))
    assert [each.bound for each in other.decode(messages[0])] != [each.bound for each in equal]
    for number in range(0, len(messages), 2):
        assert other.answer(there, messages[number], 0) == messages[number + 1]
        following = other.answer(here, messages[number + 1], 0, found)
        assert following == (messages[number + 2] if number + 2 < len(messages) else b"\x61")
    assert found == ([vectors_reconcile.vector_key(0)], [vectors_reconcile.vector_key(700)[8:]])


@pytest.mark.parametrize("vector", load("keyed.json")["ids"])
def test_a_keyed_id(vector):
    keyed = other.keyed_with(b(load("keyed.json")["handshake_hash"]))
    assert keyed(b(vector["id"])).hex() == vector["keyed_id"]


@pytest.mark.parametrize("vector", named(load("keyed.json")["rounds"]))
def test_keyed_round(vector):
    keyed = other.keyed_with(b(load("keyed.json")["handshake_hash"]))
    whole = [
        sorted(keys_of(vector[side]) + list(map(b, vector[f"{side}_more"])))
        for side in ("initiator", "responder")
    ]
    assert [other.print_of(keys).hex() for keys in whole] == vector["plain_fingerprints"]
    ends = vector["first"], vector["end"]
    here, there = ([key for key in keys if ends[0] <= key[4:24].hex() < ends[1]] for keys in whole)
    had: list[bytes] = []
    needed: list[bytes] = []
    question = other.opening(here, keyed)
    for number in range(0, len(vector["messages"]), 2):
        reply = other.answer(there, question, 0, None, keyed)
        for answer, payload in enumerate((question, reply)):
            name, slots = ground.message(b(vector["messages"][number + answer]))
            assert (name, slots) == ("keyed", [answer, 1, *map(b, ends), payload])
        question = other.answer(here, reply, 0, (had, needed), keyed)
    assert question == b"\x61"
    assert ([key.hex() for key in had], [each.hex() for each in needed]) == (vector["have"], vector["need"])


def test_two_sets_of_one_sum_are_among_the_keyed_rounds():
    (vector,) = (each for each in load("keyed.json")["rounds"] if each["name"] == "two sets of one sum")
    assert vector["plain_fingerprints"][0] == vector["plain_fingerprints"][1]
    assert vector["have"] == sorted(vector["initiator_more"])
    assert vector["need"] == sorted(each[16:] for each in vector["responder_more"])


@pytest.mark.parametrize("vector", named(load("reconcile.json")["refused"]))
def test_refused(vector):
    with pytest.raises(ground.Close):
        other.answer([], b(vector["message"]), 4096)


@pytest.mark.parametrize("seed", range(12))
def test_each_answers_the_other(seed):
    rng = random.Random(seed)
    numbers = rng.sample(range(3000), 700)
    here = sorted(map(vectors_reconcile.vector_key, numbers[: rng.randrange(600)]))
    there = sorted(map(vectors_reconcile.vector_key, numbers[rng.randrange(200) :]))
    limit = rng.choice([0, 4096])
    asking, asked = Initiator(KeySet(here), 0, limit), KeySet(there)
    had: list[bytes] = []
    needed: list[bytes] = []
    question: bytes | None = asking.probe()
    theirs: tuple[list[bytes], list[bytes]] = [], []
    while question is not None:
        reply = other.answer(there, question, limit)
        assert reply == respond(asked, 0, question, limit)
        following = other.answer(here, reply, limit, theirs)
        have, need, question = asking.receive(reply)
        assert following == (question or b"\x61")
        had += have
        needed += need
    assert (sorted(theirs[0]), sorted(theirs[1])) == (sorted(had), sorted(needed))
    assert set(had) == set(here) - set(there)
    assert set(needed) == {key[8:] for key in set(there) - set(here)}
