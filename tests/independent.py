"""A second reader of the protocol, written from protocol.md alone.

The rule: nothing of meshd is imported here, only the standard library and the bare primitives of nacl (Ed25519, X25519,
ChaCha20-Poly1305). It is slow and plain on purpose: each function is one section of the page, in the page's words, so
that where the page is wrong or silent this reader is too, and `test_independent` fails on a vector.
"""

import hmac
from hashlib import blake2b
from struct import pack, unpack_from
from typing import NamedTuple

from nacl import bindings
from nacl.exceptions import CryptoError

Slot = int | bytes | str


class Close(Exception):
    """What the page answers with **close**."""


class Drop(Exception):
    """What the page answers with **drop**."""


def require(right: bool) -> None:
    if not right:
        raise Close


# --- Hashes and labels ---


def H(label: str, *parts: bytes, size: int = 32) -> bytes:
    return blake2b(bytes([len(label)]) + label.encode() + b"".join(parts), digest_size=size).digest()


# --- Encoding ---

# head byte → (type, how many bytes of length or value follow, the smallest that needs this head)
_HEADS = {
    0xCC: ("int", 1, 128), 0xCD: ("int", 2, 2**8), 0xCE: ("int", 4, 2**16), 0xCF: ("int", 8, 2**32),
    0xC4: ("bytes", 1, 0), 0xC5: ("bytes", 2, 2**8), 0xC6: ("bytes", 4, 2**16),
    0xD9: ("text", 1, 32), 0xDA: ("text", 2, 2**8), 0xDB: ("text", 4, 2**16),
}  # fmt: skip


def array(raw: bytes, types: str, size_max: int) -> list[Slot]:
    """The slots of an array whose types are `types`, names with a space between."""
    require(0 < len(raw) <= size_max)
    wanted = types.split()
    require(len(wanted) <= 15 and raw[0] == 0x90 + len(wanted))
    slots: list[Slot] = []
    at = 1
    for kind in wanted:
        require(at < len(raw))
        head = raw[at]
        at += 1
        if head < 0x80:
            found, number = "int", head
        elif 0xA0 <= head <= 0xBF:
            found, number = "text", head - 0xA0
        else:
            require(head in _HEADS)
            found, width, least = _HEADS[head]
            require(at + width <= len(raw))
            number = int.from_bytes(raw[at : at + width], "big")
            at += width
            require(number >= least)
        require(found == kind and number < 2**63)
        if kind == "int":
            slots.append(number)
            continue
        require(number <= len(raw) - at)
        content = raw[at : at + number]
        at += number
        try:
            slots.append(content if kind == "bytes" else content.decode())
        except UnicodeDecodeError:
            raise Close from None
    require(at == len(raw))
    return slots


def elements(joined: bytes) -> list[bytes]:
    """`u16 length ‖ bytes`, repeated."""
    found, at = [], 0
    while at < len(joined):
        require(at + 2 <= len(joined))
        (size,) = unpack_from(">H", joined, at)
        require(at + 2 + size <= len(joined))
        found.append(joined[at + 2 : at + 2 + size])
        at += 2 + size
    return found


# --- Posts, Envelopes, Taking posts in ---


class Post(NamedTuple):
    version: int
    channel: bytes
    epoch: bytes
    author: bytes
    incarnation: int
    sequence: int
    parents: bytes
    hlc: int
    kind: int
    keep_until: int
    body: bytes


def post(signed: bytes, *, sealed: bool = False) -> Post:
    slots = array(
        signed, "int bytes bytes bytes int int bytes int int int bytes", (30_720 if sealed else 16_384) + 512
    )
    found = Post(*slots)  # type: ignore[arg-type]
    require(found.version == 1)
    require(len(found.channel) == 16 and len(found.author) == 32)
    require(len(found.epoch) in ((0, 32) if sealed else (0,)))
    require(1 <= found.sequence <= 2**32 - 1)
    parents = [found.parents[i : i + 32] for i in range(0, len(found.parents), 32)]
    require(len(found.parents) % 32 == 0 and len(parents) <= 8 and len(set(parents)) == len(parents))
    require(found.sequence == 1 or len(parents) >= 1)
    require(1 <= found.kind <= 255)
    time, until = found.hlc >> 16, found.keep_until * 3_600_000
    is_long = sealed and found.kind in (2, 5, 6)
    require(time < until <= time + (2161 if is_long else 169) * 3_600_000)
    require(len(found.body) <= (30_720 if is_long else 16_384))
    return found


def text_body(body: bytes) -> tuple[str, bytes, str] | None:
    """(name, reply to, text), or None where the page says **hide**."""
    try:
        name, reply_to, text = array(body, "text bytes text", 16_384)
    except Close:
        return None
    shown = len(str(name).encode()) <= 64 and len(reply_to) in (0, 32)  # type: ignore[arg-type]
    return (name, reply_to, text) if shown else None  # type: ignore[return-value]


def post_id(signed: bytes) -> bytes:
    return H("meshd/1 post", signed)


