"""Directs: who may begin something with us, the first words of strangers, and the directs that we begin.

The rule (protocol.md, "Directs"): a direct is a group of two that either of them begins, with an epoch and a key
envelope in the other's inbox; so it needs no answer, no link and nobody on at the same time. Both may begin it: then it
has two epochs, both are read, and both post under the same one.

Who is let in: a contact whom the user added or verified, at once. Anybody else who has our card *asks*: the key is
kept, and what it opens is words for the request box (`groups.requests`), shown when the user looks for them. Nothing is
joined, announced, acknowledged or sent meanwhile, so nobody learns whether we are there. Once the user accepts, or adds
them as a contact, or writes to them, the direct is like any other, and what waited is read from what is carried. What
the box has no room for is left unopened, and looked at again in the next hour. Who is blocked, or was refused of late,
is not heard; what they had sent is dropped.

Invitations to groups are let in here too, up to INVITATIONS_MAX. The id of a group is no secret of its admins: who was
in it can be the first to invite somebody under that id, into a group of their own. So one that waits gives way to that
of a contact, if it is by none; and as long as its epoch's post is not here, to that of anybody who is as well known.
An invitation whose text the user takes comes first in any case.

**An old prekey.** Who shows no prekey for today can't be sent a key that lives for days. On demand an epoch is begun
whose key is that of the day of their last prekey, and goes to that one alone; we keep but what it is today. It opens
only where that day was never erased: on a laptop that was locked or without a time ever since, for its owner, or for
who has taken it. One that was off erases it once it trusts its clock, before it hears of more. So it is never done
unasked.
"""

import random

from meshd import crypto
from meshd.author import Author
from meshd.daykeys import advance, key_day
from meshd.direct_receipts import DirectReceipts
from meshd.errors import CallerError, Code
from meshd.events import Now
from meshd.groups import acts
from meshd.groups.epochs import Body, Member
from meshd.groups.keyenvelope import Delivered, life
from meshd.groups.requests import Request, RequestBox
from meshd.ids import direct_channel_id, inbox_channel_id
from meshd.inbox import Publish
from meshd.limits import (
    EPOCH_KEY_DAYS,
    EPOCHS_AHEAD_MAX,
    INVITATIONS_MAX,
    KEY_DAYS_MAX,
    KEY_ENVELOPE_HOURS,
    REQUEST_EPOCHS_MAX,
)
from meshd.own_group import OwnGroup
from meshd.own_groups import OwnGroups
from meshd.post import HOUR_MS, parse_text
from meshd.sealing import Inside, Sealing
from meshd.store.groups import GroupRow
from meshd.store.log import Log


