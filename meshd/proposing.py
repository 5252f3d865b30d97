"""What a draft becomes before it is proposed: the next version of its plan, with all seals made.

The rule (protocol.md, "Plans", *Seals*): each sealed scenario of each version has a new key, and whoever is organiser
or steward is given a part of it under a prekey that holds today. Who has none can't be given one, so then nothing is
proposed at all, and everybody who lacks one is named at once.

What Argon2id makes of a phrase comes from outside (`Stretched`): it is slow, and the phrase itself is nothing that the
core ever needs. `phrases` tells which scenarios want one.

`without` is the draft that burns somebody: the same plan, of which they are neither steward nor organiser nor observer
any more. They stay among the people, so that the places of all others are what they were.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from meshd import crypto
from meshd.crypto import KEY_SIZE, Entropy
from meshd.errors import CallerError, Code
from meshd.groups.prekeys import Announcement
from meshd.plans import cue as cues
from meshd.plans import locks, parts, shares
from meshd.plans.cue import Dark, Leaf, Silence
from meshd.plans.parts import Recipient, Sealing
from meshd.plans.plan import Plan, Response, Version
from meshd.plans.planfile import Draft, Locks

Announced = Callable[[bytes], Announcement | None]  # the newest prekeys of an identity


class Stretched(NamedTuple):
    """What Argon2id made of a phrase, and with which salt."""

    salt: bytes  # 16
    stretched: bytes  # 32

    def __repr__(self) -> str:
        return "Stretched(…)"  # a traceback or log line with this in it must not give the lock away


class Made(NamedTuple):
    """A version to be posted, and what its author holds of it, by the scenario's place."""

    plan: Plan
    keys: dict[int, bytes]  # of sealed scenarios
    shares: dict[int, bytes]  # the author's own, if they are a steward

    def __repr__(self) -> str:
        return f"Made({self.plan.title!r}, …)"


def phrases(draft: Draft) -> dict[str, str]:
    """The scenarios that want a phrase, with the one that the author made up; empty: the program makes one."""
    return {name: each.own_phrase for name, each in draft.sealed.items() if each.phrase}


def following(draft: Draft, standing: Version) -> Draft:
    """The draft as the version that comes after this one."""
    plan = draft.plan._replace(number=standing.plan.number + 1, first=standing.plan_id, previous=standing.id)
    return draft._replace(plan=plan)


def without(version: Version, who: bytes, response: Callable[[int], Response | None]) -> Draft:
    """The next version of a plan, in which `who` has no say and no share; CallerError(not_found, refused).

    `response` tells that of a scenario's place, if it can be read here.
    """
    plan = version.plan
    place = plan.people.index(who) if who in plan.people else -1
    if place not in plan.stewards:
        raise CallerError(Code.not_found, "that is no steward of this plan")
    stewards = bytes(each for each in plan.stewards if each != place)
    organisers = bytes(each for each in plan.organisers if each != place)
    observers = bytes(each for each in plan.observers if each != place)
    if (
        len(stewards) < max(plan.needed, 2)
        or len(organisers) < plan.threshold
        or any(_lacks(leaf, observers) for each in plan.scenarios for leaf in cues.leaves(each.cue))
    ):
        left = (
            f"{plan.needed} shares of {len(stewards)}, {plan.threshold} organisers of {len(organisers)},"
            f" {len(observers)} observers"
        )
        raise CallerError(
            Code.refused,
            f"too few would be left ({left}): propose a new version of the plan's file, with --replaces",
        )
    scenarios, sealed = [], {}
    for number, scenario in enumerate(plan.scenarios):
        clear = scenario.response if scenario.seal is None else response(number)
        if clear is None:
            raise CallerError(
                Code.refused,
                f"{scenario.name} is sealed for you too: an organiser who can read it has to do this",
            )
        scenarios.append(scenario._replace(response=clear, seal=None))
        if scenario.seal is not None:
            sealed[scenario.name] = Locks(
                scenario.seal.phrase is not None, bool(scenario.seal.commitments), ""
            )
    changed = plan._replace(
        organisers=organisers,
        stewards=stewards,
        observers=observers,
        ephemeral=b"",
        scenarios=tuple(scenarios),
    )
    return following(Draft(changed, sealed), version)


def _lacks(leaf: Leaf, observers: bytes) -> bool:
    """Whether a cue waits for more observers than could tell of it."""
    if isinstance(leaf, Silence):
        return leaf.observers > len(observers) - (leaf.person in observers)
    return isinstance(leaf, Dark) and leaf.observers > len(observers)


def recipients(
    plan: Plan, me: bytes, announced: Announced, day: int, shown: Callable[[bytes], str]
) -> tuple[list[Recipient], list[Recipient]]:
    """The organisers and the stewards of a plan, in its order, with the prekeys that their parts are sealed to on this
    key day; CallerError(refused) that names all who have none."""
    lacking = dict[bytes, str]()

    def found(who: bytes) -> Recipient:
        known = announced(who)
        if who == me:
            return Recipient(who, 0, b"")
        if known is None or known.key(day) is None:
            days = day - known.first_day if known is not None else 0
            heard = f"not heard from for {days} days" if known is not None else "never heard from"
            lacking[who] = f"{shown(who)} ({heard})"
            return Recipient(who, 0, b"")
        return Recipient(who, known.last_day, known.keys[-1])

    organisers, stewards = (
        [found(who) for who in plan.identities(places)] for places in (plan.organisers, plan.stewards)
    )
    if lacking:
        raise CallerError(
            Code.refused, f"nothing can be sealed to {', '.join(lacking.values())}: meet, then propose it"
        )
    return organisers, stewards


def require_members(plan: Plan, members: Iterable[bytes], shown: Callable[[bytes], str]) -> None:
    """CallerError(refused) that names all whom the plan needs and who could not read it."""
    if missing := [shown(who) for who in plan.people if who not in frozenset(members)]:
        raise CallerError(
            Code.refused,
            f"no members of the group: {', '.join(missing)}; invite them first, or leave them out",
        )


def seal(
    draft: Draft,
    channel: bytes,
    author: bytes,
    to: tuple[Sequence[Recipient], Sequence[Recipient]],
    stretched: Mapping[str, Stretched],
    entropy: Entropy,
) -> Made:
    """The version with its seals; CallerError(usage) if a response is too long.

    `to`: as `recipients` gives them; `stretched`: for each scenario that `phrases` tells.
    """
    plan, keys, own = draft.plan, dict[int, bytes](), dict[int, bytes]()
    if not draft.sealed:
        return Made(plan, keys, own)
    sealing = Sealing(channel, author, crypto.fresh(entropy, KEY_SIZE), *to)
    scenarios = []
    for place, scenario in enumerate(plan.scenarios):
        wanted = draft.sealed.get(scenario.name)
        if wanted is None or scenario.response is None:
            scenarios.append(scenario)
            continue
        key = keys[place] = locks.make_key(entropy)
        phrase, split = None, list[bytes]()
        if wanted.phrase:
            salt, made = stretched[scenario.name]
            phrase = locks.lock_phrase(channel, scenario.name, key, made, salt, bool(wanted.own_phrase))
        if wanted.shares:
            split = shares.split(key, plan.needed, len(plan.stewards), entropy)
            stewards = [each.identity for each in to[1]]
            if author in stewards:
                own[place] = split[stewards.index(author)]
        sealed = parts.seal(sealing, place, scenario.name, scenario.response, key, phrase=phrase, split=split)
        scenarios.append(scenario._replace(response=None, seal=sealed))
    return Made(plan._replace(ephemeral=sealing.ephemeral, scenarios=tuple(scenarios)), keys, own)
