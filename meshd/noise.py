"""The Noise Protocol Framework, revision 34, for one suite: 25519_ChaChaPoly_BLAKE2b.

The three objects of the specification's section 5, under its own names, and one pattern: `Noise_XXpsk0`, the
handshake of every link.

    XXpsk0:  -> psk, e           the psk comes from the network key: who lacks it gets no second message,
             <- e, ee, s, es     and costs the responder not one Diffie–Hellman
             -> s, se

Rule: *nothing is drawn here*. The ephemeral secret is an argument, so a run repeats byte for byte from its
inputs, which is what makes published vectors, our own vectors and the simulator possible. The caller owes
one fresh ephemeral a handshake. Patterns are data (`Pattern`); the other patterns of the specification live
beside the vector runner, because a program that could be talked into a weaker one would be.

- Hash and HMAC: BLAKE2b-512 (HASHLEN 64); keys are the first 32 bytes of a 64-byte output.
- Nonce: 4 zero bytes ‖ 64-bit little-endian counter; 2^64 − 1 is reserved for rekey.
- A failed read raises PeerError, and which check failed is not to be told to the peer: close the link and
  drop the object, which has mixed in hostile bytes and refuses to go on.
- A failed `decrypt_with_ad` leaves the counter where it was.
- Low-order remote keys abort: the Diffie–Hellman result is refused when it is all zeros (section 12.1
  leaves it open).
- Handshake messages are at most 65 535 bytes (section 3).
"""

import hmac
from hashlib import blake2b
from struct import Struct
from typing import NamedTuple, TypeVar

from meshd.crypto import (
    KEY_SIZE,
    chacha20poly1305_decrypt,
    chacha20poly1305_encrypt,
    x25519,
    x25519_keypair,
)
from meshd.errors import PeerError
from meshd.limits import TAG_SIZE

HASH_SIZE = 64
MESSAGE_SIZE_MAX = 65535
_NONCE_MAX = 2**64 - 1
_pack_nonce = Struct("<4xQ").pack
_Key = TypeVar("_Key", bytes, tuple[bytes, bytes])


class Pattern(NamedTuple):
    """Section 7: which keys are known beforehand ("s" or ""), and the tokens of each message in turn."""

    name: str
    initiator_premessage: str
    responder_premessage: str
    messages: tuple[str, ...]


XXPSK0 = Pattern("XXpsk0", "", "", ("psk e", "e ee s es", "s se"))


def _hkdf(chaining_key: bytes, material: bytes, outputs: int) -> list[bytes]:
    """Section 4.3: two or three outputs of 64 bytes."""
    key = hmac.digest(chaining_key, material, blake2b)
    made = [b""]
    for number in range(1, outputs + 1):
        made.append(hmac.digest(key, made[-1] + bytes((number,)), blake2b))
    return made[1:]


class CipherState:
    """Section 5.1: a key and the counter of what was encrypted under it. Without a key, text passes
    unchanged.
    """

    __slots__ = ("k", "n")

    def __init__(self, key: bytes | None = None) -> None:
        self.k = key
        self.n = 0

    def encrypt_with_ad(self, ad: bytes, plaintext: bytes) -> bytes:
        """16 bytes longer than `plaintext`. RuntimeError when the counter is used up: rekeying does not
        turn it back.
        """
        if self.k is None:
            return plaintext
        ciphertext = chacha20poly1305_encrypt(self.k, self._nonce(), ad, plaintext)
        self.n += 1
        return ciphertext

    def decrypt_with_ad(self, ad: bytes, ciphertext: bytes) -> bytes:
        """PeerError if it does not authenticate; the counter then stays."""
        if self.k is None:
            return ciphertext
        plaintext = chacha20poly1305_decrypt(self.k, self._nonce(), ad, ciphertext)
        if plaintext is None:
            raise PeerError("a record does not authenticate")
        self.n += 1
        return plaintext

    def rekey(self) -> None:
        """Section 4.2: the next key is the old one's encryption of 32 zeros under the reserved nonce; `n`
        goes on.
        """
        if self.k is None:
            raise RuntimeError("rekey without a key")
        self.k = chacha20poly1305_encrypt(self.k, _pack_nonce(_NONCE_MAX), b"", bytes(KEY_SIZE))[:KEY_SIZE]

    def _nonce(self) -> bytes:
        if self.n >= _NONCE_MAX:
            raise RuntimeError("the nonce counter is used up")
        return _pack_nonce(self.n)


