"""D: what a second daemon, a failing disk or a full one does to a node that has promised something."""

from pathlib import Path

import pytest

from meshd.errors import Code
from tests.laptops import Laptop, Rpc, meshd

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
