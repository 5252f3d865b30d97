"""Makes prekeys.json: what an identity announces, and key envelopes for it, with what each opens to on which day.

Rule: a refused announcement is the plain post with one slot changed; a refused key envelope is the plain one with one
thing wrong. All stand as contents of sealed envelopes: what is sealed around them is in the vectors of envelopes.
"""

from typing import Any

from vectors_fixed import NOW_HOUR, NOW_MS, Vector, entropy, fixed, identity

from meshd import armor, codec, daykeys, envelope, post
from meshd.errors import CallerError
from meshd.grouping import PREFIX, decode_invite, encode_invite
from meshd.groups import keyenvelope, prekeys
from meshd.groups.keyenvelope import Delivered
from meshd.groups.prekeys import OwnPrekeys
from meshd.ids import LABEL_INVITE, inbox_channel_id
from meshd.limits import PREKEY_DAYS
from meshd.post import KIND_EPOCH, KIND_PREKEYS, Post

DAY = daykeys.key_day(NOW_HOUR)
_, _OAK, _OAK_SECRET = identity("oak")
_, _ELM, _ELM_SECRET = identity("elm")
_SECRETS = {DAY + n: fixed(f"prekey {n} of elm") for n in range(PREKEY_DAYS)}
_OWN = OwnPrekeys(_SECRETS)
_PREKEYS = _OWN.announce(DAY, entropy("nothing is drawn"))[0]
_ANNOUNCING = Post(
    1, inbox_channel_id(_ELM), b"", _ELM, 0x1122334455667788, 1, b"", NOW_MS << 16, KIND_PREKEYS, NOW_HOUR + 168,
    prekeys.encode(_PREKEYS),
)  # fmt: skip
_SENT = Delivered(fixed("group", 16), fixed("epoch"), _OAK, DAY, fixed("key of the epoch"))
_KEYS = b"".join(_PREKEYS.keys)

_REFUSED_POSTS: dict[str, dict[str, Any]] = {
    "of another kind": {"kind": KIND_EPOCH},
    "in another's inbox": {"channel": inbox_channel_id(_OAK)},
    "another first day than the post's own": {"body": codec.pack(DAY + 1, _KEYS)},
    "eight prekeys": {"body": codec.pack(DAY, _KEYS[:-32])},
    "ten prekeys": {"body": codec.pack(DAY, _KEYS + _KEYS[:32])},
    "287 bytes of prekeys": {"body": codec.pack(DAY, _KEYS[:-1])},
    "a prekey of low order": {"body": codec.pack(DAY, bytes(32) + _KEYS[32:])},
}


def _content(announcing: Post) -> str:
    signed = post.encode(announcing)
    return envelope.post_content(signed, post.sign(_ELM_SECRET, post.post_id(signed))).hex()


def _sealed(name: str = "ephemeral", days: int = 4, **changes: Any) -> bytes:
    """A key envelope from Oak to Elm."""
    sent = _SENT._replace(**changes)
    return keyenvelope.seal(
        entropy(name), _OAK_SECRET, _ELM, _PREKEYS, range(sent.day, sent.day + days), sent
    )


def _opened(content: bytes, from_day: int) -> Delivered | None:
    """What Elm opens it to whose prekeys before that day are erased."""
    parsed = keyenvelope.parse(content)
    own = OwnPrekeys(_SECRETS)
    own.erase(from_day)
    return parsed and keyenvelope.open(parsed, _ELM, own.secret)


def _valid(name: str, content: bytes) -> Vector:
    parsed = keyenvelope.parse(content)
    if parsed is None:
        raise RuntimeError(f"{name}: no key envelope")
    opened = []
    for day in range(parsed.first_day, parsed.last_day + 2):
        found = _opened(content, day)
        entry: Vector = {"prekeys_kept_from": day, "day": None, "key": None}
        if found is not None:
            entry |= {"day": found.day, "key": found.key.hex()}
        opened.append(entry)
    return {
        "name": name,
        "content": content.hex(),
        "last_day": parsed.last_day,
        "opens_to": opened,
        "invitation": encode_invite(content),
    }


