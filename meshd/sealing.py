"""Sealed channels: which keys this node has, and what it makes of the envelopes that they open.

The rule: what is inside a sealed envelope is nobody's fault and changes nothing unless all of it is right: it opens,
it is a post of that channel and epoch, and its author signed it (protocol.md, "Sealed envelopes"). Whoever keeps
state about groups says more by registering here: `readers` take posts of a kind, `contents` take what is no post, and
`admits` says of a post that is right in itself whether its author may say this there. What is not admitted now is
looked at again when somebody asks for it (`look_again`): epochs come in any order.

A key that is new is tried on everything sealed that is carried, in slices from the beginning (`scan`), while what
comes meanwhile is tried with all keys at once and nobody else waits. What was opened before is known by its envelope
and is not opened twice. Keys are in memory here and in `log`, and nowhere else: a locked node has an empty keyring.
Once a day is over and an hour more, its keys are erased, in the hourly pass over what is over; which waits, as all of
that pass, while the clock is in doubt.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from meshd import daykeys, envelope, post
from meshd.envelope import Sealed, SealedPost
from meshd.errors import CallerError, Code, PeerError
from meshd.events import Now
from meshd.keyring import Keyring, Opened
from meshd.store.log import Log


class Inside(NamedTuple):
    """A post that a key opened, and how."""

    opened: Opened
    id: bytes
    post: post.Post
    signature: bytes


class Sealing:
    """Owns the keyring of an open log; with `log` None there is none."""

    def __init__(self, log: Log | None) -> None:
        self._log = log
        self.keyring = Keyring()
        self._sealed: dict[bytes, tuple[str, str]] = {}  # name and kind, of left channels too
        self._posting: dict[bytes, bytes] = {}
        self.readers: dict[
            int, Callable[[Inside, Now], None]
        ] = {}  # by kind of post; called once it is in the log
        self.contents: dict[
            int, Callable[[Opened, Sealed, Now], None]
        ] = {}  # by first slot of what is no post
        self.admits: Callable[[Inside], bool] = lambda inside: True
        self.scan: int | None = None  # sequence in carry up to which it was looked again; None when through
        self.in_clear = 0  # public envelopes that claimed to be of a sealed channel
        if log is not None:
            for held in log.epoch_keys.all():
                self.keyring.add(*held)
            for channel, name, kind in log.epoch_keys.sealed_channels():
                self._sealed[channel] = name, kind
            self._posting = log.epoch_keys.posting()
            self.scan = log.epoch_keys.scan()

    # --- channels and keys ---

    def join(self, channel: bytes, name: str, kind: str, epoch: bytes, day: int, key: bytes) -> None:
        """Be in a sealed channel ("group" or "direct") whose key of that day this is, and post under this epoch."""
        self.enter(channel, name, kind)
        self.add_key(channel, epoch, day, key)
        self.post_under(channel, epoch)

    def enter(self, channel: bytes, name: str, kind: str) -> None:
        """Be in a sealed channel, whatever keys of it are held."""
        self._open_log().join(channel, name, kind)
        self._sealed[channel] = name, kind

    def leave(self, channel: bytes) -> None:
        """Be no longer in a channel, and hold none of its keys."""
        log = self._open_log()
        log.leave(channel)
        for epoch in self.keyring.epochs(channel):
            self.remove_key(channel, epoch)
        self.stop_posting(channel)

    def add_key(self, channel: bytes, epoch: bytes, day: int, key: bytes) -> bool:
        """Hold a key, and try it on all that is carried; False if it is of no use (`Keyring.add`)."""
        if not self.keyring.add(channel, epoch, day, key):
            return False
        self._write(channel, epoch)
        self.look_again()
        return True

    def make_key(self, channel: bytes, epoch: bytes, day: int, key: bytes) -> None:
        """Hold a key of our own making: nothing that is carried can be sealed under it."""
        self.keyring.add(channel, epoch, day, key)
        self._write(channel, epoch)

    def keep_keys(self, channel: bytes, epoch: bytes, is_key: Callable[[int, bytes], bool]) -> None:
        """It is known by now which (day, key) are this epoch's (`Keyring.keep`)."""
        self.keyring.keep(channel, epoch, is_key)
        self._write(channel, epoch)

    def remove_key(self, channel: bytes, epoch: bytes) -> None:
        """Hold no key of this epoch any more."""
        self.keyring.remove(channel, epoch)
        self._write(channel, epoch)

    def erase(self, hour: int) -> bool:
        """Erase the keys of all days that are over at this hour; whether there were any. For who trusts the clock."""
        moved = self.keyring.erase(daykeys.first_kept_day(hour))
        for channel, epoch in moved:
            self._write(channel, epoch)
        return bool(moved)

    def _write(self, channel: bytes, epoch: bytes) -> None:
        if not epoch:
            return  # of an inbox: it is kept with its owner
        self._open_log().epoch_keys.write(channel, epoch, self.keyring.keys(channel, epoch))

    def look_again(self) -> None:
        """Try all that is carried again: a key is new, or somebody is admitted who was not."""
        self.scanned(0)

    def scanned(self, sequence: int | None) -> None:
        """It was looked again up to this sequence in carry; None: up to the end."""
        self.scan = sequence
        self._open_log().epoch_keys.set_scan(sequence)

    def post_under(self, channel: bytes, epoch: bytes) -> None:
        """From now on our posts in this channel are sealed under this epoch."""
        self._posting[channel] = epoch
        self._open_log().epoch_keys.post_under(channel, epoch)

    def stop_posting(self, channel: bytes) -> None:
        """There is no epoch to post under, for now or for good."""
        if self._posting.pop(channel, None) is not None:
            self._open_log().epoch_keys.forget(channel)

    def is_sealed(self, channel: bytes) -> bool:
        """Whether this channel, which we are or were in, is a sealed one: nothing public is shown in it."""
        return channel in self._sealed

    def has_channels(self) -> bool:
        """Whether we are or were in any sealed channel."""
        return bool(self._sealed)

    def groups(self, name: str) -> list[bytes]:
        """The groups of this name that we are in."""
        log = self._open_log()
        return [id for id, what in self._sealed.items() if what == (name, "group") and log.joined(id)]

    def posting(self, channel: bytes) -> bytes:
        """The epoch under which we post in this channel; empty if it is public, or we can't post in it."""
        return self._posting.get(channel, b"")

    def day_key(self, channel: bytes, epoch: bytes, expiry_hour: int) -> bytes:
        """What seals an envelope that expires then; CallerError(refused) if it is not held."""
        key = self.keyring.key(channel, epoch, daykeys.key_day(expiry_hour))
        if key is None:
            raise CallerError(Code.refused, "there is no key for this channel any more, or none yet")
        return key

    def _open_log(self) -> Log:
        if self._log is None:
            raise RuntimeError("keys while the log is closed")
        return self._log

    # --- envelopes ---

    def open(self, envelopes: Sequence[Sealed], now: Now) -> dict[bytes, Inside]:
        """The posts in those that a key opens and that were not opened before, by the envelope's key. Their signatures
        are not checked yet. What is no post goes to whoever registered for it."""
        if self._log is None or not envelopes or self.keyring.first_day() is None:
            return {}
        found: dict[bytes, Inside] = {}
        opened = [(each, names) for each in envelopes if (names := self.keyring.open_all(each))]
        known = self._log.openings.known([sealed.key for sealed, _ in opened])
        for sealed, names in opened:
            if sealed.key in known:
                continue
            kind = envelope.content_kind(names[0].content)
            if kind == envelope.CONTENT_POST:
                if (inside := _post_in(names, sealed)) is not None:
                    found[sealed.key] = inside
            elif kind is not None and kind in self.contents:
                for opened_as in names:
                    self.contents[kind](opened_as, sealed, now)
        return found

    def open_again(self, sealed: Sealed) -> SealedPost | None:
        """The post in an envelope, whether it was opened before or not; None if it does not open any more."""
        inside = _post_in(self.keyring.open_all(sealed), sealed)
        return SealedPost(inside.id, inside.post, inside.signature) if inside is not None else None

    def read(self, inside: Inside, now: Now) -> None:
        """A post is in the log, or would be if its channel were joined: give it to whoever registered for its kind."""
        reader = self.readers.get(inside.post.kind)
        if reader is not None:
            reader(inside, now)

    # --- what there is to say ---

    def alarms(self) -> list[str]:
        """What somebody should know, who thinks that a group is closed."""
        if not self.in_clear:
            return []
        posts = "a post" if self.in_clear == 1 else f"{self.in_clear} posts"
        return [
            f"{posts} in the clear came for a group of yours and went unshown: somebody gave the group's id away"
        ]


def _post_in(names: Sequence[Opened], sealed: Sealed) -> Inside | None:
    """The post in an opened content, under the name where it belongs; None if it belongs under none."""
    for opened in names:
        try:
            found = envelope.read_post(
                opened.content, channel=opened.channel, epoch=opened.epoch, expiry_hour=sealed.expiry_hour
            )
        except PeerError:
            continue
        return Inside(opened, found.id, found.post, found.signature)
    return None
