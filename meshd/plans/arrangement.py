"""Arrangement: what has been said about a group's plans, and what follows from it for everybody.

The rule (protocol.md, "Plans"): everything here follows from the *set* of versions and acts, in whatever order they
came, so that all who hold the same posts agree. What a node has to judge for itself is not here (`watch`).

- A version is **arranged** once as many organisers as its threshold says have signed it; for version n + 1 it is the
  organisers and the threshold of version n that count, so that nobody takes a plan over by naming himself in it. The
  *line* of a plan begins with version 1 and goes on with the arranged successor; of two, that with the lower id
  stands, the other is contested, and what follows a contested one counts for nothing.
- A scenario is **called** once that many organisers have called it within CALL_SPAN_MS of each other, while the
  version was valid and before the next was arranged; T0 is the stamp that completes them. All stamps are those of the
  acts, so a call that was made in time counts however late it comes. A drill is called apart, and is never real.
- A **stand-down** by that many organisers, of a scenario or of all, is final for the version and beats every cue.
  Whoever ever had a say has it in this: who is forked, or came after being removed, counts for nothing else (`counts`).
- A **key** that has the published hash opens its scenario, whoever posts it. A **share** counts if it has the published
  commitment of its steward; if not, it is held too, so that everybody sees whose share is false.

An act is taken only from who has the say in it, about a version that is here: the caller asks again when another
version has come. So what others may fill is bounded by who is named in the plans. What gives way to what is earlier is
told (`dropped`), so that nobody keeps it. A key is the same whoever passes it on: the earliest act is held.
"""

from bisect import insort
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

from meshd import statement as statements
from meshd.limits import CALL_SPAN_MS, CALLS_EACH_MAX
from meshd.plans import locks, shares
from meshd.plans.act import Act
from meshd.plans.plan import Scenario, Version
from meshd.plans.shares import Combined
from meshd.statement import CALL, KEY, SHARE, SIGN_PLAN, STAND_DOWN, Statement

_SEVERAL = {
    CALL: CALLS_EACH_MAX,
    SHARE: CALLS_EACH_MAX,
}  # a call may be made again, a share be mistyped; else once


class Said(NamedTuple):
    """An act, and what its post says of it."""

    time_ms: int  # the post's own: acts are ordered by it, then by id
    id: bytes  # 32: of the post
    author: bytes  # 32
    act: Act


class Called(NamedTuple):
    """Who called a scenario, in the span in which most did or that was enough; and since when that is so."""

    callers: frozenset[bytes]
    ms: int | None  # T0, wall milliseconds; None while there are too few


class Line(NamedTuple):
    """The arranged versions of a plan that follow each other, and those that lost to one of them."""

    versions: tuple[Version, ...]  # the last one stands; empty if version 1 is not arranged
    contested: frozenset[bytes]  # ids


