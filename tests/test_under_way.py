"""What is on its way to a peer is not given again: each envelope crosses a link once, whoever asks for it meanwhile."""

from pathlib import Path

import pytest

from meshd.limits import ANNOUNCE_MS, RECONCILE_JITTER_MS, RECONCILE_MAX_MS, WANTED_MS
from meshd.proto import message as msg
from meshd.proto.session import State
from tests.homes import Table, key
from tests.test_exchange import said, stranger


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def test_no_round_begins_while_what_may_be_pushed_waits_for_room(table: Table) -> None:
    """Nothing comes through between two neighbours, and neither notices: a round would find what waits to be lacking,
    and both would give it again."""
    oak, elm = table.home(), table.home()
    links = dict(zip((oak, elm), table.link(oak, elm), strict=True))
    table.run(1_000)
    for home in links:
        home.drained = lambda link: None  # type: ignore[method-assign]
    for home in links:
        for number in range(60):
            home.post(str(number).ljust(4_000, "."))
    for _ in range(RECONCILE_MAX_MS // 100):
        table.run(100)
        assert not any(home.node.exchange.rounds.is_open(link) for home, link in links.items())
    for home, link in links.items():
        del home.drained  # type: ignore[misc]
        home.drained(link)
    table.run(3_000)
    for home in links:
        assert (home.node.exchange.sent, home.node.exchange.received) == (60, 60)


def test_what_is_on_its_way_is_not_given_again_because_it_is_asked_for(table: Table) -> None:
    oak = table.home()
    giver, peer = stranger(oak, 1), stranger(oak, 2)
    giver.give(said(1), fresh=True)
    want = msg.Want(key(said(1))[8:24])
    peer.say(want)
    assert peer.given() == [said(1)]
    table.run(WANTED_MS - 1)
    peer.say(want)
    assert peer.given() == [said(1)]
    table.run(1)
    peer.say(want)
    assert peer.given() == [said(1), said(1)], "it was lost, or dropped"


def test_a_post_that_is_pushed_and_asked_for_in_one_moment_is_answered(table: Table) -> None:
    """Its author was busy, and reads the hello and the first question of a round at once: the answer goes out, and
    the push behind it, so that the post is wanted when it comes. It is not given again, and its receipt comes."""
    oak, elm = table.home(), table.home()
    oak.post("whoever has more asks")
    link, _ = table.link(elm, oak)
    while elm.node.sessions[link].state is not State.GREETING:
        table.settle_for(1)
    number = elm.command("post", channel="plaza", text="hello", wait="held", timeout=5)
    arrived = bytearray()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(elm, "receive", lambda link, content: arrived.extend(content))
        table.run(RECONCILE_JITTER_MS)
    elm.receive(link, bytes(arrived))
    table.run(ANNOUNCE_MS)
    assert elm.node.exchange.sent == 1 and "hello" in oak.texts()
    result = elm.replies[number].result
    assert result is not None and result["state"] == "held"
