"""Epochs that did not know of each other, that are not there yet, or that a forked key made; and directs."""

import itertools

import pytest

from meshd.errors import CallerError
from meshd.groups import acts
from meshd.groups.dag import Dag, Standing, Status
from meshd.groups.epochs import DIRECT
from tests.group_people import (
    ASH,
    BAY,
    ELM,
    FIR,
    NOW_MS,
    OAK,
    YEW,
    Group,
    admins,
    agree,
    members,
    names,
    posted,
)

DAY_MS = 24 * 3_600_000


# --- races ---


def test_concurrent_changes_heal():
    group = Group()
    last = group.with_people(ELM, ASH, admins=[ELM])
    one, two = group.make(OAK, last, ("add", FIR)), group.make(ELM, last, ("add", YEW))
    dag = agree(group)
    assert members(dag) == "ash elm fir oak yew"
    assert dag.current(OAK.id).id == min(one.id, two.id)
    assert (dag.current(FIR.id), dag.current(YEW.id)) == (one, two)
    assert dag.loose_ends(ASH.id) == tuple(sorted((one.id, two.id)))
    healed = group.make(ASH, [one, two])
    dag = agree(group)
    assert all(dag.current(person.id) == healed for person in (OAK, ELM, ASH, FIR, YEW))
    assert dag.loose_ends(ASH.id) == ()


def test_concurrent_removals_leave_nothing_to_post_under_until_healed():
    group = Group()
    last = group.with_people(ELM, ASH, FIR, admins=[ELM])
    one, two = group.make(OAK, last, ("remove", ASH)), group.make(ELM, last, ("remove", FIR))
    dag = agree(group)
    assert members(dag) == "elm oak" and dag.current(OAK.id) is None
    healed = group.make(OAK, [one, two])
    assert agree(group).current(ELM.id) == healed


def test_concurrent_renewals_need_no_healing():
    group = Group()
    last = group.with_people(ELM, ASH)
    made = [group.make(person, last) for person in (OAK, ELM, ASH)]
    dag = agree(group)
    assert dag.current(OAK.id).id == min(epoch.id for epoch in made)
    assert dag.loose_ends(OAK.id) == ()


def test_the_deepest_that_excludes_who_is_out():
    group = Group()
    last = group.with_people(ELM, ASH)
    removed = group.make(OAK, last, ("remove", ASH))
    deeper = group.make(ELM, group.make(ELM, group.make(ELM, last)))
    dag = agree(group)
    assert deeper.body.depth > removed.body.depth and dag.current(OAK.id) == removed
    assert dag.current(ASH.id) is None


def test_an_addition_that_knows_the_removal_counts():
    group = Group()
    last = group.with_people(ELM, ASH)
    removed = group.make(OAK, last, ("remove", ASH))
    beside = group.make(ASH, last)
    back = group.make(OAK, removed, ("add", ASH))
    dag = agree(group)
    assert members(dag) == "ash elm oak" and dag.current(ASH.id) == back
    assert dag.loose_ends(OAK.id) == () and beside.id in dag.held


def test_the_same_removal_carried_twice_is_one():
    group = Group()
    last = group.with_people(ELM, ASH, FIR, admins=[ELM, ASH])
    removed = group.make(ELM, last, ("remove", ASH), by=[OAK])
    back = group.make(OAK, removed, ("add", ASH))
    again = group.make(FIR, last, ("remove", ASH), by=[OAK, ELM])  # the old signatures, used by another
    assert group.dag.status(again.id) is Status.valid
    dag = agree(group)
    assert members(dag) == "ash elm fir oak" and dag.current(ASH.id) == back


def test_somebody_leaves_beside_anything():
    group = Group()
    last = group.with_people(ELM, ASH, FIR, admins=[ELM])
    out = group.make(ASH, last, ("remove", ELM), by=[ELM])
    group.make(
        ELM, group.make(ELM, group.make(OAK, last, ("add", YEW)), ("admin", FIR), by=[OAK]), ("add", BAY)
    )
    dag = agree(group)
    assert (members(dag), admins(dag)) == ("ash fir oak yew", "oak")
    back = group.make(OAK, out, ("add", ELM))
    assert group.dag.membership(back.id).admins == {OAK.id}
    group.make(FIR, last, ("remove", ELM), by=[ELM])  # the same leaving once more
    assert members(agree(group)) == "ash elm fir oak yew"
    group.make(FIR, back, ("remove", ELM), by=[ELM])  # and another
    assert members(agree(group)) == "ash fir oak yew"


