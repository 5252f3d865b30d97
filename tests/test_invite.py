"""Invites: what goes in comes out, and a slip is noticed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd import invite
from meshd.errors import CallerError, Code

KEY = bytes(range(32))


@given(st.binary(min_size=32, max_size=32))
def test_what_was_encoded_decodes(key: bytes) -> None:
    assert invite.decode(invite.encode(key)) == key


def test_case_and_white_space_mean_nothing() -> None:
    text = invite.encode(KEY)
    assert len(text) == 70
    assert invite.decode(f"  {text[:20].lower()}\n {text[20:]}\n") == KEY


@pytest.mark.parametrize("place", range(12, 70))
def test_one_wrong_character_is_noticed(place: int) -> None:
    text = invite.encode(KEY)
    wrong = text[:place] + ("B" if text[place] != "B" else "C") + text[place + 1 :]
    with pytest.raises(CallerError) as caught:
        invite.decode(wrong)
    assert caught.value.code is Code.invalid


@pytest.mark.parametrize(
    "text", ["", "hello", "MESHD:1:AAAA", invite.encode(KEY)[:-1], invite.encode(KEY) + "A"]
)
def test_what_is_no_invite_is_refused(text: str) -> None:
    with pytest.raises(CallerError) as caught:
        invite.decode(text)
    assert caught.value.code is Code.invalid
