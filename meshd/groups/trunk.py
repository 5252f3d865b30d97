"""The trunk of a group: epochs that all ways lead through.

The rule (protocol.md, "Groups", *The base*, *What is over*): an epoch that every other one is an ancestor or a
descendant of can stand for all before it, because whatever follows knows of it, and so of them. From such an epoch one
may judge the rest without what came before: who is invited begins there, and what is over can be forgotten below it.
"""

from collections.abc import Callable, Mapping, Sequence

from meshd.groups.epochs import Epoch


def numbers(bits: int) -> list[int]:
    """Which bits are set, ascending."""
    return [number for number in range(bits.bit_length()) if bits >> number & 1]


def depth_over(parents: Sequence[Epoch]) -> int:
    """The depth of an epoch on these parents."""
    return 1 + max((parent.body.depth for parent in parents), default=-1)


def base(held: Mapping[bytes, Epoch], anchor: bytes | None) -> bytes | None:
    """The lowest held epoch that all ways down from the anchor lead through; None if that is not held."""
    if anchor is None or anchor not in held:
        return None
    found, frontier = anchor, {anchor}
    while True:
        deepest = max(frontier, key=lambda id: (held[id].body.depth, id))
        if len(frontier) == 1:
            found = deepest
        epoch = held[deepest]
        parents = [held[id] for id in epoch.body.parents if id in held]
        whole = len(parents) == len(epoch.body.parents) and depth_over(parents) == epoch.body.depth
        if not parents or not whole:
            return found
        frontier.remove(deepest)
        frontier.update(epoch.body.parents)


def last_over(
    valid: Sequence[Epoch], before: Sequence[int], identity: bytes, is_over: Callable[[bytes], bool]
) -> int:
    """The highest epoch that all others are ancestors or descendants of, all of whose ancestors are over, and that this
    member is in; else 0.

    Epochs go by number, in an order in which parents come first; `before[n]` has a bit for each ancestor of n.
    """
    over = sum(1 << number for number, epoch in enumerate(valid) if is_over(epoch.id))
    found = 0
    for number, ancestors in enumerate(before):
        if ancestors & ~over or ancestors.bit_count() < number or identity not in valid[number].identities():
            continue
        if all(later >> number & 1 for later in before[number + 1 :]):
            found = number
    return found
