"""Homes: made whole or not at all, ours alone, one daemon each. Real files, but no process and no Argon2id."""

import os
from pathlib import Path

import pytest

from meshd import invite
from meshd.daemon import init, passphrase
from meshd.daemon.home import Home
from meshd.errors import CallerError, Code
from meshd.ids import COMMONS_KEY
from meshd.limits import NAME_SIZE_MAX, PASSPHRASE_SIZE_MAX
from meshd.store import keyslot
from meshd.store.carry import Carry

pytestmark = pytest.mark.real
KEY = bytes(range(32))


def make(home: Home, name: str = "oak") -> dict[str, object]:
    with home.make():
        return init.create(home, KEY, "private", name, None)


def open_it(home: Home) -> init.Opened:
    slot = keyslot.read(home.path)
    return init.open_home(home, keyslot.parameters(slot).stretch(None), slot)


def refusal(caught: pytest.ExceptionInfo[CallerError]) -> Code:
    return caught.value.code


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(str(tmp_path / "home"))


def test_what_is_made_can_be_opened(home: Home) -> None:
    document = make(home)
    with home.lock():
        opened = open_it(home)
        assert (opened.carry.network_key, opened.carry.network_kind) == (KEY, "private")
        assert init.identity(opened.log.seed, opened.log.name).items() <= document.items()
        opened.carry.close()
        opened.log.close()
    assert document["encrypted"] is False
    modes = {path.name: path.stat().st_mode & 0o077 for path in [home.path, *home.path.iterdir()]}
    assert set(modes.values()) == {0}


def test_a_used_home_is_left_alone(home: Home) -> None:
    make(home)
    before = {path.name: path.read_bytes() for path in home.path.iterdir()}
    with pytest.raises(CallerError) as caught, home.make():
        pass
    assert refusal(caught) is Code.refused
    assert {path.name: path.read_bytes() for path in home.path.iterdir()} == before


