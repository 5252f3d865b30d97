"""The desktop's word that something fired.

The rule: it says that a scenario, or a drill, has fired, and nothing else: no title, no name, no text, since it is
shown over a locked screen and kept in lists. It goes over the session's D-Bus to whoever shows notifications there.
Where there is no such bus or nobody on it, as on a server, nothing happens and nothing is missing. With
`notify = false` under `[hook]` in config.toml nothing is shown: who looks over a shoulder learns that there are plans.
"""

import math

import trio

from meshd.events import Fired

SESSION_BUS = "SESSION"  # jeepney's word: DBUS_SESSION_BUS_ADDRESS
NAME = "org.freedesktop.Notifications"
PATH = "/org/freedesktop/Notifications"
_PATIENCE_S = 10  # the bus may have to start who shows it
_CRITICAL = 2  # urgency: stays until somebody has seen it
_SIGNATURE = "susssasa{sv}i"  # application, replaces, icon, summary, body, actions, hints, milliseconds


def words(fired: Fired) -> tuple[str, str]:
    """Summary and body."""
    if fired.drill:
        return "A drill", "This is a drill of a plan. See: mesh plan list"
    return "A plan: now", "Something that a plan waited for is there. See: mesh plan list"


class Notifier:
    """Shows what it is told, one after the other."""

    def __init__(self, bus: str = SESSION_BUS) -> None:
        self._bus = bus
        self._due, self._waiting = trio.open_memory_channel[Fired](math.inf)  # bounded by what can fire

    def tell(self, fired: Fired) -> None:
        """Have it shown."""
        self._due.send_nowait(fired)

    async def run(self) -> None:
        """Show what is due, until cancelled."""
        async for fired in self._waiting:
            await show(fired, self._bus)


async def show(fired: Fired, bus: str) -> None:
    """Show it, if there is anybody who does."""
    from jeepney import DBusAddress, new_method_call
    from jeepney.io.common import RouterClosed
    from jeepney.io.trio import open_dbus_router

    place = DBusAddress(PATH, bus_name=NAME, interface=NAME)
    summary, body = words(fired)
    actions: list[str] = []
    said = ("meshd", 0, "", summary, body, actions, {"urgency": ("y", _CRITICAL)}, 0)
    try:
        with trio.move_on_after(_PATIENCE_S):
            async with open_dbus_router(bus) as router:
                await router.send_and_get_reply(new_method_call(place, "Notify", _SIGNATURE, said))
    # KeyError: there is no session; ValueError, RuntimeError: as in `net.networkmanager`
    except* (OSError, KeyError, ValueError, RuntimeError, RouterClosed):
        pass
    except* (trio.BrokenResourceError, trio.ClosedResourceError, trio.EndOfChannel):
        pass
