"""`mesh completion`, and what is completed from the running daemon.

The rule: pressing Tab never waits. Live names come within 200 ms or not at all: whatever fails or is slow
on the way to them counts as "none", in silence, because a half-typed line is no place for an error.

Names come from others, and bash puts what is completed on the line as it is, where `$(…)` would be run at the next
Enter. So only a name in which nothing means anything to a shell is completed, and any other is left to be quoted.
"""

import re
from typing import Any

import click

from cli.client import Client
from cli.commands import command
from cli.console import Console
from cli.inert import inert
from meshd.errors import CallerError

_PATIENCE_S = 0.1  # of the 200 ms; starting Python takes the rest
_PLAIN = re.compile(r"(?![-#])[0-9A-Za-z_.:+@%,#\[\]\x80-\U0010ffff-]+")


@command("completion", example='eval "$(mesh completion bash)"')
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, console: Console, shell: str) -> None:
    """Prints the completion script of a shell."""
    from click.shell_completion import ShellComplete, get_completion_class

    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"there is no completion for {shell}")
    # The base class gives the script; the one of bash would start a bash first, to look at its version.
    script = ShellComplete.source(found(context.find_root().command, {}, "mesh", "_MESH_COMPLETE"))
    console.show({"script": script}, lambda document: document["script"].splitlines())


def channels(context: click.Context, param: click.Parameter, start: str) -> list[str]:
    """The names of joined channels that begin with `start`."""
    return _live(context, "channel.list", "channels", "name", start)


def addresses(context: click.Context, param: click.Parameter, start: str) -> list[str]:
    """The addresses of known peers that begin with `start`."""
    return _live(context, "peer.list", "peers", "address", start)


def people(context: click.Context, param: click.Parameter, start: str) -> list[str]:
    """The names of contacts that begin with `start`."""
    return _live(context, "contact.list", "contacts", "name", start)


def plans(context: click.Context, param: click.Parameter, start: str) -> list[str]:
    """The titles of plans that begin with `start`; where a title is not plain, the beginning of the id."""
    found = _rows(context, "plan.list", "plans")
    names = (each["title"] if _is_plain(each["title"]) else each["id"][:8] for each in found)
    return list(dict.fromkeys(name for name in names if name.startswith(start)))


def scenarios(context: click.Context, param: click.Parameter, start: str) -> list[str]:
    """The scenarios of the plan before them that begin with `start`."""
    given = str(context.params.get("plan"))
    found = [
        each for each in _rows(context, "plan.list", "plans") if given in (each["title"], each["id"][:8])
    ]
    names = (scenario["name"] for each in found for scenario in each["scenarios"])
    return list(dict.fromkeys(name for name in names if name.startswith(start)))


def askers(context: click.Context, param: click.Parameter, start: str) -> list[str]:
    """The names of who waits for an answer that begin with `start`."""
    return list(dict.fromkeys(_live(context, "requests", "requests", "name", start)))


def _live(context: click.Context, method: str, rows: str, field: str, start: str) -> list[str]:
    names = (each[field] for each in _rows(context, method, rows))
    return [name for name in names if name.startswith(start) and _is_plain(name)]


def _is_plain(name: str) -> bool:
    """Whether a shell takes it for one word that means nothing else."""
    return _PLAIN.fullmatch(name) is not None and inert(name) == name


def _rows(context: click.Context, method: str, rows: str) -> list[dict[str, Any]]:
    home = context.find_root().ensure_object(Console).home
    try:
        with Client(home, timeout_s=_PATIENCE_S) as client:
            found: list[dict[str, Any]] = client.call(method)[rows]
    except CallerError:
        return []
    return found
