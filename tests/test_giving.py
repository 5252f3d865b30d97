"""What goes out when many links wait for something: a little at a time, and to one after the other."""

import random
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from meshd import codec
from meshd.events import Now
from meshd.giving import Giving
from meshd.ids import envelope_key
from meshd.limits import BULK_SIZE, GIVE_SIZE_MAX, LOOK_UP_BUDGET, PUSH_BURST
from meshd.proto.gossip import Outflow
from meshd.proto.message import LATE, Give, Gone, Have, Message
from meshd.proto.rounds import Rounds
from meshd.store.carry import Carry

NOW = Now(0, 0)
SIZE = 10_000  # of an envelope


class Host:
    """A giving with so many links, all of which have room; what it sent is in `sent`."""

    def __init__(self, carry: Carry, links: int) -> None:
        self.carry = carry
        self.sent: list[tuple[int, Message]] = []
        self.rounds = Rounds(random.Random(1), 0)
        self.giving = Giving(carry, self.rounds, lambda *message: self.sent.append(message))
        for link in range(1, links + 1):
            self.giving.outflows[link] = Outflow(0)
            self.giving.outflows[link].is_open = True

    def put(self, count: int, size: int = SIZE) -> range:
        """Carry so many envelopes; their sequences."""
        first = self.carry.last_sequence()
        keys = [envelope_key(7, (first + n).to_bytes(16, "big") * 2) for n in range(count)]
        return self.carry.insert([(key, bytes(size)) for key in keys])

    def fill(self) -> list[tuple[int, Message]]:
        """Fill all links up; what was sent, and to whom."""
        for link in self.giving.outflows:
            while self.giving.fill(link, NOW):
                pass
        sent = self.sent.copy()
        self.sent.clear()
        return sent


@pytest.fixture
def carry(tmp_path: Path) -> Iterator[Carry]:
    made = Carry.create(tmp_path / "carry", b"c" * 32, bytes(32), "open", durable=False)
    yield made
    made.close()


def references(sequences: range) -> list[tuple[bytes, int]]:
    """Of what carry has as these."""
    return [((7).to_bytes(4, "big") + sequence.to_bytes(16, "big"), sequence) for sequence in sequences]


def test_bulk_goes_out_to_a_few_links_at_a_time_and_to_nobody_twice_before_the_others(carry: Carry) -> None:
    host = Host(carry, 4)
    each = GIVE_SIZE_MAX // SIZE
    assert BULK_SIZE // 2 < each * SIZE < BULK_SIZE
    for outflow in host.giving.outflows.values():
        outflow.owe(list(host.put(2 * each)))
    turns = [host.fill()]
    while host.giving.unfinished:
        host.giving.tick(NOW, all_heard=False)
        assert host.fill() == [], "not before all had their say"
        host.giving.tick(NOW, all_heard=True)
        turns.append(host.fill())
    assert [[link for link, _ in turn] for turn in turns if turn] == [[1, 2], [3, 4]] * 2


def shorts(numbers: Iterable[int]) -> list[bytes]:
    """What a peer asks for these by."""
    return [number.to_bytes(8, "big") * 2 for number in numbers]


def given_numbers(sent: list[tuple[int, Message]]) -> list[list[int]]:
    """Of each give, which envelopes are in it, by what `numbered` wrote into them."""
    gives = [codec.split(each.envelopes) for _, each in sent if isinstance(each, Give)]
    return [[int.from_bytes(raw[:4], "big") for raw in give] for give in gives]


def numbered(host: Host, count: int) -> None:
    """Carry so many that tell their own numbers, which are those by which they are asked for."""
    keys = [envelope_key(7, 2 * short) for short in shorts(range(count))]
    host.carry.insert([(key, number.to_bytes(4, "big").ljust(SIZE, b".")) for number, key in enumerate(keys)])


def test_what_goes_ahead_changes_the_order_alone(carry: Carry) -> None:
    host = Host(carry, 1)
    numbered(host, 20)
    order: list[list[int]] = []
    lengths = []
    for ahead in ((), (set(shorts([18])), set(shorts([3, 15])))):
        host.giving.ahead = lambda link, ahead=ahead: ahead  # type: ignore[misc]
        host.giving.outflows[1].ask(shorts(range(20)))
        gives: list[list[int]] = []
        while host.giving.outflows[1].owing() or host.giving.unfinished:
            host.giving.tick(NOW, all_heard=True)
            gives += given_numbers(host.fill())
        order.append([number for give in gives for number in give])
        lengths.append([len(give) for give in gives])
    assert order == [list(range(20)), [18, 3, 15, *(n for n in range(20) if n not in (18, 3, 15))]]
    assert lengths[0] == lengths[1] and len(lengths[0]) > 2


def test_what_goes_ahead_waits_like_the_rest_until_all_is_found(carry: Carry) -> None:
    host = Host(carry, 1)
    numbered(host, 3)
    host.giving.ahead = lambda link: ({bytes(16)},)
    number = host.rounds.begin(1, 0, 0).number
    host.giving.outflows[1].ask(shorts([0]))
    host.giving.tick(NOW, all_heard=True)
    assert given_numbers(host.fill()) == [] and host.giving.has_for(1)
    assert host.rounds.current(1, number) is not None
    host.rounds.ended(1, 0)
    assert given_numbers(host.fill()) == [[0]]


def test_ids_are_looked_up_when_all_had_their_say(carry: Carry) -> None:
    host = Host(carry, 1)
    host.giving.outflows[1].ask([number.to_bytes(16, "big") for number in range(LOOK_UP_BUDGET + 1)])
    for all_heard, gone, is_left in ((False, [], True), (True, [LOOK_UP_BUDGET], True), (True, [1], False)):
        host.giving.tick(NOW, all_heard=all_heard)
        assert [len(each.ids) // 16 for _, each in host.sent if isinstance(each, Gone)] == gone
        assert host.giving.unfinished == is_left
        host.sent.clear()


def test_ids_of_one_link_are_looked_up_at_a_time(carry: Carry) -> None:
    host = Host(carry, 2)
    for outflow in host.giving.outflows.values():
        outflow.ask([bytes(16)])
    for link in (1, 2):
        host.giving.tick(NOW, all_heard=True)
        assert [each for each, _ in host.sent] == [link]
        host.sent.clear()


def test_what_is_late_is_told_to_one_link_before_all_had_their_say(carry: Carry) -> None:
    host = Host(carry, 3)
    pushed = PUSH_BURST // 2
    for outflow in host.giving.outflows.values():
        outflow.fresh.add(9, references(host.put(pushed + 1, size=100)))
    turns = [host.fill()]
    given = [len(codec.split(each.envelopes)) for _, each in turns[0] if isinstance(each, Give)]
    assert given == [pushed] * 3, "what may be pushed waits for nobody"
    while host.giving.unfinished:
        host.giving.tick(NOW, all_heard=False)
        assert host.fill() == []
        host.giving.tick(NOW, all_heard=True)
        turns.append(host.fill())
    told = [[(link, each.fresh) for link, each in turn if isinstance(each, Have)] for turn in turns]
    assert [turn for turn in told if turn] == [[(1, LATE)], [(2, LATE)], [(3, LATE)]]
