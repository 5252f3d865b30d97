"""What the user does about groups: the commands `group …`.

The rules:

- Who is invited is a **member** from then on, listed in the next epoch, and needs a card here; whether they want to be
  is up to them, and until their node was sent the key they are shown as *pending*. The text of an invitation is that
  key, for them alone: it can be handed over where no network is, and opens nothing for who finds it.
  Several who are invited at once are in one epoch, and cost one key each: one by one, everybody is sent each epoch's.
- An **act** that takes several people is signed by one after the other with the same command. What is under way stands
  in `acts`, with who signed and how many it takes.
- A group goes by its name, or the beginning of its id; an invitation too.
- Who **leaves** says so in the group, so that nobody goes on sending them keys, and is shown nothing more of it but a
  new invitation. The text of an older one, taken again, brings nobody back for whom the others have no part any more.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from meshd import armor, documents, people
from meshd.answers import Document, Method, Params
from meshd.errors import CallerError, Code
from meshd.events import Now
from meshd.groups import acts, keyenvelope
from meshd.groups.epochs import HISTORY_ALL, STRICT, Member
from meshd.groups.membership import Electorate, changes, electorate
from meshd.ids import LABEL_GROUP_INVITE
from meshd.limits import KEEP_DEFAULT, KEEP_HOURS, KEEP_HOURS_MAX, NAME_SIZE_MAX
from meshd.own_group import OwnGroup
from meshd.own_groups import OwnGroups
from meshd.post import HOUR_MS
from meshd.requesting import Requesting
from meshd.statement import ADD_MEMBER, MAKE_ADMIN, REMOVE_ADMIN, REMOVE_MEMBER, Statement
from meshd.store.contacts import checked_petname

if TYPE_CHECKING:
    from meshd.node import Node

PREFIX = "MESHD-GROUP:1:"
_WHAT = {ADD_MEMBER: "add", REMOVE_MEMBER: "remove", MAKE_ADMIN: "make admin", REMOVE_ADMIN: "remove admin"}


def encode_invite(content: bytes) -> str:
    """The text of an invitation, from the content of the key envelope that it is."""
    return armor.encode(PREFIX, LABEL_GROUP_INVITE, content)


def decode_invite(text: str) -> keyenvelope.KeyEnvelope:
    """The key envelope in an invitation; CallerError(invalid) if it is none, or was damaged."""
    found = keyenvelope.parse(armor.decode(PREFIX, LABEL_GROUP_INVITE, text, "invitation"))
    if found is None:
        raise armor.damaged("invitation")
    return found


class Grouping:
    """Answers what is asked and said about groups."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        self.methods: dict[str, Method] = {
            **Requesting(node).methods,
            "group.create": self._create,
            "group.invite": self._invite,
            "group.accept": self._accept,
            "group.members": lambda params, now: self._document(self._named(params), now),
            "group.remove": lambda params, now: self._act(params, REMOVE_MEMBER, now),
            "group.rotate": self._rotate,
            "group.leave": self._leave,
            "presume-arrested": self._presume_arrested,
            "group.admin": lambda params, now: self._act(
                params, REMOVE_ADMIN if params.get("remove") else MAKE_ADMIN, now
            ),
        }

    # --- commands ---

    def _create(self, params: Params, now: Now) -> Document:
        groups, name = self._groups(), params["name"]
        history = params.get("history", "none")
        if history not in ("none", "all"):
            raise CallerError(Code.usage, "history is none or all")
        flags = STRICT * bool(params.get("strict")) | HISTORY_ALL * (history == "all")
        if self._node.intake.sealing.groups(checked_name(name)):
            raise CallerError(Code.refused, f"you are in a group {name} already")
        return self._document(groups.create(checked_name(name), flags, now), now)

    def _invite(self, params: Params, now: Now) -> Document:
        own, log = self._named(params), self._node.require_log()
        named = [params["who"]] if isinstance(params["who"], str) else params["who"]
        if not named or not all(isinstance(each, str) for each in named):
            raise CallerError(Code.usage, "say who is invited, by names")
        asked = list(dict.fromkeys(people.find(log, each) for each in named))
        heal_to_post(self._node, own.channel, now)
        members = own.group.dag.membership().members
        rows = [self._row(who) for who in asked if who not in members]
        self._do(own, ADD_MEMBER, [row.identity for row in rows], now, rows)
        texts = [self._invitation(own, who, now) for who in asked]
        return {
            **self._document(own, now),
            "invite": texts[0] if len(texts) == 1 else None,
            "invites": [{"id": who.hex(), "invite": text} for who, text in zip(asked, texts, strict=True)],
        }

    def _row(self, who: bytes) -> Member:
        """How a newcomer stands in the list of members; CallerError(refused) without a card."""
        log = self._node.require_log()
        row = log.contacts.inbox(who)
        if row is None:
            raise CallerError(
                Code.refused,
                f"there is no card of {people.shown(log, who)} here, so nothing can reach them: mesh contact add",
            )
        return Member(who, *row)

    def _invitation(self, own: OwnGroup, who: bytes, now: Now) -> str | None:
        """The text that brings a member the key of the current epoch; None if it can't be made now."""
        current = own.group.current()
        if current is None or who not in current.identities():
            return None
        content = self._groups().inbox.seal_key(own.channel, current.id, who, now)
        return encode_invite(content) if content is not None else None

    def _accept(self, params: Params, now: Now) -> Document:
        groups, text = self._groups(), params["invite"]
        if "".join(text.split()).upper().startswith(PREFIX):
            delivered = groups.inbox.open_key(decode_invite(text))
            if delivered is None:
                raise CallerError(
                    Code.invalid,
                    "this invitation is for somebody else, or its days are over: ask for another",
                )
            if self._node.directs is not None:
                self._node.directs.take_text(delivered, now)
            own = groups.get(delivered.channel)
        else:
            found = [
                each
                for each in groups.invitations()
                if text in (each.name, f"group:{each.name}")
                or (len(text) >= 6 and each.channel.hex().startswith(text))
            ]
            if len(found) > 1:
                listed = ", ".join(f"{each.name} ({each.channel.hex()[:12]})" for each in found)
                raise CallerError(Code.usage, f"{text} could be: {listed}")
            own = found[0] if found else None
        if own is None:
            raise CallerError(Code.not_found, "there is no such invitation here")
        groups.accept(own, now)
        return self._document(own, now)

    def _rotate(self, params: Params, now: Now) -> Document:
        groups, own = self._groups(), self._named(params)
        own.require_in()
        current = own.group.current()
        groups.make(own, (current.id,) if current else own.group.dag.loose_ends(own.group.me), now)
        return self._document(own, now)

    def _leave(self, params: Params, now: Now) -> Document:
        own = self._named(params)
        return {"id": own.channel.hex(), "name": own.name, "told": leave(self._node, own.channel, now)}

    def _act(self, params: Params, purpose: int, now: Now) -> Document:
        own, log = self._named(params), self._node.require_log()
        self._do(own, purpose, [people.find(log, params["who"])], now)
        return self._document(own, now)

    def _do(
        self, own: OwnGroup, purpose: int, subjects: Sequence[bytes], now: Now, rows: Sequence[Member] = ()
    ) -> None:
        """Do this to all of these at once if it is ours to do; else sign it, and do it once enough have."""
        own.require_in()
        groups, current = self._groups(), own.group.current()
        if purpose == ADD_MEMBER and subjects and groups.deciding.is_frozen(own, now):
            raise CallerError(
                Code.refused, "it is dark, and a plan of this group wants nobody added until it is light"
            )
        if current is None:
            raise CallerError(
                Code.refused, "you are no longer in this group, or its parts have to meet first"
            )
        does: dict[bytes, dict[acts.Act, acts.Signatures]] = {}
        for who in subjects:
            begun = [
                act for act in groups.deciding.open_acts(own) if (act.purpose, act.subject) == (purpose, who)
            ]
            about = begun[0].about if begun else current.id
            if self._say(own, purpose, who, about).needed == 1:
                does.setdefault(about, {})[purpose, who] = {}
            else:
                groups.deciding.say(own, Statement(purpose, own.channel, about, who), now)
        for about, done in does.items():
            groups.make(own, (about,), now, done, tuple(rows))

    def _say(self, own: OwnGroup, purpose: int, who: bytes, about: bytes) -> Electorate:
        """Who has a say in this, ourselves among them; CallerError(not_found, refused)."""
        among, log = own.group.dag.membership(about), self._node.require_log()
        if purpose != ADD_MEMBER and who not in among.members:
            raise CallerError(Code.not_found, f"{people.shown(log, who)} is no member of this group")
        if not changes(among, purpose, who):
            raise CallerError(
                Code.refused, f"that is so already: {people.shown(log, who)}; nothing was changed"
            )
        say = electorate(among, purpose, who)
        if own.group.me not in say.eligible:
            raise CallerError(
                Code.refused,
                "an admin does that: see mesh group members" if say.by_admins else "others decide that",
            )
        return say

    def _presume_arrested(self, params: Params, now: Now) -> Document:
        """Whatever that laptop holds is in other hands: it is not recognised, written to or read here any more, and put
        out of every group where that is ours to do; elsewhere it is signed."""
        groups, log, node = self._groups(), self._node.require_log(), self._node
        who = people.find(log, params["who"])
        if node.author is not None and who == node.author.public:
            raise CallerError(Code.refused, "that is you: mesh panic erases this laptop")
        if node.vouching is not None:
            with suppress(CallerError):  # where we never vouched for them there is nothing to take back
                node.vouching.take_back(who, now)
        known = log.contacts.get(who)
        log.contacts.put(known._replace(is_added=False, is_verified=False, is_blocked=True))
        groups.inbox.forget(who)
        if node.directs is not None:
            node.directs.end(who, now)
        node.recognition.again()
        told = []
        for own in list(groups.groups.values()):
            if own.is_in and who in own.group.dag.membership().members:
                with suppress(CallerError):  # it takes an admin: see `acts` and `members`
                    self._do(own, REMOVE_MEMBER, [who], now)
                told.append(self._document(own, now))
        return {"id": who.hex(), "groups": told}

    # --- what is meant, and what is answered ---

    def _groups(self) -> OwnGroups:
        """The groups, which can be written; CallerError(locked, refused)."""
        self._node.require_log()
        self._node.time.require()
        self._node.room.require()
        if self._node.groups is None:
            raise RuntimeError("an open log without groups")
        return self._node.groups

    def _named(self, params: Params) -> OwnGroup:
        """The group that a caller means; CallerError(not_found, usage)."""
        groups, text = self._groups(), params["group"]
        if not text.startswith("group:"):
            text = text.removeprefix("#")
        place = self._node.commands.channel(text)
        own = groups.get(place.id)
        if own is None or own.is_direct:
            raise CallerError(Code.not_found, f"you are in no group {params['group']}")
        return own

    def _document(self, own: OwnGroup, now: Now) -> Document:
        """A group as its members see it."""
        log, groups, hour = self._node.require_log(), self._groups(), now.wall_ms // HOUR_MS
        current = own.group.current() if not own.is_out else None
        due = own.group.dag.membership() if own.judged else None
        live, reachable = list[bytes](), list[bytes]()
        if current is not None and current.id in own.told:
            delivery = groups.inbox.delivery
            live, reachable = delivery.live(current.id, hour), delivery.reachable(current.id, hour)
        pending = own.group.pending(live, reachable) if due else []
        tireless = own.group.dag.tireless()
        return {
            "id": own.channel.hex(),
            "name": own.name,
            "epoch": current.id.hex() if current else None,
            "out": own.is_out,
            "members": [
                {
                    "id": who.hex(),
                    "name": log.name if who == own.group.me else people.shown(log, who),
                    "trust": "self" if who == own.group.me else log.contacts.trust(who),
                    "vouched_by": documents.vouched_by(who, log),
                    "admin": who in due.admins,
                    "pending": who in pending,
                    "tireless": who in tireless,
                }
                for who in sorted(due.members - ({own.group.me} if own.is_out else set()) if due else ())
            ]
            if due
            else [],
            "acts": [
                {
                    "what": _WHAT[act.purpose],
                    "who": act.subject.hex(),
                    "signers": [signer.hex() for signer in act.signatures],
                    "needed": act.needed,
                }
                for act in groups.deciding.open_acts(own)
            ],
        }


