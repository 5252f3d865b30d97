"""Installs meshd from this stick, with no network; nothing but Python 3.11 to 3.14 is needed.

    python3 install.py [FOLDER]    installs into FOLDER (~/meshd), or brings what is there up to date
    python3 install.py --check     compares the stick with its manifest and shows the words; installs nothing

The rule: nothing from the stick is run, unpacked or given to pip before every file that the manifest names has been
compared with it. Each file is read once, into a folder on this laptop, and from then on only that copy is used: a
stick can answer a second reading with something else. What the manifest doesn't name is never opened; a name that
leads elsewhere, a link in place of a file and a stick that was not written to its end are refused.

The fingerprint of a stick is the SHA-256 of its manifest; its first 132 bits are shown as twelve words of the BIP-39
list, to be compared aloud with whoever made the stick. This program came with the stick, so its word is worth as much
as the stick's maker: who wants to know before running it uses programs of their own (`sha256sum -c manifest.txt`,
then `sha256sum manifest.txt`: the fingerprint in hex) or `scripts/stick --check` of a meshd they have.

One file, standard library only. It has to be readable for older Pythons, because it is the one to tell them why not.
"""

import sys

if __name__ == "__main__" and not (sys.flags.isolated or getattr(sys.flags, "safe_path", False)):
    del sys.path[0]  # the stick itself: a file called hashlib.py would be run by the next lines

import argparse
import errno
import hashlib
import os
import platform
import re
import shutil
import stat
import subprocess
import tarfile
from io import BufferedReader
from pathlib import Path

if not (3, 11) <= sys.version_info[:2] <= (3, 14):  # here, before the first annotation that is too new
    others = [f"python3.{minor}" for minor in range(14, 10, -1) if shutil.which(f"python3.{minor}")]
    sys.exit(
        f"meshd stick: needs Python 3.11 to 3.14, and this is {platform.python_version()}: "
        + (f"run it with {others[0]}" if others else "install one of these first")
    )
if os.name != "posix":
    sys.exit("meshd stick: Windows itself can't run meshd: run this in WSL2")

MANIFEST = "manifest.txt"
HALF_WRITTEN = "half-written.txt"  # there, in place of the manifest, while the stick is written
HEADER = "# meshd stick 1"
CHECKOUT = "meshd.tar"
WORDS = "words.txt"
WHEELS = "wheels"
LOCK = f"{WHEELS}/requirements.lock"
NEEDED = ("install.py", CHECKOUT, WORDS, LOCK)

# The English list of BIP-39, as the package mnemonic has it: with another list the same words could be shown for
# another fingerprint.
WORDS_SHA256 = "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda"
WORD_COUNT = 12
WORD_BITS = 11

MANIFEST_SIZE_MAX = 1 << 20  # bytes; 160 files take 20 kB
FOREIGN_SHOWN = 5  # names of what is not ours
READ_SIZE = 1 << 20  # bytes at once
PROGRESS_SIZE = 32 << 20  # bytes between two lines: some seconds on a slow stick
INSTALLED_SIZE = 120 << 20  # bytes that an installation takes: 70 MB, and the old .venv beside the new

# What every file system takes, vfat as well. No name begins with a dot, so none is `..` or hidden.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_LINE = re.compile(r"([0-9a-f]{64})  (\S+)")

FOLDER_COPY = ".stick"  # in the folder to install into: what is used of the stick
FOLDER_CHECKOUT = "checkout"
OURS = {FOLDER_COPY, FOLDER_CHECKOUT, f"{FOLDER_CHECKOUT}.new", f"{FOLDER_CHECKOUT}.old", "bin"}


class StickError(Exception):
    """The stick can't be used, or not here; the message is one line that says why."""


def say(line: str) -> None:
    """Progress and remarks go to stderr; stdout has the one result."""
    print(f"meshd stick: {line}", file=sys.stderr, flush=True)


def parse_manifest(text: str) -> dict[str, str]:
    """{path: SHA-256 in hex} of a manifest; StickError unless every path is plain, of ours, and unlike all others.

    The format is that of `sha256sum`: a header as comment, then `HASH  PATH` a line. A path is a name or
    `wheels/NAME`; two that differ in case only are one file on vfat, so they are refused.
    """
    header, *lines = text.splitlines()
    if not header.startswith(HEADER):
        raise StickError(f"{MANIFEST} is not one of meshd, or of a later one")
    hashes: dict[str, str] = {}
    for line in lines:
        match = _LINE.fullmatch(line)
        name = match[2].removeprefix(f"{WHEELS}/") if match else ""
        if not match or not _NAME.fullmatch(name) or name.endswith("."):
            raise StickError(f"{MANIFEST} has a line that no stick of meshd has: {ascii(line)[:80]}")
        hashes[match[2]] = match[1]
    if len({path.lower() for path in hashes} | {HALF_WRITTEN, MANIFEST}) != len(lines) + 2:
        raise StickError(f"{MANIFEST} names a file twice")
    return hashes


