"""Shares: what k of n stewards hold, so that together they have a scenario's key and fewer have nothing.

The rule (protocol.md, "Plans"): the key is split by SLIP-39 into one group of n shares of which k are needed, with no
passphrase, iteration exponent 0, extendable. A share is 20 words of 10 bits, and travels as those 25 bytes:

    15 bits identifier · 1 extendable: 1 · 4 exponent: 0 · 4 group: 0 · 4 groups needed − 1: 0 · 4 groups − 1: 0
    4 place · 4 k − 1 · 2 zeros and 128 bits of value · 30 checksum

The plan shows a *commitment* to each share, its hash. So nothing a share says of itself is believed: it is true if it
is what was committed to for the place it names, else false: then who posted it is named, or of words read aloud, whose
place they name. True ones open whatever else is mixed in. Words have a checksum besides, which only says that they were
heard right.

The exponent is a reason of its own to look first: SLIP-39 lets a share ask for 2^15 times the work. It can't here, and
neither can a liar who commits to such shares.

The library draws its randomness from a function in its module, which it documents as replaceable; `split` puts ours
there while it runs, and nothing else of it is ever called that draws. That is one place for all of the process: two
splits in two threads at once would be wrong.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import shamir_mnemonic
from shamir_mnemonic import EncryptedMasterSecret, MnemonicError, shamir, wordlist

from meshd import crypto, words
from meshd.crypto import Entropy
from meshd.errors import CallerError, Code
from meshd.ids import LABEL_SHARE, labelled
from meshd.plans import locks
from meshd.plans.plan import SHARE_SIZE, Seal

WORD_COUNT = 20
_WORD_BITS = 10
_FRESH_SIZE = 16
_HEAD_SIZE = 5
_EXTENDABLE_ONE_GROUP = 1 << 16  # 17 bits: extendable, exponent 0, group 0, one group needed of one


class Combined(NamedTuple):
    """What a set of shares gives; places are those of the stewards."""

    true: tuple[int, ...]  # places of which a true share is there, ascending
    false: tuple[int, ...]  # places that false ones name, ascending
    key: bytes | None  # the scenario's key, if there are enough true ones


def split(key: bytes, needed: int, count: int, entropy: Entropy) -> list[bytes]:
    """A key of 16 bytes as so many shares of 25, any `needed` (2 … count) of which give it back; 2 ≤ count ≤ 16."""
    identifier = int.from_bytes(crypto.fresh(entropy, _FRESH_SIZE)[:2], "big") >> 1
    encrypted = EncryptedMasterSecret.from_master_secret(key, b"", identifier, True, 0)
    with _drawing_from(entropy):
        (shares,) = shamir_mnemonic.split_ems(1, [(needed, count)], encrypted)
    return [_from_words(share.words()) for share in shares]


def commitment(channel: bytes, share: bytes) -> bytes:
    """What the plan says of a share, 32 bytes."""
    return labelled(LABEL_SHARE, channel, share)


def place(share: bytes) -> int | None:
    """The place among the stewards that a share says it is for; None if it is no share as they are made here."""
    head = int.from_bytes(share[:_HEAD_SIZE], "big")
    is_ours = len(share) == SHARE_SIZE and head >> 8 & 0x1FFFF == _EXTENDABLE_ONE_GROUP
    return head >> 4 & 0xF if is_ours else None


def is_true(channel: bytes, seal: Seal, share: bytes) -> bool:
    """Whether this is the share that was made for the place it names."""
    named = place(share)
    return named is not None and seal.commitments[named : named + 1] == (commitment(channel, share),)


def combine(channel: bytes, seal: Seal, needed: int, shares: Iterable[bytes]) -> Combined:
    """What these shares give together, whatever false ones are among them. About 3 ms once there are enough.

    There is no key either if the author committed to shares that give none.
    """
    given = [(share, named) for share in shares if (named := place(share)) is not None]
    true = {named: share for share, named in given if is_true(channel, seal, share)}
    false = {named for share, named in given if not is_true(channel, seal, share)}
    places = tuple(sorted(true))
    key = _recover([true[each] for each in places[:needed]]) if len(places) >= needed else None
    if key is not None and not locks.is_key(channel, seal, key):
        key = None
    return Combined(places, tuple(sorted(false)), key)


def to_words(share: bytes) -> str:
    """The 20 words of a share, lower case, one space between."""
    bits = int.from_bytes(share, "big")
    shifts = range((WORD_COUNT - 1) * _WORD_BITS, -1, -_WORD_BITS)
    spoken: str = wordlist.mnemonic_from_indices(bits >> shift & (1 << _WORD_BITS) - 1 for shift in shifts)
    return spoken


def from_words(text: str) -> bytes:
    """The share that these words stand for (`words.spoken`).

    CallerError(usage) for another count, a word that is not in the list (which it names), or words of which one was
    heard wrong.
    """
    spoken = words.spoken(text)
    if len(spoken) != WORD_COUNT:
        raise CallerError(Code.usage, f"a share has {WORD_COUNT} words, these are {len(spoken)}")
    for word in spoken:
        if word not in wordlist.WORD_INDEX_MAP:
            raise CallerError(Code.usage, f"{word!r} is not a word of the list: listen again")
    share = _from_words(spoken)
    try:
        shamir_mnemonic.Share.from_mnemonic(" ".join(spoken))
    except MnemonicError:
        raise CallerError(
            Code.usage, "one of these words is wrong, or two are swapped: listen again"
        ) from None
    if place(share) is None:
        raise CallerError(Code.usage, "these are words of a share, but of no plan's")
    return share


def _recover(shares: list[bytes]) -> bytes | None:
    try:
        key: bytes = shamir_mnemonic.combine_mnemonics([to_words(share) for share in shares])
    except MnemonicError:
        return None
    return key


def _from_words(spoken: Iterable[str]) -> bytes:
    bits = 0
    for word in spoken:
        bits = bits << _WORD_BITS | wordlist.WORD_INDEX_MAP[word]
    return bits.to_bytes(SHARE_SIZE, "big")


@contextmanager
def _drawing_from(entropy: Entropy) -> Iterator[None]:
    own = shamir.RANDOM_BYTES
    shamir.RANDOM_BYTES = lambda size: crypto.fresh(entropy, max(size, _FRESH_SIZE))[:size]
    try:
        yield
    finally:
        shamir.RANDOM_BYTES = own
