"""Daemons of one private network on loopback, for the benchmarks."""

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cli.laptop import Laptop, start_all
from meshd import invite
from meshd.daemon import api

TEXT_SIZE = 256
_BATCH = 500


@contextmanager
def network(folder: str, count: int) -> Iterator[tuple[list[Laptop], bytes]]:
    """That many running laptops, linked to nobody yet, and their network key."""
    laptops = [Laptop(f"laptop{number}", folder) for number in range(count)]
    try:
        laptops[0].mesh("init", "--private", "--no-passphrase")
        start_all(laptops[:1])
        invited = str(laptops[0].mesh("invite", "network")["invite"])
        for laptop in laptops[1:]:
            laptop.mesh("init", "--invite", invited, "--no-passphrase")
        start_all(laptops[1:])
        yield laptops, invite.decode(invited)
    finally:
        for laptop in laptops:
            laptop.ask_to_end()
        for laptop in laptops:
            laptop.end()


def numbered(number: int) -> str:
    """A text of TEXT_SIZE bytes, unlike that of any other number."""
    return f"{number:08}".ljust(TEXT_SIZE, "x")


def fill(laptop: Laptop, channel: str, posts: int, text: Callable[[int], str] = numbered) -> None:
    """Posts many texts, in batches of one transaction each."""
    with socket.socket(socket.AF_UNIX) as rpc, api.short_path(api.socket_path(laptop.home)) as path:
        rpc.connect(path)
        answers = rpc.makefile("rb")
        for start in range(0, posts, _BATCH):
            batch = [
                {
                    "jsonrpc": "2.0",
                    "id": number,
                    "method": "post",
                    "params": {"channel": channel, "text": text(number)},
                }
                for number in range(start, min(start + _BATCH, posts))
            ]
            rpc.sendall(json.dumps(batch).encode() + b"\n")
            said = json.loads(answers.readline())
            if any("error" in answer for answer in said):
                raise SystemExit(f"posting failed: {said[0]}")


def pid_of(laptop: Laptop) -> int:
    """The process id of its daemon."""
    with laptop.connect() as control:
        return int(control.call("status")["pid"])


def cpu_s(pid: int) -> float:
    """Seconds of CPU, user and system, that a process has used (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
