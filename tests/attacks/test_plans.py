"""Attacks on plans that are tried on bytes alone: shares, seized devices, and wrong phrases."""

import itertools

import pytest
import shamir_mnemonic

from meshd import codec, crypto, statement
from meshd.plans import act, locks, parts, shares
from meshd.plans import plan as plans
from meshd.plans.act import Act
from meshd.plans.plan import Seal
from meshd.plans.shares import Combined
from meshd.post import KIND_PLAN, KIND_PLAN_ACT, KIND_STATEMENT, KIND_TEXT
from meshd.statement import Statement
from tests import plan_parts
from tests.plan_parts import (
    AUTHOR,
    CHANNEL,
    DAY,
    PEOPLE,
    PLAN,
    RESPONSE,
    SECRETS,
    VERSION,
    forged,
    posted,
    seeded,
)

KEY = b"0123456789abcdef"
NAME = "bridge-closed"


def made(key: bytes = KEY, needed: int = 3, seed: int = 1) -> tuple[list[bytes], Seal]:
    """Shares for five stewards, and the seal that they open."""
    split = shares.split(key, needed, 5, seeded(seed))
    commitments = tuple(shares.commitment(CHANNEL, share) for share in split)
    text = locks.seal_response(CHANNEL, NAME, key, RESPONSE)
    return split, Seal(locks.key_hash(CHANNEL, key), text, None, commitments, (), ())


def test_L01_a_share_too_few_gives_nothing_and_any_k_give_the_exact_key() -> None:
    split, seal = made()
    for some in itertools.combinations(split, 2):
        assert shares.combine(CHANNEL, seal, 3, some).key is None
    for some in itertools.combinations(split, 3):
        key = shares.combine(CHANNEL, seal, 3, some).key
        assert key == KEY
        assert locks.open_response(CHANNEL, NAME, KEY, seal) == RESPONSE


def test_L01_two_shares_fit_every_key_alike() -> None:
    """Whatever the key is, a third share exists that gives it together with these two, but for SLIP-39's digest: 32 of
    its 128 bits could be ruled out by whoever tries all of them."""
    split, _ = made()
    points = [shamir_mnemonic.Share.from_mnemonic(shares.to_words(share)) for share in split[:2]]
    raw = [shamir_mnemonic.shamir.RawShare(point.index, point.value) for point in points]
    for other in (bytes(16), b"another key 16 b"):
        line = [*raw, shamir_mnemonic.shamir.RawShare(255, other)]
        third = shamir_mnemonic.shamir._interpolate(line, 2)
        assert (
            shamir_mnemonic.shamir._interpolate([*raw, shamir_mnemonic.shamir.RawShare(2, third)], 255)
            == other
        )


def test_L02_a_forged_share_is_named_and_the_others_open() -> None:
    split, seal = made()
    for place in range(5):
        false = forged(split[place])
        assert shares.from_words(shares.to_words(false)) == false  # its checksum is right
        others = [share for share in split if share != split[place]][:3]
        for mixed in ([false, *others], [*others, false]):
            found = shares.combine(CHANNEL, seal, 3, mixed)
            assert (found.false, found.key) == ((place,), KEY)


def test_L02_a_forged_share_does_not_stand_in_for_a_true_one() -> None:
    split, seal = made()
    found = shares.combine(CHANNEL, seal, 3, [split[0], split[1], forged(split[2])])
    assert found == Combined((0, 1), (2,), None)


def test_L03_shares_with_a_passphrase_are_told_by_commitment_and_by_the_hash_of_the_key() -> None:
    _, seal = made()
    with shares._drawing_from(seeded(1)):
        (spoken,) = shamir_mnemonic.generate_mnemonics(
            1, [(3, 5)], KEY, b"a passphrase", iteration_exponent=0
        )
    protected = [shares._from_words(words.split()) for words in spoken]
    assert shamir_mnemonic.combine_mnemonics(spoken[:3]) != KEY  # a wrong secret, and no word of it
    assert shares.combine(CHANNEL, seal, 3, protected) == Combined((), (0, 1, 2, 3, 4), None)
    commitments = tuple(shares.commitment(CHANNEL, share) for share in protected)
    found = shares.combine(CHANNEL, seal._replace(commitments=commitments), 3, protected)
    assert found == Combined((0, 1, 2, 3, 4), (), None)


