"""A plan over thirty days: people come and go, restart, are let in, put out and lose everything, and it still fires.

The days pass as for people with laptops: apart for hours, then in a row for a moment, in an order that changes. Every
envelope lasts for a week at most, so what is read on the last day was sealed anew several times: by each who is alone
when it is due, by a handful of those who are together.
"""

import random
import shutil
from pathlib import Path

import pytest

from meshd.ids import key_hour
from meshd.limits import RESEAL_HOURS, UPKEEP_EACH_MS
from meshd.post import HOUR_MS
from meshd.statement import CALL, KEY
from tests.group_plans import plans_of
from tests.homes import Home, Table, key
from tests.planners import PHRASES, file, open_, propose, say, shown
from tests.test_inbox import befriend
from tests.test_own_groups import DAY_MS, apart, group, line, members

DAYS, APART_HOURS = 30, 4
MEET_MS = 1000
BRIDGE, NOON = "bridge", "noon"


def sealed_anew(homes: list[Home], post: bytes) -> set[bytes]:
    """The keys of the envelopes of a post that any of these carries."""
    found: set[bytes] = set()
    for home in homes:
        keys = [key(raw) for raw in home.raws()]
        posts = home.log.openings.posts_of(keys)
        found |= {each for each, id in zip(keys, posts, strict=True) if id == post}
    return found


def arranged(homes: list[Home]) -> bytes:
    """The id of a plan for 45 days that two of the first three organise, and have signed."""
    id: str = propose(homes[0], file(homes[:3], homes[:3], until_h=45 * 24))["id"]
    say(homes[1], "plan.sign")
    return bytes.fromhex(id)


