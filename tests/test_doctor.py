"""The whole examination on a home, with the network left out: its document, and its end when something hangs."""

import time
from pathlib import Path
from typing import Any

import pytest
import trio

from meshd.daemon import doctor
from meshd.daemon.probe_network import NetworkFacts

pytestmark = pytest.mark.real


async def no_network(**_: Any) -> NetworkFacts:
    return NetworkFacts()


async def no_answer(**_: Any) -> NetworkFacts:
    await trio.sleep_forever()
    raise AssertionError("it slept for ever, and woke")


def test_every_check_is_there_once_and_each_fault_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "look_at_network", no_network)
    checks = doctor.examine(str(tmp_path / "none"))["checks"]
    names = [check["name"] for check in checks]
    assert len(names) == len(set(names)) == 22
    assert [check["cause"] for check in checks if not check["ok"]] == ["no link"]
    assert all(check["advice"] for check in checks if not check["ok"])
    assert list(tmp_path.iterdir()) == []


def test_what_hangs_is_unknown_and_the_rest_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "look_at_network", no_answer)
    monkeypatch.setattr(doctor, "SECONDS_MAX", 0.5)
    begun = time.monotonic()
    checks = {check["name"]: check for check in doctor.examine(str(tmp_path / "none"))["checks"]}
    assert time.monotonic() - begun < 3
    assert not checks["network"]["known"] and "too long" in checks["network"]["detail"]
    assert checks["disk room"]["known"]


def test_nothing_is_written_into_a_home_that_is_not_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "look_at_network", no_network)
    monkeypatch.setattr("os.geteuid", lambda: 4242)
    checks = {check["name"]: check for check in doctor.examine(str(tmp_path))["checks"]}
    assert checks["permissions"]["cause"] == "home not usable"
    assert not checks["disk commit"]["known"]
    assert list(tmp_path.iterdir()) == []
