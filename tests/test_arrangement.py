"""What follows from what was said about plans: the same for everybody, in whatever order it came."""

import random
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd.limits import CALL_SPAN_MS, CALLS_EACH_MAX
from meshd.plans import locks, shares
from meshd.plans.act import Act
from meshd.plans.arrangement import Arrangement, Called, Line, Said
from meshd.plans.plan import SINGLE, PhraseLock, Plan, Version
from meshd.statement import CALL, KEY, SHARE, SIGN_PLAN, STAND_DOWN, Statement
from tests.plan_parts import CHANNEL, FROM_S, PEOPLE, PLAN, SCENARIOS, SEAL, seeded

OAK, FERN = (PEOPLE[place] for place in PLAN.organisers)
STRANGER = PEOPLE[4]  # named in the plan, with no office in it
BEGIN_MS, END_MS = FROM_S * 1000, PLAN.until_s * 1000
BRIDGE = "bridge-closed"
KEY_BYTES = b"k" * 16
SHARES = shares.split(KEY_BYTES, 2, 3, seeded("shares"))
SEALED = SEAL._replace(
    key_hash=locks.key_hash(CHANNEL, KEY_BYTES),
    commitments=tuple(shares.commitment(CHANNEL, share) for share in SHARES),
)
FIRST = Version(
    b"1" * 32,
    CHANNEL,
    PEOPLE[2],
    0,
    PLAN._replace(scenarios=(SCENARIOS[0]._replace(seal=SEALED), *SCENARIOS[1:])),
)


def following(id: bytes, before: Version = FIRST, **changes: object) -> Version:
    plan: Plan = before.plan._replace(
        number=before.plan.number + 1,
        first=FIRST.id,
        previous=before.id,
        **changes,  # type: ignore[arg-type]
    )
    return Version(id, CHANNEL, PEOPLE[2], 0, plan)


SECOND = following(b"2" * 32)
RIVAL = following(b"3" * 32, title="Sunday")


def said(
    who: bytes,
    purpose: int,
    version: Version = FIRST,
    subject: str = "",
    *,
    ms: int = BEGIN_MS,
    drill: bool = False,
    payload: bytes = b"",
) -> Said:
    statement = Statement(purpose, CHANNEL, version.id, subject.encode(), int(drill))
    id = random.Random(repr((who, statement, ms, payload))).randbytes(32)
    return Said(ms, id, who, Act(statement, bytes(64), payload))


def signed(*versions: Version, by: Iterable[bytes] = (OAK, FERN), ms: int = BEGIN_MS - 1) -> list[Said]:
    return [said(who, SIGN_PLAN, version, ms=ms) for version in versions for who in by]


def arrangement(*known: Version | Said) -> Arrangement:
    made = Arrangement()
    for each in sorted(known, key=lambda each: isinstance(each, Said)):
        assert made.add_version(each) if isinstance(each, Version) else made.add(each)
    return made


ARRANGED: tuple[Version | Said, ...] = (FIRST, *signed(FIRST))


# --- versions ---


def test_a_version_is_arranged_once_enough_organisers_signed_it() -> None:
    made = arrangement(FIRST)
    assert made.line(FIRST.id) == Line((), frozenset()) and made.needed(FIRST) == 2
    assert made.add(said(OAK, SIGN_PLAN)) and not made.line(FIRST.id).versions
    assert not made.add(said(OAK, SIGN_PLAN)), "twice"
    again = said(OAK, SIGN_PLAN, ms=BEGIN_MS + 1)
    assert not made.add(again) and not made.line(FIRST.id).versions, "one organiser twice"
    assert not made.add(said(STRANGER, SIGN_PLAN)) and not made.line(FIRST.id).versions
    assert made.add(said(FERN, SIGN_PLAN)) and made.line(FIRST.id).versions == (FIRST,)
    assert made.signers(FIRST) == {OAK, FERN}


