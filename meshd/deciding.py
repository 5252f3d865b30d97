"""Acts of a group: what its members sign, what enough of them have signed, and who is told.

The rule (protocol.md, "Groups", "Statements"): an act that one may do is done at once, by an epoch. One that takes
several is signed by each in a statement that is posted in the group; whoever sees enough of those makes the epoch,
after a random wait. What an epoch carries has come about, and is not done again, whatever became of it since.

Who is put out is not sent the key of the epoch that does it, and could not know. So it is said under the epoch before,
too, in a statement that changes nothing for anybody else.

Who leaves signs their own removal and posts that, because an epoch is made by who is in it: any other member makes it,
after a random wait. From then on it is a removal like any other. Who wants to post or to invite makes it first.
"""

from collections.abc import Callable
from contextlib import suppress

from meshd import statement
from meshd.author import Author
from meshd.envelope import post_content
from meshd.errors import CallerError, Code
from meshd.events import Now
from meshd.groups import acts
from meshd.groups.epochs import Member
from meshd.inbox import Publish
from meshd.limits import HEAL_EACH_MS, RESEAL_HOURS
from meshd.own_group import OwnGroup
from meshd.post import KIND_STATEMENT
from meshd.sealing import Sealing
from meshd.statement import REMOVE_MEMBER, Statement
from meshd.store.log import Log

Make = Callable[[OwnGroup, acts.OpenAct, tuple[Member, ...], Now], None]


class Deciding:
    """Says what we sign, and sees what was decided. `make` makes the epoch of an act."""

    def __init__(self, log: Log, author: Author, sealing: Sealing, publish: Publish, make: Make) -> None:
        self._log, self._author, self._sealing = log, author, sealing
        self._publish, self._make = publish, make
        self.is_frozen: Callable[[OwnGroup, Now], bool] = lambda own, now: (
            False
        )  # told by who knows the plans

    def open_acts(self, own: OwnGroup) -> list[acts.OpenAct]:
        """What some have signed and that has not come about."""
        return acts.open_acts(own.group.dag, own.votes)

    def _decided(self, own: OwnGroup) -> dict[bytes, acts.OpenAct]:
        """The acts that enough have signed."""
        found = [act for act in self.open_acts(own) if len(act.signatures) >= act.needed]
        return {bytes((act.purpose,)) + act.subject + act.about: act for act in found}

    def is_out(self, own: OwnGroup) -> bool:
        """Whether we were removed: by an epoch, or by what those said who may, before any epoch of it is here."""
        me = own.group.me
        said = any(act[:2] == (REMOVE_MEMBER, me) for act in self._decided(own).values())
        return said or me not in own.group.dag.membership().members

    def say(self, own: OwnGroup, said: Statement, now: Now) -> None:
        """Sign an act, and do it once enough have."""
        signature = self._author.sign_statement(said)
        self.state(own, statement.encode_body(said, signature), now)
        own.votes.take(said, self._author.public, signature)
        for act in self._decided(own).values():
            self._carry_out(own, act, now)

    def tell(self, own: OwnGroup, about: bytes, removed: bytes, now: Now) -> bytes:
        """Say under the epoch that somebody was in that they no longer are; the id of that post if it can be said."""
        said = Statement(REMOVE_MEMBER, own.channel, about, removed)
        with suppress(CallerError):  # without its key nobody else would open it either
            return self.state(own, statement.encode_body(said, self._author.sign_statement(said)), now, about)
        return b""

    def tell_leaving(self, own: OwnGroup, now: Now) -> bytes:
        """Say that we leave; the id of that post, if it could be said."""
        under = self._sealing.posting(own.channel)
        return self.tell(own, under, own.group.me, now) if under and not own.is_direct else b""

    def put_out(self, own: OwnGroup, now: Now) -> None:
        """Remove at once who leaves, and whom enough have removed: what is posted next is not for them."""
        for act in self._decided(own).values():
            if act.purpose == REMOVE_MEMBER:
                self._carry_out(own, act, now)

    def state(
        self, own: OwnGroup, body: bytes, now: Now, under: bytes = b"", hours: int = RESEAL_HOURS
    ) -> bytes:
        """Post the body of a statement in the group, under the epoch that we post under or this one, and have it kept
        for so long; the id of the post. CallerError(refused)."""
        under = under or self._sealing.posting(own.channel)
        if not under:
            raise CallerError(Code.refused, "there is no key for this group any more, or none yet")
        keep_hours = min(hours, own.group.keep_hours_max())
        made = self._author.sign(own.channel, under, KIND_STATEMENT, body, keep_hours, now.wall_ms)
        until = made.post.keep_until
        day_key = self._sealing.day_key(own.channel, under, until)
        self._publish([self._author.seal(post_content(made.signed, made.signature), day_key, until)], now)
        return made.id

    def go_on(self, own: OwnGroup, now: Now) -> None:
        """Do what was decided by several, or by who leaves, when it is our turn. What one may do that one does."""
        decided = {key: act for key, act in self._decided(own).items() if act.needed > 1 or act.is_leaving}
        longest_ms = HEAL_EACH_MS * len(own.group.dag.membership().members)
        for key in own.turns.ready(dict.fromkeys(decided, longest_ms), now.wall_ms):
            self._carry_out(own, decided[key], now)

    def _carry_out(self, own: OwnGroup, act: acts.OpenAct, now: Now) -> None:
        """Make the epoch that an act asks for; who has no card of who is to be added leaves it to others. In the dark,
        where a plan says so, nobody is added."""
        if act.purpose == statement.ADD_MEMBER and self.is_frozen(own, now):
            return
        row = self._log.contacts.inbox(act.subject)
        rows = (Member(act.subject, *row),) if row and act.purpose == statement.ADD_MEMBER else ()
        with suppress(CallerError):
            self._make(own, act, rows, now)
