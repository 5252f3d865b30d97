"""What all vectors are made from: bytes that are hashes of their names, one moment, and a few identities.

Rule: nothing here is random and nothing depends on the machine, so that another implementation, in any
language, can make every input again:

    fixed(name, size) = SHAKE-256("meshd vector " ‖ name), the first `size` bytes

The moment of all vectors that need one is NOW_MS.
"""

from collections.abc import Callable
from hashlib import shake_256
from typing import Any

from meshd import crypto
from meshd.errors import PeerError
from meshd.ids import network_id, public_channel_id

Vector = dict[str, Any]

NOW_MS = 1_764_000_000_000  # 2025-11-24T16:00:00Z
HOUR_MS = 3_600_000
NOW_HOUR = NOW_MS // HOUR_MS


def fixed(name: str, size: int = 32) -> bytes:
    """Bytes that are a hash of their name."""
    return shake_256(b"meshd vector " + name.encode()).digest(size)


def entropy(name: str) -> Callable[[int], bytes]:
    """A source whose draw number n, from 0, is `fixed("{name} {n}")`."""
    drawn = 0

    def draw(size: int) -> bytes:
        nonlocal drawn
        drawn += 1
        return fixed(f"{name} {drawn - 1}", size)

    return draw


NETWORK_KEY = fixed("network key")
NETWORK = network_id(NETWORK_KEY)
SQUARE = public_channel_id(NETWORK, "square")


def identity(name: str) -> tuple[bytes, bytes, bytes]:
    """(seed 32, public 32, secret 64) of an author."""
    seed = fixed(f"seed of {name}")
    return seed, *crypto.ed25519_keypair(seed)


def require_refusal(act: Callable[..., object], *arguments: object) -> None:
    """RuntimeError unless this raises PeerError."""
    try:
        act(*arguments)
    except PeerError:
        return
    raise RuntimeError(f"what must be refused is not: {arguments}")
