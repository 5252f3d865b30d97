"""The hook: a program of the user's own choice, run when a scenario of a plan fires.

The rule: what runs stands in the home's config.toml and nowhere else. It is a list of words, given to the system as it
is: no shell reads it, and nothing that came from the net is in the words or in the environment. What fired comes on
its standard input, as one line of JSON:

    {"v": 1, "plan": "…", "version": 1, "scenario": "blackout", "drill": false, "time": "2026-12-05T12:00:00.000Z"}

These are an id, numbers and a name of a-z, 0-9 and dashes: nothing in which somebody far away could write. What the
response says is not in it: a program that wants it asks `mesh plan show --json`.

It is run once for each firing, also over restarts: what fired is on the disk before, so a daemon that is ended in
that moment runs it no more. One at a time; after HOOK_S, or once the program itself has ended, all that is left of its
process group is killed. What it writes is thrown away. A daemon that is locked knows of no plan, and what fired
meanwhile is told when it is unlocked; at a lock, what still runs is killed.
"""

import json
import math
import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress

import trio

from meshd.documents import rfc3339
from meshd.events import Fired
from meshd.limits import HOOK_S


def document(fired: Fired) -> bytes:
    """What the program reads."""
    said = {
        "v": 1,
        "plan": fired.plan.hex(),
        "version": fired.version,
        "scenario": fired.scenario,
        "drill": fired.drill,
        "time": rfc3339(fired.time_ms),
    }
    return json.dumps(said).encode() + b"\n"


class Hook:
    """`words`: the program and its arguments; none: nothing is run."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words
        self._due, self._waiting = trio.open_memory_channel[Fired](math.inf)  # bounded by what can fire

    def tell(self, fired: Fired) -> None:
        """Have it run, once those before it have ended."""
        if self._words:
            self._due.send_nowait(fired)

    async def run(self) -> None:
        """Run what is due, until cancelled."""
        async for fired in self._waiting:
            await run(self._words, document(fired))


async def run(words: Sequence[str], content: bytes) -> None:
    """Run a program with this on its standard input; it and all that it started have ended when this returns."""
    try:
        process = await trio.lowlevel.open_process(
            list(words),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
        )
    except OSError:
        return  # it is not there, or no program: `mesh doctor` says so
    try:
        with trio.move_on_after(HOOK_S):
            await _write(process, content)
            await process.wait()
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        with trio.CancelScope(shield=True):
            await process.wait()


async def _write(process: trio.Process, content: bytes) -> None:
    if process.stdin is None:
        raise RuntimeError("a process without the pipe that was asked for")
    with suppress(trio.BrokenResourceError):  # it does not read
        await process.stdin.send_all(content)
    await process.stdin.aclose()
