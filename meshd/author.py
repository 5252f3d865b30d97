"""Writing posts: the own identity, its incarnation, and the next sequence in each channel.

The rule: every start begins a new incarnation, 63 random bits, and sequences are counted in memory alone. So a
restored backup, a copied home or a commit that was lost can never use a sequence twice; the first post of an
incarnation names the last one known of the one before as its first parent (protocol.md, "Posts").

The author's name travels in the body of its first text of each incarnation in a channel. Of posts that are written
together, the first in a channel names its loose ends as parents, and each of the others the one before it alone. In a
sealed channel a post names the epoch under which it is sealed, with a nonce that is drawn for it.

The own card is made here too, from the inbox key of the day. That key is random and kept in the log, where it is
moved on daily; a log that has none yet gets one when it is first asked for.
"""

from collections.abc import Sequence
from typing import NamedTuple

from meshd import card, crypto, post, statement
from meshd.daykeys import advance
from meshd.envelope import NONCE_SIZE, Envelope, Sealed, parse, post_content, seal, seal_public
from meshd.groups import keyenvelope
from meshd.groups.keyenvelope import Delivered
from meshd.groups.prekeys import Announcement
from meshd.hlc import Clock
from meshd.ids import envelope_key
from meshd.limits import INCARNATION_MAX, KEEP_HOURS, KEEP_HOURS_MAX, KEY_DAYS_MAX, PARENTS_MAX
from meshd.post import DAY_MS, HOUR_MS, Post, Text
from meshd.sealing import Sealing
from meshd.statement import Statement
from meshd.store.log import Log


class Draft(NamedTuple):
    """A post to be written, whose parameters are all right."""

    channel: bytes  # its id
    channel_name: str
    text: str
    reply_to: bytes  # a post id, or empty
    keep: str  # of KEEP_HOURS


class Signed(NamedTuple):
    """A post of ours."""

    id: bytes
    post: Post
    signed: bytes
    signature: bytes


