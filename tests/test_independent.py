"""protocol.md is enough: a reader written from it alone (`independent`) agrees with every vector.

What it does not cover: mDNS packets, timers, and who dials (prose, checked by `test_discovery`, `test_node` and the
laboratory). `test_independent_peer` has it talk with a node.
"""

import ast
import sys
from pathlib import Path

import pytest

from tests import independent as other
from tests import independent_bundle
from tests import independent_contacts as contacts
from tests.wire_vectors import b, load, named

GROUND = {"nacl", "tests", *sys.stdlib_module_names}


def test_it_is_independent():
    for name in (
        "independent.py",
        "independent_reconcile.py",
        "independent_peer.py",
        "independent_bundle.py",
        "independent_contacts.py",
        "independent_directs.py",
        "independent_groups.py",
        "independent_plans.py",
        "independent_prekeys.py",
        "independent_sealed.py",
    ):
        tree = ast.parse((Path(__file__).parent / name).read_text())
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert [found for found in names if found.split(".")[0] not in GROUND] == []


def test_hashes():
    vector = load("hashes.json")
    key, tag = b(vector["network_key"]), vector["discovery"]
    assert other.H("meshd/1 network", key, size=16).hex() == vector["network_id"]
    assert other.H("meshd/1 link psk", key).hex() == vector["link_psk"]
    assert other.H("meshd/1 network invite", key)[:4].hex() == vector["invite_check"]
    assert other.H("meshd/1 discovery", key, tag["instance"].encode(), size=16).hex() == tag["tag"]
    assert other.post_id(b(vector["post"]["signed"])).hex() == vector["post"]["id"]
    assert other.blake2b(b"meshd/1 the open commons", digest_size=32).hexdigest() == vector["commons_key"]
    for each in vector["channels"]:
        name = each["canonical"].encode()
        made = other.H("meshd/1 public channel", b(vector["network_id"]), name, size=16)
        assert made.hex() == each["channel_id"]
    for each in vector["words"]:
        assert other.H("meshd/1 identity words", b(each["author"])).hex() == each["hash"]


def test_cards():
    vector = load("cards.json")
    for valid in vector["valid"] + vector["taken_too"]:
        said = b(valid["identity"]), valid["day"], b(valid["inbox_key"]), b(valid["announced"])
        assert contacts.card(valid["card"]) == said
    for refused in vector["refused"]:
        with pytest.raises(other.Close):
            contacts.card(refused["card"])


def test_recognition():
    vector = load("recognition.json")
    oak, elm = vector["identities"]
    for ours, theirs in ((oak, elm), (elm, oak)):
        pair = contacts.pair_secret(b(ours["seed"]), b(ours["identity"]), b(theirs["identity"]))
        assert pair == b(vector["pair_secret"])
    session = b(vector["handshake_hash"])
    for each in vector["tags"]:
        assert contacts.tag(pair, session, each["turn"]) == b(each["tag"])
    identities = {each["name"]: b(each["identity"]) for each in vector["identities"]}
    for each in vector["proofs"]:
        contacts.proof(identities[each["of"]], b(each["signature"]), session, each["direction"])
    for each in vector["refused"]:
        with pytest.raises(other.Close):
            contacts.proof(
                b(each["identity"]), b(each["signature"]), b(each["handshake_hash"]), each["direction"]
            )


def test_encoding():
    vector = load("encoding.json")
    for each in vector["valid"]:
        kinds = " ".join(next(iter(slot)) for slot in each["slots"])
        values = [b(v) if k == "bytes" else v for slot in each["slots"] for k, v in slot.items()]
        assert other.array(b(each["bytes"]), kinds, 70_000) == values
    for each in vector["long"]:
        raw = b(each["begins"]).ljust(each["size"], b"\0")
        assert other.array(raw, "bytes", 70_000) == [bytes(each["zeros"])]
    for each in vector["lists"]["valid"]:
        assert other.elements(b(each["bytes"])) == [b(element) for element in each["elements"]]
    for raw in vector["lists"]["refused"]:
        with pytest.raises(other.Close):
            other.elements(b(raw))


