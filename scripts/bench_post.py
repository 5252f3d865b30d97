"""`scripts/mesh post` as a whole process, against an interpreter that does nothing, turn by turn."""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from laptops import network

RUNS = 40
RATIO_GOAL = 6


def run() -> Iterator[dict[str, object]]:
    """One line."""
    mesh = str(Path(__file__).resolve().parent / "mesh")
    with tempfile.TemporaryDirectory() as folder, network(folder, 1) as (laptops, _):
        posting = [mesh, "--home", laptops[0].home, "post", "plaza", "how long does this take"]
        nothing = [sys.executable, "-c", "pass"]
        pairs = [(_seconds(posting), _seconds(nothing)) for _ in range(RUNS + 1)][1:]
    ratio = statistics.median(post / idle for post, idle in pairs)
    yield {
        "bench": "post",
        "ms": round(statistics.median(post for post, _ in pairs) * 1000, 1),
        "python_ms": round(statistics.median(idle for _, idle in pairs) * 1000, 1),
        "ratio": round(ratio, 2),
        "ratio_goal": RATIO_GOAL,
        "met": ratio <= RATIO_GOAL,
    }


def _seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)
    return time.perf_counter() - started
