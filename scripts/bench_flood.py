"""A flood: one of 16 links of a daemon gives junk as fast as it can; what the posts of the other 15 pay for it.

The others are honest neighbours (`neighbours`), of which seven dial the daemon and eight are dialled by it, each from
an address of its own. They post POSTS_S posts a second in all, for PHASE_S seconds (longer, and links would have no
pushes left), and each post comes to the 14 others. That is done in calm (`calm_p99_ms`) and in each way to flood
(`p99_ms`), with a daemon of its own each time, so that rates and caches begin alike; and all of it ROUNDS times, in
turn, since a post is late or in time for all 14 at once, and one in a hundred of few posts is chance. Times are the
daemon's: from writing a post to its socket until another's socket had it.

Of the flood (`flooder`, which tells the ways), `given` is how many the daemon read (or promises of some) over how many
`links` in all rounds, and `taken` how many of them came into the set. `refused_us` is what one costs that is over the
rate, from its bytes to its being dropped. All this runs on one machine, and who lacks a core waits for it: `calm_cpu`
and `daemon_cpu` are what the daemon used of one, `neighbours_cpu` what they did under the flood, and the flooder gives
way to both. `rss_mb` is by how much the daemon grew, of which its databases' page caches are the most.
"""

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import town
from laptops import cpu_s, network, pid_of
from neighbours import Crowd, Neighbour
from stranger import Stranger, signed_post

from cli.laptop import Laptop
from meshd import codec, crypto
from meshd.limits import ENVELOPE_SIZE_MAX, MESSAGE_SIZE_MAX
from meshd.proto import message as msg
from meshd.proto.rates import Bucket, Inflow
from meshd.proto.session import Session, State

POSTS_S = 10
PHASE_S = 25
ROUNDS = 3
DIALLING, DIALLED = 7, 8
WAYS = ("push", "unasked", "promise", "announce", "redial", "forged")
TIMES_GOAL = 2  # p99 under the flood, of that in calm
REFUSED_GOAL_US = 5
GIVES, GIVEN_AT_ONCE = 400, 150
FLOODER = Path(__file__).with_name("flooder.py")


def run() -> Iterator[dict[str, object]]:
    """A line for each way to flood."""
    rounds = [{way: _phase(way) for way in (None, *WAYS)} for _ in range(ROUNDS)]
    calm = _together([each[None] for each in rounds])
    for way in WAYS:
        yield _compared(way, calm, _together([each[way] for each in rounds]))


def _compared(way: str, calm: "Phase", flooded: "Phase") -> dict[str, object]:
    times = p99(flooded.taken_ms) / p99(calm.taken_ms)
    lacking = calm.lacking + flooded.lacking
    refused_us = _refused_us()
    return {
        "bench": "flood",
        "way": way,
        "posts": ROUNDS * PHASE_S * POSTS_S,
        "lacking": lacking,
        "calm_p50_ms": round(statistics.median(calm.taken_ms), 2),
        "p50_ms": round(statistics.median(flooded.taken_ms), 2),
        "calm_p99_ms": round(p99(calm.taken_ms), 2),
        "p99_ms": round(p99(flooded.taken_ms), 2),
        "times": round(times, 2),
        "times_goal": TIMES_GOAL,
        "given": sum(said["given"] for said in flooded.said),
        "links": sum(said["links"] for said in flooded.said),
        "wrong": [said["wrong"] for said in flooded.said if said["wrong"]],
        "taken": flooded.held - ROUNDS * PHASE_S * POSTS_S,
        "refused_us": round(refused_us, 2),
        "refused_goal_us": REFUSED_GOAL_US,
        "calm_cpu": round(calm.daemon_cpu, 2),
        "daemon_cpu": round(flooded.daemon_cpu, 2),
        "neighbours_cpu": round(flooded.neighbours_cpu, 2),
        "rss_mb": round(flooded.rss_mb, 1),
        "met": times <= TIMES_GOAL and refused_us <= REFUSED_GOAL_US and not lacking,
    }


