"""`mesh panic`: erase everything of this node, now.

The rule: the daemon is asked, because it is there already and needs no start; if it does not answer at once, or left
anything, `meshd panic` erases the keys from outside, kills the daemon and finishes. Nothing is waited for longer than
that takes. It may be repeated, and then says that nothing is left to erase.
"""

import os
from contextlib import suppress

import click

from cli import child, text
from cli.client import Document
from cli.commands import command
from cli.console import Console
from meshd.errors import CallerError, Code

_ANSWER_S = 0.4  # a daemon in the middle of a long step is not worth waiting for
_END_S = 0.2


@command("panic", example="mesh panic")
@click.option("--yes", is_flag=True, help="Don't ask.")
def panic(console: Console, yes: bool) -> None:
    """Erases the keys, the posts and everything else of this node, for good."""
    if not yes:
        _ask(console.home)
    document = _by_daemon(console)
    if _names(console.home):
        rest = child.answer(console, ["panic", "--yes"], "erasing", None)
        document = {
            name: list(dict.fromkeys(document.get(name, []) + rest[name])) for name in rest if name != "v"
        }
    console.show(document, text.panic)
    if document["failed"]:
        raise click.exceptions.Exit(Code.error)


def _ask(home: str) -> None:
    if not child.at_terminal():
        raise CallerError(Code.usage, "this erases everything of this node for good: say --yes")
    if not click.confirm(text.panic_question(home), err=True):
        raise click.Abort


def _by_daemon(console: Console) -> Document:
    """What the daemon erased, if there is one that answers; it is gone then."""
    erased: Document = {"erased": [], "failed": [], "left": []}
    with suppress(CallerError), console.connect() as client:
        erased = client.call("panic", {"yes": True}, _ANSWER_S)
        client.answer(_END_S)  # none: the connection ends when the daemon does
    return erased


def _names(home: str) -> list[str]:
    with suppress(OSError):
        return os.listdir(home)
    return []
