"""What a packet filter does with one packet: the rules of nft and iptables, read and followed, never changed.

The rule: this answers for a single imagined packet (the first TCP packet of a link, an mDNS question) whether
the filter of this machine lets it in. A connection of a laptop to itself proves nothing about that, because
it goes over loopback, which every firewall lets pass; so the rules themselves are followed, as the kernel would.

The answer has three values. Where a rule asks for something that is not modelled here (a rate, a mark, a named
set), it may or may not apply, and whatever depends on it is UNKNOWN: a guess would send people to open what is
open, or to trust what is shut. Only root may read rules; for everybody else there are none to follow.

Rules of `iptables` that live in nft tables are opaque there (`xt`), so the tables that iptables keeps are read
from iptables-save, and all others from `nft -j list ruleset`. Chains of type nat never drop and are left out.
"""

import ipaddress
import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

ACCEPT, DROP, UNKNOWN = "accept", "drop", "unknown"
_READ_S = 2.0  # for one of the tools; a ruleset of ten thousand rules takes a tenth of it
_DEPTH_MAX = 16  # jumps within jumps, as in the kernel
_STEPS_MAX = 20_000  # rules looked at for one packet: bounds what a generated ruleset may cost
_HOOKS = ("prerouting", "input")
_IPTABLES_TABLES = ("raw", "mangle", "filter", "security", "nat")  # the first four may drop
_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))

Packet = dict[str, str]  # what conditions are about, by the names in `packet_in`


def packet_in(iif: str, proto: str, dport: int, saddr: str, daddr: str) -> Packet:
    """The first packet of a stranger that comes in by an interface, to a unicast or multicast address."""
    to = ipaddress.ip_address(daddr)
    return {
        "iif": iif,
        "family": "ip" if to.version == 4 else "ip6",
        "nfproto": f"ipv{to.version}",
        "proto": proto,
        "dport": str(dport),
        "state": "new",
        "saddr": saddr,
        "daddr": daddr,
        "dsttype": "multicast" if to.is_multicast else "local",
        "pkttype": "multicast" if to.is_multicast else "unicast",
    }


class Condition(NamedTuple):
    """One condition of a rule: the field of the packet, and the values it may have; no field: not modelled."""

    field: str
    values: tuple[str, ...] = ()
    negated: bool = False


class Rule(NamedTuple):
    """Conditions that must all hold, and what then happens: accept, drop, return, jump, goto, or nothing."""

    text: str
    tests: tuple[Condition, ...]
    action: str
    target: str = ""


@dataclass
class Ruleset:
    """Base chains in the order of their hooks, as (table, chain, policy), and all chains by (table, chain)."""

    bases: list[tuple[str, str, str]] = field(default_factory=list)
    chains: dict[tuple[str, str], list[Rule]] = field(default_factory=dict)
    families: dict[str, str] = field(default_factory=dict)  # table: ip, ip6, or inet for both


class Verdict(NamedTuple):
    """ACCEPT, DROP or UNKNOWN, and the rule that decided, where one did."""

    outcome: str
    rule: str = ""


# --- following rules ---


def verdict(rules: Ruleset, packet: Packet) -> Verdict:
    """What becomes of a packet that comes in: it must get through every base chain."""
    doubt = ""
    steps = [0]
    for table, chain, policy in rules.bases:
        if rules.families[table] not in ("inet", packet["family"]):
            continue
        outcomes = _follow(rules, table, chain, packet, steps, 0)
        outcomes = {end.replace("fall", policy): text for end, text in outcomes.items()}
        if set(outcomes) == {DROP}:
            return Verdict(DROP, outcomes[DROP] or f"the policy of {table} {chain} is drop")
        if set(outcomes) != {ACCEPT}:
            doubt = doubt or outcomes.get(UNKNOWN) or outcomes.get(DROP) or f"{table} {chain}"
    return Verdict(UNKNOWN, doubt) if doubt else Verdict(ACCEPT)


def _follow(
    rules: Ruleset, table: str, chain: str, packet: Packet, steps: list[int], depth: int
) -> dict[str, str]:
    """How a packet may leave a chain (accept, drop, unknown, or fall off its end), with the deciding rule."""
    ends: dict[str, str] = {}
    if depth > _DEPTH_MAX or (table, chain) not in rules.chains:
        return {UNKNOWN: f"{table} {chain}"}
    for rule in rules.chains[table, chain]:
        steps[0] += 1
        if steps[0] > _STEPS_MAX:
            ends.setdefault(UNKNOWN, "more rules than can be followed")
            return ends
        applies = _applies(rule, packet)
        if applies is False or not rule.action:
            continue
        if rule.action in ("jump", "goto"):
            inner = _follow(rules, table, rule.target, packet, steps, depth + 1)
            fell = inner.pop("fall", None)
            for end, text in inner.items():
                ends.setdefault(end, text)
            if rule.action == "goto" and fell is not None:
                ends.setdefault("fall", "")
            if applies and (fell is None or rule.action == "goto"):
                return ends
        else:
            ends.setdefault("fall" if rule.action == "return" else rule.action, rule.text)
            if applies:
                return ends
    ends.setdefault("fall", "")
    return ends


