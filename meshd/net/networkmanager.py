"""What the operating system makes of the internet: the word of NetworkManager, over D-Bus.

The rule: we listen, and nothing is sent on our behalf. NetworkManager looks by itself, where its connectivity check is
on: it fetches a page of the distribution's, every five minutes and when a network changes. Where that check is off it
takes a default route for the internet, so its word is then taken for none. It is never started by our asking.

A signal only says that something changed: what is true is asked of the owner of the name, whom the bus lets nobody
else be, at most every PAUSE_S. So who sends us signals costs us a question, and tells us nothing.

The page comes without encryption: the network that this laptop is on can answer in its place and make of `nothing`
a `full`, or the other way round by keeping it away (docs/internet.md).
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import trio

from meshd.events import Found, Looked

if TYPE_CHECKING:
    from jeepney import Message
    from jeepney.io.trio import DBusConnection

NAME = "org.freedesktop.NetworkManager"
PATH = "/org/freedesktop/NetworkManager"
SYSTEM_BUS = "SYSTEM"  # jeepney's word: DBUS_SYSTEM_BUS_ADDRESS, or where the system has it
PAUSE_S = 0.2  # from one question to the next
CONNECT_S = 5.0
RETRY_S = (1.0, 300.0)  # until the next try to reach a bus, doubling: most machines without one never get one

_CONNECTIVITY = {2: Found.PORTAL, 3: Found.NOTHING, 4: Found.FULL}  # NMConnectivityState; 0 unknown, 1 none
_WORDS = {
    Found.FULL: "NetworkManager's check came through",
    Found.PORTAL: "NetworkManager's check was answered by somebody else",
    Found.NOTHING: "NetworkManager's check was not answered",
    Found.UNKNOWN: "NetworkManager has no connection that leads out, or has not checked yet",
}


def read(properties: Mapping[str, tuple[str, Any]]) -> Looked:
    """What these properties of NetworkManager, each with its D-Bus type, say."""
    checks = ("ConnectivityCheckAvailable", "ConnectivityCheckEnabled")
    if any(properties.get(name, ("b", False))[1] is not True for name in checks):
        return _nobody("NetworkManager does not check: its connectivity check is off")
    found = _CONNECTIVITY.get(properties.get("Connectivity", ("u", 0))[1], Found.UNKNOWN)
    return Looked("system", found, _WORDS[found])


def _nobody(why: str) -> Looked:
    return Looked("system", Found.UNKNOWN, why)


async def watch(say: Callable[[Looked], None], bus: str = SYSTEM_BUS) -> None:
    """Call `say` with every answer; for ever, and whatever becomes of the bus."""
    from jeepney.io.common import RouterClosed

    pause_s, longest_s = RETRY_S
    while True:
        begun = trio.current_time()
        try:
            await _follow(say, bus)
        # ValueError: it did not let us in; RuntimeError: its address is of a kind that jeepney does not speak
        except* (OSError, ValueError, RuntimeError, trio.TooSlowError):
            say(_nobody("there is no system bus to ask"))
        except* (trio.BrokenResourceError, trio.ClosedResourceError, trio.EndOfChannel, RouterClosed):
            say(_nobody("the system bus ended"))
        if trio.current_time() - begun > longest_s:
            pause_s = RETRY_S[0]
        await trio.sleep(pause_s)
        pause_s = min(2 * pause_s, longest_s)


async def _follow(say: Callable[[Looked], None], bus: str) -> None:
    """Ask, and ask again after each signal, until the bus ends."""
    from jeepney import HeaderFields, MatchRule, MessageType, message_bus
    from jeepney.io.trio import open_dbus_connection

    with trio.fail_after(CONNECT_S):  # jeepney waits for ever for a bus that hangs up half-way
        connection = await open_dbus_connection(bus)
    async with connection:
        changed = MatchRule(
            type="signal", interface="org.freedesktop.DBus.Properties", member="PropertiesChanged", path=PATH
        )
        came_or_went = MatchRule(type="signal", sender="org.freedesktop.DBus", member="NameOwnerChanged")
        came_or_went.add_arg_condition(0, NAME)
        for rule in (changed, came_or_went):
            await connection.send(message_bus.AddMatch(rule))
        asked: int | None = await _ask(connection)
        is_stale = False
        while True:
            message = await connection.receive()
            if asked is not None and message.header.fields.get(HeaderFields.reply_serial) == asked:
                asked = None
                say(_answer(message, MessageType.method_return))
                await trio.sleep(PAUSE_S)
            is_stale = is_stale or message.header.message_type is MessageType.signal
            if is_stale and asked is None:
                asked, is_stale = await _ask(connection), False


async def _ask(connection: "DBusConnection") -> int:
    """Ask for all properties; the number of the question."""
    from jeepney import DBusAddress, MessageFlag, Properties

    question = Properties(DBusAddress(PATH, NAME, NAME)).get_all()
    question.header.flags |= MessageFlag.no_auto_start
    number: int = next(connection.outgoing_serial)
    await connection.send(question, serial=number)
    return number


def _answer(message: "Message", good: Any) -> Looked:
    if message.header.message_type is not good:
        return _nobody("NetworkManager does not run")
    return read(message.body[0])
