"""Shares: any k give the key, fewer and false ones nothing, and what is misheard is told from what is false."""

import itertools
import random
from typing import Any

import pytest
import shamir_mnemonic
from hypothesis import given, settings
from hypothesis import strategies as st
from shamir_mnemonic import shamir

from meshd.errors import CallerError, Code
from meshd.plans import locks, shares
from meshd.plans.plan import Seal
from meshd.plans.shares import Combined
from tests.plan_parts import CHANNEL, seeded

KEY = b"0123456789abcdef"


def seal_of(split: list[bytes], key: bytes = KEY, channel: bytes = CHANNEL) -> Seal:
    commitments = tuple(shares.commitment(channel, share) for share in split)
    return Seal(locks.key_hash(channel, key), b"", None, commitments, (), ())


SPLIT = shares.split(KEY, 3, 5, seeded(1))
SEAL = seal_of(SPLIT)


def test_a_share_is_25_bytes_and_names_its_place() -> None:
    assert [len(share) for share in SPLIT] == [25] * 5
    assert [shares.place(share) for share in SPLIT] == [0, 1, 2, 3, 4]
    assert all(shares.is_true(CHANNEL, SEAL, share) for share in SPLIT)


def test_another_length_is_no_share() -> None:
    for other in (b"", SPLIT[0][:5], SPLIT[0][:24], SPLIT[0] + b"\0"):
        assert shares.place(other) is None


def test_any_three_of_five_in_any_order() -> None:
    for some in itertools.combinations(range(5), 3):
        for order in (some, some[::-1]):
            found = shares.combine(CHANNEL, SEAL, 3, [SPLIT[place] for place in order])
            assert found == Combined(some, (), KEY)


def test_more_than_are_needed() -> None:
    assert shares.combine(CHANNEL, SEAL, 3, SPLIT) == Combined((0, 1, 2, 3, 4), (), KEY)


def test_two_of_five_give_nothing() -> None:
    for some in itertools.combinations(range(5), 2):
        assert shares.combine(CHANNEL, SEAL, 3, [SPLIT[place] for place in some]).key is None


def test_one_twice_is_one() -> None:
    assert shares.combine(CHANNEL, SEAL, 3, [SPLIT[0], SPLIT[1], SPLIT[1]]) == Combined((0, 1), (), None)


@settings(max_examples=25)
@given(st.binary(min_size=16, max_size=16), st.integers(2, 16), st.data())
def test_any_k_of_n(key: bytes, count: int, draw: st.DataObject) -> None:
    needed = draw.draw(st.integers(2, count))
    split = shares.split(key, needed, count, seeded(draw.draw(st.integers(0, 99))))
    some = draw.draw(st.permutations(split))
    assert shares.combine(CHANNEL, seal_of(split, key), needed, some[:needed]).key == key
    assert shares.combine(CHANNEL, seal_of(split, key), needed, some[: needed - 1]).key is None


