"""D: the power goes, and what was not synced to the disk with it."""

import shutil
import signal
from pathlib import Path

import pytest

from tests.laptops import Laptop, Rpc
from tests.power import Disk, has_strace, traced, until_killed

pytestmark = [pytest.mark.real, pytest.mark.skipif(not has_strace(), reason="not run: there is no strace")]
POSTS = 40


@pytest.mark.parametrize("seed", [None, 1, 2, 3])
def test_D06_what_was_answered_is_there_after_a_power_cut(tmp_path: Path, seed: int | None) -> None:
    laptop, before, log = Laptop(tmp_path / "oak"), tmp_path / "before", tmp_path / "log"
    shutil.copytree(laptop.home, before)
    laptop.start(*traced(log))
    rpc = Rpc(laptop.home)
    answered = [rpc.ask("post", channel="plaza", text=f"post {n}")["result"]["id"] for n in range(POSTS)]
    rpc.say([{"jsonrpc": "2.0", "id": 1, "method": "post", "params": {"channel": "plaza", "text": "cut"}}])
    laptop.stop(signal.SIGKILL)
    until_killed(log)
    Disk(laptop.home, before, seed).replay(log).put(tmp_path / "elm")
    with Laptop(tmp_path / "elm") as found:
        posts = Rpc(found.home).ask("read", channel="plaza", limit=200)["result"]["posts"]
        assert [post["id"] for post in posts][:POSTS] == answered
        assert Rpc(found.home).ask("post", channel="plaza", text="on")["result"]["id"]
