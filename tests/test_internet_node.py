"""A node's internet: told by the daemon's watchers, asked by clients, noted with what else an event writes."""

from pathlib import Path

import pytest

from meshd.events import Command, Found, Looked, NetworkChanged, Reply, WayOut
from meshd.limits import DARK_AFTER_S
from tests.homes import Home, Table

FULL, NOTHING = (Looked("system", found, "") for found in (Found.FULL, Found.NOTHING))
DARK_MS = DARK_AFTER_S * 1000


@pytest.fixture
def oak(tmp_path: Path) -> Home:
    return Table(tmp_path).home("oak")


def ask(home: Home, method: str) -> dict[str, object]:
    (reply,) = [each for each in home.handle(Command(1, method, {})) if isinstance(each, Reply)]
    assert reply.result is not None
    return dict(reply.result)


def go_dark(home: Home) -> None:
    for event in (WayOut(True, True), FULL):
        home.handle(event)
    home.table.run(2 * DARK_MS + 1000)
    home.handle(NOTHING)
    home.table.run(DARK_MS)


def test_what_was_heard_is_what_clients_are_told(oak: Home) -> None:
    assert ask(oak, "status")["internet"] is None
    assert ask(oak, "internet")["state"] is None
    oak.handle(WayOut(True, True))
    oak.handle(FULL)
    told = ask(oak, "internet")
    assert told["state"] == "full" and not told["dark"]
    assert ask(oak, "status")["internet"] == {"state": "full", "since": told["since"]}


def test_it_goes_dark_by_itself_and_stays_so_over_a_stop(oak: Home) -> None:
    go_dark(oak)
    assert oak.carry.internet().dark_ms > 0  # noted when it was due, before anybody asked
    told = ask(oak, "internet")
    assert told["dark"] and told["state"] == "local"
    oak.stop()
    oak.start()
    assert ask(oak, "internet")["dark_since"] == told["dark_since"]


def test_a_locked_laptop_watches_on(oak: Home) -> None:
    oak.stop()
    oak.locked = True
    oak.start()
    go_dark(oak)
    oak.stop()
    oak.locked = False
    oak.start()
    assert ask(oak, "internet")["dark"]


def test_a_change_of_networks_is_told_to_it(oak: Home) -> None:
    oak.handle(WayOut(True, True))
    oak.handle(FULL)
    oak.table.run(2 * DARK_MS + 1000)
    oak.handle(NetworkChanged())
    oak.handle(NOTHING)
    oak.table.run(2 * DARK_MS)
    assert not ask(oak, "internet")["dark"]
