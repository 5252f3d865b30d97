"""Witness: what a node says, while a plan lives, of itself, of others and of the dark; and what a plan makes of it.

The rules (protocol.md, "Plans", *Witnesses*):

- The dark is **attested** by who sees it and whose user asked for it, in the groups where a plan waits for it: for half
  an hour, and anew until it is light again.
- A **sign of life** is any post in the group. Who chose so gives one about once an hour, by a heartbeat, while a plan
  there waits for somebody's silence; and at once, if somebody says that they are silent.
- **Silent** calls a person who was not heard for the hours of the cue, since the plan began, an observer who meanwhile
  heard at least half of the others. It counts for nothing where a sign of life from those hours or later is known.
- Who **holds** a version that stands says so about once a day; who is **reached** by a drill, or looks at it, once.
- While the own view is dark, nobody is added to a group where a living plan wants that; removals always work.

What others said is judged by everybody anew (`testimony`, `plans.watch`): who lies has one voice of those that a cue
asks for. All of it is statements that say nothing else, kept for a day, after waits drawn at random.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import NamedTuple, Protocol

from meshd import statement
from meshd.author import Author
from meshd.errors import CallerError, Code
from meshd.events import Now
from meshd.groups.turns import Turns
from meshd.internet import Internet
from meshd.limits import (
    ATTEST_DELAY_MS,
    ATTEST_HOLD_S,
    ATTEST_RENEW_MS,
    BEAT_ANSWER_MS,
    BEAT_MS,
    HEARD_LATELY_MS,
    HOLD_AGAIN_MS,
    HOLD_FIRST_MS,
    SILENT_AGAIN_MS,
    SILENT_DELAY_MS,
    WITNESS_KEEP_HOURS,
)
from meshd.meshtime import MeshTime
from meshd.own_group import OwnGroup
from meshd.own_groups import OwnGroups
from meshd.plans import cue as cues
from meshd.plans.arrangement import Arrangement
from meshd.plans.cue import Dark, Leaf, Silence
from meshd.plans.plan import FREEZE_WHEN_DARK, Scenario, Version
from meshd.plans.watch import Senses
from meshd.post import HOUR_MS
from meshd.sealing import Inside
from meshd.statement import DARK, HEARTBEAT, HOLD, LOOKED, REACHED, SILENT, Statement
from meshd.store.log import Log
from meshd.testimony import KEEP_MS, NOTHING, Testimony


class Plans(Protocol):
    """What is asked of who keeps the plans."""

    def versions(self) -> list[Version]:
        """The version to show of each plan, and what was proposed after it."""

    def arrangement(self, channel: bytes, /) -> Arrangement:
        """What is known of the plans of a group."""

    def stir(self) -> None:
        """Something that cues hang on has changed."""


class Duty(NamedTuple):
    """Something to say in a group, once it is due and a wait is over."""

    own: OwnGroup
    purpose: int
    about: bytes
    subject: bytes = b""  # of an attestation none yet
    from_ms: int = 0  # when it is due, wall milliseconds
    longest_ms: int = 0  # the longest wait besides, drawn at random

    @property
    def key(self) -> bytes:
        """What tells it from others."""
        return bytes((self.purpose,)) + self.own.channel + self.about + self.subject


class Witness:
    """Says what is ours to say, and tells what follows from what others said. `plans` is set once it is there."""

    def __init__(
        self,
        log: Log,
        author: Author,
        groups: OwnGroups,
        seen: tuple[Internet, MeshTime],
        *,
        rng: random.Random,
    ) -> None:
        self._said, self._author, self._groups = log.said, author, groups
        self._internet, self._time = seen
        self.plans: Plans | None = None
        self._testimony = Testimony(log.said, groups)
        self.heard_ms = self._testimony.heard_ms
        self._intent = log.said.intent()
        self._turns = Turns(rng)
        self._is_stale = True  # something came since the duties were looked at
        self._ask_ms = 0  # when to look at them again, wall milliseconds
        self._hour = 0
        groups.planned = self._take
        groups.deciding.is_frozen = self.is_frozen

    def _take(self, own: OwnGroup, inside: Inside, said: Statement) -> None:
        self._testimony.take(own, inside.post, said)
        self._is_stale |= said.purpose == SILENT  # it may be us
        if self.plans is not None and said.purpose in (DARK, SILENT):
            self.plans.stir()

    def look_again(self) -> None:
        """Some plan is not what it was."""
        self._is_stale = True

    # --- what follows ---

    def senses(self, version: Version, now: Now, opened_ms: Callable[[str], int | None]) -> Senses:
        """What `Watch.look` goes by; `opened_ms` as there."""
        return Senses(
            now.wall_ms,
            now.synced,
            self._internet.dark(now),
            self.attesting(version.channel, now),
            lambda scenario, leaf: self.silent(version, scenario, leaf, now),
            opened_ms,
        )

    def attesting(self, channel: bytes, now: Now) -> frozenset[bytes]:
        """Whose attestation of the dark holds now in a group."""
        words = self._testimony.counting(channel, DARK, NOTHING)
        return frozenset(who for who, word in words.items() if now.wall_ms <= word.until_s * 1000)

    def silent(self, version: Version, scenario: str, leaf: Silence, now: Now) -> frozenset[bytes]:
        """Who says that the person of a leaf is silent, and is not contradicted by what we heard."""
        words = self._testimony.counting(version.channel, SILENT, version.id, scenario.encode())
        heard_ms = self.heard_ms(version.channel, version.plan.people[leaf.person]) if words else 0
        return frozenset(
            who
            for who, word in words.items()
            if heard_ms <= word.time_ms - leaf.hours * HOUR_MS and now.wall_ms < word.time_ms + KEEP_MS
        )

    def attested_by(self, now: Now) -> list[bytes]:
        """Whose attestation of the dark holds now in any of our groups, ours among them; ascending."""
        return sorted(set[bytes]().union(*(self.attesting(channel, now) for channel in self._groups.groups)))

    def holders(self, version: Version) -> frozenset[bytes]:
        """Who said that they hold this version, and ourselves."""
        return frozenset(self._testimony.counting(version.channel, HOLD, version.id)) | {self._author.public}

    def drill(self, version: Version, scenario: str) -> tuple[frozenset[bytes], frozenset[bytes], int | None]:
        """Whom the drill of a scenario has reached, who looked at it, and when the last was reached, wall ms."""
        about, subject = (version.channel, version.id), scenario.encode()
        reached, looked = (
            self._testimony.counting(about[0], purpose, about[1], subject) for purpose in (REACHED, LOOKED)
        )
        last_ms = max((word.time_ms for word in reached.values()), default=None)
        return frozenset(reached), frozenset(looked), last_ms

    def heard_lately(self, version: Version, now: Now) -> frozenset[bytes]:
        """Those of a version's people who gave a sign of life within a day; we do."""
        since_ms = now.wall_ms - HEARD_LATELY_MS
        return frozenset(
            who
            for who in version.plan.people
            if who == self._author.public or self.heard_ms(version.channel, who) >= since_ms
        )

    def clocks_off(self, version: Version, now: Now) -> frozenset[bytes]:
        """Those of a version's people whose newest post was stamped far ahead of our time when it came, and contacts
        who had another hour, or none, when we met: a post tells not who is behind from who was far away."""
        is_ahead, is_off = partial(self._testimony.is_ahead, version.channel), self._time.is_off
        return frozenset(who for who in version.plan.people if is_ahead(who) or is_off(who, now))

    def readiness(self, version: Version, now: Now) -> dict[str, object]:
        """What `plan ready` answers, in numbers. `spare`: how many stewards may be lost; below 0, how many lack."""
        stewards = version.plan.identities(version.plan.stewards)
        heard = len(self.heard_lately(version, now) & set(stewards))
        return {
            "holders": len(self.holders(version)),
            "stewards": {"heard": heard, "total": len(stewards), "spare": heard - version.plan.needed},
            "clocks_off": len(self.clocks_off(version, now)),
        }

    def is_frozen(self, own: OwnGroup, now: Now) -> bool:
        """Whether nobody is to be added to this group now."""
        return self._internet.dark(now) and any(
            version.plan.flags & FREEZE_WHEN_DARK
            for version in self._living(now)
            if version.channel == own.channel
        )

    def _living(self, now: Now) -> Iterator[Version]:
        """The versions that stand and whose time is not over, of groups that we are in."""
        for version in self.plans.versions() if self.plans is not None else ():
            own = self._groups.get(version.channel)
            is_ours = own is not None and own.is_in and not own.is_out
            if is_ours and now.wall_ms <= _end_ms(version) and self._stands(version):
                yield version

    def _stands(self, version: Version) -> bool:
        if self.plans is None:
            return False
        line = self.plans.arrangement(version.channel).line(version.plan_id).versions
        return bool(line) and line[-1].id == version.id

    # --- what we are asked to say ---

    def attest(self, now: Now) -> int:
        """Say that it is dark here, and say it again until it is light; in how many groups. CallerError: not_met if our
        own view is not dark, refused if there is nobody to tell."""
        if not self._internet.dark(now):
            raise CallerError(Code.not_met, f"it is not dark here: {self._internet.why(now)}")
        where = self._where_dark(now)
        if not where:
            raise CallerError(Code.refused, "no group of yours has a plan that is arranged: nobody was told")
        told = sum(self._say(Duty(own, DARK, NOTHING), now) for own in where)
        if not told:
            raise CallerError(Code.refused, "there is no key for the groups with plans: nobody was told")
        self._intend(attests=True)
        return told

    def heartbeat(self, is_on: bool, now: Now) -> None:
        """Give a sign of life about once an hour where a plan waits for somebody's silence, or no longer."""
        self._intend(beats=is_on)

    @property
    def beats(self) -> bool:
        """Whether heartbeats are on."""
        return self._intent.beats

    def reached(self, version: Version, scenario: str, now: Now) -> None:
        """The drill of a scenario has come here: say so, once."""
        self._say_once(version, REACHED, scenario, now)

    def looked(self, version: Version, scenario: str, now: Now) -> None:
        """The user has seen that drill: say so, once."""
        self._say_once(version, LOOKED, scenario, now)

    def _say_once(self, version: Version, purpose: int, scenario: str, now: Now) -> None:
        own, subject = self._groups.get(version.channel), scenario.encode()
        if own is not None and not self._said_ms(own, purpose, version.id, subject):
            self._say(Duty(own, purpose, version.id, subject), now)

    def _intend(self, **changed: bool) -> None:
        self._intent = self._intent._replace(**changed)
        self._said.set_intent(self._intent)
        self._is_stale = True

    def _say(self, duty: Duty, now: Now) -> bool:
        """Post it; False if there is no key to seal it."""
        own, subject, flag = duty.own, duty.subject, int(duty.purpose in (REACHED, LOOKED))
        if duty.purpose == DARK:
            subject = (self._author.next_ms(now.wall_ms) // 1000 + ATTEST_HOLD_S).to_bytes(4, "big")
        said = Statement(duty.purpose, own.channel, duty.about, subject, flag)
        body = statement.encode_body(said, self._author.sign_statement(said))
        with suppress(CallerError):
            self._groups.deciding.state(own, body, now, hours=WITNESS_KEEP_HOURS)
            return True
        return False

    def _said_ms(self, own: OwnGroup, purpose: int, about: bytes, subject: bytes = b"") -> int:
        """When we said this last, wall milliseconds; 0 if never."""
        word = self._testimony.word(own.channel, own.group.me, purpose, about, subject)
        return word.time_ms if word is not None else 0

    # --- what is ours to say ---

    def go_on(self, now: Now) -> None:
        """Say what is due. For who trusts the clock."""
        if self._intent.attests and not self._internet.dark(now):
            self._intend(attests=False)
        if not self._is_stale and now.wall_ms < self._ask_ms:
            return
        self._is_stale = False
        if self._hour != now.wall_ms // HOUR_MS:
            self._hour = now.wall_ms // HOUR_MS
            self._forget_over(now)
        duties = {duty.key: duty for duty in self._duties(now)}
        due = {key: duty.longest_ms for key, duty in duties.items() if duty.from_ms <= now.wall_ms}
        for key in self._turns.ready(due, now.wall_ms):
            self._is_stale |= self._say(duties[key], now)  # it is due again later
        waits = [duty.from_ms for duty in duties.values() if duty.from_ms > now.wall_ms]
        waits += [(self._hour + 1) * HOUR_MS, self._turns.deadline() or 2**63]
        self._ask_ms = min(waits)

    def next_deadline(self, now: Now) -> int:
        """When `go_on` has something to do, in monotonic milliseconds."""
        return now.mono_ms + (0 if self._is_stale else max(0, self._ask_ms - now.wall_ms))

    def _forget_over(self, now: Now) -> None:
        living = list(self._living(now))
        for version in living:
            self._testimony.note_life(version.channel, version.plan.people)
        here = {version.id for version in self.plans.versions()} if self.plans is not None else set[bytes]()
        self._testimony.forget_over(now.wall_ms, {version.channel for version in living}, here)

    def _duties(self, now: Now) -> Iterator[Duty]:
        waiting: dict[bytes, list[Version]] = {}  # for somebody's silence, by channel
        for version in self._living(now):
            own = self._groups.groups[version.channel]
            held_ms = self._said_ms(own, HOLD, version.id)
            from_ms, longest_ms = (held_ms + HOLD_AGAIN_MS, HOLD_AGAIN_MS) if held_ms else (0, HOLD_FIRST_MS)
            yield Duty(own, HOLD, version.id, b"", from_ms, longest_ms)
            if _begin_ms(version) <= now.wall_ms and (quiet := _silences(version)):
                waiting.setdefault(own.channel, []).append(version)
                if self._author.public in version.plan.identities(version.plan.observers):
                    heard = {who: self.heard_ms(own.channel, who) for who in version.plan.people}
                    yield from (self._silence(own, version, each, heard, now) for each in quiet.items())
        for versions in waiting.values() if self._intent.beats else ():
            if any(self._author.public in version.plan.people for version in versions):
                yield self._beat(versions)
        for own in self._where_dark(now) if self._intent.attests else ():
            from_ms = self._said_ms(own, DARK, NOTHING) + ATTEST_RENEW_MS
            yield Duty(own, DARK, NOTHING, b"", from_ms, ATTEST_DELAY_MS)

    def _where_dark(self, now: Now) -> list[OwnGroup]:
        """The groups in which we are an observer of a plan that waits for the dark; if there are none, all with
        plans."""
        living, me = list(self._living(now)), self._author.public
        waiting = [
            version
            for version in living
            if me in version.plan.identities(version.plan.observers)
            and any(
                isinstance(leaf, Dark) for scenario in version.plan.scenarios for leaf in _leaves(scenario)
            )
        ]
        return [
            self._groups.groups[channel] for channel in dict.fromkeys(v.channel for v in waiting or living)
        ]

    def _beat(self, versions: list[Version]) -> Duty:
        """Our next sign of life in a group with these plans."""
        channel, me = versions[0].channel, self._author.public
        last_ms = self.heard_ms(channel, me)
        is_missed = any(
            who in version.plan.identities(version.plan.observers) and word.time_ms > last_ms
            for version in versions
            for scenario, leaves in _silences(version).items()
            if any(version.plan.people[leaf.person] == me for leaf in leaves)
            for who, word in self._testimony.counting(channel, SILENT, version.id, scenario.encode()).items()
        )
        quiet_ms, longest_ms = (BEAT_ANSWER_MS, 0) if is_missed else (BEAT_MS, BEAT_MS)
        return Duty(self._groups.groups[channel], HEARTBEAT, NOTHING, b"", last_ms + quiet_ms, longest_ms)

    def _silence(
        self,
        own: OwnGroup,
        version: Version,
        quiet: tuple[str, list[Silence]],
        heard: dict[bytes, int],
        now: Now,
    ) -> Duty:
        """When we may say that a scenario's person is silent: if several are waited for, once all are, because the
        statement does not tell them apart."""
        scenario, leaves = quiet
        from_ms = 0
        for leaf in leaves:
            person, span_ms = version.plan.people[leaf.person], leaf.hours * HOUR_MS
            from_ms = max(from_ms, max(heard[person], _begin_ms(version)) + span_ms)
            others = [
                ms >= now.wall_ms - span_ms for who, ms in heard.items() if who not in (own.group.me, person)
            ]
            if person == own.group.me or 2 * sum(others) < max(len(others), 1):
                from_ms = max(from_ms, now.wall_ms + SILENT_DELAY_MS)  # we may have heard more by then
        said_ms = self._said_ms(own, SILENT, version.id, scenario.encode())
        if said_ms >= from_ms:
            from_ms = said_ms + SILENT_AGAIN_MS
        return Duty(own, SILENT, version.id, scenario.encode(), from_ms, SILENT_DELAY_MS)


def _begin_ms(version: Version) -> int:
    return version.plan.from_s * 1000


def _end_ms(version: Version) -> int:
    return version.plan.until_s * 1000


def _leaves(scenario: Scenario) -> Iterator[Leaf]:
    return cues.leaves(scenario.cue)


def _silences(version: Version) -> dict[str, list[Silence]]:
    """The silences that a version's scenarios wait for, by name of the scenario."""
    found = {
        each.name: [leaf for leaf in _leaves(each) if isinstance(leaf, Silence)]
        for each in version.plan.scenarios
    }
    return {name: leaves for name, leaves in found.items() if leaves}
