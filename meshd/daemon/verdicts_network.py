"""What the facts about the networks mean, and what to do about them.

The rule: pure functions from facts to checks. A fault is named only where the facts allow no kinder reading; where a
laptop may simply be alone, off, or carried away, the check says what it saw and what would tell the two apart.
"""

import errno

from meshd.daemon.check import Check, Figures, fine, remark, unknown, wrong
from meshd.daemon.firewall import DROP, UNKNOWN, Verdict
from meshd.daemon.probe_home import DaemonFacts
from meshd.daemon.probe_network import Loop, NetworkFacts

_OPEN_MDNS = (
    "sudo ufw allow 5353/udp, or sudo firewall-cmd --add-service=mdns; until then mesh peer add HOST:PORT"
)
_HOTSPOT = "use a phone's or laptop's hotspot instead, or a cable; a guest Wi-Fi often keeps laptops apart"
_HOST_NAME_ADVICE = (
    "sudo systemctl stop avahi-daemon.socket avahi-daemon, or give the machine a name that is nobody's"
)


def interface(network: NetworkFacts) -> Check:
    """Whether there is any network at all."""
    name = "network"
    if network.interfaces:
        listed = ", ".join(
            f"{one.name} ({', '.join(str(ip) for ip, _ in one.addresses[:3])})"
            for one in network.interfaces[:4]
        )
        return fine(name, listed, {"interfaces": len(network.interfaces)})
    advice = "join a Wi-Fi, plug a cable in, or let one laptop open a hotspot and the others join it"
    if any(why == "it has no address" for _, why in network.idle):
        detail = f"joined, and without an address: {_listed(network.idle)}"
        other = "join it again; with no router there: sudo ip address add 169.254.7.7/16 dev NAME"
        return wrong(name, "no address", detail, other)
    detail = _listed(network.idle) or "this machine has no network interface that could be used"
    return wrong(name, "no link", detail, advice)


def _listed(idle: tuple[tuple[str, str], ...]) -> str:
    return ", ".join(f"{name}: {why}" for name, why in idle[:4])


def discovery(daemon: DaemonFacts) -> Check:
    """Whether the daemon can look for others."""
    name = "discovery"
    told = daemon.status.get("discovery")
    if told is None:
        return unknown(name, "the daemon does not run")
    if told["mode"] == "off":
        return remark(name, "switched off by --no-mdns", "give neighbours by hand: mesh peer add HOST:PORT")
    if not told["ok"]:
        advice = "see the checks network and multicast; until then mesh peer add HOST:PORT"
        return wrong(name, "discovery not working", told["reason"] or "no reason is known", advice)
    if told["mode"] == "listen":
        return remark(
            name, "hears others and is not announced", "others can't find this laptop: it was asked for"
        )
    return fine(name, "works")


def internet(daemon: DaemonFacts) -> Check:
    """How much of the internet the daemon sees. That there is none is no fault: meshd is made for it."""
    name = "internet"
    if not daemon.status:
        return unknown(name, "the daemon does not run")
    told = daemon.status.get("internet")
    if told is None:
        advice = "switch NetworkManager's connectivity check on, or name probes: docs/internet.md"
        return unknown(name, "nobody on this laptop looks for it, so a blackout would not be noticed", advice)
    if told["state"] == "full":
        return fine(name, f"there since {told['since']}")
    return remark(name, f"{told['state']} since {told['since']}", "mesh internet says who sees what")


# --- multicast ---


def multicast(network: NetworkFacts) -> Check:
    """Whether mDNS gets in and out, by each interface."""
    name = "multicast"
    if not network.loops:
        return unknown(name, "there is no network to try it on")
    faults = [fault for loops in _by_interface(network) if (fault := _multicast_fault(loops, network.speaks))]
    if faults:
        return wrong(name, faults[0][0], "; ".join(said for _, said in faults), _OPEN_MDNS)
    if not network.speaks:
        return unknown(name, "not tried: this node was asked to send no multicast")
    heard = sum(loop.others for loop in network.loops)
    return fine(name, "goes out and comes in" + (", also from others" if heard else ""), {"packets": heard})


def _by_interface(network: NetworkFacts) -> list[list[Loop]]:
    names = dict.fromkeys(loop.interface for loop in network.loops)
    return [[loop for loop in network.loops if loop.interface == name] for name in names]


def _multicast_fault(loops: list[Loop], spoke: bool) -> tuple[str, str] | None:
    """What is wrong on one interface, if it is wrong for each address family that could be tried."""
    tried = [loop for loop in loops if loop.error not in (errno.EADDRNOTAVAIL, errno.ENETUNREACH)]
    if not tried or any(_passes(loop, spoke) for loop in tried):
        return None
    where = tried[0].interface
    if any(loop.error == errno.EPERM for loop in tried):
        return "firewall drops multicast", f"{where}: a firewall of this laptop stops questions going out"
    if errors := [loop.error for loop in tried if loop.error]:
        return "mDNS port not usable", f"{where}: port 5353 can't be used (errno {errors[0]})"
    rule = next((loop.rules.rule for loop in tried if loop.rules and loop.rules.outcome == DROP), "")
    if rule:
        return "firewall drops multicast", f"{where}: a firewall of this laptop drops mDNS ({rule})"
    return "firewall drops multicast", f"{where}: even our own questions do not come back to us"


def _passes(loop: Loop, spoke: bool) -> bool:
    """Whether packets were seen to come in, or nothing was sent that could have."""
    if loop.others:
        return True
    if loop.error or (loop.rules and loop.rules.outcome == DROP):
        return False
    return loop.came_back or not spoke


