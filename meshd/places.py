"""Which channel a caller means: the `name` or `#name` of a group or public channel, a person for the direct with them,
`group:name`, `direct:name` or `public:name` where there are several, or the beginning of the id of a joined one.

The rule: what only members read never goes anywhere else by mistake. So where a name fits several channels that are
joined, nothing is chosen: it is an error that lists them.
"""

import re
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from meshd import documents, people
from meshd.errors import CallerError, Code
from meshd.ids import channel_name, network_id, public_channel_id
from meshd.store.log import Channel

if TYPE_CHECKING:
    from meshd.node import Node

ID_PREFIX = re.compile(r"[0-9a-f]{6,64}", re.ASCII)


class Place(NamedTuple):
    """A channel as a caller named it; `kind` is public, group or direct."""

    id: bytes
    name: str
    kind: str = "public"


class Places:
    """The channels of a node by name."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        self._network = network_id(node.carry.network_key)

    def find(self, text: str) -> Place:
        """The channel that a caller means; CallerError(not_found, usage)."""
        kind, colon, rest = text.partition(":")
        if colon and kind not in ("public", "group", "direct"):
            raise CallerError(Code.not_found, f"there is no channel of that kind: {kind!r}")
        bare = rest if colon else text
        if not colon or kind != "public":
            sealed = self._sealed(bare, kind if colon else "")
            if sealed is not None:
                return sealed
        if not colon and ID_PREFIX.fullmatch(bare):
            joined = self._node.require_log().channels()
            named = [channel for channel in joined if channel.name == bare]
            matching = named or [channel for channel in joined if channel.id.hex().startswith(bare)]
            if len(matching) > 1:
                listed = ", ".join(f"{channel.name} ({channel.id.hex()[:12]})" for channel in matching)
                raise CallerError(Code.usage, f"{bare} could be: {listed}")
            if matching:
                return self._as_shown(matching[0])
        return self._public(bare)

    def _sealed(self, text: str, kind: str) -> Place | None:
        """The group or direct of this name, if there is one; it must be the only joined thing of that name unless its
        kind was said."""
        found = [] if kind == "direct" else self._groups(text.removeprefix("#"))
        found += [] if kind == "group" else self._direct(text, is_asked_for=bool(kind))
        if not found and kind:
            raise CallerError(Code.not_found, f"you are in no {kind} {text}")
        if found and not kind and self._node.log is not None:
            with suppress(CallerError):  # a group may have a name that no public channel can have
                public = self._public(text)
                found += [public] if self._node.log.joined(public.id) else []
        if len(found) > 1:
            listed = ", ".join(_named(place) for place in found)
            raise CallerError(Code.usage, f"{text} could be: {listed}")
        return found[0] if found else None

    def _groups(self, name: str) -> list[Place]:
        ids = self._node.intake.sealing.groups(name) if self._node.log is not None else []
        return [Place(id, name, "group") for id in ids]

    def _direct(self, who: str, *, is_asked_for: bool) -> list[Place]:
        log, directs = self._node.log, self._node.directs
        if log is None or directs is None:
            return []
        called = log.contacts.called(who)
        if called is None and not is_asked_for and "#" not in who[1:]:
            return []  # a name that a person was not given, nor has a tag, names nobody
        try:
            own = directs.get(called.identity if called is not None else people.find(log, who))
        except CallerError:
            if is_asked_for:
                raise
            return []
        if own is None or not log.joined(own.channel):
            return []
        return [Place(own.channel, people.shown(log, own.row.inviter), "direct")]

    def _as_shown(self, channel: Channel) -> Place:
        log = self._node.require_log()
        return Place(channel.id, documents.channel_name(channel.name, log), channel.kind)

    def _public(self, text: str) -> Place:
        name = channel_name(text)
        return Place(public_channel_id(self._network, name), name)


def _named(place: Place) -> str:
    suffix = f" ({place.id.hex()[:12]})" if place.kind != "public" else ""
    return f"{place.kind}:{place.name}{suffix}"
