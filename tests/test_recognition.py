"""Recognition: who knows whom on a link, what it is good for, and what everybody else sees of it."""

from collections import Counter
from pathlib import Path

import pytest

from meshd import crypto
from meshd.errors import CallerError, Code, PeerError
from meshd.limits import CONTACT_FACTOR, DIALLED_MIN, HANDSHAKE_MS, INBOUND_MAX, PUSH_BURST, RECEIVED_FACTOR
from meshd.meshtime import CONTACTS_MIN
from meshd.post import HOUR_MS
from meshd.proto import message as msg
from meshd.proto.session import State
from meshd.recognition import pair_secret, tag
from meshd.words import fingerprint
from tests.homes import Home, Table, linked
from tests.wire import Pair, hello, session


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def identity(home: Home) -> bytes:
    return crypto.ed25519_keypair(home.log.seed)[0]


def add(home: Home, other: Home) -> None:
    """Take the other's card from their own screen."""
    home.ask("contact.add", card=other.ask("id.show")["card"], name=other.log.name)
    home.table.settle()


def link(dialler: Home, acceptor: Home) -> tuple[int, int]:
    ends = dialler.table.link(dialler, acceptor)
    dialler.table.settle()
    return ends


def known(home: Home) -> list[str | None]:
    """Whom this home knows to be behind its links."""
    return [each["contact"] for each in home.ask("status")["links"]]


# --- tags follow hello ---


@pytest.mark.parametrize("early", [msg.Ping(1), msg.Give(1, b""), msg.Proof(bytes(32), bytes(64)), hello()])
def test_tags_come_second(early: msg.Message) -> None:
    pair = Pair(dialler=session(1, dialled=True, greeting=[hello(), early]))
    with pytest.raises(PeerError):
        pair.run()
    assert pair.acceptor.state is State.GREETED


def test_a_hello_alone_does_not_keep_a_link_up() -> None:
    pair = Pair(dialler=session(1, dialled=True, greeting=[hello()]))
    pair.run()
    assert pair.acceptor.tick(HANDSHAKE_MS - 1) is None
    assert pair.acceptor.tick(HANDSHAKE_MS) == "the handshake took too long"


# --- who knows whom ---


def test_two_who_added_each_other_recognise_each_other(table: Table) -> None:
    oak, elm = table.home("oak"), table.home("elm")
    add(oak, elm)
    add(elm, oak)
    link(oak, elm)
    assert (known(oak), known(elm)) == (["elm"], ["oak"])
    assert [peer["contact"] for peer in elm.ask("peer.list")["peers"]] == ["oak"]


def test_who_was_added_by_one_side_only_is_nobody(table: Table) -> None:
    oak, elm = table.home("oak"), table.home("elm")
    add(oak, elm)
    link(oak, elm)
    assert (known(oak), known(elm)) == ([None], [None])


def test_who_was_verified_is_known_and_who_is_only_named_or_muted_is_not(table: Table) -> None:
    oak, elm, ash = table.home("oak"), table.home("elm"), table.home("ash")
    for home, other in ((oak, elm), (oak, ash), (elm, oak), (ash, oak)):
        home.log.authors.know(identity(other))
    oak.ask("contact.verify", who=identity(elm).hex(), words=fingerprint(identity(elm)))
    elm.ask("contact.verify", who=identity(oak).hex(), words=fingerprint(identity(oak)))
    for home, other in ((oak, ash), (ash, oak)):
        home.ask("contact.rename", who=identity(other).hex(), n="somebody")
        home.ask("contact.mute", who="somebody")
    link(oak, elm)
    link(oak, ash)
    assert known(oak) == [f"#{identity(elm).hex()[:4]}", None] and known(ash) == [None]


@pytest.mark.parametrize("first", [0, 1])
def test_who_add_each_other_while_they_are_linked_are_known_at_once(table: Table, first: int) -> None:
    oak, elm = table.home("oak"), table.home("elm")
    link(oak, elm)
    one, other = ((oak, elm), (elm, oak))[first]
    add(one, other)
    assert (known(oak), known(elm)) == ([None], [None])
    add(other, one)
    assert (known(oak), known(elm)) == (["elm"], ["oak"])


