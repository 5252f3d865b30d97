"""The plan of the scenario `plans`: one with every kind of cue, and what is new in each version of it.

The rule: the offices are drawn once and stay; what a version has for itself are its keys, shares and phrases. The first
two scenarios are sealed, the first with both locks, the second with a phrase alone.
"""

import random
from collections.abc import Collection, Iterable
from typing import NamedTuple

from meshd.plans import locks, parts, shares
from meshd.plans.cue import After, At, Call, Cue, Dark, Phrase, Silence, Some
from meshd.plans.parts import Sealing
from meshd.plans.plan import FREEZE_WHEN_DARK, Plan, Response, Scenario, Version
from tests.simulation.planners import CHANNEL, Laptop, Town, stretched

BRIDGE, VOICE, BLACKOUT, LATER, MISSING = range(5)  # places of the scenarios
NAMES = ("bridge", "voice", "blackout", "later", "missing")
SEALED = (BRIDGE, VOICE)
FROM_S = 1_764_000_000
DELAY_S = 1800
RESPONSE = Response("Meet.", "the old bridge")


class Proposal(NamedTuple):
    """A version, and what only its author knows."""

    plan: Plan
    keys: dict[int, bytes]  # by place of the scenario
    phrase: str
    split: list[bytes]  # shares, in the order of the stewards


def terms(rng: random.Random, people: tuple[bytes, ...], valid_h: int) -> Plan:
    """Version 1 with its offices drawn, and nothing sealed."""
    places = range(len(people))
    organisers = rng.randint(3, 4)
    cues: tuple[Cue, ...] = (
        Call(),
        Some(1, (Phrase(), Call())),
        Some(2, (Dark(2), At(FROM_S + valid_h * 1800))),
        After(BRIDGE, DELAY_S),
        Silence(rng.choice(places), 6, 2),
    )
    return Plan(
        number=1,
        first=b"",
        previous=b"",
        title="Saturday",
        from_s=FROM_S,
        until_s=FROM_S + valid_h * 3600,
        people=people,
        organisers=bytes(sorted(rng.sample(places, organisers))),
        threshold=rng.randint(2, organisers - 1),
        stewards=bytes(rng.sample(places, 5)),
        needed=rng.randint(2, 4),
        observers=bytes(sorted(rng.sample(places, 4))),
        flags=FREEZE_WHEN_DARK,
        ephemeral=b"",
        scenarios=tuple(Scenario(name, cue, RESPONSE, None) for name, cue in zip(NAMES, cues, strict=True)),
    )


def offices(plan: Plan) -> tuple[tuple[set[int], int], ...]:
    """Who together could do what nobody should, and from how many on."""
    return (
        (set(plan.organisers), plan.threshold),
        (set(plan.stewards), plan.needed),
        (set(plan.observers), 2),
    )


def bribed(places: Iterable[int], offices: Collection[tuple[set[int], int]], most: int) -> frozenset[int]:
    """Who is hostile: those of these places that come first, and no more than can't do anything together."""
    bought = set[int]()
    for place in places:
        if len(bought) < most and all(len({place, *bought} & some) < enough for some, enough in offices):
            bought.add(place)
    return frozenset(bought)


def make(town: Town, plan: Plan, author: Laptop, before: Version | None) -> Proposal:
    """A version by an organiser, of the plan with these terms."""
    rng = town.rng
    organisers, stewards = town.recipients(plan.organisers), town.recipients(plan.stewards)
    sealing = Sealing(CHANNEL, author.identity, rng.randbytes(32), organisers, stewards)
    keys = {place: rng.randbytes(16) for place in SEALED}
    split = shares.split(keys[BRIDGE], plan.needed, len(stewards), rng.randbytes)
    phrase = f"Stone river {rng.randrange(10**9)}"
    scenarios = list(plan.scenarios)
    for place, key in keys.items():
        name = NAMES[place]
        lock = locks.lock_phrase(CHANNEL, name, key, stretched(phrase), b"s" * 16, weak=False)
        given = split if place == BRIDGE else ()
        seal = parts.seal(sealing, place, name, RESPONSE, key, phrase=lock, split=given)
        scenarios[place] = scenarios[place]._replace(response=None, seal=seal)
    made = plan._replace(ephemeral=sealing.ephemeral, scenarios=tuple(scenarios))
    if before is not None:
        made = made._replace(number=before.plan.number + 1, first=before.plan_id, previous=before.id)
    return Proposal(made, keys, phrase, split)
