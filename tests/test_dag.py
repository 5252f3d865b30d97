"""Epochs: what one may do and say, by the rules of membership."""

import pytest

from meshd import crypto
from meshd.errors import CallerError
from meshd.groups import acts
from meshd.groups.dag import Dag, Status
from meshd.groups.epochs import Cosign, Member, encode_rows
from meshd.limits import EPOCHS_EACH_MAX
from meshd.statement import MAKE_ADMIN, REMOVE_MEMBER, Statement
from tests.group_people import (
    ALL,
    ASH,
    CHANNEL,
    DAY,
    ELM,
    FIR,
    NOW_MS,
    OAK,
    YEW,
    Group,
    admins,
    agree,
    members,
    posted,
)

DAY_MS = 24 * 3_600_000


def refused(group: Group, *arguments, **options) -> str:
    with pytest.raises(CallerError) as caught:
        group.make(*arguments, **options)
    return caught.value.message


# --- who may ---


def test_one_admin_adds_and_removes():
    group = Group()
    added = group.make(OAK, group.root, ("add", ELM), ("add", ASH))
    assert members(group.dag) == "ash elm oak"
    removed = group.make(OAK, added, ("remove", ELM), ("add", FIR))
    assert (members(group.dag), admins(group.dag)) == ("ash fir oak", "oak")
    assert group.dag.current(OAK.id) == removed and group.dag.current(ELM.id) is None


def test_a_member_who_is_no_admin_acts_for_nobody():
    group = Group()
    last = group.with_people(ELM, ASH)
    for told in (("add", FIR), ("remove", ASH), ("admin", ELM), ("demote", OAK), ("remove", OAK)):
        assert "needs" in refused(group, ELM, last, told)
        assert group.dag.status(group.forced(ELM, last, told).id) is Status.invalid
    assert members(agree(group)) == "ash elm oak"


def test_admins_make_another_by_majority():
    group = Group()
    last = group.with_people(ELM, ASH, FIR, admins=[ELM])
    assert "needs 2 of 2 and has 1" in refused(group, ELM, last, ("admin", ASH))
    last = group.make(ELM, last, ("admin", ASH), by=[OAK])
    assert admins(group.dag) == "ash elm oak"
    assert "needs 2 of 3 and has 1" in refused(group, ASH, last, ("admin", FIR), by=[FIR])
    group.make(ASH, last, ("admin", FIR), by=[ELM])
    assert admins(group.dag) == "ash elm fir oak"


@pytest.mark.parametrize("word", ["remove", "demote"])
def test_an_admin_goes_by_majority_of_the_others(word):
    group = Group()
    last = group.with_people(ELM, ASH, admins=[ELM, ASH])
    assert "needs 2 of 2 and has 1" in refused(group, ELM, last, (word, OAK))
    if word == "demote":  # who signs their own removal leaves
        assert "needs 2 of 2 and has 1" in refused(group, ELM, last, (word, OAK), by=[OAK])
    group.make(ELM, last, (word, OAK), by=[ASH])
    assert admins(group.dag) == "ash elm"
    assert members(group.dag) == ("ash elm" if word == "remove" else "ash elm oak")


def test_without_admins_a_majority_of_the_members_acts():
    group = Group()
    last = group.with_people(ELM, ASH, FIR)
    last = group.make(ELM, last, ("remove", OAK), by=[ASH])
    assert (members(group.dag), admins(group.dag)) == ("ash elm fir", "")
    assert "needs 2 of 3 and has 1" in refused(group, ELM, last, ("add", YEW))
    assert "needs 2 of 2 and has 1" in refused(group, ELM, last, ("remove", FIR))
    last = group.make(ELM, last, ("admin", FIR), by=[ASH])
    group.make(FIR, last, ("add", YEW))
    assert (members(agree(group)), admins(group.dag)) == ("ash elm fir yew", "fir")


def test_any_member_renews():
    group = Group()
    last = group.with_people(ELM)
    renewed = group.make(ELM, last)
    assert group.dag.current(OAK.id) == renewed
    assert group.dag.membership(renewed.id) == group.dag.membership(last.id)
    assert renewed.body.rows == last.body.rows and renewed.id != last.id


def test_nobody_removes_himself_by_himself():
    group = Group()
    last = group.with_people(ELM)
    refused(group, OAK, last, ("remove", OAK))
    refused(group, ELM, last, ("remove", ELM))


def test_who_signs_his_own_removal_is_removed_by_any_other_member():
    group = Group()
    last = group.with_people(ELM, ASH, FIR, admins=[ELM, ASH])
    for leaves, carries in ((FIR, ELM), (OAK, FIR)):
        made = group.make(carries, last, ("remove", leaves), by=[leaves])
        assert group.dag.membership(made.id).members == group.dag.membership(last.id).members - {leaves.id}
    refused(group, YEW, last, ("remove", FIR), by=[FIR])  # who is none
    refused(group, FIR, last, ("remove", ASH), by=[OAK])  # one of two others
    refused(group, FIR, last, ("demote", ASH), by=[ASH])  # is not leaving
    refused(group, ASH, last, ("admin", FIR), by=[FIR])
    assert members(agree(group)) == "ash elm"


