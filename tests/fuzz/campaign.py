"""Many inputs on one target: each from its own seed, so that a fault is one number to repeat, and memory watched.

The rule: input `number` of a campaign depends on the seed and the number alone, but for targets that keep a session
open; those repeat from the campaign's start. Memory is what Python has allocated (tracemalloc is exact and slow, for
the tests; the process's resident size is for long runs by hand) and must not grow with the number of inputs.
"""

import random
import traceback
from collections.abc import Callable
from typing import NamedTuple

Target = Callable[[random.Random], bool]


class Tally(NamedTuple):
    """What a campaign came to; `fault` is the traceback of the first input that the target stumbled over."""

    inputs: int
    accepted: int
    fault: str


def rng_of(seed: int, number: int) -> random.Random:
    """The randomness of one input."""
    return random.Random(seed << 40 | number)


def run(target: Target, seed: int, first: int, count: int) -> Tally:
    """`count` inputs from number `first` on; stops at the first fault."""
    accepted = 0
    for number in range(first, first + count):
        try:
            accepted += target(rng_of(seed, number))
        except Exception:  # every fault is what is looked for
            return Tally(number - first, accepted, f"seed {seed}, input {number}\n{traceback.format_exc()}")
    return Tally(count, accepted, "")
