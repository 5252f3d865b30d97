"""What facts about home, disk, daemon and machine are judged to mean; each fault and its neighbour that is none."""

from dataclasses import replace

import pytest

from meshd.daemon import verdicts_home as judge
from meshd.daemon.check import Check
from meshd.daemon.probe_home import DaemonFacts, DiskFacts, HomeFacts
from meshd.daemon.probe_machine import MachineFacts
from meshd.limits import CARRY_IDS_MAX, CARRY_SIZE_MAX

HOME = HomeFacts("/h", encrypted=True, newest_ms=judge.BUILD_MS + 1000, socket_path_size=11)
NOWHERE = HomeFacts("/h", there=False, keyslot="none")
DISK = DiskFacts(50_000 * judge.MIB, 100_000 * judge.MIB, 1_000_000, 0.14)
STATUS = {"pid": 7, "uptime_s": 60, "encrypted": True, "clock": {"state": "ok", "off_s": 0, "advice": ""}}
UP = DaemonFacts("answers", STATUS, holder=7)
DOWN = DaemonFacts()
MACHINE = MachineFacts(judge.BUILD_MS + 60_000, (3, 11, 7), "4.6.1", "Linux x86_64", 0, ())


def is_fault(check: Check, cause: str) -> bool:
    """A fault of this cause, with something to do; with no cause: none."""
    return (not check.ok, check.cause) == (bool(cause), cause) and (check.ok or bool(check.advice))


@pytest.mark.parametrize(
    ("home", "cause"),
    [
        (HOME, ""),
        (NOWHERE, ""),
        (replace(HOME, trouble="it belongs to another user"), "home not usable"),
        (replace(HOME, loose=((".", 0o755),)), "loose permissions"),
    ],
)
def test_permissions(home, cause):
    assert is_fault(judge.permissions(home), cause)


@pytest.mark.parametrize(
    ("home", "cause", "known"),
    [
        (HOME, "", True),
        (NOWHERE, "", False),
        (replace(HOME, keyslot="none"), "", False),
        (replace(HOME, keyslot="unread"), "", False),
        (replace(HOME, keyslot="missing"), "keyslot missing", True),
        (replace(HOME, keyslot="the keyslot is damaged: restore a copy"), "keyslot damaged", True),
        (replace(HOME, missing=("log.db",)), "database missing", True),
        (replace(HOME, unsealed=("log.db",)), "database damaged", True),
    ],
)
def test_keyslot(home, cause, known):
    check = judge.keyslot(home)
    assert is_fault(check, cause) and check.known is known


@pytest.mark.parametrize(
    ("home", "daemon", "cause", "known"),
    [
        (HOME, DOWN, "", True),
        (replace(HOME, encrypted=False), DOWN, "no passphrase", True),
        (replace(HOME, encrypted=None), DOWN, "", False),
        (replace(HOME, encrypted=None), UP, "", True),
        (replace(HOME, encrypted=None), replace(UP, status={"encrypted": False}), "no passphrase", True),
    ],
)
def test_passphrase(home, daemon, cause, known):
    check = judge.passphrase(home, daemon)
    assert is_fault(check, cause) and check.known is known


def test_settings():
    assert is_fault(judge.settings(HOME), "")
    assert is_fault(judge.settings(replace(HOME, settings="there is no such thing")), "settings not usable")


@pytest.mark.parametrize(
    ("size", "shorten", "cause"),
    [(100, False, ""), (101, True, ""), (101, False, "path too long")],
)
def test_socket_path(size, shorten, cause):
    home = replace(HOME, socket_path_size=size, has_descriptor_paths=shorten)
    assert is_fault(judge.socket_path(home), cause)


@pytest.mark.parametrize(
    ("disk", "cause", "remark"),
    [
        (DISK, "", False),
        (replace(DISK, free_size=judge.ROOM_FEW - 1), "", True),
        (replace(DISK, free_size=judge.ROOM_MIN), "", True),
        (replace(DISK, free_size=judge.ROOM_MIN - 1), "disk nearly full", True),
        (replace(DISK, files_free=judge.FILES_MIN - 1), "no room for files", True),
        (replace(DISK, files_free=None), "", False),
    ],
)
def test_room(disk, cause, remark):
    check = judge.room(disk)
    assert is_fault(check, cause) and bool(check.advice) is remark


