"""What clients ask of the daemon itself, with what it starts and goes on, and when it locks itself."""

import os
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from meshd import limits
from meshd.daemon import settings
from meshd.daemon.control import Control
from meshd.daemon.home import Home
from meshd.daemon.settings import Settings
from meshd.daemon.start import Start
from meshd.errors import CallerError, Code
from meshd.net.probing import Place
from meshd.store.keyslot import Keys
from meshd.store.log import Log
from tests.test_rpc import Talk, make_rpc, request, talk

__all__ = ["talk"]  # the fixture

KEYS = Keys(bytes(range(32)), bytes(range(32, 64)))
OPEN = Start(KEYS, True, ())
LOCKED = OPEN._replace(keys=Keys(KEYS.carry, b""))


def control(home: Path, start: Start, **how: Any) -> Control:
    return Control(Home(str(home)), "ctl.sock", start, **how)


def refusal(call: Any, *args: object) -> Code:
    with pytest.raises(CallerError) as caught:
        call(*args)
    return caught.value.code


# --- what a client hears ---


async def test_erasing_has_to_be_meant(talk: Talk) -> None:
    assert (await talk.ask("panic", yes=False))["error"]["data"]["code"] == "usage"
    assert talk.stopped == []
    await talk.ask("panic", yes=True)
    assert talk.stopped == ["erase"]


async def test_a_lock_is_answered_before_all_ends(talk: Talk) -> None:
    assert (await talk.ask("unlock", key=""))["result"] == {"v": 1}
    await trio.testing.wait_all_tasks_blocked()
    assert talk.stopped == []
    assert (await talk.ask("lock"))["result"] == {"v": 1}
    await trio.testing.wait_all_tasks_blocked()
    assert talk.stopped == ["stop"]


async def test_a_lock_is_a_lock_though_its_client_takes_no_answer(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    made, feed, core, stopped = make_rpc()
    ours, theirs = trio.testing.memory_stream_pair()
    theirs.send_stream.send_all_hook = trio.sleep_forever
    nursery.start_soon(made._serve, theirs)
    await Talk(feed, core, ours, stopped).say(request("lock"))
    await ours.aclose()
    await trio.sleep(limits.CLOSE_MS / 1000 + 1)
    assert stopped == ["stop"]


async def test_only_what_a_person_may_have_asked_for_keeps_a_daemon_from_being_idle(talk: Talk) -> None:
    control = talk.core.rpc.control
    await talk.ask("status")
    assert control.touched == 0  # type: ignore[attr-defined]
    await talk.ask("peer.list")
    assert control.touched == 1  # type: ignore[attr-defined]


# --- lock and unlock ---


def test_a_lock_goes_on_with_the_key_of_carry_alone(tmp_path: Path) -> None:
    made = control(tmp_path, OPEN)
    assert made.lock() and made.next == LOCKED.keys
    locked = control(tmp_path, LOCKED)
    assert not locked.lock() and locked.next is None


def test_without_a_passphrase_there_is_nothing_to_lock(tmp_path: Path) -> None:
    made = control(tmp_path, OPEN._replace(encrypted=False))
    assert refusal(made.lock) is Code.refused and made.next is None


def test_only_the_logs_own_key_opens_it(tmp_path: Path) -> None:
    Log.create(tmp_path / "log.db", KEYS.log, bytes(32), "oak").close()
    made = control(tmp_path, LOCKED)
    for wrong in ("", "zz", KEYS.carry.hex(), KEYS.log.hex()[:-2]):
        assert refusal(made.unlock, wrong) is Code.locked and made.next is None
    assert made.unlock(KEYS.log.hex()) and made.next == KEYS
    assert control(tmp_path, OPEN).unlock("") is False


def test_keys_go_through_a_pipe_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    became: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda program, words: became.append(words))
    for start in (
        OPEN,
        LOCKED._replace(listen=("10.0.0.1:4040", "[::1]:4040"), idle_lock_min=5, port=4040, receipts=True),
        OPEN._replace(internet=settings.Internet(("a.example:1",), ("https://b.example", "c.example:2"), 60)),
        OPEN._replace(hook=settings.Hook(("/usr/bin/say", 'it\'s "now"'), False)),
    ):
        start.become("/home/oak", "listen")
        *words, descriptor = became.pop()
        assert words[-5:] == ["run", "--home", "/home/oak", "--listen-only", "--start-fd"]
        assert Start.taken(int(descriptor)) == start
    assert KEYS.log.hex() not in repr(OPEN) and repr(KEYS.log) not in repr(OPEN)


# --- idle ---


