"""Verifying many signatures on two cores, which is most of what taking posts in costs.

The rule: the core asks with one plain call and waits; that another thread lends a hand does not show. libsodium lets
go of the interpreter during each verification, so two threads that do nothing but verify need it for a few microseconds
each and hinder each other little. (A thread that verifies while the other runs Python gets nowhere: it must wait for
the interpreter up to 5 ms each time.) Both take the next few checks from one counter, so whoever is faster does more.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count

from meshd import crypto
from meshd.crypto import Check

_FEW = 8  # so few are verified before the other thread has woken up
_AT_ONCE = 4  # checks that a thread takes: the last ones of a batch keep the other waiting for half of that


class Verifier:
    """`verify_many` with a second thread, which is started when it is first needed."""

    def __init__(self) -> None:
        self._second = ThreadPoolExecutor(max_workers=1, thread_name_prefix="verifier")

    def verify_many(self, checks: Sequence[Check]) -> list[bool]:
        """The verdict of each check, in their order."""
        if len(checks) <= _FEW:
            return crypto.verify_many(checks)
        verdicts = [False] * len(checks)
        places = count(step=_AT_ONCE)

        def verify_next() -> None:
            while (place := next(places)) < len(checks):
                some = slice(place, place + _AT_ONCE)
                verdicts[some] = crypto.verify_many(checks[some])

        second = self._second.submit(verify_next)
        verify_next()
        second.result()
        return verdicts

    def close(self) -> None:
        """End the second thread."""
        self._second.shutdown()
