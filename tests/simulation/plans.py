"""Plans in a mesh that loses, splits, repeats and lies: what may never happen, and what must.

The rule: a run is one plan, from its proposal to after its end, drawn from a seed. Honest laptops meet by chance,
within their side of a partition; each post gets over with a probability of its own, in any order, some again and again.
Clocks are off, some laptops do not know the time, all are started again now and then. Up to m − 1 organisers, k − 1
stewards and as many observers as a cue can stand are hostile: they forge, lift signatures out of acts of others, play
a drill or an old version as if it were real, call again and again and with any stamp, give two posts of one sequence
to two people, release true shares early and false ones, propose successors that name themselves, and attest what is not
so (`plotters`).

- **No early opening**: a sealed response opens where somebody typed the phrase, or after an honest organiser passed the
  key on, or an honest steward released a share with which there were enough. (An organiser has read the response; no
  program keeps him from telling it. So hostile ones do not pass keys on here.)
- **No fire without its cue**, judged by what was meant and not by what came; and once on each laptop.
- **No lost stand-down**: once enough organisers meant it, it is so everywhere, whatever fired before.
- **No lost call and no lost share**: what enough honest people did in time arrives.
- **Agreement**: after healing all honest laptops hold the same posts and say the same of all that hangs on posts alone.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from meshd.plans import locks
from meshd.plans.plan import Version
from meshd.plans.watch import Fired
from meshd.statement import CALL, KEY, SHARE, SIGN_PLAN, STAND_DOWN
from tests.simulation.meaning import is_called
from tests.simulation.planners import CHANNEL, Laptop, Town, stretched
from tests.simulation.plotters import attack
from tests.simulation.proposals import (
    BLACKOUT,
    BRIDGE,
    FROM_S,
    LATER,
    NAMES,
    RESPONSE,
    SEALED,
    VOICE,
    bribed,
    make,
    offices,
    terms,
)

HOUR_MS = 3_600_000
SKEW_MS = 600_000


@dataclass(frozen=True)
class Plans:
    """One kind of plan."""

    about: str = "a plan under loss, partitions, restarts, and hostile organisers and stewards; posts alone"
    nodes: int = 9
    hostile: int = 4  # at most: fewer where they would be enough for something
    valid_h: int = 30
    events: int = 240


class Figures(NamedTuple):
    """What came of one run, or of several: they add up."""

    posts: int = 0
    versions: int = 0
    contested: int = 0
    fired: int = 0  # on all honest laptops together,
    drills: int = 0
    withdrawn: int = 0  # … of which what came later says that they did not
    stood_down: int = 0  # scenarios, and drills
    opened: int = 0  # sealed scenarios, of one version
    hostile: int = 0  # acts of hostile people
    refused: int = 0  # posts that were nothing
    forked: int = 0  # people

    def plus(self, other: "Figures") -> "Figures":
        return Figures(*map(sum, zip(self, other, strict=True)))

    def __str__(self) -> str:
        return (
            f"{self.posts} posts, {self.versions} versions ({self.contested} contested), fired {self.fired} times and"
            f" {self.drills} drills ({self.withdrawn} withdrawn), {self.stood_down} stood down, {self.opened} opened;"
            f" {self.hostile} hostile acts, {self.refused} refusals, {self.forked} forked"
        )


class Run:
    """One plan, drawn from a seed."""

    def __init__(self, scenario: Plans, seed: int) -> None:
        self.scenario = scenario
        self.rng = rng = random.Random(f"plans {seed}")
        self.begin_ms = FROM_S * 1000
        self.end_ms = self.begin_ms + scenario.valid_h * HOUR_MS
        seeds = [rng.randbytes(32) for _ in range(scenario.nodes)]
        self.town = town = Town(rng, seeds, self.begin_ms - 6 * HOUR_MS)
        self.terms = terms(rng, town.people, scenario.valid_h)
        places = rng.sample(range(scenario.nodes), scenario.nodes)
        bought = town.hostile = bribed(places, offices(self.terms), scenario.hostile)
        laptops = [Laptop(town, place, rng.randint(-SKEW_MS, SKEW_MS)) for place in range(scenario.nodes)]
        self.hostile = [laptop for laptop in laptops if laptop.place in bought]
        self.honest = town.laptops = [laptop for laptop in laptops if laptop.place not in bought]
        self.heads = [laptop for laptop in self.honest if laptop.place in self.terms.organisers]
        self.spoken = set[tuple[int, bytes, int]]()  # who typed the phrase of a version's scenario
        self.kept_back = set[bytes]()  # versions of which an opened lock was not told to the others
        self.allowed = set[tuple[bytes, int]]()  # scenarios of versions that anybody may have opened
        self.shown = set[tuple[int, bytes, Fired]]()
        self.was_missing = False
        self.figures = Figures()
        town.fired = self._fired

    def run(self) -> Figures:
        """All of it; AssertionError if anything that must hold does not."""
        rng, town = self.rng, self.town
        self.plan_id = self._propose(rng.choice(self.heads), None).id
        times = sorted(rng.randint(town.now_ms, self.end_ms + HOUR_MS) for _ in range(self.scenario.events))
        chosen: list[Callable[[], object]] = rng.choices(
            (self._meet, self._split, self._restart, self._decide, self._attack, self._speak, self._release,
             self._darken, self._sign, self._follow),
            (55, 4, 6, 8, 14, 1, 3, 3, 5, 1),
            k=len(times),
        )  # fmt: skip
        for town.now_ms, happens in zip(times, chosen, strict=True):
            happens()
            self._look(rng.choice(self.honest))
        self._heal()
        self._check_outcome()
        return self.figures

    # --- the net ---

    def _meet(self) -> None:
        one, other = self.rng.sample(self.honest, 2)
        if one.side == other.side:
            self._exchange(one, other, self.rng.random())
            for laptop in (one, other):
                self._look(laptop)

    def _exchange(self, one: Laptop, other: Laptop, loss: float) -> None:
        for giver, taker in ((one, other), (other, one)):
            raws = [raw for raw in giver.raws.values() if self.rng.random() >= loss]
            self.rng.shuffle(raws)
            for raw in raws:
                taker.take(raw)

    def _split(self) -> None:
        is_split = self.rng.random() < 0.6
        for laptop in self.honest:
            laptop.side = self.rng.randint(0, 1) if is_split else 0

    def _restart(self) -> None:
        self.rng.choice(self.honest).restart()

    def _darken(self) -> None:
        what = self.rng.random()
        if what < 0.2:
            self.town.is_missing = not self.town.is_missing
            self.was_missing = True
        elif what < 0.4:
            laptop = self.rng.choice(self.honest)
            laptop.is_synced = not laptop.is_synced
        else:
            is_dark = self.rng.random() < 0.5
            for laptop in self.rng.sample(self.honest, self.rng.randint(1, len(self.honest))):
                laptop.is_dark = is_dark

    def _heal(self) -> None:
        """Everybody meets everybody, and who opened a lock and told nobody is left out of what must agree."""
        self.town.now_ms = self.end_ms + 2 * HOUR_MS
        for _ in range(2):
            for one in self.honest:
                one.side = 0
                for other in self.honest:
                    if one is not other:
                        self._exchange(one, other, 0)
            for laptop in self.honest:
                self._look(laptop)
        for laptop in self.honest:
            self._exchange(laptop, self.honest[0], 0)
        for laptop in self.honest:
            self._exchange(laptop, self.honest[0], 0)
            self._look(laptop)

    # --- what honest people do ---

    def _propose(self, author: Laptop, before: Version | None) -> Version:
        """The next version, by an honest organiser."""
        made = make(self.town, self.terms, author, before)
        author.take(author.propose(made.plan, author.now_ms))
        version = next(reversed(author.arrangement.versions.values()))
        for place, key in made.keys.items():
            author.keys[version.id, place] = self.town.keys[version.id, place] = key
            self.town.phrases[version.id, place] = made.phrase
        if author.place in self.terms.stewards:
            author.shares[version.id, BRIDGE] = made.split[self.terms.stewards.index(author.place)]
        self._add(versions=1)
        return version

    def _follow(self) -> None:
        """Somebody proposes what is to follow; or two do, who have not heard of each other, and sign their own."""
        for head in self.rng.sample(self.heads, self.rng.randint(1, 2)):
            before = head.standing(self.plan_id)
            if before is not None and before.plan.number < 3:
                made = self._propose(head, before)
                head.take(head.say(SIGN_PLAN, made))

    def _sign(self) -> None:
        authors = frozenset(head.identity for head in self.heads)
        for head in self.heads:
            head.sign_what_follows(authors)

    def _decide(self) -> None:
        """Some honest organisers do the same, each of the version that stands on his laptop."""
        purpose = self.rng.choice((CALL, CALL, CALL, STAND_DOWN))
        name = self.rng.choice(NAMES) if self.rng.random() < 0.85 or purpose == CALL else ""
        drill = self.rng.random() < 0.3
        for head in self.rng.sample(self.heads, self.rng.randint(1, len(self.heads))):
            version = head.standing(self.plan_id)
            if version is not None and self.begin_ms <= head.now_ms <= self.end_ms:
                head.take(head.say(purpose, version, name, drill=drill))
                self._look(head)

    def _speak(self) -> None:
        """Somebody says the phrase, and who hears it types it, as well as one can."""
        version = self.honest[0].standing(self.plan_id)
        if version is None:
            return
        place, passes_on = self.rng.choice(SEALED), self.rng.random() < 0.5
        name, phrase = NAMES[place], self.town.phrases[version.id, place]
        heard = [laptop for laptop in self.honest if self.rng.random() < 0.4 and version.id in laptop.watches]
        for laptop in heard:
            seal = laptop.arrangement.versions[version.id].plan.scenarios[place].seal
            assert seal is not None
            wrong = locks.open_phrase(CHANNEL, name, seal, stretched(phrase + " then"))
            key = locks.open_phrase(
                CHANNEL, name, seal, stretched("  " + phrase.upper().replace(" ", ", ") + "!")
            )
            assert key is not None and wrong is None, "a phrase does not open, or a wrong one does"
            self.spoken.add((laptop.place, version.id, place))
            laptop.keys[version.id, place] = key
            laptop.opened_ms.setdefault((version.id, name), laptop.now_ms)
            if passes_on:
                laptop.take(laptop.say(KEY, version, name, payload=key))
            else:
                self.kept_back.add(version.id)
            self._look(laptop)

    def _release(self) -> None:
        """Most honest stewards release their shares of a version."""
        held = sorted({each for laptop in self.honest for each in laptop.shares})
        for id, place in self.rng.sample(held, min(1, len(held))):
            for laptop in self.honest:
                share = laptop.shares.get((id, place))
                if share is not None and self.rng.random() < 0.8:
                    version = laptop.arrangement.versions[id]
                    laptop.take(laptop.say(SHARE, version, NAMES[place], payload=share))

    def _attack(self) -> None:
        """One hostile person does one thing, and gives it to somebody."""
        if not self.hostile:
            return
        enemy, victim = self.rng.choice(self.hostile), self.rng.choice(self.honest)
        self._exchange(enemy, victim, 0.2)
        if enemy.arrangement.versions:
            self._add(hostile=1)
            attack(self.town, self.hostile, enemy, victim, self.rng.choice(self.honest), NAMES)
            self._look(victim)

    # --- what must hold ---

    def _look(self, laptop: Laptop) -> None:
        """What a laptop makes of what it has; and that it can open nothing too early."""
        laptop.look()
        for id, place in set(laptop.keys) - self.allowed:
            version = laptop.arrangement.versions[id]
            self.allowed.add((id, place)) if self._may_open(version, place) else None
            is_organiser = laptop.place in version.plan.organisers
            typed = (laptop.place, id, place) in self.spoken
            assert is_organiser or typed or (id, place) in self.allowed, f"{NAMES[place]} opened early"

    def _may_open(self, version: Version, place: int) -> bool:
        """Whether anybody may have the key by now."""
        name = NAMES[place]
        return bool(self.town.honest(KEY, version, name)) or self.town.is_released(version, name)

    def _fired(self, laptop: Laptop, version: Version, fired: Fired) -> None:
        """Something fires on an honest laptop: once, and for a reason."""
        place, drill = fired
        what = f"{NAMES[place]}{' (drill)' if drill else ''} fired"
        assert version.author not in self.town.liars, f"{what} in a version that nobody honest made"
        assert (laptop.place, version.id, fired) not in self.shown, f"{what} twice"
        self.shown.add((laptop.place, version.id, fired))
        is_called = self.town.may_fire(version, NAMES[place], drill=drill)
        if drill or place == BRIDGE:
            assert is_called, f"{what} without its cue"
        elif place == VOICE:
            typed = any((id, at) == (version.id, place) for _, id, at in self.spoken)
            assert is_called or typed, f"{what} without its cue"
        elif place == BLACKOUT:
            is_late = laptop.now_ms >= (self.begin_ms + self.end_ms) // 2
            assert laptop.was_dark and is_late, f"{what} without its cue"
        elif place == LATER:
            assert (laptop.place, version.id, (BRIDGE, False)) in self.shown, f"{what} without its cue"
        else:
            assert self.was_missing, f"{what} without its cue"
        self._add(drills=drill, fired=not drill)

    def _check_outcome(self) -> None:
        """What must be so after healing."""
        one, *others = self.honest
        for laptop in others:
            assert laptop.raws.keys() == one.raws.keys(), "after healing somebody has less"
            for version in one.arrangement.versions.values():
                mine, theirs = self._verdict(one, version), self._verdict(laptop, version)
                assert mine == theirs, f"they do not agree: {mine} and {theirs}"
        for laptop in self.honest:
            for version in laptop.arrangement.versions.values():
                self._check_version(laptop, version)
        line = one.arrangement.line(self.plan_id)
        self._add(posts=len(one.raws), contested=len(line.contested), forked=len(one.forked))
        self._add(opened=len(self.allowed), refused=self.town.refused)

    def _check_version(self, laptop: Laptop, version: Version) -> None:
        watch, line = laptop.watches[version.id], laptop.arrangement.line(self.plan_id).versions
        successors = [v for v in laptop.arrangement.versions.values() if v.plan.previous == version.id]
        until_ms = min(
            (each.ms for v in successors for each in self.town.honest(SIGN_PLAN, v)), default=self.end_ms
        )
        for place, name in enumerate(NAMES):
            for drill in (False, True):
                fired = (place, drill)
                calls = [
                    each for each in self.town.honest(CALL, version, name, drill=drill) if each.ms < until_ms
                ]
                if self.town.is_stood_down(version, name, drill=drill):
                    is_down = laptop.arrangement.is_stood_down(version, name, is_drill=drill)
                    assert is_down and fired not in watch.stands, f"a stand-down of {name} was lost"
                    self._add(stood_down=laptop is self.honest[0])
                elif version in line and (drill or place <= VOICE) and is_called(version, calls):
                    assert fired in watch.fired and fired in watch.stands, f"a call of {name} was lost"
                else:
                    self._add(withdrawn=fired in watch.fired and fired not in watch.stands)
        if len({each.who for each in self.town.honest(SHARE, version, "bridge")}) >= self.terms.needed:
            right = self.town.keys[version.id, BRIDGE]
            assert laptop.keys.get((version.id, BRIDGE)) == right, "shares were lost"
        for place in SEALED:
            seal, key = version.plan.scenarios[place].seal, laptop.keys.get((version.id, place))
            if seal is not None and key is not None:
                assert locks.open_response(CHANNEL, NAMES[place], key, seal) == RESPONSE, (
                    "it opened to something else"
                )

    def _verdict(self, laptop: Laptop, version: Version) -> object:
        """What hangs on posts alone, as this laptop has it."""
        known, watch = laptop.arrangement, laptop.watches[version.id]
        scenarios = version.plan.scenarios
        both = [(each.name, drill) for each in scenarios for drill in (False, True)]
        stands = [watch.stands.get((place, True)) for place in range(len(NAMES))]
        stands.append(watch.stands.get((BRIDGE, False)))
        if version.id not in self.kept_back:
            stands.append(watch.stands.get((VOICE, False)))
        return (
            known.line(self.plan_id),
            known.signers(version),
            [known.called(version, name, is_drill=drill) for name, drill in both],
            [known.against(version, name, is_drill=drill) for name, drill in both],
            [known.passed_key(version, each.name) for each in scenarios],
            [known.released(version, each) for each in scenarios],
            stands,
        )

    def _add(self, **figures: int) -> None:
        self.figures = self.figures.plus(Figures(**figures))
