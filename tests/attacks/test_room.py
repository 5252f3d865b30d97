"""Attacks on the room that a laptop has for others' envelopes (attack cases E05, P01, P02).

Small rooms stand for large ones; the bound on what may be in them is the same code.
"""

from pathlib import Path

import pytest

from meshd import crypto, envelope, post
from meshd.ids import Address
from meshd.limits import REPEATED_EACH_MS, SLICE_MAX, SLICE_MS
from meshd.post import Text, encode_text
from meshd.proto import message as msg
from tests.homes import PLAZA, Home, Stranger, Table, key
from tests.wire import HOUR, WALL_MS, Author

FLOODER = Address("10.0.0.66", 40_000)
ALL_IDS = b"\x61\0\0\2\0"  # "I have nothing, up to infinity": asks for every id
GIVE = 100  # envelopes in one of the flooder's gives


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def junk(number: int, author: Author | None = None, keep_until: int = HOUR + 72) -> bytes:
    text = encode_text(Text("", b"", f"junk {number} ".ljust(200, "j")))
    return (author or Author(66)).envelope(
        channel=PLAZA, incarnation=number + 1, body=text, keep_until=keep_until
    )


def honest(home: Home, host: int, number: int) -> bytes:
    """A post that a stranger at this host brings."""
    raw = Author(host).envelope(
        channel=PLAZA, incarnation=number + 1, body=encode_text(Text("", b"", "hear me"))
    )
    stranger = Stranger(home, seed=1000 * host + number, address=Address(f"10.0.0.{host}", 40_000))
    home.table.settle()
    stranger.give(raw)
    home.table.cut(stranger, stranger.link)
    home.table.settle()
    return raw


def evicted(home: Home) -> int:
    number: int = home.ask("status")["disk"]["evicted"]
    return number


# --- E05 ---

EVICTED = 10_000


def carrying(table: Table) -> Home:
    """A home that carries EVICTED envelopes, whose signatures nobody looks at any more."""
    home = table.home()
    home.stop()
    home.start()
    key_ = Author(5).key
    for start in range(0, EVICTED, 1000):
        some = []
        for number in range(start, start + 1000):
            made = post.Post(
                1, PLAZA, b"", key_, number + 1, 1, b"", WALL_MS << 16, 1, HOUR + 30 + number % 40, b""
            )
            raw = envelope.seal_public(post.encode(made), bytes(64))
            some.append((key(raw), raw))
        home.carry.insert(some)
    home.log.set_opened(EVICTED)
    home.carry.commit()
    home.log.commit()
    home.stop()
    home.start()
    return home


