"""Strict msgpack: arrays with fixed slots and exact types, refused unless they re-encode to the same bytes.

The rule and why: msgpack is not canonical (non-minimal integers and lengths, duplicate keys, floats, NaN,
timestamps), and whatever is not canonical lets one post have two hashes. So a structure is one flat array of at
most 15 slots, each an unsigned integer below 2^63, a byte string or a UTF-8 string, and `unpack` accepts a
byte string only if packing the result gives the very same bytes. No maps, floats, booleans, nil or ext, and no
arrays inside arrays: lists travel as byte strings of fixed-size elements, or `u16 length ‖ bytes` repeated.

An inner array or map is refused the moment it ends, so that a megabyte of empty ones never becomes objects
(protocol.md, "Encoding").
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, NoReturn

import msgpack

from meshd.errors import PeerError

SLOTS_MAX = 15
_INT_MAX = 2**63 - 1

_packer = msgpack.Packer(use_bin_type=True, autoreset=True)


def pack(*slots: int | bytes | str) -> bytes:
    """The canonical bytes of one array."""
    packed: bytes = _packer.pack(slots)
    return packed


def _refuse(_: Any) -> NoReturn:
    raise PeerError("a map, where only an array may stand")


@lru_cache(maxsize=64)  # schemas are constants, a few dozen; making the function takes as long as calling it
def _outermost(schema: tuple[type, ...]) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    def check(items: tuple[Any, ...]) -> tuple[Any, ...]:
        # Called for every array as it ends, the innermost first: an inner one never fits the schema.
        if tuple(map(type, items)) != schema:
            raise PeerError("slots of the wrong number or type")
        return items

    return check


def unpack(raw: bytes, schema: tuple[type, ...], size_max: int) -> tuple[Any, ...]:
    """The slots of one array whose types are exactly `schema`; PeerError for anything else.

    `size_max` is in bytes and checked before a byte is looked at. Integers are 0 … 2^63 - 1.
    """
    if len(raw) > size_max:
        raise PeerError("longer than it may be")

    try:
        items: tuple[Any, ...] = msgpack.unpackb(
            raw,
            use_list=False,
            list_hook=_outermost(schema),
            object_hook=_refuse,
            max_array_len=SLOTS_MAX,
            max_map_len=0,
            max_ext_len=0,
        )
    except (ValueError, RecursionError, msgpack.UnpackException) as error:
        raise PeerError(f"not msgpack: {type(error).__name__}") from None
    if type(items) is not tuple:
        raise PeerError("not an array")
    for item in items:
        if type(item) is int and not 0 <= item <= _INT_MAX:
            raise PeerError("an integer out of range")
    if _packer.pack(items) != raw:
        raise PeerError("not in its shortest encoding")
    return items


def join(parts: Iterable[bytes]) -> bytes:
    """A list of byte strings of up to 65 535 bytes as one: `u16 length ‖ bytes`, repeated."""
    return b"".join(len(part).to_bytes(2, "big") + part for part in parts)


def split(joined: bytes) -> list[bytes]:
    """The parts of `join`; PeerError if the last one is cut."""
    parts = []
    start, end = 0, len(joined)
    while start < end:
        stop = start + 2 + int.from_bytes(joined[start : start + 2], "big")
        if start + 2 > end or stop > end:
            raise PeerError("a list that is cut")
        parts.append(joined[start + 2 : stop])
        start = stop
    return parts


def chop(joined: bytes, size: int, count_max: int) -> list[bytes]:
    """The elements of `size` bytes in `joined`; PeerError if it is no whole number of them, or over the count."""
    if len(joined) % size or len(joined) > size * count_max:
        raise PeerError("a list of the wrong length")
    return [joined[i : i + size] for i in range(0, len(joined), size)]
