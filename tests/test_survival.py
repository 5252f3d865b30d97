"""Real daemons, killed in the middle: what was named is there, and nothing is there twice.

SIGKILL leaves everything to the next start: no commit, no bye, no checkpoint. A post counts as *named* once an
answer or a notification with its id has left the daemon, read by the client or not.
"""

import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from meshd.daemon.home import Home
from meshd.daemon.init import open_home
from meshd.store import keyslot
from tests.laptops import Laptop, Rpc

pytestmark = pytest.mark.real

POSTS = 10_000
TEXTS = [f"{number:05}".ljust(256, ".") for number in range(POSTS)]
KILLS = 10
FIRST_KILL, KILL_EVERY = 500, 750  # posts that the subscriber has seen: the last kill comes at 7 250
WIRE_CHUNK_SIZE, WIRE_PAUSE_S = 16 * 1024, 0.02  # about 1 700 posts a second


def request(number: int, channel: str, text: str) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": number, "method": "post", "params": {"channel": channel, "text": text}}


def post_all(laptop: Laptop, channel: str, texts: list[str]) -> None:
    rpc = Rpc(laptop.home)
    for start in range(0, len(texts), 1000):
        rpc.say([request(n, channel, text) for n, text in enumerate(texts[start : start + 1000])])
        assert all("result" in answer for answer in rpc.hear())
    rpc.close()


def notifications(rpc: Rpc) -> Iterator[tuple[int, str, str]]:
    """(cursor, id, text) as a subscription names them; ends with the daemon, after all that had left it."""
    try:
        while True:
            said = rpc.hear()["params"]
            yield said["cursor"], said["post"]["id"], said["post"]["text"]
    except (EOFError, ConnectionResetError):
        return


def subscribed(laptop: Laptop, cursor: int) -> Rpc:
    rpc = Rpc(laptop.home)
    assert "result" in rpc.ask("subscribe", channel="plaza", cursor=cursor)
    return rpc


def read_all(laptop: Laptop) -> list[dict[str, Any]]:
    """Every post of the channel, in the order of the log."""
    rpc = Rpc(laptop.home)
    posts: list[dict[str, Any]] = []
    cursor = 0
    while True:
        result = rpc.ask("read", channel="plaza", since=str(cursor), limit=2000)["result"]
        posts += result["posts"]
        if not result["posts"]:
            rpc.close()
            return posts
        cursor = result["cursor"]


