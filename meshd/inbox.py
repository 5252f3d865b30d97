"""Inboxes: our own, where others leave us keys, and those of the people whose inbox keys we have.

The rule (protocol.md, "Inboxes", "Prekeys", "Key envelopes", "Delivery"): whoever has our card can write into our
inbox, so what comes there starts nothing by itself. Each mesh day we announce our prekeys in it, at the first
opportunity if we missed the day's beginning, else after a random time, so that nobody's laptop strikes midnight. What
others announce is kept, and a key envelope goes out when `delivery` says that a member needs one. An announcement on
somebody's card is like one that was heard, and ours of today is what a long card of ours shows; who starts anew makes
another for it.

A key that comes for us is handed to whoever keeps the groups (`taken`), which says whether it is of any use. A key
envelope for somebody else only tells that it was sent.

The inbox keys themselves are with the contacts, and the lists of members; here they are in the keyring alone. Secrets
of prekeys are on the disk before they are announced: one event, one commit, and only then does anybody hear of them.
"""

import random
from collections.abc import Callable

from meshd import crypto
from meshd.author import Author
from meshd.card import Card
from meshd.daykeys import first_kept_day, key_day
from meshd.envelope import CONTENT_KEY, Envelope, Sealed, post_content
from meshd.events import Now
from meshd.groups import keyenvelope, prekeys
from meshd.groups.delivery import Delivery, Sent
from meshd.groups.keyenvelope import Delivered
from meshd.groups.prekeys import Announcement, OwnPrekeys
from meshd.ids import inbox_channel_id
from meshd.keyring import Opened
from meshd.limits import HLC_REFUSE_MS, KEEP_HOURS, KEY_ENVELOPE_HOURS, KEYS_AT_ONCE, PREKEYS_DELAY_MS
from meshd.post import DAY_MS, HOUR_MS, KIND_PREKEYS, Post
from meshd.sealing import Sealing
from meshd.store.log import Log

Publish = Callable[[list[Envelope | Sealed], Now], None]
_KEEP = "7d"  # of an announcement: who was off for a week is sent keys meanwhile


