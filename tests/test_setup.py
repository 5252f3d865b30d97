"""Set-up: a .venv that is there is whole, fits the lock, and costs no process to check.

Each test works on a small checkout of its own: the real scripts, a lock that asks for one wheel made here,
and a program that prints that wheel's version. So nothing comes from the net, and a build takes as long as
`python -m venv`, two seconds: that is why one test goes through all that makes a .venv stale. Not covered:
macOS, and a Python without its venv module (a stand-in answers for it).
"""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.real

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ("_setup", "_build_venv.py", "mesh")
BUILDING = "meshd set-up: building .venv, once; this takes some seconds\n"
PROGRAM = "import thing\n\n\ndef main():\n    print(thing.VERSION)\n"


def make_wheel(folder: Path, version: int) -> str:
    """Put `thing` of this version into `folder`; the line of a lock that asks for it."""
    wheel = folder / f"thing-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("thing.py", f"VERSION = {version}\n")
        about = f"thing-{version}.dist-info"
        archive.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: thing\nVersion: {version}\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    return f"thing=={version} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"


class Checkout:
    """A checkout with the real set-up scripts, and the environment of a user who has one Python."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "check out"  # a space, as in many a home
        self.wheels = folder / "wheels"
        self.path = folder / "bin"
        for made in (self.wheels, self.path, self.root / "scripts", self.root / "cli"):
            made.mkdir(parents=True)
        (self.path / "python3").symlink_to(os.path.realpath(sys.executable))
        for name in SCRIPTS:
            shutil.copy(ROOT / "scripts" / name, self.root / "scripts" / name)
        (self.root / "cli" / "__init__.py").touch()
        (self.root / "cli" / "main.py").write_text(PROGRAM)
        self.lock(1)

    def lock(self, version: int) -> None:
        line = make_wheel(self.wheels, version)
        (self.root / "requirements.lock").write_text(line)
        (self.root / "requirements-dev.lock").write_text(line)

    def environment(self, path: str | None = None) -> dict[str, str]:
        return {
            "PATH": f"{self.path}:/usr/bin:/bin" if path is None else path,
            "HOME": str(self.folder),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": self.wheels.as_uri(),
        }

    def start(self) -> subprocess.Popen[str]:
        mesh = str(self.root / "scripts" / "mesh")
        pipe = subprocess.PIPE
        # A group of its own, so that a signal reaches what a terminal's would.
        return subprocess.Popen(
            [mesh], env=self.environment(), stdout=pipe, stderr=pipe, text=True, start_new_session=True
        )

    def mesh(self, **changed: str) -> tuple[int, str, str]:
        """Run scripts/mesh: exit status, stdout, stderr."""
        command = [changed.pop("command", str(self.root / "scripts" / "mesh"))]
        environment = self.environment(changed.pop("path", None)) | changed
        ran = subprocess.run(command, env=environment, cwd=self.folder, capture_output=True, text=True)
        return ran.returncode, ran.stdout, ran.stderr

    def quick(self) -> tuple[int, str, str]:
        """The same with an empty PATH: it works only if the wrapper needs no other program."""
        return self.mesh(path="")

    def half_made(self) -> list[str]:
        return [name for name in (".venv.new", ".venv.old") if (self.root / name).exists()]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_built_once_and_again_when_stale(checkout: Checkout) -> None:
    # The dev set, as scripts/test asks for it, is enough for the programs.
    tests = f'here="{checkout.root}/scripts" needs=dev; . "$here/_setup"; exec "$python" -c "import thing"'
    made = subprocess.run(["sh", "-c", tests], env=checkout.environment(), capture_output=True, text=True)
    assert (made.returncode, made.stderr) == (0, BUILDING)
    assert checkout.quick() == (0, "1\n", "")

    link = checkout.folder / "mesh"
    link.symlink_to(Path("check out") / "scripts" / "mesh")
    assert checkout.mesh(command=str(link)) == (0, "1\n", "")

    # Another branch and back: the lock has a new time and the same content. Looked at once, not rebuilt.
    os.utime(checkout.root / "requirements.lock", (1, 1))
    assert checkout.mesh() == (0, "1\n", "")
    assert checkout.quick() == (0, "1\n", "")

    checkout.lock(2)
    os.utime(checkout.root / "requirements.lock", (0, 0))  # older than the stamp, and still another one
    assert checkout.mesh() == (0, "2\n", BUILDING)
    assert (checkout.root / ".venv" / "stamp-dev").exists()  # who had the tools keeps them

    python = checkout.root / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/bin/sh")
    assert checkout.mesh() == (0, "2\n", BUILDING)
    assert checkout.quick() == (0, "2\n", "")

    checkout.root = checkout.root.rename(checkout.folder / "elsewhere")
    assert checkout.mesh() == (0, "2\n", BUILDING)
    scripts = [p for p in (checkout.root / ".venv" / "bin").iterdir() if not p.is_symlink()]
    stale = [p.name for p in scripts if b".venv.new" in p.read_bytes() or b"check out" in p.read_bytes()]
    assert scripts and stale == []
    assert checkout.half_made() == []


def half_way(checkout: Checkout) -> subprocess.Popen[str]:
    """A set-up whose .venv.new is there and not yet finished."""
    run = checkout.start()
    while not (checkout.root / ".venv.new" / "pyvenv.cfg").exists():
        assert run.poll() is None
    return run


def test_killed_in_the_middle(checkout: Checkout) -> None:
    killed = half_way(checkout)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert checkout.half_made() == [".venv.new"]
    assert checkout.mesh() == (0, "1\n", BUILDING)
    assert checkout.half_made() == []


def test_interrupted_leaves_nothing(checkout: Checkout) -> None:
    stopped = half_way(checkout)
    os.killpg(stopped.pid, signal.SIGINT)
    _, said = stopped.communicate()
    assert (stopped.returncode, said) in [(130, BUILDING), (-signal.SIGINT, BUILDING)]  # the shell's choice
    assert not (checkout.root / ".venv").exists()
    assert checkout.half_made() == []


def test_two_at_once(checkout: Checkout) -> None:
    first, second = checkout.start(), checkout.start()
    said = [run.communicate() for run in (first, second)]
    assert [out for out, _ in said] == ["1\n", "1\n"]
    assert sorted(err for _, err in said) == [
        BUILDING,
        "meshd set-up: waiting for another set-up of this checkout\n",
    ]


def one_line(said: tuple[int, str, str]) -> str:
    status, out, err = said
    assert (status, out) == (1, "")
    *before, last = err.splitlines()
    assert before in ([], BUILDING.splitlines())
    return last


def test_no_python(checkout: Checkout) -> None:
    assert re.search("needs Python 3.11 to 3.14", one_line(checkout.mesh(path="")))


def test_no_venv_module(checkout: Checkout) -> None:
    without = checkout.folder / "without"
    without.mkdir()
    (without / "python3").write_text("#!/bin/sh\nexit 1\n")  # what the probe's failed import ends with
    (without / "python3").chmod(0o755)
    assert "python3 has no venv module: install it" in one_line(checkout.mesh(path=str(without)))


def test_no_network(checkout: Checkout) -> None:
    shutil.rmtree(checkout.wheels)
    offline = {"PIP_NO_INDEX": "0", "PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "1"}
    assert "can't reach the package index: go online once" in one_line(checkout.mesh(**offline))
    assert checkout.half_made() == []
    assert not (checkout.root / ".venv").exists()


def test_a_file_that_is_not_the_locked_one(checkout: Checkout) -> None:
    lock = checkout.root / "requirements.lock"
    lock.write_text(re.sub("sha256:.*", "sha256:" + "0" * 64, lock.read_text()))
    assert "DO NOT MATCH THE HASHES" in one_line(checkout.mesh())
    assert checkout.half_made() == []


def locked(name: str) -> set[str]:
    """What a lock pins, as `name==version`, having checked that each has a hash and none an address."""
    text = (ROOT / name).read_text()
    assert "://" not in text
    requirements = re.findall(r"^([a-z].*==.*)((?:\n +--hash=sha256:[0-9a-f]{64}.*)+)", text, re.MULTILINE)
    assert len(requirements) == len(re.findall(r"^[^ #]", text, re.MULTILINE))
    return {line.split()[0] for line, _ in requirements}


def test_dev_lock_contains_the_run_lock() -> None:
    assert len(locked("requirements.lock")) > 8
    assert locked("requirements.lock") <= locked("requirements-dev.lock")
