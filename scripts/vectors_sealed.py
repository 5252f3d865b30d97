"""Makes sealed.json: day keys, sealed envelopes, and what is inside them.

Rule: each entry has one thing wrong or nothing. Envelopes are judged twice, by a node that carries them and by one that
holds the day key: what the first must refuse is **close** or **drop**, what the second must pass over opens to nothing,
and what is inside is shown or ignored.
"""

from tempfile import TemporaryDirectory
from typing import Any

from vectors_fixed import NOW_HOUR, NOW_MS, Vector, fixed, identity
from vectors_posts import PLAIN, empty_carry, verdict

from meshd import codec, crypto, daykeys, envelope, post
from meshd.errors import PeerError
from meshd.ids import key_reference
from meshd.limits import BODY_SIZE_MAX, LONG_BODY_SIZE_MAX, LONG_KEEP_HOURS_MAX
from meshd.post import HOUR_MS, Post

HOUR = PLAIN.keep_until
DAY = daykeys.key_day(HOUR)
CHANNEL, EPOCH = fixed("group", 16), fixed("epoch")
FIRST_KEY = fixed("day key")  # K(DAY - 3)
KEY = daykeys.advance(FIRST_KEY, 3)
NONCE = fixed("nonce", 24)
_SEED, OAK, _SECRET = identity("oak")
INSIDE = PLAIN._replace(channel=CHANNEL, epoch=EPOCH)
_LONG_BODY = bytes(LONG_BODY_SIZE_MAX)
_LAST = (NOW_MS + LONG_KEEP_HOURS_MAX * HOUR_MS) // HOUR_MS  # the last hour that a long keep-until may name


def content(made: Post, secret: bytes = _SECRET) -> bytes:
    """A post as a sealed envelope holds it, signed."""
    signed = post.encode(made)
    return envelope.post_content(signed, post.sign(secret, post.post_id(signed)))


def sealed(inside: bytes, hour: int = HOUR) -> bytes:
    """An envelope around a content, sealed under the key of its day."""
    return envelope.seal(daykeys.advance(KEY, daykeys.key_day(hour) - DAY), hour, NONCE, inside)


def _day_keys() -> list[Vector]:
    entries = []
    for days in (0, 1, 2, 8, 400):
        key = daykeys.advance(FIRST_KEY, days)
        entries.append(
            {
                "key": FIRST_KEY.hex(),
                "days": days,
                "moved_on": key.hex(),
                "seal_key": daykeys.seal_key(key).hex(),
                "hint_key": daykeys.hint_key(key).hex(),
                "nonce": NONCE.hex(),
                "hint": daykeys.hint(daykeys.hint_key(key), NONCE).hex(),
            }
        )
    return entries


def _opened() -> list[Vector]:
    contents = {
        "a post": (content(INSIDE), HOUR),
        "the first hour of a day": (b"\x91\x02", DAY * 24),
        "the last hour of a day": (b"\x91\x02", DAY * 24 + 23),
        "nothing at all": (b"", HOUR),
        "510 bytes, the most of the first class": (fixed("content", 510), HOUR),
        "511 bytes, the fewest of the second": (fixed("content", 511), HOUR),
        "2 046 bytes": (fixed("content", 2046), HOUR),
        "32 766 bytes, the most there can be": (fixed("content", 32_766), HOUR),
        "zeros at the end of the content": (b"\x91\x02" + bytes(20), HOUR),
    }
    entries = []
    for name, (inside, hour) in contents.items():
        raw = sealed(inside, hour)
        parsed = envelope.parse(raw)
        if not isinstance(parsed, envelope.Sealed):
            raise RuntimeError(f"{name}: not sealed")
        entries.append(
            {
                "name": name,
                "day_key": daykeys.advance(KEY, daykeys.key_day(hour) - DAY).hex(),
                "expiry_hour": hour,
                "nonce": NONCE.hex(),
                "content": inside.hex(),
                "envelope": raw.hex(),
                "id": parsed.id.hex(),
                "key": parsed.key.hex(),
                "reference": key_reference(parsed.key).hex(),
            }
        )
    return entries


