"""Receipts on nodes: off unless wanted, in batches, late, and for nothing but own posts in that very direct."""

import random
from pathlib import Path
from typing import Any

import pytest

from meshd import direct_receipts, post
from meshd.envelope import post_content
from meshd.errors import CallerError, Code
from meshd.ids import direct_channel_id
from meshd.limits import RECEIPT_DELAY_MS, RECEIPT_IDS_MAX
from meshd.post import HOUR_MS, KIND_RECEIPT
from tests.homes import Home, Table
from tests.test_directs import direct, dm, stranger, waiting
from tests.test_inbox import identity
from tests.test_own_groups import DAY_MS, apart, friends


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


class Latest(random.Random):
    """Draws the longest wait, so that nothing is late enough by chance."""

    def randrange(self, start: int, stop: int | None = None, step: int = 1) -> int:
        assert stop is not None
        return stop - 1


def want(*homes: Home) -> None:
    """These send receipts from now on, as late as may be."""
    for home in homes:
        assert home.node.directs is not None
        home.node.directs.receipts._is_on = True
        home.node.directs.receipts._rng = Latest()


def delivered(home: Home) -> dict[str, bool]:
    """Which of its own texts a home shows as delivered."""
    posts = home.ask("read", limit=100)["posts"]
    return {each["text"]: each["delivered"] for each in posts if each["trust"] == "self"}


def receipts(home: Home) -> int:
    """How many posts of kind 7 are in the log of a home."""
    rows = home.log._database.read("SELECT COUNT(*) FROM post WHERE kind = ?", (KIND_RECEIPT,))
    return int(rows[0][0])


def answer(home: Home, number: int) -> Any:
    reply = home.replies.get(number)
    return reply and (reply.result or reply.error)


def test_without_the_users_wish_nobody_is_told_anything(table: Table) -> None:
    oak, elm = friends(table, 2)
    dm(oak, elm, "bread")
    table.run(HOUR_MS)
    assert delivered(oak) == {"bread": False} and receipts(oak) == receipts(elm) == 0
    assert elm.log.inboxes.owing() == []


def test_one_receipt_comes_late_for_all_that_came_meanwhile(table: Table) -> None:
    oak, elm = friends(table, 2)
    want(elm)
    dm(oak, elm, "one")
    for text in ("two", "three"):
        oak.post(text, channel="elm")
    table.settle()
    assert receipts(oak) == 0
    table.run(RECEIPT_DELAY_MS + 1000)
    assert delivered(oak) == {"one": True, "two": True, "three": True} and receipts(oak) == 1
    assert receipts(elm) == 1 and elm.log.inboxes.owing() == []
    assert oak.ask("channel.list")["channels"][0]["unread"] == 0 and direct(oak, elm) == [
        "one",
        "two",
        "three",
    ]


def test_who_waits_is_answered_by_a_receipt_or_told_that_none_came(table: Table) -> None:
    oak, elm = friends(table, 2)
    number = oak.command("dm", who="elm", text="bread", wait="delivered", timeout=60)
    table.run(50_000)
    assert answer(oak, number) is None
    table.run(10_001)
    late = answer(oak, number)
    assert late.code is Code.timed_out and "no receipt of elm" in late.message
    want(elm)
    number = oak.command("dm", who="elm", text="water", wait="delivered", timeout=60)
    table.run(RECEIPT_DELAY_MS + 1000)
    assert answer(oak, number)["state"] == "delivered" and answer(oak, number)["pending"] is False
    number = oak.command("post", channel="elm", text="salt", wait="delivered", timeout=60)
    table.run(RECEIPT_DELAY_MS + 1000)
    assert answer(oak, number)["state"] == "delivered"
    assert delivered(oak) == {"bread": False, "water": True, "salt": True}


def test_where_there_are_no_receipts_nobody_waits_for_one(table: Table) -> None:
    oak, _ = friends(table, 2)
    oak.ask("group.create", name="kitchen")
    for channel in ("kitchen", "plaza"):
        with pytest.raises(CallerError, match="in directs alone") as caught:
            oak.post("bread", channel=channel, wait="delivered")
        assert caught.value.code is Code.refused
    assert oak.log.count_posts() == 0


