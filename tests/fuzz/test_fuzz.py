"""F18: a few thousand seeded inputs a target, and what longer campaigns have found; `scripts/fuzz` runs millions."""

import gc
import tracemalloc
from pathlib import Path

import pytest

from meshd.events import BytesReceived
from meshd.proto import message as msg
from tests.fuzz import campaign
from tests.fuzz.node import FuzzNode
from tests.fuzz.targets import make_targets
from tests.homes import Stranger, Table
from tests.wire import Author

INPUTS = 1500
LEAK_SIZE_MAX = 64 * 1024  # what caches and free lists may take; a byte kept of each input would be more


@pytest.mark.parametrize("name", make_targets())
def test_F18_nothing_but_a_refusal_comes_out_of_a_decoder(name: str) -> None:
    tally = campaign.run(make_targets()[name], 18, 0, INPUTS)
    assert not tally.fault, tally.fault
    assert 0.2 * INPUTS < tally.accepted < 0.9 * INPUTS  # both ways are tried


@pytest.mark.parametrize("name", make_targets())
def test_F18_memory_stays_as_it_is(name: str) -> None:
    target = make_targets()[name]
    campaign.run(target, 18, 0, 200)
    gc.collect()
    tracemalloc.start()
    try:
        campaign.run(target, 18, 200, 200)
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        campaign.run(target, 18, 400, 400)
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - before < LEAK_SIZE_MAX
    finally:
        tracemalloc.stop()


def test_F18_a_node_outlives_what_strangers_say(tmp_path: Path) -> None:
    node = FuzzNode(tmp_path)
    tally = campaign.run(node, 18, 0, INPUTS)
    assert not tally.fault, tally.fault
    assert 0.2 * INPUTS < tally.accepted < 0.9 * INPUTS
    assert node.check() > 20


def test_S07_a_malformed_question_that_had_to_wait_closes_its_link(tmp_path: Path) -> None:
    table = Table(tmp_path)
    home = table.home()
    bringing, liar = Stranger(home, seed=1), Stranger(home, seed=2)
    table.settle()
    bringing.give(Author().envelope())  # for a moment, the questions of others wait
    liar.session.send(msg.Reconcile(0, 1, 0, 5, b"\x61\0\0\7"))
    home.handle(BytesReceived(liar.home_link, liar.session.take_output(0)))
    assert liar.down is None and len(home.open_links()) == 2
    table.run(1_000)
    assert liar.down is not None and home.open_links() == [bringing.home_link]
