"""Laptops of the scenario `plans`: each holds posts, and what the shipped modules make of them.

The rule: versions, acts, parts, shares, keys, `Arrangement` and `Watch` are those that ship, and posts are signed and
checked as everywhere. Around them is a toy: a laptop has a clock that is off, keeps on disk what a node keeps there
(posts, latches, what fired, keys), and forgets the rest when it is started again. Argon2id alone has a stand-in, a
plain hash: it would take 0.4 s a phrase.

`Town` is what nobody in it has: the time, all secrets, and everything that was *meant*, by whoever meant it. A forged
act is in no list of the town, so whatever follows from one shows.
"""

import random
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import NamedTuple

from meshd import crypto, statement
from meshd import post as posts
from meshd.ids import post_id
from meshd.plans import act as acts
from meshd.plans import locks, parts
from meshd.plans import plan as plans
from meshd.plans.act import Act
from meshd.plans.arrangement import Arrangement, Said
from meshd.plans.parts import Recipient
from meshd.plans.plan import Plan, Version
from meshd.plans.watch import Fired, Latch, Senses, Watch
from meshd.post import KIND_PLAN, KIND_PLAN_ACT, Post
from meshd.statement import KEY, SIGN_PLAN, Statement
from tests.simulation.meaning import Meaning, Meant

CHANNEL = b"g" * 16
DAY = 20_500
SIGNATURE_SIZE = 64


class Read(NamedTuple):
    """A post, and the version or the act that it is."""

    id: bytes
    post: Post
    version: Version | None
    act: Act | None


def stretched(phrase: str) -> bytes:
    """What stands for Argon2id of a phrase."""
    return sha256(locks.normalise(phrase).encode()).digest()


class Town(Meaning):
    """All people, the time, and what was meant."""

    def __init__(
        self, rng: random.Random, seeds: Iterable[bytes], now_ms: int, channel: bytes = CHANNEL
    ) -> None:
        super().__init__()
        self.rng = rng
        self.now_ms = now_ms
        self.channel = channel
        pairs = sorted(map(crypto.ed25519_keypair, seeds))
        self.people = tuple(public for public, _ in pairs)
        self.secrets = [secret for _, secret in pairs]
        self.prekeys = [rng.randbytes(32) for _ in pairs]
        self.phrases: dict[tuple[bytes, int], str] = {}  # by version and scenario
        self.keys: dict[tuple[bytes, int], bytes] = {}
        self.laptops: list[Laptop] = []  # of the honest
        self.is_missing = False  # whoever the plan would miss
        self.refused = 0
        self.fired: Callable[[Laptop, Version, Fired], None] = lambda laptop, version, fired: None
        self._read: dict[bytes, Read | None] = {}

    def recipients(self, places: bytes) -> list[Recipient]:
        return [Recipient(self.people[p], DAY, crypto.x25519_keypair(self.prekeys[p])[0]) for p in places]

    def sign(self, who: int, post: Post) -> bytes:
        """The post as it travels, signed by this one, whoever it names as its author."""
        signed = posts.encode(post)
        return posts.sign(self.secrets[who], post_id(signed)) + signed

    def read(self, raw: bytes) -> Read | None:
        """A post that is what it says; the same for everybody, so it is found out once."""
        if raw not in self._read:
            signature, signed = raw[:SIGNATURE_SIZE], raw[SIGNATURE_SIZE:]
            post, id = posts.parse(signed, sealed=True), post_id(signed)
            is_signed = crypto.verify(*posts.check(post, id, signature))
            read = Read(id, post, plans.parse(post, id), acts.parse(post))
            self._read[raw] = read if is_signed else None
        return self._read[raw]

    @property
    def liars(self) -> frozenset[bytes]:
        """Who is hostile, by identity."""
        return frozenset(self.people[place] for place in self.hostile)

    def attesting(self, side: int) -> frozenset[bytes]:
        """Who attests the dark on one side of a partition: who sees it, and who is bought."""
        return self.liars | {each.identity for each in self.laptops if each.side == side and each.is_dark}

    def silent(self) -> frozenset[bytes]:
        """Who says that somebody is missing: everybody if it is so, and who is bought in any case."""
        return frozenset(self.people) if self.is_missing else self.liars


