"""The mDNS packets of meshd: what is said, and what is taken from what others say (RFC 6762, RFC 6763).

The rule: the one service type is `_meshd._tcp.local.`. An instance is announced in one packet of at most
about 300 bytes, always the same set, so that whoever hears it needs to ask nothing more:

    PTR   _meshd._tcp.local.             -> <instance>._meshd._tcp.local.
    SRV   <instance>._meshd._tcp.local.  -> priority 0, weight 0, port, <host>.local.
    TXT   <instance>._meshd._tcp.local.  -> one string, `t=` and the 32 hex characters of the tag
    A, AAAA <host>.local.                -> addresses of the interface it is sent from, and of no other

Every record has a TTL of 120 s; a goodbye is the same packet with TTL 0. Instance and host name are random
labels that the core draws anew for each announcement, so nothing but the service type and the addresses stays
the same. Names are not probed for (RFC 6762 §8.1): two equal random names do not happen. An IPv6 address made
from the hardware address (EUI-64) is announced only where there is no other, and an address that no peer
would dial (`ids.dialable`) never. The list of all service types (RFC 6763 §9) is not answered: who looks for
meshd knows its type.

python-zeroconf is used as a codec only, and here only. What comes in is hostile: packets over PACKET_SIZE_MAX
are dropped unread, at most RECORDS_MAX records of a packet are looked at, and all that is not about meshd is
dropped here.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from zeroconf import (  # type: ignore[attr-defined]  # public, but not listed in __all__
    DNSAddress,
    DNSIncoming,
    DNSOutgoing,
    DNSPointer,
    DNSQuestion,
    DNSRecord,
    DNSService,
    DNSText,
)

from meshd.ids import Address, dialable
from meshd.limits import ADDRESSES_PER_INSTANCE_MAX, PORT_MIN
from meshd.net.interfaces import IP

SERVICE = "_meshd._tcp.local."
TTL_S = 120
PACKET_SIZE_MAX = 4096  # bytes; ours have 300, and what a packet costs to read grows with its size
RECORDS_MAX = 64  # looked at in one packet
_TAG_SIZE = 32  # characters

_A, _PTR, _TXT, _AAAA, _SRV, _ANY = 1, 12, 16, 28, 33, 255
_IN, _FLUSH = 1, 0x8000  # class; "this replaces what you had", in a question "answer me alone"
_QUERY, _RESPONSE = 0x0000, 0x8400  # flags: a response is authoritative


class Announcement(NamedTuple):
    """What is announced: two random labels (no dots), the TCP port, and the tag (32 hex characters)."""

    instance: str
    host: str
    port: int
    tag: str


def announced_addresses(addresses: Iterable[IP]) -> list[IP]:
    """Those of one interface's addresses that are announced, IPv4 first, at most
    ADDRESSES_PER_INSTANCE_MAX."""
    usable = [ip for ip in addresses if dialable(Address(scoped(ip, "0"), PORT_MIN))]
    private = [ip for ip in usable if not _is_eui64(ip)]
    return sorted(private or usable, key=lambda ip: (ip.version, ip.packed))[:ADDRESSES_PER_INSTANCE_MAX]


def scoped(ip: IP, interface: str) -> str:
    """The address as text, with `%interface` where it means nothing without (IPv6 link-local)."""
    return f"{ip}%{interface}" if ip.version == 6 and ip.is_link_local else str(ip)


def _is_eui64(ip: IP) -> bool:
    return ip.version == 6 and ip.packed[11:13] == b"\xff\xfe"


def answer_packet(ours: Announcement, addresses: Iterable[IP], ttl_s: int = TTL_S) -> bytes:
    """The announcement, which is also the answer to every question about us; a goodbye with `ttl_s=0`."""
    name = f"{ours.instance}.{SERVICE}"
    host = f"{ours.host}.local."
    text = f"t={ours.tag}".encode()
    out = DNSOutgoing(_RESPONSE)
    records: list[DNSRecord] = [
        DNSPointer(SERVICE, _PTR, _IN, ttl_s, name),
        DNSService(name, _SRV, _IN | _FLUSH, ttl_s, 0, 0, ours.port, host),
        DNSText(name, _TXT, _IN | _FLUSH, ttl_s, bytes((len(text),)) + text),
    ]
    for ip in announced_addresses(addresses):
        kind = _A if ip.version == 4 else _AAAA
        records.append(DNSAddress(host, kind, _IN | _FLUSH, ttl_s, ip.packed))
    for record in records:
        out.add_answer_at_time(record, 0)
    return out.packets()[0]


def query_packet(
    *,
    browse: bool = False,
    unicast: bool = False,
    known: Iterable[tuple[str, int]] = (),
    instances: Iterable[str] = (),
    hosts: Iterable[str] = (),
) -> bytes:
    """A question: who is there (`browse`, leaving out the `known` (instance, seconds left)), and what is
    missing of `instances` (SRV, TXT) and `hosts` (A, AAAA). One packet; the known that do not fit are left
    out."""
    out = DNSOutgoing(_QUERY)
    if browse:
        out.add_question(DNSQuestion(SERVICE, _PTR, _IN | (_FLUSH if unicast else 0)))
    for instance in instances:
        for kind in (_SRV, _TXT):
            out.add_question(DNSQuestion(f"{instance}.{SERVICE}", kind, _IN))
    for host in hosts:
        for kind in (_A, _AAAA):
            out.add_question(DNSQuestion(host, kind, _IN))
    for instance, left_s in known:
        out.add_answer_at_time(DNSPointer(SERVICE, _PTR, _IN, left_s, f"{instance}.{SERVICE}"), 0)
    return out.packets()[0]


class Question(NamedTuple):
    """One question of a query: a lower-case name, the record type, and whether the asker alone is to be
    told."""

    name: str
    kind: int
    unicast: bool


@dataclass(slots=True)
class Packet:
    """What a packet says about meshd. A query has questions and known pointers; a response has the rest.

    Pointers are instance -> TTL in seconds (0: goodbye), services instance -> (host, port, TTL), tags
    instance -> tag, addresses host -> [(address, TTL, whether it replaces others of its family)]. Hosts are
    lower-case names.
    """

    query: bool
    questions: list[Question] = field(default_factory=list)
    pointers: dict[str, int] = field(default_factory=dict)
    services: dict[str, tuple[str, int, int]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    addresses: dict[str, list[tuple[IP, int, bool]]] = field(default_factory=dict)


def read_packet(content: bytes) -> Packet | None:
    """What these bytes say about meshd, or None if nothing can be made of them. Never raises."""
    if len(content) > PACKET_SIZE_MAX:
        return None
    incoming = DNSIncoming(content)
    if not incoming.valid or incoming.flags & 0x780F:  # an opcode or an error code (RFC 6762 §18)
        return None
    packet = Packet(incoming.is_query())
    if packet.query:
        for question in incoming.questions[:RECORDS_MAX]:
            if question.class_ in (_IN, _ANY):
                packet.questions.append(Question(question.name.lower(), question.type, question.unique))
    for record in incoming.answers()[:RECORDS_MAX]:
        if record.class_ == _IN:
            _take(packet, record)
    return packet


def _take(packet: Packet, record: DNSRecord) -> None:
    ttl_s = int(record.ttl)
    if isinstance(record, DNSPointer):
        instance = _instance(record.alias)
        if record.type == _PTR and record.name.lower() == SERVICE and instance:
            packet.pointers[instance] = ttl_s
    elif isinstance(record, DNSService):
        if instance := _instance(record.name):
            packet.services[instance] = (record.server.lower(), record.port, ttl_s)
    elif isinstance(record, DNSText):
        instance, tag = _instance(record.name), _tag(record.text)
        if instance and tag and ttl_s:
            packet.tags[instance] = tag
    elif isinstance(record, DNSAddress):
        ip: IP = ipaddress.ip_address(bytes(record.address))
        packet.addresses.setdefault(record.name.lower(), []).append((ip, ttl_s, record.unique))


def _instance(name: str) -> str:
    """The instance label of a full name of our service, "" if it is none."""
    label = name[: -len(SERVICE) - 1]
    ours = name[-len(SERVICE) - 1 :].lower() == f".{SERVICE}" and label.isascii() and label.isprintable()
    return label if ours and len(label) <= 63 and "." not in label else ""


def _tag(text: bytes) -> str:
    """The tag among the strings of a TXT record, "" if there is none."""
    offset = 0
    while offset < len(text):
        string = text[offset + 1 : offset + 1 + text[offset]]
        if string.startswith(b"t=") and len(string) == 2 + _TAG_SIZE:
            tag = string[2:].decode("ascii", "replace")
            return tag if set(tag) <= set("0123456789abcdef") else ""
        offset += 1 + text[offset]
    return ""


def asked_for(packet: Packet, ours: Announcement) -> Sequence[Question]:
    """The questions of a query that our records answer, less what the asker says it knows (RFC 6762 §7.1)."""
    name = f"{ours.instance}.{SERVICE}".lower()
    kinds = {
        SERVICE: (_PTR,),
        name: (_SRV, _TXT),
        f"{ours.host}.local.".lower(): (_A, _AAAA),
    }
    known = packet.pointers.get(ours.instance, 0) > TTL_S / 2
    return [
        question
        for question in packet.questions
        if (
            question.kind in kinds.get(question.name, ())
            or (question.kind == _ANY and question.name in kinds)
        )
        and not (known and question.name == SERVICE)
    ]


def host_name_query(ip: IP) -> bytes:
    """The question which host this address belongs to."""
    out = DNSOutgoing(_QUERY)
    out.add_question(DNSQuestion(f"{ip.reverse_pointer}.", _PTR, _IN))
    return out.packets()[0]


def read_host_names(content: bytes) -> list[str]:
    """The hosts that an answer to `host_name_query` names, without the dot at their end. Never raises."""
    if len(content) > PACKET_SIZE_MAX:
        return []
    incoming = DNSIncoming(content)
    if not incoming.valid or incoming.is_query():
        return []
    pointers = (record for record in incoming.answers()[:RECORDS_MAX] if isinstance(record, DNSPointer))
    return [record.alias.rstrip(".") for record in pointers if record.name.lower().endswith(".arpa.")]
