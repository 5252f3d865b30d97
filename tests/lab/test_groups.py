"""Five laptops in a line of namespaces: the ends and the middle are in a group, the two between only carry it.

Then the middle is removed: it goes on carrying all of it, and reads nothing new. What the carriers hold is searched for
everything that would tell author, group or member, and for any string that two sealed envelopes share.
"""

from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from cli.client import Client
from meshd import envelope
from meshd.daemon.home import Home
from meshd.daemon.init import open_home
from meshd.envelope import Sealed
from meshd.errors import CallerError
from meshd.store import keyslot
from tests.lab.lab import Lab, Laptop
from tests.lab.waiting import wait_until

pytestmark = pytest.mark.lab
PATIENCE_S = 30
STRING_SIZE = 8  # bytes that no two envelopes may share


def carried(laptop: Laptop) -> list[Sealed]:
    """The sealed envelopes in the home of a daemon that has ended."""
    slot = keyslot.read(Path(laptop.home))
    opened = open_home(Home(laptop.home), keyslot.parameters(slot).stretch(None), slot)
    found = [envelope.parse(raw) for _, raw in opened.carry.after(0, 1000) if raw]
    opened.carry.close()
    opened.log.close()
    return [each for each in found if isinstance(each, Sealed)]


def strings(sealed: Sealed) -> set[bytes]:
    """All of 8 bytes behind the header that everybody sees."""
    hidden = sealed.nonce + sealed.hint + sealed.ciphertext
    return {hidden[at : at + STRING_SIZE] for at in range(len(hidden) - STRING_SIZE + 1)}


def texts(client: Client) -> set[str]:
    return {post["text"] for post in client.call("read", {"channel": "group:kitchen"})["posts"]}


def done(call: Callable[[], Any]) -> bool:
    """Whether it is answered by now."""
    try:
        call()
    except CallerError:
        return False
    return True


def test_ends_and_middle_read_what_the_others_only_carry_until_the_middle_is_removed() -> None:
    with Lab() as lab:
        _, laptops = lab.line(5)
        for laptop in laptops:
            laptop.mesh("init", "--no-passphrase")
            laptop.mesh("up")
        clients = [Client(laptop.home) for laptop in laptops]
        wait_until(
            lambda: [len(client.call("status")["links"]) for client in clients] == [1, 2, 2, 2, 1],
            PATIENCE_S,
            lambda: [client.call("status")["links"] for client in clients],
        )
        inside = first, middle, last = clients[0], clients[2], clients[4]
        shown = [client.call("id.show") for client in inside]
        for client, own in zip(inside, shown, strict=True):
            for other, name in zip(shown, ("first", "middle", "last"), strict=True):
                if other is not own:
                    client.call("contact.add", {"card": other["card"], "name": name})
        first.call("group.create", {"name": "kitchen"})
        for who in ("middle", "last"):
            first.call("group.invite", {"group": "kitchen", "who": who})
        for client in (middle, last):
            accept = {"invite": "kitchen"}
            wait_until(
                lambda c=client, a=accept: done(lambda: c.call("group.accept", a)),
                PATIENCE_S,
                lambda: "accept",
            )  # type: ignore[misc]
        # What the middle posts before it has heard that the last is in, is under an epoch that the last was never in.
        wait_until(
            lambda: all(len(c.call("group.members", {"group": "kitchen"})["members"]) == 3 for c in inside),
            PATIENCE_S,
            lambda: [c.call("group.members", {"group": "kitchen"}) for c in inside],
        )
        said = {"bread at eight", "water at nine", "salt at ten"}
        for client, text in zip(inside, sorted(said), strict=True):
            post = {"channel": "kitchen", "text": text}
            wait_until(lambda c=client, p=post: done(lambda: c.call("post", p)), PATIENCE_S, lambda: "post")  # type: ignore[misc]
        wait_until(
            lambda: all(texts(c) == said for c in inside), PATIENCE_S, lambda: [texts(c) for c in inside]
        )

        first.call("group.remove", {"group": "kitchen", "who": "middle"})
        left = {shown[0]["id"], shown[2]["id"]}

        def heard() -> bool:
            return {m["id"] for m in last.call("group.members", {"group": "kitchen"})["members"]} == left

        wait_until(heard, PATIENCE_S, lambda: last.call("group.members", {"group": "kitchen"}))
        later = {"without the middle", "the middle carries this"}
        for client, text in zip((first, last), sorted(later), strict=True):
            client.call("post", {"channel": "kitchen", "text": text})
        wait_until(lambda: texts(first) == texts(last) == said | later, PATIENCE_S, lambda: texts(last))
        assert texts(middle) == said

        def held() -> set[int]:
            return {client.call("status")["counts"]["envelopes"] for client in clients}

        wait_until(lambda: len(held()) == 1, PATIENCE_S, held)
        for laptop in laptops:
            laptop.mesh("down")
        tells = [bytes.fromhex(each["id"]) for each in shown] + [
            b"kitchen",
            *(s.encode() for s in said | later),
        ]
        for laptop in (laptops[1], laptops[3]):
            found = carried(laptop)
            assert len(found) >= 15
            assert not [word for word in tells for each in found if word in each.raw]
            assert not [pair for pair in combinations(map(strings, found), 2) if pair[0] & pair[1]]
        print(f"{len(found)} sealed envelopes, of {sum(len(each.raw) for each in found)} bytes")
