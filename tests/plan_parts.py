"""What tests of plans share: people, a plan with all that a plan can have, and strategies that make others."""

import random
from collections.abc import Sequence
from typing import Any

import shamir_mnemonic
from hypothesis import strategies as st

from meshd import crypto
from meshd.crypto import Entropy
from meshd.limits import CUE_DEPTH_MAX
from meshd.plans import locks, parts, shares
from meshd.plans import plan as plans
from meshd.plans.cue import After, At, Call, Cue, Dark, Leaf, Phrase, Silence, Some
from meshd.plans.parts import Recipient, Sealing, SecretOf
from meshd.plans.plan import (
    AT_DELAY,
    FREEZE_WHEN_DARK,
    Part,
    PhraseLock,
    Plan,
    Response,
    Scenario,
    Seal,
    Version,
)
from meshd.post import KIND_PLAN, Post

FROM_S, UNTIL_S = 1_764_000_000, 1_764_057_601
CHANNEL = b"g" * 16
PEOPLE = tuple(sorted(crypto.ed25519_keypair(bytes([n]) * 32)[0] for n in range(1, 8)))
AUTHOR = PEOPLE[2]
EMPTY = {"organiser": Part(0, bytes(32)), "steward": Part(0, bytes(41))}


def seeded(seed: int | str) -> Entropy:
    """A source of bytes that are the same each time."""
    return random.Random(seed).randbytes


RESPONSE = Response("Meet.", "the old bridge", AT_DELAY, 1800, ("water", "a red cloth"))
SEAL = Seal(
    b"h" * 32,
    b"c" * (256 + 16),
    PhraseLock(b"s" * 16, False, b"b" * 32),
    tuple(bytes([n]) * 32 for n in range(3)),
    (EMPTY["organiser"], Part(20_500, b"o" * 32)),
    (Part(20_500, b"1" * 41), Part(20_501, b"2" * 41), EMPTY["steward"]),
)
SCENARIOS = (
    Scenario("bridge-closed", Call(), None, SEAL),
    Scenario("by-voice", Some(1, (Phrase(), Call())), None, SEAL._replace(commitments=(), steward_parts=())),
    Scenario("blackout", Some(2, (Dark(3), At(FROM_S + 60))), RESPONSE, None),
    Scenario("oak-missing", Silence(0, 6, 2), RESPONSE, None),
    Scenario("later", After(2, 3600), RESPONSE._replace(checklist=()), None),
)
PLAN = Plan(
    number=1,
    first=b"",
    previous=b"",
    title="Saturday",
    from_s=FROM_S,
    until_s=UNTIL_S,
    people=PEOPLE,
    organisers=bytes((2, 5)),
    threshold=2,
    stewards=bytes((6, 0, 2)),
    needed=2,
    observers=bytes((0, 1, 3)),
    flags=FREEZE_WHEN_DARK,
    ephemeral=b"e" * 32,
    scenarios=SCENARIOS,
)
BODY = plans.encode(PLAN, AUTHOR)


def posted(body: bytes = BODY, **changes: Any) -> Post:
    """The post that proposes it."""
    post = Post(
        1, CHANNEL, b"", AUTHOR, 7, 1, b"", FROM_S * 1000 << 16, KIND_PLAN, plans.keep_until(UNTIL_S), body
    )
    return post._replace(**changes)


_u32 = st.integers(0, 2**32 - 1)
LEAVES: st.SearchStrategy[Leaf] = st.one_of(
    st.just(Call()),
    st.just(Phrase()),
    st.builds(At, _u32),
    st.builds(After, st.integers(0, 255), _u32),
    st.builds(Dark, st.integers(1, 255)),
    st.builds(Silence, st.integers(0, 255), st.integers(1, 2**16 - 1), st.integers(1, 255)),
)


@st.composite
def cues(draw: st.DrawFn, depth: int = CUE_DEPTH_MAX) -> Cue:
    """Any cue; it has at most 1 + 3 + 9 + 27 nodes, so those that have too many are rare."""
    if depth == 1 or draw(st.booleans()):
        return draw(LEAVES)
    branches = draw(st.lists(cues(depth - 1), min_size=1, max_size=3))
    return Some(draw(st.integers(1, len(branches))), tuple(branches))


RESPONSES = st.builds(
    Response,
    st.text(max_size=60),
    st.text(max_size=20),
    st.just(AT_DELAY),
    _u32,
    st.lists(st.text(min_size=1, max_size=20), max_size=3).map(tuple),
)

# The same plan with seals that open: secrets of prekeys by place, all of one day.
DAY = 20_500
SECRETS = [random.Random(f"prekey {place}").randbytes(32) for place in range(len(PEOPLE))]
KEYS = [bytes([n]) * 16 for n in (7, 8)]
STRETCHED = b"6" * 32


def _recipients(places: bytes) -> list[Recipient]:
    return [Recipient(PEOPLE[p], DAY, crypto.x25519_keypair(SECRETS[p])[0]) for p in places]


def secret_of(place: int) -> SecretOf:
    """The prekeys' secrets of one of the people."""
    return {DAY: SECRETS[place]}.get


SEALING = Sealing(CHANNEL, AUTHOR, b"E" * 32, _recipients(PLAN.organisers), _recipients(PLAN.stewards))
SPLITS = [shares.split(KEYS[0], PLAN.needed, len(PLAN.stewards), seeded("shares"))]


def _made(scenario: int, split: Sequence[bytes]) -> Scenario:
    name, key = SCENARIOS[scenario].name, KEYS[scenario]
    phrase = locks.lock_phrase(CHANNEL, name, key, STRETCHED, b"s" * 16, weak=False)
    seal = parts.seal(SEALING, scenario, name, RESPONSE, key, phrase=phrase, split=split)
    return SCENARIOS[scenario]._replace(seal=seal)


VERSION = Version(
    b"v" * 32,
    CHANNEL,
    AUTHOR,
    FROM_S * 1000,
    PLAN._replace(ephemeral=SEALING.ephemeral, scenarios=(_made(0, SPLITS[0]), _made(1, ()), *SCENARIOS[2:])),
)


def forged(share: bytes) -> bytes:
    """Another share with the same head, and a checksum that is right."""
    plain = shamir_mnemonic.Share.from_mnemonic(shares.to_words(share))
    values = vars(plain) | {"value": b"a value that is "}
    return shares._from_words(shamir_mnemonic.Share(**values).words())
