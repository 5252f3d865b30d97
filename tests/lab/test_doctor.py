"""`mesh doctor` on laptops with something wrong: each staged fault, and whether its cause is named.

Firewalls, bridges that keep laptops apart, foreign responders, full disks and killed daemons are real. Two faults
can't be staged for one process alone, so a small library stands between it and the system: a clock that is
wrong, and a disk that takes its time with every sync.
"""

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.lab import Capture, Lab, Laptop

pytestmark = pytest.mark.lab
needs_avahi = pytest.mark.skipif(
    not shutil.which("avahi-daemon") or not shutil.which("dbus-daemon"),
    reason="needs a foreign mDNS: apt-get install avahi-daemon dbus",
)
needs_tshark = pytest.mark.skipif(not shutil.which("tshark"), reason="needs tshark: apt-get install tshark")
needs_cc = pytest.mark.skipif(
    not shutil.which("cc"), reason="needs a C compiler: apt-get install gcc libc6-dev"
)

QUICK_S = 10.0  # what a person waits for
DAY_S = 86_400
HOST_NAME = "host-canary-9"

SHIM = r"""
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long number(const char *name) { const char *text = getenv(name); return text ? atol(text) : 0; }

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = syscall(SYS_clock_gettime, clock, now);
    if (!failed && clock == CLOCK_REALTIME) now->tv_sec += number("SHIM_OFF_S");
    return failed;
}
time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
int fsync(int file) { usleep(number("SHIM_SYNC_US")); return syscall(SYS_fsync, file); }
int fdatasync(int file) { usleep(number("SHIM_SYNC_US")); return syscall(SYS_fdatasync, file); }
"""


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab() as made:
        yield made


@pytest.fixture
def laptop(lab: Lab) -> Laptop:
    return lab.laptop(lab.bridge())


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("shim")
    (folder / "shim.c").write_text(SHIM)
    made = str(folder / "shim.so")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", made, str(folder / "shim.c")], check=True)
    return made


Checks = dict[str, dict[str, Any]]


def examine(laptop: Laptop, *first: str) -> Checks:
    """The checks of `mesh doctor` by name; `first` is a command that runs it. Status, time and shape are held."""
    begun = time.monotonic()
    script = '"$@"; echo "status $?"'
    lines = laptop.run(
        ["sh", "-c", script, "sh", *first, *laptop.mesh_command("doctor", "--json")]
    ).splitlines()
    assert time.monotonic() - begun < QUICK_S
    checks = json.loads(lines[0])["checks"]
    assert lines[1] == f"status {int(not all(check['ok'] for check in checks))}"
    assert len(checks) >= 12
    assert all(check["advice"] and check["cause"] for check in checks if not check["ok"])
    return {check["name"]: check for check in checks}


def causes(checks: Checks, *ignored: str) -> list[str]:
    return [check["cause"] for name, check in checks.items() if not check["ok"] and name not in ignored]


def in_a_mount_namespace(script: str) -> list[str]:
    return ["unshare", "--mount", "sh", "-c", f'{script.strip()} && exec "$@"', "sh"]


def init(laptop: Laptop, *args: str) -> dict[str, Any]:
    """Make a home with a passphrase, so that nothing is wrong with it."""
    secret = Path(f"{laptop.home}.secret")
    secret.write_text("a passphrase of the lab\n")
    return laptop.mesh("init", "--name", "oak", "--passphrase-file", str(secret), *args)


def up(laptop: Laptop, *args: str) -> int:
    """Start its daemon; the pid."""
    return int(laptop.mesh("up", "--passphrase-file", f"{laptop.home}.secret", *args)["pid"])


def firewall(laptop: Laptop, rules: str, hook: str = "input", policy: str = "accept") -> None:
    chain = f"chain c {{ type filter hook {hook} priority 0; policy {policy}; {rules}; }}"
    laptop.run(["nft", f"table inet doctor {{ {chain}; }}"])


# --- nothing wrong ---