class SymmetricState:
    """Section 5.2: the chaining key `ck`, the transcript hash `h`, and the cipher of the handshake so far."""

    def __init__(self, protocol_name: bytes) -> None:
        fits = len(protocol_name) <= HASH_SIZE
        self.h = protocol_name.ljust(HASH_SIZE, b"\0") if fits else blake2b(protocol_name).digest()
        self.ck = self.h
        self.cipher = CipherState()

    def mix_hash(self, mixed: bytes) -> None:
        self.h = blake2b(self.h + mixed).digest()

    def mix_key(self, material: bytes) -> None:
        self.ck, key = _hkdf(self.ck, material, 2)
        self.cipher = CipherState(key[:KEY_SIZE])

    def mix_key_and_hash(self, material: bytes) -> None:
        self.ck, mixed, key = _hkdf(self.ck, material, 3)
        self.mix_hash(mixed)
        self.cipher = CipherState(key[:KEY_SIZE])

    def encrypt_and_hash(self, plaintext: bytes) -> bytes:
        ciphertext = self.cipher.encrypt_with_ad(self.h, plaintext)
        self.mix_hash(ciphertext)
        return ciphertext

    def decrypt_and_hash(self, ciphertext: bytes) -> bytes:
        plaintext = self.cipher.decrypt_with_ad(self.h, ciphertext)
        self.mix_hash(ciphertext)
        return plaintext

    def split(self) -> tuple[CipherState, CipherState]:
        first, second = _hkdf(self.ck, b"", 2)
        return CipherState(first[:KEY_SIZE]), CipherState(second[:KEY_SIZE])


