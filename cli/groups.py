"""`mesh group`: a channel that only its members read.

The rule: who invites makes a member; whether they want to be is up to them, so nothing shows on their side until they
accept. An act that several have to sign is signed with the same command by each of them.
"""

import click

from cli import completion, text
from cli.client import Document
from cli.commands import Group, command
from cli.console import Console

group = Group(
    "group",
    "Makes groups, and says who is in them.",
    "mesh group invite kitchen elm",
    {
        name: f"cli.groups:{name}"
        for name in ("create", "invite", "accept", "members", "remove", "rotate", "admin", "leave")
    },
)
_GROUP = click.argument("group", shell_complete=completion.channels)
_WHO = click.argument("who", shell_complete=completion.people)


def _ask(console: Console, method: str, params: Document) -> None:
    console.show(console.call(f"group.{method}", params), text.group)


@command("create", example="mesh group create kitchen")
@click.argument("name")
@click.option("--strict", is_flag=True, help="Nothing in it is kept over 24 hours.")
@click.option("--history", type=click.Choice(["none", "all"]), help="What newcomers may read of before.")
def create(console: Console, name: str, strict: bool, history: str | None) -> None:
    """Makes a group, with you alone in it."""
    _ask(console, "create", {"name": name, "strict": strict, "history": history})


@command("invite", example="mesh group invite kitchen elm ash")
@_GROUP
@click.argument("who", nargs=-1, required=True, shell_complete=completion.people)
def invite(console: Console, group: str, who: tuple[str, ...]) -> None:
    """Makes people members whose cards you have, and sends them the key. Several at once cost the network less."""
    console.show(console.call("group.invite", {"group": group, "who": list(who)}), text.invited)


@command("accept", example="mesh group accept kitchen")
@click.argument("invite")
def accept(console: Console, invite: str) -> None:
    """Joins a group: by the text of an invitation, or the name of one that came."""
    _ask(console, "accept", {"invite": invite})


@command("members", example="mesh group members kitchen")
@_GROUP
def members(console: Console, group: str) -> None:
    """Shows who is in, and what waits for signatures."""
    _ask(console, "members", {"group": group})


@command("remove", example="mesh group remove kitchen elm")
@_GROUP
@_WHO
def remove(console: Console, group: str, who: str) -> None:
    """Puts somebody out: they read nothing new from who has heard of it."""
    _ask(console, "remove", {"group": group, "who": who})


@command("rotate", example="mesh group rotate kitchen")
@_GROUP
def rotate(console: Console, group: str) -> None:
    """Begins an epoch with a new key."""
    _ask(console, "rotate", {"group": group})


@command("admin", example="mesh group admin kitchen elm")
@_GROUP
@_WHO
@click.option("--remove", is_flag=True, help="Take the rights away.")
def admin(console: Console, group: str, who: str, remove: bool) -> None:
    """Makes a member an admin, or signs that, if several have to."""
    _ask(console, "admin", {"group": group, "who": who, "remove": remove})


@command("leave", example="mesh group leave kitchen")
@_GROUP
def leave(console: Console, group: str) -> None:
    """Leaves a group, and tells its members, so that they send you no more keys."""
    console.show(console.call("group.leave", {"group": group}), text.left)


@command("presume-arrested", example="mesh presume-arrested elm")
@_WHO
def presume_arrested(console: Console, who: str) -> None:
    """Somebody's laptop is in other hands: blocks them, and puts them out of groups."""
    console.show(console.call("presume-arrested", {"who": who}), text.presumed)