class Arrangement:
    """The plans of one group. `counts`: whether an act counts, for anything but a stand-down."""

    def __init__(self, counts: Callable[[Said], bool] = lambda said: True) -> None:
        self.versions: dict[bytes, Version] = {}
        self.dropped: Callable[[Said], None] = lambda said: None
        self._counts = counts
        self._said: dict[
            Statement, dict[bytes, list[Said]]
        ] = {}  # by what is said, and by whom if that matters

    # --- what is known ---

    def add_version(self, version: Version) -> bool:
        """Take in a version of this group; False if it is here."""
        if version.id in self.versions:
            return False
        self.versions[version.id] = version
        return True

    def takes(self, said: Said) -> bool:
        """Whether the version is here, the author has a say in this, and a key that is brought is the right one."""
        statement, payload = said.act.statement, said.act.payload
        version = self.versions.get(statement.about)
        if version is None or statement.channel != version.channel:
            return False
        scenario = version.plan.scenario(statement.subject.decode())
        if statement.subject and scenario is None:
            return False
        seal = scenario.seal if scenario else None
        match statement.purpose:
            case statements.SIGN_PLAN:
                judge = self._judge(version)
                return judge is not None and said.author in _organisers(judge)
            case statements.CALL | statements.STAND_DOWN:
                return said.author in _organisers(version)
            case statements.SHARE:
                stewards = version.plan.identities(version.plan.stewards)
                return seal is not None and bool(seal.commitments) and said.author in stewards
            case statements.KEY:
                return seal is not None and locks.is_key(version.channel, seal, payload)
        return False

    def add(self, said: Said) -> bool:
        """Take in an act; False if it is not taken, or says nothing that was not said."""
        if not self.takes(said):
            return False
        statement = said.act.statement
        speaker = said.author if statement.purpose != KEY else b""
        held = self._said.setdefault(statement, {}).setdefault(speaker, [])
        if said in held:
            return False
        insort(held, said)
        most = _SEVERAL.get(statement.purpose, 1)
        gone = [held.pop() for _ in range(len(held) - most)]  # the earliest stay
        for each in gone:
            if each != said:
                self.dropped(each)
        return said not in gone

    def all(self, version: Version, purpose: int, subject: str = "", flag: int = 0) -> Iterator[Said]:
        """What is held of one thing that may be said, by whomever."""
        statement = Statement(purpose, version.channel, version.id, subject.encode(), flag)
        for held in self._said.get(statement, {}).values():
            yield from held

    def stand_downs(self) -> set[bytes]:
        """The ids of the acts that stand something down."""
        found = [by.values() for said, by in self._said.items() if said.purpose == STAND_DOWN]
        return {each.id for by in found for held in by for each in held}

    # --- versions ---

    def _judge(self, version: Version) -> Version | None:
        """The version whose organisers decide on this one; None if it is not here, or this one can't follow it."""
        if version.plan.number == 1:
            return version
        previous = self.versions.get(version.plan.previous)
        follows = (
            previous is not None
            and previous.plan_id == version.plan_id
            and previous.plan.number + 1 == version.plan.number
        )
        return previous if follows else None

    def signers(self, version: Version) -> frozenset[bytes]:
        """Who signed a version, of those who count."""
        return frozenset(said.author for said in self.all(version, SIGN_PLAN) if self._counts(said))

    def needed(self, version: Version) -> int | None:
        """How many have to sign it; None if the version that decides on it is not here."""
        judge = self._judge(version)
        return judge.plan.threshold if judge else None

    def _arranged_ms(self, version: Version) -> int | None:
        """The stamp of the signature that was enough for a version."""
        needed = self.needed(version)
        stamps = sorted(said.time_ms for said in self.all(version, SIGN_PLAN) if self._counts(said))
        return stamps[needed - 1] if needed is not None and len(stamps) >= needed else None

    def line(self, plan_id: bytes) -> Line:
        """The line of a plan."""
        found: list[Version] = []
        contested: list[bytes] = []
        following = [self.versions[plan_id]] if plan_id in self.versions else []
        while following := [each for each in following if self._arranged_ms(each) is not None]:
            stands = min(following, key=lambda version: version.id)
            found.append(stands)
            contested += [each.id for each in following if each is not stands]
            following = [
                each
                for each in self.versions.values()
                if each.plan.previous == stands.id and self._judge(each)
            ]
        return Line(tuple(found), frozenset(contested))

    def span_ms(self, version: Version) -> tuple[int, int]:
        """From when until when what happens counts for a version, both inside: while it is valid, and before its
        successor was arranged. One that is not in the line has no such time, and ends before it begins."""
        line = self.line(version.plan_id).versions
        if version not in line:
            return 1, 0
        begin_ms, end_ms = version.plan.from_s * 1000, version.plan.until_s * 1000
        for successor in line[line.index(version) + 1 :][:1]:
            end_ms = min(end_ms, (self._arranged_ms(successor) or 0) - 1)
        return begin_ms, end_ms

    # --- scenarios ---

    def called(self, version: Version, scenario: str, *, is_drill: bool) -> Called:
        """Who called a scenario, and whether that was enough."""
        made = list(self.all(version, CALL, scenario, is_drill))
        begin_ms, end_ms = self.span_ms(version) if made else (1, 0)
        stamps = sorted(
            (said.time_ms, said.author)
            for said in made
            if begin_ms <= said.time_ms <= end_ms and self._counts(said)
        )
        most = frozenset[bytes]()
        within: Counter[bytes] = Counter()
        first = 0
        for ms, author in stamps:
            within[author] += 1
            while stamps[first][0] < ms - CALL_SPAN_MS:
                within[stamps[first][1]] -= 1
                first += 1
            callers = frozenset(+within)
            if len(callers) >= version.plan.threshold:
                return Called(callers, ms)
            most = max(callers, most, key=len)
        return Called(most, None)

    def against(self, version: Version, scenario: str, *, is_drill: bool) -> frozenset[bytes]:
        """Who stood a scenario down, alone or with all others."""
        both = [self.all(version, STAND_DOWN, subject, is_drill) for subject in (scenario, "")]
        return frozenset(said.author for some in both for said in some)

    def is_stood_down(self, version: Version, scenario: str, *, is_drill: bool = False) -> bool:
        """Whether enough organisers did."""
        return len(self.against(version, scenario, is_drill=is_drill)) >= version.plan.threshold

    def passed_key(self, version: Version, scenario: str) -> Said | None:
        """The earliest act that passed on a scenario's key, which is its payload."""
        return next(self.all(version, KEY, scenario), None)

    def released(self, version: Version, scenario: Scenario) -> tuple[Combined | None, frozenset[bytes]]:
        """What the shares that were released give together, and who released false ones alone."""
        if scenario.seal is None:
            return None, frozenset()
        all_said = list(self.all(version, SHARE, scenario.name))
        given = [said.act.payload for said in all_said]
        true = {
            said.author
            for said in all_said
            if shares.is_true(version.channel, scenario.seal, said.act.payload)
        }
        combined = shares.combine(version.channel, scenario.seal, version.plan.needed, given)
        return combined, frozenset(said.author for said in all_said) - true


def _organisers(version: Version) -> list[bytes]:
    return version.plan.identities(version.plan.organisers)