def test_what_is_said_of_a_version_that_is_not_here_is_not_taken_yet() -> None:
    made = arrangement()
    assert not made.add(said(OAK, SIGN_PLAN))
    assert made.add_version(FIRST) and not made.add_version(FIRST)
    assert made.add(said(OAK, SIGN_PLAN))
    elsewhere = said(FERN, SIGN_PLAN)
    statement = elsewhere.act.statement._replace(channel=b"o" * 16)
    assert not made.add(elsewhere._replace(act=elsewhere.act._replace(statement=statement)))


def test_E09_only_the_organisers_of_a_version_replace_it() -> None:
    other = following(b"2" * 32, organisers=bytes((0, 1)), threshold=1, flags=SINGLE)
    made = arrangement(*ARRANGED, other)
    assert made.needed(other) == 2, "the threshold of the version before"
    assert made.add(said(OAK, SIGN_PLAN, other)) and made.line(FIRST.id).versions == (FIRST,)
    for who in (PEOPLE[0], PEOPLE[1], STRANGER):
        assert not made.add(said(who, SIGN_PLAN, other))
    assert made.line(FIRST.id).versions == (FIRST,)
    assert made.add(said(FERN, SIGN_PLAN, other)) and made.line(FIRST.id).versions == (FIRST, other)


def test_of_two_successors_the_lower_id_stands_and_the_other_is_contested() -> None:
    made = arrangement(*ARRANGED, RIVAL, *signed(RIVAL))
    assert made.line(FIRST.id).versions == (FIRST, RIVAL)
    third = following(b"0" * 32, RIVAL)
    made = arrangement(*ARRANGED, SECOND, RIVAL, third, *signed(RIVAL, SECOND, third))
    assert made.line(FIRST.id) == Line((FIRST, SECOND), frozenset({RIVAL.id})), "nor what follows the other"


@pytest.mark.parametrize(
    "changes",
    [
        {"number": 3},
        {"first": b"9" * 32},
        {"previous": b"9" * 32},
        {"number": 1, "first": b"", "previous": b""},
    ],
)
def test_a_version_that_follows_another_wrongly_is_never_arranged(changes: dict[str, object]) -> None:
    wrong = SECOND._replace(plan=SECOND.plan._replace(**changes))  # type: ignore[arg-type]
    made = arrangement(*ARRANGED, wrong)
    for act in signed(wrong):
        made.add(act)
    assert made.line(FIRST.id).versions == (FIRST,)


def test_a_version_whose_judge_is_not_here_can_not_be_judged() -> None:
    orphan = following(b"4" * 32, SECOND)
    child = following(b"5" * 32, orphan)  # which says that the orphan is the first of its plan
    child = child._replace(plan=child.plan._replace(first=orphan.id))
    made = arrangement(orphan, child)
    assert made.needed(orphan) is None and made.needed(child) is None
    assert made.line(child.plan_id) == made.line(FIRST.id) == Line((), frozenset())
    assert made.span_ms(orphan) == (1, 0)


def test_who_does_not_count_signs_for_nothing() -> None:
    out = {FERN}
    made = Arrangement(lambda each: each.author not in out)
    made.add_version(FIRST)
    for act in signed(FIRST):
        assert made.add(act)
    assert not made.line(FIRST.id).versions and made.signers(FIRST) == {OAK}
    out.clear()
    assert made.line(FIRST.id).versions == (FIRST,)


# --- calls ---


def called(*acts: Said, is_drill: bool = False) -> Called:
    return arrangement(*ARRANGED, *acts).called(FIRST, BRIDGE, is_drill=is_drill)


def call(who: bytes, ms: int = BEGIN_MS, *, drill: bool = False, version: Version = FIRST) -> Said:
    return said(who, CALL, version, BRIDGE, ms=ms, drill=drill)


