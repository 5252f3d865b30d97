"""What clients ask of the core: each method of the RPC table, and who waits for an answer.

The rule: a command either answers in the event that brought it or waits for something that events bring: posts to be
opened, a receipt, the end of a round, a deadline. What a command could refuse it refuses before it changes anything,
so a batch of posts is checked whole and then done whole. A caller's mistake is a CallerError, turned into the answer
here and nowhere else. Parameters have the types of the table in `daemon.api` already.

Reading a public channel, or posting to it, joins it: a channel is nothing but a name that somebody listens to.
"""

from typing import TYPE_CHECKING

from meshd import documents, invite, people, queries
from meshd.answers import Document, Method, Params, Waiting
from meshd.author import Draft
from meshd.carrying import Carrying
from meshd.contacting import Contacting
from meshd.directing import Directing
from meshd.errors import CallerError, Code
from meshd.events import Command, CommandBatch, Now, Reply, ReplyBatch
from meshd.grouping import Grouping, heal_to_post, keep_class, leave
from meshd.ids import Address
from meshd.limits import PONG_MS, WAIT_MS
from meshd.places import ID_PREFIX, Place, Places
from meshd.planning import Planning
from meshd.post import HOUR_MS, Text, encode_text
from meshd.proto.session import State
from meshd.reading import Reading
from meshd.store.log import Log, Row

if TYPE_CHECKING:
    from meshd.node import Node