@pytest.mark.parametrize("how", ["contact.block", "contact.mute"])
def test_who_is_blocked_or_muted_gets_no_receipt(table: Table, how: str) -> None:
    oak, elm = friends(table, 2)
    want(elm)
    dm(oak, elm, "bread")
    elm.ask(how, who="oak")
    dm(oak, elm, "water")
    table.run(HOUR_MS)
    assert delivered(oak) == {"bread": False, "water": False} and receipts(elm) == 0


def test_a_stranger_gets_none_before_they_are_let_in(table: Table) -> None:
    oak, elm = stranger(table)
    want(elm)
    dm(oak, elm, "it is me")
    table.run(HOUR_MS)
    assert waiting(elm) == ["it is me"] and delivered(oak) == {"it is me": False}
    elm.ask("requests.accept", who=identity(oak).hex())
    table.run(RECEIPT_DELAY_MS + 1000)
    assert delivered(oak) == {"it is me": True}


def test_what_is_owed_outlasts_a_stop(table: Table) -> None:
    oak, elm = friends(table, 2)
    want(elm)
    dm(oak, elm, "bread")
    assert len(elm.log.inboxes.owing()) == 1 or receipts(elm) == 1
    elm.stop()
    elm.start()
    want(elm)
    table.link(oak, elm)
    table.run(2 * RECEIPT_DELAY_MS)
    assert delivered(oak) == {"bread": True}


def test_a_receipt_goes_with_its_post(table: Table) -> None:
    oak, elm = friends(table, 2)
    want(elm)
    dm(oak, elm, "bread", keep="6h")
    table.run(RECEIPT_DELAY_MS + 1000)
    assert oak.log.inboxes._database.read("SELECT COUNT(*) FROM delivered") == [(1,)]
    apart(table, oak, elm)
    table.run(DAY_MS)
    assert oak.log.inboxes._database.read("SELECT COUNT(*) FROM delivered") == [(0,)]


def receipt(home: Home, other: Home, *ids: bytes) -> None:
    """A home says in its direct with another that these are there."""
    node, channel = home.node, direct_channel_id(identity(home), identity(other))
    assert node.author is not None
    under, wall_ms = node.intake.sealing.posting(channel), home.table.now().wall_ms
    made = node.author.sign(channel, under, KIND_RECEIPT, direct_receipts.encode(list(ids)), 24, wall_ms, ())
    day_key = node.intake.sealing.day_key(channel, under, made.post.keep_until)
    content = post_content(made.signed, made.signature)
    node.publish([node.author.seal(content, day_key, made.post.keep_until)], home.table.now())
    home.carry.commit()
    home.log.commit()
    home.table.run(1000)


def test_a_receipt_counts_for_own_posts_in_that_direct_alone(table: Table) -> None:
    oak, elm, ash = friends(table, 3)
    to_elm, to_ash = (bytes.fromhex(dm(oak, other, other.log.name)["id"]) for other in (elm, ash))
    dm(elm, oak, "hello")
    receipt(elm, oak, to_ash, b"n" * 32)
    assert delivered(oak) == {"elm": False, "ash": False}, "elm says it of what ash was written"
    receipt(oak, elm, to_elm)
    assert delivered(oak) == {"elm": False, "ash": False}, "we say it ourselves"
    receipt(elm, oak, to_elm, to_ash)
    assert delivered(oak) == {"elm": True, "ash": False}


def test_the_body_of_a_receipt() -> None:
    ids = [bytes((n,)) * 32 for n in range(RECEIPT_IDS_MAX)]
    assert direct_receipts.parse(direct_receipts.encode(ids[::-1])) == ids
    assert direct_receipts.parse(direct_receipts.encode([*ids, b"x" * 32])) == []
    for body in (
        b"",
        b"\x91\xc4\x1f" + bytes(31),
        b"\x92\xc4\x00\x00",
        post.encode_text(post.Text("", b"", "")),
    ):
        assert direct_receipts.parse(body) == []
