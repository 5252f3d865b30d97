"""What facts about networks are judged to mean; no fault is named where the facts allow a kinder reading."""

import errno
import ipaddress
from dataclasses import replace

import pytest

from meshd.daemon import verdicts_network as judge
from meshd.daemon.check import Check
from meshd.daemon.firewall import ACCEPT, DROP, UNKNOWN, Verdict
from meshd.daemon.probe_home import DaemonFacts
from meshd.daemon.probe_network import Loop, NetworkFacts
from meshd.daemon.probe_reach import Reached
from meshd.net.interfaces import Interface

WLAN = Interface("wlan0", 2, ((ipaddress.ip_address("10.77.1.1"), 24),))
IN, OUT = Verdict(ACCEPT), Verdict(DROP, "inet filter input: drop")
LOOP4 = Loop("wlan0", 4, came_back=True, rules=IN)
LOOP6 = replace(LOOP4, family=6)
NET = NetworkFacts((WLAN,), loops=(LOOP4, LOOP6), incoming=(("wlan0", IN),), rules_read=True, listens=True)
STATUS = {
    "listen": ["10.77.1.1:4040"],
    "links": [],
    "discovery": {"mode": "announce", "ok": True, "reason": ""},
    "network": {"kind": "open"},
}
UP = DaemonFacts("answers", STATUS)
DOWN = DaemonFacts()


def is_fault(check: Check, cause: str) -> bool:
    """A fault of this cause, with something to do; with no cause: none."""
    return (not check.ok, check.cause) == (bool(cause), cause) and (check.ok or bool(check.advice))


@pytest.mark.parametrize(
    ("interfaces", "idle", "cause"),
    [
        ((WLAN,), (), ""),
        ((), (), "no link"),
        ((), (("wlan0", "it is switched off"),), "no link"),
        ((), (("wlan0", "it has no address"), ("eth0", "it is switched off")), "no address"),
        ((WLAN,), (("eth0", "it has no address"),), ""),
    ],
)
def test_interface(interfaces, idle, cause):
    assert is_fault(judge.interface(NetworkFacts(interfaces, idle)), cause)


@pytest.mark.parametrize(
    ("told", "cause", "remark"),
    [
        ({"mode": "announce", "ok": True, "reason": ""}, "", False),
        ({"mode": "announce", "ok": False, "reason": "mDNS on wlan0"}, "discovery not working", True),
        ({"mode": "listen", "ok": True, "reason": ""}, "", True),
        ({"mode": "off", "ok": True, "reason": ""}, "", True),
    ],
)
def test_discovery(told, cause, remark):
    check = judge.discovery(DaemonFacts("answers", {"discovery": told}))
    assert is_fault(check, cause) and bool(check.advice) is remark
    assert not judge.discovery(DOWN).known


SINCE = "2026-11-22T13:00:00.000Z"


@pytest.mark.parametrize(
    ("daemon", "known", "remark"),
    [
        (DOWN, False, False),
        (DaemonFacts("answers", {"internet": None}), False, True),
        (DaemonFacts("answers", {"internet": {"state": "full", "since": SINCE}}), True, False),
        (DaemonFacts("answers", {"internet": {"state": "local", "since": SINCE}}), True, True),
    ],
)
def test_internet(daemon, known, remark):
    check = judge.internet(daemon)
    assert is_fault(check, "") and (check.known, bool(check.advice)) == (known, remark)


FIREWALL = "firewall drops multicast"


@pytest.mark.parametrize(
    ("four", "six", "cause"),
    [
        (LOOP4, LOOP6, ""),
        (replace(LOOP4, came_back=False), LOOP6, ""),  # one family is enough to be found
        (replace(LOOP4, came_back=False), replace(LOOP6, came_back=False), FIREWALL),
        (replace(LOOP4, came_back=False), replace(LOOP6, came_back=False, others=1), ""),
        (replace(LOOP4, rules=OUT), replace(LOOP6, rules=OUT), FIREWALL),
        (replace(LOOP4, rules=OUT, others=1), replace(LOOP6, rules=OUT), ""),  # what came in beats what is read
        (replace(LOOP4, rules=Verdict(UNKNOWN)), replace(LOOP6, rules=None), ""),
        (replace(LOOP4, error=errno.EPERM), replace(LOOP6, error=errno.EPERM), FIREWALL),
        (replace(LOOP4, error=errno.EADDRINUSE), replace(LOOP6, error=errno.EADDRINUSE), "mDNS port not usable"),
        (LOOP4, replace(LOOP6, error=errno.EADDRNOTAVAIL), ""),  # an fe80:: that is not ready yet
        (replace(LOOP4, error=errno.ENETUNREACH), replace(LOOP6, error=errno.EADDRNOTAVAIL), ""),
    ],
)  # fmt: skip
def test_multicast(four, six, cause):
    assert is_fault(judge.multicast(replace(NET, loops=(four, six))), cause)


