"""A whole node as the target: hostile messages behind a good handshake, hostile bytes before it, time that passes.

The rule: whatever strangers say, the node goes on, and what it carries in the end is a set of envelopes that parse,
verify, and are in time. Its files are real, so an input that no database can hold is found here.
"""

import random
from functools import partial
from pathlib import Path

from meshd import crypto, envelope
from meshd.events import BytesReceived, CloseLink, LinkClosed
from meshd.limits import EXPIRY_AHEAD_HOURS_MAX
from meshd.post import HOUR_MS
from meshd.proto import message as msg
from tests.fuzz import mutate
from tests.fuzz.targets import message_bytes
from tests.groups import GROUP, join
from tests.homes import Home, Stranger, Table
from tests.wire import HOUR, WALL_MS, hello

STRANGERS = 4


def _number(rng: random.Random) -> int:
    return mutate.number(rng) >> 1


class FuzzNode:
    """One node and a few strangers; each input is what one of them says in one read."""

    def __init__(self, folder: Path) -> None:
        self.table = Table(folder)
        self.home: Home = self.table.home()
        self.home.ask("channel.join", name="plaza")
        join(self.home)
        self._strangers: dict[int, Stranger] = {}
        self._seeds = 0

    def __call__(self, rng: random.Random) -> bool:
        place = rng.randrange(STRANGERS)
        stranger = self._strangers.get(place)
        if stranger is None or stranger.down is not None:
            self._seeds += 1
            stranger = self._strangers[place] = self._stranger(rng)
            if rng.random() < 0.9:
                self.table.settle()
        elif rng.random() < 0.01:
            self.home.handle(LinkClosed(stranger.home_link, "cut"))
            stranger.down = "cut"
            return False
        if rng.random() < 0.02:
            self.table.run(rng.choice((1, 100, 5_000, 40_000)))
        if rng.random() < 0.01:
            self._ask(rng)
        writer = stranger.session._writer
        if writer is None:
            content = mutate.scratched(rng, rng.randbytes(50))
        else:
            for _ in range(rng.choice((1, 1, 1, 4))):
                writer.queue(message_bytes(rng), rng.randrange(4))
            content = stranger.session.take_output(self.table.now().mono_ms)
            stranger.session.drained()
        closes = self.home.handle(BytesReceived(stranger.home_link, content))
        self.table.settle()
        return not any(isinstance(effect, CloseLink) for effect in closes)

    def _stranger(self, rng: random.Random) -> Stranger:
        """One who dials or was dialled, with a hello that may say anything."""
        number = partial(_number, rng)
        greeting: list[msg.Message] = [
            hello(
                versions=rng.choice((b"\1", b"\1", b"\1", b"\1\2", b"\2")),
                features=number(),
                wall_hour=number(),
                floor_hour=rng.choice((HOUR, HOUR + 1, 0, number())),
                key_count=rng.choice((0, 1, number())),
            ),
            msg.Tags(bytes(msg.TAGS_SIZE)),
        ]
        return Stranger(
            self.home,
            seed=self._seeds,
            dials=rng.random() < 0.6,
            greeting=greeting if rng.random() < 0.5 else None,
        )

    def _ask(self, rng: random.Random) -> None:
        """What a client of the node may ask meanwhile."""
        method = rng.choice(("post", "status", "read", "sync", "peer.list"))
        params = {
            "post": {"channel": "plaza", "text": "x" * rng.randrange(1, 300)},
            "read": {"channel": "plaza"},
        }
        self.home.command(method, **params.get(method, {}))
        self.table.settle()
        for kept in (self.home.replies, self.home.effects, self.home.dials):
            kept.clear()  # the harness remembers what it heard; only the node's memory is of interest

    def check(self) -> int:
        """AssertionError unless all that is carried may be; how much that is."""
        raws = self.home.raws()
        for raw in raws:
            parsed = envelope.parse(raw)
            assert parsed is not None
            assert isinstance(parsed, envelope.Sealed) or crypto.verify(*envelope.check(parsed))
            assert parsed.expiry_hour <= WALL_MS // HOUR_MS + EXPIRY_AHEAD_HOURS_MAX
        assert len(self.home.node.keyset) == len(raws)
        assert self.home.log.after(0, GROUP, 1), "nothing of the group was ever opened"
        return len(raws)
