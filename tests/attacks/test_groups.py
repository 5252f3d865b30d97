"""Attacks on the membership of a group (attack cases G02, G03, G04, E04, E11, I05), on the epochs alone."""

import itertools
import random

import pytest

from meshd.errors import CallerError
from meshd.groups.dag import Dag, Standing, Status
from meshd.groups.epochs import Epoch
from meshd.groups.group import Group as MemberView
from meshd.limits import RESEAL_HOURS
from meshd.post import HOUR_MS
from tests.group_people import ASH, BAY, CHANNEL, ELM, FIR, NOW_MS, OAK, YEW, Group, Person, agree, names


def test_G02_two_partitions_change_a_group_and_meet():
    group = Group()
    last = group.with_people(ELM, ASH, FIR, admins=[ELM])
    north = group.make(ASH, group.make(OAK, last, ("add", YEW)))
    south = group.make(ELM, group.make(ELM, last, ("remove", FIR)), ("add", BAY))
    dag = agree(group)
    assert names(dag.membership().members) == "ash bay elm oak yew"
    # What was posted before they met stands, whoever reads it: FIR's words under the northern epochs came after.
    for who, epoch in ((ASH, north), (YEW, north), (BAY, south), (ELM, south)):
        assert dag.standing(who.id, epoch.id, lambda id: False) is Standing.counts
    assert dag.standing(FIR.id, north.id, lambda id: False) is Standing.after_removal
    healers = [
        group.make(who, [group.dag.held[id] for id in dag.loose_ends(who.id)]) for who in (YEW, BAY, OAK)
    ]
    dag = agree(group)
    current = min(healers, key=lambda epoch: epoch.id)
    assert all(dag.current(who.id) == current for who in (OAK, ELM, ASH, YEW, BAY))
    assert dag.current(FIR.id) is None and dag.loose_ends(OAK.id) == ()


@pytest.mark.parametrize("adder, remover", [(OAK, ELM), (ELM, OAK)])
def test_G03_concurrent_addition_and_removal(adder, remover):
    group = Group()
    last = group.with_people(ELM, ASH, admins=[ELM])
    with_fir = group.make(OAK, last, ("add", FIR))
    gone = group.make(remover, with_fir, ("remove", FIR))
    # Added beside the removal: on a branch that never had FIR, and kept on, promoted and built upon on another.
    group.make(adder, group.make(adder, last), ("add", FIR))
    group.make(adder, group.make(adder, with_fir, ("admin", FIR), by=[OAK, ELM]))
    dag = agree(group)
    assert names(dag.membership().members) == "ash elm oak"
    while ends := group.dag.loose_ends(ASH.id):
        group.make(ASH, [group.dag.held[id] for id in ends])
    dag = agree(group)
    assert all(FIR.id not in dag.current(who.id).identities() for who in (OAK, ELM, ASH))
    back = group.make(remover, dag.current(remover.id), ("add", FIR))
    assert agree(group).current(FIR.id) == back and gone.id in dag.held


def removing_each_other(order: list[str]) -> tuple[Dag, list[Epoch]]:
    """Oak removes elm, elm removes oak, and each goes on as if the other were out: in the order of `order`."""
    group = Group()
    last = group.with_people(ELM, ASH, FIR, YEW, admins=[ELM])
    tips = {OAK: last, ELM: last}
    steps = {
        OAK: [("remove", ELM), ("add", BAY), ("admin", ASH)],
        ELM: [("remove", OAK), ("admin", FIR), ("remove", YEW)],
    }
    for name in order:
        who = OAK if name == "oak" else ELM
        tips[who] = group.make(who, tips[who], steps[who].pop(0))
    return group.dag, list(group.dag.held.values())


def test_G04_two_admins_remove_each_other_in_1000_interleavings():
    """Both are out. What either gave after the other removed him is void, what either took stays."""
    rng = random.Random(4)
    results = set()
    for _ in range(1000):
        order = ["oak", "elm"] * 3
        rng.shuffle(order)
        dag, made = removing_each_other(order)
        rng.shuffle(made)
        node = Dag(dag.channel, dag.anchor)
        for epoch in made:
            node.add(epoch)
        assert node.loose_ends(ASH.id) == dag.loose_ends(ASH.id)
        results.add((names(node.membership().members), names(node.membership().admins)))
    assert results == {("ash fir", "")}


