"""What hostile people do in the scenario `plans`: one thing at a time, given to somebody honest.

The rule: they have what is theirs by right (their keys, their parts, all posts they were given) and nothing else. So
they may say anything in their own name, with any stamp as late as a node takes one, and can put anything into a post.
What they do in their own name is meant, and counts if enough honest people agree; all else must come to nothing.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from meshd.limits import HLC_AHEAD_MS
from meshd.plans.act import Act
from meshd.plans.cue import Call
from meshd.plans.plan import Response, Scenario, Version
from meshd.post import Post
from meshd.statement import CALL, KEY, SHARE, SIGN_PLAN, STAND_DOWN, Statement
from tests.plan_parts import forged
from tests.simulation.planners import Laptop, Town

HOUR_MS = 3_600_000
_SPAN_H = 12


class Victim(Protocol):
    """Who can be given a post."""

    def take(self, raw: bytes) -> None: ...


class _Plot(NamedTuple):
    """One attack."""

    town: Town
    all_hostile: Sequence[Laptop]
    enemy: Laptop
    other: Victim  # an honest one, besides the victim
    version: Version
    name: str  # of a scenario
    drill: bool
    ms: int  # the stamp


def attack(
    town: Town,
    all_hostile: Sequence[Laptop],
    enemy: Laptop,
    victim: Victim,
    other: Victim,
    names: tuple[str, ...],
    back_ms: int = _SPAN_H * HOUR_MS,
) -> None:
    """Do one thing, and give it to the victim; stamps are dated back so far at most."""
    rng = town.rng
    version = rng.choice(list(enemy.arrangement.versions.values()))
    ms = rng.randint(town.now_ms - back_ms, town.now_ms + HLC_AHEAD_MS)
    plot = _Plot(town, all_hostile, enemy, other, version, rng.choice(names), rng.random() < 0.5, ms)
    made = rng.choice((_claims, _claims, _forgeries, _flood, _fork, _shares, _shares, _usurp, _again))
    for raw in made(plot):
        victim.take(raw)
        enemy.take(raw)


def _claims(plot: _Plot) -> list[bytes]:
    """What one may say, again and again, with any stamp."""
    purpose = plot.town.rng.choice((CALL, CALL, STAND_DOWN, SIGN_PLAN))
    if purpose == SIGN_PLAN:
        return [
            plot.enemy.say(SIGN_PLAN, each, ms=plot.ms) for each in plot.enemy.arrangement.versions.values()
        ]
    return [
        plot.enemy.say(purpose, plot.version, plot.name, drill=plot.drill, ms=plot.ms + n) for n in range(3)
    ]


def _forgeries(plot: _Plot) -> list[bytes]:
    """Acts in the names of all organisers; what they signed, with another flag, version or name; a key that is none."""
    town, enemy, version = plot.town, plot.enemy, plot.version
    wanted = Statement(CALL, version.channel, version.id, plot.name.encode(), int(plot.drill))
    bare = _post(town, enemy.act(Act(wanted, bytes(64)), version, plot.ms))
    made = []
    for place in version.plan.organisers:
        theirs = [
            post
            for raw in enemy.raws.values()
            if (post := _post(town, raw)).author == town.people[place] and post.kind == bare.kind
        ]
        for post in town.rng.sample(theirs, min(2, len(theirs))):
            signature = post.body[-66:-2]  # of the statement, where there is no payload
            body = enemy.act(Act(wanted, signature), version, plot.ms)
            made += [body, town.sign(enemy.place, _post(town, body)._replace(author=post.author))]
            made.append(town.sign(enemy.place, bare._replace(body=post.body)))
        made.append(town.sign(enemy.place, bare._replace(author=town.people[place])))
    false = town.rng.randbytes(16)
    return [*made, enemy.say(KEY, version, plot.name, payload=false, ms=plot.ms, is_false=True)]


def _flood(plot: _Plot) -> list[bytes]:
    """Calls and stand-downs of everything, with a signature that is nobody's."""
    said = [
        Statement(purpose, each.channel, each.id, scenario.name.encode(), flag)
        for each in plot.enemy.arrangement.versions.values()
        for scenario in each.plan.scenarios
        for purpose in (CALL, STAND_DOWN)
        for flag in (0, 1)
    ]
    return [
        plot.enemy.act(Act(each, bytes(64)), plot.version, plot.ms)
        for each in plot.town.rng.sample(said, min(20, len(said)))
    ]


def _fork(plot: _Plot) -> list[bytes]:
    """Two posts with one sequence, for two people."""
    enemy, version = plot.enemy, plot.version
    one = enemy.say(CALL, version, plot.name, drill=plot.drill, ms=plot.ms)
    again = enemy.sequence
    plot.other.take(enemy.say(STAND_DOWN, version, plot.name, drill=plot.drill, ms=plot.ms, sequence=again))
    return [one]


def _shares(plot: _Plot) -> list[bytes]:
    """One's own share before anybody asked, one with a bit turned, one that was made otherwise and has a checksum that
    is right, or one that another steward released."""
    rng, enemy = plot.town.rng, plot.enemy
    sealed = [each for each in enemy.arrangement.versions.values() if each.plan.scenarios[0].seal]
    if not sealed:
        return []
    version = rng.choice(sealed)
    own = enemy.shares.get((version.id, 0))
    some = own or rng.randbytes(25)
    turned = (int.from_bytes(some, "big") ^ 1 << rng.randrange(160)).to_bytes(25, "big")
    acts = [read.act for raw in enemy.raws.values() if (read := plot.town.read(raw))]
    lent = [act.payload for act in acts if act and act.statement.purpose == SHARE]
    given = rng.choice((some, turned, forged(own) if own else turned, rng.choice([some, *lent])))
    name, is_false = version.plan.scenarios[0].name, given != own
    return [enemy.say(SHARE, version, name, payload=given, ms=plot.ms, is_false=is_false)]


def _usurp(plot: _Plot) -> list[bytes]:
    """A successor in which those who are hostile decide alone, signed and called by all of them."""
    before = plot.version.plan
    places = bytes(sorted(each.place for each in plot.all_hostile))
    clear = tuple(Scenario(each.name, Call(), Response("Go home."), None) for each in before.scenarios)
    raw = plot.enemy.propose(
        before._replace(
            number=before.number + 1,
            first=plot.version.plan_id,
            previous=plot.version.id,
            organisers=places,
            threshold=len(places),
            ephemeral=b"",
            scenarios=clear,
        ),
        plot.ms,
    )
    plot.enemy.take(raw)
    made = next(reversed(plot.enemy.arrangement.versions.values()))
    acts = [
        each.say(purpose, made, name, ms=plot.ms)
        for each in plot.all_hostile
        for purpose, name in ((SIGN_PLAN, ""), (CALL, plot.name))
    ]
    return [raw, *acts]


def _again(plot: _Plot) -> list[bytes]:
    """What was said long ago."""
    return plot.town.rng.sample(sorted(plot.enemy.raws.values()), min(10, len(plot.enemy.raws)))


def _post(town: Town, raw: bytes) -> Post:
    read = town.read(raw)
    if read is None:
        raise ValueError("a post that is none")
    return read.post