# --- what an epoch may not say ---


def flipped(signature: bytes) -> bytes:
    return bytes((signature[0] ^ 1,)) + signature[1:]


def test_cosigns_that_do_not_count():
    group = Group()
    last = group.with_people(ELM, ASH, admins=[ELM])
    place, who = last.identities().index(ELM.id), (MAKE_ADMIN, CHANNEL, last.id, ASH.id)
    said = Statement(*who)
    good = ELM.sign(said)
    others = [
        flipped(good),
        ELM.sign(said._replace(purpose=REMOVE_MEMBER)),
        ELM.sign(said._replace(channel=b"x" * 16)),
        ELM.sign(said._replace(about=group.root.id)),
        ELM.sign(said._replace(subject=ELM.id)),
        ELM.sign(said._replace(flag=1)),
        ASH.sign(said),
    ]
    for signature in others:
        made = group.forced(OAK, last, ("admin", ASH), cosigns=(Cosign(0, place, signature),))
        assert group.dag.status(made.id) is Status.invalid
    twice = Cosign(0, last.identities().index(OAK.id), OAK.sign(said))  # the author counts once
    assert group.dag.status(group.forced(OAK, last, ("admin", ASH), cosigns=(twice,)).id) is Status.invalid
    made = group.forced(OAK, last, ("admin", ASH), cosigns=(Cosign(0, place, good),))
    assert group.dag.status(made.id) is Status.valid


def test_a_signer_beyond_the_list():
    group = Group()
    last = group.with_people(ELM)
    made = group.forced(OAK, last, ("remove", ELM), cosigns=(Cosign(0, 2, bytes(64)),))
    assert group.dag.faults[made.id] == "it names a signer who is none"


@pytest.mark.parametrize(
    "changes, fault",
    [
        ({"name": "other"}, "name or flags"),
        ({"flags": 1}, "name or flags"),
        ({"depth": 3}, "depth"),
        ({"rows": encode_rows([OAK.row, ELM.row, ASH.row])}, "lists others"),
        ({"rows": encode_rows([OAK.row])}, "lists others"),
        ({"admins": b"\0\1"}, "lists others"),
        ({"admins": b""}, "lists others"),
        ({"rows": encode_rows([OAK.row, ELM.row._replace(inbox_key=bytes(32))])}, "inbox key"),
        ({"rows": encode_rows([OAK.row, ELM.row._replace(day=DAY - 1)])}, "inbox key"),
        ({"rows": encode_rows([OAK.row, ELM.row.moved_on(DAY + 1)])}, "a day to come"),
    ],
)
def test_a_list_that_does_not_follow(changes, fault):
    group = Group()
    made = group.forced(OAK, group.with_people(ELM), **changes)
    assert fault in group.dag.faults[made.id]


def test_what_builds_on_an_invalid_epoch_is_invalid():
    group = Group()
    bad = group.forced(ELM, group.with_people(ELM, ASH), ("remove", ASH))
    body = bad.body._replace(depth=bad.body.depth + 1, parents=(bad.id,), acts=())
    child = group.take(OAK, body)
    assert "not valid" in group.dag.faults[child.id]
    assert members(agree(group)) == "ash elm oak"


def test_acts_that_change_nothing():
    group = Group()
    last = group.with_people(ELM)
    for told in (("add", ELM), ("remove", ASH), ("admin", OAK), ("admin", ASH), ("demote", ELM)):
        assert group.dag.status(group.forced(OAK, last, told).id) is Status.invalid


def test_a_member_whose_key_is_no_point():
    group = Group()
    bad = Member((1).to_bytes(32, "little"), DAY, bytes(32))
    assert not crypto.is_valid_point(bad.identity)
    with pytest.raises(CallerError, match="whose key is none"):
        acts.draft(group.dag, OAK.id, NOW_MS, [group.root.id], {(1, bad.identity): {}}, [bad])


def test_a_stranger_builds_nothing():
    group = Group()
    last = group.with_people(ELM)
    rows = encode_rows([OAK.row, ELM.row, FIR.row])
    made = group.take(FIR, group.forced(OAK, last).body._replace(rows=rows))
    assert "not a member" in group.dag.faults[made.id]


def test_another_first_epoch():
    group = Group()
    other = posted(ELM, acts.first("testing", 0, ELM.row))
    dag = group.known(other, group.root)
    assert dag.status(other.id) is Status.invalid and members(dag) == "oak"


# --- rows ---


def test_rows_move_on_and_owners_replace_their_own():
    group = Group()
    last = group.with_people(ELM)
    later = group.make(ELM, last, now_ms=NOW_MS + 7 * DAY_MS)
    assert {row.day for row in later.members()} == {DAY + 7}
    new = Member(ELM.id, DAY + 7, b"new".ljust(32))
    with pytest.raises(CallerError, match="inbox key"):
        group.make(OAK, later, now_ms=NOW_MS + 7 * DAY_MS, rows=[new])
    assert new in group.make(ELM, later, now_ms=NOW_MS + 7 * DAY_MS, rows=[new]).members()