def _applies(rule: Rule, packet: Packet) -> bool | None:
    """Whether all conditions hold; None where that depends on what is not modelled."""
    held = [_holds(test, packet) for test in rule.tests]
    return False if False in held else None if None in held else True


def _holds(test: Condition, packet: Packet) -> bool | None:
    if test.field not in packet:
        return None
    try:
        held = any(_is(test.field, value, packet[test.field]) for value in test.values)
    except ValueError:  # a name, where a number or an address was expected
        return None
    return held != test.negated


def _is(name: str, value: str, actual: str) -> bool:
    if value.startswith("@"):
        raise ValueError("a named set")
    if name in ("saddr", "daddr"):
        ip = ipaddress.ip_address(actual)
        low, dash, high = value.partition("-")
        if dash:
            ends = ipaddress.ip_address(low), ipaddress.ip_address(high)
            return ends[0].version == ip.version and int(ends[0]) <= int(ip) <= int(ends[1])
        return ip in ipaddress.ip_network(value, strict=False)
    if name == "dport":
        first, _, last = value.partition("-")
        return int(first) <= int(actual) <= int(last or first)
    return fnmatchcase(actual, value)


# --- nft ---


def read_nft(document: dict[str, Any]) -> Ruleset:
    """The rules in the JSON of `nft -j list ruleset`, without the tables that belong to iptables."""
    rules = Ruleset()
    bases = []
    for entry in document.get("nftables", ()):
        if chain := entry.get("chain"):
            table = f"{chain['family']} {chain['table']}"
            if _is_iptables(chain) or chain["family"] not in ("ip", "ip6", "inet"):
                continue
            rules.families[table] = chain["family"]
            rules.chains[table, chain["name"]] = []
            if chain.get("hook") in _HOOKS and chain.get("type") == "filter":
                order = _HOOKS.index(chain["hook"]), int(chain.get("prio", 0))
                bases.append((order, (table, chain["name"], chain.get("policy", ACCEPT))))
        elif rule := entry.get("rule"):
            place = f"{rule['family']} {rule['table']}", rule["chain"]
            if place in rules.chains:
                rules.chains[place] += _nft_rules(rule["expr"], f"{place[0]} {place[1]}")
    rules.bases = [base for _, base in sorted(bases)]
    return rules


def _is_iptables(chain: dict[str, Any]) -> bool:
    return chain["family"] in ("ip", "ip6") and chain["table"] in _IPTABLES_TABLES


_NFT_IDLE = {"counter", "log", "comment", "limit", "ct count", "mangle", "notrack", "secmark", "meter", "set"}


def _nft_rules(expressions: list[dict[str, Any]], place: str) -> Iterator[Rule]:
    """The rule as one of ours; one with a map of verdicts as one for each of its entries."""
    tests: list[Condition] = []
    text = f"{place}: {_words(expressions)}"
    for expression in expressions:
        ((kind, content),) = expression.items()
        if kind == "match":
            tests += _nft_conditions(content["left"], content["op"], content["right"])
        elif kind in (ACCEPT, DROP, "return"):
            yield Rule(text, tuple(tests), kind)
        elif kind == "reject":
            yield Rule(text, tuple(tests), DROP)
        elif kind in ("jump", "goto"):
            yield Rule(text, tuple(tests), kind, content["target"])
        elif kind == "vmap" and isinstance(content["data"], dict):
            for value, action in content["data"].get("set", ()):
                entry = _nft_conditions(content["key"], "==", value)
                ((what, how),) = action.items()
                target = how["target"] if isinstance(how, dict) and "target" in how else ""
                yield Rule(text, (*tests, *entry), {"reject": DROP}.get(what, what), target)
        elif kind == "limit":
            tests.append(Condition("a rate"))
        elif kind not in _NFT_IDLE:
            yield Rule(text, (*tests, Condition(kind)), UNKNOWN)


_NFT_META = {"iif": "iif", "iifname": "iif", "l4proto": "proto", "nfproto": "nfproto", "protocol": "family"}
_NFT_PAYLOAD = {"dport": "dport", "saddr": "saddr", "daddr": "daddr", "protocol": "proto", "nexthdr": "proto"}


def _nft_conditions(left: Any, op: str, right: Any) -> Iterator[Condition]:
    """A match as conditions: `tcp dport 22` also asks for TCP, though nothing in the listing says so."""
    ((kind, content),) = left.items() if isinstance(left, dict) else (("?", {}),)
    name = ""
    if kind == "meta":
        name = _NFT_META.get(content["key"], content["key"])
    elif kind == "payload":
        protocol = content.get("protocol", "")
        if protocol in ("ip", "ip6"):
            yield Condition("family", (protocol,))
        elif protocol not in ("th", ""):
            yield Condition("proto", (protocol,))
        name = _NFT_PAYLOAD.get(content.get("field", ""), "")
    elif kind == "ct" and content.get("key") == "state":
        name = "state"
    elif kind == "fib" and content.get("result") == "type" and content.get("flags") == ["daddr"]:
        name = "dsttype"
    values = tuple(_nft_values(right))
    if name and values and op in ("==", "!=", "in"):
        yield Condition(name, values, op == "!=")
    else:
        yield Condition("?")


