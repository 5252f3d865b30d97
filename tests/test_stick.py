"""What goes onto a stick, and that it is written whole or seen to be half-written.

What the installer then makes of it is test_stick_install.py; both together, with pip, test_stick_whole.py; with the
real wheels, tests/lab/test_stick.py.
"""

import errno
import io
import os
import shutil
import zipfile
from pathlib import Path

import pytest

from scripts import stick  # makes the rest of scripts/ importable
from tests import stick_parts

import stick_install  # isort: skip
from stick_install import StickError  # isort: skip

HASH = "0" * 64

# ── the checkout ──


def test_a_checkout_goes_onto_the_stick_as_it_is_committed(tmp_path, capsys):
    root = tmp_path / "root"
    stick_parts.make_checkout(root, "# a lock\n")
    stick_parts.commit(root)
    committed = stick.checkout_files(root)
    assert [file.path for file in committed if file.is_executable] == ["scripts/mesh", "scripts/meshd"]
    archive = tmp_path / "meshd.tar"
    archive.write_bytes(stick.pack(committed))

    # A copy that an installer unpacked, and in which meshd has run, packs into the same bytes.
    copy = tmp_path / "copy"
    stick_install.unpack(archive, copy)
    assert os.access(copy / "scripts" / "mesh", os.X_OK) and not os.access(copy / "cli" / "main.py", os.X_OK)
    for left in (".venv/bin/python", "cli/__pycache__/main.pyc", ".venv.lock", ".mypy_cache/x"):
        (copy / left).parent.mkdir(parents=True, exist_ok=True)
        (copy / left).write_text("not tracked")
    assert stick.pack(stick.checkout_files(copy)) == archive.read_bytes()
    assert capsys.readouterr().err == ""

    (root / "cli" / "main.py").write_text("changed")
    (root / "notes.txt").write_text("of mine")
    assert stick.pack(stick.checkout_files(root)) == archive.read_bytes()
    assert "changed and not committed" in capsys.readouterr().err


@pytest.mark.parametrize("is_committed", [True, False])
def test_a_checkout_with_a_link_is_refused(tmp_path, is_committed):
    stick_parts.make_checkout(tmp_path / "root", "# a lock\n")
    (tmp_path / "root" / "link").symlink_to("/etc/passwd")
    if is_committed:
        stick_parts.commit(tmp_path / "root")
    with pytest.raises(StickError, match="link is a link"):
        stick.checkout_files(tmp_path / "root")


# ── the wheels ──


def test_the_pure_wheel_is_the_wheel_without_its_compiled_parts(tmp_path):
    stick_parts.make_index(tmp_path, 3)
    wheel = tmp_path / "zeroconf-3-cp311-cp311-linux_pdp11.whl"
    name, content = stick.pure_wheel(wheel)
    os.utime(wheel, (0, 0))
    assert (name, content) == stick.pure_wheel(wheel)
    assert name == "zeroconf-3-py3-none-any.whl"
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        about = "zeroconf-3.dist-info"
        listed = [f"{about}/METADATA", f"{about}/WHEEL", "zeroconf/__init__.py", f"{about}/RECORD"]
        assert archive.namelist() == listed
        assert archive.read("zeroconf/__init__.py") == b"VERSION = 3\n"
        assert b"Root-Is-Purelib: true\nTag: py3-none-any\n" in archive.read(f"{about}/WHEEL")
        assert archive.read(f"{about}/RECORD").decode().split(",,\n") == [*listed, ""]


def test_one_more_hash_in_the_lock():
    lock = (stick_parts.ROOT / "requirements.lock").read_text()
    more = stick.with_hash(lock, "zeroconf", HASH).splitlines()
    at = next(number for number, line in enumerate(more) if line.startswith("zeroconf=="))
    assert more.pop(at + 1) == f"    --hash=sha256:{HASH} \\"
    assert more == lock.splitlines()
    with pytest.raises(StickError, match="has no nothing"):
        stick.with_hash(lock, "nothing", HASH)


# ── writing ──


