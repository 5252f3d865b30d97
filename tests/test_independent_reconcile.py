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
        assert ground.varint(int(number)).hex() == made
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
