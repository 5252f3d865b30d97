"""Panic on real files: what is erased, what is left, and what becomes of things that are not as they should be."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from meshd.daemon import init, panic
from meshd.daemon.home import Home
from meshd.errors import CallerError, Code
from meshd.store import keyslot
from tests.laptops import Laptop, Rpc, meshd

pytestmark = pytest.mark.real


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home as `init` makes it."""
    made = Home(str(tmp_path / "home"))
    with made.make():
        init.create(made, bytes(range(32)), "private", "oak", None)
    return made


def names(paths: list[str]) -> list[str]:
    return [os.path.basename(path) for path in paths]


def test_everything_goes_and_the_key_goes_first(home: Home) -> None:
    for name in (
        "daemon.log",
        "config.toml",
        "keyslot.new",
        "carry.db-wal",
        "log.db.new",
        "log.db.new-journal",
    ):
        (home.path / name).write_text("x")
    (home.path / "doctor-1").mkdir()
    (home.path / "doctor-1" / "probe.db").write_text("x")
    document = panic.panic(str(home.path))
    assert names(document["erased"])[:2] == ["keyslot", "keyslot.new"]
    assert names(document["erased"])[-4:] == ["carry.db", "log.db", "lock", "home"]
    assert (len(document["erased"]), document["failed"], document["left"]) == (12, [], [])
    assert not home.path.exists()
    assert panic.panic(str(home.path)) == {"erased": [], "failed": [], "left": []}


def test_other_names_of_the_keyslot_have_nothing_either(home: Home, tmp_path: Path) -> None:
    os.link(home.keyslot, tmp_path / "kept")
    panic.erase(str(home.path))
    assert set((tmp_path / "kept").read_bytes()) == {0}


def test_what_is_not_ours_is_left_and_named(home: Home) -> None:
    mine = home.path / "speech.txt"
    mine.write_text("mine")
    (home.path / "diary.db").write_text("mine")
    document = panic.panic(str(home.path))
    assert names(document["left"]) == ["diary.db", "speech.txt"] and document["failed"] == []
    assert sorted(path.name for path in home.path.iterdir()) == ["diary.db", "speech.txt"]
    assert names(panic.panic(str(home.path))["erased"]) == []


def test_a_folder_that_is_no_home_is_left_alone(tmp_path: Path) -> None:
    for name in ("config.toml", "lock", "daemon.log", "ctl.sock"):
        (tmp_path / name).write_text("of some other program")
    assert panic.panic(str(tmp_path)) == {"erased": [], "failed": [], "left": []}
    assert len(list(tmp_path.iterdir())) == 4


def test_what_was_made_read_only_goes_too_and_what_a_link_leads_to_stays(home: Home, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("mine")
    (home.path / "daemon.log").symlink_to(tmp_path / "elsewhere")
    home.keyslot.chmod(0o400)
    home.path.chmod(0o500)
    assert panic.panic(str(home.path))["failed"] == []
    assert not home.path.exists() and (tmp_path / "elsewhere").read_text() == "mine"


def test_a_key_that_may_still_be_somewhere_is_no_success(home: Home, tmp_path: Path) -> None:
    home.keyslot.rename(tmp_path / "stick")
    home.keyslot.symlink_to(tmp_path / "stick")
    document = panic.panic(str(home.path))
    (reason,) = document["failed"]
    assert reason.startswith(f"{home.keyslot}: it could not be overwritten") and not home.path.exists()


def test_what_cannot_be_removed_is_named_and_the_rest_goes(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlink = os.unlink

    def stuck(path: str) -> None:
        if path.endswith("carry.db"):
            raise OSError(5, "Input/output error")
        unlink(path)

    monkeypatch.setattr(os, "unlink", stuck)
    document = panic.panic(str(home.path))
    assert document["failed"] == [f"{home.carry}: Input/output error"]
    assert [path.name for path in home.path.iterdir()] == ["carry.db"]


def test_a_home_without_its_keyslot_is_neither_started_nor_made_anew(home: Home) -> None:
    panic.erase(str(home.path), panic._STEPS[:1])
    with pytest.raises(CallerError) as caught, home.lock():
        keyslot.read(home.path)
    assert caught.value.code is Code.not_found
    with pytest.raises(CallerError) as caught, home.make():
        pass
    assert caught.value.code is Code.refused and "mesh panic" in caught.value.message


def test_who_keeps_the_lock_is_named_but_not_waited_for(home: Home) -> None:
    with home.lock():
        document = panic.panic(str(home.path))
        (reason,) = document["failed"]
    assert "another meshd" in reason and not home.path.exists()


def test_a_lock_that_was_erased_meanwhile_is_worth_nothing(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = os.open

    def slow(path: os.PathLike[str], *how: int) -> int:
        descriptor = opened(path, *how)
        if Path(path).name == "lock":
            os.unlink(path)
        return descriptor

    monkeypatch.setattr(os, "open", slow)
    with pytest.raises(CallerError) as caught, home.lock():
        pass
    assert caught.value.code is Code.busy


def test_it_has_to_be_meant(tmp_path: Path) -> None:
    with Laptop(tmp_path / "oak") as oak:
        assert meshd(oak.home, "panic").returncode == Code.usage
        asked = [sys.executable, "-I", "-m", "cli", "--home", str(oak.home), "panic"]
        assert subprocess.run(asked, stdin=subprocess.DEVNULL, capture_output=True).returncode == Code.usage
        assert Rpc(oak.home).ask("panic", yes=False)["error"]["data"]["code"] == "usage"
        assert Rpc(oak.home).ask("status")["result"]["pid"] == oak.process.pid


def test_a_program_gets_an_answer_and_then_nothing(tmp_path: Path) -> None:
    with Laptop(tmp_path / "oak") as oak:
        rpc = Rpc(oak.home)
        result = rpc.ask("panic", yes=True)["result"]
        assert result["failed"] == result["left"] == [] and str(oak.home) in result["erased"]
        with pytest.raises((EOFError, ConnectionError)):
            rpc.ask("status")
        assert oak.process.wait(timeout=10) == 0
    assert not oak.home.exists()


def test_a_socket_that_nobody_listens_at_is_erased_like_any_file(home: Home) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(home.path / "ctl.sock"))
    assert panic.panic(str(home.path))["failed"] == []
    assert not home.path.exists()
