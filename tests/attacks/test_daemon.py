"""D: what a second daemon, a failing disk or a full one does to a node that has promised something."""

import resource
from pathlib import Path

import pytest

from meshd.errors import Code
from tests.laptops import PATIENCE_S, Laptop, Rpc, meshd

pytestmark = pytest.mark.real


def test_D08_a_second_daemon_exits_and_the_first_goes_on(tmp_path: Path) -> None:
    with Laptop(tmp_path / "oak") as oak:
        for args in (("run", "--no-mdns"), ("id", "show")):
            assert meshd(oak.home, *args).returncode == int(Code.busy)
        assert Rpc(oak.home).ask("status")["result"]["pid"] == oak.process.pid


def test_D08_init_beside_a_running_daemon_touches_nothing(tmp_path: Path) -> None:
    with Laptop(tmp_path / "oak") as oak:
        slot = (oak.home / "keyslot").read_bytes()
        assert meshd(oak.home, "init", "--no-passphrase").returncode in (int(Code.busy), int(Code.refused))
        assert (oak.home / "keyslot").read_bytes() == slot


@pytest.mark.parametrize("name", ["keyslot", "carry.db", "log.db"])
def test_D07_a_file_that_others_may_read_is_refused(tmp_path: Path, name: str) -> None:
    home = tmp_path / "oak"
    meshd(home, "init", "--no-passphrase")
    (home / name).chmod(0o644)
    ran = meshd(home, "run", "--no-mdns")
    assert ran.returncode == int(Code.refused) and name.removesuffix(".db") in ran.stderr


def test_D05_a_disk_that_fails_ends_the_daemon_and_no_answer_was_false(tmp_path: Path) -> None:
    """From some post on, no file may grow: the kernel refuses the write, as a failing disk would."""
    with Laptop(tmp_path / "oak") as oak:
        rpc = Rpc(oak.home)
        rpc.ask("channel.join", name="plaza")
        answered = [rpc.ask("post", channel="plaza", text=f"{n}")["result"]["id"] for n in range(20)]
        size = max(path.stat().st_size for path in oak.home.iterdir())
        resource.prlimit(oak.process.pid, resource.RLIMIT_FSIZE, (size, size))
        with pytest.raises((EOFError, OSError)):
            for n in range(10_000):
                answer = rpc.ask("post", channel="plaza", text=f"{n}".rjust(1000))
                answered.append(answer["result"]["id"])
        _, stderr = oak.process.communicate(timeout=PATIENCE_S)
        assert oak.process.returncode == int(Code.error)
        assert len(stderr.splitlines()) == 1 and "disk" in stderr
        oak.start()
        posts = Rpc(oak.home).ask("read", channel="plaza", limit=20_000)["result"]["posts"]
        assert set(answered) <= {post["id"] for post in posts}
