"""What people meant about a plan, by whoever meant it: by this it is judged what laptops make of what they are given.

The rule: nothing is in here but what its author really said, with the stamp that it bore. What was forged, lifted out
of another act or is false is not, so whatever follows from it shows. Hostile people mean things too: what they say in
their own name counts as anybody's.
"""

from collections.abc import Collection
from typing import NamedTuple

from meshd.limits import CALL_SPAN_MS
from meshd.plans.plan import Version
from meshd.statement import CALL, SHARE, STAND_DOWN, Statement


class Meant(NamedTuple):
    """Something that its author really said."""

    who: int  # place among the people
    ms: int
    said: Statement


class Meaning:
    """All that was meant."""

    def __init__(self) -> None:
        self.meant: list[Meant] = []
        self.hostile = frozenset[int]()  # places

    def said_by(self, purpose: int, version: Version, *subjects: str, drill: bool = False) -> list[Meant]:
        """What was meant of a version."""
        wanted = {
            Statement(purpose, version.channel, version.id, name.encode(), int(drill))
            for name in subjects or [""]
        }
        return [each for each in self.meant if each.said in wanted]

    def honest(self, purpose: int, version: Version, *subjects: str, drill: bool = False) -> list[Meant]:
        """… by those who are not hostile."""
        meant = self.said_by(purpose, version, *subjects, drill=drill)
        return [each for each in meant if each.who not in self.hostile]

    def may_fire(self, version: Version, name: str, *, drill: bool = False) -> bool:
        """Whether a scenario was called by enough, or its drill."""
        return is_called(version, self.said_by(CALL, version, name, drill=drill))

    def is_stood_down(self, version: Version, name: str, *, drill: bool = False) -> bool:
        """Whether enough organisers stood a scenario down, alone or with all others."""
        return are_enough(version, self.said_by(STAND_DOWN, version, name, "", drill=drill))

    def is_released(self, version: Version, name: str) -> bool:
        """Whether there are enough shares, one by somebody honest among them: hostile stewards are too few."""
        who = {each.who for each in self.said_by(SHARE, version, name)}
        return len(who) >= version.plan.needed and bool(who - self.hostile)


def is_called(version: Version, calls: Collection[Meant]) -> bool:
    """Whether these calls are enough: of so many organisers, within the span, while the version is valid."""
    plan = version.plan
    valid = [each for each in calls if plan.from_s * 1000 <= each.ms <= plan.until_s * 1000]
    return any(are_enough(version, [b for b in valid if 0 <= b.ms - a.ms <= CALL_SPAN_MS]) for a in valid)


def are_enough(version: Version, meant: Collection[Meant]) -> bool:
    """Whether so many organisers meant it."""
    return len({each.who for each in meant} & set(version.plan.organisers)) >= version.plan.threshold
