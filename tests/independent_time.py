"""Mesh time once more, written from protocol.md ("Time") and from nothing else: what the vectors are held against."""

HOUR = 3_600_000


def middle(times: list[int]) -> int:
    ordered = sorted(times)
    while len(ordered) > 2:
        ordered = ordered[1:-1]
    return ordered[0]


def agrees(said: int, clock: int) -> bool:
    return -HOUR <= clock - said < 2 * HOUR


def mesh_time(
    released: int, last_known: int, wall: int, hellos: list[tuple[int, int, bool]], mono: int
) -> tuple[str, int | None]:
    """The state and the time at `mono` ms after the start, when the wall clock showed `wall`; None: unknown."""
    limit = released + 5 * 365 * 24 * HOUR
    now = wall + mono
    heard = [
        (hour * HOUR + mono - at, contact) for at, hour, contact in hellos if released <= hour * HOUR < limit
    ]
    contacts = [said for said, contact in heard if contact]
    if len(contacts) >= 3 and not any(agrees(said, now) for said in contacts):
        median = middle(contacts)
        if sum(abs(said - median) <= HOUR for said in contacts) >= 3:
            return "ok", median
    if released <= now < limit and now >= last_known - HOUR:
        stopped = last_known > 0 and wall - last_known > HOUR
        doubted = stopped and not any(agrees(said, now) for said, _ in heard)
        return ("jumped" if doubted else "ok"), now
    return "unsynced", middle([said for said, _ in heard]) if heard else None
