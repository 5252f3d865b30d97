"""Plans: what they say is read as it was written, each check refuses what it is for, and no bytes break the reader."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd import codec
from meshd.errors import CallerError, PeerError
from meshd.limits import LONG_BODY_SIZE_MAX
from meshd.plans import plan as plans
from meshd.plans.cue import After, Call, Dark, Phrase, Silence, Some
from meshd.plans.plan import AT_NONE, AT_TIME, SINGLE, Part, Plan, Response, Scenario, Version
from meshd.post import KIND_PLAN_ACT
from tests.plan_parts import (
    AUTHOR,
    BODY,
    CHANNEL,
    EMPTY,
    FROM_S,
    PEOPLE,
    PLAN,
    RESPONSE,
    RESPONSES,
    SCENARIOS,
    SEAL,
    UNTIL_S,
    cues,
    posted,
)

CLEAR = PLAN._replace(ephemeral=b"", scenarios=(Scenario("one", Call(), RESPONSE, None),))
THREE_DAYS_S = 3 * 24 * 3600
LAST_S = 2**32 - 1


def test_a_version_is_what_its_post_says() -> None:
    assert plans.parse(posted(), b"i" * 32) == Version(b"i" * 32, CHANNEL, AUTHOR, FROM_S * 1000, PLAN)


def test_a_plan_is_named_by_its_first_version() -> None:
    second = PLAN._replace(number=2, first=b"1" * 32, previous=b"1" * 32)
    found = plans.parse(posted(plans.encode(second, AUTHOR)), b"2" * 32)
    assert found is not None and found.plan_id == b"1" * 32
    begins = plans.parse(posted(), b"1" * 32)
    assert begins is not None and begins.plan_id == b"1" * 32


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": KIND_PLAN_ACT},
        {"epoch": b"e" * 32},
        {"keep_until": plans.keep_until(UNTIL_S) + 1},
        {"keep_until": plans.keep_until(UNTIL_S) - 1},
        {"author": PEOPLE[0]},  # the parts are not empty where the author's would be
        {"body": BODY[:-1]},
        {"body": b""},
    ],
)
def test_another_post_is_no_plan(changes: dict[str, Any]) -> None:
    assert plans.parse(posted(**changes), b"i" * 32) is None


def test_a_plan_is_kept_a_day_past_its_end() -> None:
    assert plans.keep_until(3600) == 1 + 24
    assert plans.keep_until(3601) == 2 + 24


def test_who_they_are() -> None:
    assert PLAN.identities(PLAN.stewards) == [PEOPLE[6], PEOPLE[0], PEOPLE[2]]
    assert PLAN.scenario("blackout") == SCENARIOS[2]
    assert PLAN.scenario("Blackout") is None


@given(st.binary(max_size=200))
def test_any_bytes_are_a_plan_that_encodes_to_them_or_none(raw: bytes) -> None:
    try:
        read = plans.parse_body(raw, AUTHOR)
    except PeerError:
        return
    assert plans.encode(read, AUTHOR) == raw


@given(st.integers(0, len(BODY) * 8 - 1))
def test_a_flipped_bit_gives_another_plan_or_none(bit: int) -> None:
    raw = bytearray(BODY)
    raw[bit // 8] ^= 1 << bit % 8
    try:
        read = plans.parse_body(bytes(raw), AUTHOR)
    except PeerError:
        return
    assert read != PLAN
    assert plans.encode(read, AUTHOR) == raw


SLOTS = st.one_of(st.integers(0, 2**63 - 1), st.binary(max_size=70), st.text(max_size=20))


@given(st.sampled_from(range(15)), SLOTS, st.data())
def test_any_slot_is_refused_or_read(place: int, slot: Any, draw: st.DataObject) -> None:
    slots = list(codec.unpack(BODY, plans._PLAN, LONG_BODY_SIZE_MAX))
    slots[place] = slot
    if place == 14:  # deeper: a scenario, or its seal
        scenario = list(
            codec.unpack(plans._encode_scenario(SCENARIOS[0]), plans._SCENARIO, LONG_BODY_SIZE_MAX)
        )
        seal = list(codec.unpack(scenario[3], plans._SEAL, LONG_BODY_SIZE_MAX))
        seal[draw.draw(st.integers(0, 5))] = draw.draw(SLOTS)
        scenario[draw.draw(st.integers(0, 3))] = draw.draw(st.one_of(SLOTS, st.just(codec.pack(*seal))))
        slots[14] = codec.join([codec.pack(*scenario)])
    raw = codec.pack(*slots)
    try:
        read = plans.parse_body(raw, AUTHOR)
    except PeerError:
        return
    assert plans.encode(read, AUTHOR) == raw


@given(
    st.text(min_size=1, max_size=16),
    st.integers(0, 2**31),
    st.integers(1, 90 * 86_400),
    st.sets(st.sampled_from(range(7)), min_size=1),
    st.permutations(range(7)),
    st.lists(st.tuples(cues(2), RESPONSES), min_size=1, max_size=3),
    st.data(),
)
def test_what_is_proposed_is_read_again(title, from_s, length_s, organisers, order, cases, draw) -> None:
    stewards = bytes(order[: draw.draw(st.sampled_from((0, 2, 5, 7)))])
    made = CLEAR._replace(
        title=title,
        from_s=from_s,
        until_s=from_s + length_s,
        organisers=bytes(sorted(organisers)),
        threshold=draw.draw(st.integers(1, len(organisers))),
        flags=SINGLE,
        stewards=stewards,
        needed=draw.draw(st.integers(2, len(stewards))) if stewards else 0,
        observers=bytes(sorted(draw.draw(st.sets(st.sampled_from(range(7)))))),
        scenarios=tuple(Scenario(f"s{n}", cue, response, None) for n, (cue, response) in enumerate(cases)),
    )
    try:
        body = plans.encode(made, AUTHOR)
    except CallerError:  # a cue that this plan has not got the people or scenarios for
        with pytest.raises(CallerError):
            plans.encode(made._replace(scenarios=_without_calls(made)), AUTHOR)
        return
    assert plans.parse_body(body, AUTHOR) == made


def _without_calls(made: Plan) -> tuple[Scenario, ...]:
    """The scenarios but for those that no plan can refuse."""
    kept = tuple(each for each in made.scenarios if each.cue != Call())
    assert kept
    return kept


def sealed(**changes: Any) -> dict[str, Any]:
    return {"scenarios": (SCENARIOS[0]._replace(seal=SEAL._replace(**changes)),)}


def clear(**changes: Any) -> dict[str, Any]:
    return {"ephemeral": b"", "scenarios": (CLEAR.scenarios[0]._replace(**changes),)}


def answer(**changes: Any) -> dict[str, Any]:
    return clear(response=RESPONSE._replace(**changes))


MORE = tuple(bytes([n]) * 32 for n in range(201))
WRONG: dict[str, tuple[str, dict[str, Any]]] = {
    "version 0": ("version 0", {"number": 0}),
    "version 2 of nothing": ("follows none", {"number": 2}),
    "version 2 without the one before": ("follows none", {"number": 2, "first": b"1" * 32}),
    "a first version that replaces": ("follows none", {"first": b"1" * 32, "previous": b"1" * 32}),
    "ids of 31 bytes": ("follows none", {"number": 2, "first": b"1" * 31, "previous": b"1" * 31}),
    "no title": ("title", {"title": ""}),
    "a title of 65 bytes": ("title", {"title": "é" * 32 + "e"}),
    "ends when it begins": ("not after", {"until_s": FROM_S}),
    "ends past all times": ("no time", {"from_s": LAST_S - 1, "until_s": LAST_S + 1}),
    "ends a second after 90 days": ("too late", {"until_s": FROM_S + 30 * THREE_DAYS_S + 1}),
    "flag 4": ("flag", {"flags": 4}),
    "an organiser that nobody is": ("not among", {"organisers": bytes((2, 7))}),
    "a steward that nobody is": ("not among", {"stewards": bytes((6, 0, 7))}),
    "an observer that nobody is": ("not among", {"observers": bytes((0, 1, 7))}),
    "people out of order": ("people", {"people": (PEOPLE[1], PEOPLE[0], *PEOPLE[2:])}),
    "people twice": ("people", {"people": (PEOPLE[0], *PEOPLE[:6])}),
    "201 people": ("wrong length", {"people": MORE}),
    "no organiser": ("threshold", {"organisers": b"", "threshold": 0}),
    "organisers out of order": ("organisers", {"organisers": bytes((5, 2))}),
    "an organiser twice": ("organisers", {"organisers": bytes((2, 2))}),
    "observers out of order": ("observers", {"observers": bytes((1, 0, 3))}),
    "a threshold of none": ("threshold", {"threshold": 0}),
    "a threshold that nobody reaches": ("threshold", {"threshold": 3}),
    "one of two alone": ("alone", {"threshold": 1}),
    "a steward twice": ("steward twice", {"stewards": bytes((6, 6, 2))}),
    "one steward": ("shares", {"stewards": bytes((6,)), "needed": 1}),
    "one share needed": ("shares", {"needed": 1}),
    "more shares needed than there are": ("shares", {"needed": 4}),
    "none needed, of three": ("shares", {"needed": 0}),
    "some needed, of none": ("shares", {"stewards": b"", "needed": 2}),
    "17 stewards": (
        "too many stewards",
        {"people": MORE[:20], "stewards": bytes(range(17)), "needed": 2},
    ),
    "no scenario": ("no scenario", {"scenarios": ()}),
    "33 scenarios": (
        "too many",
        {"ephemeral": b"", "scenarios": tuple(Scenario(f"s{n}", Call(), Response(""), None) for n in range(33))},
    ),
    "two of one name": ("one name", {"scenarios": (*SCENARIOS, SCENARIOS[0])}),
    "a name in capitals": ("name", clear(name="Bridge")),
    "no name": ("name", clear(name="")),
    "a name of 33": ("name", clear(name="a" * 33)),
    "a name and a new line": ("name", clear(name="a\n")),
    "clear and sealed": ("neither", clear(seal=SEAL)),
    "neither clear nor sealed": ("neither", clear(response=None)),
    "a phrase, and no lock": ("phrase", clear(cue=Phrase())),
    "a phrase, and no phrase lock": (
        "phrase",
        {"scenarios": (SCENARIOS[1]._replace(seal=SEAL._replace(phrase=None)),)},
    ),
    "a phrase lock elsewhere": (
        "phrase",
        {"scenarios": (SCENARIOS[0], SCENARIOS[2]._replace(cue=Phrase()))},
    ),
    "more attest than may": ("observers", clear(cue=Dark(4))),
    "the silence of nobody": ("among", clear(cue=Silence(7, 6, 2))),
    "more observe than may": ("observers", clear(cue=Silence(2, 6, 4))),
    "somebody observes their own silence": ("observers", clear(cue=Silence(0, 6, 3))),
    "after itself": ("itself", clear(cue=After(0, 0))),
    "after nothing": ("not there", clear(cue=After(1, 0))),
    "after each other": (
        "itself",
        {
            "ephemeral": b"",
            "scenarios": tuple(
                Scenario(f"s{n}", Some(1, (Call(), After((n + 1) % 3, 0))), RESPONSE, None) for n in range(3)
            ),
        },
    ),
    "nothing sealed, and a key": ("key for parts", {**clear(), "ephemeral": b"e" * 32}),
    "sealed, and no key": ("key for parts", {"ephemeral": b""}),
    "a key of 31 bytes": ("key for parts", {"ephemeral": b"e" * 31}),
    "a hash of 31 bytes": ("seal", sealed(key_hash=b"h" * 31)),
    "a text of no class": ("seal", sealed(ciphertext=b"c" * 273)),
    "a phrase lock that is cut": ("phrase lock", sealed(phrase=SEAL.phrase._replace(box=b"b" * 31))),  # type: ignore[union-attr]
    "two commitments": ("commitment", sealed(commitments=SEAL.commitments[:2])),
    "one part": ("each organiser", sealed(organiser_parts=SEAL.organiser_parts[:1])),
    "three parts for two organisers": (
        "each organiser",
        sealed(organiser_parts=(*SEAL.organiser_parts, Part(1, b"3" * 32))),
    ),
    "two parts for three stewards": ("each steward", sealed(steward_parts=SEAL.steward_parts[:2])),
    "parts for stewards, and no lock": ("each steward", sealed(commitments=())),
    "a lock, and no parts for stewards": ("each steward", sealed(steward_parts=())),
    "a part of the author's": ("empty", sealed(organiser_parts=(Part(1, bytes(32)), SEAL.organiser_parts[1]))),
    "an empty part for another": ("empty", sealed(organiser_parts=(EMPTY["organiser"], EMPTY["organiser"]))),
    "an empty part for a steward": ("empty", sealed(steward_parts=(EMPTY["steward"], *SEAL.steward_parts[1:]))),
    "a part of the author's of day 0": (
        "empty",
        sealed(organiser_parts=(Part(0, b"1" * 32), SEAL.organiser_parts[1])),
    ),
    "a text of 2001 bytes": ("text", answer(text="é" * 1000 + "e")),
    "a place of 201 bytes": ("place", answer(place="é" * 100 + "e")),
    "a time of kind 3": ("time", answer(at_kind=3)),
    "a time past all times": ("time", answer(at_kind=AT_TIME, at=2**32)),
    "no time, and one": ("time", answer(at_kind=AT_NONE, at=1)),
    "17 items": ("checklist", answer(checklist=("i",) * 17)),
    "an empty item": ("item", answer(checklist=("",))),
    "an item of 201 bytes": ("item", answer(checklist=("é" * 100 + "e",))),
    "a response of 4095 bytes": (
        "response",
        answer(text="e" * 2000, place="", checklist=("e" * 200,) * 10 + ("e" * 61,)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong(name: str) -> None:
    why, changes = WRONG[name]
    wrong = PLAN._replace(**changes)
    with pytest.raises(CallerError, match=why):
        plans.encode(wrong, AUTHOR)


def test_what_is_wrong_on_the_wire_is_refused_too() -> None:
    """What `encode` can't write: items and a lock that no value of ours stands for."""
    items = codec.pack("", "", AT_NONE, 0, codec.join([b"\xff"]))
    with pytest.raises(PeerError, match="no text"):
        plans.parse_response(items)
    with pytest.raises(PeerError, match="longer"):
        plans.parse_response(codec.pack("", "", AT_NONE, 0, bytes(4095)))
    seal = plans._encode_seal(SEAL)
    at = seal.index(b"s" * 16) + 16
    assert plans._parse_seal(seal[:at] + b"\x01" + seal[at + 1 :]).phrase == SEAL.phrase._replace(weak=True)  # type: ignore[union-attr]
    with pytest.raises(PeerError, match="weak"):
        plans._parse_seal(seal[:at] + b"\x02" + seal[at + 1 :])