class Month:
    """Six people, the last of whom is let in later, and the plan of five."""

    def __init__(self, folder: Path) -> None:
        self.table = Table(folder)
        self.rng = random.Random("month")
        self.everybody = [self.table.home(name) for name in ("oak", "elm", "ash", "fir", "yew", "moss")]
        self.oak, self.elm, self.ash, self.fir, self.yew, self.moss = self.everybody
        befriend(*self.everybody)
        line(self.table, self.everybody)
        self.table.run(MEET_MS)
        self.oak.ask("group.create", name="kitchen")
        self.oak.ask("group.invite", group="kitchen", who=["elm", "ash", "fir", "yew"])
        self.table.run(60_000)
        for home in self.everybody[1:5]:
            home.ask("group.accept", invite="kitchen")
        self.table.run(MEET_MS)
        self.id = arranged(self.everybody)
        self.gone: set[Home] = set()
        self.envelopes: set[bytes] = set()  # keys of all that the plan's post came in

    def live(self) -> None:
        """Let the days pass."""
        for day in range(DAYS):
            for place, home in enumerate(self.everybody):
                self._turn_on_or_off(home, place, day)
            self._meet()
            match day:
                case 10:
                    self._let_in()
                case 15:
                    self.oak.ask("group.remove", group="kitchen", who="fir")
                case 20:
                    self.ash.stop()
                    shutil.rmtree(self.ash.folder)
                    self.gone.add(self.ash)
            self.envelopes |= sealed_anew(self._on(), self.id)
            for _ in range(24 // APART_HOURS):
                apart(self.table, *self._on())
                self.table.run(APART_HOURS * HOUR_MS)
                self._meet()
        for home in self.everybody:
            if home not in self.gone and not home.is_on:
                home.start()
        self._meet()

    def _turn_on_or_off(self, home: Home, place: int, day: int) -> None:
        """Off for three days of ten, and started anew on every other day."""
        is_off = (day + 2 * place) % 10 in (6, 7, 8)
        if home in self.gone:
            return
        if home.is_on and (is_off or (day + place) % 2):
            home.stop()
        if not home.is_on and not is_off:
            home.start()

    def _let_in(self) -> None:
        self.oak.ask("group.invite", group="kitchen", who="moss")
        self.table.run(60_000)
        self.moss.ask("group.accept", invite="kitchen")

    def _on(self) -> list[Home]:
        return [home for home in self.everybody if home.is_on]

    def _meet(self) -> None:
        on = self._on()
        apart(self.table, *on)
        self.rng.shuffle(on)
        line(self.table, on)
        self.table.run(MEET_MS)


@pytest.mark.real  # nothing but real files, but ten seconds of them
def test_a_plan_outlives_its_envelopes_restarts_and_people(tmp_path: Path) -> None:
    month = Month(tmp_path)
    month.live()
    oak, elm, fir, yew, moss = month.oak, month.elm, month.fir, month.yew, month.moss
    here = [oak, elm, yew, moss]
    assert min(home.starts for home in here) > 10, "the first start is none anew"
    renewals = {key_hour(each) for each in month.envelopes}
    assert len(renewals) >= DAYS * 24 // RESEAL_HOURS and len(month.envelopes) <= 3 * len(renewals)
    assert all(members(home) == ["ash", "elm", "moss", "oak", "yew"] for home in here)
    for home in here:
        (plan,) = home.ask("plan.list")["plans"]
        assert (plan["id"], plan["state"]) == (month.id.hex(), "active")
        assert shown(home, NOON)["response"]["text"] == "It is noon."
    assert [shown(home, BRIDGE)["state"] for home in here] == ["open", "open", "sealed", "sealed"]

    say(oak, "cue.fire", scenario=BRIDGE)
    open_(moss, BRIDGE, PHRASES[BRIDGE])
    assert shown(moss, BRIDGE)["response"]["text"] == "Meet at the old mill."
    assert shown(yew, BRIDGE)["response"] is None
    say(elm, "cue.fire", scenario=BRIDGE)
    month.table.run(MEET_MS)
    assert [shown(home, BRIDGE)["state"] for home in here] == ["fired"] * 4
    assert shown(yew, BRIDGE)["response"]["text"] == "Meet at the old mill.", "by the key that was passed on"

    held = plans_of(fir).version(month.id)
    assert held is not None and fir.ask("group.members", group="kitchen")["out"]
    assert set(oak.raws()) <= set(fir.raws()), "who was put out carries what the others say"
    for home, calls in ((oak, 2), (fir, 0)):
        arrangement = plans_of(home).arrangement(held.channel)
        assert len(list(arrangement.all(held, CALL, BRIDGE, 0))) == calls
        assert bool(list(arrangement.all(held, KEY, BRIDGE, 0))) == bool(calls)
    assert (shown(fir, BRIDGE)["state"], shown(fir, BRIDGE)["response"]) == ("sealed", None)


def test_of_those_who_are_together_a_handful_seals_a_plan_anew(tmp_path: Path) -> None:
    table = Table(tmp_path)
    homes = group(table, 5)
    id = arranged(homes)
    (first,) = sealed_anew(homes, id)
    due_ms = key_hour(first) * HOUR_MS - RESEAL_HOURS * HOUR_MS // 4 + HOUR_MS  # it is looked at on the hour
    apart(table, *homes)
    table.run(due_ms - table.now().wall_ms - MEET_MS)
    line(table, homes)
    table.run(UPKEEP_EACH_MS * len(homes) + 2 * MEET_MS)
    fresh = sealed_anew(homes, id) - {first}
    assert 1 <= len(fresh) <= 2 and all(key_hour(each) > key_hour(first) for each in fresh)
    apart(table, *homes)
    for home in homes:
        home.stop()
    table.run(key_hour(first) * HOUR_MS - table.now().wall_ms + DAY_MS)
    for home in homes:
        home.start()
    line(table, homes)  # nothing is over for who has asked nobody for the time
    table.run(2 * 60_000)
    for home in homes:
        assert sealed_anew([home], id) == fresh, "the first envelope is over"
        assert home.ask("plan.list")["plans"][0]["state"] == "active"
        assert shown(home, NOON)["response"]["text"] == "It is noon."