def _spliced(content: bytes, **slots: Any) -> bytes:
    found = keyenvelope.parse(content)
    if found is None:
        raise RuntimeError("no key envelope")
    plain: dict[str, Any] = {
        "kind": envelope.CONTENT_KEY,
        "ephemeral": found.ephemeral,
        "first_day": found.first_day,
        "parts": b"".join(found.parts),
        "tail": found.tail,
    }
    return codec.pack(*(plain | slots).values())


def _refused() -> dict[str, bytes]:
    plain, other = _sealed(), _sealed("another ephemeral")
    parts = plain[-162 - 192 : -162]
    by_elm = keyenvelope.seal(entropy("ephemeral"), _ELM_SECRET, _ELM, _PREKEYS, range(DAY, DAY + 4), _SENT)
    for_oak = keyenvelope.seal(entropy("ephemeral"), _OAK_SECRET, _OAK, _PREKEYS, range(DAY, DAY + 4), _SENT)
    return {
        "an ephemeral key of low order": _spliced(plain, ephemeral=bytes(32)),
        "an ephemeral key of 31 bytes": _spliced(plain, ephemeral=bytes(31)),
        "no part": _spliced(plain, parts=b""),
        "five parts": _spliced(plain, parts=parts + parts[:48]),
        "a part cut": _spliced(plain, parts=parts[:-1]),
        "two parts swapped": _spliced(plain, parts=parts[48:96] + parts[:48] + parts[96:]),
        "a part left out": _spliced(plain, parts=parts[:-48]),
        "another first day": _spliced(plain, first_day=DAY - 1),
        "a first day of 2^32": _spliced(plain, first_day=2**32),
        "the tail of another": _spliced(plain, tail=other[-160:]),
        "a tail of 159 bytes": _spliced(plain, tail=plain[-159:]),
        "signed by another": by_elm,
        "made for another identity": for_oak,
    }


def _refused_invitations() -> dict[str, str]:
    text = encode_invite(_sealed())
    wrong = {
        "another prefix": text.replace("GROUP:1", "GROUP:2"),
        "a character left out": text[:99] + text[100:],
        "two characters swapped": text[:99] + text[100] + text[99] + text[101:],
        "the check of another label": armor.encode(PREFIX, LABEL_INVITE, _sealed()),
        "no key envelope": encode_invite(_sealed()[:-1]),
    }
    for name, refused in wrong.items():
        try:
            decode_invite(refused)
        except CallerError:
            continue
        raise RuntimeError(f"not refused: {name}")
    return wrong


def made() -> Vector:
    """What prekeys.json holds."""
    if prekeys.parse(_ANNOUNCING) != _PREKEYS:
        raise RuntimeError("the plain announcement is not taken")
    bad_posts = {name: _ANNOUNCING._replace(**changes) for name, changes in _REFUSED_POSTS.items()}
    if any(prekeys.parse(bad) is not None for bad in bad_posts.values()):
        raise RuntimeError("an announcement that must be ignored is not")
    refused = _refused()
    for name, content in refused.items():
        if any(_opened(content, day) is not None for day in range(DAY, DAY + 4)):
            raise RuntimeError(f"{name}: opens")
    return {
        "sender": _OAK.hex(),
        "recipient": _ELM.hex(),
        "recipients_inbox": inbox_channel_id(_ELM).hex(),
        "day": DAY,
        "secrets": [secret.hex() for secret in _SECRETS.values()],
        "announcement": {"keys": [key.hex() for key in _PREKEYS.keys], "content": _content(_ANNOUNCING)},
        "ignored_announcements": [
            {"name": name, "content": _content(bad)} for name, bad in bad_posts.items()
        ],
        "channel": _SENT.channel.hex(),
        "epoch": _SENT.epoch.hex(),
        "key_of_day": _SENT.key.hex(),
        "ephemeral_secret": entropy("ephemeral")(32).hex(),
        "key_envelopes": [
            _valid("four days", _sealed()),
            _valid("one day", _sealed(days=1)),
            _valid("the last days of the prekeys", _sealed(days=2, day=DAY + 7)),
        ],
        "ignored_key_envelopes": [{"name": name, "content": raw.hex()} for name, raw in refused.items()],
        "refused_invitations": [
            {"name": name, "invitation": text} for name, text in _refused_invitations().items()
        ],
    }