def test_L05_a_call_needs_as_many_distinct_organisers_as_the_threshold() -> None:
    assert called() == Called(frozenset(), None)
    assert called(call(OAK), call(OAK, BEGIN_MS + 5)) == Called(frozenset({OAK}), None)
    assert called(call(OAK), call(FERN, BEGIN_MS + 5)) == Called(frozenset({OAK, FERN}), BEGIN_MS + 5)
    made = arrangement(*ARRANGED)
    assert not made.add(call(STRANGER)) and not made.add(said(OAK, CALL, FIRST, "no-such"))
    assert made.called(FIRST, BRIDGE, is_drill=False).ms is None


def test_calls_count_together_within_twelve_hours() -> None:
    assert called(call(OAK), call(FERN, BEGIN_MS + CALL_SPAN_MS)).ms == BEGIN_MS + CALL_SPAN_MS
    late = BEGIN_MS + CALL_SPAN_MS + 1
    three = FIRST._replace(plan=FIRST.plan._replace(organisers=bytes(range(3)), threshold=3))
    who = three.plan.identities(three.plan.organisers)
    few = [call(who[0]), call(who[1]), call(who[2], late)]
    made = arrangement(three, *signed(three, by=who), *few)
    assert made.called(three, BRIDGE, is_drill=False) == Called(frozenset(who[:2]), None), "two were the most"
    assert called(call(OAK), call(FERN, late)) == Called(frozenset({FERN}), None)
    assert called(call(OAK), call(FERN, late), call(OAK, late + 7)).ms == late + 7, "called again"


def test_a_call_counts_while_the_version_is_valid() -> None:
    for ms in (BEGIN_MS - 1, END_MS + 1):
        assert called(call(OAK, ms), call(FERN, ms)) == Called(frozenset(), None)
    assert called(call(OAK, END_MS), call(FERN, END_MS)).ms == END_MS


def test_L06_a_call_for_a_version_that_was_replaced_counts_only_if_it_was_made_before() -> None:
    replaced = BEGIN_MS + 1000
    newer: tuple[Version | Said, ...] = (SECOND, *signed(SECOND, ms=replaced))
    made = arrangement(*ARRANGED, *newer, call(OAK, replaced - 1), call(FERN, replaced))
    assert made.called(FIRST, BRIDGE, is_drill=False).ms is None
    assert made.called(SECOND, BRIDGE, is_drill=False) == Called(frozenset(), None), "another version"
    made = arrangement(*ARRANGED, *newer, call(OAK, replaced - 2), call(FERN, replaced - 1))
    assert made.called(FIRST, BRIDGE, is_drill=False).ms == replaced - 1


def test_a_version_that_is_replaced_after_its_end_had_ended_before() -> None:
    made = arrangement(*ARRANGED, SECOND, *signed(SECOND, ms=END_MS + 5000))
    assert made.line(FIRST.id).versions == (FIRST, SECOND) and made.span_ms(FIRST) == (BEGIN_MS, END_MS)
    for act in (call(OAK, END_MS + 1), call(FERN, END_MS + 1)):
        assert made.add(act)
    assert made.called(FIRST, BRIDGE, is_drill=False).ms is None


def test_a_call_counts_for_nothing_in_a_version_that_is_not_arranged_or_contested() -> None:
    calls = [call(who, version=RIVAL) for who in (OAK, FERN)]
    assert arrangement(*ARRANGED, RIVAL, *calls).called(RIVAL, BRIDGE, is_drill=False).ms is None
    contested = arrangement(*ARRANGED, SECOND, RIVAL, *signed(SECOND, RIVAL), *calls)
    assert contested.called(RIVAL, BRIDGE, is_drill=False).ms is None


def test_a_drill_and_what_is_real_never_meet() -> None:
    mixed = call(OAK, drill=True), call(FERN)
    assert called(*mixed).ms is None and called(*mixed, is_drill=True).ms is None
    drilled = call(OAK, drill=True), call(FERN, drill=True)
    assert called(*drilled).ms is None and called(*drilled, is_drill=True).ms == BEGIN_MS


