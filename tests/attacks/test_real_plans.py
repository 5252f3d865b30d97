"""Forged cues between real daemons: what no client would say, under a member's keys, carried by real links."""

import os
import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from meshd.daemon.driver import read_clock
from meshd.daemon.home import Home
from meshd.daemon.init import open_home
from meshd.events import Now
from meshd.ids import COMMONS_KEY
from meshd.node import Node
from meshd.own_plans import OwnPlans
from meshd.plans import act as acts
from meshd.plans.arrangement import Said
from meshd.plans.plan import Version, keep_until
from meshd.post import KIND_PLAN_ACT
from meshd.statement import CALL, STAND_DOWN
from meshd.store import bundle, keyslot
from tests.hostile_plans import Hostile
from tests.laptops import Laptop, wait_until
from tests.test_plans_daemon import Person, arranged, people  # noqa: F401  (a fixture)

pytestmark = pytest.mark.real


class Taken:
    """The home of a laptop that is off, with all its keys, as `Hostile` wants one."""

    def __init__(self, laptop: Laptop) -> None:
        slot = keyslot.read(laptop.home)
        opened = open_home(Home(str(laptop.home)), keyslot.parameters(slot).stretch(None), slot)
        self.carry, self.log, self.table = opened.carry, opened.log, self
        self.node = Node(self.carry, self.log, rng=random.Random(1), entropy=os.urandom, now=self.now())

    def now(self) -> Now:
        return read_clock()

    def raws(self) -> list[bytes]:
        return []

    @property
    def plans(self) -> OwnPlans:
        assert self.node.plans is not None
        return self.node.plans

    def calls(self, version: Version, scenario: str, *, is_drill: bool) -> list[Said]:
        """Who called a scenario, or its drill, with their signatures."""
        return list(self.plans.arrangement(version.channel).all(version, CALL, scenario, is_drill))


@contextmanager
def taken(person: Person, neighbour: Person) -> Iterator[Taken]:
    """Its daemon is ended meanwhile; afterwards it runs again, and has a link to the neighbour's."""
    person.laptop.stop()
    found = Taken(person.laptop)
    with ExitStack() as closing:
        closing.callback(found.log.close)
        closing.callback(found.carry.close)
        yield found
    person.laptop.start()
    person.mesh("peer", "add", neighbour.laptop.address)


def bring(person: Person, folder: Path, raws: list[bytes]) -> None:
    """Its daemon gets these envelopes from a stick, and gives them to its neighbours."""
    writer = bundle.Writer(COMMONS_KEY, os.urandom(bundle.SALT_SIZE))
    file = folder / f"stick{random.randrange(10**9)}"
    file.write_bytes(writer.begin() + writer.add(sorted(raws)) + writer.end())
    assert person.mesh("bundle", "import", str(file))["new"] == len(raws)


def posted(hostile: Hostile, version: Version, act: acts.Act) -> bytes:
    """Somebody else's act, in a post of one's own."""
    return hostile.post(KIND_PLAN_ACT, acts.encode(act), keep_until(version.plan.until_s))


def test_L05_L06_forged_cues_and_a_drill_made_real_are_refused_and_shown_everywhere(
    people: list[Person],  # noqa: F811
    tmp_path: Path,
) -> None:
    oak, elm, ash = people
    arranged(people, tmp_path)
    for person in (oak, elm):
        wait_until(
            lambda p=person: p.run("cue", "fire", "Saturday", "bridge-closed", "--drill").returncode == 0  # type: ignore[misc]
        )
    for person in people:
        wait_until(lambda p=person: drilled(p) == "fired")  # type: ignore[misc]

    with taken(ash, elm) as found:
        (version,) = found.plans.versions()
        hostile, as_oak = Hostile(found), Hostile(found)  # type: ignore[arg-type]
        as_oak.public = next(
            who for who in version.plan.identities(version.plan.organisers) if who != hostile.public
        )
        drills = found.calls(version, "bridge-closed", is_drill=True)
        assert len({said.author for said in drills}) == 2, "both organisers' signatures are there to be used"
        real = [said.act._replace(statement=said.act.statement._replace(flag=0)) for said in drills]
        stand_down = drills[0].act._replace(
            statement=drills[0].act.statement._replace(purpose=STAND_DOWN, flag=0)
        )
        raws = [
            hostile.act(version, CALL, "go-home"),  # signed by who organises nothing
            *(posted(hostile, version, act) for act in real),  # the drill's signatures, for a real call
            posted(hostile, version, stand_down),
        ]
        in_anothers_name = [as_oak.act(version, CALL, "go-home"), posted(as_oak, version, real[0])]
    bring(ash, tmp_path, [*raws, *in_anothers_name])

    remarks = {"refused: a call by ash", "refused: a stand-down by ash"}
    for person in (elm, oak):  # oak hears of it from elm alone
        wait_until(lambda p=person: remarks <= set(p.scenario("bridge-closed")["remarks"]))  # type: ignore[misc]
        wait_until(lambda p=person: "refused: a call by ash" in p.scenario("go-home")["remarks"])  # type: ignore[misc]
        bridge, home = person.scenario("bridge-closed"), person.scenario("go-home")
        assert (bridge["fired_at"], bridge["progress"], bridge["state"]) == (
            None,
            {"have": 0, "needed": 2},
            "open",
        )
        assert (home["fired_at"], home["state"]) == (None, "open")
        said = {each for scenario in (bridge, home) for each in scenario["remarks"]}
        assert not any(each.endswith((" by oak", " by elm")) for each in said), "nothing is blamed on them"
        assert drilled(person) == "fired" and person.mesh("status")["plans"]["fired"] == 0
    shown = oak.run("plan", "show", "Saturday").stdout
    assert "refused: a call by ash" in shown
    # The organisers' own calls count as before.
    for person in (oak, elm):
        person.mesh("cue", "fire", "Saturday", "bridge-closed")
    wait_until(lambda: oak.scenario("bridge-closed")["state"] == "fired")


def drilled(person: Person) -> Any:
    """The state of the drill of `bridge-closed`."""
    cues = person.mesh("cue", "list")["cues"]
    return next(
        (each["state"] for each in cues if each["drill"] and each["scenario"] == "bridge-closed"), None
    )
