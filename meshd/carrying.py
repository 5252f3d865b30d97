"""Envelopes to and from a bundle, a slice an event: what the daemon asks of the core while it reads or writes a file.

The rule: a slice in is taken like what a link gives (`Intake`), except that what is wrong with one envelope is not
held against the next: a file is nobody who could be hung up on. A slice out is found by the key of the last one
before it, so nothing is kept between two slices, and what comes or goes meanwhile does no harm. What has expired is not
handed out. Clients can't ask for these: their methods are `bundle.import` and `bundle.export`, which the daemon
turns into these.
"""

from typing import TYPE_CHECKING

from meshd import envelope
from meshd.answers import Document, Method, Params
from meshd.envelope import Envelope, Sealed
from meshd.errors import CallerError, Code
from meshd.events import Now
from meshd.limits import BUNDLE_SLICE_MAX
from meshd.post import HOUR_MS
from meshd.reading import since

if TYPE_CHECKING:
    from meshd.node import Node


class Carrying:
    """Slices of bundles, in and out of a node."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        self.methods: dict[str, Method] = {"bundle.take": self._take, "bundle.give": self._give}

    def _take(self, params: Params, now: Now) -> Document:
        """`envelopes` → {new, known, refused, expired}; CallerError(refused) while the disk is full.

        Links hear of new ones by the next round, which is now.
        """
        self._node.room.require()
        tally = self._node.intake.take_each(params["envelopes"], "bundle", now)
        if tally.new:
            self._node.exchange.rounds.all_due(now.mono_ms)
        return tally._asdict()

    def _give(self, params: Params, now: Now) -> Document:
        """{envelopes, after}: the next ones above the key `after`, and the key to go on from, None at the end."""
        keyset, carry = self._node.keyset, self._node.carry
        channel = self._node.commands.channel(params["channel"]).id if "channel" in params else None
        cursor, since_ms = since(params.get("since"), now)
        if cursor is not None:
            raise CallerError(Code.usage, "since is an age like 30m, 2h or 3d")
        expired = (now.wall_ms // HOUR_MS + 1 if now.synced else 0).to_bytes(8, "big")
        first = keyset.rank(max(params["after"] + b"\0", expired))
        keys = keyset.slice(first, min(first + BUNDLE_SLICE_MAX, len(keyset)))
        raws = dict(carry.read(carry.find([key[8:24] for key in keys])[0]))
        chosen = {}
        for raw in raws.values():
            parsed = envelope.parse(raw)
            if parsed is not None and self._is_asked_for(parsed, channel, since_ms):
                chosen[parsed.key] = raw
        return {
            "envelopes": [chosen[key] for key in keys if key in chosen],
            "after": keys[-1] if keys else None,
        }

    def _is_asked_for(self, parsed: Envelope | Sealed, channel: bytes | None, since_ms: int | None) -> bool:
        """Whether it is of that channel, if any, and not from before that time. What we can't open tells neither: it
        goes along unless a channel is asked for."""
        if isinstance(parsed, Envelope):
            inside = parsed.post
        else:
            opened = self._node.intake.sealing.open_again(parsed)
            if opened is None:
                return channel is None
            inside = opened.post
        return channel in (None, inside.channel) and (since_ms is None or inside.time_ms >= since_ms)
