"""JSON documents from rows of the log: what `read`, `channel list` and subscriptions answer.

The rule: a document is made here and nowhere else, so that a post looks the same by whatever way it is asked for.
Ids are full lower-case hex, times RFC 3339 in UTC with milliseconds. A person is shown by the petname that the user
gave them, which has no `#`; anybody else as `name#7f3a`: the name is whatever the author wrote, the tag is the
beginning of the author's key, long enough to be the only one here.
Names and texts stand as they came: what shows them to a person makes control and bidi characters inert.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from meshd.post import HOUR_MS, KIND_TEXT
from meshd.store.contacts import Contact
from meshd.store.log import Channel, Log, Row
from meshd.words import fingerprint

Document = dict[str, Any]

_EPOCH = datetime(1970, 1, 1)


def rfc3339(wall_ms: int) -> str:
    """`2026-11-22T13:00:00.250Z` for milliseconds since 1970."""
    return f"{_second(wall_ms // 1000)}.{wall_ms % 1000:03}Z"


@lru_cache(
    maxsize=1024
)  # the posts of an answer expire at few hours, and those of a backlog are close in time
def _second(wall_s: int) -> str:
    return (_EPOCH + timedelta(seconds=wall_s)).isoformat()


def author_name(name: str, author: bytes, log: Log) -> str:
    """The user's own name for them; else `name#7f3a`, or `#7f3a` for an author who has told no name."""
    return log.contacts.get(author).petname or f"{name}#{log.authors.tag(author)}"


def vouched_by(identity: bytes, log: Log) -> list[str]:
    """The ids of those whose word for this key counts."""
    return [voucher.hex() for voucher in log.contacts.vouchers(identity)]


def channel_name(name: str, log: Log) -> str:
    """What a channel of this name in the log is called: a direct, which begins with #, as the other one."""
    if not name.startswith("#"):
        return name
    other = bytes.fromhex(name[1:])
    return author_name(log.authors.name(other), other, log)


def post_documents(rows: Sequence[Row], log: Log) -> list[Document]:
    """POST of each of these, which were read together: who wrote several of them is looked up once."""
    authors: dict[bytes, tuple[str, str]] = {}
    for row in rows:
        if row.author not in authors:
            name = author_name(row.author_name, row.author, log)
            authors[row.author] = name, "self" if row.own else log.contacts.trust(row.author)
    return [_post_document(row, *authors[row.author], log) for row in rows]


def _post_document(row: Row, name: str, trust: str, log: Log) -> Document:
    """`clock_off_s`: seconds by which the stamp was ahead of our clock when we first saw the post."""
    time_ms = row.hlc >> 16
    return {
        "id": row.id.hex(),
        "channel": channel_name(row.channel_name, log),
        "author": row.author.hex(),
        "name": name,
        "trust": trust,
        "text": row.text,
        "time": rfc3339(time_ms),
        "clock_off_s": max(0, time_ms - row.first_seen_ms) // 1000,
        "kind": "text" if row.kind == KIND_TEXT else str(row.kind),
        "reply_to": row.reply_to.hex() or None,
        "held_by": {"contacts": row.held_contacts, "others": row.held_others},
        "delivered": bool(row.own) and row.channel_kind == "direct" and log.inboxes.is_delivered(row.id),
        "after_removal": log.groups.came_after_removal(row),
        "sealed": row.channel_kind != "public",
        "expires": rfc3339(row.keep_until * HOUR_MS),
    }


def missing_document(gap: tuple[bytes | None, bytes, int], log: Log) -> Document:
    """A gap as `Log.missing` tells it; author and name are null where nobody knows who wrote what is missing."""
    author, channel, count = gap
    return {
        "author": author.hex() if author else None,
        "name": author_name(log.authors.name(author), author, log) if author else None,
        "channel": channel_name(log.channel_name(channel), log),
        "count": count,
    }


def contact_document(contact: Contact, log: Log) -> Document:
    """A contact; `fingerprint` is the 12 words of its key."""
    return {
        "id": contact.identity.hex(),
        "name": author_name(log.authors.name(contact.identity), contact.identity, log),
        "trust": log.contacts.trust(contact.identity),
        "vouched_by": vouched_by(contact.identity, log),
        "added": contact.is_added,
        "muted": contact.is_muted,
        "blocked": contact.is_blocked,
        "fingerprint": fingerprint(contact.identity),
    }


def channel_document(channel: Channel, members: int | None, log: Log) -> Document:
    """A channel on the list; nobody can count the members of a public one: null."""
    return {
        "id": channel.id.hex(),
        "name": channel_name(channel.name, log),
        "kind": channel.kind,
        "members": members,
        "unread": channel.unread,
    }
