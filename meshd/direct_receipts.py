"""Receipts: the addressee of a direct says which posts are there.

The rule (protocol.md, "Directs", *Receipts*): a receipt is a post of kind 7 in the direct, signed by who the posts were
written to, with their ids. It says that they are in that person's log, not that anybody has read them. They are off
unless the user wants them, because a receipt tells when a laptop is on: it is sent after a random wait of up to
RECEIPT_DELAY_MS, for all that came meanwhile at once, and never to who is muted, blocked or not let in yet.

What is owed is on the disk until it is sent, so that a stop only delays. What was delivered is known as long as the
post lasts. A receipt for anything but our own posts in that very direct counts for nothing.
"""

import random

from meshd import codec
from meshd.author import Author
from meshd.envelope import post_content
from meshd.errors import PeerError
from meshd.events import Now
from meshd.ids import ID_SIZE
from meshd.inbox import Publish
from meshd.limits import BODY_SIZE_MAX, KEEP_HOURS, RECEIPT_DELAY_MS, RECEIPT_IDS_MAX
from meshd.own_group import OwnGroup
from meshd.own_groups import OwnGroups
from meshd.post import HOUR_MS, KIND_RECEIPT
from meshd.sealing import Inside, Sealing
from meshd.store.log import Log

_KEEP = "7d"  # as long as anything that was posted before, so that no chain has a hole where one was


def encode(ids: list[bytes]) -> bytes:
    """The body of a receipt for the posts with these ids."""
    return codec.pack(b"".join(sorted(ids)))


def parse(body: bytes) -> list[bytes]:
    """The ids in the body of a post of kind 7; none if it is no receipt."""
    try:
        (joined,) = codec.unpack(body, (bytes,), BODY_SIZE_MAX)
        ids = codec.chop(joined, ID_SIZE, RECEIPT_IDS_MAX)
    except PeerError:
        return []
    return ids if ids == sorted(set(ids)) else []


class DirectReceipts:
    """Owns what is owed to whom, and what was delivered."""

    def __init__(
        self,
        log: Log,
        author: Author,
        sealing: Sealing,
        groups: OwnGroups,
        *,
        rng: random.Random,
        publish: Publish,
        is_on: bool,
    ) -> None:
        self._log, self._author, self._sealing, self._groups = log, author, sealing, groups
        self._rng, self._publish, self._is_on = rng, publish, is_on
        self._due_ms = dict.fromkeys(
            log.inboxes.owing(), 0
        )  # by channel, wall milliseconds; 0: not drawn yet
        sealing.readers[KIND_RECEIPT] = self._on_receipt

    # --- what we owe ---

    def owe(self, own: OwnGroup, post_id: bytes, keep_until: int) -> None:
        """A post of the other one's is here, in a direct that was accepted."""
        if self._is_welcome(own) and self._is_on:
            self._log.inboxes.owe(post_id, own.channel, keep_until)
            self._due_ms.setdefault(own.channel, 0)

    def _is_welcome(self, own: OwnGroup) -> bool:
        other = self._log.contacts.get(own.row.inviter)
        return not (other.is_muted or other.is_blocked)

    def go_on(self, now: Now) -> None:
        """Send what is due. For who trusts the clock."""
        for channel, due_ms in list(self._due_ms.items()):
            if not due_ms:
                self._due_ms[channel] = now.wall_ms + self._rng.randrange(1, RECEIPT_DELAY_MS)
            elif due_ms <= now.wall_ms:
                del self._due_ms[channel]
                self._send(channel, now)

    def _send(self, channel: bytes, now: Now) -> None:
        own, under = self._groups.get(channel), self._sealing.posting(channel)
        ids = self._log.inboxes.owed(channel)
        self._log.inboxes.forget_owed(channel)
        if own is None or not own.is_direct or not under or not self._is_on or not self._is_welcome(own):
            return
        hours = min(KEEP_HOURS[_KEEP], own.group.keep_hours_max())
        for at in range(0, len(ids), RECEIPT_IDS_MAX):
            body = encode(ids[at : at + RECEIPT_IDS_MAX])
            made = self._author.sign(channel, under, KIND_RECEIPT, body, hours, now.wall_ms, ())
            until = made.post.keep_until
            day_key = self._sealing.day_key(channel, under, until)
            self._publish([self._author.seal(post_content(made.signed, made.signature), day_key, until)], now)

    def next_deadline(self, now: Now) -> int | None:
        """When `go_on` has something to do, in monotonic milliseconds."""
        first = min(self._due_ms.values(), default=None)
        return now.mono_ms + max(0, first - now.wall_ms) if first is not None else None

    # --- what is owed to us ---

    def _on_receipt(self, inside: Inside, now: Now) -> None:
        own = self._groups.get(inside.post.channel)
        if own is None or not own.is_direct or inside.post.author != own.row.inviter:
            return
        for post_id in parse(inside.post.body):
            row = self._log.row(post_id)
            if (
                row is not None
                and row.own
                and row.channel == own.channel
                and row.keep_until * HOUR_MS > now.wall_ms
            ):
                self._log.inboxes.set_delivered(post_id, row.keep_until)
