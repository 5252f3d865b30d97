"""What waits for the user's answer: the commands `requests …`.

The rule: somebody who invites us into a group wants something, and gets no answer until the user gives one; nothing
shows the inviter whether we looked. Who is refused is not heard again for REFUSED_HOURS, whatever group they ask for.
"""

from typing import TYPE_CHECKING

from meshd import documents, people
from meshd.answers import Document, Method, Params
from meshd.errors import CallerError, Code
from meshd.events import Now
from meshd.limits import REFUSED_HOURS
from meshd.own_groups import OwnGroups
from meshd.post import HOUR_MS

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
        log, groups = self._node.require_log(), self._node.groups
        return {
            "requests": [
                {
                    "id": own.row.inviter.hex(),
                    "name": people.shown(log, own.row.inviter),
                    "text": own.name,
                    "time": documents.rfc3339(own.anchor.time_ms) if own.anchor is not None else None,
                    "group": own.channel.hex(),
                }
                for own in (groups.invitations() if groups is not None else ())
            ]
        }

    def _accept(self, params: Params, now: Now) -> Document:
        groups, who = self._asked(params)
        for own in groups.invitations():
            if own.row.inviter == who:
                groups.accept(own, now)
        return self._list()

    def _refuse(self, params: Params, now: Now) -> Document:
        groups, who = self._asked(params)
        store, hour = self._node.require_log().inboxes, now.wall_ms // HOUR_MS
        living = {each: until for each, until in store.refused().items() if until > hour}
        store.set_refused({**living, who: hour + REFUSED_HOURS})
        for own in groups.invitations():
            if own.row.inviter == who:
                groups.forget(own, now)
        return self._list()

    def _asked(self, params: Params) -> tuple[OwnGroups, bytes]:
        """Who wants something that waits; CallerError(locked, refused, not_found, usage)."""
        log, groups = self._node.require_log(), self._node.groups
        self._node.room.require()
        waiting = {own.row.inviter for own in groups.invitations()} if groups is not None else set()
        who = people.find(log, params["who"])
        if groups is None or who not in waiting:
            raise CallerError(
                Code.not_found, f"nothing of {people.shown(log, who)} waits; see: mesh requests"
            )
        return groups, who
