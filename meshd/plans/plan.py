"""Plans: one version of one, as the post that proposes it says it.

The rule (protocol.md, "Plans"): a version of a plan is a post of kind 5 in its group, and the plan's id is the post id
of version 1. Who counts stands in the body by identity key, so that no later membership adds anybody, and places in
that list of people say who is what. A scenario's response stands there in the clear, or sealed: then all that anybody
else gets is the hash of a key, a text encrypted under it, and the locks that give the key back (`locks`, `shares`,
`parts`).

What is checked here is true of the bytes and of who posted them. Whether a version is *arranged* depends on who signed
it, and is not judged here. What is wrong inside a sealed envelope is nobody's fault on a link, so what is no plan is
None, and hidden. Who proposes one is held to the same checks: `encode` gives nothing that others would refuse.

A part of all zeros stands for the author, who has the key and all shares anyway. Nobody else's is, so whoever signs
sees at once whether everybody was given something.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from meshd import codec
from meshd.crypto import KEY_SIZE
from meshd.errors import CallerError, Code, PeerError
from meshd.ids import ID_SIZE
from meshd.limits import (
    CHECKLIST_ITEM_SIZE_MAX,
    CHECKLIST_MAX,
    GROUP_MEMBERS_MAX,
    LONG_BODY_SIZE_MAX,
    NAME_SIZE_MAX,
    PLACE_SIZE_MAX,
    PLAN_DAYS_MAX,
    PLAN_KEEP_HOURS,
    RESPONSE_CLASSES,
    RESPONSE_SIZE_MAX,
    RESPONSE_TEXT_SIZE_MAX,
    SCENARIO_NAME_SIZE_MAX,
    SCENARIOS_MAX,
    STEWARDS_MAX,
    TAG_SIZE,
)
from meshd.plans import cue as cues
from meshd.plans.cue import Cue, Dark, Phrase, Silence
from meshd.post import KIND_PLAN, Post

FREEZE_WHEN_DARK = 1  # flag bits: once it is dark, honest admins add nobody;
SINGLE = 2  # one of several organisers may act alone
AT_NONE, AT_DELAY, AT_TIME = (
    0,
    1,
    2,
)  # when a response is meant: not said, seconds after the firing, since 1970
SCENARIO_KEY_SIZE = 16  # of a scenario's key
SHARE_SIZE = 25  # 20 words of 10 bits
SALT_SIZE = 16
_HASH_SIZE = 32
_HOUR_S = 3600
_U32_MAX = 2**32 - 1
_NAME = re.compile(rf"[a-z0-9-]{{1,{SCENARIO_NAME_SIZE_MAX}}}")
_DAY_SIZE = 4
_ORGANISER_PART_SIZE = _DAY_SIZE + SCENARIO_KEY_SIZE + TAG_SIZE
_STEWARD_PART_SIZE = _DAY_SIZE + SHARE_SIZE + TAG_SIZE
_PHRASE_SIZE = SALT_SIZE + 1 + SCENARIO_KEY_SIZE + TAG_SIZE
_CIPHERTEXT_SIZES = frozenset(size + TAG_SIZE for size in RESPONSE_CLASSES)
_PLAN = (int, bytes, bytes, str, int, int, bytes, bytes, int, bytes, int, bytes, int, bytes, bytes)
_SCENARIO = (str, bytes, bytes, bytes)
_RESPONSE = (str, str, int, int, bytes)
_SEAL = (bytes, bytes, bytes, bytes, bytes, bytes)


class Response(NamedTuple):
    """What is to be done in a scenario."""

    text: str
    place: str = ""
    at_kind: int = AT_NONE
    at: int = 0  # seconds, from what `at_kind` says
    checklist: tuple[str, ...] = ()


class PhraseLock(NamedTuple):
    """What gives a scenario's key to who knows a phrase."""

    salt: bytes  # 16, of Argon2id
    weak: bool  # whether a person made the phrase up: any member can guess at it
    box: bytes  # 32: the key, encrypted


class Part(NamedTuple):
    """What gives a scenario's key or a share to one person."""

    day: int  # the key day of the prekey that it is sealed to
    box: bytes  # key or share, encrypted: 32 or 41


