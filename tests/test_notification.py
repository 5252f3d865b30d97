"""The desktop's word that something fired, over a private D-Bus: what it says, and that it is not missed."""

from pathlib import Path

import pytest
import trio
from jeepney import MessageType, message_bus, new_method_return
from jeepney.io.trio import open_dbus_connection

from meshd.events import Fired
from meshd.net import notification
from meshd.net.notification import NAME, Notifier
from tests.fake_networkmanager import Bus, needs_bus

pytestmark = pytest.mark.real

FIRED = Fired(b"\x4f" * 32, 1, "bridge-closed", False, 0)
DRILL = Fired(b"\x4f" * 32, 1, "bridge-closed", True, 0)


@needs_bus
async def test_it_says_that_something_fired_and_not_what(tmp_path: Path) -> None:
    bus = Bus(tmp_path)
    heard: list[tuple[object, ...]] = []
    with bus.running(), trio.fail_after(20):
        connection = await open_dbus_connection(bus.address)
        async with connection.router() as router:
            await router.send_and_get_reply(message_bus.RequestName(NAME, 4))
        async with connection, trio.open_nursery() as nursery:
            notifier = Notifier(bus.address)
            nursery.start_soon(notifier.run)
            for fired in (FIRED, DRILL):
                notifier.tell(fired)
            while len(heard) < 2:
                message = await connection.receive()
                if message.header.message_type is MessageType.method_call:
                    heard.append(message.body)
                    await connection.send(new_method_return(message, "u", (1,)))
            nursery.cancel_scope.cancel()
    assert [body[3:5] for body in heard] == [notification.words(FIRED), notification.words(DRILL)]
    assert heard[0][3] != heard[1][3] and all(body[0] == "meshd" for body in heard)
    assert not any(word in repr(heard) for word in ("bridge", "4f4f"))


@needs_bus
async def test_nobody_who_shows_it_is_no_fault(tmp_path: Path) -> None:
    bus = Bus(tmp_path)
    with bus.running(), trio.fail_after(20):
        await notification.show(FIRED, bus.address)


@pytest.mark.parametrize("bus", ["SESSION", "unix:path=/nowhere/bus", "tcp:host=127.0.0.1,port=1"])
async def test_no_bus_is_no_fault(bus: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    with trio.fail_after(20):
        await notification.show(FIRED, bus)
