"""W: a wipe in the middle of anything, cut anywhere, and what it might forget."""

import ctypes
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from meshd.daemon import init, panic
from meshd.daemon.home import Home
from meshd.errors import CallerError, Code
from meshd.store import keyslot
from meshd.store.db import Database
from tests.laptops import PATIENCE_S, ROOT, Laptop, Rpc, meshd

pytestmark = pytest.mark.real

PASSPHRASE = "seven herons at dusk"


def mesh(home: Path, *args: str) -> Any:
    """The document that `mesh ARGS` prints."""
    command = [sys.executable, "-I", "-m", "cli", "--home", str(home), "--json", *args]
    ran = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def is_listening(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with socket.socket() as sock:
        return sock.connect_ex((host, int(port))) == 0


# --- in the middle of anything ---


@pytest.fixture
def passphrase(tmp_path: Path) -> Path:
    file = tmp_path / "passphrase"
    file.write_text(PASSPHRASE + "\n")
    return file


@pytest.fixture
def busy(tmp_path: Path, passphrase: Path) -> Iterator[Laptop]:
    """A daemon in the middle of handshakes, of taking a backlog in, and of commits."""
    (tmp_path / "oak").mkdir(mode=0o700)
    assert not meshd(tmp_path / "oak", "init", "--passphrase-file", str(passphrase)).returncode
    with ExitStack() as open_, Laptop(tmp_path / "elm") as elm:
        batch = [
            {"jsonrpc": "2.0", "id": n, "method": "post", "params": {"channel": "plaza", "text": f"post {n}"}}
            for n in range(1000)
        ]
        backlog = Rpc(elm.home)
        for _ in range(3):
            backlog.say(batch)
            backlog.hear()
        oak = open_.enter_context(Laptop(tmp_path / "oak", "--passphrase-file", str(passphrase)))
        for _ in range(8):  # and say nothing: handshakes that hang
            host, _, port = oak.address.rpartition(":")
            open_.enter_context(socket.create_connection((host, int(port))))
        Rpc(oak.home).ask("peer.add", address=elm.address)
        writer = threading.Thread(target=post_on, args=(oak.home, batch[:20]))
        writer.start()
        Rpc(oak.home).until("status", "links")
        yield oak
        writer.join(timeout=PATIENCE_S)


def post_on(home: Path, batch: list[dict[str, Any]]) -> None:
    with suppress(EOFError, OSError):
        rpc = Rpc(home)
        while True:
            rpc.say(batch)
            rpc.hear()


def is_gone(oak: Laptop, kept: Path) -> None:
    """Nothing of oak is there, runs or listens, and what was kept of its files does not open."""
    oak.process.wait(timeout=PATIENCE_S)
    assert not oak.home.exists() and not is_listening(oak.address)
    with pytest.raises(CallerError) as caught:
        keyslot.parameters((kept / "keyslot").read_bytes())
    assert caught.value.code is Code.invalid


@pytest.mark.parametrize("hangs", [False, True])
def test_W01_a_wipe_in_the_middle_of_anything_and_a_fresh_start(
    hangs: bool, busy: Laptop, tmp_path: Path, passphrase: Path
) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    for name in ("keyslot", "carry.db", "log.db"):  # other names of the same files, which a wipe can't know
        os.link(busy.home / name, kept / name)
    before = json.loads(meshd(busy.home, "panic").stdout)
    assert before["error"]["code"] == "usage" and busy.home.exists()
    if hangs:
        os.kill(busy.process.pid, signal.SIGSTOP)
    document = mesh(busy.home, "panic", "--yes")
    assert document["failed"] == [] and document["erased"][0] == str(busy.home / "keyslot")
    is_gone(busy, kept)
    assert mesh(busy.home, "panic", "--yes") == {"v": 1, "erased": [], "failed": [], "left": []}
    made = mesh(busy.home, "init", "--passphrase-file", str(passphrase))
    for name in ("carry.db", "log.db"):  # the same passphrase, and another key
        slot = keyslot.read(busy.home)
        keys = keyslot.open(slot, keyslot.parameters(slot).stretch(PASSPHRASE.encode()))
        with pytest.raises(CallerError):
            Database(kept / name, keys.carry if name == "carry.db" else keys.log, [("",)])
    busy.start()
    status = Rpc(busy.home).ask("status")["result"]
    fresh = {"posts": 0, "envelopes": 1, "channels": 0}  # its prekeys
    assert status["id"] == made["id"] and status["counts"] == fresh


# --- a power cut ---

State = dict[str, bytes]  # of a folder: path in it → content


class Cut(NamedTuple):
    """A step that was on the disk before the next began: what it may leave behind if the power goes during it."""

    before: State
    after: State


def files(folder: Path) -> State:
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if not path.is_dir()
    }


