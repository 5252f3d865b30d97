"""A plan on real daemons, as people type it: three laptops in a row, of which the middle one steers nothing."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from meshd.errors import Code
from tests.laptops import ROOT, Laptop, meet, wait_until
from tests.memory import found_in_memory

pytestmark = pytest.mark.real
NAMES = ("oak", "elm", "ash")
SECRET = "Behind the blue door at the old mill."


def plan(needed: int = 2) -> str:
    now = datetime.now(UTC)
    begin, end = (now + timedelta(hours=hours) for hours in (-1, 48))
    return f"""
title = "Saturday"
valid = {{ from = {begin:%Y-%m-%dT%H:%M:%SZ}, until = {end:%Y-%m-%dT%H:%M:%SZ} }}
organisers = ["oak", "elm"]
threshold = 2
stewards = {{ people = ["oak", "elm", "ash"], needed = {needed} }}
[[scenario]]
name = "bridge-closed"
sealed = true
locks = ["phrase", "shares"]
cue = {{ call = true }}
response = {{ text = "{SECRET}", at = "+30m" }}
[[scenario]]
name = "go-home"
sealed = true
locks = ["phrase"]
cue = {{ phrase = true }}
response = {{ text = "In small groups." }}
"""


class Person:
    """Types `mesh` commands on one laptop."""

    def __init__(self, laptop: Laptop) -> None:
        self.laptop, self.heard = laptop, ""

    def run(self, *args: str, said: str = "") -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-I", "-m", "cli", "--home", str(self.laptop.home), "--json", *args]
        ran = subprocess.run(command, cwd=ROOT, input=said, capture_output=True, text=True, timeout=60)
        self.heard += ran.stderr
        return ran

    def mesh(self, *args: str, said: str = "") -> Any:
        ran = self.run(*args, said=said)
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)

    def scenario(self, name: str) -> Any:
        """One scenario of the version that stands, or was proposed first."""
        plans = self.mesh("plan", "show", "Saturday")["plans"]
        return next(each for each in plans[0]["scenarios"] if each["name"] == name)


@pytest.fixture
def people(tmp_path: Path) -> Iterator[list[Person]]:
    """Three who are in the group `kitchen`."""
    with ExitStack() as stack:
        laptops = [stack.enter_context(Laptop(tmp_path / name)) for name in NAMES]
        meet(laptops)
        yield [Person(laptop) for laptop in laptops]


def arranged(people: list[Person], folder: Path) -> dict[str, str]:
    """Oak proposes and elm signs; the phrases, once everybody has heard of it."""
    oak, elm, _ = people
    (folder / "plan.toml").write_text(plan())
    told = oak.mesh("plan", "propose", str(folder / "plan.toml"), "--group", "kitchen", "--remove-file")
    assert told["state"] == "proposed" and not (folder / "plan.toml").exists()
    wait_until(lambda: bool(elm.mesh("plan", "list")["plans"]))
    assert elm.mesh("plan", "sign", "Saturday")["state"] == "active"
    for person in people:
        wait_until(
            lambda person=person: (
                [each["state"] for each in person.mesh("plan", "list")["plans"]] == ["active"]
            )
        )  # type: ignore[misc]
    return {each["scenario"]: each["phrase"] for each in told["phrases"]}


def test_a_plan_from_its_file_to_its_firing(people: list[Person], tmp_path: Path) -> None:
    oak, elm, ash = people
    assert oak.mesh("plan", "draft", str(tmp_path / "draft.toml"))["file"] == str(tmp_path / "draft.toml")
    phrases = arranged(people, tmp_path)
    assert set(phrases) == {"bridge-closed", "go-home"} and all(
        len(each.split()) == 6 for each in phrases.values()
    )
    assert elm.scenario("bridge-closed")["response"]["text"] == SECRET
    assert ash.scenario("bridge-closed")["state"] == "sealed"

    # A word that is wrong opens nothing, and soon; the phrase does, however it is typed.
    words = phrases["go-home"].split()
    wrong = " ".join([*words[:5], "wrong" if words[5] != "wrong" else "right"])
    open_ = ("plan", "open", "Saturday", "go-home", "--phrase-file", "-")
    took_s = []
    for _ in range(3):
        begun = time.monotonic()
        ran = ash.run(*open_, said=wrong + "\n")
        took_s.append(time.monotonic() - begun)
        assert ran.returncode == Code.not_met and json.loads(ran.stdout)["error"]["code"] == "not_met"
        assert not any(word in ran.stdout + ran.stderr for word in (wrong, phrases["go-home"]))
    assert min(took_s) < 2
    assert ash.scenario("go-home")["state"] == "sealed"
    typed = "  " + ",  ".join(words).upper() + "!\n"
    assert ash.mesh(*open_, said=typed)["response"]["text"] == "In small groups."
    assert ash.scenario("go-home")["state"] == "fired" and elm.scenario("go-home")["state"] == "open"

    # One call is one of two on every laptop; the second lets it fire on all.
    assert len(oak.mesh("cue", "fire", "Saturday", "bridge-closed")["signers"]) == 1
    for person in people:
        wait_until(lambda p=person: p.scenario("bridge-closed")["progress"] == {"have": 1, "needed": 2})  # type: ignore[misc]
        assert person.scenario("bridge-closed")["state"] != "fired"
    assert elm.mesh("cue", "fire", "Saturday", "bridge-closed")["state"] == "fired"
    for person in people:
        wait_until(lambda p=person: p.scenario("bridge-closed")["state"] == "fired")  # type: ignore[misc]
    wait_until(lambda: ash.scenario("bridge-closed")["response"] is not None)
    assert ash.scenario("bridge-closed")["response"]["text"] == SECRET

    said = "".join(person.heard for person in people)
    assert not [phrase for phrase in (*phrases.values(), SECRET) if phrase in said]
    for person in people:
        assert SECRET.encode() not in Path(f"/proc/{person.laptop.process.pid}/cmdline").read_bytes()


def test_shares_stand_downs_drills_and_burning(people: list[Person], tmp_path: Path) -> None:
    oak, elm, ash = people
    phrases = arranged(people, tmp_path)
    assert not found_in_memory(ash.laptop.process.pid, [SECRET.encode()]), "before anything opens it"

    # One share opens nothing; a false one is named; the second, read aloud, opens it here.
    share = oak.mesh("plan", "share", "show", "Saturday")
    assert len(share["words"].split()) == 20 and share["scenario"] == "bridge-closed"
    words = share["words"].split()
    swapped = " ".join([words[1], words[0], *words[2:]])
    assert ash.run("plan", "share", "enter", "Saturday", "-", said=swapped).returncode == Code.usage
    told = ash.mesh("plan", "share", "enter", "Saturday", "-", said=share["words"].upper() + "\n")
    assert (told["have"], told["needed"], told["state"]) == (2, 2, "open")
    assert ash.scenario("bridge-closed")["response"]["text"] == SECRET
    oak.mesh("plan", "share", "release", "Saturday", "bridge-closed")
    wait_until(lambda: elm.scenario("bridge-closed")["shares"]["released"] == 1)
    assert "shares were released before it fired: 1 of 2" in elm.scenario("bridge-closed")["remarks"]

    # A drill fires as a drill, and is scored.
    for person in (oak, elm):
        wait_until(lambda p=person: p.run("cue", "fire", "Saturday", "go-home", "--drill").returncode == 0)  # type: ignore[misc]
    wait_until(
        lambda: any(each["drill"] and each["state"] == "fired" for each in ash.mesh("cue", "list")["cues"])
    )
    assert ash.scenario("go-home")["state"] == "sealed"

    def scored() -> bool:
        (drill,) = (each for each in oak.mesh("cue", "list")["cues"] if each["drill"])
        return bool(drill["score"]["opened"] and drill["score"]["reached"] >= drill["score"]["opened"])

    wait_until(scored)

    # A stand-down is final.
    oak.mesh("plan", "stand-down", "Saturday", "bridge-closed")
    assert elm.mesh("plan", "stand-down", "Saturday", "bridge-closed")["state"] == "stood-down"
    wait_until(lambda: ash.scenario("bridge-closed")["state"] == "stood-down")
    assert oak.run("cue", "fire", "Saturday", "bridge-closed").returncode == Code.refused

    # Who is burned has no share of the next version, whose phrases are others.
    assert oak.run("plan", "burn", "Saturday", "ash").returncode == 0
    assert elm.mesh("plan", "ready", "Saturday")["holders"] >= 1
    wait_until(lambda: len(elm.mesh("plan", "show", "Saturday")["plans"]) == 2)
    assert elm.mesh("plan", "sign", "Saturday")["version"] == 2
    wait_until(lambda: [each["version"] for each in ash.mesh("plan", "list")["plans"]] == [2])
    assert ash.run("plan", "share", "show", "Saturday").returncode == Code.not_found
    ran = ash.run("plan", "open", "Saturday", "go-home", "--phrase-file", "-", said=phrases["go-home"])
    assert ran.returncode == Code.not_met
    assert ash.mesh("heartbeat", "on")["state"] == "on" and ash.mesh("heartbeat", "off")["state"] == "off"
    assert ash.run("internet", "attest").returncode == Code.not_met
    assert ash.mesh("internet")["attested_by"] == []
