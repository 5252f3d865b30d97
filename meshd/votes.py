"""What members of one group have signed about acts, as far as it may still count.

The rule (protocol.md, "Groups", *Bounds*): a statement about an epoch that is known is kept if its signer has a say
there that others have to join, if it says that the signer leaves, or that we are out; one about an epoch that may still
come, in any case. The same said twice is kept once, in whatever way it was signed: there is no end of ways.

Of one member VOTES_EACH_MAX are kept; for one more the oldest of the same member goes, those about us last. So who
signs without end pushes out nothing of anybody else's. Of all, VOTES_MAX, which is as many for each of as many members
as a group can have; what is more is by people who were removed. What they said may still count, or an admin could
put out who signs against him; so it stays until there is no room, and goes for what a member says, oldest first.

A statement goes with the epoch that it is about.
"""

from collections.abc import Collection, Iterator

from meshd import statement
from meshd.groups.dag import Dag, Status
from meshd.groups.membership import changes, electorate
from meshd.limits import VOTES_EACH_MAX, VOTES_MAX
from meshd.statement import ADD_MEMBER, REMOVE_ADMIN, Statement
from meshd.store.groups import Groups


class Votes:
    """Owns the statements about acts of one group, in memory and in the log."""

    def __init__(self, store: Groups, dag: Dag, me: bytes) -> None:
        self._store, self._dag, self._me = store, dag, me
        self._signed: dict[bytes, dict[Statement, bytes]] = {}  # signatures by signer, as they came

    def __iter__(self) -> Iterator[tuple[Statement, bytes, bytes]]:
        """Statement, signer and signature of each."""
        for signer, signed in self._signed.items():
            for said, signature in signed.items():
                yield said, signer, signature

    def load(self) -> None:
        """Take in what is kept over a stop; the epochs are here by now."""
        for signer, body in self._store.votes(self._dag.channel):
            if (parsed := statement.parse_body(self._dag.channel, signer, body)) is not None:
                self._signed.setdefault(signer, {})[parsed[0]] = parsed[1]

    def take(self, said: Statement, signer: bytes, signature: bytes) -> bool:
        """Keep what somebody signed, verified (`statement.parse_body`); whether it is new and may count."""
        signed = self._signed.get(signer, {})
        if said in signed or not self._may_count(said, signer):
            return False
        if len(signed) >= VOTES_EACH_MAX:
            self._drop(signer, min(signed, key=lambda each: each.subject == self._me))
        elif sum(map(len, self._signed.values())) >= VOTES_MAX and not self._make_room(signer):
            return False
        self._signed.setdefault(signer, {})[said] = signature
        self._store.add_vote(said.channel, signer, statement.encode_body(said, signature))
        return True

    def forget(self, epochs: Collection[bytes]) -> None:
        """These epochs are over, and what was said about them."""
        gone = set(epochs)
        for said, signer, _ in list(self) if gone else ():
            if said.about in gone:
                self._drop(signer, said)

    def _may_count(self, said: Statement, signer: bytes) -> bool:
        if not ADD_MEMBER <= said.purpose <= REMOVE_ADMIN or said.flag:
            return False
        if (status := self._dag.status(said.about)) in (None, Status.waiting):
            return True
        if status is Status.invalid:
            return False
        among = self._dag.membership(said.about)
        if not changes(among, said.purpose, said.subject):
            return False
        say = electorate(among, said.purpose, said.subject, (signer,))
        return signer in say.eligible and (say.needed > 1 or said.subject in (signer, self._me))

    def _make_room(self, signer: bytes) -> bool:
        """Drop the oldest of somebody who was removed, for what a member says."""
        members = self._dag.membership().members
        gone = next((who for who in self._signed if who not in members), None)
        if gone is None or signer not in members:
            return False
        self._drop(gone, next(iter(self._signed[gone])))
        return True

    def _drop(self, signer: bytes, said: Statement) -> None:
        signature = self._signed[signer].pop(said)
        if not self._signed[signer]:
            del self._signed[signer]
        self._store.remove_vote(said.channel, signer, statement.encode_body(said, signature))
