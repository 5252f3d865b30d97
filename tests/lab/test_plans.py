"""Nine laptops on three networks in a row, an uplink that all of them see, and a plan for the day when it goes.

    oak  fern  reed      moss  birch  elm      ash  ivy  river       organisers: oak, birch, river; any two of them
      \\    |   /   \\     /     |     \\    /    \\   |   /            stewards: fern, moss, reed, ivy, ash; any three
       left network     middle network     right network             from oak to river it is three hops

The uplink is a namespace on all three networks, with a place abroad behind it; taking it away is the blackout. Before
the sealed response opens, it is searched for in every file and in the memory of every process but the organisers'.
"""

import re
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cli.client import Client
from meshd.errors import CallerError
from tests.lab.lab import Lab, LabError
from tests.lab.waiting import wait_until

pytestmark = pytest.mark.lab

NAMES = ("oak", "fern", "reed", "moss", "birch", "elm", "ash", "ivy", "river")
NETWORKS = {
    "oak": (0,),
    "fern": (0,),
    "reed": (0, 1),
    "moss": (0, 1),
    "birch": (1,),
    "elm": (1, 2),
    "ash": (2,),
    "ivy": (2,),
    "river": (2,),
}
ORGANISERS = ("oak", "birch", "river")
OTHERS = tuple(name for name in NAMES if name not in ORGANISERS)
ABROAD, PORT = "198.51.100.7", 4433
DARK_AFTER_S = 5
PATIENCE_S = 60
SECRET = "the ferry behind the old mill"  # of the sealed response
OPEN = "everybody to the square"  # of one that is in the clear
_SERVER = f"import socket; s = socket.create_server(('', {PORT}))\nwhile True: s.accept()[0].close()"
_PLAN = f"""
title = "Saturday"
valid = {{ from = FROM, until = UNTIL }}
organisers = ["oak", "birch", "river"]
threshold = 2
stewards = {{ people = ["fern", "moss", "reed", "ivy", "ash"], needed = 3 }}
observers = ["oak", "fern", "ash", "river"]
[[scenario]]
name = "bridge"
sealed = true
locks = ["phrase", "shares"]
cue = {{ call = true }}
response = {{ text = "{SECRET}" }}
[[scenario]]
name = "blackout"
cue = {{ dark = {{ attested_by = 3 }} }}
response = {{ text = "{OPEN}" }}
[[scenario]]
name = "retreat"
cue = {{ call = true }}
response = {{ text = "home in small groups" }}
[[scenario]]
name = "market"
sealed = true
locks = ["shares"]
cue = {{ call = true }}
response = {{ text = "{SECRET} at noon" }}
"""


