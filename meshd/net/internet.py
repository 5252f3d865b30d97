"""Everybody on this machine who looks for the internet: the routes, the operating system, and probes if there are any.

The rule: `on_event` hears what each says, and only when that has changed. Probes go out only while a way leads out, at
once when one opens, and sooner after a round that found less than everything: what is lost once may be lost by
chance. The pauses between them are random, so that they are no clockwork for whoever watches the line.
"""

import random
from collections.abc import Callable

import trio

from meshd.events import Found, Looked, WayOut
from meshd.net import networkmanager, ways
from meshd.net.probing import Prober

_SOON = 0.25  # of the pause, after a round that found less than everything


async def watch(
    on_event: Callable[[WayOut | Looked], None],
    prober: Prober | None,
    *,
    pause_s: float,
    rng: random.Random,
    bus: str = networkmanager.SYSTEM_BUS,
) -> None:
    """For ever; `pause_s` is between two rounds of probes while all is well."""
    way = WayOut(False, False)
    changed = trio.Event()
    told: Looked | None = None

    def on_way(found: WayOut) -> None:
        nonlocal way, changed
        way = found
        changed.set()
        changed = trio.Event()
        on_event(found)

    def on_looked(found: Looked) -> None:
        nonlocal told
        if found != told:
            told = found
            on_event(found)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ways.watch, on_way)
        nursery.start_soon(networkmanager.watch, on_looked, bus)
        if prober is None:
            return
        before: Looked | None = None
        while True:
            since = changed
            found = Looked("probes", Found.UNKNOWN, "not tried: there is no way out")
            if way.leads_out:
                found = await prober.look()
            if found != before:
                before = found
                on_event(found)
            pause = pause_s if found.found is Found.FULL else pause_s * _SOON
            with trio.move_on_after(pause * rng.uniform(0.75, 1.25)):
                await since.wait()
