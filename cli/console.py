"""The one place that prints, and the one that says which home is meant.

The rule: a command hands over a document and a pure function that turns it into lines. With `--json` the
document is printed, without it the lines are; no command looks at `--json` itself. stdout carries results
only, remarks and progress go to stderr. So a script may rely on stdout, and a test of what is shown needs
no terminal.

Lines are styled freely and the console takes the colours out again where none are wanted: `--color`, then
NO_COLOR (no-color.org: set and not empty), then whether stdout is a terminal. Documents are printed with
everything but printable ASCII escaped, so that they can't steer a terminal either (`cli/inert.py`).
"""

import json
import os
import sys
from collections.abc import Callable, Iterable
from typing import TextIO

import click

from cli.client import ANSWER_S, Client, Document
from cli.inert import inert
from meshd.daemon import api

Lines = Callable[[Document], Iterable[str]]


class Console:
    """What `--home`, `--json` and `--color` say, and printing accordingly."""

    def __init__(self) -> None:
        self.home_option: str | None = None
        self.json = False
        self.color = "auto"

    @property
    def home(self) -> str:
        """The absolute path of the node's folder."""
        return api.home_path(self.home_option)

    def connect(self) -> Client:
        """A connection to the daemon; CallerError(not_running) if there is none."""
        return Client(self.home)

    def call(self, method: str, params: Document | None = None, timeout_s: float = ANSWER_S) -> Document:
        """One request to the daemon, on a connection of its own."""
        with self.connect() as client:
            return client.call(method, params, timeout_s)

    def show(self, document: Document, lines: Lines) -> None:
        """Prints a result: the document on one line with `--json`, otherwise its lines."""
        if self.json:
            _write(dumps({"v": api.VERSION, **document}), sys.stdout)
        else:
            for line in lines(document):
                self.say(line)

    def say(self, line: str, aside: bool = False) -> None:
        """Prints one styled line for people: a result, or to stderr if it stands `aside` of one."""
        _write(line if self._coloured() else click.unstyle(line), sys.stderr if aside else sys.stdout)

    def remark(self, text: str) -> None:
        """One line for people on stderr: progress, warnings, errors."""
        click.echo(inert(text), err=True)

    def progress(self, text: str) -> None:
        """A line on stderr that the next one overwrites, on a terminal only; an empty one takes it away."""
        if sys.stderr.isatty():
            click.echo(f"\r\x1b[K{inert(text)}", err=True, nl=False, color=True)

    @property
    def terminal(self) -> bool:
        """Whether stdout is one: only then are tables aligned and screens redrawn."""
        return sys.stdout.isatty()

    def _coloured(self) -> bool:
        if self.color == "auto":
            return self.terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        return self.color == "always"


def dumps(document: Document) -> str:
    """One line of printable ASCII."""
    return json.dumps(document).replace("\x7f", "\\u007f")


def _write(line: str, stream: TextIO) -> None:
    stream.write(line + "\n")
    stream.flush()  # a reader of `--follow` waits for this line
