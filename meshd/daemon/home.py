"""A home: the folder that holds everything of one node.

The rule: it is a folder of ours (no link, our user, mode 0700) and one process at a time works in it. A home
that others may open is refused, not repaired: whoever could open it may have changed it already. The lock is
a flock on the file `lock`, which the kernel drops when the process dies, however it dies.

What is in it: `keyslot`, `carry.db`, `log.db` (with their journals), `ctl.sock`, `lock`, and `daemon.log`,
the stderr of a daemon in the background: reasons, never contents.

Making a home is one step: both databases are made under `….new` names, then the keyslot is written, and that
is the moment from which the home exists. Before it, leftovers of an interrupted start are thrown away; after
it, `lock` gives the databases their names. A home with databases and no keyslot is never made anew, because
the keyslot may only be elsewhere. What is made here, by whomever, has its place in `panic` too.
"""

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from meshd.errors import CallerError, Code
from meshd.store import keyslot

NEW = ".new"


class Home:
    """The paths of a home. Nothing is checked or touched before `open`, `make` or `lock`."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self.keyslot = self.path / keyslot.FILE_NAME
        self.carry = self.path / "carry.db"
        self.log = self.path / "log.db"

    def new(self, database: Path) -> Path:
        """The name under which a database is made."""
        return database.with_name(database.name + NEW)

    @contextmanager
    def make(self) -> Iterator[None]:
        """Make the folder if it is missing, and hold its lock. CallerError(refused) if the home is in use
        already as a home, or its folder is unsafe.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise CallerError(Code.refused, f"{self.path} can't be made: {error.strerror}") from None
        with self._lock():
            if os.path.lexists(self.keyslot):
                raise CallerError(
                    Code.refused, f"there is a node in {self.path} already: nothing was changed"
                )
            if os.path.lexists(self.carry) or os.path.lexists(self.log):
                message = (
                    f"{self.path} has a log but no keyslot: put it back, or erase the rest with `mesh panic`"
                )
                raise CallerError(Code.refused, message)
            for leftover in self.path.glob(f"*.db{NEW}*"):
                leftover.unlink()
            yield

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the lock of a home that exists. CallerError: not_found, refused (unsafe), busy (a second
        daemon)."""
        if not os.path.lexists(self.path):
            raise CallerError(Code.not_found, f"there is no node in {self.path} yet: mesh init")
        with self._lock():
            if os.path.lexists(self.keyslot):
                for database in (self.carry, self.log):
                    if os.path.lexists(self.new(database)) and not os.path.lexists(database):
                        self.new(database).rename(database)
            yield

    @contextmanager
    def _lock(self) -> Iterator[None]:
        _require_private(self.path)
        try:
            descriptor = os.open(
                self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
            )
        except OSError as error:
            raise CallerError(Code.refused, f"{self.path} can't be written to: {error.strerror}") from None
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                    raise CallerError(
                        Code.refused, f"{self.path} can't be locked: {error.strerror}"
                    ) from None
                raise CallerError(Code.busy, f"another meshd is at work in {self.path}") from None
            if os.fstat(descriptor).st_nlink == 0:  # a lock that nobody else would meet
                raise CallerError(Code.busy, f"{self.path} was erased at this moment: try again")
            yield
        finally:
            os.close(descriptor)


def _require_private(path: Path) -> None:
    try:
        status = os.lstat(path)
    except OSError as error:
        raise CallerError(Code.refused, f"{path} can't be looked at: {error.strerror}") from None
    if not stat.S_ISDIR(status.st_mode):
        raise CallerError(Code.refused, f"{path} is no folder, or a link to one: name the folder itself")
    if status.st_uid != os.geteuid():
        raise CallerError(Code.refused, f"{path} belongs to another user: run meshd as its owner")
    if status.st_mode & 0o077:
        raise CallerError(Code.refused, f"{path} may be opened by others: chmod 700 it, if nobody did")
