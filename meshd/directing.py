"""What the user writes to one person: the command `dm`.

The rules:

- Whoever's card is here can be written to: one that the user added, or that a group's list of members brought.
- The answer says what is known: `pending` is true while they can perhaps not read it, because no key of theirs is known
  that is for today; the post is carried all the same, and the key follows as soon as they show one. `old_prekey` is
  true if it went to one whose day is over, which is done on demand alone (`directs`).
"""

from typing import TYPE_CHECKING

from meshd import people
from meshd.answers import Document, Method, Params, Waiting
from meshd.errors import CallerError, Code
from meshd.events import Now
from meshd.ids import direct_channel_id
from meshd.places import Place

if TYPE_CHECKING:
    from meshd.node import Node


class Directing:
    """Answers what is written to one person."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        self.methods: dict[str, Method] = {"dm": self._dm}

    def _dm(self, params: Params, now: Now) -> Document | Waiting:
        node, log = self._node, self._node.require_log()
        if node.author is None or node.directs is None:
            raise RuntimeError("an open log without its author")
        who = people.find(log, params["who"])
        if who == node.author.public:
            raise CallerError(Code.refused, "that is you: nobody else would read it")
        if log.contacts.get(who).is_blocked:
            raise CallerError(
                Code.refused, f"{people.shown(log, who)} is blocked: mesh contact unblock first"
            )
        place = Place(direct_channel_id(node.author.public, who), people.shown(log, who), "direct")
        draft = node.commands.draft(place, params)
        is_old = node.directs.open(who, now, old_prekey=params.get("old_prekey", False))
        (posted,) = node.commands.publish([draft], now)
        told = {**posted, "pending": node.directs.is_pending(who, now), "old_prekey": is_old}
        return node.commands.waited(told, params, now)
