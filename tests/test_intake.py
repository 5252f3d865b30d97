"""Taking envelopes in: the order of the checks, what is remembered, and how the log follows carry."""

from pathlib import Path

import pytest

from meshd import envelope
from meshd.errors import PeerError
from meshd.intake import VERIFY_BATCH, Taken, Tally
from meshd.limits import EXPIRY_AHEAD_HOURS_MAX, STEP_BUDGET
from meshd.post import Text, encode_text
from tests.homes import PLAZA, Home, Table, key
from tests.wire import HOUR, WALL_MS, Author, array, item


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Table(tmp_path).home()


def said(number: int, *, seed: int = 3) -> bytes:
    """The n-th envelope of an author in the plaza."""
    body = encode_text(Text("", b"", str(number)))
    return Author(seed).envelope(channel=PLAZA, incarnation=number, body=body, hlc=WALL_MS + number << 16)


def sealed(number: int, *, hour: int = HOUR + 72) -> bytes:
    """An envelope that nobody here can open."""
    return envelope.seal(bytes(32), hour, number.to_bytes(24, "big"), b"secret")


def forged(raw: bytes) -> bytes:
    return raw[:-1] + bytes((raw[-1] ^ 1,))


def take(home: Home, *raws: bytes) -> Taken:
    """As one event would: take in and commit."""
    taken = home.node.intake.take(raws, "10.0.0.7:4040", home.table.now())
    home.carry.commit()
    home.log.commit()
    return taken


def test_new_envelopes_are_carried_in_the_order_they_came(home: Home) -> None:
    raws = [said(number) for number in range(5)]
    taken = take(home, *raws)
    assert taken.new == [(number + 1, key(raw)) for number, raw in enumerate(raws)]
    assert (taken.known, taken.error) == ([], None)
    assert home.raws() == raws


def test_what_is_known_is_told_and_not_carried_twice(home: Home) -> None:
    take(home, said(1))
    taken = take(home, said(1), said(2), said(2))
    assert [each for _, each in taken.new] == [key(said(2))]
    assert taken.known == [key(said(1)), key(said(2))]


def test_envelopes_of_other_versions_and_types_are_passed_over(home: Home) -> None:
    taken = take(home, array(item(2), item(0), item(b"later")), array(item(1), item(9), item(b"")), said(1))
    assert taken.error is None and home.raws() == [said(1)]


def test_what_is_sealed_is_carried_among_the_rest_and_known_when_it_comes_again(home: Home) -> None:
    taken = take(home, said(1), sealed(1), said(2), sealed(2), sealed(1))
    assert home.raws() == [said(1), sealed(1), said(2), sealed(2)]
    assert [each for _, each in taken.new] == [key(raw) for raw in home.raws()]
    assert taken.known == [key(sealed(1))] and taken.error is None
    taken = take(home, sealed(3), forged(said(3)), sealed(4))
    assert taken.error is not None and [each for _, each in taken.new] == [key(sealed(3))]
    assert len(take(home, sealed(4)).new) == 1, "a forged one blames nobody behind it"


def test_what_is_sealed_is_refused_when_it_expired_or_is_too_far_ahead(home: Home) -> None:
    hours = (HOUR, HOUR + EXPIRY_AHEAD_HOURS_MAX + 1)
    assert take(home, *(sealed(1, hour=hour) for hour in hours)) == Taken([], [], None)
    hours = (HOUR + 1, HOUR + EXPIRY_AHEAD_HOURS_MAX)
    assert len(take(home, *(sealed(1, hour=hour) for hour in hours)).new) == 2


@pytest.mark.parametrize(
    "bad", [b"\x94\x01\x00", forged(said(7)), said(7) + b"\0"], ids=["short", "forged", "long"]
)
def test_what_stands_before_a_fault_is_kept_and_what_comes_after_it_is_not(home: Home, bad: bytes) -> None:
    taken = take(home, said(1), bad, said(2))
    assert isinstance(taken.error, PeerError)
    assert home.raws() == [said(1)]
    assert len(home.node.keyset) == 1
    assert take(home, said(2)).error is None


@pytest.mark.parametrize("place", [0, VERIFY_BATCH - 1, VERIFY_BATCH, 2 * VERIFY_BATCH])
def test_a_forged_one_is_found_wherever_it_stands(home: Home, place: int) -> None:
    raws = [said(number) for number in range(2 * VERIFY_BATCH + 1)]
    taken = take(home, *raws[:place], forged(raws[place]), *raws[place + 1 :])
    assert taken.error is not None
    assert home.raws() == raws[:place]
    assert len(home.node.keyset) == place


def test_an_author_key_that_is_no_point_of_the_group_is_refused(home: Home) -> None:
    raw = Author(3).envelope(author=b"\1" + bytes(31))
    assert str(take(home, raw).error) == "an author key that is no valid point"


