"""Testimony: what members of groups said lately about plans, and when anybody was last heard.

The rule (protocol.md, "Plans", *Witnesses*): of what one member says of one thing in one group the newest stands, in
whatever order it came; and it counts only while they are a member after all that is known, and not forked. An
attestation that says it holds longer than it may says nothing. What is a day old goes, but for receipts, which stay
with their version, and for signs of life, while there are plans in their group: posts are deleted sooner than it may
matter when somebody was last heard.

What one member can have held here is bounded; who says too much loses what they said before, and nobody else's.
"""

from collections.abc import Iterable

from meshd.ids import ID_SIZE
from meshd.limits import ATTEST_HOLD_S, CLOCK_OFF_MS, WITNESS_KEEP_HOURS, WORDS_EACH_MAX
from meshd.own_group import OwnGroup
from meshd.own_groups import OwnGroups
from meshd.plans import act
from meshd.post import HOUR_MS, Post
from meshd.statement import DARK, HEARTBEAT, HOLD, LOOKED, REACHED, Statement
from meshd.store.witness import Said, Word

NOTHING = bytes(ID_SIZE)  # what an attestation and a heartbeat are about
KEEP_MS = WITNESS_KEEP_HOURS * HOUR_MS
_RECEIPTS = (HOLD, REACHED, LOOKED)
_Key = tuple[int, bytes, bytes]  # purpose, about, subject


def read(found: Post, said: Statement) -> Word | None:
    """What the author of a post of kind 4 says in its statement; None if it says nothing that belongs here."""
    if not act.fits(said) or said.purpose < DARK:
        return None
    if said.purpose != DARK:
        return Word(found.author, said.purpose, said.about, said.subject, found.hlc)
    until_s = int.from_bytes(said.subject, "big")
    if until_s * 1000 > found.time_ms + ATTEST_HOLD_S * 1000:
        return None
    return Word(found.author, DARK, said.about, b"", found.hlc, until_s)


class Testimony:
    """The words of an open log, in memory and on the disk."""

    def __init__(self, said: Said, groups: OwnGroups) -> None:
        self._said, self._groups = said, groups
        self._words: dict[bytes, dict[bytes, dict[_Key, Word]]] = {}  # by channel and author
        for channel, word in said.all():
            self._of(channel, word.author)[word.key] = word

    def _of(self, channel: bytes, author: bytes) -> dict[_Key, Word]:
        return self._words.setdefault(channel, {}).setdefault(author, {})

    # --- what comes ---

    def take(self, own: OwnGroup, found: Post, said: Statement) -> None:
        """A member's statement about a plan, in this post."""
        if (word := read(found, said)) is not None:
            self._put(own.channel, word)

    def _put(self, channel: bytes, word: Word) -> None:
        held = self._of(channel, word.author)
        before = held.get(word.key)
        if before is not None and before.hlc >= word.hlc:
            return
        held[word.key] = word
        self._said.put(channel, word)
        if len(held) > WORDS_EACH_MAX:
            self._forget(channel, min(held.values(), key=lambda each: each.hlc))

    def note_life(self, channel: bytes, people: Iterable[bytes]) -> None:
        """Remember when these were last heard in a group, before their posts are deleted."""
        for who in people:
            if (newest := self._said.newest(channel, who)) is not None:
                self._put(channel, Word(who, HEARTBEAT, NOTHING, b"", newest[0]))

    # --- what is known ---

    def word(
        self, channel: bytes, who: bytes, purpose: int, about: bytes, subject: bytes = b""
    ) -> Word | None:
        """What somebody said last of this."""
        return self._words.get(channel, {}).get(who, {}).get((purpose, about, subject))

    def counting(self, channel: bytes, purpose: int, about: bytes, subject: bytes = b"") -> dict[bytes, Word]:
        """Who said this last and counts, with their words."""
        key, own = (purpose, about, subject), self._groups.get(channel)
        found = {who: words[key] for who, words in self._words.get(channel, {}).items() if key in words}
        if own is None or not own.judged or not found:
            return {}
        members, forked = own.group.dag.membership().members, own.group.dag.forked
        return {who: word for who, word in found.items() if who in members and who not in forked}

    def heard_ms(self, channel: bytes, who: bytes) -> int:
        """The stamp of somebody's newest sign of life in this group, wall milliseconds; 0 if there is none."""
        newest, beat = self._said.newest(channel, who), self.word(channel, who, HEARTBEAT, NOTHING)
        return max(newest[0] >> 16 if newest else 0, beat.time_ms if beat else 0)

    def is_ahead(self, channel: bytes, who: bytes) -> bool:
        """Whether somebody's newest post here was stamped far ahead of our own time when it came."""
        newest = self._said.newest(channel, who)
        return newest is not None and (newest[0] >> 16) - newest[1] > CLOCK_OFF_MS

    # --- what is over ---

    def _forget(self, channel: bytes, word: Word) -> None:
        del self._words[channel][word.author][word.key]
        self._said.remove(channel, word)

    def forget_over(self, now_ms: int, living: set[bytes], versions: set[bytes]) -> None:
        """Forget what matters no more: `living` are the channels with plans, `versions` the ids of those that are
        here."""
        for channel in self._words.keys() - self._groups.groups.keys():
            del self._words[channel]  # left: from the disk it went at once
        for channel, by_author in self._words.items():
            for word in [each for words in by_author.values() for each in words.values()]:
                is_kept = (word.purpose == HEARTBEAT and channel in living) or (
                    word.purpose in _RECEIPTS and word.about in versions
                )
                if word.time_ms + KEEP_MS <= now_ms and not is_kept:
                    self._forget(channel, word)
