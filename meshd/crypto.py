"""The primitives, and nothing that is built of them.

Rule: every function is pure. Keys, nonces, salts and seeds come in as bytes, so that whoever holds the
entropy decides (the daemon passes the operating system's, the simulator a seeded one) and no call below
ever draws any. `fresh` is the one way to take a secret out of such a source.

| primitive | from | sizes in bytes |
|---|---|---|
| Ed25519 | RFC 8032, libsodium's strict verdict | seed 32, secret 64, public 32, signature 64 |
| X25519 | RFC 7748, an all-zero result refused | secret 32, public 32, shared 32 |
| ChaCha20-Poly1305 | RFC 8439 | key 32, nonce 12, tag 16 |
| XChaCha20-Poly1305 | draft-irtf-cfrg-xchacha-03 | key 32, nonce 24, tag 16 |
| Argon2id | RFC 9106, one lane, version 1.3 | salt 16, key 32 |

Verifiers of Ed25519 disagree on keys and signatures with small-order or non-canonical points, and a mesh in
which two nodes disagree about one post splits. So a signature counts by libsodium's strict verdict
(canonical S and R, no small-order key), *and* a key is admitted at first sight only if it is a canonical
point of the prime-order subgroup (`is_valid_point`): among such keys strict verifiers agree.

libsodium reads fixed sizes from the pointers it is given and several bindings do not check them first: each
function here does. A wrong size of ours is a ValueError (a bug), a wrong size of the peer's is a verdict:
False, None, PeerError. Hashing is not here: identifiers hash in `ids`, Noise in `noise`, both with hashlib,
which is eight times as fast as the binding.
"""

from collections.abc import Callable, Sequence

from nacl import bindings
from nacl.exceptions import CryptoError

from meshd.errors import PeerError
from meshd.limits import TAG_SIZE

KEY_SIZE = 32
SIGNATURE_SIZE = 64
_SECRET_SIZE = 64  # Ed25519: seed ‖ public key, as libsodium wants it for signing
_SALT_SIZE = 16
_FRESH_SIZE_MIN = 16  # below, two honest draws could be equal by chance

Entropy = Callable[[int], bytes]
Check = tuple[bytes, bytes, bytes]  # public key, message, signature
VerifyMany = Callable[[Sequence[Check]], list[bool]]


def fresh(entropy: Entropy, size: int) -> bytes:
    """`size` ≥ 16 unguessable bytes from `entropy`, drawn twice to see that the source is alive.

    A source that raises is passed on; one that gives the wrong length, zeros, or the same twice raises
    RuntimeError: no key at all is better than a key that everyone has.
    """
    if size < _FRESH_SIZE_MIN:
        raise ValueError(f"a secret of {size} bytes is too short to be one")
    drawn, again = entropy(size), entropy(size)
    if len(drawn) != size or len(again) != size or drawn == again or not any(drawn):
        raise RuntimeError("the random source is broken: refusing to make a key from it")
    return drawn


def ed25519_keypair(seed: bytes) -> tuple[bytes, bytes]:
    """(public 32, secret 64) of a seed of 32 bytes (RFC 8032)."""
    _require(seed, KEY_SIZE)
    public, secret = bindings.crypto_sign_seed_keypair(seed)
    return public, secret


def sign(secret: bytes, message: bytes) -> bytes:
    """The 64-byte signature, the same for the same input each time (RFC 8032)."""
    _require(secret, _SECRET_SIZE)
    return bindings.crypto_sign(message, secret)[:SIGNATURE_SIZE]


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """libsodium's strict verdict; False too for a key or signature of the wrong size.

    The joined form (signature ‖ message) is what the binding takes: the copy costs 1 % of the verification.
    """
    if len(public) != KEY_SIZE or len(signature) != SIGNATURE_SIZE:
        return False
    try:
        bindings.crypto_sign_open(signature + message, public)
    except CryptoError:
        return False
    return True


def verify_many(checks: Sequence[Check]) -> list[bool]:
    """The verdict of each check, one after the other. (The daemon has a way that uses two cores.)"""
    return [verify(*check) for check in checks]


