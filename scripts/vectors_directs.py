"""Makes directs.json: directs as they are begun, each as the sealed envelopes that come to elm, and what elm reads.

Rule: elm has nothing but its own inbox key and the secrets of its prekeys. Each direct is whole; each that is ignored
is the plain one with one thing wrong, and elm reads nothing of it.
"""

from typing import Any

from vectors_fixed import NOW_HOUR, NOW_MS, Vector, entropy, fixed, identity

from meshd import codec, daykeys, direct_receipts, envelope, post
from meshd.groups import acts, epochs, keyenvelope
from meshd.groups.epochs import Member
from meshd.groups.keyenvelope import Delivered
from meshd.groups.prekeys import OwnPrekeys
from meshd.ids import direct_channel_id, inbox_channel_id
from meshd.limits import EPOCH_KEY_DAYS, PREKEY_DAYS, RECEIPT_IDS_MAX
from meshd.post import KIND_EPOCH, KIND_TEXT, Post, Text

DAY = daykeys.key_day(NOW_HOUR)
_, OAK, _OAK_SECRET = identity("oak")
_, ELM, _ = identity("elm")
_, _ASH, _ASH_SECRET = identity("ash")
_SECRETS = {_OAK_SECRET: OAK, _ASH_SECRET: _ASH}
_DIRECT = direct_channel_id(OAK, ELM)
_INBOX_KEY = fixed("inbox key of elm")  # of DAY
_OWN = {DAY + n: fixed(f"prekey {n} of elm") for n in range(PREKEY_DAYS)}
_PREKEYS = OwnPrekeys(_OWN).announce(DAY, entropy("nothing is drawn"))[0]
_OLD_DAYS = 12  # after DAY, the last prekeys known of elm are over
_ROWS = [
    Member(who, DAY, fixed(f"row of {name}")) for name, who in (("oak", OAK), ("elm", ELM), ("ash", _ASH))
]


def _content(
    secret: bytes, channel: bytes, epoch: bytes, kind: int, body: bytes, now_ms: int, hours: int
) -> tuple[bytes, bytes, int]:
    """The id of a post, the content around it, and its keep-until."""
    until = now_ms // post.HOUR_MS + hours
    written = Post(1, channel, epoch, _SECRETS[secret], 77, 1, b"", now_ms << 16, kind, until, body)
    signed = post.encode(written)
    made = post.post_id(signed)
    return made, envelope.post_content(signed, post.sign(secret, made)), until


def _direct(
    name: str,
    *,
    channel: bytes = _DIRECT,
    rows: tuple[int, int] = (0, 1),
    flags: int = epochs.DIRECT,
    sender: bytes = _OAK_SECRET,
    writer: bytes = _OAK_SECRET,
    epoch_of_text: bytes | None = None,
    check_of: bytes = b"",
    old_days: int = 0,
    **texts: str,
) -> Vector:
    """A direct that is begun `old_days` after DAY; with so many that elm's prekeys are over, to the last of them."""
    draw, now_ms = entropy(f"direct {name}"), NOW_MS + old_days * post.DAY_MS
    hour = now_ms // post.HOUR_MS
    first_day = _PREKEYS.last_day if old_days else DAY
    first = draw(32)
    days = range(first_day, first_day + (1 if old_days else 4))
    today = daykeys.advance(first, daykeys.key_day(hour) - first_day)
    body = acts.first_direct(_ROWS[rows[0]], _ROWS[rows[1]])[1]._replace(flags=flags)
    if not flags:
        body = body._replace(admins=b"\0\1")
    body = body._replace(key_check=epochs.key_check(check_of or today, EPOCH_KEY_DAYS))
    epoch, begun, _ = _content(_OAK_SECRET, channel, b"", KIND_EPOCH, epochs.encode(body), now_ms, 90 * 24)
    said = post.encode_text(Text("oak", b"", texts.get("text", "it is me, oak")))
    _, words, until = _content(writer, channel, epoch_of_text or epoch, KIND_TEXT, said, now_ms, 72)
    sent = Delivered(channel, epoch, _SECRETS[sender], first_day, first)
    key = keyenvelope.seal(draw, sender, ELM, _PREKEYS, days, sent)

    def sealed(key: bytes, since: int, expiry: int, content: bytes) -> str:
        day_key = daykeys.advance(key, daykeys.key_day(expiry) - since)
        return envelope.seal(day_key, expiry, draw(24), content).hex()

    today_day = daykeys.key_day(hour)
    return {
        "name": name,
        "now_ms": now_ms,
        "key_envelope": sealed(_INBOX_KEY, DAY, hour + 72, key),
        "epoch_post": sealed(today, today_day, hour + 168, begun),
        "words": sealed(today, today_day, until, words),
        "epoch": epoch.hex(),
        "day": first_day,
        "key": first.hex(),
        "text": texts.get("text", "it is me, oak"),
    }


def _ignored() -> list[Vector]:
    cases: dict[str, dict[str, Any]] = {
        "a key from somebody else": {"sender": _ASH_SECRET},
        "in the channel of two others": {"channel": direct_channel_id(OAK, _ASH), "rows": (0, 2)},
        "an epoch of two others": {"rows": (0, 2)},
        "an epoch without the flag": {"flags": 0},
        "a key that is not the epoch's": {"check_of": fixed("another key")},
        "words by somebody else": {"writer": _ASH_SECRET},
        "words under another epoch": {"epoch_of_text": fixed("another epoch")},
    }
    return [{**_direct(name, **changes), "text": None} for name, changes in cases.items()]


def _receipts() -> tuple[list[Vector], list[Vector]]:
    """Bodies of receipts, and such as are none."""
    ids = sorted(fixed(f"post {n}") for n in range(RECEIPT_IDS_MAX + 1))
    good = {"of one post": ids[:1], "of as many as it holds": ids[:-1]}
    bad = {
        "too many": codec.pack(b"".join(ids)),
        "not in order": codec.pack(ids[1] + ids[0]),
        "a post twice": codec.pack(ids[0] + ids[0]),
        "31 bytes of one": codec.pack(ids[0][:31]),
        "two slots": codec.pack(ids[0], b""),
        "a number": codec.pack(1),
    }
    if any(direct_receipts.parse(body) for body in bad.values()):
        raise RuntimeError("a receipt that must be hidden is not")
    valid = [
        {"name": name, "ids": [each.hex() for each in some], "body": direct_receipts.encode(some).hex()}
        for name, some in good.items()
    ]
    return valid, [{"name": name, "body": body.hex()} for name, body in bad.items()]


def directs() -> Vector:
    """What directs.json holds."""
    return {
        "sender": OAK.hex(),
        "recipient": ELM.hex(),
        "channel": _DIRECT.hex(),
        "inbox": inbox_channel_id(ELM).hex(),
        "day": DAY,
        "inbox_key": _INBOX_KEY.hex(),
        "secrets": [secret.hex() for secret in _OWN.values()],
        "begun": [
            _direct("by prekeys of today"),
            _direct("by a prekey whose day is over", old_days=_OLD_DAYS, text="where are you"),
        ],
        "ignored": _ignored(),
        "receipts": _receipts()[0],
        "hidden_receipts": _receipts()[1],
    }
