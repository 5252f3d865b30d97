"""The vectors and the code agree, both ways: the code writes the files, and takes and refuses what they say."""

import json
from pathlib import Path

import pytest

from meshd import card, codec, crypto, envelope, ids, invite, post, words
from meshd.crypto import x25519_keypair
from meshd.errors import CallerError, PeerError
from meshd.events import Now
from meshd.exchange import Exchange
from meshd.hlc import Clock
from meshd.ids import Address
from meshd.limits import REKEY_RECORDS
from meshd.meshtime import MeshTime
from meshd.net.mdns import read_packet
from meshd.noise import CipherState
from meshd.proto import message as msg
from meshd.proto.frame import FrameReader, FrameWriter
from meshd.proto.session import Session, State
from meshd.store import bundle
from scripts import vectors, vectors_link, vectors_posts, vectors_session
from tests import independent_time
from tests.wire_vectors import b, folder, load, named


@pytest.mark.parametrize("name", vectors.FILES)
def test_the_code_writes_this_file(name):
    written = vectors.text(vectors.FILES[name])
    same = (folder / name).read_text() == written
    assert same, "run scripts/vectors and review the change of the protocol"


def test_no_other_files():
    assert sorted(path.name for path in folder.glob("*.json")) == sorted(vectors.FILES)


# --- names ---


@pytest.mark.parametrize("vector", named(load("hashes.json")["channels"]))
def test_channel_name(vector):
    assert ids.channel_name(vector["typed"]) == vector["canonical"]
    assert ids.channel_name(vector["canonical"]) == vector["canonical"]


@pytest.mark.parametrize("vector", named(load("hashes.json")["refused_channels"]))
def test_refused_channel_name(vector):
    with pytest.raises(CallerError):
        ids.channel_name(vector["typed"])


def test_words():
    for vector in load("hashes.json")["words"]:
        assert words.words_to_bits(vector["words"]) == int(vector["hash"], 16) >> (256 - 132)


def test_invites():
    vector = load("invites.json")
    for valid in vector["valid"] + vector["taken_too"]:
        assert invite.decode(valid["invite"]).hex() == valid["network_key"]


@pytest.mark.parametrize("vector", named(load("invites.json")["refused"]))
def test_refused_invite(vector):
    with pytest.raises(CallerError):
        invite.decode(vector["invite"])


def test_cards():
    vector = load("cards.json")
    for valid in vector["valid"] + vector["taken_too"]:
        made = card.decode(valid["card"])
        assert (made.identity.hex(), made.day, made.inbox_key.hex(), made.announced.hex()) == (
            valid["identity"], valid["day"], valid["inbox_key"], valid["announced"],
        )  # fmt: skip


@pytest.mark.parametrize("vector", named(load("cards.json")["refused"]))
def test_refused_card(vector):
    with pytest.raises(CallerError):
        card.decode(vector["card"])


@pytest.mark.parametrize("vector", named(load("bundles.json")["files"]))
def test_bundle(vector):
    for size in (1, 7, 10_000):  # the pieces it is read in
        reader = bundle.Reader(b(load("bundles.json")["network_key"]))
        content = b(vector["bundle"])
        found = [raw for at in range(0, len(content), size) for raw in reader.feed(content[at : at + size])]
        reader.close()
        assert ([raw.hex() for raw in found], reader.whole) == (vector["entries"], vector["whole"])


@pytest.mark.parametrize("vector", named(load("bundles.json")["refused"]))
def test_refused_bundle(vector):
    reader = bundle.Reader(b(load("bundles.json")["network_key"]))
    with pytest.raises(CallerError):
        reader.feed(b(vector["bundle"]))
        reader.close()


def test_discovery():
    vector = load("discovery.json")
    heard = read_packet(b(vector["announcement"]))
    assert heard is not None and not heard.query
    assert heard.pointers == {vector["instance"]: 120}
    assert heard.services == {vector["instance"]: (f"{vector['host']}.local.", vector["port"], 120)}
    assert heard.tags == {vector["instance"]: vector["tag"]}
    assert vector["tag"] == ids.discovery_tag(b(vector["network_key"]), vector["instance"])
    left = read_packet(b(vector["goodbye"]))
    assert left is not None and left.pointers == {vector["instance"]: 0}
    for each in vector["dialled"]:
        assert ids.dialable(Address.parse(each["address"])) == each["may_be_dialled"], each


# --- encoding, posts, envelopes, time ---

TYPES = {"int": int, "bytes": bytes, "text": str}


