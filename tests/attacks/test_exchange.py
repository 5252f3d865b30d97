"""Attacks on what is posted and on how it spreads (attack cases S): forks, restores, gaps, liars, who withholds."""

import shutil
from pathlib import Path

import pytest

from meshd.ids import envelope_key, key_hour, key_reference
from meshd.limits import GRAFT_MS, JITTERED_ROUND_OF, KEYED_MS, PARENTS_MAX, ROUND_MS
from meshd.post import Text, encode_text
from meshd.proto import message as msg
from meshd.proto.keyset import KeySet
from tests.homes import PLAZA, Home, Stranger, Table, key
from tests.wire import HOUR, WALL_MS, Author, hello


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def said(text: str, *, seed: int = 3, **changed: object) -> bytes:
    """An envelope of a post in the plaza."""
    body = encode_text(Text("", b"", text))
    return Author(seed).envelope(channel=PLAZA, body=body, **changed)


def give(table: Table, home: Home, *raws: bytes) -> Stranger:
    """Have a stranger link to this home and give these."""
    stranger = Stranger(home, seed=len(table.homes) + table.moved % 1000)
    table.settle()
    stranger.give(*raws)
    return stranger


def forked(home: Home) -> list[bool]:
    return [row.forked for row in home.log.after(0, None, 1000)]


def test_S01_two_posts_with_one_sequence_are_kept_shown_as_a_fork_and_passed_on(table: Table) -> None:
    oak, elm = table.home(), table.home()
    for home in (oak, elm):
        home.ask("channel.join", name="plaza")
    table.link(oak, elm)
    table.settle()
    give(table, oak, said("yes"), said("no"), said("another's", seed=4))
    table.run(3_000)
    for home in (oak, elm):
        rows = home.log.after(0, None, 10)
        assert sorted((row.text, row.forked) for row in rows) == [
            ("another's", False),
            ("no", True),
            ("yes", True),
        ]


def test_S01_the_proof_spreads_through_who_is_not_in_the_channel(table: Table) -> None:
    oak, ash, elm = table.home(), table.home(), table.home()
    for home in (oak, elm):
        home.ask("channel.join", name="plaza")
    give(table, oak, said("yes", keep_until=HOUR + 6))
    give(table, elm, said("no", keep_until=HOUR + 70))
    table.link(oak, ash)
    table.link(ash, elm)
    table.run(10_000)
    assert len(ash.raws()) == 2 and ash.log.count_posts() == 0
    for home in (oak, elm):
        assert sorted(home.texts()) == ["no", "yes"] and forked(home) == [True, True]
    table.skew_ms = 7 * 3_600_000  # one of the two expires: who saw both still says so
    for home in (oak, ash, elm):
        home.ask("clock.confirm")
    table.run(1_000)
    assert [len(home.raws()) for home in (oak, ash, elm)] == [1, 1, 1]
    for home in (oak, elm):
        assert forked(home) == [True, True]
    ash.ask("channel.join", name="plaza")
    assert ash.texts() == ["no"] and forked(ash) == [False], "who has one of them can't know"


def test_S01_another_incarnation_or_channel_is_no_fork(table: Table) -> None:
    oak = table.home()
    for name in ("plaza", "market"):
        oak.ask("channel.join", name=name)
    market = oak.node.commands.channel("market").id
    other = Author(3).envelope(channel=market, body=encode_text(Text("", b"", "b")))
    give(table, oak, said("a"), other, said("c", incarnation=8))
    assert forked(oak) == [False, False, False]


def copy(home: Home) -> Path:
    """Back up the files of a home that is off."""
    folder = home.folder / "copy"
    folder.mkdir()
    for name in ("carry", "log"):
        shutil.copy2(home.folder / name, folder / name)
    return folder


def restore(home: Home, folder: Path) -> None:
    for name in ("carry", "log"):
        shutil.copy2(folder / name, home.folder / name)


def test_S02_a_restored_backup_begins_a_new_incarnation(table: Table) -> None:
    restored_and_posts(table, before_any_link=False)


def test_E12_a_restored_backup_that_posts_before_any_link_does_too(table: Table) -> None:
    restored_and_posts(table, before_any_link=True)


def restored_and_posts(table: Table, *, before_any_link: bool) -> None:
    """A post after the backup is out when the backup is restored; nobody sees a fork, and everybody all three."""
    oak, elm = table.home(), table.home()
    table.link(oak, elm)
    table.settle()
    oak.post("one")
    table.settle()
    oak.stop()
    folder = copy(oak)
    oak.start()
    table.link(oak, elm)
    table.run(1_000)
    oak.post("two, after the backup")
    table.settle()
    oak.stop()
    table.settle()
    restore(oak, folder)
    oak.start()
    if before_any_link:
        oak.post("three, from the backup")
    table.link(oak, elm)
    table.run(5_000)
    if not before_any_link:
        oak.post("three, from the backup")
        table.settle()
    for home in (oak, elm):
        assert sorted(home.texts()) == ["one", "three, from the backup", "two, after the backup"]
        assert not any(forked(home))
    assert len({row.incarnation for row in elm.log.after(0, None, 10)}) == 3


