"""Writing posts: the own identity, its incarnation, and the next sequence in each channel.

The rule: every start begins a new incarnation, 63 random bits, and sequences are counted in memory alone. So a
restored backup, a copied home or a commit that was lost can never use a sequence twice; the first post of an
incarnation names the last one known of the one before as its first parent (protocol.md, "Posts").

The author's name travels in the body of its first post of each incarnation in a channel. Of posts that are written
together, the first in a channel names its loose ends as parents, and each of the others the one before it alone.

The own card is made here too, from the inbox key of the day. That key is random and kept in the log, where it is
moved on daily; a log that has none yet gets one when it is first asked for.
"""

from collections.abc import Sequence
from typing import NamedTuple

from meshd import card, crypto, post
from meshd.daykeys import advance
from meshd.envelope import Envelope, seal_public
from meshd.hlc import Clock
from meshd.ids import envelope_key
from meshd.limits import INCARNATION_MAX, KEEP_HOURS, KEEP_HOURS_MAX, KEY_DAYS_MAX, PARENTS_MAX
from meshd.post import DAY_MS, HOUR_MS, Post, Text
from meshd.store.log import Log


class Draft(NamedTuple):
    """A post to be written, whose parameters are all right."""

    channel: bytes  # id of a public channel
    channel_name: str
    text: str
    reply_to: bytes  # a post id, or empty
    keep: str  # of KEEP_HOURS


class Author:
    """Composes and signs this node's own posts."""

    def __init__(self, log: Log, clock: Clock, entropy: crypto.Entropy) -> None:
        self.public, self._secret = crypto.ed25519_keypair(log.seed)
        self.name = log.name
        self._log, self._clock, self._entropy = log, clock, entropy
        self._incarnation = int.from_bytes(crypto.fresh(entropy, 16)[:8], "big") & INCARNATION_MAX
        self._last: dict[bytes, tuple[int, bytes]] = {}  # channel → sequence and id of our last post in it

    def has_posted(self, channel: bytes) -> bool:
        """Whether any post of ours is in this channel."""
        return channel in self._last or self._log.last_own(channel) is not None

    def compose(self, drafts: Sequence[Draft], wall_ms: int) -> list[Envelope]:
        """Signed text posts in their envelopes, to be taken in before the next are composed. CallerError(usage) if a
        text is too long."""
        made = []
        begun: set[bytes] = set()
        for draft in drafts:
            heads = [] if draft.channel in begun else self._heads(draft.channel, wall_ms)
            begun.add(draft.channel)
            made.append(self._write(draft, heads, wall_ms))
        return made

    def _heads(self, channel: bytes, wall_ms: int) -> list[bytes]:
        # What is older has expired everywhere: named as a parent, it would be missed by whoever comes new.
        living = max(0, wall_ms - KEEP_HOURS_MAX * HOUR_MS) << 16
        return self._log.heads(channel, PARENTS_MAX, living)

    def _write(self, draft: Draft, heads: list[bytes], wall_ms: int) -> Envelope:
        sequence, own = self._last.get(draft.channel) or (0, self._log.last_own(draft.channel) or b"")
        name = "" if sequence else self.name
        parents = ([own] if own else []) + [head for head in heads if head != own]
        hlc = self._clock.stamp(wall_ms)
        written = Post(
            version=post.VERSION,
            channel=draft.channel,
            epoch=b"",
            author=self.public,
            incarnation=self._incarnation,
            sequence=sequence + 1,
            parents=b"".join(parents[:PARENTS_MAX]),
            hlc=hlc,
            kind=post.KIND_TEXT,
            # rounded up to the hour, so that a keep class is never cut short
            keep_until=-(-(hlc >> 16) // HOUR_MS) + KEEP_HOURS[draft.keep],
            body=post.encode_text(Text(name, draft.reply_to, draft.text)),
        )
        signed = post.encode(written)
        identity = post.post_id(signed)
        signature = post.sign(self._secret, identity)
        self._last[draft.channel] = sequence + 1, identity
        raw = seal_public(signed, signature)
        return Envelope(envelope_key(written.keep_until, identity), raw, written, signature)

    def inbox(self, wall_ms: int) -> tuple[int, bytes]:
        """A day, today or before, and the 32 bytes of our inbox key on it; made for today if there was none yet."""
        kept = self._log.contacts.inbox(self.public)
        if kept is None:
            kept = wall_ms // DAY_MS, crypto.fresh(self._entropy, crypto.KEY_SIZE)
            self._log.contacts.set_inbox(self.public, *kept)
        return kept

    def card(self, wall_ms: int) -> str:
        """What lets others write to us, and find out that we are near, from today on."""
        day, key = self.inbox(wall_ms)
        today = min(max(day, wall_ms // DAY_MS), day + KEY_DAYS_MAX)
        return card.encode(self.public, today, advance(key, today - day))
