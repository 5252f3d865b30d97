"""The laptops of the scenario `away`: outsiders', which only carry, and members', which hold the group's keys.

The rule: whatever has to do with keys is done by the modules that ship. The toy around them: every member has every
other's card from the beginning, nobody comes or goes, an epoch's post says how deep it is and no more, and a laptop
does each thing once an hour. Envelopes are numbered, and what a laptop carries is one integer with a bit for each.
"""

import random
from collections.abc import Iterator
from typing import NamedTuple

from meshd import codec, crypto, daykeys, envelope, post
from meshd.envelope import Sealed
from meshd.groups import keyenvelope, prekeys
from meshd.groups.delivery import Delivery
from meshd.groups.group import reseal_due
from meshd.groups.keyenvelope import Delivered
from meshd.groups.prekeys import OwnPrekeys
from meshd.ids import inbox_channel_id, post_id
from meshd.keyring import Keyring, Opened
from meshd.limits import EPOCH_RENEW_MS, KEEP_HOURS, RESEAL_HOURS, SUPERSEDED_HOURS
from meshd.post import HOUR_MS, KIND_EPOCH, KIND_PREKEYS, KIND_TEXT, Post, Text

FIRST_HOUR = 20_500 * 24
LONG_HOURS = 90 * 24  # keep-until of an epoch's post
ON_HOURS, OFF_HOURS = 6, 12  # of a laptop, on average
NEVER = 2**62  # the hour since when the current epoch is superseded
GROUP = b"the group".ljust(16)


class Epoch(NamedTuple):
    """A renewal of the group. The deepest counts, then the one with the lowest id."""

    depth: int
    id: bytes
    hour: int


class Thing(NamedTuple):
    """An envelope that was sent, and what the toy knows of it."""

    sealed: Sealed
    text: bytes  # id of a member's post, or empty
    key_envelope: bytes  # the content, if it is one


class Town:
    """What time it is, what was ever sent, and who is in the group: what everybody's laptop runs in."""

    def __init__(self, away_days: int, places: int, posts_a_day: float) -> None:
        self.away_days, self.places, self.posts_a_day = away_days, places, posts_a_day
        self.things: list[Thing] = []
        self.living = 0  # a bit for each thing that has not expired
        self._ending: dict[int, int] = {}  # those that end in an hour
        self.epochs: dict[bytes, bytes] = {}  # content of an epoch's post: its id
        self.sealings: dict[bytes, int] = {}  # in which things it is
        self.members: list[Member] = []
        self.by_inbox: dict[bytes, Member] = {}
        self.strike(FIRST_HOUR)

    def strike(self, hour: int) -> None:
        """It is this hour."""
        self.hour, self.wall_ms, self.day = hour, hour * HOUR_MS, daykeys.key_day(hour)
        self.living &= ~self._ending.get(hour, 0)

    def put(self, raw: bytes, content: bytes, text: bytes) -> int:
        """A thing that is sent now; its bit."""
        sealed = envelope.parse(raw)
        assert isinstance(sealed, Sealed)
        is_key = envelope.content_kind(content) == envelope.CONTENT_KEY
        bit = 1 << len(self.things)
        self.things.append(Thing(sealed, text, content if is_key else b""))
        self.living |= bit
        self._ending[sealed.expiry_hour] = self._ending.get(sealed.expiry_hour, 0) | bit
        if content in self.epochs:
            epoch = self.epochs[content]
            self.sealings[epoch] = self.sealings.get(epoch, 0) | bit
        return bit


class Laptop:
    """Carries everything and reads nothing: an outsider's, and the ground of a member's."""

    chance_of_absence = 0.0

    def __init__(self, town: Town, rng: random.Random) -> None:
        self.town, self.rng = town, rng
        self.is_on, self.was_on = True, True
        self.until = FIRST_HOUR + 1 + rng.randrange(12)
        self.place = 0
        self.carried = 0  # a bit for each thing

    def turn(self) -> None:
        """On or off, as the schedule says; or into another place."""
        self.was_on = self.is_on
        if self.town.hour >= self.until:
            self.is_on = not self.is_on
            hours = self.rng.expovariate(1 / (ON_HOURS if self.is_on else OFF_HOURS))
            if not self.is_on and self.rng.random() < self.chance_of_absence:
                hours = self.rng.uniform(1, self.town.away_days) * 24
            self.until = self.town.hour + 1 + int(hours)
        if self.rng.random() < 0.25:
            self.place = self.rng.randrange(self.town.places)

    def take(self, things: int) -> None:
        """Carry these too."""
        self.carried |= things


