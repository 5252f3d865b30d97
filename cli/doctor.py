"""`mesh doctor`: says what is wrong, and what to do about it.

The rule: the checks are made by a child, with or without a daemon (`meshd/daemon/doctor.py`). The status is 0 when
nothing wrong was found, and 1 otherwise; what could not be told is said to be unknown and is no fault, because
an ordinary user may not read the rules of a firewall, and a script should not fail for that.

The report (`--bundle`) is for somebody far away who is asked for help. It is made of what can't tell who or where: the
names of the checks, their causes (a fixed set of phrases), and figures. It is shown before it is written, for
whoever carries it should know what is in it.
"""

import os
import sys
from collections.abc import Iterator

import click

from cli import child
from cli.client import Document
from cli.commands import command
from cli.console import Console
from cli.inert import inert
from meshd.errors import CallerError, Code

_FOUND = 1  # the exit status when something is wrong


@command("doctor", example="mesh doctor --bundle report.txt")
@click.option("--bundle", metavar="FILE", help="Write a report that names nobody, to ask for help with.")
@click.option("--yes", is_flag=True, help="Write it without asking.")
def doctor(console: Console, bundle: str | None, yes: bool) -> None:
    """Says what is wrong on this laptop, and what to do about it.

    Works with or without a daemon, and ends with status 1 if something is wrong. As root it can also read the
    rules of a firewall.
    """
    if bundle is not None and not yes and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise CallerError(Code.usage, "there is no terminal to ask whether to write the report: add --yes")
    document = child.answer(console, ["doctor"], "looking at clock, disk and networks (some seconds)", None)
    if bundle is None:
        console.show(document, lines)
    else:
        _write_report(console, list(report(document)), bundle, yes)
        console.show({**document, "bundle": os.path.abspath(bundle)}, written)
    if not all(check["ok"] for check in document["checks"]):
        raise click.exceptions.Exit(_FOUND)


def lines(document: Document) -> Iterator[str]:
    """A line for each check, with what to do under those that ask for something."""
    checks = document["checks"]
    width = max(len(check["name"]) for check in checks)
    for check in checks:
        yield f"{_mark(check)}  {inert(check['name']).ljust(width)}  {inert(check['detail'])}"
        if check["advice"]:
            yield f"{'':7}  {'':{width}}  -> {inert(check['advice'])}"
    wrong = sum(not check["ok"] for check in checks)
    yield f"{wrong or 'nothing'} wrong in {len(checks)} checks, {sum(not c['known'] for c in checks)} unknown"
    yield click.style("Whatever the checks say, meshd never claims:", dim=True)
    for claim in document["never_claimed"]:
        yield click.style(f"  {claim}", dim=True)


def _mark(check: Document) -> str:
    word, colour = _state(check)
    return click.style(word.ljust(7), fg=colour, bold=not check["ok"])


def _state(check: Document) -> tuple[str, str]:
    if not check["ok"]:
        return "WRONG", "red"
    if not check["known"]:
        return "unknown", "yellow"
    return ("note", "yellow") if check["advice"] else ("ok", "green")


def report(document: Document) -> Iterator[str]:
    """The report: what can't tell who or where, and nothing else."""
    yield "mesh doctor: causes and figures; no names, ids, addresses, paths or contents"
    for check in document["checks"]:
        figures = " ".join(f"{name}={value}" for name, value in check["figures"].items())
        cause = f": {check['cause']}" if check["cause"] else ""
        yield inert(f"{_state(check)[0]:7} {check['name']}{cause}{'  ' if figures else ''}{figures}")


def written(document: Document) -> Iterator[str]:
    """What is said when the report has been written."""
    yield inert(f"written: {document['bundle']}")


def _write_report(console: Console, shown: list[str], path: str, yes: bool) -> None:
    for line in shown:
        console.say(line, aside=True)
    if not yes and not click.confirm(f"Write this to {inert(path)}?", err=True):
        raise click.Abort
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in shown)
    except OSError as error:
        raise CallerError(Code.refused, f"{path} can't be written: {error.strerror}") from None
