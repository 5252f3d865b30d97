"""Peers: whom to dial and when, and which of two links to one peer stays.

The rule: what may be dialled is a *target*: an address that the user typed in (kept in carry, dialled for ever with
back-off) or an mDNS instance with up to eight addresses (kept in memory, forgotten with the instance). A target is
waiting, dialling or linked. Nothing here is told by the network about who a peer is: a link shows which target it
belongs to only because we dialled it, or because the dialled peer turned out to be linked already.

Typed addresses are always dialled. Of what discovery found, as many as we wish for, drawn at random; and although there
are links enough, one more every now and then, whatever its back-off: two crowds that have all the links they want would
otherwise never notice that they met.

Of two laptops that discover each other, the one whose instance name is lower dials at once and the other after half a
second, so that few dials cross. Those that do are settled in `crossed`, in the same way on both sides
(protocol.md, "Who dials").
"""

import random
from dataclasses import dataclass
from typing import Literal

from meshd.ids import Address
from meshd.limits import (
    ADDRESSES_PER_INSTANCE_MAX,
    BACKOFF_EACH_MS,
    BACKOFF_FEW_MS,
    BACKOFF_MAX_MS,
    BACKOFF_MIN_MS,
    CANDIDATES_MAX,
    CROSSED_MS,
    DIALS_MAX,
    EXPLORE_MS,
    LASTING_MS,
)

SECOND_DIALLER_MS = 500

Keep = Literal["old", "new", "both"]


@dataclass(slots=True)
class Target:
    """Something to hold a link to."""

    name: str  # the typed address, or the instance
    addresses: list[Address]
    typed: bool
    due_ms: int
    turn: int = 0  # which address is next
    failures: int = 0
    reason: str = ""  # why the last attempt failed
    dialling: bool = False
    dialled: Address | None = None  # where that dial goes to, whatever the addresses are by now
    link: int | None = None
    opened_ms: int | None = None  # since when that link is open
    ours: bool = False  # it is we ourselves

    @property
    def address(self) -> Address:
        """The address that is dialled next, or was dialled last."""
        return self.addresses[self.turn % len(self.addresses)]