class Member(Laptop):
    """A laptop with an identity, the cards of the others, and the keys that come with time."""

    chance_of_absence = 0.04

    def __init__(self, town: Town, rng: random.Random) -> None:
        super().__init__(town, rng)
        self.identity, self.secret = crypto.ed25519_keypair(rng.randbytes(32))
        self.inbox = inbox_channel_id(self.identity)
        self.keyring = Keyring()
        self.own = OwnPrekeys()
        self.delivery = Delivery(self.identity, rng, self.keyring.keys)
        self.epochs: dict[bytes, Epoch] = {}  # whose posts are known
        self.superseded: dict[bytes, int] = {}  # of which the keys are here: the hour since when
        self.dropped: set[bytes] = set()
        self.newest: dict[bytes, int] = {}  # stamps of the others' announcements
        self.unopened = 0  # things that no key opened yet
        self.held: set[bytes] = set()  # others' posts that were here in time …
        self.read: set[bytes] = set()  # … and those that could be read
        self.log: dict[bytes, int] = {}  # what is readable now, until which hour
        self.erased_hour = FIRST_HOUR  # of the last pass
        self.announced_day = 0

    # --- what comes ---

    def take(self, things: int) -> None:
        super().take(things)
        self.unopened |= things
        self.held |= {self.town.things[number].text for number in bits(things)} - {b""}
        before = -1
        while before != self.unopened:  # what is opened may bring a key for the rest
            before = self.unopened
            for number in bits(self.unopened & self.town.living):
                sealed = self.town.things[number].sealed
                opened = self.keyring.open(sealed)
                if opened is not None and self._read(opened, sealed.expiry_hour):
                    self.unopened &= ~(1 << number)

    def _read(self, opened: Opened, expiry_hour: int) -> bool:
        """Whether it is done with; a post of an epoch that is not known yet is not."""
        if envelope.content_kind(opened.content) == envelope.CONTENT_KEY:
            self._read_key(opened, expiry_hour)
            return True
        names = {"channel": opened.channel, "epoch": opened.epoch}
        found = envelope.read_post(opened.content, **names, expiry_hour=expiry_hour)
        assert crypto.verify(*envelope.check(found))
        inside = found.post
        if inside.kind == KIND_PREKEYS:
            announced = prekeys.parse(inside)
            if announced and inside.hlc > self.newest.get(inside.author, 0):
                self.newest[inside.author] = inside.hlc
                self.delivery.announced(inside.author, announced, self.town.wall_ms)
        elif inside.kind == KIND_EPOCH:
            if found.id not in self.epochs and found.id not in self.dropped:
                (depth,) = codec.unpack(inside.body, (int,), 16)
                self.epochs[found.id] = Epoch(depth, found.id, inside.time_ms // HOUR_MS)
                self._hold(found.id, is_ours=inside.author == self.identity)
        elif inside.epoch in self.epochs:
            self.read.add(found.id)
            self.log[found.id] = inside.keep_until
        else:
            return False
        return True

    def _read_key(self, opened: Opened, expiry_hour: int) -> None:
        sealed = keyenvelope.parse(opened.content)
        assert sealed is not None
        to = self.town.by_inbox[opened.channel]
        if to is not self:
            self.delivery.seen(to.identity, sealed, expiry_hour, self.town.wall_ms)
            return
        found = keyenvelope.open(sealed, self.identity, self.own.secret)
        if found is not None and found.epoch not in self.dropped:
            self.keyring.add(found.channel, found.epoch, found.day, found.key)
            self._hold(found.epoch)

    def _hold(self, epoch: bytes, *, is_ours: bool = False) -> None:
        """Once both its post and its key are here: deliver it to others, and see what it supersedes."""
        if epoch not in self.epochs or epoch in self.superseded or not self.keyring.keys(GROUP, epoch):
            return
        before = self.current
        identities = [each.identity for each in self.town.members]
        self.delivery.hold(GROUP, epoch, identities, self.town.wall_ms, is_ours=is_ours)
        self.superseded[epoch] = self.town.hour
        current = self.current
        if current is not None and current != before:
            self.superseded[current.id] = NEVER
            if before is not None:
                self.superseded[before.id] = self.town.hour

    @property
    def current(self) -> Epoch | None:
        """The epoch to post under: of those with a key here the deepest, then the lowest id."""
        held = [self.epochs[each] for each in self.superseded]
        return min(held, key=lambda each: (-each.depth, each.id), default=None)

    # --- what is over ---

    def erase(self) -> None:
        """The pass by mesh time."""
        town = self.town
        self.erased_hour = town.hour
        self.keyring.erase(daykeys.first_kept_day(town.hour))
        self.own.erase(daykeys.first_kept_day(town.hour))
        self.log = {found: until for found, until in self.log.items() if until > town.hour}
        for epoch, since in list(self.superseded.items()):
            if since + SUPERSEDED_HOURS <= town.hour:
                del self.superseded[epoch], self.epochs[epoch]
                self.dropped.add(epoch)
                self.keyring.remove(GROUP, epoch)
                self.delivery.drop(epoch)

    # --- what it sends ---

    def _send(
        self, content: bytes, channel: bytes, epoch: bytes, expiry_hour: int, text: bytes = b""
    ) -> None:
        key = self.keyring.key(channel, epoch, daykeys.key_day(expiry_hour))
        assert key is not None
        raw = envelope.seal(key, expiry_hour, self.rng.randbytes(24), content)
        self.take(self.town.put(raw, content, text))
        self.held.discard(text)

    def _signed(
        self, kind: int, channel: bytes, epoch: bytes, body: bytes, keep_hours: int
    ) -> tuple[bytes, bytes]:
        """The content of a new post, and its id."""
        inside = Post(
            1, channel, epoch, self.identity, self.rng.getrandbits(62), 1, b"", self.town.wall_ms << 16, kind,
            self.town.hour + keep_hours, body,
        )  # fmt: skip
        signed = post.encode(inside)
        return envelope.post_content(signed, post.sign(self.secret, post_id(signed))), post_id(signed)

    def announce(self) -> None:
        """Today's prekeys, once a day."""
        if self.announced_day != self.town.day:
            self.announced_day = self.town.day
            body = prekeys.encode(self.own.announce(self.town.day, self.rng.randbytes)[0])
            content, _ = self._signed(KIND_PREKEYS, self.inbox, b"", body, KEEP_HOURS["7d"])
            self._send(content, self.inbox, b"", self.town.hour + KEEP_HOURS["7d"])

    def write(self) -> None:
        """A text, now and then, under the epoch that counts."""
        current = self.current
        if current is not None and self.rng.random() < self.town.posts_a_day / 8:
            body, hours = post.encode_text(Text("", b"", "hello")), self.rng.choice(list(KEEP_HOURS.values()))
            content, text = self._signed(KIND_TEXT, GROUP, current.id, body, hours)
            self._send(content, GROUP, current.id, self.town.hour + hours, text)

    def renew(self) -> None:
        """A new epoch, if the one that counts is old enough."""
        current = self.current
        if current is not None and self.town.hour >= current.hour + EPOCH_RENEW_MS // HOUR_MS:
            self.begin_epoch(current.depth + 1)

    def begin_epoch(self, depth: int) -> None:
        """An epoch with a key of its own."""
        content, epoch = self._signed(KIND_EPOCH, GROUP, b"", codec.pack(depth), LONG_HOURS)
        self.keyring.add(GROUP, epoch, self.town.day, self.rng.randbytes(32))
        self.town.epochs[content] = epoch
        self._send(content, GROUP, epoch, self.town.hour + RESEAL_HOURS)

    def reseal(self) -> None:
        """Every epoch whose key is here under the one that counts, if its newest envelope nears its end."""
        town, current = self.town, self.current
        for content, epoch in town.epochs.items():
            if current is not None and epoch in self.superseded:
                found = bits(town.sealings[epoch] & self.carried)
                ends = max((town.things[number].sealed.expiry_hour for number in found), default=0)
                if reseal_due(town.wall_ms, ends):
                    self._send(content, GROUP, current.id, town.hour + RESEAL_HOURS)

    def deliver(self, wall_ms: int) -> None:
        """The key that is due at this time."""
        for due in self.delivery.due(wall_ms, 1):
            days = due.life.days
            key = self.keyring.key(due.channel, due.epoch, days[0])
            assert key is not None
            sent = Delivered(due.channel, due.epoch, self.identity, days[0], key)
            content = keyenvelope.seal(self.rng.randbytes, self.secret, due.member, due.prekeys, days, sent)
            self.delivery.sent(due, wall_ms)
            self._send(content, inbox_channel_id(due.member), b"", due.life.expiry_hour)


def bits(number: int) -> Iterator[int]:
    """The places of the bits that are set, the lowest first."""
    while number:
        lowest = number & -number
        yield lowest.bit_length() - 1
        number ^= lowest
