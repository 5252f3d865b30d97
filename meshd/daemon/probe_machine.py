"""What the machine itself is like: its clock, programs, memory that goes to disk, and files left by a crash.

The rule: facts only, read from the system, judged in `verdicts`. Where a system does not tell (no /proc), the fact
is None, and the verdict says that it is not known.
"""

import os
import platform
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from meshd.store.db import cipher_version


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """This machine. `core_size`: the largest core file that the daemon (or we) may leave, in bytes, None where it is
    not told. `swaps`: what each place is that memory goes to: plain, encrypted or memory; None where not told."""

    wall_ms: int
    python: tuple[int, int, int]
    sqlcipher: str
    system: str
    core_size: int | None
    swaps: tuple[str, ...] | None


def look_at_machine(pid: int | None) -> MachineFacts:
    """This machine, and the process of the daemon if it runs."""
    return MachineFacts(
        time.time_ns() // 1_000_000,
        sys.version_info[:3],
        cipher_version(),
        f"{platform.system()} {platform.machine()}",
        _core_size(pid),
        _swaps(),
    )


def _core_size(pid: int | None) -> int | None:
    if pid is None:
        return resource.getrlimit(resource.RLIMIT_CORE)[0]
    try:
        return core_limit(Path(f"/proc/{pid}/limits").read_text("ascii"))
    except OSError:
        return None


def core_limit(listing: str) -> int | None:
    """The soft limit of core files in the text of /proc/PID/limits; unlimited is a very large one."""
    for line in listing.splitlines():
        if line.startswith("Max core file size"):
            word = line.removeprefix("Max core file size").split()[0]
            return sys.maxsize if word == "unlimited" else int(word)
    return None


def _swaps() -> tuple[str, ...] | None:
    try:
        listing = Path("/proc/swaps").read_text("utf-8", errors="replace")
    except OSError:
        return None
    return tuple(swap_kind(device, _mapping(device)) for device in swap_devices(listing))


def swap_devices(listing: str) -> list[str]:
    """The devices and files in the text of /proc/swaps."""
    return [line.split()[0] for line in listing.splitlines()[1:] if line.split()]


def swap_kind(device: str, mapping: str) -> str:
    """What a swap device is, by its path and the uuid of its device mapping ("" without one). A file counts as plain:
    whether the disk below it is encrypted, it does not show."""
    if os.path.basename(device).startswith("zram"):
        return "memory"
    return "encrypted" if mapping.startswith("CRYPT-") else "plain"


def _mapping(device: str) -> str:
    try:
        return Path("/sys/block", os.path.basename(os.path.realpath(device)), "dm/uuid").read_text("utf-8")
    except OSError:
        return ""
