"""The node: which links there are, whom they lead to, when they end, and that effects follow commits."""

from pathlib import Path

import pytest

from meshd.errors import CallerError, Code, DiskError
from meshd.events import (
    Advanced,
    CloseLink,
    Command,
    DialFailed,
    Drained,
    LinkClosed,
    LinkOpened,
    Listening,
    NetworkChanged,
    PeerFound,
    PeerLost,
    Renew,
    Reply,
    SendBytes,
    Stopping,
    Wake,
)
from meshd.ids import COMMONS_KEY, Address, discovery_tag
from meshd.limits import HALF_OPEN_MAX, HANDSHAKE_MS, INBOUND_MAX, LINKS_MAX
from meshd.proto import message as msg
from tests.homes import HERE, PLAZA, Stranger, Table
from tests.wire import Author, hello


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def linked(table: Table) -> list[tuple[int, int]]:
    """(home, open links) of each home."""
    return [(home.number, len(home.open_links())) for home in table.homes]


def test_two_homes_link_and_greet(table: Table) -> None:
    oak, elm = table.home(), table.home()
    ours, theirs = table.link(oak, elm)
    table.settle()
    assert linked(table) == [(0, 1), (1, 1)]
    assert oak.node.sessions[ours].link_key == elm.node.presence.link_keys[0]
    assert elm.node.sessions[theirs].link_key == oak.node.presence.link_keys[0]
    assert oak.node.sessions[ours].handshake_hash == elm.node.sessions[theirs].handshake_hash


def test_a_post_is_read_on_the_other_side_at_once(table: Table) -> None:
    oak, elm = table.home(), table.home()
    table.link(oak, elm)
    table.settle()
    oak.post("hello")
    table.settle()
    assert elm.texts() == ["hello"]


def test_a_post_crosses_homes_that_are_not_in_its_channel(table: Table) -> None:
    oak, elm, fir = table.home(), table.home(), table.home()
    table.link(oak, elm)
    table.link(elm, fir)
    table.settle()
    oak.post("far away")
    table.settle()
    assert elm.ask("status")["counts"] == {"posts": 0, "envelopes": 1, "channels": 0}
    assert fir.texts() == ["far away"]


def test_what_was_posted_before_a_link_comes_after_it(table: Table) -> None:
    oak, elm = table.home(), table.home()
    for number in range(3):
        oak.post(f"oak {number}")
        elm.post(f"elm {number}")
    table.link(oak, elm)
    table.run(2_000)
    assert sorted(oak.texts()) == sorted(elm.texts())
    assert len(oak.texts()) == 6


