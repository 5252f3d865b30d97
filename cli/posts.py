"""`mesh post`, `mesh read`, `mesh search` and `mesh show`.

The rule: an answered post is on disk here, and no more is promised. A reader holds a cursor: whatever
breaks, it goes on from there, and `--follow` never skips a post (the daemon sends them in the order of its
log).
"""

import sys
from typing import Any

import click

from cli import completion, text, text_directs, text_fired
from cli.client import ANSWER_S, Client, Document
from cli.commands import command
from cli.console import Console
from meshd.errors import CallerError, Code
from meshd.limits import BODY_SIZE_MAX, KEEP_HOURS, READ_ANSWER_SIZE, READ_LIMIT_DEFAULT, WAIT_MS

_LONG_SIZE = READ_ANSWER_SIZE // 2  # an answer that was cut short is longer than this
_BURST_PAUSE_S = 0.1  # this long with nothing new, and a burst is over
_WATCHED = "treat '{}' as watched: anyone on this network can read it, and keep it"


@command("post", example="mesh post square 'bridge is blocked'")
@click.argument("channel", shell_complete=completion.channels)
@click.argument("text", metavar="TEXT|-")
@click.option("--reply-to", metavar="ID", help="The post that this answers (a prefix of its id will do).")
@click.option(
    "--keep", type=click.Choice(list(KEEP_HOURS)), help="How long others carry it; 72h if not given."
)
@click.option("--wait", type=click.Choice(["held", "delivered"]), help="Return when somebody else holds it.")
@click.option("--timeout", type=click.FloatRange(min=0), metavar="S", help="Seconds to wait at most (30).")
def post(console: Console, channel: str, timeout: float | None, **params: Any) -> None:
    """Says TEXT in CHANNEL; - takes it from stdin."""
    request = {"channel": channel, "timeout": timeout, **params, "text": _text(params["text"])}
    patience_s = ANSWER_S + (timeout or WAIT_MS / 1000)  # longer than the daemon's own
    document = console.call("post", request, timeout_s=patience_s)
    console.show(document, text.posted)
    if document.get("first"):
        console.remark(_WATCHED.format(document["channel"]))


@command("dm", example="mesh dm elm 'bread at eight'")
@click.argument("who", shell_complete=completion.people)
@click.argument("text", metavar="TEXT|-")
@click.option("--reply-to", metavar="ID", help="The post that this answers (a prefix of its id will do).")
@click.option(
    "--keep", type=click.Choice(list(KEEP_HOURS)), help="How long others carry it; 72h if not given."
)
@click.option(
    "--wait", type=click.Choice(["held", "delivered"]), help="Return when somebody, or WHO, has it."
)
@click.option("--timeout", type=click.FloatRange(min=0), metavar="S", help="Seconds to wait at most (30).")
@click.option(
    "--old-prekey", is_flag=True, help="Use a key of theirs whose day is over, if there is no other."
)
def dm(console: Console, who: str, timeout: float | None, **params: Any) -> None:
    """Says TEXT to one person, whose card you have; - takes it from stdin.

    An old key opens only on a laptop that was locked, not off, since its day, and for whoever took that laptop
    meanwhile: what you write, and all until the next key, is theirs too.
    """
    request = {"who": who, "timeout": timeout, **params, "text": _text(params["text"])}
    patience_s = ANSWER_S + (timeout or WAIT_MS / 1000)
    console.show(console.call("dm", request, timeout_s=patience_s), text_directs.written)


def _text(given: str) -> str:
    """TEXT itself, or stdin for `-`, without its last line end."""
    try:
        if given != "-":
            given.encode()  # what the shell passed on and is no UTF-8 stands here as lone surrogates
            return given
        raw = sys.stdin.buffer.read(BODY_SIZE_MAX + 1)
        if len(raw) > BODY_SIZE_MAX:
            raise CallerError(
                Code.usage, f"a text has at most {BODY_SIZE_MAX} bytes: cut it into several posts"
            )
        return raw.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeError:
        raise CallerError(
            Code.usage, "the text is not UTF-8: convert it first, for example with iconv"
        ) from None


