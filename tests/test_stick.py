"""A stick: what is on it, what the installer believes of it, and that it is written whole or seen to be half-written.

Sticks here are folders with a few small files; installing one for real, from fake wheels, is test_stick_install.py,
from the real ones tests/lab/test_stick.py.
"""

import ast
import errno
import hashlib
import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from meshd import words
from scripts import stick  # makes the rest of scripts/ importable
from tests import stick_parts

import stick_install  # isort: skip
from stick_install import StickError  # isort: skip

HASH = "0" * 64


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A whole stick."""
    folder = tmp_path / "stick"
    stick_parts.make_plain_stick(folder)
    (folder / "manifest.txt").write_text(stick.manifest_of(folder))
    return folder


def renew_manifest(folder: Path) -> None:
    """What a forger does."""
    (folder / "manifest.txt").unlink()
    (folder / "manifest.txt").write_text(stick.manifest_of(folder))


# ── words ──


def test_the_words_are_the_first_132_bits_of_the_manifests_sha256():
    sha256 = hashlib.sha256(b"a manifest").hexdigest()
    said = stick_install.words_of(sha256, stick_parts.WORD_LIST)
    assert words.words_to_bits(said) == int(sha256[:33], 16)


def test_another_word_list_is_refused(plain):
    swapped = stick_parts.WORD_LIST.replace(b"abandon\nability\n", b"ability\nabandon\n")
    (plain / "words.txt").write_bytes(swapped)
    renew_manifest(plain)
    stick_install.verify(plain)  # the manifest itself is right
    with pytest.raises(StickError, match="not the BIP-39 list"):
        stick_install.check(plain)


# ── the manifest ──


def manifest(*paths: str) -> str:
    return f"{stick_install.HEADER}\n" + "".join(f"{HASH}  {path}\n" for path in paths)


@pytest.mark.parametrize(
    "path",
    [
        "../x",
        "/etc/x",
        "wheels/../x",
        "wheels/a/b",
        "a/b",
        "a\\b",
        ".x",
        "wheels/.x",
        "a:b",
        "x.",
        "é",
        "wheels/",
    ],
)
def test_paths_that_lead_elsewhere_or_vfat_cannot_hold_are_refused(path):
    with pytest.raises(StickError, match="no stick of meshd has"):
        stick_install.parse_manifest(manifest("a", path))


@pytest.mark.parametrize("path", ["a", "A", "manifest.txt", "half-written.txt", "Half-Written.TXT"])
def test_two_files_that_are_one_on_vfat_are_refused(path):
    with pytest.raises(StickError, match="twice"):
        stick_install.parse_manifest(manifest("a", path))


@pytest.mark.parametrize(
    "text",
    [
        "another header\n",
        f"{HASH}  a\n",
        manifest() + f"{HASH} a\n",
        manifest() + f"{'A' * 64}  a\n",
        manifest() + f"{HASH}  a b\n",
        manifest() + f"{HASH[1:]}  a\n",
        manifest() + "\n",
    ],
)
def test_what_is_not_a_manifest_is_refused(text):
    with pytest.raises(StickError):
        stick_install.parse_manifest(text)


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff" * 9, manifest().encode() + b"#" * (1 << 20)])
def test_a_manifest_that_cannot_be_one_is_refused(plain, content):
    (plain / "manifest.txt").write_bytes(content)
    with pytest.raises(StickError, match="not one of meshd"):
        stick_install.verify(plain)


@pytest.mark.parametrize("missing", stick_install.NEEDED)
def test_a_manifest_without_a_needed_file_is_refused(plain, missing):
    (plain / missing).unlink()
    renew_manifest(plain)
    with pytest.raises(StickError, match=f"does not name {missing}"):
        stick_install.verify(plain)


# ── the files ──


def test_what_the_installation_needs_is_copied_while_it_is_compared(plain, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    (plain / "wheels" / "thing-1-cp311-cp311-linux_pdp11.whl").write_bytes(b"of another laptop")
    renew_manifest(plain)
    fingerprint = stick_install.verify(plain, copy)
    assert fingerprint == hashlib.sha256((plain / "manifest.txt").read_bytes()).hexdigest()
    copied = {path.name: path.read_bytes() for path in copy.iterdir()}
    assert sorted(copied) == sorted(
        [*map(os.path.basename, stick_install.NEEDED), "thing-1-py3-none-any.whl"]
    )
    assert copied["thing-1-py3-none-any.whl"] == b"a wheel"


@pytest.mark.parametrize("path", ["install.py", "meshd.tar", "wheels/thing-1-py3-none-any.whl"])
def test_a_changed_file_is_named(plain, path):
    content = (plain / path).read_bytes()
    (plain / path).write_bytes(content[:-1] + b"X")
    with pytest.raises(StickError, match=f"{path} is not the file of the manifest"):
        stick_install.verify(plain)


def test_a_missing_file_is_named(plain):
    (plain / "meshd.tar").unlink()
    with pytest.raises(StickError, match=r"meshd\.tar is missing"):
        stick_install.verify(plain)


@pytest.mark.parametrize("path", ["manifest.txt", "meshd.tar", "wheels/thing-1-py3-none-any.whl", "wheels"])
def test_a_link_on_the_stick_is_refused_wherever_it_leads(plain, path):
    (plain / path).rename(plain.parent / "elsewhere")
    (plain / path).symlink_to(plain.parent / "elsewhere")
    with pytest.raises(StickError, match=f"{path} on the stick is a link"):
        stick_install.verify(plain)


def test_a_pipe_on_the_stick_is_refused_and_does_not_block(plain):
    (plain / "meshd.tar").unlink()
    os.mkfifo(plain / "meshd.tar")
    with pytest.raises(StickError, match="no plain file"):
        stick_install.verify(plain)


def test_what_is_not_in_the_manifest_is_named_harmlessly_and_not_opened(plain, capsys):
    (plain / "photos\x1b[2J").mkdir()
    os.mkfifo(plain / "wheels" / "evil-1-py3-none-any.whl")
    stick_install.verify(plain)
    said = capsys.readouterr().err
    assert r"'photos\x1b[2J', 'wheels/evil-1-py3-none-any.whl'" in said
    assert "\x1b" not in said


def test_no_stick_at_all(tmp_path):
    with pytest.raises(StickError, match=r"has no manifest\.txt"):
        stick_install.verify(tmp_path)


@pytest.mark.parametrize(
    ("path", "needed"),
    [
        ("meshd.tar", True),
        ("README.txt", False),
        ("wheels/a-1-py3-none-any.whl", True),
        ("wheels/a-1-py2.py3-none-any.whl", True),
        ("wheels/a-1-cp313-cp313-manylinux_2_17_aarch64.manylinux2014_aarch64.whl", True),
        ("wheels/a-1-cp38-abi3-manylinux_2_17_aarch64.whl", True),
        ("wheels/a-1-cp312-cp312-manylinux_2_17_aarch64.whl", False),
        ("wheels/a-1-cp313-cp313-manylinux_2_17_x86_64.whl", False),
        ("wheels/a-1-cp313-cp313-macosx_11_0_aarch64.whl", False),
        ("wheels/a.whl", False),
    ],
)
def test_what_this_laptop_needs(monkeypatch, path, needed):
    monkeypatch.setattr(stick_install.sys, "version_info", (3, 13, 0))
    monkeypatch.setattr(stick_install.sys, "platform", "linux")
    monkeypatch.setattr(stick_install.platform, "machine", lambda: "aarch64")
    assert stick_install.is_needed(path) == needed


# ── the archive of the checkout ──


def packed(*members: tarfile.TarInfo) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(b"content") if member.size else None)
    return archive.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.size = kind, "../../etc/passwd", 7 if kind == tarfile.REGTYPE else 0
    return made


@pytest.mark.parametrize(
    "members",
    [
        [member("../x")],
        [member("/x")],
        [member("a/../../x")],
        [member("a//x")],
        [member("./x")],
        [member("x\n")],
        [member("x", tarfile.SYMTYPE)],
        [member("x", tarfile.LNKTYPE)],
        [member("x", tarfile.FIFOTYPE)],
        [member("x", tarfile.CHRTYPE)],
        [member("x"), member("x")],
        [member("x"), member("x/y")],
    ],
)
def test_an_archive_with_more_than_plain_files_is_refused(tmp_path, members):
    (tmp_path / "meshd.tar").write_bytes(packed(*members))
    with pytest.raises(StickError):
        stick_install.unpack(tmp_path / "meshd.tar", tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["meshd.tar", "new"]


def test_what_is_no_archive_is_refused(tmp_path):
    (tmp_path / "meshd.tar").write_bytes(b"x" * 2000)
    with pytest.raises(StickError, match="no archive"):
        stick_install.unpack(tmp_path / "meshd.tar", tmp_path / "new")


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


# ── where to install ──


def test_a_folder_with_other_things_is_refused(plain, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "thesis.txt").touch()
    with pytest.raises(StickError, match="holds other things"):
        stick_install.install(plain, tmp_path / "there")
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["thesis.txt"]


def test_not_onto_the_stick(plain):
    for folder in (plain, plain / "meshd"):
        with pytest.raises(StickError, match="not onto the stick"):
            stick_install.install(plain, folder)


def test_no_space(plain, tmp_path, monkeypatch):
    monkeypatch.setattr(stick_install, "INSTALLED_SIZE", 1 << 60)
    with pytest.raises(StickError, match=r"no space: 1152921504606\.8 MB needed"):
        stick_install.install(plain, tmp_path / "there")


def test_a_changed_stick_leaves_nothing_behind(plain, tmp_path):
    (plain / "meshd.tar").write_bytes(b"changed")
    with pytest.raises(StickError, match="was changed"):
        stick_install.install(plain, tmp_path / "there")
    assert list((tmp_path / "there").iterdir()) == []


def test_older_pythons_can_read_the_installer():
    """It is the installer that tells them what they lack."""
    text = (stick_parts.ROOT / "scripts" / "stick_install.py").read_text()
    ast.parse(text, feature_version=(3, 7))
