"""A NetworkManager of nobody's network: a private D-Bus, and one object on it that says what a test wants.

The bus is a real dbus-daemon with a policy of its own, on a socket in a folder of the test; jeepney speaks on both
sides. The object has the name, the path and the three properties that meshd reads, and counts the questions.
"""

import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
import trio
from jeepney import (
    DBusAddress,
    HeaderFields,
    MessageFlag,
    MessageType,
    message_bus,
    new_method_return,
    new_signal,
)
from jeepney.io.trio import DBusConnection, open_dbus_connection

from meshd.net.networkmanager import NAME, PATH

pytestmark = pytest.mark.real  # as is every test that uses this
needs_bus = pytest.mark.skipif(
    not shutil.which("dbus-daemon"), reason="needs dbus-daemon: apt-get install dbus"
)

UNKNOWN, NONE, PORTAL, LIMITED, FULL = range(5)  # NMConnectivityState
_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path={socket}</listen>
  <servicedir>{services}</servicedir>
  <policy context="default">
    <allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/>
  </policy>
</busconfig>
"""
_SERVICE = "[D-BUS Service]\nName={name}\nExec=/bin/sh -c 'touch {started}'\n"


class Bus:
    """A private bus in a folder, reached at `address`. If it is asked to start NetworkManager, there is `started`."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "bus"
        self.started = folder / "started"
        self.address = f"unix:path={self.socket}"
        self._config = folder / "bus.conf"
        services = folder / "services"
        services.mkdir(parents=True)
        (services / f"{NAME}.service").write_text(_SERVICE.format(name=NAME, started=self.started))
        self._config.write_text(_CONFIG.format(socket=self.socket, services=services))

    @contextmanager
    def running(self) -> Iterator[None]:
        command = [
            "dbus-daemon",
            f"--config-file={self._config}",
            "--nofork",
            "--nopidfile",
            "--print-address",
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline()  # it listens now
            try:
                yield
            finally:
                process.kill()
        self.socket.unlink(missing_ok=True)


class NetworkManager:
    """The object. `properties` may be changed at any time; `changed` tells everybody."""

    def __init__(self, connection: DBusConnection) -> None:
        self._connection = connection
        self.asked = 0
        self.flags = MessageFlag(0)  # of the last question
        self.properties: dict[str, tuple[str, object]] = {
            "Connectivity": ("u", FULL),
            "ConnectivityCheckAvailable": ("b", True),
            "ConnectivityCheckEnabled": ("b", True),
            "Version": ("s", "1.42.4"),
        }

    async def serve(self) -> None:
        while True:
            message = await self._connection.receive()
            if message.header.message_type is MessageType.method_call:
                assert message.header.fields[HeaderFields.member] == "GetAll" and message.body == (NAME,)
                self.asked += 1
                self.flags = message.header.flags
                await self._connection.send(new_method_return(message, "a{sv}", (self.properties,)))

    async def changed(self, connectivity: int) -> None:
        self.properties["Connectivity"] = ("u", connectivity)
        await self.tell()

    async def tell(self) -> None:
        emitter = DBusAddress(PATH, interface="org.freedesktop.DBus.Properties")
        said = (NAME, {"Connectivity": self.properties["Connectivity"]}, [])
        await self._connection.send(new_signal(emitter, "PropertiesChanged", "sa{sv}as", said))


@asynccontextmanager
async def network_manager(address: str) -> AsyncIterator[NetworkManager]:
    """One that answers on this bus; it leaves the bus at the end."""
    with trio.fail_after(10):
        connection = await open_dbus_connection(address)
        async with connection.router() as router:
            await router.send_and_get_reply(message_bus.RequestName(NAME, 4))
    async with connection, trio.open_nursery() as nursery:
        made = NetworkManager(connection)
        nursery.start_soon(made.serve)
        yield made
        nursery.cancel_scope.cancel()
