"""A direct on real daemons: the two ends of a line of five write to each other, and the three between only carry."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.laptops import ROOT, Laptop, Rpc, meshd
from tests.test_groups_daemon import raws, wait_until

pytestmark = pytest.mark.real
NAMES = ("oak", "one", "two", "three", "elm")
RECEIPT_S = 40  # until a receipt is there: half a minute of waiting on purpose, and four hops


def mesh(home: Path, *args: str) -> Any:
    """What a command line prints, off a terminal."""
    ran = subprocess.run(
        [sys.executable, "-I", "-m", "cli", *args, "--home", str(home), "--json"],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_the_ends_of_a_line_write_answer_and_acknowledge_what_the_others_only_carry(tmp_path: Path) -> None:
    with ExitStack() as stack:
        for name in NAMES:
            assert meshd(tmp_path / name, "init", "--name", name, "--no-passphrase").returncode == 0
            (tmp_path / name / "config.toml").write_text("receipts = true\n")
        laptops = [stack.enter_context(Laptop(tmp_path / name)) for name in NAMES]
        rpcs = [Rpc(laptop.home) for laptop in laptops]
        for rpc, following in zip(rpcs[:-1], laptops[1:], strict=True):
            rpc.ask("peer.add", address=following.address)
        oak, elm = rpcs[0], rpcs[-1]
        cards = [rpc.ask("id.show")["result"] for rpc in (oak, elm)]
        oak.ask("contact.add", card=cards[1]["card"], name="elm")  # elm does not know oak

        begun = time.monotonic()
        written = mesh(tmp_path / "oak", "dm", "elm", "bread at eight")
        assert written["channel"] == "elm" and written["state"] == "queued"
        request = elm.until("requests", "requests")[0]
        assert request["text"] == "bread at eight" and request["name"].startswith("oak#")
        assert (
            elm.ask("read")["result"]["posts"] == [] and elm.ask("channel.list")["result"]["channels"] == []
        )
        mesh(tmp_path / "elm", "requests", "accept", request["id"][:8])

        def texts(rpc: Rpc, who: str) -> list[str]:
            answer = rpc.ask("read", channel=f"direct:{who}")
            return [post["text"] for post in answer["result"]["posts"]] if "result" in answer else []

        wait_until(lambda: texts(elm, request["id"]) == ["bread at eight"], lambda: texts(elm, request["id"]))
        mesh(tmp_path / "elm", "dm", request["id"], "I bring water")
        both = ["bread at eight", "I bring water"]
        wait_until(lambda: texts(oak, "elm") == both, lambda: texts(oak, "elm"))
        print(
            f"asked, accepted, read, answered and read over four hops within {time.monotonic() - begun:.1f} s"
        )

        begun = time.monotonic()
        third = mesh(
            tmp_path / "oak", "dm", "elm", "then at nine", "--wait", "delivered", "--timeout", str(RECEIPT_S)
        )
        assert third["state"] == "delivered" and third["pending"] is False
        print(f"delivered, by elm's own receipt, {time.monotonic() - begun:.1f} s after it was written")
        shown = {
            post["text"]: post["delivered"] for post in oak.ask("read", channel="elm")["result"]["posts"]
        }
        assert shown["bread at eight"] and shown["then at nine"]
        refused = oak.ask("post", channel="plaza", text="hello", wait="delivered")
        assert refused["error"]["data"]["code"] == "refused"

        def held() -> list[int]:
            return [rpc.ask("status")["result"]["counts"]["envelopes"] for rpc in rpcs]

        wait_until(lambda: len(set(held())) == 1, held)
        for rpc in rpcs[1:-1]:
            assert rpc.ask("status")["result"]["counts"]["posts"] == 0
        for rpc in rpcs:
            rpc.close()
        for laptop in laptops:
            assert laptop.stop() == 0
        told = [bytes.fromhex(each["id"]) for each in cards] + [b"bread", b"water", b"oak", b"elm"]
        for name in NAMES[1:-1]:
            carried = raws(tmp_path / name)
            assert len(carried) >= 8
            assert not [word for word in told for raw in carried if word in raw]


def test_who_wants_no_receipts_sent_sends_none(tmp_path: Path) -> None:
    with Laptop(tmp_path / "oak") as oak, Laptop(tmp_path / "elm") as elm:
        rpcs = ours, theirs = Rpc(oak.home), Rpc(elm.home)
        ours.ask("peer.add", address=elm.address)
        for rpc, other in ((ours, theirs), (theirs, ours)):
            shown = other.ask("id.show")["result"]
            rpc.ask("contact.add", card=shown["card"], name=shown["name"])
        answer = ours.ask("dm", who="elm", text="bread", wait="delivered", timeout=5)
        assert answer["error"]["data"]["code"] == "timed_out"
        there: Callable[[], bool] = lambda: bool(theirs.ask("read")["result"]["posts"])  # noqa: E731
        wait_until(there, lambda: theirs.ask("requests"))
        for rpc in rpcs:
            rpc.close()


def test_first_words_reach_who_was_off_and_never_heard_by_a_long_card_in_a_file(tmp_path: Path) -> None:
    """Oak and elm are never on together and were never linked; the third carries, and nobody else."""
    with ExitStack() as stack:
        oak, third, elm = (stack.enter_context(Laptop(tmp_path / name)) for name in ("oak", "third", "elm"))
        shown = mesh(elm.home, "id", "show", "--prekeys")
        (tmp_path / "card").write_text(shown["card"])
        assert elm.stop() == 0
        mesh(oak.home, "contact", "add", f"@{tmp_path / 'card'}", "--name", "elm")
        mesh(oak.home, "peer", "add", third.address)
        assert mesh(oak.home, "dm", "elm", "bread at eight", "--wait", "held")["pending"] is False

        def carried() -> list[int]:
            return [mesh(laptop.home, "status")["counts"]["envelopes"] for laptop in (oak, third)]

        wait_until(lambda: carried()[0] == carried()[1] > 2, carried)
        ours = mesh(oak.home, "id", "show")["id"]
        assert oak.stop() == 0
        elm.start()
        mesh(elm.home, "peer", "add", third.address)
        rpc = Rpc(elm.home)
        (asked,) = rpc.until("requests", "requests")
        assert asked["text"] == "bread at eight" and asked["id"] == ours
        mesh(elm.home, "requests", "accept", ours)
        (read,) = rpc.until("read", "posts", channel=f"direct:{ours}")
        assert read["text"] == "bread at eight" and mesh(third.home, "status")["counts"]["posts"] == 0
        rpc.close()
