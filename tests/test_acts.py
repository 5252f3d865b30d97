"""Acts that take several people: collected from statements, made by whoever sees enough."""

import itertools
from collections.abc import Mapping

import pytest

from meshd.errors import CallerError
from meshd.groups import acts
from meshd.statement import ADD_MEMBER, MAKE_ADMIN, REMOVE_ADMIN, REMOVE_MEMBER, VOUCH, Statement
from tests.group_people import ASH, CHANNEL, ELM, FIR, NOW_MS, OAK, YEW, Epoch, Group, Person


def vote(
    who: Person, purpose: int, about: Epoch, subject: Person, changes: Mapping[str, object] | None = None
) -> tuple[Statement, bytes, bytes]:
    said = Statement(purpose, CHANNEL, about.id, subject.id)._replace(**(changes or {}))
    return said, who.id, who.sign(said)


def shown(group: Group, votes) -> list[tuple[int, bytes, list[bytes], int]]:
    found = acts.open_acts(group.dag, votes)
    return [(act.purpose, act.subject, sorted(act.signatures), act.needed) for act in found]


def test_votes_come_together_and_whoever_sees_enough_acts():
    group = Group()
    last = group.with_people(ELM, ASH, FIR, admins=[ELM, ASH])
    votes = [vote(ELM, REMOVE_MEMBER, last, OAK), vote(ASH, REMOVE_MEMBER, last, OAK)]
    assert shown(group, votes[:1]) == [(REMOVE_MEMBER, OAK.id, [ELM.id], 2)]
    assert shown(group, votes) == shown(group, votes[::-1] * 2)
    (act,) = acts.open_acts(group.dag, votes)
    does = {(act.purpose, act.subject): act.signatures}
    made = group.take(FIR, acts.draft(group.dag, FIR.id, NOW_MS, [act.about], does))
    assert group.dag.current(FIR.id) == made and OAK.id not in group.dag.membership().members
    assert shown(group, votes) == []  # it has come about


def test_what_has_come_about_is_not_done_again_when_it_was_undone_since():
    group = Group()
    last = group.with_people(ELM, ASH, FIR, admins=[ELM])
    votes = [vote(OAK, MAKE_ADMIN, last, ASH), vote(ELM, MAKE_ADMIN, last, ASH)]
    made = group.make(OAK, last, ("admin", ASH), by=[ELM])
    group.make(OAK, made, ("demote", ASH), by=[ELM])
    assert shown(group, votes) == []


def test_the_author_is_one_of_those_who_sign():
    group = Group()
    last = group.with_people(ELM, ASH, admins=[ELM])
    (act,) = acts.open_acts(group.dag, [vote(OAK, MAKE_ADMIN, last, ASH)])
    does = {(act.purpose, act.subject): act.signatures}
    with pytest.raises(CallerError, match="needs 2 of 2 and has 1"):
        acts.draft(group.dag, ASH.id, NOW_MS, [last.id], does)
    group.take(ELM, acts.draft(group.dag, ELM.id, NOW_MS, [last.id], does))
    assert ASH.id in group.dag.membership().admins


def test_votes_about_an_epoch_that_was_renewed_meanwhile():
    group = Group()
    last = group.with_people(ELM, ASH, FIR, admins=[ELM])
    votes = [vote(OAK, MAKE_ADMIN, last, ASH)]
    renewed = group.make(FIR, last)
    votes.append(vote(ELM, MAKE_ADMIN, last, ASH))
    (act,) = acts.open_acts(group.dag, votes)
    assert act.about == last.id
    made = group.take(FIR, acts.draft(group.dag, FIR.id, NOW_MS, [act.about], {act[:2]: act.signatures}))
    assert (
        group.dag.loose_ends(OAK.id) == () and group.dag.current(OAK.id).id == min(made.id, renewed.id)
    ) or (set(group.dag.loose_ends(OAK.id)) == {made.id, renewed.id})


@pytest.mark.parametrize(
    "changes",
    [{"channel": b"x" * 16}, {"about": bytes(32)}, {"flag": 1}, {"purpose": VOUCH}, {"purpose": 16}],
)
def test_votes_that_are_none(changes):
    group = Group()
    last = group.with_people(ELM, admins=[ELM])
    assert shown(group, [vote(OAK, REMOVE_MEMBER, last, ELM, changes)]) == []


def test_votes_of_those_who_have_no_say():
    group = Group()
    last = group.with_people(ELM, ASH, FIR, admins=[ELM])
    assert shown(group, [vote(ASH, MAKE_ADMIN, last, FIR), vote(YEW, MAKE_ADMIN, last, FIR)]) == []
    assert shown(group, [vote(ELM, REMOVE_ADMIN, last, ELM)]) == []  # nobody votes about himself
    assert shown(group, [vote(OAK, ADD_MEMBER, last, FIR)]) == []  # who is one already
    votes = [vote(OAK, MAKE_ADMIN, last, FIR), vote(ELM, MAKE_ADMIN, last, FIR)]
    group.make(FIR, last)
    group.dag.set_forked([OAK.id])
    assert shown(group, votes) == [(MAKE_ADMIN, FIR.id, [ELM.id], 2)]


def test_who_leaves_needs_nobody_and_is_not_put_out_again_once_back():
    group = Group()
    last = group.with_people(ELM, ASH, FIR, admins=[ELM])
    votes = [vote(ELM, REMOVE_MEMBER, last, ELM), vote(FIR, REMOVE_MEMBER, last, FIR)]
    found = acts.open_acts(group.dag, [*votes, vote(ELM, REMOVE_MEMBER, last, OAK)])
    assert [(act.subject, act.needed, act.is_leaving) for act in found] == sorted(
        [(ELM.id, 1, True), (FIR.id, 1, True), (OAK.id, 1, False)], key=lambda act: act[0]
    )
    other = group.make(OAK, group.make(ASH, last), ("remove", FIR))  # by who had not heard
    assert shown(group, votes) == [(REMOVE_MEMBER, ELM.id, [ELM.id], 1)]
    group.make(OAK, other, ("add", FIR))
    assert shown(group, votes) == [(REMOVE_MEMBER, ELM.id, [ELM.id], 1)]
    group.dag.set_forked([ELM.id])
    assert shown(group, votes) == []


def test_those_nearest_to_being_decided_come_first():
    group = Group()
    last = group.with_people(ELM, ASH, FIR, YEW)
    votes = [
        vote(ELM, REMOVE_MEMBER, last, OAK),
        vote(ASH, REMOVE_MEMBER, last, OAK),
        vote(OAK, ADD_MEMBER, last, YEW),
    ]
    far = vote(OAK, REMOVE_MEMBER, last, FIR)
    for order in itertools.permutations([*votes[:2], far]):
        assert [act.subject for act in acts.open_acts(group.dag, order)] == [FIR.id, OAK.id]


def test_who_is_added_needs_a_row():
    group = Group()
    with pytest.raises(CallerError, match="needs a card"):
        acts.draft(group.dag, OAK.id, NOW_MS, [group.root.id], {(ADD_MEMBER, ELM.id): {}})
    with pytest.raises(CallerError, match="valid ones"):
        acts.draft(group.dag, OAK.id, NOW_MS, [bytes(32)])
