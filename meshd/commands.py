"""What clients ask of the core: each method of the RPC table, and who waits for an answer.

The rule: a command either answers in the event that brought it or waits for something that events bring: posts to be
opened, a receipt, the end of a round, a deadline. What a command could refuse it refuses before it changes anything,
so a batch of posts is checked whole and then done whole. A caller's mistake is a CallerError, turned into the answer
here and nowhere else. Parameters have the types of the table in `daemon.api` already.

Reading a public channel, or posting to it, joins it: a channel is nothing but a name that somebody listens to.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from meshd import documents, invite, queries
from meshd.errors import CallerError, Code
from meshd.events import Command, CommandBatch, Now, Reply, ReplyBatch
from meshd.ids import Address, channel_name, network_id, public_channel_id
from meshd.limits import (
    KEEP_DEFAULT,
    KEEP_HOURS,
    READ_ANSWER_SIZE,
    READ_LIMIT_DEFAULT,
    READ_LIMIT_MAX,
    WAIT_MS,
)
from meshd.post import Text, encode_text
from meshd.queries import Document
from meshd.store.log import Log

if TYPE_CHECKING:
    from meshd.node import Node

Params = Mapping[str, Any]

_AGE = re.compile(r"(\d{1,9})([smhd])", re.ASCII)
_AGE_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_BARE_SIZE_MAX = 1400  # bytes of a post's document as JSON, its text aside
_ID_PREFIX = re.compile(r"[0-9a-f]{6,64}", re.ASCII)


class Place(NamedTuple):
    """A channel as a caller named it."""

    id: bytes
    name: str


class Draft(NamedTuple):
    """A post whose parameters are all right."""

    place: Place
    text: str
    reply_to: bytes
    keep: str
    first: bool  # nothing of ours is in this channel yet


@dataclass(slots=True)
class Waiting:
    """A command without an answer yet: `ready` gives the document once there is one."""

    deadline_ms: int
    ready: Callable[[Now], Document | None]
    late: CallerError


class Commands:
    """Carries out commands on a node, and remembers who waits."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        self._waiting: dict[int, Waiting] = {}
        self._held: set[bytes] = set()  # posts that a waiting command asked about and that are held now
        self._methods: dict[str, Callable[[Params, Now], Document | Waiting]] = {
            "status": lambda params, now: queries.status(node),
            "id.show": lambda params, now: queries.identity(node),
            "invite.network": self._invite_network,
            "post": self._post,
            "read": self._read,
            "channel.list": lambda params, now: self._channels(),
            "channel.join": self._channel_join,
            "channel.leave": self._channel_leave,
            "peer.list": lambda params, now: queries.peers(node),
            "peer.add": self._peer_add,
            "peer.drop": self._peer_drop,
            "sync": self._sync,
            "clock.confirm": self._clock_confirm,
        }

    # --- commands in, answers out ---

    def take(self, command: Command, now: Now) -> None:
        """Carry out a command: a Reply now or later."""
        try:
            method = self._methods.get(command.method)
            if method is None:
                raise CallerError(Code.usage, f"there is no method {command.method!r}")
            answer = method(command.params, now)
        except CallerError as error:
            self._node.emit(Reply(command.number, None, error))
            return
        if isinstance(answer, Waiting):
            self._waiting[command.number] = answer
        else:
            self._reply(command.number, answer)

    def take_batch(self, batch: CommandBatch, now: Now) -> None:
        """Posts, all or none: checked first, then written in this event's one transaction."""
        try:
            drafts = [self._draft(command.params) for command in batch.commands]
        except CallerError as error:
            replies = [Reply(command.number, None, error) for command in batch.commands]
        else:
            replies = []
            for command, draft in zip(batch.commands, drafts, strict=True):
                identity = self._publish(draft, now)
                replies.append(Reply(command.number, {"v": 1, **_posted(identity, draft, "queued")}))
        self._node.emit(ReplyBatch(batch.number, replies))

    def cancel(self, number: int) -> None:
        """Nobody waits for this answer any more."""
        self._waiting.pop(number, None)

    def go_on(self, now: Now) -> None:
        """Answer those whose answer is there, or whose time is up."""
        for identity in self._node.exchange.take_held():
            self._held.add(identity)
            if self._node.log is not None:
                self._node.log.count_held(identity, others=1)
        for number, waiting in list(self._waiting.items()):
            answer = waiting.ready(now)
            if answer is not None:
                del self._waiting[number]
                self._reply(number, answer)
            elif waiting.deadline_ms <= now.mono_ms:
                del self._waiting[number]
                self._node.emit(Reply(number, None, waiting.late))
        if not self._waiting:
            self._held.clear()

    def next_deadline(self) -> int | None:
        """When somebody's time is up."""
        return min((waiting.deadline_ms for waiting in self._waiting.values()), default=None)

    def _reply(self, number: int, document: Document) -> None:
        self._node.emit(Reply(number, {"v": 1, **document}))

    # --- channels ---

    def channel(self, text: str) -> Place:
        """The public channel that a caller means: `name`, `#name`, `public:name`, or the id prefix of a joined one."""
        kind, colon, rest = text.partition(":")
        if colon and kind != "public":
            raise CallerError(Code.not_found, f"there is no channel of that kind: {kind!r}")
        bare = rest if colon else text
        if not colon and _ID_PREFIX.fullmatch(bare):
            joined = self._node.require_log().channels()
            named = [channel for channel in joined if channel.name == bare]
            matching = named or [channel for channel in joined if channel.id.hex().startswith(bare)]
            if len(matching) > 1:
                listed = ", ".join(f"{channel.name} ({channel.id.hex()[:12]})" for channel in matching)
                raise CallerError(Code.usage, f"{bare} could be: {listed}")
            if matching:
                return Place(matching[0].id, matching[0].name)
        name = channel_name(bare)
        return Place(public_channel_id(network_id(self._node.carry.network_key), name), name)

    def _channels(self) -> Document:
        log = self._node.require_log()
        return {"channels": [documents.channel_document(channel) for channel in log.channels()]}

    def _channel_join(self, params: Params, now: Now) -> Document:
        self._node.require_log()
        self._node.intake.join(*self.channel(params["name"]))
        return self._channels()

    def _channel_leave(self, params: Params, now: Now) -> Document:
        log = self._node.require_log()
        place = self.channel(params["channel"])
        if not log.joined(place.id):
            raise CallerError(Code.not_found, f"you are not in the channel {place.name}")
        self._node.intake.leave(place.id)
        return self._channels()

    # --- posts ---

    def _draft(self, params: Params) -> Draft:
        """The checked parameters of a post; nothing is changed yet."""
        log = self._node.require_log()
        self._node.time.require()
        place = self.channel(params["channel"])
        text, keep = params["text"], params.get("keep", KEEP_DEFAULT)
        if not text or not _encodable(text):
            raise CallerError(
                Code.usage, "there is no text to post" if not text else "the text is no valid Unicode"
            )
        if keep not in KEEP_HOURS:
            raise CallerError(Code.usage, f"keep is one of {', '.join(KEEP_HOURS)}")
        if params.get("wait", "held") != "held":
            delivered = params["wait"] == "delivered"
            message = (
                "a public post has no receipts: nobody can say that it was delivered" if delivered else ""
            )
            raise CallerError(
                Code.refused if delivered else Code.usage, message or "wait is held or delivered"
            )
        reply_to = self._post_id(log, params["reply_to"]) if "reply_to" in params else b""
        encode_text(Text(log.name, reply_to, text))  # refuses a text that is too long
        return Draft(place, text, reply_to, keep, first=log.last_own(place.id) is None)

    def _post_id(self, log: Log, prefix: str) -> bytes:
        prefix = prefix.lower()
        if not _ID_PREFIX.fullmatch(prefix):
            raise CallerError(Code.usage, "a post is named by its id, or at least the first 6 digits of it")
        rows = log.find(prefix)
        if not rows:
            raise CallerError(Code.not_found, f"there is no post {prefix} here")
        if len(rows) > 1:
            raise CallerError(
                Code.usage, f"{prefix} could be: {', '.join(row.id.hex()[:16] for row in rows)}"
            )
        return rows[0].id

    def _publish(self, draft: Draft, now: Now) -> bytes:
        node = self._node
        if node.author is None:
            raise RuntimeError("a draft while the log is closed")
        node.intake.join(*draft.place)
        made = node.author.compose(draft.place.id, draft.text, draft.reply_to, draft.keep, now.wall_ms)
        node.exchange.posted(*node.intake.add_own(made, now))
        return made.id

    def _post(self, params: Params, now: Now) -> Document | Waiting:
        draft = self._draft(params)
        wait_ms = _wait_ms(params)
        identity = self._publish(draft, now)
        if "wait" not in params:
            return _posted(identity, draft, "queued")
        return Waiting(
            now.mono_ms + wait_ms,
            lambda _: _posted(identity, draft, "held") if identity in self._held else None,
            CallerError(Code.timed_out, f"nobody took the post {identity.hex()[:12]} yet; it stays queued"),
        )

    def _read(self, params: Params, now: Now) -> Document | Waiting:
        log = self._node.require_log()
        place = self.channel(params["channel"]) if "channel" in params else None
        limit = params.get("limit", READ_LIMIT_DEFAULT)
        if not 1 <= limit <= READ_LIMIT_MAX:
            raise CallerError(Code.usage, f"limit is a number from 1 to {READ_LIMIT_MAX}")
        cursor, since_ms = _since(params.get("since"), now)
        if place is not None:
            self._node.intake.join(*place)

        def ready(_: Now) -> Document | None:
            return None if self._node.intake.behind else _read(log, place, limit, cursor, since_ms)

        # What is carried but not opened yet (after a join, a crash, an unlock) belongs to the answer.
        late = CallerError(Code.timed_out, "still opening what is carried; try again")
        return ready(now) or Waiting(now.mono_ms + WAIT_MS, ready, late)

    # --- the node and its peers ---

    def _invite_network(self, params: Params, now: Now) -> Document:
        carry = self._node.carry
        if carry.network_kind != "private":
            raise CallerError(Code.refused, "the open commons needs no invite: mesh init --open joins it")
        return {"invite": invite.encode(carry.network_key)}

    def _peer_add(self, params: Params, now: Now) -> Document:
        address = Address.parse(params["address"])
        self._node.carry.add_address(str(address), now.wall_ms)
        self._node.peers.add_typed(address, now.mono_ms)
        return queries.peers(self._node)

    def _peer_drop(self, params: Params, now: Now) -> Document:
        address = Address.parse(params["address"])
        if not self._node.drop_address(address):
            raise CallerError(Code.not_found, f"{address} is not among the peers that were added")
        return queries.peers(self._node)

    def _clock_confirm(self, params: Params, now: Now) -> Document:
        self._node.confirm_clock()
        return queries.clock(self._node)

    def _sync(self, params: Params, now: Now) -> Document | Waiting:
        exchange = self._node.exchange
        links = exchange.rounds.all_due(now.mono_ms)
        if not links:
            raise CallerError(Code.no_peers, "there is no open link; see: mesh peer list")
        received, sent = exchange.received, exchange.sent

        def ready(at: Now) -> Document | None:
            if any(exchange.busy(link, at) for link in links):
                return None
            return {
                "links": len(links),
                "received": exchange.received - received,
                "sent": exchange.sent - sent,
            }

        if not params.get("wait", False):
            return {"links": len(links), "received": 0, "sent": 0}
        return Waiting(
            now.mono_ms + WAIT_MS,
            ready,
            CallerError(Code.timed_out, "some links are not through yet; they go on"),
        )


