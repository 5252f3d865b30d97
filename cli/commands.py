"""What all commands share: the global options, help with an example, and loading on demand.

The rules:
- `--home`, `--json` and `--color` are taken before and after the sub-command, the last one wins. Every
  command and group therefore has them; they are shown in the first help page only.
- Every help fits a screen of 24 lines and ends with an example that works (tests hold both).
- A command's module is imported when the command is asked for. `mesh post` loads nothing that it doesn't
  run, because it is meant to feel like `echo`.
"""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import click

from cli.console import Console


def _keep(context: click.Context, option: click.Parameter, value: Any) -> None:
    console = context.find_root().ensure_object(Console)
    if value is not None and option.name is not None:
        setattr(console, option.name, value)


def global_options() -> list[click.Parameter]:
    """The three options of every command; their values go to the console, not to the command."""
    return [
        click.Option(
            ["--home", "home_option"],
            metavar="DIR",
            callback=_keep,
            expose_value=False,
            is_eager=True,
            hidden=True,
        ),
        click.Option(
            ["--json"],
            is_flag=True,
            default=None,
            callback=_keep,
            expose_value=False,
            is_eager=True,
            hidden=True,
        ),
        click.Option(
            ["--color"],
            type=click.Choice(["auto", "always", "never"]),
            callback=_keep,
            expose_value=False,
            is_eager=True,
            hidden=True,
        ),
    ]


class _Shown(click.Command):
    """Something whose help ends with `example`."""

    example: str

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_paragraph()
        formatter.write_text(f"Example: {self.example}")


class Command(_Shown):
    """A command that does something."""

    def __init__(self, name: str, example: str, params: list[click.Parameter], **attributes: Any) -> None:
        super().__init__(name, params=[*params, *global_options()], **attributes)
        self.example = example


class Group(_Shown, click.Group):
    """A group of commands, of which each is written `module:name` and imported when it is asked for."""

    def __init__(
        self, name: str, does: str, example: str, commands: Mapping[str, str], **attributes: Any
    ) -> None:
        super().__init__(name, help=does, params=global_options(), no_args_is_help=False, **attributes)
        self.example = example
        self._places = commands

    def list_commands(self, context: click.Context) -> list[str]:
        return list(self._places)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        place = self._places.get(name)
        if place is None:
            return None
        module, _, attribute = place.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


def command(name: str, *, example: str) -> Callable[[Callable[..., None]], Command]:
    """Makes a function that takes the console a command; its docstring is the help."""

    def made(function: Callable[..., None]) -> Command:
        return click.command(name, cls=Command, example=example)(click.pass_obj(function))

    return made