class Directs:
    """Owns the request box; lives as long as the log is open."""

    def __init__(
        self,
        log: Log,
        author: Author,
        sealing: Sealing,
        groups: OwnGroups,
        *,
        entropy: crypto.Entropy,
        rng: random.Random,
        publish: Publish,
        receipts: bool,
    ) -> None:
        """`receipts`: whether the user wants them sent."""
        self._log, self._author, self._sealing, self.groups = log, author, sealing, groups
        self._inbox, self._entropy, self._publish = groups.inbox, entropy, publish
        self.box = RequestBox((Request(*row) for row in log.inboxes.requests()), log.inboxes.refused())
        self._hour = 0  # of the last look at what is over
        self._was_full = False  # something found no room since
        self.receipts = DirectReceipts(log, author, sealing, groups, rng=rng, publish=publish, is_on=receipts)
        groups.inbox.taken = self.take_key
        groups.wrote = self._on_text

    def get(self, who: bytes) -> OwnGroup | None:
        """The direct with somebody, accepted or not."""
        own = self.groups.get(direct_channel_id(self._author.public, who))
        return own if own is not None and own.is_direct else None

    # --- what comes ---

    def take_key(self, delivered: Delivered, now: Now) -> None:
        """A key envelope for us was opened: a key for what is known, or somebody asks for something new."""
        own = self.groups.get(delivered.channel)
        is_direct = self.groups.is_direct(delivered.channel, delivered.sender)
        if own is not None and is_direct and not (own.is_direct or own.row.is_accepted):
            self.groups.forget(own, now)  # somebody else's group that stands where this direct belongs
            own = None
        is_new = own is None or self._gives_way(own, delivered)
        if is_new and (row := self._let_in(delivered, is_direct, now.wall_ms)) is not None:
            if own is not None:
                self._make_way(own, delivered, now)
            self._log.authors.know(delivered.sender)
            self._log.groups.put(row)
            self.groups.new(row)
        if not is_direct or self._has_room(delivered):
            self.groups.take_key(delivered, now)

    def take_text(self, delivered: Delivered, now: Now) -> None:
        """The user takes an invitation by its text: whatever else waits under that id, or was left, is not meant."""
        own = self.groups.get(delivered.channel)
        if own is not None and not (own.row.is_accepted or own.is_direct or own.is_for(delivered.epoch)):
            self._make_way(own, delivered, now)
        self._log.groups.want(delivered.epoch)
        self.take_key(delivered, now)

    def _gives_way(self, own: OwnGroup, delivered: Delivered) -> bool:
        """Whether somebody else's invitation that waits under this id gives way to this one."""
        if own.row.is_accepted or own.is_direct or own.is_for(delivered.epoch):
            return False
        if delivered.sender == own.row.inviter:
            return False
        is_known, was_known = (
            self._log.contacts.get(who).is_known for who in (delivered.sender, own.row.inviter)
        )
        return is_known > was_known or (is_known == was_known and own.anchor is None)

    def _make_way(self, own: OwnGroup, delivered: Delivered, now: Now) -> None:
        self.groups.forget(own, now)
        self._log.groups.want(delivered.epoch)

    def _has_room(self, delivered: Delivered) -> bool:
        """Whether one more key of this direct is held: every key is tried on every envelope that comes."""
        held, own = self._sealing.keyring.epochs(delivered.channel), self.groups.get(delivered.channel)
        most = EPOCHS_AHEAD_MAX if own is not None and own.row.is_accepted else REQUEST_EPOCHS_MAX
        return delivered.epoch in held or len(held) < most

    def _let_in(self, delivered: Delivered, is_direct: bool, wall_ms: int) -> GroupRow | None:
        """What becomes known by this key, if its sender is heard."""
        sender, hour = delivered.sender, wall_ms // HOUR_MS
        known = self._log.contacts.get(sender)
        if sender == self._author.public or known.is_blocked or self.box.refused.get(sender, 0) > hour:
            return None
        is_friend = is_direct and known.is_known
        if not is_direct and (
            self._log.groups.was_left(delivered.epoch) or len(self.groups.invitations()) >= INVITATIONS_MAX
        ):
            return None
        if is_direct and not is_friend:
            until = hour + KEY_ENVELOPE_HOURS
            asks = Request(delivered.epoch, sender, delivered.channel, "", wall_ms, until)
            if not self._offer(asks, hour):
                return None
        return GroupRow(delivered.channel, delivered.epoch, sender, is_friend)

    def _offer(self, request: Request, hour: int) -> bool:
        kept = self.box.offer(request, hour, is_blocked=self._log.contacts.get(request.sender).is_blocked)
        if kept:
            self._log.inboxes.add_request(self.box.all()[-1])
        self._was_full |= self.box.is_full(hour)
        return kept

    def _on_text(self, own: OwnGroup, inside: Inside, now: Now) -> None:
        """A text was opened in a group or direct."""
        found, words = inside.post, parse_text(inside.post.body)
        if not own.is_direct or words is None or found.author != own.row.inviter:
            return
        if own.row.is_accepted:
            self.receipts.owe(own, inside.id, found.keep_until)
            return
        asks = Request(inside.id, found.author, own.channel, words.text, found.time_ms, found.keep_until)
        if self._offer(asks, now.wall_ms // HOUR_MS):
            self._log.authors.note(found, words)
        else:
            self._log.openings.forget_posts([inside.id])

    # --- what the user says ---

    def waiting(self) -> list[Request]:
        """The first words that wait for an answer, as they came."""
        return [
            each
            for each in self.box.all()
            if each.text and not self._log.contacts.get(each.sender).is_blocked
        ]

    def accept(self, who: bytes, now: Now) -> None:
        """Let somebody in: what waited is read like what comes."""
        self._log.openings.forget_posts(self._take_out(self.box.take(who)))
        own = self.get(who)
        if own is not None and not own.row.is_accepted:
            self.groups.accept(own, now)

    def refuse(self, who: bytes, now: Now) -> None:
        """Drop what somebody wants, and hear nothing of them for a while."""
        self._take_out(self.box.refuse(who, now.wall_ms // HOUR_MS))
        self._log.inboxes.set_refused(self.box.refused)
        self._forget(who, now)

    def end(self, who: bytes, now: Now) -> None:
        """Know no direct with somebody any more, and hold none of its keys."""
        self._take_out(self.box.take(who))
        if (own := self.get(who)) is not None:
            self.groups.forget(own, now)

    def _take_out(self, requests: list[Request]) -> list[bytes]:
        ids = [each.id for each in requests]
        self._log.inboxes.remove_requests(ids)
        return ids

    def _forget(self, who: bytes, now: Now) -> None:
        own = self.get(who)
        if own is not None and not own.row.is_accepted:
            self.groups.forget(own, now)

    # --- directs of our own ---

    def open(self, who: bytes, now: Now, *, old_prekey: bool = False) -> bool:
        """See to it that we can post in a direct with somebody; whether a key went to an old prekey for it, which is
        only done if they have no newer one. CallerError(refused) if we have no card of them."""
        channel = direct_channel_id(self._author.public, who)
        own = self.groups.get(channel)
        if own is not None and not own.is_direct:
            if own.row.is_accepted:
                raise CallerError(
                    Code.refused, f"a group took the place of this direct: leave {channel.hex()[:12]}"
                )
            self.groups.forget(own, now)
            own = None
        if own is None:
            row = self._log.contacts.inbox(who)
            if row is None:
                raise CallerError(Code.refused, "there is no card of them here, so nothing can reach them")
            own = self.groups.new(GroupRow(channel, b"", who, True))
            self._sealing.enter(channel, own.name, own.kind)
        elif not own.row.is_accepted:
            self.accept(who, now)
        if old_prekey and self._begin_for_old(own, now):
            return True
        if not self._sealing.posting(channel):
            self.groups.post(own, self._body(own, now), now)
        return False

    def is_pending(self, who: bytes, now: Now) -> bool:
        """Whether somebody can perhaps not read what we post to them now: they do not show to have the key, and no
        prekey of theirs is for today."""
        own = self.get(who)
        current = own.group.current() if own is not None else None
        if own is None or current is None or current.id not in own.told:
            return True
        return who in own.group.pending(
            [who], self._inbox.delivery.reachable(current.id, now.wall_ms // HOUR_MS)
        )

    def _body(self, own: OwnGroup, now: Now) -> Body:
        """Of an epoch on the current one; or the first of ours."""
        current, other = own.group.current(), own.row.inviter
        if current is not None:
            return acts.draft(own.group.dag, self._author.public, now.wall_ms, (current.id,))
        row = self._log.contacts.inbox(other)
        if row is None:
            raise CallerError(Code.refused, "there is no card of them here, so nothing can reach them")
        day = now.wall_ms // HOUR_MS // 24
        me = Member(self._author.public, *self._inbox.own_key(now.wall_ms))
        return acts.first_direct(me.moved_on(day), Member(other, *row).moved_on(day))[1]

    def _begin_for_old(self, own: OwnGroup, now: Now) -> bool:
        """Begin an epoch whose key their last prekey opens, whose day is over; False if they have a newer one, or none
        is known."""
        announced, hour = self._inbox.prekeys(own.row.inviter), now.wall_ms // HOUR_MS
        if announced is None or life(announced, hour) is not None:
            return False
        day, today, inbox = announced.last_day, key_day(hour), inbox_channel_id(own.row.inviter)
        if not 0 < today - day <= KEY_DAYS_MAX - EPOCH_KEY_DAYS:
            return False
        first, until = crypto.fresh(self._entropy, crypto.KEY_SIZE), hour + KEY_ENVELOPE_HOURS
        own = self.groups.post(own, self._body(own, now), now, advance(first, today - day))
        epoch, days = self._sealing.posting(own.channel), range(day, day + 1)
        content = self._author.deliver(own.row.inviter, announced, days, own.channel, epoch, first)
        self._publish([self._author.seal(content, self._sealing.day_key(inbox, b"", until), until)], now)
        return True

    # --- what is due ---

    def go_on(self, now: Now) -> None:
        """Let in who became a contact, drop who was blocked, and what is over. For who trusts the clock."""
        for sender in dict.fromkeys(each.sender for each in self.box.all()):
            known = self._log.contacts.get(sender)
            if known.is_blocked:
                self._take_out(self.box.take(sender))
                self._forget(sender, now)
            elif known.is_known:
                self.accept(sender, now)
        self.receipts.go_on(now)
        hour = now.wall_ms // HOUR_MS
        if hour == self._hour:
            return
        self._log.inboxes.forget_receipts(hour)
        self._hour, refused = hour, len(self.box.refused)
        over = self.box.expire(hour)
        self._take_out(over)
        if len(self.box.refused) != refused:
            self._log.inboxes.set_refused(self.box.refused)
        for sender in sorted({each.sender for each in over} - {each.sender for each in self.box.all()}):
            self._forget(sender, now)
        if self._was_full:
            self._was_full = False
            self._sealing.look_again()
