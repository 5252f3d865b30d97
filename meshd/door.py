"""The door: which links may stay.

The rule (protocol.md, "Who dials"): one link to each peer, none to ourselves, and no more than there are places for. A
dialler asks at once when it learns whom it dialled; the rest is decided when hello and tags have come, because a
contact is let in where a stranger is not.
"""

from typing import TYPE_CHECKING

from meshd.proto import message as msg
from meshd.proto import slots
from meshd.proto.peers import crossed
from meshd.proto.session import State

if TYPE_CHECKING:
    from meshd.node import Node


class Door:
    """Decides about the links of a node."""

    def __init__(self, node: "Node") -> None:
        self._node = node

    def unwanted(self, link: int, link_key: bytes) -> str | None:
        """Why the dialler should hang up on the peer whose link key it just learned."""
        node = self._node
        if link_key == node.presence.link_keys[0]:
            node.peers.same_as(link, None)
            return "that is this node itself"
        for other, session in node.sessions.items():
            if other != link and session.link_key == link_key and session.state is not State.CLOSED:
                node.peers.same_as(link, other)
                return "there is a link to that peer already"
        return None

    def admit(self, link: int, mono_ms: int) -> bool:
        """Whether a link stays that was just greeted; if not, it is closed, and if so, perhaps another."""
        node = self._node
        session, ours = node.sessions[link], node.presence.link_keys[0]
        for other, old in list(node.sessions.items()):
            if other == link or old.state is not State.OPEN or old.link_key != session.link_key:
                continue
            keep = crossed(
                ours,
                session.link_key,
                old_dialled=old.dialled,
                new_dialled=session.dialled,
                old_age_ms=mono_ms - old.since_ms,
            )
            if keep == "old":
                node.peers.same_as(link, other)
                node.hang_up(link, "a second link to the same peer", bye=msg.BYE_DUPLICATE)
                return False
            if keep == "new":
                node.peers.same_as(other, link)
                node.hang_up(other, "a second link to the same peer", bye=msg.BYE_DUPLICATE)
        others = [self._slot(other) for other in node.opened_ms]
        fits, least = slots.making_room(others, self._slot(link), mono_ms)
        if least is not None:
            node.hang_up(least, "it made room for another link", bye=msg.BYE_DONE)
        if not fits:
            node.hang_up(link, "no room for another link", bye=msg.BYE_FULL)
        return fits

    def _slot(self, link: int) -> slots.Slot:
        node = self._node
        return slots.Slot(
            link,
            node.addresses[link].host,
            node.sessions[link],
            usefulness=node.exchange.usefulness(link),
            asked_for=node.peers.is_typed(link),
            is_contact=node.recognition.is_match(link),
        )