def signature_holds(author: bytes, identity: bytes, signature: bytes) -> bool:
    label = b"meshd/1 post signature"
    try:
        bindings.crypto_sign_open(signature + bytes([22]) + label + identity, author)
    except CryptoError:
        return False
    return bindings.crypto_core_ed25519_is_valid_point(author)


def envelope_type(raw: bytes) -> int:
    require(3 <= len(raw) <= 34_000)
    require(0x90 <= raw[0] <= 0x9F and raw[1] <= 0x7F and raw[2] <= 0x7F)
    if raw[1] != 1 or raw[2] not in (0, 1):
        raise Drop
    return raw[2]


def envelope(raw: bytes, wall_ms: int) -> tuple[Post, bytes]:
    """(post, key) of a public envelope that a node takes in, if it does not hold it yet."""
    require(envelope_type(raw) == 0)  # of the sealed ones: independent_sealed
    _, _, signed, signature = array(raw, "int int bytes bytes", 34_000)
    assert isinstance(signed, bytes) and isinstance(signature, bytes)
    require(len(signature) == 64)
    found = post(signed)
    hours_left = found.keep_until - wall_ms // 3_600_000
    if not 0 < hours_left <= 192 or found.hlc >> 16 > wall_ms + 86_400_000:
        raise Drop
    identity = post_id(signed)
    require(signature_holds(found.author, identity, signature))
    return found, pack(">Q", found.keep_until) + identity


# --- Time ---


class Clock:
    def __init__(self) -> None:
        self.last = 0

    def stamp(self, wall_ms: int) -> None:
        self.last = max((self.last >> 16 <= wall_ms + 86_400_000) * (self.last + 1), wall_ms * 65_536)

    def observe(self, stamp: int, wall_ms: int) -> None:
        if stamp >> 16 <= wall_ms + 900_000:
            self.last = max(self.last, stamp)


def floor_hour(wall_ms: int) -> int:
    return (wall_ms + 900 * 1000) // 3_600_000 + 1


# --- Link ---


def aead(k: bytes, n: int, ad: bytes, p: bytes) -> bytes:
    return bindings.crypto_aead_chacha20poly1305_ietf_encrypt(p, ad, bytes(4) + pack("<Q", n), k)


def aead_open(k: bytes, n: int, ad: bytes, c: bytes) -> bytes:
    try:
        return bindings.crypto_aead_chacha20poly1305_ietf_decrypt(c, ad, bytes(4) + pack("<Q", n), k)
    except CryptoError:
        raise Close from None


def dh(secret: bytes, public: bytes) -> bytes:
    try:
        shared = bindings.crypto_scalarmult(secret, public)
    except CryptoError:
        raise Close from None
    require(any(shared))
    return shared


def public_of(secret: bytes) -> bytes:
    return bindings.crypto_scalarmult_base(secret)


class Handshake:
    """h, ck, k and n, and what the page does to them."""

    def __init__(self, challenge: bytes, psk: bytes, static: bytes, ephemeral: bytes) -> None:
        self.h = self.ck = b"Noise_XXpsk0_25519_ChaChaPoly_BLAKE2b".ljust(64, b"\0")
        self.k, self.n = b"", 0
        self.psk, self.s, self.e = psk, static, ephemeral
        self.mix_hash(b"meshd/1" + challenge)

    def hkdf(self, x: bytes) -> tuple[bytes, bytes, bytes]:
        t = hmac.digest(self.ck, x, blake2b)
        o1 = hmac.digest(t, b"\1", blake2b)
        o2 = hmac.digest(t, o1 + b"\2", blake2b)
        return o1, o2, hmac.digest(t, o2 + b"\3", blake2b)

    def mix_hash(self, x: bytes) -> None:
        self.h = blake2b(self.h + x).digest()

    def mix_key(self, x: bytes) -> None:
        self.ck, o2, _ = self.hkdf(x)
        self.k, self.n = o2[:32], 0

    def mix_key_and_hash(self, x: bytes) -> None:
        self.ck, o2, o3 = self.hkdf(x)
        self.mix_hash(o2)
        self.k, self.n = o3[:32], 0

    def seal(self, p: bytes) -> bytes:
        c = aead(self.k, self.n, self.h, p)
        self.n += 1
        self.mix_hash(c)
        return c

    def open(self, c: bytes) -> bytes:
        p = aead_open(self.k, self.n, self.h, c)
        self.n += 1
        self.mix_hash(c)
        return p

    def mix_e(self, public: bytes) -> None:
        self.mix_hash(public)
        self.mix_key(public)

    def write_1(self) -> bytes:
        self.mix_key_and_hash(self.psk)
        self.mix_e(public_of(self.e))
        return public_of(self.e) + self.seal(b"")

    def read_1(self, message: bytes) -> None:
        self.mix_key_and_hash(self.psk)
        self.re = message[:32]
        self.mix_e(self.re)
        require(self.open(message[32:]) == b"")

    def write_2(self) -> bytes:
        self.mix_e(public_of(self.e))
        self.mix_key(dh(self.e, self.re))
        sealed = self.seal(public_of(self.s))
        self.mix_key(dh(self.s, self.re))
        return public_of(self.e) + sealed + self.seal(b"")

    def read_2(self, message: bytes) -> None:
        self.re = message[:32]
        self.mix_e(self.re)
        self.mix_key(dh(self.e, self.re))
        self.rs = self.open(message[32:80])
        self.mix_key(dh(self.e, self.rs))
        require(self.open(message[80:]) == b"")

    def write_3(self) -> bytes:
        sealed = self.seal(public_of(self.s))
        self.mix_key(dh(self.s, self.re))
        return sealed + self.seal(b"")

    def read_3(self, message: bytes) -> None:
        self.rs = self.open(message[:48])
        self.mix_key(dh(self.e, self.rs))
        require(self.open(message[48:]) == b"")

    def end(self) -> tuple[bytes, bytes]:
        """k1 from dialler to acceptor, k2 back."""
        o1, o2, _ = self.hkdf(b"")
        return o1[:32], o2[:32]


