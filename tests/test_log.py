"""The log: posts once and in order, names and tags, holes, forks and heads, whatever the order of arrival."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshd import crypto, post
from meshd.errors import CallerError, Code
from meshd.post import Post, Text
from meshd.store import authors, chains
from meshd.store.db import Database
from meshd.store.log import Channel, Entry, Log, Row

KEY = b"l" * 32
SEED = b"s" * 32
OWN, _ = crypto.ed25519_keypair(SEED)
OAK, ASH = b"\x0a" * 32, b"\xa5" * 32
SQUARE, BRIDGE = b"square".ljust(16), b"bridge".ljust(16)
HOUR = 500_000
START_MS = HOUR * post.HOUR_MS


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def log(path: Path) -> Iterator[Log]:
    made = Log.create(path, KEY, SEED, "me", durable=False)
    made.join(SQUARE, "square", "public")
    made.join(BRIDGE, "bridge", "public")
    made.commit()
    yield made
    made.close()


def reopened(log: Log, path: Path) -> Log:
    log.commit()
    log.close()
    return Log(path, KEY, durable=False)


def entry(
    author: bytes,
    sequence: int,
    *parents: Entry | bytes,
    at_s: float | None = None,
    channel: bytes = SQUARE,
    incarnation: int = 1,
    name: str = "",
    text: str | None = "hello",
    reply_to: bytes = b"",
) -> Entry:
    """A post `at_s` seconds (its sequence, unless given) after the start."""
    hlc = START_MS + int((sequence if at_s is None else at_s) * 1000) << 16
    ids = b"".join(each if isinstance(each, bytes) else each.id for each in parents)
    body = Text(name, reply_to, text) if text is not None else None
    packed = post.encode_text(body) if body else b"no text"
    made = Post(1, channel, b"", author, incarnation, sequence, ids, hlc, 1, HOUR + 72, packed)
    return Entry(post.post_id(post.encode(made)), made, body, "link", START_MS)


def chain(author: bytes, length: int, **slots: int) -> list[Entry]:
    posts: list[Entry] = []
    for sequence in range(1, length + 1):
        posts.append(entry(author, sequence, *posts[-1:], **slots))  # type: ignore[arg-type]
    return posts


def ids(rows: list[Row]) -> list[bytes]:
    return [row.id for row in rows]


def shown(log: Log, channel: bytes | None = SQUARE) -> list[bytes]:
    return ids(log.latest(channel, 1000))


# --- what the node remembers ---


def test_identity_and_place(log: Log, path: Path) -> None:
    assert (log.seed, log.name, log.opened(), log.last_hlc(), log.last_cursor()) == (SEED, "me", 0, 0, 0)
    log.set_opened(7)
    log.set_last_hlc(START_MS + 2000 << 16)
    log.insert_many([entry(OAK, 2, b"1" * 32), entry(OAK, 1)])
    again = reopened(log, path)
    assert (again.seed, again.name, again.opened(), again.last_cursor()) == (SEED, "me", 7, 2)
    assert again.last_hlc() == START_MS + 2000 << 16
    again.close()


def test_left_in_the_middle_of_being_made(path: Path) -> None:
    Database.create(path, KEY, (("CREATE TABLE node (seed, name)",),), durable=False).close()
    with pytest.raises(CallerError) as caught:
        Log(path, KEY, durable=False)
    assert caught.value.code is Code.invalid


def test_rollback_forgets_everything(log: Log) -> None:
    first, second, third = chain(OAK, 3)
    log.insert_many([first])
    log.commit()
    log.insert_many([third, entry(ASH, 1, b"absent".ljust(32), name="ash")])
    log.set_opened(9)
    log.rollback()
    assert (log.opened(), log.last_cursor(), log.missing(), log.author_name(ASH)) == (0, 1, [], "")
    assert log.insert(*second) == 2
    assert log.heads(SQUARE, 8) == [second.id]


# --- posts once, in order ---


def test_row_holds_what_came(log: Log) -> None:
    text = "tab\there, \x00 and \u202e and 🌳"
    first = entry(OAK, 1, name="oak\n", text=text, at_s=1.5)
    answer = entry(OWN, 1, first, reply_to=first.id, at_s=2)
    log.insert_many([first, answer])
    log.count_held(answer.id)
    log.count_held(answer.id, contacts=2, others=0)
    assert log.after(0, None, 10) == [
        Row(
            1, first.id, SQUARE, "square", "public", OAK, "oak\n", 1, 1, b"", START_MS + 1500 << 16, 1,
            HOUR + 72, text, b"", False, "link", START_MS, 0, 0, False,
        ),
        Row(
            2, answer.id, SQUARE, "square", "public", OWN, "me", 1, 1, first.id, START_MS + 2000 << 16, 1,
            HOUR + 72, "hello", first.id, True, "link", START_MS, 2, 1, False,
        ),
    ]  # fmt: skip
    assert log.row(answer.id) == log.after(1, None, 1)[0]
    assert log.row(b"x" * 32) is None


def test_a_post_comes_once(log: Log, path: Path) -> None:
    first, second = chain(OAK, 2)
    assert log.insert_many([first, first]) == [1, None]
    assert log.insert_many([second, first]) == [2, None]
    again = reopened(log, path)
    assert again.insert_many([second]) == [None]
    assert again.insert_many([]) == []
    assert again.count_posts() == 2
    again.close()


def test_channel_that_was_never_joined(log: Log) -> None:
    other = b"other".ljust(16)
    assert (log.after(0, other, 9), log.latest(other, 9), log.missing(other)) == ([], [], [])
    assert (log.heads(other, 9), log.last_own(other), log.joined(other)) == ([], None, False)
    with pytest.raises(KeyError):
        log.insert(*entry(OAK, 1, channel=other))


def test_after_goes_on_from_a_cursor(log: Log) -> None:
    square, bridge = chain(OAK, 5), [entry(OAK, n, channel=BRIDGE, at_s=n) for n in (1, 2)]
    log.insert_many([*square[:3], *bridge, *square[3:]])
    assert ids(log.after(0, None, 4)) == [each.id for each in [*square[:3], bridge[0]]]
    assert [row.cursor for row in log.after(4, None, 9)] == [5, 6, 7]
    assert [row.cursor for row in log.after(2, SQUARE, 2)] == [3, 6]
    assert [row.cursor for row in log.after(0, BRIDGE, 9)] == [4, 5]
    assert log.after(7, None, 9) == []


def test_latest_is_by_time_whatever_came_first(log: Log) -> None:
    posts = chain(OAK, 4)
    log.insert_many([posts[2], posts[0], posts[3], posts[1]])
    assert shown(log) == [each.id for each in posts]
    assert ids(log.latest(None, 2)) == [each.id for each in posts[2:]]
    assert ids(log.latest(None, 9, since_ms=START_MS + 3000)) == [each.id for each in posts[2:]]
    assert log.latest(SQUARE, 0) == []


def test_latest_of_all_channels_is_one_order(log: Log) -> None:
    posts = [entry(OAK, n, b"p" * 32, channel=(SQUARE, BRIDGE)[n % 2], at_s=n) for n in range(1, 7)]
    log.insert_many(posts)
    assert ids(log.latest(None, 4)) == [each.id for each in posts[2:]]


def test_parent_before_a_child_that_claims_to_be_older(log: Log) -> None:
    parent = entry(OAK, 1, at_s=50)
    child = entry(ASH, 1, parent, at_s=10)
    grandchild = entry(ASH, 2, child, parent, at_s=20)
    bystander = entry(OWN, 1, at_s=30)
    log.insert_many([child, grandchild, bystander, parent])
    assert shown(log) == [each.id for each in (bystander, parent, child, grandchild)]


def test_same_time_is_ordered_by_id(log: Log) -> None:
    posts = [entry(bytes((n,)) * 32, 1, at_s=1) for n in range(1, 9)]
    log.insert_many(posts)
    assert shown(log) == sorted(each.id for each in posts)


def test_no_text_is_chained_but_not_shown(log: Log) -> None:
    first = entry(OAK, 1)
    silent = entry(OAK, 2, first, text=None)
    third = entry(OAK, 3, silent)
    assert log.insert_many([first, silent, third]) == [1, 2, 3]
    assert shown(log) == ids(log.after(0, None, 9)) == [first.id, third.id]
    assert (log.count_posts(), log.missing()) == (2, [])
    row = log.row(silent.id)
    assert row is not None and row.text is None


def test_find_by_prefix(log: Log) -> None:
    posts = [entry(bytes((n,)) * 32, 1, at_s=n) for n in range(1, 40)]
    log.insert_many(posts)
    for size in 1, 6, 15, 16, 17, 63, 64:
        prefix = posts[7].id.hex()[:size]
        expected = sorted(each.id for each in posts if each.id.hex().startswith(prefix))
        assert ids(log.find(prefix, limit=40)) == expected
    assert log.find("f" * 64) == []
    assert len(log.find(posts[7].id.hex()[:1], limit=1)) == 1


# --- channels ---


def test_leaving_hides_and_joining_shows_again(log: Log, path: Path) -> None:
    square, bridge = entry(OAK, 1), entry(OAK, 1, channel=BRIDGE)
    log.insert_many([square, bridge, entry(OAK, 3, b"2" * 32)])
    log.leave(SQUARE)
    again = reopened(log, path)
    assert not again.joined(SQUARE) and again.joined(BRIDGE)
    assert shown(again, None) == ids(again.after(0, None, 9)) == [bridge.id]
    assert (again.count_posts(), again.missing()) == (1, [])
    assert [channel.name for channel in again.channels()] == ["bridge"]
    assert len(shown(again)) == 2  # asked for by name
    again.join(SQUARE, "square", "public")
    assert (again.count_posts(), again.missing()) == (3, [(OAK, SQUARE, 1)])
    assert again.channel_name(SQUARE) == "square" and again.channel_name(b"x" * 16) == ""
    again.close()


def test_unread_counts_what_others_said_after_the_mark(log: Log) -> None:
    theirs = chain(OAK, 3)
    log.insert_many([*theirs, entry(OWN, 1), entry(OAK, 4, theirs[2], text=None)])

    def unread() -> list[Channel]:
        return [channel for channel in log.channels() if channel.id == SQUARE]

    assert unread() == [Channel(SQUARE, "square", "public", 3)]
    log.set_read(SQUARE, 2)
    assert unread()[0].unread == 1
    log.set_read(SQUARE, 1)
    assert unread()[0].unread == 1
    log.set_read(SQUARE, 5)
    assert unread()[0].unread == 0


# --- names ---


def test_name_is_that_of_the_newest_post_that_has_one(log: Log, path: Path) -> None:
    log.insert_many([entry(OAK, 5, b"4" * 32, name="new"), entry(OAK, 1, name="old")])
    log.insert_many([entry(OAK, 6, b"5" * 32)])
    assert log.author_name(OAK) == "new"
    assert {row.author_name for row in log.latest(SQUARE, 9)} == {"new"}
    again = reopened(log, path)
    again.insert(*entry(OAK, 2, b"1" * 32, name="older"))
    assert again.author_name(OAK) == "new"
    again.close()


def test_own_name_does_not_follow_posts(log: Log) -> None:
    log.insert(*entry(OWN, 1, name="somebody else"))
    assert log.author_name(OWN) == "me"
    assert log.author_name(ASH) == ""


def test_tag_grows_until_it_is_the_only_one(log: Log) -> None:
    near = OAK[:3] + b"\x0b" * 29
    log.insert(*entry(OAK, 1))
    assert log.tag(OAK) == OAK.hex()[:4]
    log.insert(*entry(near, 1))
    # 0a0a0a0a and 0a0a0a0b: the eighth digit tells them apart.
    assert (log.tag(OAK), log.tag(near)) == ("0a0a0a0a", "0a0a0a0b")
    assert log.tag(ASH) == "a5a5"  # not known here


def test_many_authors_and_chains_do_not_stay_in_memory(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chains, "CHAINS_MAX", 3)
    monkeypatch.setattr(authors, "AUTHORS_MAX", 3)
    people = [bytes((n,)) * 32 for n in range(1, 11)]
    for sequence in 1, 2, 4:
        log.insert_many(
            [entry(who, sequence, *[b"p" * 32] * (sequence > 1), name=f"{who[0]}") for who in people]
        )
        log.commit()
    assert [log.author_name(who) for who in people] == [f"{n}" for n in range(1, 11)]
    assert log.missing() == [(who, SQUARE, 1) for who in people]


# --- holes, forks, heads ---


def test_hole_between_lowest_and_highest(log: Log) -> None:
    posts = chain(OAK, 9)
    log.insert_many([posts[2], posts[7]])
    assert log.missing() == log.missing(SQUARE) == [(OAK, SQUARE, 4)]
    log.insert_many([posts[4], posts[1]])
    assert log.missing() == [(OAK, SQUARE, 3)]
    log.insert_many([posts[3], posts[5], posts[6]])
    assert log.missing() == log.missing(BRIDGE) == []


def test_holes_of_several_incarnations_are_summed(log: Log) -> None:
    for incarnation in 5, 6:
        log.insert_many([chain(OAK, 4, incarnation=incarnation)[n] for n in (0, 3)])
    log.insert(*entry(OAK, 1, channel=BRIDGE))
    assert log.missing() == [(OAK, SQUARE, 4)]


def test_absent_parent_is_nobodys_until_it_comes(log: Log, path: Path) -> None:
    parent = entry(OAK, 1)
    child = entry(ASH, 1, parent)
    log.insert_many([child, entry(OWN, 1, parent, child, at_s=3)])
    again = reopened(log, path)
    assert again.missing() == [(None, SQUARE, 1)]
    again.insert(*parent)
    assert again.missing() == []
    again.close()


def test_fork_marks_both(log: Log, path: Path) -> None:
    first, second = chain(OAK, 2)
    twin = entry(OAK, 2, first, text="something else")
    log.insert_many([first, second])
    again = reopened(log, path)
    assert again.insert(*twin) == 3
    assert [row.forked for row in again.after(0, SQUARE, 9)] == [False, True, True]
    again.insert_many([entry(OAK, 4, b"3" * 32), entry(OAK, 4, b"3" * 32, text="too")])
    assert [row.forked for row in again.after(3, SQUARE, 9)] == [True, True]
    assert again.missing() == [(OAK, SQUARE, 1)]  # a twin fills no hole
    again.close()


def test_heads_newest_first(log: Log) -> None:
    oak, ash = entry(OAK, 1, at_s=1), entry(ASH, 1, at_s=2)
    log.insert_many([oak, ash])
    assert log.heads(SQUARE, 8) == [ash.id, oak.id]
    assert log.heads(SQUARE, 1) == [ash.id]
    assert log.heads(BRIDGE, 8) == []
    joined = entry(OWN, 1, oak, ash, at_s=3)
    log.insert(*joined)
    assert log.heads(SQUARE, 8) == [joined.id]


def test_a_parent_that_comes_after_its_child_is_no_head(log: Log, path: Path) -> None:
    oak = entry(OAK, 1)
    child = entry(ASH, 1, oak, at_s=2)
    log.insert(*child)
    again = reopened(log, path)
    again.insert(*oak)
    assert again.heads(SQUARE, 8) == [child.id]
    again.close()


def test_head_that_is_no_longer_in_memory(log: Log, path: Path) -> None:
    oak = entry(OAK, 1)
    log.insert(*oak)
    again = reopened(log, path)
    child = entry(ASH, 1, oak, at_s=2)
    again.insert(*child)
    assert again.heads(SQUARE, 8) == [child.id]
    again.close()


def test_a_post_in_another_channel_covers_nothing(log: Log) -> None:
    oak = entry(OAK, 1)
    log.insert_many([oak, entry(ASH, 1, oak, channel=BRIDGE)])
    assert log.heads(SQUARE, 8) == [oak.id]


def test_last_own_is_the_newest_of_all_incarnations(log: Log) -> None:
    assert log.last_own(SQUARE) is None
    before = [entry(OWN, 1, incarnation=9, at_s=1), entry(OWN, 1, incarnation=3, at_s=5)]
    log.insert_many([before[1], before[0], entry(OAK, 1, at_s=9)])
    assert log.last_own(SQUARE) == before[1].id
    assert log.last_own(BRIDGE) is None


# --- any posts, in any order, in any batches ---


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Entry], list[Entry], list[int]]:
    """(posts as they were written, some of them as they arrive, sizes of the batches)."""
    written: list[Entry] = []
    last: dict[tuple[bytes, int], Entry] = {}
    for at in range(draw(st.integers(1, 14))):
        author, incarnation = draw(st.sampled_from([OWN, OAK, ASH])), draw(st.integers(1, 2))
        previous = last.get((author, incarnation))
        others = [each for each in written if each is not previous]
        named = draw(st.lists(st.sampled_from(others), max_size=3, unique_by=id)) if others else []
        made = entry(
            author,
            previous.post.sequence + 1 if previous else 1,
            *([previous] if previous else []),
            *named,
            incarnation=incarnation,
            at_s=draw(st.integers(0, 3)) if draw(st.booleans()) else at,
            text=draw(st.sampled_from(["hello", f"post {at}", None])),
        )
        if made.id not in {each.id for each in written}:
            written.append(made)
            last[author, incarnation] = made
    arriving = draw(st.permutations(written))[: draw(st.integers(1, len(written)))]
    return written, arriving, draw(st.lists(st.integers(1, 5), min_size=14, max_size=14))


@settings(max_examples=60)
@given(histories())
def test_any_order_of_arrival_gives_the_same_log(history: tuple[list[Entry], list[Entry], list[int]]) -> None:
    _, arriving, sizes = history
    with TemporaryDirectory() as folder:
        log = Log.create(Path(folder, "log"), KEY, SEED, "me", durable=False)
        log.join(SQUARE, "square", "public")
        start = 0
        for size in sizes:
            log.insert_many(arriving[start : start + size])
            log.commit()
            start += size
        held = {each.id: each.post for each in arriving[:start]}
        missing = {author: number for author, _, number in log.missing()}
        heads = set(log.heads(SQUARE, 1000))
        order = shown(log)
        expected_text = {each.id for each in arriving[:start] if each.text is not None}
        log.close()

    by_chain: dict[tuple[bytes, int], set[int]] = {}
    for each in held.values():
        by_chain.setdefault((each.author, each.incarnation), set()).add(each.sequence)
    holes: dict[bytes | None, int] = {}
    for (author, _), sequences in by_chain.items():
        if gap := max(sequences) - min(sequences) + 1 - len(sequences):
            holes[author] = holes.get(author, 0) + gap
    named = {parent for each in held.values() for parent in each.parent_ids()[each.sequence > 1 :]}
    if absent := len(named - held.keys()):
        holes[None] = absent
    assert missing == holes

    tips = {
        identity
        for identity, each in held.items()
        if each.sequence == max(by_chain[each.author, each.incarnation])
    }
    assert heads == tips - named

    assert set(order) == expected_text
    place = dict(zip(order, count(), strict=False))
    for identity in order:
        for parent in held[identity].parent_ids():
            assert place.get(parent, -1) < place[identity]
