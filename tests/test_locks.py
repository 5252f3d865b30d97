"""Locks: the key opens the response, the phrase gives the key however it is typed, and nothing else does either."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd import crypto, words
from meshd.errors import CallerError, Code
from meshd.ids import labelled
from meshd.limits import PHRASE_MEM_BYTES, PHRASE_PASSES, PHRASE_SIZE_MAX
from meshd.plans import locks
from meshd.plans import plan as plans
from meshd.plans.plan import Response, Seal
from tests.plan_parts import CHANNEL, RESPONSE, RESPONSES, seeded

NAME, KEY, SALT = "bridge-closed", b"k" * 16, b"s" * 16
STRETCHED = b"6" * 32


def sealed(response: Response = RESPONSE, key: bytes = KEY, stretched: bytes = STRETCHED) -> Seal:
    phrase = locks.lock_phrase(CHANNEL, NAME, key, stretched, SALT, weak=False)
    return Seal(
        locks.key_hash(CHANNEL, key),
        locks.seal_response(CHANNEL, NAME, key, response),
        phrase, (), (), (),
    )  # fmt: skip


SEAL = sealed()


def with_inside(plaintext: bytes) -> Seal:
    """A seal whose ciphertext holds this, under the right key."""
    key = labelled(b"meshd/1 response key", KEY)
    text = crypto.chacha20poly1305_encrypt(key, bytes(12), CHANNEL + NAME.encode(), plaintext)
    return SEAL._replace(ciphertext=text)


@given(RESPONSES)
def test_the_key_opens_the_response(response: Response) -> None:
    assert locks.open_response(CHANNEL, NAME, KEY, sealed(response)) == response


@pytest.mark.parametrize(
    ("channel", "name", "key"),
    [(b"h" * 16, NAME, KEY), (CHANNEL, "bridge", KEY), (CHANNEL, NAME, b"l" * 16), (CHANNEL, NAME, b"")],
)
def test_elsewhere_it_does_not(channel: bytes, name: str, key: bytes) -> None:
    assert locks.open_response(channel, name, key, SEAL) is None


def test_a_key_that_opens_is_still_checked_against_its_hash() -> None:
    """An author could make one ciphertext that two keys open: only one of them is the scenario's."""
    other = SEAL._replace(key_hash=locks.key_hash(CHANNEL, b"l" * 16))
    assert locks.open_response(CHANNEL, NAME, KEY, other) is None
    assert locks.open_phrase(CHANNEL, NAME, other, STRETCHED) is None