# --- Frames ---


def next_key(k: bytes) -> bytes:
    return aead(k, 2**64 - 1, b"", bytes(32))[:32]


class Receiver:
    """Records of one direction, put together to messages."""

    def __init__(self, k: bytes) -> None:
        self.k, self.n, self.of_key = k, 0, 0
        self.lanes = [b""] * 4

    def record(self, sealed: bytes) -> bytes | None:
        require(len(sealed) in (272, 1040, 4112, 16_400))
        plaintext = aead_open(self.k, self.n, b"", sealed)
        self.n += 1
        self.of_key += 1
        flags, count = unpack_from(">BH", plaintext)
        require(flags <= 0x0F and count <= len(plaintext) - 3)
        if flags & 0x08:
            self.k, self.of_key = next_key(self.k), 0
        require(self.of_key < 32_768)
        lane = flags & 3
        self.lanes[lane] += plaintext[3 : 3 + count]
        require(len(self.lanes[lane]) <= 524_288)
        if not flags & 0x04:
            return None
        message, self.lanes[lane] = self.lanes[lane], b""
        return message


class Sender:
    """Messages of one direction, cut into records: always the smallest class that holds what is left."""

    def __init__(self, k: bytes) -> None:
        self.k, self.n = k, 0

    def frames(self, message: bytes, lane: int) -> bytes:
        out = b""
        while True:
            size = next((c for c in (256, 1024, 4096, 16_384) if len(message) + 3 <= c), 16_384)
            piece, message = message[: size - 3], message[size - 3 :]
            flags = lane | (0 if message else 4)
            record = aead(self.k, self.n, b"", (pack(">BH", flags, len(piece)) + piece).ljust(size, b"\0"))
            self.n += 1
            out += pack(">H", len(record)) + record
            if not message:
                return out


# --- Messages ---

KINDS = {
    0: ("hello", "bytes int int int int int int bytes"), 1: ("tags", "bytes"), 2: ("ping", "int"), 3: ("pong", "int"),
    4: ("bye", "int"), 5: ("reconcile", "int int int int bytes"), 6: ("have", "int bytes"), 7: ("want", "bytes"),
    8: ("give", "int bytes"), 9: ("gone", "bytes"), 10: ("push", "int"), 11: ("keyed", "int int bytes bytes bytes"),
    12: ("proof", "bytes bytes"),
}  # fmt: skip


class ByeVersion(Exception):
    """What the page answers with **bye 1**."""


def message(raw: bytes) -> tuple[str, list[Slot]]:
    require(len(raw) >= 2 and 0x90 <= raw[0] <= 0x9F and raw[1] <= 0x7F)
    if raw[1] not in KINDS:
        raise Drop
    name, types = KINDS[raw[1]]
    if name == "hello":
        require(len(raw) >= 5 and raw[2] == 0xC4 and 1 <= raw[3] <= 32 and len(raw) >= 4 + raw[3])
        if 1 not in raw[4 : 4 + raw[3]]:
            raise ByeVersion
    slots = array(raw, f"int {types}", 524_288)[1:]
    require(name not in ("reconcile", "keyed", "give", "push") or slots[0] in (0, 1))
    require(name != "have" or slots[0] in (0, 1, 2))
    last = slots[-1]
    if isinstance(last, bytes):
        require(name != "hello" or len(last) == 16)
        require(len(last) == {"tags": 1024, "proof": 64}.get(name, len(last)))
        require(name != "proof" or (isinstance(slots[0], bytes) and len(slots[0]) == 32))
        unit = {"have": 20, "want": 16, "gone": 16}.get(name)
        if name == "keyed" and isinstance(first := slots[2], bytes) and isinstance(end := slots[3], bytes):
            require(len(first) == len(end) == 20 and first < end)
        require(unit is None or (0 < len(last) <= 800 * unit and len(last) % unit == 0))
    return name, slots
