"""`mesh doctor` on laptops whose home, disk, clock or daemon is at fault, and whether the cause is named.

Full disks and killed daemons are real. Two faults can't be staged for one process alone, so a small library stands
between it and the system: a clock that is wrong, and a disk that takes its time with every sync.
"""

import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.doctoring import causes, examine, in_a_mount_namespace, init, up, wait_for_links
from tests.lab.lab import Lab, Laptop

pytestmark = pytest.mark.lab
needs_cc = pytest.mark.skipif(
    not shutil.which("cc"), reason="needs a C compiler: apt-get install gcc libc6-dev"
)

DAY_S = 86_400

SHIM = r"""
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long number(const char *name) { const char *text = getenv(name); return text ? atol(text) : 0; }

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = syscall(SYS_clock_gettime, clock, now);
    if (!failed && clock == CLOCK_REALTIME) now->tv_sec += number("SHIM_OFF_S");
    return failed;
}
time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
int fsync(int file) { usleep(number("SHIM_SYNC_US")); return syscall(SYS_fsync, file); }
int fdatasync(int file) { usleep(number("SHIM_SYNC_US")); return syscall(SYS_fdatasync, file); }
"""


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab() as made:
        yield made


@pytest.fixture
def laptop(lab: Lab) -> Laptop:
    return lab.laptop(lab.bridge())


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("shim")
    (folder / "shim.c").write_text(SHIM)
    made = str(folder / "shim.so")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", made, str(folder / "shim.c")], check=True)
    return made


# --- the home, the disk, the daemon ---


@needs_cc
@pytest.mark.parametrize(
    ("off_s", "cause"),
    [
        (-57 * 365 * DAY_S, "clock impossible"),
        (10 * 365 * DAY_S, "clock impossible"),
        (-DAY_S, "clock went back"),
    ],
)
def test_clock_off(laptop, shim, off_s, cause):
    init(laptop)
    assert causes(examine(laptop, "env", f"LD_PRELOAD={shim}", f"SHIM_OFF_S={off_s}")) == [cause]


@needs_cc
def test_a_clock_that_others_do_not_share(lab, shim):
    _, laptops = lab.together(2)
    for laptop in laptops:
        init(laptop)
    ahead = ["env", f"LD_PRELOAD={shim}", f"SHIM_OFF_S={DAY_S}"]
    up(laptops[1])
    secret = f"{laptops[0].home}.secret"
    laptops[0].run([*ahead, *laptops[0].mesh_command("up", "--passphrase-file", secret)])
    wait_for_links(laptops[0])
    checks = examine(laptops[0], *ahead)
    assert causes(checks) == ["clock differs"]
    assert "-24 h" in checks["clock"]["detail"] or "-25 h" in checks["clock"]["detail"]
    assert "date -s" in checks["clock"]["advice"]


@pytest.mark.parametrize(("name", "mode"), [("", 0o755), ("keyslot", 0o644), ("log.db", 0o660)])
def test_loose_permissions(laptop, name, mode):
    init(laptop)
    (Path(laptop.home) / name).chmod(mode)
    checks = examine(laptop)
    assert causes(checks) == ["loose permissions"]
    assert "chmod" in checks["permissions"]["advice"]


def test_damaged_keyslot(laptop):
    init(laptop)
    slot = Path(laptop.home, "keyslot")
    slot.write_bytes(slot.read_bytes()[:-1] + b"?")
    assert causes(examine(laptop)) == ["keyslot damaged"]
    slot.unlink()
    assert causes(examine(laptop)) == ["keyslot missing"]


def test_no_passphrase(laptop):
    laptop.mesh("init", "--name", "oak", "--no-passphrase")
    assert causes(examine(laptop)) == ["no passphrase"]


def test_disk_nearly_full(laptop):
    init(laptop)
    full = f"""
        mkdir {laptop.home}.disk && mount -t tmpfs -o size=8m,mode=700 tmpfs {laptop.home}.disk &&
        cp -p {laptop.home}/* {laptop.home}.disk && mount --bind {laptop.home}.disk {laptop.home}
    """
    assert causes(examine(laptop, *in_a_mount_namespace(full))) == ["disk nearly full"]


def test_a_disk_that_is_read_only(laptop):
    init(laptop)
    locked = f"mount --bind {laptop.home} {laptop.home} && mount -o remount,ro,bind {laptop.home}"
    assert causes(examine(laptop, *in_a_mount_namespace(locked))) == ["disk can't be written"]


@needs_cc
@pytest.mark.parametrize("sync_us", [150_000, 4_000_000], ids=["slow", "stuck"])
def test_slow_disk(laptop, shim, sync_us):
    init(laptop)
    checks = examine(laptop, "env", f"LD_PRELOAD={shim}", f"SHIM_SYNC_US={sync_us}")
    assert causes(checks) == ["slow disk"]
    assert list(Path(laptop.home).glob("doctor-*")) == [] or sync_us > 1_000_000


def test_a_second_daemon(laptop):
    init(laptop)
    pid = up(laptop)
    assert causes(examine(laptop)) == []
    Path(laptop.home, "ctl.sock").unlink()
    checks = examine(laptop)
    assert causes(checks) == ["second daemon"]
    assert f"kill {pid}" in checks["second daemon"]["advice"]


def test_a_daemon_that_hangs_and_one_that_died(laptop):
    init(laptop)
    pid = up(laptop)
    laptop.run(["kill", f"-{signal.SIGSTOP}", str(pid)])
    checks = examine(laptop)
    assert causes(checks) == ["daemon silent"]
    assert f"kill -CONT {pid}" in checks["daemon"]["advice"]
    laptop.run(["kill", f"-{signal.SIGKILL}", str(pid)])
    time.sleep(0.2)
    assert causes(examine(laptop)) == ["daemon died"]


# --- the report ---


def test_the_report_names_nobody(lab):
    _, laptops = lab.together(2)
    said = init(laptops[0])
    init(laptops[1], "--private")
    for laptop in laptops:
        up(laptop)
    laptops[0].mesh("peer", "add", "10.77.1.9:4040")
    report = Path(f"{laptops[0].home}.report")
    doctor = laptops[0].mesh_command("doctor", "--bundle", str(report))
    script = '"$@"; echo $?'
    assert laptops[0].run(["sh", "-c", script, "sh", *doctor]).strip() == "2" and not report.exists()
    assert laptops[0].run(["sh", "-c", script, "sh", *doctor, "--yes"]).splitlines()[-1] == "1"
    text = report.read_text()
    assert "wrong network key" in text and "commit_ms=" in text
    names = [
        "oak",
        said["id"][:6],
        said["network"]["id"][:6],
        "10.77",
        "fe80",
        "eth1",
        laptops[0].home,
        "meshlab",
    ]
    assert [name for name in names if name in text] == []
    assert report.stat().st_mode & 0o777 == 0o600
