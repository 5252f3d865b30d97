"""The epochs of one group, and what follows from them.

The rule (protocol.md, "Groups"): what a node knows of a group is a set of epochs, and everything here is
a function of that set (and of which keys are known to be forked), never of the order in which they came. So nodes that
hold the same epochs agree on which are valid, who is in, and under which to post, and a mesh needs no order of arrival.

Every epoch names its parents, by hash. It *waits* until they are held. Then it is judged once: by its parents'
memberships, by the signatures in it, and by whether it lists exactly the members that follow. What is not right is
*invalid*, with everything that builds on it: kept, shown, and of no effect.

A group is judged from a *base*. Its founder takes the first epoch for that, somebody invited the epoch that the
invitation is for (the `anchor`), as it stands: who invites is trusted so far. When the epochs before that one come too,
the base moves down to them, since their hashes stand in it: then branches that left the group's trunk before the
invitation can be judged as everybody else judges them. It moves only to an epoch that all ways down from the anchor
lead through, because two ends of a cut history do not tell which of them knew of which removal.

A *direct* has no acts, so that every epoch of it stands for itself.

An epoch by a forked key is set aside until somebody else has built on it: nobody knows who else holds that key. So
are the epochs without acts of who makes more of them than anybody needs. What is over goes, once all that is left
builds on one epoch that is newer.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from enum import StrEnum

from meshd import crypto, statement
from meshd.groups import trunk
from meshd.groups.epochs import Epoch, Member
from meshd.groups.membership import Act, Membership, after, changes, electorate, resolve
from meshd.groups.trunk import depth_over, numbers
from meshd.limits import EPOCHS_EACH_MAX, PARENTS_MAX
from meshd.statement import ADD_MEMBER, REMOVE_MEMBER, Statement


class Status(StrEnum):
    """What an epoch is worth."""

    valid = "valid"
    waiting = "waiting"  # for a parent that is not held
    invalid = "invalid"
    aside = "aside"  # valid, but only a forked key answers for it


class Standing(StrEnum):
    """What a post is worth for the membership of its author."""

    counts = "counts"
    after_removal = "came after removal"
    stranger = "not a member"  # of the epoch that it names: refused
    unknown = "unknown"  # the epoch is not known yet, or not valid


class Fault(Exception):
    """Why an epoch is not valid, in words for the user."""


class Dag:
    """The epochs of one group, or direct if there is no anchor."""

    def __init__(self, channel: bytes, anchor: bytes | None) -> None:
        self.channel = channel
        self.anchor = anchor
        self.held: dict[bytes, Epoch] = {}
        self.faults: dict[bytes, str] = {}  # of the invalid ones
        self.forked = frozenset[bytes]()
        self._base: bytes | None = None
        self._forget_judgements()

    def _forget_judgements(self) -> None:
        self.faults.clear()
        self._number: dict[bytes, int] = {}  # of each valid epoch, in an order in which parents come first
        self._valid: list[Epoch] = []
        self._before: list[int] = []  # strict ancestors, as bits
        self._memberships: list[Membership] = []
        self._acts: list[list[Act]] = []
        self._acting = 0  # the epochs that have any, as bits
        self._idle: Counter[bytes] = Counter()  # how many without any each author has made
        self._children: dict[bytes, list[bytes]] = {}  # of ids that are not judged yet
        self._resolved: dict[int, Membership] = {}
        self._removals: tuple[int, dict[bytes, list[int]]] = 0, {}  # for these epochs, as bits
        self._counted: int | None = None

    # --- taking epochs in ---

    def add(self, *epochs: Epoch) -> list[bytes]:
        """Take epochs in; the ids of those that were new. Many at once cost less than one by one."""
        new = [epoch for epoch in dict.fromkeys(epochs) if epoch.id not in self.held]
        for epoch in new:
            if epoch.channel != self.channel:
                raise ValueError("an epoch of another channel")
            self.held[epoch.id] = epoch
        base = trunk.base(self.held, self.anchor)
        if base != self._base:
            self._base = base
            self._forget_judgements()
            new_ids = sorted(self.held)
        else:
            new_ids = [epoch.id for epoch in new]
        self._judge_all(new_ids)
        return [epoch.id for epoch in new]

    def tireless(self) -> list[bytes]:
        """Who has made so many epochs without acts that nobody waits for more, ascending."""
        return sorted(who for who, count in self._idle.items() if count > EPOCHS_EACH_MAX)

    def forget_over(self, identity: bytes, is_over: Callable[[bytes], bool]) -> list[bytes]:
        """Forget what is over and nothing depends on any more, if this member is in; the ids. What is left is judged
        from another anchor, to the same end (`trunk.last_over`)."""
        if (current := self.current(identity)) is None:
            return []
        last = trunk.last_over(self._valid, self._before, identity, is_over)
        gone = [epoch.id for epoch in self._valid[:last]]
        alone = [id for id in sorted(self.held) if self.anchor is None or id not in self._number]
        gone += [id for id in alone if is_over(id) and id != current.id]
        if gone:
            self.anchor = self._valid[last].id if last else self.anchor
            self.held = {id: epoch for id, epoch in self.held.items() if id not in set(gone)}
            self._forget_judgements()
            self._base = trunk.base(self.held, self.anchor)
            self._judge_all(sorted(self.held))
        return gone

    def set_forked(self, identities: Collection[bytes]) -> None:
        """Which keys are known to have made two posts with one sequence in this channel."""
        self.forked = frozenset(identities)
        self._counted = None

    def _judge_all(self, ids: list[bytes]) -> None:
        queue = list(ids) if self._base or self.anchor is None else []
        while queue:
            id = queue.pop()
            if id in self._number or id in self.faults:
                continue
            epoch = self.held[id]
            missing = [] if self._stands_alone(epoch) else self._unjudged(epoch)
            if missing:
                self._children.setdefault(missing[0], []).append(id)
                continue
            try:
                self._admit(epoch)
            except Fault as fault:
                self.faults[id] = str(fault)
            queue += self._children.pop(id, [])

    def _stands_alone(self, epoch: Epoch) -> bool:
        return epoch.id == self._base or self.anchor is None

    def _unjudged(self, epoch: Epoch) -> list[bytes]:
        if not epoch.body.parents:  # another first epoch: ours, once the base gets there, or nobody's
            return [b""] if self._base and self.held[self._base].body.depth else []
        return [id for id in epoch.body.parents if id not in self._number and id not in self.faults]

    def _admit(self, epoch: Epoch) -> None:
        membership, acts, before = self.judge(epoch)
        self._number[epoch.id] = len(self._valid)
        self._valid.append(epoch)
        self._before.append(before)
        self._memberships.append(membership)
        self._acts.append(acts)
        self._acting |= bool(acts) << self._number[epoch.id]
        self._idle[epoch.author] += not epoch.body.acts
        self._counted = None

    # --- judging one epoch ---

    def judge(self, epoch: Epoch) -> tuple[Membership, list[Act], int]:
        """The membership that a new epoch makes, its acts and its ancestors, as bits; Fault if it is not valid."""
        listed = Membership(frozenset(epoch.identities()), frozenset(epoch.admins()))
        if epoch.is_direct != (self.anchor is None):
            raise Fault("it takes a group for a direct, or the other way round")
        if self._stands_alone(epoch):
            return listed, [], 0
        body = epoch.body
        if not body.parents:
            raise Fault("a first epoch, where there is one already")
        if any(id in self.faults for id in body.parents):
            raise Fault("it builds on an epoch that is not valid")
        parents = [self._valid[self._number[id]] for id in body.parents]
        if any((body.name, body.flags) != (p.body.name, p.body.flags) for p in parents):
            raise Fault("it changes the group's name or flags")
        if body.depth != depth_over(parents):
            raise Fault("it names a wrong depth")
        before = self._with_ancestors(body.parents)
        known = self._membership_over(body.parents, before)
        if epoch.author not in known.members:
            raise Fault("its author is not a member")
        acts = self._judge_acts(epoch, known)
        due = after(known, body.acts)
        if listed != due:
            raise Fault("it lists others than those who are members or admins by then")
        self._judge_rows(epoch, parents)
        return due if due != known else known, acts, before

    def _with_ancestors(self, ids: Iterable[bytes]) -> int:
        bits = 0
        for number in map(self._number.__getitem__, ids):
            bits |= self._before[number] | 1 << number
        return bits

    def _membership_over(self, parents: Collection[bytes], ancestors: int) -> Membership:
        """The membership that all these parents together leave."""
        if len(parents) == 1:
            return self._memberships[self._number[next(iter(parents))]]
        return self._resolve(ancestors)

    def _judge_acts(self, epoch: Epoch, known: Membership) -> list[Act]:
        body, acts = epoch.body, []
        signers = self.held[body.parents[0]].identities() if body.cosigns else []
        if any(cosign.signer >= len(signers) for cosign in body.cosigns):
            raise Fault("it names a signer who is none")
        for place, (purpose, subject) in enumerate(body.acts):
            if not changes(known, purpose, subject):
                raise Fault("an act that changes nothing")
            if purpose == ADD_MEMBER and not crypto.is_valid_point(subject):
                raise Fault("a member whose key is none")
            said = Statement(purpose, epoch.channel, body.parents[0], subject)
            cosigns = [(signers[c.signer], c.signature) for c in body.cosigns if c.act == place]
            leaves = statement.signers(said, cosigns, (subject,))
            eligible, needed, by_admins = electorate(known, purpose, subject, leaves)
            able = statement.signers(said, cosigns, eligible) | (eligible & {epoch.author})
            if len(able) < needed:
                raise Fault(f"an act that needs {needed} of {len(eligible)} and has {len(able)}")
            about = self._number[body.parents[0]]
            acts.append(Act(len(self._valid), about, purpose, subject, able, needed, by_admins))
        return acts

    def _judge_rows(self, epoch: Epoch, parents: list[Epoch]) -> None:
        """Nobody but its owner replaces an inbox key. Anybody may move it on, to the post's day at most: else one
        whose clock is ahead would keep all others from making epochs.
        """
        if all(epoch.body.rows == parent.body.rows for parent in parents):
            return
        earlier: dict[bytes, list[Member]] = {}
        for parent in parents:
            for row in parent.members():
                earlier.setdefault(row.identity, []).append(row)
        free = {subject for purpose, subject in epoch.body.acts if purpose == ADD_MEMBER} | {epoch.author}
        for row in epoch.members():
            olds = earlier.get(row.identity, [])
            if row in olds:
                continue
            if row.day > epoch.day:
                raise Fault("an inbox key of a day to come")
            if row.identity not in free and all(row != old.moved_on(row.day) for old in olds):
                raise Fault("it replaces a member's inbox key")

    # --- what follows ---

    def status(self, id: bytes) -> Status | None:
        """What the epoch with this id is worth; None if it is not held."""
        if id not in self.held:
            return None
        if id in self._number:
            return Status.valid if self._counted_bits() >> self._number[id] & 1 else Status.aside
        return Status.invalid if id in self.faults else Status.waiting

    def membership(self, id: bytes | None = None) -> Membership:
        """Of a valid epoch; or who is in after all that is known."""
        if id is not None:
            return self._memberships[self._number[id]]
        return self._resolve(self._counted_bits())

    def current(self, identity: bytes) -> Epoch | None:
        """The epoch that this member posts under: of the ends (no counted epoch builds on them) that it is in and that
        exclude everybody who was removed, the deepest, then that of the lowest id. None if it is out itself, or if
        the group has to heal first.
        """
        ends = (self._valid[number] for number in self._ends())
        return next((epoch for epoch in ends if self.may_post(identity, epoch.id)), None)

    def may_post(self, identity: bytes, id: bytes) -> bool:
        """Whether nobody reads this member's posts under an epoch who should not: it counts, who is in it is in after
        all, this member too, and it knows of every removal of them."""
        members = self.membership(id).members if self.status(id) is Status.valid else frozenset()
        if identity not in members or not members <= self.membership().members:
            return False
        own = self._with_ancestors((id,))
        known = {act.said for act in self._acts_in(own & self._acting)}
        return all(
            act.purpose != REMOVE_MEMBER or act.subject not in members or act.said in known
            for act in self._acts_in(self._counted_bits() & self._acting & ~own)
        )

    def loose_ends(self, identity: bytes) -> tuple[bytes, ...]:
        """The parents of an epoch that this member should make because what is known was never brought together;
        none if that is so already, or the member is out.
        """
        if self.anchor is None:
            return ()
        due, current = self.membership(), self.current(identity)
        if identity not in due.members or (current and self.membership(current.id) == due):
            return ()
        chosen, covered = list[int](), 0
        for number in self._ends():
            brings = (self._before[number] | 1 << number) & self._acting
            if (brings & ~covered or not chosen) and len(chosen) < PARENTS_MAX:
                chosen.append(number)
                covered |= brings
        return tuple(sorted(self._valid[number].id for number in chosen)) if len(chosen) > 1 else ()

    def over(self, parents: Collection[bytes]) -> Membership:
        """The membership that these valid epochs together leave."""
        return self._membership_over(parents, self._with_ancestors(parents))

    def standing(self, author: bytes, epoch: bytes, precedes: Callable[[bytes], bool]) -> Standing:
        """What a post counts for, by `author` under `epoch`.

        `precedes(id)`: whether the post is among the ancestors (by posts' parents) of the post with this id, which is
        a removal of the author: only then it was there before it.
        """
        if epoch not in self._number:
            return Standing.unknown
        if author not in self.membership(epoch).members:
            return Standing.stranger
        removals = self.removals(author, epoch)
        if not removals and author not in self.membership().members:  # added by somebody who was removed
            return Standing.after_removal
        return Standing.counts if all(map(precedes, removals)) else Standing.after_removal

    def removals(self, identity: bytes, epoch: bytes) -> list[bytes]:
        """The epochs that removed this member and that the given one did not know of."""
        number = self._number[epoch]
        known = self._before[number] | 1 << number
        return sorted(self._valid[at].id for at in self._removed().get(identity, ()) if not known >> at & 1)

    def has_act(self, about: bytes, purpose: int, subject: bytes) -> bool:
        """Whether a counted epoch carries this act about a valid one, so that it has come about, whatever became of it
        since; or one that builds on that has added the subject, who was out in between."""
        at, acts = self._number[about], self._acts_in(self._counted_bits() & self._acting)
        added = (act.at for act in acts if (act.purpose, act.subject) == (ADD_MEMBER, subject))
        is_carried = any(act.said == (at, purpose, subject) for act in acts)
        return is_carried or any(self._before[number] >> at & 1 for number in added)

    def introduces(self, id: bytes) -> list[bytes]:
        """The epochs that a member of this valid one needs to judge it and could not open: they are sealed anew
        under it. If it heals, they reach down to where its branches part; if it brings somebody back, to where they
        were a member.
        """
        epoch, before = self.held[id], self._before[self._number[id]]
        if len(epoch.body.parents) < 2 or self.anchor is None:
            found = set[int]()
            for who in (subject for purpose, subject in epoch.body.acts if purpose == ADD_MEMBER):
                listing = sum(1 << n for n in numbers(before) if who in self._memberships[n].members)
                found.update(n for n in numbers(before & ~listing) if self._before[n] & listing)
            return sorted(self._valid[number].id for number in found)
        frontier, passed = set(epoch.body.parents), set[bytes]()
        while len(frontier) > 1:
            deepest = max(frontier, key=lambda id: (self.held[id].body.depth, id))
            frontier.remove(deepest)
            passed.add(deepest)
            frontier.update(self.held[deepest].body.parents)
        members = self.membership(id).members
        return sorted(each for each in passed | frontier if not members <= self.membership(each).members)

    # --- the parts of that ---

    def _counted_bits(self) -> int:
        """The epochs that somebody with an unforked key answers for: who made it, or anything upon it."""
        if self._counted is None:
            # The base is taken as it stands; in a direct nobody decides anything, so nothing is set aside.
            self._counted = bool(self._valid) if self.anchor else (1 << len(self._valid)) - 1
            for number, epoch in enumerate(self._valid):
                signed = all(len(act.signers - self.forked) >= act.needed for act in self._acts[number])
                is_idle = not epoch.body.acts and self._idle[epoch.author] > EPOCHS_EACH_MAX
                if signed and not is_idle and epoch.author not in self.forked:
                    self._counted |= self._before[number] | 1 << number
        return self._counted

    def _removed(self) -> dict[bytes, list[int]]:
        """In which counted epochs each member was removed who ever was."""
        within = self._counted_bits() & self._acting
        if self._removals[0] != within:
            found: dict[bytes, list[int]] = {}
            for act in self._acts_in(within):
                if act.purpose == REMOVE_MEMBER:
                    found.setdefault(act.subject, []).append(act.at)
            self._removals = within, found
        return self._removals[1]

    def _ends(self) -> list[int]:
        """The counted epochs that no other builds on, deepest first, then by id."""
        counted = numbers(self._counted_bits())
        inner = 0
        for number in counted:
            inner |= self._before[number]
        ends = (number for number in counted if not inner >> number & 1)
        return sorted(ends, key=lambda n: (-self._valid[n].body.depth, self._valid[n].id))

    def _acts_in(self, within: int) -> list[Act]:
        return [act for number in numbers(within) for act in self._acts[number]]

    def _resolve(self, within: int) -> Membership:
        if self.anchor is None or not self._valid:
            return self._memberships[0] if self._valid else Membership(frozenset(), frozenset())
        key = within & self._acting
        if key not in self._resolved:
            self._resolved[key] = resolve(self._memberships[0], self._acts_in(key), self._before)
        return self._resolved[key]
