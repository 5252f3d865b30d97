"""The vectors of statements and groups, read by the product and by the second reader that was made from the page."""

import random

import pytest

from meshd import post
from meshd.groups import epochs
from meshd.groups.dag import Dag
from meshd.groups.epochs import Epoch
from meshd.post import HOUR_MS, Post
from tests import independent_groups as other
from tests.independent import Close
from tests.wire_vectors import b, load, named

PEOPLE = {name: b(identity) for name, identity in load("groups.json")["people"].items()}


def read(shown: dict[str, str], channel: bytes) -> Epoch | None:
    time_ms, author = int(shown["time_ms"]), b(shown["author"])
    until = time_ms // HOUR_MS + 1
    inside = Post(1, channel, b"", author, 0, 1, b"", time_ms << 16, post.KIND_EPOCH, until, b(shown["body"]))
    return epochs.parse(inside, b(shown["id"]) if "id" in shown else bytes(32))


@pytest.mark.parametrize("vector", named(load("groups.json")["sets"]))
def test_set(vector):
    channel, anchor = b(vector["channel"]), vector["anchor"]
    dag = Dag(channel, anchor and b(anchor))
    dag.set_forked([b(each) for each in vector["forked"]])
    held = [read(each, channel) for each in vector["epochs"]]
    random.Random(vector["name"]).shuffle(held)
    for epoch in held:
        assert epoch is not None and dag.add(epoch)
    assert {each["id"]: dag.status(b(each["id"])) for each in vector["epochs"]} == {
        each["id"]: each["status"] for each in vector["epochs"]
    }
    due = dag.membership()
    assert [sorted(each.hex() for each in right) for right in due] == [vector["members"], vector["admins"]]
    for name, identity in PEOPLE.items():
        current = dag.current(identity)
        assert (current and current.id.hex()) == vector["current"][name]
        assert [id.hex() for id in dag.loose_ends(identity)] == vector["heal"][name]


@pytest.mark.parametrize("vector", named(load("groups.json")["sets"]))
def test_set_by_the_second_reader(vector):
    channel, anchor = b(vector["channel"]), vector["anchor"]
    held = [
        other.epoch(b(each["id"]), channel, b(each["author"]), each["time_ms"], b(each["body"]))
        for each in vector["epochs"]
    ]
    known = other.Known(held, anchor and b(anchor), [b(each) for each in vector["forked"]])
    for each in vector["epochs"]:
        status = known.status[b(each["id"])]
        assert ("aside" if status == "valid" and b(each["id"]) not in known.counted() else status) == each[
            "status"
        ]
    assert [sorted(each.hex() for each in right) for right in known.known()] == [
        vector["members"],
        vector["admins"],
    ]
    for name, identity in PEOPLE.items():
        current = known.current(identity)
        assert (current and current.hex()) == vector["current"][name]
        assert [id.hex() for id in known.heal(identity)] == vector["heal"][name]


HIDDEN = load("groups.json")["hidden"]


@pytest.mark.parametrize("vector", named(HIDDEN["bodies"]))
def test_what_is_no_epoch(vector):
    shown = {"author": HIDDEN["author"], "time_ms": HIDDEN["time_ms"], "body": vector["body"]}
    assert read(shown, bytes(16)) is None
    with pytest.raises(Close):
        other.epoch(bytes(32), bytes(16), b(HIDDEN["author"]), HIDDEN["time_ms"], b(vector["body"]))


KEY = load("groups.json")["key"]


@pytest.mark.parametrize("vector", named(KEY["keys"]))
def test_which_key_is_the_epochs(vector):
    told = b(KEY["id"]), b(KEY["channel"]), b(KEY["author"]), KEY["time_ms"], b(KEY["body"])
    epoch = read(KEY, b(KEY["channel"]))
    assert epoch is not None and epoch.is_key(vector["day"], b(vector["key"])) is vector["is_key"]
    assert other.is_key(other.epoch(*told), vector["day"], b(vector["key"])) is vector["is_key"]


def test_statements_by_the_second_reader():
    vector = load("statements.json")

    def signed(shown: dict[str, object]) -> bytes:
        return other.signed_statement(
            shown["purpose"], b(shown["channel"]), b(shown["about"]), b(shown["subject"]), shown["flag"]
        )

    for each in vector["valid"]:
        assert signed(each).hex() == each["signed"]
        assert other.signed_by(b(each["signer"]), b(each["signed"]), b(each["signature"]))
    for each in vector["vouches"]["cases"]:
        who, until = b(each["subject"])[:32], b(each["subject"])[32:]
        is_right = (
            len(until) == 4 and not any(b(each["about"])) and each["flag"] == 0 and each["purpose"] == 5
        )
        hour = int.from_bytes(until, "big")
        late = hour * 3_600_000 > vector["vouches"]["time_ms"] + (each["hours"] + 1) * 3_600_000
        says = is_right and not late and who.hex() != vector["vouches"]["author"]
        assert (each["who"], each["until"]) == ((who.hex(), hour) if says else (None, None)), each["name"]
    for each in vector["counted"]:
        count = {
            sign["signer"]
            for sign in each["signatures"]
            if sign["signer"] in each["eligible"]
            and other.signed_by(b(sign["signer"]), signed(vector["statement"]), b(sign["signature"]))
        }
        assert sorted(count) == each["count"]
