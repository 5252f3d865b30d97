"""An identity in a file, to be moved to another laptop.

The rule: the file holds who one is and whom one knows: the seed, the name, the network, the inbox key and the contacts
with theirs. Posts come from others again, and groups from their members, who see that a member shows new prekeys. What
is made of the file is a new home, whose first post begins a new incarnation, as after every start.

    "MESHDID" ‖ u8 1 ‖ u16 size ‖ keyslot ‖ nonce (24) ‖ XChaCha20-Poly1305 under the keyslot's key for `log`

The keyslot is one like a home's, of its own: the same passphrase, another salt. Everything before the nonce is
associated data. Whoever has the file and the passphrase is its owner, so it is 0600, nothing is overwritten by it, and
it is worth erasing once it was used. An identity is used in one place at a time: two that run side by side do not fork,
but others see two incarnations, and each lacks what was sealed to the prekeys of the other.
"""

import os
from pathlib import Path
from typing import NamedTuple

from meshd import codec, crypto, limits
from meshd.crypto import Entropy
from meshd.errors import CallerError, Code, PeerError
from meshd.store import keyslot
from meshd.store.carry import Carry
from meshd.store.contacts import Contact
from meshd.store.log import Log

_HEAD = b"MESHDID\1"
_NONCE_SIZE = 24
_SCHEMA = (bytes, str, bytes, str, bytes, bytes)
_CONTACT_SCHEMA = (bytes, str, int, int, int, bytes)
_CONTACT_SIZE_MAX = 256
_DAMAGED = CallerError(Code.invalid, "this is no file of `mesh id export`, or it is damaged")


class Known(NamedTuple):
    """A contact, and the day and key of its inbox (0 and empty if there is none)."""

    contact: Contact
    day: int
    inbox_key: bytes


class Moved(NamedTuple):
    """What moves. `me` is no contact: it stands for the own inbox."""

    seed: bytes
    name: str
    network_key: bytes
    network_kind: str
    me: Known
    known: list[Known]

    def __repr__(self) -> str:
        return "Moved(…)"  # a traceback with this in it must not give it away


def take(carry: Carry, log: Log) -> Moved:
    """What moves out of an open home."""
    me, _ = crypto.ed25519_keypair(log.seed)

    def known(contact: Contact) -> Known:
        return Known(contact, *(log.contacts.inbox(contact.identity) or (0, b"")))

    everybody = [known(contact) for contact in log.contacts.all()]
    return Moved(log.seed, log.name, carry.network_key, carry.network_kind, known(Contact(me)), everybody)


def put(log: Log, moved: Moved) -> None:
    """Fill a new log of this identity."""
    for contact, day, inbox_key in [moved.me, *moved.known]:
        if inbox_key:
            log.contacts.set_inbox(contact.identity, day, inbox_key)
    for contact, _, _ in moved.known:
        log.contacts.put(contact)
        log.authors.know(contact.identity)


def seal(
    moved: Moved, passphrase: bytes | None, entropy: Entropy, cost: keyslot.Cost = keyslot.COST
) -> bytes:
    """The file; slow with a passphrase. `cost` is for tests."""
    slot, keys = keyslot.create(passphrase, entropy, cost)
    head = _HEAD + len(slot).to_bytes(2, "big") + slot
    people = codec.join(map(_packed, moved.known))
    content = codec.pack(*moved[:4], _packed(moved.me), people)
    nonce = crypto.fresh(entropy, _NONCE_SIZE)
    return head + nonce + crypto.xchacha20poly1305_encrypt(keys.log, nonce, head, content)


def slot_of(raw: bytes) -> bytes:
    """The keyslot of a file; CallerError(invalid)."""
    size = int.from_bytes(raw[len(_HEAD) : len(_HEAD) + 2], "big")
    start = len(_HEAD) + 2
    if not raw.startswith(_HEAD) or len(raw) < start + size + _NONCE_SIZE:
        raise _DAMAGED
    return raw[start : start + size]


def open(raw: bytes, stretched_key: bytes) -> Moved:
    """What is in a file. CallerError: locked if the passphrase was another one, invalid."""
    slot = slot_of(raw)
    end = len(_HEAD) + 2 + len(slot)
    keys = keyslot.open(slot, stretched_key)
    nonce = raw[end : end + _NONCE_SIZE]
    content = crypto.xchacha20poly1305_decrypt(keys.log, nonce, raw[:end], raw[end + _NONCE_SIZE :])
    if content is None:
        raise _DAMAGED
    try:
        slots = codec.unpack(content, _SCHEMA, limits.IDENTITY_FILE_SIZE_MAX)
        seed, name, network_key, network_kind, me, people = slots
        known = [_unpacked(each) for each in codec.split(people)]
        return Moved(seed, name, network_key, network_kind, _unpacked(me), known)
    except PeerError:
        raise _DAMAGED from None


def _packed(known: Known) -> bytes:
    identity, petname, added, verified, muted, blocked, met = known.contact
    marks = added | verified << 1 | muted << 2 | blocked << 3
    return codec.pack(identity, petname, marks, met, known.day, known.inbox_key)


def _unpacked(raw: bytes) -> Known:
    identity, petname, marks, met, day, key = codec.unpack(raw, _CONTACT_SCHEMA, _CONTACT_SIZE_MAX)
    flags = [bool(marks >> bit & 1) for bit in range(4)]
    return Known(Contact(identity, petname, flags[0], flags[1], flags[2], flags[3], met), day, key)


# --- the file ---


def write(path: Path, raw: bytes) -> None:
    """Put it where nothing is yet, for its owner alone. CallerError(refused)."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise CallerError(Code.refused, f"{path} is there already: nothing was written") from None
    except OSError as error:
        raise CallerError(Code.refused, f"{path} can't be written: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(descriptor)
    except OSError as error:
        path.unlink()
        raise CallerError(Code.refused, f"{path} can't be written: {error.strerror}") from None


def read(path: Path) -> bytes:
    """The bytes of a file. CallerError: usage, invalid."""
    try:
        with path.open("rb") as file:
            raw = file.read(limits.IDENTITY_FILE_SIZE_MAX + 1)
    except OSError as error:
        raise CallerError(Code.usage, f"{path} can't be read: {error.strerror}") from None
    if len(raw) > limits.IDENTITY_FILE_SIZE_MAX:
        raise _DAMAGED
    return raw