def test_encoding():
    for vector in load("encoding.json")["valid"]:
        kinds = [next(iter(slot)) for slot in vector["slots"]]
        values = [b(v) if k == "bytes" else v for slot in vector["slots"] for k, v in slot.items()]
        schema = tuple(TYPES[kind] for kind in kinds)
        assert codec.unpack(b(vector["bytes"]), schema, 70_000) == tuple(values)
    for vector in load("encoding.json")["long"]:
        raw = b(vector["begins"]).ljust(vector["size"], b"\0")
        assert codec.unpack(raw, (bytes,), 70_000) == (bytes(vector["zeros"]),)
        with pytest.raises(PeerError):
            codec.unpack(raw, (bytes,), vector["size"] - 1)
    for vector in load("encoding.json")["lists"]["valid"]:
        assert codec.split(b(vector["bytes"])) == [b(element) for element in vector["elements"]]
    for raw in load("encoding.json")["lists"]["refused"]:
        with pytest.raises(PeerError):
            codec.split(b(raw))


@pytest.mark.parametrize("vector", named(load("encoding.json")["refused"]))
def test_refused_encoding(vector):
    with pytest.raises(PeerError):
        codec.unpack(b(vector["bytes"]), tuple(TYPES[kind] for kind in vector["slots"]), 70_000)


@pytest.mark.parametrize("vector", named(load("posts.json")["valid"]))
def test_post(vector):
    signed = b(vector["signed"])
    parsed = post.parse(signed)
    assert {k: vector[k] for k in parsed._fields} == {
        k: v.hex() if isinstance(v, bytes) else v for k, v in parsed._asdict().items()
    }
    assert post.post_id(signed).hex() == vector["id"]
    assert crypto.verify(*post.check(parsed, b(vector["id"]), b(vector["signature"])))


@pytest.mark.parametrize("vector", named(load("posts.json")["refused"]))
def test_refused_post(vector):
    with pytest.raises(PeerError):
        post.parse(b(vector["signed"]))


@pytest.mark.parametrize("vector", named(load("posts.json")["hidden_bodies"]))
def test_hidden_body(vector):
    assert post.parse_text(b(vector["body"])) is None


@pytest.fixture(scope="module")
def carry(tmp_path_factory):
    carry = vectors_posts.empty_carry(str(tmp_path_factory.mktemp("carry")))
    yield carry
    carry.close()


@pytest.mark.parametrize("vector", named(load("envelopes.json")["judged"]))
def test_envelope(vector, carry):
    assert vectors_posts.verdict(carry, b(vector["envelope"]), vector["wall_ms"]) == vector["does"]


