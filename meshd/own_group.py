"""One group or direct of this node: what it is, and what was done about it.

A *direct* is a group of two that either begins; it has no anchor, because each of its epochs stands for itself. Its
`inviter` is the other one, whoever wrote first. Until the user accepts it, nothing of it is admitted but words, for the
request box.

Everything here follows from what is in the log, or is only a wait that is drawn anew after a start.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from meshd.envelope import read_post
from meshd.errors import CallerError, Code
from meshd.groups import epochs
from meshd.groups.dag import Standing, Status
from meshd.groups.epochs import Epoch, Member
from meshd.groups.group import Group
from meshd.groups.turns import Turns
from meshd.ids import direct_name
from meshd.limits import EPOCHS_AHEAD_MAX
from meshd.post import HOUR_MS, KIND_TEXT, Post
from meshd.store.groups import GroupRow, Groups, Vouch
from meshd.store.log import Log, Row
from meshd.votes import Votes

KNOWN = (Status.valid, Status.aside)  # what epochs are whose membership is known


@dataclass(slots=True)
class OwnGroup:
    """A group or direct that we are in or asked to, and what this node has done about it."""

    row: GroupRow
    group: Group
    votes: Votes
    vouches: dict[bytes, dict[bytes, Vouch]] = field(default_factory=dict)  # by subject and signer
    expiries: dict[bytes, int] = field(default_factory=dict)  # expiry hour of an epoch's newest envelope
    ends: dict[bytes, int] = field(default_factory=dict)  # keep-until of an epoch's post
    superseded: dict[bytes, int] = field(default_factory=dict)  # since which hour
    made: set[bytes] = field(default_factory=set)  # by us, since the start
    offered: dict[bytes, set[bytes]] = field(default_factory=dict)  # by member: see `takes_offer`
    told: dict[bytes, frozenset[bytes]] = field(default_factory=dict)  # who is to be sent an epoch's key
    is_out: bool = False  # we were removed, as far as we heard
    judged: int = 0  # how many epochs were known to be valid
    turns: Turns = field(kw_only=True)  # of making epochs that were decided on
    is_stale: bool = True  # something came since `_update`
    ask_ms: int = 0  # when to ask for duties again, wall milliseconds

    @property
    def channel(self) -> bytes:
        return self.row.channel

    @property
    def is_direct(self) -> bool:
        """Whether it is a group of two that nobody administers."""
        return self.group.dag.anchor is None

    @property
    def kind(self) -> str:
        """The kind of its channel."""
        return "direct" if self.is_direct else "group"

    @property
    def anchor(self) -> Epoch | None:
        """The epoch that we came by, once its post is here; of a direct any."""
        held = self.group.dag.held
        return next(iter(held.values()), None) if self.is_direct else held.get(self.row.anchor)

    @property
    def is_in(self) -> bool:
        """Whether the user wants to be in, and what they are in is known."""
        return self.row.is_accepted and self.anchor is not None

    def require_in(self) -> None:
        """CallerError(refused) if we were removed."""
        if self.is_out:
            raise CallerError(
                Code.refused, f"you are no longer in the group {self.name}: you were removed, or left it"
            )

    @property
    def name(self) -> str:
        """What its channel is called in the log."""
        if self.is_direct:
            return direct_name(self.row.inviter)
        return self.anchor.body.name if self.anchor else ""

    def is_for(self, epoch: bytes) -> bool:
        """Whether this epoch is known to be of this group, and not of another that somebody began under its id."""
        return epoch == self.row.anchor or self.group.dag.status(epoch) in KNOWN

    def takes_offer(self, sender: bytes, epoch: bytes) -> bool:
        """Whether a key of an epoch whose post is not here, and that nobody can check, is taken from this member: one
        of each epoch, and of few epochs. So who sends false ones keeps nobody else's out."""
        offered = self.offered.setdefault(sender, set())
        if epoch in offered or len(offered) >= EPOCHS_AHEAD_MAX:
            return False
        offered.add(epoch)
        return True

    def admits(self, found: Post) -> bool:
        """Whether a post that is no epoch counts: by a member of an epoch that is known, and not kept too long."""
        dag = self.group.dag
        may_speak = self.row.is_accepted or (self.is_direct and found.kind == KIND_TEXT)
        if not may_speak or dag.status(found.epoch) not in KNOWN:
            return False
        too_long = found.keep_until * HOUR_MS > found.time_ms + (self.group.keep_hours_max() + 1) * HOUR_MS
        return found.author in dag.membership(found.epoch).members and not too_long

    def came_after_removal(self, row: Row, log: Log) -> bool:
        """Whether nothing shows that a post was there before its author was removed."""
        standing = self.group.dag.standing(
            row.author, row.epoch, lambda id: bool(preceding(log, [row], [id])[0])
        )
        return standing is Standing.after_removal

    def rows(self) -> list[Member]:
        """The members' rows as they stand now."""
        current = self.group.current()
        ends = [current.id] if current else self.group.dag.loose_ends(self.group.me)
        return [row for id in ends for row in self.group.dag.held[id].members()]

    def count_judged(self) -> int:
        """How many epochs are known to be valid."""
        return sum(self.group.dag.status(id) in KNOWN for id in self.group.dag.held)

    def vouch(self, signer: bytes, subject: bytes) -> Vouch | None:
        """What one member said last of another's key."""
        return self.vouches.get(subject, {}).get(signer)

    def forget_over(self, store: Groups, hour: int, is_key_held: Callable[[bytes], bool]) -> None:
        """Forget the epochs whose posts are over, with their keys, and that nothing depends on any more."""
        dag, me = self.group.dag, self.group.me
        gone = dag.forget_over(me, lambda id: self.ends[id] <= hour and not is_key_held(id))
        if dag.anchor is not None and dag.anchor != self.row.anchor:
            self.row = self.row._replace(anchor=dag.anchor, inviter=me)
            store.put(self.row)
        store.forget_epochs(gone)
        self.votes.forget(gone)
        for id in gone:
            for known in (self.expiries, self.ends, self.superseded, self.told):
                known.pop(id, None)

    def load(self, store: Groups) -> None:
        """Take in what is kept of it over a stop."""
        found = []
        for row in store.epochs(self.channel):
            inside = read_post(row.content, channel=self.channel, epoch=b"", expiry_hour=row.keep_until)
            epoch = epochs.parse(inside.post, row.id)
            if epoch is None:
                raise RuntimeError("an epoch that was one is none")
            found.append(epoch)
            self.expiries[row.id], self.ends[row.id] = row.expiry_hour, row.keep_until
            if row.superseded:
                self.superseded[row.id] = row.superseded
        self.group.dag.add(*found)
        self.judged = self.count_judged()
        self.votes.load()
        for vouch in store.vouches(self.channel):
            self.vouches.setdefault(vouch.subject, {})[vouch.signer] = vouch


def preceding(log: Log, rows: Sequence[Row], later: Iterable[bytes]) -> tuple[set[bytes], set[bytes]]:
    """The ids of those of these posts that are among the ancestors of one with such an id, as far as those are here;
    and of the ancestors that are not, unless all was found without them."""
    wanted, oldest = {row.id for row in rows}, min((row.hlc for row in rows), default=0)
    before, seen, lacking = list(later), set[bytes](), set[bytes]()
    while before and not wanted <= seen:
        found = log.row(id := before.pop())
        if found is None:
            lacking.add(id)
        elif found.hlc > oldest:
            new = [each for each in found.parent_ids() if each not in seen]
            before += new
            seen.update(new)
    return wanted & seen, set() if wanted <= seen else lacking