def on_disk(state: State, folder: Path) -> Home:
    folder.mkdir(mode=0o700)
    for name, content in state.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o600)
    return Home(str(folder))


def cuts(home: Home, monkeypatch: pytest.MonkeyPatch) -> list[Cut]:
    """Erase a home, and note what its disk held whenever something was written through to it."""
    seen = [files(home.path)]
    fsync = os.fsync

    def note(descriptor: int) -> None:
        fsync(descriptor)
        seen.append(files(home.path))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", note)
        panic.erase(str(home.path))
    return [Cut(before, after) for before, after in pairwise(seen)]


def left_behind(cut: Cut) -> Iterator[State]:
    """What the disk may hold: changes between two moments at which all was written through come in any order."""
    changed = [name for name, content in cut.before.items() if cut.after.get(name) != content]
    for count in range(len(changed) + 1):
        for done in combinations(changed, count):
            state = {name: content for name, content in cut.before.items() if name not in done}
            yield state | {name: cut.after[name] for name in done if name in cut.after}
            for name in done:
                if len(cut.after.get(name, b"")) > 1:  # overwritten, and not all of it
                    half = len(cut.after[name]) // 2
                    yield state | {name: cut.after[name][:half] + cut.before[name][half:]}


def test_W02_a_power_cut_at_any_step_leaves_all_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(str(tmp_path / "home"))
    with home.make():
        init.create(home, bytes(range(32)), "private", "oak", None)
    whole = files(home.path)
    for name in ("ctl.sock", "daemon.log", "config.toml", "keyslot.new", "carry.db-wal", "log.db-wal"):
        (home.path / name).write_bytes(name.encode())
    steps = cuts(home, monkeypatch)
    states = {tuple(sorted(state.items())): state for cut in steps for state in left_behind(cut)}
    assert len(steps) > 5 and len(states) > 25 and {} in states.values()
    intact = 0
    for number, state in enumerate(states.values()):
        found = on_disk(state, tmp_path / f"cut{number}")
        if state.get("keyslot") == whole["keyslot"]:
            assert whole.items() <= state.items()
            intact += 1
        else:
            is_wiped(found, state)
        assert panic.panic(str(found.path))["failed"] == []
        assert not found.path.exists() or not files(found.path)
        with found.make():  # and a fresh start
            pass
    assert intact == 1


def is_wiped(home: Home, state: State) -> None:
    """No keys, and neither `up` nor `init` takes what is left for a home."""
    with pytest.raises(CallerError):
        keyslot.parameters(keyslot.read(home.path))
    if not set(state) <= {"lock"}:
        with pytest.raises(CallerError) as caught, home.make():
            pass
        assert caught.value.code is Code.refused


# --- what it might forget ---

_IN_CREATE, _IN_MOVED_TO, _IN_NONBLOCK = 0x100, 0x80, 0x800  # <linux/inotify.h>


class Watch:
    """Every name that appears in some folders, be it for a moment: inotify(7)."""

    def __init__(self, folders: list[Path]) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = libc.inotify_init1(_IN_NONBLOCK)
        self._folders = {
            libc.inotify_add_watch(self._descriptor, os.fsencode(folder), _IN_CREATE | _IN_MOVED_TO): folder
            for folder in folders
        }
        self.seen: set[Path] = set()

    def look(self) -> set[Path]:
        """The paths so far."""
        with suppress(BlockingIOError):
            while events := os.read(self._descriptor, 1 << 16):
                while events:
                    watch, _, _, size = struct.unpack_from("iIII", events)
                    name, events = events[16 : 16 + size], events[16 + size :]
                    if size:  # none: the watched folder itself went
                        self.seen.add(self._folders[watch] / os.fsdecode(name.rstrip(b"\0")))
        return self.seen


WATCHED = """
import os, sys
def note(event, args):
    if event == "open" and isinstance(args[2], int) and args[2] & (os.O_CREAT | os.O_WRONLY | os.O_RDWR):
        os.write(journal, os.fsencode(args[0]) + b"\\n" if not isinstance(args[0], int) else b"")
    elif event in ("os.mkdir", "os.rename", "os.symlink", "os.link"):
        os.write(journal, os.fsencode(args[event in ("os.rename", "os.symlink", "os.link")]) + b"\\n")
journal = os.open(sys.argv.pop(1), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
sys.addaudithook(note)
from meshd.daemon.main import main
main()
"""