def test_no_bit_of_an_envelope_can_be_flipped():
    """C10: flipped, it is refused, dropped, or the same post under a signature that does not verify."""
    raw = b(load("envelopes.json")["judged"][0]["envelope"])
    for place in range(len(raw) * 8):
        flipped = bytearray(raw)
        flipped[place // 8] ^= 1 << place % 8
        try:
            parsed = envelope.parse(bytes(flipped))
        except PeerError:
            continue
        assert parsed is None or not crypto.verify(*envelope.check(parsed)), place


def test_time():
    clock = Clock()
    for step in load("time.json")["clock"]:
        if step["act"] == "stamp":
            assert clock.stamp(step["wall_ms"]) == step["last"]
        else:
            clock.observe(step["seen"], step["wall_ms"])
        assert clock.last == step["last"], step["name"]
    exchange = Exchange.__new__(Exchange)
    for each in load("time.json")["hours"]:
        assert exchange.floor_hour(Now(0, each["wall_ms"])) == each["floor_hour"]


@pytest.mark.parametrize("vector", named(load("time.json")["mesh_time"]))
def test_mesh_time(vector):
    wall_ms, mono_ms, hellos = vector["wall_ms"], vector["mono_ms"], vector["hellos"]
    time = MeshTime(Now(0, wall_ms), vector["last_known_ms"], build_ms=vector["released_ms"])
    for peer, (at_ms, hour, is_contact) in enumerate(hellos):
        time.heard(peer, hour, at_ms, is_contact=is_contact)
    read = time.read(Now(mono_ms, wall_ms + mono_ms))
    found = time.state, read.wall_ms if time.is_known else None
    assert found == (vector["state"], vector["mesh_ms"])
    assert found == independent_time.mesh_time(
        vector["released_ms"], vector["last_known_ms"], wall_ms, hellos, mono_ms
    )


# --- the link ---


@pytest.mark.parametrize("vector", named(load("handshake.json")["refused"]))
def test_refused_handshake(vector):
    with pytest.raises(PeerError):
        vectors_link.receive(vector["for_message"], b(vector["message"]))


@pytest.mark.parametrize("vector", [v for v in named(load("frames.json")["sent"]) if "frames" in v.values[0]])
def test_frames(vector):
    reader = FrameReader(CipherState(b(vector["key"])))
    got = [message for frame in vector["frames"] if (message := reader.read(b(frame)[2:])) is not None]
    expected = [vectors_link.content(each["size"]) for each in vector["messages"]]
    assert sorted(got) == sorted(expected)
    assert (reader._cipher.k or b"").hex() == vector["key_after"]


def test_frames_taken_too():
    for vector in load("frames.json")["taken_too"]:
        read = FrameReader(CipherState(b(vector["key"]))).read(b(vector["record"]))
        assert read == (None if vector["message"] is None else b(vector["message"]))


@pytest.mark.parametrize("vector", named(load("frames.json")["refused"]))
def test_refused_record(vector):
    with pytest.raises(PeerError):
        FrameReader(CipherState(b(vector["key"]))).read(b(vector["record"]))


def test_the_last_record_under_a_key_says_so():
    """Too long for a file: record 2^15 is taken with the rekey flag, and refused without."""
    for late in (0, 1):
        writer = FrameWriter(CipherState(bytes(32)), 0, rekey_records=REKEY_RECORDS + late)
        reader = FrameReader(CipherState(bytes(32)))
        reader._records = writer._records = REKEY_RECORDS - 1
        writer.queue(b"last", 0)
        (frame,) = writer.frames(2**20, 0)
        if late:
            with pytest.raises(PeerError):
                reader.read(frame[2:])
        else:
            assert reader.read(frame[2:]) == b"last"


@pytest.mark.parametrize("vector", named(load("messages.json")["valid"]))
def test_message(vector):
    decoded = msg.decode(b(vector["bytes"]))
    assert decoded is not None
    shown = vectors_session.shown(decoded)
    assert {key: vector[key] for key in shown} == shown
    assert msg.encode(decoded).hex() == vector["bytes"]
    assert msg.lane(decoded) == vector["lane"]


def test_unknown_messages():
    for vector in load("messages.json")["dropped"]:
        assert msg.decode(b(vector["bytes"])) is None
    for vector in load("messages.json")["answered_with_bye_1"]:
        hello = msg.decode(b(vector["bytes"]))
        assert isinstance(hello, msg.Hello) and msg.VERSION not in hello.versions


@pytest.mark.parametrize("vector", named(load("messages.json")["refused"]))
def test_refused_message(vector):
    with pytest.raises(PeerError):
        msg.decode(b(vector["bytes"]))


@pytest.mark.parametrize("vector", named(load("messages.json")["refused_too_many"]))
def test_too_many(vector):
    unit = 20 if vector["name"] == "have" else 16
    assert msg.decode(codec.pack(*vector["slots"], bytes(vector["zeros"] - unit)))  # at the limit
    with pytest.raises(PeerError):
        msg.decode(codec.pack(*vector["slots"], bytes(vector["zeros"])))


@pytest.mark.parametrize("pieces", [1, 7, 100_000])
@pytest.mark.parametrize("role", ["dialler", "acceptor"])
def test_session_replayed(role, pieces):
    """One side of the recorded session, fed with the other's bytes in pieces of any size."""
    vector = load("session.json")
    recorded = vectors_session.Recording()
    side = recorded.dialler if role == "dialler" else recorded.acceptor
    session: Session = side.session
    assert session._static == x25519_keypair(b(vector[role]["static_secret"]))
    for chunk in vector["chunks"]:
        content = b(chunk["bytes"])
        if chunk["from"] == role:
            continue
        got = []
        for start in range(0, len(content), pieces):
            got += list(session.receive(content[start : start + pieces], 0))
        assert [vectors_session.shown(each) for each in got] == chunk["messages"]
        session.take_output(0)  # what this side says by itself; what it was told to say is left out here
    assert session.handshake_hash.hex() == vector["handshake_hash"]
    assert session.state is State.OPEN


def test_session_ends_when_one_bit_is_flipped():
    vector = load("session.json")
    for number, chunk in enumerate(vector["chunks"]):
        side = vectors_session.Recording()
        role = "acceptor" if chunk["from"] == "dialler" else "dialler"
        session = side.dialler.session if role == "dialler" else side.acceptor.session
        before = [b(c["bytes"]) for c in vector["chunks"][:number] if c["from"] != role]
        for content in before:
            list(session.receive(content, 0))
        flipped = bytearray(b(chunk["bytes"]))
        flipped[-1] ^= 1
        if number == 0:  # a challenge is any 32 bytes: it is the answer to message 1 that will not come
            continue
        with pytest.raises(PeerError):
            list(session.receive(bytes(flipped), 0))


def test_vector_files_are_text_that_any_language_reads():
    for path in sorted(Path(folder).glob("*.json")):
        assert path.read_bytes().isascii() and json.loads(path.read_text())
