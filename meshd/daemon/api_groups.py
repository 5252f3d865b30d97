"""The documents about groups. The rules are those of `daemon.api`."""

from typing import Literal, TypedDict

from meshd.daemon.api import Posted


class Member(TypedDict):
    """A member of a group. `vouched_by`: as of contacts. `pending`: can perhaps not read what is posted now: no key is
    known to reach them. `tireless`: renewed it more often than anybody needs; what they renew is set aside."""

    id: str
    name: str
    trust: Literal["self", "seen", "vouched", "verified"]
    vouched_by: list[str]
    admin: bool
    pending: bool
    tireless: bool


class Act(TypedDict):
    """Something that several have to sign: `who` it is about, the ids of those who have, and how many it takes."""

    what: Literal["add", "remove", "make admin", "remove admin"]
    who: str
    signers: list[str]
    needed: int


class Group(TypedDict):
    """A group. `epoch`: what is posted under now; null for who is out, or while its parts have to meet first.
    `out`: we were removed, or left, as far as is known here; `members` are then those of before, without us."""

    v: int
    id: str
    name: str
    epoch: str | None
    out: bool
    members: list[Member]
    acts: list[Act]


class Left(TypedDict):
    """A group that we are in no longer. `told`: that was said in it; else there was no key for it, or no time."""

    v: int
    id: str
    name: str
    told: bool


class Invitation(TypedDict):
    """`invite`: the text that `accept` takes, for the person with this id; null if they can't be sent a key now."""

    id: str
    invite: str | None


class Invited(Group):
    """`invite`: that of who was invited, if it was one; `invites`: those of all, in the order asked."""

    invite: str | None
    invites: list[Invitation]


class Written(Posted):
    """A post to one person. `pending`: they can perhaps not read it now, because no key of theirs is known that is for
    today. `old_prekey`: it went to a key of theirs whose day is over."""

    pending: bool
    old_prekey: bool


class Request(TypedDict):
    """Somebody who wants something, `id` and `name`: `text` are their first words, and `group` null; or `text` is the
    name of the group `group` that they invite to, and `time` null as long as the group's own post is not here."""

    id: str
    name: str
    text: str
    time: str | None
    group: str | None


class Requests(TypedDict):
    """What waits for an answer, after what was asked for."""

    v: int
    requests: list[Request]


class Presumed(TypedDict):
    """`id`: of whom; `groups`: those that they are or were a member of, after they were put out or that was signed."""

    v: int
    id: str
    groups: list[Group]
