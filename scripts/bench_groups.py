"""Groups of 200: what one change of the membership costs who makes it, and what a long history costs who judges it.

`rekey` is all that is computed and sent when one of 200 is put out: the epoch is drafted and judged, signed and sealed,
and its key is sealed to 200 members (one more than are left, as if one had another laptop), each in his inbox. The disk
and the links are left out.

`epochs` is a history of 1 000 epochs with 200 members, read and judged as after a start: half of it renewals, half of
it removals and additions. It has no goal.
"""

import os
import time
from collections.abc import Iterator

from meshd import crypto, daykeys, envelope, post
from meshd.groups import acts, epochs, keyenvelope
from meshd.groups.dag import Dag
from meshd.groups.epochs import Epoch, Member
from meshd.groups.prekeys import Announcement
from meshd.limits import GROUP_MEMBERS_MAX, KEEP_HOURS_MAX, LONG_KEEP_HOURS_MAX, PREKEY_DAYS
from meshd.post import HOUR_MS, Post
from meshd.statement import ADD_MEMBER, REMOVE_MEMBER

EPOCHS = 1000
SIZE_GOAL = 150_000  # bytes
GOAL_S = 0.5
_NOW_MS = 1_790_000_000_000
_HOUR = _NOW_MS // HOUR_MS
_DAY = daykeys.key_day(_HOUR)


class _Group:
    """A group of 200 people whose first is its admin."""

    def __init__(self) -> None:
        pairs = [crypto.ed25519_keypair(os.urandom(32)) for _ in range(GROUP_MEMBERS_MAX)]
        self.people, self.secret = [public for public, _ in pairs], pairs[0][1]
        self.rows = {who: Member(who, _DAY, os.urandom(32)) for who in self.people}
        self.channel, self._made = os.urandom(16), 0
        self.last, self.signed = self._posted(acts.first("", 0, self.rows[self.people[0]]))
        self.dag = Dag(self.channel, self.last.id)
        self.dag.add(self.last)
        self.act(*((ADD_MEMBER, who) for who in self.people[1:]))

    def _posted(self, body: epochs.Body) -> tuple[Epoch, bytes]:
        self._made += 1
        inside = Post(
            version=1,
            channel=self.channel,
            epoch=b"",
            author=self.people[0],
            incarnation=2**62,
            sequence=self._made,
            parents=os.urandom(32),
            hlc=_NOW_MS << 16 | self._made,
            kind=post.KIND_EPOCH,
            keep_until=_HOUR + LONG_KEEP_HOURS_MAX - 1,
            body=epochs.encode(body),
        )
        signed = post.encode(inside)
        epoch = epochs.parse(inside, post.post_id(signed))
        if epoch is None:
            raise RuntimeError("what was made is no epoch")
        return epoch, signed

    def act(self, *told: acts.Act) -> None:
        """Make the next epoch, with these acts by the admin."""
        rows = [self.rows[who] for purpose, who in told if purpose == ADD_MEMBER]
        body = acts.draft(
            self.dag, self.people[0], _NOW_MS, [self.last.id], {each: {} for each in told}, rows
        )
        self.last, self.signed = self._posted(body)
        self.dag.add(self.last)

    def seal_all(self) -> list[bytes]:
        """The envelopes of the newest epoch's post and of its key to everybody."""
        key, expiry = os.urandom(32), _HOUR + KEEP_HOURS_MAX - 1
        content = envelope.post_content(self.signed, post.sign(self.secret, self.last.id))
        sealing = daykeys.advance(key, daykeys.key_day(expiry) - _DAY)
        sent = [envelope.seal(sealing, expiry, os.urandom(24), content)]
        for who in self.people:
            row = self.rows[who]
            life = keyenvelope.life(_PREKEYS, _HOUR)
            if life is None:
                raise RuntimeError("prekeys of another day")
            told = keyenvelope.Delivered(self.channel, self.last.id, self.people[0], _DAY, key)
            content = keyenvelope.seal(os.urandom, self.secret, who, _PREKEYS, life.days, told)
            inbox = row.moved_on(daykeys.key_day(life.expiry_hour)).inbox_key
            sent.append(envelope.seal(inbox, life.expiry_hour, os.urandom(24), content))
        return sent


_PREKEYS = Announcement(
    _DAY, tuple(crypto.x25519_keypair(os.urandom(32))[0] for _ in range(PREKEY_DAYS))
)  # everybody's here: which point it is makes no difference to the time


def run() -> Iterator[dict[str, object]]:
    """Two lines: `rekey`, which has the goals, and `epochs`."""
    group = _Group()
    started = time.perf_counter()
    group.act((REMOVE_MEMBER, group.people[-1]))
    drafted_s = time.perf_counter() - started
    sent = group.seal_all()
    taken_s = time.perf_counter() - started
    size = sum(map(len, sent))
    yield {
        "bench": "rekey",
        "members": GROUP_MEMBERS_MAX,
        "s": round(taken_s, 3),
        "s_goal": GOAL_S,
        "epoch_s": round(drafted_s, 3),
        "bytes": size,
        "bytes_goal": SIZE_GOAL,
        "epoch_body_bytes": len(epochs.encode(group.last.body)),
        "met": taken_s <= GOAL_S and size <= SIZE_GOAL,
    }
    yield _history(group)


def _history(group: _Group) -> dict[str, object]:
    """How long a start takes to judge a long history, in which everything is an act: who renews without end is not
    heard."""
    last = group.people[-1]
    for number in range(EPOCHS - len(group.dag.held)):
        group.act((REMOVE_MEMBER if number % 2 else ADD_MEMBER, last))
    raw = [(each, epochs.encode(each.body)) for each in group.dag.held.values()]
    started = time.perf_counter()
    for each, body in raw:
        epochs.parse(
            Post(
                1, each.channel, b"", each.author, 1, 1, b"", _NOW_MS << 16, post.KIND_EPOCH, _HOUR + 1, body
            ),
            each.id,
        )
    read_s = time.perf_counter() - started
    dag = Dag(group.channel, group.dag.anchor)
    started = time.perf_counter()
    dag.add(*(each for each, _ in raw))
    judged_s = time.perf_counter() - started
    started = time.perf_counter()
    current = dag.current(group.people[1])
    return {
        "bench": "epochs",
        "members": GROUP_MEMBERS_MAX,
        "epochs": len(raw),
        "read_s": round(read_s, 3),
        "judged_s": round(judged_s, 3),
        "current_ms": round((time.perf_counter() - started) * 1000, 1),
        "met": current == group.last,
    }
