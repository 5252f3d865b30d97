"""Attack cases that a review of the design added (E): dates, other networks, junk under good ids, traces."""

import hashlib
import random
from pathlib import Path

import pytest
from nacl import bindings

from meshd import crypto, envelope, post
from meshd.events import Listening, NetworkChanged, Renew
from meshd.ids import key_reference, network_id, post_id, public_channel_id
from meshd.limits import GRAFT_MS
from meshd.proto import message as msg
from tests.homes import HERE, PLAZA, Home, Stranger, Table, key
from tests.wire import HOUR, Author

ORDER = 2**252 + 27742317777372353535851937790883648493  # of the group (RFC 8032, section 5.1)


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def signed_again(author_seed: bytes, signed: bytes) -> bytes:
    """A public envelope whose signature is good, and another one than the usual: its nonce was drawn."""
    identity = post_id(signed)
    told = post._SIGNATURE_PREFIX + identity
    public, _ = bindings.crypto_sign_seed_keypair(author_seed)
    scalar = bytearray(hashlib.sha512(author_seed).digest()[:32])
    scalar[0] &= 248
    scalar[31] = scalar[31] & 127 | 64
    nonce = random.Random(1).randrange(ORDER)
    point = bindings.crypto_scalarmult_ed25519_base_noclamp(nonce.to_bytes(32, "little"))
    hashed = int.from_bytes(hashlib.sha512(point + public + told).digest(), "little")
    proof = (nonce + hashed * int.from_bytes(scalar, "little")) % ORDER
    return envelope.seal_public(signed, point + proof.to_bytes(32, "little"))


def test_E01_a_post_that_is_dated_anew_is_refused(table: Table) -> None:
    oak = table.home()
    author = Author(3)
    raw = author.envelope()
    dated = post.encode(author.post(keep_until=HOUR + 25))
    parsed = envelope.parse(raw)
    assert parsed is not None
    stranger = Stranger(oak)
    table.settle()
    stranger.give(raw, envelope.seal_public(dated, parsed.signature))
    assert stranger.down == "the stream ended" and oak.raws() == [raw]


def test_E01_one_post_is_one_envelope_however_often_it_was_signed(table: Table) -> None:
    oak = table.home()
    oak.ask("channel.join", name="plaza")
    author = Author(3)
    signed = post.encode(author.post(channel=PLAZA))
    raw, other = author.seal(signed), signed_again(bytes((3,)) * 32, signed)
    again = envelope.parse(other)
    assert other != raw and key(other) == key(raw)
    assert again is not None and crypto.verify(*envelope.check(again))
    stranger = Stranger(oak)
    table.settle()
    stranger.give(raw, other)
    assert stranger.is_open and oak.raws() == [raw] and oak.texts() == ["hello"]


def test_E02_a_post_of_a_private_networks_plaza_is_none_of_the_commons(table: Table) -> None:
    oak = table.home()
    oak.ask("channel.join", name="plaza")
    private = public_channel_id(network_id(b"a private network's key".ljust(32)), "plaza")
    assert private != PLAZA
    stranger = Stranger(oak)
    table.settle()
    stranger.give(Author(3).envelope(channel=private), Author(4).envelope(channel=PLAZA))
    assert len(oak.raws()) == 2
    assert [row.author for row in oak.log.after(0, None, 10)] == [Author(4).key]


def test_E07_junk_under_a_good_id_keeps_the_good_one_out_nowhere(table: Table) -> None:
    oak = table.home()
    raw = Author(3).envelope(channel=PLAZA)
    parsed = envelope.parse(raw)
    assert parsed is not None
    junk = raw[:-1] + bytes((raw[-1] ^ 1,))
    assert key(junk) == key(raw)
    liar, honest = Stranger(oak, seed=1), Stranger(oak, seed=2)
    table.settle()
    liar.say(msg.Have(0, key_reference(key(raw))))
    liar.give(junk)
    assert liar.down is not None and oak.raws() == []
    honest.say(msg.Have(0, key_reference(key(raw))))
    table.run(GRAFT_MS)
    assert honest.heard(msg.Want) == [msg.Want(key(raw)[8:24])]
    honest.give(raw)
    assert honest.is_open and oak.texts() == ["hello"]
    second = Stranger(oak, seed=3)
    table.settle()
    second.give(junk)  # by now it is a duplicate of what is here
    assert oak.raws() == [raw]


def test_E07_junk_given_beside_a_good_one_in_one_event(table: Table) -> None:
    oak = table.home()
    good = Author(3).envelope(channel=PLAZA)
    junk = good[:-1] + bytes((good[-1] ^ 1,))
    liar = Stranger(oak)
    table.settle()
    liar.give(junk, good)
    honest = Stranger(oak, seed=8)
    table.settle()
    honest.give(good)
    assert honest.is_open and oak.raws() == [good]


def traces(home: Home) -> list[str | bytes]:
    """All that others could remember of a home, from its newest Renew on."""
    renew = [effect for effect in home.effects if isinstance(effect, Renew)][-1]
    stranger = Stranger(home, seed=len(home.effects))
    home.table.settle()
    assert stranger.is_open
    tags = [m.tags for m in stranger.heard(msg.Tags)]
    return [renew.instance, renew.host, renew.tag, stranger.session.link_key, *tags]


@pytest.mark.parametrize("change", ["another network", "a start"])
def test_E13_nothing_that_one_network_saw_is_seen_on_the_next(table: Table, change: str) -> None:
    oak = table.home()
    seen: list[str | bytes] = []
    for _ in range(4):
        oak.handle(Listening((HERE,)))
        seen += traces(oak)
        if change == "a start":
            oak.stop()
            oak.start()
        else:
            oak.handle(NetworkChanged())
        table.settle()
    assert len(seen) == 20
    assert len(set(seen)) == len(seen)


def test_E13_a_link_tells_nothing_of_who_posts_here(table: Table) -> None:
    oak = table.home("oak")
    oak.post("hello", keep="6h")
    stranger = Stranger(oak)
    table.settle()
    assert oak.node.author is not None
    told = b"".join(map(msg.encode, stranger.got))
    for secret in (oak.node.author.public, b"oak", b"home0"):
        assert secret not in told


def test_E05_what_is_asked_for_and_is_not_here_is_gone_and_not_asked_for_again(table: Table) -> None:
    oak = table.home()
    stranger = Stranger(oak)
    table.settle()
    stranger.say(msg.Want(b"\x44" * 16))
    assert stranger.heard(msg.Gone) == [msg.Gone(b"\x44" * 16)]
