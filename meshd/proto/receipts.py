"""Receipts: which peers hold the posts made here.

The rule: a peer that sends `have` or `give` for a post of ours holds it, and each link counts once. Only the newest
HELD_POSTS_MAX posts are followed (protocol.md, "Exchange").

A receipt goes with the link that ends before it came. So what was posted here before a round began, and is not among
what the round found the peer to lack, is held by that peer as well; that is asked only of what was posted since the
start and nobody is known to hold, or each new link to the same peer would count.

Nothing stays that is over: with each new post the oldest go that are in the set no longer, and with a link all notes
of it, else whoever comes again and again would fill our memory.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence

from meshd.ids import key_reference
from meshd.limits import HELD_POSTS_MAX
from meshd.proto.keyset import KeySet


class Receipts:
    """Own posts by reference, and the links that hold them."""

    def __init__(self, keyset: KeySet) -> None:
        self._keyset = keyset
        self._own: OrderedDict[bytes, tuple[bytes, set[int]]] = OrderedDict()  # reference → key, holders
        self._held: list[tuple[bytes, int]] = []
        self._unheld: dict[bytes, None] = {}  # references of posts made since the start

    def follow(self, keys: Iterable[bytes]) -> None:
        """Follow posts of our own, by their keys, which are in the set."""
        for key in keys:
            while self._own and next(iter(self._own.values()))[0] not in self._keyset:
                self._drop_oldest()
            self._own[key_reference(key)] = key, set()
            if len(self._own) > HELD_POSTS_MAX:
                self._drop_oldest()

    def posted(self, keys: Sequence[bytes]) -> None:
        """Follow posts that were made just now, which nobody else holds."""
        self._unheld.update(dict.fromkeys(map(key_reference, keys)))
        self.follow(keys)

    def unheld(self, floor_hour: int) -> dict[bytes, None]:
        """The references of posts made since the start that nobody is known to hold, of this hour or later."""
        return {each: None for each in self._unheld if int.from_bytes(each[:4], "big") >= floor_hour}

    def _drop_oldest(self) -> None:
        reference, _ = self._own.popitem(last=False)
        self._unheld.pop(reference, None)

    def closed(self, link: int) -> None:
        """A link is gone; another will have another number."""
        for _, links in self._own.values():
            links.discard(link)

    def held_by(self, link: int, reference: bytes) -> None:
        """The peer behind this link holds this, which may be a post of ours."""
        post = self._own.get(reference)
        if post is not None and link not in post[1]:
            post[1].add(link)
            self._unheld.pop(reference, None)
            self._held.append((post[0], link))

    def take_held(self) -> list[tuple[bytes, int]]:
        """Keys of own posts that one more peer holds, and its link, since this was last asked."""
        held, self._held = self._held, []
        return held
