"""Watch: when one version's scenarios fire here.

The rule (protocol.md, "Plans"): each leaf of a cue is met at a time, or not yet, and a cue that needs k of its branches
is met when the k-th of them was. A call is met at its T0, and an opened lock when it was opened, so whoever holds the
same posts finds the same. Times, the dark and silence are judged by each node for itself: they are *latched* when they
are seen to be met, and stay so, since nobody can ask later what it was like. What is latched and what has fired is
kept over a stop by who owns the disk.

A scenario fires once, within the time for which the version is valid and before another replaced it. Nothing is latched
while this node does not know the time: it would fire by a clock that is wrong.

What fired can't be taken back, but what comes later may say that it should not have: that it was stood down, that the
version had been replaced or is contested, that a caller's key is forked. So there are two things: that it *fired here*,
so that it is told once; and whether it *stands*, which is what is shown, and follows from what is known now.

A drill is called, whatever the scenario's cue; it goes the same way and never meets what is real.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from meshd.plans import cue as cues
from meshd.plans.arrangement import Arrangement
from meshd.plans.cue import After, At, Call, Dark, Leaf, Phrase, Silence
from meshd.plans.plan import Version

_NEVER = 2**63  # later than all that has an end
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
        self.latched: dict[Latch, int] = {}
        self.fired: dict[Fired, int] = {}
        self.stands: dict[Fired, int] = {}  # since when, as of the last look: need not be kept

    def look(self, arrangement: Arrangement, senses: Senses) -> list[Fired]:
        """What fires now; it is noted in `fired`, and what was seen to be met in `latched`."""
        begin_ms, end_ms = arrangement.span_ms(self.version)
        may_latch = senses.is_synced and begin_ms <= senses.now_ms <= end_ms
        fresh: list[Fired] = []
        before: dict[Fired, int] | None = None
        self.stands = {}
        while begin_ms <= end_ms and self.stands != before:  # again: one scenario may come after another
            before = dict(self.stands)
            for place, scenario in enumerate(self.version.plan.scenarios):
                leaf_ms = partial(self._leaf_ms, place, arrangement, senses, may_latch)
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

    def _leaf_ms(
        self, place: int, arrangement: Arrangement, senses: Senses, may_latch: bool, number: int, leaf: Leaf
    ) -> int | None:
        """Since when a leaf is met."""
        name = self.version.plan.scenarios[place].name
        if isinstance(leaf, Call):
            return arrangement.called(self.version, name, is_drill=False).ms
        if isinstance(leaf, Phrase):
            passed = arrangement.passed_key(self.version, name)
            opened = [senses.opened_ms(name), passed.time_ms if passed else None]
            # A phrase that was overheard opens early, and fires nothing before the plan is valid.
            return max(
                min((ms for ms in opened if ms is not None), default=_NEVER),
                arrangement.span_ms(self.version)[0],
            )
        met_ms = self._seen_ms(name, leaf, senses) if may_latch else None
        if met_ms is not None:
            self.latched.setdefault((place, number), met_ms)
        return self.latched.get((place, number))

    def _seen_ms(self, name: str, leaf: At | After | Dark | Silence, senses: Senses) -> int | None:
        """Since when a leaf that each node judges for itself is seen to be met, or None if it is not."""
        plan = self.version.plan
        match leaf:
            case At(time_s):
                due_ms: int | None = time_s * 1000
            case After(other, delay_s):
                fired_ms = self.stands.get((other, False))
                due_ms = None if fired_ms is None else fired_ms + delay_s * 1000
            case Dark(count):
                attested = len(senses.attesting & set(plan.identities(plan.observers)))
                due_ms = senses.now_ms if senses.is_dark and attested >= count else None
            case Silence(person, _, count):
                observers = set(plan.identities(plan.observers)) - {plan.people[person]}
                said = len(senses.silent(name, leaf) & observers)
                due_ms = senses.now_ms if said >= count else None
        return due_ms if due_ms is not None and due_ms <= senses.now_ms else None
