"""Makes messages.json and session.json: every kind of message, and a whole session of both directions.

Rule: the session is played by two of the product's own sessions from fixed keys, over real envelopes and a real
round. It names, for each chunk of bytes, who sent it and which messages it carries, so that another implementation can
read it with the keys given, or play either side of it.
"""

from collections.abc import Sequence
from typing import Any

from vectors_fixed import HOUR_MS, NETWORK_KEY, NOW_HOUR, NOW_MS, Vector, entropy, fixed, require_refusal
from vectors_posts import signed_by

from meshd import codec, envelope
from meshd.crypto import x25519_keypair
from meshd.ids import key_reference, link_psk
from meshd.limits import ENVELOPE_SIZE_MAX, EXPIRES_SOON_S, MESSAGE_SIZE_MAX, RECONCILE_FRAME_SIZE
from meshd.proto import message as msg
from meshd.proto.keyset import KeySet
from meshd.proto.reconcile import Initiator, respond
from meshd.proto.session import Session

_FLOOR = (NOW_MS + EXPIRES_SOON_S * 1000) // HOUR_MS + 1
_ENVELOPE = signed_by("oak")
_HELLO = msg.Hello(
    b"\1", 0, NOW_HOUR, _FLOOR, ENVELOPE_SIZE_MAX, MESSAGE_SIZE_MAX, 0, KeySet().fingerprint(0, 0)
)
_SHORT = fixed("short id", 16)
_REFERENCE = fixed("reference", 20)

_VALID: dict[str, msg.Message] = {
    "hello": _HELLO,
    "hello with more versions": _HELLO._replace(versions=b"\1\2\x7f"),
    "hello of a node that has something": _HELLO._replace(
        features=2**63 - 1, key_count=1, fingerprint=fixed("fp", 16)
    ),
    "tags": msg.Tags(fixed("tags", 1024)),
    "proof": msg.Proof(fixed("identity of proof"), fixed("signature of proof", 64)),
    "ping": msg.Ping(1),
    "pong": msg.Pong(2**63 - 1),
    "bye, shutting down": msg.Bye(msg.BYE_DONE),
    "bye, no common version": msg.Bye(msg.BYE_VERSION),
    "bye, a second link": msg.Bye(msg.BYE_DUPLICATE),
    "bye, no room": msg.Bye(msg.BYE_FULL),
    "bye, another network": msg.Bye(msg.BYE_MOVED),
    "bye for a reason of a later version": msg.Bye(77),
    "a question": msg.Reconcile(0, 1, _FLOOR, 0, Initiator(KeySet(), _FLOOR).probe()),
    "an answer": msg.Reconcile(1, 1, _FLOOR, 0, b"\x61"),
    "have one": msg.Have(0, _REFERENCE),
    "have two fresh ones": msg.Have(1, _REFERENCE * 2),
    "have one late one": msg.Have(2, _REFERENCE),
    "want": msg.Want(_SHORT),
    "give fresh": msg.Give(1, codec.join([_ENVELOPE])),
    "give what was asked for": msg.Give(0, codec.join([_ENVELOPE, signed_by("elm")])),
    "give nothing": msg.Give(0, b""),
    "gone": msg.Gone(_SHORT * 3),
    "push": msg.Push(1),
    "push no more": msg.Push(0),
    "a keyed question": msg.Keyed(0, 1, _REFERENCE, b"\xff" * 20, Initiator(KeySet()).probe()),
    "a keyed answer": msg.Keyed(1, 1, bytes(20), _REFERENCE, b"\x61"),
}
_UNKNOWN = {
    "kind 13": codec.pack(13, b"anything"),
    "kind 127": codec.pack(127),
    "kind 14, followed by what is no MessagePack": b"\x9f\x0e\xc1\xff",
}
# A hello without version 1 is answered with bye, whatever follows its versions.
_VERSIONS = {
    "hello of version 2 alone": codec.pack(0, b"\2", "all different"),
    "hello of 32 other versions": b"\x93\0\xc4\x20" + bytes(range(2, 34)) + b"\xc1",
}
_REFUSED = {
    "empty": b"",
    "one byte": b"\x91",
    "no array": b"\xc4\0",
    "an array head of 3 bytes": b"\xdc\0\2\2\1",
    "kind 128": b"\x92\xcc\x80\0",
    "a kind below zero": b"\x91\xff",
    "ping without its number": codec.pack(2),
    "ping with a slot too many": codec.pack(2, 1, 1),
    "ping with bytes": codec.pack(2, b"\1"),
    "ping with 2^63": b"\x92\2\xcf\x80" + bytes(7),
    "ping with 1 in two bytes": b"\x92\2\xcc\1",
    "a byte behind the end": codec.pack(2, 1) + b"\0",
    "hello without versions": codec.pack(*(0, b"", *_HELLO[1:])),
    "hello with 33 versions": codec.pack(*(0, bytes(range(1, 34)), *_HELLO[1:])),
    "hello with versions as bin 16": b"\x99\0\xc5\0\1\1" + codec.pack(*_HELLO[1:])[1:],
    "hello with versions cut": b"\x99\0\xc4\2\1",
    "hello without its fingerprint": codec.pack(*(0, *_HELLO[:-1])),
    "hello with a fingerprint of 15 bytes": codec.pack(*(0, *_HELLO[:-1], bytes(15))),
    "tags of 1 023 bytes": codec.pack(1, bytes(1023)),
    "tags of 1 025 bytes": codec.pack(1, bytes(1025)),
    "proof of an identity of 31 bytes": codec.pack(12, bytes(31), bytes(64)),
    "proof with a signature of 65 bytes": codec.pack(12, bytes(32), bytes(65)),
    "reconcile that is neither question nor answer": codec.pack(5, 2, 1, _FLOOR, 0, b"\x61"),
    "have nothing": codec.pack(6, 0, b""),
    "have of 21 bytes": codec.pack(6, 1, bytes(21)),
    "have without whether it is fresh": codec.pack(6, bytes(20)),
    "have that is neither fresh nor late": codec.pack(6, 3, bytes(20)),
    "want nothing": codec.pack(7, b""),
    "want of 15 bytes": codec.pack(7, bytes(15)),
    "give that is fresh twice": codec.pack(8, 2, b""),
    "gone nothing": codec.pack(9, b""),
    "gone of 17 bytes": codec.pack(9, bytes(17)),
    "push twice": codec.pack(10, 2),
    "keyed that is neither question nor answer": codec.pack(11, 2, 1, bytes(20), _REFERENCE, b"\x61"),
    "keyed from a reference of 19 bytes": codec.pack(11, 0, 1, bytes(19), _REFERENCE, b"\x61"),
    "keyed to a reference of 21 bytes": codec.pack(11, 0, 1, bytes(20), _REFERENCE + b"\0", b"\x61"),
    "keyed from a reference to the same": codec.pack(11, 0, 1, _REFERENCE, _REFERENCE, b"\x61"),
}
# Too long to print: one element over REFERENCES_MAX, all zeros.
_TOO_MANY = {"have": ((6, 1), 20 * 801), "want": ((7,), 16 * 801), "gone": ((9,), 16 * 801)}


