"""Parts: each organiser gets the key and each steward the own share, nobody else anything, and nothing can be moved."""

from typing import Any

import pytest

from meshd import crypto
from meshd.errors import CallerError
from meshd.plans import locks, parts, shares
from meshd.plans import plan as plans
from meshd.plans.cue import Call, Phrase
from meshd.plans.parts import Recipient, Sealing
from meshd.plans.plan import Part, Plan, Response, Scenario, Seal, Version
from tests.plan_parts import (
    AUTHOR,
    CHANNEL,
    DAY,
    KEYS,
    PEOPLE,
    PLAN,
    RESPONSE,
    SEALING,
    SECRETS,
    SPLITS,
    STRETCHED,
    VERSION,
    secret_of,
    seeded,
)

ORGANISERS, STEWARDS = PLAN.organisers, PLAN.stewards


def seals(version: Version = VERSION) -> list[Seal]:
    return [each.seal for each in version.plan.scenarios if each.seal is not None]


def with_seal(seal: Seal, version: Version = VERSION) -> Version:
    """The version with this in the place of the first scenario's seal."""
    first, *others = version.plan.scenarios
    plan = version.plan._replace(scenarios=(first._replace(seal=seal), *others))
    return version._replace(plan=plan)


def test_each_organiser_but_the_author_opens_the_key() -> None:
    for scenario in (0, 1):
        found = [
            parts.open_key(VERSION, scenario, n, secret_of(person)) for n, person in enumerate(ORGANISERS)
        ]
        assert found == [None if PEOPLE[person] == AUTHOR else KEYS[scenario] for person in ORGANISERS]
        assert found.count(None) == 1


def test_each_steward_but_the_author_opens_the_own_share() -> None:
    found = [parts.open_share(VERSION, 0, n, secret_of(person)) for n, person in enumerate(STEWARDS)]
    assert found == [None if PEOPLE[s] == AUTHOR else SPLITS[0][n] for n, s in enumerate(STEWARDS)]
    assert found.count(None) == 1


def test_what_is_not_sealed_or_has_no_such_lock_has_no_part() -> None:
    assert parts.open_share(VERSION, 1, 0, secret_of(STEWARDS[0])) is None
    assert parts.open_key(VERSION, 2, 1, secret_of(ORGANISERS[1])) is None
    assert parts.open_share(VERSION, 2, 0, secret_of(STEWARDS[0])) is None


def test_another_ones_part_opens_nothing() -> None:
    for scenario in (0, 1):
        for n, person in enumerate(ORGANISERS):
            for other in range(len(PEOPLE)):
                if other != person:
                    assert parts.open_key(VERSION, scenario, n, secret_of(other)) is None
    for n, person in enumerate(STEWARDS):
        for other in range(len(PEOPLE)):
            if other != person:
                assert parts.open_share(VERSION, 0, n, secret_of(other)) is None


def test_once_the_secret_is_erased_it_is_gone() -> None:
    days = []

    def erased(day: int) -> None:
        days.append(day)

    assert parts.open_key(VERSION, 0, 1, erased) is None
    assert days == [DAY]


def test_the_secret_of_another_day_opens_nothing() -> None:
    seal = seals()[0]
    organiser = seal.organiser_parts[1]._replace(day=DAY + 1)
    moved = with_seal(seal._replace(organiser_parts=(seal.organiser_parts[0], organiser)))
    assert parts.open_key(moved, 0, 1, lambda day: SECRETS[ORGANISERS[1]]) is None


@pytest.mark.parametrize(
    "changes", [{"author": PEOPLE[0]}, {"channel": b"h" * 16}, {"plan": PLAN._replace(ephemeral=b"f" * 32)}]
)
def test_a_part_that_is_moved_into_another_plan_opens_nothing(changes: dict[str, Any]) -> None:
    moved = VERSION._replace(**changes)
    if "channel" in changes:  # the hash and the commitments can be made again, by who has the key
        seal = seals()[0]._replace(
            key_hash=locks.key_hash(moved.channel, KEYS[0]),
            commitments=tuple(shares.commitment(moved.channel, share) for share in SPLITS[0]),
        )
        moved = with_seal(seal, moved)
    assert parts.open_key(moved, 0, 1, secret_of(ORGANISERS[1])) is None
    assert parts.open_share(moved, 0, 0, secret_of(STEWARDS[0])) is None


def test_a_part_that_is_moved_to_another_scenario_opens_nothing() -> None:
    first, second, *others = VERSION.plan.scenarios
    swapped = VERSION._replace(plan=VERSION.plan._replace(scenarios=(second, first, *others)))
    assert parts.open_key(swapped, 0, 1, secret_of(ORGANISERS[1])) is None
    assert parts.open_key(swapped, 1, 1, secret_of(ORGANISERS[1])) is None
    assert parts.open_share(swapped, 1, 0, secret_of(STEWARDS[0])) is None


