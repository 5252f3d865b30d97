"""A laptop that looks for the internet, and the words of those who look. Times are those of no clock.

The rule: an `Eye` is woken as a node would wake it, when something is due and not else; `sleep` is being woken late.
"""

from typing import Any

from meshd.events import Found, Looked, Now, WayOut
from meshd.internet import Internet, State
from meshd.limits import DARK_AFTER_S
from meshd.store.remembered import Remembered

S, MIN, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
DARK = DARK_AFTER_S * S
SETTLE = DARK // 10
WALL_MS = 1_795_352_400_000

ROUTED, ALONE, NO_NETWORK = WayOut(True, True), WayOut(True, False), WayOut(False, False)


def system(found: Found) -> Looked:
    return Looked("system", found, "")


def probes(found: Found) -> Looked:
    return Looked("probes", found, "")


FULL, LIMITED, PORTAL, UNKNOWN = map(system, (Found.FULL, Found.NOTHING, Found.PORTAL, Found.UNKNOWN))


NEVER = Remembered()


class Eye:
    """A laptop's view, and its clock."""

    def __init__(self, remembered: Remembered = NEVER, start_ms: int = 10 * DAY) -> None:
        self.start_ms = self.mono_ms = start_ms
        self.synced = True
        self.view = Internet(remembered, self.now)

    @property
    def now(self) -> Now:
        return Now(self.mono_ms, WALL_MS + self.mono_ms, self.synced)

    def see(self, *events: WayOut | Looked) -> "Eye":
        for event in events:
            self.view.observe(event, self.now)
        return self

    def wait(self, ms: int) -> "Eye":
        """Let time pass, as a node does: woken when something is due, and not else."""
        end_ms = self.mono_ms + ms
        while self.view.due_ms is not None and self.view.due_ms <= end_ms:
            assert self.view.due_ms > self.mono_ms, "what is due by now was not done"
            self.mono_ms = self.view.due_ms
            self.view.go_on(self.now)
        self.mono_ms = end_ms
        return self

    def sleep(self, ms: int) -> "Eye":
        """Let time pass, and nobody wakes it when something is due: a busy machine."""
        self.mono_ms += ms
        return self

    def move(self) -> "Eye":
        self.view.moved(self.now)
        return self

    @property
    def state(self) -> State | None:
        return self.view.state

    @property
    def dark(self) -> bool:
        return self.view.dark(self.now)

    @property
    def why(self) -> str:
        return self.view.why(self.now)

    def document(self) -> dict[str, Any]:
        return self.view.document(self.now)

    def restart(self, away_ms: int = 0) -> "Eye":
        return Eye(self.view.remembered, self.mono_ms + away_ms)


def online() -> Eye:
    """At a desk where all is well since an hour."""
    return Eye().see(ROUTED, FULL).wait(HOUR)
