"""A laptop whose disk is really full: a file system of eight megabytes with a real daemon on it (attack case D02).

It says so, refuses what would be written, shows and passes on what is there, and goes on when there is room; and a page
damaged under a running daemon ends it with a word about the disk (D03).
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.waiting import wait_until
from tests.test_cli_daemon import loopback

pytestmark = pytest.mark.lab
MESH = [sys.executable, "-I", "-m", "cli"]
PATIENCE_S = 20


class Owner:
    """Types commands on a laptop whose home is in this folder."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def __call__(self, *args: str) -> tuple[int, Any]:
        command = [*MESH, "--home", str(self.home), "--json", *args]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
        return done.returncode, json.loads(done.stdout or "null")

    def texts(self) -> list[str]:
        status, document = self("read", "square", "-n", "10000")
        assert status == 0, document
        return [post["text"] for post in document["posts"]]

    def is_full(self) -> bool:
        return bool(self("status")[1]["disk"]["full"])


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of eight megabytes on a loop device."""
    image, mount = tmp_path / "image", tmp_path / "small"
    mount.mkdir()
    with image.open("wb") as file:
        file.truncate(8 * 1024 * 1024)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", str(image)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(mount)], check=True)
    yield mount
    subprocess.run(["umount", str(mount)], check=True)


@pytest.fixture
def owners(small: Path, tmp_path: Path) -> Iterator[tuple[Owner, Owner]]:
    """Oak on the small disk, and elm beside it; both up, and linked."""
    oak, elm = Owner(small / "home"), Owner(tmp_path / "elm")
    addresses = []
    for owner in (oak, elm):
        assert owner("init", "--no-passphrase")[0] == 0
        addresses.append(loopback())
        status, document = owner("up", "--no-mdns", "--listen", addresses[-1])
        assert status == 0, document
    assert elm("peer", "add", addresses[0])[0] == 0
    yield oak, elm
    for owner in (oak, elm):
        owner("down")


def test_D02_a_disk_that_is_full_stops_nothing_but_writing(owners: tuple[Owner, Owner], small: Path) -> None:
    oak, elm = owners
    assert oak("post", "square", "before")[0] == 0
    wait_until(lambda: elm.texts() == ["before"], PATIENCE_S)
    filler = small / "filler"
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError):
        while True:
            file.write(bytes(4096))
    acknowledged = ["before"]
    for number in range(200):
        status, document = oak("post", "square", text := f"{number} ".ljust(8_000, "."))
        if status:
            assert (status, document["error"]["code"]) == (6, "refused")
            assert "the disk is full" in document["error"]["message"]
            break
        acknowledged.append(text)
    shown = oak.texts()  # the last may be carried, and find no room in the log until there is some
    assert oak.is_full() and shown == acknowledged[: len(shown)] and len(acknowledged) - len(shown) <= 1
    wait_until(lambda: set(acknowledged) <= set(elm.texts()), PATIENCE_S)  # it passes on what it holds
    assert elm("post", "square", "from elm")[0] == 0
    assert oak("post", "square", "still full")[0] == 6
    filler.unlink()
    wait_until(lambda: not oak.is_full(), PATIENCE_S)
    assert oak("post", "square", "after")[0] == 0
    wait_until(lambda: "from elm" in oak.texts(), PATIENCE_S)
    wait_until(lambda: "after" in elm.texts(), PATIENCE_S)
    oak("down")
    assert oak("up", "--no-mdns", "--listen", loopback())[0] == 0
    assert {*acknowledged, "after", "from elm"} == set(oak.texts()) and not oak.is_full()


def test_D03_a_page_damaged_under_a_running_daemon_is_said(owners: tuple[Owner, Owner]) -> None:
    oak, _ = owners
    for number in range(40):
        assert oak("post", "square", f"{number} ".ljust(15_000, "."))[0] == 0
    assert oak("down")[0] == 0
    status, _ = oak("up", "--no-mdns", "--listen", loopback())
    assert status == 0
    for name in ("log.db", "carry.db"):
        path = oak.home / name
        with path.open("r+b") as file:
            for page in range(8, os.path.getsize(path) // 4096):
                file.seek(page * 4096 + 100)
                file.write(b"damaged!")
    oak("read", "square", "-n", "10000")
    wait_until(lambda: oak("status")[0] == 3, PATIENCE_S)
    assert "the disk or a database failed" in (oak.home / "daemon.log").read_text()
    status, document = oak("up", "--no-mdns", "--listen", loopback())
    assert status == 8 and "damaged" in document["error"]["message"]