def test_nothing_leaves_before_it_is_committed(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    oak, elm = table.home(), table.home()
    table.link(oak, elm)
    table.settle()
    committed: list[str] = []
    carry_commit, log_commit = oak.carry.commit, oak.log.commit
    monkeypatch.setattr(oak.carry, "commit", lambda: (committed.append("carry"), carry_commit()))
    monkeypatch.setattr(oak.log, "commit", lambda: (committed.append("log"), log_commit()))
    parts = oak.node.handle(Command(99, "post", {"channel": "plaza", "text": "hello"}), table.now())
    assert [type(effect) for effect in next(parts)] == [SendBytes] and committed == ["carry"]
    assert {type(effect) for effect in next(parts)} == {Advanced, Reply} and committed == ["carry", "log"]
    assert list(parts) == []

    def fails() -> None:
        raise DiskError("no room")

    monkeypatch.setattr(oak.carry, "commit", fails)
    moved = table.moved
    with pytest.raises(DiskError):
        oak.post("never acknowledged")
    assert table.moved == moved and oak.replies == {}


def test_M08_a_network_change_renews_everything_that_others_saw(table: Table) -> None:
    oak, elm = table.home(), table.home()
    ours, _ = table.link(oak, elm)
    table.settle()
    key = oak.node.presence.link_keys[0]
    (first,) = [effect for effect in oak.effects if isinstance(effect, Renew)]
    effects = oak.handle(NetworkChanged())
    (second,) = [effect for effect in effects if isinstance(effect, Renew)]
    assert len({first.instance, first.host, second.instance, second.host}) == 4
    assert second.tag == discovery_tag(COMMONS_KEY, second.instance)
    assert oak.node.presence.link_keys[0] != key
    assert CloseLink(ours, "this laptop changed networks", True) in effects
    table.settle()
    assert linked(table) == [(0, 0), (1, 0)]


def found(instance: str, *addresses: Address, key: bytes = COMMONS_KEY) -> PeerFound:
    return PeerFound(instance, discovery_tag(key, instance), addresses)


def test_a_fellow_member_is_dialled_at_its_nearby_addresses_only(table: Table) -> None:
    oak = table.home()
    near = Address("192.168.1.7", 4040)
    outside = [Address("8.8.8.8", 4040), Address("192.168.1.8", 80), Address("127.0.0.1", 4040)]
    oak.handle(found("stranger", near, key=b"another network's key".ljust(32)))
    oak.handle(found("nowhere", *outside))
    table.run(1_000)
    assert oak.dials == []
    oak.handle(found("fellow", *outside, near))
    table.run(1_000)
    assert oak.dials == [near]


def test_who_is_gone_is_not_dialled_again(table: Table) -> None:
    oak = table.home()
    oak.handle(found("fellow", HERE))
    table.run(1_000)
    oak.handle(DialFailed(HERE, "refused"))
    oak.handle(PeerLost("fellow"))
    table.run(600_000)
    assert oak.dials == [HERE]


def test_half_open_links_are_bounded_and_the_oldest_makes_room(table: Table) -> None:
    oak = table.home()
    for link in range(HALF_OPEN_MAX):
        effects = oak.handle(LinkOpened(link, HERE, False))
        assert [type(effect) for effect in effects] == [SendBytes]
    effects = oak.handle(LinkOpened(HALF_OPEN_MAX, HERE, False))
    assert [type(effect) for effect in effects] == [CloseLink, SendBytes]
    assert sorted(oak.node.sessions) == list(range(1, HALF_OPEN_MAX + 1))
    table.run(HANDSHAKE_MS)
    assert oak.node.sessions == {}


def test_strangers_who_dial_in_leave_room_for_links_of_ones_own(table: Table) -> None:
    oak = table.home()
    for seed in range(INBOUND_MAX + 1):
        last = Stranger(oak, seed=seed)
        table.settle()
    assert last.heard(msg.Bye) == [msg.Bye(msg.BYE_FULL)] and last.down is not None
    assert len(oak.open_links()) == INBOUND_MAX
    for seed in range(LINKS_MAX - INBOUND_MAX + 1):
        last = Stranger(oak, seed=100 + seed, dials=False)
        table.settle()
    assert last.heard(msg.Bye) == [msg.Bye(msg.BYE_FULL)]
    assert len(oak.open_links()) == LINKS_MAX


def test_F16_a_hello_without_a_common_version_ends_in_a_bye(table: Table) -> None:
    oak = table.home()
    stranger = Stranger(oak, greeting=[hello(versions=b"\2\3")])
    table.settle()
    assert stranger.heard(msg.Bye) == [msg.Bye(msg.BYE_VERSION)]
    assert oak.node.sessions == {}


def test_a_bye_ends_a_link_with_its_reason(table: Table) -> None:
    oak = table.home()
    oak.ask("peer.add", address=str(HERE))
    table.settle()
    stranger = Stranger(oak, dials=False)
    table.settle()
    stranger.say(msg.Bye(msg.BYE_DONE))
    assert oak.node.sessions == {}
    assert oak.ask("peer.list")["peers"][0]["reason"] == "the peer is shutting down"


def test_a_stop_says_bye_to_everybody(table: Table) -> None:
    oak = table.home()
    strangers = [Stranger(oak, seed=seed) for seed in range(3)]
    table.settle()
    effects = oak.handle(Stopping())
    assert sum(isinstance(effect, CloseLink) and effect.flush for effect in effects) == 3
    table.settle()
    assert all(each.heard(msg.Bye) == [msg.Bye(msg.BYE_DONE)] for each in strangers)


def test_an_address_given_up_closes_its_link(table: Table) -> None:
    oak = table.home()
    oak.ask("peer.add", address=str(HERE))
    table.settle()
    stranger = Stranger(oak, dials=False)
    table.settle()
    assert stranger.is_open
    assert oak.ask("peer.drop", address=str(HERE))["peers"] == []
    table.settle()
    assert stranger.heard(msg.Bye) == [msg.Bye(msg.BYE_DONE)] and oak.carry.addresses() == []


def test_addresses_typed_in_survive_a_start(table: Table) -> None:
    oak = table.home()
    oak.ask("peer.add", address=str(HERE))
    table.settle()
    oak.stop()
    oak.dials.clear()
    oak.start()
    table.settle()
    assert oak.dials == [HERE]


def test_what_comes_on_a_link_that_is_gone_changes_nothing(table: Table) -> None:
    oak = table.home()
    assert oak.handle(Drained(9)) == oak.handle(LinkClosed(9, "gone")) == oak.handle(Wake()) == []
    oak.receive(9, b"late")
    assert oak.node.sessions == {}


def test_status_tells_listeners_and_links(table: Table) -> None:
    oak = table.home()
    oak.handle(Listening((Address("10.0.0.1", 4040),)))
    stranger = Stranger(oak)
    table.settle()
    status = oak.ask("status")
    assert status["listen"] == ["10.0.0.1:4040"]
    assert status["links"] == [
        {
            "peer": oak.node.sessions[stranger.home_link].link_key.hex(),
            "contact": None,
            "address": str(HERE),
            "since": "2026-09-21T14:13:20.000Z",
            "direction": "in",
        }
    ]


def test_a_locked_node_relays_and_answers_nothing_private(table: Table) -> None:
    elm, fir = table.home(), table.home()
    oak = table.home(locked=True)
    table.link(elm, oak)
    table.link(oak, fir)
    table.settle()
    elm.post("hello")
    table.settle()
    assert fir.texts() == ["hello"]
    assert oak.ask("status")["locked"] and oak.ask("status")["counts"]["envelopes"] == 1
    for method, params in (("read", {}), ("id.show", {}), ("post", {"channel": "plaza", "text": "no"})):
        with pytest.raises(CallerError) as refused:
            oak.ask(method, **params)
        assert refused.value.code is Code.locked


def test_what_came_while_locked_is_opened_after(table: Table) -> None:
    oak = table.home(locked=True)
    stranger = Stranger(oak)
    table.settle()
    stranger.give(Author(3).envelope(channel=PLAZA))
    oak.stop()
    oak.locked = False
    oak.start()
    assert oak.texts() == ["hello"]


def test_a_message_of_an_unknown_kind_is_skipped(table: Table) -> None:
    oak = table.home()
    stranger = Stranger(oak)
    table.settle()
    assert stranger.session._writer is not None
    stranger.session._writer.queue(b"\x92\x7f\x01", 0)
    stranger.give(Author(3).envelope())
    assert stranger.is_open and len(oak.raws()) == 1


def test_a_post_given_is_in_the_log_of_who_joined(table: Table) -> None:
    oak = table.home()
    oak.ask("channel.join", name="plaza")
    stranger = Stranger(oak)
    table.settle()
    stranger.give(Author(3).envelope(channel=PLAZA))
    assert oak.texts() == ["hello"]
