"""Does it stay as small as it is? `scripts/soak MINUTES`: a lab under load whose interfaces go up and down.

Four laptops on one network post all the time; every few seconds one of them loses its interface for as long. Each
minute prints a line for each laptop: memory (RSS), open file descriptors, threads, trio tasks, links, and posts. At
the end, when all are linked again, descriptors and tasks must be about as many as in the first minute; memory is
compared between the first quarter and the last, less what the posts themselves take (POST_BYTES each: a key in memory
and pages in SQLite's bounded caches); and everybody must have everything. Exit status 1 if not.

Tasks can't be seen from outside, so that each daemon is started through this file: an instrument counts them, and
the count stands in a file of eight bytes. Needs root, as `scripts/lab` does. `--seed` chooses who loses what and when.
"""

import argparse
import functools
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # -I leaves it out

import trio
import trio.abc

from cli.client import Client
from tests.lab.lab import Lab, LabError, Laptop

COUNT = 4
LINKS = COUNT - 1
POST_EACH_S = 0.5
OUTAGE_S = (0.3, 6.0)
CALM_S = (0.5, 5.0)
HEAL_S = 60.0
MORE_MAX = (
    12  # descriptors, or tasks, over the first minute's: listeners, dials and links that just come or go
)
THREADS_MAX = 3  # its own; the verifier's and that of looking up names begin when they are first needed
POST_BYTES = 2048
GROWTH_MIB = 8.0  # what memory may differ by besides: an allocator's, not ours
CHANNEL = "soak"


class Seen(NamedTuple):
    """One laptop at one moment."""

    rss_mib: float
    fds: int
    threads: int
    tasks: int
    links: int
    posts: int


class Counting(trio.abc.Instrument):
    """Keeps the number of living tasks in a file."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        self._living = 0

    def task_spawned(self, task: trio.lowlevel.Task) -> None:
        """One more."""
        self._note(1)

    def task_exited(self, task: trio.lowlevel.Task) -> None:
        """One less."""
        self._note(-1)

    def _note(self, change: int) -> None:
        self._living += change
        os.pwrite(self._file, b"%8d" % self._living, 0)


def daemon(home: str) -> None:
    """Be the daemon of a home, counted."""
    from meshd.daemon.main import main as meshd

    counted = functools.partial(trio.run, instruments=[Counting(f"{home}.tasks")])
    trio.run = counted  # type: ignore[assignment]  # the same but for what is counted
    meshd(["run", "--home", home])


def start(laptop: Laptop) -> int:
    """Make its home and start its daemon; the daemon's process id."""
    laptop.mesh("init", "--name", f"laptop{laptop.number}", "--no-passphrase")
    process = laptop.popen(
        [sys.executable, "-I", __file__, "--daemon", laptop.home], stdout=subprocess.DEVNULL
    )
    for _ in range(300):
        if os.path.exists(f"{laptop.home}/ctl.sock"):
            return process.pid  # `ip netns exec` becomes what it runs
        time.sleep(0.1)
    raise LabError(f"the daemon of laptop {laptop.number} did not start")


def look(laptop: Laptop, client: Client, pid: int) -> Seen:
    """What a laptop takes now."""
    status = dict(
        line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line
    )
    told = client.call("status")
    return Seen(
        int(status["VmRSS"].split()[0]) / 1024,
        len(os.listdir(f"/proc/{pid}/fd")),
        int(status["Threads"]),
        int(Path(f"{laptop.home}.tasks").read_bytes()),
        len(told["links"]),
        told["counts"]["posts"],
    )