def test_who_calls_again_and_again_is_heard_with_the_earliest() -> None:
    made = arrangement(*ARRANGED)
    kept = [made.add(call(OAK, BEGIN_MS + ms)) for ms in range(CALLS_EACH_MAX + 3)]
    assert kept == [True] * CALLS_EACH_MAX + [False] * 3
    dropped: list[Said] = []
    made.dropped = dropped.append
    assert not made.add(call(OAK, BEGIN_MS + CALLS_EACH_MAX)) and not dropped, "it never was held"
    assert made.add(call(OAK, BEGIN_MS - 1)) and dropped == [call(OAK, BEGIN_MS + CALLS_EACH_MAX - 1)]


def test_one_call_is_held_once() -> None:
    made = arrangement(*ARRANGED, call(OAK))
    assert not made.add(call(OAK)) and list(made.all(FIRST, CALL, BRIDGE)) == [call(OAK)]


# --- stand-downs ---


def test_L06_a_stand_down_beats_a_call_whatever_came_first() -> None:
    acts = [call(OAK), call(FERN), said(OAK, STAND_DOWN), said(FERN, STAND_DOWN, FIRST, BRIDGE)]
    for order in (acts, acts[::-1]):
        made = arrangement(*ARRANGED, *order)
        assert made.is_stood_down(FIRST, BRIDGE), "one of all and one of this are two"
        assert not made.is_stood_down(FIRST, "blackout") and not made.is_stood_down(
            FIRST, BRIDGE, is_drill=True
        )
        assert made.stand_downs() == {acts[2].id, acts[3].id}
    assert not arrangement(*ARRANGED, *acts[:3]).is_stood_down(FIRST, BRIDGE)
    assert not arrangement(*ARRANGED).add(said(STRANGER, STAND_DOWN))


def test_E10_caution_may_come_from_who_does_not_count() -> None:
    made = Arrangement(lambda each: each.author != FERN or each.act.statement.purpose == SIGN_PLAN)
    made.add_version(FIRST)
    for act in (*signed(FIRST), call(OAK), call(FERN), said(OAK, STAND_DOWN), said(FERN, STAND_DOWN)):
        assert made.add(act)
    assert made.called(FIRST, BRIDGE, is_drill=False) == Called(frozenset({OAK}), None)
    assert made.is_stood_down(FIRST, BRIDGE)


# --- keys and shares ---


def test_a_key_opens_whoever_passes_it_on_and_a_wrong_one_is_not_taken() -> None:
    made = arrangement(*ARRANGED)
    assert not made.add(said(OAK, KEY, FIRST, BRIDGE, payload=b"x" * 16))
    assert not made.add(said(OAK, KEY, FIRST, "blackout", payload=KEY_BYTES)), "is not sealed"
    assert made.passed_key(FIRST, BRIDGE) is None
    late = said(STRANGER, KEY, FIRST, BRIDGE, payload=KEY_BYTES, ms=BEGIN_MS + 9)
    early = said(OAK, KEY, FIRST, BRIDGE, payload=KEY_BYTES)
    assert made.add(late) and made.add(early) and made.passed_key(FIRST, BRIDGE) == early


def release(place: int, share: bytes, ms: int = BEGIN_MS) -> Said:
    return said(PEOPLE[PLAN.stewards[place]], SHARE, FIRST, BRIDGE, payload=share, ms=ms)


def test_L02_a_false_share_names_its_holder_and_the_rest_open() -> None:
    false = bytearray(SHARES[0])
    false[12] ^= 1
    made = arrangement(*ARRANGED, release(0, bytes(false)), release(1, SHARES[1]))
    scenario = FIRST.plan.scenarios[0]
    combined, liars = made.released(FIRST, scenario)
    assert combined is not None and combined.key is None and combined.true == (1,)
    assert liars == {PEOPLE[PLAN.stewards[0]]}
    made.add(release(2, SHARES[2]))
    combined, liars = made.released(FIRST, scenario)
    assert combined is not None and combined.key == KEY_BYTES and liars == {PEOPLE[PLAN.stewards[0]]}
    made.add(release(0, SHARES[0], BEGIN_MS + 1))
    assert made.released(FIRST, scenario)[1] == frozenset(), "it was mistyped"