def test_L04_shares_of_two_versions_do_not_mix() -> None:
    first, first_seal = made()
    second, second_seal = made(b"fedcba9876543210", seed=2)
    mixed = [*first[:2], *second[2:4]]
    assert shares.combine(CHANNEL, first_seal, 3, mixed) == Combined((0, 1), (2, 3), None)
    assert shares.combine(CHANNEL, second_seal, 3, mixed) == Combined((2, 3), (0, 1), None)
    assert shares.combine(CHANNEL, second_seal, 3, [*mixed, second[4]]).key == b"fedcba9876543210"


def test_L10_seized_stewards_a_share_too_few_and_all_gossip_open_nothing() -> None:
    """All posts, and the prekeys' secrets of all but one of the stewards that it takes, who are no organisers."""
    body, plan = plans.encode(VERSION.plan, AUTHOR), VERSION.plan
    seized = plan.stewards[0]
    assert plan.needed == 2 and seized not in plan.organisers
    secret = {DAY: SECRETS[seized]}.get
    got = [parts.open_share(VERSION, 0, place, secret) for place in range(len(plan.stewards))]
    assert sum(share is not None for share in got) == 1
    seal = plan.scenarios[0].seal
    assert seal is not None
    true = [share for share in got if share is not None]
    assert shares.combine(CHANNEL, seal, plan.needed, true) == Combined((0,), (), None)
    keys = [
        parts.open_key(VERSION, n, place, secret) for n in (0, 1) for place in range(len(plan.organisers))
    ]
    assert keys == [None] * 4
    sealed_only = plan._replace(scenarios=plan.scenarios[:2])
    bare = plans.encode(sealed_only, AUTHOR)
    for secret_bytes in (RESPONSE.text, RESPONSE.place, *RESPONSE.checklist):
        assert secret_bytes.encode() in body  # of the scenarios that are clear
        assert secret_bytes.encode() not in bare
    for key in (*plan_parts.KEYS, *plan_parts.SPLITS[0]):
        assert key not in body


def test_L10_a_steward_is_not_made_to_release_a_share_in_anothers_plan() -> None:
    """Parts and commitments copied into a plan of another member, where a milder cue would have the share released."""
    thief = next(person for person in PEOPLE if person != AUTHOR)
    stolen = VERSION._replace(author=thief, plan=VERSION.plan._replace(threshold=1, flags=plans.SINGLE))
    steward = PLAN.stewards[0]
    assert parts.open_share(VERSION, 0, 0, {DAY: SECRETS[steward]}.get) is not None
    assert parts.open_share(stolen, 0, 0, {DAY: SECRETS[steward]}.get) is None


def test_E08_no_post_has_a_phrase_stretched(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> bytes:
        raise AssertionError("Argon2id ran for what came from the net")

    monkeypatch.setattr(crypto, "argon2id", never)
    public, secret = crypto.ed25519_keypair(b"m" * 32)
    for number in range(1000):
        phrase = f"otter river moss fern bridge {number}".encode()
        subject = phrase[:64]
        said = Statement(16 + number % 11, CHANNEL, VERSION.id, subject, 0)
        signed = statement.sign(secret, said)
        bodies = (phrase, act.encode(Act(said, signed, phrase)), codec.pack("", b"", phrase.decode()))
        for body in bodies:
            for kind in (KIND_TEXT, KIND_STATEMENT, KIND_PLAN, KIND_PLAN_ACT):
                inside = posted(body, kind=kind, author=public)
                assert act.parse(inside) is None
                assert plans.parse(inside, VERSION.id) is None
        assert not act.fits(said)  # and so not as a statement either
