"""Chains: holes, forks and heads, whatever the order of arrival."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshd.store.log import Entry, Log
from tests.logs import (
    ASH,
    BRIDGE,
    KEY,
    OAK,
    OWN,
    SEED,
    SQUARE,
    chain,
    entry,
    reopened,
    shown,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def log(path: Path) -> Iterator[Log]:
    made = Log.create(path, KEY, SEED, "me", durable=False)
    made.join(SQUARE, "square", "public")
    made.join(BRIDGE, "bridge", "public")
    made.commit()
    yield made
    made.close()


# --- holes, forks, heads ---


def test_hole_between_lowest_and_highest(log: Log) -> None:
    posts = chain(OAK, 9)
    log.insert_many([posts[2], posts[7]])
    assert log.missing() == log.missing(SQUARE) == [(OAK, SQUARE, 4)]
    log.insert_many([posts[4], posts[1]])
    assert log.missing() == [(OAK, SQUARE, 3)]
    log.insert_many([posts[3], posts[5], posts[6]])
    assert log.missing() == log.missing(BRIDGE) == []


def test_holes_of_several_incarnations_are_summed(log: Log) -> None:
    for incarnation in 5, 6:
        log.insert_many([chain(OAK, 4, incarnation=incarnation)[n] for n in (0, 3)])
    log.insert_many([entry(OAK, 1, channel=BRIDGE)])
    assert log.missing() == [(OAK, SQUARE, 4)]


def test_absent_parent_is_nobodys_until_it_comes(log: Log, path: Path) -> None:
    parent = entry(OAK, 1)
    child = entry(ASH, 1, parent)
    log.insert_many([child, entry(OWN, 1, parent, child, at_s=3)])
    again = reopened(log, path)
    assert again.missing() == [(None, SQUARE, 1)]
    again.insert_many([parent])
    assert again.missing() == []
    again.close()


def test_a_fork_of_the_lowest_is_one_too(log: Log) -> None:
    lowest, after = chain(OAK, 3)[1:]
    log.insert_many([lowest, after])
    log.insert_many([entry(OAK, 2, chain(OAK, 1)[0], at_s=50)])
    assert [row.forked for row in log.after(0, SQUARE, 9)] == [True, False, True]
    assert log.missing() == []


def test_the_chains_in_memory_are_bounded_and_come_back_from_the_file(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meshd.store.chains.CHAINS_MAX", 2)
    for incarnation in range(5, 9):
        log.insert_many([chain(OAK, 3, incarnation=incarnation)[0]])
        log.commit()
        assert len(log._chains._by_name) <= 2
    log.insert_many([chain(OAK, 3, incarnation=5)[2]])
    assert log.missing() == [(OAK, SQUARE, 1)]


def test_fork_marks_both(log: Log, path: Path) -> None:
    first, second = chain(OAK, 2)
    twin = entry(OAK, 2, first, text="something else")
    log.insert_many([first, second])
    again = reopened(log, path)
    assert again.insert_many([twin])[0] == 3
    assert [row.forked for row in again.after(0, SQUARE, 9)] == [False, True, True]
    again.insert_many([entry(OAK, 4, b"3" * 32), entry(OAK, 4, b"3" * 32, text="too")])
    assert [row.forked for row in again.after(3, SQUARE, 9)] == [True, True]
    assert again.missing() == [(OAK, SQUARE, 1)]  # a twin fills no hole
    again.close()


def test_heads_newest_first(log: Log) -> None:
    oak, ash = entry(OAK, 1, at_s=1), entry(ASH, 1, at_s=2)
    log.insert_many([oak, ash])
    assert log.heads(SQUARE, 8) == [ash.id, oak.id]
    assert log.heads(SQUARE, 1) == [ash.id]
    assert log.heads(BRIDGE, 8) == []
    joined = entry(OWN, 1, oak, ash, at_s=3)
    log.insert_many([joined])
    assert log.heads(SQUARE, 8) == [joined.id]


def test_a_parent_that_comes_after_its_child_is_no_head(log: Log, path: Path) -> None:
    oak = entry(OAK, 1)
    child = entry(ASH, 1, oak, at_s=2)
    log.insert_many([child])
    again = reopened(log, path)
    again.insert_many([oak])
    assert again.heads(SQUARE, 8) == [child.id]
    again.close()


def test_head_that_is_no_longer_in_memory(log: Log, path: Path) -> None:
    oak = entry(OAK, 1)
    log.insert_many([oak])
    again = reopened(log, path)
    child = entry(ASH, 1, oak, at_s=2)
    again.insert_many([child])
    assert again.heads(SQUARE, 8) == [child.id]
    again.close()


def test_a_post_in_another_channel_covers_nothing(log: Log) -> None:
    oak = entry(OAK, 1)
    log.insert_many([oak, entry(ASH, 1, oak, channel=BRIDGE)])
    assert log.heads(SQUARE, 8) == [oak.id]


def test_last_own_is_the_newest_of_all_incarnations(log: Log) -> None:
    assert log.last_own(SQUARE) is None
    before = [entry(OWN, 1, incarnation=9, at_s=1), entry(OWN, 1, incarnation=3, at_s=5)]
    log.insert_many([before[1], before[0], entry(OAK, 1, at_s=9)])
    assert log.last_own(SQUARE) == before[1].id
    assert log.last_own(BRIDGE) is None


# --- any posts, in any order, in any batches ---


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Entry], list[Entry], list[int]]:
    """(posts as they were written, some of them as they arrive, sizes of the batches)."""
    written: list[Entry] = []
    last: dict[tuple[bytes, int], Entry] = {}
    for at in range(draw(st.integers(1, 14))):
        author, incarnation = draw(st.sampled_from([OWN, OAK, ASH])), draw(st.integers(1, 2))
        previous = last.get((author, incarnation))
        others = [each for each in written if each is not previous]
        named = draw(st.lists(st.sampled_from(others), max_size=3, unique_by=id)) if others else []
        made = entry(
            author,
            previous.post.sequence + 1 if previous else 1,
            *([previous] if previous else []),
            *named,
            incarnation=incarnation,
            at_s=draw(st.integers(0, 3)) if draw(st.booleans()) else at,
            text=draw(st.sampled_from(["hello", f"post {at}", None])),
        )
        if made.id not in {each.id for each in written}:
            written.append(made)
            last[author, incarnation] = made
    arriving = draw(st.permutations(written))[: draw(st.integers(1, len(written)))]
    return written, arriving, draw(st.lists(st.integers(1, 5), min_size=14, max_size=14))


@settings(max_examples=60)
@given(histories())
def test_any_order_of_arrival_gives_the_same_log(history: tuple[list[Entry], list[Entry], list[int]]) -> None:
    _, arriving, sizes = history
    with TemporaryDirectory() as folder:
        log = Log.create(Path(folder, "log"), KEY, SEED, "me", durable=False)
        log.join(SQUARE, "square", "public")
        start = 0
        for size in sizes:
            log.insert_many(arriving[start : start + size])
            log.commit()
            start += size
        held = {each.id: each.post for each in arriving[:start]}
        missing = {author: number for author, _, number in log.missing()}
        heads = set(log.heads(SQUARE, 1000))
        order = shown(log)
        expected_text = {each.id for each in arriving[:start] if each.text is not None}
        log.close()

    by_chain: dict[tuple[bytes, int], set[int]] = {}
    for each in held.values():
        by_chain.setdefault((each.author, each.incarnation), set()).add(each.sequence)
    holes: dict[bytes | None, int] = {}
    for (author, _), sequences in by_chain.items():
        if gap := max(sequences) - min(sequences) + 1 - len(sequences):
            holes[author] = holes.get(author, 0) + gap
    named = {parent for each in held.values() for parent in each.parent_ids()[each.sequence > 1 :]}
    if absent := len(named - held.keys()):
        holes[None] = absent
    assert missing == holes

    tips = {
        identity
        for identity, each in held.items()
        if each.sequence == max(by_chain[each.author, each.incarnation])
    }
    assert heads == tips - named

    assert set(order) == expected_text
    place = dict(zip(order, count(), strict=False))
    for identity in order:
        for parent in held[identity].parent_ids():
            assert place.get(parent, -1) < place[identity]