def test_L09_one_share_is_shown_as_one_and_only_stewards_release_any() -> None:
    made = arrangement(*ARRANGED, release(1, SHARES[1]))
    combined, _ = made.released(FIRST, FIRST.plan.scenarios[0])
    assert combined is not None and combined.true == (1,) and combined.key is None
    assert not made.add(said(STRANGER, SHARE, FIRST, BRIDGE, payload=SHARES[0]))
    steward = PEOPLE[PLAN.stewards[0]]
    assert not made.add(said(steward, SHARE, FIRST, "blackout", payload=SHARES[0])), "is not sealed"
    assert not made.add(said(PEOPLE[PLAN.stewards[0]], SHARE, FIRST, "by-voice", payload=SHARES[0])), (
        "no shares"
    )
    assert made.released(FIRST, FIRST.plan.scenarios[2]) == (None, frozenset())


# --- whatever the order ---

EVERYTHING: tuple[Version | Said, ...] = (
    FIRST,
    SECOND,
    RIVAL,
    *signed(FIRST, RIVAL),
    *signed(SECOND, ms=BEGIN_MS + 5000),
    *[call(who, BEGIN_MS + ms, drill=ms == 4) for ms in (0, 4, 4000, 6000) for who in (OAK, FERN)],
    *[call(who, BEGIN_MS + 7000, version=SECOND) for who in (OAK, FERN)],
    said(OAK, STAND_DOWN),
    said(FERN, STAND_DOWN, SECOND, BRIDGE),
    said(OAK, STAND_DOWN, SECOND, BRIDGE),
    *[release(place, SHARES[place], BEGIN_MS + place) for place in range(3)],
    release(0, SHARES[1]),
    said(STRANGER, KEY, FIRST, BRIDGE, payload=KEY_BYTES),
)


def outcome(made: Arrangement) -> object:
    versions = [made.versions[id] for id in sorted(made.versions)]
    scenarios = [(version, scenario) for version in versions for scenario in version.plan.scenarios]
    return (
        made.line(FIRST.id),
        [made.signers(version) for version in versions],
        [
            (
                made.called(version, each.name, is_drill=drill),
                made.against(version, each.name, is_drill=drill),
            )
            for version, each in scenarios
            for drill in (False, True)
        ],
        [(made.passed_key(version, each.name), made.released(version, each)) for version, each in scenarios],
    )


@given(st.permutations(EVERYTHING), st.sets(st.sampled_from(range(len(EVERYTHING)))))
def test_the_set_decides_and_not_the_order(order: list[Version | Said], left_out: set[int]) -> None:
    known = [each for each in order if EVERYTHING.index(each) not in left_out]

    def hear(made: Arrangement, all_said: Iterable[Version | Said]) -> Arrangement:
        waiting = list(all_said)
        for _ in range(3):  # what is not taken is looked at again when another version has come
            for each in waiting:
                made.add_version(each) if isinstance(each, Version) else made.add(each)
        return made

    straight = [each for each in EVERYTHING if each in known]
    assert outcome(hear(Arrangement(), known)) == outcome(hear(Arrangement(), straight))


def test_a_phrase_lock_alone_has_no_shares_to_release() -> None:
    sealed = SEALED._replace(commitments=(), steward_parts=(), phrase=PhraseLock(b"s" * 16, False, b"b" * 32))
    version = FIRST._replace(plan=FIRST.plan._replace(scenarios=(SCENARIOS[0]._replace(seal=sealed),)))
    made = arrangement(version)
    assert not made.add(release(0, SHARES[0]))
