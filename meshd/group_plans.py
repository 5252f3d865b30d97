"""The plans of one group: what this node holds of them, and what it owes to those who don't.

The rules (protocol.md, "Plans"):

- What **counts**: an act whose author is a member after all that is known and has no forked key; and one that is among
  the ancestors of a post that removed its author. That is found out while the posts between are here, and then stays;
  acts and the posts between come in any order, so it is looked at again. Stand-downs always count (`arrangement`).
- What is **taken**: of an author VERSIONS_EACH_MAX versions and ACTS_EACH_MAX acts; of all authors together who are in
  no epoch that is known here VERSIONS_STRANGERS_MAX versions, and about those of one author ACTS_EACH_MAX acts: a
  version may name two hundred who were made up. Nothing in a strict group: a plan can't be kept there.
- What is **over**: a version with its acts once it is past its keep-until, and so is every version of the line that
  follows from it: those could not be judged without.
- What is **sealed anew**: versions that may still count and what was said about them, while they live; and under the
  current epoch if somebody is in it who was not in the one under which they were sealed.
"""

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from meshd.envelope import read_post
from meshd.groups.epochs import Epoch
from meshd.groups.group import reseal_due
from meshd.groups.membership import Membership
from meshd.groups.turns import Turns
from meshd.limits import (
    ACTS_EACH_MAX,
    HEAL_EACH_MS,
    LOOK_MS,
    NEWCOMERS_MS,
    REFUSED_EACH_MAX,
    UPKEEP_EACH_MS,
    VERSIONS_EACH_MAX,
    VERSIONS_STRANGERS_MAX,
)
from meshd.own_group import KNOWN, OwnGroup, preceding
from meshd.plans import act as acts
from meshd.plans import plan as plans
from meshd.plans.act import Act
from meshd.plans.arrangement import Arrangement, Said
from meshd.plans.plan import Version
from meshd.plans.watch import Watch
from meshd.post import HOUR_MS, Post
from meshd.statement import CALL, STAND_DOWN, Statement
from meshd.store.log import Log, Row
from meshd.store.plans import PlanPost


@dataclass(slots=True)
class Kept:
    """A post that is sealed anew, but for its content."""

    version: bytes  # its own id, or that of the version that an act is about
    author: bytes
    keep_until: int
    expiry_hour: int  # of its newest envelope
    under: bytes  # the epoch of an envelope of it
    envelope: bytes = b""  # the key of its newest envelope


