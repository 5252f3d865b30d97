"""What tests of the log share: posts of two authors in two channels, as entries, and a log to put them into."""

from pathlib import Path

from meshd import crypto, post
from meshd.post import Post, Text
from meshd.store.log import Entry, Log, Row

KEY = b"l" * 32
SEED = b"s" * 32
OWN, _ = crypto.ed25519_keypair(SEED)
OAK, ASH = b"\x0a" * 32, b"\xa5" * 32
SQUARE, BRIDGE = b"square".ljust(16), b"bridge".ljust(16)
HOUR = 500_000
START_MS = HOUR * post.HOUR_MS


def reopened(log: Log, path: Path) -> Log:
    log.commit()
    log.close()
    return Log(path, KEY, durable=False)


def entry(
    author: bytes,
    sequence: int,
    *parents: Entry | bytes,
    at_s: float | None = None,
    channel: bytes = SQUARE,
    incarnation: int = 1,
    name: str = "",
    text: str | None = "hello",
    reply_to: bytes = b"",
) -> Entry:
    """A post `at_s` seconds (its sequence, unless given) after the start."""
    hlc = START_MS + int((sequence if at_s is None else at_s) * 1000) << 16
    ids = b"".join(each if isinstance(each, bytes) else each.id for each in parents)
    body = Text(name, reply_to, text) if text is not None else None
    packed = post.encode_text(body) if body else b"no text"
    made = Post(1, channel, b"", author, incarnation, sequence, ids, hlc, 1, HOUR + 72, packed)
    return Entry(post.post_id(post.encode(made)), made, body, "link", START_MS)


def chain(author: bytes, length: int, **slots: int) -> list[Entry]:
    posts: list[Entry] = []
    for sequence in range(1, length + 1):
        posts.append(entry(author, sequence, *posts[-1:], **slots))  # type: ignore[arg-type]
    return posts


def ids(rows: list[Row]) -> list[bytes]:
    return [row.id for row in rows]


def shown(log: Log, channel: bytes | None = SQUARE) -> list[bytes]:
    return ids(log.latest(channel, 1000))