async def test_who_asks_nothing_for_long_enough_is_locked_out(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    suspended_s = 0.0
    made = control(
        tmp_path, OPEN._replace(idle_lock_min=10), uptime_s=lambda: trio.current_time() + suspended_s
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.watch_idle)
        await trio.sleep(9 * 60)
        made.touch()
        await trio.sleep(9 * 60)
        assert made.next is None
        suspended_s = 3600.0
        await trio.sleep(20)
        assert made.next == LOCKED.keys and made.ended.is_set()


@pytest.mark.parametrize(
    "start", [OPEN, LOCKED._replace(idle_lock_min=1), OPEN._replace(idle_lock_min=1, encrypted=False)]
)
async def test_who_never_locks(start: Start, tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    made = control(tmp_path, start, uptime_s=trio.current_time)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.watch_idle)
        await trio.sleep(3600)
        assert not made.ended.is_set()


# --- settings ---


def test_settings_are_those_of_the_file_or_the_defaults(tmp_path: Path) -> None:
    assert settings.read(tmp_path) == Settings() == Settings(idle_lock_min=0, receipts=False)
    (tmp_path / "config.toml").write_text("# nobody at the keyboard\nidle_lock_min = 15\nreceipts = true\n")
    assert settings.read(tmp_path) == Settings(idle_lock_min=15, receipts=True)


def test_nothing_is_probed_unasked_and_what_is_asked_is_kept(tmp_path: Path) -> None:
    assert settings.read(tmp_path).internet == settings.Internet((), (), 300)
    places = ["https://a.example", "https://b.example:8443/", "9.9.9.9:53", "https://[2001:db8::1]"]
    (tmp_path / "config.toml").write_text(
        f"[internet]\nprobes = {places}\ndomestic = ['c.example:443']\ndark_after_s = 60\n"
    )
    found = settings.read(tmp_path).internet
    assert found == settings.Internet(tuple(places), ("c.example:443",), 60)
    addresses = [(place.address.port, place.proves) for place in map(Place.parse, places)]
    assert addresses == [(443, True), (8443, True), (53, False), (443, True)]


@pytest.mark.parametrize(
    "line",
    [
        "internet = true",
        "[internet]\nprobe = []",
        "[internet]\nprobes = 'https://a.example'",
        "[internet]\nprobes = [1]",
        f"[internet]\nprobes = {['a.example:1'] * (limits.PROBES_MAX + 1)}",
        "[internet]\nprobes = ['a.example']",
        "[internet]\nprobes = ['http://a.example']",
        "[internet]\nprobes = ['https://a.example/page']",
        "[internet]\nprobes = ['https://me@a.example']",
        "[internet]\nprobes = ['https://:443']",
        "[internet]\nprobes = ['a.example:0']",
        f"[internet]\ndomestic = ['{'a' * 252}:443']",
        "[internet]\ndark_after_s = true",
        f"[internet]\ndark_after_s = {limits.DARK_AFTER_S_MIN - 1}",
        f"[internet]\ndark_after_s = {limits.DARK_AFTER_S_MAX + 1}",
    ],
)
def test_what_could_not_be_probed_is_refused(line: str, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(line)
    assert refusal(settings.read, tmp_path) is Code.invalid


def test_a_hook_is_the_words_of_the_settings(tmp_path: Path) -> None:
    assert settings.read(tmp_path).hook == settings.Hook((), True)
    (tmp_path / "config.toml").write_text(
        "[hook]\non_fired = ['/usr/bin/say', '$HOME; now']\nnotify = false\n"
    )
    assert settings.read(tmp_path).hook == settings.Hook(("/usr/bin/say", "$HOME; now"), False)


@pytest.mark.parametrize(
    "line",
    [
        "hook = 'say'",
        "[hook]\non_fire = []",
        "[hook]\non_fired = 'say now'",
        "[hook]\non_fired = ['say', 1]",
        "[hook]\non_fired = ['']",
        '[hook]\non_fired = ["a\\u0000b"]',
        f"[hook]\non_fired = ['{'a' * limits.HOOK_SIZE_MAX}']",
        "[hook]\nnotify = 1",
    ],
)
def test_what_could_not_be_run_is_refused(line: str, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(line)
    assert refusal(settings.read, tmp_path) is Code.invalid


@pytest.mark.parametrize(
    "text",
    [
        "idle_lock = 5",
        "idle_lock_min = '5'",
        "idle_lock_min = true",
        "idle_lock_min = -1",
        "receipts = 1",
        "=",
        "\xff",
    ],
)
def test_a_setting_that_would_have_no_effect_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(text.encode("latin-1"))
    assert refusal(settings.read, tmp_path) is Code.invalid
