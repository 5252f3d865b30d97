"""What a draft becomes: seals that open for who should open them, and refusals that name everybody at once."""

from datetime import UTC, datetime

import pytest

from meshd import crypto, proposing
from meshd.errors import CallerError, Code
from meshd.groups.prekeys import Announcement
from meshd.plans import locks, parts, planfile, shares
from meshd.plans import plan as plans
from meshd.plans.example import example
from meshd.plans.plan import Response, Version
from meshd.plans.planfile import Draft, Locks
from meshd.proposing import Made, Stretched
from tests.plan_parts import CHANNEL, seeded

NOW = datetime(2026, 12, 3, 20, tzinfo=UTC)
DAY = 20_790
NAMES = ("oak", "fern", "river", "moss", "reed", "ivy")
PEOPLE = {name: crypto.ed25519_keypair(name.encode().ljust(32, b"."))[0] for name in NAMES}
CALLED = {identity: name for name, identity in PEOPLE.items()}
SECRETS = {identity: crypto.fresh(seeded(name), 32) for name, identity in PEOPLE.items()}  # of all their days
ANNOUNCED = {
    identity: Announcement(DAY - 1, (crypto.x25519_keypair(secret)[0],) * 8)
    for identity, secret in SECRETS.items()
}
ME = PEOPLE["oak"]
EXAMPLE = example(NOW)
KNOWN = Response("Known.")
STRETCHED = {"bridge-closed": Stretched(b"s" * 16, b"1" * 32), "go-home": Stretched(b"t" * 16, b"2" * 32)}


def drafted(text: str = EXAMPLE) -> Draft:
    return planfile.read(text.encode(), PEOPLE.__getitem__, PEOPLE.values())


def sealed(draft: Draft, me: bytes = ME, seed: str = "sealing") -> Made:
    to = proposing.recipients(draft.plan, me, ANNOUNCED.get, DAY, CALLED.__getitem__)
    return proposing.seal(draft, CHANNEL, me, to, STRETCHED, seeded(seed))


def version(made: Made, author: bytes = ME, id: bytes = b"v" * 32) -> Version:
    """The version as everybody reads it out of its post."""
    return Version(id, CHANNEL, author, 0, plans.parse_body(plans.encode(made.plan, author), author))


def test_what_is_sealed_opens_to_its_phrase_its_shares_and_its_organisers_alone() -> None:
    draft = drafted()
    made = sealed(draft)
    read = version(made)
    assert [scenario.response is None for scenario in read.plan.scenarios] == [True, False, False, True]
    organisers = read.plan.identities(read.plan.organisers)
    for place, name in ((0, "bridge-closed"), (3, "go-home")):
        seal, clear = read.plan.scenarios[place].seal, draft.plan.scenarios[place].response
        assert seal is not None
        assert locks.open_response(CHANNEL, name, made.keys[place], seal) == clear
        assert locks.open_phrase(CHANNEL, name, seal, STRETCHED[name].stretched) == made.keys[place]
        assert locks.open_phrase(CHANNEL, name, seal, b"3" * 32) is None
        for number, who in enumerate(organisers):
            opened = parts.open_key(read, place, number, lambda day, who=who: SECRETS[who])  # type: ignore[misc]
            assert opened == (None if who == ME else made.keys[place])  # the author's part is empty
    assert len(set(made.keys.values())) == 2

    seal = read.plan.scenarios[0].seal
    assert seal is not None
    stewards = read.plan.identities(read.plan.stewards)
    held = {who: parts.open_share(read, 0, at, lambda day, who=who: SECRETS[who])  # type: ignore[misc]
            for at, who in enumerate(stewards)}  # fmt: skip
    assert held.pop(ME) is None and set(made.shares) == {0}
    given = [made.shares[0], *(share for share in held.values() if share is not None)]
    assert len(given) == 5
    assert shares.combine(CHANNEL, seal, 3, given[2:]).key == made.keys[0]
    assert shares.combine(CHANNEL, seal, 3, given[:2]).key is None


def test_a_part_is_sealed_to_the_last_day_that_is_announced() -> None:
    seal = version(sealed(drafted())).plan.scenarios[0].seal
    assert seal is not None
    assert {part.day for part in (*seal.organiser_parts, *seal.steward_parts)} == {0, DAY + 6}


def test_an_own_phrase_is_weak_and_one_that_is_made_is_not() -> None:
    own = drafted(EXAMPLE.replace('locks = ["phrase"]', 'locks = ["phrase"]\nphrase = "hello"\nweak = true'))
    assert proposing.phrases(own) == {"bridge-closed": "", "go-home": "hello"}
    made = sealed(own)
    weak = [each.seal.phrase.weak for each in made.plan.scenarios if each.seal and each.seal.phrase]
    assert weak == [False, True]


