"""Attack cases that go for the primitives and the handshake: C01, C04, C05, C07, C08 and C13 of the
catalogue.

Covered here: the verdicts of `crypto` and `noise`, and of `post` where a signature changes its purpose.
What a node does with them (remembering what it refused, closing links alike) is tested with the node.
"""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from nacl import bindings

from meshd import crypto, noise, post
from meshd.errors import PeerError
from meshd.ids import LABEL_POST, post_id
from meshd.noise import XXPSK0, HandshakeState

# Where the twelve cases of the published ed25519-speccheck would be: [{"message", "pub_key", "signature"}]
# in hex.
SPECCHECK = Path(__file__).resolve().parents[3] / "shared" / "vectors" / "ed25519-speccheck.json"

GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493
FIELD = 2**255 - 19

SMALL_ORDER_ED25519 = [
    bytes.fromhex(encoding)
    for encoding in (
        # the eight points of small order
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        # the same in encodings that are not canonical
        "0100000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    )
]

_LOW_ORDER_U = (
    0,
    1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
    FIELD - 1,
    FIELD,  # 0 and 1 again, not reduced
    FIELD + 1,
)
# RFC 7748 ignores the top bit, so each has a second encoding.
LOW_ORDER_X25519 = [(u | top << 255).to_bytes(32, "little") for u in _LOW_ORDER_U for top in (0, 1)]


def test_C01_speccheck_vectors() -> None:
    if not SPECCHECK.exists():
        pytest.skip(f"not run: the published vectors are not at {SPECCHECK}")
    cases = [
        tuple(bytes.fromhex(case[name]) for name in ("pub_key", "message", "signature"))
        for case in json.loads(SPECCHECK.read_text())
    ]
    verdicts = [crypto.verify(*case) for case in cases]
    assert "".join("XV"[verdict] for verdict in verdicts) == "XXXVXXXXXXXX"
    assert not any(
        verdict and crypto.is_valid_point(case[0]) for verdict, case in zip(verdicts, cases, strict=True)
    )


def test_C04_signature_with_s_plus_l() -> None:
    public, secret = crypto.ed25519_keypair(b"s" * 32)
    signature = crypto.sign(secret, b"text")
    raised = int.from_bytes(signature[32:], "little") + GROUP_ORDER
    malleated = signature[:32] + raised.to_bytes(32, "little")
    assert not crypto.verify(public, b"text", malleated)
    assert crypto.verify(public, b"text", signature)


@pytest.mark.parametrize("encoding", SMALL_ORDER_ED25519, ids=bytes.hex)
def test_C05_small_order_identity_key(encoding: bytes) -> None:
    assert not crypto.is_valid_point(encoding)
    # The forgery such keys are for: R of small order and S = 0 fit many messages if nobody looks.
    assert not any(
        crypto.verify(encoding, bytes((number,)), point + bytes(32))
        for number in range(8)
        for point in SMALL_ORDER_ED25519
    )


def test_C05_identity_key_with_a_small_order_part_or_out_of_range() -> None:
    public, _ = crypto.ed25519_keypair(b"s" * 32)
    assert crypto.is_valid_point(public)
    for torsion in SMALL_ORDER_ED25519[1:8]:
        assert not crypto.is_valid_point(bindings.crypto_core_ed25519_add(public, torsion))
    for y in range(FIELD, 2**255):
        assert not crypto.is_valid_point(y.to_bytes(32, "little"))


@pytest.mark.parametrize("encoding", LOW_ORDER_X25519, ids=bytes.hex)
def test_C05_low_order_link_key(encoding: bytes) -> None:
    with pytest.raises(PeerError):
        crypto.x25519(b"s" * 32, encoding)


def _side(initiator: bool, s: tuple[bytes, bytes]) -> HandshakeState:
    return HandshakeState(
        XXPSK0,
        initiator=initiator,
        prologue=b"meshd/1",
        s=s,
        ephemeral_secret=s[1][::-1],
        psks=(b"k" * 32,),
    )


HONEST = crypto.x25519_keypair(b"honest".ljust(32))
EVIL_SECRET = b"evil".ljust(32)


def _evil_e(monkeypatch: pytest.MonkeyPatch, side: HandshakeState, low: bytes) -> bytes:
    """`side`'s next message with a low-order ephemeral, whose shared secrets it takes to be zeros."""
    genuine: Callable[[bytes, bytes], bytes] = noise.x25519

    def zeros_for_the_ephemeral(secret: bytes, public: bytes) -> bytes:
        return bytes(32) if secret == side._ephemeral_secret else genuine(secret, public)

    with monkeypatch.context() as evil:
        evil.setattr(noise, "x25519_keypair", lambda secret: (low, secret))
        evil.setattr(noise, "x25519", zeros_for_the_ephemeral)
        return side.write_message()


def _evil_s(monkeypatch: pytest.MonkeyPatch, side: HandshakeState) -> bytes:
    """`side`'s next message, in which the products with its low-order static key are taken to be zeros."""
    genuine: Callable[[bytes, bytes], bytes] = noise.x25519
    with monkeypatch.context() as evil:
        evil.setattr(
            noise,
            "x25519",
            lambda secret, public: bytes(32) if secret == EVIL_SECRET else genuine(secret, public),
        )
        return side.write_message()


@pytest.mark.parametrize("low", LOW_ORDER_X25519, ids=bytes.hex)
def test_C07_low_order_e_in_the_first_message(low: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    evil, honest = _side(True, crypto.x25519_keypair(EVIL_SECRET)), _side(False, HONEST)
    honest.read_message(_evil_e(monkeypatch, evil, low))
    with pytest.raises(PeerError):  # no second message comes out
        honest.write_message()


@pytest.mark.parametrize("low", LOW_ORDER_X25519, ids=bytes.hex)
def test_C07_low_order_e_in_the_second_message(low: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    honest, evil = _side(True, HONEST), _side(False, crypto.x25519_keypair(EVIL_SECRET))
    evil.read_message(honest.write_message())
    with pytest.raises(PeerError, match="low order"):
        honest.read_message(_evil_e(monkeypatch, evil, low))


@pytest.mark.parametrize("low", LOW_ORDER_X25519, ids=bytes.hex)
def test_C07_low_order_s_in_the_second_message(low: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    honest, evil = _side(True, HONEST), _side(False, (low, EVIL_SECRET))
    evil.read_message(honest.write_message())
    with pytest.raises(PeerError, match="low order"):
        honest.read_message(_evil_s(monkeypatch, evil))


@pytest.mark.parametrize("low", LOW_ORDER_X25519, ids=bytes.hex)
def test_C07_low_order_s_in_the_third_message(low: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    evil, honest = _side(True, (low, EVIL_SECRET)), _side(False, HONEST)
    honest.read_message(evil.write_message())
    evil.read_message(honest.write_message())
    with pytest.raises(PeerError, match="low order"):
        honest.read_message(_evil_s(monkeypatch, evil))


def test_C08_signature_made_for_another_purpose() -> None:
    public, secret = crypto.ed25519_keypair(b"s" * 32)
    written = post.Post(1, bytes(16), b"", public, 7, 1, b"", 1_000_000 << 16, 1, 24, b"body")
    identity = post_id(post.encode(written))
    assert crypto.verify(*post.check(written, identity, post.sign(secret, identity)))
    for other in (
        identity,  # a bare signature over the id
        post.encode(written),  # or over the post's bytes
        bytes((len(LABEL_POST),)) + LABEL_POST + identity,  # or under the label of another hash
        b"meshd/1 link proof" + identity,
    ):
        assert not crypto.verify(*post.check(written, identity, crypto.sign(secret, other)))


@pytest.mark.parametrize(
    "entropy",
    [
        pytest.param(lambda size: b"\x42" * size, id="constant"),
        pytest.param(lambda size: bytes(size), id="zeros"),
        pytest.param(lambda size: b"\x42" * (size - 1), id="short"),
        pytest.param(lambda size: b"", id="empty"),
    ],
)
def test_C13_constant_random_source(entropy: crypto.Entropy) -> None:
    with pytest.raises(RuntimeError, match="refusing"):
        crypto.fresh(entropy, 32)


def test_C13_source_that_starts_with_zeros() -> None:
    draws = iter((bytes(32), b"\x42" * 32))
    with pytest.raises(RuntimeError, match="refusing"):
        crypto.fresh(lambda size: next(draws), 32)


def test_C13_raising_random_source() -> None:
    def broken(size: int) -> bytes:
        raise OSError("no entropy")

    with pytest.raises(OSError, match="no entropy"):
        crypto.fresh(broken, 32)
