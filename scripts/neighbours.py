"""Honest neighbours of one daemon: many links in one process, which post now and then and note when a post comes.

Each is a `Session` with the set of what it has: it wants what it is told of and lacks, gives a receipt for what it
gets, soon, and answers rounds. A post goes from one of them to the daemon and comes to all others; how long that took
for each of them is in `taken_ms`. It begins no rounds, takes all that is new, junk too, and verifies nothing: it stands
for many machines, and must not be what is measured. So a post is on its way from the moment at which it is written to
the daemon's socket until the kernel of the others had it, whenever this process got round to reading it.
"""

import selectors
import time
from dataclasses import dataclass, field
from functools import cache

from stranger import Stranger, signed_post

from meshd import codec, envelope
from meshd.ids import key_reference
from meshd.limits import ANNOUNCE_MS, RECONCILE_FRAME_SIZE
from meshd.proto import message as msg
from meshd.proto.keyset import KeySet
from meshd.proto.reconcile import respond

PATIENCE_S = 5


@dataclass(eq=False)
class Neighbour:
    """One of them."""

    stranger: Stranger
    keys: KeySet = field(default_factory=KeySet)
    receipts: list[bytes] = field(default_factory=list)  # references that are still to be sent

    def act(self, message: msg.Message) -> list[bytes]:
        """What an honest node says to it; the envelopes that are new."""
        match message:
            case msg.Give(_, envelopes):
                new = [raw for raw in codec.split(envelopes) if self.keys.insert(_key(raw))]
                self.receipts += [key_reference(_key(raw)) for raw in new]
                return new
            case msg.Have(_, references):
                lacking = [
                    each[4:]
                    for each in codec.chop(references, 20, len(references))
                    if self.keys.starting_with(bytes(4) + each) is None
                ]
                if lacking:
                    self.stranger.session.send(msg.Want(b"".join(lacking)))
            case msg.Reconcile(0, number, floor_hour, _, payload):
                answer = respond(self.keys, floor_hour, payload, RECONCILE_FRAME_SIZE)
                self.stranger.session.send(msg.Reconcile(1, number, floor_hour, len(self.keys), answer))
        return []

    def acknowledge(self) -> None:
        """Send the receipts that are due."""
        for piece in msg.pieces(self.receipts):
            self.stranger.session.send(msg.Have(0, piece))
        self.receipts.clear()
        self.stranger.flush()


@cache
def _key(raw: bytes) -> bytes:
    parsed = envelope.parse(raw)
    if parsed is None:
        raise ValueError("an envelope of another version")
    return parsed.key


class Crowd:
    """All of them."""

    def __init__(self, neighbours: list[Neighbour]) -> None:
        self._neighbours = neighbours
        self._selector = selectors.DefaultSelector()
        for each in neighbours:
            self._selector.register(each.stranger.socket, selectors.EVENT_READ, each)
        self._posted: dict[bytes, float] = {}  # envelope → when
        self.taken_ms: list[float] = []

    def run(self, seconds: float, posts_s: float) -> int:
        """Let them post in turn, and wait a while for what is on the way; how many deliveries are lacking."""
        self.taken_ms, self._posted = [], {}
        started = time.monotonic()
        pause_s = ANNOUNCE_MS / 1000
        receipts_s = {
            each: nth * pause_s / len(self._neighbours) for nth, each in enumerate(self._neighbours)
        }
        count = round(seconds * posts_s)
        due = count * (len(self._neighbours) - 1)
        while (now_s := time.monotonic() - started) < seconds + PATIENCE_S and len(self.taken_ms) < due:
            if len(self._posted) < min(count, now_s * posts_s):
                self._post(self._neighbours[len(self._posted) % len(self._neighbours)])
            for each, due_s in receipts_s.items():
                if now_s >= due_s:
                    each.acknowledge()
                    receipts_s[each] = now_s + pause_s
            next_s = len(self._posted) / posts_s if len(self._posted) < count else now_s + pause_s
            for key, _ in self._selector.select(max(min(next_s, *receipts_s.values()) - now_s, 0)):
                self._read(key.data)
        return due - len(self.taken_ms)

    def _post(self, neighbour: Neighbour) -> None:
        made = signed_post(f"{len(self._posted):0256}")
        neighbour.keys.insert(made.key)
        neighbour.stranger.session.send(msg.Give(1, codec.join([made.raw])))
        self._posted[made.raw] = time.time()
        neighbour.stranger.flush()

    def _read(self, neighbour: Neighbour) -> None:
        for message in neighbour.stranger.pump():
            for raw in neighbour.act(message):
                if (posted := self._posted.get(raw)) is not None:
                    self.taken_ms.append((neighbour.stranger.read_s - posted) * 1000)
        neighbour.stranger.flush()
