"""Bundles once more, written from protocol.md ("Bundles") and from nothing else: what the vectors are held against."""

import io

from tests.independent import H, require

_BEGINNING = b"\x89meshd\r\n\x01"
_ENVELOPE_SIZE_MAX = 34_000


def write(network_key: bytes, salt: bytes, envelopes: list[bytes]) -> bytes:
    """A bundle of these envelopes, which stand in the order of their keys."""
    file = _BEGINNING + salt + H("meshd/1 bundle", network_key, salt, size=16)
    for envelope in envelopes:
        file += len(envelope).to_bytes(2, "big") + envelope
    file += bytes(2) + len(envelopes).to_bytes(4, "big")
    return file + H("meshd/1 bundle check", network_key, file, size=16)


def read(network_key: bytes, file: bytes) -> tuple[list[bytes], bool]:
    """The envelopes in a bundle, and whether it is whole; Close for a file that is refused whole."""
    stream = io.BytesIO(file)
    beginning, salt, tag = stream.read(len(_BEGINNING)), stream.read(16), stream.read(16)
    require(beginning == _BEGINNING and len(tag) == 16)
    require(tag == H("meshd/1 bundle", network_key, salt, size=16))
    envelopes: list[bytes] = []
    while True:
        size = int.from_bytes(stream.read(2).rjust(2, b"\xff"), "big")  # a cut one is over the limit
        if size > _ENVELOPE_SIZE_MAX:
            return envelopes, False
        if size == 0:
            break
        envelope = stream.read(size)
        if len(envelope) < size:
            return envelopes, False
        envelopes.append(envelope)
    count = int.from_bytes(stream.read(4), "big")
    check = H("meshd/1 bundle check", network_key, file[: stream.tell()], size=16)
    return envelopes, count == len(envelopes) and stream.read() == check
