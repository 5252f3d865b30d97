"""Build the .venv of this checkout: `_build_venv.py run|dev [WHEELS]`, called by scripts/_setup, or by the installer
of a stick with a folder of wheels, which then is all that pip may use.

The rule: a .venv that is there is whole. It is built aside as .venv.new, stamped last and renamed, so an
interrupted build leaves nothing that looks finished. A file lock lets one build at a time; the kernel drops
it with the last process that holds it (pip inherits it, so a killed build is not followed by a second one
while its pip still writes). Every failure is one line that says what is wrong; half-made folders go.

A stamp has three lines: the checkout, the Python the .venv was made from, the SHA-256 of the lock. Its
modification time equals the lock's, which is all that scripts/_setup compares when everything is fresh. The
dev set contains the run set, so it is stamped as both.

The checkout comes onto sys.path by a .pth file: an editable install is refused in hash mode, and would
fetch the build backend from the net.
"""

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import IO, Never

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
NEW = ROOT / ".venv.new"
OLD = ROOT / ".venv.old"
LOCKS = {"run": ROOT / "requirements.lock", "dev": ROOT / "requirements-dev.lock"}


def say(line: str) -> None:
    """Remarks go to stderr: stdout belongs to the program that is being set up for."""
    print(f"meshd set-up: {line}", file=sys.stderr, flush=True)


def fail(why: str) -> Never:
    say(why)
    sys.exit(1)


def remove(folder: Path) -> None:
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)


def stamp_lines(needs: str, base_python: str) -> list[str]:
    return [str(ROOT), base_python, hashlib.sha256(LOCKS[needs].read_bytes()).hexdigest()]


def is_fresh(needs: str) -> bool:
    """Whether .venv was built here, from this content of the lock, by the Python it now points to."""
    try:
        lines = (VENV / f"stamp-{needs}").read_text().splitlines()
        base_python = os.path.realpath(VENV / "bin/python", strict=True)
    except OSError:
        return False
    return lines == stamp_lines(needs, base_python)


def copy_age(needs: str, venv: Path) -> None:
    """Give the stamp the lock's modification time, for the quick comparison in scripts/_setup."""
    age = LOCKS[needs].stat()
    os.utime(venv / f"stamp-{needs}", ns=(age.st_atime_ns, age.st_mtime_ns))


def run(command: list[str], lock: IO[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, errors="replace", pass_fds=[lock.fileno()])


def this_laptop() -> str:
    return (
        f"{platform.system()} {platform.machine()}, Python {sys.version_info.major}.{sys.version_info.minor}"
    )


def why_pip_failed(stderr: str, laptop: str) -> str:
    """What pip's complaint means to somebody who only wants it installed on such a laptop; one line."""
    if "Retrying (Retry(" in stderr or "Temporary failure in name resolution" in stderr:
        return "pip can't reach the package index: go online once, then run this again"
    lacks = re.search(r"No matching distribution found for (\S+)", stderr)
    if lacks:
        return f"no ready-made {lacks[1]} for {laptop}"
    errors = [line.removeprefix("ERROR: ") for line in stderr.splitlines() if line.startswith("ERROR: ")]
    return (
        f"pip: {errors[-1] if errors else stderr.strip().rpartition(chr(10))[2] or 'failed without a word'}"
    )


def build(needs: str, wheels: str | None, lock: IO[str]) -> None:
    """Build the set `needs` aside, then put it in the place of .venv; one line and exit 1 if that fails.

    With `wheels`, a folder with a requirements.lock of its own (ours, and the hashes of what was made for the
    stick), nothing comes from the net.
    """
    # The resolved binary carries its version in its name: when the system moves on to another Python,
    # it is gone, and not silently another one.
    made = run([os.path.realpath(sys.executable), "-I", "-m", "venv", "--prompt", "meshd", str(NEW)], lock)
    if made.returncode:
        fail(f"python -m venv failed: {(made.stderr or made.stdout).strip().rpartition(chr(10))[2]}")
    pip = [str(NEW / "bin/python"), "-I", "-m", "pip", "--disable-pip-version-check", "--no-input", "-q"]
    strict = ["--no-user", "--require-hashes", "--only-binary=:all:"]
    if wheels:
        strict += ["--no-index", "--find-links", wheels, "-r", str(Path(wheels) / LOCKS[needs].name)]
    else:
        strict += ["-r", str(LOCKS[needs])]
    installed = run([*pip, "install", *strict], lock)
    if installed.returncode:
        fail(why_pip_failed(installed.stderr, this_laptop()))
    (site_packages,) = NEW.glob("lib/python3.*/site-packages")
    (site_packages / "meshd-checkout.pth").write_text(f"{ROOT}\n")
    for script in (NEW / "bin").iterdir():
        content = script.read_bytes()
        if not script.is_symlink() and bytes(NEW) in content:  # the #! line names the folder it was built in
            script.write_bytes(content.replace(bytes(NEW), bytes(VENV)))
    base_python = os.path.realpath(NEW / "bin/python")
    for stamped in {"run": ["run"], "dev": ["run", "dev"]}[needs]:
        (NEW / f"stamp-{stamped}").write_text("\n".join(stamp_lines(stamped, base_python)) + "\n")
        copy_age(stamped, NEW)
    if VENV.exists() or VENV.is_symlink():
        VENV.rename(OLD)
    NEW.rename(VENV)
    remove(OLD)


def take(lock: IO[str]) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("waiting for another set-up of this checkout")
        fcntl.flock(lock, fcntl.LOCK_EX)


def main(needs: str, wheels: str | None = None) -> None:
    try:
        with open(ROOT / ".venv.lock", "w") as lock:
            take(lock)
            if is_fresh(needs):
                copy_age(needs, VENV)
                return
            remove(NEW)
            remove(OLD)
            say("building .venv, once; this takes some seconds")
            try:
                # Who has the tools of the dev set keeps them, if they can be had.
                keeps_dev = wheels is None and (VENV / "stamp-dev").exists()
                build("dev" if keeps_dev else needs, wheels, lock)
            finally:
                remove(NEW)
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        fail(f"{error.filename or ROOT}: {error.strerror}")


if __name__ == "__main__":
    main(*sys.argv[1:])
