"""What a seizure of this laptop would show today, a sentence each: what `status` calls *exposed*.

The rule: this is what who has the laptop open, or has its passphrase, finds here; not what others know, carry or
remember. It says too how far erasing has come, because what is over and not erased yet is still here: nothing is
erased while the laptop is off or locked, its clock in doubt or its disk full.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from meshd.limits import READABLE_DAYS
from meshd.store.log import Log

if TYPE_CHECKING:
    from meshd.node import Node

_DAY_HOURS = 24


def sentences(node: "Node") -> list[str]:
    """What is here to be found, the secret things first."""
    carried = node.carry.shares.total.bodies
    found = _of_log(node, node.log) if node.log is not None else _of_locked(node)
    if carried:
        found.append(
            f"{_count(carried, 'envelope')} carried: what is public in them anybody reads; the rest names nobody"
        )
    return found


def _of_log(node: "Node", log: Log) -> list[str]:
    day, here = node.intake.sealing.keyring.first_day(), log.kept.readable()
    known = [own.is_direct for own in node.groups.groups.values()] if node.groups is not None else []
    asked = len(node.directs.waiting()) if node.directs is not None else 0
    people = f"{_count(len(log.contacts.all()), 'contact')}, {_count(known.count(True), 'direct')}"
    groups = known.count(False)
    found = []
    if day is not None and node.intake.sealing.has_channels():
        found.append(
            f"what expires on {_date(day * _DAY_HOURS)} (UTC) or later in groups and directs: this laptop has the keys"
            " of those days; earlier ones are erased"
        )
    if here.sealed:
        found.append(f"{_count(here.sealed, 'post')} of groups and directs, each until its keep-until")
    if here.others:
        found.append(f"{_count(here.others, 'public post')} of others, each for {READABLE_DAYS} days")
    if here.own:
        found.append(f"{_count(here.own, 'public post')} of your own, as long as this home is")
    if here.marked:
        found.append(
            f"{_count(here.marked, 'post')} of all these that you marked, until you take the mark off"
        )
    if asked:
        found.append(
            f"{_count(asked, 'request')} of strangers with their first words, each until its keep-until"
        )
    if heard := log.said.count_people():
        people_heard = "somebody" if heard == 1 else f"each of {heard} people"
        found.append(
            f"when {people_heard} of groups with plans was heard last, while these plans last, and what they said of"
            " the dark and of each other, for a day"
        )
    found.append(f"your identity and inbox, {people}, {_count(groups, 'group')} with all members")
    if node.time.state != "ok" or node.room.is_full:
        hour = node.carry.erased_hour
        since = f"what was over after {_time(hour)} too" if hour else "what is over too"
        found.append(
            f"{since}: nothing is erased while the {'disk is full' if node.room.is_full else 'clock is in doubt'}"
        )
    return found


def _of_locked(node: "Node") -> list[str]:
    hour = node.carry.erased_hour
    since = (
        f"what was not over on {_time(hour)}, when something was last erased"
        if hour
        else "all that is in the log"
    )
    return [f"to who has the passphrase: {since}; a locked laptop erases nothing of it"]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _date(hour: int) -> str:
    return f"{datetime.fromtimestamp(hour * 3600, UTC):%Y-%m-%d}"


def _time(hour: int) -> str:
    return f"{datetime.fromtimestamp(hour * 3600, UTC):%Y-%m-%d %H:%M} (UTC)"
