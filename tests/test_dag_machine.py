"""Several nodes, any acts by anybody, any partition, loss, repetition and disorder: who meets agrees.

What holds after all epochs were exchanged: the same verdicts, members and current epochs on every node, the very ones
that a second reader made from protocol.md comes to; nobody who was removed is in a current epoch, unless brought back
by who knew of it; and after healing, one epoch for all who are in.
"""

import random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from meshd.errors import CallerError
from meshd.groups import acts
from meshd.groups.dag import Dag, Status
from meshd.groups.epochs import Epoch
from meshd.groups.membership import changes, electorate
from meshd.statement import ADD_MEMBER, REMOVE_MEMBER, Statement
from tests import independent_groups as other
from tests.group_people import ALL, CHANNEL, ELM, FIR, NOW_MS, OAK, PURPOSES, YEW, Group, Person, posted

people = st.sampled_from(ALL)
words = st.sampled_from(sorted(PURPOSES))


def known_by_page(dag: Dag) -> other.Known:
    """The same set for the second reader."""
    held = []
    for each in dag.held.values():
        body = each.body
        rows = [tuple(row) for row in each.members()]
        held.append(
            other.Epoch(
                each.id, each.channel, each.author, each.time_ms, body.depth, list(body.parents), body.name,
                body.flags, rows, each.admins(), list(body.acts), [tuple(cosign) for cosign in body.cosigns],
                body.key_check,
            )
        )  # fmt: skip
    return other.Known(held, dag.anchor, sorted(dag.forked))


def same(dag: Dag, like: Dag) -> None:
    """Two nodes that hold the same epochs agree."""
    assert dag.held.keys() == like.held.keys()
    assert {id: dag.status(id) for id in dag.held} == {id: like.status(id) for id in dag.held}
    assert dag.membership() == like.membership()
    for person in ALL:
        assert dag.current(person.id) == like.current(person.id)
        assert dag.loose_ends(person.id) == like.loose_ends(person.id)


def by_page(dag: Dag) -> None:
    """A node agrees with the page."""
    page = known_by_page(dag)
    members, admins = page.known()
    assert (dag.membership().members, dag.membership().admins) == (members, admins)
    counted = page.counted()
    for id, status in page.status.items():
        assert dag.status(id) == ("aside" if status == "valid" and id not in counted else status)
    for person in ALL:
        current = dag.current(person.id)
        assert (current and current.id) == page.current(person.id)
        assert list(dag.loose_ends(person.id)) == page.heal(person.id)


def above(dag: Dag, epoch: Epoch) -> set[bytes]:
    """The epoch and its ancestors."""
    found, left = set[bytes](), [epoch.id]
    while left:
        if (id := left.pop()) not in found:
            found.add(id)
            left += dag.held[id].body.parents
    return found


def nobody_removed_reads_on(dag: Dag) -> None:
    valid = [each for id, each in dag.held.items() if dag.status(id) is Status.valid]
    removals = [
        (each.body.parents[0], subject)
        for each in valid
        for purpose, subject in each.body.acts
        if purpose == REMOVE_MEMBER
    ]
    for person in ALL:
        if (current := dag.current(person.id)) is None:
            continue
        knows = [dag.held[id] for id in above(dag, current)]
        for parent, who in removals:
            again = any(
                each.body.parents == (parent,) and (REMOVE_MEMBER, who) in each.body.acts for each in knows
            )
            assert who not in current.identities() or again


