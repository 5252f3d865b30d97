"""What can be seen of a home, its disk and its daemon without a passphrase: measured here, judged in `verdicts`.

The rule: looking changes nothing. The lock is not taken but looked up in the kernel's list, for a doctor that
holds it, even for a moment, would keep a daemon from starting. Nothing here raises for what is wrong with a
home: that is what is being looked for, so it becomes a fact.

The one thing written is a database of a few pages in a folder of its own in the home, which is gone
afterwards: how long a commit takes until the disk has it can't be known otherwise. Another place would not do,
because it may be another disk.

The daemon is asked through its socket, like any client. The network key comes with its answer to
`invite.network`: it stays in memory, and tells laptops of this network from others.
"""

import itertools
import json
import os
import re
import shutil
import socket
import stat
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from meshd import invite
from meshd.daemon import api, settings
from meshd.daemon.home import Home
from meshd.errors import CallerError, Code, DiskError
from meshd.ids import COMMONS_KEY
from meshd.store import keyslot
from meshd.store.db import Database

COMMITS = 9  # measured; the middle one counts
COMMITS_S = 3.0  # fewer, if they take longer than this together
_COMMIT_SIZE = 512  # bytes: about a post
_ROOM_MIN = 1024 * 1024  # bytes without which a commit is not tried
_ANSWER_S = 2.0  # an idle daemon answers in a millisecond, one that takes in a backlog within a second
_PROBE = "doctor-"
_LEFT_S = 60.0  # after which no doctor is at work any more
_PLAIN_HEAD = b"SQLite format 3\0"


@dataclass(frozen=True, slots=True)
class HomeFacts:
    """A home. `loose`: (name, mode) of what others may open, the home itself as `.`; `keyslot`: ok, none (there is no
    node yet), missing, unread (permissions), or what is wrong with it; `newest_ms`: when something in it was last
    written; `trouble`: why it can't be looked at; `settings`: ok, or what is wrong with config.toml or its hook."""

    path: str
    there: bool = True
    trouble: str = ""
    loose: tuple[tuple[str, int], ...] = ()
    keyslot: str = "ok"
    encrypted: bool | None = None
    missing: tuple[str, ...] = ()
    unsealed: tuple[str, ...] = ()
    newest_ms: int = 0
    socket_path_size: int = 0
    has_descriptor_paths: bool = True
    settings: str = "ok"


@dataclass(frozen=True, slots=True)
class DiskFacts:
    """The disk of a home; `commit_ms` is None where none was tried, and `trouble` says why one failed."""

    free_size: int
    total_size: int
    files_free: int | None = None
    commit_ms: float | None = None
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class DaemonFacts:
    """The daemon of a home. `socket`: none, answers, silent, stale (nobody listens) or refused. `holder`: the
    process that holds the lock, 0 for nobody, None where the system does not tell. `others`: (process, home) of
    every other daemon that can be seen, an empty home where it did not name one."""

    socket: str = "none"
    status: dict[str, Any] = field(default_factory=dict)
    peers: tuple[dict[str, Any], ...] = ()
    network_key: bytes | None = field(default=None, repr=False)
    holder: int | None = 0
    others: tuple[tuple[int, str], ...] = ()


# --- the folder ---


def look_at_home(path: str) -> HomeFacts:
    """What can be told of a home from outside."""
    home = Home(path)
    size = len(os.fsencode(api.socket_path(path)))
    shorten = os.path.isdir("/proc/self/fd")
    if not os.path.lexists(path):
        return HomeFacts(path, False, socket_path_size=size, has_descriptor_paths=shorten)
    try:
        found = os.lstat(path)
        trouble = _not_ours(found)
        statuses = {".": found}
        if not trouble:
            with os.scandir(path) as entries:
                statuses |= {entry.name: entry.stat(follow_symlinks=False) for entry in entries}
    except OSError as error:
        return HomeFacts(path, trouble=f"it can't be looked at: {error.strerror}")
    loose = tuple(
        sorted((name, stat.S_IMODE(one.st_mode)) for name, one in statuses.items() if _is_loose(one))
    )
    state, encrypted = _keyslot(home.path)
    there = [path for path in (home.carry, home.log) if path.name in statuses]
    expected = home.keyslot.name in statuses
    return HomeFacts(
        path,
        trouble=trouble,
        loose=loose,
        keyslot=state if expected or there else "missing" if len(statuses) > 1 else "none",
        encrypted=encrypted,
        missing=tuple(db.name for db in (home.carry, home.log) if expected and db not in there),
        unsealed=tuple(db.name for db in there if not _is_sealed(db)),
        newest_ms=max(int(one.st_mtime * 1000) for one in statuses.values()),
        socket_path_size=size,
        has_descriptor_paths=shorten,
        settings=_settings(home.path),
    )


def _settings(home: Path) -> str:
    try:
        program, *_ = (*settings.read(home).hook.on_fired, "")
    except CallerError as error:
        return error.message
    is_there = not program or shutil.which(program) is not None
    return "ok" if is_there else f"on_fired: {program} is not there, or no program"


def _not_ours(found: os.stat_result) -> str:
    if not stat.S_ISDIR(found.st_mode):
        return "it is no folder, or a link to one"
    return "" if found.st_uid == os.geteuid() else "it belongs to another user"


def _is_loose(found: os.stat_result) -> bool:
    return not stat.S_ISLNK(found.st_mode) and bool(found.st_mode & 0o077)


