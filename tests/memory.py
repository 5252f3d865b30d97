"""What a process has in its memory, as Linux shows it to root."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

_CHUNK_SIZE = 1 << 24
_OVERLAP = 4096  # longer than anything looked for


def found_in_memory(pid: int, wanted: Iterable[bytes]) -> set[bytes]:
    """Those of the byte strings that stand anywhere in the writable memory of a process. PermissionError."""
    left = set(wanted)
    found: set[bytes] = set()
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for start, end in _writable(pid):
            for place in range(start, end, _CHUNK_SIZE):
                with suppress(OSError):  # mapped and not there
                    memory.seek(place)
                    chunk = memory.read(min(_CHUNK_SIZE + _OVERLAP, end - place))
                    found |= {each for each in left if each in chunk}
        return found


def _writable(pid: int) -> Iterator[tuple[int, int]]:
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        region, rights = line.split()[:2]
        if rights.startswith("rw"):
            start, _, end = region.partition("-")
            yield int(start, 16), int(end, 16)
