"""Which links are pushed to: duplicates make them lazy down to a floor, grafts make them eager again."""

from meshd.limits import EAGER_MIN
from meshd.proto.tree import Tree


def tree(links: int) -> Tree:
    made = Tree()
    for link in range(links):
        made.opened(link)
    return made


def test_a_duplicate_makes_a_link_lazy_down_to_the_floor() -> None:
    made = tree(EAGER_MIN + 1)
    assert made.repeated(0) and not made.is_eager(0)
    assert not made.repeated(1) and made.is_eager(1)
    assert made.eager_count() == EAGER_MIN


def test_a_peer_that_pushes_over_a_lazy_link_is_told_again() -> None:
    made = tree(EAGER_MIN + 1)
    assert made.repeated(0) and made.repeated(0)
    assert made.eager_count() == EAGER_MIN


def test_the_peer_may_silence_us_below_the_floor() -> None:
    made = tree(1)
    made.silence(0)
    assert not made.is_eager(0)


def test_what_had_to_be_asked_for_makes_its_link_eager_and_the_peer_is_told_once() -> None:
    made = tree(1)
    assert not made.graft(0)
    made.silence(0)
    assert made.graft(0) and made.is_eager(0)
    assert not made.graft(0)


def test_a_link_that_is_gone_counts_no_longer() -> None:
    made = tree(EAGER_MIN + 1)
    made.closed(0)
    assert not made.repeated(1)
