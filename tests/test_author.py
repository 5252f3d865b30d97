"""Writing posts: incarnations, sequences, parents, names, and how long a post is kept."""

from pathlib import Path

import pytest

from meshd import envelope, post
from meshd.errors import CallerError, Code
from meshd.events import Command, CommandBatch
from meshd.limits import BODY_SIZE_MAX, INCARNATION_MAX, KEEP_HOURS, KEEP_HOURS_MAX, PARENTS_MAX
from meshd.post import HOUR_MS
from meshd.store.log import Row
from tests.homes import PLAZA, Home, Stranger, Table
from tests.wire import HOUR, WALL_MS, Author


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def rows(home: Home) -> list[Row]:
    return home.log.after(0, None, 1000)


def test_posts_are_numbered_from_1_and_each_names_the_one_before(table: Table) -> None:
    oak = table.home()
    ids = [bytes.fromhex(oak.post(str(number))) for number in range(3)]
    assert [row.sequence for row in rows(oak)] == [1, 2, 3]
    assert [row.parents for row in rows(oak)] == [b"", ids[0], ids[1]]


def test_channels_are_numbered_apart(table: Table) -> None:
    oak = table.home()
    oak.post("a")
    oak.post("b", channel="market")
    oak.post("c")
    assert [(row.channel_name, row.sequence) for row in rows(oak)] == [
        ("plaza", 1),
        ("market", 1),
        ("plaza", 2),
    ]


def test_every_start_is_a_new_incarnation_that_names_the_last_post_of_the_one_before(table: Table) -> None:
    oak = table.home()
    oak.post("one")
    last = bytes.fromhex(oak.post("two"))
    oak.stop()
    oak.start()
    oak.post("three")
    one, two, three = rows(oak)
    assert one.incarnation == two.incarnation != three.incarnation
    assert all(0 <= row.incarnation <= INCARNATION_MAX for row in rows(oak))
    assert (three.sequence, three.parents) == (1, last)


def test_the_name_travels_in_the_first_post_of_an_incarnation_in_a_channel(table: Table) -> None:
    oak = table.home("oak")
    oak.post("one")
    oak.post("two")
    oak.post("three", channel="market")
    oak.stop()
    oak.start()
    oak.post("four")
    texts = [post.parse_text(parsed.post.body) for raw in oak.raws() if (parsed := envelope.parse(raw))]
    assert [text.name for text in texts if text is not None] == ["oak", "", "oak", "oak"]


def test_loose_ends_of_others_become_parents_behind_our_own_eight_at_most(table: Table) -> None:
    oak = table.home()
    own = bytes.fromhex(oak.post("mine"))
    stranger = Stranger(oak)
    table.settle()
    for number in range(PARENTS_MAX + 2):
        stranger.give(Author(10 + number).envelope(channel=PLAZA, hlc=WALL_MS + number << 16))
    oak.post("joins them")
    (joined,) = [row for row in rows(oak) if row.text == "joins them"]
    parents = [joined.parents[start : start + 32] for start in range(0, len(joined.parents), 32)]
    assert parents[0] == own
    assert len(parents) == len(set(parents)) == PARENTS_MAX
    oak.post("alone again")
    assert len(rows(oak)[-1].parents) > 32  # two loose ends were left over
    oak.post("now alone")
    assert rows(oak)[-1].parents == rows(oak)[-2].id


def test_of_posts_written_together_the_first_joins_the_loose_ends_and_the_others_follow_it(
    table: Table,
) -> None:
    oak = table.home("oak")
    own = bytes.fromhex(oak.post("before"))
    stranger = Stranger(oak)
    table.settle()
    end = Author(10)
    stranger.give(end.envelope(channel=PLAZA, hlc=WALL_MS << 16))
    (loose,) = [row for row in rows(oak) if not row.own]
    texts = [("plaza", "one"), ("market", "two"), ("plaza", "three"), ("market", "four")]
    oak.handle(
        CommandBatch(
            99, [Command(n, "post", {"channel": where, "text": t}) for n, (where, t) in enumerate(texts)]
        )
    )
    one, two, three, four = rows(oak)[-4:]
    assert [row.text for row in (one, two, three, four)] == ["one", "two", "three", "four"]
    assert (one.parents, three.parents) == (own + loose.id, one.id)
    assert (two.parents, four.parents) == (b"", two.id)
    assert [row.sequence for row in (one, two, three, four)] == [2, 1, 3, 2]
    assert all(envelope.parse(raw) is not None for raw in oak.raws())


@pytest.mark.parametrize("keep", KEEP_HOURS)
def test_a_keep_is_never_cut_short_and_never_over_what_is_accepted(table: Table, keep: str) -> None:
    oak = table.home()
    oak.post("kept", keep=keep)
    (row,) = rows(oak)
    kept_ms = row.keep_until * HOUR_MS - (row.hlc >> 16)
    assert KEEP_HOURS[keep] * HOUR_MS <= kept_ms < (KEEP_HOURS[keep] + 1) * HOUR_MS
    assert row.keep_until - HOUR <= KEEP_HOURS_MAX


def test_a_text_that_is_too_long_is_the_callers_mistake_and_uses_no_sequence(table: Table) -> None:
    oak = table.home()
    with pytest.raises(CallerError) as refused:
        oak.post("x" * (BODY_SIZE_MAX + 1))
    assert refused.value.code is Code.usage
    oak.post("short")
    assert [row.sequence for row in rows(oak)] == [1]
    assert oak.log.channels()[0].name == "plaza"
