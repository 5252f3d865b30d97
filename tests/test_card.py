"""Cards: an identity as text."""

import base64

import pytest

from meshd import card, words
from meshd.words import fingerprint, words_to_bits

PUBLIC = bytes(range(32))


def test_a_card_holds_the_key_and_the_beginning_of_its_words() -> None:
    prefix, version, digits = card.encode(PUBLIC).split(":")
    raw = base64.b32decode(digits + "=" * (-len(digits) % 8))
    assert (prefix, version, raw[:32]) == ("MESHD", "1", PUBLIC)
    bits = words_to_bits(fingerprint(PUBLIC))
    assert raw[32:] == (bits >> (11 * words.WORD_COUNT - 32)).to_bytes(4, "big")


@pytest.mark.parametrize("public", [bytes(32), b"\xff" * 32, PUBLIC])
def test_a_card_fits_the_alphanumeric_mode_of_a_qr_code(public: bytes) -> None:
    assert len(card.encode(public)) == 66
    assert set(card.encode(public)) <= set("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:")
