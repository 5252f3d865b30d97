"""What all tests share: a home that is nobody's, and the marks.

The rule: a test that needs more than Python says so with a mark, and where the machine lacks it, the skip
names the command that brings it. `real` tests use sockets, processes and file locks; `lab` tests use network
namespaces and root. Under `pytest -n 2 --dist loadgroup` both kinds stay in one worker, one after the other:
they measure time or share names of interfaces.
"""

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

# One run is like the next: a failing example is printed, not remembered in a file.
hypothesis.settings.register_profile("meshd", derandomize=True, database=None, deadline=None)
hypothesis.settings.load_profile("meshd")

LAB_TOOLS = {"ip": "iproute2", "nft": "nftables", "iptables": "iptables", "unshare": "util-linux"}


def _why_no_lab() -> str:
    """The reason why namespaces can't be used here and what brings them, or nothing."""
    if not sys.platform.startswith("linux"):
        return "lab tests need Linux network namespaces"
    if os.geteuid() != 0:
        return "lab tests need root: sudo scripts/test -m lab"
    packages = sorted({package for tool, package in LAB_TOOLS.items() if shutil.which(tool) is None})
    return f"lab tests: apt-get install {' '.join(packages)}" if packages else ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    why_no_lab = _why_no_lab()
    for item in items:
        if item.get_closest_marker("lab") or item.get_closest_marker("real"):
            item.add_marker(pytest.mark.xdist_group("machine"))
        if why_no_lab and item.get_closest_marker("lab"):
            item.add_marker(pytest.mark.skip(reason=why_no_lab))


@pytest.fixture(scope="session", autouse=True)
def nobodys_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """HOME is an empty folder and no MESHD_ variable is set: no test reaches the home of who runs it. Ctrl-C means what
    it says for those whom a test starts, though a shell that runs us in the background would have it ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in [n for n in os.environ if n.startswith(("MESHD_", "XDG_"))]:
            patch.delenv(name)
        patch.setenv("HOME", str(home))
        yield home
