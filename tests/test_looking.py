"""When probes go out, and who hears of what; the routes, the system and the places are played by the test."""

import random
from collections.abc import Callable

import pytest
import trio
import trio.testing

from meshd.events import Found, Looked, WayOut
from meshd.net import interfaces, internet, networkmanager, ways

PAUSE_S = 60.0
OUT, IN = WayOut(True, True), WayOut(True, False)


class Around:
    """What is around a laptop, and what the watcher made of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.heard: list[WayOut | Looked] = []
        self.rounds: list[float] = []
        self.found = Found.FULL
        self.way: Callable[[WayOut], None] = self.heard.append
        self.system: Callable[[Looked], None] = self.heard.append
        monkeypatch.setattr(ways, "watch", self._watch_ways)
        monkeypatch.setattr(networkmanager, "watch", self._watch_system)

    async def _watch_ways(self, say: Callable[[WayOut], None]) -> None:
        self.way = say
        await trio.sleep_forever()

    async def _watch_system(self, say: Callable[[Looked], None], bus: str) -> None:
        self.system = say
        await trio.sleep_forever()

    async def look(self) -> Looked:
        self.rounds.append(trio.current_time())
        await trio.sleep(1)
        return Looked("probes", self.found, "")

    async def watch(self, nursery: trio.Nursery, *, with_probes: bool = True) -> None:
        async def run() -> None:
            prober: object = self if with_probes else None
            await internet.watch(
                self.heard.append,
                prober,  # type: ignore[arg-type]
                pause_s=PAUSE_S,
                rng=random.Random(1),
            )

        nursery.start_soon(run)
        await trio.sleep(1)


@pytest.fixture
def around(monkeypatch: pytest.MonkeyPatch) -> Around:
    return Around(monkeypatch)


async def test_nothing_is_probed_where_nobody_asked_for_it(
    around: Around, autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    await around.watch(nursery, with_probes=False)
    around.way(OUT)
    around.system(Looked("system", Found.FULL, ""))
    await trio.sleep(3600)
    assert around.heard == [OUT, Looked("system", Found.FULL, "")] and around.rounds == []


async def test_what_was_said_is_not_said_again(
    around: Around, autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    await around.watch(nursery)
    around.way(OUT)
    for found in (Found.FULL, Found.FULL, Found.NOTHING):
        around.system(Looked("system", found, ""))
    await trio.sleep(600)
    assert [each.found for each in around.heard if isinstance(each, Looked) and each.source == "system"] == [
        Found.FULL,
        Found.NOTHING,
    ]
    assert around.heard.count(Looked("probes", Found.FULL, "")) == 1


async def test_no_probe_goes_out_where_no_way_leads_out_and_one_at_once_where_one_opens(
    around: Around, autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    await around.watch(nursery)
    around.way(IN)
    await trio.sleep(3600)
    assert around.rounds == []
    around.way(OUT)
    opened = trio.current_time()
    await trio.sleep(2)
    assert around.rounds == [opened]
    around.way(IN)
    await trio.sleep(3600)
    assert len(around.rounds) == 1
    assert around.heard[-1] == Looked("probes", Found.UNKNOWN, "not tried: there is no way out")


async def test_the_pauses_are_no_clockwork_and_shorter_while_something_is_missing(
    around: Around, autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    await around.watch(nursery)
    around.way(OUT)
    await trio.sleep(3600)
    pauses = [after - before - 1 for before, after in zip(around.rounds, around.rounds[1:], strict=False)]
    assert all(0.75 * PAUSE_S <= pause <= 1.25 * PAUSE_S for pause in pauses) and len(set(pauses)) > 30
    around.found = Found.NOTHING
    await trio.sleep(200)
    around.rounds.clear()
    await trio.sleep(3600)
    pauses = [after - before - 1 for before, after in zip(around.rounds, around.rounds[1:], strict=False)]
    assert all(0.75 * PAUSE_S <= 4 * pause <= 1.25 * PAUSE_S for pause in pauses) and len(pauses) > 150


async def test_where_the_kernel_tells_nothing_the_ways_are_looked_at(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    def no_netlink(groups: int) -> None:
        raise OSError

    found = [OUT, OUT, IN, IN, OUT, OUT]
    monkeypatch.setattr(interfaces, "open_netlink", no_netlink)

    def look() -> WayOut:
        if len(found) == 3:
            found.pop()
            raise OSError  # no descriptor is left, for a moment
        return found.pop(0) if len(found) > 1 else found[0]

    monkeypatch.setattr(ways, "look", look)
    heard: list[WayOut] = []
    nursery.start_soon(ways.watch, heard.append)
    await trio.sleep(60)
    assert heard == [OUT, IN, OUT]
