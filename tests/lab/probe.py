"""What a lab test runs inside a namespace: discovery, or the watch over the interfaces, alone.

`probe.py discovery NAME MODE` and `probe.py watch` print an event a line, `SECONDS EVENT…`, with the clock that
all namespaces share, until they are terminated (SIGTERM, for an orderly goodbye).
"""

import signal
import sys
import time

import trio

from meshd.events import NetworkChanged, PeerFound, PeerLost
from meshd.net import interfaces
from meshd.net.discovery import Discovery


def tell(*words: object) -> None:
    print(f"{time.time():.4f}", *words, flush=True)


async def discover(name: str, mode: str) -> None:
    renewals = 0

    def on_event(event: object) -> None:
        nonlocal renewals
        match event:
            case PeerFound(instance, _, addresses):
                tell("found", instance, *addresses)
            case PeerLost(instance):
                tell("lost", instance)
            case NetworkChanged():
                renewals += 1
                tell("changed")
                announce()
            case _:
                tell("state", event)

    def announce() -> None:
        discovery.announce(f"{name}x{renewals}", f"host-{name}x{renewals}", 4000, "0123456789abcdef" * 2)

    discovery = Discovery(on_event, mode)
    announce()
    tell("begun")
    await discovery.run()


async def watch() -> None:
    await interfaces.watch(lambda found, changed: tell("look", [one.name for one in found], sorted(changed)))


async def main() -> None:
    async with trio.open_nursery() as nursery:
        with trio.open_signal_receiver(signal.SIGTERM) as received:
            if sys.argv[1] == "watch":
                nursery.start_soon(watch)
            else:
                nursery.start_soon(discover, *sys.argv[2:4])
            async for _ in received:
                break
        nursery.cancel_scope.cancel()


trio.run(main)
