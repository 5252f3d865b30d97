"""The keyslot: the one small file that turns a passphrase into the keys of both databases.

Rule: `carry` and `log` are encrypted under two random keys that exist only here, wrapped. Erasing this file
makes both unreadable for good; changing the passphrase rewrites only this file; and a node may forget
`log`'s key while `carry` stays open, because they are two.

The file `keyslot` (mode 0600) is one strict msgpack array (see `codec`):

| slot | type | is |
|---|---|---|
| version | int | 1 |
| kind | str | "passphrase", or "none" for a home that asked to have none |
| mem_bytes, passes | int | cost of Argon2id (RFC 9106, one lane); 0 and 0 with "none" |
| salt | bin 16 | of Argon2id |
| nonce | bin 24 | of XChaCha20-Poly1305 |
| wrapped | bin 80 | carry ‖ log key under the stretched key; associated data: the slots before as an array |
| check | bin 16 | BLAKE2b-128 with label "meshd/1 keyslot check" over the slots before as an array |

With "none" the stretched key is 32 zero bytes: whoever has the file has the keys, and `mesh status` says
so. The check is no secret and guards against no attacker; it tells a damaged file (`invalid`: restore it)
from a wrong passphrase (`locked`: try again), which otherwise look alike.

Must be refused: parameters below 256 MiB and 3 passes (someone lowered the price of guessing), or far above
(a file that makes the start take hours). A file that can't be read, is a link, belongs to someone else or
may be read by others is refused with its reason, and nothing here ever replaces a keyslot by a new one: a
home that is unreadable for a moment must not come back as another identity.

Argon2id takes half a second and 256 MiB, so `Parameters.stretch` is a step of its own: it runs in a thread,
between `parameters` and `open`, which are quick and pure.
"""

import errno
import os
import stat
from pathlib import Path
from typing import NamedTuple

from meshd import codec, crypto, ids, limits
from meshd.crypto import Entropy
from meshd.errors import CallerError, Code, PeerError

FILE_NAME = "keyslot"
TEMPORARY_NAME = "keyslot.new"
_VERSION = 1
_PASSPHRASE = "passphrase"
_NONE = "none"
_NO_PASSPHRASE_KEY = bytes(crypto.KEY_SIZE)
_SALT_SIZE = 16
_NONCE_SIZE = 24
_CHECK_SIZE = 16
_WRAPPED_SIZE = 2 * crypto.KEY_SIZE + limits.TAG_SIZE
_SCHEMA = (int, str, int, int, bytes, bytes, bytes, bytes)


class Keys(NamedTuple):
    """The raw SQLCipher keys of the two databases, 32 bytes each."""

    carry: bytes
    log: bytes

    def __repr__(self) -> str:
        return "Keys(…)"  # a traceback or log line with this in it must not give them away


class Cost(NamedTuple):
    """What one guess at a passphrase costs."""

    mem_bytes: int
    passes: int


COST = Cost(limits.KEYSLOT_MEM_BYTES, limits.KEYSLOT_PASSES)


class Parameters(NamedTuple):
    """What turns a passphrase into the stretched key. `encrypted` is False where no passphrase is wanted."""

    encrypted: bool
    cost: Cost
    salt: bytes

    def stretch(self, passphrase: bytes | None) -> bytes:
        """The 32-byte stretched key; slow, for a thread. CallerError: locked without a needed passphrase,
        refused without the memory. A passphrase that is not needed is ignored.
        """
        if not self.encrypted:
            return _NO_PASSPHRASE_KEY
        if passphrase is None:
            raise CallerError(
                Code.locked, "this home has a passphrase: give it with --passphrase-file or at the prompt"
            )
        try:
            return crypto.argon2id(passphrase, self.salt, *self.cost)
        except MemoryError:
            mem_mib = self.cost.mem_bytes >> 20
            raise CallerError(
                Code.refused,
                f"opening the keyslot needs {mem_mib} MiB of memory for a moment: close something, try again",
            ) from None


def create(passphrase: bytes | None, entropy: Entropy, cost: Cost = COST) -> tuple[bytes, Keys]:
    """A keyslot's bytes and the new keys in it; slow with a passphrase. None means that none was asked for.

    `cost` is for tests: below the floor, `parameters` refuses what comes out.
    """
    if passphrase == b"":
        raise CallerError(
            Code.usage, "the passphrase is empty: give one, or ask for none with --no-passphrase"
        )
    encrypted = passphrase is not None
    salt = crypto.fresh(entropy, _SALT_SIZE)
    chosen = Parameters(encrypted, cost if encrypted else Cost(0, 0), salt)
    keys = Keys(crypto.fresh(entropy, crypto.KEY_SIZE), crypto.fresh(entropy, crypto.KEY_SIZE))
    nonce = crypto.fresh(entropy, _NONCE_SIZE)
    head = (_VERSION, _PASSPHRASE if encrypted else _NONE, *chosen.cost, salt, nonce)
    wrapped = crypto.xchacha20poly1305_encrypt(
        chosen.stretch(passphrase), nonce, codec.pack(*head), keys.carry + keys.log
    )
    return codec.pack(*head, wrapped, _check(*head, wrapped)), keys


