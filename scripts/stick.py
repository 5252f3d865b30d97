"""Puts onto a USB stick what installs meshd on another laptop with no network: `scripts/stick DIR`.

    scripts/stick DIR            writes a stick, or brings one up to date; see docs/stick.md
    scripts/stick --check DIR    compares a stick with its manifest and shows its words, by this meshd and not its own

The rule: two sticks of one commit are the same bytes, whoever makes them, so they have the same words and can vouch
for each other. Hence nothing on a stick depends on time, place or maker: the wheels are those of requirements.lock,
each checked by its hash; the checkout is an archive of what is tracked at HEAD, sorted, without dates or owners.

zeroconf's compiled parts are optional, and it is the one package without wheels for every platform; so a pure wheel of
it is made from a wheel of the lock by leaving the compiled parts out. That gives, byte for byte, the modules that a
build of its sources with SKIP_CYTHON=1 gives, and runs no build tool that no lock pins. Its hash stands beside the
lock's own in the stick's copy of the lock.

A stick is written in place and never looks finished before it is: the manifest goes first and comes last, and in
between half-written.txt names what is or was meant to be there. A file that is there already is not written again;
what the stick has is not fetched again; what is not ours is left alone. Names are plain enough for vfat.
"""

import argparse
import errno
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent))  # -I leaves it out

import stick_install
from _build_venv import why_pip_failed
from stick_install import (
    CHECKOUT,
    HALF_WRITTEN,
    HEADER,
    LOCK,
    MANIFEST,
    WHEELS,
    WORDS,
    StickError,
    megabytes,
    parse_manifest,
    say,
)

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
PURE = "zeroconf"  # the package that also works without its compiled parts


class Target(NamedTuple):
    """A kind of laptop. Of two tags the first is preferred: what runs on the older system runs on the newer."""

    title: str
    tags: tuple[str, ...]  # pip's --platform
    is_promised: bool  # whether a missing wheel is an error, or this laptop is left out


TARGETS = (
    Target("Linux x86_64", ("manylinux_2_17_x86_64", "manylinux2014_x86_64", "manylinux_2_28_x86_64"), True),
    Target(
        "Linux aarch64", ("manylinux_2_17_aarch64", "manylinux2014_aarch64", "manylinux_2_28_aarch64"), True
    ),
    Target("macOS arm64", ("macosx_11_0_arm64",), True),
    Target("macOS x86_64", ("macosx_10_15_x86_64",), False),
)

README = """meshd: messages from laptop to laptop when the internet is cut. This folder installs it without any network.

    python3 install.py --check     compares every file with the manifest and shows twelve words
    python3 install.py             the same, and installs into the folder meshd of your home

Compare the words with whoever made the stick, aloud. Who wants to check this folder without running anything from it:

    sha256sum -c manifest.txt      (macOS: shasum -a 256 -c manifest.txt)
    sha256sum manifest.txt         the fingerprint, in hex

Needs Linux (x86_64, aarch64) or macOS and Python 3.11 to 3.14; on Windows: WSL2. To hand it on, copy the folder.
"""


class File(NamedTuple):
    """A file of the checkout."""

    path: str
    is_executable: bool
    content: bytes


def checkout_files(root: Path) -> list[File]:
    """What is tracked at HEAD of the checkout at `root`, in order; of a copy without .git, what .gitignore leaves."""
    if (root / ".git").exists():
        files = _committed(root)
    else:
        files = list(_copied(root, root, _ignored(root)))
    return sorted(files)


def _git(root: Path, *args: str) -> bytes:
    try:
        done = subprocess.run(["git", "-C", str(root), *args], capture_output=True)
    except FileNotFoundError:
        raise StickError(
            "git is not installed: install it, or use a copy of the checkout without .git"
        ) from None
    if done.returncode:
        raise StickError(f"git: {done.stderr.decode(errors='replace').strip().splitlines()[-1]}")
    return done.stdout


def _committed(root: Path) -> list[File]:
    if _git(root, "status", "--porcelain", "--untracked-files=no"):
        say("warning: what is changed and not committed does not go onto the stick")
    files = []
    with tarfile.open(fileobj=io.BytesIO(_git(root, "archive", "--format=tar", "HEAD"))) as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isreg() else None
            if content:
                files.append(File(member.name, bool(member.mode & 0o100), content.read()))
            elif not member.isdir():
                raise StickError(f"{member.name} is a link: no stick can carry it")
    return files