@command("search", example="mesh search 'bridge -closed' square")
@click.argument("query")
@click.argument("channel", required=False, shell_complete=completion.channels)
@click.option(
    "-n", "--limit", type=click.IntRange(min=1), metavar="N", help=f"The newest N ({READ_LIMIT_DEFAULT})."
)
def search(console: Console, query: str, channel: str | None, limit: int | None) -> None:
    """Finds posts that have all words of QUERY, in CHANNEL or in all channels.

    \b
    '"two words"'   next to each other
    'word -other'   the first, without the other
    'begin*'        words that begin so
    """
    with console.connect() as client:
        asked = {"query": query, "channel": channel, "limit": limit}
        console.show(_read(client, "search", asked), text_fired.read)


@command("show", example="mesh show 4f2a9c01")
@click.argument("id")
def show(console: Console, **params: str) -> None:
    """Shows one post and where it comes from; a prefix of its ID will do."""
    console.show(console.call("show", params), text.shown)


@command("mark", example="mesh mark 4f2a9c01")
@click.argument("id")
@click.option("--remove", is_flag=True, help="Let it go when its time is over.")
def mark(console: Console, id: str, remove: bool) -> None:
    """Keeps a post on this laptop past its time, for you alone."""
    console.show(console.call("mark", {"id": id, "remove": remove or None}), text.marked)


@command("read", example="mesh read square --since 2h --follow")
@click.argument("channel", required=False, shell_complete=completion.channels)
@click.option(
    "-n", "--limit", type=click.IntRange(min=1), metavar="N", help=f"The last N ({READ_LIMIT_DEFAULT})."
)
@click.option("--since", metavar="DUR|CURSOR", help="Only the last 30m, 2h, 3d; or all after a cursor.")
@click.option("--follow", is_flag=True, help="Go on with what comes in, until Ctrl-C.")
def read(console: Console, channel: str | None, limit: int | None, since: str | None, follow: bool) -> None:
    """Shows posts, oldest first: of CHANNEL, or of all channels."""
    with console.connect() as client:
        document = _read(client, "read", {"channel": channel, "limit": limit, "since": since})
        if not follow:
            console.show(document, text_fired.read)
            return
        _show_burst(console, document)
        _follow(console, client, channel, document["cursor"])


def _read(client: Client, method: str, asked: Document) -> Document:
    """One answer, however long: one that was cut short at the size of a line is gone on with."""
    document = client.call(method, asked)
    wanted = asked["limit"] or READ_LIMIT_DEFAULT
    while client.answer_size > _LONG_SIZE and len(document["posts"]) < wanted:
        rest = {"limit": wanted - len(document["posts"]), "since": str(document["cursor"])}
        more = client.call(method, {**asked, **rest})
        if not more["posts"]:
            break
        document = {**more, "posts": document["posts"] + more["posts"]}
    return document


def _follow(console: Console, client: Client, channel: str | None, cursor: int) -> None:
    client.call("subscribe", {"channel": channel, "cursor": cursor, "missing": True, "fired": True})
    shown = cursor
    for notice in client.notices(_BURST_PAUSE_S):
        if notice is None:
            if shown != cursor:
                shown = cursor
                _show_cursor(console, cursor)
        elif notice["method"] == "post":
            cursor = notice["params"]["cursor"]
            console.show(notice["params"]["post"], text.post)
        elif notice["method"] == "missing":
            _show_missing(console, notice["params"]["missing"])
        elif notice["method"] == "fired":
            _show_fired(console, notice["params"]["fired"])


def _show_burst(console: Console, document: Document) -> None:
    for each in document["posts"]:
        console.show(each, text.post)
    for gap in document["missing"]:
        _show_missing(console, gap)
    _show_cursor(console, document["cursor"])


def _show_missing(console: Console, gap: Document) -> None:
    console.show({"missing": gap}, lambda line: text.missing(line["missing"]))


def _show_fired(console: Console, fired: Document) -> None:
    console.show({"fired": fired}, lambda line: text_fired.fired(line["fired"]))


def _show_cursor(console: Console, cursor: int) -> None:
    console.show({"cursor": cursor}, lambda _: ())