def shown(message: msg.Message) -> dict[str, Any]:
    """A message as a document: its name and its slots, bytes as hex."""
    slots = {name: v.hex() if isinstance(v, bytes) else v for name, v in message._asdict().items()}
    return {"message": type(message).__name__.lower(), **slots}


def messages() -> Vector:
    """What messages.json holds."""
    for raw in _REFUSED.values():
        require_refusal(msg.decode, raw)
    for slots, size in _TOO_MANY.values():
        require_refusal(msg.decode, codec.pack(*slots, bytes(size)))
    return {
        "valid": [
            {"name": name, **shown(message), "lane": msg.lane(message), "bytes": msg.encode(message).hex()}
            for name, message in _VALID.items()
        ],
        "dropped": [{"name": name, "bytes": raw.hex()} for name, raw in _UNKNOWN.items()],
        "answered_with_bye_1": [{"name": name, "bytes": raw.hex()} for name, raw in _VERSIONS.items()],
        "refused": [{"name": name, "bytes": raw.hex()} for name, raw in _REFUSED.items()],
        "refused_too_many": [
            {"name": name, "slots": list(slots), "zeros": size} for name, (slots, size) in _TOO_MANY.items()
        ],
    }


# --- a whole session ---


class _Side:
    """A session and what it holds."""

    def __init__(self, role: str, authors: Sequence[str]) -> None:
        self.role = role
        self.raws = {raw: parsed.key for raw in map(signed_by, authors) if (parsed := envelope.parse(raw))}
        self.keyset = KeySet(self.raws.values())
        self.session = Session(
            dialled=role == "dialler",
            static=x25519_keypair(fixed(f"session {role} static")),
            psk=link_psk(NETWORK_KEY),
            entropy=entropy(f"session {role}"),
            mono_ms=0,
            greeting=self.greeting,
            rekey_records=REKEY_RECORDS,
        )

    def greeting(self) -> tuple[msg.Message, ...]:
        count = len(self.keyset)
        hello = _HELLO._replace(key_count=count, fingerprint=self.keyset.fingerprint(0, count))
        return hello, msg.Tags(fixed(f"session {self.role} tags", 1024))


