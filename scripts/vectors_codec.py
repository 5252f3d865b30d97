"""Makes encoding.json and time.json: arrays of slots, what must be refused of them, and the clock step by step.

Rule: a refused array is what one slip in another encoder would send: its `slots` are the types that were expected,
its bytes have one thing wrong.
"""

from vectors_fixed import HOUR_MS, NOW_MS, Vector, require_refusal
from vectors_time import mesh_time

from meshd import codec
from meshd.events import Now
from meshd.exchange import Exchange
from meshd.hlc import Clock
from meshd.limits import EXPIRES_SOON_S, HLC_AHEAD_MS, HLC_REFUSE_MS

_TYPES = {int: "int", bytes: "bytes", str: "text"}
SIZE_MAX = 70_000

_VALID: tuple[tuple[int | bytes | str, ...], ...] = (
    (0, 127, 128, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**63 - 1),
    (b"", b"\0", bytes(255), bytes(256)),
    ("", "a", "a" * 31, "a" * 32, "a" * 255, "a" * 256),
    ("caf\u00e9", "\U0001f335", "\0", "\u202e"),
    tuple(range(15)),
    (1, b"two", "three"),
)

_REFUSED: dict[str, tuple[tuple[type, ...], str]] = {
    "no bytes": ((int,), ""),
    "no array but an int": ((int,), "05"),
    "a slot too few": ((int, int), "9105"),
    "a slot too many": ((int,), "920505"),
    "cut before the last slot": ((int, int), "9205"),
    "a byte behind the end": ((int,), "910500"),
    "an array head of 3 bytes": ((int,), "dc000105"),
    "an array head of 5 bytes": ((int,), "dd0000000105"),
    "uint 8 for 5": ((int,), "91cc05"),
    "uint 16 for 128": ((int,), "91cd0080"),
    "uint 32 for 65 535": ((int,), "91ce0000ffff"),
    "uint 64 for 2^32 - 1": ((int,), "91cf00000000ffffffff"),
    "a signed int of 8 bits for 5": ((int,), "91d005"),
    "2^63": ((int,), "91cf8000000000000000"),
    "2^64 - 1": ((int,), "91cfffffffffffffffff"),
    "minus one": ((int,), "91ff"),
    "minus 2^63": ((int,), "91d38000000000000000"),
    "bin 16 for 1 byte": ((bytes,), "91c5000100"),
    "bin 32 for 1 byte": ((bytes,), "91c60000000100"),
    "str 8 for 1 byte": ((str,), "91d90161"),
    "str 16 for 32 bytes": ((str,), "91da0020" + "61" * 32),
    "bytes cut": ((bytes,), "91c40200"),
    "bytes that claim 2^32 - 1": ((bytes,), "91c6ffffffff00"),
    "text that claims 2^32 - 1": ((str,), "91dbffffffff00"),
    "an array that claims 2^32 - 1": ((int,), "ddffffffff00"),
    "a map that claims 2^32 - 1": ((int,), "91dfffffffff00"),
    "ext that claims 2^32 - 1": ((int,), "91c9ffffffff0000"),
    "text for bytes": ((bytes,), "91a161"),
    "bytes for text": ((str,), "91c40161"),
    "int for bytes": ((bytes,), "9105"),
    "true for 1": ((int,), "91c3"),
    "nil": ((int,), "91c0"),
    "a float of 1.0": ((int,), "91ca3f800000"),
    "not a number": ((int,), "91cb7ff8000000000000"),
    "an empty map": ((int,), "9180"),
    "an empty array": ((int,), "9190"),
    "an array inside": ((int,), "919105"),
    "a timestamp": ((int,), "91d6ff00000000"),
    "the byte that means nothing": ((int,), "91c1"),
    "text with an overlong form": ((str,), "91a2c080"),
    "text with a surrogate": ((str,), "91a3eda080"),
    "text cut inside a character": ((str,), "91a1c3"),
    "600 arrays, one inside the other": ((int,), "91" * 600 + "05"),
    "16 slots": ((int,) * 16, "dc0010" + "00" * 16),
}