class Partitions(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.group = Group()
        self.group.make(OAK, self.group.with_people(ELM, FIR, YEW), ("admin", ELM))
        self.nodes = {person.name: self.group.known(*self.group.dag.held.values()) for person in ALL}
        self.made = 100

    def publish(self, author: Person, body) -> None:
        self.made += 1
        epoch = posted(author, body, nonce=self.made)
        self.nodes[author.name].add(epoch)
        self.group.dag.add(epoch)

    def try_to(self, author: Person, parents, does=None, rows=()) -> None:
        """Make an epoch from what the author knows; what is refused there is refused everywhere."""
        dag = self.nodes[author.name]
        try:
            body = acts.draft(dag, author.id, NOW_MS, parents, does, rows)
        except CallerError:
            return
        self.publish(author, body)

    @rule(author=people, choice=st.integers(0, 99), place=st.integers(0, 5), together=st.booleans())
    def act(self, author, choice, place, together):
        """On any epoch that the author knows: the newest, or an old one, as who was removed would. `together`: all who
        have a say sign, else the author alone.
        """
        dag = self.nodes[author.name]
        held = sorted(dag.held.values(), key=lambda each: (-each.body.depth, each.id))
        valid = [
            each.id for each in held if dag.status(each.id) is Status.valid and author.id in each.identities()
        ]
        if not valid:
            return
        parent = valid[place % len(valid)]
        among = dag.membership(parent)
        possible = [(p, who) for p in PURPOSES.values() for who in ALL if changes(among, p, who.id)]
        purpose, subject = possible[choice % len(possible)]
        said = Statement(purpose, CHANNEL, parent, subject.id)
        eligible = electorate(among, purpose, subject.id).eligible if together else ()
        signatures = {who.id: who.sign(said) for who in ALL if who.id in eligible}
        rows = [subject.row] if purpose == ADD_MEMBER else ()
        self.try_to(author, [parent], {(purpose, subject.id): signatures}, rows)

    @rule(author=people, leaves=people, place=st.integers(0, 5))
    def leave(self, author, leaves, place):
        """Carry the leaving of somebody from any epoch that the author knows, as who has the statement may."""
        dag = self.nodes[author.name]
        valid = [each.id for each in dag.held.values() if leaves.id in each.identities()]
        about = valid[place % len(valid)] if valid else b""
        if dag.status(about) is Status.valid and author is not leaves:
            said = Statement(REMOVE_MEMBER, CHANNEL, about, leaves.id)
            self.try_to(author, [about], {(REMOVE_MEMBER, leaves.id): {leaves.id: leaves.sign(said)}})

    @rule(author=people)
    def renew(self, author):
        current = self.nodes[author.name].current(author.id)
        if current:
            self.try_to(author, [current.id])

    @rule(author=people)
    def heal(self, author):
        ends = self.nodes[author.name].loose_ends(author.id)
        if ends:
            self.try_to(author, ends)

    @rule(author=people, word=words, subject=people)
    def lie(self, author, word, subject):
        """An epoch that does not care for the rules."""
        current = self.nodes[author.name].current(author.id)
        if current and subject is not author and (subject.id in current.identities()) != (word == "add"):
            if word == "demote" and subject.id not in current.admins():
                return
            forged = self.group.forced(author, current, (word, subject))
            self.nodes[author.name].add(forged)

    @rule(one=people, two=people, seed=st.integers(0, 99), share=st.sampled_from([0.5, 1.0, 1.0]))
    def meet(self, one, two, seed, share):
        """Some of what one has reaches the other, in any order, some of it twice."""
        rng = random.Random(seed)
        held = sorted(self.nodes[one.name].held.values())
        got = rng.sample(held, int(len(held) * share))
        for epoch in got + got[:3]:
            self.nodes[two.name].add(epoch)

    @precondition(lambda self: self.made > 106)
    @rule(who=people)
    def fork(self, who):
        self.group.dag.set_forked({*self.group.dag.forked, who.id} if len(self.group.dag.forked) < 1 else ())

    def teardown(self) -> None:
        if not hasattr(self, "group"):
            return
        everything = sorted(self.group.dag.held.values())
        dag = self.group.dag
        by_page(dag)
        nobody_removed_reads_on(dag)
        for place, node in enumerate(self.nodes.values()):
            order = everything[:]
            random.Random(place).shuffle(order)
            node.set_forked(dag.forked)
            for epoch in order:
                node.add(epoch)
            same(node, dag)
        valid = [each for each in everything if dag.status(each.id) is Status.valid]
        whole = self.group.known(*everything)
        for anchor in valid:
            same(self.group.known(*everything[::-1], anchor=anchor), whole)
            self.newcomer(whole, anchor)
        self.heals(dag)

    def newcomer(self, whole: Dag, anchor: Epoch) -> None:
        """Who knows nothing from before an epoch that all others lead through comes to the same as all."""
        before = above(whole, anchor) - {anchor.id}
        rest = [each for each in whole.held.values() if each.id not in before]
        valid = [each for each in rest if whole.status(each.id) is Status.valid]
        if all(anchor.id in above(whole, each) for each in valid):
            dag = self.group.known(*rest, anchor=anchor)
            assert dag.membership() == whole.membership()
            for person in ALL:
                assert dag.current(person.id) == whole.current(person.id)
                assert dag.loose_ends(person.id) == whole.loose_ends(person.id)

    def heals(self, dag: Dag) -> None:
        for _ in range(8):
            due = dag.membership()
            ends = {person: dag.loose_ends(person.id) for person in ALL if person.id in due.members}
            who = next(
                (person for person, found in ends.items() if found and person.id not in dag.forked), None
            )
            if who is None:
                break
            dag.add(posted(who, acts.draft(dag, who.id, NOW_MS, ends[who]), nonce=len(dag.held)))
        nobody_removed_reads_on(dag)
        by_page(dag)
        currents = [dag.current(person.id) for person in ALL if person.id in dag.membership().members]
        if any(person.id not in dag.forked for person in ALL if person.id in dag.membership().members):
            assert len(set(currents)) <= 1 and None not in currents
            assert all(dag.membership(current.id) == dag.membership() for current in currents)


TestPartitions = Partitions.TestCase
TestPartitions.settings = settings(max_examples=60, stateful_step_count=25)
