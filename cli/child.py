"""What needs keys, or a daemon that does not run yet, is done by `meshd …` as a child.

The rule: the child speaks the same documents as the daemon: one JSON line on stdout, the result or an error
document. Its stderr is ours, or the daemon's log. A passphrase goes to it through an inherited descriptor,
never through an argument or the environment, where other users and core files would see it.
"""

import json
import os
import selectors
import subprocess
import sys
from collections.abc import Sequence
from typing import IO, Any, NamedTuple, NoReturn

import click

from cli.client import Document
from cli.console import Console
from meshd.errors import CallerError, Code

LOG_NAME = "daemon.log"
_KEYSLOT_NAME = "keyslot"  # what makes a folder a home
_PATIENCE_S = 1.0  # what takes longer than this says what it is doing


class Passphrase(NamedTuple):
    """Where the child finds its passphrase: arguments to it, and the descriptors that it must inherit."""

    args: Sequence[str] = ()
    descriptors: Sequence[int] = ()

    @classmethod
    def chosen(cls, file: str | None, descriptor: int | None, none: bool = False) -> "Passphrase | None":
        """What the options say, None if they say nothing; CallerError(usage) if they say two things."""
        if (file is not None) + (descriptor is not None) + none > 1:
            raise CallerError(
                Code.usage, "name one of --passphrase-file, --passphrase-fd and --no-passphrase"
            )
        if file is not None:
            return cls(("--passphrase-file", os.path.abspath(file)))
        if descriptor is not None:
            return cls(("--passphrase-fd", str(descriptor)), (descriptor,))
        return cls(("--no-passphrase",)) if none else None

    @classmethod
    def asked(cls, new: bool) -> "Passphrase":
        """Asks at the terminal, twice for a `new` one; CallerError(usage) where there is none."""
        if not at_terminal():
            options = "--passphrase-file F, --passphrase-fd N" + (" or --no-passphrase" if new else "")
            raise CallerError(
                Code.usage, f"a passphrase is needed and there is no terminal to ask: use {options}"
            )
        said = click.prompt("Passphrase", hide_input=True, confirmation_prompt=new, err=True)
        reading, writing = os.pipe()
        with open(writing, "wb") as pipe:
            pipe.write(said.encode())
        return cls(("--passphrase-fd", str(reading)), (reading,))


def at_terminal() -> bool:
    """Whether there is somebody to ask."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def command_line(console: Console, *args: str) -> list[str]:
    """The argument vector of `meshd`, of the same installation and for the same home."""
    return [sys.executable, "-I", "-m", "meshd", args[0], "--home", console.home, *args[1:]]


def answer(
    console: Console,
    args: Sequence[str],
    doing: str,
    passphrase: Passphrase | None,
    log: int | None = None,
) -> Document:
    """Starts `meshd ARGS` and returns the document that it answers with, in its first line.

    Only the child can tell whether a home has a passphrase: if it has, and none was named, it is asked for.
    `doing` is the progress line of what takes longer than a second. With `log`, a descriptor, the child is
    on its own: a session of its own, its stderr in the log, and nobody waits for its end. Raises CallerError
    with the child's own code.
    """
    try:
        return _answer(console, args, doing, passphrase or Passphrase(), log)
    except CallerError as error:
        if error.code is not Code.locked or passphrase is not None:
            raise
    return _answer(console, args, doing, Passphrase.asked(new=False), log)


def _answer(
    console: Console, args: Sequence[str], doing: str, passphrase: Passphrase, log: int | None
) -> Document:
    process = subprocess.Popen(
        [*command_line(console, *args), "--json", *(passphrase.args or ("--starter-asks",))],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if log is None else log,
        pass_fds=passphrase.descriptors,
        start_new_session=log is not None,
    )
    try:
        document = _document(_first_line(console, _stdout(process), doing))
        status = process.wait() if log is None or document is None or "error" in document else 0
    except BaseException:  # Ctrl-C while it starts must leave nothing behind
        process.terminate()
        process.wait()
        raise
    if document is None or "error" in document or status:
        raise _refusal(status, document, process.stderr)
    return document


def _stdout(process: "subprocess.Popen[bytes]") -> IO[bytes]:
    if process.stdout is None:
        raise ValueError("the child's stdout is no pipe")
    return process.stdout


def _first_line(console: Console, stream: IO[bytes], doing: str) -> bytes:
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        if not selector.select(_PATIENCE_S):
            console.remark(f"{doing} …")
    return stream.readline()


def _document(line: bytes) -> Document | None:
    try:
        document: Any = json.loads(line)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _refusal(status: int, document: Document | None, journal: IO[bytes] | None) -> CallerError:
    try:
        error = (document or {})["error"]
        return CallerError(Code[error["code"]], str(error["message"]))
    except KeyError:
        said = journal.readline().decode(errors="replace").strip() if journal else f"see {LOG_NAME}"
        return CallerError(Code.error, f"meshd ended with status {status} and no result: {said}")


def require_unused(home: str) -> None:
    """CallerError(refused) where there is a node already: before anybody is asked for a passphrase."""
    if os.path.lexists(os.path.join(home, _KEYSLOT_NAME)):
        raise CallerError(Code.refused, f"there is a node in {home} already: nothing was changed")


def open_log(home: str) -> int:
    """A descriptor of the daemon's log, to append to. CallerError: not_found where there is no node (and then
    nothing is made there), refused."""
    if not os.path.lexists(os.path.join(home, _KEYSLOT_NAME)):
        raise CallerError(Code.not_found, f"there is no node in {home} yet: `mesh init`")
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
    try:
        return os.open(os.path.join(home, LOG_NAME), flags, 0o600)
    except OSError as error:
        raise CallerError(Code.refused, f"{LOG_NAME} in {home} can't be written: {error.strerror}") from None


def become(console: Console, args: Sequence[str], passphrase: Passphrase | None) -> NoReturn:
    """Goes on as `meshd ARGS` in this very process: its signals, terminal and end are then its own."""
    chosen = passphrase or Passphrase()
    for descriptor in chosen.descriptors:
        os.set_inheritable(descriptor, True)
    as_json = ("--json",) if console.json else ()
    os.execv(sys.executable, [*command_line(console, *args), *as_json, *chosen.args])