def test_a_clock_that_is_ahead_keeps_nobody_from_making_epochs():
    group = Group()
    ahead = group.make(ELM, group.with_people(ELM, ASH), now_ms=NOW_MS + DAY_MS)
    assert {row.day for row in ahead.members()} == {DAY + 1}
    removed = group.make(OAK, ahead, ("remove", ELM))
    assert removed.members()[0].day == DAY + 1 and members(group.dag) == "ash oak"
    too_far = encode_rows([row.moved_on(DAY + 2) for row in removed.members()])
    made = group.take(OAK, group.forced(OAK, removed).body._replace(rows=too_far), NOW_MS + DAY_MS)
    assert group.dag.faults[made.id] == "an inbox key of a day to come"


# --- what is over, and what is too much ---


def test_from_what_is_left_the_same_follows_once_what_is_over_is_forgotten():
    group = Group()
    last = group.with_people(ELM, ASH, FIR, admins=[ELM])
    last = group.make(OAK, last, ("remove", FIR))
    one, two = group.make(OAK, last, ("add", YEW)), group.make(ELM, last, ("remove", ASH))
    healed = group.make(ELM, [one, two])
    renewed = group.make(YEW, group.make(OAK, healed, ("add", FIR)))
    made = list(group.dag.held.values())
    late = [group.make(ELM, renewed, ("remove", YEW)), group.make(OAK, renewed, ("add", ASH))]
    left = []
    for count in range(len(made) + 1):
        dag = group.known(*made)
        over = {epoch.id for epoch in made[:count]}
        gone = dag.forget_over(OAK.id, over.__contains__)
        assert set(gone) <= over and not set(gone) & dag.held.keys()
        left.append(len(dag.held))
        for epoch in (None, *late):
            if epoch is not None:
                dag.add(epoch)
            whole = group.known(*made, *late[: late.index(epoch) + 1 if epoch else 0])
            assert dag.membership() == whole.membership()
            assert [dag.current(who.id) for who in ALL] == [whole.current(who.id) for who in ALL]
            assert [dag.loose_ends(who.id) for who in ALL] == [whole.loose_ends(who.id) for who in ALL]
    assert left == [9, 8, 7, 6, 6, 6, 3, 2, 1, 1]  # neither of two branches can stand for the other


def test_who_is_out_forgets_nothing():
    group = Group()
    last = group.make(OAK, group.with_people(ELM), ("remove", ELM))
    dag = group.known(*group.dag.held.values())
    assert dag.forget_over(ELM.id, lambda id: True) == [] and dag.forget_over(OAK.id, lambda id: False) == []
    assert len(dag.forget_over(OAK.id, lambda id: True)) == 2 and list(dag.held) == [last.id]


def test_the_anchor_of_what_is_left_lists_who_judges_from_it():
    group = Group()
    last = group.make(OAK, group.make(OAK, group.with_people(ELM), ("remove", ELM)), ("add", ELM))
    middle = list(group.dag.held)[-2]
    assert group.known(*group.dag.held.values()).forget_over(ELM.id, lambda id: id != last.id) != []
    dag = group.known(*group.dag.held.values())
    assert middle not in dag.forget_over(ELM.id, lambda id: id not in (middle, last.id))
    assert dag.current(ELM.id) == last


def test_of_a_direct_what_is_over_goes_but_for_the_current_epoch():
    channel, body = acts.first_direct(OAK.row, ELM.row)
    dag = Dag(channel, None)
    dag.add(posted(OAK, body, channel), posted(ELM, body, channel))
    for _ in range(3):
        current = dag.current(ELM.id)
        assert current is not None
        dag.add(posted(ELM, acts.draft(dag, ELM.id, NOW_MS, [current.id]), channel))
    current = dag.current(OAK.id)
    assert len(dag.forget_over(OAK.id, lambda id: True)) == 4
    assert dag.current(OAK.id) == current == dag.current(ELM.id) and len(dag.held) == 1


def test_what_waits_or_is_not_valid_goes_when_it_is_over():
    group = Group()
    last = group.with_people(ELM)
    bad = group.forced(ELM, last, ("add", ASH))
    above = group.make(OAK, group.make(OAK, last, ("add", FIR)))
    dag = group.known(group.root, last, bad, above)
    assert dag.forget_over(OAK.id, {bad.id, above.id}.__contains__) == sorted((bad.id, above.id))
    dag.add(above, bad)
    assert (dag.status(bad.id), dag.status(above.id)) == (Status.invalid, Status.waiting)


def test_who_renews_without_end_is_set_aside_until_others_build_on_it():
    group = Group()
    last = group.with_people(ELM, ASH)
    made = [group.make(ELM, last) for _ in range(EPOCHS_EACH_MAX)]
    assert group.dag.tireless() == [] and group.dag.current(OAK.id) in made
    made.append(group.make(ELM, last))
    dag = agree(group)
    assert dag.tireless() == [ELM.id] and dag.current(ASH.id) == last
    assert {dag.status(epoch.id) for epoch in made} == {Status.aside}
    built = group.forced(ASH, made[0])
    dag = agree(group)
    assert dag.status(made[0].id) is Status.valid and dag.current(OAK.id) == built
