"""One SQLCipher file, used synchronously from one thread.

The rules, and why:

- **Encrypted or not at all.** The key is 32 random bytes (the keyslot wraps it), given raw, so that opening
  costs a millisecond and no passphrase is stretched here. Every page carries its IV and an HMAC: a changed
  byte is an error, never another answer. A file that begins like a plain SQLite database is refused.
- **A refusal touches nothing.** Whether the key fits is tried on a read-only connection, because a writing
  one folds the journal into the file as it closes. A wrong key, a foreign or damaged file, a schema from a
  newer meshd: CallerError(invalid). Readable by others, or not writable by us: CallerError(refused). In use:
  busy.
- **What is acknowledged is on disk.** Write-ahead log, synchronous FULL (NORMAL may lose acknowledged commits
  when the power goes), deleted content overwritten, temporary tables in memory only. `durable=False` leaves
  the fsyncs out, for the simulator and tests.
- **The journal's file is longer than what is in it**, by zeros that SQLite takes for the end: what is written into
  a file that does not grow is synced in half the time.
- **One event, one transaction.** The transaction begins with the first write and ends with `commit` or
  `rollback`; an event that writes nothing commits nothing.
- **Locked for one process** as long as it is open, which also keeps the journal's index in memory instead of
  in a third file.
- Schemas grow by numbered migrations (PRAGMA user_version counts those done), each in a transaction of its
  own.

Once open, whatever SQLite reports about the file is a DiskError, a full disk a DiskFull.
"""

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import sqlcipher3

from meshd.errors import CallerError, Code, DiskError, DiskFull

KEY_SIZE = 32
VALUES_MAX = 512  # values in one query: bounds a statement
_JOURNAL_SPARE_SIZE = 256 * 1024  # bytes that a journal is lengthened by: a dozen small commits
_CACHE_KIB = 4096  # decrypted pages a database keeps in memory: the upper levels of its indexes
_PLAIN_HEAD = b"SQLite format 3\0"

T = TypeVar("T")


