"""Discovery alone on real interfaces: real multicast, real link-local addresses, a foreign implementation."""

import contextlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.lab import Capture, Lab, Laptop, avahi_browse

pytestmark = pytest.mark.lab
PROBE = str(Path(__file__).with_name("probe.py"))
needs_avahi = pytest.mark.skipif(
    not shutil.which("avahi-browse") or not shutil.which("dbus-daemon"),
    reason="needs a foreign mDNS: apt-get install avahi-daemon avahi-utils dbus",
)
needs_tshark = pytest.mark.skipif(not shutil.which("tshark"), reason="needs tshark: apt-get install tshark")


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab() as made:
        yield made


class Probe:
    """A probe running on a laptop; `lines` are what it said so far."""

    def __init__(self, laptop: Laptop, *args: str) -> None:
        self.laptop = laptop
        self._journal = Path(f"{laptop.home}-{'-'.join(args)}.probe")
        with open(self._journal, "wb") as out:
            self._process = laptop.popen([sys.executable, "-I", PROBE, *args], stdout=out, stderr=out)

    def lines(self) -> list[tuple[float, str]]:
        parted = [line.partition(" ") for line in self._journal.read_text().splitlines(keepends=True)]
        return [(float(at), said.strip()) for at, _, said in parted if said.endswith("\n")]

    def wait_for(self, text: str, patience_s: float = 5.0, after: float = 0.0) -> float:
        """When it first said a line with this text (after a time); fails with all it said."""
        give_up = time.monotonic() + patience_s
        while time.monotonic() < give_up:
            for at, said in self.lines():
                if text in said and at >= after:
                    return at
            time.sleep(0.02)
        raise AssertionError(f"laptop {self.laptop.number} never said {text!r}:\n{self._journal.read_text()}")

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        self._process.wait(5)


def start(laptops: list[Laptop], mode: str = "announce") -> list[Probe]:
    probes = [Probe(laptop, "discovery", f"oak{laptop.number}", mode) for laptop in laptops]
    for probe in probes:
        probe.wait_for("begun")
    return probes


@pytest.mark.parametrize("count", [2, 5])
def test_all_find_each_other_within_half_a_second(lab, count):
    _, laptops = lab.together(count)
    first = start(laptops[:-1])
    (last,) = start(laptops[-1:])
    begun = last.wait_for("begun")
    for probe in first:
        assert probe.wait_for(f"found oak{count}x0 ") - begun < 0.5
        assert last.wait_for(f"found oak{probe.laptop.number}x0 ") - begun < 0.5
    assert "10.77.1.1:4000" in next(said for _, said in last.lines() if said.startswith("found oak1x0"))


def test_goodbye_is_said_and_heard(lab):
    _, laptops = lab.together(2)
    one, two = start(laptops)
    one.wait_for("found oak2x0")
    two.end()
    one.wait_for("lost oak2x0", 1.0)


def test_link_local_alone_is_enough_and_has_its_scope(lab):
    """No DHCP, no IPv4: fe80:: is tentative for two seconds, and sending fails until it is not."""
    _, laptops = lab.together(2)
    for laptop in laptops:
        laptop.ip("address", "flush", "dev", "eth1", "scope", "global")
    one, two = start(laptops)
    for probe in (one, two):
        probe.wait_for("found", 8.0)
        found = next(said for _, said in probe.lines() if said.startswith("found"))
        assert "[fe80::" in found and "%eth1]:4000" in found


def test_starts_without_any_link_and_takes_up_the_one_that_comes(lab):
    bridge, laptops = lab.together(2)
    laptops[1].set_link(bridge, up=False)
    one, two = start(laptops)
    two.wait_for("no network that carries multicast is up")
    came = time.time()
    laptops[1].set_link(bridge, up=True)
    assert two.wait_for("found oak1x0") - came < 1.0
    one.wait_for("found oak2x1")


