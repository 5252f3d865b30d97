"""`mesh id` and `mesh invite`: who this laptop is, and who may join its network.

The rule: these work while the daemon is down too; then a child opens the log. Prekeys are the daemon's to announce, so
a long card takes one. The card and the invite are plain text; the picture is the same text for a camera, and is drawn
only where a person looks.
"""

import io
import os
from collections.abc import Iterator

import click

from cli import child, text
from cli.client import Document
from cli.commands import Group, command
from cli.console import Console
from meshd.errors import CallerError, Code

identity = Group(
    "id",
    "Shows your identity, or moves it to another laptop.",
    "mesh id show",
    {
        "show": "cli.identity:show",
        "qr": "cli.identity:qr",
        "export": "cli.identity:export",
        "import": "cli.identity:import_",
    },
)
invite = Group(
    "invite",
    "Lets others in.",
    "mesh invite network",
    {"network": "cli.identity:network"},
)


_PREKEYS = click.option(
    "--prekeys", is_flag=True, help="A long card, for who can't hear you before writing to you."
)


def _identity(console: Console, prekeys: bool) -> Document:
    try:
        return console.call("id.show", {"prekeys": prekeys or None})
    except CallerError as error:
        if prekeys or error.code is not Code.not_running:
            raise
    return child.answer(console, ["id"], "opening the log (Argon2id takes a moment)", None)


@command("show", example="mesh id show --json")
@_PREKEYS
def show(console: Console, prekeys: bool) -> None:
    """Shows your id and its fingerprint: twelve words to compare face to face."""
    console.show(_identity(console, prekeys), text.identity)


@command("qr", example="mesh id qr")
@click.option("--png", metavar="FILE", help="Write the picture there instead.")
@_PREKEYS
def qr(console: Console, png: str | None, prekeys: bool) -> None:
    """Draws your card for another laptop's camera."""
    shown = _identity(console, prekeys)
    if png is None:
        console.show(shown, _card_lines)
        return
    import segno

    try:
        with open(png, "xb") as file:
            segno.make(shown["card"], micro=False).save(file, kind="png", scale=6)
    except OSError as error:
        raise CallerError(Code.refused, f"{png} can't be written: {error.strerror}") from None
    console.show(shown, text.identity)


def _card_lines(document: Document) -> Iterator[str]:
    yield from picture(document["card"])
    yield from text.identity(document)


_FILE = click.option("--passphrase-file", metavar="F", help="Take the passphrase from the first line of F.")
_DESCRIPTOR = click.option("--passphrase-fd", type=int, metavar="N", help="Take it from open descriptor N.")


@command("export", example="mesh id export oak.identity")
@click.argument("file", metavar="FILE")
@_FILE
@_DESCRIPTOR
@click.option("--no-passphrase", is_flag=True, help="Who takes the file is then you.")
def export(
    console: Console, file: str, passphrase_file: str | None, passphrase_fd: int | None, no_passphrase: bool
) -> None:
    """Writes your identity and contacts into a file, to move them to another
    laptop. The passphrase is that of this home, and the file gets the same."""
    passphrase = child.Passphrase.chosen(passphrase_file, passphrase_fd, no_passphrase)
    if passphrase is None:
        passphrase = child.Passphrase.asked(new=True)
    args = ["id", "export", os.path.abspath(file)]
    try:
        document = child.answer(console, args, "sealing the file (Argon2id takes a moment)", passphrase)
    except CallerError as error:
        if error.code is not Code.busy:
            raise
        raise CallerError(
            Code.busy, "stop the daemon first (mesh down): an identity lives in one place"
        ) from None
    console.show(document, text.exported_identity)


@command("import", example="mesh id import oak.identity")
@click.argument("file", metavar="FILE")
@_FILE
@_DESCRIPTOR
def import_(console: Console, file: str, passphrase_file: str | None, passphrase_fd: int | None) -> None:
    """Makes a home of what `mesh id export` wrote. Its passphrase is that of the
    file; a home that is there already is not touched."""
    passphrase = child.Passphrase.chosen(passphrase_file, passphrase_fd)
    args = ["id", "import", os.path.abspath(file)]
    document = child.answer(console, args, "opening the file (Argon2id takes a moment)", passphrase)
    console.show(document, text.init)


@command("network", example="mesh invite network > invite.txt")
def network(console: Console) -> None:
    """Prints the text that lets a laptop join this network. Who has it can join: hand it over with care."""
    drawn = console.terminal
    document = console.call("invite.network")
    console.show(document, lambda invite: (*(picture(invite["invite"]) if drawn else ()), invite["invite"]))


def picture(said: str) -> Iterator[str]:
    """A QR code of half blocks, light on dark, with the quiet zone a camera needs."""
    import segno  # 15 ms, for the one command that draws

    drawn = io.StringIO()
    segno.make(said, micro=False).terminal(out=drawn, compact=True, border=2)
    yield from drawn.getvalue().splitlines()
