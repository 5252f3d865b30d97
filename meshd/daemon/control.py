"""What clients ask of the daemon itself rather than of its node: to stop, to be locked, opened or erased.

The rule: each of these ends this run of the daemon, and the client that asked has its answer before. What comes after
the end is `next`: nothing, or a start with other keys (`start`). Only the log's own key opens it; whoever asks to
unlock has made it of the passphrase, so that no passphrase, and no wrong guess at one, is ever in here.

A daemon that nobody has asked anything for `idle_lock_min` locks itself. `status` does not count, since a display that
shows it tells nothing of a person; nor do subscriptions that were taken before. Time that the machine was suspended
counts, where the system tells.
"""

import os
import time
from collections.abc import Callable
from typing import Any

import trio

from meshd.daemon import panic
from meshd.daemon.home import Home
from meshd.daemon.start import Start
from meshd.errors import CallerError, Code
from meshd.store.keyslot import Keys
from meshd.store.log import Log

_LOOK_S = 15.0  # between two looks at how long nobody asked
_MINUTE_S = 60.0


def read_uptime_s() -> float:
    """Seconds that go on while the machine is suspended, if it can tell."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Control:
    """One run of a daemon: `ended` is set when it has to end, `next` holds the keys it goes on with, if it does."""

    def __init__(
        self, home: Home, path: str, start: Start, uptime_s: Callable[[], float] = read_uptime_s
    ) -> None:
        self.ended = trio.Event()
        self.next: Keys | None = None
        self._home, self._path, self._start = home, path, start
        self._uptime_s = uptime_s
        self._started_s = self._asked_s = uptime_s()

    def touch(self) -> None:
        """Somebody asked something."""
        self._asked_s = self._uptime_s()

    def status(self) -> dict[str, Any]:
        """What the daemon adds to the document of that name."""
        return {
            "pid": os.getpid(),
            "socket": self._path,
            "uptime_s": int(self._uptime_s() - self._started_s),
            "encrypted": self._start.encrypted,
        }

    def down(self) -> None:
        """There is no `next`, whatever was asked before."""
        self.next = None

    def stop(self) -> None:
        """End, or go on with `next`."""
        self.ended.set()

    def lock(self) -> bool:
        """Go on without the log's key, once `stop` is called; False if it is locked already. CallerError(refused)."""
        keys = self._start.keys
        if not self._start.encrypted:
            message = (
                "this home has no passphrase: who has the laptop could open it again, so locking is of no use"
            )
            raise CallerError(Code.refused, message)
        if keys.log:
            self.next = Keys(keys.carry, b"")
        return bool(keys.log)

    def unlock(self, key: str) -> bool:
        """Go on with the log's key, in hex; False if it is open already. CallerError(locked)."""
        if self._start.keys.log:
            return False
        try:
            keys = Keys(self._start.keys.carry, bytes.fromhex(key))
            Log(self._home.log, keys.log).close()
        except (ValueError, CallerError):
            raise CallerError(Code.locked, "this key does not open the log: use `mesh unlock`") from None
        self.next = keys
        return True

    def erase(self, say: Callable[[dict[str, Any]], None]) -> None:
        """Erase the home, say what was erased, and end this process without another step."""
        say(panic.erase(str(self._home.path)))
        os._exit(0)

    async def watch_idle(self) -> None:
        """Lock when nobody has asked anything for long enough."""
        if not self._start.idle_lock_min or not self._start.encrypted:
            return
        while True:
            await trio.sleep(_LOOK_S)  # in short turns: its clock stands still while the machine is suspended
            if self._uptime_s() - self._asked_s >= self._start.idle_lock_min * _MINUTE_S:
                break
        if self.lock():
            self.stop()
