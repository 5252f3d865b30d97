"""Canaries: what people said, their names and their passphrase, looked for everywhere that a used laptop keeps bytes.

A home is used through the programs as a person would: texts posted and received, read, the daemon restarted,
aborted and killed. Then every file of the home, of the folder the daemon was started in and of its TMPDIR is searched.
The same search over the same databases, decrypted, finds all of it: so it is known to work.
"""

import base64
import hashlib
import os
import resource
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from meshd.daemon.home import Home
from meshd.daemon.init import Opened, open_home
from meshd.store import keyslot
from tests.laptops import PATIENCE_S, ROOT, Laptop, Rpc

pytestmark = pytest.mark.real

NAME = "Quirina Canary"
CHANNEL = "aviary-behind-the-mill"
PASSPHRASE = "seven herons läugh at dusk"
TEXTS = [
    f"canary {n}: {hashlib.blake2b(bytes((n,)), digest_size=16).hexdigest()} — brücke 🐤" for n in range(50)
]
SECRETS = [*TEXTS, NAME, CHANNEL, PASSPHRASE]


def forms(secret: str) -> Iterator[bytes]:
    """How a text could stand in a file, all in lower case: as it is, in other encodings, as hex, inside base64."""
    for encoding in ("utf-8", "utf-16-le", "utf-16-be"):
        yield secret.encode(encoding).lower()
    raw = secret.encode()
    yield raw.hex().encode()
    for before in range(
        3
    ):  # how many bytes precede it in base64's first group; its ends depend on the neighbours
        inside = raw[(3 - before) % 3 :]
        yield base64.b64encode(inside[: len(inside) // 3 * 3]).lower()


FORMS = {secret: list(forms(secret)) for secret in SECRETS}


def found_in(content: bytes) -> set[str]:
    content = content.lower()
    return {secret for secret, known in FORMS.items() if any(form in content for form in known)}


def found_under(*folders: Path) -> dict[str, set[str]]:
    """Which secrets stand in which files."""
    files = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path): found for path in files if (found := found_in(path.read_bytes()))}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder to start daemons in, with a TMPDIR, where core files would be written if they were not forbidden."""
    (tmp_path / "started" / "tmp").mkdir(parents=True)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "started" / "tmp"))
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    yield tmp_path / "started"
    resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


class Person:
    """Types `mesh` commands in one home, from one folder; `heard` is all that was printed to stderr."""

    def __init__(self, home: Path, folder: Path) -> None:
        self.home, self._folder = home, folder
        self.passphrase_file = folder.parent / "passphrase"
        self.passphrase_file.write_text(PASSPHRASE + "\n")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self.heard = b""

    def mesh(self, *args: str, said: str = "") -> bytes:
        command = [sys.executable, "-I", "-m", "cli", "--home", str(self.home), *args]
        done = subprocess.run(command, input=said.encode(), capture_output=True, cwd=self._folder, timeout=30)
        assert done.returncode == 0, done.stderr
        self.heard += done.stderr
        return done.stdout

    def init(self) -> None:
        self.mesh("init", "--name", NAME, "--passphrase-file", str(self.passphrase_file))

    def up(self) -> int:
        """Start the daemon in the background; its process id."""
        options = ["--no-mdns", "--listen", self.address, "--passphrase-file", str(self.passphrase_file)]
        self.mesh("up", *options)
        return int(Rpc(self.home).ask("status")["result"]["pid"])

    def open(self) -> Opened:
        slot = keyslot.read(self.home)
        return open_home(Home(str(self.home)), keyslot.parameters(slot).stretch(PASSPHRASE.encode()), slot)


def posted(home: Path, texts: list[str], **params: object) -> None:
    rpc = Rpc(home)
    for text in texts:
        assert "result" in rpc.ask("post", channel=CHANNEL, text=text, **params)
    rpc.close()


def end(pid: int, how: int) -> None:
    """Signal a daemon that is not our child, and wait for its end."""
    handle = os.pidfd_open(pid)
    signal.pidfd_send_signal(handle, how)
    ended, _, _ = select.select([handle], [], [], PATIENCE_S)
    os.close(handle)
    assert ended


def decrypted(database: Any, target: Path) -> None:
    """Write the database as a plain SQLite file."""
    database.read("ATTACH DATABASE ? AS plain KEY ''", (str(target),))
    database.read("SELECT sqlcipher_export('plain')")
    database.read("DETACH DATABASE plain")


def test_D09_no_canary_is_left_anywhere_after_use_and_kill(folder: Path, tmp_path: Path) -> None:
    oak = Person(tmp_path / "oak", folder)
    oak.init()
    pid = oak.up()
    posted(oak.home, TEXTS[:20])
    oak.mesh("post", CHANNEL, "-", said=TEXTS[20])
    assert found_in(oak.mesh("read", CHANNEL, "--limit", "100")) == {*TEXTS[:21], NAME, CHANNEL}
    assert not found_in_process(pid)
    oak.mesh("down")
    pid = oak.up()
    assert found_in(oak.mesh("read", CHANNEL, "--limit", "100")) == {*TEXTS[:21], NAME, CHANNEL}
    posted(oak.home, TEXTS[21:25])
    oak.mesh("lock")
    oak.mesh("unlock", "--passphrase-file", str(oak.passphrase_file))
    assert not found_in_process(pid)
    end(pid, signal.SIGABRT)
    pid = oak.up()
    with Laptop(tmp_path / "elm") as elm:
        Rpc(elm.home).ask("peer.add", address=oak.address)
        posted(elm.home, TEXTS[25:], wait="held")
        assert found_in(oak.mesh("read", CHANNEL, "--limit", "100")) == {*TEXTS, NAME, CHANNEL}
        posted(oak.home, ["no canary"], wait="held")
        assert not found_in_process(pid)
        end(pid, signal.SIGKILL)
        elm.stop(signal.SIGKILL)
    journals = [home / f"{database}.db-wal" for home in (oak.home, elm.home) for database in ("carry", "log")]
    assert all(path.stat().st_size for path in journals)
    assert (oak.home / "daemon.log").exists()
    assert found_under(oak.home, elm.home, folder) == {}
    assert found_in(oak.heard) == set()

    (tmp_path / "plain").mkdir()
    opened = oak.open()
    decrypted(opened.log._database, tmp_path / "plain" / "log.db")
    decrypted(opened.carry._database, tmp_path / "plain" / "carry.db")
    found = found_under(tmp_path / "plain")
    assert found[str(tmp_path / "plain" / "log.db")] == {*TEXTS, NAME, CHANNEL}
    assert found[str(tmp_path / "plain" / "carry.db")] == {*TEXTS, NAME}
    assert found_in(oak.passphrase_file.read_bytes()) == {PASSPHRASE}


def found_in_process(pid: int) -> set[str]:
    """What the tools of other users can see of a running daemon."""
    process = Path(f"/proc/{pid}")
    seen = (process / "cmdline").read_bytes()
    with suppress(PermissionError):  # the daemon is closed even to its own user; root looks all the same
        seen += (process / "environ").read_bytes()
    return found_in(seen)


def test_the_search_sees_every_form() -> None:
    for before in ("", "a", "ab"):
        for said in (TEXTS[0], PASSPHRASE):
            raw = f"{before}{said} and more".encode()
            for form in (raw, raw.upper(), raw.hex().encode(), base64.b64encode(raw)):
                assert found_in(form) == {said}
            assert found_in(raw.decode().encode("utf-16")) == {said}


def test_an_aborted_daemon_writes_no_core_file(folder: Path, tmp_path: Path) -> None:
    def cores() -> list[Path]:
        return [path for path in folder.iterdir() if path.name.startswith("core")]

    subprocess.run([sys.executable, "-c", "import os; os.abort()"], cwd=folder, capture_output=True)
    if not cores():
        pytest.skip(
            "this machine writes no core files into a folder: /proc/sys/kernel/core_pattern, ulimit -Hc"
        )
    for core in cores():
        core.unlink()
    oak = Person(tmp_path / "oak", folder)
    oak.init()
    pid = oak.up()
    (limit,) = [line for line in Path(f"/proc/{pid}/limits").read_text().splitlines() if "core file" in line]
    assert limit.split()[-3:] == ["0", "0", "bytes"]
    end(pid, signal.SIGABRT)
    assert cores() == []


def test_a_daemon_is_not_dumpable() -> None:
    """So that no crash collector of the system gets its memory either, whatever the limit says."""
    script = """
import ctypes
from meshd.daemon import main
def shown(*_): print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))  # PR_GET_DUMPABLE
shown()
main._run = shown
main.main(["run"])
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split() == ["1", "0"], done.stderr