def test_what_was_refused_is_known_by_its_bytes_and_not_by_its_id(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(home, forged(said(1)))
    assert str(take(home, forged(said(1))).error) == "an envelope that was refused before"
    assert take(home, said(1)).error is None
    assert home.raws() == [said(1)]


def test_the_good_one_behind_a_forged_one_is_not_said_to_be_held(home: Home) -> None:
    take(home, said(2))
    taken = take(home, forged(said(1)), said(1), said(2))
    assert taken.error is not None and taken.known == [key(said(2))]


def test_who_has_no_time_takes_what_a_file_says_is_over(home: Home) -> None:
    over, now = sealed(1, hour=HOUR), home.table.now()
    assert home.node.intake.take_each([over], "bundle", now) == Tally(expired=1)
    assert home.node.intake.take_each([over], "bundle", now._replace(synced=False)) == Tally(new=1)


def test_a_full_set_takes_in_nothing_new_from_who_fills_it(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meshd.eviction.CARRY_IDS_MAX", 2)
    take(home, said(1), said(2))
    assert take(home, said(3), said(1)) == Taken([], [key(said(1))], None)
    assert home.node.intake.is_untimely(key(said(3))[8:24], home.table.now())
    assert len(home.node.keyset) == 2
    tally = home.node.intake.take_each([said(4), said(1)], "10.0.0.7:4040", home.table.now())
    assert tally == Tally(known=1, refused=1)


def test_so_much_is_remembered_and_what_was_not_seen_for_longest_goes(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit in ("REFUSED_MAX", "UNTIMELY_MAX", "ADMITTED_MAX"):
        monkeypatch.setattr(f"meshd.intake.{limit}", 3)
    intake, now = home.node.intake, home.table.now()
    old = [sealed(number, hour=HOUR) for number in range(5)]
    for raw in old:
        take(home, raw)
    assert [intake.is_untimely(key(raw)[8:24], now) for raw in old] == [False] * 2 + [True] * 3
    for number in (1, 2, 3, 1, 4):
        take(home, forged(said(number)))
    known = [str(take(home, forged(said(number))).error).endswith("before") for number in (1, 3, 4)]
    assert known == [True] * 3 and len(intake._refused) == 3
    for seed in range(10, 15):
        take(home, said(1, seed=seed))
    assert list(intake._admitted) == [Author(seed).key for seed in (12, 13, 14)]


def test_expired_and_far_ahead_are_refused_in_silence_and_not_remembered(home: Home) -> None:
    late = Author(3).envelope(channel=PLAZA, hlc=WALL_MS - 10**8 << 16, keep_until=HOUR)
    taken = take(home, late)
    assert taken == Taken([], [], None)
    home.table.skew_ms = -(10**7)
    assert len(take(home, late).new) == 1


def test_what_is_in_a_joined_channel_is_logged_in_the_same_event(home: Home) -> None:
    home.node.intake.join(PLAZA, "plaza")
    take(home, said(1))
    (row,) = home.log.after(0, None, 10)
    assert (row.text, row.via, row.first_seen_ms, row.own) == ("1", "10.0.0.7:4040", WALL_MS, False)
    assert home.node.intake.advanced == row.cursor
    assert not home.node.intake.behind


def test_joining_opens_what_is_carried_in_slices(home: Home) -> None:
    raws = [said(number) for number in range(STEP_BUDGET + 10)]
    take(home, *raws)
    assert home.log.count_posts() == 0
    home.node.intake.join(PLAZA, "plaza")
    home.node.intake.step(home.table.now())
    assert home.log.count_posts() == STEP_BUDGET and home.node.intake.behind
    home.node.intake.step(home.table.now())
    assert home.log.count_posts() == len(raws) and not home.node.intake.behind


def test_what_comes_while_the_log_is_behind_is_opened_in_its_turn_and_once(home: Home) -> None:
    take(home, *(said(number) for number in range(STEP_BUDGET + 1)))
    home.node.intake.join(PLAZA, "plaza")
    home.node.intake.step(home.table.now())
    take(home, said(900))
    while home.node.intake.behind:
        home.node.intake.step(home.table.now())
    texts = [row.text for row in home.log.after(0, None, 1000)]
    assert texts == [str(number) for number in range(STEP_BUDGET + 1)] + ["900"]


def test_a_crash_between_the_two_commits_only_delays(home: Home) -> None:
    home.node.intake.join(PLAZA, "plaza")
    home.log.commit()
    home.node.intake.take([said(1)], "x", home.table.now())
    home.carry.commit()  # and the log's commit never comes
    home.stop()
    home.start()
    home.table.settle()
    assert home.texts() == ["1"]


def test_a_channel_that_was_left_takes_in_no_more_and_shows_it_all_after_joining_again(home: Home) -> None:
    home.node.intake.join(PLAZA, "plaza")
    take(home, said(1))
    home.node.intake.leave(PLAZA)
    take(home, said(2))
    assert home.log.after(0, None, 10) == []
    assert home.texts() == ["1", "2"]
