"""Documents as the contract has them, and valid JSON whatever came from the net."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshd import crypto, documents, post
from meshd.daemon import api
from meshd.post import Post, Text
from meshd.store.log import Channel, Log

SEED = b"s" * 32
OWN, _ = crypto.ed25519_keypair(SEED)
OAK = b"\x0a" * 32
SQUARE = b"square".ljust(16)
TIME_MS = 1_795_352_400_250  # 2026-11-22T13:00:00.250Z
KEEP_UNTIL = TIME_MS // post.HOUR_MS + 72


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    made = Log.create(tmp_path / "log", b"l" * 32, SEED, "me", durable=False)
    made.join(SQUARE, "square", "public")
    yield made
    made.close()


def insert(
    log: Log, author: bytes, text: Text | None, seen_ms: int = TIME_MS, sequence: int = 1, kind: int = 1
) -> bytes:
    body = post.encode_text(text) if text else b""
    parents = b"p" * 32 if sequence > 1 else b""
    made = Post(1, SQUARE, b"", author, 1, sequence, parents, TIME_MS << 16, kind, KEEP_UNTIL, body)
    identity = post.post_id(post.encode(made))
    log.insert_many([(identity, made, text, "link", seen_ms)])
    return identity


def document(log: Log, identity: bytes) -> documents.Document:
    row = log.row(identity)
    assert row is not None
    return documents.post_documents([row], log)[0]


def test_post(log: Log) -> None:
    identity = insert(log, OAK, Text("oak", b"\x01" * 32, "hello"))
    log.count_held([identity], contacts=1, others=3)
    assert document(log, identity) == {
        "id": identity.hex(),
        "channel": "square",
        "author": "0a" * 32,
        "name": "oak#0a0a",
        "trust": "seen",
        "text": "hello",
        "time": "2026-11-22T13:00:00.250Z",
        "clock_off_s": 0,
        "kind": "text",
        "reply_to": "01" * 32,
        "held_by": {"contacts": 1, "others": 3},
        "delivered": False,
        "after_removal": False,
        "sealed": False,
        "expires": "2026-11-25T13:00:00.000Z",
    }
    assert document(log, identity).keys() == api.Post.__annotations__.keys()


def test_own_post(log: Log) -> None:
    made = document(log, insert(log, OWN, Text("", b"", "mine")))
    assert (made["name"], made["trust"], made["reply_to"]) == (f"me#{OWN.hex()[:4]}", "self", None)


def test_author_without_a_name_and_post_without_a_text(log: Log) -> None:
    made = document(log, insert(log, OAK, None, kind=9))
    assert (made["name"], made["text"], made["kind"]) == ("#0a0a", None, "9")


@pytest.mark.parametrize(
    ("seen_ms", "off_s"),
    [(TIME_MS + 5000, 0), (TIME_MS - 999, 0), (TIME_MS - 90_000, 90), (0, TIME_MS // 1000)],
)
def test_clock_of_a_stamp_ahead_of_ours(seen_ms: int, off_s: int, log: Log) -> None:
    assert document(log, insert(log, OAK, Text("", b"", "x"), seen_ms))["clock_off_s"] == off_s


@pytest.mark.parametrize("text", ["", "\x00", "\u202eevil", "a\nb\x1b[2J", "\ufeff\U0010ffff", "#0a0a"])
def test_whatever_came_is_valid_json_and_as_it_came(text: str, log: Log) -> None:
    made = document(log, insert(log, OAK, Text(text, b"", text)))
    again = json.loads(json.dumps(made))
    assert (again["text"], again["name"]) == (text, f"{text}#0a0a")


def test_times() -> None:
    assert documents.rfc3339(0) == "1970-01-01T00:00:00.000Z"
    assert documents.rfc3339((1 << 47) - 1).endswith("Z")  # the latest an HLC can say


def test_missing(log: Log) -> None:
    insert(log, OAK, Text("oak", b"", "1"))
    insert(log, OAK, Text("", b"", "4"), sequence=4)
    gap, nobodys = (OAK, SQUARE, 2), (None, SQUARE, 1)
    assert log.missing() == [gap]
    assert documents.missing_document(gap, log) == {
        "author": "0a" * 32,
        "name": "oak#0a0a",
        "channel": "square",
        "count": 2,
    }
    assert documents.missing_document(nobodys, log) == {
        "author": None,
        "name": None,
        "channel": "square",
        "count": 1,
    }


def test_channel(log: Log) -> None:
    made = documents.channel_document(Channel(SQUARE, "square", "public", 3), None, log)
    assert made == {"id": SQUARE.hex(), "name": "square", "kind": "public", "members": None, "unread": 3}
    assert made.keys() == api.Channel.__annotations__.keys()
