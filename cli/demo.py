"""`mesh demo`: a whole mesh on this machine, and every claim about it read back.

The rule: nothing is said that was not seen. Each step does something, says in plain words what should
follow, and asks the laptops concerned until it is so; a claim that stays false, or a daemon that ends when
it should not, ends the demo with status 1. The network has a key of its own and stays on loopback; homes
live in a temporary folder. Whatever happens, Ctrl-C included, the daemons are ended and the folder is
removed.
"""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import FrameType
from typing import TypeVar

import click

from cli.client import Document
from cli.commands import command
from cli.console import Console
from cli.demo_plan import Story
from cli.laptop import Laptop, start_all
from cli.room import Room
from meshd.errors import CallerError, Code

NAMES = ("oak", "birch", "elm", "ash", "yew", "fir")
POSTS_A_SIDE = 50
_CLAIM_S = 15.0  # what is not so after this long is not so
_PAUSE_S = 0.05

Result = TypeVar("Result")


@command("demo", example="mesh demo")
def demo(console: Console) -> None:
    """Shows a whole mesh at work on this machine."""
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    folder = tempfile.mkdtemp(prefix="mesh-demo-")
    show = Demo(console, folder)
    try:
        show.found_network()
        show.two_laptops()
        show.line_of_six()
        show.partition()
        show.pulled_plug()
        show.end()
        show.strangers_in_a_room()
        show.end()
        show.plan_for_a_blackout()
        show.end()
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # impatience must not leave daemons behind
        show.tidy_up()
        shutil.rmtree(folder)
    show.claim("nothing is left behind", lambda: not os.path.exists(folder))
    if console.json:
        console.show({"claims": show.claims}, lambda _: ())


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


