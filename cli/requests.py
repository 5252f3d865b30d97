"""`mesh requests`: who wants something, and waits for your answer."""

from functools import partial

import click

from cli import completion, text_directs
from cli.commands import command
from cli.console import Console
from meshd.errors import CallerError, Code


@command("requests", example="mesh requests accept oak")
@click.argument("answer", type=click.Choice(["accept", "refuse"]), required=False)
@click.argument("who", required=False, shell_complete=completion.askers)
def requests(console: Console, answer: str | None, who: str | None) -> None:
    """Lists who writes to you or invites you; accepts or refuses what they want."""
    if answer is not None and who is None:
        raise CallerError(Code.usage, f"whose request? mesh requests {answer} WHO")
    method, params = (f"requests.{answer}", {"who": who}) if answer is not None else ("requests", {})
    console.show(console.call(method, params), partial(text_directs.requests, aligned=console.terminal))