def evict_all(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("meshd.eviction.CARRY_SIZE_MAX", 1)
        honest(home, 7, 1)
    assert evicted(home) == EVICTED and len(home.raws()) == 1


def test_E05_what_was_evicted_does_not_come_back_from_who_has_it(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    oak, elm = carrying(table), carrying(table)
    evict_all(oak, monkeypatch)
    table.link(oak, elm)
    table.run(2_000)
    assert len(elm.raws()) == EVICTED + 1, "the one that oak has gets there"
    received, moved = oak.node.exchange.received, table.moved
    table.run(10 * 60_000)
    assert oak.node.exchange.received == received and evicted(oak) == EVICTED
    assert table.moved - moved < 100_000, "rounds that find nothing, and pings"
    oak.stop()
    oak.start()
    table.settle()
    table.link(oak, elm)
    moved = table.moved
    table.run(10_000)
    assert oak.node.exchange.received == 0 and evicted(oak) == EVICTED, "nor after a start"
    assert table.moved - moved < 20_000


def test_E05_who_never_had_them_asks_in_vain_and_seldom(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    oak, ash = carrying(table), table.home()
    evict_all(oak, monkeypatch)
    table.link(oak, ash)
    table.run(60_000)
    assert len(ash.raws()) == 1
    moved = table.moved
    table.run(10 * 60_000)
    assert len(ash.raws()) == 1
    assert table.moved - moved < 10 * 60 * 2 * 80 * 1000 / REPEATED_EACH_MS, "80 bytes of each, on both sides"


# --- P01, P02 ---


def flood(home: Home, raws: list[bytes], at: Address = FLOODER) -> None:
    """Have a stranger give all these, after a round: what a round shows to be lacking is not rated."""
    flooder = Stranger(home, seed=at.port, address=at)
    home.table.settle()
    flooder.say(msg.Reconcile(0, 1, 0, 0, ALL_IDS))
    for start in range(0, len(raws), GIVE):
        flooder.give(*raws[start : start + GIVE])
    home.table.run(len(raws) * SLICE_MS // SLICE_MAX + 1)
    assert flooder.is_open, "it did nothing that could be held against it"
    home.table.cut(flooder, flooder.link)
    home.table.settle()


def test_P01_who_floods_pushes_out_nothing_but_its_own(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    size_max, ids_max = 200 * len(junk(0)), 1000
    monkeypatch.setattr("meshd.eviction.CARRY_SIZE_MAX", size_max)
    monkeypatch.setattr("meshd.eviction.CARRY_IDS_MAX", ids_max)
    oak = table.home()
    oak.ask("channel.join", name="plaza")
    oak.post("mine", keep="7d")
    before = [honest(oak, host, number) for host in range(10, 20) for number in range(5)]
    flood(oak, [junk(number, keep_until=HOUR + 6) for number in range(3_000)])
    later = [honest(oak, host, 100 + host) for host in range(10, 20)]
    flood(oak, [junk(number) for number in range(3_000, 3_300)])
    raws = oak.raws()
    assert set(before + later) <= set(raws), "what others brought stays, before and during"
    assert "mine" in oak.texts() and oak.ask("status")["counts"]["envelopes"] == len(raws)
    assert sum(map(len, raws)) <= size_max
    assert len(oak.node.keyset) <= ids_max
    oak.stop()
    oak.start()
    assert oak.raws() == raws and set(before + later) <= set(raws)


def test_P01_junk_of_a_short_life_does_not_push_out_what_lives_long(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meshd.eviction.CARRY_SIZE_MAX", 250 * len(junk(0)))
    oak = table.home()
    long_lived = Author(3).envelope(
        channel=PLAZA, keep_until=HOUR + 168, body=encode_text(Text("", b"", "long"))
    )
    stranger = Stranger(oak, address=Address("10.0.0.7", 40_000))
    table.settle()
    stranger.give(long_lived)
    flood(oak, [junk(number, keep_until=HOUR + 6) for number in range(700)])
    assert long_lived in oak.raws() and evicted(oak) > 400


def test_P02_fresh_keys_make_no_difference(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshd.eviction.CARRY_SIZE_MAX", 300 * len(junk(0)))
    monkeypatch.setattr("meshd.intake.ADMITTED_MAX", 100)
    oak = table.home()
    mine = [honest(oak, host, 1) for host in range(10, 20)]
    raws = []
    for number in range(500):
        author = Author(66)
        author.key, author.secret = crypto.ed25519_keypair(number.to_bytes(32, "big"))
        raws += [junk(each, author) for each in range(4)]
    flood(oak, raws)
    assert set(mine) <= set(oak.raws())
    assert sum(map(len, oak.raws())) <= 300 * len(junk(0)) and len(oak.node.intake._admitted) == 100


def test_P02_a_new_port_is_no_new_share(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshd.eviction.CARRY_SIZE_MAX", 100 * len(junk(0)))
    oak = table.home()
    mine = [honest(oak, 10, number) for number in range(30)]
    for port in range(40):
        flood(oak, [junk(10 * port + number) for number in range(10)], Address("10.0.0.66", 40_000 + port))
    assert set(mine) <= set(oak.raws())