@pytest.fixture
def staged(tmp_path: Path) -> Path:
    folder = tmp_path / "staged"
    stick_parts.make_plain_stick(folder)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_written_then_only_what_changed(staged, tmp_path):
    made = tmp_path / "made"
    size = stick.write(staged, made)
    assert size == sum(len(content) for content in contents(staged).values())
    stick_install.check(made)

    (made / "mine.txt").write_text("of the stick's owner")
    (staged / "wheels" / "thing-1-py3-none-any.whl").rename(staged / "wheels" / "thing-2-py3-none-any.whl")
    (staged / "meshd.tar").write_bytes(b"newer")
    assert stick.write(staged, made) == len(b"newer") + len(b"a wheel")
    held = contents(made)
    assert held.pop("mine.txt") == b"of the stick's owner"
    assert held.pop("manifest.txt").decode() == stick.manifest_of(staged)
    assert held == contents(staged)


def test_a_stick_broken_off_anywhere_is_seen_and_mended(staged, tmp_path, monkeypatch):
    class Pulled(OSError):
        pass

    real = stick.replace
    for last in range(7):
        made = tmp_path / f"made{last}"
        stick_parts.make_plain_stick(made)
        (made / "wheels" / "old-1-py3-none-any.whl").write_bytes(b"old")
        for path in ("install.py", "meshd.tar"):
            (made / path).write_bytes(b"older")
        (made / "wheels" / "thing-1-py3-none-any.whl").write_bytes(b"older")
        (made / "manifest.txt").write_text(stick.manifest_of(made))
        left = [last]

        def replace(path, content, left=left):
            if not left[0]:
                path.with_name(f"{path.name}.part").write_bytes(content[: len(content) // 2])
                raise Pulled(errno.EIO, "pulled out")
            left[0] -= 1
            real(path, content)

        monkeypatch.setattr(stick, "replace", replace)
        if last < 5:  # half-written.txt, three files, manifest.txt
            with pytest.raises(Pulled):
                stick.write(staged, made)
        else:
            stick.write(staged, made)
        if 0 < last < 5:
            with pytest.raises(StickError, match="half-written"):
                stick_install.verify(made)
            assert not (made / "manifest.txt").exists()
        monkeypatch.setattr(stick, "replace", real)
        stick.write(staged, made)
        stick_install.check(made)
        held = contents(made)
        assert held.pop("manifest.txt").decode() == stick.manifest_of(staged)
        assert held == contents(staged)


@pytest.mark.parametrize("name", ["README.txt", "install.py", "wheels", "meshd.tar"])
def test_what_is_not_ours_is_not_overwritten(staged, tmp_path, name):
    (staged / "README.txt").write_text("ours")
    made = tmp_path / "made"
    made.mkdir()
    (made / name).write_text("of the stick's owner")
    with pytest.raises(StickError, match="not ours: name a folder of its own"):
        stick.write(staged, made)
    assert contents(made) == {name: b"of the stick's owner"}


def test_a_damaged_stick_is_written_anew(staged, tmp_path):
    made = tmp_path / "made"
    stick.write(staged, made)
    (made / "manifest.txt").write_text(f"{stick_install.HEADER}\n\0\0\0")
    (made / "meshd.tar").write_bytes(b"\0" * 7)
    stick.write(staged, made)
    stick_install.check(made)
    assert (made / "meshd.tar").read_bytes() == b"archive"


def test_a_link_in_place_of_a_file_is_replaced_and_not_followed(staged, tmp_path):
    made, elsewhere = tmp_path / "made", tmp_path / "elsewhere"
    stick.write(staged, made)
    elsewhere.write_bytes(b"archive")
    (made / "meshd.tar").unlink()
    (made / "meshd.tar").symlink_to(elsewhere)
    (staged / "meshd.tar").write_bytes(b"newer")
    stick.write(staged, made)
    assert (made / "meshd.tar").read_bytes() == b"newer" and not (made / "meshd.tar").is_symlink()
    assert elsewhere.read_bytes() == b"archive"


def test_no_space_is_said_before_anything_is_touched(staged, tmp_path, monkeypatch):
    made = tmp_path / "made"
    stick.write(staged, made)
    before = contents(made)
    (staged / "meshd.tar").write_bytes(b"x" * 5_000_000)
    nearly_full = shutil.disk_usage(made)._replace(free=4_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: nearly_full)
    with pytest.raises(StickError, match=r"no space: 5\.0 MB needed, 4\.0 MB free"):
        stick.write(staged, made)
    assert contents(made) == before