@pytest.mark.parametrize("side", ["set_link", "set_cable"])
def test_a_link_that_goes_and_comes_renews_names_once_each_time(lab, side):
    bridge, laptops = lab.together(2)
    one, two = start(laptops)
    one.wait_for("found oak2x0")
    for up in (False, True):
        at = time.time()
        getattr(laptops[1], side)(bridge, up)
        assert two.wait_for("changed", after=at) - at < 1.0
        time.sleep(2.5)  # fe80:: becomes ready meanwhile, and is no change
        assert [said for when, said in two.lines() if when >= at and said == "changed"] == ["changed"]
    one.wait_for("found oak2x2")


def test_only_the_interface_that_changed_is_told(lab):
    """A second network comes and goes: the first one's prefix stays, and the watch says which."""
    _, (laptop,) = lab.together(1)
    watch = Probe(laptop, "watch")
    watch.wait_for("look ['eth1'] []")
    time.sleep(2.5)  # its fe80:: becomes ready
    assert all(said.endswith(" []") for _, said in watch.lines())
    other = lab.bridge()
    laptop.join(other)
    index = laptop.ip("-o", "link", "show", "eth2").partition(":")[0]
    watch.wait_for(f"look ['eth1', 'eth2'] [{index}]")
    laptop.ip("address", "add", "10.77.1.99/24", "dev", "eth1")
    time.sleep(0.5)
    assert watch.lines()[-1][1].endswith(" []")
    laptop.set_cable(other, plugged=False)
    watch.wait_for(f"look ['eth1'] [{index}]")


def test_two_networks_each_hear_their_own_addresses_only(lab):
    _, laptops = lab.line(3)
    left, middle, right = start(laptops)
    left.wait_for("found oak2x0")
    right.wait_for("found oak2x0")
    middle.wait_for("found oak1x0")
    middle.wait_for("found oak3x0")
    assert "found oak2x0 10.77.1.2:4000" in [said for _, said in left.lines()]
    assert "found oak2x0 10.77.2.2:4000" in [said for _, said in right.lines()]
    assert not any("oak3" in said for _, said in left.lines())


@needs_tshark
def test_M07_listen_mode_sends_no_packet_on_a_real_network(lab):
    bridge, laptops = lab.together(2)
    capture = Capture(lab, bridge)
    (quiet,) = start(laptops[1:], "listen")
    (loud,) = start(laptops[:1])
    quiet.wait_for("found oak1x0")
    loud.end()
    quiet.wait_for("lost oak1x0")
    capture.stop()
    assert capture.fields("mdns && ip.src == 10.77.1.1", "ip.src")
    assert capture.fields("mdns && ip.src == 10.77.1.2", "ip.src") == []
    sources = {row[0] for row in capture.fields("mdns && ipv6", "eth.src")}
    mac = laptops[1].run(["cat", "/sys/class/net/eth1/address"]).strip()
    assert mac not in sources


@needs_avahi
def test_a_foreign_implementation_lists_us(lab):
    bridge, laptops = lab.together(5)
    start(laptops)
    lines = avahi_browse(lab.laptop(bridge), "_meshd._tcp")
    names = {line.split(";")[3] for line in lines}
    assert names == {f"oak{number}x0" for number in range(1, 6)}
    assert all('"t=0123456789abcdef0123456789abcdef"' in line for line in lines)


def test_what_a_killed_lab_left_is_removed_by_the_next():
    script = (
        "from tests.lab.lab import Lab\n"
        "lab = Lab().__enter__(); lab.together(2); laptop = lab.laptops[0]\n"
        "laptop.popen(['sleep', '1000'], stdout=-3, stderr=-3); print(lab.maker, flush=True)\n"
        "import os; os.kill(lab.maker, 9)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=20)
    left = f"meshlab-{done.stdout.strip()}-"
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
    assert left in listed.stdout
    with Lab():
        listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
        assert left not in listed.stdout
