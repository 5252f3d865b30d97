"""`mesh clock`: what the user knows better than the clock's history."""

from cli import text
from cli.commands import Group, command
from cli.console import Console

clock = Group(
    "clock", "Says that the clock is right.", "mesh clock confirm", {"confirm": "cli.clock:confirm"}
)


@command("confirm", example="mesh clock confirm")
def confirm(console: Console) -> None:
    """Says that this machine's clock is right, after it was set or this laptop was off for long."""
    console.show(console.call("clock.confirm"), text.confirmed)