@pytest.mark.parametrize("vector", named(load("encoding.json")["refused"]))
def test_refused_encoding(vector):
    with pytest.raises(other.Close):
        other.array(b(vector["bytes"]), " ".join(vector["slots"]), 70_000)


@pytest.mark.parametrize("vector", named(load("posts.json")["valid"]))
def test_post(vector):
    found = other.post(b(vector["signed"]))
    for name, value in found._asdict().items():
        assert (value.hex() if isinstance(value, bytes) else value) == vector[name]
    assert other.post_id(b(vector["signed"])).hex() == vector["id"]
    assert other.signature_holds(found.author, b(vector["id"]), b(vector["signature"]))
    if vector["text"] is not None:
        name, reply_to, text = other.text_body(found.body) or ("", b"", "")
        assert {"name": name, "reply_to": reply_to.hex(), "text": text} == vector["text"]


@pytest.mark.parametrize("vector", named(load("posts.json")["refused"]))
def test_refused_post(vector):
    with pytest.raises(other.Close):
        other.post(b(vector["signed"]))


@pytest.mark.parametrize("vector", named(load("posts.json")["hidden_bodies"]))
def test_hidden_body(vector):
    assert other.text_body(b(vector["body"])) is None


@pytest.mark.parametrize("vector", named(load("envelopes.json")["judged"]))
def test_envelope(vector):
    try:
        found, key = other.envelope(b(vector["envelope"]), vector["wall_ms"])
        does = "new"
        assert (key.hex(), key[8:].hex()) == (vector["key"], vector["id"])
        assert (key[4:24].hex(), found.keep_until) == (vector["reference"], vector["expiry_hour"])
    except other.Drop:
        does = "drop"
    except other.Close:
        does = "close"
    assert does == vector["does"]


def test_time():
    clock = other.Clock()
    for step in load("time.json")["clock"]:
        if step["act"] == "stamp":
            clock.stamp(step["wall_ms"])
        else:
            clock.observe(step["seen"], step["wall_ms"])
        assert clock.last == step["last"], step["name"]
    for each in load("time.json")["hours"]:
        assert other.floor_hour(each["wall_ms"]) == each["floor_hour"]


def sides() -> dict[str, other.Handshake]:
    vector = load("handshake.json")
    keys = {name: b(pair["secret"]) for name, pair in vector["keys"].items()}
    psk = other.H("meshd/1 link psk", b(vector["network_key"]))
    return {
        role: other.Handshake(b(vector["challenge"]), psk, keys[f"{role}_static"], keys[f"{role}_ephemeral"])
        for role in ("dialler", "acceptor")
    }


def test_handshake():
    vector = load("handshake.json")
    both = sides()
    dialler, acceptor = both["dialler"], both["acceptor"]
    steps = (
        (dialler, dialler.write_1, acceptor.read_1),
        (acceptor, acceptor.write_2, dialler.read_2),
        (dialler, dialler.write_3, acceptor.read_3),
    )
    for (writer, write, read), expected in zip(steps, vector["messages"], strict=True):
        message = write()
        assert message.hex() == expected["message"]
        assert (writer.h.hex(), writer.ck.hex(), writer.k.hex()) == (
            expected["h"],
            expected["ck"],
            expected["k"],
        )
        read(message)
    assert dialler.h.hex() == acceptor.h.hex() == vector["handshake_hash"]
    keys = b(vector["dialler_sends_with"]), b(vector["acceptor_sends_with"])
    assert dialler.end() == acceptor.end() == keys


@pytest.mark.parametrize("vector", named(load("handshake.json")["refused"]))
def test_refused_handshake(vector):
    both = sides()
    dialler, acceptor, wrong = both["dialler"], both["acceptor"], b(vector["message"])
    if vector["for_message"] > 1:
        acceptor.read_1(dialler.write_1())
        answer = acceptor.write_2()
    with pytest.raises(other.Close):
        if vector["for_message"] == 1:
            acceptor.read_1(wrong)
            acceptor.write_2()
        elif vector["for_message"] == 2:
            dialler.read_2(wrong)
        else:
            dialler.read_2(answer)
            acceptor.read_3(wrong)


