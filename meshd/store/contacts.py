"""Contacts: whom the user knows, what they are called here, and the inbox keys that cards brought.

The rules:

- A **petname** is the user's own word for an identity, and nothing that comes from the net can change it. No two
  contacts have petnames that look alike (`fold`), and none has a `#`, so that it is never taken for a name that
  somebody gave themselves.
- Only who was **added** (by a card) or **verified** (words or card compared face to face) is recognised on a link. To
  mute, block or name somebody adds nobody.
- **Met** is the order in which contacts were last met, not a time: who was met last has the highest number. It chooses
  whom to look out for; when that was is nobody's business, a thief's least of all.
- An **inbox key** belongs to a day, and once that is over only the next day's is kept (protocol.md, "Cards"). Our own
  stands beside those of others.

A person has hundreds of contacts and every post that is shown asks for one, so all are kept in memory.
"""

import unicodedata
from collections.abc import Callable
from typing import NamedTuple

from meshd.daykeys import advance
from meshd.errors import CallerError, Code
from meshd.limits import KEY_DAYS_MAX, NAME_SIZE_MAX
from meshd.store.db import Database

SCHEMA = (
    """CREATE TABLE contact (
        identity BLOB PRIMARY KEY, petname TEXT NOT NULL, added INTEGER NOT NULL, verified INTEGER NOT NULL,
        muted INTEGER NOT NULL, blocked INTEGER NOT NULL, met INTEGER NOT NULL) WITHOUT ROWID""",
    "CREATE TABLE inbox (identity BLOB PRIMARY KEY, day INTEGER NOT NULL, key BLOB NOT NULL) WITHOUT ROWID",
    "CREATE INDEX chain_author ON chain (author)",
)
_BLOCKED = (
    "SELECT h.number FROM contact b CROSS JOIN author a ON a.key = b.identity"
    " CROSS JOIN chain h ON h.author = a.number WHERE b.blocked"
)
_SILENT = _BLOCKED + " OR b.muted"


class Contact(NamedTuple):
    """What the user said about an identity (32 bytes); `petname` is empty if they gave none."""

    identity: bytes
    petname: str = ""
    is_added: bool = False
    is_verified: bool = False
    is_muted: bool = False
    is_blocked: bool = False
    met: int = 0

    @property
    def is_known(self) -> bool:
        """Whether the user added or verified this person, and did not block them."""
        return (self.is_added or self.is_verified) and not self.is_blocked


