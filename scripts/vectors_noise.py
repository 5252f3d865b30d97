"""Runs a file of Noise vectors in the published (cacophony) format through `meshd.noise`.

Rule: every byte is compared, on both sides. Each vector is a whole conversation: the runner plays initiator
and responder with the keys given, writes each payload, compares the ciphertext, reads it on the other side,
compares the payload, then goes on with transport messages under the split keys, and compares the handshake
hashes.

The product knows one pattern; all the others of the specification (sections 7.4, 7.5 and the deferred ones
of 18.1) stand here, as data, with the psk modifiers of section 9.4. A vector of another suite or pattern is
*skipped* and counted, never passed.

The published files have no `Noise_XXpsk0`, the one pattern the product uses. `xxpsk0` makes vectors for it
in the same format, from keys that are hashes of their names; `tests/vectors/crosscheck_noise.py` has
another implementation judge them.
"""

import json
import re
import sys
from collections.abc import Iterator
from hashlib import blake2b
from itertools import cycle
from pathlib import Path
from typing import Any

from meshd.crypto import x25519_keypair
from meshd.errors import PeerError
from meshd.noise import XXPSK0, CipherState, HandshakeState, Pattern

# name: initiator's and responder's keys known beforehand, then the messages in turn
_PATTERNS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "N": ("", "s", ("e es",)),
    "K": ("s", "s", ("e es ss",)),
    "X": ("", "s", ("e es s ss",)),
    "NN": ("", "", ("e", "e ee")),
    "NK": ("", "s", ("e es", "e ee")),
    "NX": ("", "", ("e", "e ee s es")),
    "XN": ("", "", ("e", "e ee", "s se")),
    "XK": ("", "s", ("e es", "e ee", "s se")),
    "XX": ("", "", ("e", "e ee s es", "s se")),
    "KN": ("s", "", ("e", "e ee se")),
    "KK": ("s", "s", ("e es ss", "e ee se")),
    "KX": ("s", "", ("e", "e ee se s es")),
    "IN": ("", "", ("e s", "e ee se")),
    "IK": ("", "s", ("e es s ss", "e ee se")),
    "IX": ("", "", ("e s", "e ee se s es")),
    "NK1": ("", "s", ("e", "e ee es")),
    "NX1": ("", "", ("e", "e ee s", "es")),
    "X1N": ("", "", ("e", "e ee", "s", "se")),
    "X1K": ("", "s", ("e es", "e ee", "s", "se")),
    "XK1": ("", "s", ("e", "e ee es", "s se")),
    "X1K1": ("", "s", ("e", "e ee es", "s", "se")),
    "X1X": ("", "", ("e", "e ee s es", "s", "se")),
    "XX1": ("", "", ("e", "e ee s", "es s se")),
    "X1X1": ("", "", ("e", "e ee s", "es s", "se")),
    "K1N": ("s", "", ("e", "e ee", "se")),
    "K1K": ("s", "s", ("e es", "e ee", "se")),
    "KK1": ("s", "s", ("e", "e ee se es")),
    "K1K1": ("s", "s", ("e", "e ee es", "se")),
    "K1X": ("s", "", ("e", "e ee s es", "se")),
    "KX1": ("s", "", ("e", "e ee se s", "es")),
    "K1X1": ("s", "", ("e", "e ee s", "se es")),
    "I1N": ("", "", ("e s", "e ee", "se")),
    "I1K": ("", "s", ("e es s", "e ee", "se")),
    "IK1": ("", "s", ("e s", "e ee se es")),
    "I1K1": ("", "s", ("e s", "e ee es", "se")),
    "I1X": ("", "", ("e s", "e ee s es", "se")),
    "IX1": ("", "", ("e s", "e ee se s", "es")),
    "I1X1": ("", "", ("e s", "e ee s", "se es")),
}
_PROTOCOL = re.compile(r"Noise_([A-Z0-9]+)((?:psk\d(?:\+psk\d)*)?)_25519_ChaChaPoly_BLAKE2b")


class Mismatch(Exception):
    """What came out is not what the vector says."""


def pattern(protocol_name: str) -> Pattern | None:
    """The pattern of a protocol name with its psk modifiers applied; None for a suite or pattern not known
    here.
    """
    match = _PROTOCOL.fullmatch(protocol_name)
    if match is None or match[1] not in _PATTERNS:
        return None
    initiator, responder, messages = _PATTERNS[match[1]]
    tokens = list(messages)
    for place in map(int, re.findall(r"psk(\d)", match[2])):
        if place == 0:  # before the first message's tokens; else after those of message `place`
            tokens[0] = f"psk {tokens[0]}"
        elif place <= len(tokens):
            tokens[place - 1] += " psk"
        else:
            return None
    return Pattern(match[1] + match[2], initiator, responder, tuple(tokens))


