"""What the tests of a stick are made of: wheels of one line, and a small checkout with the real scripts.

The wheels carry the names that scripts/stick looks for (zeroconf, mnemonic) and nothing of what these packages do, so
that a stick is fetched, written and installed in seconds and without any network.
"""

import hashlib
import shutil
import subprocess
import zipfile
from pathlib import Path

import mnemonic

ROOT = Path(__file__).resolve().parent.parent
WORD_LIST = Path(mnemonic.__file__).with_name("wordlist").joinpath("english.txt").read_bytes()
SCRIPTS = ("_setup", "_build_venv.py", "mesh", "meshd", "stick_install.py")
PROGRAM = "import zeroconf\n\n\ndef main():\n    print(zeroconf.VERSION)\n"


def make_wheel(folder: Path, package: str, version: int, tag: str, contents: dict[str, bytes]) -> str:
    """Put this wheel into `folder`; what a lock says of it."""
    wheel = folder / f"{package}-{version}-{tag}.whl"
    about = f"{package}-{version}.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
        archive.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        archive.writestr(f"{about}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n")
        archive.writestr(f"{about}/RECORD", "")
    sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return f"{package}=={version} \\\n    --hash=sha256:{sha256}\n"


def make_index(folder: Path, version: int) -> str:
    """Put all packages of the small checkout into `folder`; the lock."""
    folder.mkdir(exist_ok=True)
    words = make_wheel(folder, "mnemonic", 1, "py3-none-any", {"mnemonic/wordlist/english.txt": WORD_LIST})
    compiled = {
        "zeroconf/__init__.py": f"VERSION = {version}\n".encode(),
        "zeroconf/_fast.cpython-311-x86_64-linux-gnu.so": b"compiled",
    }
    # For a laptop that nobody has, so that every other one takes the pure one.
    return "# a lock\n" + words + make_wheel(folder, "zeroconf", version, "cp311-cp311-linux_pdp11", compiled)


def make_checkout(root: Path, lock: str) -> None:
    """A checkout with the real scripts and a program that prints the version of its one package."""
    (root / "scripts").mkdir(parents=True)
    (root / "cli").mkdir()
    for name in SCRIPTS:
        shutil.copy(ROOT / "scripts" / name, root / "scripts" / name)
    (root / "cli" / "__init__.py").touch()
    (root / "cli" / "main.py").write_text(PROGRAM)
    (root / "requirements.lock").write_text(lock)
    shutil.copy(ROOT / ".gitignore", root / ".gitignore")


def commit(root: Path) -> None:
    """Make it a git checkout, or commit what changed in it."""
    who = ["-c", "user.name=oak", "-c", "user.email=", "-c", "core.autocrlf=false"]
    for command in (["init", "-q"], ["add", "."], [*who, "commit", "-q", "-m", "a checkout"]):
        subprocess.run(["git", "-C", str(root), *command], check=True, capture_output=True)


def make_plain_stick(folder: Path, install: bytes = b"") -> dict[str, bytes]:
    """Lay out a stick with the files that every one needs, without its manifest; its files."""
    files = {
        "install.py": install,
        "meshd.tar": b"archive",
        "words.txt": WORD_LIST,
        "wheels/requirements.lock": b"# a lock\n",
        "wheels/thing-1-py3-none-any.whl": b"a wheel",
    }
    (folder / "wheels").mkdir(parents=True)
    for path, content in files.items():
        (folder / path).write_bytes(content)
    return files