class HandshakeState:
    """Section 5.3: one side of one handshake. Alternate `write_message` and `read_message` until `done`,
    then `split`.

    `s` is our static key pair (public, secret), `ephemeral_secret` 32 fresh bytes, `rs` the peer's static
    public key where the pattern knows it beforehand, `psks` one 32-byte key for each psk token. After the
    handshake `h` is its hash, the same on both sides and unique to this session, and `rs` the peer's
    authenticated static key.
    """

    def __init__(
        self,
        pattern: Pattern,
        *,
        initiator: bool,
        prologue: bytes,
        s: tuple[bytes, bytes] | None = None,
        ephemeral_secret: bytes | None = None,
        rs: bytes | None = None,
        psks: tuple[bytes, ...] = (),
    ) -> None:
        self._messages = [tokens.split() for tokens in pattern.messages]
        psk_count = sum(tokens.count("psk") for tokens in self._messages)
        if [len(psk) for psk in psks] != [KEY_SIZE] * psk_count:
            raise ValueError(f"{pattern.name} needs {psk_count} psks of {KEY_SIZE} bytes")
        self.rs = rs
        self.re: bytes | None = None
        self._initiator = initiator
        self._s = s
        self._ephemeral_secret = ephemeral_secret
        # The public half is computed when it is sent: a first message that is refused costs no curve work.
        self._e: tuple[bytes, bytes] | None = None
        self._psk_mode = psk_count > 0
        self._psks = list(psks)
        self._our_turn: bool | None = (
            initiator  # None: a message failed, and nothing more can be done with this
        )
        self._symmetric = SymmetricState(b"Noise_%s_25519_ChaChaPoly_BLAKE2b" % pattern.name.encode())
        self._symmetric.mix_hash(prologue)
        premessages = ((pattern.initiator_premessage, True), (pattern.responder_premessage, False))
        for tokens, of_initiator in premessages:
            if tokens == "s":
                known = _given(s)[0] if of_initiator == initiator else _given(rs)
                self._symmetric.mix_hash(known)

    @property
    def h(self) -> bytes:
        """The handshake hash (64 bytes), for channel binding (section 11.2) once `done`."""
        return self._symmetric.h

    @property
    def done(self) -> bool:
        return not self._messages

    def write_message(self, payload: bytes = b"") -> bytes:
        """Our next handshake message with `payload`, which is as secret as the pattern makes it at that
        point.

        PeerError if a key that the peer sent earlier is of low order: it is first used here.
        """
        parts = []
        for token in self._begin(ours=True):
            if token == "e":
                self._e = x25519_keypair(_given(self._ephemeral_secret))
                parts.append(self._e[0])
                self._mix_ephemeral(self._e[0])
            elif token == "s":
                parts.append(self._symmetric.encrypt_and_hash(_given(self._s)[0]))
            else:
                self._mix_secret(token)
        parts.append(self._symmetric.encrypt_and_hash(payload))
        message = b"".join(parts)
        if len(message) > MESSAGE_SIZE_MAX:
            raise ValueError(f"a handshake message of {len(message)} bytes is longer than {MESSAGE_SIZE_MAX}")
        self._end(ours=True)
        return message

    def read_message(self, message: bytes) -> bytes:
        """The payload of the peer's next handshake message. PeerError if it is too short, too long or not
        authentic.
        """
        if len(message) > MESSAGE_SIZE_MAX:
            raise PeerError("handshake message too long")
        rest = message
        for token in self._begin(ours=False):
            if token == "e":
                self.re, rest = _take(rest, KEY_SIZE)
                self._mix_ephemeral(self.re)
            elif token == "s":
                sealed, rest = _take(rest, KEY_SIZE + (TAG_SIZE if self._symmetric.cipher.k else 0))
                self.rs = self._symmetric.decrypt_and_hash(sealed)
            else:
                self._mix_secret(token)
        payload = self._symmetric.decrypt_and_hash(rest)
        self._end(ours=False)
        return payload

    def split(self) -> tuple[CipherState, CipherState]:
        """(send, receive) for this side, once `done`. A one-way pattern uses only the initiator's sending
        half.
        """
        if not self.done:
            raise RuntimeError("split before the handshake is done")
        first, second = self._symmetric.split()
        return (first, second) if self._initiator else (second, first)

    def _begin(self, *, ours: bool) -> list[str]:
        """The tokens of the message whose turn it is. Nobody's turn comes again unless it ends well."""
        if self.done or self._our_turn is not ours:
            raise RuntimeError("handshake message out of turn, or after one that failed")
        self._our_turn = None
        return self._messages[0]

    def _end(self, *, ours: bool) -> None:
        self._our_turn = not ours
        del self._messages[0]

    def _mix_ephemeral(self, public: bytes) -> None:
        self._symmetric.mix_hash(public)
        if self._psk_mode:  # section 9.2: an ephemeral randomises every key that a psk makes
            self._symmetric.mix_key(public)

    def _mix_secret(self, token: str) -> None:
        """A psk, or one of ee, es, se, ss: the initiator's key is named first."""
        if token == "psk":
            self._symmetric.mix_key_and_hash(self._psks.pop(0))
            return
        ours, theirs = (token[0], token[1]) if self._initiator else (token[1], token[0])
        pair = _given(self._e if ours == "e" else self._s)
        public = _given(self.re if theirs == "e" else self.rs)
        self._symmetric.mix_key(x25519(pair[1], public))


def _given(key: _Key | None) -> _Key:
    if key is None:
        raise ValueError("the pattern needs a key that was not given")
    return key


def _take(rest: bytes, size: int) -> tuple[bytes, bytes]:
    if len(rest) < size:
        raise PeerError("handshake message cut short")
    return rest[:size], rest[size:]