REKEY_RECORDS = 4  # of the recorded session, so that keys change in it


class Recording:
    """Two sides that talk, and what went over the wire."""

    def __init__(self) -> None:
        self.dialler = _Side("dialler", ("oak", "elm", "ash"))
        self.acceptor = _Side("acceptor", ("oak", "fir"))
        self.chunks: list[dict[str, Any]] = []

    def carry(self, sender: _Side, receiver: _Side) -> list[msg.Message]:
        """Move what one side wants to send to the other; the messages it makes there, pings aside."""
        content = sender.session.take_output(0)
        got = list(receiver.session.receive(content, 0))
        if any(isinstance(each, msg.Bye) for each in got):
            receiver.session.close()
        chunk = {"from": sender.role, "bytes": content.hex(), "messages": [shown(each) for each in got]}
        self.chunks.append({**chunk, "receiver_is": receiver.session.state.name})
        return got

    def say(self, sender: _Side, *said: msg.Message) -> list[msg.Message]:
        """Have one side say this to the other."""
        for each in said:
            sender.session.send(each)
        return self.carry(sender, self.acceptor if sender is self.dialler else self.dialler)

    def play(self) -> None:
        """The handshake, a round that finds three differences, their exchange, a ping, the end."""
        dialler, acceptor = self.dialler, self.acceptor
        self.carry(acceptor, dialler)  # challenge
        self.carry(dialler, acceptor)  # message 1
        self.carry(acceptor, dialler)  # message 2
        self.carry(dialler, acceptor)  # message 3, hello, tags
        self.carry(acceptor, dialler)  # hello, tags
        self.say(
            dialler, msg.Proof(fixed("dialler identity"), fixed("dialler signature", 64))
        )  # nobody is known
        self.say(acceptor, msg.Proof(fixed("acceptor identity"), fixed("acceptor signature", 64)))
        asking, asked = dialler.keyset, acceptor.keyset
        initiator = Initiator(asking, _FLOOR, RECONCILE_FRAME_SIZE)
        question: bytes | None = initiator.probe()
        lacked: list[bytes] = []
        while question is not None:
            self.say(dialler, msg.Reconcile(0, 1, _FLOOR, len(asking), question))
            answer = respond(asked, _FLOOR, question, RECONCILE_FRAME_SIZE)
            self.say(acceptor, msg.Reconcile(1, 1, _FLOOR, len(asked), answer))
            have, need, question = initiator.receive(answer)
            lacked += have
            if need:
                self.say(dialler, msg.Want(b"".join(short[: msg.SHORT_ID_SIZE] for short in need)))
        given = [raw for raw, key in dialler.raws.items() if key in lacked]
        wanted = [raw for raw, key in acceptor.raws.items() if key not in dialler.raws.values()]
        fresh = signed_by("yew")
        self.say(dialler, msg.Give(0, codec.join(given)))
        self.say(acceptor, _receipt(given), msg.Give(0, codec.join(wanted)))
        self.say(dialler, _receipt(wanted), msg.Give(1, codec.join([fresh])), msg.Want(_SHORT))
        self.say(acceptor, _receipt([fresh]), msg.Gone(_SHORT))
        self.say(dialler, msg.Ping(1))
        self.carry(acceptor, dialler)  # pong
        self.say(acceptor, msg.Bye(msg.BYE_DONE))


def _receipt(raws: Sequence[bytes]) -> msg.Have:
    keys = [parsed.key for raw in raws if (parsed := envelope.parse(raw))]
    return msg.Have(0, b"".join(map(key_reference, keys)))


def session() -> Vector:
    """What session.json holds."""
    recording = Recording()
    recording.play()
    sides = recording.dialler, recording.acceptor
    return {
        "network_key": NETWORK_KEY.hex(),
        "wall_ms": NOW_MS,
        "records_under_one_key": REKEY_RECORDS,
        "challenge": fixed("session acceptor 0").hex(),
        **{
            each.role: {
                "static_secret": fixed(f"session {each.role} static").hex(),
                "ephemeral_secret": fixed(f"session {each.role} {0 if each.role == 'dialler' else 1}").hex(),
                "envelopes": [raw.hex() for raw in each.raws],
            }
            for each in sides
        },
        "handshake_hash": recording.dialler.session.handshake_hash.hex(),
        "chunks": recording.chunks,
    }
