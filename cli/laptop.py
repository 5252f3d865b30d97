"""A laptop of the demo: a home in a temporary folder, a real daemon on loopback, and `mesh` to ask it.

The rule: what a laptop says is asked the way a person or a script would ask, with the program `mesh` and
`--json`, so that whatever the demo claims was really shown. Daemons are children of the demo
(`mesh up --foreground` becomes the daemon), so it notices at once when one ends, and can end them all.
"""

import contextlib
import json
import os
import random
import selectors
import socket
import subprocess
import sys
from collections.abc import Iterable
from typing import IO

from cli.client import Client, Document
from cli.room import Room
from meshd.errors import CallerError, Code

_START_S = 20.0
_COMMAND_S = 20.0
_END_S = 5.0


class Laptop:
    """One node, everything of it in `home`: on loopback at `address`, or, in a `room`, wherever it is found."""

    def __init__(self, name: str, folder: str, room: Room | None = None) -> None:
        self.name = name
        self._room = room
        self.home = os.path.join(folder, name)
        self.address = f"127.0.0.1:{_free_port()}"
        self._journal = os.path.join(folder, f"{name}.log")
        self._daemon: subprocess.Popen[bytes] | None = None

    def mesh(self, *args: str) -> Document:
        """The document that `mesh ARGS --json` prints; CallerError if the command fails."""
        done = subprocess.run(
            self._command(*args),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_COMMAND_S,
            env=_environment(),
        )
        if done.returncode:
            self.check()
            said = done.stderr.decode(errors="replace").strip().removeprefix("mesh: ")
            raise CallerError(Code.error, f"`mesh {' '.join(args)}` on {self.name} failed: {said}")
        document: Document = json.loads(done.stdout)
        return document

    def configure(self, text: str) -> None:
        """Writes the settings of its home, for the next start."""
        with open(os.path.join(self.home, "config.toml"), "w", encoding="utf-8") as file:
            file.write(text)

    def connect(self) -> Client:
        """The same daemon as an RPC client, for what would take too many processes."""
        return Client(self.home)

    def start(self) -> None:
        """Starts the daemon, without waiting for it."""
        if self._room is None:
            up = self._command("up", "--foreground", "--no-mdns", "--listen", self.address)
        else:
            up = self._room.seated(self._command("up", "--foreground"))
        with open(self._journal, "ab") as journal:
            self._daemon = subprocess.Popen(
                up,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=journal,
                start_new_session=True,  # Ctrl-C is for the demo, which then ends its daemons in order
                env=_environment(),
            )

    def wait_until_ready(self) -> None:
        """Returns when the daemon has said that it answers; CallerError if it does not."""
        if self._daemon is None or self._daemon.stdout is None or not _line(self._daemon.stdout, _START_S):
            raise CallerError(Code.error, f"the daemon of {self.name} did not start: {self._last_words()}")

    def check(self) -> None:
        """CallerError if a daemon that should run has ended."""
        if self._daemon is not None and self._daemon.poll() is not None:
            status = self._daemon.returncode
            reason = f"the daemon of {self.name} ended on the way, status {status}: {self._last_words()}"
            raise CallerError(Code.error, reason)

    def _last_words(self) -> str:
        with open(self._journal, "rb") as journal:
            lines = journal.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def ask_to_end(self) -> None:
        """SIGTERM to the daemon, if one runs; `end` waits for it."""
        if self._daemon is not None:
            self._daemon.terminate()

    def pull_the_plug(self) -> None:
        """SIGKILL: no goodbye, nothing is tidied up."""
        if self._daemon is not None:
            self._daemon.kill()
            self.end()

    def end(self) -> int | None:
        """Waits for the end of the daemon and gives its exit status; kills one that does not end."""
        daemon, self._daemon = self._daemon, None
        if daemon is None:
            return None
        try:
            return daemon.wait(_END_S)
        except subprocess.TimeoutExpired:
            daemon.kill()
            return daemon.wait()
        finally:
            if daemon.stdout:
                daemon.stdout.close()

    def _command(self, *args: str) -> list[str]:
        return [sys.executable, "-I", "-m", "cli", "--home", self.home, "--json", *args]


def start_all(laptops: Iterable[Laptop]) -> None:
    """Starts several daemons at once and waits for them all."""
    laptops = list(laptops)
    for laptop in laptops:
        laptop.start()
    for laptop in laptops:
        laptop.wait_until_ready()


def _environment() -> dict[str, str]:
    """Ours without MESHD_…, which would speak for another home."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MESHD_")}


def _line(stream: IO[bytes], patience_s: float) -> bytes:
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        return stream.readline() if selector.select(patience_s) else b""


def _free_port() -> int:
    """A port of loopback that is free now, below those that the system gives out to others by itself."""
    draw = random.SystemRandom()
    while True:
        port = draw.randrange(10_000, 30_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
