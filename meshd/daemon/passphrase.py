"""Where a passphrase comes from: a file, an open descriptor, or the terminal.

The rule: never from an argument or the environment, where other users and core files see it. It is the first
line, at most PASSPHRASE_SIZE_MAX bytes of UTF-8, normalised to NFC, because the same words typed on another
keyboard must open the same home. An empty one is refused: none at all has to be asked for.
"""

import getpass
import os
import sys
import unicodedata

from meshd import limits
from meshd.errors import CallerError, Code

_OPTIONS = "--passphrase-file F or --passphrase-fd N"


def given(file: str | None, descriptor: int | None) -> bytes | None:
    """The passphrase that the options name, None if they name none. CallerError(usage) if it cannot be
    had."""
    if file is not None and descriptor is not None:
        raise CallerError(Code.usage, "name one of --passphrase-file and --passphrase-fd")
    try:
        if file is not None:
            descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        if descriptor is None:
            return None
        with open(descriptor, "rb") as source:
            line = source.readline(limits.PASSPHRASE_SIZE_MAX + 2)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no descriptor"
        raise CallerError(Code.usage, f"the passphrase can't be read: {reason}") from None
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise CallerError(Code.usage, "the passphrase is no UTF-8 text") from None
    return _normal(text.rstrip("\r\n"))


def ask(new: bool) -> bytes | None:
    """Ask at the terminal, twice for a new one; None where there is no terminal."""
    if not _at_terminal():
        return None
    try:
        said = getpass.getpass("Passphrase: ")
        if new and getpass.getpass("Once more: ") != said:
            raise CallerError(Code.usage, "the two were not the same: nothing was made")
    except EOFError:
        raise CallerError(Code.usage, "no passphrase was given") from None
    return _normal(said)


def _at_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _normal(text: str) -> bytes:
    passphrase = unicodedata.normalize("NFC", text).encode(errors="surrogateescape")
    if not passphrase:
        raise CallerError(Code.usage, "the passphrase is empty")
    if len(passphrase) > limits.PASSPHRASE_SIZE_MAX:
        raise CallerError(Code.usage, f"a passphrase has at most {limits.PASSPHRASE_SIZE_MAX} bytes")
    return passphrase


def needed(file: str | None, descriptor: int | None, new: bool, missing: Code = Code.usage) -> bytes:
    """The passphrase from wherever it can be had. CallerError(`missing`) if from nowhere."""
    passphrase = given(file, descriptor) or ask(new)
    if passphrase is None:
        options = f"{_OPTIONS}{', or --no-passphrase' if new else ''}"
        message = f"a passphrase is needed and there is no terminal to ask at: use {options}"
        raise CallerError(missing, message)
    return passphrase
