"""Reconcile, written a second time from protocol.md alone (see `independent`).

The rule: plain and slow. A reply is a list of ranges that is encoded from the start whenever its length matters, and
the keys of a range are found by looking at all of them.
"""

from collections.abc import Callable
from hashlib import sha256
from itertools import pairwise
from struct import pack
from typing import NamedTuple

from tests.independent import Close, H, require

INFINITY = 2**64 - 1
END = pack(">Q", INFINITY)
SKIP, FINGERPRINT, IDS = 0, 1, 2


def varint(number: int) -> bytes:
    digits = [number & 127]
    while number := number >> 7:
        digits.insert(0, number & 127 | 128)
    return bytes(digits)


class Range(NamedTuple):
    """`bound` is 8 bytes of hour and a prefix, as written; `ids` for mode 2, `content` what follows the mode."""

    bound: bytes
    mode: int
    content: bytes = b""
    ids: tuple[bytes, ...] = ()


def filled(bound: bytes) -> bytes:
    return bound.ljust(40, b"\0")


def encode(ranges: list[Range]) -> bytes:
    out, before = b"\x61", 0
    for bound, mode, content, _ in ranges:
        hour = int.from_bytes(bound[:8], "big")
        out += b"\0" if hour == INFINITY else varint(1 + hour - before)
        out += varint(len(bound) - 8) + bound[8:] + varint(mode) + content
        before = hour
    return out


def read_varint(payload: bytes, at: int) -> tuple[int, int]:
    number = 0
    for place in range(at, at + 10):
        require(place < len(payload))
        number = number << 7 | payload[place] & 0x7F
        if payload[place] < 0x80:
            require(number < 2**64)
            return number, place + 1
    raise Close


def decode(payload: bytes) -> list[Range]:
    """The ranges of a payload that begins with 0x61."""
    found: list[Range] = []
    at, hour, lower = 1, 0, bytes(40)
    while at < len(payload):
        require(len(found) < 40_000)
        time, at = read_varint(payload, at)
        hour = min(hour + time - 1, INFINITY) if time else INFINITY
        length, at = read_varint(payload, at)
        require(length <= 32 and length <= len(payload) - at)
        bound = pack(">Q", hour) + payload[at : at + length]
        at += length
        upper = filled(bound)
        require(upper >= lower)
        mode, at = read_varint(payload, at)
        require(mode in (SKIP, FINGERPRINT, IDS))
        count = 0
        begin = at
        if mode == IDS:
            count, at = read_varint(payload, at)
        size = 32 * count if mode == IDS else 16 if mode == FINGERPRINT else 0
        require(size <= len(payload) - at)
        ids = tuple(payload[at + 32 * n : at + 32 * n + 32] for n in range(count))
        at += size
        hours = hour - int.from_bytes(lower[:8], "big")
        for each in ids:
            above, below = each >= lower[8:], each < upper[8:]
            require(hours > 1 or (hours == 1 and (above or below)) or (above and below))
        found.append(Range(bound, mode, payload[begin:at], ids))
        lower = upper
    return found


Weigh = Callable[[bytes], bytes]  # what an id counts as in a sum


def itself(id: bytes) -> bytes:
    return id


def keyed_with(handshake_hash: bytes) -> Weigh:
    return lambda id: H("meshd/1 keyed round", handshake_hash, id)


def print_of(keys: list[bytes], weigh: Weigh = itself) -> bytes:
    total = sum(int.from_bytes(weigh(key[8:]), "little") for key in keys) % 2**256
    return sha256(total.to_bytes(32, "little") + varint(len(keys))).digest()[:16]


def listed(keys: list[bytes], bound: bytes) -> Range:
    return Range(bound, IDS, varint(len(keys)) + b"".join(key[8:] for key in keys))


def between(before: bytes, key: bytes) -> bytes:
    """The bound between two neighbouring keys."""
    if before[:8] != key[:8]:
        return key[:8]
    first = next(place for place in range(8, 40) if before[place] != key[place])
    return key[: first + 1]


def split(keys: list[bytes], bound: bytes, weigh: Weigh = itself) -> list[Range]:
    if len(keys) < 32:
        return [listed(keys, bound)]
    size, more = divmod(len(keys), 16)
    ends = [(number + 1) * size + min(number + 1, more) for number in range(16)]
    return [
        Range(
            bound if end == len(keys) else between(keys[end - 1], keys[end]),
            FINGERPRINT,
            print_of(keys[start:end], weigh),
        )
        for start, end in pairwise([0, *ends])
    ]


def opening(keys: list[bytes], weigh: Weigh = itself) -> bytes:
    return encode([Range(END, FINGERPRINT, print_of(keys, weigh))])


def answer(
    keys: list[bytes],
    payload: bytes,
    limit: int,
    difference: tuple[list[bytes], list[bytes]] | None = None,
    weigh: Weigh = itself,
) -> bytes:
    """The reply to a payload over sorted keys; an initiator passes (had, needed) to be filled in."""
    require(len(payload) > 0 and 0x60 <= payload[0] <= 0x6F)
    if payload[0] != 0x61:
        require(difference is None)
        return b"\x61"
    room = limit - 200 if limit else 2**62
    out: list[Range] = []
    skipped = b""
    lower = bytes(40)
    for bound, mode, content, ids in decode(payload):
        own = [key for key in keys if lower <= key < filled(bound)]
        behind = [key for key in keys if key >= filled(bound)]
        lower = filled(bound)
        added: list[Range] = []
        if mode == FINGERPRINT and content != print_of(own, weigh):
            added = split(own, bound, weigh)
        elif mode == IDS and difference is not None:
            difference[0].extend(key for key in own if key[8:] not in ids)
            difference[1].extend(each for each in ids if each not in {key[8:] for key in own})
        elif mode == IDS:
            fitting = (room - len(encode(out))) // 32 + 1
            if fitting < len(own):
                behind, own, bound = own[fitting:] + behind, own[:fitting], own[fitting]
            added = [listed(own, bound)]
        if not added:
            skipped = bound
            continue
        longer = out + ([Range(skipped, SKIP)] if skipped else []) + added
        over = len(encode(longer)) > room
        if mode == IDS or not over:
            out = longer
        if over:
            return encode([*out, Range(END, FINGERPRINT, print_of(behind, weigh))])
        skipped = b""
    return encode(out)
