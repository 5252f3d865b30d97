"""Who is in, and who says so: the rules of membership.

The rule (protocol.md, "Groups"): a person has two rights, to be a member and to be an admin. Acts give and take
them. Two questions are kept apart:

*May they?* An act is judged by the membership of its parent epoch (`electorate`): who has a say there, and how many
of them it takes. That never changes afterwards, so an epoch once valid stays valid, whatever else is heard of.

*Who is in, after all that is known?* (`resolve`) Acts that did not know of each other may clash. Then

- what was taken stays taken: a removal counts whatever happened beside it, even if those who removed were removed;
- a right that was given counts only if it knew of every removal of that person, that is, has them all among its
  ancestors;
- what was given by somebody whose own right was taken beside it came after the removal, and counts for nothing.

So what a removed admin makes up later, dated before the removal, can never bring anybody in; at worst it removes more
people, whom one addition brings back, because it knows of all that. Two admins who remove each other are both out.
Other rules for a clash (the older admin, the lower id) can be played by who makes up epochs afterwards.

Epochs are numbered here from 0, the base; `before[n]` has bit m set if m is an ancestor of n.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from meshd.statement import ADD_MEMBER, MAKE_ADMIN, REMOVE_ADMIN, REMOVE_MEMBER

_MEMBER, _ADMIN = 0, 1  # places of the two rights in a Membership
_GIVES = {ADD_MEMBER: _MEMBER, MAKE_ADMIN: _ADMIN}
_TAKES = {REMOVE_MEMBER: (_MEMBER, _ADMIN), REMOVE_ADMIN: (_ADMIN,)}


class Membership(NamedTuple):
    """Who has which right."""

    members: frozenset[bytes]
    admins: frozenset[bytes]


class Act(NamedTuple):
    """An act in a valid epoch, and who answers for it."""

    at: int  # number of the epoch
    about: int  # number of its parent
    purpose: int
    subject: bytes
    signers: frozenset[bytes]  # of those who had a say
    needed: int  # how many of them it took
    by_admins: bool  # they had it as admins

    @property
    def said(self) -> tuple[int, int, bytes]:
        """What makes it the same act as another: what was said of which epoch, whoever carried it."""
        return self.about, self.purpose, self.subject


class Electorate(NamedTuple):
    """Who has a say in an act, and how many of them it takes."""

    eligible: frozenset[bytes]
    needed: int
    by_admins: bool


def electorate(among: Membership, purpose: int, subject: bytes, signed: Collection[bytes] = ()) -> Electorate:
    """Who decides on this act, among these. `signed`: who is known to have signed it, as far as that matters.

    One admin adds or removes a member; a majority of the admins makes another; a majority of the *other* admins
    removes one, or takes the rights. Where there are no such admins, a majority of the members, without whom it is to
    be taken from. Whoever signs their own removal leaves, and needs nobody else for it.
    """
    if purpose == REMOVE_MEMBER and subject in signed:
        return Electorate(frozenset((subject,)), 1, False)
    of_admin = purpose == MAKE_ADMIN or subject in among.admins
    admins = among.admins if purpose == MAKE_ADMIN else among.admins - {subject}
    if admins:
        return Electorate(admins, len(admins) // 2 + 1 if of_admin else 1, True)
    members = among.members if purpose in _GIVES else among.members - {subject}
    return Electorate(members, len(members) // 2 + 1, False)


def changes(among: Membership, purpose: int, subject: bytes) -> bool:
    """Whether the act would change anything: it must."""
    is_member, is_admin = subject in among.members, subject in among.admins
    if purpose == ADD_MEMBER:
        return not is_member
    return is_admin if purpose == REMOVE_ADMIN else is_member and not (purpose == MAKE_ADMIN and is_admin)


def after(among: Membership, acts: Iterable[tuple[int, bytes]]) -> Membership:
    """The membership after these acts (purpose, subject), none of which touches another's subject."""
    members, admins = set(among.members), set(among.admins)
    for purpose, subject in acts:
        if purpose in _GIVES:
            (members if purpose == ADD_MEMBER else admins).add(subject)
        else:
            admins.discard(subject)
            if purpose == REMOVE_MEMBER:
                members.discard(subject)
    return Membership(frozenset(members), frozenset(admins))


def resolve(base: Membership, acts: Sequence[Act], before: Sequence[int]) -> Membership:
    """Who is in after the base and all these acts, which stand in an order in which ancestors come first.

    Epochs that say the same of the same parent are one act, whoever carried it: else the signatures under a removal
    could be used again, to remove somebody who has been brought back since.
    """
    given: dict[tuple[int, bytes], list[int]] = {}
    taken: dict[tuple[int, bytes], dict[int, int]] = {}  # by parent: the epochs that say so, as bits
    for act in acts:
        for right in _TAKES.get(act.purpose, ()):
            said = taken.setdefault((right, act.subject), {})
            said[act.about] = said.get(act.about, 0) | 1 << act.at

    def known(gift: int, take: int, at: int | None) -> bool:
        """Whether a removal is no reason to doubt a gift: the gift knew of it; or who had it had acted by then."""
        came_later = at is not None and (take | before[take.bit_length() - 1]) >> at & 1
        return bool(before[gift] & take or came_later)

    def holds(right: int, who: bytes, at: int | None = None) -> bool:
        """Whether `who` has the right after all that is known, or had it when acting at epoch `at`."""
        against = taken.get((right, who), {}).values()
        gifts = given.get((right, who), [])
        return any(
            (at is None or before[at] >> gift & 1) and all(known(gift, take, at) for take in against)
            for gift in ([0, *gifts] if who in base[right] else gifts)
        )

    for act in acts:
        if act.purpose in _GIVES:
            rights = (_MEMBER, _ADMIN) if act.by_admins else (_MEMBER,)
            able = sum(all(holds(right, who, act.at) for right in rights) for who in act.signers)
            if able >= act.needed:
                given.setdefault((_GIVES[act.purpose], act.subject), []).append(act.at)

    def holders(right: int) -> frozenset[bytes]:
        changed = {who for kind, who in (*given, *taken) if kind == right}
        return (base[right] - changed) | {who for who in changed if holds(right, who)}

    members = holders(_MEMBER)
    return Membership(members, holders(_ADMIN) & members)
