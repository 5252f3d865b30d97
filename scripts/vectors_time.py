"""Vectors of mesh time: what a node takes the time to be, from its wall clock and the hellos it heard."""

from vectors_fixed import HOUR_MS, NOW_MS, Vector

from meshd.events import Now
from meshd.meshtime import POSSIBLE_MS, MeshTime

RELEASED_MS = NOW_MS - 30 * 24 * HOUR_MS
_HOUR = NOW_MS // HOUR_MS
_AHEAD = 10 * 365 * 24 * HOUR_MS


def mesh_time() -> list[Vector]:
    """Each: the wall clock and the last time known at the start, the hellos (monotonic time, wall hour, whether of a
    contact, each of another peer), and what holds at a monotonic time; the wall clock goes on with it."""
    cases: list[tuple[str, int, int, list[tuple[int, int, bool]]]] = [
        ("a possible clock, no hello", 0, 0, []),
        ("a possible clock, a hello that agrees", 0, 0, [(0, _HOUR + 1, False)]),
        ("a possible clock, strangers who say otherwise", 0, 0, [(0, _HOUR + 48, False)] * 3),
        ("three contacts who say otherwise", 0, 0, [(100, _HOUR + 48, True)] * 3),
        (
            "three contacts, one agrees with us",
            0,
            0,
            [(0, _HOUR + 48, True), (0, _HOUR + 48, True), (0, _HOUR, True)],
        ),
        ("the last possible moment", RELEASED_MS + POSSIBLE_MS - NOW_MS - 10_001, 0, []),
        ("five years past the release", RELEASED_MS + POSSIBLE_MS - NOW_MS, 0, []),
        ("1970, nobody met", -NOW_MS, 0, []),
        ("1970, one hello", -NOW_MS, 0, [(4_000, _HOUR, False)]),
        (
            "1970, three hellos: the middle one",
            -NOW_MS,
            0,
            [(4_000, _HOUR + 9, False), (5_000, _HOUR, False), (6_000, _HOUR + 1, False)],
        ),
        ("1970, two hellos: the earlier", -NOW_MS, 0, [(0, _HOUR + 2, False), (0, _HOUR, False)]),
        ("1970, a hello of one who does not know", -NOW_MS, 0, [(0, 0, False)]),
        ("ten years ahead, one hello", _AHEAD, 0, [(0, _HOUR, False)]),
        ("an hour before the last time known", 0, NOW_MS + HOUR_MS, []),
        ("more than an hour before the last time known", 0, NOW_MS + HOUR_MS + 10_001, []),
        ("more than an hour after the last time known", 0, NOW_MS - HOUR_MS - 1, []),
        ("the same, and a hello agrees", 0, NOW_MS - HOUR_MS - 1, [(0, _HOUR, False)]),
    ]
    made: list[Vector] = []
    for name, off_ms, seen_ms, hellos in cases:
        start, later = Now(0, NOW_MS + off_ms), Now(10_000, NOW_MS + off_ms + 10_000)
        time = MeshTime(start, seen_ms, build_ms=RELEASED_MS)
        for peer, (mono_ms, hour, is_contact) in enumerate(hellos):
            time.heard(peer, hour, mono_ms, is_contact=is_contact)
        read = time.read(later)
        made.append(
            {
                "name": name,
                "released_ms": RELEASED_MS,
                "last_known_ms": seen_ms,
                "wall_ms": start.wall_ms,
                "hellos": [list(each) for each in hellos],
                "mono_ms": later.mono_ms,
                "state": time.state,
                "mesh_ms": read.wall_ms if time.is_known else None,
            }
        )
    return made
