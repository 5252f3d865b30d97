"""People who make epochs, for the tests of groups: real keys, real posts, nobody's network.

`Group` is the union of all epochs that the test has made; a node's own knowledge is a `Dag` with some of them. What a
person may not do is made with `forced`, which asks nobody.
"""

import random
from collections.abc import Collection, Iterable

from meshd import crypto, post, statement
from meshd.groups import acts, epochs
from meshd.groups.dag import Dag
from meshd.groups.epochs import Body, Epoch, Member
from meshd.post import HOUR_MS, Post
from meshd.statement import ADD_MEMBER, MAKE_ADMIN, REMOVE_ADMIN, REMOVE_MEMBER, Statement

CHANNEL = b"group of testing"
DAY = 20_400
NOW_MS = DAY * 24 * HOUR_MS
PURPOSES = {"add": ADD_MEMBER, "remove": REMOVE_MEMBER, "admin": MAKE_ADMIN, "demote": REMOVE_ADMIN}


class Person:
    """A key pair and an inbox key."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.id, self.secret = crypto.ed25519_keypair(name.encode().ljust(32, b"."))
        self.row = Member(self.id, DAY, name.encode().rjust(32, b"."))

    def sign(self, said: Statement) -> bytes:
        return statement.sign(self.secret, said)

    def __repr__(self) -> str:
        return self.name


OAK, ELM, ASH, FIR, YEW, BAY = map(Person, ("oak", "elm", "ash", "fir", "yew", "bay"))
ALL = (OAK, ELM, ASH, FIR, YEW, BAY)
NAMES = {person.id: person.name for person in ALL}


def names(identities: Iterable[bytes]) -> str:
    """Who that is, in one line."""
    return " ".join(sorted(NAMES[identity] for identity in identities))


def posted(
    author: Person, body: Body, channel: bytes = CHANNEL, nonce: int = 0, now_ms: int = NOW_MS
) -> Epoch:
    """The epoch that a post with this body begins; None-safe: what does not parse fails the test."""
    hlc, keep_until = now_ms << 16 | nonce % 2**16, now_ms // HOUR_MS + 90 * 24
    inside = Post(
        1, channel, b"", author.id, nonce, 1, b"", hlc, post.KIND_EPOCH, keep_until, epochs.encode(body)
    )
    parsed = epochs.parse(inside, post.post_id(post.encode(inside)))
    assert parsed is not None
    return parsed


class Group:
    """All epochs that were made, and who made them."""

    def __init__(self, founder: Person = OAK, flags: int = 0) -> None:
        self.root = posted(founder, acts.first("testing", flags, founder.row))
        self.dag = Dag(CHANNEL, self.root.id)
        self.dag.add(self.root)
        self._made = 0

    def make(
        self,
        author: Person,
        parents: Epoch | Collection[Epoch],
        *told: tuple[str, Person],
        by: Collection[Person] = (),
        now_ms: int = NOW_MS,
        rows: Collection[Member] = (),
    ) -> Epoch:
        """An epoch on these parents with acts such as ("add", ELM), signed by the author and `by`."""
        above = [parents] if isinstance(parents, Epoch) else list(parents)
        does = {}
        for word, subject in told:
            said = Statement(PURPOSES[word], CHANNEL, above[0].id, subject.id)
            does[said.purpose, subject.id] = {person.id: person.sign(said) for person in by}
        new = [subject.row for word, subject in told if word == "add"]
        body = acts.draft(self.dag, author.id, now_ms, [e.id for e in above], does, [*new, *rows])
        return self.take(author, body, now_ms)

    def take(self, author: Person, body: Body, now_ms: int = NOW_MS) -> Epoch:
        """The epoch with this body, whatever it says."""
        self._made += 1
        made = posted(author, body, nonce=self._made, now_ms=now_ms)
        self.dag.add(made)
        return made

    def forced(self, author: Person, parent: Epoch, *told: tuple[str, Person], **changes: object) -> Epoch:
        """An epoch that does this without asking whether it may, with some slots of its body changed."""
        among = self.dag.membership(parent.id)
        done = tuple(sorted((PURPOSES[word], subject.id) for word, subject in told))
        rows = {row.identity: row for row in [*parent.members(), *(subject.row for _, subject in told)]}
        due = acts.after(among, done)
        members = sorted(rows[who] for who in due.members)
        body = Body(
            parent.body.depth + 1,
            (parent.id,),
            parent.body.name,
            parent.body.flags,
            epochs.encode_rows(members),
            bytes(place for place, row in enumerate(members) if row.identity in due.admins),
            done,
            (),
        )
        return self.take(author, body._replace(**changes))  # type: ignore[arg-type]

    def with_people(self, *people: Person, admins: Collection[Person] = ()) -> Epoch:
        """The epoch in which the founder has added these and made those admins, one by one."""
        last = self.make(OAK, self.root, *(("add", person) for person in people)) if people else self.root
        made = [OAK]
        for person in admins:
            last = self.make(OAK, last, ("admin", person), by=made)
            made.append(person)
        return last

    def known(self, *made: Epoch, anchor: Epoch | None = None) -> Dag:
        """What a node knows that holds these epochs, taken in in this order."""
        dag = Dag(CHANNEL, (anchor or self.root).id)
        for epoch in made:
            dag.add(epoch)
        return dag


def members(dag: Dag) -> str:
    """Who is a member after all that is known."""
    return names(dag.membership().members)


def admins(dag: Dag) -> str:
    """Who is an admin after all that is known."""
    return names(dag.membership().admins)


def agree(group: Group) -> Dag:
    """A node that got everything, some of it twice, in some order; whatever the order, the same follows."""
    made = list(group.dag.held.values())
    seen: list[tuple[object, ...]] = []
    for seed in range(12):
        order = made[:]
        random.Random(seed).shuffle(order)
        dag = group.known(*order, *order[:2])
        dag.set_forked(group.dag.forked)
        currents = [dag.current(person.id) for person in ALL]
        ends = [dag.loose_ends(person.id) for person in ALL]
        seen.append((dag.membership(), currents, ends, {id: dag.status(id) for id in dag.held}))
    assert all(each == seen[0] for each in seen)
    return dag