class Seal(NamedTuple):
    """A response that is sealed, and what opens it."""

    key_hash: bytes  # 32
    ciphertext: bytes  # one of RESPONSE_CLASSES, and a tag
    phrase: PhraseLock | None
    commitments: tuple[bytes, ...]  # 32 each, one for each steward; none without a lock of shares
    organiser_parts: tuple[Part, ...]  # one for each organiser
    steward_parts: tuple[Part, ...]  # one for each steward, or none


class Scenario(NamedTuple):
    """One case, what tells that it is there, and what to do then: `response` or `seal` is None."""

    name: str
    cue: Cue
    response: Response | None
    seal: Seal | None


class Plan(NamedTuple):
    """What the body of a version says; lists are in the order in which they must stand."""

    number: int  # of the version, from 1
    first: bytes  # post id of version 1; empty in it
    previous: bytes  # post id of the version that this one is to replace; empty in version 1
    title: str
    from_s: int  # valid from, seconds since 1970,
    until_s: int  # … until
    people: tuple[bytes, ...]  # identities, ascending
    organisers: bytes  # u8 places among the people, ascending
    threshold: int  # organisers that a call or a stand-down takes
    stewards: bytes  # u8 places, in the order of their shares
    needed: int  # shares that give a key; 0 without stewards
    observers: bytes  # u8 places, ascending
    flags: int
    ephemeral: bytes  # X25519 public key of all parts; empty if nothing is sealed
    scenarios: tuple[Scenario, ...]

    def identities(self, places: Iterable[int]) -> list[bytes]:
        """Who they are: of `plan.organisers`, `plan.stewards` or `plan.observers`, in that order."""
        return [self.people[place] for place in places]

    def scenario(self, name: str) -> Scenario | None:
        """The scenario of this name."""
        return next((each for each in self.scenarios if each.name == name), None)

    def place(self, name: str) -> int:
        """The place of the scenario of this name; CallerError(not_found) if there is none."""
        for place, each in enumerate(self.scenarios):
            if each.name == name:
                return place
        raise CallerError(Code.not_found, f"there is no scenario {name} in this plan")


class Version(NamedTuple):
    """A plan and what its post says of it."""

    id: bytes  # 32: the post's
    channel: bytes  # 16: the group
    author: bytes  # 32
    time_ms: int  # as the author's clock had it
    plan: Plan

    @property
    def plan_id(self) -> bytes:
        """The post id of version 1, which names the plan in all its versions."""
        return self.plan.first or self.id


