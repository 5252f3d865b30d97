"""A second peer, written from protocol.md alone: it dials or accepts, and exchanges envelopes (see `independent`).

The rule: the least that interoperates. It says hello and tags, asks one round if it is its turn, answers questions,
gives and wants, acknowledges, answers pings. It passes nothing on and keeps no timers; it takes lane 0 and the smallest
fitting class for all it sends, which a sender may.
"""

from struct import pack

from tests import independent_reconcile as reconcile
from tests.independent import (
    Close,
    Drop,
    H,
    Handshake,
    Receiver,
    Sender,
    Slot,
    elements,
    envelope,
    floor_hour,
    message,
    require,
)

FRAME_LIMIT = 256 * 1024


def packed(*slots: int | bytes) -> bytes:
    """An array in strict encoding."""
    out = bytes([0x90 + len(slots)])
    for slot in slots:
        if isinstance(slot, bytes):
            heads, number = ((0x100, 0xC4, ">B"), (0x10000, 0xC5, ">H"), (2**32, 0xC6, ">I")), len(slot)
        elif slot < 128:
            out += bytes([slot])
            continue
        else:
            heads, number = ((0x100, 0xCC, ">B"), (0x10000, 0xCD, ">H"), (2**32, 0xCE, ">I")), slot
        for end, head, shape in heads:
            if number < end:
                out += bytes([head]) + pack(shape, number)
                break
        else:
            out += b"\xcf" + pack(">Q", number)
        out += slot if isinstance(slot, bytes) else b""
    return out


