"""What clients read: `read`, `search` and `show`; and what they mark, to have it stay.

The rule: an answer holds what this node has, and waits for what it has but did not look at yet: envelopes that are
carried but not opened (after a join, a crash, an unlock), and for a search posts that are not indexed. An answer too
long for a line stops early at its `cursor`, from which the caller goes on; its posts are then in the order of the log.
"""

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from meshd import crypto, documents, envelope, firings
from meshd.answers import Document, Method, Params, Waiting
from meshd.envelope import Sealed
from meshd.errors import CallerError, Code
from meshd.events import Now
from meshd.ids import envelope_key
from meshd.limits import READ_ANSWER_SIZE, READ_LIMIT_DEFAULT, READ_LIMIT_MAX, WAIT_MS
from meshd.post import HOUR_MS
from meshd.store.log import Row
from meshd.store.search import compile_query

if TYPE_CHECKING:
    from meshd.node import Node

_AGE = re.compile(r"(\d{1,9})([smhd])", re.ASCII)
_AGE_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_BARE_SIZE_MAX = 1400  # bytes of a post's document as JSON, its text aside


class Reading:
    """Answers what is read from a node's log."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        self.methods: dict[str, Method] = {
            "read": self._read,
            "search": self._search,
            "show": self._show,
            "mark": self._mark,
        }

    def _read(self, params: Params, now: Now) -> Document | Waiting:
        node, log = self._node, self._node.require_log()
        place = node.commands.channel(params["channel"]) if "channel" in params else None
        channel = place.id if place else None
        limit = _limit(params)
        cursor, since_ms = since(params.get("since"), now)
        if place is not None:
            node.intake.join(place.id, place.name)

        def ready(_: Now) -> Document | None:
            # A key that is new holds up who reads what it opens, and nobody else.
            is_sealed = channel is not None and node.intake.sealing.is_sealed(channel)
            if node.intake.behind or (is_sealed and node.intake.is_scanning):
                return None
            if cursor is None:
                answer = _answer(log.latest(channel, limit, since_ms), node, channel, log.last_cursor())
            else:
                answer = _later(log.after(cursor, channel, limit), node, channel, limit, cursor)
            if channel is not None and answer["posts"] and not node.room.is_full:
                log.set_read(channel, answer["cursor"])
            return answer

        return _now_or_later(ready, now, "still opening what is carried; try again")

    def _search(self, params: Params, now: Now) -> Document | Waiting:
        node, log = self._node, self._node.require_log()
        words = compile_query(params["query"])
        place = node.commands.channel(params["channel"]) if "channel" in params else None
        if place is not None and not log.channel_name(place.id):
            raise CallerError(
                Code.not_found, f"nothing of the channel {place.name} is here: mesh read it first"
            )
        channel = place.id if place else None
        limit = _limit(params)
        cursor, since_ms = since(params.get("since"), now)
        if since_ms is not None:
            raise CallerError(Code.usage, "since is a cursor here: a search goes on from one")

        def ready(at: Now) -> Document | None:
            # While the disk is full nothing is indexed: then what is, is what there is to find.
            if node.intake.behind or (node.indexing.behind and not node.room.is_full):
                node.indexing.hurry(at)
                return None
            rows = log.search(words, channel, cursor, limit)
            if cursor is None:
                return _answer(rows, node, channel, log.last_cursor())
            return _later(rows, node, channel, limit, cursor)

        return _now_or_later(ready, now, "still indexing what came; try again")

    def _show(self, params: Params, now: Now) -> Document:
        node, log = self._node, self._node.require_log()
        row = node.commands.row(log, params["id"])
        return {
            **documents.post_documents([row], log)[0],
            "vouched_by": documents.vouched_by(row.author, log),
            "signature": self._signature(row),
            "first_seen": documents.rfc3339(row.first_seen_ms),
            "via": row.via,
            "parents": [parent.hex() for parent in row.parent_ids()],
            "forked": bool(row.forked),
            "marked": bool(row.is_marked),
        }

    def _mark(self, params: Params, now: Now) -> Document:
        node, log, is_marked = self._node, self._node.require_log(), not params.get("remove")
        node.room.require()
        row = node.commands.row(log, params["id"])
        own = node.groups.get(row.channel) if node.groups is not None else None
        if is_marked and own is not None and own.group.is_strict:
            raise CallerError(Code.refused, "this group is strict: nothing in it is kept over a day")
        log.kept.mark(row.id, is_marked)
        if not is_marked:
            if row.channel_kind != "public" and row.keep_until <= now.wall_ms // HOUR_MS:
                log.openings.note(
                    [(envelope_key(row.keep_until, row.id), row.id)]
                )  # by which it is found to be over
            node.upkeep.retention.again()
        return {"id": row.id.hex(), "marked": is_marked}

    def _signature(self, row: Row) -> str:
        """`valid`: just verified again. `was-valid`: it was when the post came, but its envelope is no longer here."""
        carry = self._node.carry
        sealed = self._node.require_log().openings.envelope_of(row.id)
        found = carry.read(carry.find([(sealed or bytes(8) + row.id)[8:24]])[0])
        for _, raw in found:
            parsed = envelope.parse(raw)
            held = self._node.intake.sealing.open_again(parsed) if isinstance(parsed, Sealed) else parsed
            if held is not None and held.id == row.id:
                if crypto.verify_many([envelope.check(held)]) == [True]:
                    return "valid"
                raise CallerError(
                    Code.invalid, "what is carried of this post does not verify: the file is damaged"
                )
        return "was-valid"


def _now_or_later(ready: Callable[[Now], Document | None], now: Now, late: str) -> Document | Waiting:
    return ready(now) or Waiting(now.mono_ms + WAIT_MS, ready, CallerError(Code.timed_out, late))


def _limit(params: Params) -> int:
    limit: int = params.get("limit", READ_LIMIT_DEFAULT)
    if not 1 <= limit <= READ_LIMIT_MAX:
        raise CallerError(Code.usage, f"limit is a number from 1 to {READ_LIMIT_MAX}")
    return limit


def since(given: str | int | None, now: Now) -> tuple[int | None, int | None]:
    """A cursor, or wall milliseconds, or neither."""
    if given is None:
        return None, None
    text = str(given)
    if text.isascii() and text.isdigit() and len(text) < 19:
        return int(text), None
    age = _AGE.fullmatch(text)
    if age is None:
        raise CallerError(Code.usage, "since is an age like 30m, 2h or 3d, or a cursor")
    return None, now.wall_ms - int(age[1]) * _AGE_MS[age[2]]


def _later(rows: list[Row], node: "Node", channel: bytes | None, limit: int, cursor: int) -> Document:
    """The posts after a cursor: go on from the last if there may be more, else from the end of the log."""
    upto = rows[-1].cursor if len(rows) == limit else max(cursor, node.require_log().last_cursor())
    return _answer(rows, node, channel, upto)


def _answer(rows: list[Row], node: "Node", channel: bytes | None, upto: int) -> Document:
    log = node.require_log()
    posts = documents.post_documents(rows, log)
    if _fitting(posts) < len(posts):  # in the order of the log, so that there is a cursor to go on from
        rows.sort(key=lambda row: row.cursor)
        posts = documents.post_documents(rows, log)
        posts = posts[: _fitting(posts)]
        upto = rows[len(posts) - 1].cursor
    return {
        "posts": posts,
        "missing": [documents.missing_document(gap, log) for gap in log.missing(channel)],
        "fired": firings.fired(node, channel),
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
