"""Makes handshake.json and frames.json: from the challenge to both transport keys, and records under a key.

Rule: the handshake is played by the product's own state machine from fixed keys, and every step of h, ck and k is
written down, so that another implementation sees at which step it went another way. `noise-xxpsk0.json` has the same
pattern in the published format.
"""

from hashlib import blake2b
from typing import Any

from vectors_fixed import NETWORK_KEY, Vector, fixed, require_refusal

from meshd.crypto import x25519_keypair
from meshd.ids import link_psk
from meshd.noise import XXPSK0, CipherState, HandshakeState
from meshd.proto.frame import FrameReader, FrameWriter
from meshd.proto.session import PROLOGUE

CHALLENGE = fixed("challenge")
_SIDES = ("dialler", "acceptor")


def side(role: str, psk: bytes) -> HandshakeState:
    """One side of the handshake of these vectors, before its first message."""
    return HandshakeState(
        XXPSK0,
        initiator=role == "dialler",
        prologue=PROLOGUE + CHALLENGE,
        s=x25519_keypair(fixed(f"{role} static")),
        ephemeral_secret=fixed(f"{role} ephemeral"),
        psks=(psk,),
    )


def handshake() -> Vector:
    """What handshake.json holds."""
    psk = link_psk(NETWORK_KEY)
    sides = {role: side(role, psk) for role in _SIDES}
    messages = []
    for role, other in (_SIDES, _SIDES[::-1], _SIDES):
        message = sides[role].write_message()
        sides[other].read_message(message)
        symmetric = sides[role]._symmetric
        messages.append(
            {
                "from": role,
                "message": message.hex(),
                "h": symmetric.h.hex(),
                "ck": symmetric.ck.hex(),
                "k": (symmetric.cipher.k or b"").hex(),
            }
        )
    dialler_sends, acceptor_sends = sides["dialler"].split()
    return {
        "network_key": NETWORK_KEY.hex(),
        "challenge": CHALLENGE.hex(),
        "prologue": (PROLOGUE + CHALLENGE).hex(),
        "psk": psk.hex(),
        "keys": {
            f"{role}_{kind}": {
                "secret": fixed(f"{role} {kind}").hex(),
                "public": x25519_keypair(fixed(f"{role} {kind}"))[0].hex(),
            }
            for role in _SIDES
            for kind in ("static", "ephemeral")
        },
        "messages": messages,
        "handshake_hash": sides["dialler"].h.hex(),
        "dialler_sends_with": (dialler_sends.k or b"").hex(),
        "acceptor_sends_with": (acceptor_sends.k or b"").hex(),
        "refused": _refused_handshakes(messages),
    }


def _refused_handshakes(messages: list[dict[str, str]]) -> list[Vector]:
    """Messages that the one who waits for them must not answer; those before are as above."""
    first, second, third = (bytes.fromhex(message["message"]) for message in messages)
    of_another_network = side("dialler", link_psk(bytes(32))).write_message()
    replayed = HandshakeState(
        XXPSK0,
        initiator=True,
        prologue=PROLOGUE + fixed("another challenge"),
        s=x25519_keypair(fixed("dialler static")),
        ephemeral_secret=fixed("dialler ephemeral"),
        psks=(link_psk(NETWORK_KEY),),
    ).write_message()
    low_order = _low_order_first()
    cases = [
        ("message 1 of another network", 1, of_another_network),
        ("message 1 made for another challenge", 1, replayed),
        ("message 1 with a flipped bit in the ephemeral", 1, _flipped(first, 0)),
        ("message 1 with a flipped bit in the tag", 1, _flipped(first, -1)),
        ("message 1 with an ephemeral of low order", 1, low_order),
        ("message 2 with a flipped bit in the ephemeral", 2, _flipped(second, 0)),
        ("message 2 with a flipped bit in the static", 2, _flipped(second, 32)),
        ("message 2 with a flipped bit in the last tag", 2, _flipped(second, -1)),
        ("message 3 with a flipped bit in the static", 3, _flipped(third, 0)),
        ("message 3 with a flipped bit in the last tag", 3, _flipped(third, -1)),
        ("message 1 filled up, for message 3", 3, first + bytes(16)),
    ]
    for _, number, message in cases:
        require_refusal(receive, number, message)
    return [{"name": name, "for_message": number, "message": raw.hex()} for name, number, raw in cases]


def receive(number: int, message: bytes) -> bytes:
    """Have the side that waits for this message take it in and answer, after honest ones before; PeerError."""
    psk = link_psk(NETWORK_KEY)
    dialler, acceptor = side("dialler", psk), side("acceptor", psk)
    if number > 1:
        acceptor.read_message(dialler.write_message())
        answer = acceptor.write_message()
        if number == 2:
            dialler.read_message(message)
            return dialler.write_message()
        dialler.read_message(answer)
        acceptor.read_message(message)
        return b""
    acceptor.read_message(message)
    return acceptor.write_message()