class Author:
    """Composes and signs this node's own posts."""

    def __init__(self, log: Log, clock: Clock, entropy: crypto.Entropy, sealing: Sealing) -> None:
        self.public, self._secret = crypto.ed25519_keypair(log.seed)
        self.name = log.name
        self._log, self._clock, self._entropy, self._sealing = log, clock, entropy, sealing
        self._incarnation = int.from_bytes(crypto.fresh(entropy, 16)[:8], "big") & INCARNATION_MAX
        self._last: dict[bytes, tuple[int, bytes]] = {}  # channel → sequence and id of our last post in it
        self._named: set[bytes] = set()  # channels in which our name was told

    def has_posted(self, channel: bytes) -> bool:
        """Whether any post of ours is in this channel."""
        return channel in self._last or self._log.last_own(channel) is not None

    def compose(self, drafts: Sequence[Draft], wall_ms: int) -> list[tuple[bytes, Envelope | Sealed]]:
        """Signed text posts, each its id and its envelope, to be taken in before the next are composed. CallerError:
        usage if a text is too long, refused if there is no key to seal it."""
        made: list[tuple[bytes, Envelope | Sealed]] = []
        begun: set[bytes] = set()
        for draft in drafts:
            heads = [] if draft.channel in begun else self._heads(draft.channel, wall_ms)
            begun.add(draft.channel)
            made.append(self._text(draft, heads, wall_ms))
        return made

    def _heads(self, channel: bytes, wall_ms: int) -> list[bytes]:
        # What is older has expired everywhere: named as a parent, it would be missed by whoever comes new.
        living = max(0, wall_ms - KEEP_HOURS_MAX * HOUR_MS) << 16
        return self._log.heads(channel, PARENTS_MAX, living)

    def _text(self, draft: Draft, heads: list[bytes], wall_ms: int) -> tuple[bytes, Envelope | Sealed]:
        name = "" if draft.channel in self._named else self.name
        self._named.add(draft.channel)
        body = post.encode_text(Text(name, draft.reply_to, draft.text))
        epoch, hours = self._sealing.posting(draft.channel), KEEP_HOURS[draft.keep]
        made = self.sign(draft.channel, epoch, post.KIND_TEXT, body, hours, wall_ms, heads)
        until = made.post.keep_until
        if not epoch:
            raw = seal_public(made.signed, made.signature)
            return made.id, Envelope(envelope_key(until, made.id), raw, made.post, made.signature)
        day_key = self._sealing.day_key(draft.channel, epoch, until)
        return made.id, self.seal(post_content(made.signed, made.signature), day_key, until)

    def sign(
        self,
        channel: bytes,
        epoch: bytes,
        kind: int,
        body: bytes,
        keep_hours: int,
        wall_ms: int,
        heads: Sequence[bytes] | None = None,
    ) -> Signed:
        """The next post of ours in a channel, which must then be taken in. `heads`: what it names as parents beside
        our own previous one; the loose ends of the channel if they are not given."""
        sequence, own = self._last.get(channel) or (0, self._log.last_own(channel) or b"")
        others = self._heads(channel, wall_ms) if heads is None else heads
        parents = ([own] if own else []) + [head for head in others if head != own]
        hlc = self._clock.stamp(wall_ms)
        written = Post(
            version=post.VERSION,
            channel=channel,
            epoch=epoch,
            author=self.public,
            incarnation=self._incarnation,
            sequence=sequence + 1,
            parents=b"".join(parents[:PARENTS_MAX]),
            hlc=hlc,
            kind=kind,
            # rounded up to the hour, so that a keep class is never cut short
            keep_until=-(-(hlc >> 16) // HOUR_MS) + keep_hours,
            body=body,
        )
        signed = post.encode(written)
        identity = post.post_id(signed)
        self._last[channel] = sequence + 1, identity
        return Signed(identity, written, signed, post.sign(self._secret, identity))

    def seal(self, content: bytes, day_key: bytes, expiry_hour: int) -> Sealed:
        """An envelope around this content; `day_key` is that of the expiry hour's day."""
        raw = seal(day_key, expiry_hour, crypto.fresh(self._entropy, NONCE_SIZE), content)
        sealed = parse(raw)
        if not isinstance(sealed, Sealed):
            raise RuntimeError("our own envelope does not parse")
        return sealed

    def sign_statement(self, said: Statement) -> bytes:
        """Our signature, 64 bytes, over a statement."""
        return statement.sign(self._secret, said)

    def next_ms(self, wall_ms: int) -> int:
        """The time that the next post of ours will bear."""
        return self._clock.next(wall_ms) >> 16

    def deliver(
        self, recipient: bytes, prekeys: Announcement, days: range, channel: bytes, epoch: bytes, key: bytes
    ) -> bytes:
        """The content of a key envelope of ours; `key` is that of the first day (`keyenvelope.seal`)."""
        delivered = Delivered(channel, epoch, self.public, days[0], key)
        return keyenvelope.seal(self._entropy, self._secret, recipient, prekeys, days, delivered)

    def inbox(self, wall_ms: int) -> tuple[int, bytes]:
        """A day, today or before, and the 32 bytes of our inbox key on it; made for today if there was none yet."""
        kept = self._log.contacts.inbox(self.public)
        if kept is None:
            kept = wall_ms // DAY_MS, crypto.fresh(self._entropy, crypto.KEY_SIZE)
            self._log.contacts.set_inbox(self.public, *kept)
        return kept

    def card(self, wall_ms: int, announced: bytes = b"") -> str:
        """What lets others write to us, and find out that we are near, from today on; a long one with our prekeys, if
        these are announced there (`Inbox.announced`)."""
        day, key = self.inbox(wall_ms)
        today = min(max(day, wall_ms // DAY_MS), day + KEY_DAYS_MAX)
        return card.encode(self.public, today, advance(key, today - day), announced)
