"""The daemon as a process: it starts, says so, talks, and ends cleanly."""

import json
import os
import signal
from pathlib import Path

import pytest

from tests.laptops import PATIENCE_S, Laptop, Rpc, meshd

pytestmark = pytest.mark.real


def document(ran: object) -> dict[str, object]:
    (line,) = ran.stdout.splitlines()  # type: ignore[attr-defined]
    return json.loads(line)  # type: ignore[no-any-return]


def test_a_post_on_one_laptop_reaches_a_subscriber_on_another(tmp_path: Path) -> None:
    with Laptop(tmp_path / "oak") as oak, Laptop(tmp_path / "elm") as elm:
        here, there, subscriber = Rpc(oak.home), Rpc(elm.home), Rpc(elm.home)
        for rpc in (here, there):
            rpc.ask("channel.join", name="plaza")
        there.ask("peer.add", address=oak.address)
        assert subscriber.ask("subscribe", channel="plaza")["result"]["subscription"]
        (link,) = here.until("status", "links")
        assert link["direction"] == "in"
        posted = here.ask("post", channel="plaza", text="hello")["result"]
        notice = subscriber.hear()
        assert notice["params"]["post"]["id"] == posted["id"] and notice["params"]["post"]["text"] == "hello"
        status = there.ask("status")["result"]
        assert status["pid"] == elm.process.pid and status["socket"] == str(elm.home / "ctl.sock")
        assert status["encrypted"] is False and status["listen"] == [elm.address]


def test_what_was_answered_is_there_after_a_kill(tmp_path: Path) -> None:
    with Laptop(tmp_path / "oak") as oak:
        rpc = Rpc(oak.home)
        rpc.ask("channel.join", name="plaza")
        batch = [
            {"jsonrpc": "2.0", "id": n, "method": "post", "params": {"channel": "plaza", "text": f"post {n}"}}
            for n in range(100)
        ]
        rpc.say(batch)
        posted = [answer["result"]["id"] for answer in rpc.hear()]
        assert oak.stop(signal.SIGKILL) == -signal.SIGKILL
        oak.start()
        read = Rpc(oak.home).ask("read", channel="plaza", limit=1000)["result"]["posts"]
        assert [post["id"] for post in read] == posted


@pytest.mark.parametrize("how", ["down", "SIGTERM", "SIGINT"])
def test_it_ends_cleanly_and_says_bye(tmp_path: Path, how: str) -> None:
    with Laptop(tmp_path / "oak") as oak, Laptop(tmp_path / "elm") as elm:
        there = Rpc(elm.home)
        there.ask("peer.add", address=oak.address)
        there.until("status", "links")
        if how == "down":
            assert Rpc(oak.home).ask("down")["result"] == {"v": 1}
            assert oak.process.wait(PATIENCE_S) == 0
        else:
            assert oak.stop(getattr(signal, how)) == 0
        (peer,) = there.ask("peer.list")["result"]["peers"]
        assert peer["reason"] == "the peer is shutting down"
        assert not (oak.home / "ctl.sock").exists()
        oak.start()


def test_a_second_start_takes_over_a_socket_left_by_a_kill(tmp_path: Path) -> None:
    with Laptop(tmp_path / "oak") as oak:
        oak.stop(signal.SIGKILL)
        assert (oak.home / "ctl.sock").exists()
        oak.start()
        assert Rpc(oak.home).ask("status")["result"]["pid"] == oak.process.pid


def test_a_home_with_a_passphrase_opens_with_it_alone(tmp_path: Path) -> None:
    home, right, wrong = tmp_path / "oak", tmp_path / "right", tmp_path / "wrong"
    right.write_text("correct horse\n")
    wrong.write_text("battery staple\n")
    made = document(meshd(home, "init", "--private", "--passphrase-file", str(right)))
    assert made["encrypted"] is True and made["network"]["kind"] == "private"  # type: ignore[index]
    for args, status, code in (
        (("--passphrase-file", str(wrong)), 4, "locked"),
        ((), 2, "usage"),
        (("--passphrase-fd", "77"), 2, "usage"),
    ):
        ran = meshd(home, "run", *args)
        assert ran.returncode == status and document(ran)["error"]["code"] == code  # type: ignore[index]
        assert len(ran.stderr.splitlines()) == 1
    shown = document(meshd(home, "id", "show", "--passphrase-file", str(right)))
    assert shown["id"] == made["id"] and len(str(shown["fingerprint"]).split()) == 12
    with Laptop(home, "--passphrase-file", str(right)) as oak:
        assert Rpc(oak.home).ask("status")["result"]["encrypted"] is True
        assert oak.memory_mib() < 64  # Argon2id's 256 MiB went back to the system


@pytest.mark.parametrize(
    ("args", "status"),
    [
        (("init",), 2),
        (("init", "--no-passphrase", "--private", "--open"), 2),
        (("init", "--no-passphrase", "--invite", "MESHD-NET:1:AAAA"), 8),
        (("init", "--no-passphrase", "--name", "x" * 65), 2),
        (("run",), 5),
        (("run", "--listen", "nowhere"), 2),
        (("run", "--no-mdns", "--listen-only"), 2),
        (("fly",), 2),
    ],
)
def test_a_refusal_is_one_line_one_document_and_a_status(
    tmp_path: Path, args: tuple[str, ...], status: int
) -> None:
    ran = meshd(tmp_path / "home", *args)
    assert ran.returncode == status
    assert set(document(ran)) == {"v", "error"}
    assert len(ran.stderr.splitlines()) == 1
    assert not (tmp_path / "home" / "keyslot").exists()


def test_a_taken_address_is_refused_with_its_name(tmp_path: Path) -> None:
    with Laptop(tmp_path / "oak") as oak:
        elm = tmp_path / "elm"
        meshd(elm, "init", "--no-passphrase")
        ran = meshd(elm, "run", "--no-mdns", "--listen", oak.address)
        assert ran.returncode == 6 and oak.address in ran.stderr


def test_a_poor_locale_costs_nothing(tmp_path: Path) -> None:
    poor = {**os.environ, "LC_ALL": "en_US.ISO-8859-1", "PYTHONUTF8": "0"}
    made = document(meshd(tmp_path / "oak", "init", "--name", "Zoë 🌳", "--no-passphrase", env=poor))
    assert made["name"] == "Zoë 🌳"


def test_it_leaves_no_core_file(tmp_path: Path) -> None:
    with Laptop(tmp_path / "oak") as oak:
        (line,) = [
            line
            for line in Path(f"/proc/{oak.process.pid}/limits").read_text().splitlines()
            if line.startswith("Max core file size")
        ]
        assert line.split()[4:6] == ["0", "0"]


def test_a_read_too_long_for_a_line_stops_early_at_a_cursor(tmp_path: Path) -> None:
    with Laptop(tmp_path / "oak") as oak:
        rpc = Rpc(oak.home)
        rpc.ask("channel.join", name="plaza")
        params = {"channel": "plaza", "text": "\u00eb" * 8000}  # six bytes each in a line of ASCII
        posted: list[str] = []
        for _ in range(2):
            rpc.say([{"jsonrpc": "2.0", "id": n, "method": "post", "params": params} for n in range(100)])
            posted += [answer["result"]["id"] for answer in rpc.hear()]
        read: list[str] = []
        cursor = None
        while len(read) < len(posted):
            answer = rpc.ask("read", channel="plaza", limit=1000, since=cursor)["result"]
            assert answer["posts"]
            read += [post["id"] for post in answer["posts"]]
            cursor = answer["cursor"]
        assert read == posted and cursor == len(posted)