@given(st.integers(0, len(SEAL.ciphertext) * 8 - 1))
def test_a_flipped_bit_opens_nothing(bit: int) -> None:
    raw = bytearray(SEAL.ciphertext)
    raw[bit // 8] ^= 1 << bit % 8
    assert locks.open_response(CHANNEL, NAME, KEY, SEAL._replace(ciphertext=bytes(raw))) is None


@pytest.mark.parametrize(
    ("size", "shown"), [(254, 256), (255, 1024), (1022, 1024), (1023, 4096), (4094, 4096)]
)
def test_only_the_class_of_its_size_shows(size: int, shown: int) -> None:
    checklist = ("e" * 200,) * 11 if size > 2100 else ()
    texts = (Response("e" * length, checklist=checklist) for length in range(2001))
    made = next(each for each in texts if len(plans.encode_response(each)) == size)
    assert len(sealed(made).ciphertext) == shown + 16


def test_a_response_that_is_too_long_is_not_sealed() -> None:
    with pytest.raises(CallerError):
        sealed(Response("e" * 2000, checklist=("e" * 200,) * 11))


PACKED = plans.encode_response(RESPONSE)
FRAMED = len(PACKED).to_bytes(2, "big") + PACKED


@pytest.mark.parametrize(
    "plaintext",
    [
        FRAMED.ljust(255, b"\0") + b"\1",
        (255).to_bytes(2, "big") + PACKED.ljust(254, b"\0"),
        (len(PACKED) - 1).to_bytes(2, "big") + PACKED.ljust(254, b"\0"),
        (2).to_bytes(2, "big") + b"no".ljust(254, b"\0"),
        bytes(256),
    ],
    ids=["a byte behind", "past the end", "cut", "no response", "nothing"],
)
def test_what_is_no_response_opens_to_none(plaintext: bytes) -> None:
    assert locks.open_response(CHANNEL, NAME, KEY, with_inside(FRAMED.ljust(256, b"\0"))) == RESPONSE
    assert locks.open_response(CHANNEL, NAME, KEY, with_inside(plaintext)) is None


def test_a_length_past_the_end_is_not_what_there_is() -> None:
    fits = next(r for n in range(254) if len(r := plans.encode_response(Response("e" * n))) == 254)
    assert locks.open_response(CHANNEL, NAME, KEY, with_inside((254).to_bytes(2, "big") + fits)) is not None
    assert locks.open_response(CHANNEL, NAME, KEY, with_inside((255).to_bytes(2, "big") + fits)) is None


def test_the_phrase_gives_the_key() -> None:
    assert locks.open_phrase(CHANNEL, NAME, SEAL, STRETCHED) == KEY
    assert locks.open_phrase(CHANNEL, NAME, SEAL, b"7" * 32) is None
    assert locks.open_phrase(b"h" * 16, NAME, SEAL, STRETCHED) is None
    assert locks.open_phrase(CHANNEL, "bridge", SEAL, STRETCHED) is None
    assert locks.open_phrase(CHANNEL, NAME, SEAL._replace(phrase=None), STRETCHED) is None


@given(st.integers(0, 32 * 8 - 1))
def test_a_flipped_bit_of_the_box_gives_no_key(bit: int) -> None:
    assert SEAL.phrase is not None
    raw = bytearray(SEAL.phrase.box)
    raw[bit // 8] ^= 1 << bit % 8
    flipped = SEAL._replace(phrase=SEAL.phrase._replace(box=bytes(raw)))
    assert locks.open_phrase(CHANNEL, NAME, flipped, STRETCHED) is None


def test_a_phrase_is_six_words_of_entropy() -> None:
    made = locks.make_phrase(seeded(1))
    assert made == locks.make_phrase(seeded(1)) != locks.make_phrase(seeded(2))
    assert len(made.split()) == 6 and set(made.split()) <= set(words._words())
    assert locks.normalise(made) == made
    with pytest.raises(RuntimeError):
        locks.make_phrase(bytes)  # zeros


@pytest.mark.parametrize(
    ("typed", "form"),
    [
        ("otter river", "otter river"),
        ("  Otter,\tRIVER—moss\n fern. ", "otter river moss fern"),
        ("„Otter“ (river)!", "otter river"),
        ("Straße 7a", "strasse 7a"),
        ("ＭＯＳＳ №５", "moss no5"),
        ("DON’T", "don t"),
        ("don't", "don t"),
        ("e\u0301tude", "étude"),
        ("ÉTUDE", "étude"),
        ("हिन्दी", "हिन्दी"),  # the vowels are marks
        ("می‌خواهم", "می خواهم"),  # what joins nothing separates
        ("x² ½", "x2 1 2"),
        ("\u01f0", "\u01f0"),  # which case folding takes apart
        ("otter\0river\u202e", "otter river"),
        ("otter\ud800river", "otter river"),
    ],
)
def test_one_form(typed: str, form: str) -> None:
    assert locks.normalise(typed) == form


@given(st.text(max_size=40))
def test_the_form_of_a_form_is_itself(typed: str) -> None:
    try:
        form = locks.normalise(typed)
    except CallerError:
        return
    assert locks.normalise(form) == form
    assert locks.normalise(f"  {form} . ") == form


def test_every_character_that_changes_has_a_lasting_form() -> None:
    for char in map(chr, range(0x110000)):
        if char.casefold() != char or not unicodedata.is_normalized("NFKC", char):
            try:
                form = locks.normalise(char)
            except CallerError:
                continue
            assert locks.normalise(form) == form


@pytest.mark.parametrize("typed", ["", " ", "…—!", "\u200d", "a" * (PHRASE_SIZE_MAX + 1), "é" * 513])
def test_no_phrase(typed: str) -> None:
    with pytest.raises(CallerError) as refused:
        locks.normalise(typed)
    assert refused.value.code is Code.usage
    with pytest.raises(CallerError):
        locks.stretch(typed, SALT)


def test_the_longest_phrase() -> None:
    assert locks.normalise("a" * PHRASE_SIZE_MAX) == "a" * PHRASE_SIZE_MAX


def test_what_is_stretched(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def argon2id(*arguments: object) -> bytes:
        asked.append(arguments)
        return STRETCHED

    monkeypatch.setattr(crypto, "argon2id", argon2id)
    assert locks.stretch("Otter,  RIVER", SALT) == STRETCHED
    assert asked == [(b"otter river", SALT, PHRASE_MEM_BYTES, PHRASE_PASSES)]


def test_too_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def argon2id(*arguments: object) -> bytes:
        raise MemoryError

    monkeypatch.setattr(crypto, "argon2id", argon2id)
    with pytest.raises(CallerError) as refused:
        locks.stretch("otter", SALT)
    assert refused.value.code is Code.refused and "256 MiB" in str(refused.value)


def test_keys_and_salts_are_drawn() -> None:
    assert len(locks.make_key(seeded(1))) == len(locks.make_salt(seeded(1))) == 16
    for make in (locks.make_key, locks.make_salt):
        with pytest.raises(RuntimeError):
            make(bytes)