def read_manifest(stick: Path) -> tuple[bytes, dict[str, str]]:
    """The manifest's bytes and what it names; StickError if it is missing, too big or not a manifest."""
    if (stick / HALF_WRITTEN).exists():
        raise StickError(f"{stick} is half-written: run scripts/stick again where it was made")
    try:
        with open_plain(stick, MANIFEST) as file:
            content = file.read(MANIFEST_SIZE_MAX + 1)
    except FileNotFoundError:
        raise StickError(f"{stick} has no {MANIFEST}: it is no stick of meshd, or half-written") from None
    if len(content) > MANIFEST_SIZE_MAX or not content.isascii() or not content.strip():
        raise StickError(f"{MANIFEST} is not one of meshd")
    hashes = parse_manifest(content.decode())
    missing = [path for path in NEEDED if path not in hashes]
    if missing:
        raise StickError(f"{MANIFEST} does not name {missing[0]}")
    return content, hashes


def open_plain(stick: Path, path: str) -> BufferedReader:
    """Opens a file of the stick to read its bytes; StickError if it is a link or anything but a plain file."""
    try:
        descriptor = os.open(stick / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise StickError(f"{path} on the stick is a link: it leads elsewhere") from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise StickError(f"{path} on the stick is no plain file")
    return open(descriptor, "rb")


def verify(stick: Path, copy: Path | None = None) -> str:
    """Compares every file with the manifest, and returns the SHA-256 of the manifest in hex.

    With `copy`, an empty folder, what an installation here needs is copied there while it is read.
    StickError names the first file that is missing or differs.
    """
    manifest, hashes = read_manifest(stick)
    if (stick / WHEELS).is_symlink():
        raise StickError(f"{WHEELS} on the stick is a link: it leads elsewhere")
    foreign = strangers(stick, hashes)
    if foreign:
        more = f" and {len(foreign) - FOREIGN_SHOWN} more" if len(foreign) > FOREIGN_SHOWN else ""
        names = ", ".join(map(ascii, foreign[:FOREIGN_SHOWN]))
        say(f"warning: not in the manifest, and left alone: {names}{more}")
    size = done = said = 0
    for path in hashes:
        try:
            size += os.lstat(stick / path).st_size
        except FileNotFoundError:
            raise StickError(f"{path} is missing on the stick: run scripts/stick again") from None
    say(f"comparing {len(hashes)} files, {megabytes(size)}, with the manifest")
    for path, expected in hashes.items():
        hashed = hashlib.sha256()
        kept = copy / os.path.basename(path) if copy and is_needed(path) else Path(os.devnull)
        with open_plain(stick, path) as file, open(kept, "wb") as written:
            while True:
                block = file.read(READ_SIZE)
                if not block:
                    break
                hashed.update(block)
                written.write(block)
                done += len(block)
                if done - said >= PROGRESS_SIZE:
                    said = done
                    say(f"{megabytes(done)} of {megabytes(size)}")
        if hashed.hexdigest() != expected:
            raise StickError(f"{path} is not the file of the manifest: the stick is damaged or was changed")
    return hashlib.sha256(manifest).hexdigest()


def strangers(stick: Path, hashes: dict[str, str]) -> list[str]:
    """What lies beside our files and in our folder without being in the manifest; folders of others as one."""
    found = []
    for folder in (stick, stick / WHEELS):
        for entry in sorted(os.listdir(folder)):
            path = (folder / entry).relative_to(stick).as_posix()
            if path not in hashes and path not in (MANIFEST, WHEELS):
                found.append(path)
    return found


def is_needed(path: str) -> bool:
    """Whether an installation on this laptop may need this file: all but the wheels of others."""
    if not path.endswith(".whl"):
        return path in NEEDED
    tags = path.removesuffix(".whl").split("-")[-3:]
    if len(tags) < 3:
        return False
    python, abi, made_for = tags
    is_our_python = f"cp3{sys.version_info[1]}" in python or abi == "abi3" or "py3" in python
    system = {"linux": "linux", "darwin": "macosx"}.get(sys.platform, sys.platform)
    is_our_machine = system in made_for and (platform.machine() in made_for or "universal2" in made_for)
    return is_our_python and (made_for == "any" or is_our_machine)


def words_of(sha256: str, word_list: bytes) -> str:
    """The twelve words of a fingerprint: its first 132 bits, 11 a word, most significant first."""
    if hashlib.sha256(word_list).hexdigest() != WORDS_SHA256:
        raise StickError(f"{WORDS} is not the BIP-39 list: the stick was changed")
    words = word_list.decode().split()
    bits = int(sha256, 16) >> 256 - WORD_COUNT * WORD_BITS
    shifts = range((WORD_COUNT - 1) * WORD_BITS, -1, -WORD_BITS)
    return " ".join(words[bits >> shift & (1 << WORD_BITS) - 1] for shift in shifts)


def show(sha256: str, words: str) -> None:
    """The fingerprint, to be compared aloud."""
    say("every file is as the manifest says; its words, to be compared with whoever made the stick:")
    for at in range(0, WORD_COUNT, 4):
        say("    " + " ".join(words.split()[at : at + 4]))
    say(f"in hex, as `sha256sum {MANIFEST}` prints it: {sha256}")


def megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def remove(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


def unpack(archive: Path, folder: Path) -> None:
    """Unpacks the checkout into a folder that is not there yet; StickError for what no checkout has in it.

    Plain files alone, each name once and none that leads out of the folder.
    """
    folder.mkdir()
    try:
        with tarfile.open(archive, "r:") as tar:
            for member in tar:
                parts = member.name.split("/")
                content = tar.extractfile(member) if member.isreg() and not member.issparse() else None
                if content is None or not all(map(is_plain, parts)):
                    raise StickError(f"{CHECKOUT} holds what no checkout has: {ascii(member.name)[:80]}")
                path = folder.joinpath(*parts)
                path.parent.mkdir(parents=True, exist_ok=True)
                with open(path, "xb") as file:
                    shutil.copyfileobj(content, file)
                path.chmod(0o755 if member.mode & 0o100 else 0o644)
    except (tarfile.TarError, FileExistsError, NotADirectoryError):
        raise StickError(f"{CHECKOUT} is no archive of a checkout") from None


def is_plain(part: str) -> bool:
    """Whether this is the name of one file or folder, and of none but it."""
    return part not in ("", ".", "..") and part.isprintable()


def check_room(stick: Path, folder: Path) -> None:
    """StickError if nothing can be installed into this folder."""
    if folder == stick or stick in folder.parents:
        raise StickError("install into a folder of this laptop, not onto the stick")
    there = set(os.listdir(folder)) if folder.exists() else set()
    if there - OURS and not (folder / FOLDER_CHECKOUT / "scripts" / "_build_venv.py").exists():
        raise StickError(f"{folder} holds other things: name a folder that is empty or new")
    try:
        import ensurepip  # noqa: F401 (Debian ships venv without the part that it needs)
        import venv  # noqa: F401
    except ImportError:
        name = f"python3.{sys.version_info.minor}"
        raise StickError(
            f"{name} has no venv module: install it (Debian, Ubuntu: apt install {name}-venv)"
        ) from None
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < INSTALLED_SIZE:
        raise StickError(f"{folder}: no space: {megabytes(INSTALLED_SIZE)} needed, {megabytes(free)} free")


def install(stick: Path, folder: Path) -> None:
    """Installs into `folder`: the checkout, its .venv, and bin/; what an interrupted one left there is taken away."""
    check_room(stick, folder)
    copy, checkout = folder / FOLDER_COPY, folder / FOLDER_CHECKOUT
    new, old = folder / f"{FOLDER_CHECKOUT}.new", folder / f"{FOLDER_CHECKOUT}.old"
    for left in (copy, new, old):
        remove(left)
    copy.mkdir(mode=0o700)
    try:
        sha256 = verify(stick, copy)
        show(sha256, words_of(sha256, (copy / WORDS).read_bytes()))
        say(f"installing into {folder}")
        unpack(copy / CHECKOUT, new)
        if checkout.exists():
            if (checkout / ".venv").exists():
                (checkout / ".venv").rename(new / ".venv")
            checkout.rename(old)
        new.rename(checkout)
        set_up(checkout, copy)
    finally:
        for left in (copy, new, old):
            remove(left)
    (folder / "bin").mkdir(exist_ok=True)
    for program in ("mesh", "meshd"):
        remove(folder / "bin" / program)
        (folder / "bin" / program).symlink_to(Path("..") / FOLDER_CHECKOUT / "scripts" / program)
    say(f"done. Now: {folder}/bin/mesh demo, or PATH={folder}/bin:$PATH and mesh init")
    print(folder / "bin" / "mesh")


def set_up(checkout: Path, wheels: Path) -> None:
    """Builds the .venv from the copied wheels alone; what goes wrong there is said there, in one line."""
    build = [sys.executable, "-I", "-B", str(checkout / "scripts" / "_build_venv.py"), "run", str(wheels)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    built = subprocess.run(build, env=environment | {"PIP_CONFIG_FILE": os.devnull})
    if built.returncode:
        sys.exit(built.returncode)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="install.py", description="Installs meshd from this stick, offline."
    )
    parser.add_argument("folder", nargs="?", default="~/meshd", help="where to install it (~/meshd)")
    parser.add_argument("--check", action="store_true", help="only compare the stick with its manifest")
    given = parser.parse_args()
    stick = Path(__file__).resolve().parent
    try:
        if given.check:
            check(stick)
        else:
            install(stick, Path(os.path.expanduser(given.folder)).resolve())
    except StickError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        where = error.filename or (given.folder if error.errno == errno.ENOSPC else stick)
        say(f"{where}: {error.strerror or error}")
        return 1
    return 0


def check(stick: Path) -> None:
    """Compares a stick with its manifest and shows its fingerprint."""
    sha256 = verify(stick)
    with open_plain(stick, WORDS) as file:
        show(sha256, words_of(sha256, file.read(READ_SIZE)))


if __name__ == "__main__":
    sys.exit(main())
