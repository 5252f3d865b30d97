"""A laptop whose internet goes: a way out that vanishes, an uplink that is taken away behind a router that stays, and
what NetworkManager, played by the test on a private bus, says of all that.

The internet is a second namespace: the router's own addresses, and some that only a route through it leads to.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from cli.client import Client
from tests.fake_networkmanager import FULL, LIMITED, PORTAL, Bus, needs_bus, network_manager
from tests.lab.lab import Lab, Laptop

pytestmark = pytest.mark.lab

ABROAD, HOME = "198.51.100.7", "198.51.100.8"
PORT = 4433
DARK_AFTER_S = 5
_SERVER = f"import socket; s = socket.create_server(('', {PORT}))\nwhile True: s.accept()[0].close()"


class Street:
    """A laptop behind a router that is the internet."""

    def __init__(self, lab: Lab) -> None:
        self.bridge = lab.bridge()
        self.laptop, self.router = lab.laptop(self.bridge), lab.laptop(self.bridge)
        for place in (ABROAD, HOME):
            self.set_place(place, there=True)
        self.router.popen([sys.executable, "-c", _SERVER])

    def set_place(self, place: str, *, there: bool) -> None:
        self.router.ip("address", "add" if there else "del", f"{place}/32", "dev", "lo")

    def set_route(self, *, there: bool) -> None:
        via = self.router.address(self.bridge)
        self.laptop.ip("route", "add" if there else "del", "default", "via", via)

    def up(self, config: str = "", **environment: str) -> Client:
        laptop: Laptop = self.laptop
        if not os.path.exists(laptop.home):
            laptop.mesh("init", "--name", "oak", "--no-passphrase")
        Path(laptop.home, "config.toml").write_text(config)
        bus = {"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nowhere", **environment}
        command = [sys.executable, "-I", "-m", "meshd", "run", "--home", laptop.home, "--no-mdns"]
        laptop.popen(command, env=os.environ | bus)
        wait_until(lambda: os.path.exists(f"{laptop.home}/ctl.sock"), 10)
        return Client(laptop.home)


@pytest.fixture
def street() -> Iterator[Street]:
    with Lab() as lab:
        yield Street(lab)


def wait_until(holds: Callable[[], bool], patience_s: float = 10) -> float:
    """Seconds until it held; fails after `patience_s`."""
    begun = time.monotonic()
    while not holds():
        assert time.monotonic() - begun < patience_s, f"not within {patience_s} s"
        time.sleep(0.05)
    return time.monotonic() - begun


def seen(client: Client) -> Any:
    return client.call("internet")["state"]


def said(client: Client) -> dict[str, str]:
    """The details of what each source says."""
    return {one["source"]: one["detail"] for one in client.call("internet")["observations"]}


def is_dark(client: Client) -> bool:
    return bool(client.call("internet")["dark"])


def test_what_the_routes_alone_tell(street: Street) -> None:
    """Passively and with nobody who looks: no network, no way out, or nothing."""
    client = street.up(f"[internet]\ndark_after_s = {DARK_AFTER_S}\n")
    wait_until(lambda: seen(client) == "local")
    street.set_route(there=True)
    wait_until(lambda: seen(client) is None)
    assert client.call("status")["internet"] is None
    assert "nobody on this laptop looks" in client.call("internet")["reason"]
    street.set_route(there=False)
    wait_until(lambda: seen(client) == "local")
    street.laptop.set_link(street.bridge, up=False)
    wait_until(lambda: seen(client) == "offline")
    time.sleep(2 * DARK_AFTER_S)
    assert not is_dark(client)


def test_an_uplink_taken_away_behind_a_router_that_stays(street: Street) -> None:
    """With probes: abroad goes, then home, then all comes back; a stop in between forgets nothing."""
    probes = f"probes = ['{ABROAD}:{PORT}']\ndomestic = ['{HOME}:{PORT}']\n"
    config = f"[internet]\ndark_after_s = {DARK_AFTER_S}\n{probes}"
    street.set_route(there=True)
    client = street.up(config)
    wait_until(lambda: seen(client) == "full")
    time.sleep(2 * DARK_AFTER_S + 1)  # what goes later than that has nothing to do with the start
    street.set_place(ABROAD, there=False)
    wait_until(lambda: seen(client) == "domestic")
    took_s = wait_until(lambda: is_dark(client))
    print(f"dark {took_s:.1f} s after it was seen to be domestic")
    street.set_place(HOME, there=False)
    wait_until(lambda: seen(client) == "local")
    before = client.call("internet")
    assert before["dark"] and before["reason"].startswith("the internet is gone")
    client.call("down")
    wait_until(lambda: not os.path.exists(f"{street.laptop.home}/ctl.sock"))
    client = street.up(config)
    wait_until(lambda: seen(client) == "local")
    after = client.call("internet")
    assert (after["dark_since"], after["since"]) == (before["dark_since"], before["since"])
    street.set_route(there=False)  # on another network without a way out it stays dark
    wait_until(lambda: "not tried" in said(client)["probes"])
    assert is_dark(client)
    street.set_route(there=True)
    street.set_place(ABROAD, there=True)
    wait_until(lambda: seen(client) == "full" and not is_dark(client))
    assert client.call("status")["internet"]["state"] == "full"


@needs_bus
async def test_what_networkmanager_says_is_what_is_seen(street: Street, tmp_path: Path) -> None:
    """Its check comes through, is answered by a portal, and is not answered any more; nothing is sent by us."""
    street.set_route(there=True)
    bus = Bus(tmp_path)

    async def until(holds: Callable[[], bool]) -> None:
        await trio.to_thread.run_sync(wait_until, holds, 20.0)

    with bus.running():
        async with network_manager(bus.address) as manager:
            config = f"[internet]\ndark_after_s = {DARK_AFTER_S}\n"
            client = await trio.to_thread.run_sync(
                lambda: street.up(config, DBUS_SYSTEM_BUS_ADDRESS=bus.address)
            )
            await until(lambda: seen(client) == "full")
            await trio.sleep(2 * DARK_AFTER_S + 1)
            await manager.changed(PORTAL)
            await until(lambda: seen(client) == "portal")
            await trio.sleep(DARK_AFTER_S + 1)
            assert not await trio.to_thread.run_sync(is_dark, client)
            await manager.changed(FULL)
            await until(lambda: seen(client) == "full")
            await manager.changed(LIMITED)
            await until(lambda: seen(client) == "local" and is_dark(client))
            await manager.changed(FULL)
            await until(lambda: seen(client) == "full" and not is_dark(client))
        await until(lambda: seen(client) is None)  # it went, and nobody looks any more
