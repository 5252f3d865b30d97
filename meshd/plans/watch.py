"""Watch: when one version's scenarios fire here.

The rule (protocol.md, "Plans"): each leaf of a cue is met at a time, or not yet, and a cue that needs k of its branches
is met when the k-th of them was. A call is met at its T0, and an opened lock when it was opened, so whoever holds the
same posts finds the same. Times, the dark and silence are judged by each node for itself: they are *latched* when they
are seen to be met, and stay so, since nobody can ask later what it was like. What is latched and what has fired is
kept over a stop by who owns the disk.

A phrase that was opened before the plan is valid fires nothing until that time has come. What was met because another
scenario fired is met no longer once that does not stand, latched or not: who stands the one down stands down the other.

A scenario fires once, within the time for which the version is valid and before another replaced it. Nothing is latched
while this node does not know the time: it would fire by a clock that is wrong.

What fired can't be taken back, but what comes later may say that it should not have: that it was stood down, that the
version had been replaced or is contested, that a caller's key is forked. So there are two things: that it *fired here*,
so that it is told once; and whether it *stands*, which is what is shown, and follows from what is known now.

A drill is called, whatever the scenario's cue; it goes the same way and never meets what is real.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import NamedTuple

from meshd.plans import cue as cues
from meshd.plans.arrangement import Arrangement
from meshd.plans.cue import After, At, Call, Dark, Leaf, Phrase, Silence
from meshd.plans.plan import Version

Latch = tuple[int, int]  # a scenario's place in the plan, and a leaf's number in its cue
Fired = tuple[int, bool]  # a scenario's place, and whether it is a drill


class Senses(NamedTuple):
    """What this node can say for itself now."""

    now_ms: int  # mesh time
    is_synced: bool  # whether that is known
    is_dark: bool  # whether this node sees a blackout
    attesting: frozenset[bytes]  # whose attestation of the dark holds now
    silent: Callable[
        [str, Silence], frozenset[bytes]
    ]  # who says so, in this scenario, and was not contradicted
    opened_ms: Callable[[str], int | None]  # when a lock of this scenario was opened here


class Watch:
    """The latches of one version, what has fired of it here, and what of that stands; in wall milliseconds."""

    def __init__(self, version: Version) -> None:
        self.version = version
        self._observers = frozenset(version.plan.identities(version.plan.observers))
        self._order = cues.in_order([scenario.cue for scenario in version.plan.scenarios])
        self.latched: dict[Latch, int] = {}
        self.fired: dict[Fired, int] = {}
        self.stands: dict[Fired, int] = {}  # since when, as of the last look: need not be kept

    def look(self, arrangement: Arrangement, senses: Senses) -> list[Fired]:
        """What fires now; it is noted in `fired`, and what was seen to be met in `latched`."""
        begin_ms, end_ms = arrangement.span_ms(self.version)
        may_latch = senses.is_synced and begin_ms <= senses.now_ms <= end_ms
        fresh: list[Fired] = []
        self.stands = {}
        for place in self._order if begin_ms <= end_ms else ():
            scenario = self.version.plan.scenarios[place]
            # A cue may have its call in thirty branches: it is looked up once, for all that anybody proposes is judged.
            posted_ms = cache(partial(self._posted_ms, scenario.name, arrangement, senses))
            leaf_ms = partial(self._leaf_ms, place, posted_ms, senses, begin_ms, may_latch)
            real_ms = cues.met_ms(scenario.cue, leaf_ms)
            drill_ms = arrangement.called(self.version, scenario.name, is_drill=True).ms
            for is_drill, met_ms in ((False, real_ms), (True, drill_ms)):
                if met_ms is None or not begin_ms <= met_ms <= end_ms:
                    continue
                if arrangement.is_stood_down(self.version, scenario.name, is_drill=is_drill):
                    continue
                fired = place, is_drill
                self.stands[fired] = met_ms
                if fired not in self.fired:
                    fresh.append(fired)
                # A call that came late may have been the earlier one.
                self.fired[fired] = min(met_ms, self.fired.get(fired, met_ms))
        return fresh

    def next_ms(self, now_ms: int) -> int | None:
        """When the next time that a cue waits for comes, wall milliseconds; None if none is known."""
        times = []
        for scenario in self.version.plan.scenarios:
            for leaf in cues.leaves(scenario.cue):
                if isinstance(leaf, At):
                    times.append(leaf.time_s * 1000)
                elif isinstance(leaf, After) and (leaf.scenario, False) in self.stands:
                    times.append(self.stands[leaf.scenario, False] + leaf.delay_s * 1000)
        return min((ms for ms in times if ms > now_ms), default=None)

    def _posted_ms(
        self, name: str, arrangement: Arrangement, senses: Senses, leaf: Call | Phrase
    ) -> int | None:
        """Since when a leaf is met that everybody judges alike; of a phrase, since when it is known."""
        if isinstance(leaf, Call):
            return arrangement.called(self.version, name, is_drill=False).ms
        passed = arrangement.passed_key(self.version, name)
        opened = [senses.opened_ms(name), passed.time_ms if passed else None]
        return min((ms for ms in opened if ms is not None), default=None)

    def _leaf_ms(
        self,
        place: int,
        posted_ms: Callable[[Call | Phrase], int | None],
        senses: Senses,
        begin_ms: int,
        may_latch: bool,
        number: int,
        leaf: Leaf,
    ) -> int | None:
        """Since when a leaf is met."""
        if isinstance(leaf, Call | Phrase):
            met_ms = posted_ms(leaf)
            if met_ms is None or met_ms >= begin_ms:
                return met_ms
            # A phrase that was overheard opens early, and fires nothing before the plan is valid.
            has_begun = senses.is_synced and begin_ms <= senses.now_ms
            return begin_ms if has_begun or (place, False) in self.fired else None
        if isinstance(leaf, After) and (leaf.scenario, False) not in self.stands:
            return None  # though it may have been latched while that stood
        due_ms = self._due_ms(place, leaf, senses) if may_latch else None
        if due_ms is not None and due_ms <= senses.now_ms:
            self.latched.setdefault((place, number), due_ms)
        return self.latched.get((place, number))

    def _due_ms(self, place: int, leaf: At | After | Dark | Silence, senses: Senses) -> int | None:
        """From when on a leaf is met that each node judges for itself, or None if that is not to be seen."""
        plan = self.version.plan
        match leaf:
            case At(time_s):
                return time_s * 1000
            case After(other, delay_s):
                return self.stands[other, False] + delay_s * 1000
            case Dark(count):
                attested = len(senses.attesting & self._observers)
                return senses.now_ms if senses.is_dark and attested >= count else None
            case Silence(person, _, count):
                said = senses.silent(plan.scenarios[place].name, leaf)
                others = self._observers - {plan.people[person]}
                return senses.now_ms if len(said & others) >= count else None
