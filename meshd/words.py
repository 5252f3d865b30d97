"""A public key as twelve words that two people can read to each other.

Rule: `BLAKE2b-256(u8(len(label)) ‖ label ‖ public key)` with the label "meshd/1 identity words", its first
132 bits cut into twelve numbers of 11 bits, most significant bit first, each the index of a word in the 2
048-word English list of BIP-39. Words from that list differ in their first four letters and are hard to
mishear.

132 bits stand for the whole key: to make another key with the same words takes 2^132 tries, and to find two
keys with one fingerprint (which fools nobody but their maker) 2^66. There is no checksum, because the words
are compared with others, never decoded into a key.

The list is the file of the package `mnemonic`, read on first use and without importing the package: the
command line imports this module and must start cold in a few milliseconds.
"""

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from meshd import ids
from meshd.errors import CallerError, Code

WORD_COUNT = 12
_WORD_BITS = 11


def fingerprint(public: bytes) -> str:
    """The twelve words of a public key of 32 bytes, lower case, one space between."""
    return begin(ids.labelled(ids.LABEL_FINGERPRINT, public), WORD_COUNT)


def begin(some: bytes, count: int) -> str:
    """The words that the first bits of some bytes stand for, lower case, one space between."""
    bits = int.from_bytes(some, "big") >> (8 * len(some) - count * _WORD_BITS)
    shifts = range((count - 1) * _WORD_BITS, -1, -_WORD_BITS)
    return " ".join(_words()[bits >> shift & (1 << _WORD_BITS) - 1] for shift in shifts)


def spoken(text: str) -> list[str]:
    """The words of a text that was heard or typed from paper, lower case: all that are made of letters, whatever their
    case and spacing and whatever stands between them, as commas or numbers in a list."""
    return re.findall(r"[^\W\d_]+", text.lower())


def words_to_bits(text: str) -> int:
    """The 132 bits that twelve words stand for (`spoken`): fingerprints compare by these.

    CallerError(usage) for another count, or a word that is not in the list (which it names).
    """
    words = spoken(text)
    if len(words) != WORD_COUNT:
        raise CallerError(Code.usage, f"a fingerprint has {WORD_COUNT} words, these are {len(words)}")
    bits = 0
    for word in words:
        if word not in _numbers():
            raise CallerError(Code.usage, f"{word!r} is not a word of the list: listen again")
        bits = bits << _WORD_BITS | _numbers()[word]
    return bits


@cache
def _words() -> tuple[str, ...]:
    package = find_spec("mnemonic")
    if package is None or package.origin is None:
        raise RuntimeError("the package mnemonic, which brings the word list, is not installed")
    words = Path(package.origin).with_name("wordlist").joinpath("english.txt").read_text("utf-8").split()
    return tuple(words)


@cache
def _numbers() -> dict[str, int]:
    return {word: number for number, word in enumerate(_words())}