def test_G04_then_a_majority_of_the_members_acts():
    group = Group()
    last = group.with_people(ELM, ASH, FIR, YEW, admins=[ELM])
    ends = [group.make(OAK, last, ("remove", ELM)), group.make(ELM, last, ("remove", OAK))]
    healed = group.make(ASH, ends)
    with pytest.raises(CallerError, match="needs 2 of 3"):
        group.make(FIR, healed, ("admin", FIR))
    group.make(FIR, healed, ("admin", FIR), by=[YEW])
    dag = agree(group)
    assert (names(dag.membership().members), names(dag.membership().admins)) == ("ash fir yew", "fir")


def test_E11_a_lone_admin_who_is_arrested_can_be_removed():
    group = Group()
    last = group.with_people(ELM, ASH, FIR)
    with pytest.raises(CallerError, match="needs 2 of 3"):
        group.make(ELM, last, ("remove", OAK))
    group.make(ELM, last, ("remove", OAK), by=[ASH])
    # Whoever has the laptop adds, makes admins and throws out, as if nothing had happened.
    group.make(OAK, group.make(OAK, last, ("add", BAY)), ("admin", BAY))
    dag = agree(group)
    assert (names(dag.membership().members), names(dag.membership().admins)) == ("ash elm fir", "")


def test_E11_an_infiltrating_admin_alone_makes_no_other():
    group = Group()
    last = group.with_people(ELM, ASH, admins=[ELM])
    with pytest.raises(CallerError, match="needs 2 of 2"):
        group.make(ELM, last, ("admin", ASH), by=[ASH])
    assert group.dag.status(group.forced(ELM, last, ("admin", ASH)).id) is Status.invalid
    # By removing the other first he is alone, until the other's removal of him is heard of: then it is void.
    alone = group.make(ELM, last, ("remove", OAK))
    group.make(ELM, alone, ("admin", ASH))
    assert names(group.dag.membership().admins) == "ash elm"
    group.make(OAK, last, ("remove", ELM))
    assert names(agree(group).membership().admins) == ""


def test_I05_a_removal_and_posts_in_all_orders():
    group = Group()
    last = group.with_people(ELM, ASH)
    removed = group.make(OAK, last, ("remove", ELM))
    posts = {"before": True, "beside": False}  # whether the removal's post has it among its ancestors
    for order in itertools.permutations((group.root, last, removed, *posts)):
        dag, held = Dag(group.dag.channel, group.root.id), list[str]()
        for each in order:
            if isinstance(each, Epoch):
                dag.add(each)
            else:
                held.append(each)
        stands = {name: dag.standing(ELM.id, last.id, lambda id, name=name: posts[name]) for name in held}
        assert stands == {"before": Standing.counts, "beside": Standing.after_removal}


def fresh_envelopes(seed: int, word_ms: int) -> int:
    """How many of 25 members seal an epoch anew when its envelope nears its end; word takes so long to reach all."""
    made = Group()
    people = [Person(f"member {number}") for number in range(24)]
    epoch = made.make(OAK, made.root, *(("add", person) for person in people))
    members = [
        MemberView(who.id, CHANNEL, made.root.id, random.Random(f"{seed} {who}")) for who in (OAK, *people)
    ]
    for member in members:
        member.dag.add(*made.dag.held.values())
    expiry_hour = NOW_MS // HOUR_MS + RESEAL_HOURS // 4 - 1
    heard = {member.me: [(NOW_MS, expiry_hour)] for member in members}  # when of which envelope
    count, now_ms = 0, NOW_MS
    while now_ms < NOW_MS + HOUR_MS:
        waits = []
        for member in members:
            newest = max(hour for at, hour in heard[member.me] if at <= now_ms)
            known = {epoch.id: newest, made.root.id: newest + RESEAL_HOURS}
            if member.due(now_ms, known):
                count += 1
                for other in members:
                    heard[other.me].append((now_ms + word_ms * (other is not member), newest + RESEAL_HOURS))
            waits.append(member.deadline(now_ms))
        arrivals = [at for each in heard.values() for at, _ in each if at > now_ms]
        now_ms = min(
            *arrivals, *(wait for wait in waits if wait is not None and wait > now_ms), NOW_MS + HOUR_MS
        )
    return count


@pytest.mark.parametrize("word_ms, most", [(1_000, 2), (60_000, 6)])
def test_E04_members_who_see_an_envelope_near_its_end_seal_a_handful(word_ms, most):
    counts = [fresh_envelopes(seed, word_ms) for seed in range(10)]
    assert min(counts) >= 1 and max(counts) <= most