def _lying(role: int, content: bytes, person: int) -> Part:
    owner = Recipient(PEOPLE[person], DAY, crypto.x25519_keypair(SECRETS[person])[0])
    return parts._seal_part(SEALING, owner, role, 0, content)


def test_a_key_in_the_role_of_a_share_is_neither() -> None:
    person = STEWARDS[0]
    part = _lying(parts.STEWARD, KEYS[0], person)
    seal = seals()[0]
    lying = with_seal(seal._replace(organiser_parts=(seal.organiser_parts[0], part)))
    assert parts.open_key(lying, 0, 1, secret_of(person)) is None


def test_a_wrong_key_is_found_out_by_who_opens_it() -> None:
    seal, person = seals()[0], ORGANISERS[1]
    right, wrong = (_lying(parts.ORGANISER, key, person) for key in (KEYS[0], b"w" * 16))
    first = seal.organiser_parts[0]
    assert parts.open_key(with_seal(seal._replace(organiser_parts=(first, right))), 0, 1, secret_of(person))
    lying = with_seal(seal._replace(organiser_parts=(first, wrong)))
    assert parts.open_key(lying, 0, 1, secret_of(person)) is None


def test_a_wrong_share_is_found_out_by_who_opens_it() -> None:
    seal, person = seals()[0], STEWARDS[0]
    others = seal.steward_parts[1:]
    assert STEWARDS[1] != AUTHOR
    for wrong in (b"w" * 25, SPLITS[0][1], shares.split(KEYS[0], 2, 3, seeded("others"))[0]):
        part = _lying(parts.STEWARD, wrong, person)
        lying = with_seal(seal._replace(steward_parts=(part, *others)))
        assert parts.open_share(lying, 0, 0, secret_of(person)) is None


def test_a_key_of_low_order_opens_nothing() -> None:
    low = VERSION._replace(plan=VERSION.plan._replace(ephemeral=bytes(32)))
    assert parts.open_key(low, 0, 1, secret_of(ORGANISERS[1])) is None


def test_what_is_made_is_a_plan() -> None:
    body = plans.encode(VERSION.plan, AUTHOR)
    assert plans.parse_body(body, AUTHOR) == VERSION.plan
    for scenario, name in enumerate(("bridge-closed", "by-voice")):
        seal = seals()[scenario]
        assert locks.open_response(CHANNEL, name, KEYS[scenario], seal) == RESPONSE
    assert locks.open_phrase(CHANNEL, "bridge-closed", seals()[0], STRETCHED) == KEYS[0]
    assert shares.combine(CHANNEL, seals()[0], PLAN.needed, SPLITS[0][:2]).key == KEYS[0]


def test_an_author_who_has_no_part_leaves_none_empty() -> None:
    sealing = SEALING._replace(author=PEOPLE[1])
    seal = parts.seal(sealing, 0, "one", RESPONSE, KEYS[0], split=SPLITS[0])
    assert all(any(part.box) for part in (*seal.organiser_parts, *seal.steward_parts))
    plan = PLAN._replace(ephemeral=sealing.ephemeral, scenarios=(Scenario("one", Call(), None, seal),))
    assert plans.parse_body(plans.encode(plan, PEOPLE[1]), PEOPLE[1]) == plan


def test_what_does_not_fit_is_not_sealed() -> None:
    with pytest.raises(CallerError):
        parts.seal(SEALING, 0, "one", Response("e" * 2001), KEYS[0])
    with pytest.raises(ValueError):
        parts.seal(SEALING, 0, "one", RESPONSE, KEYS[0], split=SPLITS[0][:2])


def test_the_two_parts_of_one_person_have_two_keys() -> None:
    both = SEALING._replace(stewards=SEALING.organisers)
    split = shares.split(KEYS[0], 2, 2, seeded(9))
    seal = parts.seal(both, 0, "one", RESPONSE, KEYS[0], split=split)
    assert seal.organiser_parts[1].day == seal.steward_parts[1].day
    plan: Plan = PLAN._replace(ephemeral=both.ephemeral, stewards=PLAN.organisers)
    plan = plan._replace(scenarios=(Scenario("one", Phrase(), None, seal),))
    version = VERSION._replace(plan=plan)
    secret = secret_of(ORGANISERS[1])
    assert parts.open_key(version, 0, 1, secret) == KEYS[0]
    assert parts.open_share(version, 0, 1, secret) == split[1]
    assert isinstance(both, Sealing)
