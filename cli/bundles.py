"""`mesh bundle`: envelopes in a file, carried by hand.

The rule: the daemon opens the file, so a path is made absolute here. A file that is cut off is no failure: what it
held was imported, and that it was not whole is said.
"""

import os

import click

from cli import completion, text
from cli.client import Document
from cli.commands import Group, command
from cli.console import Console

_TICK_S = 1.0  # until progress is shown, and between two of its lines

bundle = Group(
    "bundle",
    "Carries posts by hand, in a file.",
    "mesh bundle export /media/stick/posts.bundle",
    {"export": "cli.bundles:export", "import": "cli.bundles:import_"},
)


def _carry(console: Console, method: str, params: Document, doing: str) -> Document:
    """The answer, however long it takes; progress meanwhile."""
    with console.connect() as client:
        client.send(method, {**params, "file": os.path.abspath(params["file"])})
        while (document := client.answer(_TICK_S)) is None:
            held = console.call("status")["counts"]["envelopes"]
            console.progress(f"{doing}: {held} envelopes are here")
    console.progress("")
    return document


@command("export", example="mesh bundle export /media/stick/posts.bundle --since 2d")
@click.argument("file", type=click.Path())
@click.option("--since", metavar="DUR", help="Only what was posted in the last 30m, 2h, 3d.")
@click.option("--channel", help="Only this channel.", shell_complete=completion.channels)
def export(console: Console, **params: str | None) -> None:
    """Writes what this laptop carries into FILE, which must not be there yet."""
    console.show(_carry(console, "bundle.export", params, "exporting"), text.exported)


@command("import", example="mesh bundle import /media/stick/posts.bundle")
@click.argument("file", type=click.Path())
def import_(console: Console, **params: str) -> None:
    """Takes in what FILE holds, checked like what comes by a link."""
    document = _carry(console, "bundle.import", params, "importing")
    console.show(document, text.imported)
    if not document["whole"]:
        console.remark("the file is cut off or damaged: what comes before that was imported")
