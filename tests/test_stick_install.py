"""What the installer believes of a stick, and that nothing is run, opened or left behind beyond that.

Sticks here are folders with a few small files, some of them forged; installing one is test_stick_whole.py.
"""

import ast
import hashlib
import io
import os
import tarfile
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


# ── the archive ──


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
        [member("x", tarfile.GNUTYPE_SPARSE)],
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
