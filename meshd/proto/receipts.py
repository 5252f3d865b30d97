"""Receipts: which peers hold the posts made here.

The rule: a peer that sends `have` or `give` for a post of ours holds it, and each link counts once. Only the newest
HELD_POSTS_MAX posts are followed (protocol.md, "Exchange").
"""

from collections import OrderedDict

from meshd.ids import key_reference
from meshd.limits import HELD_POSTS_MAX


class Receipts:
    """Own posts by reference, and the links that hold them."""

    def __init__(self) -> None:
        self._own: OrderedDict[bytes, tuple[bytes, set[int]]] = OrderedDict()  # reference → id, holders
        self._held: list[bytes] = []

    def posted(self, reference: bytes, identity: bytes) -> None:
        """Follow a post of our own."""
        self._own[reference] = identity, set()
        if len(self._own) > HELD_POSTS_MAX:
            self._own.popitem(last=False)

    def follow(self, keys: list[bytes]) -> None:
        """Follow the posts of our own with these keys, which were made before the start."""
        for key in keys:
            self.posted(key_reference(key), key[8:])

    def held_by(self, link: int, reference: bytes) -> None:
        """The peer behind this link holds this, which may be a post of ours."""
        post = self._own.get(reference)
        if post is not None and link not in post[1]:
            post[1].add(link)
            self._held.append(post[0])

    def take_held(self) -> list[bytes]:
        """Ids of own posts that one more peer holds, since this was last asked."""
        held, self._held = self._held, []
        return held
