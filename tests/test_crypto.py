"""The primitives against published vectors, and the sizes that libsodium itself would not check."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd import crypto
from meshd.errors import PeerError

# RFC 8439, section 2.8.2; the XChaCha draft's appendix A.3.1 has the same text, associated data and key
AEAD_TEXT = (
    b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
    b"sunscreen would be it."
)
AEAD_AD = bytes.fromhex("50515253c0c1c2c3c4c5c6c7")
AEAD_KEY = bytes(range(0x80, 0xA0))


def test_ed25519_gives_the_signature_of_rfc_8032() -> None:
    seed = bytes.fromhex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7")
    public, secret = crypto.ed25519_keypair(seed)
    assert public.hex() == "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025"
    assert crypto.sign(secret, b"\xaf\x82").hex() == (
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
    )


@given(seed=st.binary(min_size=32, max_size=32), message=st.binary(max_size=200), bit=st.integers(0, 511))
def test_a_signature_holds_for_its_own_key_message_and_bits_only(
    seed: bytes, message: bytes, bit: int
) -> None:
    public, secret = crypto.ed25519_keypair(seed)
    signature = crypto.sign(secret, message)
    assert crypto.verify(public, message, signature)
    assert crypto.is_valid_point(public)
    flipped = (int.from_bytes(signature) ^ 1 << bit).to_bytes(64)
    assert not crypto.verify(public, message, flipped)
    assert not crypto.verify(public, message + b"\0", signature)
    assert not crypto.verify(crypto.ed25519_keypair(bytes([seed[0] ^ 1]) + seed[1:])[0], message, signature)


def test_verify_and_the_point_check_refuse_other_sizes() -> None:
    public, secret = crypto.ed25519_keypair(bytes(32))
    signature = crypto.sign(secret, b"text")
    for wrong in (b"", public[:31], public + b"\0"):
        assert not crypto.verify(wrong, b"text", signature)
        assert not crypto.is_valid_point(wrong)
    # Moving a byte over the border keeps the joined bytes equal, and must not verify either.
    assert not crypto.verify(public, b"ext", signature + b"t")
    assert not crypto.verify(public, signature[-1:] + b"text", signature[:-1])


def test_x25519_gives_the_shared_secret_of_rfc_7748() -> None:
    secret = bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
    alice = bytes.fromhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
    public, _ = crypto.x25519_keypair(secret)
    assert public.hex() == "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
    assert (
        crypto.x25519(secret, alice).hex()
        == "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
    )


def test_x25519_refuses_a_peer_s_key_of_another_size() -> None:
    for wrong in (b"", bytes(31), bytes(33)):
        with pytest.raises(PeerError):
            crypto.x25519(bytes(range(32)), wrong)


def test_chacha20poly1305_gives_the_text_of_rfc_8439() -> None:
    nonce = bytes.fromhex("070000004041424344454647")
    sealed = crypto.chacha20poly1305_encrypt(AEAD_KEY, nonce, AEAD_AD, AEAD_TEXT)
    assert sealed.hex().startswith("d31a8d34648e60db7b86afbc53ef7ec2")
    assert sealed[-16:].hex() == "1ae10b594f09e26a7e902ecbd0600691"
    assert crypto.chacha20poly1305_decrypt(AEAD_KEY, nonce, AEAD_AD, sealed) == AEAD_TEXT


def test_xchacha20poly1305_gives_the_text_of_the_draft() -> None:
    nonce = bytes(range(0x40, 0x58))
    sealed = crypto.xchacha20poly1305_encrypt(AEAD_KEY, nonce, AEAD_AD, AEAD_TEXT)
    assert sealed.hex().startswith("bd6d179d3e83d43b9576579493c0e939")
    assert sealed[-16:].hex() == "c0875924c1c7987947deafd8780acf49"
    assert crypto.xchacha20poly1305_decrypt(AEAD_KEY, nonce, AEAD_AD, sealed) == AEAD_TEXT


@given(text=st.binary(max_size=64), ad=st.binary(max_size=16), place=st.integers(0))
def test_an_altered_ciphertext_opens_to_nothing(text: bytes, ad: bytes, place: int) -> None:
    ciphers = (
        (crypto.chacha20poly1305_encrypt, crypto.chacha20poly1305_decrypt, bytes(12)),
        (crypto.xchacha20poly1305_encrypt, crypto.xchacha20poly1305_decrypt, bytes(24)),
    )
    for encrypt, decrypt, nonce in ciphers:
        sealed = encrypt(AEAD_KEY, nonce, ad, text)
        bit = place % (8 * len(sealed))
        flipped = (int.from_bytes(sealed) ^ 1 << bit).to_bytes(len(sealed))
        assert decrypt(AEAD_KEY, nonce, ad, sealed) == text
        assert decrypt(AEAD_KEY, nonce, ad, flipped) is None
        assert decrypt(AEAD_KEY, nonce, ad + b"\0", sealed) is None
        assert decrypt(AEAD_KEY, nonce, ad, sealed[:15]) is None


def test_a_key_or_nonce_of_the_wrong_size_is_a_bug_here_and_no_verdict() -> None:
    for decrypt in (crypto.chacha20poly1305_decrypt, crypto.xchacha20poly1305_decrypt):
        with pytest.raises(TypeError):
            decrypt(bytes(31), bytes(12), b"", bytes(32))
        with pytest.raises(TypeError):
            decrypt(bytes(32), bytes(11), b"", bytes(32))
    for call in (crypto.ed25519_keypair, crypto.x25519_keypair):
        with pytest.raises(ValueError):
            call(bytes(31))
    with pytest.raises(ValueError):
        crypto.sign(bytes(32), b"")
    with pytest.raises(ValueError):
        crypto.x25519(bytes(33), bytes(32))
    with pytest.raises(ValueError):
        crypto.argon2id(b"passphrase", bytes(15), 65536, 3)


def test_argon2id_gives_what_another_implementation_gives() -> None:
    # One lane, 64 KiB, 3 passes; computed with OpenSSL's Argon2id.
    stretched = crypto.argon2id(b"correct horse", bytes(range(16)), 64 * 1024, 3)
    assert stretched.hex() == "a1dc6a57c61d5fb470584e24085ea3216fd369c61bcd5f845745f9cb0ed02fca"


def test_argon2id_without_the_memory_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from nacl.exceptions import RuntimeError as SodiumError

    def fail(*_: object) -> bytes:
        raise SodiumError("Unexpected failure in key derivation")

    monkeypatch.setattr(crypto.bindings, "crypto_pwhash_alg", fail)
    with pytest.raises(MemoryError, match="65536 bytes"):
        crypto.argon2id(b"passphrase", bytes(16), 65536, 3)


def test_fresh_takes_the_bytes_of_a_live_source() -> None:
    draws = iter((b"a" * 32, b"b" * 32))
    assert crypto.fresh(lambda size: next(draws), 32) == b"a" * 32
    assert len(crypto.fresh(os.urandom, 24)) == 24


def test_fresh_refuses_a_size_that_no_secret_has() -> None:
    with pytest.raises(ValueError):
        crypto.fresh(os.urandom, 15)
