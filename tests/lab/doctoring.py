"""What tests of `mesh doctor` share: a laptop's home and daemon, and the checks by name."""

import json
import time
from pathlib import Path
from typing import Any

from tests.lab.lab import Laptop
from tests.lab.waiting import wait_until

QUICK_S = 10.0  # what a person waits for

Checks = dict[str, dict[str, Any]]


def examine(laptop: Laptop, *first: str) -> Checks:
    """The checks of `mesh doctor` by name; `first` is a command that runs it. Status, time and shape are held."""
    begun = time.monotonic()
    script = '"$@"; echo "status $?"'
    lines = laptop.run(
        ["sh", "-c", script, "sh", *first, *laptop.mesh_command("doctor", "--json")]
    ).splitlines()
    assert time.monotonic() - begun < QUICK_S
    checks = json.loads(lines[0])["checks"]
    assert lines[1] == f"status {int(not all(check['ok'] for check in checks))}"
    assert len(checks) >= 12
    assert all(check["advice"] and check["cause"] for check in checks if not check["ok"])
    return {check["name"]: check for check in checks}


def causes(checks: Checks, *ignored: str) -> list[str]:
    return [check["cause"] for name, check in checks.items() if not check["ok"] and name not in ignored]


def in_a_mount_namespace(script: str) -> list[str]:
    return ["unshare", "--mount", "sh", "-c", f'{script.strip()} && exec "$@"', "sh"]


def init(laptop: Laptop, *args: str) -> dict[str, Any]:
    """Make a home with a passphrase, so that nothing is wrong with it."""
    secret = Path(f"{laptop.home}.secret")
    secret.write_text("a passphrase of the lab\n")
    return laptop.mesh("init", "--name", "oak", "--passphrase-file", str(secret), *args)


def up(laptop: Laptop, *args: str) -> int:
    """Start its daemon; the pid."""
    return int(laptop.mesh("up", "--passphrase-file", f"{laptop.home}.secret", *args)["pid"])


def wait_for_links(laptop: Laptop) -> None:
    """Return when it has a link."""
    wait_until(lambda: bool(laptop.mesh("status")["links"]), 10, lambda: "no link")