class Commands:
    """Carries out commands on a node, and remembers who waits."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        self.channel = Places(node).find
        self._waiting: dict[int, Waiting] = {}
        self._held: set[bytes] = set()  # posts that a waiting command asked about and that are held now
        self._methods: dict[str, Method] = {
            "status": lambda params, now: queries.status(node, now),
            "internet": lambda params, now: queries.internet(node, now),
            "id.show": self._id_show,
            "invite.network": self._invite_network,
            "post": self._post,
            "channel.list": lambda params, now: self._channels(),
            "channel.join": self._channel_join,
            "channel.leave": self._channel_leave,
            "peer.list": lambda params, now: queries.peers(node),
            "peer.add": self._peer_add,
            "peer.drop": self._peer_drop,
            "peer.ping": self._peer_ping,
            "sync": self._sync,
            **Reading(node).methods,
            **Carrying(node).methods,
            **Contacting(node).methods,
            **Grouping(node).methods,
            **Directing(node).methods,
            **Planning(node).methods,
            "clock.confirm": self._clock_confirm,
        }

    # --- commands in, answers out ---

    def take(self, command: Command, now: Now) -> None:
        """Carry out a command: a Reply now or later."""
        try:
            method = self._methods.get(command.method)
            if method is None:
                raise CallerError(Code.usage, f"there is no method {command.method!r}")
            answer = method(command.params, now)
        except CallerError as error:
            self._node.emit(Reply(command.number, None, error))
            return
        if isinstance(answer, Waiting):
            self._waiting[command.number] = answer
        else:
            self._reply(command.number, answer)

    def take_batch(self, batch: CommandBatch, now: Now) -> None:
        """Posts, all or none: checked first, then written in this event's one transaction."""
        try:
            drafts = [self._draft(command.params, now) for command in batch.commands]
        except CallerError as error:
            replies = [Reply(command.number, None, error) for command in batch.commands]
        else:
            posted = self.publish(drafts, now)
            replies = [
                Reply(command.number, {"v": 1, **document})
                for command, document in zip(batch.commands, posted, strict=True)
            ]
        self._node.emit(ReplyBatch(batch.number, replies))

    def cancel(self, number: int) -> None:
        """Nobody waits for this answer any more."""
        self._waiting.pop(number, None)

    def go_on(self, now: Now) -> None:
        """Answer those whose answer is there, or whose time is up."""
        node, log = self._node, self._node.log
        held = [] if node.intake.behind else node.exchange.receipts.take_held()  # what the log has by now
        if held and log is not None:
            is_contact = {link: node.recognition.contact(link) is not None for _, link in held}
            for contacts in (0, 1):
                posts = log.openings.posts_of(
                    [key for key, link in held if is_contact[link] == bool(contacts)]
                )
                self._held.update(posts)
                if not node.room.is_full:
                    log.count_held(posts, contacts, 1 - contacts)
        for number, waiting in list(self._waiting.items()):
            try:
                answer = waiting.ready(now)
            except CallerError as error:
                del self._waiting[number]
                self._node.emit(Reply(number, None, error))
                continue
            if answer is not None:
                del self._waiting[number]
                self._reply(number, answer)
            elif waiting.deadline_ms <= now.mono_ms:
                del self._waiting[number]
                self._node.emit(Reply(number, None, waiting.late))
        if not self._waiting:
            self._held.clear()

    def next_deadline(self) -> int | None:
        """When somebody's time is up."""
        return min((waiting.deadline_ms for waiting in self._waiting.values()), default=None)

    def _reply(self, number: int, document: Document) -> None:
        self._node.emit(Reply(number, {"v": 1, **document}))

    # --- channels ---

    def _channels(self) -> Document:
        log = self._node.require_log()
        groups = self._node.groups
        return {
            "channels": [
                documents.channel_document(
                    channel, groups.count(channel.id) if groups is not None else None, log
                )
                for channel in log.channels()
            ]
        }

    def _channel_join(self, params: Params, now: Now) -> Document:
        self._node.require_log()
        self._node.room.require()
        place = self.channel(params["name"])
        self._node.intake.join(place.id, place.name)
        return self._channels()

    def _channel_leave(self, params: Params, now: Now) -> Document:
        log = self._node.require_log()
        self._node.room.require()
        place = self.channel(params["channel"])
        if not log.joined(place.id):
            raise CallerError(Code.not_found, f"you are not in the channel {place.name}")
        leave(self._node, place.id, now)
        return self._channels()

    # --- posts ---

    def _draft(self, params: Params, now: Now) -> Draft:
        """The checked parameters of a post; nothing is changed yet."""
        self._node.require_log()
        place = self.channel(params["channel"])
        draft, sealing = self.draft(place, params), self._node.intake.sealing
        if sealing.is_sealed(place.id):
            heal_to_post(self._node, place.id, now)
            hour = now.wall_ms // HOUR_MS
            sealing.day_key(place.id, sealing.posting(place.id), hour)  # refuses if there is none
        return draft

    def draft(self, place: Place, params: Params) -> Draft:
        """A post to this channel by checked parameters, whether or not we have a key for it; nothing is changed yet."""
        log = self._node.require_log()
        self._node.time.require()
        self._node.room.require()
        text, keep = params["text"], keep_class(self._node, place.id, params.get("keep"))
        _wait_ms(params)
        if not text or not _encodable(text):
            raise CallerError(
                Code.usage, "there is no text to post" if not text else "the text is no valid Unicode"
            )
        if params.get("wait", "held") != "held":
            if params["wait"] != "delivered":
                raise CallerError(Code.usage, "wait is held or delivered")
            if place.kind != "direct":
                raise CallerError(
                    Code.refused, "there are receipts in directs alone: nobody can say that it was delivered"
                )
        reply_to = self.row(log, params["reply_to"]).id if "reply_to" in params else b""
        encode_text(Text(log.name, reply_to, text))  # refuses a text that is too long
        return Draft(place.id, place.name, text, reply_to, keep)

    def row(self, log: Log, prefix: str) -> Row:
        """The post that a caller means by its id or the beginning of it."""
        prefix = prefix.lower()
        if not ID_PREFIX.fullmatch(prefix):
            raise CallerError(Code.usage, "a post is named by its id, or at least the first 6 digits of it")
        rows = log.find(prefix)
        if not rows:
            raise CallerError(Code.not_found, f"there is no post {prefix} here")
        if len(rows) > 1:
            raise CallerError(
                Code.usage, f"{prefix} could be: {', '.join(row.id.hex()[:16] for row in rows)}"
            )
        return rows[0]

    def publish(self, drafts: list[Draft], now: Now) -> list[Document]:
        """Write posts in this event's transaction; what is said of each."""
        node = self._node
        if node.author is None:
            raise RuntimeError("a draft while the log is closed")
        firsts = set()
        for channel, name in dict.fromkeys((draft.channel, draft.channel_name) for draft in drafts):
            node.intake.join(channel, name)
            if not node.intake.sealing.is_sealed(channel) and not node.author.has_posted(channel):
                firsts.add(channel)
        made = node.author.compose(drafts, now.wall_ms)
        node.publish([envelope for _, envelope in made], now)
        return [
            {
                "id": identity.hex(),
                "channel": draft.channel_name,
                "state": "queued",
                "first": draft.channel in firsts,
            }
            for draft, (identity, _) in zip(drafts, made, strict=True)
        ]

    def _post(self, params: Params, now: Now) -> Document | Waiting:
        (posted,) = self.publish([self._draft(params, now)], now)
        return self.waited(posted, params, now)

    def waited(self, posted: Document, params: Params, now: Now) -> Document | Waiting:
        """What is said of a post, at once or when what its author waits for has come."""
        if "wait" not in params:
            return posted
        identity, log, state = bytes.fromhex(posted["id"]), self._node.require_log(), params["wait"]

        def ready(_: Now) -> Document | None:
            is_so = identity in self._held if state == "held" else log.inboxes.is_delivered(identity)
            return {**posted, "state": state} if is_so else None

        late = {
            "held": f"nobody took the post {posted['id'][:12]} yet; it stays queued",
            "delivered": f"no receipt of {posted['channel']} came yet, who may send none; the post stays queued",
        }
        deadline_ms = now.mono_ms + _wait_ms(params)
        return Waiting(deadline_ms, ready, CallerError(Code.timed_out, late[state]))

    # --- the node and its peers ---

    def _id_show(self, params: Params, now: Now) -> Document:
        node = self._node
        if not params.get("prekeys") or node.inbox is None:
            return queries.identity(node, now)
        node.room.require()
        node.time.require()
        return queries.identity(node, now, node.inbox.announced(now))

    def _invite_network(self, params: Params, now: Now) -> Document:
        carry = self._node.carry
        if carry.network_kind != "private":
            raise CallerError(Code.refused, "the open commons needs no invite: mesh init --open joins it")
        self._node.require_log()  # whoever holds an invite is in: not for who finds a locked laptop
        return {"invite": invite.encode(carry.network_key)}

    def _peer_add(self, params: Params, now: Now) -> Document:
        address = Address.parse(params["address"])
        self._node.room.require()
        self._node.carry.add_address(str(address), now.wall_ms)
        self._node.peers.add_typed(address, now.mono_ms)
        return queries.peers(self._node)

    def _peer_drop(self, params: Params, now: Now) -> Document:
        address = Address.parse(params["address"])
        self._node.room.require()
        if not self._node.drop_address(address):
            raise CallerError(Code.not_found, f"{address} is not among the peers that were added")
        return queries.peers(self._node)

    def _clock_confirm(self, params: Params, now: Now) -> Document:
        self._node.room.require()
        self._node.time.confirm()
        self._node.upkeep.note_time()
        return queries.clock(self._node)

    def _peer_ping(self, params: Params, now: Now) -> Document | Waiting:
        who = params["who"]
        session = self._node.sessions[self._link(who)]
        number = session.ping(now.mono_ms)

        def ready(_: Now) -> Document | None:
            if session.answered_ping >= number:
                return {"rtt_ms": session.rtt_ms}
            if session.state is not State.OPEN:
                raise CallerError(Code.timed_out, f"the link to {who} went down before an answer came")
            return None

        late = CallerError(Code.timed_out, f"no answer from {who}")
        return Waiting(now.mono_ms + PONG_MS, ready, late)

    def _link(self, who: str) -> int:
        """The open link that a caller means: by its address, or by the beginning of the peer's link key."""
        node = self._node
        there = {link: s for link, s in node.sessions.items() if s.state is State.OPEN}
        found = [link for link in there if str(node.addresses[link]) == who]
        if not found and ID_PREFIX.fullmatch(who):
            found = [link for link, session in there.items() if session.link_key.hex().startswith(who)]
        if not found and (identity := self._known(who)) is not None:
            found = [link for link in there if node.recognition.contact(link) == identity]
            if not found:
                raise CallerError(Code.no_peers, f"there is no link to {who} now")
        if len(found) > 1:
            listed = ", ".join(
                f"{there[link].link_key.hex()[:12]} ({node.addresses[link]})" for link in found
            )
            raise CallerError(Code.usage, f"{who} could be: {listed}")
        if not found:
            if any(str(target.address) == who for target in node.peers.targets()):
                raise CallerError(Code.no_peers, f"there is no link to {who} now; see: mesh peer list")
            raise CallerError(Code.not_found, f"there is no peer {who}; see: mesh status")
        return found[0]

    def _known(self, who: str) -> bytes | None:
        """The identity of a person that a caller means, if there is such a one."""
        try:
            return people.find(self._node.require_log(), who)
        except CallerError:
            return None

    def _sync(self, params: Params, now: Now) -> Document | Waiting:
        exchange = self._node.exchange
        links = exchange.rounds.all_due(now.mono_ms)
        if not links:
            raise CallerError(Code.no_peers, "there is no open link; see: mesh peer list")
        received, sent = exchange.received, exchange.sent

        def ready(at: Now) -> Document | None:
            if any(exchange.busy(link, at) for link in links):
                return None
            return {
                "links": len(links),
                "received": exchange.received - received,
                "sent": exchange.sent - sent,
            }

        if not params.get("wait", False):
            return {"links": len(links), "received": 0, "sent": 0}
        return Waiting(
            now.mono_ms + WAIT_MS,
            ready,
            CallerError(Code.timed_out, "some links are not through yet; they go on"),
        )


def _wait_ms(params: Params) -> int:
    timeout = params.get("timeout", WAIT_MS / 1000)
    if not 0 < timeout <= 86_400:
        raise CallerError(Code.usage, "timeout is a number of seconds, up to a day")
    return int(timeout * 1000)


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
