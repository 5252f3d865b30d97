"""`mesh peer` and `mesh sync`: other laptops, and fetching now."""

from functools import partial

import click

from cli import completion, text
from cli.client import Document
from cli.commands import Group, command
from cli.console import Console

_TICK_S = 1.0  # until progress is shown, and between two of its lines

peer = Group(
    "peer",
    "Lists, adds, drops and pings peers.",
    "mesh peer add 192.168.1.7:4040",
    {"list": "cli.peers:list_", "add": "cli.peers:add", "drop": "cli.peers:drop", "ping": "cli.peers:ping"},
)


def _show(console: Console, document: Document) -> None:
    console.show(document, partial(text.peers, aligned=console.terminal))


@command("list", example="mesh peer list")
def list_(console: Console) -> None:
    """Lists addresses given by hand, and links."""
    _show(console, console.call("peer.list"))


@command("add", example="mesh peer add 192.168.1.7:4040")
@click.argument("address", metavar="HOST:PORT")
def add(console: Console, address: str) -> None:
    """Keeps a link to this address from now on, after restarts too."""
    _show(console, console.call("peer.add", {"address": address}))


@command("drop", example="mesh peer drop 192.168.1.7:4040")
@click.argument("address", shell_complete=completion.addresses)
def drop(console: Console, address: str) -> None:
    """Gives an address up and closes its link."""
    _show(console, console.call("peer.drop", {"address": address}))


@command("ping", example="mesh peer ping 192.168.1.7:4040")
@click.argument("who", metavar="WHO|ADDRESS", shell_complete=completion.addresses)
def ping(console: Console, who: str) -> None:
    """Waits for an answer of a peer, by its address or its id in `mesh status`."""
    console.show(console.call("peer.ping", {"who": who}), text.pinged)


@command("sync", example="mesh sync --wait")
@click.option("--wait", is_flag=True, help="Return when every open link has been reconciled.")
def sync(console: Console, wait: bool) -> None:
    """Fetches what is missing from every open link, now."""
    with console.connect() as client:
        client.send("sync", {"wait": wait or None})
        while (document := client.answer(_TICK_S)) is None:
            held = console.call("status")["counts"]["envelopes"]
            console.progress(f"fetching: {held} envelopes are here")
        console.progress("")
        console.show(document, text.synced)
