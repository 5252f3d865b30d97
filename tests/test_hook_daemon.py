"""What fired, on a real daemon: the hook runs once, over restarts and not while locked, and all of it is shown."""

import json
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.laptops import Laptop, Rpc, meshd, wait_until
from tests.test_plans_daemon import Person

pytestmark = pytest.mark.real
TITLE = "Saturday; touch shell"
LATE_S = 6  # until the time cue comes


def plan(late: datetime) -> str:
    begin, end = late - timedelta(hours=1), late + timedelta(hours=1)
    return f"""
title = "{TITLE}"
valid = {{ from = {begin:%Y-%m-%dT%H:%M:%SZ}, until = {end:%Y-%m-%dT%H:%M:%SZ} }}
organisers = ["oak"]
threshold = 1
[[scenario]]
name = "called"
cue = {{ call = true }}
response = {{ text = "$(touch shell)" }}
[[scenario]]
name = "late"
cue = {{ at = {late:%Y-%m-%dT%H:%M:%SZ} }}
response = {{ text = "Go home." }}
"""


def test_what_fires_runs_the_hook_once_and_not_while_the_log_is_locked(tmp_path: Path) -> None:
    home, passphrase, program = tmp_path / "oak", tmp_path / "passphrase", tmp_path / "program"
    runs, environments = tmp_path / "runs", tmp_path / "environments"
    passphrase.write_text("correct horse")
    program.write_text(
        f"#!{sys.executable}\nimport os, sys\n"
        f"open({str(environments)!r}, 'a').write(repr([sys.argv, dict(os.environ)]))\n"
        f"open({str(runs)!r}, 'a').write(sys.stdin.read())\n"
    )
    program.chmod(0o700)
    said = ("--passphrase-file", str(passphrase))
    ran = meshd(home, "init", "--name", "oak", *said)
    assert ran.returncode == 0, ran.stderr
    (home / "config.toml").write_text(f"[hook]\non_fired = ['{program}', 'a word']\nnotify = false\n")

    def scenarios() -> list[str]:
        lines = runs.read_text().splitlines() if runs.exists() else []
        return [json.loads(line)["scenario"] for line in lines]

    with Laptop(home, *said) as laptop:
        oak, rpc = Person(laptop), Rpc(home)
        rpc.ask("group.create", name="kitchen")
        late = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=LATE_S)
        (tmp_path / "plan.toml").write_text(plan(late))
        rpc.ask("subscribe", fired=True)
        made = oak.mesh("plan", "propose", str(tmp_path / "plan.toml"), "--group", "kitchen")
        assert made["state"] == "active" and oak.mesh("status")["plans"]["active"] == 1
        oak.mesh("cue", "fire", TITLE, "called")
        while "fired" not in (notice := rpc.hear())["method"]:
            pass
        assert notice["params"]["fired"]["scenario"] == "called" and notice["params"]["fired"]["stands"]
        rpc.close()
        wait_until(lambda: scenarios() == ["called"])
        assert set(json.loads(runs.read_text())) == {"v", "plan", "version", "scenario", "drill", "time"}
        assert json.loads(runs.read_text())["plan"] == made["id"]

        oak.mesh("lock")
        time.sleep(max(0.0, (late - datetime.now(UTC)).total_seconds()) + 1)
        assert scenarios() == ["called"], "locked, it knows of no plan"
        oak.mesh("unlock", *said)
        wait_until(lambda: scenarios() == ["called", "late"])
        laptop.stop()
        laptop.start()
        wait_until(lambda: oak.mesh("status")["plans"]["fired"] == 2)
        assert [each["scenario"] for each in oak.mesh("read")["fired"]] == ["called", "late"]
        time.sleep(0.5)
        assert scenarios() == ["called", "late"], "once, over restarts"
    assert environments.read_text().count("'a word']") == 2
    assert "touch" not in environments.read_text() and made["id"] not in environments.read_text()
    assert not list(tmp_path.rglob("shell"))
