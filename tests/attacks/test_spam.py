"""Spam: what one link pushes is bounded before it costs anything, and what others post goes its way."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from meshd import codec, crypto
from meshd.events import Rest
from meshd.ids import REFERENCE_SIZE, Address, key_reference
from meshd.intake import VERIFY_BATCH
from meshd.limits import (
    ANNOUNCE_MS,
    ANSWER_MS,
    GIVE_SIZE_MAX,
    GRAFT_MS,
    INBOUND_MAX,
    LASTING_MS,
    LATE_MAX,
    LINKS_MAX,
    LIVELY_MS,
    OVER_RATE_MS,
    PUSH_BURST,
    PUSH_MINUTE,
    RECEIVED_FACTOR,
    RECONCILE_JITTER_MS,
    RECONCILE_MAX_MS,
    REFERENCES_SECOND,
    SLICE_MAX,
    SLICE_MS,
)
from meshd.post import Text, encode_text
from meshd.proto import message as msg
from tests.homes import PLAZA, Home, Stranger, Table, key
from tests.wire import HOUR, WALL_MS, Author

ALLOWED = PUSH_BURST * RECEIVED_FACTOR


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def junk(count: int, authors: int = 1, first: int = 0) -> list[bytes]:
    """Valid envelopes that nobody wants, by so many authors."""
    keys = [Author(10 + number) for number in range(authors)]
    return [
        keys[number % authors].envelope(channel=b"\x09" * 16, incarnation=number, hlc=WALL_MS + number << 16)
        for number in range(first, first + count)
    ]


def told_late(stranger: Stranger) -> list[bytes]:
    """What the home announced to a stranger instead of pushing it: the keys, as far as it holds them."""
    keys = {key_reference(key(raw)): key(raw) for raw in stranger.table.homes[0].raws()}
    late = b"".join(each.references for each in stranger.heard(msg.Have) if each.fresh == msg.LATE)
    return [keys[reference] for reference in codec.chop(late, REFERENCE_SIZE, len(late))]


def count_checks(home: Home) -> list[int]:
    """The number of signatures in each call of the verifier, from now on."""
    calls: list[int] = []

    def verify_many(checks: Sequence[crypto.Check]) -> list[bool]:
        calls.append(len(checks))
        return [True] * len(checks)

    home.node.intake._verify_many = verify_many
    return calls


def test_P01_what_is_over_the_rate_is_neither_verified_nor_kept_nor_remembered(table: Table) -> None:
    oak = table.home()
    flooder = Stranger(oak)
    table.settle()
    checks = count_checks(oak)
    flood = junk(ALLOWED + 400)
    for start in range(0, len(flood), 100):
        flooder.give(*flood[start : start + 100], fresh=True)
    assert sum(checks) == len(oak.raws()) == ALLOWED
    honest = Stranger(oak, seed=2)
    table.settle()
    honest.give(flood[-1], fresh=True)  # what was dropped may come from somebody else at any time
    assert flood[-1] in oak.raws()


def test_P02_keys_that_cost_nothing_do_not_raise_what_a_link_may_push(table: Table) -> None:
    oak = table.home()
    flooder = Stranger(oak)
    table.settle()
    for start in range(0, 1_000, 200):
        flooder.give(*junk(200, authors=50, first=start), fresh=True)
    assert len(oak.raws()) == ALLOWED
    table.run(20_000)
    flooder.say(msg.Pong(0))
    flooder.give(*junk(200, authors=50, first=1_000), fresh=True)
    assert len(oak.raws()) == ALLOWED + PUSH_MINUTE // 3


def test_P02_what_nobody_asked_for_is_rated_though_it_does_not_claim_to_be_fresh(table: Table) -> None:
    oak = table.home()
    flooder = Stranger(oak)
    table.run(60_000 // 2)
    flooder.say(msg.Pong(0))
    for start in range(0, 1_000, 200):
        flooder.give(*junk(200, first=start))
    assert len(oak.raws()) == ALLOWED


def test_P06_a_replay_of_what_is_here_costs_no_signature_check(table: Table) -> None:
    oak = table.home()
    flooder = Stranger(oak)
    table.settle()
    old = junk(100)
    flooder.give(*old, fresh=True)
    checks = count_checks(oak)
    for _ in range(50):
        flooder.give(*old, fresh=True)
    assert checks == [] and len(oak.raws()) == 100


def test_P03_what_a_noisy_neighbour_pushes_takes_a_round_trip_of_others_and_nothing_else(
    table: Table,
) -> None:
    oak = table.home()
    flooder, honest, watching = (Stranger(oak, seed=seed) for seed in (1, 2, 3))
    table.settle()
    for start in range(0, ALLOWED, 100):
        flooder.give(*junk(100, first=start), fresh=True)
    table.run(ALLOWED * SLICE_MS // SLICE_MAX)
    assert len(watching.given()) == PUSH_BURST // 2
    assert told_late(watching)[:LATE_MAX] == [key(raw) for raw in junk(LATE_MAX, first=PUSH_BURST // 2)]
    while oak.node.exchange.giving.outflows[watching.home_link].bucket.allow([400], table.now().mono_ms):
        pass  # the others have pushed the rest
    watching.got.clear()  # it wants none of these, and the others need not wait for that
    raw = Author(3).envelope(channel=PLAZA, body=encode_text(Text("", b"", "water")))
    honest.give(raw, fresh=True)
    assert told_late(watching) == [key(raw)]
    watching.say(msg.Want(key(raw)[8:24]))
    assert watching.given() == [raw]


def test_P03_what_is_over_the_rate_is_fetched_at_once(table: Table) -> None:
    oak, elm, ash = (table.home() for _ in range(3))
    ash.ask("channel.join", name="plaza")
    table.link(oak, elm)
    table.link(elm, ash)
    table.run(RECONCILE_JITTER_MS)
    posts = [str(number) for number in range(PUSH_BURST + LATE_MAX + 50)]
    for number, text in enumerate(posts):
        oak.post(text)
        table.settle()
        if not number % SLICE_MAX:
            table.run(ANNOUNCE_MS)  # receipts go together, and turns come
            assert ash.texts()[-1] == text
    assert ash.texts() == posts


def test_P03_who_does_not_want_what_is_announced_instead_is_told_no_more_than_so_many_at_a_time(
    table: Table,
) -> None:
    oak = table.home()
    deaf = Stranger(oak)
    table.settle()
    for number in range(PUSH_BURST + LATE_MAX + 10):
        oak.post(str(number))
    table.settle()
    assert len(told_late(deaf)) == LATE_MAX
    table.run(ANSWER_MS)
    assert len(told_late(deaf)) == LATE_MAX + 9  # and one was pushed


def test_P01_who_gives_as_asked_keeps_nobody_waiting_for_more_than_a_slice(table: Table) -> None:
    oak = table.home()
    flooder, honest, watching = (Stranger(oak, seed=seed) for seed in (1, 2, 3))
    table.settle()
    references = b"".join(key_reference(key(raw)) for raw in junk(5 * SLICE_MAX))
    flooder.say(msg.Have(msg.LATE, references))
    assert sum(len(each.ids) for each in flooder.heard(msg.Want)) == 5 * SLICE_MAX * 16
    honest.say(msg.Push(1))
    checks = count_checks(oak)
    flooder.session.send(msg.Give(0, codec.join(junk(5 * SLICE_MAX))))
    flooder.flush()
    raw = Author(3).envelope(channel=PLAZA, body=encode_text(Text("", b"", "water")))
    honest.session.send(msg.Give(1, codec.join([raw])))
    honest.flush()
    table.settle_for(2)
    assert raw in oak.raws() and len(oak.raws()) <= 2 * SLICE_MAX
    assert Rest(flooder.home_link, True) in oak.effects
    table.run(5 * SLICE_MS)
    assert raw in watching.given()
    assert len(oak.raws()) == 5 * SLICE_MAX + 1 and max(checks) <= SLICE_MAX
    assert oak.effects[-1] == Rest(flooder.home_link, False)


def test_P01_what_nobody_wanted_is_dropped_though_something_else_was_asked_for(table: Table) -> None:
    oak = table.home()
    flooder = Stranger(oak)
    table.run(60_000)
    flood = junk(ALLOWED + 200)
    flooder.say(msg.Have(msg.LATE, b"".join(key_reference(key(raw)) for raw in flood[:50])))
    assert len(flooder.heard(msg.Want)[-1].ids) == 50 * 16
    checks = count_checks(oak)
    for start in range(0, len(flood), 50):
        flooder.give(*flood[start : start + 50])
    assert sum(checks) == len(oak.raws()) == 50 + ALLOWED
    for _ in range(10):
        flooder.give(*flood[-100:])
    assert sum(checks) == 50 + ALLOWED and Rest(flooder.home_link, True) in oak.effects
    oak.effects.clear()
    table.run(OVER_RATE_MS)
    assert oak.effects == [Rest(flooder.home_link, False)]


def test_P01_of_what_is_announced_a_little_is_fetched_at_a_time_while_others_speak(table: Table) -> None:
    oak = table.home()
    flooder, honest = Stranger(oak, seed=1), Stranger(oak, seed=2)
    table.settle()
    flood = junk(40 * SLICE_MAX)
    flooder.say(msg.Have(msg.LATE, b"".join(key_reference(key(raw)) for raw in flood)))
    flooder.session.send(msg.Give(0, codec.join(flood)))
    honest.say(msg.Ping(1), msg.Push(1))
    flooder.flush()
    pause_ms = SLICE_MS * 2 // LINKS_MAX
    for slices in range(1, 20):
        table.run(pause_ms)
        assert len(oak.raws()) <= (slices + 2) * SLICE_MAX
    table.run(LIVELY_MS)
    assert len(oak.raws()) == len(flood)


def test_P01_who_has_nobody_else_to_wait_for_is_taken_in_at_once(table: Table) -> None:
    oak = table.home()
    giver = Stranger(oak, seed=1)
    Stranger(oak, seed=2)  # it says nothing
    table.settle()
    table.run(LIVELY_MS)
    posts = junk(40 * SLICE_MAX)
    giver.say(msg.Have(msg.LATE, b"".join(key_reference(key(raw)) for raw in posts)))
    checks = count_checks(oak)
    giver.give(*posts)
    assert checks[0] >= VERIFY_BATCH and len(oak.raws()) == len(posts)


def test_P01_dialling_anew_gives_no_new_allowance_and_shuts_out_nobody_behind_that_address(
    table: Table,
) -> None:
    oak = table.home()
    oak.ask("channel.join", name="plaza")
    flood = junk(3 * ALLOWED)
    for start in range(0, len(flood), ALLOWED // 2):
        flooder = Stranger(oak, seed=start)
        table.settle()
        for first in range(start, start + ALLOWED // 2, 100):
            flooder.give(*flood[first : first + 100], fresh=True)
        table.cut(flooder, flooder.link)
        table.settle()
    assert len(oak.raws()) == ALLOWED
    elm = table.home()
    table.link(elm, oak)
    table.run(RECONCILE_JITTER_MS)
    elm.post("lost")
    table.settle()
    assert oak.texts() == [], "its push is over the rate of that address"
    elm.post("told")  # oak said that it does not want to be pushed to
    table.run(GRAFT_MS + ANNOUNCE_MS)
    assert oak.texts() == ["told"]
    table.run(RECONCILE_MAX_MS)
    assert oak.texts() == ["lost", "told"]
    other = Stranger(oak, seed=3, address=Address("10.0.0.77", 40_000))
    table.settle()
    other.give(*junk(SLICE_MAX, first=len(flood)), fresh=True)
    assert len(oak.raws()) == ALLOWED + SLICE_MAX + 2


def test_P03_who_dials_anew_goes_on_with_its_part_of_what_may_be_pushed_to_others(table: Table) -> None:
    oak = table.home()
    watching, _ = (Stranger(oak, seed=seed, address=Address("10.0.0.77", 40_000)) for seed in (0, 1))
    for start in range(0, PUSH_BURST, 100):
        flooder = Stranger(oak, seed=start + 2)
        table.settle()
        flooder.give(*junk(100, first=start), fresh=True)
        table.run(100 * SLICE_MS // SLICE_MAX)
        table.cut(flooder, flooder.link)
        table.settle()
    assert len(oak.raws()) == PUSH_BURST
    pushed = [each for each in watching.heard(msg.Give) if each.fresh]
    assert sum(len(codec.split(each.envelopes)) for each in pushed) == PUSH_BURST // 2


def test_P01_dialling_anew_puts_out_nobody_who_dials_from_elsewhere(table: Table) -> None:
    oak = table.home()
    hosts = [Address(f"10.0.1.{number}", 40_000) for number in range(INBOUND_MAX)]
    honest = [Stranger(oak, seed=number, address=host) for number, host in enumerate(hosts)]
    table.run(LASTING_MS)
    for _ in range(5):
        for stranger in honest:
            stranger.say(msg.Ping(1))
        Stranger(oak, seed=table.passed_ms, address=Address("10.0.0.66", 40_000))
        table.run(LASTING_MS // 2)
    assert sum(stranger.down is not None for stranger in honest) <= 1
    assert len(oak.open_links()) == INBOUND_MAX


def test_P01_who_promises_much_is_not_read_for_the_rest_of_the_second_while_others_speak(
    table: Table,
) -> None:
    oak = table.home()
    flooder, honest = Stranger(oak, seed=1), Stranger(oak, seed=2)
    promised = [
        (HOUR + 9).to_bytes(4, "big") + number.to_bytes(16, "big") for number in range(REFERENCES_SECOND + 1)
    ]
    table.settle()
    honest.say(msg.Push(1))
    oak.effects.clear()
    pieces = [msg.Have(msg.FRESH, piece) for piece in msg.pieces(promised[:-1])]
    flooder.say(*pieces)
    assert not oak.effects
    flooder.say(msg.Want(promised[-1][4:]))
    assert oak.effects == [Rest(flooder.home_link, True)]
    table.run(1_000)
    assert oak.effects[1:] == [Rest(flooder.home_link, False)]
    table.run(LIVELY_MS)
    flooder.say(*pieces, *pieces)
    assert len(oak.effects) == 2, "nobody waits"


def test_P03_what_is_on_its_way_late_delays_nothing_that_came_from_others(table: Table) -> None:
    oak = table.home()
    flooder, honest, watching = (Stranger(oak, seed=seed) for seed in (1, 2, 3))
    table.settle()
    flood = junk(LATE_MAX)
    flooder.say(msg.Have(msg.LATE, b"".join(key_reference(key(raw)) for raw in flood)))
    flooder.give(*flood)
    table.run(LATE_MAX * SLICE_MS // SLICE_MAX)
    assert told_late(watching), "and it wants none of these"
    watching.got.clear()
    raw = Author(3).envelope(channel=PLAZA, body=encode_text(Text("", b"", "water")))
    honest.give(raw, fresh=True)
    assert watching.given() == [raw]


def test_P03_what_one_asks_for_in_bulk_delays_what_another_fetches_by_one_give(table: Table) -> None:
    oak = table.home()
    oak.node.intake.take(junk(4 * GIVE_SIZE_MAX // len(junk(1)[0])), "bundle", table.now())
    greedy, modest = Stranger(oak, seed=1), Stranger(oak, seed=2)
    table.settle()
    raws = oak.raws()
    for stranger, wanted in ((greedy, raws), (modest, raws[-1:])):
        for piece in msg.pieces([key(raw)[8:24] for raw in wanted]):
            stranger.session.send(msg.Want(piece))
        stranger.flush()
    for _ in range(40):
        table.settle_for(1)
        if modest.given():
            break
    assert modest.given() == raws[-1:] and len(greedy.given()) < len(raws) / 2


def test_P05_bad_signatures_cost_one_batch_and_then_the_link(table: Table) -> None:
    oak = table.home()
    flooder = Stranger(oak)
    table.settle()
    checks: list[int] = []

    def verify_many(some: Sequence[crypto.Check]) -> list[bool]:
        checks.append(len(some))
        return crypto.verify_many(some)

    oak.node.intake._verify_many = verify_many
    flooder.give(*[raw[:-64] + bytes(64) for raw in junk(ALLOWED)], fresh=True)
    assert flooder.down is not None and len(checks) == 1 and checks[0] <= VERIFY_BATCH
    assert oak.raws() == []
