"""The keyslot: what goes in comes out, what was changed is refused, and each refusal says why.

Argon2id is run with 8 KiB here: `cost` and `floor` are arguments for these tests, and the product, which
never gives them, refuses what they make (a test says so). One test, marked `real`, pays the true price.
"""

import errno
import os
import stat
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd import codec, crypto, ids, limits
from meshd.crypto import Entropy
from meshd.errors import CallerError, Code
from meshd.store import keyslot
from meshd.store.keyslot import Cost, Keys

CHEAP = Cost(mem_bytes=8192, passes=1)


def entropy(start: int = 0) -> Entropy:
    """A source whose draws all differ, the same in every run."""
    number = count(start)
    return lambda size: ids.labelled(b"test", next(number).to_bytes(8), size=size)


def made(passphrase: bytes | None = b"correct horse") -> tuple[bytes, Keys]:
    return keyslot.create(passphrase, entropy(), CHEAP)


def opened(raw: bytes, passphrase: bytes | None = b"correct horse", floor: Cost = CHEAP) -> Keys:
    return keyslot.open(raw, keyslot.parameters(raw, floor).stretch(passphrase))


def forged(**changes: int | str | bytes) -> bytes:
    """A keyslot with other values in some slots and a check that fits them: what an attacker would write."""
    names = ("version", "kind", "mem_bytes", "passes", "salt", "nonce", "wrapped")
    slots = dict(zip(names, codec.unpack(made()[0], keyslot._SCHEMA, 1024), strict=False)) | changes
    check = ids.labelled(ids.LABEL_KEYSLOT, codec.pack(*slots.values()), size=16)
    return codec.pack(*slots.values(), check)


# Contents


@pytest.mark.parametrize("passphrase", [b"correct horse", "пароль".encode(), b"x" * 5000, None])
def test_what_was_put_in_comes_out(passphrase: bytes | None) -> None:
    raw, keys = made(passphrase)
    assert opened(raw, passphrase) == keys
    assert len(keys.carry) == len(keys.log) == 32 and keys.carry != keys.log
    assert len(raw) <= limits.KEYSLOT_SIZE_MAX
    assert keyslot.parameters(raw, CHEAP).encrypted == (passphrase is not None)


def test_no_key_and_no_passphrase_stands_in_a_file_with_a_passphrase_or_in_a_repr() -> None:
    raw, keys = made()
    for secret in (*keys, b"correct horse"):
        assert secret not in raw
    assert repr(keys) == "Keys(…)"


def test_two_keyslots_share_nothing() -> None:
    source = entropy()
    (first, first_keys), (second, second_keys) = (keyslot.create(b"same", source, CHEAP) for _ in range(2))
    assert not set(first_keys) & set(second_keys)
    slots = [codec.unpack(raw, keyslot._SCHEMA, 1024) for raw in (first, second)]
    assert all(slots[0][place] != slots[1][place] for place in (4, 5, 6))


@pytest.mark.parametrize("wrong", [b"correct horse ", b"Correct horse", b"x"])
def test_another_passphrase_is_locked(wrong: bytes) -> None:
    with pytest.raises(CallerError, match="wrong passphrase") as refusal:
        opened(made()[0], wrong)
    assert refusal.value.code is Code.locked


def test_a_needed_passphrase_that_nobody_gave_is_locked() -> None:
    with pytest.raises(CallerError, match="has a passphrase") as refusal:
        opened(made()[0], None)
    assert refusal.value.code is Code.locked


def test_an_empty_passphrase_is_a_mistake_and_not_a_wish_for_none() -> None:
    with pytest.raises(CallerError, match="--no-passphrase") as refusal:
        made(b"")
    assert refusal.value.code is Code.usage