def test_what_a_removed_admin_gave_beside_it_counts_for_nothing():
    group = Group()
    last = group.with_people(ELM, ASH, FIR, admins=[ELM, ASH])
    out = group.make(OAK, last, ("remove", ELM), by=[ASH])
    spy = group.make(ELM, last, ("add", YEW))
    spies = group.make(ELM, spy, ("add", BAY))
    dag = agree(group)
    assert (members(dag), admins(dag)) == ("ash fir oak", "ash oak")
    assert all(dag.status(epoch.id) is Status.valid for epoch in (spy, spies))
    assert dag.current(OAK.id) == out
    assert dag.standing(YEW.id, spies.id, lambda id: True) is Standing.after_removal


def test_what_an_unwanted_admins_admin_gives_counts_for_nothing():
    group = Group()
    last = group.with_people(ELM, ASH, admins=[ELM])
    alone = group.make(ELM, last, ("remove", OAK))
    second = group.make(ELM, group.make(ELM, alone, ("add", YEW)), ("admin", YEW))
    group.make(YEW, second, ("add", BAY))
    assert members(group.dag) == "ash bay elm yew"
    group.make(OAK, last, ("remove", ELM))
    assert (members(agree(group)), admins(group.dag)) == ("ash", "")


def test_who_was_added_for_nothing_is_no_admin_whoever_made_him_one():
    group = Group()
    last = group.with_people(ELM, ASH, FIR, admins=[ELM, ASH])
    group.make(OAK, group.make(ELM, last, ("add", YEW)), ("admin", YEW), by=[ASH])
    assert admins(group.dag) == "ash elm oak yew"
    group.make(OAK, last, ("remove", ELM), by=[ASH])
    assert (members(agree(group)), admins(group.dag)) == ("ash fir oak", "ash oak")


def test_a_right_given_elsewhere_does_not_mend_what_was_done_without_one():
    group = Group()
    last = group.with_people(ELM, ASH, FIR, admins=[ELM, ASH])
    there = group.make(ELM, group.make(ELM, last, ("add", YEW)), ("admin", YEW), by=[ASH])
    group.make(YEW, there, ("add", BAY))
    here = group.make(OAK, last, ("remove", ELM), by=[ASH])
    group.make(OAK, group.make(OAK, here, ("add", YEW)), ("admin", YEW), by=[ASH])
    assert (members(agree(group)), admins(group.dag)) == ("ash fir oak yew", "ash oak yew")


def test_removals_by_who_is_removed_beside_them_stay():
    group = Group()
    last = group.with_people(ELM, ASH, FIR, admins=[ELM])
    group.make(OAK, last, ("remove", ELM))
    group.make(ELM, last, ("remove", ASH))
    assert members(agree(group)) == "fir oak"


def test_more_ends_than_one_epoch_may_name():
    group = Group()
    last = group.with_people(ELM, ASH, FIR, YEW, BAY)
    for person, by in itertools.product((ELM, ASH, FIR), (OAK,)):
        for _ in range(4):
            mid = group.make(by, last)
            group.make(by, mid, ("remove", person))
    rounds = 0
    while ends := agree(group).loose_ends(OAK.id):
        assert 1 < len(ends) <= 8
        group.make(OAK, [group.dag.held[id] for id in ends])
        rounds += 1
    assert rounds <= 2 and members(group.dag) == "bay oak yew"
    assert names(group.dag.current(OAK.id).identities()) == "bay oak yew"


# --- what is not there yet ---


def test_a_parent_that_is_not_held_is_waited_for():
    group = Group()
    last = group.with_people(ELM)
    renewed = group.make(ELM, last)
    dag = group.known(renewed, group.root)
    assert dag.status(renewed.id) is Status.waiting and dag.status(last.id) is None
    assert dag.standing(ELM.id, renewed.id, lambda id: True) is Standing.unknown
    assert dag.add(last) == [last.id] and dag.add(last) == []
    assert dag.status(renewed.id) is Status.valid


def test_who_is_invited_takes_the_invitations_epoch_as_it_stands():
    group = Group()
    last = group.with_people(ELM, admins=[ELM])
    invited = group.make(OAK, last, ("add", FIR))
    later = group.make(ELM, group.make(FIR, invited), ("add", ASH))
    dag = group.known(later, invited, anchor=invited)
    assert dag.status(later.id) is Status.waiting
    dag.add(*group.dag.held.values())
    assert dag.current(FIR.id) == later and members(dag) == "ash elm fir oak"


def test_who_is_invited_in_one_half_understands_the_other():
    group = Group()
    last = group.with_people(ELM, ASH, YEW, admins=[ELM])
    invited = group.make(OAK, group.make(OAK, last), ("add", FIR))
    other = group.make(ELM, last, ("remove", ASH))
    healed = group.make(YEW, [invited, other])
    dag = group.known(invited, other, healed, anchor=invited)
    assert dag.current(FIR.id) == invited and dag.status(healed.id) is Status.waiting
    introduced = group.dag.introduces(healed.id)
    assert other.id in introduced and last.id in introduced and group.root.id not in introduced
    for id in introduced:
        dag.add(group.dag.held[id])
    assert dag.current(FIR.id) == healed and members(dag) == "elm fir oak yew"


