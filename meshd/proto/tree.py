"""The tree that fresh envelopes travel along: which links are pushed to, and which are only told.

The rule is plumtree's (Leitão, Pereira, Rodrigues, 2007), with a floor. Every link begins *eager*: what is fresh is
given to it at once. A fresh envelope that comes over an eager link and is here already shows that the link is not
needed: it becomes *lazy*, and the peer is told with `push 0` that announcements will do. It stays eager if fewer than
EAGER_MIN eager links would be left: a tree with nothing to spare breaks with every laptop that goes, and every piece
waits for timers. A link becomes eager again when something fresh comes over it first, or had to be asked for there
because nobody pushed it (`push 1`).

Both ends hold a link to be the same: whoever changes it says so, and the other follows. Should they differ, because
both spoke at once, the next duplicate says it again (protocol.md, "Gossip").
"""

from meshd.limits import EAGER_MIN


class Tree:
    """Which of the links are eager."""

    def __init__(self) -> None:
        self._eager: dict[int, bool] = {}

    def opened(self, link: int) -> None:
        """A link is there; it is eager until it proves superfluous."""
        self._eager[link] = True

    def closed(self, link: int) -> None:
        """A link is gone."""
        self._eager.pop(link, None)

    def is_eager(self, link: int) -> bool:
        """Whether what is fresh is pushed to this link."""
        return self._eager[link]

    def eager_count(self) -> int:
        """How many links are."""
        return sum(self._eager.values())

    def brought(self, link: int) -> None:
        """Something fresh came over this link first, or the peer wants it so."""
        self._eager[link] = True

    def silence(self, link: int) -> None:
        """The peer wants to be told only."""
        self._eager[link] = False

    def repeated(self, link: int) -> bool:
        """Something fresh came over this link that was here; whether the peer is to be told `push 0`."""
        if self._eager[link] and self.eager_count() <= EAGER_MIN:
            return False
        self._eager[link] = False
        return True

    def graft(self, link: int) -> bool:
        """What was announced by this link did not come otherwise; whether the peer is to be told `push 1`."""
        grafted = not self._eager[link]
        self._eager[link] = True
        return grafted