class Laptop:
    """One person's."""

    def __init__(self, town: Town, place: int, skew_ms: int) -> None:
        self.town, self.place, self.skew_ms = town, place, skew_ms
        self.identity = town.people[place]
        self.side = 0  # of a partition
        self.is_synced, self.is_dark = True, False
        self.was_dark = False
        self.incarnation, self.sequence = 7, 0
        self.raws: dict[bytes, bytes] = {}  # on disk, as what follows
        self.keys: dict[tuple[bytes, int], bytes] = {}
        self.shares: dict[tuple[bytes, int], bytes] = {}
        self.opened_ms: dict[tuple[bytes, str], int] = {}
        self._latched: dict[bytes, dict[Latch, int]] = {}
        self._fired: dict[bytes, dict[Fired, int]] = {}
        self.restart()

    @property
    def now_ms(self) -> int:
        return self.town.now_ms + self.skew_ms

    def restart(self) -> None:
        """Begin with what is on disk, in whatever order."""
        self.arrangement = Arrangement(self._counts)
        self.watches: dict[bytes, Watch] = {}
        self.forked: set[bytes] = set()
        self._sequences: dict[tuple[bytes, int], bytes] = {}
        self._waiting: list[Said] = []
        again = list(self.raws.values())
        self.town.rng.shuffle(again)
        self.raws = {}
        for raw in again:
            self.take(raw)

    # --- what comes ---

    def take(self, raw: bytes) -> None:
        """Take in a post from anybody."""
        found = self.town.read(raw)
        if found is None:
            self.town.refused += 1
            return
        id, post, version, act = found
        if id in self.raws:
            return
        self.raws[id] = raw
        if self._sequences.setdefault((post.author, post.sequence), id) != id:
            self.forked.add(post.author)
        if version is not None:
            self._begin(version)
        elif act is not None:
            self._waiting.append(Said(post.time_ms, id, post.author, act))
        else:
            self.town.refused += 1
        self._waiting = [
            said for said in self._waiting if not (self.arrangement.takes(said) and self._hear(said))
        ]

    def _hear(self, said: Said) -> bool:
        self.arrangement.add(said)
        version, name = (
            self.arrangement.versions[said.act.statement.about],
            said.act.statement.subject.decode(),
        )
        for place, scenario in enumerate(version.plan.scenarios):
            if scenario.name != name or scenario.seal is None or (version.id, place) in self.keys:
                continue
            combined, _ = self.arrangement.released(version, scenario)
            passed = self.arrangement.passed_key(version, name)
            key = passed.act.payload if passed else combined.key if combined else None
            if key is not None:
                self.keys[version.id, place] = key
        return True

    def _begin(self, version: Version) -> None:
        self.arrangement.add_version(version)
        watch = self.watches[version.id] = Watch(version)
        watch.latched.update(self._latched.get(version.id, {}))
        watch.fired.update(self._fired.get(version.id, {}))
        secret_of = {DAY: self.town.prekeys[self.place]}.get
        for place, scenario in enumerate(version.plan.scenarios):
            if scenario.seal is None:
                continue
            if self.place in version.plan.organisers and version.author != self.identity:
                key = parts.open_key(version, place, version.plan.organisers.index(self.place), secret_of)
                assert key is not None, "an organiser's part is not true"
                self.keys[version.id, place] = key
            if self.place in version.plan.stewards and version.author != self.identity:
                share = parts.open_share(version, place, version.plan.stewards.index(self.place), secret_of)
                if share is not None:
                    self.shares[version.id, place] = share

    def _counts(self, said: Said) -> bool:
        return said.author not in self.forked

    # --- what is said here ---

    def post(self, kind: int, keep_until: int, body: bytes, ms: int, sequence: int | None = None) -> bytes:
        """A post of our own, as it travels."""
        if sequence is None:
            self.sequence += 1
            sequence = self.sequence
        parents = b"" if sequence == 1 else bytes(32)
        return self.town.sign(
            self.place,
            Post(
                1,
                self.town.channel,
                b"",
                self.identity,
                self.incarnation,
                sequence,
                parents,
                ms << 16,
                kind,
                keep_until,
                body,
            ),
        )

    def propose(self, plan: Plan, ms: int) -> bytes:
        body = plans.encode(plan, self.identity)
        return self.post(KIND_PLAN, plans.keep_until(plan.until_s), body, ms)

    def say(
        self,
        purpose: int,
        version: Version,
        subject: str = "",
        *,
        drill: bool = False,
        payload: bytes = b"",
        ms: int | None = None,
        sequence: int | None = None,
        is_false: bool = False,
    ) -> bytes:
        """An act of our own, as it travels; the town hears what was meant, unless what it brings is false."""
        said = Statement(purpose, version.channel, version.id, subject.encode(), int(drill))
        ms = self.now_ms if ms is None else ms
        if not is_false:
            self.town.meant.append(Meant(self.place, ms, said))
        return self.act(
            Act(said, statement.sign(self.town.secrets[self.place], said), payload), version, ms, sequence
        )

    def act(self, act: Act, version: Version, ms: int, sequence: int | None = None) -> bytes:
        """Any act, true or not, in a post of our own."""
        return self.post(
            KIND_PLAN_ACT, plans.keep_until(version.plan.until_s), acts.encode(act), ms, sequence
        )

    # --- what follows ---

    def standing(self, plan_id: bytes) -> Version | None:
        return next(reversed(self.arrangement.line(plan_id).versions), None)

    def senses(self, version: Version) -> Senses:
        return Senses(
            self.now_ms,
            self.is_synced,
            self.is_dark,
            self.town.attesting(self.side),
            lambda name, leaf: self.town.silent(),
            lambda name: self.opened_ms.get((version.id, name)),
        )

    def look(self) -> None:
        """Let fire what fires, and note it on disk; an organiser passes on the key of what was called."""
        for version in list(self.arrangement.versions.values()):
            watch = self.watches[version.id]
            self.was_dark |= self.is_dark and self.is_synced
            for place, is_drill in watch.look(self.arrangement, self.senses(version)):
                self.town.fired(self, version, (place, is_drill))
                name, key = version.plan.scenarios[place].name, self.keys.get((version.id, place))
                is_ours = self.place in version.plan.organisers and not is_drill
                if is_ours and key is not None and self.arrangement.passed_key(version, name) is None:
                    self.take(self.say(KEY, version, name, payload=key))
            self._latched[version.id], self._fired[version.id] = dict(watch.latched), dict(watch.fired)

    def sign_what_follows(self, authors: frozenset[bytes]) -> None:
        """Sign what one of these proposes to follow the version that stands here."""
        for version in list(self.arrangement.versions.values()):
            before = self.arrangement.versions.get(version.plan.previous)
            is_next = before is None or self.standing(version.plan_id) is before
            has_signed = self.identity in self.arrangement.signers(version)
            judges = (before or version).plan.organisers
            if version.author in authors and self.place in judges and is_next and not has_signed:
                self.take(self.say(SIGN_PLAN, version))
