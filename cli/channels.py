"""`mesh channel`: which channels are read here."""

from functools import partial

import click

from cli import completion, text
from cli.client import Document
from cli.commands import Group, command
from cli.console import Console

channel = Group(
    "channel",
    "Lists, joins and leaves channels.",
    "mesh channel join square",
    {"list": "cli.channels:list_", "join": "cli.channels:join", "leave": "cli.channels:leave"},
)


def _show(console: Console, document: Document) -> None:
    console.show(document, partial(text.channels, aligned=console.terminal))


@command("list", example="mesh channel list")
def list_(console: Console) -> None:
    """Lists the channels joined here."""
    _show(console, console.call("channel.list"))


@command("join", example="mesh channel join square")
@click.argument("channel", metavar="NAME")
def join(console: Console, channel: str) -> None:
    """Joins a public channel: what is said there is kept and shown."""
    _show(console, console.call("channel.join", {"name": channel}))


@command("leave", example="mesh channel leave square")
@click.argument("channel", shell_complete=completion.channels)
def leave(console: Console, channel: str) -> None:
    """Leaves a channel; its posts are carried on for others."""
    _show(console, console.call("channel.leave", {"channel": channel}))
