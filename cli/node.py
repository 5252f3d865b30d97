"""`mesh init`, `up`, `down` and `status`: the node itself.

The rule: these four may be repeated. `up` when up and `down` when down say what is so and succeed; `init`
on a used home touches nothing. `up` returns when the daemon answers, `down` when its process is gone, so
that the next command of a script finds what it expects.
"""

import os
import select
import time
from collections.abc import Callable

import click

from cli import child, text, text_fired
from cli.client import Document
from cli.commands import command
from cli.console import Console
from meshd.errors import CallerError, Code

_DOWN_S = 30.0  # for the last commit and the byes; a process that takes longer is stuck
_OTHER_S = 5.0  # what a start takes at most
_PAUSE_S = 0.02
_WATCH_S = 1.0

FILE = click.option("--passphrase-file", metavar="F", help="Take the passphrase from the first line of F.")
DESCRIPTOR = click.option("--passphrase-fd", type=int, metavar="N", help="Take it from open descriptor N.")


@command("init", example="mesh init --name oak")
@click.option("--name", metavar="N", help="The name your posts carry.")
@click.option("--open", "kind", flag_value="open", help="Join the open commons (default).")
@click.option("--private", "kind", flag_value="private", help="Start a network of your own.")
@click.option(
    "--invite", metavar="TEXT|@FILE", help="Join the network of an invite (@ reads it from a file)."
)
@FILE
@DESCRIPTOR
@click.option("--no-passphrase", is_flag=True, help="Who takes the laptop can then read everything.")
def init(
    console: Console,
    name: str | None,
    kind: str | None,
    invite: str | None,
    passphrase_file: str | None,
    passphrase_fd: int | None,
    no_passphrase: bool,
) -> None:
    """Makes the identity and the log of this laptop."""
    if kind and invite:
        raise CallerError(Code.usage, "--invite names a network already: leave --open and --private out")
    passphrase = child.Passphrase.chosen(passphrase_file, passphrase_fd, no_passphrase)
    if passphrase is None:
        child.require_unused(console.home)
        passphrase = child.Passphrase.asked(new=True)
    args = ["init", *(("--name", name) if name else ()), *((f"--{kind}",) if kind else ())]
    if invite:
        args += ["--invite", invite]
    document = child.answer(console, args, "making the keys (Argon2id takes a moment)", passphrase)
    console.show(document, text.init)


def _run_options(function: Callable[..., None]) -> Callable[..., None]:
    """What `meshd run` takes too."""
    for option in (
        DESCRIPTOR,
        FILE,
        click.option("--listen-only", is_flag=True, help="Look for others, and do not announce this laptop."),
        click.option("--no-mdns", is_flag=True, help="No discovery at all: only peers added by hand."),
        click.option(
            "--listen", multiple=True, metavar="HOST:PORT", help="Listen there only; may be repeated."
        ),
    ):
        function = option(function)
    return function


@command("up", example="mesh up")
@click.option("--foreground", is_flag=True, help="Stay, and end with Ctrl-C.")
@_run_options
def up(
    console: Console,
    foreground: bool,
    listen: tuple[str, ...],
    no_mdns: bool,
    listen_only: bool,
    passphrase_file: str | None,
    passphrase_fd: int | None,
) -> None:
    """Starts the daemon, and returns when it is ready."""
    running = _status(console)
    if running is not None:
        console.show({"pid": running["pid"], "listen": running["listen"]}, text.up)
        return
    args = ["run", *(word for address in listen for word in ("--listen", address))]
    args += [*(("--no-mdns",) if no_mdns else ()), *(("--listen-only",) if listen_only else ())]
    passphrase = child.Passphrase.chosen(passphrase_file, passphrase_fd)
    if foreground:
        child.become(console, args, passphrase)
    log = child.open_log(console.home)
    try:
        document = child.answer(console, args, "opening the log (Argon2id takes a moment)", passphrase, log)
    except CallerError as error:
        if error.code is not Code.busy:
            raise
        document = _wait_for_other(console, error)
    console.show({"pid": document["pid"], "listen": document["listen"]}, text.up)


def _wait_for_other(console: Console, busy: CallerError) -> Document:
    """The status of a daemon that somebody else is starting just now; the error if it does not come up."""
    end = time.monotonic() + _OTHER_S
    while time.monotonic() < end:
        if running := _status(console):
            return running
        time.sleep(_PAUSE_S)
    raise busy


def _status(console: Console) -> Document | None:
    try:
        return console.call("status")
    except CallerError as error:
        if error.code is Code.not_running:
            return None
        raise


@command("down", example="mesh down")
def down(console: Console) -> None:
    """Stops the daemon, and returns when it is gone."""
    running = _status(console)
    if running is None:
        console.show({"pid": None, "listen": []}, text.down)
        return
    pid = running["pid"]
    gone = _watch_end(pid)
    console.call("down")
    if not gone(_DOWN_S):
        raise CallerError(Code.timed_out, f"the daemon, pid {pid}, does not stop: look at {child.LOG_NAME}")
    console.show({"pid": pid, "listen": []}, text.down)


def _watch_end(pid: int) -> Callable[[float], bool]:
    """A function that waits, so many seconds at most, for the end of a process that is no child of ours."""
    if hasattr(os, "pidfd_open"):
        descriptor = os.pidfd_open(pid)  # names this very process, should its number be given out again

        def ended(patience_s: float) -> bool:
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            return bool(poll.poll(patience_s * 1000))
    else:

        def ended(patience_s: float) -> bool:
            end = time.monotonic() + patience_s
            while time.monotonic() < end:
                try:
                    os.kill(pid, 0)
                except ProcessLookupError:
                    return True
                time.sleep(_PAUSE_S)
            return False

    return ended


@command("status", example="mesh status --watch")
@click.option("--watch", is_flag=True, help="Show it again every second, until Ctrl-C.")
def status(console: Console, watch: bool) -> None:
    """Shows the node, its network, links and clock."""
    document = console.call("status")
    console.show(document, text_fired.status)
    while watch:
        time.sleep(_WATCH_S)
        document = console.call("status")
        if console.terminal and not console.json:
            click.clear()
        console.show(document, text_fired.status)