class Database:
    """One open file; `migrations` are SQL statements, a tuple for each version: the n-th leads from n to n + 1.

    Raises CallerError (not_found, refused, invalid, busy) if it can't be opened, DiskError once it is.
    """

    def __init__(
        self, path: Path, key: bytes, migrations: Sequence[Sequence[str]], *, durable: bool = True
    ) -> None:
        _check_file(path)
        _try_key(path, key, len(migrations))
        self._open(path, key, migrations, durable)

    @classmethod
    def create(
        cls, path: Path, key: bytes, migrations: Sequence[Sequence[str]], *, durable: bool = True
    ) -> "Database":
        """A new file, mode 0600, with the whole schema; CallerError(refused) if something is there already."""
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            raise CallerError(Code.refused, f"{path.name} is there already; nothing was touched") from None
        except OSError as error:
            raise CallerError(Code.refused, f"{path} can't be made: {error.strerror}") from None
        fresh = cls.__new__(cls)
        fresh._open(path, key, migrations, durable)
        with fresh.opening():
            # Until the first checkpoint the file itself is empty and all is in the journal; an empty file is
            # refused at opening, since it could be what is left of a damaged one.
            fresh.checkpoint()
        return fresh

    @contextmanager
    def opening(self) -> Iterator[None]:
        """While the first things are read: what fails closes the file, and a damaged one is the caller's error."""
        try:
            yield
        except BaseException as error:
            self.close()
            if isinstance(error, DiskError) and not isinstance(error, DiskFull):
                raise _refusal(self._path, error.__cause__) from error
            raise

    def _open(self, path: Path, key: bytes, migrations: Sequence[Sequence[str]], durable: bool) -> None:
        self._path, self._durable = path, durable
        self._journal = path.with_name(path.name + "-wal")
        self._journal_size = 0  # of its file, as we left it
        self._connection = _connect(str(path), key)
        with self.opening():
            self._prepare(migrations)

    def _prepare(self, migrations: Sequence[Sequence[str]]) -> None:
        self.read("PRAGMA locking_mode = EXCLUSIVE")
        self.read("PRAGMA journal_mode = WAL")
        self.read(f"PRAGMA synchronous = {'FULL' if self._durable else 'OFF'}")
        self.read("PRAGMA secure_delete = ON")
        self.read("PRAGMA temp_store = MEMORY")
        self.read(f"PRAGMA cache_size = -{_CACHE_KIB}")
        ((version,),) = self.read("PRAGMA user_version")
        for number in range(version, len(migrations)):
            for statement in migrations[number]:
                self.write(statement)
            self.write(f"PRAGMA user_version = {number + 1}")
            self.commit()

    def read(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of one query."""
        try:
            rows: list[tuple[Any, ...]] = self._connection.execute(sql, values).fetchall()
        except sqlcipher3.Error as error:
            _fail(error)
        return rows

    def write(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run one statement inside the transaction, which begins here if it has not; the number of rows changed."""
        try:
            if not self._connection.in_transaction:
                self._connection.execute("BEGIN IMMEDIATE")
            changed: int = self._connection.execute(sql, values).rowcount
        except sqlcipher3.Error as error:
            _fail(error)
        return changed

    def write_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run one statement for each row of values inside the transaction."""
        try:
            if not self._connection.in_transaction:
                self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(sql, rows)
        except sqlcipher3.Error as error:
            _fail(error)

    def commit(self) -> None:
        """Make what was written durable; nothing to do when nothing was written."""
        if self._connection.in_transaction:
            try:
                self._connection.execute("COMMIT")
            except sqlcipher3.Error as error:
                _fail(error)
            if self._durable:
                self._lengthen_journal()

    def _lengthen_journal(self) -> None:
        """Put zeros behind what this commit wrote, if the file has grown by it (or was emptied before)."""
        size = os.stat(self._journal).st_size
        if size != self._journal_size:
            self._journal_size = size
            with suppress(OSError), open(self._journal, "ab") as file:  # on a full disk it goes on growing
                self._journal_size += file.write(bytes(_JOURNAL_SPARE_SIZE))

    def rollback(self) -> None:
        """Forget what was written since the last commit."""
        if self._connection.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except sqlcipher3.Error as error:
                _fail(error)

    def checkpoint(self) -> None:
        """Fold the journal into the file and empty it: until then the journal keeps what was deleted."""
        self.read("PRAGMA wal_checkpoint(TRUNCATE)")

    def probe(self, size: int) -> None:
        """DiskFull unless so many bytes can be written. They are free pages of the file afterwards."""
        self.write("CREATE TABLE IF NOT EXISTS room (filler BLOB)")
        self.write("INSERT INTO room VALUES (zeroblob(?))", (size,))
        self.commit()
        self.write("DROP TABLE room")
        self.commit()

    def close(self) -> None:
        """Forget what was not committed, fold the journal into the file, let go of it."""
        self._connection.close()


def cipher_version() -> str:
    """The version of SQLCipher, such as `4.6.1`; "" where SQLite came without it."""
    connection = sqlcipher3.connect(":memory:")
    try:
        rows = connection.execute("PRAGMA cipher_version").fetchall()
    finally:
        connection.close()
    return str(rows[0][0]).partition(" ")[0] if rows else ""


def slices(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """Runs of at most VALUES_MAX values, for one query each."""
    for start in range(0, len(values), VALUES_MAX):
        yield values[start : start + VALUES_MAX]


def marks(values: Sequence[Any]) -> str:
    """`(?,?,…)`, one for each value."""
    return f"({','.join('?' * len(values))})"


def _connect(name: str, key: bytes, *, uri: bool = False) -> Any:
    if len(key) != KEY_SIZE:
        raise ValueError("a database key has 32 bytes")
    connection = sqlcipher3.connect(name, isolation_level=None, timeout=0, uri=uri)
    connection.execute("PRAGMA cipher_log_level = NONE")  # first, or a wrong key is told to stderr
    connection.execute(f"PRAGMA key = \"x'{key.hex()}'\"")
    return connection


def _check_file(path: Path) -> None:
    """What can be told without a key; CallerError."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        raise CallerError(Code.not_found, f"{path} is not there") from None
    if not stat.S_ISREG(found.st_mode):
        raise CallerError(Code.invalid, f"{path} is no regular file")
    if found.st_uid != os.geteuid():
        raise CallerError(Code.refused, f"{path} belongs to another user")
    if found.st_mode & 0o077:
        raise CallerError(Code.refused, f"{path} may be read by others; run: chmod 600 '{path}'")
    if not os.access(path, os.R_OK | os.W_OK) or not os.access(path.parent, os.W_OK):
        raise CallerError(Code.refused, f"{path} can't be written (a read-only disk?)")
    with path.open("rb") as file:
        head = file.read(len(_PLAIN_HEAD))
    if len(head) < len(_PLAIN_HEAD) or head == _PLAIN_HEAD:
        raise CallerError(Code.invalid, f"{path} is no encrypted database of meshd, or it is damaged")


def _try_key(path: Path, key: bytes, version_max: int) -> None:
    """Read the schema's version on a read-only connection, which changes nothing; CallerError if it can't be."""
    probe = _connect(f"{path.absolute().as_uri()}?mode=ro", key, uri=True)
    try:
        ((version,),) = probe.execute("PRAGMA user_version").fetchall()
    except sqlcipher3.Error as error:
        raise _refusal(path, error) from error
    finally:
        probe.close()
    if version > version_max:
        raise CallerError(Code.invalid, f"{path} was written by a newer meshd; use that one")
    if version < 1:
        raise CallerError(Code.invalid, f"{path} is unfinished: it was left in the middle of being made")


def _refusal(path: Path, error: Any) -> CallerError:
    """Why SQLite does not open a file, in words for its owner."""
    if error.sqlite_errorcode & 0xFF == sqlcipher3.SQLITE_BUSY:
        return CallerError(Code.busy, f"{path} is in use by another process")
    return CallerError(Code.invalid, f"{path} does not open: it has another key, or is damaged")


def _fail(error: Any) -> NoReturn:
    """What SQLite says about the disk or the file is a DiskError; what it says about our SQL is our bug."""
    ours = isinstance(error, sqlcipher3.ProgrammingError | sqlcipher3.IntegrityError)
    code = getattr(error, "sqlite_errorcode", sqlcipher3.SQLITE_ERROR) & 0xFF
    if ours or code == sqlcipher3.SQLITE_ERROR:
        raise error
    if code == sqlcipher3.SQLITE_FULL:
        raise DiskFull("the disk is full") from error
    raise DiskError(f"the disk or a database failed: {error}") from error
