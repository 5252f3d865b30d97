"""Sealed envelopes for the fuzzer: most open, and hold nearly what they should.

The rule: as in `targets`: half of what is made is right up to the last check, the rest has one slot, size or byte
wrong, in the envelope, in its content or in the post inside.
"""

import random
from typing import Any

from meshd import codec, crypto, envelope, limits, post
from meshd.envelope import Sealed
from meshd.errors import PeerError
from meshd.keyring import Keyring
from tests.fuzz import mutate
from tests.groups import DAY, EPOCH, EXPIRY, GROUP, KEY, seal
from tests.wire import WALL_MS, Author

_AUTHORS = [Author(seed) for seed in (1, 2)]
_RING = Keyring()
_RING.add(bytes(16), bytes(32), DAY, bytes(32))
_RING.add(GROUP, EPOCH, DAY, KEY)


def _content(rng: random.Random, hour: int) -> bytes:
    author = rng.choice(_AUTHORS)
    kind = rng.choice((1, 1, 2, 3, 77))
    slots: dict[str, Any] = {
        "channel": GROUP, "epoch": EPOCH, "kind": kind, "keep_until": hour, "incarnation": rng.getrandbits(63),
        "sequence": rng.choice((1, 2, 3)), "parents": rng.randbytes(32), "body": rng.randbytes(rng.randrange(600)),
    }  # fmt: skip
    if kind == 1 and rng.random() < 0.8:
        slots["body"] = post.encode_text(post.Text("", b"", "x" * rng.randrange(300)))
    if rng.random() < 0.3:
        near: dict[str, list[Any]] = {
            "channel": [bytes(16), GROUP[1:]],
            "epoch": [b"", bytes(32), EPOCH[1:]],
            "keep_until": [hour - 1, hour + 1, hour + limits.LONG_KEEP_HOURS_MAX],
            "hlc": [(WALL_MS + ahead) << 16 for ahead in (-(10**12), 10**8, 10**12)],
            "body": [bytes(limits.BODY_SIZE_MAX + 1), bytes(limits.LONG_BODY_SIZE_MAX)],
        }
        slot = rng.choice(list(near))
        slots[slot] = rng.choice(near[slot])
    signed = post.encode(author.post(**slots))
    signature = post.sign(author.secret, post.post_id(signed))
    if rng.random() < 0.2:
        return mutate.scratched(rng, mutate.array(rng, [rng.choice((0, 1, 2)), signed, signature]))
    return envelope.post_content(signed, signature)


def make(rng: random.Random) -> bytes:
    """One sealed envelope of the group, more or less."""
    hour = EXPIRY + rng.choice((0, 0, -48, 24))
    longest = limits.PADDING_CLASSES[-1] - 2
    raw = seal(_content(rng, hour)[:longest], hour=hour, nonce=rng.randbytes(24))
    chance = rng.random()
    if chance < 0.1:
        return mutate.scratched(rng, raw)
    if chance < 0.2:
        slots: list[mutate.Slot] = list(codec.unpack(raw, (int, int, int, bytes, bytes, bytes), 34_000))
        slots[rng.randrange(2, 6)] = rng.choice((mutate.number(rng), mutate.chunk(rng)))
        return mutate.array(rng, slots)
    return raw


def fuzz(rng: random.Random) -> bool:
    """What a member makes of one: nothing comes out but a post that may stand there, or nothing."""
    raw = make(rng)
    try:
        parsed = envelope.parse(raw)
    except PeerError:
        return False
    if not isinstance(parsed, Sealed):
        return False
    assert codec.pack(1, 1, parsed.expiry_hour, parsed.nonce, parsed.hint, parsed.ciphertext) == raw
    opened = _RING.open(parsed)
    if opened is None:
        return False
    envelope.content_kind(opened.content)
    try:
        inside = envelope.read_post(
            opened.content, channel=opened.channel, epoch=opened.epoch, expiry_hour=parsed.expiry_hour
        )
    except PeerError:
        return False
    assert inside.post.channel == GROUP and inside.post.epoch in (EPOCH, b"")
    assert inside.post.keep_until >= parsed.expiry_hour > inside.post.time_ms // post.HOUR_MS
    return crypto.verify(*envelope.check(inside))
