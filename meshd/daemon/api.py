"""The contract between the daemon and its clients: documents, errors, and where the socket is.

The rule: a result is the document that `mesh … --json` prints, its `"v": 1` included; names, fields and exit codes
are a promise: add, never rename. What may be asked stands in `daemon.methods`.

JSON-RPC 2.0, one JSON value a line, both ways, over the Unix socket `ctl.sock` of the home. Parameters go by
name. Errors carry the code's name in `data.code`, and the number says who is wrong:

    -32700 no JSON · -32600 no request · -32601 no such method · -32602 wrong parameters   (all `usage`)
    -32000 - exit status: every other refusal, for example -32005 `not_found`

The command line imports this module at every start, so it imports neither trio nor nacl nor pathlib.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypedDict

from meshd.daemon.api_fired import Fired, PlansAtGlance
from meshd.errors import CallerError, Code

VERSION = 1
SOCKET_PATH_SIZE_MAX = 100  # bytes; AF_UNIX takes 107 on Linux and 103 on macOS


class Network(TypedDict):
    """`kind` is open or private; `id` (32 hex digits) names a network without giving its key away."""

    kind: str
    id: str


class Init(TypedDict):
    """What `init` made; `fingerprint` is 12 words."""

    v: int
    id: str
    name: str
    fingerprint: str
    network: Network
    encrypted: bool


class Up(TypedDict):
    """A daemon that is ready; `listen` holds `host:port`."""

    v: int
    pid: int
    listen: list[str]


class Empty(TypedDict):
    """Done, and nothing to say about it."""

    v: int


class Erased(TypedDict):
    """Paths that are gone; `PATH: reason` of what is not; and what else was in the home, which is left."""

    v: int
    erased: list[str]
    failed: list[str]
    left: list[str]


class Link(TypedDict):
    """An open link. `peer` is the link key, hex; `contact` a name if the peer is one of ours."""

    peer: str
    contact: str | None
    address: str
    since: str
    direction: Literal["in", "out"]


class Counts(TypedDict):
    """`posts`: what `read` could show, nothing else."""

    posts: int
    envelopes: int
    channels: int


class Clock(TypedDict):
    """`off_s`: how far ahead of this machine's clock those are that were met, 0 if they agree with it as far as hours
    tell. `advice`: what to do about it, empty if nothing."""

    state: Literal["ok", "unsynced", "jumped"]
    off_s: int
    advice: str


class Confirmed(Clock):
    """The clock, after the user said that it is right."""

    v: int


class Disk(TypedDict):
    """`full`: nothing is taken in or written until there is room; what is here is read and passed on. `evicted`: how
    many envelopes of others are no longer carried because room for them was short. `ids` and `size` (bytes): what is
    carried takes of that room."""

    full: bool
    evicted: int
    ids: int
    size: int


class Discovery(TypedDict):
    """Whether mDNS works (`ok`), and if not, why (`reason`)."""

    mode: str
    ok: bool
    reason: str


class Status(TypedDict):
    """The node at a glance."""

    v: int
    id: str
    name: str
    uptime_s: int
    pid: int
    socket: str
    encrypted: bool
    locked: bool
    network: Network
    listen: list[str]
    links: list[Link]
    counts: Counts
    clock: Clock
    disk: Disk
    internet: dict[str, str] | None
    discovery: Discovery
    exposed: list[str]
    alarms: list[str]
    plans: PlansAtGlance


class Identity(TypedDict):
    """The own identity; `fingerprint` is 12 words, `card` what others add."""

    v: int
    id: str
    name: str
    fingerprint: str
    card: str


class Invite(TypedDict):
    """The text that lets a laptop into this network."""

    v: int
    invite: str


class HeldBy(TypedDict):
    """Link peers that acknowledged storing a post."""

    contacts: int
    others: int


class Post(TypedDict):
    """A post as it is shown. `after_removal`: its author was put out of the group, and nothing shows that it was there
    before that: it counts for nothing. `clock_off_s`: how far its stamp was ahead of our clock when we first saw it.
    `delivered`: a receipt came for it, signed by the one person that it was written to."""

    id: str
    channel: str
    author: str
    name: str
    trust: str
    text: str | None
    time: str
    clock_off_s: int
    kind: str
    reply_to: str | None
    held_by: HeldBy
    delivered: bool
    after_removal: bool
    sealed: bool
    expires: str


class Missing(TypedDict):
    """Posts known to exist that are not here; `author` is null where unknown; a `count` of 0: closed."""

    author: str | None
    name: str | None
    channel: str
    count: int


class Posted(TypedDict):
    """`state`: queued, or held by at least one peer. `first`: nothing of ours was in this public channel before."""

    v: int
    id: str
    channel: str
    state: Literal["queued", "held", "delivered"]
    first: bool


class Read(TypedDict):
    """Posts, oldest first; a reader goes on from `cursor`."""

    v: int
    posts: list[Post]
    missing: list[Missing]
    fired: list[Fired]
    cursor: int


class Channel(TypedDict):
    """`members` is null where nobody can know (public channels)."""

    id: str
    name: str
    kind: str
    members: int | None
    unread: int


class Channels(TypedDict):
    """The channels, after what was asked for."""

    v: int
    channels: list[Channel]


class Peer(TypedDict):
    """An address given by hand, or a link; `reason` says why it is not open."""

    address: str
    contact: str | None
    state: str
    reason: str
    rtt_ms: float | None
    in_bytes: int
    out_bytes: int


class Peers(TypedDict):
    """The peers, after what was asked for."""

    v: int
    peers: list[Peer]


class Pinged(TypedDict):
    """How long an answer took."""

    v: int
    rtt_ms: float


class Synced(TypedDict):
    """How many links were reconciled, and how many envelopes came and went."""

    v: int
    links: int
    received: int
    sent: int


class Exported(TypedDict):
    """What a bundle holds, and its size."""

    v: int
    envelopes: int
    bytes: int


class Imported(TypedDict):
    """What became of a bundle's envelopes. `refused`: wrong, of a newer version, or dated too far ahead. `whole` is
    false if the file is cut off or damaged: what comes before that was imported."""

    v: int
    new: int
    known: int
    refused: int
    expired: int
    whole: bool


class Subscribed(TypedDict):
    """The number that the notifications of this subscription carry."""

    v: int
    subscription: int


class PostNotice(TypedDict):
    """Params of the notification `post`: go on from `cursor` after a break."""

    subscription: int
    cursor: int
    post: Post


class MissingNotice(TypedDict):
    """Params of the notification `missing`: a gap showed, shrank or closed."""

    subscription: int
    missing: Missing


class ErrorBody(TypedDict):
    """`code` is a name of `Code`, `message` one line for people."""

    code: str
    message: str


class ErrorDocument(TypedDict):
    """What `--json` prints when a command fails."""

    v: int
    error: ErrorBody


def error_document(error: CallerError) -> ErrorDocument:
    """The document of a caller's error."""
    return {"v": VERSION, "error": {"code": error.code.name, "message": error.message}}


