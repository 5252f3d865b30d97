"""Bundles for tests, written and read by homes without a daemon: as it does it, a slice after the other."""

from typing import Any

from meshd.store.bundle import Reader, Writer
from tests.homes import Home

SALT = bytes(range(16))
COUNTS = ("new", "known", "refused", "expired")


def exported(home: Home, **which: Any) -> bytes:
    """The file that a home writes."""
    writer = Writer(home.carry.network_key, SALT)
    content = writer.begin()
    after = b""
    while after is not None:
        part = home.ask("bundle.give", after=after, **which)
        content += writer.add(part["envelopes"])
        after = part["after"]
    return content + writer.end()


def written(home: Home, *raws: bytes) -> bytes:
    """A file for a home that holds any bytes as envelopes."""
    writer = Writer(home.carry.network_key, SALT)
    return writer.begin() + writer.add(raws) + writer.end()


def imported(home: Home, content: bytes) -> tuple[int, ...]:
    """What came of importing it: new, known, refused, expired."""
    reader = Reader(home.carry.network_key)
    document = home.ask("bundle.take", envelopes=reader.feed(content))
    reader.close()
    home.table.settle()
    return tuple(document[what] for what in COUNTS)
