"""Vouching: what members of a group say about each other's keys.

The rules (protocol.md, "Vouching"):

- A **vouch** says: I have compared this key with its owner, face to face. So only who has verified somebody says it. It
  is a statement, posted in the groups that both are in and nowhere else: nobody hears of a person with whom they share
  no group.
- It **counts** while it lasts, for who has verified the voucher and not blocked them, as long as all three are in that
  group after all that is known, and the voucher's key is not forked there. Trust goes one step: what a merely vouched
  person says of others counts for nothing. Who has no mesh time counts none, because none is for ever.
- It changes what is shown, and nothing else: nobody is recognised, written to, added to anything or given a say for it.
- Of what one said of another in a group, what they dated last stands, in whatever order it came: a vouch, a longer one,
  or that they take it back.
- Its post lives for a week and the vouch for a month, so the voucher says it again every week, for who came later.

What was said stands in the log beside its group, and goes when nothing can count any more.
"""

from contextlib import suppress

from meshd import statement
from meshd.author import Author
from meshd.errors import CallerError, Code
from meshd.events import Now
from meshd.ids import ID_SIZE
from meshd.limits import KEEP_HOURS_MAX, RESEAL_HOURS, VOUCH_HOURS
from meshd.own_group import OwnGroup
from meshd.own_groups import OwnGroups
from meshd.post import HOUR_MS
from meshd.sealing import Inside
from meshd.statement import Statement
from meshd.store.groups import Vouch
from meshd.store.log import Log


def hours_max(own: OwnGroup) -> int:
    """How long a vouch lasts in this group: in a strict one no longer than anything else."""
    return own.group.keep_hours_max() if own.group.is_strict else VOUCH_HOURS


def vouch(channel: bytes, subject: bytes, expiry_hour: int) -> Statement:
    """The statement that vouches for somebody until that hour; with hour 0, the one that takes it back."""
    return Statement(statement.VOUCH, channel, bytes(ID_SIZE), subject + expiry_hour.to_bytes(4, "big"))


def parse(said: Statement, author: bytes, time_ms: int, hours: int) -> tuple[bytes, int] | None:
    """For whom `author` vouches here, in a post of that time, and until which hour; None if for nobody, or for longer
    than this group's `hours`."""
    subject, expiry_hour = said.subject[:ID_SIZE], int.from_bytes(said.subject[ID_SIZE:], "big")
    if (
        len(said.subject) != ID_SIZE + 4
        or said != vouch(said.channel, subject, expiry_hour)
        or subject == author
    ):
        return None
    return (subject, expiry_hour) if expiry_hour * HOUR_MS <= time_ms + (hours + 1) * HOUR_MS else None


class Vouching:
    """Takes in what is said, says it, and tells what counts."""

    def __init__(self, log: Log, author: Author, groups: OwnGroups) -> None:
        self._log, self._author, self._groups = log, author, groups
        self._hour: int | None = None  # by mesh time; None as long as there is none
        groups.vouched = self._take
        log.contacts.vouchers = self.vouchers

    # --- what counts ---

    def vouchers(self, subject: bytes) -> list[bytes]:
        """Whose vouches for this identity count now, ascending."""
        found = set[bytes]()
        for own in self._groups.groups.values():
            if subject in own.vouches and _are_in(own, own.group.me, subject):
                found.update(who for who, said in own.vouches[subject].items() if self._counts(own, said))
        return sorted(found)

    def _counts(self, own: OwnGroup, said: Vouch) -> bool:
        by = self._log.contacts.get(said.signer)
        if self._hour is None or said.expiry_hour <= self._hour or not by.is_verified or by.is_blocked:
            return False
        return _are_in(own, said.signer) and said.signer not in own.group.dag.forked

    def vouched(self) -> list[bytes]:
        """Those for whom somebody's vouch counts now, ascending."""
        subjects = {subject for own in self._groups.groups.values() for subject in own.vouches}
        return [subject for subject in sorted(subjects) if self.vouchers(subject)]

    # --- what comes ---

    def _take(self, own: OwnGroup, inside: Inside, said: Statement) -> None:
        """A member's statement of this purpose came, ours among them."""
        found = inside.post
        parsed = parse(said, found.author, found.time_ms, hours_max(own))
        if parsed is None or parsed[0] not in own.group.dag.membership(found.epoch).members:
            return
        subject, expiry_hour = parsed
        new, old = Vouch(found.author, subject, found.hlc, expiry_hour), own.vouch(found.author, subject)
        if old is None or new[2:] > old[2:]:
            own.vouches.setdefault(subject, {})[found.author] = new
            self._log.groups.put_vouch(own.channel, new)

    # --- what we say ---

    def say(self, subject: bytes, now: Now) -> list[OwnGroup]:
        """Vouch for somebody in every group that we share; those groups. CallerError(refused)."""
        shared = [
            own
            for own in self._groups.groups.values()
            if own.is_in and not own.is_direct and _are_in(own, own.group.me, subject)
        ]
        if not shared:
            raise CallerError(
                Code.refused, "you share no group with them, and it is said nowhere else: nothing was said"
            )
        hour = now.wall_ms // HOUR_MS
        told = [own for own in shared if self._say(own, subject, hour + hours_max(own), now)]
        if not told:
            raise CallerError(Code.refused, "there is no key for the groups that you share: nothing was said")
        return told

    def take_back(self, subject: bytes, now: Now) -> list[OwnGroup]:
        """Vouch for somebody no longer; the groups in which we did. CallerError(not_found)."""
        hour = now.wall_ms // HOUR_MS
        where = [own for own in self._groups.groups.values() if own.is_in and self._lasts(own, subject, hour)]
        told = [own for own in where if self._say(own, subject, 0, now)]
        if not told:
            raise CallerError(Code.not_found, "you vouch for them nowhere: nothing was said")
        return told

    def _lasts(self, own: OwnGroup, subject: bytes, hour: int) -> bool:
        ours = own.vouch(own.group.me, subject)
        return ours is not None and ours.expiry_hour > hour

    def _say(self, own: OwnGroup, subject: bytes, expiry_hour: int, now: Now) -> bool:
        """Post it, until that hour or as taken back (0); False if there is no key to seal it."""
        said = vouch(own.channel, subject, expiry_hour)
        body = statement.encode_body(said, self._author.sign_statement(said))
        with suppress(CallerError):
            self._groups.deciding.state(own, body, now)
            return True
        return False

    # --- upkeep ---

    def go_on(self, now: Now) -> None:
        """Once an hour: forget what is over, and say again what lasts. For who trusts the clock."""
        hour = now.wall_ms // HOUR_MS
        if hour == self._hour:
            return
        self._hour = hour
        for own in self._groups.groups.values():
            for said in [each for by in own.vouches.values() for each in by.values()]:
                if said.expiry_hour <= hour and said.hour + KEEP_HOURS_MAX < hour:
                    del own.vouches[said.subject][said.signer]
                    self._log.groups.remove_vouch(own.channel, said)
                elif said.signer == own.group.me and said.hour + RESEAL_HOURS <= hour < said.expiry_hour:
                    known = self._log.contacts.get(said.subject)
                    if (
                        own.is_in
                        and known.is_verified
                        and not known.is_blocked
                        and _are_in(own, said.subject)
                    ):
                        self._say(own, said.subject, said.expiry_hour, now)


def _are_in(own: OwnGroup, *identities: bytes) -> bool:
    """Whether these are members after all that is known."""
    return bool(own.judged) and own.group.dag.membership().members >= set(identities)
