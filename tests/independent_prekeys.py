"""A second reader of prekeys and key envelopes, written from protocol.md alone, as `independent`."""

from base64 import b32decode, b32encode
from struct import pack
from typing import NamedTuple

from nacl import bindings
from nacl.exceptions import CryptoError

from tests.independent import Close, H, Post, aead_open, array, dh, post, public_of, require
from tests.independent_sealed import Ignore, moved_on

# --- Inboxes ---


def inbox(identity: bytes) -> bytes:
    return H("meshd/1 inbox", identity, size=16)


# --- Prekeys ---


def announcement(content: bytes) -> tuple[int, list[bytes]]:
    """(first day, prekeys) of the content of a sealed envelope, whose signature was checked like any post's."""
    try:
        _, signed, _ = array(content, "int bytes bytes", 34_000)
        assert isinstance(signed, bytes)
        return announced(post(signed, sealed=True))
    except Close:
        raise Ignore from None


def announced(found: Post) -> tuple[int, list[bytes]]:
    """The same of the post itself."""
    try:
        require(found.kind == 3 and found.channel == inbox(found.author))
        first, joined = array(found.body, "int bytes", 16_384)
        assert isinstance(first, int) and isinstance(joined, bytes)
        require(first == (found.hlc >> 16) // 86_400_000 and len(joined) == 9 * 32)
        keys = [joined[at : at + 32] for at in range(0, 288, 32)]
        for key in keys:
            dh(b"any secret".ljust(32), key)
    except Close:
        raise Ignore from None
    return first, keys


# --- Invites: an invitation to a group ---


def invitation(text: str) -> bytes:
    """The content of the key envelope that it is."""
    text = "".join(text.split()).upper()
    require(text.startswith("MESHD-GROUP:1:") and "=" not in text)
    digits = text[14:]
    try:
        raw = b32decode(digits + "=" * (-len(digits) % 8))
    except ValueError as error:
        raise Close from error
    require(b32encode(raw).decode().rstrip("=") == digits and len(raw) > 4)
    require(raw[-4:] == H("meshd/1 group invite", raw[:-4])[:4])
    return raw[:-4]


# --- Key envelopes ---


class Key(NamedTuple):
    channel: bytes
    epoch: bytes
    sender: bytes
    day: int
    key: bytes


def key_of(content: bytes, recipient: bytes, secrets: dict[int, bytes]) -> Key:
    """What the recipient gets who has these prekeys' secrets."""
    try:
        kind, e, first, joined, tail = array(content, "int bytes int bytes bytes", 510)
        assert isinstance(e, bytes) and isinstance(first, int)
        assert isinstance(joined, bytes) and isinstance(tail, bytes)
        require(kind == 1 and len(e) == 32 and first < 2**32 and len(tail) == 160)
        require(len(joined) in (48, 96, 144, 192))
        days = range(first, first + len(joined) // 48)
        day = next((day for day in days if day in secrets), None)
        require(day is not None)
        assert day is not None
        prekey = public_of(secrets[day])
        part_key = H("meshd/1 key part", dh(secrets[day], e), e, prekey, pack(">I", day))
        at = 48 * (day - first)
        key = aead_open(part_key, 0, b"", joined[at : at + 48])
        last = moved_on(key, days[-1] - day)
        named = aead_open(H("meshd/1 key tail", last, e), 0, b"", tail)
        channel, epoch, sender, signature = named[:16], named[16:48], named[48:80], named[80:]
        signed = b"\x14meshd/1 key envelope" + recipient + channel + epoch + e + pack(">I", first) + joined
        require(bindings.crypto_core_ed25519_is_valid_point(sender))
        bindings.crypto_sign_open(signature + signed, sender)
    except (Close, CryptoError):
        raise Ignore from None
    return Key(channel, epoch, sender, day, key)
