"""`mesh contact`: whom you know, and how sure you are.

The rule: a card says which key, never whose it is. So adding asks for nothing, and verifying asks the user to compare
twelve words, or the card itself, with the other's own screen. What differs is an error, and nothing is changed.

A card is text, `@FILE` with that text, or `@FILE` with a PNG of its QR code, which the optional package zxing-cpp
reads.
"""

from functools import partial

import click

from cli import child, completion, text
from cli.client import Document
from cli.commands import Group, command
from cli.console import Console
from meshd.errors import CallerError, Code

_FILE_SIZE_MAX = 16 * 1024 * 1024  # bytes of a picture: more than a screenshot has
_PACKAGE = "zxing-cpp"

contact = Group(
    "contact",
    "Adds, verifies, names, mutes and blocks people.",
    'mesh contact verify oak --words "…12 words…"',
    {
        name: f"cli.contacts:{place}"
        for name, place in {
            "list": "list_",
            "add": "add",
            "verify": "verify",
            "vouch": "vouch",
            "rename": "rename",
            "mute": "mute",
            "unmute": "unmute",
            "block": "block",
            "unblock": "unblock",
        }.items()
    },
)
_WHO = click.argument("who", shell_complete=completion.people)


def _show(console: Console, document: Document) -> None:
    console.show(document, partial(text.contacts, aligned=console.terminal))


def _change(console: Console, method: str, params: Document) -> None:
    """Do something about one contact, and show that one to a person."""
    console.show(console.call(f"contact.{method}", params), text.contact)


@command("list", example="mesh contact list")
def list_(console: Console) -> None:
    """Lists whom you know, and how sure you are."""
    _show(console, console.call("contact.list"))


@command("add", example="mesh contact add @oak.png --name oak")
@click.argument("card", metavar="CARD|@FILE")
@click.option("--name", metavar="N", help="What you call them.")
def add(console: Console, card: str, name: str | None) -> None:
    """Adds the owner of a card, as text or as a picture of its QR code."""
    _change(console, "add", {"card": card_text(card), "name": name})


@command("verify", example='mesh contact verify oak --words "…12 words…"')
@_WHO
@click.option("--words", metavar='"…"', help="The 12 words on their own screen.")
@click.option("--card", metavar="CARD|@FILE", help="The card on their own screen.")
def verify(console: Console, who: str, words: str | None, card: str | None) -> None:
    """Compares a key face to face: with the words or card on their screen."""
    if words is None and card is None:
        words = _compare(console, who)
    _change(console, "verify", {"who": who, "words": words, "card": card_text(card) if card else None})


def _compare(console: Console, who: str) -> str:
    """The words of a contact, once the user has seen the same on the other's screen."""
    asked = console.call("contact.verify", {"who": who})
    if not child.at_terminal() or console.json:
        raise CallerError(
            Code.usage,
            "there is no terminal to ask at: give what their own screen shows, with --words or --card",
        )
    for line in text.comparison(who, asked):
        console.say(line, aside=True)
    if not click.confirm("Does their own screen show the same 12 words?", err=True):
        raise CallerError(
            Code.invalid,
            "then somebody may have put another key between you: trust nothing from it; nothing was changed",
        )
    words: str = asked["fingerprint"]
    return words


@command("vouch", example="mesh contact vouch oak")
@_WHO
@click.option("--remove", is_flag=True, help="Take it back.")
def vouch(console: Console, who: str, remove: bool) -> None:
    """Says in the groups you share that you compared somebody's key."""
    console.show(console.call("contact.vouch", {"who": who, "remove": remove or None}), text.vouched)


@command("rename", example="mesh contact rename oak#7f3a oak")
@_WHO
@click.argument("name", metavar="N")
def rename(console: Console, who: str, name: str) -> None:
    """Gives somebody the name that you want to see."""
    _change(console, "rename", {"who": who, "n": name})


@command("mute", example="mesh contact mute oak")
@_WHO
def mute(console: Console, who: str) -> None:
    """Reads somebody's posts only when asked: no --follow, no unread."""
    _change(console, "mute", {"who": who})


@command("unmute", example="mesh contact unmute oak")
@_WHO
def unmute(console: Console, who: str) -> None:
    """Takes a mute back."""
    _change(console, "unmute", {"who": who})


@command("block", example="mesh contact block oak#7f3a")
@_WHO
def block(console: Console, who: str) -> None:
    """Shows nothing of somebody, anywhere, and does not recognise them."""
    _change(console, "block", {"who": who})


@command("unblock", example="mesh contact unblock oak#7f3a")
@_WHO
def unblock(console: Console, who: str) -> None:
    """Takes a block back; what came meanwhile is shown."""
    _change(console, "unblock", {"who": who})


def card_text(given: str) -> str:
    """The text of a card that was given as such, or as @FILE. CallerError(usage, invalid)."""
    if not given.startswith("@"):
        return given
    try:
        with open(given[1:], "rb") as file:
            content = file.read(_FILE_SIZE_MAX + 1)
    except OSError as error:
        raise CallerError(Code.usage, f"{given[1:]} can't be read: {error.strerror}") from None
    if len(content) > _FILE_SIZE_MAX:
        raise CallerError(Code.usage, f"{given[1:]} is too large for a card or a picture of one")
    from cli import picture  # zlib, for the few commands that read one

    if content.startswith(picture.HEAD):
        return picture.qr_text(content)
    try:
        return content.decode("ascii")
    except UnicodeDecodeError:
        raise CallerError(Code.invalid, f"{given[1:]} is neither the text of a card nor a PNG") from None
