"""Plans on nodes, for tests: a plan with one scenario that is sealed and one that is not, proposed by a home."""

from collections.abc import Sequence
from typing import Any

from meshd import crypto
from meshd.own_group import OwnGroup
from meshd.own_plans import OwnPlans
from meshd.plans import locks, parts, shares
from meshd.plans.cue import At, Call, Cue
from meshd.plans.parts import Recipient, Sealing
from meshd.plans.plan import SINGLE, Plan, Response, Scenario, Version
from tests.groups import commit
from tests.homes import Home
from tests.plan_parts import seeded
from tests.test_inbox import identity
from tests.wire import WALL_MS

BRIDGE, NOON = "bridge", "noon"
RESPONSE = Response("Go home by the river.")
SECRET = Response("Meet at the old mill, and tell nobody.")
STRETCHED = b"6" * 32  # of the phrase of the sealed scenario
DAY_S = 24 * 3600


def plans_of(home: Home) -> OwnPlans:
    found = home.node.plans
    assert found is not None
    return found


def only_group(home: Home) -> OwnGroup:
    assert home.node.groups is not None
    (own,) = [own for own in home.node.groups.groups.values() if not own.is_direct]
    return own


def recipients(home: Home, others: Sequence[Home]) -> list[Recipient]:
    """Who is to have parts, by the prekeys that a home knows."""
    found = []
    for other in others:
        announced = home.node.inbox.prekeys(identity(other)) if other is not home else None  # type: ignore[union-attr]
        found.append(
            Recipient(identity(other), announced.last_day, announced.keys[-1])
            if announced
            else Recipient(identity(other), 0, bytes(32))
        )
    return found


def propose(
    home: Home,
    organisers: Sequence[Home],
    stewards: Sequence[Home] = (),
    *,
    people: Sequence[Home] = (),
    threshold: int = 2,
    needed: int = 2,
    cue: Cue = Call(),  # noqa: B008
    second: Cue = At(WALL_MS // 1000 + DAY_S),  # noqa: B008
    days: int = 7,
    replaces: Version | None = None,
    seed: str = "one",
    **changes: Any,
) -> Version:
    """Propose a plan; `threshold` is cut to how many organisers there are."""
    plans, own, now = plans_of(home), only_group(home), home.table.now()
    entropy = seeded(f"plan {seed}")
    everybody = sorted({identity(each) for each in (home, *organisers, *stewards, *people)})
    organisers = sorted(organisers, key=identity)
    key = crypto.fresh(entropy, 16)
    sealing = Sealing(
        own.channel,
        identity(home),
        crypto.fresh(entropy, 32),
        recipients(home, organisers),
        recipients(home, stewards),
    )
    split = shares.split(key, needed, len(stewards), entropy) if stewards else []
    lock = locks.lock_phrase(own.channel, BRIDGE, key, STRETCHED, b"s" * 16, weak=False)
    seal = parts.seal(sealing, 0, BRIDGE, SECRET, key, phrase=lock, split=split)
    from_s = now.wall_ms // 1000 // 3600 * 3600
    plan = Plan(
        number=replaces.plan.number + 1 if replaces else 1,
        first=replaces.plan_id if replaces else b"",
        previous=replaces.id if replaces else b"",
        title="Saturday",
        from_s=from_s,
        until_s=from_s + days * DAY_S,
        people=tuple(everybody),
        organisers=bytes(everybody.index(identity(each)) for each in organisers),
        threshold=min(threshold, len(organisers)),
        stewards=bytes(everybody.index(identity(each)) for each in stewards),
        needed=needed if stewards else 0,
        observers=bytes(range(len(everybody))),
        flags=SINGLE if threshold == 1 else 0,
        ephemeral=sealing.ephemeral,
        scenarios=(Scenario(BRIDGE, cue, None, seal), Scenario(NOON, second, RESPONSE, None)),
    )._replace(**changes)
    stewarding = [identity(each) for each in stewards]
    own_share = {0: split[stewarding.index(identity(home))]} if identity(home) in stewarding else {}
    is_organiser = home in organisers
    made = plans.propose(own, plan, {0: key} if is_organiser else {}, own_share, now)
    go_on(home)
    return made


def act(home: Home, version: Version, purpose: int, subject: str = "", **how: Any) -> None:
    """Let a home say something about a version that it holds, and everybody hear of it."""
    held = plans_of(home).version(version.id)
    assert held is not None
    plans_of(home).act(held, purpose, subject, home.table.now(), **how)
    go_on(home)


def go_on(home: Home) -> None:
    """What was done outside an event is committed, and passed on."""
    commit(home)
    home.table.run(1000)


def state(home: Home, version: Version) -> str:
    held = plans_of(home).version(version.id)
    return plans_of(home).state(held, home.table.now()) if held is not None else "unknown"


def scenario(home: Home, version: Version, place: int = 0, *, is_drill: bool = False) -> str:
    held = plans_of(home).version(version.id)
    assert held is not None
    return plans_of(home).scenario_state(held, place, is_drill=is_drill)
