"""How much a core keeps in memory: the length of everything in it that has one, by where it hangs.

The rule: a core that runs for ever may remember only as much as there are links, peers, or posts that still last.
What has a length (dicts, lists, sets, queues, buffers) is found by walking from the node through every object of ours,
so that nothing new is left out. The peak of each place in the second quarter of a day is compared with that in the
last: what grew by more than a half and by SLACK was not given back.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping
from typing import Any

from tests.simulation.machine import Machine

SLACK = 16
LONG = (dict, list, set, frozenset, deque, bytearray, tuple)


def lengths(root: object) -> Counter[str]:
    """The lengths below an object of ours, those of equal places together; names are those of attributes."""
    found: Counter[str] = Counter()
    met: set[int] = set()
    waiting = deque([("", root)])
    while waiting:
        place, thing = waiting.popleft()
        if id(thing) in met:
            continue
        met.add(id(thing))
        if isinstance(thing, LONG):
            found[place] += len(thing)
            waiting.extend((f"{place}[]", each) for each in _members(thing))
        elif type(thing).__module__.startswith("meshd."):
            waiting.extend((f"{place}.{name}".lstrip("."), value) for name, value in _attributes(thing))
    return found


def _members(container: Any) -> Iterator[Any]:
    """What in a container may have a length itself; a plain string of bytes has none that counts."""
    if isinstance(container, bytearray):
        return
    for each in container.values() if isinstance(container, Mapping) else container:
        if not isinstance(each, bytes | str | int | float | None):
            yield each


def _attributes(thing: object) -> Iterator[tuple[str, Any]]:
    for kind in type(thing).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(thing, name):
                yield name, getattr(thing, name)
    yield from getattr(thing, "__dict__", {}).items()


class Growth:
    """The peaks of one day, in four quarters."""

    def __init__(self, day_ms: int) -> None:
        self._quarter_ms = day_ms / 4
        self._peaks: defaultdict[int, Counter[str]] = defaultdict(Counter)

    def look(self, machine: Machine, now_ms: int) -> None:
        """Take notice of what a machine has now."""
        if machine.node is None:
            return
        quarter = int(now_ms / self._quarter_ms)
        self._peaks[quarter] |= lengths(machine.node)  # of two counts the greater

    def grown(self) -> dict[str, tuple[int, int]]:
        """The places that were not flat, with their peaks in the second and the last quarter."""
        before, after = self._peaks[1], self._peaks[3]
        assert before and after, "nobody looked"
        return {
            place: (before[place], peak)
            for place, peak in after.items()
            if peak > before[place] * 3 // 2 + SLACK
        }