def test_W03_no_file_is_made_that_the_wipe_does_not_know(
    tmp_path: Path, passphrase: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole life, with every folder watched in which a program may leave something."""
    places = [tmp_path / name for name in ("home", "user", "tmp", "started", "runtime")]
    home, user, tmp, started, runtime = places
    for place in places:
        place.mkdir(mode=0o700)
    names = ("HOME", "TMPDIR", "XDG_RUNTIME_DIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME")
    for name, place in zip(names, (user, tmp, runtime, user, user, user), strict=True):
        monkeypatch.setenv(name, str(place))
    monkeypatch.chdir(started)
    journal = tmp_path / "journal"
    secret = ("--passphrase-file", str(passphrase))
    watch = Watch(places)

    def mesh(*args: str) -> None:
        command = [sys.executable, "-I", "-m", "cli", "--home", str(home), *args]
        ran = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        assert ran.returncode == 0, ran.stderr

    mesh("init", "--name", "oak", *secret)
    mesh("up", "--no-mdns", "--listen", "127.0.0.1:0", *secret)
    mesh("post", "plaza", "here we are")
    mesh("bundle", "export", str(tmp_path / "bundle"))
    mesh("doctor")
    pid = Rpc(home).ask("status")["result"]["pid"]
    os.kill(pid, signal.SIGKILL)
    while Path(f"/proc/{pid}").exists():
        pass
    run = ["run", "--home", str(home), "--json", "--no-mdns", "--listen", "127.0.0.1:0", *secret]
    command = [sys.executable, "-I", "-c", WATCHED, str(journal), *run]
    daemon = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert daemon.stdout is not None
    daemon.stdout.readline()
    mesh("bundle", "import", str(tmp_path / "bundle"))
    mesh("read", "plaza")
    mesh("search", "here")
    mesh("lock")
    mesh("unlock", *secret)
    (home / "config.toml").write_text("idle_lock_min = 0\n")
    mesh("panic", "--yes")
    daemon.communicate(timeout=PATIENCE_S)

    made = watch.look()
    assert {home / name for name in ("keyslot.new", "carry.db-wal", "log.db.new", "ctl.sock", "lock")} <= made
    assert any(path.name.startswith("doctor-") for path in made)
    assert {path for path in made if path.parent != home or not panic._is_ours(path.name)} == set()
    opened = {Path(line) for line in journal.read_text().splitlines()} - {Path(os.devnull)}
    assert home / "lock" in opened
    strange = {path for path in opened if path.parent != home or not panic._is_ours(path.name)}
    assert {
        path for path in strange if Path("/proc") not in path.parents and path != tmp_path / "bundle"
    } == set()
    assert not home.exists()


# --- afterwards ---


def processes_of(home: Path) -> list[int]:
    """Everything that runs with this home among its arguments."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.fsencode(home) in (process / "cmdline").read_bytes():
                found.append(int(process.name))
    return found


def strings(state: State) -> set[bytes]:
    """All runs of 8 bytes in the files of a home, but for what every keyslot begins with."""
    found: set[bytes] = set()
    for name, content in state.items():
        if name == "keyslot":
            content = content[content.index(b"none") + 4 :]
        found |= {content[place : place + 8] for place in range(len(content) - 7)}
    return {run for run in found if len(set(run)) > 2}


def test_W05_nothing_goes_on_and_who_comes_after_is_somebody_else(tmp_path: Path) -> None:
    with Laptop(tmp_path / "elm") as elm, Laptop(tmp_path / "oak") as oak:
        rpc = Rpc(oak.home)
        was = rpc.ask("id.show")["result"]
        rpc.ask("peer.add", address=elm.address)
        rpc.ask("post", channel="plaza", text="hello", wait="held")
        old = files_of(oak.home)
        link_key = Rpc(elm.home).ask("status")["result"]["links"][0]["peer"]
        mesh(oak.home, "panic", "--yes")
        assert oak.process.wait(timeout=PATIENCE_S) == 0
        assert processes_of(oak.home) == [] and not is_listening(oak.address)

        mesh(oak.home, "init", "--name", "yew", "--no-passphrase")
        assert strings(old) & strings(files_of(oak.home)) == set()
        oak.start()
        rpc = Rpc(oak.home)
        now = rpc.ask("id.show")["result"]
        assert {was[name] for name in ("id", "fingerprint", "card")}.isdisjoint(now.values())
        assert rpc.ask("peer.list")["result"]["peers"] == []
        rpc.ask("peer.add", address=elm.address)
        rpc.until("status", "links")
        (link,) = Rpc(elm.home).until("status", "links")
        assert link["peer"] != link_key


def files_of(home: Path) -> State:
    return {path.name: path.read_bytes() for path in home.iterdir() if path.is_file() and path.name != "lock"}
