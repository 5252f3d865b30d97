"""Gaps while following: told when one shows, when it shrinks, when it closes, and when nobody can fill it any more."""

import json
from pathlib import Path
from typing import Any

import pytest

from meshd.daemon.feed import Feed
from meshd.daemon.subscription import Subscription
from meshd.events import Advanced
from meshd.limits import KEEP_HOURS_MAX
from meshd.post import HOUR_MS, Text, encode_text
from tests.homes import PLAZA, Home, Stranger, Table, key
from tests.wire import Author


@pytest.fixture
def oak(tmp_path: Path) -> Home:
    home = Table(tmp_path).home()
    home.ask("channel.join", name="plaza")
    return home


class Follower:
    """A subscriber: what it is told since it was last asked."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._feed = Feed(home.node)
        self._subscription = Subscription(1, 0, PLAZA, True)

    def told(self) -> list[Any]:
        """Texts of posts, and (author is known, count) of gaps."""
        advanced = any(isinstance(effect, Advanced) for effect in self._home.effects)
        self._home.effects.clear()
        if not advanced:
            return []
        lines = self._subscription.read(self._feed).decode().splitlines()
        params = [json.loads(line)["params"] for line in lines]
        return [
            each["post"]["text"] if "post" in each else (each["missing"]["name"], each["missing"]["count"])
            for each in params
        ]


def chain(length: int) -> list[bytes]:
    """A chain of posts of one author, each naming the one before."""
    raws: list[bytes] = []
    for number in range(1, length + 1):
        body = encode_text(Text("elm" if number == 1 else "", b"", f"{number}"))
        parents = key(raws[-1])[8:] if raws else b""
        raws.append(Author(3).envelope(channel=PLAZA, sequence=number, parents=parents, body=body))
    return raws


def test_a_gap_shows_shrinks_and_closes(oak: Home) -> None:
    follower, stranger = Follower(oak), Stranger(oak)
    oak.table.settle()
    first, second, third, fourth = chain(4)
    name = f"elm#{Author(3).key.hex()[:4]}"
    stranger.give(first)
    assert follower.told() == ["1"]
    stranger.give(fourth)
    assert follower.told() == ["4", (name, 2)]
    stranger.give(second)
    assert follower.told() == ["2", (name, 1)]
    stranger.give(third)
    assert follower.told() == ["3", (name, 0)]


def test_a_gap_that_nobody_can_fill_any_more_closes_without_a_post(oak: Home) -> None:
    follower, stranger = Follower(oak), Stranger(oak)
    oak.table.settle()
    stranger.give(Author(3).envelope(channel=PLAZA, parents=b"x" * 32, body=encode_text(Text("", b"", "1"))))
    assert follower.told() == ["1", (None, 1)]
    oak.table.cut(stranger, stranger.link)
    oak.table.run((KEEP_HOURS_MAX - 1) * HOUR_MS)
    assert follower.told() == []
    oak.table.run(3 * HOUR_MS)
    assert follower.told() == [(None, 0)]