def _nft_values(right: Any) -> Iterator[str]:
    if isinstance(right, list):
        for one in right:
            yield from _nft_values(one)
    elif not isinstance(right, dict):
        yield str(right)
    elif "set" in right:
        yield from _nft_values(right["set"])
    elif "range" in right:
        yield "-".join(str(end) for end in right["range"])
    elif "prefix" in right:
        yield f"{right['prefix']['addr']}/{right['prefix']['len']}"
    elif "elem" in right:
        yield from _nft_values(right["elem"]["val"])
    else:
        yield "@"


def _words(expressions: Iterable[dict[str, Any]]) -> str:
    """A rule as a person finds it again in the listing."""
    said = []
    for expression in expressions:
        ((kind, content),) = expression.items()
        if kind == "match":
            left = content["left"]
            named = next(iter(left.values())) if isinstance(left, dict) else left
            inner = [str(named[key]) for key in ("protocol", "key", "field") if key in named]
            said.append(" ".join((*inner, content["op"], ",".join(_nft_values(content["right"])))))
        elif kind != "counter":
            target = content.get("target", "") if isinstance(content, dict) else ""
            said.append(f"{kind} {target}".strip())
    return " ".join(said)


# --- iptables ---


def read_iptables(saved: str, family: str) -> Ruleset:
    """The rules in what iptables-save (family ip) or ip6tables-save (ip6) prints."""
    rules = Ruleset()
    table = ""
    for line in saved.splitlines():
        if line.startswith("*"):
            table = f"{'iptables' if family == 'ip' else 'ip6tables'} {line[1:]}"
            rules.families[table] = family
        elif line.startswith(":"):
            chain, policy = line[1:].split()[:2]
            rules.chains[table, chain] = []
            hook = {"PREROUTING": 0, "INPUT": 1}.get(chain)
            if hook is not None and not table.endswith(" nat"):
                rules.bases.append((table, chain, policy.lower()))
        elif line.startswith("-A "):
            words = shlex.split(line)
            if (table, words[1]) in rules.chains:
                rules.chains[table, words[1]].append(_iptables_rule(words[2:], f"{table}: {line}"))
    rules.bases.sort(key=lambda base: base[1] == "INPUT")
    return rules


_IPTABLES_FIELDS = {
    "-p": "proto", "-i": "iif", "-s": "saddr", "-d": "daddr", "--dport": "dport", "--dports": "dport",
    "--ctstate": "state", "--state": "state", "--dst-type": "dsttype",
}  # fmt: skip
_IPTABLES_ACTIONS = {"ACCEPT": ACCEPT, "DROP": DROP, "REJECT": DROP, "RETURN": "return"}
_IPTABLES_ACTIONS |= dict.fromkeys(("LOG", "NFLOG", "MARK", "CONNMARK", "CT", "TCPMSS", "SET", "TRACE"), "")
_IPTABLES_IDLE = ("-m", "--comment", "--reject-with", "--log-prefix", "--log-level")


def _iptables_rule(words: list[str], text: str) -> Rule:
    tests: list[Condition] = []
    action, target, negated = "", "", False
    left = iter(words)
    for word in left:
        if word == "!":
            negated = True
            continue
        if word in _IPTABLES_FIELDS:
            values = next(left, "")
            if word == "-i":
                values = values.replace("+", "*")
            elif "port" in word:
                values = values.replace(":", "-")
            else:
                values = values.lower()
            tests.append(Condition(_IPTABLES_FIELDS[word], tuple(values.split(",")), negated))
        elif word in ("-j", "-g"):
            target = next(left, "")
            action = _IPTABLES_ACTIONS.get(target, "jump" if word == "-j" else "goto")
        elif word in _IPTABLES_IDLE:
            next(left, "")
        elif word.startswith("-"):
            tests.append(Condition(word))
        negated = False
    return Rule(text, tuple(tests), action, target)


# --- reading them ---


def read() -> Ruleset | None:
    """The rules of this machine, or None where they can't be read: not root, or no tool to read them with."""
    if os.geteuid() != 0:
        return None
    found = Ruleset()
    sources = 0
    if (text := _output("nft", "-j", "list", "ruleset")) is not None:
        try:
            _add(found, read_nft(json.loads(text)))
        except (ValueError, KeyError, AttributeError, TypeError):  # a listing this was not written for
            return None
        sources += 1
    for tool, family in (("iptables-save", "ip"), ("ip6tables-save", "ip6")):
        if (text := _output(tool)) is not None:
            _add(found, read_iptables(text, family))
            sources += 1
    return found if sources else None


def _add(rules: Ruleset, more: Ruleset) -> None:
    rules.bases += more.bases
    rules.chains.update(more.chains)
    rules.families.update(more.families)


def _output(*command: str) -> str | None:
    program = shutil.which(command[0], path=_PATH)
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, *command[1:]],
            capture_output=True,
            text=True,
            timeout=_READ_S,
            stdin=subprocess.DEVNULL,
            errors="replace",
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
