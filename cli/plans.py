"""`mesh plan`, `mesh cue` and `mesh heartbeat`: what a group arranges while it can still talk.

The rule: no phrase and no share stands on a command line, where other users see it: they are read from a file, or
from stdin for `-`. A plan's file holds in the clear what is to be sealed, so `propose` offers to overwrite and remove
it, and says what that can't promise. A phrase that was made is shown once, by the answer that made it.
"""

import os
import stat
import sys
from contextlib import nullcontext
from datetime import UTC, datetime

import click

from cli import completion, text_plans
from cli.child import at_terminal
from cli.commands import Group, command
from cli.console import Console
from meshd.errors import CallerError, Code
from meshd.limits import PHRASE_SIZE_MAX
from meshd.plans.example import example

_SEAL_S = 120.0  # a phrase takes half a second to stretch, and a plan may have 32
_REMAINS = (
    "overwritten and removed; what remains on an SSD, in the file system's journal, in backups, and in what your editor"
    " kept, no program can tell"
)

plan = Group(
    "plan",
    "Arranges what to do in which case, while the group can still talk.",
    "mesh plan propose saturday.toml --group kitchen",
    {
        "draft": "cli.plans:draft",
        "propose": "cli.plans:propose",
        "sign": "cli.plans:sign",
        "list": "cli.plans:plan_list",
        "show": "cli.plans:show",
        "ready": "cli.plans:ready",
        "open": "cli.plans:open_",
        "share": "cli.plans:share",
        "stand-down": "cli.plans:stand_down",
        "burn": "cli.plans:burn",
    },
)
share = Group(
    "share",
    "A steward's share: show it, release it, or type one in.",
    "mesh plan share show Saturday",
    {name: f"cli.plans:share_{name}" for name in ("show", "release", "enter")},
)
cue = Group(
    "cue",
    "Calls a scenario of a plan, and shows what was called.",
    "mesh cue fire Saturday bridge-closed",
    {"fire": "cli.plans:fire", "list": "cli.plans:cue_list"},
)
heartbeat = Group(
    "heartbeat",
    "Says about hourly that you are there, where a plan waits for your silence.",
    "mesh heartbeat on",
    {"on": "cli.plans:heartbeat_on", "off": "cli.plans:heartbeat_off"},
)
_PLAN = click.argument("plan", shell_complete=completion.plans)
_SCENARIO = click.argument("scenario", shell_complete=completion.scenarios)
_ANY_SCENARIO = click.argument("scenario", required=False, shell_complete=completion.scenarios)
_DRILL = click.option(
    "--drill", is_flag=True, default=None, help="Only as a drill, which never becomes real."
)
_REMOVE = click.option(
    "--remove-file/--keep-file", default=None, help="Overwrite and remove FILE, or leave it, unasked."
)


# --- arranging ---


@command("draft", example="mesh plan draft saturday.toml")
@click.argument("file", type=click.Path())
def draft(console: Console, file: str) -> None:
    """Writes an example with comments into FILE, to be edited; FILE must not be there yet."""
    try:
        opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        raise CallerError(Code.refused, f"{file} is there already; nothing was written") from None
    except OSError as error:
        raise CallerError(Code.refused, f"{file} can't be written: {error.strerror}") from None
    with open(opened, "w", encoding="utf-8") as written:
        written.write(example(datetime.now(UTC)))
    console.show({"file": os.path.abspath(file)}, text_plans.drafted)


@command("propose", example="mesh plan propose saturday.toml --group kitchen")
@click.argument("file", type=click.Path())
@click.option("--group", required=True, help="The group that it is for.", shell_complete=completion.channels)
@click.option(
    "--replaces", metavar="PLAN", help="Make it the next version of PLAN.", shell_complete=completion.plans
)
@click.option("--single", is_flag=True, default=None, help="Let one of several organisers act alone.")
@_REMOVE
def propose(
    console: Console,
    file: str,
    group: str,
    replaces: str | None,
    single: bool | None,
    remove_file: bool | None,
) -> None:
    """Checks the plan in FILE, seals and proposes it; shows the phrases once.

    If you are an organiser, that signs it too. FILE holds in the clear what was sealed.
    """
    asked = {"file": os.path.abspath(file), "group": group, "replaces": replaces, "single": single}
    console.show(console.call("plan.propose", asked, timeout_s=_SEAL_S), text_plans.proposed)
    _offer_to_remove(console, file, remove_file)


def _offer_to_remove(console: Console, file: str, chosen: bool | None) -> None:
    if chosen is None and at_terminal() and not console.json:
        chosen = click.confirm(f"Overwrite and remove {file}, which says it in the clear?", err=True)
    if chosen:
        overwrite(file)
        console.remark(f"{file} is {_REMAINS}")
    else:
        console.remark(f"{file} is left as it is, in the clear: `--remove-file` overwrites and removes it")


def overwrite(file: str) -> None:
    """Write zeros over a file, and remove it."""
    opened = os.open(file, os.O_WRONLY | os.O_NOFOLLOW)
    try:
        left = os.fstat(opened).st_size if stat.S_ISREG(os.fstat(opened).st_mode) else 0
        while left:
            left -= os.write(opened, bytes(min(left, 65_536)))
        os.fsync(opened)
    finally:
        os.close(opened)
    os.unlink(file)


@command("sign", example="mesh plan sign Saturday")
@_PLAN
def sign(console: Console, plan: str) -> None:
    """Signs a plan, as an organiser: read it first, with `mesh plan show`."""
    console.show(console.call("plan.sign", {"plan": plan}), text_plans.signed)