class Contacts:
    """The contacts of one log, inside its transactions."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.vouchers: Callable[[bytes], list[bytes]] = lambda identity: []  # told by who knows the groups
        self.forget()

    def trust(self, identity: bytes) -> str:
        """`verified`, `vouched` or `seen`: how sure the user can be whose key this is."""
        if self.get(identity).is_verified:
            return "verified"
        return "vouched" if self.vouchers(identity) else "seen"

    def forget(self) -> None:
        """Read again from the file, after a rollback."""
        self._known: dict[bytes, Contact] = {}
        for row in self._database.read("SELECT * FROM contact"):
            identity, petname, added, verified, muted, blocked, met = row
            self._known[identity] = Contact(
                bytes(identity), petname, bool(added), bool(verified), bool(muted), bool(blocked), met
            )
        self._is_any_hidden()

    def _is_any_hidden(self) -> None:
        self._any_blocked = any(contact.is_blocked for contact in self._known.values())
        self._any_silent = self._any_blocked or any(contact.is_muted for contact in self._known.values())

    def get(self, identity: bytes) -> Contact:
        """The contact with this identity; one without any mark if the user never said anything about it."""
        return self._known.get(identity) or Contact(identity)

    def all(self) -> list[Contact]:
        """All of them, by petname."""
        return sorted(self._known.values(), key=lambda contact: (fold(contact.petname), contact.identity))

    def called(self, petname: str) -> Contact | None:
        """The contact with a petname that looks like this."""
        folded = fold(petname)
        found = [contact for contact in self._known.values() if fold(contact.petname) == folded]
        return found[0] if folded and found else None

    def put(self, contact: Contact) -> None:
        """Keep this. CallerError(refused) if another identity has that petname already: nothing is changed then."""
        namesake = self.called(contact.petname)
        if namesake is not None and namesake.identity != contact.identity:
            raise CallerError(
                Code.refused,
                f"{namesake.petname} is another key ({namesake.identity.hex()[:12]}): either this is somebody else,"
                " who needs another name, or the key was changed, and then ask them face to face; nothing was changed",
            )
        self._database.write(
            "INSERT INTO contact VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (identity) DO UPDATE SET"
            " petname = excluded.petname, added = excluded.added, verified = excluded.verified,"
            " muted = excluded.muted, blocked = excluded.blocked, met = excluded.met",
            contact,
        )
        self._known[contact.identity] = contact
        self._is_any_hidden()

    def met(self, identity: bytes) -> None:
        """This contact is met now, after all others."""
        last = max((contact.met for contact in self._known.values()), default=0)
        contact = self.get(identity)
        if contact.met < last or not last:
            self.put(contact._replace(met=last + 1))

    def recognisable(self, most: int | None = None) -> list[bytes]:
        """The identities to look out for on links, those met last first: added or verified, and not blocked."""
        known = [contact for contact in self._known.values() if contact.is_known]
        known.sort(key=lambda contact: (-contact.met, contact.identity))
        return [contact.identity for contact in known[:most]]

    # --- what is not shown: SQL to go on with after a WHERE; `chain` is the column with the number of a chain ---

    def hiding(self, chain: str) -> str:
        """Posts of who is blocked are left out."""
        return f" AND {chain} NOT IN ({_BLOCKED})" if self._any_blocked else ""

    def silencing(self, chain: str) -> str:
        """Posts of who is blocked or muted are left out."""
        return f" AND {chain} NOT IN ({_SILENT})" if self._any_silent else ""

    # --- inbox keys ---

    def inbox(self, identity: bytes) -> tuple[int, bytes] | None:
        """The day and the 32-byte inbox key of an identity, ours or another's; None if we have none."""
        rows = self._database.read("SELECT day, key FROM inbox WHERE identity = ?", (identity,))
        return (rows[0][0], bytes(rows[0][1])) if rows else None

    def inboxes(self) -> list[tuple[bytes, int, bytes]]:
        """(identity, day, 32-byte inbox key) of all that are known."""
        return list(self._database.read("SELECT identity, day, key FROM inbox ORDER BY identity"))

    def set_inbox(self, identity: bytes, day: int, key: bytes) -> None:
        """Keep the inbox key that belongs to this day, instead of the one before."""
        self._database.write(
            "INSERT INTO inbox VALUES (?, ?, ?) ON CONFLICT (identity) DO UPDATE SET day = excluded.day,"
            " key = excluded.key",
            (identity, day, key),
        )

    def forget_inbox(self, identity: bytes) -> None:
        """Keep no inbox key of this identity."""
        self._database.write("DELETE FROM inbox WHERE identity = ?", (identity,))

    def move_inboxes(self, day: int) -> None:
        """Days before this one are over: what was kept of their inbox keys is overwritten by the keys of this one, and
        forgotten where nobody can have used it for a year."""
        for identity, old, key in self._database.read("SELECT * FROM inbox WHERE day < ?", (day,)):
            if day - old <= KEY_DAYS_MAX:
                self.set_inbox(identity, day, advance(key, day - old))
            else:
                self._database.write("DELETE FROM inbox WHERE identity = ?", (identity,))


def fold(name: str) -> str:
    """What two names share that look alike: compatibility forms and case make no difference, nor does white space."""
    return "".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).split())


def checked_petname(text: str) -> str:
    """A petname as it is kept: NFC, no white space around it; CallerError(usage)."""
    name = unicodedata.normalize("NFC", text).strip()
    bad = any(
        c in "#@" or unicodedata.category(c) in ("Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp") for c in name
    )
    if bad or not fold(name) or len(name.encode(errors="replace")) > NAME_SIZE_MAX:
        raise CallerError(
            Code.usage, f"a contact's name has 1 to {NAME_SIZE_MAX} bytes and no #, @ or control character"
        )
    return name