def test_who_is_blocked_is_nobody_on_links_that_are_up_and_on_new_ones(table: Table) -> None:
    oak, elm = table.home("oak"), table.home("elm")
    add(oak, elm)
    add(elm, oak)
    link(oak, elm)
    oak.ask("contact.block", who="elm")
    assert known(oak) == [None]
    table.cut(oak, oak.open_links()[0])
    table.settle()
    link(oak, elm)
    assert (known(oak), known(elm)) == ([None], [None])
    oak.ask("contact.unblock", who="elm")
    table.settle()
    assert (known(oak), known(elm)) == (["elm"], ["oak"])


def test_contacts_outnumber_tags_and_everybody_has_their_turn(table: Table) -> None:
    oak, elm = table.home("oak"), table.home("elm")
    add(oak, elm)
    add(elm, oak)
    oak.log.contacts.met(identity(elm))
    for number in range(150):
        other, _ = crypto.ed25519_keypair(bytes((number,)) * 32)
        oak.log.contacts.put(oak.log.contacts.get(other)._replace(is_added=True))
    for _ in range(4):  # who was met last is told every time
        ours, _ = link(oak, elm)
        assert known(oak) == ["elm"]
        table.cut(oak, ours)
        table.settle()
    for contact in oak.log.contacts.all():
        if contact.identity != identity(elm):
            oak.log.contacts.met(contact.identity)
    met = []
    for _ in range(8):
        ours, _ = link(oak, elm)
        met += known(oak)
        table.cut(oak, ours)
        table.settle()
        if met[-1] == "elm":
            break
    assert met[-1] == "elm" and len(met) <= 4  # 151 less the 32 met last, 32 at a time


def test_those_who_take_turns_are_told_equally_often(table: Table) -> None:
    oak = table.home("oak")
    for number in range(100):
        other, _ = crypto.ed25519_keypair(bytes((number,)) * 32)
        oak.log.contacts.put(oak.log.contacts.get(other)._replace(is_added=True, met=number + 1))
    told = Counter[bytes]()
    for _ in range(68):
        now = oak.node.recognition._told()
        assert len(now) == len(set(now)) == msg.TAG_COUNT
        told.update(now)
    last = oak.log.contacts.recognisable(32)
    assert sorted(told) == sorted(oak.log.contacts.recognisable())
    assert {told[each] for each in last} == {68} and {told[each] for each in told if each not in last} == {32}


def test_without_an_open_log_nobody_is_known(table: Table) -> None:
    oak, locked = table.home("oak"), table.home(locked=True)
    link(oak, locked)
    assert known(oak) == [None] and len(locked.open_links()) == 1


def test_tags_beyond_the_last_turn_are_not_answered(table: Table) -> None:
    oak = table.home("oak")
    stranger = linked(oak, 7)
    for _ in range(130):
        stranger.say(msg.Tags(bytes(msg.TAGS_SIZE)))
    assert stranger.is_open and len(stranger.heard(msg.Proof)) == 128


# --- what it is good for ---


def test_a_contact_is_counted_apart_and_can_be_pinged(table: Table) -> None:
    oak, elm, ash = table.home("oak"), table.home("elm"), table.home("ash")
    add(oak, elm)
    add(elm, oak)
    link(oak, elm)
    link(oak, ash)
    oak.post("hello")
    table.run(1_000)
    (post,) = oak.ask("read")["posts"]
    assert post["held_by"] == {"contacts": 1, "others": 1}
    number = oak.command("peer.ping", who="elm")
    table.settle()
    assert oak.replies[number].result is not None
    with pytest.raises(CallerError) as caught:
        elm.ask("peer.ping", who=identity(ash).hex())
    assert caught.value.code is Code.not_found
    add(elm, ash)
    with pytest.raises(CallerError) as caught:
        elm.ask("peer.ping", who="ash")
    assert caught.value.code is Code.no_peers


def test_a_contact_finds_a_place_where_a_stranger_finds_none(table: Table) -> None:
    oak, elm, ash = table.home("oak"), table.home("elm"), table.home("ash")
    add(oak, elm)
    add(elm, oak)
    for seed in range(INBOUND_MAX):
        linked(oak, seed)
    link(ash, oak)  # all of them too young to go
    assert ash.open_links() == [] and len(oak.open_links()) == INBOUND_MAX
    link(elm, oak)
    assert "elm" in known(oak) and len(oak.open_links()) == INBOUND_MAX + 1


