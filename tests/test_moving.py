"""An identity in a file: what moves, who can open it, and what is never overwritten."""

import os
from pathlib import Path

import pytest

from meshd import crypto
from meshd.daemon import moving
from meshd.daemon.home import Home
from meshd.daemon.init import create, open_home
from meshd.daemon.moving import Known, Moved
from meshd.errors import CallerError, Code
from meshd.limits import IDENTITY_FILE_SIZE_MAX
from meshd.store import keyslot
from meshd.store.contacts import Contact
from meshd.store.keyslot import Cost

CHEAP = Cost(8192, 1)
SEED, NETWORK = bytes(range(32)), b"n" * 32
ME, _ = crypto.ed25519_keypair(SEED)
OAK, ELM = b"o" * 32, b"e" * 32
MOVED = Moved(
    SEED, "ash", NETWORK, "private", Known(Contact(ME), 20_000, b"i" * 32),
    [
        Known(Contact(ELM, is_blocked=True, is_muted=True), 0, b""),
        Known(Contact(OAK, "Oak", is_added=True, is_verified=True, met=7), 20_001, b"j" * 32),
    ],
)  # fmt: skip


def opened(raw: bytes, passphrase: bytes | None) -> Moved:
    parameters = keyslot.parameters(moving.slot_of(raw), CHEAP)
    return moving.open(raw, parameters.stretch(passphrase))


@pytest.mark.parametrize("passphrase", [None, b"secret"])
def test_what_moves_comes_back_with_the_passphrase(passphrase: bytes | None) -> None:
    raw = moving.seal(MOVED, passphrase, os.urandom, CHEAP)
    assert opened(raw, passphrase) == MOVED
    assert SEED not in raw and b"Oak" not in raw and NETWORK not in raw


def test_another_passphrase_is_locked() -> None:
    raw = moving.seal(MOVED, b"secret", os.urandom, CHEAP)
    with pytest.raises(CallerError) as caught:
        opened(raw, b"guess")
    assert caught.value.code is Code.locked


def test_every_changed_byte_is_noticed() -> None:
    raw = moving.seal(MOVED, None, os.urandom)
    for at in range(0, len(raw), 3):
        with pytest.raises(CallerError) as caught:
            opened(raw[:at] + bytes((raw[at] ^ 1,)) + raw[at + 1 :], None)
        assert caught.value.code in (Code.invalid, Code.locked)


@pytest.mark.parametrize("size", [0, 7, 10, 50, 300])
def test_a_file_that_is_cut_is_invalid(size: int) -> None:
    with pytest.raises(CallerError) as caught:
        opened(moving.seal(MOVED, None, os.urandom)[:size], None)
    assert caught.value.code is Code.invalid


def test_a_home_is_made_of_it_whole(tmp_path: Path) -> None:
    home = Home(str(tmp_path / "new"))
    with home.make():
        made = create(home, NETWORK, "private", "ash", None, moved=MOVED)
    assert (made["id"], made["name"], made["network"]["kind"]) == (ME.hex(), "ash", "private")
    with home.lock():
        slot = keyslot.read(home.path)
        carry, log, _ = open_home(home, keyslot.parameters(slot).stretch(None), slot)
        assert moving.take(carry, log) == MOVED and log.authors.beginning(OAK.hex()) == [OAK]
        carry.close()
        log.close()


def test_a_file_is_its_owners_alone_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "identity"
    moving.write(path, b"first")
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(CallerError) as caught:
        moving.write(path, b"second")
    assert caught.value.code is Code.refused and path.read_bytes() == b"first"


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(IDENTITY_FILE_SIZE_MAX + 1)
    with pytest.raises(CallerError) as caught:
        moving.read(tmp_path / "large")
    assert caught.value.code is Code.invalid
