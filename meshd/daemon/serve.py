"""A running daemon: everything wired together, from the first listener to the last bye.

The rule: all parts live in one nursery, and any that fails ends them all; there is no restarting inside,
because the next start finds everything on disk. The end is orderly: the core says bye on every link, links
get CLOSE_MS for their last words, discovery says goodbye, and only then the databases close.
"""

import gc
import os
import random
import signal
import socket
from collections.abc import Callable
from contextlib import ExitStack, suppress

import trio

from meshd import limits
from meshd.daemon import api, rpc, settings
from meshd.daemon.control import Control
from meshd.daemon.driver import Driver, read_clock
from meshd.daemon.feed import Feed
from meshd.daemon.home import Home
from meshd.daemon.hook import Hook
from meshd.daemon.start import Start
from meshd.daemon.verifier import Verifier
from meshd.events import Event, Fired, Listening, Stopping
from meshd.ids import Address
from meshd.net import internet
from meshd.net.discovery import Discovery
from meshd.net.link import Links
from meshd.net.listen import Listeners
from meshd.net.notification import Notifier
from meshd.net.probing import Place, Prober
from meshd.node import Node
from meshd.store.carry import Carry
from meshd.store.log import Log

_PROBES = 5  # rounds of probes while the internet has to be missed before it is dark


def serve(home: Home, start: Start, mode: str, on_ready: Callable[[list[str]], None]) -> Start | None:
    """Run the daemon of a home until it is told to stop (`down`, SIGTERM, SIGINT), or to start anew with other keys:
    these are then returned, with all that the next start needs.

    `mode` is discovery's; `on_ready` gets the addresses listened on. The caller holds the home's lock.
    """
    path = api.socket_path(str(home.path))
    rng = random.Random(os.urandom(32))
    verifier = Verifier()
    control = Control(home, path, start)
    with ExitStack() as closing:
        carry = Carry(home.carry, start.keys.carry)
        closing.callback(carry.close)
        log = Log(home.log, start.keys.log) if start.keys.log else None
        if log is not None:
            closing.callback(log.close)
        closing.callback(verifier.close)
        node = Node(
            carry,
            log,
            rng=rng,
            entropy=os.urandom,
            now=read_clock(),
            verify_many=verifier.verify_many,
            receipts=start.receipts,
            dark_after_s=start.internet.dark_after_s,
        )
        given = tuple(Address.parse(text, port_min=0) for text in start.listen)
        links = Links(Listeners(given, start.port))
        listener = rpc.bind(path) if start.control is None else rpc.adopt(start.control)
        try:
            trio.run(_serve, node, links, listener, control, mode, start, rng, on_ready)
        except BaseException:
            control.down()
            raise
        finally:
            if control.next is None:
                listener.close()
                with suppress(FileNotFoundError):  # it was erased from outside
                    os.unlink(path)
    if control.next is None:
        return None
    listening = node.listening
    return start._replace(
        keys=control.next,
        listen=tuple(map(str, listening)) if given else (),
        port=listening[0].port if listening else 0,
        control=listener.detach(),
    )


async def _serve(
    node: Node,
    links: Links,
    listener: socket.socket,
    control: Control,
    mode: str,
    start: Start,
    rng: random.Random,
    on_ready: Callable[[list[str]], None],
) -> None:
    def on_event(event: Event) -> None:
        driver.handle(event)

    clients = rpc.Rpc(Feed(node), control)
    discovery = Discovery(
        on_event, mode, rng=rng, on_addresses=lambda: on_event(Listening(links.addresses()))
    )
    hook, notifier = Hook(start.hook.on_fired), Notifier()

    def on_fired(fired: Fired) -> None:
        hook.tell(fired)
        if start.hook.notify:
            notifier.tell(fired)

    driver = Driver(node, links, discovery, clients, on_fired=on_fired)
    async with trio.open_nursery() as nursery:
        await nursery.start(links.run, on_event)
        await nursery.start(driver.run)
        await nursery.start(discovery.run)
        await nursery.start(clients.run, listener, on_event)
        nursery.start_soon(hook.run)
        nursery.start_soon(notifier.run)
        nursery.start_soon(_look_for_internet, on_event, start.internet, rng)
        nursery.start_soon(_watch_signals, control)
        nursery.start_soon(control.watch_idle)
        gc.freeze()  # what stands now stays: to look through it for garbage held everything up for 6 to 13 ms
        on_ready([str(address) for address in node.listening])
        await control.ended.wait()
        on_event(Stopping())
        with trio.move_on_after(limits.CLOSE_MS / 1000):
            await links.wait_closed()
        nursery.cancel_scope.cancel()


async def _look_for_internet(
    on_event: Callable[[Event], None], looking: settings.Internet, rng: random.Random
) -> None:
    probes, domestic = (tuple(map(Place.parse, texts)) for texts in (looking.probes, looking.domestic))
    prober = Prober(probes, domestic, rng) if probes or domestic else None
    await internet.watch(on_event, prober, pause_s=looking.dark_after_s / _PROBES, rng=rng)


async def _watch_signals(control: Control) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as received:
        async for _ in received:
            control.down()
            control.stop()
