"""What `init` makes and what every start opens: the keyslot and the two databases behind it.

The rule: a new identity comes from `create` and from nowhere else, and so does a home for one that was moved here.
Opening never makes anything, so a home that is unreadable for a moment does not come back as somebody else. Randomness
is the operating system's and goes in here; a source that fails or repeats itself ends the making (crypto.fresh).
"""

import os
import time
import unicodedata
from typing import Any, NamedTuple

from meshd import crypto, invite, limits
from meshd.author import Author
from meshd.crypto import Entropy
from meshd.daemon import moving
from meshd.daemon.home import Home
from meshd.daemon.moving import Moved
from meshd.errors import CallerError, Code
from meshd.hlc import Clock
from meshd.ids import COMMONS_KEY, network_id
from meshd.sealing import Sealing
from meshd.store import keyslot
from meshd.store.carry import Carry
from meshd.store.log import Log
from meshd.words import fingerprint


class Opened(NamedTuple):
    """An open home."""

    carry: Carry
    log: Log
    encrypted: bool


def network_of(private: bool, invitation: str | None, entropy: Entropy = os.urandom) -> tuple[bytes, str]:
    """The key and the kind of the network that the options of `init` name; CallerError(usage, invalid)."""
    if private and invitation is not None:
        raise CallerError(Code.usage, "--invite names a network already: leave --private out")
    if invitation is None:
        return (crypto.fresh(entropy, 32), "private") if private else (COMMONS_KEY, "open")
    if invitation.startswith("@"):
        try:
            with open(invitation[1:], encoding="utf-8") as file:
                invitation = file.read(4096)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise CallerError(Code.usage, f"the invite can't be read: {reason}") from None
    key = invite.decode(invitation)
    return key, "open" if key == COMMONS_KEY else "private"


def checked_name(text: str) -> str:
    """A name as posts carry it: NFC, no white space around it; CallerError(usage)."""
    name = unicodedata.normalize("NFC", text).strip()
    bad = any(c == "#" or unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in name)
    if bad or len(name.encode()) > limits.NAME_SIZE_MAX:
        message = f"a name has at most {limits.NAME_SIZE_MAX} bytes and no # or control character"
        raise CallerError(Code.usage, message)
    return name


def create(
    home: Home,
    network_key: bytes,
    network_kind: str,
    name: str,
    passphrase: bytes | None,
    *,
    moved: Moved | None = None,
    cost: keyslot.Cost = keyslot.COST,
    entropy: Entropy = os.urandom,
) -> dict[str, Any]:
    """Make a home and its identity, or that of `moved`, whole or not at all; the document of `init`. The caller
    holds `home.make()`.

    `passphrase` None: none was wanted. `cost` is for tests.
    """
    slot, keys = keyslot.create(passphrase, entropy, cost)
    seed = crypto.fresh(entropy, 32) if moved is None else moved.seed
    Carry.create(home.new(home.carry), keys.carry, network_key, network_kind).close()
    log = Log.create(home.new(home.log), keys.log, seed, name)
    if moved is not None:
        moving.put(log, moved)
    Author(log, Clock(0), entropy, Sealing(log)).inbox(time.time_ns() // 1_000_000)
    log.commit()
    log.close()
    keyslot.write(home.path, slot)  # from here on there is a home
    for database in (home.carry, home.log):
        home.new(database).rename(database)
    return {
        **identity(seed, name),
        "network": {"kind": network_kind, "id": network_id(network_key).hex()},
        "encrypted": passphrase is not None,
    }


def open_home(home: Home, stretched_key: bytes, slot: bytes) -> Opened:
    """Open what `create` made; the caller holds `home.lock()`. CallerError: locked, invalid, refused."""
    keys = keyslot.open(slot, stretched_key)
    carry = Carry(home.carry, keys.carry)
    return Opened(carry, Log(home.log, keys.log), keyslot.parameters(slot).encrypted)


def identity(seed: bytes, name: str) -> dict[str, Any]:
    """What `id show` says of an identity, its card aside."""
    public, _ = crypto.ed25519_keypair(seed)
    return {"id": public.hex(), "name": name, "fingerprint": fingerprint(public)}