# --- errors ---


PARSE_ERROR = -32700
REQUEST_ERROR = -32600
METHOD_ERROR = -32601
PARAMS_ERROR = -32602
_REFUSED = -32000  # less the exit status


def error_number(code: Code) -> int:
    """The JSON-RPC error number of a code."""
    return PARAMS_ERROR if code is Code.usage else _REFUSED - code


def error_code(error: dict[str, Any]) -> Code:
    """The code in a JSON-RPC error object that came from a daemon, which may be newer than us."""
    try:
        return Code[error["data"]["code"]]
    except (KeyError, TypeError):
        return Code.error


# --- where the socket is ---


def home_path(option: str | None) -> str:
    """The folder of a node: `--home` or MESHD_HOME if given, else the platform's place for a user's own."""
    home = option or os.environ.get("MESHD_HOME")
    if home:
        return os.path.abspath(os.path.expanduser(home))
    import platformdirs  # 10 ms: only who names no home pays them

    return platformdirs.user_data_dir("meshd", appauthor=False)


def socket_path(home: str) -> str:
    """The daemon's socket in a home."""
    return os.path.join(home, "ctl.sock")


@contextmanager
def short_path(path: str) -> Iterator[str]:
    """A name for `path` that bind() and connect() take: itself, or one through a descriptor of its folder.

    AF_UNIX paths end at about a hundred bytes. Raises OSError if the folder cannot be opened.
    """
    if len(os.fsencode(path)) <= SOCKET_PATH_SIZE_MAX:
        yield path
        return
    folder, name = os.path.split(path)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)
