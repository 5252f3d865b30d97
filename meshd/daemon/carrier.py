"""Files that the user named: what `bundle.export` and `bundle.import` do with bundles, and how a plan's file is read.

The rule: a path comes from the user and may be anything, and what is read may come from anybody. Only a regular
file is read, never through a link in its place, without waiting for one that never opens, and BUNDLE_SIZE_MAX of it
at most. Only a file that was not there is written: mode 0600, its time a fixed one, so that it does not tell when
it was made; what could not be finished is removed. Files are read and written in a thread, because a stick may be
slow, and the core sees envelopes only, a slice an event.
"""

import errno
import os
import stat
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import trio

from meshd.errors import CallerError, Code
from meshd.limits import BUNDLE_SIZE_MAX, BUNDLE_SLICE_MAX, READ_SIZE_MAX
from meshd.store import bundle

Ask = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]

_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MADE_S = 315_532_800  # 1980-01-01, the first time that a FAT stick can tell


async def import_(ask: Ask, network_key: bytes, params: dict[str, Any]) -> dict[str, Any]:
    """{new, known, refused, expired, whole}: `whole` is False if the file is cut off or damaged."""
    path = _absolute(params["file"])
    reader = bundle.Reader(network_key)
    total = dict.fromkeys(("new", "known", "refused", "expired"), 0)
    with _words(path):
        file = os.open(path, _READ)
        try:
            found = os.fstat(file)
            if not stat.S_ISREG(found.st_mode):
                raise CallerError(Code.refused, f"{path} is no regular file")
            if found.st_size > BUNDLE_SIZE_MAX:
                raise CallerError(Code.refused, f"{path} is over {BUNDLE_SIZE_MAX // 1024**3} GiB")
            size = 0
            while size <= BUNDLE_SIZE_MAX and not reader.ended:
                content = await trio.to_thread.run_sync(os.read, file, READ_SIZE_MAX)
                if not content:
                    break
                size += len(content)
                envelopes = reader.feed(content)
                for start in range(0, len(envelopes), BUNDLE_SLICE_MAX):
                    slice_ = envelopes[start : start + BUNDLE_SLICE_MAX]
                    for what, count in (await ask("bundle.take", {"envelopes": slice_})).items():
                        total[what] += count
            if reader.ended:
                reader.feed(await trio.to_thread.run_sync(os.read, file, 1))
        finally:
            os.close(file)
    reader.close()
    return {**total, "whole": reader.whole}


async def export(ask: Ask, network_key: bytes, params: dict[str, Any]) -> dict[str, Any]:
    """{envelopes, bytes} of the file that was written."""
    path = _absolute(params["file"])
    which = {name: value for name, value in params.items() if name != "file"}
    part = await ask(
        "bundle.give", {**which, "after": b""}
    )  # refuses what makes no sense before there is a file
    writer = bundle.Writer(network_key, os.urandom(bundle.SALT_SIZE))
    with _words(path):
        file = os.open(path, _WRITE, 0o600)
        try:
            size = await _write(file, writer.begin())
            while part["after"] is not None:
                size += await _write(file, writer.add(part["envelopes"]))
                part = await ask("bundle.give", {**which, "after": part["after"]})
            size += await _write(file, writer.end())
            await trio.to_thread.run_sync(os.fsync, file)
            os.utime(file, (_MADE_S, _MADE_S))
        except BaseException:
            os.unlink(path)
            raise
        finally:
            os.close(file)
    return {"envelopes": writer.count, "bytes": size}


async def read_small(path: str, size_max: int) -> bytes:
    """What a file that the user named holds: all of it, or a byte more than it may be."""
    with _words(_absolute(path)):
        file = os.open(path, _READ)
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise CallerError(Code.refused, f"{path} is no regular file")
            content = b""
            while len(content) <= size_max and (
                piece := await trio.to_thread.run_sync(os.read, file, size_max + 1 - len(content))
            ):
                content += piece
        finally:
            os.close(file)
    return content


async def _write(file: int, content: bytes) -> int:
    """Write all of it; how much it was."""

    def write() -> None:
        left = memoryview(content)
        while left:
            left = left[os.write(file, left) :]

    await trio.to_thread.run_sync(write)
    return len(content)


def _absolute(path: str) -> str:
    """The path, if it is one for a daemon: its own folder is not the caller's."""
    if not os.path.isabs(path) or "\0" in path:
        raise CallerError(Code.usage, "file is an absolute path")
    return path


@contextmanager
def _words(path: str) -> Iterator[None]:
    """What the system says about a file, as the caller's error."""
    try:
        yield
    except FileNotFoundError:
        raise CallerError(Code.not_found, f"{path} is not there") from None
    except FileExistsError:
        raise CallerError(Code.refused, f"{path} is there already; nothing was written") from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise CallerError(Code.refused, f"{path} is a symbolic link: name the file itself") from None
        code = Code.refused if isinstance(error, PermissionError | IsADirectoryError) else Code.error
        raise CallerError(code, f"{path}: {error.strerror}") from None
    except UnicodeEncodeError:
        raise CallerError(Code.usage, "file is no path: it is no valid Unicode") from None
