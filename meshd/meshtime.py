"""Mesh time: the clock this node trusts, and how far.

The rule (protocol.md, "Time"): mesh time is the wall clock of this machine, unless that is impossible (before this
meshd was built, five years past it, or over an hour before the last time this home is known to have had) or three
contacts agree on another time; then it is the median of what the hellos of the last links said. What strangers say
moves nothing while our own clock is possible: it only raises a warning, since anybody can be three strangers.

- `ok`: trusted. What expired is pruned.
- `jumped`: the wall clock went on by over an hour while nobody looked (the daemon was off, the laptop slept, the clock
  was set). It is used, but nothing is deleted by it until one hello agrees or the user says that it is right.
- `unsynced`: impossible, and fewer than three contacts to say better. This node then refuses, holds aside and deletes
  nothing by the clock, tells no hour in its hello (0), and compares all it holds. It signs own posts once any
  hello gave it a time.

A hello tells an hour and no more. Who lives by others' hellos takes its beginning, and goes on from there by the
clock that never jumps: up to an hour behind, so never so far ahead that others hold its posts aside.
"""

from collections import OrderedDict
from typing import NamedTuple

from meshd.errors import CallerError, Code
from meshd.events import Now
from meshd.limits import HELLOS_MAX, JUMP_MS
from meshd.post import HOUR_MS

# 2026-09-01T00:00Z, moved on with each release: a clock that runs this code and shows less is wrong.
BUILD_MS = 1_788_220_800_000
POSSIBLE_MS = (
    5 * 365 * 24 * HOUR_MS
)  # past the build: nobody runs a meshd so old, but flat batteries show any year
CONTACTS_MIN = 3  # contacts who must agree to move mesh time: two may be one person's laptops

_WEIGH_MS = 1_000  # hellos tell hours: what drifts less is not looked at again

_SET = "set this machine's clock"


class Said(NamedTuple):
    """What one hello said of the time: wall time less the monotonic time at which we heard it, milliseconds."""

    ahead_ms: int
    is_contact: bool


