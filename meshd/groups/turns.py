"""Turns: what any member may do, one does.

The rule: a duty that many see at once (renew, heal, seal anew) is done by each after a random wait, and
only if nobody did it meanwhile. So no order among members is needed, nobody is waited for who is away, and a handful
do what one would have been enough for: those whose waits end before the word of the first has reached them. The wait
is drawn from n times a span of one's own, so that their number depends on how long word takes, not on n.
"""

import random
from collections.abc import Mapping


class Turns:
    """The waits of one node."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._at_ms: dict[bytes, int] = {}

    def ready(self, wanted: Mapping[bytes, int], now_ms: int) -> list[bytes]:
        """Of the duties to be done, each with the longest that one waits for it (ms), those whose wait is over.

        Who is not among `wanted` any more has been done by somebody, and is forgotten. One that was ready and is wanted
        again waits anew, so that what fails is tried again.
        """
        for duty in [duty for duty in self._at_ms if duty not in wanted]:
            del self._at_ms[duty]
        for duty in sorted(wanted):
            if duty not in self._at_ms:
                self._at_ms[duty] = now_ms + self._rng.randrange(wanted[duty] + 1)
        ready = [duty for duty in sorted(wanted) if self._at_ms[duty] <= now_ms]
        for duty in ready:
            del self._at_ms[duty]
        return ready

    def deadline(self) -> int | None:
        """When the next wait is over, in the caller's ms; None if none is waited for."""
        return min(self._at_ms.values(), default=None)