def checked_name(text: str) -> str:
    """The name of a group as it is kept; CallerError(usage)."""
    try:
        return checked_petname(text)
    except CallerError:
        raise CallerError(
            Code.usage, f"a group's name has 1 to {NAME_SIZE_MAX} bytes and no #, @ or control character"
        ) from None


def heal_to_post(node: "Node", channel: bytes, now: Now) -> None:
    """Who wants to post does not wait for others to put out who is out, and to bring the group's parts together."""
    own = node.groups.get(channel) if node.groups is not None else None
    if node.groups is None or own is None:
        return
    own.require_in()
    node.groups.deciding.put_out(own, now)
    if own.group.current() is None and (ends := own.group.dag.loose_ends(own.group.me)):
        node.groups.make(own, ends, now)


def leave(node: "Node", channel: bytes, now: Now) -> bool:
    """Be in a channel no longer; whether others are told, as the members of a group are if there is a key to tell them
    with and a time to sign it with. Who was removed has nobody to tell."""
    own = node.groups.get(channel) if node.groups is not None else None
    if node.groups is None or own is None:
        node.intake.leave(channel)
        return False
    may_tell = node.time.is_known and not own.is_out
    said = node.groups.deciding.tell_leaving(own, now) if may_tell else b""
    node.groups.forget(own, now, is_left=not own.is_direct)
    node.require_log().openings.forget_posts([said])  # it is read again by who takes an old invitation again
    return bool(said)


def keep_class(node: "Node", channel: bytes, asked: str | None) -> str:
    """How long a post is kept: as asked, or the default; in a strict group never over its limit."""
    own = node.groups.get(channel) if node.groups is not None else None
    most = own.group.keep_hours_max() if own is not None else KEEP_HOURS_MAX
    if asked is None:
        return KEEP_DEFAULT if KEEP_HOURS[KEEP_DEFAULT] <= most else "24h"
    if asked not in KEEP_HOURS:
        raise CallerError(Code.usage, f"keep is one of {', '.join(KEEP_HOURS)}")
    if KEEP_HOURS[asked] > most:
        raise CallerError(Code.refused, f"this group is strict: nothing in it is kept over {most} hours")
    return asked
