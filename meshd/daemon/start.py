"""What a daemon starts with; and how it starts anew, with fewer keys or more: that is lock and unlock.

The rule: what a program has known may be anywhere in its memory. Python and the libraries below free memory without
overwriting it (keys inside SQL text, pages of a cache, every text that was shown), and what is still in use can't be
told from outside. So a daemon that is locked does not go looking for what it has to forget: it replaces itself by
exec(2), which throws the whole memory away, and goes on as a fresh start of the same process that was given the key of
`carry` and not that of `log`. Unlocking is the same with both keys. A node so never changes between the two: it starts
locked, or it starts open.

The keys travel through a pipe, which holds them until the new start has read them: not through an argument or the
environment. The control socket is handed on as it is, so that whoever asks meanwhile waits for the answer of the new
start. Links end and come again, at the same port, with new link keys, as after any start.
"""

import json
import os
import sys
from typing import NamedTuple, NoReturn

from meshd.daemon.settings import Hook, Internet
from meshd.store.keyslot import Keys

_MODES = {"announce": [], "listen": ["--listen-only"], "off": ["--no-mdns"]}
_SIZE_MAX = 4096  # bytes that fit into any pipe before it is read


class Start(NamedTuple):
    """`keys`: an empty key of `log` starts locked. `listen`: HOST:PORTs, or none, and then `port` is preferred if it is
    not 0. `idle_lock_min`, `receipts`, `internet` and `hook` as in `settings`. `control`: the descriptor of a control
    socket that listens already."""

    keys: Keys
    encrypted: bool
    listen: tuple[str, ...]
    idle_lock_min: int = 0
    port: int = 0
    control: int | None = None
    receipts: bool = False
    internet: Internet = Internet()
    hook: Hook = Hook()

    def __repr__(self) -> str:
        return "Start(…)"  # as Keys: no traceback or log line may give them away

    def become(self, home: str, mode: str) -> NoReturn:
        """Go on as a fresh start in this very process."""
        keys, *rest = self
        content = json.dumps([[key.hex() for key in keys], *rest]).encode()
        if len(content) > _SIZE_MAX:
            raise ValueError("too much to start with")
        reading, writing = os.pipe()
        os.write(writing, content)
        os.close(writing)
        for descriptor in (reading, self.control):
            if descriptor is not None:
                os.set_inheritable(descriptor, True)
        program = [sys.executable, "-I", "-m", "meshd", "run", "--home", home, *_MODES[mode]]
        os.execv(sys.executable, [*program, "--start-fd", str(reading)])

    @classmethod
    def taken(cls, descriptor: int) -> "Start":
        """What `become` wrote."""
        with open(descriptor, "rb") as pipe:
            keys, encrypted, listen, idle_min, port, control, receipts, internet, hook = json.loads(
                pipe.read(_SIZE_MAX)
            )
        carry, log = map(bytes.fromhex, keys)
        probes, domestic, dark_after_s = internet
        looking = Internet(tuple(probes), tuple(domestic), dark_after_s)
        told = Hook(tuple(hook[0]), hook[1])
        return cls(
            Keys(carry, log), encrypted, tuple(listen), idle_min, port, control, receipts, looking, told
        )
