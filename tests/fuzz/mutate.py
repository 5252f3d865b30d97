"""Hostile bytes that are nearly right: an input that fails the first check tries nothing behind it.

The rule: start from something honest, change one thing in its structure (a slot, a header, a length, a bound) or a few
of its bytes, and leave about half of all inputs right up to the last check. All choices come from the `rng` given.
"""

import random
from collections.abc import Sequence

from tests import wire

EDGES = (
    0,
    1,
    2,
    127,
    128,
    255,
    256,
    2**16 - 1,
    2**16,
    2**31,
    2**32 - 1,
    2**32,
    2**62,
    2**63 - 1,
    2**63,
    2**64 - 1,
)
SIZES = (0, 1, 15, 16, 17, 20, 31, 32, 33, 63, 64, 65, 255, 256, 1024)
ALIEN = (
    wire.FLOAT, wire.NAN, wire.MINUS_ZERO, wire.TIMESTAMP, wire.NIL, wire.TRUE, wire.FALSE, wire.EMPTY_MAP,
    wire.MINUS_ONE, wire.array(), b"\x81\1\1", b"\x82\1\1\1\1", b"\xc1", b"\xdd\xff\xff\xff\xff",
    b"\xc6\xff\xff\xff\xff",
    b"\xdf\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff", b"\xc9\xff\xff\xff\xff\1", b"\x91" * 600, b"\xa1\xff",
)  # fmt: skip

Slot = int | bytes | str


def number(rng: random.Random) -> int:
    """An integer, often one where something ends."""
    edge = rng.choice(EDGES)
    return max(0, min(2**64 - 1, edge + rng.randint(-2, 2))) if rng.random() < 0.7 else rng.getrandbits(63)


def chunk(rng: random.Random) -> bytes:
    """Bytes of a length where something ends."""
    return rng.randbytes(rng.choice(SIZES) if rng.random() < 0.8 else rng.randrange(4096))


def slot(rng: random.Random) -> bytes:
    """One packed value of any kind."""
    kind = rng.randrange(5)
    if kind == 0:
        return wire.item(number(rng))
    if kind == 1:
        return wire.item(chunk(rng))
    if kind == 2:
        return wire.item("\u00e9" * rng.choice((0, 1, 16, 33)))
    if kind == 3:
        return rng.choice(ALIEN)
    width = rng.choice((2, 4))
    return wire.item(chunk(rng)[:100], width) if rng.random() < 0.5 else wire.item(rng.randrange(200), width)


def array(rng: random.Random, slots: Sequence[Slot]) -> bytes:
    """An honest array, with one thing in its structure changed half of the time."""
    items = [wire.item(each) for each in slots]
    if rng.random() < 0.5:
        return wire.array(*items)
    change = rng.randrange(6)
    place = rng.randrange(len(items))
    if change <= 2:
        items[place] = slot(rng)
    elif change == 3:
        del items[place]
    elif change == 4:
        items.insert(place, slot(rng))
    else:
        return wire.array(*items, width=rng.choice((2, 4)))
    return wire.array(*items)


def scratched(rng: random.Random, raw: bytes) -> bytes:
    """A few bytes changed, half of the time."""
    if rng.random() < 0.5:
        return raw
    changed = bytearray(raw)
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        place = rng.randrange(len(changed) + 1)
        change = rng.randrange(5)
        if change == 0:
            changed[place:place] = rng.randbytes(rng.choice((1, 2, 8)))
        elif change == 1:
            del changed[place : place + rng.choice((1, 2, 100))]
        elif change == 2 and place < len(changed):
            changed[place] ^= 1 << rng.randrange(8)
        elif change == 3 and place < len(changed):
            changed[place] = rng.choice((0, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        else:
            other = rng.randrange(len(changed) + 1)
            changed[place:place] = changed[other : other + rng.choice((1, 16, 300))]
    return bytes(changed)
