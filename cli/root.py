"""The table of commands, and what becomes of errors.

The rule: a command ends with a result or raises; how a failure looks and what the exit status is, is
decided here alone. One line on stderr says what is wrong and what to do; with `--json` the error document
goes to stdout too. The status is the code of the error (`meshd.errors.Code`), 130 when interrupted.
"""

import os
import sys
from itertools import zip_longest
from typing import NamedTuple

import click

from cli.commands import Group
from cli.console import Console
from meshd.daemon import api
from meshd.errors import CallerError, Code

INTERRUPTED = 130
COMPLETE = "_MESH_COMPLETE"  # set by the completion scripts of the shells
HASH_REMARK = "(a bare # starts a comment in shells: write square, or '#square' in quotes)"


class Place(NamedTuple):
    """A command: its function as `module:name`, and what it does, in the few words that the first help has room for."""

    function: str
    does: str


SECTIONS = {
    "Node": {
        "init": Place("cli.node:init", "make identity and log"),
        "up": Place("cli.node:up", "start the daemon"),
        "down": Place("cli.node:down", "stop the daemon"),
        "status": Place("cli.node:status", "node, links, clock"),
        "lock": Place("cli.lock:lock", "forget, but relay on"),
        "unlock": Place("cli.lock:unlock", "open it again"),
        "panic": Place("cli.panic:panic", "erase everything, at once"),
        "id": Place("cli.identity:identity", "your identity"),
        "invite": Place("cli.identity:invite", "let others in"),
        "doctor": Place("cli.doctor:doctor", "say what is wrong"),
        "internet": Place("cli.internet:internet", "is it there, or dark"),
        "clock": Place("cli.clock:clock", "say that the clock is right"),
        "demo": Place("cli.demo:demo", "a whole mesh on show"),
        "completion": Place("cli.completion:completion", "for your shell"),
    },
    "Posting and reading": {
        "post": Place("cli.posts:post", "say TEXT in CHANNEL"),
        "read": Place("cli.posts:read", "show posts"),
        "dm": Place("cli.posts:dm", "say TEXT to one person"),
        "search": Place("cli.posts:search", "find posts by words"),
        "show": Place("cli.posts:show", "one post, its provenance"),
        "mark": Place("cli.posts:mark", "keep a post past its time"),
        "channel": Place("cli.channels:channel", "list, join, leave"),
        "heartbeat": Place("cli.plans:heartbeat", "say that you are there"),
    },
    "Plans": {
        "plan": Place("cli.plans:plan", "arrange, seal, open"),
        "cue": Place("cli.plans:cue", "call what is arranged"),
    },
    "People": {
        "contact": Place("cli.contacts:contact", "add, verify, block"),
        "group": Place("cli.groups:group", "what only members read"),
        "presume-arrested": Place("cli.groups:presume_arrested", "put somebody out"),
        "requests": Place("cli.requests:requests", "who waits for an answer"),
    },
    "Peers": {
        "peer": Place("cli.peers:peer", "list, add, drop, ping"),
        "sync": Place("cli.peers:sync", "fetch what is missing"),
        "bundle": Place("cli.bundles:bundle", "carry posts in a file"),
    },
}
_COLUMN_WIDTH = 40  # two columns, or the commands would not fit a screen


class Root(Group):
    """`mesh` itself: its help shows the commands in sections, close together, to fit a screen."""

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        for section, places in SECTIONS.items():
            formatter.write(f"{section}:\n")
            cells = [f"  {name:10} {place.does}".ljust(_COLUMN_WIDTH) for name, place in places.items()]
            half = (len(cells) + 1) // 2
            for left, right in zip_longest(cells[:half], cells[half:], fillvalue=""):
                formatter.write(f"{left}{right}".rstrip() + "\n")

    def format_usage(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """None: the commands need the lines, and the example says it."""

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        self.format_commands(context, formatter)

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write("Everywhere: --home DIR, --json, --color auto|always|never, --help\n")
        formatter.write(f"Example: {self.example}\n")


mesh = Root(
    "mesh",
    "Posts that travel from laptop to laptop, with no internet.",
    "mesh init && mesh up && mesh post square hello",
    {name: place.function for places in SECTIONS.values() for name, place in places.items()},
    context_settings={"auto_envvar_prefix": "MESHD", "help_option_names": ["-h", "--help"]},
)


def run(args: list[str]) -> int:
    """Runs one command line and returns its exit status; everything it says has been printed."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal that lacks a letter shows its escape, and goes on
            stream.reconfigure(errors="backslashreplace")
    if COMPLETE in os.environ:
        from click.shell_completion import shell_complete

        return shell_complete(mesh, {}, "mesh", COMPLETE, os.environ[COMPLETE])
    console = Console()
    try:
        with mesh.make_context("mesh", args or ["--help"], obj=console) as context:
            mesh.invoke(context)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.UsageError as error:
        return _failed(console, args, CallerError(Code.usage, _usage(error)))
    except CallerError as error:
        return _failed(console, args, error)
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    return 0


def _usage(error: click.UsageError) -> str:
    """What is wrong with a command line, in one line, and where to read how it is meant."""
    message = " ".join(error.format_message().split()).rstrip(".")
    if isinstance(error, click.MissingParameter) and error.param and error.param.name in ("channel", "text"):
        message += f" {HASH_REMARK}"
    return f"{message}: see `{error.ctx.command_path if error.ctx else 'mesh'} --help`"


def _failed(console: Console, args: list[str], error: CallerError) -> int:
    # A command line that could not be parsed has not told the console about --json.
    if console.json or "--json" in args or os.environ.get("MESHD_JSON"):
        console.json = True
        console.show(dict(api.error_document(error)), lambda _: ())
    console.remark(f"mesh: {error.message}")
    return int(error.code)
