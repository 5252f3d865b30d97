"""Panic: nothing that a home holds can be opened any more, and then it is removed.

The rule: the keys first. The keyslot is overwritten, written through to the disk and deleted before anything else is
looked at: from then on the databases are noise, whoever has the passphrase. What follows can be cut off anywhere, by a
power cut or a seizure, and is finished by doing it again:

1. the keyslot (and one that was never put in place)
2. the control socket
3. everything else: journals, the daemon's journal, the settings, what a doctor or an `init` left behind
4. the databases, so that nobody makes a new home among the remains: `Home.make` refuses where one is left
5. the lock and the folder itself

Each step is on the disk before the next begins. Only what meshd makes is deleted, by name, and only in a folder that
shows that it is a home; other people's files in it are left and named, and so is the folder then.

A daemon does this itself when it is asked, in one go, and ends without another step: no event, no timer, no thread and
no farewell comes after. One that does not answer is not waited for: its keyslot is erased over its head, it is killed,
and then comes the rest.

The claim is that the keys are gone, and nothing more. A disk may keep old blocks; what they hold opens with a copy of
the keyslot and the passphrase, and a copy of the keyslot may have been made by anyone who could read it.
"""

import os
import shutil
import signal
import socket
import stat
import struct
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from fnmatch import fnmatchcase
from typing import Any

from meshd.daemon import api
from meshd.daemon.home import NEW, Home
from meshd.errors import CallerError, Code
from meshd.limits import KEYSLOT_SIZE_MAX
from meshd.store import keyslot

Document = dict[str, Any]

_HOME = Home("")
_DATABASES = (_HOME.carry.name, _HOME.log.name)
_KEYS = (keyslot.FILE_NAME, keyslot.TEMPORARY_NAME)
_STEPS: tuple[tuple[str, ...], ...] = (  # patterns of names
    _KEYS,
    (os.path.basename(api.socket_path("")),),
    (
        *(f"{name}{end}" for name in _DATABASES for end in (f"{NEW}*", "-*")),
        "daemon.log",
        "config.toml",
        "doctor-*",
    ),
    _DATABASES,
    ("lock",),
)
_LOCK_S = 0.5  # for a process that was killed to be gone
_PAUSE_S = 0.01
_LISTENER_S = 0.2  # to reach the socket of a daemon that hangs


def erase(path: str, steps: Sequence[Sequence[str]] = _STEPS) -> Document:
    """Erase a home, or only some steps of it. {erased, failed, left}: paths, `PATH: reason`s, and what is not ours.

    Never raises for what can't be erased, and goes on behind it.
    """
    erased: list[str] = []
    failed: list[str] = []
    names = _names(path)
    with suppress(OSError):
        if names:
            os.chmod(path, 0o700)  # who made it read-only did not mean this
    for patterns in steps:
        mine = [name for name in names if _fits(name, patterns)]
        for name in mine:
            place = os.path.join(path, name)
            try:
                if patterns is _KEYS:
                    _overwrite(place, failed)
                _remove(place)
                erased.append(place)
            except FileNotFoundError:
                pass  # somebody else was quicker
            except OSError as error:
                failed.append(f"{place}: {error.strerror}")
        if mine:
            _sync(path, failed)
    left: list[str] = []
    with suppress(OSError):
        if names and steps is _STEPS:
            left = [os.path.join(path, name) for name in _all(path) if not _is_ours(name)]
            os.rmdir(path)  # unless something is left
            erased.append(path)
            _sync(os.path.dirname(path), failed)
    return {"erased": erased, "failed": failed, "left": left}


def panic(path: str) -> Document:
    """Erase a home without its daemon's help; the same document."""
    if not _names(path):
        return erase(path)
    first = erase(path, _STEPS[:1])
    _kill_listener(path)
    with ExitStack() as held:
        busy = _is_busy(Home(path), held)
        rest = erase(path)
    if busy:
        rest["failed"].append(f"{path}: another meshd was at work in it: do this again")
    return {name: list(dict.fromkeys(first[name] + rest[name])) for name in rest}


def _is_busy(home: Home, held: ExitStack) -> bool:
    """Wait for the home's lock, and hold it; True if somebody else keeps it. One in a bad state is erased as it is."""
    end = time.monotonic() + _LOCK_S
    while True:
        try:
            held.enter_context(home.lock())
        except CallerError as error:
            if error.code is not Code.busy:
                return False
        else:
            return False
        if time.monotonic() > end:
            return True
        time.sleep(_PAUSE_S)


def _kill_listener(path: str) -> None:
    """Kill the process that listens on the home's socket, if there is one."""
    with suppress(OSError), socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(_LISTENER_S)
        with api.short_path(api.socket_path(path)) as short:
            sock.connect(short)
        if hasattr(socket, "SO_PEERCRED"):
            credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
            pid = struct.unpack("3i", credentials)[0]
        else:  # macOS: LOCAL_PEERPID
            (pid,) = struct.unpack("i", sock.getsockopt(0, 2, 4))
        os.kill(pid, signal.SIGKILL)


# --- names ---


def _all(path: str) -> list[str]:
    try:
        return sorted(os.listdir(path))
    except OSError:
        return []


def _names(path: str) -> list[str]:
    """What is in a folder, if it is a home: it has a keyslot or a database, or nothing but a lock."""
    names = _all(path)
    marked = any(_fits(name, (*_KEYS, *(f"{database}*" for database in _DATABASES))) for name in names)
    return names if marked or names == list(_STEPS[-1]) else []


def _fits(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _is_ours(name: str) -> bool:
    return any(_fits(name, patterns) for patterns in _STEPS)


# --- the disk ---


def _overwrite(place: str, failed: list[str]) -> None:
    """Zeros over a file, on the disk when this returns, so that its other names have nothing either. Raises
    FileNotFoundError only: what can't be overwritten is at least to be removed."""
    found = os.lstat(place)
    try:
        if stat.S_ISREG(found.st_mode):
            os.chmod(place, 0o600)
        descriptor = os.open(place, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.pwrite(descriptor, bytes(min(found.st_size, KEYSLOT_SIZE_MAX)), 0)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        raise
    except OSError as error:
        failed.append(f"{place}: it could not be overwritten: {error.strerror}")


def _remove(place: str) -> None:
    if stat.S_ISDIR(os.lstat(place).st_mode):
        shutil.rmtree(place)
    else:
        os.unlink(place)


def _sync(folder: str, failed: list[str]) -> None:
    """Have the disk know what is gone from a folder."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        failed.append(f"{folder}: what is gone from it may be back after a power cut: {error.strerror}")
