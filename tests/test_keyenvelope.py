"""Key envelopes: the recipient gets the key of the first day it can open, and everything else opens nothing."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd import codec, daykeys, envelope
from meshd.errors import CallerError
from meshd.grouping import decode_invite, encode_invite
from meshd.groups import keyenvelope
from meshd.groups.keyenvelope import Delivered, Life
from tests import independent_prekeys as other
from tests.independent import Close
from tests.independent_sealed import Ignore
from tests.key_parts import (
    ASH,
    CHANNEL,
    DAYS,
    DELIVERED,
    ELM,
    EPOCH,
    HOUR,
    KEY,
    OAK,
    TODAY,
    opened,
    parsed,
    person,
    sealed,
    seeded,
)  # fmt: skip
from tests.wire_vectors import b, load, named

CONTENT = sealed()


def test_the_recipient_gets_the_key() -> None:
    assert opened(CONTENT) == DELIVERED
    found = parsed(CONTENT)
    assert (found.first_day, found.last_day, len(found.parts)) == (TODAY, TODAY + 3, 4)


def test_later_it_gets_the_key_of_that_day_and_no_earlier_one() -> None:
    ash = person("ash")
    for day in DAYS:
        ash.own.erase(day)
        assert opened(CONTENT, ash) == DELIVERED._replace(day=day, key=daykeys.advance(KEY, day - TODAY))
    ash.own.erase(TODAY + 4)
    assert opened(CONTENT, ash) is None


def test_who_holds_the_key_sees_that_it_was_sent_and_others_do_not() -> None:
    found = parsed(CONTENT)
    assert keyenvelope.recognise(found, ASH.identity, TODAY, KEY) == DELIVERED
    later = daykeys.advance(KEY, 2)
    assert keyenvelope.recognise(found, ASH.identity, TODAY + 2, later) == DELIVERED._replace(
        day=TODAY + 2, key=later
    )
    assert keyenvelope.recognise(found, ASH.identity, TODAY, b"o" * 32) is None
    assert keyenvelope.recognise(found, ASH.identity, TODAY + 4, daykeys.advance(KEY, 4)) is None
    assert keyenvelope.recognise(found, ASH.identity, TODAY + 1, KEY) is None


def test_it_fits_the_smallest_class_at_any_day_and_never_repeats_itself() -> None:
    assert len(CONTENT) == 395
    largest = 2**32 - 10
    some = person("fir", largest)
    late = keyenvelope.seal(
        seeded(1), OAK.secret, some.identity, some.prekeys, range(largest, largest + 4),
        DELIVERED._replace(day=largest),
    )  # fmt: skip
    assert len(late) <= keyenvelope.CONTENT_SIZE_MAX == 512 - 2
    raw = envelope.seal(b"i" * 32, HOUR + 72, b"n" * 24, late)
    assert len(raw) == 583
    again = parsed(sealed(seed=2))
    pieces = {(p.ephemeral, *p.parts, p.tail) for p in (parsed(CONTENT), again)}
    assert len(set(itertools.chain(*pieces))) == 12


def test_a_rekey_of_200_members_is_150_kilobytes() -> None:
    notes = [len(envelope.seal(b"i" * 32, HOUR + 72, b"n" * 24, sealed(seed=1)))] * 199
    epoch = envelope.seal(b"i" * 32, HOUR + 168, b"n" * 24, bytes(32_766))
    assert sum(notes) + len(epoch) <= 150_000


@pytest.mark.parametrize(
    ("announced", "hour", "expected"),
    [
        (TODAY, HOUR, Life(DAYS, HOUR + 72)),
        (TODAY, TODAY * 24, Life(DAYS, TODAY * 24 + 72)),
        (TODAY, TODAY * 24 + 23, Life(DAYS, TODAY * 24 + 95)),
        (TODAY - 5, HOUR, Life(DAYS, HOUR + 72)),
        (TODAY - 6, HOUR, Life(range(TODAY, TODAY + 3), (TODAY + 3) * 24 - 1)),
        (TODAY - 8, HOUR, Life(range(TODAY, TODAY + 1), (TODAY + 1) * 24 - 1)),
        (TODAY - 8, TODAY * 24 + 22, Life(range(TODAY, TODAY + 1), TODAY * 24 + 23)),
        (TODAY - 8, TODAY * 24 + 23, None),
        (TODAY - 9, TODAY * 24, None),
        (TODAY + 1, TODAY * 24 + 23, Life(range(TODAY + 1, TODAY + 4), TODAY * 24 + 95)),
    ],
)
def test_it_lives_as_long_as_there_are_prekeys(announced: int, hour: int, expected: Life | None) -> None:
    found = keyenvelope.life(person("ash", announced).prekeys, hour)
    assert found == expected


@given(st.integers(0, 30), st.integers(0, 23))
def test_every_life_can_be_sealed_and_outlives_no_prekey(age: int, hour: int) -> None:
    ash = person("ash", TODAY - age)
    found = keyenvelope.life(ash.prekeys, TODAY * 24 + hour)
    assert (found is None) == (age > 8 or (age == 8 and hour == 23))
    if found is not None:
        delivered = opened(sealed(ash, days=found.days), ash)
        assert delivered == DELIVERED
        assert daykeys.key_day(found.expiry_hour) == found.days[-1] <= ash.prekeys.last_day


@pytest.mark.parametrize("days", [range(TODAY, TODAY), range(TODAY, TODAY + 5), range(TODAY + 7, TODAY + 10)])
def test_days_that_do_not_fit_are_refused(days: range) -> None:
    with pytest.raises(ValueError):
        sealed(days=days, delivered=DELIVERED._replace(day=days.start))


def test_a_key_of_another_day_is_refused() -> None:
    with pytest.raises(ValueError):
        sealed(delivered=DELIVERED._replace(day=TODAY + 1))


# --- what hostile senders, and those who only have the card, may try ---


def spliced(content: bytes = CONTENT, **slots: object) -> bytes:
    """The content with some slots replaced."""
    found = parsed(content)
    plain = {"kind": 1, "ephemeral": found.ephemeral, "first_day": found.first_day,
             "parts": b"".join(found.parts), "tail": found.tail}  # fmt: skip
    return codec.pack(*(plain | slots).values())  # type: ignore[arg-type]


PARTS = parsed(CONTENT).parts


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(CONTENT[:-1], id="cut"),
        pytest.param(CONTENT + b"\0", id="a byte behind"),
        pytest.param(spliced(kind=0), id="a post"),
        pytest.param(spliced(kind=2), id="another kind"),
        pytest.param(spliced(ephemeral=b"x" * 31), id="a key of 31 bytes"),
        pytest.param(spliced(ephemeral=b"x" * 33), id="a key of 33 bytes"),
        pytest.param(spliced(first_day=2**32), id="a day that no u32 holds"),
        pytest.param(spliced(first_day="1"), id="text for a day"),
        pytest.param(spliced(parts=b""), id="no part"),
        pytest.param(spliced(parts=b"x" * 47), id="part of a part"),
        pytest.param(spliced(parts=b"x" * 48 * 5), id="five parts"),
        pytest.param(spliced(tail=b"x" * 159), id="a short tail"),
        pytest.param(spliced(tail=b"x" * 161), id="a long tail"),
        pytest.param(spliced(parts=b"x" * 600), id="longer than the class"),
    ],
)
def test_what_is_no_key_envelope(content: bytes) -> None:
    assert keyenvelope.parse(content) is None


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(spliced(ephemeral=bytes(32)), id="low order: zero"),
        pytest.param(spliced(ephemeral=(1).to_bytes(32, "little")), id="low order: one"),
        pytest.param(spliced(ephemeral=parsed(sealed(seed=2)).ephemeral), id="another ephemeral key"),
        pytest.param(spliced(first_day=TODAY + 1), id="a day later"),
        pytest.param(spliced(first_day=TODAY - 1), id="a day earlier"),
        pytest.param(spliced(parts=b"".join(PARTS[::-1])), id="parts swapped"),
        pytest.param(spliced(parts=b"".join(PARTS[:3])), id="a part less"),
        pytest.param(spliced(parts=b"".join((PARTS[0],) * 4)), id="one part four times"),
        pytest.param(
            spliced(parts=b"".join((PARTS[0], *parsed(sealed(seed=2)).parts[1:]))), id="of another's"
        ),
        pytest.param(spliced(tail=parsed(sealed(seed=2)).tail), id="the tail of another"),
        pytest.param(sealed(by=ELM), id="a forged sender"),
        pytest.param(sealed(delivered=DELIVERED._replace(sender=bytes(32))), id="a sender of low order"),
        pytest.param(sealed(to=ASH._replace(identity=ELM.identity)), id="made for another"),
    ],
)
def test_what_was_changed_or_forged_opens_nothing(content: bytes) -> None:
    assert opened(content) is None


def test_every_flipped_bit_opens_nothing() -> None:
    for place in range(len(CONTENT)):
        changed = CONTENT[:place] + bytes((CONTENT[place] ^ 4,)) + CONTENT[place + 1 :]
        found = keyenvelope.parse(changed)
        assert found is None or keyenvelope.open(found, ASH.identity, ASH.own.secret) is None


def test_one_to_another_opens_for_nobody_else() -> None:
    assert opened(CONTENT, ELM) is None
    assert keyenvelope.open(parsed(CONTENT), ELM.identity, ASH.own.secret) is None


def test_a_recipient_can_not_pass_the_senders_word_on() -> None:
    """Ash holds the key and Oak's signature, but that says Ash; so do the parts, which only Ash's prekeys open."""
    oaks = parsed(CONTENT)
    ashes = parsed(sealed(to=ELM, by=ASH, delivered=DELIVERED._replace(sender=ASH.identity)))
    moved = codec.pack(1, oaks.ephemeral, oaks.first_day, b"".join(ashes.parts), oaks.tail)
    assert opened(moved, ELM) is None
    assert keyenvelope.recognise(oaks, ELM.identity, TODAY, KEY) is None


def test_days_that_disagree_open_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sender who gives each day another key reaches nobody with it: the tail opens under one chain only."""
    with monkeypatch.context() as patched:
        patched.setattr(daykeys, "advance", lambda key, days: bytes((days,)) * 32)
        lie = sealed()
    for day in DAYS[:-1]:
        ash = person("ash")
        ash.own.erase(day)
        assert opened(lie, ash) is None


