"""Recognition: which open links lead to contacts, found out so that nobody else learns anything.

The rule (protocol.md, "Recognition"): two identities share a secret that nobody else can compute. Each side of a link
sends 64 tags, one for each contact that the user added or verified, made of that secret, the session's handshake hash,
and a turn that says who sent them and which of theirs they are; what is left of the 64 is random. Who knows more than
64 sends one to the 32 that were met last, and 32 to others in turn, so that nobody is left out for ever. Whoever finds
a tag that a contact must have made answers with a proof, a signature over the same hash and the direction; everybody
else answers with as many random bytes. So each side sends the same whoever it knows, and a match needs both: who adds
everybody is recognised by nobody who has not added them.

- A **match** is a tag: only the contact, or we, can have made it, and ours have another turn. It is enough for a place
  among the links, because a tag shows as much as a proof does unless our own secret was stolen.
- A link **leads to a contact** once their proof verifies. That counts for names, votes about the time, and rates.
- When the user adds somebody, every open link gets tags again, with the next turn, and the tags that it sent last are
  looked at again: two who add each other while they are linked are recognised at once.

All of it is made from the open log and goes with it; the secrets are in memory only.
"""

from collections.abc import Callable
from dataclasses import dataclass

from meshd import crypto
from meshd.errors import PeerError
from meshd.ids import ID_SIZE, LABEL_PAIR, LABEL_PROOF, LABEL_RECOGNITION, labelled
from meshd.proto.message import SIGNATURE_SIZE, TAG_COUNT, TAGS_SIZE, Message, Proof, Tags
from meshd.store.log import Log

TAG_SIZE = TAGS_SIZE // TAG_COUNT
TURN_MAX = 255
_PROOF_PREFIX = bytes((len(LABEL_PROOF),)) + LABEL_PROOF


def pair_secret(secret: bytes, public: bytes) -> bytes:
    """What the identity with this Ed25519 secret (64 bytes) shares with that public key, and nobody else: 32 bytes."""
    both = sorted((secret[32:], public))
    return labelled(LABEL_PAIR, crypto.shared_by_identities(secret, public), *both)


def tag(pair: bytes, handshake_hash: bytes, turn: int) -> bytes:
    """The 16 bytes by which one of a pair knows the other, in one turn of one session."""
    return labelled(LABEL_RECOGNITION, pair, handshake_hash, bytes((turn,)), size=TAG_SIZE)


def proof(secret: bytes, handshake_hash: bytes, direction: int) -> Proof:
    """The proof of the identity with this secret in one session; direction 0 from who dialled, 1 from who was."""
    return Proof(secret[32:], crypto.sign(secret, _PROOF_PREFIX + handshake_hash + bytes((direction,))))


def is_proof(said: Proof, handshake_hash: bytes, direction: int) -> bool:
    """Whether this is a proof of the identity that it names, from that side of that session."""
    signed = _PROOF_PREFIX + handshake_hash + bytes((direction,))
    return crypto.verify(said.identity, signed, said.signature)


@dataclass(slots=True)
class _Meeting:
    """What went over one link. A turn is twice the number of tags that its side sent before, and 1 more from who was
    dialled; so its lowest bit is the direction."""

    handshake_hash: bytes
    our_turn: int  # of the tags that we send next
    their_turn: int  # of the tags that we get next
    heard: bytes = b""  # the tags that came last
    match: bytes | None = None  # the contact who made one of them
    contact: bytes | None = None  # once proven


