"""The story of a plan in `mesh demo`: arranged while there is an internet, opened when there is none.

The rule is that of `cli.demo`. The laptops are in a room whose uplink is a place that answers their probes; cutting it
is the blackout. Who shouts the phrase is gone before the one who hears it comes in, so no link ever joined the two.
"""

import os
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cli.client import Document
from cli.laptop import Laptop
from cli.room import UPLINK, Room
from meshd.errors import CallerError

if TYPE_CHECKING:
    from cli.demo import Demo

_GROUP = "kitchen"
_DARK_AFTER_S = 5
_SETTLE_S = 3  # until a laptop's addresses are as they stay
_CONFIG = f'[internet]\ndark_after_s = {_DARK_AFTER_S}\nprobes = ["{UPLINK}"]\n'
_MEETING = "We meet at the old mill."
_FILE = """\
title = "Saturday"
valid = { from = FROM, until = UNTIL }
organisers = ["linden", "maple", "aspen"]
threshold = 2
observers = ["maple", "aspen"]

[[scenario]]
name = "blackout"
cue = { dark = { attested_by = 2 } }
response = { text = "Laptops on, and come to the square." }

[[scenario]]
name = "mill"
sealed = true
locks = ["phrase"]
cue = { phrase = true }
response = { text = "MEETING" }
"""


class Story:
    """Four laptops: `linden` proposes the plan, `juniper` was away while linden was there."""

    def __init__(self, show: "Demo", folder: str, room: Room) -> None:
        self._show, self._folder, self._room = show, folder, room
        names = ("linden", "maple", "aspen", "juniper")
        self._linden, self._maple, self._aspen, self._juniper = (Laptop(name, folder, room) for name in names)

    def tell(self) -> None:
        """The whole of it."""
        self._room.open_uplink()
        self._found_group()
        plan, phrase = self._arrange()
        self._swap(plan)
        self._lose_internet(plan)
        self._shout(plan, phrase)

    def _found_group(self) -> None:
        show, maple = self._show, self._maple
        show.step("The Wi-Fi has an uplink now. maple, aspen and juniper make a group.")
        show.bring([maple, self._aspen, self._juniper], _CONFIG)
        self._since_s = time.monotonic()
        show.claim("they see the internet", lambda: all(map(_is_full, show.laptops)))
        self._let_in(maple, self._aspen, self._juniper)
        maple.mesh("group", "create", _GROUP)
        maple.mesh("group", "invite", _GROUP, "aspen", "juniper")
        for name, laptop in (("aspen", self._aspen), ("juniper", self._juniper)):
            show.claim(f"{name} accepts maple's invitation", lambda who=laptop: _accepts(who))  # type: ignore[misc]

    def _arrange(self) -> tuple[str, str]:
        """The plan's id, and the phrase that only linden was shown."""
        show, linden, maple = self._show, self._linden, self._maple
        show.step(
            "juniper goes home. linden comes, is let in, and proposes a plan: mesh plan propose saturday.toml"
        )
        show.send_home([self._juniper])
        show.bring([linden], _CONFIG)
        self._let_in(maple, linden)
        self._let_in(linden, maple, self._aspen)
        maple.mesh("group", "invite", _GROUP, "linden")
        show.claim("linden accepts", lambda: _accepts(linden))
        file = os.path.join(self._folder, "saturday.toml")
        now = datetime.now(UTC).replace(microsecond=0)
        begin, end = (_toml_time(each) for each in (now - timedelta(hours=1), now + timedelta(days=1)))
        text = _FILE.replace("FROM", begin).replace("UNTIL", end).replace("MEETING", _MEETING)
        with open(file, "w", encoding="utf-8") as written:
            written.write(text)
        proposed: Document = {}
        show.claim("the plan is proposed", lambda: _does(lambda: proposed.update(_propose(linden, file))))
        plan, phrase = proposed["id"], proposed["phrases"][0]["phrase"]
        show.claim(
            "maple and aspen, who organise it too, read all of it before they sign",
            lambda: _response(maple, "mill") == _response(self._aspen, "mill") == _MEETING,
        )
        maple.mesh("plan", "sign", plan)
        show.claim("once two organisers have signed, all three show it as active", self._is_active)
        return plan, phrase

    def _is_active(self) -> bool:
        return all(_plans(laptop)[0]["state"] == "active" for laptop in self._show.laptops)

    def _swap(self, plan: str) -> None:
        show, juniper = self._show, self._juniper
        show.step("linden goes home. juniper comes back, and has never been near linden's laptop.")
        show.send_home([self._linden])
        show.start([juniper])
        show.claim(
            "juniper gets the plan; what to do at the mill is sealed there", lambda: self._has_sealed(plan)
        )

    def _has_sealed(self, plan: str) -> bool:
        found = [each for each in _plans(self._juniper) if each["id"] == plan and each["state"] == "active"]
        return (
            bool(found)
            and _states(self._juniper, "mill") == ["sealed"]
            and not _response(self._juniper, "mill")
        )

    def _lose_internet(self, plan: str) -> None:
        show, two = self._show, (self._maple, self._aspen)
        # What is lost just after a laptop came to a network may be its own doing, and takes it longer to believe.
        time.sleep(max(0.0, self._since_s + 2 * _DARK_AFTER_S + _SETTLE_S - time.monotonic()))
        show.step("The uplink is cut.")
        self._room.cut_uplink()
        show.claim("maple and aspen see that it is dark", lambda: all(map(_is_dark, two)))
        self._maple.mesh("internet", "attest")
        show.claim(
            "one attests it: nothing fires", lambda: self._attesters() == {1} and not _fired(two, "blackout")
        )
        self._aspen.mesh("internet", "attest")
        show.claim("both do: the blackout scenario fires", lambda: _fired(two, "blackout"))

    def _attesters(self) -> set[int]:
        return {len(laptop.mesh("internet")["attested_by"]) for laptop in (self._maple, self._aspen)}

    def _shout(self, plan: str, phrase: str) -> None:
        show, juniper = self._show, self._juniper
        heard = phrase.upper().replace(" ", ",  ") + "!"
        show.step(
            f"In the street linden shouts: {heard} juniper types it: mesh plan open {plan[:8]} mill --phrase-file -"
        )
        file = os.path.join(self._folder, "heard")
        with open(
            os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
        ) as written:
            written.write(heard)
        juniper.mesh("plan", "open", plan, "mill", "--phrase-file", file, "--pass-on")
        show.claim(f"juniper reads: {_MEETING}", lambda: _response(juniper, "mill") == _MEETING)
        show.claim(
            "it fired there, and with maple and aspen too, to whom juniper passed the key on",
            lambda: _fired(show.laptops, "mill"),
        )

    def _let_in(self, host: Laptop, *others: Laptop) -> None:
        """The cards of these are added by `host`, as if shown face to face."""
        for other in others:
            card = other.mesh("id", "show")["card"]
            host.mesh("contact", "add", card, "--name", other.name)