AT_THE_LIMIT: dict[str, dict[str, Any]] = {
    "a title of 64 bytes": {"title": "é" * 32},
    "a title of 1 byte": {"title": "e"},
    "both flags": {"flags": 3},
    "the last time": answer(at_kind=AT_TIME, at=2**32 - 1),
    "90 days": {"until_s": FROM_S + 30 * THREE_DAYS_S},
    "until the last time": {"from_s": LAST_S - 1, "until_s": LAST_S},
    "one of two alone, said so": {"threshold": 1, "flags": SINGLE},
    "one organiser": {**clear(), "organisers": b"\x02", "threshold": 1},
    "all shares": {"needed": 3},
    "no steward": {**clear(), "stewards": b"", "needed": 0},
    "200 people": {**clear(), "people": MORE[:200], "observers": bytes(range(200))},
    "16 stewards": {**clear(), "people": MORE[:16], "stewards": bytes(range(16)), "needed": 16},
    "32 scenarios": {
        "ephemeral": b"",
        "scenarios": tuple(Scenario(f"s{n}", Call(), Response(""), None) for n in range(32)),
    },
    "a name of 32": clear(name="a-0" * 10 + "zz"),
    "all observers": clear(cue=Some(2, (Dark(3), Silence(2, 1, 3), Silence(0, 2**16 - 1, 2)))),
    "one after the other": {
        "ephemeral": b"",
        "scenarios": tuple(
            Scenario(f"s{n}", After(n + 1, 0) if n < 3 else Call(), RESPONSE, None) for n in range(4)
        ),
    },
    "no phrase lock and no shares": sealed(phrase=None, commitments=(), steward_parts=()),
    "classes": sealed(ciphertext=bytes(4096 + 16)),
    "a text of 2000 bytes": answer(text="é" * 1000),
    "a place of 200 bytes": answer(place="é" * 100),
    "16 items": answer(checklist=("i",) * 16),
    "an item of 200 bytes": answer(checklist=("é" * 100,)),
    "a response of 4094 bytes": answer(
        text="e" * 2000, place="", checklist=("e" * 200,) * 10 + ("e" * 60,)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", AT_THE_LIMIT)
def test_at_the_limit(name: str) -> None:
    made = PLAN._replace(**AT_THE_LIMIT[name])
    assert plans.parse_body(plans.encode(made, AUTHOR), AUTHOR) == made


def test_an_author_with_no_part_in_it_leaves_none_empty() -> None:
    parts = tuple(Part(20_500, bytes([n]) * 32) for n in (1, 2))
    shares = tuple(Part(20_500, bytes([n]) * 41) for n in (1, 2, 3))
    made = PLAN._replace(**sealed(organiser_parts=parts, steward_parts=shares))
    assert plans.parse_body(plans.encode(made, PEOPLE[1]), PEOPLE[1]) == made
    with pytest.raises(CallerError):
        plans.encode(made, AUTHOR)


@pytest.mark.parametrize("changes", [{"threshold": 2**64}, {"until_s": -1}, clear(cue=After(300, 0))])
def test_numbers_that_no_slot_holds(changes: dict[str, Any]) -> None:
    with pytest.raises(CallerError):
        plans.encode(PLAN._replace(**changes), AUTHOR)


def test_a_plan_that_does_not_fit_a_post_is_not_proposed() -> None:
    long = Response("e" * 2000, checklist=("e" * 200,) * 9)
    scenarios = tuple(Scenario(f"s{n}", Call(), long, None) for n in range(8))
    with pytest.raises(CallerError, match="longer"):
        plans.encode(CLEAR._replace(scenarios=scenarios), AUTHOR)


def test_a_scenario_that_does_not_fit_a_list_is_not_proposed() -> None:
    seal = SEAL._replace(ciphertext=bytes(70_000))
    with pytest.raises(CallerError, match="too large"):
        plans.encode(PLAN._replace(scenarios=(SCENARIOS[0]._replace(seal=seal),)), AUTHOR)
