"""The documents about people: contacts, and what comparing them tells. The rules are those of `daemon.api`."""

from typing import Literal, NotRequired, TypedDict


class Contact(TypedDict):
    """An identity that the user said something about, or somebody vouches for. `name`: the petname, or `name#7f3a` of
    what they call themselves. `vouched_by`: the ids of those, verified here, who say in a group of ours that they
    compared this key. `added`: by a card, so that they are recognised on links; so is who is verified. `fingerprint`:
    the 12 words of the key."""

    id: str
    name: str
    trust: Literal["seen", "vouched", "verified"]
    vouched_by: list[str]
    added: bool
    muted: bool
    blocked: bool
    fingerprint: str


class Contacts(TypedDict):
    """All contacts, after what was asked for; `id` is the one it was about."""

    v: int
    contacts: list[Contact]
    id: NotRequired[str]


class Vouched(Contacts):
    """`groups`: the ids of those in which it was said."""

    groups: list[str]


class Compared(Contacts):
    """`fingerprint`: the 12 words that the contact's own screen must show."""

    fingerprint: str
