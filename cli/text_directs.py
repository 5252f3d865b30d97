"""What is written to one person, and who writes to us or invites us, as lines for people.

The rule: as in `text`.
"""

from collections.abc import Iterator

from cli.client import Document
from cli.text import NAMELESS, posted, table


def written(document: Document) -> Iterator[str]:
    """What is known of a post to one person."""
    yield from posted(document)
    if document["old_prekey"]:
        yield "sealed to a key of theirs whose day is over: whoever has had that laptop since can read it too"
    elif document["pending"]:
        yield "pending: no key of theirs for today is known, so they can't read it until they show one"


def requests(document: Document, aligned: bool) -> Iterator[str]:
    rows = [
        (
            each["name"],
            each["text"] if each["group"] is None else f"invites you to {each['text'] or NAMELESS}",
            each["id"][:8],
        )
        for each in document["requests"]
    ]
    yield from table(("NAME", "WANTS", "ID"), rows, aligned)
