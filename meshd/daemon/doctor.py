"""`meshd doctor`: look at everything, judge it, and answer with one document.

The rule: measuring (`probe_*`) and judging (`verdicts_*`) are apart, and this is where they meet. It works with no
daemon, no home and no network; with a daemon it asks it. It is a process of its own, because probes wait for
sockets and disks, and the daemon waits for nothing.

The document is there within SECONDS_MAX, whatever hangs: what did not come by then is said to be unknown. The disk
is measured in a thread that is left behind if the disk never answers.
"""

import time
from collections.abc import Callable
from typing import Any, TypeVar

import trio

from meshd.daemon import verdicts_home, verdicts_network
from meshd.daemon.check import Check, unknown, wrong
from meshd.daemon.probe_home import (
    DaemonFacts,
    DiskFacts,
    HomeFacts,
    look_at_daemon,
    look_at_home,
    measure_disk,
)
from meshd.daemon.probe_machine import look_at_machine
from meshd.daemon.probe_network import NetworkFacts, look_at_network
from meshd.errors import CallerError
from meshd.ids import Address

SECONDS_MAX = 8.5  # a little less than the ten that a person waits for

# What nobody should take from a list of checks that are all fine (README.md says it at length).
NEVER_CLAIMED = (
    "that you can't be traced, or that nobody sees meshd run",
    "that posts destroy themselves, or are deleted on other people's machines",
    "that time locks anything",
    "that who is removed is out at once where the network is in pieces",
    "that a laptop that was off or locked has erased what expired meanwhile",
    "that old disk blocks can't be recovered by who has the passphrase",
    "that a member can't pass on what it read",
)

Fact = TypeVar("Fact")


def examine(home: str) -> dict[str, Any]:
    """The checks of a home and of this machine, as the document of `doctor`."""
    begun = time.monotonic()
    found = look_at_home(home)
    daemon = look_at_daemon(home)
    machine = look_at_machine(daemon.status.get("pid"))
    network, disk = trio.run(_wait_for_slow, found, daemon, SECONDS_MAX - (time.monotonic() - begun))
    checks = [
        verdicts_home.running(found, daemon),
        verdicts_home.second_daemon(found, daemon),
        verdicts_home.clock(machine, found, daemon),
        verdicts_network.internet(daemon),
        *_of_network(network, daemon),
        *_of_disk(disk),
        verdicts_home.carry_room(daemon),
        verdicts_home.permissions(found),
        verdicts_home.keyslot(found),
        verdicts_home.passphrase(found, daemon),
        verdicts_home.settings(found),
        verdicts_home.socket_path(found),
        verdicts_home.core_dumps(machine),
        verdicts_home.swap(machine),
        verdicts_home.versions(machine),
    ]
    return {"checks": [check.document() for check in checks], "never_claimed": list(NEVER_CLAIMED)}


def _of_network(network: NetworkFacts | None, daemon: DaemonFacts) -> list[Check]:
    if network is None:
        return [unknown("network", "looking at the networks took too long")]
    return [
        verdicts_network.interface(network),
        verdicts_network.discovery(daemon),
        verdicts_network.multicast(network),
        verdicts_network.incoming(network, daemon),
        verdicts_network.isolation(network, daemon),
        verdicts_network.network_key(network, daemon),
        verdicts_network.host_name(network),
    ]


def _of_disk(disk: DiskFacts | None) -> list[Check]:
    if disk is None:
        advice = "move the home to another disk; look for a failing one: dmesg"
        detail = f"it did not take nine commits within {SECONDS_MAX:.0f} s"
        return [
            unknown("disk room", "the disk does not answer"),
            wrong("disk commit", "slow disk", detail, advice),
        ]
    return [verdicts_home.room(disk), verdicts_home.commit(disk)]


async def _wait_for_slow(
    home: HomeFacts, daemon: DaemonFacts, patience_s: float
) -> tuple[NetworkFacts | None, DiskFacts | None]:
    """What takes time, at the same time; None for what took too long."""
    networks: list[NetworkFacts] = []
    disks: list[DiskFacts] = []
    mode = daemon.status.get("discovery", {}).get("mode", "announce")

    async def look() -> None:
        waiting = [
            peer["address"] for peer in daemon.peers if peer["state"] not in ("open", "this node itself")
        ]
        networks.append(
            await look_at_network(
                speaks=mode == "announce",
                listening=_addresses(daemon.status.get("listen", ())),
                given=_addresses(waiting),
                network_key=daemon.network_key,
            )
        )

    async def measure() -> None:
        disks.append(
            await trio.to_thread.run_sync(measure_disk, home.path, not home.trouble, abandon_on_cancel=True)
        )

    with trio.move_on_after(patience_s):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(look)
            nursery.start_soon(measure)
    return networks[0] if networks else None, disks[0] if disks else None


def _addresses(texts: Any) -> list[Address]:
    """The addresses among what a daemon, perhaps a newer one, calls so."""
    return [found for text in texts if (found := _parsed(Address.parse, text)) is not None]


def _parsed(parse: Callable[[str], Fact], text: str) -> Fact | None:
    try:
        return parse(text)
    except CallerError:
        return None