def test_a_sender_who_signs_another_channel_says_so() -> None:
    """The signature makes it theirs, and what it is the key of is judged by the epoch's members."""
    lie = Delivered(b"x" * 16, b"y" * 32, ELM.identity, TODAY, KEY)
    assert opened(sealed(by=ELM, delivered=lie)) == lie
    assert (lie.channel, lie.epoch) != (CHANNEL, EPOCH)


def test_a_dead_random_source_makes_none() -> None:
    with pytest.raises(RuntimeError):
        keyenvelope.seal(bytes, OAK.secret, ASH.identity, ASH.prekeys, DAYS, DELIVERED)


# --- both readers and the vectors ---

VECTORS = load("prekeys.json")
RECIPIENT, SECRETS = b(VECTORS["recipient"]), [b(secret) for secret in VECTORS["secrets"]]


@pytest.mark.parametrize("vector", named(VECTORS["key_envelopes"]))
def test_what_a_key_envelope_opens_to(vector: dict[str, Any]) -> None:
    content = b(vector["content"])
    found = parsed(content)
    assert found.last_day == vector["last_day"] and len(vector["opens_to"]) == len(found.parts) + 1
    for each in vector["opens_to"]:
        kept = {VECTORS["day"] + n: secret for n, secret in enumerate(SECRETS)}
        kept = {day: secret for day, secret in kept.items() if day >= each["prekeys_kept_from"]}
        opened = keyenvelope.open(found, RECIPIENT, kept.get)
        if each["key"] is None:
            assert opened is None
            with pytest.raises(Ignore):
                other.key_of(content, RECIPIENT, kept)
        else:
            sent = [b(VECTORS[name]) for name in ("channel", "epoch", "sender")]
            assert opened == Delivered(*sent, each["day"], b(each["key"]))
            assert other.key_of(content, RECIPIENT, kept) == opened


