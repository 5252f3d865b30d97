"""Whom a caller means: a petname, `name#7f3a`, or the beginning of an id.

The rule: only what the user said, or a part of the key itself, names anybody. A petname is the user's own word. What
somebody calls themselves proves nothing, so such a name counts only with its tag, and bare it is an error that lists
who uses it. What fits several people is an error that lists them; nobody is chosen for the user.
"""

import re

from meshd import documents
from meshd.errors import CallerError, Code
from meshd.store.contacts import fold
from meshd.store.log import Log

_TAG = re.compile(r"[0-9a-f]{4,64}", re.ASCII)
_ID_PREFIX = re.compile(r"[0-9a-f]{6,64}", re.ASCII)


def find(log: Log, who: str) -> bytes:
    """The identity (32 bytes) that a caller means, who may be ourselves; CallerError(usage, not_found)."""
    called = log.contacts.called(who)
    if called is not None:
        return called.identity
    name, mark, tag = who.rpartition("#")
    found: list[bytes] = []
    if mark and _TAG.fullmatch(tag.lower()):
        found = [key for key in log.authors.beginning(tag.lower()) if _fits(log, key, name)]
    elif _ID_PREFIX.fullmatch(who.lower()):
        found = log.authors.beginning(who.lower())
    if len(found) == 1:
        return found[0]
    if found:
        raise CallerError(Code.usage, f"{who} could be: {_listed(log, found)}")
    if who and (others := log.authors.calling_themselves(who)):
        raise CallerError(
            Code.usage,
            f"nobody has that name from you, but some call themselves {who}: {_listed(log, others)}",
        )
    raise CallerError(Code.not_found, f"nobody here is {who}; see: mesh contact list")


def shown(log: Log, identity: bytes) -> str:
    """The name under which somebody is shown."""
    return documents.author_name(log.authors.name(identity), identity, log)


def _fits(log: Log, identity: bytes, name: str) -> bool:
    """Whether somebody may be called so, beside a tag that fits: a bare tag fits whoever it is of."""
    names = log.authors.name(identity), log.contacts.get(identity).petname
    return not name or fold(name) in map(fold, names)


def _listed(log: Log, identities: list[bytes]) -> str:
    return ", ".join(f"{shown(log, each)} ({each.hex()[:12]})" for each in identities)
