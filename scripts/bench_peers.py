"""The backlog of meshd and of other people's programs, side by side in one run: `scripts/bench peers`.

Each of them is installed into a folder that is thrown away, in the version that stands here, and without running what
packages would run at installation; what can't be installed or does not finish is skipped, and the line says why. A
comparison is only as good as what it says of the differences:

- hypercore: one author's log, so its Merkle tree is signed once for each batch and not once for each post; both ends
  run in one process, which shares nothing but the processor; what it writes is not encrypted and not synced to the
  disk.
- ssb-db2 with ebt: every message is signed by its author, hash-chained and verified, as here; both ends run in one
  process; its log is not encrypted and not synced before a message counts as added. Bytes are not counted.
- lxmf over rns: made for radio, so only 500 messages: each is signed, encrypted to its one receiver, and
  acknowledged by it before it counts as delivered, up to 32 at a time; two processes. There is no log: a message is
  handed to the program that waits for it. Bytes are not counted.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import bench_backlog
from laptops import TEXT_SIZE

_INSTALL_S = 180
_RUN_S = 120
_FIELDS = ("posts", "seconds", "posts_s", "bytes_post")  # of the line of `backlog`


class Peer(NamedTuple):
    """Another program: npm or PyPI packages with their versions, and the script that runs its backlog."""

    name: str
    packages: tuple[str, ...]
    script: str
    posts: int = bench_backlog.POSTS


PEERS = (
    Peer("hypercore", ("hypercore@10.38.2",), "bench_hypercore.js"),
    Peer(
        "ssb-db2",
        ("ssb-db2@8.1.0", "ssb-ebt@9.1.2", "secret-stack@6.4.2", "ssb-caps@1.1.0", "ssb-keys@8.5.0"),
        "bench_ssb.js",
    ),
    Peer("lxmf", ("rns==1.5.7", "lxmf==1.2.1"), "bench_lxmf.py", posts=500),
)


def run() -> Iterator[dict[str, object]]:
    """One line for each, meshd first."""
    for line in bench_backlog.run():
        yield {"bench": "peers", "peer": "meshd", **{field: line[field] for field in _FIELDS}}
    for peer in PEERS:
        yield {"bench": "peers", "peer": peer.name, "packages": peer.packages, **_measured(peer)}


def _measured(peer: Peer) -> dict[str, object]:
    """The same fields of another program, or why there are none."""
    python = peer.script.endswith(".py")
    if not python and (shutil.which("npm") is None or shutil.which("node") is None):
        return {"skipped": "there is no npm and node on the PATH"}
    posts = peer.posts
    with tempfile.TemporaryDirectory() as folder:
        script = shutil.copy(Path(__file__).parent / peer.script, folder)  # node looks for packages beside it
        if python:
            program, first = (
                [f"{folder}/venv/bin/python", "-I"],
                [sys.executable, "-m", "venv", f"{folder}/venv"],
            )
            install = [*program, "-m", "pip", "install", "--quiet", "--only-binary=:all:"]
        else:
            program, first = ["node"], ["node", "--version"]
            install = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", folder]
        try:
            _output(first, _INSTALL_S)
            _output([*install, *peer.packages], _INSTALL_S)
            said = json.loads(_output([*program, script, str(posts), str(TEXT_SIZE), folder], _RUN_S))
        except subprocess.TimeoutExpired as error:
            return {"skipped": f"{error.cmd[0]} took more than {error.timeout:g} s"}
        except subprocess.CalledProcessError as error:
            return {"skipped": f"{error.cmd[0]} failed: {_reason(error.stderr)}"}
    if said["read"] != posts:
        return {"skipped": f"only {said['read']} of {posts} posts came"}
    return {
        "posts": posts,
        "seconds": round(said["seconds"], 3),
        "posts_s": round(posts / said["seconds"]),
        "bytes_post": round(said["bytes"] / posts, 1) if "bytes" in said else None,
    }


def _output(command: list[str], patience_s: int) -> str:
    done = subprocess.run(
        command, check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=patience_s
    )
    return done.stdout


def _reason(text: str) -> str:
    """The line of what a program said on its way out that names the error, or the last."""
    lines = text.strip().splitlines() or ["it said nothing"]
    return next((line for line in lines if "rror" in line), lines[-1])
