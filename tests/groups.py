"""Sealed channels for tests: a group that homes are in, and envelopes made by hand.

The rule: the key of the group's epoch is given to each home directly, as whoever brings keys will do; nothing here
knows how a key travels.
"""

from typing import Any

from meshd import daykeys, envelope, post
from meshd.envelope import Sealed
from meshd.post import HOUR_MS
from tests.homes import Home, Table, linked
from tests.wire import WALL_MS, Author

GROUP = b"g" * 16
EPOCH = b"e" * 32
KEY = b"k" * 32
HOUR_NOW = WALL_MS // HOUR_MS
DAY = daykeys.key_day(HOUR_NOW)
EXPIRY = HOUR_NOW + 72


def join(
    home: Home, *, channel: bytes = GROUP, name: str = "kitchen", epoch: bytes = EPOCH, key: bytes = KEY
) -> None:
    """Let a home be in the group, with the key of today."""
    home.node.intake.sealing.join(channel, name, "group", epoch, DAY, key)
    commit(home)


def commit(home: Home) -> None:
    """As at the end of an event."""
    home.carry.commit()
    home.log.commit()
    home.table.settle()


def inside(author: Author, /, **changed: Any) -> bytes:
    """The content around a post of the group by this author, signed."""
    slots = {"channel": GROUP, "epoch": EPOCH, "keep_until": EXPIRY, **changed}
    signed = post.encode(author.post(**slots))
    return envelope.post_content(signed, post.sign(author.secret, post.post_id(signed)))


def seal(content: bytes, *, hour: int = EXPIRY, key: bytes = KEY, nonce: bytes = bytes(24)) -> bytes:
    """An envelope of the group around any content; `key` is today's."""
    return envelope.seal(daykeys.advance(key, daykeys.key_day(hour) - DAY), hour, nonce, content)


def sealed_post(author: Author, /, *, nonce: bytes = bytes(24), **changed: Any) -> bytes:
    """The envelope of a post in the group."""
    return seal(inside(author, **changed), hour=changed.get("keep_until", EXPIRY), nonce=nonce)


def parsed(raw: bytes) -> Sealed:
    """A sealed envelope, read."""
    found = envelope.parse(raw)
    assert isinstance(found, Sealed)
    return found


def members(table: Table, count: int = 1) -> list[Home]:
    """New homes that are in the group."""
    made = [table.home() for _ in range(count)]
    for home in made:
        join(home)
    return made


def bring(home: Home, *raws: bytes) -> None:
    """Somebody gives this and goes."""
    giver = linked(home, 1)
    giver.give(*raws)
    assert giver.is_open
    home.table.cut(giver, giver.link)
    home.table.settle()


def shown(home: Home) -> list[str]:
    """What `read` shows of the group."""
    return home.texts("group:kitchen")