class MeshTime:
    """Turns the machine's time into mesh time, event by event."""

    def __init__(self, now: Now, seen_ms: int, *, build_ms: int = BUILD_MS) -> None:
        """`seen_ms`: the last mesh time that this home is known to have had, 0 for a new one."""
        self._build_ms, self.seen_ms = build_ms, seen_ms
        self._said: OrderedDict[int | bytes, Said] = OrderedDict()
        self._told: OrderedDict[int | bytes, int] = OrderedDict()  # `Said.ahead_ms`, also of what can't be
        self._jumped = seen_ms > 0 and now.wall_ms - seen_ms > JUMP_MS
        self._machine = now
        self._ahead_ms = now.wall_ms - now.mono_ms
        self._weighed_ms: int | None = (
            None  # `_ahead_ms` when the hellos were weighed against it, None: not yet
        )
        self._start_ms = now.mono_ms
        self.state = "unsynced"
        self.off_ms = 0  # what the hellos say, less the wall clock; 0 if they agree with it
        self.is_known = False  # whether there is any time to sign with
        self.read(now)

    def heard(self, source: int | bytes, hour: int, mono_ms: int, *, is_contact: bool = False) -> None:
        """A hello told its hour. `source` is its link, or the identity of a contact: the last word of each counts."""
        self._told.pop(source, None)
        self._told[source] = hour * HOUR_MS - mono_ms
        if len(self._told) > HELLOS_MAX:
            self._told.popitem(last=False)
        if not self._is_possible(hour * HOUR_MS):
            return  # a node that does not know the time says 0; one that is wrong helps nobody
        self._said.pop(source, None)
        self._said[source] = Said(hour * HOUR_MS - mono_ms, is_contact)
        self._weighed_ms = None
        if len(self._said) > HELLOS_MAX:
            self._said.popitem(last=False)

    def recognised(self, link: int, identity: bytes) -> None:
        """The hello of this link was that of a contact."""
        if link in self._told:
            self._told[identity] = self._told.pop(link)
        said = self._said.pop(link, None)
        if said is not None:
            self._said.pop(identity, None)
            self._said[identity] = said._replace(is_contact=True)
            self._weighed_ms = None

    def is_off(self, contact: bytes, now: Now) -> bool:
        """Whether the last hello of a contact, of those met lately, told another hour than mesh time, or none."""
        told = self._told.get(contact)
        return told is not None and not _agree(told, now.wall_ms - now.mono_ms)

    def confirm(self) -> None:
        """The user says that this machine's clock is right. CallerError(refused) if it can't be."""
        now = self._machine
        if not self._is_possible(now.wall_ms):
            raise CallerError(Code.refused, f"the clock can't be right: {_SET} first, then try again")
        self._said.clear()
        self._weighed_ms = None
        self.seen_ms, self._ahead_ms, self._jumped = now.wall_ms, now.wall_ms - now.mono_ms, False
        self.read(now)

    def read(self, machine: Now | None) -> Now:
        """Mesh time at this moment of the machine's (None: the one read last, if more is known now); `synced` says
        whether anything may be refused by it."""
        now = self._machine = machine or self._machine
        ahead_ms = now.wall_ms - now.mono_ms
        if abs(ahead_ms - self._ahead_ms) > JUMP_MS:
            self._jumped = True
        self._ahead_ms = ahead_ms
        if self._weighed_ms is None or abs(ahead_ms - self._weighed_ms) > _WEIGH_MS:
            self._weigh(ahead_ms)
        self.is_known = True
        if self._contacts_ms is not None:
            self.state, mesh_ms = "ok", self._contacts_ms + now.mono_ms
        elif self._is_possible(now.wall_ms) and now.wall_ms >= self.seen_ms - JUMP_MS:
            self._jumped = self._jumped and not self._agrees
            self.state, mesh_ms = "jumped" if self._jumped else "ok", now.wall_ms
        elif self._said:
            self.state, mesh_ms = "unsynced", self._median_ms + now.mono_ms
        else:  # no earlier than this, and that is all we know
            self.state, self.is_known = "unsynced", False
            mesh_ms = max(self._build_ms, self.seen_ms) + now.mono_ms - self._start_ms
        if self.state == "ok":
            self.seen_ms = max(self.seen_ms, mesh_ms)
        return Now(now.mono_ms, mesh_ms, self.state != "unsynced")

    def require(self) -> None:
        """CallerError(refused) while there is no time to sign with."""
        if not self.is_known:
            raise CallerError(Code.refused, f"nobody knows what time it is: {self.advice()}")

    def advice(self) -> str:
        """What the user is told, one line; empty if all is well."""
        if self.state == "jumped":
            return (
                "the clock moved on by over an hour: nothing is deleted until somebody met agrees with it"
                " or you run: mesh clock confirm"
            )
        if self.state == "unsynced":
            instead = (
                "goes by the clocks of those it met" if self.is_known else "cannot post until it meets others"
            )
            return f"the clock can't be right, so this laptop {instead}: {_SET}, then run: mesh clock confirm"
        return (
            f"those met have another time: check the clock, and {_SET} if it is wrong" if self.off_ms else ""
        )

    def _is_possible(self, wall_ms: int) -> bool:
        return self._build_ms <= wall_ms < self._build_ms + POSSIBLE_MS

    def _weigh(self, ahead_ms: int) -> None:
        """What the hellos come to, against a wall clock so far ahead of the monotonic one."""
        self._weighed_ms = ahead_ms
        said = list(self._said.values())
        agreeing = [_agree(each.ahead_ms, ahead_ms) for each in said]
        self._agrees = any(agreeing)  # one of them with the wall clock
        self._median_ms = _median([each.ahead_ms for each in said]) if said else 0
        self.off_ms = self._median_ms - ahead_ms if said and not self._agrees else 0
        self._contacts_ms: int | None = (
            None  # on which enough contacts agree, all of whom the wall clock contradicts
        )
        contacts = [each.ahead_ms for each in said if each.is_contact]
        if len(contacts) >= CONTACTS_MIN and not any(_agree(each, ahead_ms) for each in contacts):
            middle_ms = _median(contacts)
            if sum(abs(each - middle_ms) <= HOUR_MS for each in contacts) >= CONTACTS_MIN:
                self._contacts_ms = middle_ms


def _agree(said_ms: int, clock_ms: int) -> bool:
    """Whether who said the beginning of an hour agrees with a clock, as far as hours can tell."""
    return -HOUR_MS <= clock_ms - said_ms < 2 * HOUR_MS


def _median(times: list[int]) -> int:
    """The middle one; of two in the middle, the earlier."""
    return sorted(times)[(len(times) - 1) // 2]
