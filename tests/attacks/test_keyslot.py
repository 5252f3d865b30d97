"""Attack cases that go for the keyslot: C14 and D07 of the catalogue.

Covered here: the file itself. That a daemon or `init` that meets such a file stops without touching
anything is tested with them.
"""

import errno
import os
from itertools import count
from pathlib import Path

import pytest

from meshd import ids
from meshd.errors import CallerError, Code
from meshd.store import keyslot


def _home(path: Path) -> bytes:
    number = count()
    raw, _ = keyslot.create(None, lambda size: ids.labelled(b"test", next(number).to_bytes(8), size=size))
    keyslot.write(path, raw)
    return raw


@pytest.mark.parametrize("error", [errno.EACCES, errno.EIO, errno.EMFILE, errno.ESTALE])
def test_C14_keyslot_unreadable_for_a_moment(
    error: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = _home(tmp_path)

    def fail(*_: object) -> int:
        raise OSError(error, os.strerror(error))

    with monkeypatch.context() as broken:
        broken.setattr(keyslot.os, "open", fail)
        with pytest.raises(CallerError, match=os.strerror(error)) as refusal:
            keyslot.read(tmp_path)
        # Neither absent (which would invite an `init`) nor replaced.
        assert refusal.value.code is Code.refused
        with pytest.raises(CallerError) as refusal:
            keyslot.write(tmp_path, b"another identity")
        assert refusal.value.code is Code.refused
    assert keyslot.read(tmp_path) == raw


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o610, 0o601, 0o620, 0o602, 0o666])
def test_D07_loose_permissions(mode: int, tmp_path: Path) -> None:
    raw = _home(tmp_path)
    (tmp_path / "keyslot").chmod(mode)
    with pytest.raises(CallerError, match="chmod 600") as refusal:
        keyslot.read(tmp_path)
    assert refusal.value.code is Code.refused
    (tmp_path / "keyslot").chmod(0o600)
    assert keyslot.read(tmp_path) == raw


def test_D07_read_only_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(keyslot.os, "open", fail)
    with pytest.raises(CallerError, match="Read-only file system") as refusal:
        keyslot.write(tmp_path, b"never written")
    assert refusal.value.code is Code.refused
    assert not list(tmp_path.iterdir())