def test_S03_a_hole_is_shown_as_missing_until_reconcile_fills_it(table: Table) -> None:
    oak, elm = table.home(), table.home()
    first = said("first")
    second = said("second", sequence=2, parents=key(first)[8:], hlc=WALL_MS + 1 << 16)
    third = said("third", sequence=3, parents=key(second)[8:], hlc=WALL_MS + 2 << 16)
    elm.ask("channel.join", name="plaza")
    give(table, elm, first, third)
    result = elm.ask("read", channel="plaza")
    assert [(gap["author"], gap["count"]) for gap in result["missing"]] == [(Author(3).key.hex(), 1)]
    give(table, oak, second)
    table.link(oak, elm)
    table.run(3_000)
    assert elm.texts() == ["first", "second", "third"]
    assert elm.ask("read", channel="plaza")["missing"] == []


def test_S03_a_parent_that_nobody_has_stays_shown_as_missing(table: Table) -> None:
    oak = table.home()
    oak.ask("channel.join", name="plaza")
    give(table, oak, said("child", parents=b"\x77" * 32))
    table.run(60_000)
    (gap,) = oak.ask("read", channel="plaza")["missing"]
    assert (gap["author"], gap["count"]) == (None, 1)


@pytest.mark.parametrize(
    "parents",
    [b"".join(bytes((n,)) * 32 for n in range(PARENTS_MAX + 1)), b"\1" * 64, b"\1" * 31],
    ids=["nine", "one twice", "half a one"],
)
def test_S04_impossible_parents_close_the_link(table: Table, parents: bytes) -> None:
    oak = table.home()
    stranger = give(table, oak, said("before"), said("bad", parents=parents))
    assert stranger.down is not None
    assert oak.raws() == [said("before")]


def test_S04_parents_that_are_dated_after_their_child_are_shown_before_it(table: Table) -> None:
    """An id is a hash over the parents' ids, so that no cycle can be written; the stamps may still lie."""
    oak = table.home()
    oak.ask("channel.join", name="plaza")
    raws = [said("0", hlc=WALL_MS + 50 << 16)]
    for number in range(1, 50):
        stamp = WALL_MS + 50 - number << 16
        raws.append(said(str(number), sequence=number + 1, parents=key(raws[-1])[8:], hlc=stamp))
    give(table, oak, *reversed(raws))
    assert oak.texts() == [str(number) for number in range(50)]


def test_S05_a_peer_that_claims_to_have_the_same_hides_nothing(table: Table) -> None:
    oak, elm = table.home(), table.home()
    oak.post("hidden by the liar")
    same = hello(floor_hour=elm.node.exchange.floor_hour(table.now()), fingerprint=KeySet().fingerprint(0, 0))
    liar = Stranger(elm, greeting=[same, msg.Tags(bytes(msg.TAGS_SIZE))])
    table.settle()

    def lie() -> None:
        for question in liar.heard(msg.Reconcile):
            liar.say(msg.Reconcile(1, question.round, HOUR, 0, b"\x61"))  # "nothing differs"
        liar.got.clear()

    table.link(oak, elm)
    for _ in range(20):
        lie()
        table.run(100)
    assert elm.texts() == ["hidden by the liar"]


@pytest.mark.parametrize(
    ("jittered_of", "keyed_ms", "found"),
    [(10**9, 10**9, False), (JITTERED_ROUND_OF, 10**9, True), (10**9, KEYED_MS, True)],
    ids=["neither", "jittered openings", "keyed rounds"],
)
def test_S05_a_post_is_not_hidden_by_others_that_make_the_same_sum(
    table: Table, monkeypatch: pytest.MonkeyPatch, jittered_of: int, keyed_ms: int, found: bool
) -> None:
    """What an author ground for years: p and q here, r and s there, and p + q = r + s. Nobody has years, so q, r and s
    are ids without posts, put into the sets alone."""
    monkeypatch.setattr("meshd.exchange.JITTERED_ROUND_OF", jittered_of)
    monkeypatch.setattr("meshd.proto.keyed.KEYED_MS", keyed_ms)
    oak, elm = table.home(), table.home()
    for home in (oak, elm):
        stranger = give(table, home, *(said("everybody's", incarnation=number) for number in range(40)))
        table.cut(stranger, stranger.link)
    elm.post("hidden")
    hidden = elm.raws()[-1]
    r, s = (int.from_bytes(bytes((number,)) * 32, "little") for number in (0x33, 0xDD))
    q = (r + s - int.from_bytes(key(hidden)[8:], "little")) % 2**256
    for home, number in ((oak, r), (oak, s), (elm, q)):
        home.node.keyset.insert(envelope_key(key_hour(key(hidden)), number.to_bytes(32, "little")))
    table.link(oak, elm)
    table.run(6 * 60_000)
    assert (hidden in oak.raws()) == found


