"""A second reader of directs, written from protocol.md alone, as `independent`."""

from typing import NamedTuple

from tests.independent import Close, H, array, post_id, require, text_body
from tests.independent_groups import ascending, epoch, is_key, pieces
from tests.independent_prekeys import key_of
from tests.independent_sealed import Ignore, inside, moved_on, opened, sealed


class Laptop(NamedTuple):
    """What somebody has who is written to."""

    identity: bytes
    day: int  # of the inbox key
    inbox_key: bytes
    secrets: dict[int, bytes]  # of the prekeys, by day


def content(raw: bytes, day: int, key: bytes, wall_ms: int) -> tuple[bytes, int]:
    """What a day key opens, and the envelope's expiry hour."""
    found = sealed(raw, wall_ms)
    if found.hour // 24 < day:
        raise Ignore
    return opened(found, moved_on(key, found.hour // 24 - day)), found.hour


def read(
    own: Laptop, key_envelope: bytes, epoch_post: bytes, words: bytes, wall_ms: int
) -> tuple[bytes, str]:
    """(sender, text) of the first words in a direct that somebody begins; Ignore where the page says so."""
    key = key_of(content(key_envelope, own.day, own.inbox_key, wall_ms)[0], own.identity, own.secrets)
    pair = sorted((own.identity, key.sender))
    if key.channel != H("meshd/1 direct", *pair, size=16):
        raise Ignore
    raw, hour = content(epoch_post, key.day, key.key, wall_ms)
    begun = inside(raw, key.channel, key.epoch, hour)
    _, signed, _ = array(raw, "int bytes bytes", 34_000)
    assert isinstance(signed, bytes)
    try:
        found = epoch(post_id(signed), begun.channel, begun.author, begun.hlc >> 16, begun.body)
    except Close:
        raise Ignore from None
    if begun.kind != 2 or found.id != key.epoch or not found.flags & 4 or not is_key(found, key.day, key.key):
        raise Ignore
    raw, hour = content(words, key.day, key.key, wall_ms)
    said = inside(raw, key.channel, key.epoch, hour)
    text = text_body(said.body)
    if said.kind != 1 or said.author != key.sender or text is None:
        raise Ignore
    return said.author, text[2]


def receipt(body: bytes) -> list[bytes]:
    """The posts that a body of kind 7 is for; none where the page says **hide**."""
    try:
        (joined,) = array(body, "bytes", 16_384)
        assert isinstance(joined, bytes)
        ids = pieces(joined, 32, 50)
        require(ascending(ids))
    except Close:
        return []
    return ids