def _keyslot(home: Path) -> tuple[str, bool | None]:
    try:
        return "ok", keyslot.parameters(keyslot.read(home)).encrypted
    except CallerError as error:
        return {Code.not_found: "missing", Code.refused: "unread"}.get(error.code, error.message), None


def _is_sealed(path: Path) -> bool:
    """Whether a database looks encrypted; one that can't be read counts as such, for that is another fault."""
    try:
        with open(path, "rb") as file:
            head = file.read(len(_PLAIN_HEAD))
    except OSError:
        return True
    return len(head) == len(_PLAIN_HEAD) and head != _PLAIN_HEAD


# --- the disk ---


def measure_disk(home: str, is_ours: bool = True) -> DiskFacts:
    """Room on the disk of a home, and what a durable commit costs there if it is ours, in a few seconds at most."""
    place = Path(home)
    while not place.exists() and place != place.parent:
        place = place.parent
    room = os.statvfs(place)
    free, total = room.f_bavail * room.f_frsize, room.f_blocks * room.f_frsize
    files_free = room.f_favail if room.f_files else None
    if not is_ours or str(place) != home or free < _ROOM_MIN:
        return DiskFacts(free, total, files_free)
    try:
        return DiskFacts(free, total, files_free, measure_commit(home))
    except OSError as error:
        return DiskFacts(free, total, files_free, trouble=error.strerror or "it failed")
    except (CallerError, DiskError) as error:
        return DiskFacts(free, total, files_free, trouble=str(error))


def measure_commit(home: str) -> float:
    """Milliseconds of a durable commit of one post, the median of several. Raises OSError, CallerError, DiskError."""
    for left in Path(home).glob(f"{_PROBE}*"):  # of a doctor whose disk never answered
        if time.time() - left.lstat().st_mtime > _LEFT_S:
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=_PROBE, dir=home) as folder:
        made = Database.create(
            Path(folder) / "probe.db", os.urandom(32), [("CREATE TABLE probe (content BLOB)",)]
        )
        try:
            spent: list[float] = []
            while len(spent) < COMMITS and sum(spent) < COMMITS_S:
                begun = time.monotonic()
                made.write("INSERT INTO probe VALUES (?)", (bytes(_COMMIT_SIZE),))
                made.commit()
                spent.append(time.monotonic() - begun)
        finally:
            made.close()
    return statistics.median(spent) * 1000


# --- the daemon ---


def look_at_daemon(home: str) -> DaemonFacts:
    """Who is at work in a home, and what its daemon says of itself."""
    found, answers = _ask(home, ["status", "peer.list", "invite.network"])
    holder, others = _holder(home), _daemons()
    status = answers.get("status", {})
    own = {holder, status.get("pid")}
    text = answers.get("invite.network", {}).get("invite")
    kind = status.get("network", {}).get("kind")
    key = invite.decode(text) if text else COMMONS_KEY if kind == "open" else None
    return DaemonFacts(
        found,
        status,
        tuple(answers.get("peer.list", {}).get("peers", ())),
        key,
        holder,
        tuple((pid, of) for pid, of in others if pid not in own),
    )


def _ask(home: str, methods: list[str]) -> tuple[str, dict[str, Any]]:
    """What became of asking, and the results by method."""
    answers: dict[str, Any] = {}
    path = api.socket_path(home)
    if not os.path.lexists(path):
        return "none", answers
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(_ANSWER_S)
        try:
            with api.short_path(path) as short:
                client.connect(short)
            with client.makefile("rwb") as lines:
                for method in methods:
                    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {}}
                    lines.write(json.dumps(request).encode() + b"\n")
                    lines.flush()
                    answers[method] = json.loads(lines.readline()).get("result", {})
        except (ConnectionRefusedError, FileNotFoundError):
            return "stale", answers
        except PermissionError:
            return "refused", answers
        except (OSError, ValueError):  # no answer in time, or half of one
            return "silent", answers
    return "answers", answers


def _holder(home: str) -> int | None:
    """The process that holds the lock of a home, as the kernel lists it."""
    try:
        inode = os.lstat(os.path.join(home, "lock")).st_ino
    except OSError:
        return 0
    try:
        with open("/proc/locks", encoding="ascii") as file:
            return lock_holder(file.read(), inode)
    except OSError:
        return None


def lock_holder(listing: str, inode: int) -> int:
    """The process with a flock on this inode in the text of /proc/locks; 0 if there is none."""
    for line in listing.splitlines():
        words = line.split()
        if len(words) == 8 and words[1] == "FLOCK" and words[5].endswith(f":{inode}"):
            return int(words[4])
    return 0


def _daemons() -> list[tuple[int, str]]:
    """Every running daemon that can be seen; none where there is no /proc."""
    found = []
    for name in os.listdir("/proc") if os.path.isdir("/proc/self") else ():
        if name.isdigit():
            try:
                words = Path("/proc", name, "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:  # it has ended meanwhile, or is hidden from us
                continue
            home = daemon_home(words)
            if home is not None:
                found.append((int(name), home))
    return sorted(found)


_PROGRAM = re.compile(r"(.*/)?meshd(/__main__\.py)?")


def daemon_home(words: list[str]) -> str | None:
    """The home that a command line gives a daemon, "" if it names none, None if it starts no daemon."""
    if "run" not in words or not any(_PROGRAM.fullmatch(word) for word in words[: words.index("run")][-4:]):
        return None
    for word, following in itertools.pairwise([*words, ""]):
        if word == "--home":
            return following
        if word.startswith("--home="):
            return word.partition("=")[2]
    return ""
