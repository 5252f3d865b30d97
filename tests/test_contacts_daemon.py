"""Two people with a laptop each, who verify each other by words, a third who swaps the cards on their way, and one of
them who moves to another laptop.

Everything is said by `mesh` to real daemons on loopback, as two people at a table would: what stands on a screen is
read from that laptop, and nothing else passes between them but what the test carries.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from meshd.errors import Code
from tests.laptops import ROOT, Laptop, Rpc, meshd

pytestmark = pytest.mark.real


def mesh(laptop: Laptop, *args: str, status: int = 0) -> Any:
    """What `mesh ARGS --json` prints on this laptop; it has to end with this status."""
    command = [sys.executable, "-I", "-m", "cli", "--home", str(laptop.home), "--json", *args]
    ran = subprocess.run(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30
    )
    assert ran.returncode == status, ran.stderr
    return json.loads(ran.stdout)


def screen(laptop: Laptop) -> dict[str, str]:
    """What its owner shows: `mesh id show`."""
    shown: dict[str, str] = mesh(laptop, "id", "show")
    return shown


def trust(laptop: Laptop) -> dict[str, str]:
    return {each["name"]: each["trust"] for each in mesh(laptop, "contact", "list")["contacts"]}


def linked(laptop: Laptop) -> list[str | None]:
    return [link["contact"] for link in mesh(laptop, "status")["links"]]


@pytest.fixture
def people(tmp_path: Path) -> Iterator[list[Laptop]]:
    with (
        Laptop(tmp_path / "oak") as oak,
        Laptop(tmp_path / "elm") as elm,
        Laptop(tmp_path / "mallory") as mallory,
    ):
        yield [oak, elm, mallory]


def test_two_people_verify_each_other_with_words(people: list[Laptop], tmp_path: Path) -> None:
    oak, elm, _ = people
    mesh(oak, "peer", "add", elm.address)
    Rpc(elm.home).until("status", "links")
    assert linked(oak) == linked(elm) == [None]
    (tmp_path / "card").write_text(screen(elm)["card"])
    mesh(oak, "contact", "add", f"@{tmp_path / 'card'}", "--name", "elm")
    mesh(elm, "contact", "add", screen(oak)["card"], "--name", "oak")
    assert (trust(oak), trust(elm)) == ({"elm": "seen"}, {"oak": "seen"})
    for one, other, name in ((oak, elm, "elm"), (elm, oak, "oak")):
        mesh(one, "contact", "verify", name, "--words", screen(other)["fingerprint"])
    assert (trust(oak), trust(elm)) == ({"elm": "verified"}, {"oak": "verified"})
    assert (linked(oak), linked(elm)) == (["elm"], ["oak"])
    mesh(elm, "post", "plaza", "it is me", "--wait", "held")
    (post,) = Rpc(oak.home).until("read", "posts", channel="plaza")
    assert (post["name"], post["trust"]) == ("elm", "verified")
    (own,) = mesh(elm, "read", "plaza")["posts"]
    assert own["held_by"] == {"contacts": 1, "others": 0}


def test_a_third_who_swaps_the_cards_on_their_way_is_caught_on_both_sides(people: list[Laptop]) -> None:
    oak, elm, mallory = people
    swapped = screen(mallory)["card"]  # to both, under the other's name
    mesh(oak, "contact", "add", swapped, "--name", "elm")
    mesh(elm, "contact", "add", swapped, "--name", "oak")
    for laptop in (oak, elm):
        mesh(mallory, "contact", "add", screen(laptop)["card"], "--name", laptop.home.name)
        mesh(mallory, "peer", "add", laptop.address)
    for laptop in people:
        Rpc(laptop.home).until("status", "links")
    assert linked(oak) == ["elm"] and linked(elm) == [
        "oak"
    ]  # so far the lie holds: whose card it was, nobody asked
    for one, other, name in ((oak, elm, "elm"), (elm, oak, "oak")):
        words, card = screen(other)["fingerprint"], screen(other)["card"]
        refused = mesh(one, "contact", "verify", name, "--words", words, status=Code.invalid)
        assert refused["error"]["code"] == "invalid" and "another key" in refused["error"]["message"]
        mesh(one, "contact", "verify", name, "--card", card, status=Code.invalid)
        mesh(
            one, "contact", "add", card, "--name", name, status=Code.refused
        )  # not over the name of another key
        assert trust(one) == {name: "seen"}
    for one, other, name in (
        (oak, elm, "elm"),
        (elm, oak, "oak"),
    ):  # who it was is put out, and the right one let in
        mesh(one, "contact", "rename", name, "not who they said")
        mesh(one, "contact", "block", "not who they said")
        mesh(one, "contact", "add", screen(other)["card"], "--name", name)
        mesh(one, "contact", "verify", name, "--words", screen(other)["fingerprint"])
        assert trust(one) == {name: "verified", "not who they said": "seen"} and linked(one) == [None]


def test_an_identity_moves_to_another_laptop_with_its_contacts(people: list[Laptop], tmp_path: Path) -> None:
    oak, elm, _ = people
    mesh(oak, "contact", "add", screen(elm)["card"], "--name", "elm")
    mesh(elm, "contact", "add", screen(oak)["card"], "--name", "oak")
    mesh(oak, "post", "plaza", "from the old laptop")
    file = str(tmp_path / "oak.identity")
    mesh(oak, "id", "export", file, "--no-passphrase", status=Code.busy)  # the daemon is up
    before = screen(oak)
    assert oak.stop() == 0
    exported = mesh(oak, "id", "export", file, "--no-passphrase")
    assert exported == {"v": 1, **{key: before[key] for key in ("id", "name", "fingerprint")}, "contacts": 1}
    mesh(oak, "id", "export", file, "--no-passphrase", status=Code.refused)
    assert meshd(oak.home, "id", "import", file).returncode == Code.refused  # there is a node already
    new_home = tmp_path / "new" / "oak"
    assert meshd(new_home, "id", "import", file).returncode == 0
    with Laptop(new_home) as new:
        assert screen(new) == before and trust(new) == {"elm": "seen"}
        mesh(new, "peer", "add", elm.address)
        Rpc(elm.home).until("status", "links")
        assert (linked(new), linked(elm)) == (["elm"], ["oak"])
        mesh(new, "post", "plaza", "from the new one", "--wait", "held")
        posts = Rpc(elm.home).until("read", "posts", channel="plaza")
        assert [(post["name"], post["text"]) for post in posts] == [("oak", "from the new one")]


def test_an_identity_moves_under_the_passphrase_of_its_home(tmp_path: Path) -> None:
    old, new, file = tmp_path / "old", tmp_path / "new", tmp_path / "file"
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.write_text("correct horse\n")
    wrong.write_text("battery staple\n")
    made = meshd(old, "init", "--name", "oak", "--passphrase-file", str(right))
    for args, status in (
        (("--passphrase-file", str(wrong)), Code.locked),
        (("--no-passphrase",), Code.usage),
        ((), Code.usage),
        (("--passphrase-file", str(right)), 0),
    ):
        assert meshd(old, "id", "export", str(file), *args).returncode == status
        assert file.exists() == (status == 0)
    assert b"oak" not in file.read_bytes()
    assert meshd(new, "id", "import", str(file), "--passphrase-file", str(wrong)).returncode == Code.locked
    assert meshd(new, "id", "import", str(file)).returncode == Code.usage and not (new / "keyslot").exists()
    moved = json.loads(meshd(new, "id", "import", str(file), "--passphrase-file", str(right)).stdout)
    assert moved == {**json.loads(made.stdout), "contacts": 0}
