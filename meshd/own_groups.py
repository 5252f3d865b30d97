"""The groups of this node: the epochs that came, the keys that are held for them, and what follows.

The rule: the epochs decide (`groups.dag`), and everything here follows from what is known of them. Whenever that
changes, all of it is looked at again (`_update`): under which epoch one posts, who may be sent which key, whose inbox
is read, which posts are admitted now that were not before. What any member does for all is done when `groups.group`
says so, and only by who trusts the clock.

Nobody is pulled into a group: a key envelope from somebody makes an *invitation* (`directs`), which shows nothing but
its name and members until the user accepts it. A key is taken from the inviter, or from who is a member after all that
is known. An epoch's post tells which key is the epoch's; one that comes before the post is a candidate until then, and
of those a member may offer few. A direct is such a group of two.

A post is admitted if its author is a member of the epoch that it names, once that is known to be valid. What is not
admitted is looked at again when another epoch comes.

The key of an epoch that another follows is kept for SUPERSEDED_HOURS, for who posts under it and does not know.
"""

import random
from collections.abc import Callable
from contextlib import suppress

from meshd import crypto, statement
from meshd.author import Author
from meshd.daykeys import key_day
from meshd.deciding import Deciding
from meshd.envelope import post_content
from meshd.errors import CallerError
from meshd.events import Now
from meshd.groups import acts, epochs
from meshd.groups.dag import Status
from meshd.groups.epochs import HISTORY_ALL, Body, Epoch, Member
from meshd.groups.group import Group, Task
from meshd.groups.keyenvelope import Delivered
from meshd.groups.turns import Turns
from meshd.ids import CHANNEL_ID_SIZE, direct_channel_id, key_hour
from meshd.inbox import Inbox, Publish
from meshd.limits import (
    EPOCH_KEY_DAYS,
    LONG_KEEP_HOURS_MAX,
    RESEAL_HOURS,
    SUPERSEDED_HOURS,
)
from meshd.own_group import OwnGroup
from meshd.post import DAY_MS, HOUR_MS, KIND_EPOCH, KIND_PREKEYS, KIND_STATEMENT, KIND_TEXT, LONG_KINDS
from meshd.sealing import Inside, Sealing
from meshd.statement import ADD_MEMBER, REMOVE_MEMBER, Statement
from meshd.store.groups import GroupRow
from meshd.store.log import Log, Row
from meshd.votes import Votes

LONG_KEEP_HOURS = LONG_KEEP_HOURS_MAX - 1  # of an epoch's post: 90 days