def _slot(value: int | bytes | str) -> dict[str, int | str]:
    return {_TYPES[type(value)]: value.hex() if isinstance(value, bytes) else value}


def encoding() -> Vector:
    """What encoding.json holds."""
    for schema, raw in _REFUSED.values():
        require_refusal(codec.unpack, bytes.fromhex(raw), schema, SIZE_MAX)
    parts = [b"", b"a", bytes(300)]
    cut = ("00", "0001", "000161" + "0002" + "61")
    for raw in cut:
        require_refusal(codec.split, bytes.fromhex(raw))
    return {
        "valid": [
            {"slots": [_slot(s) for s in slots], "bytes": codec.pack(*slots).hex()} for slots in _VALID
        ],
        "long": [  # one slot of so many zeros: the first bytes, and the size of the whole
            {"zeros": count, "begins": (packed := codec.pack(bytes(count)))[:8].hex(), "size": len(packed)}
            for count in (65_535, 65_536)
        ],
        "refused": [
            {"name": name, "slots": [_TYPES[kind] for kind in schema], "bytes": raw}
            for name, (schema, raw) in _REFUSED.items()
        ],
        "lists": {
            "valid": [
                {"elements": [part.hex() for part in some], "bytes": codec.join(some).hex()}
                for some in ([], parts[:1], parts)
            ],
            "refused": list(cut),
        },
    }


def time() -> Vector:
    """What time.json holds."""
    clock, steps = Clock(), []
    base, ahead = NOW_MS << 16, HLC_AHEAD_MS
    for name, remote, wall_ms in (
        ("a first stamp", None, NOW_MS),
        ("a second in the same millisecond", None, NOW_MS),
        ("the wall clock moved on", None, NOW_MS + 5),
        ("the wall clock went back", None, NOW_MS - 1000),
        ("an older stamp of a peer changes nothing", base - 1, NOW_MS + 5),
        ("a peer is ahead by a second", (NOW_MS + 1005 << 16) + 7, NOW_MS + 5),
        ("our next stamp is later than the peer's", None, NOW_MS + 6),
        ("a peer is ahead as far as it may be", (NOW_MS + 6 + ahead << 16) + 65_535, NOW_MS + 6),
        ("our next stamp runs over into the milliseconds", None, NOW_MS + 7),
        ("a peer is too far ahead", NOW_MS + 9 + ahead << 16, NOW_MS + 8),
        ("our next stamp takes no notice", None, NOW_MS + 8),
        ("the wall clock went back by nearly a day", None, NOW_MS + HLC_AHEAD_MS - HLC_REFUSE_MS + 10),
        ("the wall clock went back by more than a day", None, NOW_MS + HLC_AHEAD_MS - HLC_REFUSE_MS + 4),
    ):
        if remote is None:
            clock.stamp(wall_ms)
        else:
            clock.observe(remote, wall_ms)
        act = "stamp" if remote is None else "observe"
        steps.append({"name": name, "act": act, "wall_ms": wall_ms, "seen": remote, "last": clock.last})
    start = NOW_MS // HOUR_MS * HOUR_MS
    soon = EXPIRES_SOON_S * 1000
    exchange = Exchange.__new__(Exchange)  # the floor hour is a formula, of no state
    moments = (start, start + HOUR_MS - soon - 1, start + HOUR_MS - soon, start + HOUR_MS - 1)
    return {
        "clock": steps,
        "mesh_time": mesh_time(),
        "hours": [
            {
                "wall_ms": wall_ms,
                "hour": wall_ms // HOUR_MS,
                "floor_hour": exchange.floor_hour(Now(0, wall_ms)),
            }
            for wall_ms in moments
        ],
    }