@pytest.mark.parametrize("cut", ["carry", "log", "keyslot"])
def test_a_making_that_is_cut_short_leaves_nothing_in_the_way(
    home: Home, cut: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        owner, name = {
            "carry": (Carry, "create"),
            "log": (init.Log, "create"),
            "keyslot": (keyslot, "write"),
        }[cut]
        patched.setattr(owner, name, stop)
        with pytest.raises(KeyboardInterrupt):
            make(home)
    with pytest.raises(CallerError) as caught, home.lock():
        keyslot.read(home.path)
    assert refusal(caught) is Code.not_found
    make(home)
    assert sorted(path.suffix for path in home.path.iterdir() if path.suffix) == [".db", ".db"]


@pytest.mark.parametrize("renamed", [0, 1])
def test_a_making_that_is_cut_short_after_the_keyslot_is_finished(
    home: Home, renamed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename, count = Path.rename, 0

    def stop(path: Path, target: Path) -> Path:
        nonlocal count
        if path.suffix == ".new" and path.name != "keyslot.new":
            count += 1
            if count > renamed:
                raise KeyboardInterrupt
        return rename(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", stop)
        with pytest.raises(KeyboardInterrupt):
            make(home)
    with home.lock():
        opened = open_it(home)
        opened.carry.close()
        opened.log.close()


def test_a_missing_keyslot_never_makes_a_new_identity(home: Home) -> None:
    make(home)
    slot = home.keyslot.read_bytes()
    home.keyslot.unlink()
    with pytest.raises(CallerError) as caught:
        make(home)
    assert refusal(caught) is Code.refused
    home.keyslot.write_bytes(slot)
    home.keyslot.chmod(0o600)
    opened = open_it(home)
    opened.carry.close()
    opened.log.close()


def test_two_at_once_are_one_too_many(home: Home) -> None:
    make(home)
    with home.lock():
        with pytest.raises(CallerError) as caught, home.lock():
            pass
        assert refusal(caught) is Code.busy
    with home.lock():
        pass


def test_a_home_that_is_not_there_is_not_made_by_opening(home: Home) -> None:
    with pytest.raises(CallerError) as caught, home.lock():
        pass
    assert refusal(caught) is Code.not_found and not home.path.exists()


def test_a_home_that_is_a_file_or_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for name in ("file", "link"):
        with pytest.raises(CallerError) as caught, Home(str(tmp_path / name)).make():
            pass
        assert refusal(caught) is Code.refused
    assert list((tmp_path / "real").iterdir()) == []


@pytest.mark.parametrize("mode", [0o755, 0o710, 0o702])
def test_a_home_that_others_may_open_is_refused(home: Home, mode: int) -> None:
    make(home)
    home.path.chmod(mode)
    with pytest.raises(CallerError) as caught, home.lock():
        pass
    assert refusal(caught) is Code.refused and "chmod 700" in caught.value.message
    assert home.path.stat().st_mode & 0o777 == mode


# --- what init is told ---


def test_the_network_is_the_commons_a_new_one_or_that_of_an_invite(tmp_path: Path) -> None:
    assert init.network_of(False, None) == (COMMONS_KEY, "open")
    key, kind = init.network_of(True, None)
    assert len(key) == 32 and kind == "private" and key != init.network_of(True, None)[0]
    text = invite.encode(KEY)
    assert init.network_of(False, text) == (KEY, "private")
    (tmp_path / "invite.txt").write_text(text + "\n")
    assert init.network_of(False, f"@{tmp_path}/invite.txt") == (KEY, "private")
    assert init.network_of(False, invite.encode(COMMONS_KEY)) == (COMMONS_KEY, "open")
    with pytest.raises(CallerError) as caught:
        init.network_of(False, f"@{tmp_path}/none.txt")
    assert refusal(caught) is Code.usage


def test_names_are_bounded_and_printable() -> None:
    assert init.checked_name("  Zoe\u0308 ") == "Zo\u00eb"
    assert init.checked_name("x" * NAME_SIZE_MAX) == "x" * NAME_SIZE_MAX
    for wrong in ("x" * (NAME_SIZE_MAX + 1), "oak#7f3a", "o\x1b[2Jak", "o\u202eak"):
        with pytest.raises(CallerError) as caught:
            init.checked_name(wrong)
        assert refusal(caught) is Code.usage


# --- passphrases ---


@pytest.mark.parametrize(
    ("content", "read"),
    [
        (b"correct horse\n", b"correct horse"),
        (b"correct horse\r\nnot this\n", b"correct horse"),
        ("Zoe\u0308".encode(), "Zo\u00eb".encode()),
        (b" spaces stay ", b" spaces stay "),
        (b"x" * PASSPHRASE_SIZE_MAX, b"x" * PASSPHRASE_SIZE_MAX),
    ],
)
def test_a_passphrase_is_the_first_line_normalised(tmp_path: Path, content: bytes, read: bytes) -> None:
    path = tmp_path / "passphrase"
    path.write_bytes(content)
    assert passphrase.given(str(path), None) == read
    reading, writing = os.pipe()
    with open(writing, "wb") as pipe:
        pipe.write(content)
    assert passphrase.given(None, reading) == read


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe", b"x" * (PASSPHRASE_SIZE_MAX + 1)])
def test_what_is_no_passphrase_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "passphrase"
    path.write_bytes(content)
    with pytest.raises(CallerError) as caught:
        passphrase.given(str(path), None)
    assert refusal(caught) is Code.usage


def test_a_passphrase_that_cannot_be_had_says_so(tmp_path: Path) -> None:
    for file, descriptor in ((str(tmp_path / "none"), None), (None, 987), (None, -1), ("x", 3)):
        with pytest.raises(CallerError) as caught:
            passphrase.given(file, descriptor)
        assert refusal(caught) is Code.usage
    assert passphrase.given(None, None) is None
