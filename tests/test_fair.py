"""Who goes next on a link, when what is fresh came from several."""

from hypothesis import given
from hypothesis import strategies as st

from meshd.limits import ENVELOPE_SIZE_MAX, FRESH_MAX, TURN_SIZE
from meshd.proto.fair import Turns


def fresh(source: int, count: int) -> list[tuple[bytes, int]]:
    """References of what came from one source, the first byte its number; sequences count up."""
    return [(bytes((source,)) + number.to_bytes(19, "big"), number) for number in range(count)]


def sent(turns: Turns, size_max: int, sizes: dict[int, int]) -> list[int]:
    """The sources of what goes until so many bytes are gone, each source's envelopes being of one size."""
    order = []
    while turns and size_max > 0:
        source = turns.sources()[0]
        if turns.fits(source, sizes[source]):
            turns.take(source, sizes[source])
            size_max -= sizes[source]
            order.append(source)
    return order


def test_who_brings_one_thing_waits_for_one_turn_of_who_brings_much() -> None:
    turns = Turns()
    turns.add(1, fresh(1, 10_000))
    turns.add(2, fresh(2, 1))
    assert sent(turns, 10**6, {1: 400, 2: 400}).index(2) == TURN_SIZE // 400


def test_turns_are_of_bytes_and_not_of_envelopes() -> None:
    turns = Turns()
    turns.add(1, fresh(1, 1_000))
    turns.add(2, fresh(2, 10_000))
    order = sent(turns, 2 * 10**6, {1: 30_000, 2: 400})
    assert abs(order.count(1) * 30_000 - order.count(2) * 400) < ENVELOPE_SIZE_MAX + TURN_SIZE


def test_a_source_that_comes_back_has_saved_nothing_up() -> None:
    turns = Turns()
    for _ in range(100):
        turns.add(1, fresh(1, 1))
        assert sent(turns, 1, {1: 100}) == [1]
    turns.add(1, fresh(1, 1_000))
    turns.add(2, fresh(2, 1))
    assert sent(turns, 10**6, {1: 400, 2: 400}).index(2) == TURN_SIZE // 400


def test_of_one_source_so_much_waits_and_no_more() -> None:
    turns = Turns()
    for _ in range(2):
        turns.add(1, fresh(1, FRESH_MAX + 1))
    turns.add(2, fresh(2, 5))
    assert len(turns) == FRESH_MAX + 5


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.booleans()), max_size=20))
def test_each_goes_once_in_its_source_s_order_unless_it_need_not(
    steps: list[tuple[int, int, bool]],
) -> None:
    turns, waiting = Turns(), {source: list[int]() for source in range(4)}
    made = {source: fresh(source, 200) for source in range(4)}
    for source, count, discard in steps:
        new = [made[source].pop(0) for _ in range(count)]
        turns.add(source, new)
        waiting[source] += [sequence for _, sequence in new]
        if discard and waiting[source]:
            sequence = waiting[source].pop()
            turns.discard(fresh(source, sequence + 1)[-1][0])
    gone: dict[int, list[int]] = {source: [] for source in range(4)}
    while turns:
        source = turns.sources()[0]
        reference, sequence = turns.peek(source)
        if turns.fits(source, 5_000):
            turns.take(source, 5_000)
            gone[reference[0]].append(sequence)
    assert gone == waiting