class OwnGroups:
    """Owns what is known of groups; lives as long as the log is open."""

    def __init__(
        self,
        log: Log,
        author: Author,
        sealing: Sealing,
        inbox: Inbox,
        *,
        entropy: crypto.Entropy,
        rng: random.Random,
        publish: Publish,
    ) -> None:
        self._log, self._author, self._sealing, self.inbox = log, author, sealing, inbox
        self._entropy, self._rng, self._publish = entropy, rng, publish
        self.deciding = Deciding(log, author, sealing, publish, self._carry_out)
        self.groups: dict[bytes, OwnGroup] = {}
        self.vouched: Callable[[OwnGroup, Inside, Statement], None] = lambda own, inside, said: None
        self.planned: Callable[[OwnGroup, Inside, Statement], None] = lambda own, inside, said: None
        self.wrote: Callable[[OwnGroup, Inside, Now], None] = lambda own, inside, now: None
        for row in log.groups.all():
            self.new(row).load(log.groups)
            self._drop_ahead(self.groups[row.channel])
        sealing.readers[KIND_EPOCH] = self._on_epoch
        sealing.readers[KIND_STATEMENT] = self._on_statement
        sealing.readers[KIND_TEXT] = self._on_text
        sealing.admits = self._admits
        log.groups.came_after_removal = self._came_after_removal

    def new(self, row: GroupRow) -> OwnGroup:
        """Know of a group, or of the direct with who brought it."""
        anchor = None if self.is_direct(row.channel, row.inviter) else row.anchor
        group = Group(self._author.public, row.channel, anchor, self._rng)
        votes = Votes(self._log.groups, group.dag, self._author.public)
        own = OwnGroup(row, group, votes, turns=Turns(self._rng))
        self.groups[row.channel] = own
        return own

    def _drop_ahead(self, own: OwnGroup) -> None:
        """Hold no key over a stop whose epoch is not known, but the anchor's: junk would pile up. A true one is found
        again in what is carried."""
        known = {own.row.anchor, *own.group.dag.held}
        for epoch in sorted(set(self._sealing.keyring.epochs(own.channel)) - known):
            self._sealing.remove_key(own.channel, epoch)
            self._sealing.look_again()

    # --- which there are ---

    def is_direct(self, channel: bytes, other: bytes) -> bool:
        """Whether this is the channel of our direct with somebody."""
        return channel == direct_channel_id(self._author.public, other)

    def get(self, channel: bytes) -> OwnGroup | None:
        """The group or invitation with this id."""
        return self.groups.get(channel)

    def count(self, channel: bytes) -> int | None:
        """How many members a group has; None if it is none."""
        own = self.groups.get(channel)
        return len(own.group.dag.membership().members) if own is not None and own.judged else None

    def invitations(self) -> list[OwnGroup]:
        """The groups that were not accepted; not those that were left, as long as nobody knows what they are."""
        asked = [own for own in self.groups.values() if not own.row.is_accepted and not own.is_direct]
        return [own for own in asked if own.anchor is not None or not self._log.groups.was_left(own.channel)]

    # --- what comes ---

    def take_key(self, delivered: Delivered, now: Now) -> None:
        """A key envelope for us was opened: who asks for something new has been let in by now (`directs`)."""
        own, sender = self.groups.get(delivered.channel), delivered.sender
        if own is None:
            return
        known = own.group.dag.membership().members if own.judged else frozenset({own.row.inviter})
        since = own.superseded.get(delivered.epoch)
        if sender not in known or (since is not None and since + SUPERSEDED_HOURS <= now.wall_ms // HOUR_MS):
            return
        if (epoch := own.group.dag.held.get(delivered.epoch)) is not None:
            if not epoch.is_key(delivered.day, delivered.key):
                return
        elif not own.takes_offer(sender, delivered.epoch):
            return
        if self._sealing.add_key(own.channel, delivered.epoch, delivered.day, delivered.key):
            own.is_stale = True

    def _admits(self, inside: Inside) -> bool:
        found = inside.post
        if self.inbox.is_inbox(found.channel):
            return found.kind == KIND_PREKEYS
        own = self.groups.get(found.channel)
        if own is None or found.kind in LONG_KINDS:
            return True  # no group of ours, and joined with its key; or it is judged by what it says, not by epoch
        return own.admits(found)

    def _came_after_removal(self, row: Row) -> bool:
        own = self.groups.get(row.channel)
        return own is not None and bool(row.epoch) and own.came_after_removal(row, self._log)

    def _on_text(self, inside: Inside, now: Now) -> None:
        if (own := self.groups.get(inside.post.channel)) is not None:
            own.group.wrote(inside.post.author, inside.post.epoch)
            self.wrote(own, inside, now)

    def _on_statement(self, inside: Inside, now: Now) -> None:
        own, found = self.groups.get(inside.post.channel), inside.post
        said = statement.parse_body(found.channel, found.author, found.body)
        if own is None or own.is_direct or said is None:
            return  # nothing is decided between two, and no third is there to hear of anybody
        if said[0].purpose == statement.VOUCH:
            self.vouched(own, inside, said[0])
        elif said[0].purpose >= statement.SIGN_PLAN:
            self.planned(own, inside, said[0])
        elif own.votes.take(said[0], found.author, said[1]):
            own.is_stale = True

    def _on_epoch(self, inside: Inside, now: Now) -> None:
        own, epoch = self.groups.get(inside.post.channel), epochs.parse(inside.post, inside.id)
        if own is None or epoch is None or epoch.is_direct != own.is_direct:
            return
        if epoch.id not in own.group.dag.held and not own.group.takes(epoch):
            self._log.openings.forget_posts([epoch.id])  # another may come to build on it
            return
        self._hold(own, epoch, inside.opened.content, inside.post.keep_until)
        if (newest := self._log.openings.envelope_of(inside.id)) is not None:
            own.expiries[inside.id] = key_hour(newest)
            self._log.groups.renewed(inside.id, key_hour(newest))

    def _hold(self, own: OwnGroup, epoch: Epoch, content: bytes, keep_until: int) -> None:
        if own.group.dag.add(epoch):
            self._log.groups.add_epoch(own.channel, epoch.id, content, keep_until)
            own.expiries.setdefault(epoch.id, 0)
            own.ends[epoch.id] = keep_until
            own.is_stale = True
            if self._sealing.keyring.keys(own.channel, epoch.id):
                self._sealing.keep_keys(own.channel, epoch.id, epoch.is_key)
            for offered in own.offered.values():
                offered.discard(epoch.id)
            if own.group.dag.status(epoch.id) is Status.waiting and own.group.dag.tireless():
                self._sealing.look_again()  # what it builds on may have been passed over

    # --- what follows ---

    def _update(self, own: OwnGroup, now: Now) -> None:
        """Something is known that was not: let everything follow from it."""
        own.is_stale, own.ask_ms = False, 0
        anchor, dag, me = own.anchor, own.group.dag, self._author.public
        if anchor is None:
            return
        is_left = not own.row.is_accepted and self._log.groups.was_left(own.channel)
        is_back = any((ADD_MEMBER, me) in each.body.acts for each in dag.held.values())
        if not {me, own.row.inviter} <= set(anchor.identities()) or (is_left and not is_back):
            # It is by who is not there, for others, or by who did not hear that we left.
            self.forget(own, now, is_left=is_left)
            for each in dag.held.values():  # with a group's history, keys of epochs before us come first
                if {me, own.row.inviter} <= set(each.identities()) and not is_left:
                    self._log.groups.want(each.id)
            return
        if not own.row.is_accepted:
            if own.is_direct:
                self._look_again(own)  # first words may wait for their epoch
            return
        if not self._log.joined(own.channel):
            self._sealing.enter(own.channel, own.name, own.kind)
            self._log.openings.forget_posts(sorted(dag.held))  # they are to be in the log too
            self._sealing.look_again()
        dag.set_forked(self._log.groups.forked(own.channel))
        members = dag.membership().members
        for row in own.rows():
            if row.identity != me and row.identity in members:
                self._log.authors.know(row.identity)
                self.inbox.know(*row)
        own.is_out = self.deciding.is_out(own)
        self._follow(own, own.group.current() if not own.is_out else None, now)
        for id in self._sealing.keyring.epochs(own.channel):
            if dag.status(id) is Status.valid:
                self._tell(own, dag.held[id], members if not own.is_out else frozenset(), now)
        self._look_again(own)

    def _look_again(self, own: OwnGroup) -> None:
        """Where more epochs are known to be valid than before, more posts may be admitted."""
        if (judged := own.count_judged()) != own.judged:
            own.judged = judged
            self._sealing.look_again()

    def _follow(self, own: OwnGroup, current: Epoch | None, now: Now) -> None:
        """Post under the current epoch, once its key is here; the others are superseded from now on."""
        keyring, dag, under = self._sealing.keyring, own.group.dag, self._sealing.posting(own.channel)
        held = dag.held
        if current is not None and keyring.keys(own.channel, current.id):
            if under != current.id:
                self._sealing.post_under(own.channel, current.id)
        elif current is None or not dag.may_post(own.group.me, under):
            self._sealing.stop_posting(own.channel)
        for id in keyring.epochs(own.channel):
            is_over = current is None or id != current.id
            if id in held and is_over != (id in own.superseded):
                hour = now.wall_ms // HOUR_MS if is_over else 0
                self._log.groups.supersede(id, hour)
                own.superseded[id] = hour
                if not is_over:
                    del own.superseded[id]

    def _tell(self, own: OwnGroup, epoch: Epoch, members: frozenset[bytes], now: Now) -> None:
        """Have the members of an epoch who are in after all that is known sent its key; where newcomers may read what
        was there before, all of them."""
        may = members if epoch.body.flags & HISTORY_ALL else members & frozenset(epoch.identities())
        if own.told.get(epoch.id) != may:
            if epoch.id in own.told:
                self.inbox.drop(epoch.id)
            own.told[epoch.id] = may
            maker, is_ours = (epoch.author, epoch.time_ms), epoch.id in own.made
            self.inbox.hold(own.channel, epoch.id, may, now, maker=maker, is_ours=is_ours)

    def forget(self, own: OwnGroup, now: Now, *, is_left: bool = False) -> None:
        """Drop a group, or an invitation, with its keys: these are not taken again. `is_left`: nor are later ones,
        until we are added again."""
        if self._log.joined(own.channel):
            self._sealing.leave(own.channel)
        for epoch in self._sealing.keyring.epochs(own.channel):
            self._sealing.remove_key(own.channel, epoch)
        for epoch in own.told:
            self.inbox.drop(epoch)
        del self.groups[own.channel]
        held = sorted({*own.group.dag.held, own.row.anchor})
        self._log.openings.forget_posts(held)  # who comes back reads them again
        known = [id for id in held if own.is_for(id)] + [own.channel] * is_left
        self._log.groups.leave(own.channel, known, now.wall_ms // HOUR_MS)
        if not own.is_direct:
            self._sealing.look_again()  # somebody else may have invited us under that id

    # --- what is done ---

    def go_on(self, now: Now) -> None:
        """Let follow what came, and do what is due. For who trusts the clock."""
        has_forks, self._log.groups.is_fork_new = self._log.groups.is_fork_new, False
        for own in list(self.groups.values()):
            if has_forks:
                own.is_stale |= own.group.dag.forked != frozenset(self._log.groups.forked(own.channel))
            if own.is_stale:
                self._update(own, now)
            if own.channel in self.groups and own.is_in and own.ask_ms <= now.wall_ms:
                self._do_duties(own, now)

    def look_again(self) -> None:
        """Something that duties hang on has changed."""
        for own in self.groups.values():
            own.ask_ms = 0

    def _do_duties(self, own: OwnGroup, now: Now) -> None:
        hour = now.wall_ms // HOUR_MS
        living = {id: expiry for id, expiry in own.expiries.items() if own.ends[id] > hour}
        for duty in own.group.due(now.wall_ms, living) if not own.is_out else ():
            with suppress(CallerError):  # who is ahead of our clock is waited for: the duty comes again
                if duty.task is Task.reseal:
                    self._reseal(own, duty.epochs[0], now)
                else:
                    self.make(own, duty.epochs, now)
        if not own.is_out:
            self.deciding.go_on(own, now)
        for id, since in own.superseded.items():
            if since + SUPERSEDED_HOURS <= hour and self._sealing.keyring.keys(own.channel, id):
                self._sealing.remove_key(own.channel, id)
                self.inbox.drop(id)
                self._log.inboxes.forget_sent(id)
        own.forget_over(self._log.groups, hour, lambda id: bool(self._sealing.keyring.keys(own.channel, id)))
        deadlines = [(hour + 1) * HOUR_MS, own.group.deadline(now.wall_ms), own.turns.deadline()]
        own.ask_ms = min(deadline for deadline in deadlines if deadline is not None)

    def _reseal(self, own: OwnGroup, epoch: bytes, now: Now) -> None:
        """Put an epoch's post into a fresh envelope, under the epoch that one would post under."""
        under, hour = self._sealing.posting(own.channel), now.wall_ms // HOUR_MS
        until = min(hour + RESEAL_HOURS, own.ends[epoch])
        if under and until > hour:
            day_key = self._sealing.day_key(own.channel, under, until)
            self._publish([self._author.seal(self._log.groups.content(epoch), day_key, until)], now)

    # --- making epochs ---

    def create(self, name: str, flags: int, now: Now) -> OwnGroup:
        """A new group, with us alone in it."""
        me = Member(self._author.public, *self.inbox.own_key(now.wall_ms))
        channel = crypto.fresh(self._entropy, 32)[:CHANNEL_ID_SIZE]
        self._sealing.enter(channel, name, "group")
        own = self.new(GroupRow(channel, b"", me.identity, True))
        return self.post(own, acts.first(name, flags, me), now)

    def make(
        self,
        own: OwnGroup,
        parents: tuple[bytes, ...],
        now: Now,
        does: dict[acts.Act, acts.Signatures] | None = None,
        rows: tuple[Member, ...] = (),
    ) -> None:
        """An epoch on these; CallerError(refused) if others would not take it."""
        body = acts.draft(own.group.dag, self._author.public, now.wall_ms, parents, does, rows)
        self.post(own, body, now)
        for purpose, subject in body.acts:
            if purpose == REMOVE_MEMBER and subject not in (does or {})[purpose, subject]:
                self.deciding.tell(own, parents[0], subject, now)

    def _carry_out(self, own: OwnGroup, act: acts.OpenAct, rows: tuple[Member, ...], now: Now) -> None:
        self.make(own, (act.about,), now, {(act.purpose, act.subject): act.signatures}, rows)

    def post(self, own: OwnGroup, body: Body, now: Now, key: bytes = b"") -> OwnGroup:
        """Begin an epoch with a key of its own, from today on; its members are sent it."""
        hour, key = now.wall_ms // HOUR_MS, key or crypto.fresh(self._entropy, crypto.KEY_SIZE)
        day, until = key_day(hour), hour + RESEAL_HOURS
        days = self._author.next_ms(now.wall_ms) // DAY_MS + EPOCH_KEY_DAYS - day
        checked = epochs.encode(body._replace(key_check=epochs.key_check(key, days)))
        made = self._author.sign(own.channel, b"", KIND_EPOCH, checked, LONG_KEEP_HOURS, now.wall_ms)
        epoch = epochs.parse(made.post, made.id)
        if epoch is None or not epoch.is_key(day, key):
            raise RuntimeError("our own epoch is none")
        if not own.row.anchor:
            own = self.new(own.row._replace(anchor=made.id))
            self._log.groups.put(own.row)
        self._sealing.make_key(own.channel, made.id, day, key)
        content = post_content(made.signed, made.signature)
        self._hold(own, epoch, content, made.post.keep_until)
        own.made.add(made.id)
        own.expiries[made.id] = until
        own.judged = own.count_judged()  # nobody can have posted under it yet
        day_key = self._sealing.day_key(own.channel, made.id, until)
        self._publish([self._author.seal(content, day_key, until)], now)
        self._update(own, now)
        for earlier in own.group.dag.introduces(made.id):
            self._reseal(own, earlier, now)
        return own

    def accept(self, own: OwnGroup, now: Now) -> None:
        """The user wants to be in."""
        own.row = own.row._replace(is_accepted=True)
        self._log.groups.put(own.row)
        self._update(own, now)

    def next_deadline(self, now: Now) -> int | None:
        """When `go_on` has something to do, in monotonic milliseconds."""
        if any(own.is_stale for own in self.groups.values()):
            return now.mono_ms
        asks = [own.ask_ms for own in self.groups.values() if own.is_in]
        return now.mono_ms + max(0, min(asks) - now.wall_ms) if asks else None