@dataclass(slots=True)
class GroupPlans:
    """What is held; of everything else this is the owner's business (`own_plans`)."""

    own: OwnGroup
    turns: Turns
    arrangement: Arrangement = field(init=False)
    kept: dict[bytes, Kept] = field(default_factory=dict)  # by post id
    watches: dict[bytes, Watch] = field(default_factory=dict)  # by version
    stands: set[bytes] = field(default_factory=set)  # acts that are older than their author's removal
    refused: set[tuple[Statement, bytes]] = field(default_factory=set)  # cues, and who had no say in them
    seen: tuple[object, ...] = ()  # by what it was looked at last
    ask_ms: int = 0  # when to look again, wall milliseconds
    settled_ms: int = 0  # when it was looked last which acts are older than a removal
    is_unsettled: bool = False  # whether one came since that may be
    lacking: set[bytes] = field(default_factory=set)  # posts that are not here and may show that one is

    def __post_init__(self) -> None:
        self.arrangement = Arrangement(self.counts)

    @classmethod
    def load(cls, own: OwnGroup, log: Log, rng: random.Random) -> "GroupPlans":
        """What is kept of a group's plans over a stop."""
        found = cls(own, Turns(rng))
        said: list[Said] = []
        for row in log.plans.posts(own.channel):
            inside = read_post(row.content, channel=own.channel, epoch=b"", expiry_hour=row.keep_until).post
            found.keep(row, inside)
            found.kept[row.id].envelope = log.openings.envelope_of(row.id) or b""
            if row.id == row.version and (version := plans.parse(inside, row.id)) is not None:
                found.arrangement.add_version(version)
            elif (parsed := acts.parse(inside)) is not None:
                said.append(Said(inside.time_ms, row.id, inside.author, parsed))
        for each in said:
            found.arrangement.add(each)
        for id in found.arrangement.versions:
            watch = found.watches[id] = Watch(found.arrangement.versions[id])
            watch.latched, watch.fired = log.plans.latches(id), log.plans.fired(id)
        return found

    def keep(self, row: PlanPost, inside: Post) -> None:
        """A post is held from now on."""
        self.kept[row.id] = Kept(row.version, inside.author, row.keep_until, row.expiry_hour, row.under)
        if row.stands:
            self.stands.add(row.id)
        if inside.author not in self.own.group.dag.membership().members:
            self.is_unsettled = True

    # --- what counts ---

    def counts(self, said: Said) -> bool:
        """Whether an act counts for more than a stand-down."""
        dag = self.own.group.dag
        if said.author in dag.forked:
            return False
        return said.author in dag.membership().members or said.id in self.stands

    def knows(self) -> tuple[Membership, frozenset[bytes]]:
        """All by which acts count; when it changes, they are looked at again."""
        return self.own.group.dag.membership(), self.own.group.dag.forked

    def settle_ms(self) -> int:
        """When to look again which acts are older than a removal: it is a walk through the log, and who was removed
        can go on saying what may be older."""
        next_hour_ms = (self.settled_ms // HOUR_MS + 1) * HOUR_MS
        return self.settled_ms + LOOK_MS if self.is_unsettled or self.lacking else next_hour_ms

    def settle(self, log: Log, now_ms: int, *, anew: bool) -> None:
        """Note which acts of those who were removed are older than that: when it is time, if anything came that may
        show it, or at once if all is to be looked at `anew`."""
        if not anew and now_ms < self.settle_ms():
            return
        self.settled_ms = now_ms
        if anew or self.is_unsettled or any(log.row(id) is not None for id in self.lacking):
            self._find_standing(log)

    def _find_standing(self, log: Log) -> None:
        self.is_unsettled, self.lacking = False, set()
        dag, anchor = self.own.group.dag, self.own.anchor
        members = dag.membership().members
        if anchor is None:
            return
        doubtful: dict[bytes, list[Row]] = {}  # by author
        for id, kept in self.kept.items():
            is_open = kept.author not in members and id not in self.stands and id != kept.version
            if is_open and (row := log.row(id)) is not None:
                doubtful.setdefault(kept.author, []).append(row)
        for author, rows in doubtful.items():
            older, lacking = preceding(log, rows, dag.removals(author, anchor.id))
            self.lacking |= lacking
            for id in older:
                self.stands.add(id)
                log.plans.stand(id)

    # --- what is shown ---

    def shown(self) -> list[Version]:
        """Of each plan the version that stands, and those that may follow it or lost to it."""
        found = []
        for version in self.arrangement.versions.values():
            line = self.arrangement.line(version.plan_id).versions
            is_later = version not in line and (not line or version.plan.number >= line[-1].plan.number)
            if version in line[-1:] or (is_later and self.arrangement.needed(version) is not None):
                found.append(version)
        return found

    def state(self, version: Version, now_ms: int) -> str:
        """proposed, arranged, active, stood-down, retired, contested or expired."""
        plan, line = version.plan, self.arrangement.line(version.plan_id)
        is_over = now_ms > plan.until_s * 1000
        if version in line.versions:
            if version is not line.versions[-1]:
                return "retired"
            if all(self.arrangement.is_stood_down(version, each.name) for each in plan.scenarios):
                return "stood-down"
            if is_over:
                return "expired"
            return "active" if plan.from_s * 1000 <= now_ms else "arranged"
        before: Version | None = version
        while before is not None:
            if before.id in line.contested:
                return "contested"
            before = self.arrangement.versions.get(before.plan.previous)
        return "expired" if is_over else "proposed"

    def fired_ms(self, version: Version, place: int, *, is_drill: bool) -> int | None:
        """When a scenario fired, if that stands."""
        return self.watches[version.id].stands.get((place, is_drill))

    # --- what is taken ---

    def takes_version(self, version: Version) -> bool:
        """Whether there is room for one more."""
        group = self.own.group
        by, known = Counter(each.author for each in self.arrangement.versions.values()), self._were_in()
        strangers = sum(count for author, count in by.items() if author not in known)
        has_room = version.author in known or strangers < VERSIONS_STRANGERS_MAX
        return not group.is_strict and by[version.author] < VERSIONS_EACH_MAX and has_room

    def takes_act(self, said: Said, keep_until: int) -> bool:
        """Whether an act has its version here, is kept as long, is by who has a say in it, and there is room."""
        version = self.arrangement.versions.get(said.act.statement.about)
        if version is None or keep_until != plans.keep_until(version.plan.until_s):
            return False
        if not self.arrangement.takes(said):
            return False
        known = self._were_in()
        others = [kept for id, kept in self.kept.items() if id != kept.version]
        if said.author in known:
            return sum(kept.author == said.author for kept in others) < ACTS_EACH_MAX
        whose = {each.id for each in self.arrangement.versions.values() if each.author == version.author}
        return sum(kept.version in whose and kept.author not in known for kept in others) < ACTS_EACH_MAX

    def note_refused(self, act: Act, author: bytes) -> None:
        """Somebody called or stood down what is not theirs to, or with a signature that is not theirs: remembered until
        the next start, so that people see who tries."""
        purpose, about, subject = act.statement.purpose, act.statement.about, act.statement.subject.decode()
        version = self.arrangement.versions.get(about)
        is_there = version is not None and (not subject or version.plan.scenario(subject) is not None)
        if not is_there or purpose not in (CALL, STAND_DOWN):
            return
        members = self.own.group.dag.membership().members
        whose = {author} if author in members else {who for _, who in self.refused if who not in members}
        if sum(who in whose for _, who in self.refused) < REFUSED_EACH_MAX:
            self.refused.add((act.statement, author))

    def _were_in(self) -> frozenset[bytes]:
        """All who are in an epoch that is known here."""
        dag = self.own.group.dag
        known = [epoch.identities() for epoch in dag.held.values() if dag.status(epoch.id) in KNOWN]
        return frozenset().union(*known)

    # --- what is over ---

    def over(self, hour: int) -> list[bytes]:
        """The posts that nothing depends on any more at this hour."""
        ends = {id: plans.keep_until(each.plan.until_s) for id, each in self.arrangement.versions.items()}
        for plan_id in self.plan_ids():
            latest = 0
            for version in reversed(self.arrangement.line(plan_id).versions):
                latest = ends[version.id] = max(latest, ends[version.id])
        return [id for id, kept in self.kept.items() if ends.get(kept.version, 0) <= hour]

    def plan_ids(self) -> list[bytes]:
        """The plans of which any version is here, in the order in which they came."""
        return list(dict.fromkeys(version.plan_id for version in self.arrangement.versions.values()))

    # --- what is sealed anew ---

    def note_envelope(self, id: bytes, expiry_hour: int, under: bytes, posting: bytes) -> bool:
        """There is an envelope of a post; whether that changes anything. Who was listed once and is not in the epoch
        that we post under needs none: or what is under that one would be taken for lacking, and sealed without end."""
        kept = self.kept[id]
        before = kept.expiry_hour, kept.under
        kept.expiry_hour = max(expiry_hour, kept.expiry_hour)
        if self._lists(under) >= self._lists(kept.under) & self._lists(posting):
            kept.under = under
        return before != (kept.expiry_hour, kept.under)

    def _lists(self, epoch: bytes) -> frozenset[bytes]:
        held = self.own.group.dag.held.get(epoch)
        return frozenset(held.identities()) if held is not None else frozenset()

    def due(self, current: Epoch, now_ms: int) -> Mapping[bytes, int]:
        """The posts that are to be sealed anew, and the longest wait before it."""
        members, hour = frozenset(current.identities()), now_ms // HOUR_MS
        found: dict[bytes, int] = {}
        for id in self._worth():
            kept = self.kept[id]
            if kept.keep_until <= hour:
                continue
            if not members <= self._lists(kept.under):
                mine = current.id in self.own.made
                found[id] = NEWCOMERS_MS + (0 if mine else HEAL_EACH_MS * len(members))
            elif kept.expiry_hour < kept.keep_until and reseal_due(now_ms, kept.expiry_hour):
                found[id] = UPKEEP_EACH_MS * len(members)
        return found

    def in_lines(self) -> frozenset[bytes]:
        """The versions that are in the line of their plan."""
        lines = [self.arrangement.line(id).versions for id in self.plan_ids()]
        return frozenset(version.id for line in lines for version in line)

    def _worth(self) -> Iterator[bytes]:
        """The posts that are worth it: of versions that are in a line, or may come to be and are by a member."""
        members, lines = self.own.group.dag.membership().members, self.in_lines()
        for id, kept in self.kept.items():
            version = self.arrangement.versions[kept.version]
            may_come = version.author in members and self.arrangement.needed(version) is not None
            if kept.version in lines or may_come:
                yield id
