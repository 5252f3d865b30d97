"""The handshake against published vectors, our own, and a peer that cuts, flips, reorders and replays."""

import copy
import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd import crypto, noise
from meshd.errors import PeerError
from meshd.noise import XXPSK0, CipherState, HandshakeState, Pattern

ROOT = Path(__file__).resolve().parent.parent
PUBLISHED = ROOT.parent / "shared" / "vectors" / "noise-25519-chachapoly-blake2b.json"
OURS = ROOT / "tests" / "vectors" / "noise-xxpsk0.json"


def _load_runner() -> ModuleType:
    spec = importlib.util.spec_from_file_location("vectors_noise", ROOT / "scripts" / "vectors_noise.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


runner: Any = _load_runner()

INITIATOR_STATIC = crypto.x25519_keypair(b"i" * 32)
RESPONDER_STATIC = crypto.x25519_keypair(b"r" * 32)


def pair(
    prologue: bytes = b"meshd/1", responder_prologue: bytes = b"meshd/1", responder_psk: bytes = b"k" * 32
) -> tuple[HandshakeState, HandshakeState]:
    """Both sides of an XXpsk0 handshake that succeeds unless an argument says otherwise."""
    initiator = HandshakeState(
        XXPSK0,
        initiator=True,
        prologue=prologue,
        s=INITIATOR_STATIC,
        ephemeral_secret=b"e" * 32,
        psks=(b"k" * 32,),
    )
    responder = HandshakeState(
        XXPSK0,
        initiator=False,
        prologue=responder_prologue,
        s=RESPONDER_STATIC,
        ephemeral_secret=b"f" * 32,
        psks=(responder_psk,),
    )
    return initiator, responder


def shake(initiator: HandshakeState, responder: HandshakeState) -> list[bytes]:
    """Plays the three messages; what went over the wire."""
    first = initiator.write_message()
    responder.read_message(first)
    second = responder.write_message()
    initiator.read_message(second)
    third = initiator.write_message()
    responder.read_message(third)
    return [first, second, third]


# Vectors


def _published() -> list[Any]:
    if not PUBLISHED.exists():
        reason = f"the published Noise vectors are not at {PUBLISHED}"
        return [pytest.param({}, id="absent", marks=pytest.mark.skip(reason=reason))]
    vectors = json.loads(PUBLISHED.read_text())["vectors"]
    return [pytest.param(vector, id=vector["protocol_name"].split("_")[1]) for vector in vectors]


@pytest.mark.parametrize("vector", _published())
def test_published_vector(vector: dict[str, Any]) -> None:
    runner.check(vector, runner.pattern(vector["protocol_name"]))


def test_our_vectors_are_what_the_code_makes_and_the_runner_passes_them() -> None:
    assert json.loads(OURS.read_text()) == runner.xxpsk0()
    assert list(runner.run(OURS)) == ["3 passed, 0 failed, 0 skipped"]


def test_the_pattern_of_the_product_is_the_one_of_the_specification() -> None:
    assert runner.pattern("Noise_XXpsk0_25519_ChaChaPoly_BLAKE2b") == XXPSK0


def _flip(text: str) -> str:
    return f"{int(text[0], 16) ^ 1:x}{text[1:]}"


@pytest.mark.parametrize("message", range(6))
@pytest.mark.parametrize("field", ["ciphertext", "payload"])
def test_the_runner_fails_a_vector_with_one_wrong_bit(message: int, field: str) -> None:
    vector = copy.deepcopy(json.loads(OURS.read_text())["vectors"][1])
    vector["messages"][message][field] = _flip(vector["messages"][message][field] or "00")
    with pytest.raises((runner.Mismatch, PeerError)):
        runner.check(vector, XXPSK0)


def test_the_runner_counts_and_names_what_fails_and_skips_what_it_does_not_know(tmp_path: Path) -> None:
    good, *_ = json.loads(OURS.read_text())["vectors"]
    wrong_hash = good | {"handshake_hash": _flip(good["handshake_hash"])}
    unfinished = good | {"messages": good["messages"][:2]}
    no_psk = {name: value for name, value in good.items() if "psks" not in name}
    foreign = [
        good | {"protocol_name": f"Noise_{name}"}
        for name in ("XXpsk0_448_ChaChaPoly_BLAKE2b", "QQ_25519_ChaChaPoly_BLAKE2b")
    ]
    path = tmp_path / "vectors.json"
    path.write_text(json.dumps({"vectors": [good, wrong_hash, unfinished, no_psk, *foreign]}))
    *failures, summary = runner.run(path)
    assert summary == "1 passed, 3 failed, 2 skipped"
    assert [line.split(",")[0] for line in failures] == ["vector 1", "vector 2", "vector 3"]
    assert runner.main([str(path)]) == 1
    assert runner.main([str(OURS)]) == 0


# The handshake of the product


def test_both_sides_end_with_the_same_hash_and_each_other_s_key() -> None:
    initiator, responder = pair()
    assert not initiator.done
    shake(initiator, responder)
    assert initiator.done and responder.done
    assert initiator.h == responder.h and len(initiator.h) == 64
    assert initiator.rs == RESPONDER_STATIC[0]
    assert responder.rs == INITIATOR_STATIC[0]


def test_each_direction_has_a_key_of_its_own() -> None:
    initiator, responder = pair()
    shake(initiator, responder)
    (i_send, i_receive), (r_send, r_receive) = initiator.split(), responder.split()
    assert i_send.k == r_receive.k and r_send.k == i_receive.k and i_send.k != r_send.k
    assert r_receive.decrypt_with_ad(b"", i_send.encrypt_with_ad(b"", b"up")) == b"up"
    assert i_receive.decrypt_with_ad(b"", r_send.encrypt_with_ad(b"", b"down")) == b"down"
    with pytest.raises(PeerError):  # a record sent back to its sender
        i_receive.decrypt_with_ad(b"", i_send.encrypt_with_ad(b"", b"up"))


def test_no_key_stands_in_the_clear_on_the_wire() -> None:
    wire = b"".join(shake(*pair()))
    assert INITIATOR_STATIC[0] not in wire
    assert RESPONDER_STATIC[0] not in wire


def test_wire_sizes_of_the_three_messages() -> None:
    assert [len(message) for message in shake(*pair())] == [48, 96, 64]


@pytest.mark.parametrize(
    "wrong", [{"responder_psk": b"K" * 32}, {"responder_prologue": b"meshd/1 other challenge"}]
)
def test_another_psk_or_challenge_is_refused_at_the_first_message_with_no_curve_work(
    wrong: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    initiator, responder = pair(**wrong)
    first = initiator.write_message()

    def forbidden(*_: bytes) -> bytes:
        raise AssertionError("the responder computed on the curve")

    monkeypatch.setattr(noise, "x25519", forbidden)
    monkeypatch.setattr(noise, "x25519_keypair", forbidden)
    with pytest.raises(PeerError):
        responder.read_message(first)


@pytest.mark.parametrize("number", range(3))
def test_a_message_cut_at_any_byte_is_refused(number: int) -> None:
    whole = shake(*pair())[number]
    for size in range(len(whole)):
        initiator, responder = pair()
        sides = [(initiator, responder), (responder, initiator), (initiator, responder)]
        for writer, reader in sides[:number]:
            reader.read_message(writer.write_message())
        with pytest.raises(PeerError):
            sides[number][1].read_message(whole[:size])


@given(number=st.integers(0, 2), place=st.integers(0))
def test_a_flipped_bit_in_any_message_is_refused(number: int, place: int) -> None:
    initiator, responder = pair()
    sides = [(initiator, responder), (responder, initiator), (initiator, responder)]
    for writer, reader in sides[:number]:
        reader.read_message(writer.write_message())
    writer, reader = sides[number]
    message = writer.write_message()
    bit = place % (8 * len(message))
    with pytest.raises(PeerError):
        reader.read_message((int.from_bytes(message) ^ 1 << bit).to_bytes(len(message)))


@given(junk=st.binary(max_size=200))
def test_junk_is_refused_by_either_side(junk: bytes) -> None:
    initiator, responder = pair()
    with pytest.raises(PeerError):
        responder.read_message(junk)
    initiator.write_message()
    with pytest.raises(PeerError):
        initiator.read_message(junk)


def test_a_message_longer_than_the_specification_allows() -> None:
    initiator, responder = pair()
    with pytest.raises(PeerError, match="too long"):
        responder.read_message(bytes(65536))
    with pytest.raises(ValueError, match="longer than 65535"):
        initiator.write_message(bytes(65535 - 48 + 1))
    assert len(pair()[0].write_message(bytes(65535 - 48))) == 65535


def test_messages_out_of_turn_and_an_early_split_are_bugs_here() -> None:
    initiator, responder = pair()
    with pytest.raises(RuntimeError, match="out of turn"):
        initiator.read_message(bytes(48))
    with pytest.raises(RuntimeError, match="out of turn"):
        responder.write_message()
    with pytest.raises(RuntimeError, match="before the handshake is done"):
        initiator.split()
    shake(initiator, responder)
    with pytest.raises(RuntimeError, match="out of turn"):
        responder.write_message()


def test_keys_that_the_pattern_needs_and_nobody_gave() -> None:
    with pytest.raises(ValueError, match="XXpsk0 needs 1 psks"):
        HandshakeState(XXPSK0, initiator=True, prologue=b"")
    with pytest.raises(ValueError, match="XXpsk0 needs 1 psks of 32 bytes"):
        HandshakeState(XXPSK0, initiator=True, prologue=b"", psks=(bytes(31),))
    with pytest.raises(ValueError, match="was not given"):
        HandshakeState(XXPSK0, initiator=True, prologue=b"", psks=(bytes(32),)).write_message()
    with pytest.raises(ValueError, match="was not given"):
        HandshakeState(Pattern("NK", "", "s", ("e es", "e ee")), initiator=True, prologue=b"")


def test_after_a_message_that_failed_nothing_goes_on() -> None:
    initiator, responder = pair()
    responder.read_message(initiator.write_message())
    initiator.read_message(responder.write_message())
    third = initiator.write_message()
    with pytest.raises(PeerError):
        responder.read_message(third[:-1])
    assert not responder.done
    with pytest.raises(RuntimeError, match="after one that failed"):
        responder.read_message(third)
    with pytest.raises(RuntimeError, match="before the handshake is done"):
        responder.split()


# Records


def test_the_nonce_is_four_zero_bytes_and_the_counter_little_endian() -> None:
    cipher = CipherState(b"k" * 32)
    cipher.n = 0x0102
    nonce = bytes(4) + bytes((2, 1)) + bytes(6)
    assert cipher.encrypt_with_ad(b"ad", b"text") == crypto.chacha20poly1305_encrypt(
        b"k" * 32, nonce, b"ad", b"text"
    )
    assert cipher.n == 0x0103


def test_a_record_that_does_not_authenticate_leaves_the_counter() -> None:
    send, receive = CipherState(b"k" * 32), CipherState(b"k" * 32)
    first, second = (send.encrypt_with_ad(b"", text) for text in (b"first", b"second"))
    for wrong in (second, first[:-1], b"", bytes(15), first + b"\0"):
        with pytest.raises(PeerError):
            receive.decrypt_with_ad(b"", wrong)
    with pytest.raises(PeerError):
        receive.decrypt_with_ad(b"other", first)
    assert receive.decrypt_with_ad(b"", first) == b"first"
    with pytest.raises(PeerError):  # a record heard before
        receive.decrypt_with_ad(b"", first)
    assert receive.decrypt_with_ad(b"", second) == b"second"


def test_the_last_counter_is_never_used() -> None:
    for cipher in (CipherState(b"k" * 32), CipherState(b"k" * 32)):
        cipher.n = 2**64 - 2
        cipher.encrypt_with_ad(b"", b"the last one")
        with pytest.raises(RuntimeError, match="used up"):
            cipher.encrypt_with_ad(b"", b"")
        with pytest.raises(RuntimeError, match="used up"):
            cipher.decrypt_with_ad(b"", bytes(16))


def test_rekey_gives_another_key_on_both_sides_and_keeps_the_counter() -> None:
    send, receive = CipherState(b"k" * 32), CipherState(b"k" * 32)
    receive.decrypt_with_ad(b"", send.encrypt_with_ad(b"", b"old"))
    send.rekey()
    with pytest.raises(PeerError):
        receive.decrypt_with_ad(b"", send.encrypt_with_ad(b"", b"new"))
    send.n = 1
    receive.rekey()
    assert send.k == receive.k != b"k" * 32 and send.k is not None and len(send.k) == 32
    assert receive.decrypt_with_ad(b"", send.encrypt_with_ad(b"", b"new")) == b"new"
    assert (send.n, receive.n) == (2, 2)


def test_without_a_key_text_passes_and_nothing_can_be_rekeyed() -> None:
    cipher = CipherState()
    assert cipher.encrypt_with_ad(b"", b"text") == cipher.decrypt_with_ad(b"", b"text") == b"text"
    assert cipher.n == 0
    with pytest.raises(RuntimeError):
        cipher.rekey()
