"""Laptops on real networks: network namespaces joined by bridges, for tests and for trying by hand.

The rule: a laptop is a network namespace, a Wi-Fi or hub is a bridge, and both live in namespaces of their own,
the bridges together in one named `hub`. The host has no interface, address or route into any of them, so nothing
that happens here can reach a real network. Needs root (or a user namespace that maps it) on Linux.

Names carry the process id of their maker (`meshlab-PID-NAME`). A lab removes what it made when it is left, with
every process inside; and every new lab first removes what is left of labs whose maker is gone, however it died.

IPv4 addresses are 10.77.B.L/24 for bridge B and laptop L; IPv6 is link-local as the kernel makes it. The host part
is the laptop's number on every bridge, so that addresses can be told apart in captures.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
COMMAND_S = 30.0
_NAME = re.compile(r"meshlab-(\d+)-\w+")


class LabError(Exception):
    """The lab can't be built or a command in it failed; the message says what and why."""


def _command(*args: str) -> str:
    done = subprocess.run(args, capture_output=True, text=True, timeout=COMMAND_S)
    if done.returncode:
        raise LabError(f"`{' '.join(args)}` failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def namespaces(maker: int) -> list[str]:
    """The names of the namespaces that process `maker` has made."""
    words = _command("ip", "netns", "list").split()
    return sorted(name for name in words if (match := _NAME.fullmatch(name)) and int(match[1]) == maker)


def remove(maker: int) -> None:
    """End every process in the namespaces of that maker and remove them."""
    for name in namespaces(maker):
        _remove_namespace(name)


def _remove_namespace(name: str) -> None:
    for pid in _command("ip", "netns", "pids", name).split():
        try:
            os.kill(int(pid), 9)
        except ProcessLookupError:
            continue
    _command("ip", "netns", "delete", name)


def remove_stale() -> None:
    """Remove what is left of labs whose maker has ended."""
    words = _command("ip", "netns", "list").split()
    makers = {int(match[1]) for name in words if (match := _NAME.fullmatch(name))}
    for maker in sorted(makers):
        if not os.path.exists(f"/proc/{maker}"):
            remove(maker)


class Bridge:
    """One network, as number `number`; laptops join it."""

    def __init__(self, lab: "Lab", number: int) -> None:
        self._lab = lab
        self.number = number
        self.name = f"br{number}"
        lab.hub("link", "add", self.name, "type", "bridge", "forward_delay", "0")
        lab.hub("link", "set", self.name, "up")


class Laptop:
    """A namespace with a home for meshd; `interfaces` are named after their bridges: eth1 on bridge 1."""

    def __init__(self, lab: "Lab", number: int) -> None:
        self._lab = lab
        self.number = number
        self.namespace = f"meshlab-{lab.maker}-{number}"
        self.home = str(lab.folder / f"laptop{number}")
        self.bridges: list[Bridge] = []
        _command("ip", "netns", "add", self.namespace)
        self.ip("link", "set", "lo", "up")

    def ip(self, *args: str) -> str:
        """`ip ARGS` inside."""
        return _command("ip", "-n", self.namespace, *args)

    def join(self, bridge: Bridge) -> str:
        """Plug a cable into a bridge; the interface's name and, once up, its addresses are as in the head."""
        inside, outside = f"eth{bridge.number}", f"p{self.number}b{bridge.number}"
        self._lab.hub("link", "add", outside, "type", "veth", "peer", "name", inside, "netns", self.namespace)
        self._lab.hub("link", "set", outside, "master", bridge.name, "up")
        self.ip("address", "add", f"{self.address(bridge)}/24", "dev", inside)
        self.ip("link", "set", inside, "up")
        self.bridges.append(bridge)
        return inside

    def address(self, bridge: Bridge) -> str:
        """Its IPv4 address on a bridge."""
        return f"10.77.{bridge.number}.{self.number}"

    def set_link(self, bridge: Bridge, up: bool) -> None:
        """Switch the laptop's own interface on or off."""
        self.ip("link", "set", f"eth{bridge.number}", "up" if up else "down")

    def set_cable(self, bridge: Bridge, plugged: bool) -> None:
        """Plug or pull the cable at the bridge: the laptop's interface stays on and loses its carrier."""
        self._lab.hub("link", "set", f"p{self.number}b{bridge.number}", "up" if plugged else "down")

    def lose(self, share: float) -> None:
        """From now on lose this share (0–1) of the packets that come in, on every network, at random."""
        commands = [
            "add table inet lab",
            "delete table inet lab",
        ]  # the first, so that the second never fails
        if share:
            rule = f'iifname != "lo" numgen random mod 1000 < {round(share * 1000)} counter drop'
            commands.append(
                f"table inet lab {{ chain incoming {{ type filter hook input priority 0; {rule}; }}; }}"
            )
        self.run(["nft", "; ".join(commands)])

    def limit(self, bridge: Bridge, rate: str) -> None:
        """Send at most at this rate (tc's notation, `2mbit`) on a bridge."""
        device = f"eth{bridge.number}"
        tbf = ["root", "tbf", "rate", rate, "burst", "16k", "latency", "100ms"]
        self.run(["tc", "qdisc", "replace", "dev", device, *tbf])

    def vanish(self) -> None:
        """It is gone, with all that runs on it; whatever the others had that led to it still does."""
        _remove_namespace(self.namespace)

    def run(self, args: list[str], timeout_s: float = COMMAND_S) -> str:
        """What a command prints, run inside; LabError if it fails."""
        done = subprocess.run(
            self._inside(args),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
            cwd=ROOT,
        )
        if done.returncode:
            raise LabError(f"`{' '.join(args)}` on laptop {self.number} failed: {done.stderr.strip()}")
        return done.stdout

    def popen(self, args: list[str], **how: Any) -> "subprocess.Popen[bytes]":
        """Start a command inside; it ends with the lab at the latest."""
        return subprocess.Popen(self._inside(args), cwd=ROOT, stdin=subprocess.DEVNULL, **how)

    def _inside(self, args: list[str]) -> list[str]:
        return ["ip", "netns", "exec", self.namespace, *args]

    def mesh(self, *args: str) -> dict[str, Any]:
        """The document that `mesh ARGS --json` prints on this laptop."""
        document: dict[str, Any] = json.loads(self.run(self.mesh_command(*args, "--json")))
        return document

    def mesh_command(self, *args: str) -> list[str]:
        """`mesh ARGS` for this laptop's home."""
        return [sys.executable, "-I", "-m", "cli", "--home", self.home, *args]


class Lab:
    """A context in which laptops and bridges exist. The process that made it owns them."""

    def __init__(self) -> None:
        self.maker = os.getpid()
        self.laptops: list[Laptop] = []
        self.bridges: list[Bridge] = []

    def __enter__(self) -> "Lab":
        if not sys.platform.startswith("linux") or os.geteuid() != 0:
            raise LabError("the lab needs root on Linux: sudo scripts/lab …")
        missing = [tool for tool in ("ip", "nft", "tc") if shutil.which(tool) is None]
        if missing:
            raise LabError(f"the lab needs {', '.join(missing)}: apt-get install iproute2 nftables")
        remove_stale()
        remove(self.maker)
        self.folder = Path(tempfile.mkdtemp(prefix=f"meshlab-{self.maker}-"))
        try:
            _command("ip", "netns", "add", self._hub)
        except LabError:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        remove(self.maker)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _hub(self) -> str:
        return f"meshlab-{self.maker}-hub"

    def hub(self, *args: str) -> str:
        """`ip ARGS` where the bridges are."""
        return _command("ip", "-n", self._hub, *args)

    def bridge(self) -> Bridge:
        """A new network."""
        self.bridges.append(Bridge(self, len(self.bridges) + 1))
        return self.bridges[-1]

    def laptop(self, *bridges: Bridge) -> Laptop:
        """A new laptop, on these networks."""
        laptop = Laptop(self, len(self.laptops) + 1)
        self.laptops.append(laptop)
        for bridge in bridges:
            laptop.join(bridge)
        return laptop

    def together(self, count: int) -> tuple[Bridge, list[Laptop]]:
        """That many laptops on one bridge."""
        bridge = self.bridge()
        return bridge, [self.laptop(bridge) for _ in range(count)]

    def line(self, count: int) -> tuple[list[Bridge], list[Laptop]]:
        """That many laptops in a line; bridge `i` joins laptops `i` and `i + 1` (from 0) and nobody else."""
        bridges = [self.bridge() for _ in range(count - 1)]
        laptops = []
        for number in range(count):
            laptops.append(self.laptop(*bridges[max(0, number - 1) : number + 1]))
        return bridges, laptops


def avahi_browse(laptop: Laptop, service: str) -> list[str]:
    """The instances that `avahi-browse -rtp SERVICE` resolves on this laptop, as its `=` lines.

    Avahi and the bus it needs run for this one call, with a /run of their own, and announce nothing. Where a
    container forbids them their usual safeguards they do without.
    """
    script = f"""
        mount -t tmpfs tmpfs /run && mkdir -p /run/dbus /run/avahi-daemon || exit
        printf '[publish]\\ndisable-publishing=yes\\n' >/run/avahi.conf
        dbus-daemon --system --fork --nopidfile
        avahi-daemon -f /run/avahi.conf --no-chroot --no-drop-root --no-rlimits -D
        avahi-browse -rtp {service}
    """
    lines = laptop.run(
        ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script]
    ).splitlines()
    return [line for line in lines if line.startswith("=")]


