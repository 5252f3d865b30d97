"""When links are read, and what goes on from one link to the next at the same host."""

from meshd import codec
from meshd.events import Effect, Now, Rest
from meshd.ingress import Ingress
from meshd.limits import CONTACT_FACTOR, OVER_RATE_MS, PUSH_BURST, RECEIVED_FACTOR, ROUND_MS, SLICE_MAX
from meshd.proto.message import Give

START = Now(0, 0, False)


def give(count: int, *, fresh: int = 1) -> Give:
    return Give(fresh, codec.join([bytes(400)] * count))


def later(ms: int) -> Now:
    return START._replace(mono_ms=ms)


def test_a_contact_leaves_nothing_spent_behind_and_a_stranger_does() -> None:
    ingress = Ingress(list[Effect]().append)
    ingress.opened(1, "oak", START)
    ingress.recognised(1)
    taken = [len(ingress.given(1, give(1_000), "oak:1", START).raws) for _ in range(7)]
    assert sum(taken) == PUSH_BURST * RECEIVED_FACTOR * CONTACT_FACTOR
    ingress.closed(1, START)
    for link, allowed in ((2, PUSH_BURST * RECEIVED_FACTOR), (3, 0)):
        ingress.opened(link, "oak", START)
        assert len(ingress.given(link, give(1_000), "oak:2", START).raws) == allowed
        ingress.closed(link, START)


def test_a_link_rests_until_what_it_gave_is_looked_at_and_its_time_is_over() -> None:
    effects: list[Effect] = []
    ingress = Ingress(effects.append)
    for link in (1, 2):
        ingress.opened(link, "oak", START)
        ingress.heard(link, START)
    ingress.given(1, give(PUSH_BURST * RECEIVED_FACTOR + 1), "oak:1", START)
    ingress.let_rest(START)
    assert effects == [Rest(1, True)]
    ms = 0
    while ingress.turn(later(ms)) is not None or ms < OVER_RATE_MS - 1:
        ingress.let_rest(later(ms))
        ms += 1
    assert len(effects) == 1 and ingress.next_deadline() == OVER_RATE_MS
    ingress.let_rest(later(OVER_RATE_MS))
    assert effects[1:] == [Rest(1, False)] and ingress.next_deadline() is None
    ingress.wanted(1, 2 * SLICE_MAX, later(OVER_RATE_MS))
    ingress.given(1, give(2 * SLICE_MAX, fresh=0), "oak:1", later(OVER_RATE_MS))
    ingress.let_rest(later(OVER_RATE_MS))
    assert effects[2:] == [Rest(1, True)], "for what waits alone"


def test_what_was_wanted_may_come_as_long_as_some_of_it_comes() -> None:
    ingress = Ingress(list[Effect]().append)
    ingress.opened(1, "oak", START)
    ingress.given(1, give(PUSH_BURST * RECEIVED_FACTOR), "oak:1", START)
    ingress.wanted(1, 3, START)
    for nth, new in enumerate((True, False, False)):
        late = later((nth + 1) * (ROUND_MS - 1))
        bucket = ingress.inflows[1].bucket
        bucket.allow([1] * 1_000, late.mono_ms)  # what it was filled up with
        assert len(ingress.given(1, give(1, fresh=0), "oak:1", late).raws) == (nth < 2)
        if new:
            ingress.brought(1, late)
