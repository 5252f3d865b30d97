"""Real daemons for tests: one process each, on loopback, ended when the test ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.real  # as is every test that uses this
ROOT = Path(__file__).resolve().parent.parent
PATIENCE_S = 10.0
COMES_S = 60.0  # what takes several links, and the turns that laptops take


def meshd(home: Path, *args: str, **how: Any) -> "subprocess.CompletedProcess[str]":
    """Run `meshd ARGS --home HOME --json` to its end; no terminal, no passphrase unless the arguments say so."""
    command = [sys.executable, "-I", "-m", "meshd", *args, "--home", str(home), "--json"]
    how = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, "timeout": 30, **how}
    return subprocess.run(command, cwd=ROOT, **how)  # type: ignore[no-any-return]


class Rpc:
    """One connection to a daemon; `ask` returns the whole answer."""

    def __init__(self, home: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect(str(home / "ctl.sock"))
        self._lines = self.socket.makefile("rb")

    def say(self, value: Any) -> None:
        self.socket.sendall(json.dumps(value).encode() + b"\n")

    def hear(self) -> Any:
        line = self._lines.readline()
        if not line.endswith(b"\n"):
            raise EOFError("the daemon ended the connection, perhaps in the middle of a line")
        return json.loads(line)

    def ask(self, method: str, **params: object) -> Any:
        self.say({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        return self.hear()

    def until(self, method: str, found: str, **params: object) -> Any:
        """Ask again until `found` in the result is not empty, and return that."""
        for _ in range(int(PATIENCE_S * 100)):
            if value := self.ask(method, **params)["result"][found]:
                return value
            time.sleep(0.01)
        raise TimeoutError(f"{method} never had {found}")

    def close(self) -> None:
        self._lines.close()
        self.socket.close()


class Laptop:
    """A home and its daemon, `with Laptop(path) as laptop:`; it listens on a free loopback port."""

    def __init__(self, home: Path, *args: str) -> None:
        self.home = home
        self.args = args
        self.address = ""
        if not home.exists():
            ran = meshd(home, "init", "--name", home.name, "--no-passphrase")
            assert ran.returncode == 0, ran.stderr

    def __enter__(self) -> "Laptop":
        self.start()
        return self

    def start(self, *under: str) -> None:
        """Run the daemon, as it is or by a command that ends as it."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        command = [
            *under,
            sys.executable,
            "-I",
            "-m",
            "meshd",
            "run",
            "--home",
            str(self.home),
            "--json",
            "--no-mdns",
        ]
        command += [*self.args, "--listen", f"127.0.0.1:{port}"]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        ready = json.loads(self.process.stdout.readline())
        assert ready["pid"] == self.process.pid
        (self.address,) = ready["listen"]

    def stop(self, how: int = signal.SIGTERM) -> int:
        """Signal the daemon and wait for its end; its exit status."""
        if self.process.poll() is None:
            os.kill(self.process.pid, how)
        self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode

    def memory_mib(self, name: str = "VmRSS") -> float:
        """Memory of the daemon as Linux tells it; `VmHWM` is the most it ever had."""
        status = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        (kib,) = [line.split()[1] for line in status if line.startswith(name + ":")]
        return int(kib) / 1024

    def __exit__(self, *_: object) -> None:
        self.stop(signal.SIGKILL)


def wait_until(holds: Callable[[], object]) -> None:
    begun = time.monotonic()
    while not holds():
        if time.monotonic() - begun > COMES_S:
            raise TimeoutError("what was waited for did not come")
        time.sleep(0.1)


def meet(laptops: Sequence[Laptop]) -> None:
    """Link them in a row, exchange their cards by hand, and make the group `kitchen` of all."""
    rpcs, names = [Rpc(laptop.home) for laptop in laptops], [laptop.home.name for laptop in laptops]
    for rpc, following in zip(rpcs[:-1], laptops[1:], strict=True):
        rpc.ask("peer.add", address=following.address)
    cards = [(rpc.ask("id.show")["result"]["card"], name) for rpc, name in zip(rpcs, names, strict=True)]
    for rpc in rpcs:
        for card, name in cards:
            rpc.ask("contact.add", card=card, name=name)  # one's own is refused
    first, *others = rpcs
    first.ask("group.create", name="kitchen")
    invite = {"group": "kitchen", "who": names[1:]}
    wait_until(
        lambda: all(each["invite"] for each in first.ask("group.invite", **invite)["result"]["invites"])
    )
    for rpc in others:
        wait_until(lambda rpc=rpc: "result" in rpc.ask("group.accept", invite="kitchen"))  # type: ignore[misc]
    for rpc in rpcs:
        wait_until(
            lambda rpc=rpc: len(rpc.ask("group.members", group="kitchen")["result"]["members"]) == len(names)  # type: ignore[misc]
        )
        rpc.close()