def parameters(raw: bytes, floor: Cost = COST) -> Parameters:
    """How to stretch the passphrase for this keyslot; CallerError(invalid) if it is damaged or its cost out
    of bounds.

    `floor` is for tests; the product never gives it.
    """
    kind, mem_bytes, passes, salt = _unpack(raw)[1:5]
    cost = Cost(mem_bytes, passes)
    if kind == _NONE and cost == Cost(0, 0):
        return Parameters(False, cost, salt)
    if kind != _PASSPHRASE or mem_bytes < floor.mem_bytes or passes < floor.passes:
        raise CallerError(
            Code.invalid, "the keyslot is weaker than meshd makes them: someone changed it; restore a copy"
        )
    if mem_bytes > limits.KEYSLOT_MEM_BYTES_MAX or passes > limits.KEYSLOT_PASSES_MAX:
        raise CallerError(
            Code.invalid, "the keyslot asks for absurdly much work: someone changed it; restore a copy"
        )
    return Parameters(True, cost, salt)


def open(raw: bytes, stretched_key: bytes) -> Keys:
    """The keys. CallerError: locked if the passphrase was another one, invalid if the file is damaged."""
    slots = _unpack(raw)
    head, nonce, wrapped = codec.pack(*slots[:6]), slots[5], slots[6]
    keys = crypto.xchacha20poly1305_decrypt(stretched_key, nonce, head, wrapped)
    if keys is None:
        raise CallerError(Code.locked, "wrong passphrase")
    return Keys(keys[: crypto.KEY_SIZE], keys[crypto.KEY_SIZE :])


def read(home: Path) -> bytes:
    """The keyslot's bytes. CallerError: not_found; refused with the reason (link, owner, permissions,
    unreadable); invalid if too large to be one.
    """
    path = home / FILE_NAME
    try:
        # Neither following a link nor waiting for a pipe's other end.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            _require_private(path, os.fstat(descriptor))
            raw = os.read(descriptor, limits.KEYSLOT_SIZE_MAX + 1)
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        raise CallerError(Code.not_found, f"{path} does not exist: `mesh init` makes a new home") from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise CallerError(Code.refused, f"{path} is a symbolic link: put the file itself there") from None
        raise CallerError(Code.refused, f"{path} can't be read: {error.strerror}") from error
    if len(raw) > limits.KEYSLOT_SIZE_MAX:
        raise CallerError(Code.invalid, f"{path} is too large for a keyslot: restore a copy")
    return raw


def write(home: Path, raw: bytes) -> None:
    """Puts a new keyslot into `home`, whole or not at all, on disk when this returns.

    CallerError(refused) if there is one already or the disk won't take it. Who calls this holds the home's
    lock.
    """
    path, temporary = home / FILE_NAME, home / TEMPORARY_NAME
    if os.path.lexists(path):
        raise CallerError(Code.refused, f"{path} exists already: nothing was changed")
    try:
        temporary.unlink(missing_ok=True)  # of a start that was cut off; it was never in use
        try:
            _write_synced(temporary, raw)
            temporary.rename(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        _sync_directory(home)
    except OSError as error:
        raise CallerError(Code.refused, f"{path} can't be written: {error.strerror}") from error


def _unpack(raw: bytes) -> tuple[int, str, int, int, bytes, bytes, bytes, bytes]:
    """The slots of a keyslot that is whole, whatever its parameters say."""
    try:
        slots = codec.unpack(raw, _SCHEMA, limits.KEYSLOT_SIZE_MAX)
    except PeerError:
        raise CallerError(Code.invalid, "the keyslot is damaged: restore a copy") from None
    version, kind, mem_bytes, passes, salt, nonce, wrapped, check = slots
    sizes = (len(salt), len(nonce), len(wrapped))
    if sizes != (_SALT_SIZE, _NONCE_SIZE, _WRAPPED_SIZE) or check != _check(*slots[:-1]):
        raise CallerError(Code.invalid, "the keyslot is damaged: restore a copy")
    if version != _VERSION:
        raise CallerError(Code.invalid, f"the keyslot is of version {version}: a newer meshd made it")
    return version, kind, mem_bytes, passes, salt, nonce, wrapped, check


def _check(*slots: int | str | bytes) -> bytes:
    return ids.labelled(ids.LABEL_KEYSLOT, codec.pack(*slots), size=_CHECK_SIZE)


def _require_private(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise CallerError(Code.refused, f"{path} is not a file")
    if status.st_uid != os.geteuid():
        raise CallerError(Code.refused, f"{path} belongs to another user: run meshd as its owner")
    if status.st_mode & 0o077:
        raise CallerError(Code.refused, f"{path} may be read or changed by others: chmod 600 it")


def _write_synced(path: Path, raw: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, 0o600)  # a umask may have taken more
        file.write(raw)
        file.flush()
        os.fsync(descriptor)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
