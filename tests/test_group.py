"""A group as one member sees it: who is pending, and what is to be done, by whom and when."""

import random

import pytest

from meshd.groups import acts, epochs
from meshd.groups.epochs import STRICT, Cosign, Epoch
from meshd.groups.group import Duty, Group, Task, reseal_due
from meshd.groups.turns import Turns
from meshd.limits import (
    EPOCH_RENEW_MS,
    EPOCHS_EACH_MAX,
    GROUP_MEMBERS_MAX,
    HEAL_EACH_MS,
    KEEP_HOURS_MAX,
    LONG_BODY_SIZE_MAX,
    RESEAL_HOURS,
    UPKEEP_EACH_MS,
)
from meshd.post import HOUR_MS
from meshd.statement import ADD_MEMBER, REMOVE_MEMBER, Statement
from tests import group_people
from tests.group_people import ASH, CHANNEL, ELM, FIR, NOW_MS, OAK, Person

NOW_HOUR = NOW_MS // HOUR_MS


def seen_by(who: Person, made: group_people.Group, seed: int = 1) -> Group:
    group = Group(who.id, CHANNEL, made.root.id, random.Random(seed))
    group.dag.add(*made.dag.held.values())
    return group


def test_takes_few_epochs_of_one_who_is_no_admin_whatever_others_have_signed():
    made = group_people.Group()
    last = made.with_people(ELM, ASH, FIR)
    for _ in range(EPOCHS_EACH_MAX + 1):
        made.make(ELM, last, ("remove", FIR), by=[FIR])
    group = seen_by(ASH, made)
    more = made.make(ELM, last, ("remove", FIR), by=[FIR])
    assert not group.takes(more) and group.takes(made.make(ASH, last, ("remove", FIR), by=[FIR]))
    group.dag.add(made.make(ASH, more))
    assert group.takes(more)
    for _ in range(EPOCHS_EACH_MAX + 2):
        group.dag.add(made.make(OAK, last, ("remove", FIR)))
    assert group.takes(made.make(OAK, last)) and group.takes(made.make(OAK, last, ("remove", ELM)))


# --- turns ---


def test_turns_wait_and_forget():
    turns = Turns(random.Random(5))
    assert turns.deadline() is None and turns.ready({b"a": 1000, b"b": 1000}, 0) == []
    first = turns.deadline()
    assert first is not None and 0 < first <= 1000
    (one,) = turns.ready({b"a": 1000, b"b": 1000}, first)
    assert turns.ready({}, first) == [] and turns.deadline() is None
    assert turns.ready({one: 0}, first) == [one]


def test_turns_draw_the_same_whatever_the_order():
    one, two = Turns(random.Random(5)), Turns(random.Random(5))
    one.ready({b"a": 1000, b"b": 1000}, 0)
    two.ready({b"b": 1000, b"a": 1000}, 0)
    assert one.deadline() == two.deadline()


def test_what_was_ready_and_is_wanted_still_waits_anew():
    turns = Turns(random.Random(5))
    assert turns.ready({b"a": 0}, 7) == [b"a"]
    assert turns.ready({b"a": 1000}, 7) == [] and turns.deadline() > 7


# --- pending ---


def test_pending():
    made = group_people.Group()
    last = made.make(ASH, made.with_people(ELM, ASH, FIR))
    group = seen_by(OAK, made)
    assert group.pending((), ()) == sorted((ELM.id, FIR.id))  # not ASH, who made the epoch
    assert group.pending([ELM.id], [FIR.id]) == sorted((ELM.id, FIR.id))
    assert group.pending([ELM.id], [ELM.id]) == [FIR.id]
    group.wrote(FIR.id, last.id)
    group.wrote(ELM.id, made.root.id)  # under another epoch: shows nothing
    assert group.pending((), ()) == [ELM.id]


def test_all_are_pending_who_have_to_heal_first():
    made = group_people.Group()
    last = made.with_people(ELM, ASH, FIR, admins=[ELM])
    made.make(OAK, last, ("remove", ASH))
    made.make(ELM, last, ("remove", FIR))
    assert seen_by(OAK, made).pending([ELM.id], [ELM.id]) == [ELM.id]