class Capture:
    """Everything that crosses a bridge, into a file, until `stop`; with `laptop`, all that passes its cable there,
    which can be heard while the bridge itself is down."""

    def __init__(self, lab: Lab, bridge: Bridge, laptop: Laptop | None = None) -> None:
        interface = f"p{laptop.number}b{bridge.number}" if laptop else bridge.name
        self.path = str(lab.folder / f"bridge{bridge.number}.pcap")
        hub = ["ip", "netns", "exec", f"meshlab-{lab.maker}-hub"]
        command = [*hub, "tshark", "-q", "-Q", "-i", interface, "-w", self.path, "-F", "pcap"]
        self._tshark = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while (
            not os.path.exists(self.path) or os.path.getsize(self.path) < 24
        ):  # the file's head: it listens now
            if self._tshark.poll() is not None:
                raise LabError("tshark did not start")
            time.sleep(0.05)

    def stop(self) -> bytes:
        """All that was captured."""
        time.sleep(0.5)  # tshark is told in batches
        self._tshark.terminate()
        self._tshark.wait(COMMAND_S)
        return Path(self.path).read_bytes()

    def fields(self, display_filter: str, *names: str) -> list[list[str]]:
        """A row for each packet that the filter selects, after `stop`."""
        chosen = [word for name in names for word in ("-e", name)]
        output = _command("tshark", "-r", self.path, "-Y", display_filter, "-T", "fields", *chosen)
        return [line.split("\t") for line in output.splitlines()]