def test_frames():
    vector = load("frames.json")
    for each in vector["sent"]:
        if "frames" not in each:
            continue
        receiver = other.Receiver(b(each["key"]))
        got = [m for frame in each["frames"] if (m := receiver.record(b(frame)[2:])) is not None]
        expected = [bytes(i % 251 for i in range(m["size"])) for m in each["messages"]]
        assert sorted(got) == sorted(expected)
        assert (receiver.k.hex(), receiver.n) == (each["key_after"], each["records_after"])
    for each in vector["taken_too"]:
        found = other.Receiver(b(each["key"])).record(b(each["record"]))
        assert found == (None if each["message"] is None else b(each["message"]))
    for each in vector["next_key"]:
        assert other.next_key(b(each["key"])).hex() == each["next"]


@pytest.mark.parametrize("vector", named(load("frames.json")["refused"]))
def test_refused_record(vector):
    with pytest.raises(other.Close):
        other.Receiver(b(vector["key"])).record(b(vector["record"]))


def test_messages():
    vector = load("messages.json")
    for each in vector["valid"]:
        name, slots = other.message(b(each["bytes"]))
        shown = [slot.hex() if isinstance(slot, bytes) else slot for slot in slots]
        between = [v for k, v in each.items() if k not in ("name", "message", "lane", "bytes")]
        assert (name, shown) == (each["message"], between)
    for each in vector["dropped"]:
        with pytest.raises(other.Drop):
            other.message(b(each["bytes"]))
    for each in vector["answered_with_bye_1"]:
        with pytest.raises(other.ByeVersion):
            other.message(b(each["bytes"]))


@pytest.mark.parametrize("vector", named(load("messages.json")["refused"]))
def test_refused_message(vector):
    with pytest.raises(other.Close):
        other.message(b(vector["bytes"]))


def test_the_recorded_session_can_be_read():
    """From the secrets alone: the handshake again, then every record of both directions."""
    vector = load("session.json")
    psk = other.H("meshd/1 link psk", b(vector["network_key"]))
    dialler, acceptor = (
        other.Handshake(
            b(vector["challenge"]), psk, b(vector[r]["static_secret"]), b(vector[r]["ephemeral_secret"])
        )
        for r in ("dialler", "acceptor")
    )
    acceptor.read_1(dialler.write_1())
    dialler.read_2(acceptor.write_2())
    third = dialler.write_3()
    assert dialler.h.hex() == vector["handshake_hash"]
    receivers = dict(zip(("dialler", "acceptor"), map(other.Receiver, dialler.end()), strict=True))
    shown = [[entry["message"] for entry in chunk["messages"]] for chunk in vector["chunks"]]
    for number, chunk in enumerate(vector["chunks"][3:], start=3):
        frames = other.elements(b(chunk["bytes"]))
        if number == 3:
            assert frames.pop(0) == third
        raws = [m for frame in frames if (m := receivers[chunk["from"]].record(frame)) is not None]
        names = [name for name, _ in map(other.message, raws) if name not in ("ping", "pong")]
        assert sorted(names) == sorted(shown[number])
    assert receivers["dialler"].k != dialler.end()[0]  # the keys changed on the way


def test_bundles():
    vector = load("bundles.json")
    key = b(vector["network_key"])
    for each in vector["files"]:
        entries = [b(entry) for entry in each["entries"]]
        assert independent_bundle.read(key, b(each["bundle"])) == (entries, each["whole"]), each["name"]
        if each["whole"]:
            assert independent_bundle.write(key, b(vector["salt"]), entries) == b(each["bundle"])
    for each in vector["refused"]:
        with pytest.raises(other.Close):
            independent_bundle.read(key, b(each["bundle"]))
