"""A running daemon: everything wired together, from the first listener to the last bye.

The rule: all parts live in one nursery, and any that fails ends them all; there is no restarting inside,
because the next start finds everything on disk. The end is orderly: the core says bye on every link, links
get CLOSE_MS for their last words, discovery says goodbye, and only then the databases close.
"""

import os
import random
import signal
import time
from collections.abc import Callable
from typing import Any, NoReturn

import trio

from meshd import limits
from meshd.daemon import api, panic, rpc
from meshd.daemon.driver import Driver, read_clock
from meshd.daemon.feed import Feed
from meshd.daemon.init import Opened
from meshd.daemon.verifier import Verifier
from meshd.events import Event, Listening, Stopping
from meshd.ids import Address
from meshd.net.discovery import Discovery
from meshd.net.link import Links
from meshd.net.listen import Listeners
from meshd.node import Node


def serve(
    home: str, opened: Opened, listen: tuple[Address, ...], mode: str, on_ready: Callable[[list[str]], None]
) -> None:
    """Run the daemon of a home until it is told to stop (`down`, SIGTERM, SIGINT).

    `mode` is discovery's; `on_ready` gets the addresses listened on. The caller holds the home's lock and
    closes what was opened.
    """
    path = api.socket_path(home)
    rng = random.Random(os.urandom(32))
    verifier = Verifier()
    node = Node(
        opened.carry,
        opened.log,
        rng=rng,
        entropy=os.urandom,
        now=read_clock(),
        verify_many=verifier.verify_many,
    )
    with rpc.bind(path) as control:
        try:
            trio.run(_serve, node, control, path, opened.encrypted, listen, mode, rng, on_ready)
        finally:
            os.unlink(path)
            verifier.close()


async def _serve(
    node: Node,
    control: Any,
    path: str,
    encrypted: bool,
    listen: tuple[Address, ...],
    mode: str,
    rng: random.Random,
    on_ready: Callable[[list[str]], None],
) -> None:
    started_s = time.monotonic()
    stop = trio.Event()

    def status() -> dict[str, Any]:
        uptime_s = int(time.monotonic() - started_s)
        return {"pid": os.getpid(), "socket": path, "uptime_s": uptime_s, "encrypted": encrypted}

    def on_event(event: Event) -> None:
        driver.handle(event)

    def erase(say: Callable[[dict[str, Any]], None]) -> NoReturn:
        say(panic.erase(os.path.dirname(path)))
        os._exit(0)  # whatever this process still had to do, it must not

    links = Links(Listeners(listen))
    clients = rpc.Rpc(Feed(node), status, stop.set, erase)
    discovery = Discovery(
        on_event, mode, rng=rng, on_addresses=lambda: on_event(Listening(links.addresses()))
    )
    driver = Driver(node, links, discovery, clients)
    async with trio.open_nursery() as nursery:
        await nursery.start(links.run, on_event)
        await nursery.start(driver.run)
        await nursery.start(discovery.run)
        await nursery.start(clients.run, control, on_event)
        nursery.start_soon(_watch_signals, stop)
        on_ready([str(address) for address in node.listening])
        await stop.wait()
        on_event(Stopping())
        with trio.move_on_after(limits.CLOSE_MS / 1000):
            await links.wait_closed()
        nursery.cancel_scope.cancel()


async def _watch_signals(stop: trio.Event) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as received:
        async for _ in received:
            stop.set()