def _read(log: Log, place: Place | None, limit: int, cursor: int | None, since_ms: int | None) -> Document:
    channel = place.id if place else None
    rows = log.latest(channel, limit, since_ms) if cursor is None else log.after(cursor, channel, limit)
    if cursor is None:
        upto = log.last_cursor()
    else:
        upto = rows[-1].cursor if len(rows) == limit else max(cursor, log.last_cursor())
    posts = [documents.post_document(row, log) for row in rows]
    if _fitting(posts) < len(posts):  # in the order of the log, so that there is a cursor to go on from
        rows.sort(key=lambda row: row.cursor)
        posts = [documents.post_document(row, log) for row in rows]
        posts = posts[: _fitting(posts)]
        upto = rows[len(posts) - 1].cursor
    if channel is not None and rows:
        log.set_read(channel, upto)
    return {
        "posts": posts,
        "missing": [documents.missing_document(gap, log) for gap in log.missing(channel)],
        "cursor": upto,
    }


def _fitting(posts: list[Document]) -> int:
    """How many of these documents fit into an answer of READ_ANSWER_SIZE."""
    if sum(_BARE_SIZE_MAX + 12 * len(post["text"]) for post in posts) <= READ_ANSWER_SIZE:
        return len(posts)  # a character takes at most twelve bytes, so there is nothing to measure
    size = 0
    for count, post in enumerate(posts):
        size += len(json.dumps(post))
        if size > READ_ANSWER_SIZE:
            return count
    return len(posts)


def _since(since: str | int | None, now: Now) -> tuple[int | None, int | None]:
    """A cursor, or wall milliseconds, or neither."""
    if since is None:
        return None, None
    text = str(since)
    if text.isascii() and text.isdigit() and len(text) < 19:
        return int(text), None
    age = _AGE.fullmatch(text)
    if age is None:
        raise CallerError(Code.usage, "since is an age like 30m, 2h or 3d, or a cursor")
    return None, now.wall_ms - int(age[1]) * _AGE_MS[age[2]]


def _posted(identity: bytes, draft: Draft, state: str) -> Document:
    return {"id": identity.hex(), "channel": draft.place.name, "state": state, "first": draft.first}


def _wait_ms(params: Params) -> int:
    timeout = params.get("timeout", WAIT_MS / 1000)
    if not 0 < timeout <= 86_400:
        raise CallerError(Code.usage, "timeout is a number of seconds, up to a day")
    return int(timeout * 1000)


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
