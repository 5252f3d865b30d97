"""Writing posts: the own identity, its incarnation, and the next sequence in each channel.

The rule: every start begins a new incarnation, 63 random bits, and sequences are counted in memory alone. So a
restored backup, a copied home or a commit that was lost can never use a sequence twice; the first post of an
incarnation names the last one known of the one before as its first parent (protocol.md, "Posts").

The author's name travels in the body of its first post of each incarnation in a channel.
"""

from meshd import crypto, envelope, post
from meshd.envelope import Envelope
from meshd.hlc import Clock
from meshd.limits import INCARNATION_MAX, KEEP_HOURS, KEEP_HOURS_MAX, PARENTS_MAX
from meshd.post import HOUR_MS, Post, Text
from meshd.store.log import Log


class Author:
    """Composes and signs this node's own posts."""

    def __init__(self, log: Log, clock: Clock, entropy: crypto.Entropy) -> None:
        self.public, self._secret = crypto.ed25519_keypair(log.seed)
        self.name = log.name
        self._log, self._clock = log, clock
        self._incarnation = int.from_bytes(crypto.fresh(entropy, 16)[:8], "big") & INCARNATION_MAX
        self._last: dict[bytes, tuple[int, bytes]] = {}  # channel → sequence and id of our last post in it

    def compose(self, channel: bytes, text: str, reply_to: bytes, keep: str, wall_ms: int) -> Envelope:
        """A signed text post for a public channel, in its envelope. CallerError(usage) if the text is too long."""
        sequence, previous = self._last.get(channel, (0, b""))
        name = "" if sequence else self.name
        body = post.encode_text(Text(name, reply_to, text))
        own = previous or self._log.last_own(channel) or b""
        # What is older has expired everywhere: named as a parent, it would be missed by whoever comes new.
        living = max(0, wall_ms - KEEP_HOURS_MAX * HOUR_MS) << 16
        heads = [head for head in self._log.heads(channel, PARENTS_MAX, living) if head != own]
        parents = ([own] if own else []) + heads
        hlc = self._clock.stamp(wall_ms)
        signed = post.encode(
            Post(
                version=post.VERSION,
                channel=channel,
                epoch=b"",
                author=self.public,
                incarnation=self._incarnation,
                sequence=sequence + 1,
                parents=b"".join(parents[:PARENTS_MAX]),
                hlc=hlc,
                kind=post.KIND_TEXT,
                # rounded up to the hour, so that a keep class is never cut short
                keep_until=-(-(hlc >> 16) // HOUR_MS) + KEEP_HOURS[keep],
                body=body,
            )
        )
        identity = post.post_id(signed)
        raw = envelope.seal_public(signed, post.sign(self._secret, identity))
        made = envelope.parse(raw)
        if made is None:
            raise RuntimeError("our own envelope does not parse")
        self._last[channel] = sequence + 1, identity
        return made