def _toml_time(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _propose(laptop: Laptop, file: str) -> Document:
    return laptop.mesh("plan", "propose", file, "--group", _GROUP)


def _accepts(laptop: Laptop) -> bool:
    return _does(lambda: laptop.mesh("group", "accept", _GROUP))


def _does(command: Callable[[], object]) -> bool:
    """Whether it can be done by now."""
    try:
        command()
    except CallerError:
        return False
    return True


def _is_full(laptop: Laptop) -> bool:
    return bool(laptop.mesh("internet")["state"] == "full")


def _is_dark(laptop: Laptop) -> bool:
    return bool(laptop.mesh("internet")["dark"])


def _plans(laptop: Laptop) -> list[Document]:
    plans: list[Document] = laptop.mesh("plan", "list")["plans"]
    return plans


def _states(laptop: Laptop, name: str) -> list[str]:
    """The states of the scenarios of this name."""
    return [each["state"] for plan in _plans(laptop) for each in plan["scenarios"] if each["name"] == name]


def _fired(laptops: Sequence[Laptop], name: str) -> bool:
    return all(_states(laptop, name) == ["fired"] for laptop in laptops)


def _response(laptop: Laptop, name: str) -> str | None:
    """What a laptop shows to be done; None while it can't tell."""
    found = [
        each["response"] for plan in _plans(laptop) for each in plan["scenarios"] if each["name"] == name
    ]
    return found[0]["text"] if found and found[0] else None
