"""What the user says about people: the commands `contact …`.

The rules:

- A **card** names nobody: the petname is the user's. Adding one makes its owner a contact who is recognised on links,
  and trusts them no further: `seen`. A card of the same owner with a newer inbox key replaces the older one.
- **Verified** is who was compared face to face: by the twelve words of the key, or by a card read from their own
  screen. If they differ, either somebody misheard or somebody stands between the two; nothing is changed, and the user
  is told so.
- A **vouch** is our word for a key that we verified, in the groups that we share with its owner (`vouching`); those for
  whom the word of somebody verified counts are listed too, added or not.
- A **changed key** is a hard stop: a petname that belongs to one key is never given to another, whatever a card says.
- Who is **muted** is read when asked for, but not followed and not counted as unread. Who is **blocked** is not shown
  anywhere and not recognised on links; their posts are carried for others like anybody's, because refusing them would
  tell, and would tear holes into what others said.
"""

from typing import TYPE_CHECKING

from meshd import card, documents, people
from meshd.answers import Document, Method, Params
from meshd.card import Card
from meshd.errors import CallerError, Code
from meshd.events import Now
from meshd.limits import KEY_DAYS_MAX
from meshd.post import DAY_MS
from meshd.store.contacts import Contact, checked_petname
from meshd.store.log import Log
from meshd.words import fingerprint, words_to_bits

if TYPE_CHECKING:
    from meshd.node import Node


class Contacting:
    """Answers what is asked and said about contacts."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        self.methods: dict[str, Method] = {
            "contact.list": self._list,
            "contact.add": self._add,
            "contact.verify": self._verify,
            "contact.vouch": self._vouch,
            "contact.rename": self._rename,
            "contact.mute": lambda params, now: self._mute(params, True),
            "contact.unmute": lambda params, now: self._mute(params, False),
            "contact.block": lambda params, now: self._block(params, True),
            "contact.unblock": lambda params, now: self._block(params, False),
        }

    def _list(self, params: Params, now: Now) -> Document:
        return self._contacts()

    def _add(self, params: Params, now: Now) -> Document:
        log = self._writable()
        shown = _card(params["card"], now)
        known = self._other(log, shown.identity)
        name = checked_petname(params["name"]) if "name" in params else known.petname
        self._put(log, known._replace(petname=name, is_added=True))
        self._keep_inbox(shown, now)
        self._node.recognition.again()
        return self._contacts(shown.identity)

    def _verify(self, params: Params, now: Now) -> Document:
        log, known = self._named(params)
        if "words" in params:
            _compare_words(params["words"], known, log)
        if "card" in params:
            shown = _card(params["card"], now)
            if shown.identity != known.identity:
                raise _different("this card belongs", known, log)
            self._keep_inbox(shown, now)
        if "words" in params or "card" in params:
            self._put(log, known._replace(is_verified=True))
            self._node.recognition.again()
        return self._contacts(known.identity, {"fingerprint": fingerprint(known.identity)})

    def _vouch(self, params: Params, now: Now) -> Document:
        log, known = self._named(params)
        self._node.time.require()
        vouching, name = self._node.vouching, people.shown(log, known.identity)
        if vouching is None:
            raise RuntimeError("an open log without who vouches")
        if params.get("remove"):
            told = vouching.take_back(known.identity, now)
        elif not known.is_verified or known.is_blocked:
            raise CallerError(
                Code.refused,
                f"who vouches says that they have compared the key: meet, and run `mesh contact verify {name}`",
            )
        else:
            told = vouching.say(known.identity, now)
        return self._contacts(known.identity, {"groups": sorted(own.channel.hex() for own in told)})

    def _rename(self, params: Params, now: Now) -> Document:
        log, known = self._named(params)
        self._put(log, known._replace(petname=checked_petname(params["n"])))
        return self._contacts(known.identity)

    def _mute(self, params: Params, is_muted: bool) -> Document:
        log, known = self._named(params)
        self._put(log, known._replace(is_muted=is_muted))
        return self._contacts(known.identity)

    def _block(self, params: Params, is_blocked: bool) -> Document:
        log, known = self._named(params)
        self._put(log, known._replace(is_blocked=is_blocked))
        self._node.recognition.again()
        return self._contacts(known.identity)

    def _contacts(self, touched: bytes | None = None, more: Document | None = None) -> Document:
        """All contacts, those whom others vouch for, and the id of the one that this was about."""
        log, vouching = self._node.require_log(), self._node.vouching
        listed = log.contacts.all()
        said = {contact.identity for contact in listed}
        listed += [Contact(who) for who in (vouching.vouched() if vouching else ()) if who not in said]
        about = {"id": touched.hex()} if touched is not None else {}
        shown = [documents.contact_document(contact, log) for contact in listed]
        return {**about, **(more or {}), "contacts": shown}

    def _put(self, log: Log, contact: Contact) -> None:
        log.contacts.put(contact)
        log.authors.know(contact.identity)

    def _keep_inbox(self, shown: Card, now: Now) -> None:
        if self._node.inbox is not None:
            self._node.inbox.take_card(shown, now)

    def _writable(self) -> Log:
        log = self._node.require_log()
        self._node.room.require()
        return log

    def _named(self, params: Params) -> tuple[Log, Contact]:
        """The log, which can be written, and who is meant by `who`."""
        log = self._writable()
        return log, self._other(log, people.find(log, params["who"]))

    def _other(self, log: Log, identity: bytes) -> Contact:
        """The contact with this identity; CallerError(refused) if it is ourselves."""
        if self._node.author is not None and identity == self._node.author.public:
            raise CallerError(Code.refused, "that is you, on this laptop: nothing was changed")
        return log.contacts.get(identity)


def _card(text: str, now: Now) -> Card:
    """The card in a text; CallerError(invalid, expired)."""
    shown = card.decode(text)
    if now.synced and now.wall_ms // DAY_MS - shown.day > KEY_DAYS_MAX:
        raise CallerError(Code.expired, "this card is over a year old: ask its owner for a new one")
    return shown


def _compare_words(words: str, known: Contact, log: Log) -> None:
    """CallerError(invalid) unless these are the words of this contact's key."""
    try:
        said = words_to_bits(words)
    except CallerError as error:
        raise CallerError(Code.invalid, f"{error.message}; nothing was changed") from None
    if said != words_to_bits(fingerprint(known.identity)):
        raise _different("these words belong", known, log)


def _different(what: str, known: Contact, log: Log) -> CallerError:
    name = people.shown(log, known.identity)
    return CallerError(
        Code.invalid,
        f"{what} to another key than the one you have for {name}: look once more, and if it stays so, somebody put"
        " another key between you two: trust nothing from it. Nothing was changed",
    )
