"""What goes into the core and what comes out of it.

The rule: an event is something that happened, an effect is something to do. The core turns one event into effects,
and the driver carries them out once what they tell is on the disk: those for links when `carry` is committed, the
others when `log` is too. Bytes cross this line, never messages. Links are named by small integers that the driver
gives out and never uses again.

Effects are hints and the log is the truth: whoever loses an effect in a crash reads on from a cursor.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from meshd.errors import CallerError
from meshd.ids import Address


class Now(NamedTuple):
    """The time of an event: monotonic milliseconds for durations, wall milliseconds since 1970 for stamps.

    The driver gives the machine's; inside the core `wall_ms` is mesh time, and nothing may be refused, held aside
    or deleted by it unless `synced` (`meshtime`).
    """

    mono_ms: int
    wall_ms: int
    synced: bool = True


# --- events ---


@dataclass(frozen=True, slots=True)
class LinkOpened:
    """A byte stream is up: dialled by us (at an address the core asked for) or accepted."""

    link: int
    address: Address
    dialled: bool


@dataclass(frozen=True, slots=True)
class BytesReceived:
    """Up to READ_SIZE_MAX bytes came in on a link."""

    link: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Drained:
    """A link's outbox is below OUTBOX_FILL_SIZE, and half as much or more was sent on it since this was last said."""

    link: int


@dataclass(frozen=True, slots=True)
class LinkClosed:
    """A link is down, whoever closed it. Nothing more is said about this link."""

    link: int
    reason: str


@dataclass(frozen=True, slots=True)
class DialFailed:
    """A dial that the core asked for came to nothing."""

    address: Address
    reason: str


@dataclass(frozen=True, slots=True)
class PeerFound:
    """Discovery saw a service instance of our kind; tag is its TXT value, unchecked; addresses are unchecked."""

    instance: str
    tag: str
    addresses: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class PeerLost:
    """Discovery heard a goodbye, or the instance's records ran out."""

    instance: str


@dataclass(frozen=True, slots=True)
class NetworkChanged:
    """A network prefix of an interface we listen on appeared or went, or the machine woke up."""


@dataclass(frozen=True, slots=True)
class Listening:
    """Where others can dial us: the driver has bound its listeners after a Renew, or addresses came or went."""

    addresses: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class DiscoveryState:
    """Whether discovery works: mode is announce, listen or off; reason says why it does not."""

    mode: str
    ok: bool
    reason: str


@dataclass(frozen=True, slots=True)
class WayOut:
    """This machine's own networks: whether there is any, and whether a route leads out of them, wherever that ends."""

    networks: bool
    leads_out: bool


class Found(StrEnum):
    """What came of looking for the internet; `unknown`: nobody looked, or nobody says."""

    FULL = "full"
    PORTAL = "portal"
    DOMESTIC = "domestic"
    NOTHING = "nothing"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Looked:
    """Somebody looked for the internet: source is `system` or `probes`; detail is for people."""

    source: str
    found: Found
    detail: str


@dataclass(frozen=True, slots=True)
class Command:
    """A request from a client of ours, answered by a Reply with the same number, at once or later."""

    number: int
    method: str
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CommandBatch:
    """Posts in one transaction, all or none; answered by one ReplyBatch."""

    number: int
    commands: Sequence[Command]


@dataclass(frozen=True, slots=True)
class CommandCancelled:
    """The client that sent this command is gone; nobody waits for its answer."""

    number: int


@dataclass(frozen=True, slots=True)
class Stopping:
    """The daemon is about to end: say bye on every link and close it."""


@dataclass(frozen=True, slots=True)
class Wake:
    """A deadline passed, or a long step asked to go on. A spurious one does nothing."""


Sighting = WayOut | Looked
Event = (
    LinkOpened | BytesReceived | Drained | LinkClosed | DialFailed | PeerFound | PeerLost | NetworkChanged
    | Listening | DiscoveryState | Sighting | Command | CommandBatch | CommandCancelled | Stopping | Wake
)  # fmt: skip

# --- effects ---


@dataclass(frozen=True, slots=True)
class SendBytes:
    """Append to a link's outbox."""

    link: int
    content: bytes


@dataclass(frozen=True, slots=True)
class CloseLink:
    """Close a link: after its outbox is sent (for at most a second) if `flush`, else at once."""

    link: int
    reason: str
    flush: bool = False


@dataclass(frozen=True, slots=True)
class Rest:
    """Read nothing more of a link, as what it gave is not looked at yet; or read on, if not `resting`."""

    link: int
    resting: bool


@dataclass(frozen=True, slots=True)
class Dial:
    """Open a link to an address; answered by LinkOpened or DialFailed."""

    address: Address


@dataclass(frozen=True, slots=True)
class Renew:
    """Bind fresh listeners (a new random port unless one was given) and announce this instance from now on."""

    instance: str
    host: str
    tag: str


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a Command: a result document, or the caller's error."""

    number: int
    result: Mapping[str, Any] | None
    error: CallerError | None = None


@dataclass(frozen=True, slots=True)
class ReplyBatch:
    """The answers to a CommandBatch, in order."""

    number: int
    replies: Sequence[Reply]


@dataclass(frozen=True, slots=True)
class Advanced:
    """The log has grown up to this cursor; readers who wait may read on."""

    cursor: int


@dataclass(frozen=True, slots=True)
class Fired:
    """A scenario of a plan has fired here, once and for all; or its drill."""

    plan: bytes  # the plan's id, 32
    version: int
    scenario: str
    drill: bool
    time_ms: int  # since when its cue was met, wall


LinkEffect = SendBytes | CloseLink | Rest | Dial | Renew
Effect = LinkEffect | Reply | ReplyBatch | Advanced | Fired
