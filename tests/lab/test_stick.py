"""A stick with the real wheels installs meshd on a laptop that has nothing but a loopback, and then it joins the rest.

The wheels are fetched once, for this machine's kind of laptop and this Python only: that needs the package index.
"""

import os
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.client import Client
from scripts import stick  # makes the rest of scripts/ importable
from tests.lab.lab import Lab

import stick_install  # isort: skip

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stick for this kind of laptop."""
    folder = tmp_path_factory.mktemp("stick")
    ours = [target for target in stick.TARGETS if target.title == f"Linux {platform.machine()}"]
    try:
        stick.make(folder, ours, [f"3.{sys.version_info.minor}"])
    except stick_install.StickError as error:
        if "can't reach the package index" in str(error):
            pytest.skip(f"a stick can't be made here: {error}")
        raise
    return folder


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab() as laptops:
        yield laptops


def test_installed_with_no_network_then_on_one(made: Path, lab: Lab, tmp_path: Path) -> None:
    newcomer, other = lab.laptop(), lab.laptop()
    assert "eth" not in newcomer.ip("link")  # loopback, and what the kernel makes beside it
    folder = tmp_path / "other laptop"
    python = os.path.realpath(sys.executable)  # a laptop has no .venv of ours
    said = newcomer.run([python, str(made / "install.py"), str(folder)], timeout_s=120)
    assert said == f"{folder}/bin/mesh\n"
    mesh = [str(folder / "bin" / "mesh"), "--home", newcomer.home]
    newcomer.run([mesh[0], "demo"], timeout_s=120)

    bridge = lab.bridge()
    newcomer.join(bridge)
    other.join(bridge)
    newcomer.run([*mesh, "init", "--name", "new", "--no-passphrase"])
    newcomer.run([*mesh, "up"])
    other.mesh("init", "--name", "old", "--no-passphrase")
    other.mesh("up")
    client = Client(other.home)
    client.call("channel.join", {"name": "square"})
    newcomer.run([*mesh, "channel", "join", "square"])
    newcomer.run([*mesh, "post", "square", "from a stick"])
    begun = time.monotonic()
    while not (posts := client.call("read", {"channel": "square"})["posts"]):
        assert time.monotonic() - begun < 20
        time.sleep(0.05)
    assert [post["text"] for post in posts] == ["from a stick"]
