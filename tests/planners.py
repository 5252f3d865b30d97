"""Plans by command, for tests: a plan's file for homes of a group, and what the daemon does between its two halves.

What Argon2id makes of a phrase is the phrase's own bytes here, as that takes half a second.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from meshd.plans import locks
from meshd.proposing import Stretched
from tests.homes import Home
from tests.wire import WALL_MS

SALT = b"s" * 16
PHRASES = {"bridge": "otter river moss fern reed ivy", "home": "one two three four five six"}


def at(hours: float) -> str:
    """The time so many hours from the beginning of all tests, as a plan's file has it."""
    return datetime.fromtimestamp(WALL_MS / 1000 + hours * 3600, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def file(
    organisers: Sequence[Home],
    stewards: Sequence[Home] = (),
    *,
    threshold: int = 2,
    needed: int = 2,
    from_h: float = -1,
    until_h: float = 48,
    title: str = "Saturday",
    text: str = "Meet at the old mill.",
) -> str:
    """A plan of three scenarios: `bridge` is sealed, and called; `home` opens by its phrase; `noon` comes by itself."""
    locks = '"phrase", "shares"' if stewards else '"phrase"'
    held = f"stewards = {{ people = {_names(stewards)}, needed = {needed} }}" if stewards else ""
    return f"""
title = "{title}"
valid = {{ from = {at(from_h)}, until = {at(until_h)} }}
organisers = {_names(organisers)}
threshold = {threshold}
{held}
[[scenario]]
name = "bridge"
sealed = true
locks = [{locks}]
cue = {{ call = true }}
response = {{ text = "{text}", at = "+30m", checklist = ["water"] }}
[[scenario]]
name = "home"
sealed = true
locks = ["phrase"]
cue = {{ phrase = true }}
response = {{ text = "Go home." }}
[[scenario]]
name = "noon"
cue = {{ at = {at(24)} }}
response = {{ text = "It is noon." }}
"""


def _names(homes: Sequence[Home]) -> str:
    return str([home.log.name for home in homes]).replace("'", '"')


def stretched(phrase: str) -> bytes:
    """What stands for the result of Argon2id."""
    return locks.normalise(phrase).encode().ljust(32, b".")[:32]


def publish(home: Home, **params: Any) -> Any:
    """What the daemon does about `plan.propose` and `plan.burn`; the document, once everybody has heard of it."""
    wanted = home.ask("plan.phrases", **params)["phrases"]
    made = {name: Stretched(SALT, stretched(own or PHRASES[name])) for name, own in wanted.items()}
    document = home.ask("plan.publish", **params, stretched=made)
    home.table.run(1000)
    return document


def propose(home: Home, text: str, **params: Any) -> Any:
    """Propose the plan in a file."""
    return publish(home, text=text.encode(), group="kitchen", **params)


def open_(home: Home, scenario: str, phrase: str, plan: str = "Saturday", **params: Any) -> Any:
    """What the daemon does about `plan.open`."""
    found = home.ask("plan.salt", plan=plan, scenario=scenario)
    assert found["salt"] == SALT
    document = home.ask(
        "plan.unlock",
        plan=plan,
        scenario=scenario,
        version=found["version"],
        stretched=stretched(phrase),
        **params,
    )
    home.table.run(1000)
    return document


def say(home: Home, method: str, **params: Any) -> Any:
    """A command about Saturday, once everybody has heard of it."""
    document = home.ask(method, plan=params.pop("plan", "Saturday"), **params)
    home.table.run(1000)
    return document


def shown(home: Home, scenario: str, plan: str = "Saturday") -> Any:
    """One scenario, as a home shows it."""
    (version,) = home.ask("plan.show", plan=plan)["plans"]
    (found,) = (each for each in version["scenarios"] if each["name"] == scenario)
    return found
