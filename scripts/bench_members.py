"""A group of 200 in real life: a daemon creates it, invites 199 people at once, puts one out, and posts.

One line for each step. `s` is how long the command took, `given_s` until a neighbour who is in no group held all that
came of it; `envelopes` and `bytes` are what it was given over the link meanwhile, rounds included. The people are real
nodes that ran once, to show their cards and announce their prekeys, which come to the creator as a bundle. It has no
goals: what one change may cost is `rekey` in `groups`.
"""

import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from laptops import network

from cli.client import Client
from cli.laptop import Laptop
from meshd import crypto
from meshd.events import Command, Now, Reply
from meshd.limits import GROUP_MEMBERS_MAX
from meshd.node import Node
from meshd.store.bundle import SALT_SIZE, Writer
from meshd.store.carry import Carry
from meshd.store.log import Log

PATIENCE_S = 80
_FILE_KEY = bytes(32)
_POLL_S = 0.005


def run() -> Iterator[dict[str, object]]:
    """Four lines."""
    with tempfile.TemporaryDirectory() as folder, network(folder, 2) as (laptops, network_key):
        creator, neighbour = laptops
        people = [_person(Path(folder), number, network_key) for number in range(GROUP_MEMBERS_MAX - 1)]
        _import(creator, Path(folder) / "prekeys", network_key, [raw for _, raw in people])
        with creator.connect() as control, neighbour.connect() as watched:
            for number, (card, _) in enumerate(people):
                control.call("contact.add", {"card": card, "name": _name(number)})
            watched.call("peer.add", {"address": creator.address})
            yield from _measure(control, watched)


def _measure(control: Client, watched: Client) -> Iterator[dict[str, object]]:
    group, count = {"group": "kitchen"}, GROUP_MEMBERS_MAX - 1
    names = [_name(number) for number in range(count)]
    steps: list[tuple[str, Callable[[], Any], int]] = [
        ("create", lambda: control.call("group.create", {"name": "kitchen"}), 1),
        ("invite", lambda: control.call("group.invite", {**group, "who": names}), 1 + count),
        ("remove", lambda: control.call("group.remove", {**group, "who": names[0]}), count),
        ("post", lambda: control.call("post", {"channel": "kitchen", "text": "bread at eight"}), 1),
    ]
    _wait(lambda: _held(watched) == _held(control) >= count)
    for name, step, envelopes in steps:
        before, before_bytes = _held(watched), _given(control)
        started = time.perf_counter()
        step()
        answered_s = time.perf_counter() - started
        _wait(lambda due=before + envelopes: _held(watched) >= due)  # type: ignore[misc]
        given_s = time.perf_counter() - started
        members = control.call("group.members", group)["members"]
        yield {
            "bench": f"members {name}",
            "members": len(members),
            "s": round(answered_s, 3),
            "given_s": round(given_s, 3),
            "envelopes": _held(watched) - before,
            "bytes": _given(control) - before_bytes,
            "met": _held(watched) == before + envelopes and not any(each["pending"] for each in members),
        }


def _name(number: int) -> str:
    return f"person{number}"


def _person(folder: Path, number: int, network_key: bytes) -> tuple[str, bytes]:
    """Somebody's card and the envelope with their prekeys."""
    home = folder / _name(number)
    home.mkdir()
    seed = crypto.fresh(random.Random(number).randbytes, 32)
    carry = Carry.create(home / "carry", _FILE_KEY, network_key, "private", durable=False)
    log = Log.create(home / "log", _FILE_KEY, seed, _name(number), durable=False)
    now = Now(time.monotonic_ns() // 10**6, time.time_ns() // 10**6)
    rng = random.Random(number)
    node = Node(carry, log, rng=rng, entropy=rng.randbytes, now=now)
    effects = [effect for part in node.handle(Command(1, "id.show", {}), now) for effect in part]
    (card,) = [effect.result["card"] for effect in effects if isinstance(effect, Reply) and effect.result]
    ((_, raw),) = carry.after(0, 2)
    carry.close()
    log.close()
    return card, raw


def _import(laptop: Laptop, file: Path, network_key: bytes, raws: list[bytes]) -> None:
    writer = Writer(network_key, bytes(SALT_SIZE))
    file.write_bytes(writer.begin() + writer.add(raws) + writer.end())
    laptop.mesh("bundle", "import", str(file))


def _held(control: Client) -> int:
    return int(control.call("status")["counts"]["envelopes"])


def _given(control: Client) -> int:
    """Bytes sent over the one link."""
    return sum(int(peer["out_bytes"]) for peer in control.call("peer.list")["peers"])


def _wait(is_so: Callable[[], bool]) -> None:
    until = time.perf_counter() + PATIENCE_S
    while not is_so():
        if time.perf_counter() > until:
            raise SystemExit("not all of it came to the neighbour")
        time.sleep(_POLL_S)