# --- TCP ---


def incoming(network: NetworkFacts, daemon: DaemonFacts) -> Check:
    """Whether others can open a link to us."""
    name = "incoming TCP"
    port = next((str(one).rpartition(":")[2] for one in daemon.status.get("listen", ())), "PORT")
    advice = (
        f"sudo ufw allow {port}/tcp, or sudo firewall-cmd --add-port={port}/tcp; the port is drawn at each start: "
        "keep one with mesh up --listen 0.0.0.0:4040"
    )
    if not network.interfaces:
        return unknown(name, "there is no network to try it on")
    if network.listens is False:
        detail = "the daemon's own port takes no connection, even from this laptop"
        return wrong(name, "firewall drops TCP", detail, advice)
    inbound = sum(link["direction"] == "in" for link in daemon.status.get("links", ()))
    if inbound:
        return fine(name, "others have opened links to this laptop", {"links": inbound})
    dropped = [(where, verdict) for where, verdict in network.incoming if verdict.outcome == DROP]
    if dropped:
        detail = "; ".join(_dropped(where, verdict) for where, verdict in dropped)
        return wrong(name, "firewall drops TCP", detail, advice)
    if any(verdict.outcome == UNKNOWN for _, verdict in network.incoming):
        doubts = [v.rule for _, v in network.incoming if v.outcome == UNKNOWN]
        return unknown(name, f"the firewall of this laptop may drop it: {doubts[0]}", advice)
    if network.rules_read:
        return fine(name, "no rule of this laptop's firewall stops it")
    detail = "nobody has opened a link to us, and only root may read the rules of a firewall"
    return unknown(name, detail, "ask a neighbour to run mesh peer add with an address of your mesh status")


def _dropped(where: str, verdict: Verdict) -> str:
    return f"{where}: a firewall of this laptop drops it ({verdict.rule})"


def isolation(network: NetworkFacts, daemon: DaemonFacts) -> Check:
    """Whether the network lets laptops talk to each other."""
    name = "isolation"
    if not network.interfaces:
        return unknown(name, "there is no network to try it on")
    opened = [one for one in network.reached if one.outcome in ("open", "refused")]
    links = len(daemon.status.get("links", ()))
    if opened or links:
        return fine(name, "laptops beside us can be reached", {"reached": len(opened), "links": links})
    heard = [one for one in network.reached if one.heard]
    if heard and any(one.outcome == "unreachable" or one.resolved is False for one in heard):
        detail = f"{heard[0].address} announces itself, and the network brings it no packet of ours"
        return wrong(name, "AP isolation", detail, _HOTSPOT, {"heard": len(heard)})
    if heard:
        detail = f"{heard[0].address} announces itself and does not answer: its firewall, or the network"
        return wrong(
            name, "no answer", detail, f"ask there for mesh doctor; else {_HOTSPOT}", {"heard": len(heard)}
        )
    if network.reached and network.gateway:
        detail = (
            f"{network.reached[0].address} does not answer, and the router does: the network keeps laptops "
            "apart, or that laptop is off or gone"
        )
        advice = f"make sure it is there and up; then {_HOTSPOT}"
        return wrong(name, "maybe AP isolation", detail, advice, {"given": len(network.reached)})
    if network.reached:
        detail = f"{network.reached[0].address} does not answer: off, gone, or kept apart by the network"
        return wrong(name, "no answer", detail, f"make sure it is there and up; then {_HOTSPOT}")
    if any(loop.others for loop in network.loops):
        return unknown(name, "others are heard, none of them with an address to try")
    advice = f"ask somebody beside you to run mesh doctor too: if neither hears the other, {_HOTSPOT}"
    return unknown(name, "nobody else is heard: alone here, or a network that keeps laptops apart", advice)


# --- others ---


def network_key(network: NetworkFacts, daemon: DaemonFacts) -> Check:
    """Whether those around us are in the same network."""
    name = "network key"
    members, strangers = len(network.members), len(network.strangers)
    counts: Figures = {"members": members, "strangers": strangers, "unsorted": len(network.unsorted)}
    if members:
        return fine(name, f"{members} of this network heard, {strangers} of other networks", counts)
    if strangers:
        kind = daemon.status.get("network", {}).get("kind", "")
        here = "the open one" if kind == "open" else "a private one"
        detail = f"{strangers} run meshd beside us, all of them in another network than this node ({here})"
        advice = "ask one of them for mesh invite network, then: mesh init --home DIR --invite TEXT"
        return wrong(name, "wrong network key", detail, advice, counts)
    if network.unsorted:
        detail = f"{len(network.unsorted)} heard; whether they are of this network, the running daemon knows"
        return unknown(name, detail, "mesh up, then mesh doctor again")
    return unknown(name, "nobody else who runs meshd is heard")


def host_name(network: NetworkFacts) -> Check:
    """Whether another program tells the name of this machine."""
    name = "host name"
    if network.host_names:
        detail = f"another program tells this network the name {', '.join(network.host_names[:3])}"
        return wrong(name, "host name leaks", detail, _HOST_NAME_ADVICE, {"names": len(network.host_names)})
    if network.squatters:
        listed = ", ".join(sorted({user for _, user in network.squatters}))
        detail = f"a program of {listed} listens for mDNS or LLMNR, and may tell this machine's name"
        advice = "look at it: resolvectl mdns, resolvectl llmnr; both off keep the name here"
        return remark(name, detail, advice, {"holders": len(network.squatters)})
    return fine(name, "no other program answers for it on the networks that are joined")