@command("burn", example="mesh plan burn Saturday reed")
@_PLAN
@click.argument("who", shell_complete=completion.people)
def burn(console: Console, plan: str, who: str) -> None:
    """Proposes the next version, in which WHO has no share and no say.

    For when a steward's laptop is in other hands. All shares and phrases are new; the old ones count until the other
    organisers have signed.
    """
    asked = {"plan": plan, "who": who}
    console.show(console.call("plan.burn", asked, timeout_s=_SEAL_S), text_plans.proposed)


# --- looking ---


@command("list", example="mesh plan list")
def plan_list(console: Console) -> None:
    """Shows all plans."""
    console.show(console.call("plan.list"), text_plans.plans)


@command("show", example="mesh plan show Saturday")
@_PLAN
def show(console: Console, plan: str) -> None:
    """Shows a plan, with what is open to you; of a drill it says that you looked."""
    console.show(console.call("plan.show", {"plan": plan}), text_plans.shown)


@command("ready", example="mesh plan ready Saturday")
@_PLAN
def ready(console: Console, plan: str) -> None:
    """Shows how many hold a plan, and how many stewards may be lost."""
    console.show(console.call("plan.ready", {"plan": plan}), text_plans.ready)


# --- locks ---


@command("open", example="mesh plan open Saturday bridge-closed --phrase-file -")
@_PLAN
@_SCENARIO
@click.option("--phrase-file", metavar="F|-", help="Take the phrase from the first line of F, or of stdin.")
@click.option("--pass-on", is_flag=True, default=None, help="Open it for the whole group.")
def open_(console: Console, plan: str, scenario: str, phrase_file: str | None, pass_on: bool | None) -> None:
    """Opens a scenario by its phrase, with no network at all.

    Case, punctuation and spacing do not matter. Every word does.
    """
    if phrase_file is None:
        if not at_terminal():
            raise CallerError(
                Code.usage, "a phrase is needed and there is no terminal to ask: use --phrase-file F"
            )
        phrase = click.prompt("Phrase", hide_input=True, err=True)
    else:
        phrase = _content(phrase_file, "the phrase", is_line=True)
    asked = {"plan": plan, "scenario": scenario, "phrase": phrase, "pass_on": pass_on}
    console.show(console.call("plan.open", asked, timeout_s=_SEAL_S), text_plans.opened)


@command("show", example="mesh plan share show Saturday")
@_PLAN
@_ANY_SCENARIO
def share_show(console: Console, plan: str, scenario: str | None) -> None:
    """Shows your share as 20 words, to be kept on paper."""
    asked = {"plan": plan, "scenario": scenario}
    console.show(console.call("plan.share.show", asked), text_plans.share_words)


@command("release", example="mesh plan share release Saturday bridge-closed")
@_PLAN
@_ANY_SCENARIO
def share_release(console: Console, plan: str, scenario: str | None) -> None:
    """Posts your share to the group, for good."""
    asked = {"plan": plan, "scenario": scenario}
    console.show(console.call("plan.share.release", asked), text_plans.share)


@command("enter", example="mesh plan share enter Saturday -")
@_PLAN
@click.argument("words", metavar="F|-")
def share_enter(console: Console, plan: str, words: str) -> None:
    """Takes in somebody's share, 20 words from file F, or from stdin."""
    asked = {"plan": plan, "words": _content(words, "the words")}
    console.show(console.call("plan.share.enter", asked), text_plans.share)


def _content(file: str, what: str, *, is_line: bool = False) -> str:
    """What stands in a file, or on stdin for `-`, or its first line; one byte more than a phrase may have."""
    try:
        with nullcontext(sys.stdin.buffer) if file == "-" else open(file, "rb") as opened:
            if file == "-" and at_terminal():
                click.echo(f"Type {what}{'' if is_line else ', then Ctrl-D on a line of its own'}:", err=True)
            raw = opened.readline(PHRASE_SIZE_MAX + 1) if is_line else opened.read(PHRASE_SIZE_MAX + 1)
            return raw.decode()
    except UnicodeDecodeError:
        raise CallerError(Code.usage, f"{what} must be UTF-8") from None
    except OSError as error:
        raise CallerError(Code.not_found, f"{what} can't be read from {file}: {error.strerror}") from None


# --- cues ---


@command("fire", example="mesh cue fire Saturday bridge-closed")
@_PLAN
@_SCENARIO
@_DRILL
def fire(console: Console, plan: str, scenario: str, drill: bool | None) -> None:
    """Calls a scenario, as an organiser; it fires everywhere once enough have."""
    asked = {"plan": plan, "scenario": scenario, "drill": drill}
    console.show(console.call("cue.fire", asked), text_plans.cue)


@command("list", example="mesh cue list")
def cue_list(console: Console) -> None:
    """Shows what was called, and how drills went."""
    console.show(console.call("cue.list"), text_plans.cues)


@command("stand-down", example="mesh plan stand-down Saturday bridge-closed")
@_PLAN
@_ANY_SCENARIO
@_DRILL
def stand_down(console: Console, plan: str, scenario: str | None, drill: bool | None) -> None:
    """Says, as an organiser, that a scenario is not to happen, or none is.

    Once enough have, that is final for this version, whatever its cue.
    """
    asked = {"plan": plan, "scenario": scenario, "drill": drill}
    console.show(console.call("plan.stand-down", asked), text_plans.stood_down)


@command("on", example="mesh heartbeat on")
def heartbeat_on(console: Console) -> None:
    """Gives signs of life; they say nothing else, but that this laptop is on."""
    console.show(console.call("heartbeat.on"), text_plans.heartbeat)


@command("off", example="mesh heartbeat off")
def heartbeat_off(console: Console) -> None:
    """Gives none any more."""
    console.show(console.call("heartbeat.off"), text_plans.heartbeat)