class Peers:
    """The targets and their back-off. Times are monotonic milliseconds."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._targets: dict[str, Target] = {}
        self._explore_ms = 0  # when one is dialled although there are links enough

    # --- what may be dialled ---

    def add_typed(self, address: Address, mono_ms: int) -> None:
        """Dial this address now, and again whenever it is not linked."""
        known = self._targets.get(str(address))
        if known is None:
            self._targets[str(address)] = Target(str(address), [address], True, mono_ms)
        else:
            known.due_ms, known.failures = mono_ms, 0

    def drop(self, name: str) -> Target | None:
        """Forget a target; returns it if there was one."""
        return self._targets.pop(name, None)

    def found(self, instance: str, addresses: list[Address], *, first: bool, mono_ms: int) -> None:
        """Discovery saw a fellow member (tag and addresses already checked). `first` if we are the first to dial."""
        addresses = addresses[:ADDRESSES_PER_INSTANCE_MAX]
        known = self._targets.get(instance)
        if known is not None and not known.typed:
            # An announcement without any address to dial, or in another order, tells nothing new.
            if addresses and set(known.addresses) != set(addresses):
                known.addresses, known.turn, known.failures = addresses, 0, 0
                known.due_ms = min(known.due_ms, mono_ms)
            return
        found = sum(not target.typed for target in self._targets.values())
        if known is None and addresses and found < CANDIDATES_MAX:
            due_ms = mono_ms if first else mono_ms + SECOND_DIALLER_MS
            self._targets[instance] = Target(instance, addresses, False, due_ms)

    def lost(self, instance: str) -> None:
        """Discovery heard a goodbye; a link that is up stays up."""
        target = self._targets.get(instance)
        if target is not None and not target.typed:
            del self._targets[instance]

    def network_changed(self, mono_ms: int) -> None:
        """What was learned on the former network is forgotten; what was typed in is tried at once."""
        self._targets = {name: target for name, target in self._targets.items() if target.typed}
        for target in self._targets.values():
            target.due_ms, target.failures = mono_ms, 0
            target.dialling, target.link, target.ours = False, None, False

    # --- dialling ---

    def due(self, room: int, wish: int, mono_ms: int) -> list[Address]:
        """The addresses to dial now, at most `room` of them; they count as being dialled from here on. Of those that
        discovery found, at most `wish`, drawn at random: all who hear of the same laptops must not dial the same."""
        room = min(room, DIALS_MAX - sum(target.dialling for target in self._targets.values()))
        wish -= self._under_way()
        if room <= 0:
            return []
        due = [t for t in self._targets.values() if self._idle(t) and t.due_ms <= mono_ms]
        chosen = [target for target in due if target.typed][:room]
        if wish > 0:
            found = [target for target in due if not target.typed]
            most = min(wish, room - len(chosen), len(found))
            chosen += found if most == len(found) else self._rng.sample(found, most)
        elif len(chosen) < room and self._explore_ms <= mono_ms:
            found = [t for t in self._targets.values() if self._idle(t) and not t.typed]
            chosen += [self._rng.choice(found)] if found else []
        if wish > 0 or self._explore_ms <= mono_ms:
            self._explore_ms = mono_ms + EXPLORE_MS // 2 + self._rng.randrange(EXPLORE_MS)
        for target in chosen:
            target.dialling, target.dialled = True, target.address
        return [target.address for target in chosen]

    def next_deadline(self, wish: int) -> int | None:
        """When `due` has something again; None while it dials as many as it may (the end of a dial is an event)."""
        if sum(target.dialling for target in self._targets.values()) >= DIALS_MAX:
            return None
        wish -= self._under_way()
        idle = [target for target in self._targets.values() if self._idle(target)]
        deadlines = [target.due_ms for target in idle if target.typed or wish > 0]
        if wish <= 0 and len(deadlines) < len(idle):
            deadlines.append(self._explore_ms)
        return min(deadlines, default=None)

    def _under_way(self) -> int:
        """Dials that have no link yet."""
        return sum(target.dialling and target.link is None for target in self._targets.values())

    def is_typed(self, link: int) -> bool:
        """Whether this link leads to an address that the user typed in."""
        return any(target.typed for target in self._of_link(link))

    @staticmethod
    def _idle(target: Target) -> bool:
        return not target.dialling and target.link is None and not target.ours

    def dialled(self, address: Address, link: int) -> None:
        """The dial of this address became this link."""
        for target in self._dialling(address):
            target.link = link

    def failed(self, address: Address, reason: str, mono_ms: int) -> None:
        """The dial failed, or its link closed before it was open."""
        for target in self._dialling(address):
            self._back_off(target, reason, mono_ms)

    def opened(self, link: int, mono_ms: int) -> None:
        """The session on this link is open."""
        for target in self._of_link(link):
            target.dialling, target.opened_ms, target.reason = False, mono_ms, ""

    def same_as(self, link: int, other: int | None) -> None:
        """The peer behind `link` turned out to be the one behind `other`, or ourselves if None."""
        for target in self._of_link(link):
            target.dialling, target.link, target.ours = False, other, other is None

    def closed(self, link: int, reason: str, mono_ms: int) -> None:
        """The link is down."""
        for target in self._of_link(link):
            if target.opened_ms is not None and mono_ms - target.opened_ms >= LASTING_MS:
                target.failures = 0
            self._back_off(target, reason, mono_ms)

    def _dialling(self, address: Address) -> list[Target]:
        return [t for t in self._targets.values() if t.dialling and t.link is None and t.dialled == address]

    def _of_link(self, link: int) -> list[Target]:
        return [target for target in self._targets.values() if target.link == link]

    def _back_off(self, target: Target, reason: str, mono_ms: int) -> None:
        """An instance's other addresses are tried at once, then all of them pause, longer each time."""
        target.dialling, target.link, target.opened_ms, target.reason = False, None, None, reason
        target.turn += 1
        if target.turn % len(target.addresses):
            target.due_ms = mono_ms
            return
        # Few targets are tried often, so that a link that can be had again is soon up; many take turns.
        most_ms = min(max(BACKOFF_FEW_MS, BACKOFF_EACH_MS * len(self._targets)), BACKOFF_MAX_MS)
        pause_ms = min(BACKOFF_MIN_MS << min(target.failures, 10), most_ms)
        target.failures += 1
        target.due_ms = mono_ms + pause_ms * 3 // 4 + self._rng.randrange(pause_ms // 2)

    def targets(self) -> list[Target]:
        """All of them, those typed in first, for display."""
        return sorted(self._targets.values(), key=lambda target: (not target.typed, target.name))


def crossed(
    our_key: bytes, peer_key: bytes, *, old_dialled: bool, new_dialled: bool, old_age_ms: int
) -> Keep:
    """Which of two open links to one peer stays, decided by the acceptor's view and by the dialler's alike.

    A dialler hangs up in the handshake when it has a session with that peer already, so a second completed link means
    that the peer had none: either the two dials crossed (opposite directions, close in time: the link dialled by the
    lower link key stays), or our old one is a corpse (the new one stays). Two of the same direction that the peer
    dialled at once are the dialler's to settle; ours to settle, the old one stays.
    """
    if old_dialled != new_dialled and old_age_ms < CROSSED_MS:
        lower_dialled_new = new_dialled == (our_key < peer_key)
        return "new" if lower_dialled_new else "old"
    if new_dialled:
        return "old"
    return "new" if old_age_ms >= CROSSED_MS or old_dialled else "both"