@pytest.mark.parametrize("passphrase", [b"correct horse", None])
def test_any_flipped_bit_and_any_cut_is_damage_and_never_a_wrong_passphrase(passphrase: bytes | None) -> None:
    raw, _ = made(passphrase)
    flips = [(int.from_bytes(raw) ^ 1 << bit).to_bytes(len(raw)) for bit in range(8 * len(raw))]
    cuts = [raw[:size] for size in range(len(raw))]
    for damaged in (*flips, *cuts, raw + b"\0"):
        with pytest.raises(CallerError) as refusal:
            keyslot.parameters(damaged, CHEAP)
        assert refusal.value.code is Code.invalid
        with pytest.raises(CallerError) as refusal:
            keyslot.open(damaged, bytes(32))
        assert refusal.value.code is Code.invalid


@given(junk=st.binary(max_size=1500))
def test_junk_is_damage(junk: bytes) -> None:
    with pytest.raises(CallerError) as refusal:
        keyslot.parameters(junk, CHEAP)
    assert refusal.value.code is Code.invalid


def test_slots_that_an_attacker_swapped_do_not_open() -> None:
    other, _ = keyslot.create(b"other", entropy(100), CHEAP)
    other_slots = codec.unpack(other, keyslot._SCHEMA, 1024)
    for place, name in ((4, "salt"), (5, "nonce"), (6, "wrapped")):
        with pytest.raises(CallerError) as refusal:
            opened(forged(**{name: other_slots[place]}))
        assert refusal.value.code is Code.locked
    with pytest.raises(CallerError) as refusal:  # the cost is under the tag too
        keyslot.open(forged(passes=2), keyslot.parameters(made()[0], CHEAP).stretch(b"correct horse"))
    assert refusal.value.code is Code.locked


@pytest.mark.parametrize(
    "wrong", [{"version": 2}, {"salt": bytes(15)}, {"nonce": bytes(12)}, {"wrapped": bytes(64)}]
)
def test_another_version_or_size_is_refused_before_any_work(wrong: dict[str, int | bytes]) -> None:
    with pytest.raises(CallerError) as refusal:
        keyslot.parameters(forged(**wrong), CHEAP)
    assert refusal.value.code is Code.invalid


# Cost


def test_the_product_refuses_what_these_tests_make() -> None:
    with pytest.raises(CallerError, match="weaker") as refusal:
        keyslot.parameters(made()[0])
    assert refusal.value.code is Code.invalid


@pytest.mark.parametrize(
    ("mem_bytes", "passes", "says"),
    [
        (limits.KEYSLOT_MEM_BYTES, limits.KEYSLOT_PASSES, None),
        (limits.KEYSLOT_MEM_BYTES - 1, limits.KEYSLOT_PASSES, "weaker"),
        (limits.KEYSLOT_MEM_BYTES, limits.KEYSLOT_PASSES - 1, "weaker"),
        (0, 0, "weaker"),
        (limits.KEYSLOT_MEM_BYTES_MAX, limits.KEYSLOT_PASSES_MAX, None),
        (limits.KEYSLOT_MEM_BYTES_MAX + 1, limits.KEYSLOT_PASSES, "absurdly"),
        (limits.KEYSLOT_MEM_BYTES, limits.KEYSLOT_PASSES_MAX + 1, "absurdly"),
        (2**63 - 1, 2**63 - 1, "absurdly"),
    ],
)
def test_cost_at_the_bounds_and_one_past(mem_bytes: int, passes: int, says: str | None) -> None:
    raw = forged(mem_bytes=mem_bytes, passes=passes)
    if says is None:
        assert keyslot.parameters(raw).cost == (mem_bytes, passes)
    else:
        with pytest.raises(CallerError, match=says) as refusal:
            keyslot.parameters(raw)
        assert refusal.value.code is Code.invalid


def test_a_kind_that_contradicts_its_cost_is_refused() -> None:
    for kind, cost in (("none", 1), ("other", limits.KEYSLOT_MEM_BYTES)):
        with pytest.raises(CallerError, match="weaker"):
            keyslot.parameters(forged(kind=kind, mem_bytes=cost, passes=3), CHEAP)


