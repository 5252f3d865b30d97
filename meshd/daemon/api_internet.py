"""The documents about the internet as this laptop sees it. The rules are those of `daemon.api`."""

from typing import Literal, TypedDict


class Observation(TypedDict):
    """What one source says: `routes` (a way out, no way out, no network), `system` or `probes` (full, portal, domestic,
    nothing, unknown). `since`: when it said so first, null for routes."""

    source: str
    found: str
    detail: str
    since: str | None


class Attester(TypedDict):
    """Somebody who says in a group of ours that it is dark."""

    id: str
    name: str


class Internet(TypedDict):
    """`state`: null if nobody can tell. `dark`: whether this laptop's own view is that of a blackout, and counts;
    `reason` says why, or why not. `last_seen`: when any of the internet was seen last, to some minutes. `attested_by`:
    whose word that it is dark holds now, our own among them."""

    v: int
    state: Literal["full", "portal", "domestic", "local", "offline"] | None
    since: str | None
    dark: bool
    dark_since: str | None
    reason: str
    last_seen: str | None
    observations: list[Observation]
    attested_by: list[Attester]


class Attested(Internet):
    """`groups`: in how many it was said that it is dark here."""

    groups: int
