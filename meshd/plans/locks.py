"""Locks: what keeps a response from everybody but the organisers, until somebody has the scenario's key.

The rule (protocol.md, "Plans"): a sealed scenario has a random *key* of 16 bytes, drawn for this version and never used
again. The plan shows its hash, so that whoever is given a key, by a lock or by somebody else, sees whether it is the
right one. The response is padded to one of three sizes and encrypted under a hash of the key.

A *phrase lock* gives the key to who knows a phrase: the key is encrypted under what Argon2id makes of the phrase and a
salt. A phrase is spoken, sprayed on a wall, typed in a hurry, so it is brought into one form first: compatibility
forms, case, punctuation and spacing don't matter (`normalise`). Six words out of 2 048 are 66 bits, at 0.4 s and 256
MiB a guess; a phrase that a person made up is guessed sooner, by any member, so the plan says that it is *weak*.

Argon2id is slow: `stretch` is a step of its own, for a thread. It is for what the user typed here and for nothing else;
no post can hold a phrase, and nothing that came from the net may get there. The salt of a lock comes from the net, its
cost does not.
"""

import unicodedata

from meshd import crypto, words
from meshd.crypto import Entropy
from meshd.errors import CallerError, Code, PeerError
from meshd.ids import LABEL_PHRASE_KEY, LABEL_RESPONSE_KEY, LABEL_SCENARIO_KEY, labelled
from meshd.limits import PHRASE_MEM_BYTES, PHRASE_PASSES, PHRASE_SIZE_MAX, RESPONSE_CLASSES
from meshd.plans.plan import (
    SALT_SIZE,
    SCENARIO_KEY_SIZE,
    PhraseLock,
    Response,
    Seal,
    encode_response,
    parse_response,
)

PHRASE_WORDS = 6
_PHRASE_BYTES = 16  # of which the first 66 bits make the words
_ONCE = bytes(12)  # the nonce of a key that encrypts one thing
_WORD_CATEGORIES = "LMN"  # letters, the marks that belong to them, digits: what a word is made of


def make_key(entropy: Entropy) -> bytes:
    """A new scenario key, 16 bytes."""
    return crypto.fresh(entropy, SCENARIO_KEY_SIZE)


def key_hash(channel: bytes, key: bytes) -> bytes:
    """What the plan says of a scenario's key, 32 bytes."""
    return labelled(LABEL_SCENARIO_KEY, channel, key)


def is_key(channel: bytes, seal: Seal, key: bytes) -> bool:
    """Whether this is the scenario's key."""
    return key_hash(channel, key) == seal.key_hash


def seal_response(channel: bytes, name: str, key: bytes, response: Response) -> bytes:
    """The ciphertext for the scenario of this name; CallerError(usage) if the response is too long."""
    packed = encode_response(response)
    size = next(size for size in RESPONSE_CLASSES if len(packed) + 2 <= size)
    padded = (len(packed).to_bytes(2, "big") + packed).ljust(size, b"\0")
    return crypto.chacha20poly1305_encrypt(_response_key(key), _ONCE, channel + name.encode(), padded)


def open_response(channel: bytes, name: str, key: bytes, seal: Seal) -> Response | None:
    """The response of the scenario of this name; None if this is not its key, or what it opens is no response."""
    if not is_key(channel, seal, key):
        return None
    padded = crypto.chacha20poly1305_decrypt(
        _response_key(key), _ONCE, channel + name.encode(), seal.ciphertext
    )
    if padded is None:
        return None
    end = 2 + int.from_bytes(padded[:2], "big")
    if end > len(padded) or any(padded[end:]):
        return None
    try:
        return parse_response(padded[2:end])
    except PeerError:
        return None


def make_phrase(entropy: Entropy) -> str:
    """Six words of the English list of BIP-39, as `normalise` gives them back."""
    return words.begin(crypto.fresh(entropy, _PHRASE_BYTES), PHRASE_WORDS)


def normalise(phrase: str) -> str:
    """A phrase in the one form that is stretched: NFKC, case folded, NFKC again, words of letters, marks and digits
    with one space between.

    CallerError(usage) if it is longer than PHRASE_SIZE_MAX bytes, or there is no word in it.
    """
    if len(phrase.encode(errors="replace")) > PHRASE_SIZE_MAX:
        raise CallerError(Code.usage, f"a phrase has at most {PHRASE_SIZE_MAX} bytes")
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", phrase).casefold())
    spaced = "".join(c if unicodedata.category(c)[0] in _WORD_CATEGORIES else " " for c in folded)
    normal = " ".join(spaced.split())
    if not normal:
        raise CallerError(Code.usage, "a phrase is made of words, and there is none")
    return normal


def stretch(phrase: str, salt: bytes) -> bytes:
    """The 32 bytes that a phrase and a lock's salt make; slow, for a thread, and only for what the user typed.

    CallerError: usage if it is no phrase, refused without the memory.
    """
    try:
        return crypto.argon2id(normalise(phrase).encode(), salt, PHRASE_MEM_BYTES, PHRASE_PASSES)
    except MemoryError:
        raise CallerError(
            Code.refused,
            f"a phrase needs {PHRASE_MEM_BYTES >> 20} MiB of memory for a moment: close something, try again",
        ) from None


def make_salt(entropy: Entropy) -> bytes:
    """The salt of a new phrase lock, 16 bytes."""
    return crypto.fresh(entropy, SALT_SIZE)


def lock_phrase(
    channel: bytes, name: str, key: bytes, stretched: bytes, salt: bytes, weak: bool
) -> PhraseLock:
    """The lock of the scenario of this name that opens to the phrase which `stretched` was made of, with this salt."""
    box = crypto.chacha20poly1305_encrypt(_phrase_key(stretched), _ONCE, channel + name.encode(), key)
    return PhraseLock(salt, weak, box)


def open_phrase(channel: bytes, name: str, seal: Seal, stretched: bytes) -> bytes | None:
    """The scenario's key, 16 bytes; None if there is no phrase lock, or the phrase was another one."""
    if seal.phrase is None:
        return None
    key = crypto.chacha20poly1305_decrypt(
        _phrase_key(stretched), _ONCE, channel + name.encode(), seal.phrase.box
    )
    return key if key is not None and is_key(channel, seal, key) else None


def _response_key(key: bytes) -> bytes:
    return labelled(LABEL_RESPONSE_KEY, key)


def _phrase_key(stretched: bytes) -> bytes:
    return labelled(LABEL_PHRASE_KEY, stretched)
