"""Cues: what has to happen for a scenario to fire, as a small tree.

The rule (protocol.md, "Plans"): a cue is a leaf, or `needed` of several cues. In bytes it stands in prefix order, a
number for the kind of a node and then its fields, each of a fixed size:

    1 call · 2 phrase · 3 at: u32 time · 4 after: u8 scenario, u32 delay · 5 dark: u8 observers
    6 silence: u8 person, u16 hours, u8 observers · 7 some: u8 k, u8 n, then n cues

So `all` is n of n and `any` is 1 of n, and there is one way to write each tree. Size, nodes and depth are bounded,
because everybody's node goes through all trees again and again.

A leaf's *number* is its place among the leaves in that order. Who judges leaves (a call by its signatures, the dark by
what this node sees) is asked for each of them every time, whether the outcome needs it or not: some latch when they are
seen to be met, and that must not hang on what stands before them.

Scenarios and persons are places in the lists of the plan; that they exist is checked where the lists are (`plan`).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields

from meshd.errors import PeerError
from meshd.limits import CUE_BRANCHES_MAX, CUE_DEPTH_MAX, CUE_NODES_MAX, CUE_SIZE_MAX


@dataclass(frozen=True, slots=True)  # no tuples: a call and a phrase would be equal, having no fields
class Call:
    """As many organisers as the plan's threshold have called."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """The scenario's phrase lock was opened."""


@dataclass(frozen=True, slots=True)
class At:
    """A time has come."""

    time_s: int  # since 1970


@dataclass(frozen=True, slots=True)
class After:
    """Another scenario fired so long ago."""

    scenario: int  # place among the plan's scenarios
    delay_s: int


@dataclass(frozen=True, slots=True)
class Dark:
    """This node sees a blackout, and so many observers attest it."""

    observers: int


@dataclass(frozen=True, slots=True)
class Silence:
    """So many observers have not heard from a person for so long."""

    person: int  # place among the plan's people
    hours: int
    observers: int


@dataclass(frozen=True, slots=True)
class Some:
    """So many of several cues are met."""

    needed: int
    cues: tuple["Cue", ...]


Leaf = Call | Phrase | At | After | Dark | Silence
Cue = Leaf | Some

_SOME = 7
_KINDS: dict[int, tuple[type[Leaf], tuple[int, ...]]] = {  # number: leaf, sizes of its fields
    1: (Call, ()),
    2: (Phrase, ()),
    3: (At, (4,)),
    4: (After, (1, 4)),
    5: (Dark, (1,)),
    6: (Silence, (1, 2, 1)),
}
_NUMBERS = {leaf: number for number, (leaf, _) in _KINDS.items()}


def encode(cue: Cue) -> bytes:
    """The bytes of a cue. OverflowError for a number that does not fit its field; `parse` judges the rest."""
    if isinstance(cue, Some):
        return _bytes((_SOME, cue.needed, len(cue.cues)), (1, 1, 1)) + b"".join(map(encode, cue.cues))
    number = _NUMBERS[type(cue)]
    return _bytes((number, *[getattr(cue, field.name) for field in fields(cue)]), (1, *_KINDS[number][1]))


def parse(raw: bytes) -> Cue:
    """The cue in these bytes; PeerError if they are none, or one that is too large."""
    if len(raw) > CUE_SIZE_MAX:
        raise PeerError("a cue that is too long")
    reading = _Reading(raw)
    cue = reading.cue(1)
    if reading.at != len(raw):
        raise PeerError("bytes behind a cue")
    return cue


def leaves(cue: Cue) -> Iterator[Leaf]:
    """The leaves in prefix order: their places are their numbers."""
    if isinstance(cue, Some):
        for each in cue.cues:
            yield from leaves(each)
    else:
        yield cue


def met_ms(cue: Cue, leaf_ms: Callable[[int, Leaf], int | None]) -> int | None:
    """Since when a cue is met: for one that needs k others, since the k-th of them is. None: it is not.

    `leaf_ms` says it of a leaf, by number, and is asked for every leaf once, in order.
    """
    return _met_ms(cue, iter([leaf_ms(number, leaf) for number, leaf in enumerate(leaves(cue))]))


def in_order(cues: Sequence[Cue]) -> list[int]:
    """The places of these cues, each behind those that it comes after; without those that wait for themselves, be it
    through others, or for one that is not there."""
    waits = [{leaf.scenario for leaf in leaves(cue) if isinstance(leaf, After)} for cue in cues]
    order: list[int] = []
    while ready := [place for place, on in enumerate(waits) if place not in order and on <= set(order)]:
        order += ready
    return order


def _bytes(numbers: Iterable[int], sizes: Iterable[int]) -> bytes:
    return b"".join(number.to_bytes(size, "big") for number, size in zip(numbers, sizes, strict=True))


def _met_ms(cue: Cue, verdicts: Iterator[int | None]) -> int | None:
    if not isinstance(cue, Some):
        return next(verdicts)
    met = sorted(ms for each in cue.cues if (ms := _met_ms(each, verdicts)) is not None)
    return met[cue.needed - 1] if len(met) >= cue.needed else None


class _Reading:
    """A place in the bytes of a cue, and how many nodes came before it."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._nodes = 0
        self.at = 0

    def cue(self, depth: int) -> Cue:
        self._nodes += 1
        if depth > CUE_DEPTH_MAX or self._nodes > CUE_NODES_MAX:
            raise PeerError("a cue with too many nodes, or too deep")
        number = self._number(1)
        if number == _SOME:
            needed, count = self._number(1), self._number(1)
            if not 1 <= needed <= count <= CUE_BRANCHES_MAX:
                raise PeerError("a cue that asks for none of its branches, or for more than there are")
            return Some(needed, tuple([self.cue(depth + 1) for _ in range(count)]))
        if number not in _KINDS:
            raise PeerError("a cue of a kind that nobody knows")
        kind, sizes = _KINDS[number]
        leaf = kind(*[self._number(size) for size in sizes])
        if isinstance(leaf, Dark | Silence) and not leaf.observers:
            raise PeerError("a cue that nobody has to observe")
        if isinstance(leaf, Silence) and not leaf.hours:
            raise PeerError("a silence of no time")
        return leaf

    def _number(self, size: int) -> int:
        piece = self._raw[self.at : self.at + size]
        if len(piece) != size:
            raise PeerError("a cue that is cut")
        self.at += size
        return int.from_bytes(piece, "big")
