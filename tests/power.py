"""What a disk would hold after a power cut: a daemon under strace, and its home as of the last fsync of each file.

The rule: a write is on the disk once a later fsync of the same file has returned, and a new name once a later fsync of
its folder has; before that the disk may have any of it or none. What is read back here is the home as it was before
the start and what strace saw since: none of what was not synced, or some of it, drawn from a seed (whole writes, as a
disk that reorders them keeps them). The wal-index (`-shm`) is mapped, never synced, and made anew from the rest.
"""

import random
import re
import shutil
import time
from collections import defaultdict
from pathlib import Path

import pytest

from tests.laptops import PATIENCE_S

pytestmark = pytest.mark.real  # as is every test that uses this
_CALLS = "openat,pwrite64,write,ftruncate,fsync,fdatasync,unlink,unlinkat,rename,renameat,renameat2"
_LINE = re.compile(r"(\d+) +(.*)")
_CALL = re.compile(r"(\w+)\((.*)\) += (-?\d+)(<.*>)?")
_FD = re.compile(r"-?\w+<([^>]*)>")
_BYTES = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
Write = tuple[int, bytes | None]  # offset and bytes; or a new length


def traced(log: Path) -> list[str]:
    """What goes before a command whose writes are to be seen; its process is the command's own."""
    return ["strace", "-D", "-f", "-y", "-xx", "-s", "1000000", "-e", f"trace={_CALLS}", "-o", str(log)]


class Disk:
    """What of the files in a folder is on the disk."""

    def __init__(self, folder: Path, before: Path, seed: int | None) -> None:
        self._folder = folder
        self._drawn = random.Random(seed) if seed is not None else None
        self._files = {path.name: path.read_bytes() for path in before.iterdir() if path.is_file()}
        self._named = set(self._files)
        self._waiting: defaultdict[str, list[Write]] = defaultdict(list)
        self.lost = 0  # bytes that were written and are not there

    def replay(self, log: Path) -> "Disk":
        """Take in all that strace saw, up to the end of the process."""
        began: dict[str, str] = {}
        for line in log.read_text().splitlines():
            if (found := _LINE.fullmatch(line)) is None:
                continue
            thread, said = found.groups()
            if said.endswith(" <unfinished ...>"):
                began[thread] = said.removesuffix(" <unfinished ...>")
                continue
            if said.startswith("<... "):
                said = began.pop(thread, "") + said.partition(" resumed>")[2]
            if (call := _CALL.fullmatch(said)) is not None and int(call[3]) >= 0:
                self._take(call[1], call[2], call[4])
        return self

    def _take(self, call: str, arguments: str, result: str | None) -> None:
        if call == "openat":
            if (
                "O_CREAT" in arguments
                and result is not None
                and (name := self._name(result[1:-1])) is not None
            ):
                self._files.setdefault(name, b"")
            return
        if call.startswith(("unlink", "rename")):
            paths = [bytes.fromhex(each.replace("\\x", "")).decode() for each in _BYTES.findall(arguments)]
            names = [name for path in paths if (name := self._name(path)) is not None]
            content = self._files.pop(names[0], None) if names else None
            if len(names) == 2 and content is not None:
                self._files[names[1]] = content
                self._named.add(names[1])
            return
        path = _FD.match(arguments)
        where = _decoded(path[1]) if path else ""
        if call in ("fsync", "fdatasync") and where == str(self._folder):
            self._named |= self._files.keys()
        name = self._name(where)
        if name is None or name not in self._files:
            return
        if call in ("fsync", "fdatasync"):
            for write in self._waiting.pop(name, []):
                self._files[name] = _written(self._files[name], write)
        elif call == "ftruncate":
            self._waiting[name].append((int(arguments.rsplit(", ", 1)[1]), None))
        elif (said := _BYTES.search(arguments)) is not None:
            content = bytes.fromhex(said[1].replace("\\x", ""))
            offset = int(arguments.rsplit(", ", 1)[1]) if call == "pwrite64" else len(self._files[name])
            self._waiting[name].append((offset, content))

    def _name(self, path: str) -> str | None:
        """The name of a file in the folder; none of what is not kept."""
        found = Path(_decoded(path))
        return found.name if found.parent == self._folder and not found.name.endswith("-shm") else None

    def put(self, folder: Path) -> None:
        """Write it down as a folder: what a start after the power cut finds."""
        folder.mkdir(mode=0o700)
        for name, content in self._files.items():
            for write in self._waiting[name]:
                if self._drawn is not None and self._drawn.random() < 0.5:
                    content = _written(content, write)
                else:
                    self.lost += len(write[1] or b"")
            if name in self._named:
                path = folder / name
                path.touch(mode=0o600)
                path.write_bytes(content)


def _decoded(path: str) -> str:
    return bytes.fromhex(path.replace("\\x", "")).decode() if path.startswith("\\x") else path


def _written(content: bytes, write: Write) -> bytes:
    at, what = write
    if what is None:
        return content[:at].ljust(at, b"\0")
    return content[:at].ljust(at, b"\0") + what + content[at + len(what) :]


def until_killed(log: Path) -> None:
    """Wait until strace has written down the end."""
    for _ in range(int(PATIENCE_S * 20)):
        if "+++ killed by SIGKILL +++" in log.read_text():
            return
        time.sleep(0.05)
    raise TimeoutError("strace did not see the end")


def has_strace() -> bool:
    return shutil.which("strace") is not None
