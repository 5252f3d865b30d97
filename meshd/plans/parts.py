"""Parts: how a scenario's key comes to each organiser, and a share of it to each steward, inside the plan itself.

The rule (protocol.md, "Plans"): a version has one X25519 key e of its own. What one person is to have in one scenario
is encrypted to the prekey of that person's last announced day:

    AEAD under H("meshd/1 plan part", X25519(e, prekey), e, prekey, u32 day, channel, author, u8 role, u8 scenario)

AEAD is ChaCha20-Poly1305 with a nonce of zeros: each of these keys is used once, because e is, and because a person has
one part in a role and scenario. The last day, because a plan is to be read by those who are off for days; the price is
that who seizes a laptop until then, unlocked, opens its part, as it does the text of what is not sealed at all.

Channel and author are in it so that parts can't be moved: else somebody could copy them into a plan of his own, with
milder rules, and have a steward release there what is a share of another plan.

Whoever opens a part checks it against the hash or the commitment that all see. So a liar among the authors is found out
by whom he lied to; that the *others* have what they should, nobody can see but they.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from meshd import crypto
from meshd.errors import PeerError
from meshd.ids import LABEL_PLAN_PART, labelled
from meshd.limits import TAG_SIZE
from meshd.plans import locks, shares
from meshd.plans.plan import (
    Part,
    PhraseLock,
    Response,
    Seal,
    Version,
)

ORGANISER, STEWARD = 0, 1  # roles
_ONCE = bytes(12)  # the nonce of a key that encrypts one thing

SecretOf = Callable[[int], bytes | None]  # our prekeys' secrets, by key day


class Recipient(NamedTuple):
    """Who is to have a part."""

    identity: bytes  # 32
    day: int  # the last day of the newest announcement of prekeys,
    prekey: bytes  # … and the prekey of that day, 32


class Sealing(NamedTuple):
    """What all scenarios of a version that is being made have in common."""

    channel: bytes  # 16: the group
    author: bytes  # 32: who proposes it
    secret: bytes  # 32: of e, drawn for this version and forgotten with it
    organisers: Sequence[Recipient]  # in the plan's order
    stewards: Sequence[Recipient]

    def __repr__(self) -> str:
        return "Sealing(…)"  # a traceback or log line with this in it must not give the secret away

    @property
    def ephemeral(self) -> bytes:
        """e: what goes into the plan."""
        return crypto.x25519_keypair(self.secret)[0]


def seal(
    sealing: Sealing,
    scenario: int,
    name: str,
    response: Response,
    key: bytes,
    *,
    phrase: PhraseLock | None = None,
    split: Sequence[bytes] = (),
) -> Seal:
    """The seal of the scenario at this place: `key` is new, and so are `split`, its shares, if there is such a lock.

    CallerError(usage) if the response is too long; ValueError if there is not a share for each steward.
    """
    channel = sealing.channel
    owners = zip(sealing.stewards, split, strict=True) if split else ()
    return Seal(
        locks.key_hash(channel, key),
        locks.seal_response(channel, name, key, response),
        phrase,
        tuple(shares.commitment(channel, share) for share in split),
        tuple(_seal_part(sealing, each, ORGANISER, scenario, key) for each in sealing.organisers),
        tuple(_seal_part(sealing, each, STEWARD, scenario, share) for each, share in owners),
    )


def open_key(version: Version, scenario: int, organiser: int, secret_of: SecretOf) -> bytes | None:
    """The key of a scenario, 16 bytes, out of our part, who are the organiser at this place in the plan's order; None
    if the secret of its day is gone, or there is no true key in it."""
    found = version.plan.scenarios[scenario].seal
    if found is None:
        return None
    key = _open_part(version, found.organiser_parts[organiser], ORGANISER, scenario, secret_of)
    return key if key is not None and locks.is_key(version.channel, found, key) else None


def open_share(version: Version, scenario: int, steward: int, secret_of: SecretOf) -> bytes | None:
    """The share of a scenario, 25 bytes, likewise; `steward` is our place in the plan's order of stewards."""
    found = version.plan.scenarios[scenario].seal
    if found is None or not found.steward_parts:
        return None
    share = _open_part(version, found.steward_parts[steward], STEWARD, scenario, secret_of)
    if share is None or shares.place(share) != steward or not shares.is_true(version.channel, found, share):
        return None
    return share


def _seal_part(sealing: Sealing, owner: Recipient, role: int, scenario: int, content: bytes) -> Part:
    if owner.identity == sealing.author:
        return Part(0, bytes(len(content) + TAG_SIZE))
    shared = crypto.x25519(sealing.secret, owner.prekey)
    context = _context(sealing.channel, sealing.author, role, scenario)
    key = _part_key(shared, sealing.ephemeral, owner.prekey, owner.day, context)
    return Part(owner.day, crypto.chacha20poly1305_encrypt(key, _ONCE, b"", content))


def _open_part(version: Version, part: Part, role: int, scenario: int, secret_of: SecretOf) -> bytes | None:
    secret = secret_of(part.day)
    if secret is None:
        return None
    ephemeral = version.plan.ephemeral
    try:
        shared = crypto.x25519(secret, ephemeral)
    except PeerError:  # of low order
        return None
    prekey, _ = crypto.x25519_keypair(secret)
    context = _context(version.channel, version.author, role, scenario)
    key = _part_key(shared, ephemeral, prekey, part.day, context)
    return crypto.chacha20poly1305_decrypt(key, _ONCE, b"", part.box)


def _context(channel: bytes, author: bytes, role: int, scenario: int) -> bytes:
    return channel + author + bytes((role, scenario))


def _part_key(shared: bytes, ephemeral: bytes, prekey: bytes, day: int, context: bytes) -> bytes:
    return labelled(LABEL_PLAN_PART, shared, ephemeral, prekey, day.to_bytes(4, "big"), context)
