"""Epochs: one membership of a group, as the post that begins it says it.

The rule (protocol.md, "Groups"): an epoch is a post of kind 2, and its id is the post's. The body holds the whole
membership, so that whoever holds one epoch knows who is in it, and beside that what changed: the *acts*, judged by the
membership of the one parent, and the signatures of those who act together with the author. The secret of the epoch is
never in it; neither is anything that a clock would have to judge.

What is in it is the *key check*, a hash of the epoch's day key on the last day of EPOCH_KEY_DAYS. Day keys lead
forwards, so whoever holds one gets to that day and sees whether it is the epoch's; and nobody else can make another
that gets there. Without it a member could seal the post anew under a key of his own, and pass that off as the epoch's.

What is checked here is true of the bytes alone. Whether an epoch is *valid* depends on its parents: that is `dag`'s.
What is wrong inside a sealed envelope is nobody's fault on a link, so what is no epoch is None here, and hidden.

A member's *row* is identity, day and inbox key of that day, so that every member can write to every other. A row moves
on with its day (`daykeys`), so that a list found later opens nothing of what came before it.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from meshd import codec, daykeys
from meshd.crypto import KEY_SIZE, SIGNATURE_SIZE
from meshd.errors import PeerError
from meshd.ids import ID_SIZE, LABEL_EPOCH_KEY, direct_channel_id, labelled
from meshd.limits import (
    EPOCH_DEPTH_MAX,
    EPOCH_KEY_DAYS,
    GROUP_MEMBERS_MAX,
    KEY_DAYS_MAX,
    LONG_BODY_SIZE_MAX,
    NAME_SIZE_MAX,
    PARENTS_MAX,
)
from meshd.post import HOUR_MS, KIND_EPOCH, Post
from meshd.statement import ADD_MEMBER, REMOVE_ADMIN

STRICT = 1  # flag bits: nothing is kept over 24 hours,
HISTORY_ALL = 2  # newcomers are sent the keys of what is still held,
DIRECT = 4  # a group of two that nobody administers
STRICT_KEEP_HOURS = 24
_FLAGS_MAX = STRICT | HISTORY_ALL | DIRECT
_SCHEMA = (int, bytes, str, int, bytes, bytes, bytes, bytes, bytes)
_ROW_SIZE = ID_SIZE + 2 + KEY_SIZE
_ACT_SIZE = 1 + ID_SIZE
_COSIGN_SIZE = 2 + SIGNATURE_SIZE


class Member(NamedTuple):
    """One row of the list of members."""

    identity: bytes  # 32
    day: int  # days since 1970: the day of the inbox key
    inbox_key: bytes  # 32

    def moved_on(self, day: int) -> "Member":
        """The row of a later day; itself if `day` is none, or further than a key is moved on."""
        if not 0 < day - self.day <= KEY_DAYS_MAX:
            return self
        return Member(self.identity, day, daykeys.advance(self.inbox_key, day - self.day))


class Cosign(NamedTuple):
    """A signature over the statement of one act, by a member of the parent epoch."""

    act: int  # place in `acts`
    signer: int  # place among the parent's members
    signature: bytes  # 64


class Body(NamedTuple):
    """What the body of an epoch says; lists are in the order in which they must stand."""

    depth: int  # 0 without parents, else one more than the deepest parent
    parents: tuple[bytes, ...]  # epoch ids, ascending
    name: str
    flags: int
    rows: bytes  # the members' rows, by identity, ascending
    admins: bytes  # u8 places of the admins among the members, ascending
    acts: tuple[tuple[int, bytes], ...]  # (purpose, subject), ascending, no subject twice
    cosigns: tuple[Cosign, ...]  # by act, then signer
    key_check: bytes = bytes(KEY_SIZE)  # put in by who draws the key (`key_check`); zeros fit none


class Epoch(NamedTuple):
    """A body and what its post says of it."""

    id: bytes  # 32: the post's
    channel: bytes  # 16
    author: bytes  # 32
    time_ms: int  # as the author's clock had it
    body: Body

    @property
    def day(self) -> int:
        """The day of the post's own time, since 1970: no row is new in it with a later one."""
        return self.time_ms // (daykeys.DAY_HOURS * HOUR_MS)

    def is_key(self, day: int, key: bytes) -> bool:
        """Whether this is the epoch's K(day)."""
        days = self.day + EPOCH_KEY_DAYS - day
        return 0 <= days <= KEY_DAYS_MAX and key_check(key, days) == self.body.key_check

    @property
    def is_direct(self) -> bool:
        """Whether it is of a group of two that nobody administers."""
        return bool(self.body.flags & DIRECT)

    def identities(self) -> list[bytes]:
        """The members' identities, ascending."""
        rows = self.body.rows
        return [rows[at : at + ID_SIZE] for at in range(0, len(rows), _ROW_SIZE)]

    def members(self) -> list[Member]:
        """The members' rows."""
        return parse_rows(self.body.rows)

    def admins(self) -> list[bytes]:
        """The admins' identities, ascending."""
        identities = self.identities()
        return [identities[place] for place in self.body.admins]