def keep_until(until_s: int) -> int:
    """The hour until which the posts of a plan that is valid until then are kept."""
    return -(-until_s // _HOUR_S) + PLAN_KEEP_HOURS


def encode(plan: Plan, author: bytes) -> bytes:
    """The body of the post in which `author` proposes this; CallerError(usage), with the reason, if it is no plan."""
    try:
        scenarios = codec.join(map(_encode_scenario, plan.scenarios))
        packed = codec.pack(*plan[:6], b"".join(plan.people), *plan[7:14], scenarios)
        parse_body(packed, author)
    except PeerError as error:
        raise CallerError(Code.usage, f"this is no plan: {error}") from None
    except OverflowError:
        raise CallerError(Code.usage, "this is no plan: a number or a scenario in it is too large") from None
    return packed


def parse(inside: Post, identity: bytes) -> Version | None:
    """The version in the post with this id, or None if it is none."""
    if inside.kind != KIND_PLAN or inside.epoch:
        return None
    try:
        plan = parse_body(inside.body, inside.author)
    except PeerError:
        return None
    if inside.keep_until != keep_until(plan.until_s):
        return None
    return Version(identity, inside.channel, inside.author, inside.time_ms, plan)


def parse_body(raw: bytes, author: bytes) -> Plan:
    """The plan in the body of a post by `author`; PeerError, with the reason, if it is none."""
    slots = codec.unpack(raw, _PLAN, LONG_BODY_SIZE_MAX)
    people = tuple(codec.chop(slots[6], ID_SIZE, GROUP_MEMBERS_MAX))
    scenarios = tuple(map(_parse_scenario, codec.split(slots[14])))
    plan = Plan._make((*slots[:6], people, *slots[7:14], scenarios))
    _check_version(plan)
    _check_people(plan)
    _check_scenarios(plan)
    _check_seals(plan, author)
    return plan


def encode_response(response: Response) -> bytes:
    """The bytes of a response; CallerError(usage), with the reason, if it is none or too long."""
    packed = codec.pack(*response[:4], codec.join(item.encode() for item in response.checklist))
    try:
        parse_response(packed)
    except PeerError as error:
        raise CallerError(Code.usage, f"this is no response: {error}") from None
    return packed


def parse_response(raw: bytes) -> Response:
    """The response in these bytes; PeerError, with the reason, if it is none."""
    text, place, at_kind, at, joined = codec.unpack(raw, _RESPONSE, RESPONSE_SIZE_MAX)
    items = codec.split(joined)
    _require(len(text.encode()) <= RESPONSE_TEXT_SIZE_MAX, "a text that is too long")
    _require(len(place.encode()) <= PLACE_SIZE_MAX, "a place that is too long")
    _require(at_kind in (AT_NONE, AT_DELAY, AT_TIME) and at <= _U32_MAX, "a time that is none")
    _require(at_kind != AT_NONE or at == 0, "a time, and that there is none")
    _require(len(items) <= CHECKLIST_MAX, "a checklist that is too long")
    _require(
        all(1 <= len(item) <= CHECKLIST_ITEM_SIZE_MAX for item in items), "an item that is empty or too long"
    )
    try:
        return Response(text, place, at_kind, at, tuple(item.decode() for item in items))
    except UnicodeDecodeError:
        raise PeerError("an item that is no text") from None


def _encode_scenario(scenario: Scenario) -> bytes:
    response = b"" if scenario.response is None else encode_response(scenario.response)
    seal = b"" if scenario.seal is None else _encode_seal(scenario.seal)
    return codec.pack(scenario.name, cues.encode(scenario.cue), response, seal)


def _parse_scenario(raw: bytes) -> Scenario:
    name, cue, response, seal = codec.unpack(raw, _SCENARIO, LONG_BODY_SIZE_MAX)
    _require(_NAME.fullmatch(name) is not None, "a scenario with no name, or a wrong one")
    _require(bool(response) != bool(seal), "a scenario whose response is neither clear nor sealed, or both")
    return Scenario(
        name,
        cues.parse(cue),
        parse_response(response) if response else None,
        _parse_seal(seal) if seal else None,
    )


def _encode_seal(seal: Seal) -> bytes:
    lock = seal.phrase
    return codec.pack(
        seal.key_hash,
        seal.ciphertext,
        b"" if lock is None else lock.salt + bytes((lock.weak,)) + lock.box,
        b"".join(seal.commitments),
        b"".join(part.day.to_bytes(_DAY_SIZE, "big") + part.box for part in seal.organiser_parts),
        b"".join(part.day.to_bytes(_DAY_SIZE, "big") + part.box for part in seal.steward_parts),
    )


def _parse_seal(raw: bytes) -> Seal:
    key_hash, ciphertext, phrase, commitments, organisers, stewards = codec.unpack(
        raw, _SEAL, LONG_BODY_SIZE_MAX
    )
    _require(len(key_hash) == _HASH_SIZE and len(ciphertext) in _CIPHERTEXT_SIZES, "a seal of the wrong size")
    _require(len(phrase) in (0, _PHRASE_SIZE), "a phrase lock of the wrong size")
    _require(not phrase or phrase[SALT_SIZE] <= 1, "a phrase lock that is neither weak nor not")
    return Seal(
        key_hash,
        ciphertext,
        PhraseLock(phrase[:SALT_SIZE], phrase[SALT_SIZE] == 1, phrase[SALT_SIZE + 1 :]) if phrase else None,
        tuple(codec.chop(commitments, _HASH_SIZE, STEWARDS_MAX)),
        tuple(map(_parse_part, codec.chop(organisers, _ORGANISER_PART_SIZE, GROUP_MEMBERS_MAX))),
        tuple(map(_parse_part, codec.chop(stewards, _STEWARD_PART_SIZE, STEWARDS_MAX))),
    )


def _parse_part(raw: bytes) -> Part:
    return Part(int.from_bytes(raw[:_DAY_SIZE], "big"), raw[_DAY_SIZE:])


def _check_version(plan: Plan) -> None:
    size = 0 if plan.number == 1 else ID_SIZE
    _require(plan.number >= 1, "a version 0")
    _require(
        len(plan.first) == len(plan.previous) == size, "a version that follows none, or a first that does"
    )
    _require(1 <= len(plan.title.encode()) <= NAME_SIZE_MAX, "a title that is empty or too long")
    _require(plan.from_s < plan.until_s <= _U32_MAX, "an end that is not after the beginning, or no time")
    _require(plan.until_s <= plan.from_s + PLAN_DAYS_MAX * 24 * _HOUR_S, "an end that is too late")
    _require(plan.flags <= FREEZE_WHEN_DARK | SINGLE, "a flag that nobody knows")


def _check_people(plan: Plan) -> None:
    stewards, alone = len(plan.stewards), plan.threshold == 1 < len(plan.organisers)
    places = (*plan.organisers, *plan.stewards, *plan.observers)
    _require(all(place < len(plan.people) for place in places), "somebody who is not among the people")
    _require(_ascending(plan.people), "people twice or out of order")
    _require(_ascending(plan.organisers), "organisers twice or out of order")
    _require(_ascending(plan.observers), "observers twice or out of order")
    _require(len(set(plan.stewards)) == stewards, "a steward twice")
    _require(
        1 <= plan.threshold <= len(plan.organisers),
        "a threshold of none, or of more than there are organisers",
    )
    _require(
        not alone or bool(plan.flags & SINGLE), "one of several organisers alone, and no flag that says so"
    )
    _require(stewards <= STEWARDS_MAX, "too many stewards")
    _require(
        2 <= plan.needed <= stewards or plan.needed == stewards == 0, "too few shares needed, or too many"
    )


def _check_scenarios(plan: Plan) -> None:
    _require(1 <= len(plan.scenarios) <= SCENARIOS_MAX, "no scenario, or too many")
    _require(
        len({scenario.name for scenario in plan.scenarios}) == len(plan.scenarios),
        "two scenarios of one name",
    )
    for scenario in plan.scenarios:
        leaves = list(cues.leaves(scenario.cue))
        has_phrase = scenario.seal is not None and scenario.seal.phrase is not None
        _require(has_phrase or Phrase() not in leaves, "a cue that waits for a phrase, and no phrase lock")
        for leaf in leaves:
            if isinstance(leaf, Dark):
                _require(
                    leaf.observers <= len(plan.observers), "a cue that needs more observers than there are"
                )
            elif isinstance(leaf, Silence):
                _require(
                    leaf.person < len(plan.people), "the silence of somebody who is not among the people"
                )
                others = len(plan.observers) - (leaf.person in plan.observers)
                _require(leaf.observers <= others, "a cue that needs more observers than there are")
    order = cues.in_order([scenario.cue for scenario in plan.scenarios])
    _require(
        len(order) == len(plan.scenarios), "a cue that waits for itself, or for a scenario that is not there"
    )


def _check_seals(plan: Plan, author: bytes) -> None:
    seals = [scenario.seal for scenario in plan.scenarios if scenario.seal is not None]
    organisers, stewards = plan.identities(plan.organisers), plan.identities(plan.stewards)
    _require(
        len(plan.ephemeral) == (KEY_SIZE if seals else 0),
        "a key for parts, and no parts, or the other way round",
    )
    for seal in seals:
        has_shares = bool(seal.commitments)
        _require(len(seal.commitments) in (0, len(stewards)), "not a commitment for each steward")
        _require(len(seal.organiser_parts) == len(organisers), "not a part for each organiser")
        _require(len(seal.steward_parts) == has_shares * len(stewards), "not a part for each steward")
        for owner, part in (*zip(organisers, seal.organiser_parts), *zip(stewards, seal.steward_parts)):  # noqa: B905
            _require(
                (owner == author) != (part.day > 0 or any(part.box)),
                "a part that is empty, or one for its author",
            )


def _require(right: bool, why: str) -> None:
    if not right:
        raise PeerError(why)


def _ascending(items: Sequence[bytes] | bytes) -> bool:
    return all(a < b for a, b in pairwise(items))  # type: ignore[operator]