def test_ends_of_a_cut_history_decide_nothing():
    """E1 was made without knowing that ELM is out, E2 knowing it; the removal itself is not here."""
    group = Group()
    last = group.with_people(ELM, ASH)
    one = group.make(ASH, last)
    two = group.make(ASH, group.make(OAK, last, ("remove", ELM)))
    healed = group.make(OAK, [one, two])
    anchor = group.make(OAK, healed, ("add", FIR))
    dag = group.known(anchor, healed, one, two, anchor=anchor)
    assert members(dag) == "ash fir oak" and dag.status(one.id) is Status.waiting
    dag.add(*group.dag.held.values())
    assert members(dag) == "ash fir oak" and dag.status(one.id) is Status.valid


# --- forks ---


def test_a_forked_admins_last_epochs_are_set_aside():
    group = Group()
    last = group.with_people(ELM, ASH)
    group.make(OAK, last, ("add", FIR))
    group.make(OAK, last, ("add", YEW))
    group.dag.set_forked([OAK.id])
    dag = agree(group)
    assert members(dag) == "oak"  # nobody else has built on any of it
    group.dag.set_forked([])
    renewed = group.make(ELM, last)
    group.dag.set_forked([OAK.id])
    dag = agree(group)
    assert members(dag) == "ash elm oak" and dag.current(ELM.id) == renewed
    assert sorted(dag.status(id) for id in dag.held).count(Status.aside) == 2


def test_a_forked_signer_counts_for_no_act():
    group = Group()
    last = group.with_people(ELM, ASH, FIR, admins=[ELM])
    last = group.make(ASH, last)
    made = group.make(ELM, last, ("admin", ASH), by=[OAK])
    group.dag.set_forked([OAK.id])
    assert admins(agree(group)) == "elm oak" and group.dag.status(made.id) is Status.aside


# --- posts ---


def test_came_after_removal():
    group = Group()
    last = group.with_people(ELM, ASH)
    removed = group.make(OAK, last, ("remove", ELM))
    standing = group.dag.standing
    assert standing(ELM.id, last.id, lambda id: id == removed.id) is Standing.counts
    assert standing(ELM.id, last.id, lambda id: False) is Standing.after_removal
    assert standing(ELM.id, removed.id, lambda id: True) is Standing.stranger
    assert standing(ASH.id, last.id, lambda id: False) is Standing.counts
    back = group.make(OAK, removed, ("add", ELM))
    assert standing(ELM.id, back.id, lambda id: False) is Standing.counts
    assert standing(ELM.id, last.id, lambda id: False) is Standing.after_removal


# --- directs ---


def test_a_direct_has_two_members_and_may_begin_twice():
    channel, body = acts.first_direct(OAK.row, ELM.row)
    one = posted(OAK, body, channel)
    two = posted(ELM, body, channel)
    dags = []
    for order in ((one, two), (two, one)):
        dag = Dag(channel, None)
        dag.add(*order)
        dags.append(dag)
    assert all(dag.current(OAK.id).id == min(one.id, two.id) for dag in dags)
    assert names(dags[0].membership().members) == "elm oak" and dags[0].loose_ends(OAK.id) == ()
    renewed = posted(ELM, acts.draft(dags[0], ELM.id, NOW_MS, [dags[0].current(ELM.id).id]), channel)
    assert renewed.body.flags == DIRECT
    dags[0].set_forked([OAK.id, ELM.id])
    assert dags[0].current(OAK.id) is not None
    late = Dag(channel, None)
    late.add(renewed)
    assert late.current(OAK.id) == renewed  # what went before may be gone
    with pytest.raises(CallerError):
        acts.draft(dags[0], OAK.id, NOW_MS, [one.id], {(1, ASH.id): {}}, [ASH.row])


def test_a_groups_epoch_in_a_direct_and_the_other_way_round():
    channel, body = acts.first_direct(OAK.row, ELM.row)
    direct, group = posted(OAK, body, channel), posted(OAK, body._replace(flags=0, admins=b"\0\1"), channel)
    dag = Dag(channel, None)
    dag.add(group, direct)
    assert (dag.status(direct.id), dag.status(group.id)) == (Status.valid, Status.invalid)
    dag = Dag(channel, group.id)  # a founder who chose that channel for a group
    dag.add(direct, group)
    assert (dag.status(direct.id), dag.status(group.id)) == (Status.invalid, Status.valid)


def test_nothing_is_known_yet():
    group = Group()
    last = group.with_people(ELM)
    dag = Dag(group.dag.channel, group.root.id)
    for _ in range(2):
        assert members(dag) == "" and dag.current(OAK.id) is None and dag.loose_ends(OAK.id) == ()
        dag.add(last)
    assert dag.status(last.id) is Status.waiting
