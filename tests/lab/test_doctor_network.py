"""`mesh doctor` on networks with something wrong: each staged fault, and whether its cause is named.

The firewalls, the bridges that keep laptops apart and the foreign responder are real.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.lab.doctoring import causes, examine, in_a_mount_namespace, init, up, wait_for_links
from tests.lab.lab import Capture, Lab, Laptop

pytestmark = pytest.mark.lab
needs_avahi = pytest.mark.skipif(
    not shutil.which("avahi-daemon") or not shutil.which("dbus-daemon"),
    reason="needs a foreign mDNS: apt-get install avahi-daemon dbus",
)
needs_tshark = pytest.mark.skipif(not shutil.which("tshark"), reason="needs tshark: apt-get install tshark")

HOST_NAME = "host-canary-9"


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab() as made:
        yield made


@pytest.fixture
def laptop(lab: Lab) -> Laptop:
    return lab.laptop(lab.bridge())


def firewall(laptop: Laptop, rules: str, hook: str = "input", policy: str = "accept") -> None:
    chain = f"chain c {{ type filter hook {hook} priority 0; policy {policy}; {rules}; }}"
    laptop.run(["nft", f"table inet doctor {{ {chain}; }}"])


# --- nothing wrong ---


def test_nothing_is_wrong_with_two_laptops_that_are_linked(lab):
    _, laptops = lab.together(2)
    for laptop in laptops:
        init(laptop)
        up(laptop)
    wait_for_links(laptops[0])
    checks = examine(laptops[0])
    assert causes(checks) == []
    assert [name for name, check in checks.items() if not check["known"]] == []
    assert checks["network key"]["figures"] == {"members": 1, "strangers": 0, "unsorted": 0}
    assert causes(examine(laptops[1])) == []


def test_works_with_no_home_no_daemon_and_no_link(lab):
    checks = examine(lab.laptop())
    assert causes(checks) == ["no link"]
    assert not checks["network"]["ok"] and "hotspot" in checks["network"]["advice"]


# --- something wrong ---


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
