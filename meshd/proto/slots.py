"""Slots: how many links we hold, how many of them we dial, and which goes when another comes.

The rule: LINKS_MAX open links in all. At least DIALLED_MIN of them are ours to choose, so that nobody who floods us
with links chooses all our company, and with so many drawn at random any crowd is one mesh; at most INBOUND_MAX are
accepted from strangers, and the other accepted ones are contacts. A contact takes the place of a stranger, however
useful, and never goes for one. Few laptops all link to each other: below LINKS_MIN we dial whoever there is.

A link that has no room takes the place of the least useful of its own kind: the one over which the fewest envelopes
came first lately, and of equals the younger one. Links that are too young to judge stay, and those the user asked for.
A stranger who dials us from a host that has a link already takes the place of that host's or none, or who dials again
and again would put out all others. What was dialled although there were links enough (to find those we never meet)
takes a place in the same way, from LINKS_EASY links on, so that others find us with room to spare (protocol.md, "Who
dials").
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from meshd.limits import DIALLED_MIN, INBOUND_MAX, LASTING_MS, LINKS_EASY, LINKS_MAX, LINKS_MIN
from meshd.proto.session import Session, State


class Slot(NamedTuple):
    """An open link, as one that may have to go."""

    link: int
    host: str
    session: Session
    usefulness: int  # envelopes that came over it first, lately
    asked_for: bool  # by the user
    is_contact: bool


def room(sessions: Collection[Session]) -> int:
    """How many more links may be dialled; one more than we keep, since a newcomer may be worth more than another.
    Strangers who do not finish a handshake take no room from us."""
    return LINKS_MAX + 1 - _taken(sessions)


def wish(sessions: Collection[Session]) -> int:
    """How many more links we would like to dial."""
    taken, dialled = _taken(sessions), sum(session.dialled for session in sessions)
    return min(max(DIALLED_MIN - dialled, LINKS_MIN - taken), LINKS_MAX - taken)


def _taken(sessions: Collection[Session]) -> int:
    return sum(session.dialled or session.state is State.OPEN for session in sessions)


def making_room(others: Sequence[Slot], new: Slot, mono_ms: int) -> tuple[bool, int | None]:
    """Whether a new link has a place beside the others, and the one that goes for it, if one should."""
    dialled = new.session.dialled
    ours = sum(slot.session.dialled for slot in others)
    accepted = len(others) - ours
    strangers = [slot for slot in others if not slot.is_contact and not slot.asked_for]
    full = len(others) >= LINKS_MAX or (not dialled and accepted >= LINKS_MAX - DIALLED_MIN)
    if not dialled and not new.is_contact:
        full = full or sum(not slot.session.dialled and not slot.is_contact for slot in others) >= INBOUND_MAX
    crowded = dialled and ours >= DIALLED_MIN and len(others) >= LINKS_EASY
    if not full and not crowded:
        return True, None
    if new.is_contact:  # the strangers who dialled us go first: those whom we dialled we chose
        judged = [slot for slot in strangers if not slot.session.dialled]
        if not judged and (dialled or ours > DIALLED_MIN):
            judged = [slot for slot in strangers if slot.session.dialled]
    else:
        kind = dialled and ours >= DIALLED_MIN
        judged = [
            slot
            for slot in strangers
            if slot.session.dialled == kind and mono_ms - slot.session.since_ms >= LASTING_MS
        ]
        same = [slot.link for slot in others if slot.host == new.host and not slot.session.dialled]
        if same and not dialled:
            judged = [slot for slot in judged if slot.link in same]
    if not judged:
        return not full, None
    return True, min(judged, key=lambda slot: (slot.usefulness, -slot.session.since_ms)).link
