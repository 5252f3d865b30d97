"""A laptop that was off the network while others talked: on a slow link it hears first of what was stood down.

Two laptops of one group, one of which organises a plan. While the other is off, thousands of posts go to the group, and
at last the plan is stood down. When they meet again all that comes has to pass a link of LINK_RATE.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cli.client import Client
from meshd.errors import CallerError
from tests.lab.lab import Lab, Laptop
from tests.lab.waiting import wait_until
from tests.laptops import Rpc

pytestmark = pytest.mark.lab

POSTS, AT_ONCE = 5_000, 500
LINK_RATE, BYTES_S = "400kbit", 50_000
PATIENCE_S = 60
_PLAN = """
title = "Saturday"
valid = { from = FROM, until = UNTIL }
organisers = ["oak"]
threshold = 1
[[scenario]]
name = "bridge"
cue = { call = true }
response = { text = "to the bridge" }
"""


def talk(laptop: Laptop, posts: int) -> None:
    """So many posts to the group, at once."""
    rpc = Rpc(Path(laptop.home))
    for first in range(0, posts, AT_ONCE):
        rpc.say(
            [
                {
                    "jsonrpc": "2.0",
                    "id": 1,
                    "method": "post",
                    "params": {"channel": "kitchen", "text": text(n)},
                }
                for n in range(first, first + AT_ONCE)
            ]
        )
        assert all("result" in answer for answer in rpc.hear())
    rpc.close()


def text(number: int) -> str:
    return f"{number:06}".ljust(200, ".")


def kept_trying(client: Client, method: str, **params: Any) -> Any:
    """The answer, once what it needs has come."""
    found: list[Any] = []

    def tried() -> bool:
        try:
            found.append(client.call(method, params))
        except CallerError:
            return False
        return True

    wait_until(tried, PATIENCE_S)
    return found[0]


def found_a_group(oak: Client, elm: Client) -> None:
    """Both in one group, and each other's contacts."""
    for one, other, name in ((oak, elm, "elm"), (elm, oak, "oak")):
        one.call("contact.add", {"card": other.call("id.show")["card"], "name": name})
    oak.call("group.create", {"name": "kitchen"})
    oak.call("group.invite", {"group": "kitchen", "who": "elm"})
    kept_trying(elm, "group.accept", invite="kitchen")
    wait_until(lambda: len(kept_trying(elm, "group.members", group="kitchen")["members"]) == 2, PATIENCE_S)


def plan_file(folder: Path) -> str:
    now = datetime.now(UTC).replace(microsecond=0)
    times = (now - timedelta(hours=1), now + timedelta(days=2))
    begin, end = (each.isoformat().replace("+00:00", "Z") for each in times)
    file = folder / "plan.toml"
    file.write_text(_PLAN.replace("FROM", begin).replace("UNTIL", end))
    return str(file)


def state(client: Client) -> list[str]:
    """What a laptop shows of the one scenario of the one plan."""
    return [each["state"] for plan in client.call("plan.list")["plans"] for each in plan["scenarios"]]


class Couple:
    """oak, who organises, and elm, whom the link is cut off from."""

    def __init__(self, lab: Lab) -> None:
        self.bridge, self.laptops = lab.together(2)
        for name, laptop in zip(("oak", "elm"), self.laptops, strict=True):
            laptop.mesh("init", "--name", name, "--no-passphrase")
            laptop.mesh("up")
        self.oak, self.elm = (Client(laptop.home) for laptop in self.laptops)
        self._linked()
        found_a_group(self.oak, self.elm)
        self.laptops[0].mesh("plan", "propose", plan_file(lab.folder), "--group", "kitchen")
        wait_until(lambda: state(self.elm) == ["open"], PATIENCE_S)

    def _linked(self) -> None:
        wait_until(lambda: len(self.elm.call("status")["links"]) == 1, PATIENCE_S)

    def part(self) -> None:
        self.laptops[1].set_link(self.bridge, up=False)
        wait_until(lambda: not self.oak.call("status")["links"], PATIENCE_S)

    def meet(self) -> None:
        self.laptops[0].limit(self.bridge, LINK_RATE)
        self.laptops[1].set_link(self.bridge, up=True)
        self._linked()

    def stand_down(self) -> None:
        self.laptops[0].mesh("plan", "stand-down", "Saturday", "bridge")

    def hears(self) -> float:
        """Seconds until elm knows."""
        return wait_until(lambda: state(self.elm) == ["stood-down"], 3 * PATIENCE_S)

    def here(self) -> int:
        """How many of oak's posts elm has."""
        return len(self.elm.call("read", {"channel": "kitchen", "limit": POSTS})["posts"])


@pytest.fixture
def couple() -> Iterator[Couple]:
    with Lab() as lab:
        made = Couple(lab)
        yield made
        for laptop in made.laptops:
            laptop.mesh("down")


def test_a_stand_down_does_not_wait_for_a_backlog(couple: Couple) -> None:
    couple.part()
    talk(couple.laptops[0], POSTS)
    couple.stand_down()
    couple.meet()
    took_s, came = couple.hears(), couple.here()
    print(f"stood down {took_s:.1f} s after the link was up, with {came} of {POSTS} posts there")
    assert took_s < 10 and came < POSTS / 10


def test_one_that_comes_meanwhile_does_not_wait_either(couple: Couple) -> None:
    couple.part()
    talk(couple.laptops[0], POSTS)
    couple.meet()
    wait_until(lambda: couple.here() > POSTS / 20, PATIENCE_S)
    before = couple.here()
    couple.stand_down()
    took_s, came = couple.hears(), couple.here() - before
    print(f"stood down {took_s:.1f} s after it was said, with {came} of {POSTS - before} posts in between")
    assert took_s < 10 and came < POSTS / 10
