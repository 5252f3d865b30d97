"""A group as one of its members sees it: its epochs, who shows to be there, and what is to be done.

The rule (protocol.md, "Groups"): the epochs decide (`dag`); this adds what one node knows besides, and decides nothing
for others. *Pending* is a member who has not been seen to hold the current epoch's key and can't be known to get it:
the group goes on without him, and says so. *Upkeep* is what keeps the group readable without anybody in charge: it is
renewed after seven days, so that who left quietly or was copied loses it; it heals, so that one epoch has all members;
and its epochs are sealed anew while they live, so that who was off for weeks can judge what became of it. Any member
may do each, after a random wait (`turns`).

What is posted in a group that is strict is kept a day at most.
"""

import random
from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import NamedTuple

from meshd.groups.dag import Dag, Status
from meshd.groups.epochs import STRICT, STRICT_KEEP_HOURS, Epoch
from meshd.groups.turns import Turns
from meshd.limits import (
    EPOCH_RENEW_MS,
    EPOCHS_EACH_MAX,
    EPOCHS_MAX,
    HEAL_EACH_MS,
    KEEP_HOURS_MAX,
    RESEAL_HOURS,
    UPKEEP_EACH_MS,
)
from meshd.post import HOUR_MS


class Task(StrEnum):
    """What a member may do for all."""

    renew = "renew"  # an epoch on the current one, with no acts
    heal = "heal"  # an epoch on all loose ends
    reseal = "reseal"  # a fresh envelope for an epoch's post, under the current epoch


class Duty(NamedTuple):
    """One thing to do now: the parents of an epoch to be made, or the one epoch whose post is to be sealed anew."""

    task: Task
    epochs: tuple[bytes, ...]


class Group:
    """What one member knows of a group, or of a direct if there is no anchor."""

    def __init__(self, me: bytes, channel: bytes, anchor: bytes | None, rng: random.Random) -> None:
        self.me = me
        self.dag = Dag(channel, anchor)
        self._wrote: dict[bytes, set[bytes]] = {}  # by epoch: who has posted under it, and so holds its key
        self._turns = Turns(rng)

    def current(self) -> Epoch | None:
        """The epoch that we post under; None if we are out, or have to heal first (`loose_ends`)."""
        return self.dag.current(self.me)

    def wrote(self, author: bytes, epoch: bytes) -> None:
        """A post by this author was opened under this epoch."""
        self._wrote.setdefault(epoch, set()).add(author)

    def pending(self, sent: Collection[bytes], reachable: Collection[bytes]) -> list[bytes]:
        """The members who may not be able to read what we post now, ascending.

        `sent`: who has a live key envelope for the current epoch; `reachable`: of whom a fresh prekey is known. Who
        has made the epoch, or posted under it, holds its key.
        """
        current = self.current()
        if current is None:
            return sorted(self.dag.membership().members - {self.me})
        there = self._wrote.get(current.id, set()) | {self.me, current.author}
        return [
            who for who in current.identities() if who not in there and not (who in sent and who in reachable)
        ]

    @property
    def is_strict(self) -> bool:
        """Whether nothing here is kept over a day."""
        return any(epoch.body.flags & STRICT for epoch in self.dag.held.values())

    def takes(self, epoch: Epoch) -> bool:
        """Whether there is room for one more: always, if one that is here builds on it. Else not for more than
        EPOCHS_MAX; nor, of one author, for more than one too many of those that are no act of an admin, who decides it
        alone or with others: what others have signed, anybody can carry without end.
        """
        held = self.dag.held.values()
        if any(epoch.id in each.body.parents for each in held):
            return True
        idle = sum(each.author == epoch.author and not self._is_admins(each) for each in held)
        may_act = epoch.body.acts and epoch.author in self.dag.membership().admins
        return len(held) < EPOCHS_MAX and (bool(may_act) or idle <= EPOCHS_EACH_MAX)

    def _is_admins(self, epoch: Epoch) -> bool:
        """Whether this is a valid act of an admin."""
        if not epoch.body.acts or self.dag.status(epoch.id) is not Status.valid:
            return False
        return epoch.author in self.dag.membership(epoch.id).admins

    def keep_hours_max(self) -> int:
        """How long what is posted here may be kept."""
        return STRICT_KEEP_HOURS if self.is_strict else KEEP_HOURS_MAX

    # --- upkeep ---

    def due(self, now_ms: int, expiries: Mapping[bytes, int]) -> list[Duty]:
        """What to do now, by mesh time; ask again at `deadline`, and whenever something came.

        `expiries`: for each epoch whose post may still be kept, the expiry hour of its newest envelope (0: there is
        none); leave out those that are past their keep-until.
        """
        duties: dict[bytes, tuple[Duty, int]] = {}
        current, ends = self.current(), self.dag.loose_ends(self.me)
        if ends:
            duties[b"heal"] = Duty(Task.heal, ends), HEAL_EACH_MS
        elif current and now_ms >= current.time_ms + EPOCH_RENEW_MS:
            duties[b"renew"] = Duty(Task.renew, (current.id,)), UPKEEP_EACH_MS
        if current:
            for id, expiry_hour in expiries.items():
                # Nothing in a direct is judged by its earlier epochs.
                is_needed = self.dag.anchor is not None or id == current.id
                if is_needed and reseal_due(now_ms, expiry_hour) and self.dag.status(id) is Status.valid:
                    duties[b"reseal " + id] = Duty(Task.reseal, (id,)), UPKEEP_EACH_MS
        count = len(self.dag.membership().members) if duties else 0
        wanted = {key: each_ms * count for key, (_, each_ms) in duties.items()}
        return [duties[key][0] for key in self._turns.ready(wanted, now_ms)]

    def deadline(self, now_ms: int) -> int | None:
        """When `due` may have more to say, if nothing comes before; None if never."""
        waits = [self._turns.deadline()]
        current = self.current()
        if current and current.time_ms + EPOCH_RENEW_MS > now_ms:
            waits.append(current.time_ms + EPOCH_RENEW_MS)
        return min((wait for wait in waits if wait is not None), default=None)


def reseal_due(now_ms: int, expiry_hour: int) -> bool:
    """Whether the newest envelope, which expires then, has under a quarter of a life left."""
    return expiry_hour * HOUR_MS - now_ms < RESEAL_HOURS * HOUR_MS // 4
