"""Attacks on links between nodes: two at once, one to oneself, one that is cut (attack cases N)."""

import random
from itertools import permutations
from pathlib import Path

import pytest

from meshd import codec
from meshd.events import DialFailed, LinkOpened, NetworkChanged, PeerFound, Renew
from meshd.ids import Address, key_reference
from meshd.limits import CROSSED_MS, DEAD_MS, GRAFT_MS
from meshd.proto import message as msg
from meshd.proto.peers import crossed
from tests.homes import HERE, PLAZA, Home, Stranger, Table, key
from tests.wire import Author

OAK, ELM = Address("10.0.0.1", 4001), Address("10.0.0.2", 4002)


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def dial(table: Table, dialler: Home, acceptor: Home, address: Address) -> None:
    """A dial whose two ends learn of it whenever it is their turn."""
    ours, theirs = table.join(dialler, acceptor)
    table.after(acceptor, theirs, acceptor.handle, LinkOpened(theirs, HERE, False))
    table.after(dialler, ours, dialler.handle, LinkOpened(ours, address, True))


def are_linked_once(table: Table, oak: Home, elm: Home) -> bool:
    """Whether each has one link and no other session, and it is the same one on both sides."""
    (ours,), (theirs,) = oak.open_links(), elm.open_links()
    alone = len(oak.node.sessions) == len(elm.node.sessions) == 1
    return alone and table.far(oak, ours) == (elm, theirs)


def test_N12_simultaneous_dials_end_in_one_link_the_same_on_both_sides(table: Table) -> None:
    oak, elm = table.home(), table.home()
    table.shuffle = rng = random.Random(12)
    for turn in range(1_000):
        oak.node.peers.add_typed(ELM, table.now().mono_ms)
        elm.node.peers.add_typed(OAK, table.now().mono_ms)
        oak.node.peers.due(1, 1, table.now().mono_ms)
        elm.node.peers.due(1, 1, table.now().mono_ms)
        dials = [(oak, elm, ELM), (elm, oak, OAK)]
        if turn % 5 == 0:
            dials.append(dials[turn % 2])  # and one of them twice
        rng.shuffle(dials)
        for dialler, acceptor, address in dials:
            dial(table, dialler, acceptor, address)
        table.settle()
        assert are_linked_once(table, oak, elm), f"turn {turn}"
        oak.handle(NetworkChanged())  # which gives new link keys
        table.settle()
        assert oak.node.sessions == elm.node.sessions == {}
        oak.node.peers.drop(str(ELM))
        elm.node.peers.drop(str(OAK))


def test_N12_both_sides_keep_the_same_of_two_links() -> None:
    """Each side sees the two links in its own order; ages differ by less than what counts as crosswise."""
    for low_dialled_first, high_sees_same_order in permutations((True, False), 2):
        kept = []
        for is_low, sees_first_first in ((True, True), (False, high_sees_same_order)):
            low_dialled_old = low_dialled_first == sees_first_first
            ours, theirs = (b"\1" * 32, b"\2" * 32) if is_low else (b"\2" * 32, b"\1" * 32)
            old_dialled = low_dialled_old == is_low
            keep = crossed(ours, theirs, old_dialled=old_dialled, new_dialled=not old_dialled, old_age_ms=9)
            kept.append(low_dialled_old == (keep == "old"))  # whether the lower key's dial stays
        assert kept == [True, True]


def test_N12_a_corpse_gives_way_to_a_new_link(table: Table) -> None:
    oak, elm = table.home(), table.home()
    ours, _ = table.link(oak, elm)
    table.settle()
    table.vanish(oak, ours)  # oak lost it; elm was not told
    oak.closed(ours, "gone")
    table.run(CROSSED_MS + 1)
    table.link(oak, elm)
    table.settle()
    assert are_linked_once(table, oak, elm)


def test_N14_a_stream_cut_without_a_bye_advances_nothing(table: Table) -> None:
    oak = table.home()
    raw = Author(3).envelope(channel=PLAZA)
    reference = key_reference(key(raw))
    first, second = Stranger(oak, seed=1), Stranger(oak, seed=2)
    table.settle()
    first.say(msg.Have(0, reference))
    table.run(GRAFT_MS)
    assert first.heard(msg.Want) == [msg.Want(reference[4:])]
    second.say(msg.Have(0, reference))
    assert second.heard(msg.Want) == []  # one link at a time is asked
    first.session.send(msg.Give(0, codec.join([raw])))
    content = first.session.take_output(table.now().mono_ms)
    table.carry(first, first.link, content[:-1])
    table.cut(first, first.link)
    table.settle()
    assert oak.raws() == []
    table.settle()
    assert second.heard(msg.Want) == [msg.Want(reference[4:])]
    second.give(raw)
    assert oak.texts() == ["hello"]


def test_N14_a_round_that_was_cut_is_made_up_for(table: Table) -> None:
    oak, elm = table.home(), table.home()
    for number in range(40):
        oak.post(f"oak {number}")
        elm.post(f"elm {number}")
    for cut_after in (2, 4, 6, 8, 10, 12):
        ours, _ = table.link(oak, elm)
        table.passed_ms += 100  # by now the first round is due
        table.settle_for(cut_after)
        table.cut(oak, ours)
        table.settle()
    table.link(oak, elm)
    table.run(5_000)
    assert len(oak.texts()) == len(elm.texts()) == 80


def test_N15_a_link_to_ourselves_is_dropped_and_not_tried_again(table: Table) -> None:
    oak = table.home()
    oak.ask("peer.add", address=str(OAK))
    table.settle()
    assert oak.dials == [OAK]
    table.link(oak, oak, OAK)
    table.settle()
    assert oak.node.sessions == {}
    assert [peer["state"] for peer in oak.ask("peer.list")["peers"]] == ["this node itself"]
    table.run(600_000)
    assert oak.dials == [OAK]


def test_N15_our_own_announcement_is_no_candidate(table: Table) -> None:
    oak = table.home()
    (renew,) = [effect for effect in oak.effects if isinstance(effect, Renew)]
    oak.handle(PeerFound(renew.instance, renew.tag, (OAK,)))
    table.run(60_000)
    assert oak.dials == []


def test_N10_a_peer_that_fell_silent_frees_its_slot(table: Table) -> None:
    oak = table.home()
    stranger = Stranger(oak)
    table.settle()
    table.vanish(stranger, stranger.link)
    table.run(DEAD_MS)
    assert oak.node.sessions == {}


def test_N10_a_dial_that_is_never_answered_frees_its_slot(table: Table) -> None:
    oak = table.home()
    oak.ask("peer.add", address=str(OAK))
    table.settle()
    oak.handle(DialFailed(OAK, "it did not answer in time"))
    assert [peer["state"] for peer in oak.ask("peer.list")["peers"]] == ["waiting"]