def _ignored(root: Path) -> list[str]:
    lines = (root / ".gitignore").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def _copied(root: Path, folder: Path, ignored: list[str]) -> Iterable[File]:
    """The files below `folder` but for those that .gitignore names: `/name` at the root, `name` anywhere."""
    for path in folder.iterdir():
        relative = path.relative_to(root).as_posix()
        names = (f"/{relative}", path.name)
        if any(fnmatchcase(name, pattern.rstrip("/")) for name in names for pattern in ignored):
            continue
        if path.is_symlink():
            raise StickError(f"{relative} is a link: no stick can carry it")
        if path.is_dir():
            yield from _copied(root, path, ignored)
        else:
            yield File(relative, bool(path.stat().st_mode & 0o100), path.read_bytes())


def pack(files: Iterable[File]) -> bytes:
    """A tar of these files, the same bytes for the same files."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for file in files:
            member = tarfile.TarInfo(file.path)
            member.size = len(file.content)
            member.mode = 0o755 if file.is_executable else 0o644
            tar.addfile(member, io.BytesIO(file.content))
    return packed.getvalue()


def pure_wheel(wheel: Path) -> tuple[str, bytes]:
    """Name and bytes of a wheel for every platform: this one without its compiled parts."""
    package, version, *_ = wheel.name.split("-")
    record = f"{package}-{version}.dist-info/RECORD"
    about = f"{package}-{version}.dist-info/WHEEL"
    with zipfile.ZipFile(wheel) as archive:
        names = sorted(name for name in archive.namelist() if not name.endswith(("/", ".so", ".dylib")))
        contents = {name: archive.read(name) for name in names if name != record}
    contents[about] = b"Wheel-Version: 1.0\nGenerator: meshd\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    contents[record] = "".join(f"{name},,\n" for name in [*contents, record]).encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:  # stored: compressors differ from one zlib to the next
        for name, content in contents.items():
            archive.writestr(zipfile.ZipInfo(name), content)  # dated 1980
    return f"{package}-{version}-py3-none-any.whl", packed.getvalue()


def with_hash(lock: str, package: str, sha256: str) -> str:
    """The lock with one more hash for a package."""
    head, found, rest = lock.partition(f"\n{package}==")
    requirement, newline, hashes = rest.partition(" \\\n")
    if not found or not newline:
        raise StickError(f"requirements.lock has no {package}")
    return f"{head}{found}{requirement} \\\n    --hash=sha256:{sha256} \\\n{hashes}"


def fetch(target: Target, python: str, lock: Path, wheels: Path, stick: Path) -> str | None:
    """Puts the wheels of the lock for one kind of laptop into `wheels`: from the stick if it has all, else from the
    index. None, or why not.
    """
    command = [sys.executable, "-I", "-m", "pip", "--disable-pip-version-check", "--no-input", "-q"]
    command += ["download", "--no-deps", "--require-hashes", "--only-binary=:all:", "-r", str(lock)]
    command += ["--dest", str(wheels), "--find-links", str(wheels), "--implementation", "cp"]
    command += ["--python-version", python, *(f"--platform={tag}" for tag in target.tags)]
    had = subprocess.run([*command, "--no-index", "--find-links", str(stick / WHEELS)], capture_output=True)
    if had.returncode == 0:
        return None
    ran = subprocess.run(command, capture_output=True, text=True, errors="replace")
    return why_pip_failed(ran.stderr, f"{target.title}, Python {python}") if ran.returncode else None


def fetch_all(
    wheels: Path, lock: str, stick: Path, targets: Iterable[Target], pythons: Iterable[str]
) -> None:
    """Fills `wheels`: for every target and Python the wheels of the lock, the pure one, and the lock with its hash."""
    wheels.mkdir()
    written_lock = wheels / Path(LOCK).name
    written_lock.write_text(lock)
    for target in targets:
        for python in pythons:
            why_not = fetch(target, python, written_lock, wheels, stick)
            if why_not and (target.is_promised or "no ready-made" not in why_not):
                raise StickError(f"{why_not}; nothing written")
            laptop = f"{target.title}, Python {python}"
            say(
                f"left out: {why_not}"
                if why_not
                else f"{laptop}: {len(list(wheels.glob('*.whl')))} wheels so far"
            )
            if not list(wheels.glob(f"{PURE}-*-py3-none-any.whl")):
                name, content = pure_wheel(min(wheels.glob(f"{PURE}-*.whl")))
                (wheels / name).write_bytes(content)
                written_lock.write_text(with_hash(lock, PURE, hashlib.sha256(content).hexdigest()))


def stage(staged: Path, stick: Path, targets: Iterable[Target], pythons: Iterable[str]) -> None:
    """Lays out in the empty folder `staged` what the stick shall hold, but for the manifest."""
    files = checkout_files(ROOT)
    contents = {file.path: file.content for file in files}
    fetch_all(staged / WHEELS, contents["requirements.lock"].decode(), stick, targets, pythons)
    (staged / CHECKOUT).write_bytes(pack(files))
    (staged / "install.py").write_bytes(contents["scripts/stick_install.py"])
    (staged / "README.txt").write_text(README)
    with zipfile.ZipFile(min((staged / WHEELS).glob("mnemonic-*.whl"))) as archive:
        (staged / WORDS).write_bytes(archive.read("mnemonic/wordlist/english.txt"))


def manifest_of(staged: Path) -> str:
    """The manifest of what lies in this folder."""
    paths = sorted(path.relative_to(staged).as_posix() for path in staged.rglob("*") if path.is_file())
    return text_of({path: hashlib.sha256((staged / path).read_bytes()).hexdigest() for path in paths})


def text_of(hashes: dict[str, str]) -> str:
    text = "".join(f"{hashes[path]}  {path}\n" for path in sorted(hashes))
    return f"{HEADER}: SHA-256 of every file, for sha256sum -c\n{text}"


def written_before(stick: Path, paths: Iterable[str]) -> dict[str, str]:
    """What the stick in this folder holds, or was meant to when it was broken off; nothing if there is none.

    StickError if writing these paths would overwrite what is not ours.
    """
    for name in (HALF_WRITTEN, MANIFEST):
        try:
            with stick_install.open_plain(stick, name) as file:
                text = file.read(stick_install.MANIFEST_SIZE_MAX).decode("ascii", "replace")
        except FileNotFoundError:
            continue
        if text.startswith(HEADER):
            try:
                return parse_manifest(text)
            except StickError:
                return {}  # damaged: all is written anew
    taken = sorted(
        path for path in {path.partition("/")[0] for path in paths} if os.path.lexists(stick / path)
    )
    if taken:
        raise StickError(f"{stick / taken[0]} is there and not ours: name a folder of its own, {stick}/meshd")
    return {}


def write(staged: Path, stick: Path) -> int:
    """Brings the stick to what is staged; bytes written. What is cut off in between is seen, and mended by a repeat."""
    manifest = manifest_of(staged)
    hashes = parse_manifest(manifest)
    stick.mkdir(exist_ok=True)
    before = written_before(stick, hashes)
    if (stick / WHEELS).is_symlink():
        raise StickError(f"{stick / WHEELS} is a link: remove it")
    missing = [path for path, sha256 in hashes.items() if not is_there(stick, path, sha256)]
    size, free = sum((staged / path).stat().st_size for path in missing), shutil.disk_usage(stick).free
    if size > free:
        raise StickError(f"{stick}: no space: {megabytes(size)} needed, {megabytes(free)} free")
    replace(stick / HALF_WRITTEN, text_of({**before, **hashes}).encode())
    (stick / MANIFEST).unlink(missing_ok=True)
    os.sync()
    (stick / WHEELS).mkdir(exist_ok=True)
    for path in missing:
        replace(stick / path, (staged / path).read_bytes())
    for path in before.keys() - hashes.keys():
        (stick / path).unlink(missing_ok=True)
    replace(stick / MANIFEST, manifest.encode())
    (stick / HALF_WRITTEN).unlink()
    os.sync()
    return size


def is_there(stick: Path, path: str, sha256: str) -> bool:
    try:
        with stick_install.open_plain(stick, path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except (FileNotFoundError, StickError):
        return False


def replace(path: Path, content: bytes) -> None:
    """Writes a file aside and puts it in its place, whatever was there."""
    aside = path.with_name(f"{path.name}.part")
    aside.unlink(missing_ok=True)
    with open(aside, "xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def make(stick: Path, targets: Iterable[Target] = TARGETS, pythons: Iterable[str] = PYTHONS) -> None:
    """Writes the stick, or brings it up to date."""
    with tempfile.TemporaryDirectory(prefix="meshd-stick-") as folder:
        staged = Path(folder)
        stage(staged, stick, targets, pythons)
        size = sum(path.stat().st_size for path in staged.rglob("*") if path.is_file())
        say(f"writing {stick}")
        written = write(staged, stick)
    say(f"{megabytes(size)} on the stick, {megabytes(written)} of them written now")
    stick_install.check(stick)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/stick", description="Puts onto a USB stick what installs meshd with no network."
    )
    parser.add_argument("dir", type=Path, metavar="DIR", help="the mounted stick, or a folder on it")
    parser.add_argument("--check", action="store_true", help="only compare what is there with its manifest")
    given = parser.parse_args(arguments)
    stick = given.dir.resolve()
    try:
        (stick_install.check if given.check else make)(stick)
    except StickError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        what = "no space left" if error.errno == errno.ENOSPC else error.strerror
        say(f"{error.filename or stick}: {what}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
