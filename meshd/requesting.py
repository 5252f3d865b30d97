"""What waits for the user's answer: the commands `requests …`.

The rule: somebody who writes to us, or invites us into a group, wants something, and gets no answer until the user
gives one; nothing shows them whether we looked. Who is refused is not heard again for REFUSED_HOURS, whatever they ask
for.
"""

from typing import TYPE_CHECKING

from meshd import documents, people
from meshd.answers import Document, Method, Params
from meshd.directs import Directs
from meshd.errors import CallerError, Code
from meshd.events import Now
from meshd.own_groups import OwnGroups

if TYPE_CHECKING:
    from meshd.node import Node


class Requesting:
    """Answers what is asked and said about requests."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        self.methods: dict[str, Method] = {
            "requests": lambda params, now: self._list(),
            "requests.accept": self._accept,
            "requests.refuse": self._refuse,
        }

    def _list(self) -> Document:
        log, (groups, directs) = self._node.require_log(), self._asked()
        words = [
            {
                "id": each.sender.hex(),
                "name": people.shown(log, each.sender),
                "text": each.text,
                "time": documents.rfc3339(each.time_ms),
                "group": None,
            }
            for each in directs.waiting()
        ]
        invitations = [
            {
                "id": own.row.inviter.hex(),
                "name": people.shown(log, own.row.inviter),
                "text": own.name,
                "time": documents.rfc3339(own.anchor.time_ms) if own.anchor is not None else None,
                "group": own.channel.hex(),
            }
            for own in groups.invitations()
        ]
        return {"requests": words + invitations}

    def _accept(self, params: Params, now: Now) -> Document:
        (groups, directs), who = self._asked(), self._who(params)
        directs.accept(who, now)
        for own in groups.invitations():
            if own.row.inviter == who:
                groups.accept(own, now)
        return self._list()

    def _refuse(self, params: Params, now: Now) -> Document:
        (groups, directs), who = self._asked(), self._who(params)
        directs.refuse(who, now)
        for own in groups.invitations():
            if own.row.inviter == who:
                groups.forget(own, now)
        return self._list()

    def _who(self, params: Params) -> bytes:
        """Whose request is meant, that waits; CallerError(locked, refused, not_found, usage)."""
        log, (groups, directs) = self._node.require_log(), self._asked()
        self._node.room.require()
        waiting = {own.row.inviter for own in groups.invitations()} | {
            each.sender for each in directs.waiting()
        }
        who = people.find(log, params["who"])
        if who not in waiting:
            raise CallerError(
                Code.not_found, f"nothing of {people.shown(log, who)} waits; see: mesh requests"
            )
        return who

    def _asked(self) -> tuple[OwnGroups, Directs]:
        """Who is asked; CallerError(locked)."""
        self._node.require_log()
        if self._node.groups is None or self._node.directs is None:
            raise RuntimeError("an open log without groups")
        return self._node.groups, self._node.directs