def _packed(**changes: Any) -> bytes:
    """The good envelope with these slots changed."""
    slots: dict[str, Any] = {
        "version": 1, "type": 1, "hour": HOUR, "nonce": NONCE,
        "hint": daykeys.hint(daykeys.hint_key(KEY), NONCE), "ciphertext": sealed(content(INSIDE))[-528:],
    }  # fmt: skip
    return codec.pack(*(slots | changes).values())


def _judged() -> list[Vector]:
    """What a node does that can't open anything."""
    good = sealed(content(INSIDE))
    cases = [
        ("good", good, NOW_MS, "new"),
        (
            "noise in the right lengths",
            _packed(hint=bytes(16), ciphertext=fixed("junk", 8208)),
            NOW_MS,
            "new",
        ),
        ("the last millisecond before it expires", good, HOUR * HOUR_MS - 1, "new"),
        ("expired", good, HOUR * HOUR_MS, "drop"),
        ("192 hours ahead", good, (HOUR - 192) * HOUR_MS, "new"),
        ("193 hours ahead", good, (HOUR - 192) * HOUR_MS - 1, "drop"),
        ("type 2", _packed(type=2), NOW_MS, "drop"),
        ("a public one that says it is sealed", good[:2] + b"\0" + good[3:], NOW_MS, "close"),
        ("expiry hour 2^32", _packed(hour=2**32), NOW_MS, "close"),
        ("expiry hour 2^32 - 1", _packed(hour=2**32 - 1), NOW_MS, "drop"),
        ("a nonce of 23 bytes", _packed(nonce=NONCE[1:]), NOW_MS, "close"),
        ("a nonce of 25 bytes", _packed(nonce=NONCE + b"\0"), NOW_MS, "close"),
        ("a hint of 15 bytes", _packed(hint=bytes(15)), NOW_MS, "close"),
        ("a hint of 32 bytes", _packed(hint=bytes(32)), NOW_MS, "close"),
        ("a ciphertext of 512 bytes", _packed(ciphertext=bytes(512)), NOW_MS, "close"),
        ("a ciphertext of 529 bytes", _packed(ciphertext=bytes(529)), NOW_MS, "close"),
        ("an empty ciphertext", _packed(ciphertext=b""), NOW_MS, "close"),
        ("a slot less", codec.pack(1, 1, HOUR, NONCE, bytes(16)), NOW_MS, "close"),
        ("a byte behind the end", good + b"\0", NOW_MS, "close"),
        ("an hour in a longer form", good[:3] + b"\xcf" + bytes(4) + good[4:], NOW_MS, "close"),
    ]
    with TemporaryDirectory() as folder:
        carry = empty_carry(folder)
        for name, raw, wall_ms, does in cases:
            if (found := verdict(carry, raw, wall_ms)) != does:
                raise RuntimeError(f"{name}: {found}, not {does}")
        carry.close()
    return [
        {"name": name, "wall_ms": wall_ms, "does": does, "envelope": raw.hex()}
        for name, raw, wall_ms, does in cases
    ]


def _unopened() -> list[Vector]:
    """What opens to nothing, though the hint is right."""
    ciphertext = sealed(content(INSIDE))[-528:]
    header = b"\1\1" + HOUR.to_bytes(4, "big") + NONCE + daykeys.hint(daykeys.hint_key(KEY), NONCE)

    def padded(plaintext: bytes, ad: bytes = header) -> bytes:
        return _packed(
            ciphertext=crypto.xchacha20poly1305_encrypt(daykeys.seal_key(KEY), NONCE, ad, plaintext)
        )

    cases = {
        "a bit of the ciphertext flipped": _packed(ciphertext=ciphertext[:-1] + bytes((ciphertext[-1] ^ 1,))),
        "an hour later": _packed(hour=HOUR + 1),
        "sealed without associated data": padded(bytes(512), b""),
        "sealed for another hour": padded(bytes(512), header[:5] + bytes((header[5] ^ 1,)) + header[6:]),
        "a length beyond the end": padded((511).to_bytes(2, "big") + bytes(510)),
        "a byte in the padding": padded(bytes(511) + b"\1"),
    }
    if daykeys.key_day(HOUR) != daykeys.key_day(HOUR + 1):
        raise RuntimeError("an hour later is another day")
    for name, raw in cases.items():
        parsed = envelope.parse(raw)
        if (
            not isinstance(parsed, envelope.Sealed)
            or envelope.unseal(parsed, daykeys.seal_key(KEY)) is not None
        ):
            raise RuntimeError(f"{name}: opens, or is no envelope")
    return [{"name": name, "day_key": KEY.hex(), "envelope": raw.hex()} for name, raw in cases.items()]


