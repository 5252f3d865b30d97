"""The hook, with real programs: what it is given, what it is not given, and that nothing of it is left."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
import trio.testing

from meshd.daemon import hook
from meshd.daemon.hook import Hook
from meshd.events import Fired

pytestmark = pytest.mark.real

PLAN = bytes.fromhex("4f2a9c01" * 8)
FIRED = Fired(PLAN, 2, "bridge-closed", False, 1_764_000_000_250)
PATIENCE_S = 20


def program(folder: Path, text: str) -> str:
    """A program in Python, in this folder; its own folder is its first argument."""
    path = folder / "program"
    path.write_text(f"#!{sys.executable}\nimport os, sys, time\nos.chdir(sys.argv[1])\n{text}\n")
    path.chmod(0o700)
    return str(path)


async def run_until(made: Hook, is_done: Callable[[], bool]) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.run)
        for _ in range(PATIENCE_S * 50):
            if is_done():
                break
            await trio.sleep(0.02)
        assert is_done()
        nursery.cancel_scope.cancel()


def is_gone(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


async def test_what_fired_is_on_standard_input_and_nowhere_else(tmp_path: Path) -> None:
    text = (
        "import json\n"
        "said = [sys.stdin.read(), sys.argv[2:], dict(os.environ), os.getsid(0) == os.getpid()]\n"
        "open('new', 'w').write(json.dumps(said)); os.rename('new', 'said')"
    )
    words = ["$(touch shell)", "a b; *", "'"]
    made = Hook([program(tmp_path, text), str(tmp_path), *words])
    made.tell(FIRED)
    await run_until(made, (tmp_path / "said").exists)
    content, given, environment, is_apart = json.loads((tmp_path / "said").read_text())
    assert json.loads(content) == {
        "v": 1,
        "plan": PLAN.hex(),
        "version": 2,
        "scenario": "bridge-closed",
        "drill": False,
        "time": "2025-11-24T16:00:00.250Z",
    }
    assert given == words and is_apart, "as they stand in the settings, and no shell read them"
    added = {name for name in environment if os.environ.get(name) != environment[name]}
    assert added <= {"LC_CTYPE", "LINES", "COLUMNS"}, "our own, and what the interpreter adds"
    assert sorted(os.listdir(tmp_path)) == ["program", "said"]


async def test_one_runs_at_a_time_and_each_firing_once(tmp_path: Path) -> None:
    text = (
        "import json\n"
        "open('busy', 'x').close(); name = json.load(sys.stdin)['scenario']; time.sleep(0.1)\n"
        "os.remove('busy'); open('done', 'a').write(name + ' ')"
    )
    made, done = Hook([program(tmp_path, text), str(tmp_path)]), tmp_path / "done"
    for name in ("one", "two", "three"):
        made.tell(Fired(PLAN, 1, name, True, 0))
    await run_until(made, lambda: done.exists() and len(done.read_text().split()) == 3)
    assert done.read_text() == "one two three "


async def test_it_is_killed_with_its_children_at_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hook, "HOOK_S", 1.0)
    text = (
        "child = os.fork()\n"
        "if child: open('new', 'w').write(f'{os.getpid()} {child}'); os.rename('new', 'pids')\n"
        "time.sleep(600)"
    )
    await check_killed(tmp_path, text)


async def test_what_it_leaves_behind_is_killed_when_it_ends(tmp_path: Path) -> None:
    text = (
        "child = os.fork()\n"
        "if not child: time.sleep(600)\n"
        "open('new', 'w').write(f'{os.getpid()} {child}'); os.rename('new', 'pids')"
    )
    await check_killed(tmp_path, text)


async def check_killed(folder: Path, text: str) -> None:
    pids = folder / "pids"
    made = Hook([program(folder, text), str(folder)])
    made.tell(FIRED)
    await run_until(made, lambda: pids.exists() and all(map(is_gone, map(int, pids.read_text().split()))))


async def test_a_daemon_that_ends_leaves_nothing_of_it(tmp_path: Path) -> None:
    text = "open('new', 'w').write(str(os.getpid())); os.rename('new', 'pids'); time.sleep(600)"
    made, pids = Hook([program(tmp_path, text), str(tmp_path)]), tmp_path / "pids"
    made.tell(FIRED)
    await run_until(made, pids.exists)
    assert is_gone(int(pids.read_text()))


async def test_a_program_that_reads_nothing_or_is_none_stops_nobody(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE_S):
        await hook.run(["/bin/false"], b"x" * 1_000_000)
        await hook.run([str(tmp_path / "nothing")], b"")
        (tmp_path / "text").write_text("no program")
        await hook.run([str(tmp_path / "text")], b"")


async def test_without_a_program_nothing_waits(autojump_clock: trio.testing.MockClock) -> None:
    made = Hook(())
    for _ in range(3):
        made.tell(FIRED)
    assert made._waiting.statistics().current_buffer_used == 0
