"""Bundles with real daemons: two laptops that no link joins, and a file between them."""

import os
from pathlib import Path

import pytest

from tests.laptops import Laptop, Rpc

pytestmark = pytest.mark.real


def test_two_laptops_that_only_meet_a_stick(tmp_path: Path) -> None:
    file = str(tmp_path / "posts.bundle")
    with Laptop(tmp_path / "oak") as oak, Laptop(tmp_path / "ash") as ash:
        ours, theirs = Rpc(oak.home), Rpc(ash.home)
        for number in range(600):
            ours.ask("post", channel="square", text=str(number))
        wrote = ours.ask("bundle.export", file=file)["result"]
        assert wrote == {"v": 1, "envelopes": 601, "bytes": os.stat(file).st_size}  # and its prekeys
        assert os.stat(file).st_mode & 0o777 == 0o600
        assert ours.ask("bundle.export", file=file)["error"]["data"]["code"] == "refused"
        with open(file, "rb") as whole, open(file + ".cut", "wb") as cut:
            cut.write(whole.read()[: wrote["bytes"] // 2])
        first = theirs.ask("bundle.import", file=file + ".cut")["result"]
        assert first["whole"] is False and 250 < first["new"] < 350
        second = theirs.ask("bundle.import", file=file)["result"]
        assert second == {
            "v": 1, "new": 601 - first["new"], "known": first["new"], "refused": 0, "expired": 0, "whole": True,
        }  # fmt: skip
        texts = [post["text"] for post in theirs.ask("read", channel="square", limit=1000)["result"]["posts"]]
        assert texts == [str(number) for number in range(600)]
        assert theirs.ask("bundle.take", envelopes=[])["error"]["code"] == -32601  # the daemon's own
        ours.close()
        theirs.close()


def test_a_client_that_hangs_up_ends_its_import_and_harms_nobody(tmp_path: Path) -> None:
    file = str(tmp_path / "posts.bundle")
    with Laptop(tmp_path / "oak") as oak:
        ours = Rpc(oak.home)
        ours.ask("post", channel="square", text="hello")
        ours.ask("bundle.export", file=file)
        gone = Rpc(oak.home)
        gone.say({"jsonrpc": "2.0", "id": 1, "method": "bundle.import", "params": {"file": file}})
        gone.close()
        batch = [{"jsonrpc": "2.0", "id": number, "method": "bundle.import", "params": {"file": file}}
                 for number in range(3)]  # fmt: skip
        ours.say(batch)
        assert [answer["result"]["known"] for answer in ours.hear()] == [2, 2, 2]
        ours.close()
