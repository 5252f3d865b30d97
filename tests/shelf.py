"""A carry and its set, filled with made-up envelopes by hand."""

from pathlib import Path

import pytest

from meshd.eviction import Eviction
from meshd.ids import envelope_key
from meshd.proto.keyset import KeySet
from meshd.store.carry import Carry

KEY = b"c" * 32
SIZE = 100  # of a made-up envelope
PUBLIC, SEALED = 0, 1


class Shelf:
    """A carry and its set, filled with made-up envelopes by hand, with room for so many."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = path
        self.carry = Carry.create(path, KEY, bytes(32), "open", durable=False)
        self.open()
        self._monkeypatch = monkeypatch
        self.made = 0

    def open(self) -> None:
        self.keyset = KeySet(self.carry.keys())
        self.eviction = Eviction(self.carry, None, self.keyset)
        self.eviction._since = 0  # nothing is ours: as an open log would say

    def reopen(self) -> None:
        self.carry.close()
        self.carry = Carry(self.path, KEY, durable=False)
        self.open()

    def room(self, bodies: int, ids: int = 10**6) -> None:
        self._monkeypatch.setattr("meshd.eviction.CARRY_SIZE_MAX", bodies * SIZE)
        self._monkeypatch.setattr("meshd.eviction.CARRY_IDS_MAX", ids)

    def put(self, via: str, *hours: int, kind: int = PUBLIC, size: int = SIZE) -> list[bytes]:
        """Store an envelope for each expiry hour, after making room; their keys."""
        keys = []
        for hour in hours:
            self.made += 1
            keys.append(envelope_key(hour, self.made.to_bytes(4, "big") * 8))
            self.keyset.insert(keys[-1])
            self.eviction.make_room(size)
            self.carry.insert([(keys[-1], bytes((0x94, 1, kind)).ljust(size, b"."))], self.via(via))
        self.carry.commit()
        return keys

    def via(self, via: str) -> int:
        return self.carry.shares.ingress(via)

    def bodies(self, keys: list[bytes]) -> list[bool]:
        """Which of these have their bodies."""
        _, absent = self.carry.find([key[8:24] for key in keys])
        return [key[8:24] not in absent for key in keys]