class Peer:
    """One side of one link, and the envelopes it holds by their keys."""

    def __init__(
        self, *, dials: bool, network_key: bytes, wall_ms: int, secrets: tuple[bytes, bytes]
    ) -> None:
        self.dials, self.wall_ms, self.secrets = dials, wall_ms, secrets
        self.psk = H("meshd/1 link psk", network_key)
        self.held: dict[bytes, bytes] = {}
        self.acknowledged: set[bytes] = set()
        self.heard: list[str] = []
        self.noise: Handshake | None = None
        self.receiver: Receiver | None = None
        self.sender: Sender | None = None
        self.step = 0
        self.buffer = b""
        self.greeted: tuple[int, int, Slot] = (0, 0, b"")  # floor hour, count and fingerprint of the hello
        self.challenge = b"" if dials else H("any 32 bytes")
        self.out = b"" if dials else pack(">H", 32) + self.challenge

    def hold(self, raw: bytes) -> bytes:
        """Take an envelope in; its key."""
        _, key = envelope(raw, self.wall_ms)
        self.held.setdefault(key, raw)
        return key

    def keys(self, floor: int) -> list[bytes]:
        return sorted(key for key in self.held if int.from_bytes(key[:8], "big") >= floor)

    def receive(self, content: bytes) -> bytes:
        """Bytes from the link; the bytes to send in turn. Close, where the page says so."""
        self.buffer += content
        while len(self.buffer) >= 2:
            size = int.from_bytes(self.buffer[:2], "big")
            if self.receiver is None:
                require(size == ((32, 96) if self.dials else (48, 64))[self.step])
            else:
                require(size in (272, 1040, 4112, 16_400))
            if len(self.buffer) < 2 + size:
                break
            frame, self.buffer = self.buffer[2 : 2 + size], self.buffer[2 + size :]
            self.frame(frame)
        out, self.out = self.out, b""
        return out

    def frame(self, frame: bytes) -> None:
        if self.receiver is None:
            self.shake(frame)
            return
        raw = self.receiver.record(frame)
        if raw is None:
            return
        try:
            name, slots = message(raw)
        except Drop:
            return
        require((name == "hello") == (not self.heard) or name == "bye")
        self.heard.append(name)
        self.act(name, slots)

    def shake(self, frame: bytes) -> None:
        self.step += 1
        if self.noise is None:
            self.noise = Handshake(self.challenge or frame, self.psk, *self.secrets)
        if self.dials and self.step == 1:
            self.emit(self.noise.write_1())
            return
        if self.dials:
            self.noise.read_2(frame)
            self.emit(self.noise.write_3())
        elif self.step == 1:
            self.noise.read_1(frame)
            self.emit(self.noise.write_2())
            return
        else:
            self.noise.read_3(frame)
        k1, k2 = self.noise.end()
        self.sender, self.receiver = Sender(k1 if self.dials else k2), Receiver(k2 if self.dials else k1)
        floor = floor_hour(self.wall_ms)
        keys = self.keys(floor)
        hour = self.wall_ms // 3_600_000
        self.say(0, b"\1", 0, hour, floor, 34_000, 524_288, len(keys), reconcile.print_of(keys))
        self.say(1, bytes(1024))

    def emit(self, frame: bytes) -> None:
        self.out += pack(">H", len(frame)) + frame

    def say(self, *slots: int | bytes) -> None:
        if self.sender is not None:
            self.out += self.sender.frames(packed(*slots), 0)

    def act(self, name: str, slots: list[Slot]) -> None:
        match name, slots:
            case "hello", [_, _, _, int(floor), _, _, int(count), print_]:
                self.greeted = floor, count, print_
            case "tags", [_]:
                self.say(12, H("whoever"), H("whatever") * 2)  # it knows nobody
                floor, count, print_ = self.greeted
                own = self.keys(floor_hour(self.wall_ms))
                theirs, ours = (count, print_), (len(own), reconcile.print_of(own))
                if theirs != ours and (len(own) > count or (len(own) == count and self.dials)):
                    self.floor = max(floor, floor_hour(self.wall_ms))
                    keys = self.keys(self.floor)
                    self.say(5, 0, 1, self.floor, len(keys), reconcile.opening(keys))
            case "ping", [int(number)]:
                self.say(3, number)
            case "reconcile", [0, int(number), int(floor), _, bytes(payload)]:
                keys = self.keys(floor)
                reply = reconcile.answer(keys, payload, FRAME_LIMIT)
                self.say(5, 1, number, floor_hour(self.wall_ms), len(keys), reply)
            case "reconcile", [1, 1, _, _, bytes(payload)]:
                self.answered(payload)
            case "keyed", [0, int(number), bytes(first), bytes(end), bytes(payload)] if (
                self.noise is not None
            ):
                keys = [key for key in sorted(self.held) if first <= key[4:24] < end]
                keyed = reconcile.keyed_with(self.noise.h)
                self.say(11, 1, number, first, end, reconcile.answer(keys, payload, FRAME_LIMIT, None, keyed))
            case "have", [int(), bytes(references)]:
                lacking = []
                for at in range(0, len(references), 20):
                    self.acknowledged.add(references[at : at + 20])
                    if not any(key[4:24] == references[at : at + 20] for key in self.held):
                        lacking.append(references[at + 4 : at + 20])
                if lacking:
                    self.say(7, b"".join(lacking))
            case "want", [bytes(ids)]:
                wanted = [ids[at : at + 16] for at in range(0, len(ids), 16)]
                self.give([raw for key, raw in self.held.items() if key[8:24] in wanted])
            case "give", [_, bytes(joined)]:
                before = set(self.held)
                keys = [self.hold(raw) for raw in elements(joined)]
                if new := [key[4:24] for key in keys if key not in before]:
                    self.say(6, 0, b"".join(new))
            case "bye", _:
                raise Close

    def answered(self, payload: bytes) -> None:
        """An answer to the one round this peer asks."""
        had: list[bytes] = []
        needed: list[bytes] = []
        keys = self.keys(self.floor)
        reply = reconcile.answer(keys, payload, FRAME_LIMIT, (had, needed))
        self.give([self.held[key] for key in had])
        if needed:
            self.say(7, b"".join(each[:16] for each in needed))
        if len(reply) > 1:
            self.say(5, 0, 1, self.floor, len(keys), reply)

    def give(self, raws: list[bytes]) -> None:
        for raw in raws:
            self.say(8, 0, pack(">H", len(raw)) + raw)
