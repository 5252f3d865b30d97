"""A stick from end to end with fake wheels: made by scripts/stick's own code, installed by a Python of this machine.

Making it runs the real `pip download` and installing it the real `pip install`, both with no network: what pip is
given is one folder. Each installation takes as long as `python -m venv`.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import stick  # makes the rest of scripts/ importable
from tests import stick_parts

import stick_install  # isort: skip

pytestmark = pytest.mark.real

PDP11 = stick.Target("a laptop of its own", ("linux_pdp11",), True)
ANY = stick.Target("any other", ("linux_any",), True)
NOBODYS = stick.Target("a laptop with no wheel", ("linux_none",), False)


class Street:
    """A checkout, the wheels that can be had, a stick, and the folder of another laptop."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.index, self.root, self.made = folder / "index", folder / "root", folder / "the stick"
        self.laptop = folder / "other laptop"  # a space, as in many a home
        stick_parts.make_checkout(self.root, stick_parts.make_index(self.index, 1))
        patch.setattr(stick, "ROOT", self.root)
        patch.setenv("PIP_CONFIG_FILE", os.devnull)
        patch.setenv("PIP_NO_INDEX", "1")
        patch.setenv("PIP_FIND_LINKS", self.index.as_uri())

    def make(self, *targets: stick.Target) -> None:
        stick.make(self.made, targets or (PDP11, ANY), ["3.11"])

    def install(self, *args: str, **environment: str) -> tuple[int, str, str]:
        """What install.py says on the other laptop: exit status, stdout, stderr."""
        command = [
            os.path.realpath(sys.executable),
            str(self.made / "install.py"),
            *(args or [str(self.laptop)]),
        ]
        known = {"PATH": "/usr/bin:/bin", "HOME": str(self.laptop.parent)}
        ran = subprocess.run(command, env=known | environment, capture_output=True, text=True)
        return ran.returncode, ran.stdout, ran.stderr

    def version(self) -> str:
        """What the installed program says of its package."""
        mesh = [str(self.laptop / "bin" / "mesh")]
        ran = subprocess.run(mesh, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=True)
        assert ran.stderr == ""
        return ran.stdout.strip()


@pytest.fixture
def street(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Street:
    return Street(tmp_path, monkeypatch)


def test_made_installed_brought_up_to_date(street: Street, capsys: pytest.CaptureFixture[str]) -> None:
    street.make(PDP11, ANY, NOBODYS)
    said_by_maker = capsys.readouterr().err
    # Foreign files beside ours: a module that the installer would import, a wheel that pip would prefer.
    marker = street.made / "was run"
    (street.made / "hashlib.py").write_text(f"open({str(marker)!r}, 'w')\n")
    stick_parts.make_wheel(
        street.made / "wheels", "zeroconf", 1, "cp311-cp311-any", {"zeroconf/__init__.py": b"VERSION = 6\n"}
    )
    status, out, said = street.install()
    assert (status, out) == (0, f"{street.laptop}/bin/mesh\n"), said
    assert not marker.exists()
    assert "left alone: 'hashlib.py', 'wheels/zeroconf-1-cp311-cp311-any.whl'" in said
    words = [line for line in said_by_maker.splitlines() if line.startswith("meshd stick:     ")]
    assert len(words) == 3 and all(line in said.splitlines() for line in words)
    assert street.version() == "1"
    assert sorted(os.listdir(street.laptop)) == ["bin", "checkout"]

    (street.root / "requirements.lock").write_text(stick_parts.make_index(street.index, 2))
    street.make()
    status, _, said = street.install()
    assert status == 0, said
    assert street.version() == "2"
    assert sorted(os.listdir(street.laptop)) == ["bin", "checkout"]

    # Nothing but the stick is needed to make another one from what is installed, and it is the same.
    first = (street.made / "manifest.txt").read_bytes()
    shutil.rmtree(street.index)
    street.root = street.laptop / "checkout"
    stick.ROOT = street.root  # undone with the fixture's patch
    (street.made / "README.txt").unlink()
    street.make()
    assert (street.made / "manifest.txt").read_bytes() == first


def test_only_looked_at(street: Street) -> None:
    street.make()
    status, out, said = street.install("--check")
    assert (status, out) == (0, "") and "every file is as the manifest says" in said
    assert not (street.laptop.parent / "meshd").exists()
    (street.made / "meshd.tar").write_bytes(b"changed")
    status, _, said = street.install("--check")
    assert status == 1 and said.splitlines()[-1].startswith("meshd stick: meshd.tar is not the file")


def test_a_laptop_without_its_wheel(street: Street) -> None:
    street.make(PDP11)
    (pure,) = (street.made / "wheels").glob("zeroconf-1-py3-none-any.whl")
    pure.unlink()
    (street.made / "manifest.txt").unlink()
    (street.made / "manifest.txt").write_text(stick.manifest_of(street.made))
    status, out, said = street.install()
    assert (status, out) == (1, "")
    assert said.splitlines()[-1].startswith("meshd set-up: no ready-made zeroconf==1 for ")
    assert not (street.laptop / "bin").exists()


def test_a_promised_laptop_without_its_wheel_writes_nothing(street: Street) -> None:
    for wheel in street.index.glob("mnemonic-*"):
        wheel.unlink()
    with pytest.raises(stick_install.StickError, match="no ready-made mnemonic==1 for a laptop of its own"):
        street.make()
    assert not street.made.exists()


def test_a_wheel_that_is_not_the_locked_one_writes_nothing(street: Street) -> None:
    stick_parts.make_wheel(street.index, "zeroconf", 1, "cp311-cp311-linux_pdp11", {"zeroconf.py": b"evil"})
    with pytest.raises(stick_install.StickError, match="DO NOT MATCH THE HASHES"):
        street.make()
    assert not street.made.exists()


def test_a_python_without_venv(street: Street) -> None:
    street.make()
    code = (
        "import runpy, sys; sys.modules['ensurepip'] = None; sys.argv = sys.argv[1:];"
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    command = [sys.executable, "-I", "-c", code, str(street.made / "install.py"), str(street.laptop)]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (1, "")
    version = f"python3.{sys.version_info.minor}"
    assert ran.stderr == (
        f"meshd stick: {version} has no venv module: install it (Debian, Ubuntu: apt install {version}-venv)\n"
    )


def test_another_python(street: Street) -> None:
    street.made.mkdir()
    shutil.copy(stick_parts.ROOT / "scripts" / "stick_install.py", street.made / "install.py")
    code = (
        "import runpy, sys; sys.version_info = (3, 10, 4, 'final', 0);"
        "runpy.run_path(sys.argv[1], run_name='__main__')"
    )
    command = [sys.executable, "-I", "-c", code, str(street.made / "install.py")]
    ran = subprocess.run(command, capture_output=True, text=True, env={"PATH": ""})
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith("meshd stick: needs Python 3.11 to 3.14, and this is ")
    assert ran.stderr.endswith(": install one of these first\n") and ran.stderr.count("\n") == 1