def check(vector: dict[str, Any], pattern: Pattern) -> None:
    """Plays one vector on both sides; Mismatch or PeerError says where it went wrong."""
    initiator, responder = (_side(vector, pattern, role) for role in ("init", "resp"))
    ciphers: dict[HandshakeState, tuple[CipherState, CipherState]] = {}
    one_way = len(pattern.messages) == 1
    for number, message in enumerate(vector["messages"]):
        writer, reader = (initiator, responder) if one_way or number % 2 == 0 else (responder, initiator)
        payload, expected = bytes.fromhex(message["payload"]), bytes.fromhex(message["ciphertext"])
        if number < len(pattern.messages):
            ciphertext = writer.write_message(payload)
            arrived = reader.read_message(expected)
        else:
            ciphertext = ciphers[writer][0].encrypt_with_ad(b"", payload)
            arrived = ciphers[reader][1].decrypt_with_ad(b"", expected)
        if ciphertext != expected:
            raise Mismatch(f"message {number}: ciphertext {ciphertext.hex()}")
        if arrived != payload:
            raise Mismatch(f"message {number}: payload {arrived.hex()}")
        if initiator.done and responder.done and not ciphers:
            ciphers = {side: side.split() for side in (initiator, responder)}
            expected_hash = vector.get("handshake_hash", initiator.h.hex())
            if not initiator.h.hex() == responder.h.hex() == expected_hash:
                raise Mismatch(f"handshake hash {initiator.h.hex()}")
    if not ciphers:
        raise Mismatch("the vector ends before the handshake does")


def _side(vector: dict[str, Any], pattern: Pattern, role: str) -> HandshakeState:
    def key(name: str) -> bytes | None:
        return bytes.fromhex(vector[f"{role}_{name}"]) if f"{role}_{name}" in vector else None

    static = key("static")
    return HandshakeState(
        pattern,
        initiator=role == "init",
        prologue=key("prologue") or b"",
        s=x25519_keypair(static) if static else None,
        ephemeral_secret=key("ephemeral"),
        rs=key("remote_static"),
        psks=tuple(map(bytes.fromhex, vector.get(f"{role}_psks", ()))),
    )


def run(path: Path) -> Iterator[str]:
    """One line for each vector that fails, then `N passed, N failed, N skipped`."""
    passed = failed = skipped = 0
    for number, vector in enumerate(json.loads(path.read_text())["vectors"]):
        name = vector.get("protocol_name") or vector.get("name", "")
        known = pattern(name)
        if known is None:
            skipped += 1
            continue
        try:
            check(vector, known)
            passed += 1
        except (Mismatch, PeerError, ValueError, KeyError, TypeError) as error:
            failed += 1
            yield f"vector {number}, {name}: {error}"
    yield f"{passed} passed, {failed} failed, {skipped} skipped"


def xxpsk0() -> dict[str, Any]:
    """Our own vectors: whole XXpsk0 conversations, and keys with what `rekey` makes of them."""
    return {
        "vectors": [
            # A link as it is: a challenge in the prologue, nothing in the handshake, padded records.
            _conversation(
                "link", b"meshd/1" + _bytes("challenge", 32), [b"", b"", b"", bytes(256), bytes(1024)]
            ),
            _conversation("payloads", b"", [b"one", b"two", b"three", b"four", b"five", b""]),
            _conversation("long", b"p" * 300, [_bytes(str(n), 64) * n for n in (1, 3, 9, 16, 32)]),
        ],
        "rekey": [
            {"key": _bytes(name, 32).hex(), "next_key": _rekeyed(_bytes(name, 32)).hex()} for name in "ab"
        ],
    }


def _bytes(name: str, size: int) -> bytes:
    return blake2b(f"meshd noise vector {name}".encode(), digest_size=size).digest()


def _rekeyed(key: bytes) -> bytes:
    cipher = CipherState(key)
    cipher.rekey()
    return cipher.k or b""


def _conversation(name: str, prologue: bytes, payloads: list[bytes]) -> dict[str, Any]:
    vector: dict[str, Any] = {"protocol_name": f"Noise_{XXPSK0.name}_25519_ChaChaPoly_BLAKE2b"}
    for role in ("init", "resp"):
        vector[f"{role}_prologue"] = prologue.hex()
        vector[f"{role}_psks"] = [_bytes(f"{name} psk", 32).hex()]
        vector[f"{role}_ephemeral"] = _bytes(f"{name} {role} ephemeral", 32).hex()
        vector[f"{role}_static"] = _bytes(f"{name} {role} static", 32).hex()
    sides = [_side(vector, XXPSK0, role) for role in ("init", "resp")]
    senders: dict[HandshakeState, CipherState] = {}
    vector["messages"] = []
    for payload, (writer, reader) in zip(payloads, cycle((sides, sides[::-1])), strict=False):
        if not writer.done:
            ciphertext = writer.write_message(payload)
            reader.read_message(ciphertext)
            if writer.done:
                vector["handshake_hash"] = writer.h.hex()
                senders = {side: side.split()[0] for side in sides}
        else:
            ciphertext = senders[writer].encrypt_with_ad(b"", payload)
        vector["messages"].append({"payload": payload.hex(), "ciphertext": ciphertext.hex()})
    return vector


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("usage: scripts/vectors noise FILE", file=sys.stderr)
        return 2
    try:
        lines = list(run(Path(arguments[0])))
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"{arguments[0]}: not a file of Noise vectors ({error})", file=sys.stderr)
        return 2
    print("\n".join(lines))
    return 0 if " 0 failed" in lines[-1] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
