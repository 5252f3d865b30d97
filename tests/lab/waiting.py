"""Waiting for what real machines do in their own time."""

import time
from collections.abc import Callable


def wait_until(
    holds: Callable[[], bool], patience_s: float, shown: Callable[[], object] = lambda: "in vain"
) -> float:
    """Seconds until it held; fails after `patience_s`, saying what is `shown`."""
    begun = time.monotonic()
    while not holds():
        assert time.monotonic() - begun < patience_s, shown()
        time.sleep(0.02)
    return time.monotonic() - begun
