"""Cards: an identity and its inbox key as text."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd import card, crypto
from meshd.card import Card
from meshd.errors import CallerError, Code
from meshd.ids import LABEL_FINGERPRINT, labelled

PUBLIC, _ = crypto.ed25519_keypair(bytes(range(32)))
CARD = Card(PUBLIC, 20_779, bytes(range(100, 132)))


def test_a_card_holds_identity_day_and_inbox_key_and_a_check() -> None:
    prefix, version, digits = card.encode(*CARD).split(":")
    raw = base64.b32decode(digits + "=" * (-len(digits) % 8))
    assert (prefix, version) == ("MESHD", "1")
    assert raw[:66] == PUBLIC + b"\x51\x2b" + CARD.inbox_key
    assert raw[66:] == labelled(LABEL_FINGERPRINT, raw[:66])[:4]


@pytest.mark.parametrize("made", [CARD, CARD._replace(day=0, inbox_key=bytes(32)), CARD._replace(day=65_535)])
def test_a_card_comes_back(made: Card) -> None:
    assert card.decode(card.encode(*made)) == made


def test_a_card_fits_the_alphanumeric_mode_of_a_qr_code() -> None:
    assert len(card.encode(*CARD)) == 120
    assert set(card.encode(*CARD)) <= set("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:")


def test_case_and_white_space_mean_nothing() -> None:
    text = card.encode(*CARD)
    assert card.decode(f"  {text[:50].lower()}\n\t{text[50:]} ") == CARD


@pytest.mark.parametrize("place", range(8, 120, 7))
def test_one_wrong_character_is_noticed(place: int) -> None:
    text = card.encode(*CARD)
    other = "A" if text[place] != "A" else "B"
    with pytest.raises(CallerError) as caught:
        card.decode(text[:place] + other + text[place + 1 :])
    assert caught.value.code is Code.invalid


def test_a_key_that_nobody_can_have_is_refused() -> None:
    with pytest.raises(CallerError, match="no valid identity"):
        card.decode(card.encode(b"\1" + bytes(31), CARD.day, CARD.inbox_key))


@given(st.text() | st.binary(max_size=80).map(lambda raw: card.PREFIX + base64.b32encode(raw).decode()))
def test_any_text_is_a_card_or_invalid(text: str) -> None:
    try:
        assert card.encode(*card.decode(text)) == "".join(text.split()).upper()
    except CallerError as error:
        assert error.code is Code.invalid