@pytest.mark.parametrize("vector", named(VECTORS["ignored_key_envelopes"]))
def test_a_key_envelope_that_both_readers_ignore(vector: dict[str, str]) -> None:
    kept = {VECTORS["day"] + n: secret for n, secret in enumerate(SECRETS)}
    found = keyenvelope.parse(b(vector["content"]))
    assert found is None or keyenvelope.open(found, RECIPIENT, kept.get) is None
    with pytest.raises(Ignore):
        other.key_of(b(vector["content"]), RECIPIENT, kept)


@pytest.mark.parametrize("vector", named(VECTORS["key_envelopes"]))
def test_an_invitation_is_a_key_envelope_as_text(vector: dict[str, Any]) -> None:
    content, text = b(vector["content"]), vector["invitation"]
    assert encode_invite(content) == text and other.invitation(text) == content
    typed = "\n  ".join((text[:40].lower(), text[40:]))
    assert decode_invite(typed) == keyenvelope.parse(content) and other.invitation(typed) == content


@pytest.mark.parametrize("vector", named(VECTORS["refused_invitations"]))
def test_an_invitation_that_both_readers_refuse(vector: dict[str, str]) -> None:
    with pytest.raises(CallerError):
        decode_invite(vector["invitation"])
    kept = {VECTORS["day"] + n: secret for n, secret in enumerate(SECRETS)}
    with pytest.raises((Close, Ignore)):
        other.key_of(other.invitation(vector["invitation"]), RECIPIENT, kept)
