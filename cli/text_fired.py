"""What fired, as lines for people. The rules are those of `text`."""

from collections.abc import Iterator

import click

from cli import text
from cli.client import Document
from cli.inert import inert


def fired(document: Document) -> Iterator[str]:
    what = "drill of " * document["drill"] + f"{document['scenario']} of the plan {document['title']}"
    line = inert(f"{text.local_time(document['time'])} {document['group']}  {what}")
    if document["stands"]:
        yield click.style(f"{line} has fired: `mesh plan show {document['plan'][:8]}`", bold=True)
    else:
        yield f"{line} had fired, and does not stand: it was stood down, or replaced before"


def read(document: Document) -> Iterator[str]:
    yield from text.read(document)
    for each in document["fired"]:
        yield from fired(each)


def status(document: Document) -> Iterator[str]:
    yield from text.status(document)
    yield from _at_glance(document["plans"])


def _at_glance(document: Document) -> Iterator[str]:
    if document["active"] or document["fired"]:
        said = f"plans      {document['active']} active, {document['fired']} fired"
        yield click.style(f"{said}: `mesh plan list`", bold=bool(document["fired"]))
    for alarm in document["alarms"]:
        yield click.style(inert(f"warning    {alarm}"), fg="red")
