"""Receipts: which peers hold the posts made here.

The rule: a peer that sends `have` or `give` for a post of ours holds it, and each link counts once. Only the newest
HELD_POSTS_MAX posts are followed (protocol.md, "Exchange").

Nothing stays that is over: with each new post the oldest go that are in the set no longer, and with a link all notes
of it, else whoever comes again and again would fill our memory.
"""

from collections import OrderedDict
from collections.abc import Iterable

from meshd.ids import key_reference
from meshd.limits import HELD_POSTS_MAX
from meshd.proto.keyset import KeySet


class Receipts:
    """Own posts by reference, and the links that hold them."""

    def __init__(self, keyset: KeySet) -> None:
        self._keyset = keyset
        self._own: OrderedDict[bytes, tuple[bytes, set[int]]] = OrderedDict()  # reference → key, holders
        self._held: list[tuple[bytes, int]] = []

    def follow(self, keys: Iterable[bytes]) -> None:
        """Follow posts of our own, by their keys, which are in the set."""
        for key in keys:
            while self._own and next(iter(self._own.values()))[0] not in self._keyset:
                self._own.popitem(last=False)
            self._own[key_reference(key)] = key, set()
            if len(self._own) > HELD_POSTS_MAX:
                self._own.popitem(last=False)

    def closed(self, link: int) -> None:
        """A link is gone; another will have another number."""
        for _, links in self._own.values():
            links.discard(link)

    def held_by(self, link: int, reference: bytes) -> None:
        """The peer behind this link holds this, which may be a post of ours."""
        post = self._own.get(reference)
        if post is not None and link not in post[1]:
            post[1].add(link)
            self._held.append((post[0], link))

    def take_held(self) -> list[tuple[bytes, int]]:
        """Keys of own posts that one more peer holds, and its link, since this was last asked."""
        held, self._held = self._held, []
        return held