class Recognition:
    """Owns what is known of who is behind each link. Without a log nobody is known, and nobody can tell."""

    def __init__(
        self, log: Log | None, entropy: crypto.Entropy, send: Callable[[int, Message], None]
    ) -> None:
        self._log, self._entropy, self._send = log, entropy, send
        self._secret = crypto.ed25519_keypair(log.seed)[1] if log is not None else b""
        self._pairs: dict[bytes, bytes] = {}  # identity → what we share
        self._place: int | None = None  # among those who are told in turn: of the next to be told
        self._meetings: dict[int, _Meeting] = {}

    # --- what is said ---

    def greet(self, link: int, handshake_hash: bytes, *, dialled: bool) -> Tags:
        """The first tags for a link, whose handshake is done."""
        self._meetings[link] = _Meeting(handshake_hash, int(not dialled), int(dialled))
        return self._tags(self._meetings[link])

    def heard(self, link: int, tags: bytes) -> None:
        """The peer's tags came; they are answered, unless there were too many of them."""
        meeting = self._meetings[link]
        if meeting.their_turn <= TURN_MAX:
            meeting.heard = tags
            meeting.their_turn += 2
            self._send(link, self._answer(meeting))

    def again(self) -> None:
        """The user's contacts are others now: every open link is told as much as a new one."""
        for link, meeting in self._meetings.items():
            if meeting.heard and meeting.our_turn <= TURN_MAX:
                self._send(link, self._tags(meeting))
                self._send(link, self._answer(meeting))

    def proved(self, link: int, said: Proof) -> bytes | None:
        """A proof came: the contact who is now known to be behind this link, if any. PeerError if it is a false one."""
        meeting = self._meetings[link]
        if said.identity != meeting.match or meeting.contact is not None:
            return None
        if not is_proof(said, meeting.handshake_hash, meeting.their_turn & 1):
            raise PeerError("a proof of identity that does not verify")
        meeting.contact = said.identity
        return meeting.contact

    def closed(self, link: int) -> None:
        """The link is down."""
        self._meetings.pop(link, None)

    # --- what is known ---

    def is_match(self, link: int) -> bool:
        """Whether a contact made one of the tags that came over this link."""
        meeting = self._meetings.get(link)
        return meeting is not None and meeting.match is not None

    def contact(self, link: int) -> bytes | None:
        """The contact behind a link, proven; None once the user blocked them."""
        meeting = self._meetings.get(link)
        if meeting is None or meeting.contact is None or self._log is None:
            return None
        return None if self._log.contacts.get(meeting.contact).is_blocked else meeting.contact

    # --- tags ---

    def _known(self) -> list[bytes]:
        return self._log.contacts.recognisable() if self._log is not None else []

    def _told(self) -> list[bytes]:
        """Who is sent a tag this time."""
        known, half = self._known(), TAG_COUNT // 2
        if len(known) <= TAG_COUNT:
            return known
        if self._place is None:
            self._place = int.from_bytes(self._entropy(8), "big")  # not from the same one after every start
        others = sorted(known[half:])
        at = self._place % len(others)
        self._place = at + half
        return known[:half] + (others + others)[at : at + half]

    def _pair(self, identity: bytes) -> bytes:
        shared = self._pairs.get(identity)
        if shared is None:
            shared = self._pairs[identity] = pair_secret(self._secret, identity)
        return shared

    def _tags(self, meeting: _Meeting) -> Tags:
        turn = meeting.our_turn
        made = [tag(self._pair(each), meeting.handshake_hash, turn) for each in self._told()]
        made += [self._entropy(TAG_SIZE) for _ in range(TAG_COUNT - len(made))]
        meeting.our_turn += 2
        return Tags(b"".join(sorted(made)))  # in an order that tells nothing of who is whose nearest

    def _answer(self, meeting: _Meeting) -> Proof:
        """Look at the tags that came last, with the contacts of now."""
        turn = meeting.their_turn - 2
        came = {meeting.heard[at : at + TAG_SIZE] for at in range(0, TAGS_SIZE, TAG_SIZE)}
        matching = (
            each for each in self._known() if tag(self._pair(each), meeting.handshake_hash, turn) in came
        )
        meeting.match = meeting.contact or next(matching, None)
        if meeting.match is None:
            return Proof(self._entropy(ID_SIZE), self._entropy(SIGNATURE_SIZE))
        return proof(self._secret, meeting.handshake_hash, meeting.our_turn & 1)
