"""E14: a locked laptop relays and reconciles everything, answers nothing private, and knows nothing private."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from meshd import crypto
from meshd.daemon.methods import METHODS
from meshd.errors import Code
from meshd.store import keyslot
from meshd.store.log import Log
from tests.homes import Table
from tests.laptops import ROOT, Laptop, Rpc, meshd
from tests.memory import found_in_memory

PASSPHRASE = "seven herons at dusk"
# What a locked daemon does answer: what says nothing of its owner's, and what goes on carrying.
ANSWERED = {
    *("status", "internet", "lock", "unlock", "panic", "down", "sync", "clock.confirm"),
    *("peer.list", "peer.add", "peer.drop", "peer.ping", "bundle.export", "bundle.import"),
}
SAMPLES = {
    "limit": 5,
    "cursor": 0,
    "subscription": 1,
    "wait": False,
    "timeout": 1,
    "missing": False,
    "drill": True,
    "single": True,
    "pass_on": True,
}


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def test_E14_what_two_say_crosses_a_locked_laptop_by_gossip_and_by_reconcile(table: Table) -> None:
    oak, shut, yew = table.home("oak"), table.home("shut", locked=True), table.home("yew")
    oak.post("before anybody met")
    table.link(oak, shut)
    table.link(shut, yew)
    table.run(3_000)
    assert yew.texts() == ["before anybody met"]
    yew.post("and back")
    table.run(1_000)
    assert oak.texts() == ["before anybody met", "and back"]
    assert len(shut.raws()) == 2 and shut.node.log is None


def test_E14_what_came_while_it_was_locked_is_there_when_it_opens(table: Table) -> None:
    oak, elm = table.home("oak"), table.home("elm")
    elm.texts()  # joins the channel
    elm.stop()
    elm.locked = True
    elm.start()
    table.link(oak, elm)
    table.settle()
    for number in range(3):
        oak.post(f"{number}")
        table.run(100)
    elm.stop()
    elm.locked = False
    elm.start()
    assert elm.texts() == ["0", "1", "2"]


# --- real daemons ---


def mesh(home: Path, *args: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-I", "-m", "cli", "--home", str(home), *args]
    return subprocess.run(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )


@pytest.fixture
def secret(tmp_path: Path) -> tuple[str, str]:
    """The options that give the passphrase."""
    (tmp_path / "passphrase").write_text(PASSPHRASE + "\n")
    return "--passphrase-file", str(tmp_path / "passphrase")


@pytest.fixture
def elm(tmp_path: Path, secret: tuple[str, str]) -> Iterator[Laptop]:
    """A running laptop with a passphrase, in a network of its own."""
    home = tmp_path / "elm"
    assert not meshd(home, "init", "--name", "Quirina Canary", "--private", *secret).returncode
    with Laptop(home, *secret) as laptop:
        yield laptop


def invited(elm: Laptop, name: str) -> Laptop:
    invite = Rpc(elm.home).ask("invite.network")["result"]["invite"]
    home = elm.home.with_name(name)
    assert not meshd(home, "init", "--name", name, "--invite", invite, "--no-passphrase").returncode
    return Laptop(home)


@pytest.mark.real
def test_E14_a_locked_laptop_in_the_middle_of_a_line(elm: Laptop, secret: tuple[str, str]) -> None:
    with ExitStack() as stack:
        oak, yew = (stack.enter_context(invited(elm, name)) for name in ("oak", "yew"))
        Rpc(elm.home).ask("channel.join", name="plaza")
        assert mesh(elm.home, "lock").returncode == 0
        for end in (oak, yew):
            Rpc(end.home).ask("channel.join", name="plaza")
            Rpc(end.home).ask("peer.add", address=elm.address)  # at the port that it had before
            Rpc(end.home).until("status", "links")
        said = Rpc(oak.home).ask("post", channel="plaza", text="by way of a closed lid", wait="held")
        assert said["result"]["state"] == "held"
        (post,) = Rpc(yew.home).until("read", "posts", channel="plaza")
        assert post["text"] == "by way of a closed lid"
        assert mesh(elm.home, "read", "plaza").returncode == Code.locked
        ran = mesh(elm.home, "unlock", *secret)
        assert ran.returncode == 0, ran.stderr
        (post,) = Rpc(elm.home).ask("read", channel="plaza")["result"]["posts"]
        assert post["text"] == "by way of a closed lid"


@pytest.mark.real
def test_E14_nothing_private_is_answered(elm: Laptop, tmp_path: Path) -> None:
    assert mesh(elm.home, "lock").returncode == 0 and mesh(elm.home, "lock").returncode == 0
    rpc = Rpc(elm.home)
    status = rpc.ask("status")["result"]
    assert status["locked"] and (status["id"], status["name"]) == ("", "")
    assert (status["counts"]["posts"], status["counts"]["channels"]) == (0, 0)
    for name in sorted(METHODS.keys() - ANSWERED):
        params = {each: SAMPLES.get(each, "plaza") for each in METHODS[name].params}
        assert "result" not in rpc.ask(name, **params), name
    for name, params in {
        "post": {"channel": "plaza", "text": "hello"},
        "read": {},
        "search": {"query": "hello"},
        "show": {"id": "abcdef"},
        "id.show": {},
        "channel.list": {},
        "channel.join": {"name": "plaza"},
        "invite.network": {},
        "subscribe": {},
    }.items():
        assert rpc.ask(name, **params)["error"]["data"]["code"] == "locked", name
    assert "result" in rpc.ask("bundle.export", file=str(tmp_path / "bundle"))


@pytest.mark.real
def test_E14_nothing_of_the_log_is_in_memory(elm: Laptop, secret: tuple[str, str]) -> None:
    slot = keyslot.read(elm.home)
    stretched = keyslot.parameters(slot).stretch(PASSPHRASE.encode())
    keys = keyslot.open(slot, stretched)
    rpc = Rpc(elm.home)
    rpc.ask("channel.join", name="aviary-behind-the-mill")
    identity = bytes.fromhex(rpc.ask("id.show")["result"]["id"])
    pid = elm.process.pid
    private = {
        keys.log, keys.log.hex().encode(), keys.log.hex().upper().encode(),
        identity, identity.hex().encode(), b"aviary-behind-the-mill", b"Quirina Canary",
    }  # fmt: skip
    try:
        found = found_in_memory(pid, private)
    except PermissionError:
        pytest.skip("needs root: to look into the memory of a daemon that is closed to its own user")
    assert found >= {keys.log, identity, b"aviary-behind-the-mill", b"Quirina Canary"}  # so the search works

    assert mesh(elm.home, "lock").returncode == 0
    Rpc(elm.home).ask("peer.list")
    assert mesh(elm.home, "unlock", "--passphrase-file", str(wrong(elm))).returncode == Code.locked
    seed = seed_of(elm, keys)
    private |= {seed, crypto.ed25519_keypair(seed)[1], stretched, PASSPHRASE.encode(), b"seven herons"}
    assert found_in_memory(pid, [*private, keys.carry]) == {keys.carry}
    assert elm.process.poll() is None

    assert mesh(elm.home, "unlock", *secret).returncode == 0
    assert found_in_memory(pid, {keys.log, seed}) == {keys.log, seed}
    assert mesh(elm.home, "lock").returncode == 0
    assert found_in_memory(pid, private) == set()


def wrong(elm: Laptop) -> Path:
    """A guess that is nearly right: it would help who finds it."""
    path = elm.home.with_name("wrong")
    path.write_text("seven herons at dawn\n")
    return path


def seed_of(elm: Laptop, keys: keyslot.Keys) -> bytes:
    """Out of the log of a locked daemon, which has let go of the file."""
    log = Log(elm.home / "log.db", keys.log)
    log.close()
    return log.seed


@pytest.mark.real
def test_E14_who_was_reading_is_cut_off(elm: Laptop, secret: tuple[str, str]) -> None:
    reader = Rpc(elm.home)
    assert "result" in reader.ask("subscribe")
    assert mesh(elm.home, "lock").returncode == 0
    with pytest.raises((EOFError, socket.timeout)) as ended:
        reader.hear()
    assert ended.type is EOFError


@pytest.mark.real
def test_a_home_without_a_passphrase_is_not_locked(tmp_path: Path) -> None:
    with Laptop(tmp_path / "oak") as oak:
        ran = mesh(oak.home, "lock")
        assert ran.returncode == Code.refused and "passphrase" in ran.stderr
        assert mesh(oak.home, "unlock").returncode == 0
