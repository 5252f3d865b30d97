"""Fingerprints: the published list, fixed words for a fixed key, and the way back."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd import ids, words
from meshd.errors import CallerError, Code

ROOT = Path(__file__).resolve().parent.parent
KEY_OF_ZEROS = "method item reform midnight hamster weasel wagon crystal increase wife organ glue"


def test_the_list_is_the_english_one_of_bip_39() -> None:
    listed = words._words()
    assert len(listed) == len(set(listed)) == 2048
    text = "".join(word + "\n" for word in listed).encode()
    assert (
        hashlib.sha256(text).hexdigest() == "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda"
    )


def test_the_words_of_a_key_never_change() -> None:
    assert words.fingerprint(bytes(32)) == KEY_OF_ZEROS


@given(public=st.binary(min_size=32, max_size=32))
def test_the_words_stand_for_the_first_132_bits_of_the_labelled_hash(public: bytes) -> None:
    text = words.fingerprint(public)
    assert len(text.split(" ")) == 12
    hashed = ids.labelled(b"meshd/1 identity words", public)
    assert words.words_to_bits(text) == int.from_bytes(hashed[:17]) >> 4


@pytest.mark.parametrize("between", ("   ", ", ", "\n", "-", ",", " 7. "))
def test_typed_words_may_differ_in_case_and_in_what_stands_between_them(between: str) -> None:
    typed = f" 1. {KEY_OF_ZEROS.upper().replace(' ', between)}.\n"
    assert words.words_to_bits(typed) == words.words_to_bits(KEY_OF_ZEROS)


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (KEY_OF_ZEROS.rsplit(" ", 1)[0], "these are 11"),
        (KEY_OF_ZEROS + " glue", "these are 13"),
        (KEY_OF_ZEROS.replace("weasel", "wheasel"), "'wheasel' is not a word of the list"),
        ("", "these are 0"),
    ],
)
def test_what_is_no_fingerprint_is_refused_with_the_reason(typed: str, says: str) -> None:
    with pytest.raises(CallerError, match=says) as refusal:
        words.words_to_bits(typed)
    assert refusal.value.code is Code.usage


@pytest.mark.real  # a process of its own, because this one has imported everything
def test_importing_words_does_not_import_the_package_with_the_list() -> None:
    program = (
        "import sys; import meshd.words as w; w.fingerprint(bytes(32)); sys.exit('mnemonic' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