def test_S08_answers_to_nothing_change_nothing(table: Table) -> None:
    oak = table.home()
    oak.post("mine")
    stranger = Stranger(oak)
    table.run(1_000)
    stranger.got.clear()
    everything = b"\x61" + b"\0\0\2\1" + b"\x33" * 32  # "I have this id, and nothing else"
    stranger.say(
        msg.Reconcile(1, 999, HOUR, 1, everything),
        msg.Pong(77),
        msg.Gone(b"\x11" * 16),
        msg.Have(0, b"\0" * 20),  # expired long ago
        msg.Have(0, b"\xff" * 20),  # and in a far future
    )
    table.run(1_000)
    assert stranger.is_open
    assert [m for m in stranger.got if isinstance(m, msg.Want | msg.Give)] == []
    assert len(oak.raws()) == 1


def test_S08_an_envelope_that_nobody_asked_for_is_checked_like_any_other(table: Table) -> None:
    oak = table.home()
    give(table, oak, said("unasked"))
    assert oak.texts() == ["unasked"]


def test_S11_seven_of_eight_links_withhold_and_it_comes_by_the_eighth(table: Table) -> None:
    oak, elm = table.home(), table.home()
    withheld = said("withheld")
    reference = key_reference(key(withheld))
    elm.ask("channel.join", name="plaza")
    give(table, oak, withheld)
    liars = [Stranger(elm, seed=100 + number) for number in range(7)]
    table.settle()
    liars[0].say(msg.Have(0, reference))
    table.run(GRAFT_MS)
    assert liars[0].heard(msg.Want) == [msg.Want(reference[4:])]
    table.link(oak, elm)
    for _ in range(600):
        table.run(100)
        for liar in liars:  # each announces it again and again, and never gives it
            if liar.is_open:
                liar.say(msg.Have(0, reference), msg.Pong(0))
        if elm.texts():
            break
    assert elm.texts() == ["withheld"]
    assert table.passed_ms <= 30_000


def test_S11_a_round_that_is_never_answered_delays_no_other(table: Table) -> None:
    oak, elm = table.home(), table.home()
    for number in range(20):
        oak.post(str(number))
    silent = [Stranger(elm, seed=200 + number) for number in range(7)]
    table.run(30_000 - 1_000)
    assert all(len(each.heard(msg.Give)) == 0 for each in silent)
    table.link(oak, elm)
    table.run(1_000)
    assert len(elm.texts()) == 20


def test_S09_what_is_asked_for_again_and_again_before_it_came_is_given_once(table: Table) -> None:
    oak = table.home()
    for number in range(20):
        oak.post(str(number))
    stranger = Stranger(oak)
    table.run(1_000)
    wanted = b"".join(key(raw)[8:24] for raw in oak.raws())
    for _ in range(50):
        stranger.session.send(msg.Want(wanted))
    stranger.flush()
    table.run(ROUND_MS)  # the node's own round is never answered
    assert stranger.given() == oak.raws()


def claims_more(number: int) -> msg.Reconcile:
    """A question of somebody who says to have more than anybody, and whose set differs from every other."""
    return msg.Reconcile(0, number, HOUR, 2**40, b"\x61\0\0\1" + b"\x77" * 16)


@pytest.mark.parametrize("liars", [1, 5])
def test_S11_who_always_claims_to_have_more_keeps_nobody_else_from_bringing_it(
    table: Table, liars: int
) -> None:
    oak, elm = table.home(), table.home()
    for number in range(100):
        oak.post(str(number))
    asking = [Stranger(elm, seed=300 + number) for number in range(liars)]
    table.settle()
    for number in range(300):
        if number == 10:
            table.link(oak, elm)
        for liar in asking:
            liar.say(claims_more(number))
        table.run(100)
    assert len(elm.texts()) == 100


def test_S11_who_brings_one_post_at_a_time_keeps_nobody_else_from_bringing_theirs(table: Table) -> None:
    oak, elm = table.home(), table.home()
    for number in range(100):
        oak.post(str(number))
    liar = Stranger(elm, seed=300)
    table.settle()
    for number in range(300):
        if number == 10:
            table.link(oak, elm)
        liar.say(claims_more(number))
        liar.give(said(f"junk {number}", incarnation=number))
        table.run(100)
    assert len([text for text in elm.texts() if not text.startswith("junk")]) == 100
