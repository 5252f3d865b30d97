"""A laptop that was off the network while others talked: on a slow link it hears first of what was stood down.

Two laptops of one group, one of which organises a plan. While the other is off, thousands of posts go to the group, and
at last the plan is stood down. When they meet again all that comes has to pass a link of LINK_RATE.
"""

import time
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


def test_a_stand_down_does_not_wait_for_a_backlog() -> None:
    with Lab() as lab:
        bridge, laptops = lab.together(2)
        for name, laptop in zip(("oak", "elm"), laptops, strict=True):
            laptop.mesh("init", "--name", name, "--no-passphrase")
            laptop.mesh("up")
        oak, elm = (Client(laptop.home) for laptop in laptops)
        wait_until(lambda: len(elm.call("status")["links"]) == 1, PATIENCE_S)
        found_a_group(oak, elm)
        laptops[0].mesh("plan", "propose", plan_file(lab.folder), "--group", "kitchen")
        wait_until(lambda: state(elm) == ["open"], PATIENCE_S)
        laptops[1].set_link(bridge, up=False)
        wait_until(lambda: not oak.call("status")["links"], PATIENCE_S)
        talk(laptops[0], POSTS)
        laptops[0].mesh("plan", "stand-down", "Saturday", "bridge")
        laptops[0].limit(bridge, LINK_RATE)
        laptops[1].set_link(bridge, up=True)
        wait_until(lambda: len(elm.call("status")["links"]) == 1, PATIENCE_S)
        begun = time.monotonic()
        took_s = wait_until(lambda: state(elm) == ["stood-down"], 3 * PATIENCE_S)
        came = len(elm.call("read", {"channel": "kitchen", "limit": POSTS})["posts"])
        print(f"stood down {took_s:.1f} s after the link was up, with {came} of {POSTS} posts there")
        assert came < POSTS / 10 and time.monotonic() - begun < 10
        missing = elm.call("read", {"channel": "kitchen", "limit": 1})["missing"]
        print(f"shown as missing meanwhile: {missing}")
        for laptop in laptops:
            laptop.mesh("down")
