"""What things are called on the wire: hashes with a label each, and addresses.

The rule: every hash and every derived key in meshd is BLAKE2b (RFC 7693) over
`u8(len(label)) ‖ label ‖ parts…`, so that bytes made for one purpose are valid for no other, and a second
implementation needs nothing but plain BLAKE2b. All parts but the last have a fixed length, which makes the
concatenation unambiguous. Labels stand here and nowhere else (protocol.md, "Hashes and labels").

Ids are plain `bytes`: their length and the name of the variable tell them apart. The *key* of an envelope is
its place in the reconcile order: `u64 expiry hour ‖ envelope id`, 40 bytes big-endian, so that byte order is
(expiry hour, id) order. A *reference* is the part of the key that is enough between two nodes:
`u32 expiry hour ‖ first 16 bytes of the id`, 20 bytes; it costs no second index to look up.
"""

import hashlib
import ipaddress
import unicodedata
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from meshd.errors import CallerError, Code
from meshd.limits import PORT_MIN

ID_SIZE = 32
CHANNEL_ID_SIZE = 16
KEY_SIZE = 40
REFERENCE_SIZE = 20

LABEL_POST = b"meshd/1 post"
LABEL_SIGNATURE = b"meshd/1 post signature"
LABEL_NETWORK = b"meshd/1 network"
LABEL_CHANNEL = b"meshd/1 public channel"
LABEL_LINK_PSK = b"meshd/1 link psk"
LABEL_DISCOVERY = b"meshd/1 discovery"
LABEL_FINGERPRINT = b"meshd/1 identity words"
LABEL_KEYSLOT = b"meshd/1 keyslot check"
LABEL_INVITE = b"meshd/1 network invite"
LABEL_PAIR = b"meshd/1 pair"
LABEL_RECOGNITION = b"meshd/1 recognition"
LABEL_PROOF = b"meshd/1 recognition proof"
LABEL_BUNDLE = b"meshd/1 bundle"
LABEL_BUNDLE_CHECK = b"meshd/1 bundle check"
LABEL_KEYED = b"meshd/1 keyed round"
LABEL_ENVELOPE = b"meshd/1 envelope"
LABEL_NEXT_DAY = b"meshd/1 next day"
LABEL_SEAL_KEY = b"meshd/1 seal key"
LABEL_HINT_KEY = b"meshd/1 hint key"
LABEL_HINT = b"meshd/1 hint"
LABEL_INBOX = b"meshd/1 inbox"
LABEL_KEY_PART = b"meshd/1 key part"
LABEL_KEY_TAIL = b"meshd/1 key tail"
LABEL_KEY_SIGNATURE = b"meshd/1 key envelope"
LABEL_STATEMENT = b"meshd/1 statement"
LABEL_DIRECT = b"meshd/1 direct"
LABEL_GROUP_INVITE = b"meshd/1 group invite"
LABEL_SCENARIO_KEY = b"meshd/1 scenario key"
LABEL_RESPONSE_KEY = b"meshd/1 response key"
LABEL_PHRASE_KEY = b"meshd/1 phrase key"
LABEL_SHARE = b"meshd/1 share"
LABEL_PLAN_PART = b"meshd/1 plan part"
LABEL_EPOCH_KEY = b"meshd/1 epoch key"

# The open commons: everybody has this key, so it keeps nobody out. Treat what is said there as watched.
COMMONS_KEY = hashlib.blake2b(b"meshd/1 the open commons", digest_size=32).digest()


def labelled(label: bytes, *parts: bytes, size: int = 32, key: bytes = b"") -> bytes:
    """BLAKE2b of `u8(len(label)) ‖ label ‖ parts`, `size` bytes (1–64), keyed with `key` (≤ 64) if given."""
    return hashlib.blake2b(bytes((len(label),)) + label + b"".join(parts), digest_size=size, key=key).digest()


_POST_PREFIX = bytes((len(LABEL_POST),)) + LABEL_POST


def post_id(signed: bytes) -> bytes:
    """The id of a post, 32 bytes: over the signed bytes, never over the signature. Also its public envelope's."""
    return hashlib.blake2b(_POST_PREFIX + signed, digest_size=32).digest()


_ENVELOPE_PREFIX = bytes((len(LABEL_ENVELOPE),)) + LABEL_ENVELOPE


def sealed_id(raw: bytes) -> bytes:
    """The id of a sealed envelope, 32 bytes: over exactly the bytes in which it travels."""
    return hashlib.blake2b(_ENVELOPE_PREFIX + raw, digest_size=32).digest()


def network_id(network_key: bytes) -> bytes:
    """16 bytes that name a network without giving its key away."""
    return labelled(LABEL_NETWORK, network_key, size=16)


def link_psk(network_key: bytes) -> bytes:
    """The 32-byte pre-shared key of the link handshake."""
    return labelled(LABEL_LINK_PSK, network_key)