def test_nothing_is_wrong_with_two_laptops_that_are_linked(lab):
    _, laptops = lab.together(2)
    for laptop in laptops:
        init(laptop)
        up(laptop)
    give_up = time.monotonic() + 10
    while not laptops[0].mesh("status")["links"] and time.monotonic() < give_up:
        time.sleep(0.1)
    checks = examine(laptops[0])
    assert causes(checks) == []
    assert [name for name, check in checks.items() if not check["known"]] == []
    assert checks["network key"]["figures"] == {"members": 1, "strangers": 0, "unsorted": 0}
    assert causes(examine(laptops[1])) == []


def test_works_with_no_home_no_daemon_and_no_link(lab):
    checks = examine(lab.laptop())
    assert causes(checks) == ["no link"]
    assert not checks["network"]["ok"] and "hotspot" in checks["network"]["advice"]


# --- networks ---


def test_no_link(lab):
    bridge = lab.bridge()
    laptop = lab.laptop(bridge)
    laptop.set_cable(bridge, plugged=False)
    checks = examine(laptop)
    assert causes(checks) == ["no link"]
    assert "eth1: it has no network" in checks["network"]["detail"]
    laptop.set_link(bridge, up=False)
    assert "eth1: it is switched off" in examine(laptop)["network"]["detail"]


def test_no_address(laptop):
    laptop.run(["sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/eth1/disable_ipv6"])
    laptop.ip("address", "flush", "dev", "eth1")
    assert causes(examine(laptop)) == ["no address"]


MDNS = "udp dport 5353 drop"
BLIND = in_a_mount_namespace(
    'for tool in nft iptables-save ip6tables-save; do mount --bind /bin/false "$(command -v $tool)"; done'
)


@pytest.mark.parametrize(
    ("rules", "hook", "policy", "said"),
    [
        (MDNS, "input", "accept", "inet doctor c: udp dport == 5353 drop"),
        (MDNS, "output", "accept", "stops questions going out"),
        ("ct state established,related accept; iifname lo accept", "input", "drop", "policy"),
    ],
)
def test_firewall_dropping_multicast(laptop, rules, hook, policy, said):
    firewall(laptop, rules, hook, policy)
    checks = examine(laptop)
    assert checks["multicast"]["cause"] == "firewall drops multicast"
    assert said in checks["multicast"]["detail"]
    assert "5353" in checks["multicast"]["advice"]


def test_firewall_dropping_multicast_is_noticed_though_its_rules_can_not_be_read(laptop):
    assert causes(examine(laptop, *BLIND)) == []
    firewall(laptop, MDNS)
    checks = examine(laptop, *BLIND)
    assert causes(checks) == ["firewall drops multicast"]
    assert "do not come back" in checks["multicast"]["detail"]
    assert not checks["incoming TCP"]["known"]


@pytest.mark.parametrize(
    "commands",
    [
        ["nft", "table inet t { chain c { type filter hook input priority 0; iifname eth1 meta l4proto tcp drop; }; }"],
        ["iptables", "-A", "INPUT", "-i", "eth1", "-p", "tcp", "-m", "conntrack", "--ctstate", "NEW", "-j", "REJECT"],
    ],
    ids=["nft", "iptables"],
)  # fmt: skip
def test_firewall_dropping_tcp(laptop, commands):
    init(laptop)
    up(laptop)
    laptop.run(commands)
    checks = examine(laptop)
    assert causes(checks) == ["firewall drops TCP"]
    port = laptop.mesh("status")["listen"][0].rpartition(":")[2]
    assert f"{port}/tcp" in checks["incoming TCP"]["advice"]
    assert "eth1" in checks["incoming TCP"]["detail"]


def test_a_network_that_keeps_laptops_apart_and_only_the_router_answers(lab):
    bridge, laptops = lab.together(2)
    lab.hub("address", "add", "10.77.1.254/24", "dev", bridge.name)
    for laptop in laptops:
        lab.hub("link", "set", f"p{laptop.number}b1", "type", "bridge_slave", "isolated", "on")
        laptop.ip("route", "add", "default", "via", "10.77.1.254")
        init(laptop)
        up(laptop)
    alone = examine(laptops[0])
    assert causes(alone) == [] and not alone["isolation"]["known"]
    assert "keeps laptops apart" in alone["isolation"]["detail"]
    port = laptops[1].mesh("status")["listen"][0].rpartition(":")[2]
    laptops[0].mesh("peer", "add", f"10.77.1.2:{port}")
    checks = examine(laptops[0])
    assert causes(checks) == ["maybe AP isolation"]
    assert "hotspot" in checks["isolation"]["advice"]