class Demo:
    """The steps, in order; each needs the ones before."""

    def __init__(self, console: Console, folder: str) -> None:
        self._folder = folder
        self._invite = os.path.join(folder, "invite")
        self.laptops = [Laptop(name, folder) for name in NAMES]
        self._room: Room | None = None
        self.claims: list[Document] = []
        self._said: set[str] = set()  # ids of all posts
        self._tell = partial(console.say, aside=console.json)

    def claim(self, text: str, holds: Callable[[], bool]) -> None:
        """Waits until `holds`, and says `text` and how long it took; CallerError(error) if it never does."""
        start = time.monotonic()
        while not holds():
            self._check_daemons()
            if time.monotonic() - start > _CLAIM_S:
                raise CallerError(Code.error, f"not true after {_CLAIM_S:.0f} s: {text}")
            time.sleep(_PAUSE_S)
        self._check_daemons()
        took_s = time.monotonic() - start
        self.claims.append({"claim": text, "ok": True, "seconds": round(took_s, 3)})
        self._tell(f"  {click.style('✓', fg='green')} {text} ({took_s:.1f} s)")

    def _check_daemons(self) -> None:
        for laptop in self.laptops:
            laptop.check()

    def step(self, text: str) -> None:
        self._check_daemons()
        self._tell(f"\n{text}")

    # --- the steps ---

    def tidy_up(self) -> None:
        """Ends every daemon, and the room."""
        for laptop in self.laptops:
            laptop.ask_to_end()
        for laptop in self.laptops:
            laptop.end()
        if self._room is not None:
            self._room.close()

    def found_network(self) -> None:
        self.step("Six laptops. The first starts a private network, the others join with its invite.")
        first, *others = self.laptops
        first.mesh("init", "--name", first.name, "--private", "--no-passphrase")
        start_all([first])
        with open(os.open(self._invite, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(first.mesh("invite", "network")["invite"])
        self.bring(others)
        self.claim("six daemons run, in one private network", self._in_one_network)

    def two_laptops(self) -> None:
        one, two = self.laptops[:2]
        self.step(f"{one.name} is told the address of {two.name}: mesh peer add {two.address}")
        self._join(one, two)
        self.claim("they are linked", lambda: _links(one) == 1 and _links(two) == 1)
        self.step(f"{one.name} posts.")
        posted = self._post(one, "is the bridge open?")
        self.claim(f"{two.name} reads it", lambda: _has_text(two, posted, "is the bridge open?"))
        answer = self._post(two, "no, take the ferry", "--reply-to", posted)
        self.claim(f"{one.name} reads the answer, and what it answers", lambda: _answers(one, answer, posted))
        self.claim(f"{one.name} knows that its post was handed on", lambda: _handed_on(one, posted) == 1)

    def line_of_six(self) -> None:
        self.step(f"A line: {' - '.join(NAMES)}. Each is linked to its neighbours and to nobody else.")
        for left, right in zip(self.laptops[1:], self.laptops[2:], strict=False):
            self._join(left, right)
        self.claim("everyone has its neighbours", lambda: self._links() == [1, 2, 2, 2, 2, 1])
        first, last = self.laptops[0], self.laptops[-1]
        self.claim(f"{last.name} has fetched what was said before it came", lambda: self._complete([last]))
        posted = self._post(first, "can you hear me?")
        self.claim(
            f"a post of {first.name} crosses five hops to {last.name}",
            lambda: _has_text(last, posted, "can you hear me?"),
        )

    def partition(self) -> None:
        left, right = self.laptops[:3], self.laptops[3:]
        edge = left[-1], right[0]
        self.step(f"The middle link, {edge[0].name} - {edge[1].name}, is cut. Both sides go on talking.")
        edge[0].mesh("peer", "drop", edge[1].address)
        self.claim("the link is gone", lambda: self._links() == [1, 2, 1, 1, 2, 1])
        told_left, told_right = self._post_many(left[0]), self._post_many(right[-1])
        self.claim(
            f"each side has its own {POSTS_A_SIDE} posts, and none of the other's",
            lambda: (
                all(told_left <= _ids(laptop) and not told_right & _ids(laptop) for laptop in left)
                and all(told_right <= _ids(laptop) and not told_left & _ids(laptop) for laptop in right)
            ),
        )
        self.step("The link comes back.")
        self._join(*edge)
        self.claim(f"everyone has all {len(self._said)} posts", lambda: self._complete(self.laptops))
        self.claim(
            "and in the same order",
            lambda: len({tuple(post["id"] for post in _posts(laptop)) for laptop in self.laptops}) == 1,
        )

    def pulled_plug(self) -> None:
        victim = self.laptops[3]
        others = [laptop for laptop in self.laptops if laptop is not victim]
        held = _ids(victim)
        self.step(f"{victim.name} loses power, in the middle of the line and without a goodbye.")
        victim.pull_the_plug()
        for laptop in (self.laptops[0], self.laptops[-1]):
            self._post(laptop, f"where is {victim.name}?")
        self.claim("the others go on", lambda: sum(len(_ids(laptop) - held) for laptop in others) >= 5)
        self.step(f"{victim.name} starts again.")
        start_all([victim])
        kept = _ids(victim)
        self.claim("it has lost nothing that it had", lambda: held <= kept)
        self.claim("it gets what it missed, and the line is whole", lambda: self._complete(self.laptops))

    def strangers_in_a_room(self) -> None:
        try:
            self._room = Room()
        except OSError as error:
            self.step(f"Not shown: how laptops on one Wi-Fi find each other, because {error} here.")
            return
        self.laptops = [Laptop(name, self._folder, self._room) for name in ("rowan", "hazel", "alder")]
        self.step("Three more, on a Wi-Fi of their own (namespaces); nobody is told an address.")
        self.bring(self.laptops)
        self.claim("they have found each other", lambda: self._links() == [2, 2, 2])
        posted = self._post(self.laptops[0], "anyone here?")
        self.claim(
            "what one says, the others read",
            lambda: all(_has_text(laptop, posted, "anyone here?") for laptop in self.laptops[1:]),
        )

    def plan_for_a_blackout(self) -> None:
        if self._room is not None:
            Story(self, self._folder, self._room).tell()

    def end(self) -> None:
        if not self.laptops:
            return
        self.step("Everyone goes home: mesh down.")
        gone = _at_once(_go_home, self.laptops)
        self.laptops = []
        self.claim(f"{len(gone)} daemons ended in good order", lambda: all(gone))

    # --- doing and asking ---

    def bring(self, laptops: Sequence[Laptop], config: str = "") -> None:
        """New laptops come, with these settings."""
        join = ("--invite", f"@{self._invite}", "--no-passphrase")
        _at_once(lambda laptop: laptop.mesh("init", "--name", laptop.name, *join), laptops)
        for laptop in laptops if config else ():
            laptop.configure(config)
        self.start(laptops)

    def start(self, laptops: Sequence[Laptop]) -> None:
        """They are switched on."""
        self.laptops += [laptop for laptop in laptops if laptop not in self.laptops]
        start_all(laptops)

    def send_home(self, laptops: Sequence[Laptop]) -> None:
        """They are switched off, and may come back."""
        self.laptops = [laptop for laptop in self.laptops if laptop not in laptops]
        self.claim(
            f"{' and '.join(each.name for each in laptops)}: mesh down",
            lambda: all(_at_once(_go_home, laptops)),
        )

    def _join(self, one: Laptop, other: Laptop) -> None:
        one.mesh("peer", "add", other.address)

    def _in_one_network(self) -> bool:
        networks = [laptop.mesh("status")["network"] for laptop in self.laptops]
        return networks[0]["kind"] == "private" and networks.count(networks[0]) == len(networks)

    def _post(self, laptop: Laptop, text: str, *options: str) -> str:
        posted: str = laptop.mesh("post", "square", text, *options)["id"]
        self._said.add(posted)
        return posted

    def _post_many(self, laptop: Laptop) -> set[str]:
        with laptop.connect() as client:
            texts = [f"{number + 1} of {POSTS_A_SIDE} from {laptop.name}" for number in range(POSTS_A_SIDE)]
            told = {client.call("post", {"channel": "square", "text": text})["id"] for text in texts}
        self._said |= told
        return told

    def _links(self) -> list[int]:
        return [_links(laptop) for laptop in self.laptops]

    def _complete(self, laptops: Sequence[Laptop]) -> bool:
        return all(_ids(laptop) == self._said for laptop in laptops)


def _at_once(do: Callable[[Laptop], Result], laptops: Sequence[Laptop]) -> list[Result]:
    with ThreadPoolExecutor() as pool:
        return list(pool.map(do, laptops))


def _go_home(laptop: Laptop) -> bool:
    laptop.check()
    laptop.mesh("down")
    status = laptop.end()
    if status:
        raise CallerError(Code.error, f"the daemon of {laptop.name} ended with status {status}")
    return status == 0


def _links(laptop: Laptop) -> int:
    return len(laptop.mesh("status")["links"])


def _posts(laptop: Laptop) -> list[Document]:
    posts: list[Document] = laptop.mesh("read", "square", "--limit", "1000")["posts"]
    return posts


def _ids(laptop: Laptop) -> set[str]:
    return {post["id"] for post in _posts(laptop)}


def _find(laptop: Laptop, post_id: str) -> Document:
    return next((post for post in _posts(laptop) if post["id"] == post_id), {})


def _has_text(laptop: Laptop, post_id: str, text: str) -> bool:
    return _find(laptop, post_id).get("text") == text


def _answers(laptop: Laptop, post_id: str, answered: str) -> bool:
    return _find(laptop, post_id).get("reply_to") == answered


def _handed_on(laptop: Laptop, post_id: str) -> int:
    held = _find(laptop, post_id).get("held_by", {})
    return sum(held.values())