class City:
    """The nine, their networks, and the uplink."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.networks = [lab.bridge() for _ in range(3)]
        self.laptops = {name: lab.laptop(*(self.networks[n] for n in NETWORKS[name])) for name in NAMES}
        self.uplink = lab.laptop(*self.networks)
        self.uplink.ip("address", "add", f"{ABROAD}/32", "dev", "lo")
        self.uplink.popen([sys.executable, "-c", _SERVER])
        config = f"[internet]\ndark_after_s = {DARK_AFTER_S}\nprobes = ['{ABROAD}:{PORT}']\n"
        for name, laptop in self.laptops.items():
            laptop.ip("route", "add", "default", "via", self.uplink.address(laptop.bridges[0]))
            laptop.mesh("init", "--name", name, "--no-passphrase")
            Path(laptop.home, "config.toml").write_text(config)
            laptop.mesh("up")
        self.clients = {name: Client(laptop.home) for name, laptop in self.laptops.items()}

    def mesh(self, name: str, *args: str) -> dict[str, Any]:
        return self.laptops[name].mesh(*args)

    def pid(self, name: str) -> int:
        return int(self.clients[name].call("status")["pid"])

    def scenario(self, name: str, scenario: str) -> dict[str, Any]:
        """What a laptop shows of a scenario of the one plan."""
        plans = self.clients[name].call("plan.list")["plans"]
        found = [each for plan in plans for each in plan["scenarios"] if each["name"] == scenario]
        return found[0] if found else {"state": None, "response": None, "progress": None}

    def states(self, scenario: str, names: Iterable[str] = NAMES) -> set[str]:
        return {self.scenario(name, scenario)["state"] for name in names}


def holds_in_memory(pid: int, words: Iterable[bytes]) -> set[bytes]:
    """Which of these stand anywhere in what a process may write to."""
    found = set[bytes]()
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb") as memory:
        for line in maps:
            start, end, rights = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+)", line).groups()  # type: ignore[union-attr]
            if not rights.startswith("rw"):
                continue
            memory.seek(int(start, 16))
            try:
                content = memory.read(int(end, 16) - int(start, 16))
            except OSError:
                continue  # the kernel's own
            found |= {word for word in words if word in content}
    return found


def files_with(homes: Iterable[str], word: bytes) -> list[str]:
    """The files of these homes in which a word stands."""
    files = [path for home in homes for path in Path(home).rglob("*") if path.is_file()]
    return [str(path) for path in files if word in path.read_bytes()]


def done(call: Callable[[], Any]) -> bool:
    """Whether it is answered by now."""
    try:
        call()
    except CallerError:
        return False
    return True


def found_a_group(city: City) -> None:
    """All nine in one group, made by oak, who knows them by name."""
    cards = {name: client.call("id.show")["card"] for name, client in city.clients.items()}
    oak = city.clients["oak"]
    for name in NAMES[1:]:
        oak.call("contact.add", {"card": cards[name], "name": name})
        city.clients[name].call("contact.add", {"card": cards["oak"], "name": "oak"})
    oak.call("group.create", {"name": "kitchen"})
    oak.call("group.invite", {"group": "kitchen", "who": list(NAMES[1:])})
    for name in NAMES[1:]:
        accept = lambda c=city.clients[name]: done(lambda: c.call("group.accept", {"invite": "kitchen"}))  # noqa: E731
        wait_until(accept, PATIENCE_S, lambda n=name: f"{n} was not invited")  # type: ignore[misc]

    def are_all_in() -> bool:
        shown = [client.call("group.members", {"group": "kitchen"}) for client in city.clients.values()]
        return all(len(each["members"]) == 9 and each["epoch"] == shown[0]["epoch"] for each in shown)

    wait_until(are_all_in, PATIENCE_S, lambda: "the group is not whole")


def arrange(city: City) -> str:
    """Proposed by oak, signed by birch; the id."""
    now = datetime.now(UTC).replace(microsecond=0)
    times = (now - timedelta(hours=1), now + timedelta(days=2))
    begin, end = (each.isoformat().replace("+00:00", "Z") for each in times)
    file = city.lab.folder / "plan.toml"
    file.write_text(_PLAN.replace("FROM", begin).replace("UNTIL", end))
    proposed: dict[str, Any] = {}

    def propose() -> bool:  # once everybody's prekeys have come
        proposed.update(city.mesh("oak", "plan", "propose", str(file), "--group", "kitchen"))
        return True

    wait_until(lambda: _tried(propose), PATIENCE_S, lambda: proposed)
    plan: str = proposed["id"]
    assert proposed["state"] == "proposed"
    wait_until(lambda: city.states("bridge", OTHERS) == {"sealed"}, PATIENCE_S)
    city.mesh("birch", "plan", "sign", plan)
    wait_until(lambda: _plan_states(city) == {"active"}, PATIENCE_S, lambda: _plan_states(city))
    return plan


def _tried(call: Callable[[], bool]) -> bool:
    try:
        return call()
    except LabError as error:
        assert "not heard from" in str(error) or "prekey" in str(error), error
        return False


def _plan_states(city: City, names: Iterable[str] = NAMES) -> set[str]:
    return {plan["state"] for name in names for plan in city.clients[name].call("plan.list")["plans"]}


def show_that_it_is_secret(city: City, plan: str) -> None:
    """k − 1 shares are out, and the text is nowhere but with the organisers."""
    for name in ("fern", "ivy"):
        city.mesh(name, "plan", "share", "release", plan, "market")
    wait_until(
        lambda: all(city.scenario(name, "market")["shares"]["have"] == 2 for name in NAMES),
        PATIENCE_S,
        lambda: [city.scenario(name, "market") for name in NAMES],
    )
    for name in OTHERS:
        seen = holds_in_memory(city.pid(name), [SECRET.encode(), OPEN.encode()])
        assert seen == {OPEN.encode()}, name  # the open one is found, so a search can find
    assert not files_with([city.laptops[name].home for name in OTHERS], SECRET.encode())
    print(f"2 of 3 shares released: the sealed texts are in no file and no memory of {', '.join(OTHERS)}")


def lose_the_internet(city: City, plan: str) -> None:
    """The uplink goes, and three attest it."""
    wait_until(lambda: all(c.call("internet")["state"] == "full" for c in city.clients.values()), PATIENCE_S)
    time.sleep(2 * DARK_AFTER_S + 1)  # what goes later than that has nothing to do with the start
    city.uplink.vanish()
    took_s = wait_until(lambda: all(c.call("internet")["dark"] for c in city.clients.values()), PATIENCE_S)
    print(f"the uplink is gone: dark on all nine after {took_s:.1f} s")
    for name in ("oak", "fern"):
        city.mesh(name, "internet", "attest")
    wait_until(
        lambda: all(len(c.call("internet")["attested_by"]) == 2 for c in city.clients.values()),
        PATIENCE_S,
    )
    assert city.states("blackout") == {"open"}
    city.mesh("river", "internet", "attest")
    took_s = wait_until(
        lambda: city.states("blackout") == {"fired"}, PATIENCE_S, lambda: city.states("blackout")
    )
    print(f"attested by three: the blackout scenario fired on all nine {took_s:.2f} s after")


def call_from_both_ends(city: City, plan: str) -> None:
    """A call by two organisers, three hops apart."""
    city.mesh("oak", "cue", "fire", plan, "bridge")

    def progress() -> list[Any]:
        return [city.scenario(name, "bridge")["progress"] for name in NAMES]

    wait_until(lambda: progress() == [{"have": 1, "needed": 2}] * 9, PATIENCE_S, progress)
    assert city.states("bridge", OTHERS) == {"sealed"}
    city.clients["river"].call("cue.fire", {"plan": plan, "scenario": "bridge"})
    took_s = wait_until(lambda: city.states("bridge") == {"fired"}, PATIENCE_S, lambda: city.states("bridge"))
    print(f"called by oak and river: fired on all nine {took_s:.2f} s after the second signature")
    assert took_s < 2
    read_s = wait_until(
        lambda: all((city.scenario(n, "bridge")["response"] or {}).get("text") == SECRET for n in NAMES),
        PATIENCE_S,
        lambda: [city.scenario(name, "bridge") for name in NAMES],
    )
    print(f"and all nine read it {took_s + read_s:.2f} s after")


def fall_in_two(city: City, plan: str) -> None:
    """oak and birch stand retreat down, while river, cut off with birch's call, completes it."""
    city.mesh("birch", "cue", "fire", plan, "retreat")
    wait_until(
        lambda: all(city.scenario(name, "retreat")["progress"]["have"] == 1 for name in NAMES), PATIENCE_S
    )
    right = ("ash", "ivy", "river")
    left = tuple(name for name in NAMES if name not in right)
    city.laptops["elm"].set_link(city.networks[2], up=False)
    wait_until(lambda: len(city.clients["elm"].call("status")["links"]) == 3, PATIENCE_S)
    for name in ("oak", "birch"):
        city.mesh(name, "plan", "stand-down", plan, "retreat")
    city.mesh("river", "cue", "fire", plan, "retreat")
    wait_until(lambda: city.states("retreat", left) == {"stood-down"}, PATIENCE_S)
    wait_until(lambda: city.states("retreat", right) == {"fired"}, PATIENCE_S)
    print("in two halves: the left stood it down, the right fired it")
    city.laptops["elm"].set_link(city.networks[2], up=True)
    took_s = wait_until(
        lambda: city.states("retreat") == {"stood-down"}, PATIENCE_S, lambda: city.states("retreat")
    )
    print(f"together again: stood down on all nine after {took_s:.2f} s")


def test_nine_laptops_and_a_plan_for_the_blackout() -> None:
    with Lab() as lab:
        city = City(lab)
        wait_until(
            lambda: all(len(client.call("status")["links"]) >= 2 for client in city.clients.values()),
            PATIENCE_S,
        )
        found_a_group(city)
        plan = arrange(city)
        print("arranged: oak proposed, birch signed, all nine show it as active")
        show_that_it_is_secret(city, plan)
        lose_the_internet(city, plan)
        call_from_both_ends(city, plan)
        fall_in_two(city, plan)
        for laptop in city.laptops.values():
            laptop.mesh("down")