@given(st.sampled_from(range(25 * 8)), st.sampled_from(range(5)))
def test_a_flipped_bit_makes_a_share_false(bit: int, which: int) -> None:
    raw = bytearray(SPLIT[which])
    raw[bit // 8] ^= 1 << bit % 8
    flipped = bytes(raw)
    assert not shares.is_true(CHANNEL, SEAL, flipped)
    found = shares.combine(CHANNEL, SEAL, 3, [flipped, *SPLIT[:which], *SPLIT[which + 1 :]])
    named = shares.place(flipped)
    assert found.false == (() if named is None else (named,))
    assert found.key == KEY


@given(st.lists(st.binary(max_size=27) | st.sampled_from(SPLIT), max_size=4))
def test_any_bytes_are_no_share(given_: list[bytes]) -> None:
    found = shares.combine(CHANNEL, SEAL, 3, given_)
    assert {SPLIT[place] for place in found.true} == set(given_) & set(SPLIT)


def test_elsewhere_it_is_false() -> None:
    assert not shares.is_true(b"h" * 16, SEAL, SPLIT[0])
    assert not shares.is_true(CHANNEL, SEAL._replace(commitments=SEAL.commitments[1:]), SPLIT[0])
    assert not shares.is_true(CHANNEL, SEAL._replace(commitments=()), SPLIT[0])


def test_true_shares_of_a_liar_give_no_key() -> None:
    """The author committed to shares of another key, to shares of two keys, or of which more are needed."""
    assert shares.combine(CHANNEL, seal_of(SPLIT, b"another key 16 b"), 3, SPLIT).key is None
    mixed = SPLIT[:2] + shares.split(KEY, 3, 5, seeded(2))[2:]
    assert shares.combine(CHANNEL, seal_of(mixed), 3, mixed) == Combined((0, 1, 2, 3, 4), (), None)
    two = shares.split(KEY, 2, 5, seeded(1))
    assert shares.combine(CHANNEL, seal_of(two), 3, two[:2]).key is None  # as many as the plan says, not they
    assert shares.combine(CHANNEL, seal_of(two), 3, two).key is None
    four = shares.split(KEY, 4, 5, seeded(1))
    assert shares.combine(CHANNEL, seal_of(four), 3, four).key is None


def foreign(**parameters: Any) -> bytes:
    """A share as the library makes it, of another kind than ours."""
    arguments = {"passphrase": b"", "extendable": True, "iteration_exponent": 0} | parameters
    groups = arguments.pop("groups", [(2, 3)])
    with shares._drawing_from(seeded(3)):
        made = shamir_mnemonic.generate_mnemonics(arguments.pop("of", 1), groups, KEY, **arguments)
    return shares._from_words(made[-1][1].split())


@pytest.mark.parametrize(
    "parameters",
    [
        {"iteration_exponent": 1},
        {"extendable": False},
        {"groups": [(2, 3), (2, 3)]},
        {"groups": [(2, 3), (2, 3)], "of": 2},
    ],
)
def test_a_share_of_another_kind_is_none_even_if_it_is_committed_to(parameters: dict[str, Any]) -> None:
    share = foreign(**parameters)
    assert shares.place(foreign()) == 1
    assert shares.place(share) is None
    seal = seal_of([share] * 5)
    assert not shares.is_true(CHANNEL, seal, share)
    assert shares.combine(CHANNEL, seal, 2, [share]) == Combined((), (), None)
    with pytest.raises(CallerError, match="of no plan"):
        shares.from_words(shares.to_words(share))


def test_an_endless_exponent_is_not_worked_through(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> bytes:
        raise AssertionError

    monkeypatch.setattr(shamir_mnemonic, "combine_mnemonics", never)
    costly = [(int.from_bytes(share, "big") | 0xF << 180).to_bytes(25, "big") for share in SPLIT]
    assert shares.combine(CHANNEL, seal_of(costly), 3, costly) == Combined((), (), None)


def test_words() -> None:
    for share in SPLIT:
        spoken = shares.to_words(share)
        assert len(spoken.split()) == 20
        assert shares.from_words(spoken) == share
        assert shares.from_words("\n".join(spoken.upper().split())) == share
        assert shares.from_words(spoken.replace(" ", ", ")) == share
        assert shamir_mnemonic.Share.from_mnemonic(spoken).index == shares.place(share)


def test_words_of_many_shares_have_all_their_bits() -> None:
    rng = random.Random(1)
    for _ in range(200):
        raw = rng.randbytes(25)
        assert shares._from_words(shares.to_words(raw).split()) == raw
    assert shares.to_words(bytes(25)) == " ".join(["academic"] * 20)
    assert shares.to_words(b"\xff" * 25) == " ".join(["zero"] * 20)


SPOKEN = shares.to_words(SPLIT[0]).split()


@pytest.mark.parametrize(
    ("spoken", "says"),
    [
        (SPOKEN[:-1], "20 words, these are 19"),
        ([*SPOKEN, "academic"], "these are 21"),
        ([], "these are 0"),
        (["otter", *SPOKEN[1:]], "'otter' is not a word"),
        ([SPOKEN[1], SPOKEN[0], *SPOKEN[2:]], "wrong, or two are swapped"),
        ([*SPOKEN[:7], "zero" if SPOKEN[7] != "zero" else "academic", *SPOKEN[8:]], "wrong"),
    ],
)
def test_misheard_words(spoken: list[str], says: str) -> None:
    with pytest.raises(CallerError, match=says) as refused:
        shares.from_words(" ".join(spoken))
    assert refused.value.code is Code.usage


def test_a_share_is_drawn_from_entropy_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def own(size: int) -> bytes:
        raise AssertionError("the library's own draw")

    monkeypatch.setattr(shamir, "RANDOM_BYTES", own)
    assert shares.split(KEY, 3, 5, seeded(1)) == SPLIT
    assert shares.split(KEY, 3, 5, seeded(2)) != SPLIT
    assert shamir.RANDOM_BYTES is own
    with pytest.raises(RuntimeError):
        shares.split(KEY, 3, 5, bytes)  # zeros
    with pytest.raises(ValueError):
        shares.split(KEY, 6, 5, seeded(1))
    assert shamir.RANDOM_BYTES is own
