"""An idle daemon with four links and 10 000 posts: what it holds in memory and what it does, after two minutes.

Memory is VmRSS as Linux tells it, CPU the process's own user and system time over the second minute. The peak is
mostly the start, where a passphrase would take 256 MiB more for a moment.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from laptops import cpu_s, fill, network, pid_of

POSTS = 10_000
SETTLE_S = 60
WATCH_S = 60
RSS_GOAL_MB = 64
CPU_GOAL_PERCENT = 0.2


def run() -> Iterator[dict[str, object]]:
    """One line."""
    with tempfile.TemporaryDirectory() as folder, network(folder, 5) as (laptops, _):
        fill(laptops[0], "plaza", POSTS)
        for other in laptops[1:]:
            other.mesh("peer", "add", laptops[0].address)
        pid = pid_of(laptops[0])
        time.sleep(SETTLE_S)
        before_s = cpu_s(pid)
        time.sleep(WATCH_S)
        cpu_percent = (cpu_s(pid) - before_s) / WATCH_S * 100
        status = _status(pid)
        with laptops[0].connect() as control:
            links = len(control.call("status")["links"])
    rss_mb = status["VmRSS"] / 1024
    yield {
        "bench": "idle",
        "links": links,
        "posts": POSTS,
        "rss_mb": round(rss_mb, 1),
        "rss_goal_mb": RSS_GOAL_MB,
        "peak_mb": round(status["VmHWM"] / 1024, 1),
        "cpu_percent": round(cpu_percent, 3),
        "cpu_goal_percent": CPU_GOAL_PERCENT,
        "met": links == 4 and rss_mb <= RSS_GOAL_MB and cpu_percent <= CPU_GOAL_PERCENT,
    }


def _status(pid: int) -> dict[str, int]:
    """The sizes in /proc/PID/status, in kB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {line.partition(":")[0]: int(line.split()[1]) for line in lines if line.endswith(" kB")}