class Inbox:
    """Owns our prekeys, and what is known of others'; lives as long as the log is open."""

    def __init__(
        self,
        log: Log,
        author: Author,
        sealing: Sealing,
        *,
        entropy: crypto.Entropy,
        rng: random.Random,
        publish: Publish,
        now: Now,
    ) -> None:
        self._log, self._author, self._sealing = log, author, sealing
        self._entropy, self._rng, self._publish = entropy, rng, publish
        self._own = OwnPrekeys(log.inboxes.secrets())
        self._owners: dict[bytes, bytes] = {}  # by inbox channel: whose it is
        self._announced_day = 0
        self._announce_ms = 0  # not before this, wall milliseconds
        self._made = b""  # signature and signed bytes of what was announced last, since the start
        self._kept_day = 0  # what is before it was erased in memory too
        self._seen: set[bytes] = set()  # key envelopes for others that were looked at and count, by key
        self.delivery = Delivery(author.public, rng, sealing.keyring.keys)
        self.taken: Callable[[Delivered, Now], None] = lambda delivered, now: None
        for identity, day, key in log.contacts.inboxes():
            self._open(identity, day, key)
        for identity, first_day, joined in log.inboxes.prekeys():
            if identity == author.public:
                self._announced_day = first_day
            else:
                self.delivery.announced(identity, prekeys.parse_keys(first_day, joined), now.wall_ms)
        sealing.readers[KIND_PREKEYS] = lambda inside, now: self._hear(inside.post, now)
        sealing.contents[CONTENT_KEY] = self._on_key

    # --- whose inboxes are open to us ---

    def own_key(self, wall_ms: int) -> tuple[int, bytes]:
        """A day, today or before, and our inbox key on it; from now on there is one."""
        day, key = self._author.inbox(wall_ms)
        self._open(self._author.public, day, key)
        return day, key

    def take_card(self, shown: Card, now: Now) -> None:
        """A card came: its key counts from now on, unless that of a later day is here. The prekeys on a long one count
        as if they were heard, but for those of a day to come: they would stay the newest until then."""
        kept, keyring = self._log.contacts.inbox(shown.identity), self._sealing.keyring
        said = shown.announcement
        if said is not None and not (now.synced and said.time_ms > now.wall_ms + HLC_REFUSE_MS):
            self._hear(said, now)
        if kept is not None and kept[0] > shown.day:
            return
        own_key = shown.identity, shown.day, shown.inbox_key
        self._log.contacts.set_inbox(*own_key)
        channel = inbox_channel_id(shown.identity)
        if keyring.key(channel, b"", shown.day) != shown.inbox_key:
            keyring.remove(
                channel, b""
            )  # whoever has only the older card is shut out; so that card is of no use
            self._open(*own_key)
            self._sealing.look_again()

    def know(self, identity: bytes, day: int, key: bytes) -> None:
        """Somebody's inbox key of this day stands in a list of members."""
        if self._log.contacts.inbox(identity) is None:
            self._log.contacts.set_inbox(identity, day, key)
        if self._open(identity, day, key):
            self._sealing.look_again()

    def forget(self, identity: bytes) -> None:
        """Neither read nor write in somebody's inbox any more, unless a list of members brings its key back."""
        self._log.contacts.forget_inbox(identity)
        self._sealing.keyring.remove(inbox_channel_id(identity), b"")

    def _open(self, identity: bytes, day: int, key: bytes) -> bool:
        channel = inbox_channel_id(identity)
        self._owners[channel] = identity
        return self._sealing.keyring.add(channel, b"", day, key)

    def is_inbox(self, channel: bytes) -> bool:
        """Whether this is an inbox that is open to us."""
        return channel in self._owners

    def prekeys(self, identity: bytes) -> Announcement | None:
        """The newest that somebody announced, if any of it is known."""
        return self.delivery.prekeys(identity)

    # --- what comes ---

    def _hear(self, said: Post, now: Now) -> None:
        """A post that announces prekeys, its signature checked."""
        announced, who = prekeys.parse(said), said.author
        if announced is None:
            return
        joined = b"".join(announced.keys)
        if not self._log.inboxes.set_prekeys(who, said.hlc, announced.first_day, joined):
            return
        if who == self._author.public:
            self._announced_day = announced.first_day
        else:
            self.delivery.announced(who, announced, now.wall_ms)

    def _on_key(self, opened: Opened, sealed: Sealed, now: Now) -> None:
        owner, found = self._owners.get(opened.channel), keyenvelope.parse(opened.content)
        if owner is None or found is None or sealed.key in self._seen:
            return
        if owner != self._author.public:
            for epoch, sent in self.delivery.seen(owner, found, sealed.expiry_hour, now.wall_ms):
                self._note_sent(epoch, owner, sent)
            self._seen.add(sealed.key)
        elif (delivered := self.open_key(found)) is not None:
            self.taken(delivered, now)

    def open_key(self, sealed: keyenvelope.KeyEnvelope) -> Delivered | None:
        """What a key envelope for us brings; None if our prekeys do not open it."""
        return keyenvelope.open(sealed, self._author.public, self._own.secret)

    def secret(self, day: int) -> bytes | None:
        """The secret of our own prekey of this key day; None if there was none, or it is erased."""
        return self._own.secret(day)

    def _note_sent(self, epoch: bytes, member: bytes, sent: Sent) -> None:
        self._log.inboxes.note_sent(epoch, [(member, sent)])

    # --- whose keys we hold ---

    def hold(
        self,
        channel: bytes,
        epoch: bytes,
        members: frozenset[bytes],
        now: Now,
        *,
        maker: tuple[bytes, int],
        is_ours: bool,
    ) -> None:
        """The key of this epoch is here, and these may be sent it. `maker`: who made it, and so has the key from that
        time on, wall milliseconds."""
        author, hour = maker[0], min(maker[1], now.wall_ms) // HOUR_MS
        sent = {author: Sent(key_day(hour), hour + KEY_ENVELOPE_HOURS, author)}
        sent |= {member: Sent(*row) for member, row in self._log.inboxes.sent(epoch).items()}
        counted = self.delivery.hold(channel, epoch, members, now.wall_ms, sent=sent, is_ours=is_ours)
        for member, each in counted:
            self._note_sent(epoch, member, each)

    def drop(self, epoch: bytes) -> None:
        """It is not, or the members are others."""
        self.delivery.drop(epoch)

    def seal_key(self, channel: bytes, epoch: bytes, member: bytes, now: Now) -> bytes | None:
        """The content of a key envelope that brings a member the key of an epoch that we hold, to be carried by
        hand; None if it can't be made, because nothing is known of the member that is for today."""
        announced = self.prekeys(member)
        life = keyenvelope.life(announced, now.wall_ms // HOUR_MS) if announced is not None else None
        if announced is None or life is None:
            return None
        return self._seal_key(channel, epoch, member, announced, life.days)

    def _seal_key(
        self, channel: bytes, epoch: bytes, member: bytes, announced: Announcement, days: range
    ) -> bytes | None:
        key = self._sealing.keyring.key(channel, epoch, days[0])
        return self._author.deliver(member, announced, days, channel, epoch, key) if key is not None else None

    # --- what is due ---

    def go_on(self, now: Now) -> None:
        """Announce, deliver and forget what is due. For who trusts the clock."""
        day = now.wall_ms // DAY_MS
        if (kept := first_kept_day(now.wall_ms // HOUR_MS)) != self._kept_day:
            self._kept_day = kept
            self._own.erase(kept)
            self._seen = {key for key in self._seen if int.from_bytes(key[:8], "big") * HOUR_MS > now.wall_ms}
        if self._announced_day < day and self._announce_ms <= now.wall_ms and self._is_open:
            self._announce(now)
        for due in self.delivery.due(now.wall_ms, KEYS_AT_ONCE):
            content = self._seal_key(due.channel, due.epoch, due.member, due.prekeys, due.life.days)
            expiry_hour, inbox = due.life.expiry_hour, inbox_channel_id(due.member)
            inbox_key = self._sealing.keyring.key(inbox, b"", key_day(expiry_hour))
            if content is not None and inbox_key is not None:
                self._note_sent(due.epoch, due.member, self.delivery.sent(due, now.wall_ms))
                self._publish([self._author.seal(content, inbox_key, expiry_hour)], now)

    def announced(self, now: Now) -> bytes:
        """What a long card of ours shows: signature and signed bytes of our announcement of today, made now if there is
        none since the start. For who knows the time."""
        self.own_key(now.wall_ms)
        if not self._made or self._announced_day < now.wall_ms // DAY_MS:
            self._announce(now)
        return self._made

    @property
    def _is_open(self) -> bool:
        """Whether anybody may have our card."""
        return inbox_channel_id(self._author.public) in self._owners

    def _announce(self, now: Now) -> None:
        day = self._author.next_ms(now.wall_ms) // DAY_MS
        announced, fresh = self._own.announce(day, self._entropy)
        self._log.inboxes.add_secrets(fresh)
        channel = inbox_channel_id(self._author.public)
        made = self._author.sign(
            channel, b"", KIND_PREKEYS, prekeys.encode(announced), KEEP_HOURS[_KEEP], now.wall_ms, ()
        )
        until = made.post.keep_until
        key = self._sealing.day_key(channel, b"", until)
        self._announced_day, self._made = day, made.signature + made.signed
        self._announce_ms = (day + 1) * DAY_MS + self._rng.randrange(PREKEYS_DELAY_MS)
        self._publish([self._author.seal(post_content(made.signed, made.signature), key, until)], now)

    def next_deadline(self, now: Now) -> int | None:
        """When `go_on` has something to do, in monotonic milliseconds."""
        due_ms = [self.delivery.next_due_ms]
        if self._is_open:
            due_ms.append(max(self._announce_ms, (self._announced_day + 1) * DAY_MS))
        first = min((each for each in due_ms if each is not None), default=None)
        return now.mono_ms + max(0, first - now.wall_ms) if first is not None else None