def test_a_contact_takes_the_place_of_a_stranger_when_all_are_taken(table: Table) -> None:
    oak, elm, ash = table.home("oak"), table.home("elm"), table.home("ash")
    for home in (elm, ash):
        add(oak, home)
        add(home, oak)
    others = [table.home() for _ in range(DIALLED_MIN + 1)]
    for other in others:
        link(oak, other)
    strangers = [linked(oak, seed) for seed in range(INBOUND_MAX)]
    link(elm, oak)  # the sixteenth
    link(ash, oak)
    assert sorted(filter(None, known(oak))) == ["ash", "elm"] and len(oak.open_links()) == 16
    assert [stranger.down is not None for stranger in strangers].count(True) == 1


def test_a_contact_may_push_ten_times_as_much(table: Table) -> None:
    oak, elm = table.home("oak"), table.home("elm")
    add(oak, elm)
    add(elm, oak)
    ours, theirs = link(oak, elm)
    out, into = (
        oak.node.exchange.giving.outflows[ours].bucket,
        elm.node.exchange.ingress.inflows[theirs].bucket,
    )
    now_ms = table.now().mono_ms
    assert out.allow([1] * 100_000, now_ms) == PUSH_BURST * CONTACT_FACTOR
    assert into.allow([1] * 100_000, now_ms) == PUSH_BURST * CONTACT_FACTOR * RECEIVED_FACTOR
    table.passed_ms += 60_000
    assert out.allow([1] * 100_000, table.now().mono_ms) == 60 * CONTACT_FACTOR


@pytest.mark.parametrize("known_ones", [CONTACTS_MIN, CONTACTS_MIN - 1])
def test_contacts_who_agree_move_mesh_time_and_one_fewer_does_not(tmp_path: Path, known_ones: int) -> None:
    right, wrong = Table(tmp_path), 48 * HOUR_MS
    oak = right.home("oak")
    friends = [right.home() for _ in range(CONTACTS_MIN)]
    for friend in friends[:known_ones]:
        add(oak, friend)
        add(friend, oak)
    for friend in friends:
        friend.skew_ms = wrong
        link(friend, oak)
    clock = oak.ask("status")["clock"]
    assert clock["state"] == "ok" and clock["off_s"] > 40 * 3600
    moved_ms = oak.node.time.read(None).wall_ms - right.now().wall_ms
    assert (moved_ms > 40 * HOUR_MS) == (known_ones == CONTACTS_MIN)


# --- what others see ---


@pytest.mark.parametrize("both", [True, False])
def test_the_same_bytes_for_no_contact_one_and_64(tmp_path: Path, both: bool) -> None:
    moved = set()
    for count in (0, 1, 64):
        table = Table(tmp_path / str(count))
        table.folder.mkdir()
        oak, elm = table.home("oak"), table.home("elm")
        for number in range(count):
            other, _ = crypto.ed25519_keypair(bytes((number,)) * 32)
            oak.log.contacts.put(oak.log.contacts.get(other)._replace(is_added=True))
        if count and both:
            add(oak, elm)
            add(elm, oak)
            oak.log.contacts.met(identity(elm))
        link(oak, elm)
        assert known(oak) == (["elm"] if count and both else [None])
        moved.add(table.moved)
    assert len(moved) == 1


def test_tags_are_made_anew_for_every_session_side_and_turn() -> None:
    pair, other, session = bytes(32), b"\1" * 32, bytes(64)
    made = [
        tag(pair, session, 0),
        tag(pair, session, 1),
        tag(pair, session, 2),
        tag(pair, b"\1" * 64, 0),
        tag(other, session, 0),
    ]
    assert len(set(made)) == len(made) and {len(each) for each in made} == {16}


def test_a_pair_shares_a_secret_that_is_no_other_pairs() -> None:
    keys = [crypto.ed25519_keypair(bytes((n,)) * 32) for n in range(3)]
    shared = {pair_secret(keys[a][1], keys[b][0]) for a, b in ((0, 1), (1, 0))}
    assert len(shared) == 1 and pair_secret(keys[0][1], keys[2][0]) not in shared
