"""What must hold of a plan on real cores, as honest laptops show it, against what people meant.

The rule: laptops are asked what their owners can ask, and judged by `Meaning` alone.

- **No early opening**: somebody who does not organise a version has the key of its sealed scenario only after enough
  shares were released, one by somebody honest, or after it was called; the phrase is spoken to nobody.
- **No fire without its cue**, in no version that a hostile one wrote.
- **No lost stand-down, call or share**: what enough honest people said comes to what it should with all who are in the
  group.
- **No say for those who have none any more**: calls of who was put out count as far as they were known where that was
  done, and those of a forked key not at all; their stand-downs and shares always do.
- **No stand-down that nobody meant.**
- **Agreement**: all who are in the group show the same of every version.
"""

from collections.abc import Sequence

from meshd.plans.plan import Version
from meshd.plans.watch import Fired, Watch
from meshd.statement import CALL, SHARE, SIGN_PLAN, STAND_DOWN
from tests.group_plans import BRIDGE, only_group, plans_of
from tests.homes import Home
from tests.simulation.meaning import Meant, are_enough, is_called
from tests.simulation.planners import Town
from tests.test_inbox import identity

NAMES = (BRIDGE, "noon")  # of the scenarios, the first of which is sealed
BOTH = [(place, drill) for place in range(len(NAMES)) for drill in (False, True)]


class Verdicts:
    """Owns what was allowed so far; AssertionError when something is not."""

    def __init__(self, town: Town) -> None:
        self._town = town
        self.opened = set[bytes]()  # versions of which anybody may have the key by now
        self._late = set[int]()  # places of those who were put out …
        self._in_time = set[Meant]()  # … and what they had said by then
        self._judged = set[tuple[bytes, bytes, Fired]]()  # whose firings of what were looked at

    def look(self, seat: Home) -> None:
        """What fired on somebody's laptop, and what is open there."""
        plans, me = plans_of(seat), identity(seat)
        for watch in plans.watches():
            version = watch.version
            for fired in watch.fired:
                if (me, version.id, fired) not in self._judged:
                    self._judged.add((me, version.id, fired))
                    self._judge(version, *fired)
            if version.plan.scenarios[0].seal is None or version.id in self.opened:
                continue
            if self._town.is_released(version, BRIDGE) or self._town.may_fire(version, BRIDGE):
                self.opened.add(version.id)
            elif me not in version.plan.identities(version.plan.organisers):
                assert plans.key(version, 0) is None, f"{BRIDGE} opened early"

    def _judge(self, version: Version, place: int, drill: bool) -> None:
        what = f"{NAMES[place]}{' (drill)' if drill else ''} fired"
        assert version.author not in self._town.liars, f"{what} in a version that nobody honest made"
        assert self._town.may_fire(version, NAMES[place], drill=drill), f"{what} without its cue"

    def put_out(self, place: int, by: Home) -> None:
        """Somebody was put out of the group; what they had said counts, as far as it was known to who did it."""
        known = plans_of(by).arrangement(self._town.channel)
        self._late.add(place)
        self._in_time |= {
            Meant(place, said.time_ms, said.act.statement)
            for version in known.versions.values()
            for name in NAMES
            for drill in (False, True)
            for said in known.all(version, CALL, name, drill)
            if said.author == self._town.people[place]
        }

    def _is_older(self, seat: Home, version: Version, called: Meant) -> bool:
        """Whether who put somebody out knew of this call of theirs, or of a post that came after it."""
        author, group = self._town.people[called.who], only_group(seat)
        known = plans_of(seat).arrangement(version.channel)
        assert group.anchor is not None
        before, seen = group.group.dag.removals(author, group.anchor.id), set[bytes]()
        while before:
            row = seat.log.row(before.pop())
            new = [each for each in row.parent_ids() if each not in seen] if row is not None else []
            before += new
            seen.update(new)
        said = known.all(version, CALL, called.said.subject.decode(), bool(called.said.flag))
        is_shown = any(each.id in seen for each in said if (each.author, each.time_ms) == (author, called.ms))
        return is_shown or called in self._in_time

    # --- after healing ---

    def outcome(self, seats: Sequence[Home]) -> list[Watch]:
        """What must be so with all of these, who are in the group, once everything is healed; what the first of them
        has of every version."""
        one = seats[0]
        for seat in seats:
            self.look(seat)
            assert _shown(seat) == _shown(one), f"they do not agree: {_shown(one)} and {_shown(seat)}"
            for watch in plans_of(seat).watches():
                self._check(seat, watch)
        return plans_of(one).watches()

    def _check(self, seat: Home, watch: Watch) -> None:
        """That nothing was lost of one version, and nothing made up."""
        version, plans, meaning = watch.version, plans_of(seat), self._town
        known, dag = plans.arrangement(version.channel), only_group(seat).group.dag
        forked = {self._town.people.index(each) for each in dag.forked}
        following = [each for each in known.versions.values() if each.plan.previous == version.id]
        replaced_ms = min(
            (each.ms for next_ in following for each in meaning.honest(SIGN_PLAN, next_)),
            default=version.plan.until_s * 1000,
        )
        for place, drill in BOTH:
            name, stands = NAMES[place], (place, drill) in watch.stands
            is_down = plans.scenario_state(version, place, is_drill=drill) == "stood-down"
            calls = [
                each
                for each in meaning.said_by(CALL, version, name, drill=drill)
                if each.who not in forked
                and (each.who not in self._late or self._is_older(seat, version, each))
            ]
            lasting = [each for each in calls if each.who not in meaning.hostile and each.ms < replaced_ms]
            assert is_called(version, calls) or not stands, f"{name} stands by calls that do not count"
            if are_enough(version, meaning.honest(STAND_DOWN, version, name, "", drill=drill)):
                assert is_down and not stands, f"a stand-down of {name} was lost"
            elif is_down:
                assert meaning.is_stood_down(version, name, drill=drill), f"{name} was stood down by nobody"
            elif version in known.line(version.plan_id).versions and is_called(version, lasting):
                assert stands and (place, drill) in watch.fired, f"a call of {name} was lost"
        released = {each.who for each in meaning.honest(SHARE, version, BRIDGE)}
        if version.plan.scenarios[0].seal and len(released) >= version.plan.needed:
            assert plans.response(version, 0) is not None, "shares were lost"


def _shown(seat: Home) -> list[tuple[tuple[object, ...], ...]]:
    """All that everybody must show alike, of every version."""
    plans, found = plans_of(seat), []
    for watch in sorted(plans.watches(), key=lambda watch: watch.version.id):
        version = watch.version
        known = plans.arrangement(version.channel)
        states: list[tuple[object, ...]] = []
        for place, is_drill in BOTH:
            state = plans.scenario_state(version, place, is_drill=is_drill)
            shown = "waits" if state in ("sealed", "open") else state  # what is open differs: some organise
            states.append((place, shown, is_drill, plans.fired_ms(version, place, is_drill=is_drill)))
        _, false = known.released(version, version.plan.scenarios[0])
        who = known.signers(version), false, known.passed_key(version, BRIDGE)
        found.append(((version.id.hex()[:8], plans.state(version, seat.table.now()), *who), *states))
    return found