def discovery_tag(network_key: bytes, instance: str) -> str:
    """The TXT value beside an mDNS instance name, 32 hex characters: only members of the network can tell it."""
    return labelled(LABEL_DISCOVERY, network_key, instance.encode(), size=16).hex()


def keyed_ids(handshake_hash: bytes, ids: Iterable[bytes]) -> Iterator[bytes]:
    """What envelope ids count as in the keyed rounds of the session with this hash (64 bytes), 32 bytes each."""
    prefix = bytes((len(LABEL_KEYED),)) + LABEL_KEYED + handshake_hash
    return (hashlib.blake2b(prefix + id, digest_size=32).digest() for id in ids)


def channel_name(text: str) -> str:
    """The canonical form of a public channel's name: NFC, case folded, NFC again; a leading `#` is dropped.

    Raises CallerError(usage) unless it is 1–64 bytes of UTF-8 with no space, colon, `#` or control character.
    """
    name = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text.removeprefix("#")).casefold())
    bad = any(c.isspace() or c in ":#" or unicodedata.category(c)[0] == "C" for c in name)
    if bad or not 1 <= len(name.encode(errors="replace")) <= 64:
        raise CallerError(
            Code.usage, "a channel name has 1 to 64 bytes and no space, colon, # or control character"
        )
    return name


def public_channel_id(network: bytes, name: str) -> bytes:
    """16 bytes for the public channel `name` (canonical form) of the network with that id."""
    return labelled(LABEL_CHANNEL, network, name.encode(), size=CHANNEL_ID_SIZE)


def inbox_channel_id(identity: bytes) -> bytes:
    """16 bytes for the inbox of the identity with this public key."""
    return labelled(LABEL_INBOX, identity, size=CHANNEL_ID_SIZE)


def direct_channel_id(one: bytes, other: bytes) -> bytes:
    """16 bytes for the direct between two identities, whoever of them asks."""
    return labelled(LABEL_DIRECT, *sorted((one, other)), size=CHANNEL_ID_SIZE)


def direct_name(other: bytes) -> str:
    """What the channel of a direct is called in the log: no group or public channel has a # in its name."""
    return "#" + other.hex()


def envelope_key(expiry_hour: int, envelope_id: bytes) -> bytes:
    """The 40-byte key: place in the reconcile order."""
    return expiry_hour.to_bytes(8, "big") + envelope_id


def key_hour(key: bytes) -> int:
    """The expiry hour of a key, hours since 1970-01-01T00:00Z."""
    return int.from_bytes(key[:8], "big")


def key_reference(key: bytes) -> bytes:
    """The 20-byte reference of a key."""
    return key[4:24]


class Address(NamedTuple):
    """Where a peer might be reached: a literal IP (IPv6 link-local with `%interface`) or a name, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str, *, port_min: int = 1) -> "Address":
        """`HOST:PORT`, `[IPv6]:PORT` or `[fe80::1%eth0]:PORT`; raises CallerError(usage)."""
        host, colon, port_text = text.strip().rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        if bracketed:
            host = host[1:-1]
        wrong = (
            not colon
            or not host
            or (":" in host) != bracketed
            or not port_text.isascii()
            or not port_text.isdigit()
        )
        if wrong or any(c.isspace() or not c.isprintable() for c in host) or len(host) > 255:
            raise CallerError(
                Code.usage, "an address is HOST:PORT, or [IPv6]:PORT; example: 192.168.1.7:4040"
            )
        if bracketed:
            try:
                host = str(ipaddress.IPv6Address(host))
            except ValueError:
                raise CallerError(Code.usage, "what stands in brackets is no IPv6 address") from None
        if not port_min <= int(port_text[:6]) < 65536:
            raise CallerError(Code.usage, f"a port is a number from {port_min} to 65535")
        return cls(host, int(port_text))


# Where a laptop beside us may be: private (RFC 1918), carrier-grade NAT (RFC 6598), link-local (RFC 3927, RFC 4291)
# and unique local (RFC 4193). Everything else that discovery may be told is a stranger's machine, or nobody's.
_NEARBY = [
    ipaddress.ip_network(prefix)
    for prefix in (
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",
        "169.254.0.0/16",
        "fe80::/10",
        "fc00::/7",
    )
]


def dialable(address: Address, *, loopback: bool = False) -> bool:
    """Whether an address learned from discovery may be dialled: a literal IP nearby (IPv6 link-local with its
    scope), a port of PORT_MIN or above; loopback only if asked for. Anything else could point us at a third party.
    """
    try:
        ip = ipaddress.ip_address(address.host)
    except ValueError:
        return False
    if not PORT_MIN <= address.port < 65536:
        return False
    if ip.is_loopback:
        return loopback
    scope = ip.scope_id if isinstance(ip, ipaddress.IPv6Address) else None
    if bool(scope) != (ip.version == 6 and ip.is_link_local):
        return False
    return any(ip.version == prefix.version and ip in prefix for prefix in _NEARBY)
