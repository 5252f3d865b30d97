"""Cues: one way to write each tree, no bytes that break the reader, and every leaf is asked."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd.errors import PeerError
from meshd.limits import CUE_BRANCHES_MAX, CUE_NODES_MAX, CUE_SIZE_MAX
from meshd.plans import cue
from meshd.plans.cue import After, At, Call, Dark, Phrase, Silence, Some
from tests.plan_parts import cues

ALL = Some(6, (Call(), Phrase(), At(1), After(2, 3), Dark(4), Silence(5, 6, 7)))
ALL_BYTES = "070606 01 02 0300000001 040200000003 0504 0605000607"


def test_bytes() -> None:
    assert cue.encode(ALL) == bytes.fromhex(ALL_BYTES)
    assert cue.parse(bytes.fromhex(ALL_BYTES)) == ALL


@given(cues())
def test_what_is_encoded_is_read_again(made: cue.Cue) -> None:
    raw = cue.encode(made)
    try:
        assert cue.parse(raw) == made
    except PeerError:
        nodes = sum(1 for _ in cue.leaves(made)) + raw.count(7)
        assert nodes > CUE_NODES_MAX


@given(st.binary(max_size=CUE_SIZE_MAX + 9) | st.lists(st.integers(0, 8), max_size=90).map(bytes))
def test_any_bytes_are_a_cue_that_encodes_to_them_or_none(raw: bytes) -> None:
    try:
        read = cue.parse(raw)
    except PeerError:
        return
    assert cue.encode(read) == raw


def chain(depth: int) -> bytes:
    return bytes((7, 1, 1)) * (depth - 1) + b"\x01"


def wide(calls: int) -> bytes:
    """A root over full branches, with so many calls in all: 4 + 1 nodes stand above them."""
    each, more = divmod(calls, 4)
    counts = [each + (place < more) for place in range(4)]
    return bytes((7, 1, 4)) + b"".join(bytes((7, 1, count)) + b"\x01" * count for count in counts)


def test_limits() -> None:
    assert cue.parse(chain(4))
    assert cue.parse(wide(CUE_NODES_MAX - 5))
    most = Some(CUE_BRANCHES_MAX, (Call(),) * CUE_BRANCHES_MAX)
    assert cue.parse(cue.encode(most)) == most


@pytest.mark.parametrize(
    "raw",
    {
        "nothing": b"",
        "kind 0": b"\x00",
        "kind 8": b"\x08",
        "cut": bytes.fromhex("03000000"),
        "a branch is missing": bytes.fromhex("07010201"),
        "a byte behind": b"\x01\x01",
        "none needed": bytes.fromhex("07000101"),
        "more needed than there are": bytes.fromhex("07020101"),
        "no branches": bytes.fromhex("070100"),
        "17 branches": bytes((7, 1, 17)) + b"\x01" * 17,
        "five deep": chain(5),
        "33 nodes": wide(CUE_NODES_MAX - 4),
        "257 bytes": bytes((7, 1, 1)) * 85 + b"\x05\x01",
        "dark, and nobody says so": b"\x05\x00",
        "silence that nobody observes": bytes.fromhex("0600000100"),
        "silence of no hours": bytes.fromhex("0600000001"),
    }.items(),
    ids=lambda case: case[0],
)
def test_refused(raw: tuple[str, bytes]) -> None:
    with pytest.raises(PeerError):
        cue.parse(raw[1])


def test_too_many_bytes_are_refused_before_one_is_read() -> None:
    with pytest.raises(PeerError, match="too long"):
        cue.parse(b"\x01" * (CUE_SIZE_MAX + 1))


@pytest.mark.parametrize("number", [At(2**32), After(256, 0), Dark(-1), Some(1, (Call(),) * 256)])
def test_a_number_that_does_not_fit_is_not_encoded(number: cue.Cue) -> None:
    with pytest.raises(OverflowError):
        cue.encode(number)


def test_leaves_are_numbered_in_prefix_order() -> None:
    tree = Some(1, (Some(2, (Call(), At(1))), Phrase(), Some(1, (At(2),))))
    assert list(cue.leaves(tree)) == [Call(), At(1), Phrase(), At(2)]
    assert list(cue.leaves(Call())) == [Call()]


def test_a_call_is_no_phrase() -> None:
    assert Call() != Phrase()
    assert At(1) != Dark(1)


@pytest.mark.parametrize(
    "since, outcome",
    [
        ((None, None, None, None), None),
        ((9, None, None, None), None),
        ((9, None, 4, None), 9),
        ((9, 8, None, None), 9),
        ((3, 8, None, None), 8),
        ((None, None, 5, 7), None),
        ((None, 3, 5, 7), 5),
        ((9, 6, 5, 7), 6),
    ],
)
def test_met_since_the_last_that_was_needed(since: tuple[int | None, ...], outcome: int | None) -> None:
    tree = Some(2, (Call(), Phrase(), Some(1, (At(1), At(2)))))
    asked = []

    def leaf_ms(number: int, leaf: cue.Leaf) -> int | None:
        asked.append((number, leaf))
        return since[number]

    assert cue.met_ms(tree, leaf_ms) == outcome
    assert asked == list(enumerate(cue.leaves(tree)))  # all, whatever those before them said


@given(cues(), st.randoms(use_true_random=False))
def test_more_that_is_met_never_makes_a_cue_unmet_or_later(made: cue.Cue, rng: random.Random) -> None:
    since = [rng.randrange(100) for _ in cue.leaves(made)]
    some = [rng.random() < 0.5 for _ in since]
    all_ms = cue.met_ms(made, lambda number, _: since[number])
    some_ms = cue.met_ms(made, lambda number, _: since[number] if some[number] else None)
    assert all_ms is not None and (some_ms is None or all_ms <= some_ms)
    assert cue.met_ms(made, lambda number, _: None) is None
