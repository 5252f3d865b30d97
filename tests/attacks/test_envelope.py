"""C and P: envelopes that were tampered with, forged or sent again, against the intake of a real node."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from meshd import codec, crypto, envelope, post
from meshd.events import BytesReceived, CloseLink
from meshd.ids import LABEL_KEYSLOT, LABEL_POST, post_id
from meshd.intake import VERIFY_BATCH
from meshd.proto import message as msg
from tests.homes import PLAZA, Home, Table, linked
from tests.wire import Author

OAK, EVIL = Author(1), Author(66)
RAW = OAK.envelope(channel=PLAZA)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Table(tmp_path).home()
    made.ask("channel.join", name="plaza")
    return made


@pytest.fixture
def verified(home: Home, monkeypatch: pytest.MonkeyPatch) -> list[crypto.Check]:
    """What signatures were looked at."""
    looked_at: list[crypto.Check] = []

    def noting(checks: Sequence[crypto.Check]) -> list[bool]:
        looked_at.extend(checks)
        return crypto.verify_many(checks)

    monkeypatch.setattr(home.node.intake, "_verify_many", noting)
    return looked_at


def flips(raw: bytes) -> Iterator[bytes]:
    for bit in range(8 * len(raw)):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        yield bytes(changed)


def signed_otherwise(made: post.Post) -> dict[str, bytes]:
    """Signatures by the author himself, but made for another purpose."""
    identity, signed = post_id(post.encode(made)), post.encode(made)
    return {
        "over the id alone": crypto.sign(OAK.secret, identity),
        "over the post": crypto.sign(OAK.secret, signed),
        "as a hash of a post": crypto.sign(OAK.secret, bytes((len(LABEL_POST),)) + LABEL_POST + signed),
        "as a link proof": crypto.sign(OAK.secret, b"\x12meshd/1 link proof" + identity),
        "as a keyslot": crypto.sign(OAK.secret, bytes((len(LABEL_KEYSLOT),)) + LABEL_KEYSLOT + identity),
        "without the length": crypto.sign(OAK.secret, b"meshd/1 post signature" + identity),
    }


@pytest.mark.parametrize("purpose", signed_otherwise(OAK.post()))
def test_C08_a_signature_for_another_purpose_closes_the_link_that_brought_it(
    home: Home, purpose: str
) -> None:
    made = OAK.post(channel=PLAZA)
    liar = linked(home, 1)
    liar.give(envelope.seal_public(post.encode(made), signed_otherwise(made)[purpose]))
    assert liar.down is not None and home.raws() == []
    linked(home, 2).give(RAW)
    assert home.raws() == [RAW]


def test_C10_no_flipped_bit_is_taken_and_none_keeps_the_true_envelope_out(home: Home) -> None:
    now = home.table.now()
    for changed in flips(RAW):
        assert home.node.intake.take([changed], "liar", now).new == []
    assert not home.node.keyset and home.raws() == []
    assert len(home.node.intake.take([RAW], "honest", now).new) == 1
    for changed in flips(RAW):
        assert home.node.intake.take([changed], "liar", now).new == []
    assert home.raws() == [RAW] and len(home.node.keyset) == 1


def test_C10_flipped_bits_over_links_reach_nobody(home: Home) -> None:
    watching = linked(home, 1)
    for seed, changed in enumerate(list(flips(RAW))[::97], 2):
        linked(home, seed).give(changed, fresh=True)
    assert watching.given() == [] and not watching.heard(msg.Have) and watching.is_open
    linked(home, 10_000).give(RAW, fresh=True)
    assert watching.given() == [RAW] and home.texts() == ["hello"]


def test_E01_a_second_signature_and_a_later_hour_make_no_second_envelope(home: Home) -> None:
    signed = post.encode(OAK.post(channel=PLAZA))
    again = envelope.seal_public(signed, crypto.sign(OAK.secret, b"anything"))
    giver = linked(home, 1)
    giver.give(RAW)
    giver.give(again)
    assert giver.is_open and home.raws() == [RAW]
    redated = post.encode(OAK.post(channel=PLAZA, keep_until=OAK.post().keep_until + 1))
    giver.give(envelope.seal_public(redated, codec.unpack(RAW, (int, int, bytes, bytes), 10_000)[3]))
    assert giver.down is not None and home.raws() == [RAW]


def test_P05_of_a_read_full_of_bad_signatures_few_are_looked_at(
    home: Home, verified: list[crypto.Check]
) -> None:
    liar = linked(home, 1)
    forged = [
        envelope.seal_public(post.encode(EVIL.post(channel=PLAZA, incarnation=n)), bytes(64))
        for n in range(500)
    ]
    for start in range(0, 500, 50):
        liar.session.send(msg.Give(1, codec.join(forged[start : start + 50])))
    effects = home.handle(BytesReceived(liar.home_link, liar.session.take_output(0)))
    assert [type(effect) for effect in effects] == [CloseLink]
    assert len(verified) <= VERIFY_BATCH and home.raws() == []


def test_P05_what_came_before_the_bad_one_is_kept(home: Home) -> None:
    liar = linked(home, 1)
    liar.give(RAW, envelope.seal_public(post.encode(EVIL.post(channel=PLAZA)), bytes(64)), fresh=True)
    assert liar.down is not None and home.raws() == [RAW]


def test_P06_old_envelopes_sent_again_are_dropped_without_a_look_at_the_signature(
    home: Home, verified: list[crypto.Check]
) -> None:
    old = [OAK.envelope(channel=PLAZA, incarnation=n) for n in range(200)]
    giver = linked(home, 1)
    giver.give(*old)
    assert len(verified) == 200 and len(home.raws()) == 200
    watching = linked(home, 2)
    for _ in range(50):
        giver.give(*old, fresh=True)
    assert len(verified) == 200 and len(home.raws()) == 200
    assert giver.is_open and watching.given() == []


def test_P06_a_refused_envelope_sent_again_is_refused_without_a_look_at_the_signature(
    home: Home, verified: list[crypto.Check]
) -> None:
    forged = envelope.seal_public(post.encode(EVIL.post(channel=PLAZA)), bytes(64))
    for seed in range(20):
        liar = linked(home, seed)
        liar.give(forged)
        assert liar.down is not None
    assert len(verified) == 1
