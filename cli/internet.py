"""`mesh internet`: how much of the internet this laptop sees, and who says so."""

from collections.abc import Iterator

import click

from cli.client import Document
from cli.commands import Group, command
from cli.console import Console
from cli.inert import inert
from cli.text import local_time


@click.pass_context
def _shown_alone(context: click.Context) -> None:
    if context.invoked_subcommand is None:
        console = context.find_root().ensure_object(Console)
        console.show(console.call("internet"), lines)


internet = Group(
    "internet",
    "Shows how much of the internet this laptop sees, and whether that counts as dark.",
    "mesh internet --json",
    {"attest": "cli.internet:attest"},
    invoke_without_command=True,
    callback=_shown_alone,
)


@command("attest", example="mesh internet attest")
def attest(console: Console) -> None:
    """Says in groups with plans that it is dark here, until it is light again."""
    console.show(console.call("internet.attest"), lines)


def lines(document: Document) -> Iterator[str]:
    """The state, why it is dark or not, and what each source says."""
    state = document["state"]
    since = f" since {local_time(document['since'])}" if document["since"] else ""
    yield f"internet   {click.style(inert(state or 'unknown'), bold=True)}{since}"
    dark = f"yes, since {local_time(document['dark_since'])}" if document["dark"] else "no"
    yield f"dark       {click.style(dark, fg='red' if document['dark'] else None)}"
    yield inert(f"because    {document['reason']}")
    if document["last_seen"] and state not in ("full", "domestic"):
        yield f"last seen  {local_time(document['last_seen'])}"
    for one in document["observations"]:
        detail = f": {one['detail']}" if one["detail"] else ""
        when = f", since {local_time(one['since'])}" if one["since"] else ""
        yield inert(f"{one['source']:9}  {one['found']}{detail}{when}")
    if document["attested_by"]:
        yield inert(f"attested   by {', '.join(one['name'] for one in document['attested_by'])}")