@contextmanager
def slow_wire(address: str) -> Iterator[str]:
    """An address that leads to another one at the pace of a bad Wi-Fi, so that there is time to be killed in."""

    def copy(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while content := source.recv(WIRE_CHUNK_SIZE):
                target.sendall(content)
                time.sleep(WIRE_PAUSE_S)
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)

    def accept() -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                host, port = address.rsplit(":", 1)
                far = socket.create_connection((host, int(port)))
                for ends in ((near, far), (far, near)):
                    Thread(target=copy, args=ends, daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        Thread(target=accept, daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def giver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laptop]:
    """A laptop that has all the posts."""
    with Laptop(tmp_path_factory.mktemp("giver") / "oak") as oak:
        post_all(oak, "plaza", TEXTS)
        yield oak


def test_a_laptop_that_was_off_gets_10_000_posts_in_order_and_none_twice(tmp_path: Path) -> None:
    with Laptop(tmp_path / "oak") as oak, Laptop(tmp_path / "elm") as elm:
        there = Rpc(elm.home)
        there.ask("channel.join", name="plaza")
        there.ask("peer.add", address=oak.address)
        there.until("status", "links")
        assert elm.stop() == 0
        post_all(oak, "plaza", TEXTS)
        elm.start()
        seen = []
        for named in notifications(subscribed(elm, 0)):
            seen.append(named)
            if len(seen) == POSTS:
                break
        assert [text for _, _, text in seen] == TEXTS
        cursors = [cursor for cursor, _, _ in seen]
        assert cursors == sorted(set(cursors))


def test_D01_killed_ten_times_while_posts_come_in_it_loses_none_that_was_named(
    giver: Laptop, tmp_path: Path
) -> None:
    with slow_wire(giver.address) as wire, Laptop(tmp_path / "elm") as elm:
        Rpc(elm.home).ask("channel.join", name="plaza")
        Rpc(elm.home).ask("peer.add", address=wire)
        # What one reader saw who always went on from the last cursor: id and text by cursor.
        followed: dict[int, tuple[str, str]] = {}
        answered: set[str] = set()
        kept_at_kill = []
        for kill in range(KILLS):
            reader = subscribed(elm, max(followed, default=0))
            asker = Rpc(elm.home)
            killed = False
            for cursor, identity, text in notifications(reader):
                assert cursor > max(followed, default=0)
                followed[cursor] = identity, text
                if not killed and len(followed) >= FIRST_KILL + kill * KILL_EVERY:
                    newest = asker.ask("read", channel="plaza", limit=50)["result"]["posts"]
                    answered.update(post["id"] for post in newest)
                    elm.stop(signal.SIGKILL)
                    killed = True
            assert killed, "the daemon ended by itself"
            kept_at_kill.append(len(stored(elm)))
            elm.start()
            kept = read_all(elm)
            assert [post["id"] for post in kept][: len(followed)] == [one for one, _ in followed.values()]
            assert answered <= {post["id"] for post in kept}
        assert kept_at_kill[0] >= FIRST_KILL and kept_at_kill[-1] <= 9_500, kept_at_kill
        for cursor, identity, text in notifications(subscribed(elm, max(followed))):
            assert cursor > max(followed)
            followed[cursor] = identity, text
            if len(followed) == POSTS:
                break
        assert [text for _, text in followed.values()] == TEXTS
        assert [post["id"] for post in read_all(elm)] == [identity for identity, _ in followed.values()]
        assert Rpc(elm.home).ask("status")["result"]["counts"]["posts"] == POSTS


@pytest.mark.parametrize("batch_size", [None, 100], ids=["single posts", "batches"])
def test_D01_an_author_killed_while_posting_keeps_what_was_answered_and_reuses_no_sequence(
    tmp_path: Path, batch_size: int | None
) -> None:
    """What left this laptop before a kill is on the other one: a sequence used again would show there as a fork."""
    with Laptop(tmp_path / "elm") as elm, Laptop(tmp_path / "oak") as oak:
        Rpc(elm.home).ask("channel.join", name="plaza")
        Rpc(oak.home).ask("peer.add", address=elm.address)
        answered: list[str] = []
        for life in range(5):
            Rpc(oak.home).until("status", "links")
            poster = Rpc(oak.home)
            # All on its way at once, so that the end comes while posts are being made.
            for shot in range(60 if batch_size is None else 8):
                texts = [f"{life} {shot} {number}" for number in range(batch_size or 1)]
                requests = [request(number, "plaza", text) for number, text in enumerate(texts)]
                poster.say(requests if batch_size else requests[0])
            for _ in range(7 * life + 3 if batch_size is None else life + 1):
                answered += ids_in(poster.hear())
            oak.process.send_signal(signal.SIGKILL)
            try:
                while True:  # answers that had left before the kill
                    answered += ids_in(poster.hear())
            except (EOFError, ConnectionResetError):
                pass
            oak.stop()
            oak.start()
            kept = read_all(oak)
            assert set(answered) <= {post["id"] for post in kept}
            if batch_size:
                shots = Counter(post["text"].rsplit(" ", 1)[0] for post in kept)
                assert set(shots.values()) == {batch_size}, "half a batch was kept"
        wait_until_equal(oak, elm)
        oak.stop()
        elm.stop()
        for laptop in (oak, elm):
            places = [(row.incarnation, row.sequence) for row in stored(laptop)]
            assert len(places) == len(set(places)) and not any(row.forked for row in stored(laptop))
            assert len({incarnation for incarnation, _ in places}) == 5


def ids_in(said: Any) -> list[str]:
    return [answer["result"]["id"] for answer in (said if isinstance(said, list) else [said])]


def wait_until_equal(one: Laptop, other: Laptop) -> None:
    for _ in range(100):
        ours, theirs = ({post["id"] for post in read_all(laptop)} for laptop in (one, other))
        if ours == theirs:
            return
        time.sleep(0.1)
    pytest.fail(f"{len(ours ^ theirs)} posts differ")


def stored(laptop: Laptop) -> list[Any]:
    """The rows of a stopped laptop's log, from a copy, so that nothing is repaired for its next start."""
    copy = laptop.home.with_name("copy")
    copy.mkdir(mode=0o700, exist_ok=True)
    for name in ("keyslot", "carry.db", "carry.db-wal", "log.db", "log.db-wal"):
        (copy / name).unlink(missing_ok=True)
        if (laptop.home / name).exists():
            (copy / name).write_bytes((laptop.home / name).read_bytes())
            (copy / name).chmod(0o600)
    slot = keyslot.read(copy)
    opened = open_home(Home(str(copy)), keyslot.parameters(slot).stretch(None), slot)
    rows = opened.log.after(0, None, 2 * POSTS)
    opened.carry.close()
    opened.log.close()
    return rows