def test_a_network_that_passes_multicast_and_nothing_between_laptops(lab):
    _, laptops = lab.together(2)
    drop = "arp operation request drop; ip daddr 10.77.1.0/24 drop; ip6 daddr fe80::/10 drop"
    rules = f"table bridge apart {{ chain c {{ type filter hook forward priority 0; {drop}; }}; }}"
    subprocess.run(["ip", "netns", "exec", f"meshlab-{lab.maker}-hub", "nft", rules], check=True)
    for laptop in laptops:
        init(laptop)
        up(laptop)
    checks = examine(laptops[0])
    assert causes(checks) == ["AP isolation"]
    assert "announces itself" in checks["isolation"]["detail"]


def test_wrong_network_key(lab):
    _, laptops = lab.together(2)
    init(laptops[0])
    init(laptops[1], "--private")
    for laptop in laptops:
        up(laptop)
    for laptop in laptops:
        checks = examine(laptop)
        assert causes(checks) == ["wrong network key"]
        assert "mesh invite network" in checks["network key"]["advice"]


@needs_avahi
def test_host_name_leaking_through_another_responder(laptop):
    script = f"""
        hostname {HOST_NAME}
        mount -t tmpfs tmpfs /run && mkdir -p /run/dbus /run/avahi-daemon || exit
        : >/run/avahi.conf
        dbus-daemon --system --fork --nopidfile
        avahi-daemon -f /run/avahi.conf --no-chroot --no-drop-root --no-rlimits -D 2>/run/journal
        sleep 3
        exec "$@"
    """
    assert examine(laptop)["host name"]["ok"]
    wrapped = ["unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child", "sh", "-c", script, "sh"]
    begun = laptop.run(["sh", "-c", '"$@"; true', "sh", *wrapped, *laptop.mesh_command("doctor", "--json")])
    checks = {check["name"]: check for check in json.loads(begun)["checks"]}
    assert causes(checks) == ["host name leaks"]
    assert f"{HOST_NAME}.local" in checks["host name"]["detail"]


@needs_tshark
def test_M07_the_doctor_of_a_quiet_node_sends_no_multicast(lab):
    bridge, (laptop,) = lab.together(1)
    init(laptop)
    up(laptop, "--listen-only")
    capture = Capture(lab, bridge)
    checks = examine(laptop)
    capture.stop()
    assert not checks["multicast"]["known"]
    assert capture.fields("mdns", "frame.number") == []


@needs_tshark
def test_nothing_that_is_sent_tells_the_host_name(lab):
    bridge, (laptop,) = lab.together(1)
    capture = Capture(lab, bridge)
    named = ["unshare", "--uts", "sh", "-c", f'hostname {HOST_NAME}; exec "$@"', "sh"]
    examine(laptop, *named)
    packets = capture.stop()
    assert b"_meshd" in packets and HOST_NAME.encode() not in packets


# --- the home, the disk, the daemon ---


@needs_cc
@pytest.mark.parametrize(
    ("off_s", "cause"),
    [(-57 * 365 * DAY_S, "clock impossible"), (10 * 365 * DAY_S, "clock impossible"), (-DAY_S, "")],
)
def test_clock_off(laptop, shim, off_s, cause):
    init(laptop)
    shifted = ["env", f"LD_PRELOAD={shim}", f"SHIM_OFF_S={off_s}"]
    if cause:
        assert causes(examine(laptop, *shifted)) == [cause]
    else:  # a day: possible in itself if meshd is older than that, and then the home's files tell
        assert causes(examine(laptop, *shifted))[0] in ("clock went back", "clock impossible")


