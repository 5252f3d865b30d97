"""The internet as this laptop sees it: what was observed goes in; a state, since when, and whether it is dark come out.

    full      who looked reached the internet        portal    somebody else answered in its place
    domestic  only places at home answered           local     a network, and nothing beyond it
    offline   no network                             (none)    a way out, and nobody looks where it leads

The rule: a state is what was seen for `settle`, so it changes at most once in that time, but for the first after a time
of knowing nothing. Probes are believed before the system, and both before the routes, which only tell that there is no
way out. `domestic` is known from probes alone: a system asks one place, and can't tell a country from a cable.

It is **dark** when the internet was looked for and not found for `dark_after`, over a way out, by a laptop that saw it
within seven days; for `domestic`, that saw all of it. A laptop without a network, or on one with no way out, sees
nothing, and a captive portal, or nobody looking, is no darkness either. What goes together with something of our own (a
network or VPN that came or went, a lid that was opened, a start, within two `dark_after` before, or since) may
be our own doing: that takes six of them. Once it is dark it stays dark until `full` is seen again, over sleep, starts
and other networks: who opens a captured laptop has not brought the internet back. After seven days without any
internet a laptop says nothing about it any more.

What was seen is noted in mesh time; a node that does not know the time never says that it is dark.
"""

from enum import StrEnum
from typing import Any

from meshd.documents import rfc3339
from meshd.events import Found, Looked, Now, Sighting, WayOut
from meshd.limits import DARK_AFTER_S, INTERNET_LATELY_MS, SEEN_MS
from meshd.post import HOUR_MS
from meshd.store.remembered import Remembered

_SETTLE_PART = 10  # of `dark_after`: 30 s, more than a router or a VPN takes to change over
_MOVED_PARTS = 2  # … the system looks every five minutes, so it may tell of a VPN that late
_OURS_PARTS = 6  # … half an hour: who lost it by their own doing has noticed by then
_MINUTE_MS = 60_000


class State(StrEnum):
    """How much of the internet is there."""

    FULL = "full"
    PORTAL = "portal"
    DOMESTIC = "domestic"
    LOCAL = "local"
    OFFLINE = "offline"


