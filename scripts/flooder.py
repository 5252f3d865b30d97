"""A neighbour that floods a daemon with junk, in a process of its own:

    python scripts/flooder.py HOW ADDRESS NETWORK_KEY_HEX

It says `ready` when its junk is made, begins when it reads a line, and stops when it reads another. Then it says, as
JSON, how many it gave, over how many links and in what time. HOW is one of

    push      valid envelopes, each by an author of its own, pushed as fast as the daemon reads
    unasked   the same, but not as fresh, after something was asked for: they may have been asked for too
    promise   announced, and never given: what is wanted is not looked at
    announce  announced, and given as fast as they are wanted, as one does who has many
    redial    pushed over a new link whenever what one link may push is used up
    forged    one with a false signature, over a new link each time

What is refused is not looked at, so the same DISTINCT come again and again, except when they are announced: then it
stops after ANNOUNCED. It gives way to the daemon (`nice`): another's laptop would take no CPU from this one.
"""

import json
import os
import select
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress

from stranger import Stranger, signed_post

from meshd import codec
from meshd.envelope import Envelope
from meshd.errors import PeerError
from meshd.ids import key_reference
from meshd.limits import LATE_MAX, PUSH_BURST, RECEIVED_FACTOR, REFERENCES_MAX
from meshd.proto import message as msg

DISTINCT = 20_000
ANNOUNCED = 100_000  # likewise, when each is announced
AT_ONCE = 150  # envelopes in one give: 64 KiB
PIECE = 128  # references in one have
NICE = 19
CUT_S = 0.1  # in which a daemon that looks at something forged hangs up
HOST = "127.0.2.1"  # it dials from there: who else is on this machine has other addresses


class Flood:
    """What one flooder has given so far."""

    def __init__(self, address: str, network_key: bytes, made: list[Envelope]) -> None:
        self._address, self._network_key = address, network_key
        self._raws = [each.raw for each in made]
        self._by_short = {each.id[:16]: each.raw for each in made}
        self._references = [key_reference(each.key) for each in made]
        self.given = self.links = 0

    def is_over(self) -> bool:
        """Whether it is to stop."""
        return bool(select.select([sys.stdin], [], [], 0)[0])

    def dial(self) -> Stranger:
        """A new link."""
        stranger = Stranger(self._address, self._network_key, HOST)
        self.links += 1
        return stranger

    def next_give(self, fresh: int) -> msg.Give:
        """The next of the junk."""
        start = self.given % (len(self._raws) - AT_ONCE)
        self.given += AT_ONCE
        return msg.Give(fresh, codec.join(self._raws[start : start + AT_ONCE]))

    def push(self) -> None:
        """Valid ones, as fast as they are read."""
        stranger = self.dial()
        while not self.is_over():
            stranger.say(self.next_give(1))

    def unasked(self) -> None:
        """One is announced; when it is wanted all come."""
        stranger = self.dial()
        stranger.say(msg.Have(msg.LATE, self._references[0]))
        while not any(isinstance(each, msg.Want) for each in stranger.pump()):
            pass
        while not self.is_over():
            stranger.say(self.next_give(0))

    def promise(self) -> None:
        """References that nobody has seen, of the hour of the others."""
        stranger, hour = self.dial(), self._references[0][:4]
        while not self.is_over():
            said = [hour + os.urandom(16) for _ in range(REFERENCES_MAX)]
            stranger.say(msg.Have(msg.FRESH, b"".join(said)))
            self.given += len(said)

    def announce(self) -> None:
        """As many as a node may have under way, and what is wanted of them."""
        stranger = self.dial()
        said = 0
        while not self.is_over() and self.given < len(self._raws):
            heard: list[msg.Message] = []
            while said < min(self.given + LATE_MAX, len(self._raws)):
                heard += stranger.say(msg.Have(msg.LATE, b"".join(self._references[said : said + PIECE])))
                said += PIECE
            for each in heard + stranger.pump():
                if isinstance(each, msg.Want):
                    self._give(
                        stranger, [self._by_short[short] for short in codec.chop(each.ids, 16, LATE_MAX)]
                    )

    def _give(self, stranger: Stranger, raws: list[bytes]) -> None:
        for start in range(0, len(raws), AT_ONCE):
            stranger.say(msg.Give(0, codec.join(raws[start : start + AT_ONCE])))
        self.given += len(raws)

    def redial(self) -> None:
        """As many as are taken, and then again."""

        def push(stranger: Stranger) -> None:
            for _ in range(PUSH_BURST * RECEIVED_FACTOR // AT_ONCE):
                stranger.say(self.next_give(1))

        self._again_and_again(push)

    def forged(self) -> None:
        """One, and then again."""
        raw = signed_post("forged", forged=True).raw

        def give(stranger: Stranger) -> None:
            stranger.say(msg.Give(1, codec.join([raw])))
            self.given += 1
            stranger.socket.settimeout(CUT_S)
            while True:  # until it hangs up, or has not looked at it: that was over the rate
                stranger.pump()

        self._again_and_again(give)

    def _again_and_again(self, act: Callable[[Stranger], None]) -> None:
        """Over a new link each time; a daemon that hangs up, or takes none, is dialled again."""
        while not self.is_over():
            try:
                stranger = self.dial()
            except (OSError, PeerError):
                continue
            with closing(stranger), suppress(OSError, PeerError):
                act(stranger)


def main(how: str, address: str, network_key: str) -> None:
    """Flood."""
    made = ANNOUNCED if how == "announce" else DISTINCT
    flood = Flood(address, bytes.fromhex(network_key), [signed_post(f"{n:0256}") for n in range(made)])
    hows: dict[str, Callable[[], None]] = {
        "push": flood.push,
        "unasked": flood.unasked,
        "promise": flood.promise,
        "announce": flood.announce,
        "redial": flood.redial,
        "forged": flood.forged,
    }
    os.nice(NICE)
    print("ready", flush=True)
    sys.stdin.readline()
    started = time.perf_counter()
    wrong = ""
    try:
        hows[how]()
    except (OSError, PeerError) as error:
        wrong = str(error)
    taken_s = time.perf_counter() - started
    sys.stdin.readline()
    print(
        json.dumps({"given": flood.given, "links": flood.links, "seconds": taken_s, "wrong": wrong}),
        flush=True,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