def _low_order_first() -> bytes:
    """A first message whose ephemeral is all zeros: it authenticates, and the first DH gives zeros."""
    writer = side("dialler", link_psk(NETWORK_KEY))
    symmetric = writer._symmetric
    symmetric.mix_key_and_hash(link_psk(NETWORK_KEY))
    symmetric.mix_hash(bytes(32))
    symmetric.mix_key(bytes(32))
    return bytes(32) + symmetric.encrypt_and_hash(b"")


def _flipped(raw: bytes, place: int) -> bytes:
    changed = bytearray(raw)
    changed[place] ^= 1
    return bytes(changed)


# --- frames ---

KEY = fixed("frame key")


def content(size: int) -> bytes:
    """The bytes of a message in frames.json: byte i is i modulo 251."""
    return bytes(number % 251 for number in range(size))


def _frames(name: str, messages: list[tuple[int, int]], rekey_records: int = 2**15) -> dict[str, Any]:
    """Messages given as (lane, size), as a sender sends them that has all of them at once."""
    writer = FrameWriter(CipherState(KEY), 0, rekey_records=rekey_records)
    for lane, size in messages:
        writer.queue(content(size), lane)
    frames = list(writer.frames(2**30, 0))
    return {
        "name": name,
        "key": KEY.hex(),
        "messages": [{"lane": lane, "size": size} for lane, size in messages],
        "lengths": [len(frame) for frame in frames],
        **_shown(frames),
        "key_after": (writer._cipher.k or b"").hex(),
        "records_after": writer._cipher.n,
    }


def _shown(frames: list[bytes]) -> dict[str, Any]:
    """The frames themselves if they are short, else their hash."""
    joined = b"".join(frames)
    if len(joined) < 6000:
        return {"frames": [frame.hex() for frame in frames]}
    return {"blake2b_256_of_all": blake2b(joined, digest_size=32).hexdigest()}


def _record(plaintext: bytes, key: bytes = KEY, n: int = 0) -> bytes:
    cipher = CipherState(key)
    cipher.n = n
    return cipher.encrypt_with_ad(b"", plaintext)


def _refused_records() -> list[tuple[str, bytes]]:
    head = bytes((0x04, 0, 1))
    good = _record((head + b"a").ljust(256, b"\0"))
    return [
        ("a flag that means nothing", _record((b"\x14\0\1a").ljust(256, b"\0"))),
        ("the highest flag", _record((b"\x84\0\1a").ljust(256, b"\0"))),
        ("254 bytes in the smallest class", _record(b"\x04\0\xfe".ljust(256, b"\0"))),
        ("65 535 bytes in the smallest class", _record(b"\x04\xff\xff".ljust(256, b"\0"))),
        ("a flipped bit in the tag", _flipped(good, -1)),
        ("a flipped bit in the padding", _flipped(good, 200)),
        ("another key", _record((head + b"a").ljust(256, b"\0"), key=fixed("another key"))),
        ("record 1 for record 0", _record((head + b"a").ljust(256, b"\0"), n=1)),
    ]


def frames() -> Vector:
    """What frames.json holds."""
    refused = _refused_records()
    for _, record in refused:
        require_refusal(FrameReader(CipherState(KEY)).read, record)
    odd = _record(b"\x06\0\1a".ljust(256, b"\xff"))
    if FrameReader(CipherState(KEY)).read(odd) != b"a":
        raise RuntimeError("padding is looked at")
    sizes = (1, 253, 254, 506, 507, 510, 511, 1021, 1022, 2046, 4093, 4094, 16_381, 16_382, 100_000)
    empty = _record(bytes(256))
    return {
        "content": "byte i of a message is i modulo 251",
        "sent": [
            *[_frames(f"a message of {size} bytes", [(2, size)]) for size in sizes],
            _frames("lane after lane", [(3, 300), (0, 3), (1, 20), (2, 5)]),
            _frames("two in one lane", [(1, 3), (1, 300)]),
            _frames("rekey after every second record", [(0, 1), (0, 2), (0, 3), (0, 4), (0, 5)], 2),
        ],
        "taken_too": [
            {"name": "padding that is not zeros", "key": KEY.hex(), "record": odd.hex(), "message": "61"},
            {
                "name": "a frame with no bytes, not the last",
                "key": KEY.hex(),
                "record": empty.hex(),
                "message": None,
            },
        ],
        "refused": [{"name": name, "key": KEY.hex(), "record": raw.hex()} for name, raw in refused],
        "refused_lengths": _refused_lengths(),
        "next_key": [{"key": key.hex(), "next": _next(key).hex()} for key in (KEY, bytes(32))],
    }


def _refused_lengths() -> list[int]:
    """Lengths that no frame after the handshake has."""
    return [0, 16, 256, 271, 273, 1024, 1039, 4096, 16_384, 16_401, 65_535]


def _next(key: bytes) -> bytes:
    cipher = CipherState(key)
    cipher.rekey()
    return cipher.k or b""