def _refused_us() -> float:
    """Microseconds for one envelope that is pushed over the rate."""
    giver, taker = (_session(dialled=dialled) for dialled in (True, False))
    while giver.state is not State.OPEN:
        list(giver.receive(taker.take_output(0), 0))
        list(taker.receive(giver.take_output(0), 0))
    give = msg.Give(1, codec.join([signed_post(f"{number:0256}").raw for number in range(GIVEN_AT_ONCE)]))
    inflow = Inflow(Bucket(0), 0)
    inflow.admit(1, give.envelopes, 0)
    inflow.admit(1, give.envelopes, 0)
    used_s = 0.0
    for _ in range(GIVES):
        giver.send(give)
        content = giver.take_output(0)
        giver.drained()
        began = time.perf_counter()
        for message in taker.receive(content, 0):
            if not isinstance(message, msg.Give) or inflow.admit(1, message.envelopes, 0):
                raise RuntimeError("it is not over the rate")
        used_s += time.perf_counter() - began
    return used_s / GIVES / GIVEN_AT_ONCE * 1e6


def _session(*, dialled: bool) -> Session:
    hello = msg.Hello(b"\1", 0, 0, 0, ENVELOPE_SIZE_MAX, MESSAGE_SIZE_MAX, 0, bytes(16))
    return Session(
        dialled=dialled,
        static=crypto.x25519_keypair(crypto.fresh(os.urandom, 32)),
        psk=bytes(32),
        entropy=os.urandom,
        mono_ms=0,
        greeting=lambda: (hello, msg.Tags(bytes(msg.TAGS_SIZE))),
    )


class Phase(NamedTuple):
    """What one daemon and its neighbours did."""

    taken_ms: list[float]
    lacking: int  # deliveries
    held: int  # envelopes in the set that were not there at first
    daemon_cpu: float  # of one core
    neighbours_cpu: float
    rss_mb: float  # by which the daemon grew
    said: list[dict[str, Any]]  # by the flooder, if there was one


def _together(phases: list[Phase]) -> Phase:
    """Phases of one kind as one: what was counted is added up, and the rest is the mean, of memory the most."""
    return Phase(
        [each for phase in phases for each in phase.taken_ms],
        sum(phase.lacking for phase in phases),
        sum(phase.held for phase in phases),
        statistics.mean(phase.daemon_cpu for phase in phases),
        statistics.mean(phase.neighbours_cpu for phase in phases),
        max(phase.rss_mb for phase in phases),
        [said for phase in phases for said in phase.said],
    )


def _phase(way: str | None) -> Phase:
    with tempfile.TemporaryDirectory() as folder, network(folder, 1) as ((laptop,), network_key):
        crowd = Crowd(_linked(laptop, network_key))
        pid = pid_of(laptop)
        flooder = _Flooder(way, laptop.address, network_key) if way else None
        rss_mb, held, began, before_s = town.rss_mb(pid), _held(laptop), time.monotonic(), cpu_s(pid)
        own_s = time.process_time()
        if flooder is not None:
            flooder.say("go")
        lacking = crowd.run(PHASE_S, POSTS_S)
        said = [flooder.stop()] if flooder is not None else []
        passed_s = time.monotonic() - began
        return Phase(
            crowd.taken_ms,
            lacking,
            _held(laptop) - held,
            (cpu_s(pid) - before_s) / passed_s,
            (time.process_time() - own_s) / passed_s,
            town.rss_mb(pid) - rss_mb,
            said,
        )


class _Flooder:
    """The process that floods."""

    def __init__(self, way: str, address: str, network_key: bytes) -> None:
        self._process = subprocess.Popen(
            [sys.executable, FLOODER, way, address, network_key.hex()],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._hear()

    def say(self, line: str) -> None:
        """Tell it to go on."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def stop(self) -> dict[str, Any]:
        """End it; what it says of itself."""
        self.say("stop")
        said: dict[str, Any] = json.loads(self._hear())
        self._process.wait()
        return said

    def _hear(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


def _linked(laptop: Laptop, network_key: bytes) -> list[Neighbour]:
    """All neighbours, their links open."""
    made = [
        Neighbour(Stranger(laptop.address, network_key, host=f"127.0.1.{number}"))
        for number in range(1, DIALLING + 1)
    ]
    for number in range(1, DIALLED + 1):
        with socket.create_server((f"127.0.3.{number}", 0)) as listener:
            laptop.mesh("peer", "add", "{}:{}".format(*listener.getsockname()))
            made.append(Neighbour(Stranger(listener.accept()[0], network_key)))
    return made


def _held(laptop: Laptop) -> int:
    with laptop.connect() as control:
        return int(control.call("status")["counts"]["envelopes"])


def p99(taken: list[float]) -> float:
    """Of this many, the one that one in a hundred is slower than."""
    return sorted(taken)[len(taken) * 99 // 100]
