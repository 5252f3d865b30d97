"""Marks, and what `status` says a seizure would show."""

from pathlib import Path

import pytest

from meshd.errors import CallerError, Code
from meshd.limits import READABLE_DAYS
from meshd.post import HOUR_MS
from tests.homes import Home, Table, linked
from tests.test_own_groups import DAY_MS, apart, group
from tests.test_reading import PLAZA
from tests.wire import WALL_MS, Author


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def searched(home: Home, query: str) -> list[str]:
    number = home.command("search", query=query)
    home.table.run(1000)
    result = home.replies[number].result
    assert result is not None
    return [post["text"] for post in result["posts"]]


def exposed(home: Home) -> str:
    return "\n".join(home.ask("status")["exposed"])


def plaza(table: Table) -> tuple[Home, list[str]]:
    """A home that has two posts of others and one of its own in public; the ids of the others'."""
    oak = table.home("oak")
    oak.ask("channel.join", name="plaza")
    stranger = linked(oak, 7)
    stranger.give(*(Author(n).envelope(channel=PLAZA, hlc=WALL_MS << 16) for n in (3, 4)))
    oak.post("bread", keep="6h")
    found = [post["id"] for post in oak.ask("read")["posts"] if post["trust"] != "self"]
    table.cut(stranger, stranger.link)
    table.settle()
    return oak, found


def test_a_marked_public_post_outlives_its_days_and_is_found(table: Table) -> None:
    oak, (kept, gone) = plaza(table)
    assert oak.ask("mark", id=kept) == {"v": 1, "id": kept, "marked": True}
    table.run((READABLE_DAYS + 1) * DAY_MS)
    assert [post["id"] for post in oak.ask("read")["posts"] if post["trust"] != "self"] == [kept]
    assert len(searched(oak, "hello")) == 1 and oak.ask("show", id=kept)["marked"] is True
    oak.ask("mark", id=kept, remove=True)
    table.settle()
    assert [post["text"] for post in oak.ask("read")["posts"]] == ["bread"] and searched(oak, "hello") == []
    with pytest.raises(CallerError):
        oak.ask("mark", id=gone)


def test_a_marked_sealed_post_outlives_its_keep_until_on_this_laptop_alone(table: Table) -> None:
    oak, elm = group(table, 2)
    ids = [elm.post(text, channel="kitchen", keep="6h") for text in ("bread", "water", "salt")]
    table.run(1000)
    oak.ask("mark", id=ids[1][:10])
    apart(table, oak, elm)
    table.run(8 * HOUR_MS)
    assert (
        oak.texts("group:kitchen") == ["water"] == searched(oak, "water") and elm.texts("group:kitchen") == []
    )
    assert oak.ask("read")["missing"] == []
    oak.stop()
    oak.start()
    assert oak.texts("group:kitchen") == ["water"] and "1 post of all these that you marked" in exposed(oak)
    elm.post("flour", channel="kitchen")
    table.link(oak, elm)
    table.run(1000)
    assert oak.texts("group:kitchen") == ["water", "flour"] and oak.ask("read")["missing"] == []
    oak.ask("mark", id=ids[1], remove=True)
    table.settle()
    assert oak.texts("group:kitchen") == ["flour"] and searched(oak, "water") == []


def test_a_mark_that_is_taken_off_in_time_changes_nothing(table: Table) -> None:
    oak, elm = group(table, 2)
    post = elm.post("bread", channel="kitchen", keep="6h")
    table.run(1000)
    oak.ask("mark", id=post)
    oak.ask("mark", id=post, remove=True)
    table.settle()
    assert oak.texts("group:kitchen") == ["bread"]
    apart(table, oak, elm)
    table.run(8 * HOUR_MS)
    assert oak.texts("group:kitchen") == []


def test_nothing_in_a_strict_group_is_kept(table: Table) -> None:
    oak, elm = group(table, 2, strict=True)
    post = elm.post("bread", channel="kitchen")
    table.run(1000)
    with pytest.raises(CallerError) as caught:
        oak.ask("mark", id=post)
    assert caught.value.code is Code.refused


def test_status_says_what_a_seizure_shows(table: Table) -> None:
    oak, (kept, _) = plaza(table)
    said = exposed(oak)
    assert "2 public posts of others, each for 30 days" in said and "1 public post of your own" in said
    assert (
        "your identity and inbox, 0 contacts, 0 directs, 0 groups" in said and "3 envelopes carried" in said
    )
    assert "groups and directs" not in said and "marked" not in said
    oak.ask("mark", id=kept)
    assert "1 post of all these that you marked" in exposed(oak)
    oak.ask("channel.leave", channel="plaza")
    assert "2 public posts of others" in exposed(oak)  # they are not shown, and are there


def test_status_says_how_far_erasing_has_come(table: Table) -> None:
    oak, _ = plaza(table)
    table.run(1)
    assert "nothing is erased" not in exposed(oak)
    oak.stop()
    table.skew_ms = 20 * DAY_MS
    oak.start()
    assert oak.node.time.state == "jumped" and "over after 2026-" in exposed(oak)
    oak.ask("clock.confirm")
    table.run(1)
    assert "nothing is erased" not in exposed(oak)


def test_a_locked_laptop_says_when_it_erased_last(table: Table) -> None:
    oak, _ = plaza(table)
    oak.stop()
    oak.locked = True
    oak.start()
    table.run(2 * DAY_MS)
    (said,) = oak.ask("status")["exposed"]
    assert "who has the passphrase: what was not over on 2026-" in said