def test_strict():
    assert seen_by(OAK, group_people.Group()).keep_hours_max() == KEEP_HOURS_MAX
    assert seen_by(OAK, group_people.Group(flags=STRICT)).keep_hours_max() == 24


# --- duties ---


def first_duty(group: Group, expiries: dict[bytes, int], now_ms: int) -> tuple[list[Duty], int]:
    """What is done first, and when."""
    while not (duties := group.due(now_ms, expiries)):
        deadline = group.deadline(now_ms)
        assert deadline is not None and deadline > now_ms
        now_ms = deadline
    return duties, now_ms


def test_renewed_after_seven_days():
    made = group_people.Group()
    last = made.with_people(ELM)
    duties, at = first_duty(seen_by(ELM, made), {}, NOW_MS)
    assert duties == [Duty(Task.renew, (last.id,))]
    assert EPOCH_RENEW_MS <= at - NOW_MS <= EPOCH_RENEW_MS + 2 * UPKEEP_EACH_MS


def test_not_renewed_if_another_did():
    made = group_people.Group()
    last = made.with_people(ELM)
    group = seen_by(ELM, made)
    then = NOW_MS + EPOCH_RENEW_MS
    assert group.due(then, {}) == []
    group.dag.add(made.make(OAK, last, now_ms=then))
    assert group.due(then + 2 * UPKEEP_EACH_MS, {}) == []
    assert group.deadline(then) == then + EPOCH_RENEW_MS


def test_healed_soon():
    made = group_people.Group()
    last = made.with_people(ELM, ASH, admins=[ELM])
    ends = {made.make(OAK, last, ("add", FIR)).id, made.make(ELM, last, ("remove", ASH)).id}
    (duty,), at = first_duty(seen_by(OAK, made), {}, NOW_MS)
    assert duty.task is Task.heal and set(duty.epochs) == ends and at - NOW_MS <= 3 * HEAL_EACH_MS
    out = seen_by(ASH, made)
    assert out.due(NOW_MS + EPOCH_RENEW_MS, dict.fromkeys(ends, 0)) == []  # who is out has no duties


@pytest.mark.parametrize("left, due", [(0, True), (RESEAL_HOURS // 4 - 1, True), (RESEAL_HOURS // 4, False)])
def test_sealed_anew_in_the_last_quarter(left, due):
    assert reseal_due(NOW_MS, NOW_HOUR + left) is due
    made = group_people.Group()
    last = made.with_people(ELM)
    group = seen_by(ELM, made)
    group.due(NOW_MS, {last.id: NOW_HOUR + left, bytes(32): 0})
    found = group.due(NOW_MS + 2 * UPKEEP_EACH_MS, {last.id: NOW_HOUR + left, bytes(32): 0})
    assert found == ([Duty(Task.reseal, (last.id,))] if due else [])


# --- the largest ---


def test_the_largest_epoch_fits():
    """200 members, all but one added at once, and the signatures of a majority."""
    people = [Person(f"member {number}") for number in range(GROUP_MEMBERS_MAX)]
    made = group_people.Group(people[0])
    does = {(ADD_MEMBER, person.id): {} for person in people[1:]}
    rows = [person.row for person in people[1:]]
    full = made.take(people[0], acts.draft(made.dag, people[0].id, NOW_MS, [made.root.id], does, rows))
    said = Statement(REMOVE_MEMBER, CHANNEL, full.id, people[0].id)
    signatures = {person.id: person.sign(said) for person in people[1:101]}
    act = {(REMOVE_MEMBER, people[0].id): signatures}
    removed = made.take(people[1], acts.draft(made.dag, people[1].id, NOW_MS, [full.id], act))
    assert len(made.dag.membership().members) == GROUP_MEMBERS_MAX - 1
    sizes = [len(epochs.encode(each.body)) for each in (full, removed)]
    most = Epoch(b"", CHANNEL, people[0].id, NOW_MS, full.body)._replace(
        body=full.body._replace(
            parents=(full.id,),
            admins=bytes(range(GROUP_MEMBERS_MAX)),
            name="n" * 64,
            cosigns=tuple(Cosign(0, place, bytes(64)) for place in range(GROUP_MEMBERS_MAX // 2 + 1)),
        )
    )
    assert epochs.fits(most) and max(*sizes, len(epochs.encode(most.body))) <= LONG_BODY_SIZE_MAX
