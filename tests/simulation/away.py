"""A group whose members are off for up to 20 days: what they can read when they are back, and what a seizure opens.

The rule: the shipped modules do everything that has to do with keys (`daykeys`, `envelope`, `keyring`, `prekeys`,
`keyenvelope`, `delivery`); around them is a toy. A step is an hour. Laptops, some of outsiders, go on and off by a
random schedule and walk between a few places; all that are on in one place have all that any of them carries. A laptop
that comes on learns the time from those it meets, erases what is over, and only then exchanges.

Two figures come of it. **Held in time and read**: of the posts that a member's laptop held before they expired, how
many it could read then. **Expired and opened**: of what was over at a laptop's last erasure, how much opens for who has
it unlocked, has all that was ever sent, and has even the content of every key envelope (anybody with the owner's card
could have kept that). The same thief opens some of what is not over yet, or he is no thief.
"""

import random
from dataclasses import dataclass
from typing import NamedTuple

from meshd import daykeys, envelope
from meshd.groups import keyenvelope
from meshd.post import HOUR_MS
from tests.simulation.members import FIRST_HOUR, Laptop, Member, Town


@dataclass(frozen=True)
class Away:
    """One kind of schedule."""

    about: str = "a group whose members are off for up to 20 days, and what a thief opens; keys alone"
    nodes: int = 6  # members
    outsiders: int = 8  # they only carry
    days: int = 28
    away_days: int = 20
    places: int = 4
    posts_a_day: float = 2.0  # of each member that is on for half of it
    seizures: int = 3


class Figures(NamedTuple):
    """What came of one schedule, or of several: they add up."""

    held: int = 0  # pairs of a post and a member that held it in time
    read: int = 0  # … and read it then
    expired: int = 0  # envelopes that were over, at all seizures together
    opened: int = 0  # … and opened all the same
    living: int = 0  # envelopes that were not over and opened
    seizures: int = 0
    posts: int = 0
    key_envelopes: int = 0
    epochs: int = 0

    def plus(self, other: "Figures") -> "Figures":
        return Figures(*map(sum, zip(self, other, strict=True)))

    def __str__(self) -> str:
        return (
            f"held in time {self.held}, read {self.read} ({100 * self.read / max(1, self.held):.1f} %);"
            f" over at {self.seizures} seizures {self.expired}, opened {self.opened} (of what was not over"
            f" {self.living}); {self.posts} posts, {self.epochs} epochs, {self.key_envelopes} key envelopes"
        )


class Schedule:
    """One run: so many days of hours, drawn from a seed."""

    def __init__(self, scenario: Away, seed: int) -> None:
        self.scenario = scenario
        self.rng = random.Random(f"away {seed}")
        self.town = town = Town(scenario.away_days, scenario.places, scenario.posts_a_day)
        town.members += [Member(town, random.Random(f"{seed} {n}")) for n in range(scenario.nodes)]
        outsiders = [Laptop(town, random.Random(f"{seed} out {n}")) for n in range(scenario.outsiders)]
        self.laptops: list[Laptop] = [*town.members, *outsiders]
        for card in town.members:
            town.by_inbox[card.inbox] = card
            inbox_key = self.rng.randbytes(32)
            for member in town.members:
                member.keyring.add(card.inbox, b"", town.day, inbox_key)

    def run(self) -> Figures:
        """All hours; AssertionError if a seizure opens what is over, or nothing at all."""
        hours = range(FIRST_HOUR, FIRST_HOUR + self.scenario.days * 24)
        seizures = self.rng.sample(hours[len(hours) // 4 :], self.scenario.seizures)
        figures = Figures()
        town = self.town
        for hour in hours:
            town.strike(hour)
            for laptop in self.laptops:
                laptop.carried &= town.living
                if hour > FIRST_HOUR:
                    laptop.turn()
            for place in range(self.scenario.places):
                self._meet([each for each in self.laptops if each.is_on and each.place == place])
            for _ in range(seizures.count(hour)):
                figures = figures.plus(self.seize(self.rng.choice(town.members)))
        undecided = {thing.text for number, thing in enumerate(town.things) if town.living >> number & 1}
        held = sum(len(member.held - (undecided - member.read)) for member in town.members)
        read = sum(len(member.held & member.read) for member in town.members)
        posts = sum(bool(thing.text) for thing in town.things)
        keys = sum(bool(thing.key_envelope) for thing in town.things)
        assert figures.living, "a thief who opens nothing is none"
        return figures.plus(Figures(held, read, posts=posts, key_envelopes=keys, epochs=len(town.epochs)))

    def _meet(self, here: list[Laptop]) -> None:
        """One hour of those who are in one place."""
        members = [each for each in here if isinstance(each, Member)]
        for member in members:
            if len(here) > 1 or member.was_on:  # somebody agrees on the time, or it was never in doubt
                member.erase()
            member.announce()
        self._mix(here)
        if self.town.hour == FIRST_HOUR:
            self.town.members[0].begin_epoch(0)
            self._mix(here)
        for member in self.rng.sample(members, len(members)):
            for does in (member.renew, member.reseal, member.write):
                does()
                self._mix(here)
        end_ms = self.town.wall_ms + HOUR_MS
        while due := [
            (ms, n) for n, each in enumerate(members) if (ms := each.delivery.next_due_ms) is not None
        ]:
            first_ms, number = min(due)
            if first_ms >= end_ms:
                break
            members[number].deliver(max(first_ms, self.town.wall_ms))
            self._mix(here)

    def _mix(self, here: list[Laptop]) -> None:
        all_carried = 0
        for laptop in here:
            all_carried |= laptop.carried
        for laptop in here:
            if new := all_carried & ~laptop.carried & self.town.living:
                laptop.take(new)

    def seize(self, member: Member) -> Figures:
        """What a thief opens who has this laptop unlocked, all that was ever sent, and what is in all key envelopes."""
        over = daykeys.first_kept_day(member.erased_hour)
        ring = member.keyring
        names = [(channel, epoch) for channel in ring.channels() for epoch in ring.epochs(channel)]
        keys = {(held.day, held.key) for name in names for held in ring.keys(*name)}
        secrets = {day: secret for day in range(over - 40, over + 40) if (secret := member.own.secret(day))}
        for thing in self.town.things:
            sealed = keyenvelope.parse(thing.key_envelope)
            for day, secret in secrets.items() if sealed else ():
                found = sealed and keyenvelope.open(sealed, member.identity, {day: secret}.get)
                keys |= {(found.day, found.key)} if found else set()
        opened = {True: 0, False: 0}
        ready: dict[int, list[tuple[bytes, bytes]]] = {}
        for thing in self.town.things:
            day = daykeys.key_day(thing.sealed.expiry_hour)
            if day not in ready:
                tried = [daykeys.advance(key, max(0, day - since)) for since, key in sorted(keys)]
                ready[day] = [(daykeys.hint_key(key), daykeys.seal_key(key)) for key in tried]
            for hint_key, seal_key in ready[day]:
                if daykeys.hint(hint_key, thing.sealed.nonce) == thing.sealed.hint:
                    assert envelope.unseal(thing.sealed, seal_key) is not None
                    opened[day < over] += 1
        expired = sum(daykeys.key_day(thing.sealed.expiry_hour) < over for thing in self.town.things)
        stale = [text for text, until in member.log.items() if until <= member.erased_hour]
        assert not opened[True] and not stale, (
            f"{opened[True]} envelopes that were over are opened, {len(stale)} kept"
        )
        return Figures(expired=expired, opened=opened[True], living=opened[False], seizures=1)
