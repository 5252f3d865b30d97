"""Has another implementation of Noise judge `noise-xxpsk0.json`. Run by a person, in its own environment:

    python3 -m venv /tmp/crosscheck
    /tmp/crosscheck/bin/pip install noiseprotocol
    /tmp/crosscheck/bin/python tests/vectors/crosscheck_noise.py

It imports nothing of meshd: what is compared is the file. Each vector is played with that implementation on
*both* sides, so every key, payload, ciphertext, handshake hash and transport record in it is what the other
one computes, and so is each rekeyed key. Exits 1 if a byte differs.
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

from noise.connection import Keypair, NoiseConnection

DOCUMENT = json.loads(Path(__file__).with_name("noise-xxpsk0.json").read_text())


def connection(vector, role):
    side = NoiseConnection.from_name(vector["protocol_name"].encode())
    side.set_as_initiator() if role == "init" else side.set_as_responder()
    side.set_prologue(bytes.fromhex(vector[f"{role}_prologue"]))
    side.set_psks(psks=[bytes.fromhex(psk) for psk in vector[f"{role}_psks"]])
    side.set_keypair_from_private_bytes(Keypair.STATIC, bytes.fromhex(vector[f"{role}_static"]))
    side.set_keypair_from_private_bytes(Keypair.EPHEMERAL, bytes.fromhex(vector[f"{role}_ephemeral"]))
    side.start_handshake()
    return side


def differences(vector):
    writer, reader = connection(vector, "init"), connection(vector, "resp")
    for number, message in enumerate(vector["messages"]):
        payload = bytes.fromhex(message["payload"])
        if writer.handshake_finished:
            ciphertext = bytes(writer.encrypt(payload))
            arrived = bytes(reader.decrypt(ciphertext))
        else:
            ciphertext = bytes(writer.write_message(payload))
            arrived = bytes(reader.read_message(ciphertext))
        if ciphertext.hex() != message["ciphertext"] or arrived != payload:
            yield f"message {number} differs"
        writer, reader = reader, writer
    if not writer.get_handshake_hash().hex() == reader.get_handshake_hash().hex() == vector["handshake_hash"]:
        yield "handshake hash differs"


def rekey_differs(entry):
    side = connection(DOCUMENT["vectors"][0], "init")
    cipher = side.noise_protocol.cipher_class()
    cipher.initialize(bytes.fromhex(entry["key"]))
    return cipher.rekey(bytes.fromhex(entry["key"])).hex() != entry["next_key"]


def main():
    failures = [
        f"vector {number}: {difference}"
        for number, vector in enumerate(DOCUMENT["vectors"])
        for difference in differences(vector)
    ]
    failures += [
        f"rekey {number} differs" for number, entry in enumerate(DOCUMENT["rekey"]) if rekey_differs(entry)
    ]
    print("\n".join(failures) or "every byte agrees", file=sys.stderr if failures else sys.stdout)
    judges = ", ".join(f"{package} {version(package)}" for package in ("noiseprotocol", "cryptography"))
    counts = f"{len(DOCUMENT['vectors'])} conversations, {len(DOCUMENT['rekey'])} rekeyed keys"
    print(f"{counts}, {len(failures)} differences ({judges})")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
