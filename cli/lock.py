"""`mesh lock` and `mesh unlock`: forget what is private, and open it again.

The rule: both may be repeated, and both return when it is so: the daemon starts anew in between, and who asks it
meanwhile waits.
"""

from contextlib import suppress

from cli import child, text
from cli.commands import command
from cli.console import Console
from cli.node import DESCRIPTOR, FILE
from meshd.errors import CallerError, Code

_END_S = 5.0  # links get a second for their last words


@command("lock", example="mesh lock")
def lock(console: Console) -> None:
    """Forgets all that is private; this laptop goes on carrying and relaying."""
    if not console.call("status")["locked"]:
        with console.connect() as client:
            client.call("lock")
            with suppress(CallerError):
                client.answer(_END_S)  # none: the connection ends when this run of the daemon does
        if not console.call("status")["locked"]:
            raise CallerError(Code.timed_out, "the daemon is not locked yet: look at `mesh status`")
    console.show({}, text.locked)


@command("unlock", example="mesh unlock")
@FILE
@DESCRIPTOR
def unlock(console: Console, passphrase_file: str | None, passphrase_fd: int | None) -> None:
    """Opens what was locked; what came meanwhile is there then."""
    passphrase = child.Passphrase.chosen(passphrase_file, passphrase_fd)
    if console.call("status")["locked"]:
        child.answer(console, ["unlock"], "opening the log (Argon2id takes a moment)", passphrase)
        console.call("status")  # answered by the daemon that has begun anew
    console.show({}, text.unlocked)