class Internet:
    """The state of one laptop. `remembered` is to be noted whenever it changed; `due_ms` is when `go_on` has something
    to do, in monotonic milliseconds."""

    def __init__(self, remembered: Remembered, now: Now, dark_after_ms: int = DARK_AFTER_S * 1000) -> None:
        self.remembered = remembered
        self.state: State | None = None
        self.due_ms: int | None = None
        self._dark_after_ms = dark_after_ms
        self._before = remembered.state  # of the last run, until this one has a state
        self._way: WayOut | None = None
        self._looked: dict[str, tuple[Looked, int]] = {}  # by source, with the wall time
        self._seen: State | None = None  # now, whether or not it will last
        self._seen_ms = now.mono_ms
        self._missed: State | None = None  # in which state the internet is missed, without a break
        self._missed_ms = now.mono_ms
        self._gone_ms: int | None = None  # when it was missed first since it was seen last
        self._moved_ms = now.mono_ms  # our own doing: a start is one too

    # --- what happens ---

    def observe(self, event: Sighting, now: Now) -> None:
        """Somebody looked."""
        self.go_on(now)
        if isinstance(event, WayOut):
            self._way = event
        else:
            self._looked[event.source] = event, now.wall_ms
        seen = self._what_is_seen()
        if seen is not self._seen:
            self._seen, self._seen_ms = seen, now.mono_ms
        self.go_on(now)

    def moved(self, now: Now) -> None:
        """A network of this machine came or went, or it woke up."""
        self._moved_ms = now.mono_ms

    def go_on(self, now: Now) -> None:
        """What passing time makes of what is seen."""
        if self._seen is not self.state and (self.state is None or now.mono_ms >= self._settled_ms()):
            self._become(self._seen, now)
        missed = self._what_is_missed(now)
        if missed is not self._missed:
            self._missed, self._missed_ms = missed, now.mono_ms
        if missed is not None and self._gone_ms is None:
            self._gone_ms = now.mono_ms
        elif missed is None and self._is_there():
            self._gone_ms = None
        dark_ms = self.remembered.dark_ms
        if missed is not None and not dark_ms and now.mono_ms >= self._counts_ms():
            dark_ms = now.wall_ms
        elif missed is None and self.state is self._seen and self._is_there() and now.synced:
            dark_ms = 0
        self.remembered = self.remembered._replace(dark_ms=dark_ms)
        self._note_that_it_is_there(now)
        dues = [self._settled_ms()] if self._seen is not self.state else []
        dues += [self._counts_ms()] if missed is not None and not self.remembered.dark_ms else []
        self.due_ms = min(dues, default=None)

    def _become(self, state: State | None, now: Now) -> None:
        is_same = state is not None and state.value == self._before
        since_ms = self.remembered.since_ms if is_same else now.wall_ms
        self.state, self._before = state, ""
        self.remembered = self.remembered._replace(state=state.value if state else "", since_ms=since_ms)

    def _note_that_it_is_there(self, now: Now) -> None:
        """To some minutes: seven days are judged by it, and it is written each time."""
        if not now.synced:
            return
        noted = self.remembered
        if self.state is State.FULL and abs(now.wall_ms - noted.full_ms) >= SEEN_MS:
            self.remembered = noted._replace(full_ms=now.wall_ms)
        elif self.state is State.DOMESTIC and abs(now.wall_ms - noted.domestic_ms) >= SEEN_MS:
            self.remembered = noted._replace(domestic_ms=now.wall_ms)

    # --- what it comes to ---

    def _found(self, source: str) -> Found:
        looked = self._looked.get(source)
        return looked[0].found if looked is not None else Found.UNKNOWN

    def _what_is_seen(self) -> State | None:
        """At this moment; None if nobody can tell."""
        probes, system = self._found("probes"), self._found("system")
        if self._way is None:
            return None
        if not self._way.networks:
            return State.OFFLINE
        found = system if probes in (Found.UNKNOWN, Found.NOTHING) else probes
        if probes is Found.NOTHING and system is not Found.PORTAL:
            found = Found.NOTHING
        if found in (Found.FULL, Found.PORTAL, Found.DOMESTIC):
            return State(found.value)
        return None if found is Found.UNKNOWN and self._way.leads_out else State.LOCAL

    def _is_there(self) -> bool:
        """Whether any of the internet is seen."""
        return self._seen in (State.FULL, State.DOMESTIC)

    def _what_is_missed(self, now: Now) -> State | None:
        """The state in which something is missing that was there lately; None if nothing is, or nobody can tell."""
        leads_out = self._way is not None and self._way.leads_out  # then `local` is that somebody looked
        is_less = self._seen is State.DOMESTIC or (self._seen is State.LOCAL and leads_out)
        return self._seen if is_less and self._was_there_lately(self._seen, now) else None

    def _was_there_lately(self, state: State | None, now: Now) -> bool:
        """Whether more than this was there within seven days."""
        last_ms = self.remembered.full_ms
        if state is not State.DOMESTIC:
            last_ms = max(last_ms, self.remembered.domestic_ms)
        return now.synced and -HOUR_MS <= now.wall_ms - last_ms <= INTERNET_LATELY_MS

    def _settled_ms(self) -> int:
        """When what is seen now will have lasted."""
        return self._seen_ms + self._dark_after_ms // _SETTLE_PART

    def _counts_ms(self) -> int:
        """When what is missed will count as dark, if nothing changes."""
        counts_ms = self._missed_ms + self._dark_after_ms
        gone_ms = self._missed_ms if self._gone_ms is None else self._gone_ms
        if self._moved_ms > gone_ms - _MOVED_PARTS * self._dark_after_ms:
            return max(counts_ms, gone_ms + _OURS_PARTS * self._dark_after_ms)
        return counts_ms

    # --- what is asked ---

    def dark(self, now: Now) -> bool:
        """Whether this laptop's own view is that of a blackout, and counts."""
        self.go_on(now)
        return self.remembered.dark_ms > 0 and self._was_there_lately(self.state, now)

    def why(self, now: Now) -> str:
        """Why it is dark or not, one line for people."""
        if self.dark(now):
            gone = "abroad does not answer" if self.state is State.DOMESTIC else "the internet is gone"
            return f"{gone}, and was here within seven days"
        if not now.synced:
            return "this laptop does not know the time, so it can't tell when the internet was last here"
        if self.state is State.FULL:
            return "the internet is here"
        if not self._was_there_lately(self.state, now):
            return "no internet was seen here within seven days, so nobody misses it" + self._advice()
        if self._missed is not None:
            gone_min = (now.mono_ms - self._missed_ms) // _MINUTE_MS
            left_min = -(-(self._counts_ms() - now.mono_ms) // _MINUTE_MS)
            return f"gone for {gone_min} min; that counts as dark in {left_min} min"
        if self._seen is State.PORTAL:
            return "somebody else answers in place of the internet: a captive portal waits for you to log in"
        if self._way is None or not self._way.leads_out:
            return "this laptop has no way out of its own network, so it can't tell"
        return "this was only now: wait a little" if self._looked_at() else self._advice().lstrip("; ")

    def _looked_at(self) -> bool:
        return any(looked.found is not Found.UNKNOWN for looked, _ in self._looked.values())

    def _advice(self) -> str:
        """What to do if nobody looks; empty if somebody does."""
        advice = "; nobody on this laptop looks for the internet: docs/internet.md says who could"
        return "" if self._looked_at() else advice

    def brief(self, now: Now) -> dict[str, str] | None:
        """What `status` says: {state, since}, None if nobody can tell."""
        self.go_on(now)
        if self.state is None:
            return None
        return {"state": self.state.value, "since": rfc3339(self.remembered.since_ms)}

    def document(self, now: Now) -> dict[str, Any]:
        """What `internet` answers, but for what others say."""
        is_dark, noted = self.dark(now), self.remembered
        last_ms = max(noted.full_ms, noted.domestic_ms)
        observations = []
        if self._way is not None:
            routes = (
                "a way out" if self._way.leads_out else "no way out" if self._way.networks else "no network"
            )
            observations.append({"source": "routes", "found": routes, "detail": "", "since": None})
        observations += [
            {
                "source": source,
                "found": looked.found.value,
                "detail": looked.detail,
                "since": rfc3339(wall_ms),
            }
            for source, (looked, wall_ms) in sorted(self._looked.items())
        ]
        return {
            "state": self.state.value if self.state is not None else None,
            "since": rfc3339(noted.since_ms) if self.state is not None else None,
            "dark": is_dark,
            "dark_since": rfc3339(noted.dark_ms) if is_dark else None,
            "reason": self.why(now),
            "last_seen": rfc3339(last_ms) if last_ms else None,
            "observations": observations,
        }