def test_a_plan_with_nothing_sealed_needs_nobodys_prekeys() -> None:
    draft = drafted()
    clear = draft._replace(plan=draft.plan._replace(scenarios=draft.plan.scenarios[1:3]), sealed={})
    made = proposing.seal(clear, CHANNEL, ME, ([], []), {}, seeded(1))
    assert made == Made(clear.plan, {}, {}) and version(made).plan.ephemeral == b""


def test_all_who_can_not_be_given_a_part_are_named_at_once() -> None:
    draft = drafted()
    late = {**ANNOUNCED, PEOPLE["fern"]: ANNOUNCED[ME]._replace(first_day=DAY - 9)}
    del late[PEOPLE["ivy"]]
    with pytest.raises(CallerError) as caught:
        proposing.recipients(draft.plan, ME, late.get, DAY, CALLED.__getitem__)
    assert caught.value.code is Code.refused
    assert "fern (not heard from for 9 days), ivy (never heard from)" in caught.value.message


def test_who_is_no_member_is_named() -> None:
    members = [PEOPLE[name] for name in NAMES[:4]]
    with pytest.raises(CallerError, match="no members of the group: ") as caught:
        proposing.require_members(drafted().plan, members, CALLED.__getitem__)
    assert {"reed", "ivy"} <= set(caught.value.message.replace(",", "").replace(";", "").split())
    proposing.require_members(drafted().plan, PEOPLE.values(), CALLED.__getitem__)


def test_the_next_version_says_what_it_follows() -> None:
    first = version(sealed(drafted()))
    second = version(sealed(proposing.following(drafted(), first)), id=b"w" * 32)
    third = proposing.following(drafted(), second).plan
    assert (second.plan.number, second.plan.first, second.plan.previous) == (2, first.id, first.id)
    assert (third.number, third.first, third.previous) == (3, first.id, second.id)


def burned(who: str = "reed", text: str = EXAMPLE, response: Response | None = KNOWN) -> Draft:
    return proposing.without(version(sealed(drafted(text))), PEOPLE[who], lambda place: response)


def test_who_is_burned_has_no_share_and_no_say_and_nobody_elses_place_changes() -> None:
    before = version(sealed(drafted()))
    draft = burned()
    made = sealed(draft, seed="anew")
    after = version(made, id=b"w" * 32)
    assert (after.plan.number, after.plan.previous, after.plan.people) == (2, before.id, before.plan.people)
    assert after.plan.identities(after.plan.stewards) == [
        PEOPLE[name] for name in ("oak", "fern", "moss", "ivy")
    ]
    assert draft.sealed == {"bridge-closed": Locks(True, True, ""), "go-home": Locks(True, False, "")}
    for place, scenario in enumerate(after.plan.scenarios):
        old, seal = before.plan.scenarios[place], scenario.seal
        assert (scenario.name, scenario.cue) == (old.name, old.cue)
        assert scenario.response == old.response  # None where it is sealed
        if seal is not None and old.seal is not None:
            assert seal.key_hash != old.seal.key_hash and len(seal.commitments) in (0, 4)
            assert locks.open_response(CHANNEL, scenario.name, made.keys[place], seal) == KNOWN


def test_an_organiser_who_is_burned_gets_no_key_either() -> None:
    assert PEOPLE["fern"] not in burned("fern").plan.identities(burned("fern").plan.organisers)
    three = EXAMPLE.replace("threshold = 2", "threshold = 3")
    with pytest.raises(CallerError, match="too few would be left") as caught:
        burned("fern", three)
    assert caught.value.code is Code.refused


@pytest.mark.parametrize(
    ("who", "old", "new", "said"),
    [
        ("river", "threshold = 2", "threshold = 2", "no steward"),
        ("reed", "needed = 3", "needed = 5", "too few would be left"),
    ],
)
def test_who_can_not_be_burned(who: str, old: str, new: str, said: str) -> None:
    with pytest.raises(CallerError, match=said):
        burned(who, EXAMPLE.replace(old, new))


def test_who_can_not_read_a_response_can_not_seal_it_anew() -> None:
    with pytest.raises(CallerError, match="bridge-closed is sealed for you too"):
        burned(response=None)


@pytest.mark.parametrize(
    ("old", "new"),
    [("attested_by = 3", "attested_by = 4"), ("hours = 6, observers = 2", "hours = 6, observers = 3")],
)
def test_observers_who_would_be_too_few_are_told_before_anything_is_sealed(old: str, new: str) -> None:
    assert len(burned("moss").plan.observers) == 3, "as many as there must be"
    with pytest.raises(CallerError, match=r"too few would be left .*, 3 observers") as caught:
        burned("moss", EXAMPLE.replace(old, new))
    assert caught.value.code is Code.refused


def test_nothing_that_opens_a_lock_shows_in_a_traceback() -> None:
    made = sealed(drafted())
    shown = repr((made, STRETCHED))
    assert all(str(each) not in shown for each in (*made.keys.values(), *made.shares.values()))
    assert "1" * 32 not in shown
