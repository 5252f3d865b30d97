"""What NetworkManager says, how it is asked, and that nothing a bus does ends the asking."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from jeepney import DBusAddress, HeaderFields, MessageFlag, new_signal
from jeepney.io.trio import open_dbus_connection

from meshd.events import Found, Looked
from meshd.net import networkmanager
from meshd.net.networkmanager import NAME, PATH, read
from tests.fake_networkmanager import FULL, LIMITED, NONE, PORTAL, UNKNOWN, Bus, needs_bus, network_manager

ON = {"ConnectivityCheckAvailable": ("b", True), "ConnectivityCheckEnabled": ("b", True)}
PATIENCE_S = 10


@pytest.mark.parametrize(
    ("connectivity", "found"),
    [
        (UNKNOWN, Found.UNKNOWN),
        (NONE, Found.UNKNOWN),  # no way out: it did not look
        (PORTAL, Found.PORTAL),
        (LIMITED, Found.NOTHING),
        (FULL, Found.FULL),
        (99, Found.UNKNOWN),
    ],
)
def test_what_connectivity_means(connectivity: int, found: Found) -> None:
    assert read({**ON, "Connectivity": ("u", connectivity)}).found is found


@pytest.mark.parametrize(
    "properties",
    [
        {"Connectivity": ("u", FULL)},  # one from before 1.10
        {**ON, "Connectivity": ("u", FULL), "ConnectivityCheckEnabled": ("b", False)},
        {**ON, "Connectivity": ("u", LIMITED), "ConnectivityCheckAvailable": ("b", False)},
    ],
)
def test_a_word_that_was_guessed_is_none(properties: dict[str, tuple[str, object]]) -> None:
    """With its check off, NetworkManager says FULL of every default route."""
    assert read(properties) == Looked(
        "system", Found.UNKNOWN, "NetworkManager does not check: its connectivity check is off"
    )


# --- on a real bus ---


@pytest.fixture
def bus(tmp_path: Path) -> Bus:
    return Bus(tmp_path)


class Heard:
    """What the watcher said, and a way to wait for more."""

    def __init__(self, nursery: trio.Nursery, address: str) -> None:
        self.all: list[Looked] = []
        self._more = trio.Event()
        nursery.start_soon(networkmanager.watch, self._say, address)

    def _say(self, looked: Looked) -> None:
        self.all.append(looked)
        self._more.set()
        self._more = trio.Event()

    async def until(self, found: Found, detail: str = "") -> None:
        """Wait until the last word is this one."""
        with trio.fail_after(PATIENCE_S):
            while not self.all or self.all[-1].found is not found or detail not in self.all[-1].detail:
                await self._more.wait()

    async def count(self, count: int) -> None:
        """Wait until it said so much."""
        with trio.fail_after(PATIENCE_S):
            while len(self.all) < count:
                await self._more.wait()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networkmanager, "RETRY_S", (0.05, 0.1))
    monkeypatch.setattr(networkmanager, "PAUSE_S", 0.01)


@pytest.fixture
def running(bus: Bus) -> Iterator[Bus]:
    with bus.running():
        yield bus


@pytest.mark.real
@needs_bus
async def test_each_change_is_heard(running: Bus, quick: None, nursery: trio.Nursery) -> None:
    async with network_manager(running.address) as manager:
        heard = Heard(nursery, running.address)
        for connectivity, found in [(LIMITED, Found.NOTHING), (PORTAL, Found.PORTAL), (FULL, Found.FULL)]:
            await heard.until(Found.FULL)
            await manager.changed(connectivity)
            await heard.until(found)
            await manager.changed(FULL)
        assert manager.flags & MessageFlag.no_auto_start


@pytest.mark.real
@needs_bus
async def test_networkmanager_is_not_started_by_our_asking_and_heard_when_it_comes(
    running: Bus, quick: None, nursery: trio.Nursery
) -> None:
    heard = Heard(nursery, running.address)
    await heard.until(Found.UNKNOWN, "does not run")
    async with network_manager(running.address):
        await heard.until(Found.FULL)
    await heard.until(Found.UNKNOWN, "does not run")
    assert not running.started.exists()


@pytest.mark.real
@needs_bus
async def test_a_bus_that_comes_late_and_goes_is_tried_again(
    bus: Bus, quick: None, nursery: trio.Nursery
) -> None:
    heard = Heard(nursery, bus.address)
    await heard.until(Found.UNKNOWN, "there is no system bus")
    for _ in range(2):
        with bus.running():
            async with network_manager(bus.address):
                await heard.until(Found.FULL)
        await heard.until(Found.UNKNOWN, "bus")


@pytest.mark.real
@needs_bus
async def test_a_signal_of_somebody_else_costs_a_question_and_tells_nothing(
    running: Bus, quick: None, nursery: trio.Nursery
) -> None:
    async with network_manager(running.address) as manager:
        heard = Heard(nursery, running.address)
        await heard.until(Found.FULL)
        liar = await open_dbus_connection(running.address)
        async with liar:
            emitter = DBusAddress(PATH, interface="org.freedesktop.DBus.Properties")
            lie = new_signal(
                emitter, "PropertiesChanged", "sa{sv}as", (NAME, {"Connectivity": ("u", LIMITED)}, [])
            )
            for _ in range(200):
                await liar.send(lie)
            before = manager.asked
            lie.header.fields[HeaderFields.destination] = ":1.1"
            await liar.send(lie)
            await trio.sleep(0.3)
        assert {looked.found for looked in heard.all} == {Found.FULL}
        assert before < manager.asked + 1 <= 45  # one in PAUSE_S, whatever comes


@pytest.mark.real
async def test_a_bus_that_hangs_up_or_says_nothing_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: None, nursery: trio.Nursery
) -> None:
    monkeypatch.setattr(networkmanager, "CONNECT_S", 0.1)
    listener = trio.socket.socket(trio.socket.AF_UNIX)
    await listener.bind(str(tmp_path / "bus"))
    listener.listen()

    async def serve() -> None:
        for answer in (None, b"REJECTED\r\n", b"\xff" * 20_000, b""):
            client, _ = await listener.accept()
            if answer:
                await client.send(answer)
            if answer is not None:
                client.close()
        await trio.sleep_forever()

    nursery.start_soon(serve)
    heard = Heard(nursery, f"unix:path={tmp_path / 'bus'}")
    await heard.count(4)
    listener.close()
    assert {looked.found for looked in heard.all} == {Found.UNKNOWN}


@pytest.mark.real
@pytest.mark.parametrize("address", ["tcp:host=localhost,port=1", "nonsense", "unix:path=/nowhere/at/all"])
async def test_an_address_of_no_bus_is_no_bus(address: str, quick: None, nursery: trio.Nursery) -> None:
    heard = Heard(nursery, address)
    await heard.count(1)
    assert heard.all[0].detail == "there is no system bus to ask"