def _inside() -> list[Vector]:
    """Posts that belong inside an envelope of this channel, epoch and hour, and posts that do not."""
    epoch_post = INSIDE._replace(kind=post.KIND_EPOCH, epoch=b"", keep_until=NOW_HOUR + 2000)
    shown = {
        "a text": content(INSIDE),
        "an epoch": content(epoch_post),
        "an epoch with the longest body": content(epoch_post._replace(body=_LONG_BODY)),
        "an epoch that is kept as long as may be": content(epoch_post._replace(keep_until=_LAST)),
        "prekeys": content(INSIDE._replace(kind=post.KIND_PREKEYS, epoch=b"")),
        "a plan with the longest body": content(epoch_post._replace(kind=post.KIND_PLAN, body=_LONG_BODY)),
        "an act upon a plan, kept as long as may be": content(
            epoch_post._replace(kind=post.KIND_PLAN_ACT, keep_until=_LAST)
        ),
        "an unknown kind that lasts longer than its envelope": content(
            INSIDE._replace(kind=77, keep_until=HOUR + 1)
        ),
        "an epoch that names its own epoch": content(epoch_post._replace(epoch=EPOCH)),
    }
    signed = post.encode(INSIDE)
    ignored = {
        "another channel": content(INSIDE._replace(channel=bytes(16))),
        "another epoch": content(INSIDE._replace(epoch=bytes(32))),
        "a text without an epoch": content(INSIDE._replace(epoch=b"")),
        "an epoch of 31 bytes": content(INSIDE._replace(epoch=EPOCH[1:])),
        "an epoch post that names another epoch": content(epoch_post._replace(epoch=bytes(32))),
        "a statement without an epoch": content(INSIDE._replace(kind=post.KIND_STATEMENT, epoch=b"")),
        "a text that lasts longer than its envelope": content(INSIDE._replace(keep_until=HOUR + 1)),
        "a text that ends before its envelope": content(INSIDE._replace(keep_until=HOUR - 1)),
        "an epoch that ends before its envelope": content(epoch_post._replace(keep_until=HOUR - 1)),
        "an epoch dated after its envelope": content(epoch_post._replace(hlc=HOUR * HOUR_MS << 16)),
        "an epoch kept an hour too long": content(epoch_post._replace(keep_until=_LAST + 1)),
        "an epoch with too long a body": content(epoch_post._replace(body=_LONG_BODY + b"\0")),
        "prekeys with too long a body": content(
            INSIDE._replace(kind=post.KIND_PREKEYS, epoch=b"", body=bytes(BODY_SIZE_MAX + 1))
        ),
        "another author's signature": content(INSIDE, identity("elm")[2]),
        "a signature of 63 bytes": codec.pack(0, signed, bytes(63)),
        "a slot too many": codec.pack(0, signed, bytes(64), 0),
        "a whole public envelope": envelope.seal_public(signed, content(INSIDE)[-64:]),
        "nothing": b"",
    }
    entries = []
    for does, cases in (("show", shown), ("ignore", ignored)):
        for name, inside in cases.items():
            if is_right(inside) != (does == "show"):
                raise RuntimeError(f"{name}: not {does}")
            entries.append({"name": name, "does": does, "content": inside.hex()})
    return entries


def is_right(inside: bytes) -> bool:
    """Whether what a node opened is a post that belongs there."""
    try:
        found = envelope.read_post(inside, channel=CHANNEL, epoch=EPOCH, expiry_hour=HOUR)
    except PeerError:
        return False
    return crypto.verify(*envelope.check(found)) and crypto.is_valid_point(found.post.author)


def vectors() -> Vector:
    """What sealed.json holds."""
    return {
        "channel": CHANNEL.hex(),
        "epoch": EPOCH.hex(),
        "expiry_hour": HOUR,
        "day_keys": _day_keys(),
        "opened": _opened(),
        "judged": _judged(),
        "unopened": _unopened(),
        "inside": _inside(),
    }
