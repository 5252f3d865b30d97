"""The vectors of directs, read by the product's own parts and by the second reader that was made from the page."""

import pytest

from meshd import crypto, direct_receipts, envelope, post
from meshd.envelope import Sealed
from meshd.errors import PeerError
from meshd.groups import epochs, keyenvelope
from meshd.groups.dag import Dag, Status
from meshd.ids import direct_channel_id, inbox_channel_id
from meshd.keyring import Keyring, Opened
from tests import independent_directs as other
from tests.independent_sealed import Ignore
from tests.wire_vectors import b, load, named

VECTOR = load("directs.json")
OAK, ELM, DIRECT = b(VECTOR["sender"]), b(VECTOR["recipient"]), b(VECTOR["channel"])
SECRETS = {VECTOR["day"] + n: b(each) for n, each in enumerate(VECTOR["secrets"])}


def opened(keyring: Keyring, raw: bytes) -> tuple[Opened, int]:
    parsed = envelope.parse(raw)
    assert isinstance(parsed, Sealed)
    found = keyring.open(parsed)
    assert found is not None
    return found, parsed.expiry_hour


def inside(found: Opened, hour: int) -> envelope.SealedPost:
    read = envelope.read_post(found.content, channel=found.channel, epoch=found.epoch, expiry_hour=hour)
    assert crypto.verify_many([envelope.check(read)]) == [True]
    return read


def read(vector: dict[str, str]) -> str | None:
    """What elm reads, by the rules of `directs` and the parts that it is made of."""
    keyring = Keyring()
    keyring.add(inbox_channel_id(ELM), b"", VECTOR["day"], b(VECTOR["inbox_key"]))
    sealed = keyenvelope.parse(opened(keyring, b(vector["key_envelope"]))[0].content)
    key = sealed and keyenvelope.open(sealed, ELM, SECRETS.get)
    if key is None or key.channel != direct_channel_id(ELM, key.sender):
        return None
    assert (key.epoch, key.day, key.key) == (b(vector["epoch"]), vector["day"], b(vector["key"]))
    keyring.add(key.channel, key.epoch, key.day, key.key)
    try:
        begun = inside(*opened(keyring, b(vector["epoch_post"])))
        found, dag = epochs.parse(begun.post, begun.id), Dag(key.channel, None)
        if found is None or not dag.add(found) or dag.status(found.id) is not Status.valid:
            return None
        if not found.is_key(key.day, key.key):
            return None
        said = inside(*opened(keyring, b(vector["words"])))
    except PeerError:
        return None
    text = post.parse_text(said.post.body)
    return text.text if text and said.post.author == key.sender else None


@pytest.mark.parametrize("vector", named(VECTOR["begun"]) + named(VECTOR["ignored"]))
def test_first_words(vector):
    assert read(vector) == vector["text"]


@pytest.mark.parametrize("vector", named(VECTOR["begun"]) + named(VECTOR["ignored"]))
def test_first_words_by_the_second_reader(vector):
    own = other.Laptop(ELM, VECTOR["day"], b(VECTOR["inbox_key"]), SECRETS)
    raws = (b(vector[name]) for name in ("key_envelope", "epoch_post", "words"))
    if vector["text"] is None:
        with pytest.raises(Ignore):
            other.read(own, *raws, vector["now_ms"])
    else:
        assert other.read(own, *raws, vector["now_ms"]) == (OAK, vector["text"])


def test_receipts():
    for vector in VECTOR["receipts"]:
        ids = [b(each) for each in vector["ids"]]
        assert direct_receipts.parse(b(vector["body"])) == other.receipt(b(vector["body"])) == ids
    for vector in VECTOR["hidden_receipts"]:
        assert direct_receipts.parse(b(vector["body"])) == other.receipt(b(vector["body"])) == []


def test_the_channel_of_two():
    assert direct_channel_id(OAK, ELM) == direct_channel_id(ELM, OAK) == DIRECT
