"""Five laptops in a line of namespaces: the ends and the middle are in a group, the two between only carry it. And the
ends have a direct, which one begins with nothing but the other's card and the other accepts.

Then the middle is removed: it goes on carrying all of it, and reads nothing new. What the carriers hold is searched,
page by page, for everything that would tell author, group, member or addressee, and for any string that two sealed
envelopes share; and everything that they know, secrets of their own and everybody's public keys, is tried as a key.
What that opens is their own, which shows that the search finds what is there.
"""

from collections.abc import Callable, Iterable
from itertools import accumulate, combinations
from pathlib import Path
from typing import Any

import pytest

from cli.client import Client
from meshd import crypto, daykeys, envelope
from meshd.daemon.home import Home
from meshd.daemon.init import open_home
from meshd.envelope import Sealed
from meshd.errors import CallerError
from meshd.ids import direct_channel_id, inbox_channel_id
from meshd.recognition import pair_secret
from meshd.store import keyslot
from tests import pages
from tests.lab.lab import Lab, Laptop
from tests.lab.waiting import wait_until

pytestmark = pytest.mark.lab
PATIENCE_S = 30
STRING_SIZE = 8  # bytes that no two envelopes may share
EXPIRY_DAYS = 9  # an envelope ends today or on one of the next eight days


class Carrier:
    """The home of a daemon that has ended, in the hands of its owner."""

    def __init__(self, laptop: Laptop) -> None:
        home, slot = Home(laptop.home), keyslot.read(Path(laptop.home))
        stretched = keyslot.parameters(slot).stretch(None)
        keys = keyslot.open(slot, stretched)
        opened = open_home(home, stretched, slot)
        found = [envelope.parse(raw) for _, raw in opened.carry.after(0, 1000) if raw]
        self.sealed = [each for each in found if isinstance(each, Sealed)]
        self.public, self._secret = crypto.ed25519_keypair(opened.log.seed)
        self.secrets = {opened.log.seed, keys.carry, keys.log, *opened.log.inboxes.secrets().values()}
        self.secrets |= {key for _, _, key in opened.log.contacts.inboxes()}
        opened.carry.close()
        opened.log.close()
        self.pages = pages.plain(home.carry, keys.carry) + pages.plain(home.log, keys.log)

    def opens(self, public: Iterable[bytes]) -> list[bytes]:
        """The contents of all that opens to any secret here, what is public, or what the two make together."""
        shared = [pair_secret(self._secret, each) for each in public if crypto.is_valid_point(each)]
        tried = {
            key
            for first in (*self.secrets, *public, *shared)
            for key in accumulate(range(EXPIRY_DAYS), lambda key, _: daykeys.advance(key, 1), initial=first)
        }
        hints = [(hint, key) for key in tried for hint in (key, daykeys.hint_key(key))]
        found = []
        for sealed in self.sealed:
            fitting = {key for hint, key in hints if daykeys.hint(hint, sealed.nonce) == sealed.hint}
            found += [envelope.unseal(sealed, daykeys.seal_key(key)) for key in fitting]
            found += [envelope.unseal(sealed, key) for key in tried if len(key) == crypto.KEY_SIZE]
        return [content for content in found if content is not None]


def strings(sealed: Sealed) -> set[bytes]:
    """All of 8 bytes behind the header that everybody sees."""
    hidden = sealed.nonce + sealed.hint + sealed.ciphertext
    return {hidden[at : at + STRING_SIZE] for at in range(len(hidden) - STRING_SIZE + 1)}


def texts(client: Client, channel: str = "group:kitchen") -> set[str]:
    return {post["text"] for post in client.call("read", {"channel": channel})["posts"]}


def done(call: Callable[[], Any]) -> bool:
    """Whether it is answered by now."""
    try:
        call()
    except CallerError:
        return False
    return True


def write_alone(first: Client, last: Client, who: str) -> set[str]:
    """The first, that is `who`, begins a direct with the last, which has no card of it, accepts and answers."""
    first.call("dm", {"who": "last", "text": "by the river"})
    wait_until(lambda: bool(last.call("requests")["requests"]), PATIENCE_S, lambda: last.call("requests"))
    (asked,) = last.call("requests")["requests"]
    assert asked["text"] == "by the river" and asked["id"] == who
    last.call("requests.accept", {"who": who})
    last.call("dm", {"who": who, "text": "under the bridge"})
    said = {"by the river", "under the bridge"}
    wait_until(lambda: texts(first, "last") == said, PATIENCE_S, lambda: texts(first, "last"))
    assert texts(last, f"direct:{who}") == said
    return said


def search(carrier: Carrier, public: list[bytes], words: list[bytes]) -> None:
    """Nothing that is public, and no word, stands in what it holds; nothing but its own opens; no two are alike."""
    found, own = carrier.sealed, (carrier.public, inbox_channel_id(carrier.public))
    assert len(found) >= 20 and all(each.hint in carrier.pages for each in found)
    assert not [tell for tell in (*public, *words) if tell not in own and tell in carrier.pages]
    opened = carrier.opens(public)
    assert opened and all(carrier.public in content for content in opened)
    assert not [pair for pair in combinations(map(strings, found), 2) if pair[0] & pair[1]]
    print(f"{len(found)} sealed envelopes, of {sum(len(each.raw) for each in found)} bytes")


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
        everybody = [client.call("id.show") for client in clients]
        shown = everybody[::2]
        for client, own in zip(inside, shown, strict=True):
            for other, name in zip(shown, ("first", "middle", "last"), strict=True):
                if other is not own and (own, other) != (
                    shown[2],
                    shown[0],
                ):  # the last has not heard of the first
                    client.call("contact.add", {"card": other["card"], "name": name})

        alone = write_alone(first, last, shown[0]["id"])
        kitchen = first.call("group.create", {"name": "kitchen"})["id"]
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
        people = [bytes.fromhex(each["id"]) for each in everybody]
        ends = direct_channel_id(people[0], people[4])
        public = [*people, ends, bytes.fromhex(kitchen), *map(inbox_channel_id, people)]
        words = [b"kitchen", *(text.encode() for text in said | later | alone)]
        for laptop in (laptops[1], laptops[3]):
            search(Carrier(laptop), public, words)