@pytest.mark.parametrize(
    ("disk", "cause", "remark", "known"),
    [
        ({"evicted": 0, "ids": 1000, "size": judge.MIB}, "", False, True),
        ({"evicted": 0, "ids": 1000, "size": CARRY_SIZE_MAX * 95 // 100}, "", True, True),
        ({"evicted": 0, "ids": CARRY_IDS_MAX * 95 // 100, "size": judge.MIB}, "", True, True),
        ({"evicted": 7, "ids": 1000, "size": CARRY_SIZE_MAX}, "room short", True, True),
        ({"full": False, "evicted": 0}, "", False, False),
    ],
)
def test_carry_room(disk, cause, remark, known):
    check = judge.carry_room(replace(UP, status={"disk": disk}))
    assert is_fault(check, cause) and bool(check.advice) is remark and check.known is known
    assert not judge.carry_room(DOWN).known


@pytest.mark.parametrize(
    ("disk", "cause"),
    [
        (DISK, ""),
        (replace(DISK, commit_ms=None), ""),
        (replace(DISK, commit_ms=judge.COMMIT_MS_MAX), ""),
        (replace(DISK, commit_ms=judge.COMMIT_MS_MAX + 1), "slow disk"),
        (replace(DISK, commit_ms=None, trouble="Read-only file system"), "disk can't be written"),
    ],
)
def test_commit(disk, cause):
    check = judge.commit(disk)
    assert is_fault(check, cause)
    assert check.known == bool(disk.commit_ms or disk.trouble)


@pytest.mark.parametrize(
    ("daemon", "cause"),
    [
        (UP, ""),
        (DOWN, ""),
        (DaemonFacts("silent", holder=7), "daemon silent"),
        (DaemonFacts("refused"), "socket refused"),
        (DaemonFacts("stale"), "daemon died"),
        (DaemonFacts("stale", holder=7), ""),
    ],
)
def test_running(daemon, cause):
    assert is_fault(judge.running(HOME, daemon), cause)


def test_a_daemon_that_does_not_run_is_no_fault_and_says_what_starts_it():
    assert "mesh up" in judge.running(HOME, DOWN).advice
    assert "mesh init" in judge.running(NOWHERE, DOWN).advice


@pytest.mark.parametrize(
    ("daemon", "cause", "known"),
    [
        (UP, "", True),
        (DOWN, "", True),
        (replace(UP, holder=None), "", False),
        (replace(UP, holder=8), "second daemon", True),
        (DaemonFacts("none", holder=8), "second daemon", True),
        (DaemonFacts("stale", holder=8), "second daemon", True),
        (DaemonFacts("silent", holder=8), "", False),
        (replace(UP, others=((9, "/h"),)), "second daemon", True),
        (replace(UP, others=((9, "/elsewhere"), (10, ""))), "", True),
    ],
)
def test_second_daemon(daemon, cause, known):
    check = judge.second_daemon(HOME, daemon)
    assert is_fault(check, cause) and check.known is known
    assert "8" in check.advice or daemon.holder != 8 or daemon.socket == "silent"


@pytest.mark.parametrize(
    ("wall_ms", "newest_ms", "told", "cause"),
    [
        (judge.BUILD_MS, 0, None, ""),
        (judge.BUILD_MS - 1, 0, None, "clock impossible"),
        (0, 0, None, "clock impossible"),
        (judge.BUILD_MS + judge.POSSIBLE_MS - 1, 0, None, ""),
        (judge.BUILD_MS + judge.POSSIBLE_MS, 0, None, "clock impossible"),
        (judge.BUILD_MS, judge.BUILD_MS + judge.HOUR_MS, None, ""),
        (judge.BUILD_MS, judge.BUILD_MS + judge.HOUR_MS + 1, None, "clock went back"),
        (judge.BUILD_MS, 0, {"state": "unsynced", "off_s": 0, "advice": "x"}, "clock unsynced"),
        (judge.BUILD_MS, 0, {"state": "jumped", "off_s": 0, "advice": "x"}, "clock jumped"),
        (judge.BUILD_MS, 0, {"state": "jumped", "off_s": -7200, "advice": "x"}, "clock differs"),
        (judge.BUILD_MS, 0, {"state": "ok", "off_s": 7200, "advice": "x"}, "clock differs"),
        (judge.BUILD_MS, 0, {"state": "ok", "off_s": 0, "advice": ""}, ""),
    ],
)
def test_clock(wall_ms, newest_ms, told, cause):
    daemon = replace(UP, status={**STATUS, "clock": told}) if told else DOWN
    check = judge.clock(replace(MACHINE, wall_ms=wall_ms), replace(HOME, newest_ms=newest_ms), daemon)
    assert is_fault(check, cause)


@pytest.mark.parametrize(
    ("machine", "cause"),
    [
        (MACHINE, ""),
        (replace(MACHINE, python=(3, 10, 12)), "old python"),
        (replace(MACHINE, sqlcipher=""), "no sqlcipher"),
        (replace(MACHINE, sqlcipher="3.4.2"), "no sqlcipher"),
    ],
)
def test_versions(machine, cause):
    assert is_fault(judge.versions(machine), cause)


def test_core_dumps():
    assert is_fault(judge.core_dumps(MACHINE), "")
    assert is_fault(judge.core_dumps(replace(MACHINE, core_size=1)), "core dumps allowed")
    assert not judge.core_dumps(replace(MACHINE, core_size=None)).known


def test_swap_in_the_clear_is_a_remark():
    for swaps, remark in [((), False), (("encrypted", "memory"), False), (("memory", "plain"), True)]:
        check = judge.swap(replace(MACHINE, swaps=swaps))
        assert check.ok and bool(check.advice) is remark
    assert not judge.swap(replace(MACHINE, swaps=None)).known