def test_each_interface_is_judged_by_itself():
    deaf = [replace(loop, interface="eth0", came_back=False) for loop in (LOOP4, LOOP6)]
    check = judge.multicast(replace(NET, loops=(LOOP4, LOOP6, *deaf)))
    assert is_fault(check, FIREWALL) and check.detail.startswith("eth0")


def test_a_quiet_node_claims_nothing_about_multicast_it_did_not_send():
    silent = tuple(replace(loop, came_back=False) for loop in NET.loops)
    check = judge.multicast(replace(NET, speaks=False, loops=silent))
    assert check.ok and not check.known
    dropping = tuple(replace(loop, rules=OUT) for loop in silent)
    assert is_fault(judge.multicast(replace(NET, speaks=False, loops=dropping)), FIREWALL)


INBOUND = replace(UP, status={**STATUS, "links": [{"direction": "in"}]})
OUTBOUND = replace(UP, status={**STATUS, "links": [{"direction": "out"}]})


@pytest.mark.parametrize(
    ("network", "daemon", "cause", "known"),
    [
        (NET, UP, "", True),
        (NetworkFacts(), UP, "", False),
        (replace(NET, listens=False), UP, "firewall drops TCP", True),
        (replace(NET, incoming=(("wlan0", OUT),)), UP, "firewall drops TCP", True),
        (replace(NET, incoming=(("wlan0", OUT),)), INBOUND, "", True),
        (replace(NET, incoming=(("wlan0", OUT),)), OUTBOUND, "firewall drops TCP", True),
        (replace(NET, incoming=(("wlan0", Verdict(UNKNOWN, "a rate")),)), UP, "", False),
        (replace(NET, incoming=(), rules_read=False), UP, "", False),
        (replace(NET, incoming=(), rules_read=False), INBOUND, "", True),
    ],
)
def test_incoming(network, daemon, cause, known):
    check = judge.incoming(network, daemon)
    assert is_fault(check, cause) and check.known is known


def reached(outcome: str, heard: bool = True, resolved: bool | None = None) -> Reached:
    return Reached("10.77.1.2:4040", outcome, heard, resolved)


@pytest.mark.parametrize(
    ("tried", "gateway", "cause", "known"),
    [
        ([], None, "", False),
        ([], True, "", False),
        ([reached("open")], None, "", True),
        ([reached("refused")], None, "", True),
        ([reached("unreachable")], None, "AP isolation", True),
        ([reached("silent", resolved=False)], None, "AP isolation", True),
        ([reached("silent", resolved=True)], True, "no answer", True),
        ([reached("unreachable"), reached("open")], True, "", True),
        ([reached("unreachable", heard=False)], True, "maybe AP isolation", True),
        ([reached("unreachable", heard=False)], False, "no answer", True),
        ([reached("unreachable", heard=False)], None, "no answer", True),
    ],
)
def test_isolation(tried, gateway, cause, known):
    network = replace(NET, reached=tuple(tried), gateway=gateway)
    check = judge.isolation(network, UP)
    assert is_fault(check, cause) and check.known is known
    assert is_fault(judge.isolation(network, OUTBOUND), "")


@pytest.mark.parametrize(
    ("members", "strangers", "unsorted", "cause", "known"),
    [
        (0, 0, 0, "", False),
        (2, 0, 0, "", True),
        (1, 9, 0, "", True),
        (0, 1, 0, "wrong network key", True),
        (0, 0, 3, "", False),
    ],
)
def test_network_key(members, strangers, unsorted, cause, known):
    names = [tuple(f"{side}{n}" for n in range(count)) for side, count in
             (("m", members), ("s", strangers), ("u", unsorted))]  # fmt: skip
    check = judge.network_key(replace(NET, members=names[0], strangers=names[1], unsorted=names[2]), UP)
    assert is_fault(check, cause) and check.known is known


def test_host_name():
    assert is_fault(judge.host_name(replace(NET, host_names=("oak.local",))), "host name leaks")
    held = judge.host_name(replace(NET, squatters=((5353, "systemd-resolve"),)))
    assert held.ok and held.advice and "may tell" in held.detail
    assert judge.host_name(NET).ok and not judge.host_name(NET).advice