def test_too_little_memory_is_said_in_mebibytes(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bytes:
        raise MemoryError

    parameters = keyslot.parameters(forged(mem_bytes=limits.KEYSLOT_MEM_BYTES, passes=limits.KEYSLOT_PASSES))
    monkeypatch.setattr(crypto, "argon2id", fail)
    with pytest.raises(CallerError, match="256 MiB") as refusal:
        parameters.stretch(b"correct horse")
    assert refusal.value.code is Code.refused


@pytest.mark.real  # half a second and 256 MiB, twice
def test_the_real_cost_is_made_and_opened() -> None:
    raw, keys = keyslot.create(b"correct horse", os.urandom)
    assert keyslot.parameters(raw).cost == (256 * 1024 * 1024, 3)
    assert keyslot.open(raw, keyslot.parameters(raw).stretch(b"correct horse")) == keys


# The file


def test_written_and_read_back_for_its_owner_only(tmp_path: Path) -> None:
    raw, _ = made()
    previous = os.umask(0)
    try:
        keyslot.write(tmp_path, raw)
    finally:
        os.umask(previous)
    assert keyslot.read(tmp_path) == raw
    assert stat.S_IMODE((tmp_path / "keyslot").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["keyslot"]


def test_a_leftover_of_a_cut_off_write_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "keyslot.new").write_bytes(b"half")
    keyslot.write(tmp_path, made()[0])
    assert keyslot.read(tmp_path) == made()[0]
    assert not (tmp_path / "keyslot.new").exists()


def test_an_existing_keyslot_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "keyslot").write_bytes(b"anything")
    with pytest.raises(CallerError, match="exists already") as refusal:
        keyslot.write(tmp_path, made()[0])
    assert refusal.value.code is Code.refused
    assert (tmp_path / "keyslot").read_bytes() == b"anything"


@pytest.mark.parametrize("call", ["open", "fchmod", "fsync"])
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_disk_that_will_not_take_it_leaves_nothing_behind(
    call: str, error: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> int:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(keyslot.os, call, fail)
    with pytest.raises(CallerError, match=os.strerror(error)) as refusal:
        keyslot.write(tmp_path, made()[0])
    assert refusal.value.code is Code.refused
    assert list(tmp_path.iterdir()) == []


def test_a_home_without_a_keyslot_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(CallerError, match="does not exist") as refusal:
        keyslot.read(tmp_path)
    assert refusal.value.code is Code.not_found


def test_size_at_the_limit_and_one_past(tmp_path: Path) -> None:
    path = tmp_path / "keyslot"
    path.touch(0o600)
    path.write_bytes(bytes(limits.KEYSLOT_SIZE_MAX))
    assert len(keyslot.read(tmp_path)) == limits.KEYSLOT_SIZE_MAX
    path.write_bytes(bytes(limits.KEYSLOT_SIZE_MAX + 1))
    with pytest.raises(CallerError, match="too large") as refusal:
        keyslot.read(tmp_path)
    assert refusal.value.code is Code.invalid


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").touch(0o600)
    (tmp_path / "keyslot").symlink_to("elsewhere")
    with pytest.raises(CallerError, match="symbolic link") as refusal:
        keyslot.read(tmp_path)
    assert refusal.value.code is Code.refused


def test_a_pipe_or_a_folder_in_its_place_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "keyslot", 0o600)
    with pytest.raises(CallerError, match="is not a file"):
        keyslot.read(tmp_path)
    (tmp_path / "keyslot").unlink()
    (tmp_path / "keyslot").mkdir(0o700)
    with pytest.raises(CallerError, match="is not a file"):
        keyslot.read(tmp_path)


def test_a_keyslot_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keyslot.write(tmp_path, made()[0])
    monkeypatch.setattr(keyslot.os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(CallerError, match="belongs to another user") as refusal:
        keyslot.read(tmp_path)
    assert refusal.value.code is Code.refused