def key_check(key: bytes, days: int) -> bytes:
    """What the epoch's body says of its day key, 32 bytes; `key` is that of so many days before the last."""
    return labelled(LABEL_EPOCH_KEY, daykeys.advance(key, days))


def parse_rows(rows: bytes) -> list[Member]:
    """The rows, which are whole."""
    return [
        Member(row[:ID_SIZE], int.from_bytes(row[ID_SIZE : ID_SIZE + 2], "big"), row[ID_SIZE + 2 :])
        for row in (rows[at : at + _ROW_SIZE] for at in range(0, len(rows), _ROW_SIZE))
    ]


def encode_rows(members: Sequence[Member]) -> bytes:
    """The rows in their order."""
    return b"".join(m.identity + m.day.to_bytes(2, "big") + m.inbox_key for m in sorted(members))


def encode(body: Body) -> bytes:
    """The bytes of a body."""
    acts = b"".join(bytes((purpose,)) + subject for purpose, subject in body.acts)
    cosigns = b"".join(bytes((act, signer)) + signature for act, signer, signature in body.cosigns)
    parents = b"".join(body.parents)
    return codec.pack(
        body.depth, parents, body.name, body.flags, body.rows, body.admins, acts, cosigns, body.key_check
    )


def parse(inside: Post, identity: bytes) -> Epoch | None:
    """The epoch in the post with this id, or None if it is none."""
    if inside.kind != KIND_EPOCH or inside.epoch:
        return None
    try:
        body = _parse_body(inside.body)
    except PeerError:
        return None
    epoch = Epoch(identity, inside.channel, inside.author, inside.time_ms, body)
    return epoch if fits(epoch) else None


def fits(epoch: Epoch) -> bool:
    """Whether what the epoch says of itself agrees: its lists with each other, its post with its body."""
    body, identities = epoch.body, epoch.identities()
    numbers_fit = body.depth <= EPOCH_DEPTH_MAX and body.flags <= _FLAGS_MAX
    lists_fit = (
        _ascending(body.parents)
        and 1 <= len(identities) <= GROUP_MEMBERS_MAX
        and _ascending(identities)
        and _ascending(body.admins)
        and all(place < len(identities) for place in body.admins)
        and _ascending(body.acts)
        and len({subject for _, subject in body.acts}) == len(body.acts) <= GROUP_MEMBERS_MAX
        and all(ADD_MEMBER <= purpose <= REMOVE_ADMIN for purpose, _ in body.acts)
        and _ascending([cosign[:2] for cosign in body.cosigns])
        and len(body.cosigns) <= GROUP_MEMBERS_MAX
        and all(cosign.act < len(body.acts) for cosign in body.cosigns)
    )
    texts_fit = len(body.name.encode()) <= NAME_SIZE_MAX and len(body.key_check) == KEY_SIZE
    if not numbers_fit or not lists_fit or not texts_fit:
        return False
    if epoch.author not in identities or (body.depth == 0) != (not body.parents):
        return False
    if body.acts and len(body.parents) != 1:  # an act is judged by one membership
        return False
    if epoch.is_direct:
        free = not body.admins and not body.acts and len(identities) == 2
        return free and epoch.channel == direct_channel_id(*identities)
    return body.depth > 0 or epoch.author in epoch.admins()


def _parse_body(raw: bytes) -> Body:
    slots = codec.unpack(raw, _SCHEMA, LONG_BODY_SIZE_MAX)
    depth, parents, name, flags, rows, admins, acts, cosigns, check = slots
    codec.chop(rows, _ROW_SIZE, GROUP_MEMBERS_MAX)
    return Body(
        depth,
        tuple(codec.chop(parents, ID_SIZE, PARENTS_MAX)),
        name,
        flags,
        rows,
        admins,
        tuple((act[0], act[1:]) for act in codec.chop(acts, _ACT_SIZE, GROUP_MEMBERS_MAX)),
        tuple(Cosign(c[0], c[1], c[2:]) for c in codec.chop(cosigns, _COSIGN_SIZE, GROUP_MEMBERS_MAX)),
        check,
    )


def _ascending(items: Sequence[object]) -> bool:
    return all(a < b for a, b in pairwise(items))  # type: ignore[operator]