class Soak:
    """One run."""

    def __init__(self, lab: Lab, seed: int) -> None:
        self._rng = random.Random(f"soak {seed}")
        self._bridge, self._laptops = lab.together(COUNT)
        self._pids = [start(laptop) for laptop in self._laptops]
        self._clients = [Client(laptop.home) for laptop in self._laptops]
        for client in self._clients:
            client.call("channel.join", {"name": CHANNEL})
        self._posted = self._outages = 0
        self._lines: list[list[Seen]] = []

    def run(self, minutes: int) -> list[str]:
        """That long; what was wrong at the end."""
        begun = time.monotonic()
        down: Laptop | None = None
        post_s = switch_s = begun
        minute = 1
        while minute <= minutes:
            now = time.monotonic()
            if now >= post_s:
                post_s += POST_EACH_S
                self._post()
            if now >= switch_s:
                if down is None:
                    down = self._rng.choice(self._laptops)
                    self._outages += 1
                    switch_s = now + self._rng.uniform(*OUTAGE_S)
                    down.set_link(self._bridge, up=False)
                else:
                    switch_s = now + self._rng.uniform(*CALM_S)
                    down.set_link(self._bridge, up=True)
                    down = None
            if now >= begun + 60 * minute:
                self._show(minute)
                minute += 1
            time.sleep(max(0.0, min(post_s, switch_s, begun + 60 * minute) - time.monotonic()))
        if down is not None:
            down.set_link(self._bridge, up=True)
        return self._judge(self._heal())

    def _post(self) -> None:
        text = f"post {self._posted} ".ljust(256, ".")
        self._rng.choice(self._clients).call("post", {"channel": CHANNEL, "text": text, "keep": "6h"})
        self._posted += 1

    def _look(self) -> list[Seen]:
        return [look(*each) for each in zip(self._laptops, self._clients, self._pids, strict=True)]

    def _show(self, minute: int) -> None:
        self._lines.append(self._look())
        for laptop, seen in zip(self._laptops, self._lines[-1], strict=True):
            print(
                f"minute {minute:3}  laptop {laptop.number}  {seen.rss_mib:6.1f} MiB  {seen.fds:3} fds"
                f"  {seen.threads} threads  {seen.tasks:3} tasks  {seen.links} links  {seen.posts} posts",
                flush=True,
            )

    def _heal(self) -> bool:
        deadline = time.monotonic() + HEAL_S
        while time.monotonic() < deadline:
            if all(seen.posts == self._posted and seen.links == LINKS for seen in self._look()):
                time.sleep(5)  # what was being closed is closed
                return True
            time.sleep(0.5)
        return False

    def _judge(self, healed: bool) -> list[str]:
        last = self._look()
        print(f"{self._posted} posts, {self._outages} outages")
        wrong = [] if healed else [f"not everybody had everything within {HEAL_S:.0f} s"]
        quarter = max(1, len(self._lines) // 4)
        for place, laptop in enumerate(self._laptops):
            before, after = self._lines[0][place], last[place]
            early = [line[place] for line in self._lines[:quarter]]
            late = [line[place] for line in self._lines[-quarter:]]
            posts_mib = (late[-1].posts - early[-1].posts) * POST_BYTES / 2**20
            grown_mib = max(seen.rss_mib for seen in late) - max(seen.rss_mib for seen in early)
            print(
                f"laptop {laptop.number}: {before.fds} to {after.fds} fds, {before.threads} to {after.threads} threads,"
                f" {before.tasks} to {after.tasks} tasks, {grown_mib:+.1f} MiB"
            )
            if after.fds > before.fds + MORE_MAX:
                wrong.append(f"laptop {laptop.number} holds {after.fds} descriptors")
            if after.threads > THREADS_MAX:
                wrong.append(f"laptop {laptop.number} has {after.threads} threads")
            if after.tasks > before.tasks + MORE_MAX:
                wrong.append(f"laptop {laptop.number} has {after.tasks} tasks")
            if grown_mib > GROWTH_MIB + posts_mib:
                wrong.append(f"laptop {laptop.number} grew by {grown_mib:.1f} MiB")
        return wrong


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__.split("\n\n")[0])
    parser.add_argument("minutes", type=int)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    if given.minutes < 1:
        parser.error("MINUTES is at least 1")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with Lab() as lab:
            wrong = Soak(lab, given.seed).run(given.minutes)
    except LabError as error:
        print(f"soak: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    for each in wrong:
        print(f"soak: {each}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--daemon"]:
        daemon(sys.argv[2])
    sys.exit(main())
