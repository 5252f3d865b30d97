"""Messages between two LXMF routers (rns, lxmf) over TCP on loopback; see bench_peers.py. Prints one JSON object.

Runs in an environment of its own that has those two packages and nothing of meshd: `bench_lxmf.py POSTS SIZE FOLDER`.
The taker is a second process, because Reticulum is one to a process. The clock starts when both know each other's
keys and a path, before the first message, which opens the link; it stops when the taker has been handed the last one.
"""

import json
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import LXMF
import RNS

WINDOW = 32  # messages under way: with 8 or 256 it is no slower or faster
PATIENCE_S = 20
CONFIG = """[reticulum]
enable_transport = No
share_instance = No
[logging]
loglevel = 0
[interfaces]
  [[loopback]]
    type = {kind}
    enabled = Yes
    {ends}
"""


def start(folder: Path, kind: str, ends: str) -> tuple[LXMF.LXMRouter, RNS.Destination]:
    """A Reticulum of its own with one interface, and the address at which it takes messages."""
    folder.mkdir()
    (folder / "config").write_text(CONFIG.format(kind=kind, ends=ends))
    RNS.Reticulum(configdir=str(folder), loglevel=0)
    router = LXMF.LXMRouter(storagepath=str(folder / "lxmf"))
    return router, router.register_delivery_identity(RNS.Identity(), display_name=folder.name)


def learn(address: bytes) -> RNS.Identity:
    """The identity behind an address, once its announcement is here."""
    end = time.monotonic() + PATIENCE_S
    while (identity := RNS.Identity.recall(address)) is None or not RNS.Transport.has_path(address):
        if time.monotonic() > end:
            raise SystemExit("no announcement came")
        time.sleep(0.05)
    return identity


def take(posts: int, folder: Path, port: int) -> None:
    """The other process: say the own address, then that all came; exits when its stdin ends."""
    router, here = start(folder, "TCPClientInterface", f"target_host = 127.0.0.1\n    target_port = {port}")
    came: set[str] = set()

    def on_message(message: LXMF.LXMessage) -> None:
        if message.signature_validated:
            came.add(message.content_as_string())
        if len(came) == posts:
            print("all", flush=True)

    router.register_delivery_callback(on_message)
    print(here.hash.hex(), flush=True)
    learn(bytes.fromhex(sys.stdin.readline()))
    router.announce(here.hash)
    sys.stdin.read()


def give(posts: int, size: int, folder: Path) -> None:
    """Start the taker and send it that many messages of that many bytes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    router, here = start(
        folder / "giver", "TCPServerInterface", f"listen_ip = 127.0.0.1\n    listen_port = {port}"
    )
    other = [sys.executable, "-I", __file__, str(posts), "take", str(folder / "taker"), str(port)]
    with subprocess.Popen(other, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as taker:
        if taker.stdin is None or taker.stdout is None:
            raise SystemExit("no pipe to the taker")
        address = bytes.fromhex(taker.stdout.readline())
        taker.stdin.write(here.hash.hex() + "\n")
        taker.stdin.flush()
        time.sleep(1)  # its interface connects; who is not connected hears no announcement
        router.announce(here.hash)
        there = RNS.Destination(
            learn(address), RNS.Destination.OUT, RNS.Destination.SINGLE, "lxmf", "delivery"
        )
        under_way = threading.Semaphore(WINDOW)
        started = time.perf_counter()
        for number in range(posts):
            under_way.acquire()
            message = LXMF.LXMessage(
                there, here, f"{number:08}".ljust(size, "x"), desired_method=LXMF.LXMessage.DIRECT
            )
            message.register_delivery_callback(lambda _: under_way.release())
            router.handle_outbound(message)
        read = posts if taker.stdout.readline() == "all\n" else 0
        seconds = time.perf_counter() - started
        taker.kill()
    print(json.dumps({"read": read, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    if sys.argv[2] == "take":
        take(int(sys.argv[1]), Path(sys.argv[3]), int(sys.argv[4]))
    else:
        give(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
    RNS.exit()
