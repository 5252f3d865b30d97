"""Bundles: envelopes in a file, carried by hand to where no link reaches (protocol.md, "Bundles").

    head    89 'meshd' 0d 0a ‖ u8 version (1) ‖ salt (16) ‖ tag (16)
    entry   u16 size (1 … ENVELOPE_SIZE_MAX) ‖ envelope                                 any number
    end     u16 0 ‖ u32 number of entries ‖ check (16)

The rule: nothing but envelopes, in the order of their keys, which is the same on every node: a bundle tells nothing
of who made it, when, or how the envelopes got there. The tag says to members of the network, and to nobody else,
which network it is of (another's envelopes verify as well as ours, and would only fill the disk); the random salt
keeps two bundles of one network from being told to be of one. The check is over all bytes before it and tells whether
the file is whole. What is cut off or damaged is read up to there: each envelope proves itself.

Only bytes here: who opens files is the daemon.
"""

import hashlib
from collections.abc import Iterable

from meshd.errors import CallerError, Code
from meshd.ids import LABEL_BUNDLE, LABEL_BUNDLE_CHECK, labelled
from meshd.limits import ENVELOPE_SIZE_MAX

MAGIC = b"\x89meshd\r\n"  # no text, and broken by whatever rewrites line ends
VERSION = 1
SALT_SIZE = 16
_HEAD_SIZE = len(MAGIC) + 1 + SALT_SIZE + 16
_END_SIZE = 2 + 4 + 16


def _head(network_key: bytes, salt: bytes) -> bytes:
    return MAGIC + bytes((VERSION,)) + salt + labelled(LABEL_BUNDLE, network_key, salt, size=16)


class _Check:
    """The hash over a bundle's bytes as they pass."""

    def __init__(self, network_key: bytes) -> None:
        self._hash = hashlib.blake2b(digest_size=16)
        self._hash.update(bytes((len(LABEL_BUNDLE_CHECK),)) + LABEL_BUNDLE_CHECK + network_key)

    def update(self, content: bytes) -> bytes:
        self._hash.update(content)
        return content

    def digest(self) -> bytes:
        return self._hash.digest()


class Writer:
    """Makes a bundle: `begin`, `add` any number of times, `end`; all return the bytes to write."""

    def __init__(self, network_key: bytes, salt: bytes) -> None:
        """`salt`: SALT_SIZE random bytes."""
        self._head = _head(network_key, salt)
        self._check = _Check(network_key)
        self.count = 0  # of envelopes

    def begin(self) -> bytes:
        """The head."""
        return self._check.update(self._head)

    def add(self, envelopes: Iterable[bytes]) -> bytes:
        """Entries."""
        entries = [len(raw).to_bytes(2, "big") + raw for raw in envelopes]
        self.count += len(entries)
        return self._check.update(b"".join(entries))

    def end(self) -> bytes:
        """The end."""
        counted = self._check.update(bytes(2) + self.count.to_bytes(4, "big"))
        return counted + self._check.digest()


class Reader:
    """Reads a bundle in pieces of any size."""

    def __init__(self, network_key: bytes) -> None:
        self._network_key = network_key
        self._check = _Check(network_key)
        self._buffer = b""
        self._count = 0
        self._began = False
        self.whole = False  # the end came, it fits what was before it, and nothing came after it
        self.ended = False  # nothing more is read: the end came, or what can't be

    def feed(self, content: bytes) -> list[bytes]:
        """The envelopes that these bytes complete. CallerError(invalid) if this is no bundle, (refused) if it is of
        another network; nothing was taken from it then."""
        if self.ended:
            self.whole &= not content
            return []
        self._buffer += content
        if not self._began and not self._begin():
            return []
        found: list[bytes] = []
        buffer, start = self._buffer, 0
        while len(buffer) - start >= 2 and (size := int.from_bytes(buffer[start : start + 2], "big")):
            if size > ENVELOPE_SIZE_MAX:
                self.ended = True
                break
            if len(buffer) - start < 2 + size:
                break
            found.append(buffer[start + 2 : start + 2 + size])
            start += 2 + size
        self._check.update(buffer[:start])
        self._count += len(found)
        self._buffer = buffer[start:]
        if self._buffer.startswith(bytes(2)) and len(self._buffer) >= _END_SIZE:
            self._check.update(self._buffer[:6])
            fits = self._buffer[2:6] == self._count.to_bytes(4, "big")
            self.whole = fits and self._buffer[6:] == self._check.digest()
            self.ended = True
        return found

    def close(self) -> None:
        """Nothing more comes. CallerError(invalid) if that was too little to be a bundle."""
        if not self._began:
            raise CallerError(Code.invalid, "this is no bundle: it is too short")

    def _begin(self) -> bool:
        """Take the head off, if it is there."""
        head = self._buffer[:_HEAD_SIZE]
        if not head.startswith(MAGIC[: len(head)]):
            raise CallerError(Code.invalid, "this is no bundle: it begins like something else")
        if len(head) > len(MAGIC) and head[len(MAGIC)] != VERSION:
            raise CallerError(Code.invalid, "this bundle was written by a newer meshd; use that one")
        if len(head) < _HEAD_SIZE:
            return False
        if head != _head(self._network_key, head[len(MAGIC) + 1 :][:SALT_SIZE]):
            raise CallerError(Code.refused, "this bundle is of another network; nothing was taken from it")
        self._check.update(head)
        self._buffer = self._buffer[_HEAD_SIZE:]
        self._began = True
        return True
