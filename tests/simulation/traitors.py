"""Hostile members of the scenario `arranged`: full members on laptops that run the real core, who write plans by hand.

The rule: their laptops carry, read and answer like all others. Beside that, they write with their own key and the
group's what no client would (`plotters`, the same as in the scenario `plans`), and bring it to people on a stick, to
each something else if they like. They go on when they were put out, under the last epoch whose key they have.
"""

from typing import Any

from meshd import codec, crypto, daykeys, envelope
from meshd.limits import ENVELOPE_SIZE_MAX
from meshd.plans.plan import Version
from meshd.post import HOUR_MS
from meshd.statement import CALL, SIGN_PLAN
from tests.group_plans import only_group, plans_of
from tests.homes import Home
from tests.simulation.planners import SIGNATURE_SIZE, Laptop, Town

_CONTENT = (int, bytes, bytes)
EXPIRY_HOURS = 24


class Traitor(Laptop):
    """Somebody hostile: what they write by hand, with what their real laptop has read."""

    def __init__(self, town: Town, place: int, seat: Home) -> None:
        super().__init__(town, place, 0)
        self.seat = seat
        self.is_known = False  # everybody knows that they were put out: what they say means nothing any more
        self._day, self._key = 0, b""  # of the last epoch under which they could post

    def learn(self) -> None:
        """Read what came to their laptop."""
        own, sealing = only_group(self.seat), self.seat.node.intake.sealing
        day = daykeys.key_day(self.town.now_ms // HOUR_MS)
        if key := sealing.keyring.key(own.channel, sealing.posting(own.channel), day):
            self._day, self._key = day, key
        for row in self.seat.log.plans.posts(own.channel):
            _, signed, signature = codec.unpack(row.content, _CONTENT, ENVELOPE_SIZE_MAX)
            self.take(signature + signed)

    def seal(self, raw: bytes) -> bytes:
        """An envelope of the group with a post that was written by hand."""
        hour = self.town.now_ms // HOUR_MS + EXPIRY_HOURS
        content = envelope.post_content(raw[SIGNATURE_SIZE:], raw[:SIGNATURE_SIZE])
        key = daykeys.advance(self._key, daykeys.key_day(hour) - self._day)
        return envelope.seal(key, hour, crypto.fresh(self.town.rng.randbytes, 24), content)

    def post(self, kind: int, keep_until: int, body: bytes, ms: int, sequence: int | None = None) -> bytes:
        """A post of an incarnation that is new; or of the last one, which forks it."""
        self.incarnation += sequence is None
        return super().post(kind, keep_until, body, ms, 1)

    def say(self, purpose: int, *what: Any, is_false: bool = False, **how: Any) -> bytes:
        """An act of theirs; it means nothing if everybody knows that it counts for nothing."""
        is_void = self.is_known and purpose in (CALL, SIGN_PLAN)
        return super().say(purpose, *what, is_false=is_false or is_void, **how)

    def _begin(self, version: Version) -> None:
        self.arrangement.add_version(version)
        held = plans_of(self.seat).version(version.id)
        share = plans_of(self.seat).share(held, 0) if held is not None else None
        if share is not None:
            self.shares[version.id, 0] = share


class Stick:
    """What a hostile one brings to somebody."""

    def __init__(self) -> None:
        self.raws: list[bytes] = []

    def take(self, raw: bytes) -> None:
        """Put a post on it."""
        self.raws.append(raw)