@pytest.mark.parametrize(("name", "mode"), [("", 0o755), ("keyslot", 0o644), ("log.db", 0o660)])
def test_loose_permissions(laptop, name, mode):
    init(laptop)
    (Path(laptop.home) / name).chmod(mode)
    checks = examine(laptop)
    assert causes(checks) == ["loose permissions"]
    assert "chmod" in checks["permissions"]["advice"]


def test_damaged_keyslot(laptop):
    init(laptop)
    slot = Path(laptop.home, "keyslot")
    slot.write_bytes(slot.read_bytes()[:-1] + b"?")
    assert causes(examine(laptop)) == ["keyslot damaged"]
    slot.unlink()
    assert causes(examine(laptop)) == ["keyslot missing"]


def test_no_passphrase(laptop):
    laptop.mesh("init", "--name", "oak", "--no-passphrase")
    assert causes(examine(laptop)) == ["no passphrase"]


def test_disk_nearly_full(laptop):
    init(laptop)
    full = f"""
        mkdir {laptop.home}.disk && mount -t tmpfs -o size=8m,mode=700 tmpfs {laptop.home}.disk &&
        cp -p {laptop.home}/* {laptop.home}.disk && mount --bind {laptop.home}.disk {laptop.home}
    """
    assert causes(examine(laptop, *in_a_mount_namespace(full))) == ["disk nearly full"]


def test_a_disk_that_is_read_only(laptop):
    init(laptop)
    locked = f"mount --bind {laptop.home} {laptop.home} && mount -o remount,ro,bind {laptop.home}"
    assert causes(examine(laptop, *in_a_mount_namespace(locked))) == ["disk can't be written"]


@needs_cc
@pytest.mark.parametrize("sync_us", [150_000, 4_000_000], ids=["slow", "stuck"])
def test_slow_disk(laptop, shim, sync_us):
    init(laptop)
    checks = examine(laptop, "env", f"LD_PRELOAD={shim}", f"SHIM_SYNC_US={sync_us}")
    assert causes(checks) == ["slow disk"]
    assert list(Path(laptop.home).glob("doctor-*")) == [] or sync_us > 1_000_000


def test_a_second_daemon(laptop):
    init(laptop)
    pid = up(laptop)
    assert causes(examine(laptop)) == []
    Path(laptop.home, "ctl.sock").unlink()
    checks = examine(laptop)
    assert causes(checks) == ["second daemon"]
    assert f"kill {pid}" in checks["second daemon"]["advice"]


def test_a_daemon_that_hangs_and_one_that_died(laptop):
    init(laptop)
    pid = up(laptop)
    laptop.run(["kill", f"-{signal.SIGSTOP}", str(pid)])
    checks = examine(laptop)
    assert causes(checks) == ["daemon silent"]
    assert f"kill -CONT {pid}" in checks["daemon"]["advice"]
    laptop.run(["kill", f"-{signal.SIGKILL}", str(pid)])
    time.sleep(0.2)
    assert causes(examine(laptop)) == ["daemon died"]


# --- the report ---


def test_the_report_names_nobody(lab):
    _, laptops = lab.together(2)
    said = init(laptops[0])
    init(laptops[1], "--private")
    for laptop in laptops:
        up(laptop)
    laptops[0].mesh("peer", "add", "10.77.1.9:4040")
    report = Path(f"{laptops[0].home}.report")
    doctor = laptops[0].mesh_command("doctor", "--bundle", str(report))
    script = '"$@"; echo $?'
    assert laptops[0].run(["sh", "-c", script, "sh", *doctor]).strip() == "2" and not report.exists()
    assert laptops[0].run(["sh", "-c", script, "sh", *doctor, "--yes"]).splitlines()[-1] == "1"
    text = report.read_text()
    assert "wrong network key" in text and "commit_ms=" in text
    names = [
        "oak",
        said["id"][:6],
        said["network"]["id"][:6],
        "10.77",
        "fe80",
        "eth1",
        laptops[0].home,
        "meshlab",
    ]
    assert [name for name in names if name in text] == []
    assert report.stat().st_mode & 0o777 == 0o600