def is_valid_point(public: bytes) -> bool:
    """Whether an Ed25519 key may be admitted: canonical, on the curve, in the prime-order subgroup, not of
    small order.
    """
    return len(public) == KEY_SIZE and bindings.crypto_core_ed25519_is_valid_point(public)


def x25519_keypair(seed: bytes) -> tuple[bytes, bytes]:
    """(public 32, secret 32); the secret is the seed itself, clamped inside each use (RFC 7748)."""
    _require(seed, KEY_SIZE)
    return bindings.crypto_scalarmult_base(seed), seed


def x25519(secret: bytes, public: bytes) -> bytes:
    """The shared 32 bytes. PeerError if the peer's key is not 32 bytes or of low order (the result would be
    all zeros).
    """
    _require(secret, KEY_SIZE)
    if len(public) != KEY_SIZE:
        raise PeerError("public key of the wrong size")
    try:
        return bindings.crypto_scalarmult(secret, public)
    except CryptoError as error:
        raise PeerError("public key of low order") from error


def shared_by_identities(secret: bytes, public: bytes) -> bytes:
    """The 32 bytes that two identities share: X25519 of our Ed25519 secret (64) and another's public key (32), both
    converted to the other form of the curve (RFC 7748, section 4.1). PeerError if that key is no valid point.
    """
    _require(secret, _SECRET_SIZE)
    if not is_valid_point(public):
        raise PeerError("an identity that is no valid point")
    converted = bindings.crypto_sign_ed25519_pk_to_curve25519(public)
    return x25519(bindings.crypto_sign_ed25519_sk_to_curve25519(secret), converted)


def chacha20poly1305_encrypt(key: bytes, nonce: bytes, ad: bytes, text: bytes) -> bytes:
    """`text` encrypted, 16 bytes longer; `nonce` is 12 bytes, never used twice under one key (RFC 8439)."""
    return bindings.crypto_aead_chacha20poly1305_ietf_encrypt(text, ad, nonce, key)


def chacha20poly1305_decrypt(key: bytes, nonce: bytes, ad: bytes, text: bytes) -> bytes | None:
    """The plaintext, or None if it was not encrypted under this key, nonce and `ad`: the caller knows whose
    fault that is.
    """
    if len(text) < TAG_SIZE:
        return None
    try:
        return bindings.crypto_aead_chacha20poly1305_ietf_decrypt(text, ad, nonce, key)
    except (TypeError, ValueError):  # both are CryptoErrors too, but say that a key or nonce is no such thing
        raise
    except CryptoError:
        return None


def xchacha20poly1305_encrypt(key: bytes, nonce: bytes, ad: bytes, text: bytes) -> bytes:
    """As `chacha20poly1305_encrypt` with a nonce of 24 bytes, long enough to be drawn at random."""
    return bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(text, ad, nonce, key)


def xchacha20poly1305_decrypt(key: bytes, nonce: bytes, ad: bytes, text: bytes) -> bytes | None:
    """As `chacha20poly1305_decrypt` with a nonce of 24 bytes."""
    if len(text) < TAG_SIZE:
        return None
    try:
        return bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(text, ad, nonce, key)
    except (TypeError, ValueError):
        raise
    except CryptoError:
        return None


def argon2id(passphrase: bytes, salt: bytes, mem_bytes: int, passes: int) -> bytes:
    """A 32-byte key stretched from a passphrase (RFC 9106, one lane). Takes `mem_bytes` of memory and, at
    256 MiB and 3 passes, about 0.4 s: never in the core or the event loop. MemoryError if the machine has
    not got that much.
    """
    _require(salt, _SALT_SIZE)
    try:
        return bindings.crypto_pwhash_alg(
            KEY_SIZE, passphrase, salt, passes, mem_bytes, bindings.crypto_pwhash_ALG_ARGON2ID13
        )
    except (TypeError, ValueError):  # parameters out of libsodium's range: the caller checks them first
        raise
    except CryptoError as error:
        raise MemoryError(f"Argon2id needs {mem_bytes} bytes of memory") from error


def _require(secret: bytes, size: int) -> None:
    if len(secret) != size:
        raise ValueError(f"{size} bytes are needed, not {len(secret)}")
