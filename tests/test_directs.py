"""Directs on nodes: written to by card, at any distance; begun by both; strangers' first words; keys that are over."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from meshd import crypto
from meshd.errors import CallerError, Code
from meshd.ids import direct_channel_id
from meshd.limits import REFUSED_HOURS, REQUESTS_EACH_MAX
from meshd.post import HOUR_MS
from tests.homes import Home, Table
from tests.test_inbox import befriend, identity
from tests.test_own_groups import DAY_MS, apart, friends, line


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def dm(home: Home, other: Home, text: str, **how: Any) -> Mapping[str, Any]:
    """Write to one person, and let it arrive."""
    told = home.ask("dm", who=crypto.ed25519_keypair(other.log.seed)[0].hex(), text=text, **how)
    home.table.run(1000)
    return told


def direct(home: Home, other: Home) -> list[str]:
    """What a home shows of its direct with another."""
    return home.texts(f"direct:{identity(other).hex()}")


def keys(home: Home, other: Home) -> list[bytes]:
    """The epochs of their direct of which a home holds a key."""
    return home.node.intake.sealing.keyring.epochs(direct_channel_id(identity(home), identity(other)))


def epoch(home: Home, other: Home) -> bytes:
    """The epoch of their direct under which a home posts."""
    return home.node.intake.sealing.posting(direct_channel_id(identity(home), identity(other)))


def stranger(table: Table) -> tuple[Home, Home]:
    """Oak, whose card elm gave away, and elm, who does not know oak; they are linked."""
    oak, elm = table.home("oak"), table.home("elm")
    oak.ask("contact.add", card=elm.ask("id.show")["card"], name="elm")
    table.link(oak, elm)
    table.run(1000)
    return oak, elm


def waiting(home: Home) -> list[str]:
    return [each["text"] for each in home.ask("requests")["requests"]]


def refused(home: Home, **how: Any) -> CallerError:
    with pytest.raises(CallerError) as caught:
        home.ask("dm", **how)
    return caught.value


# --- between people who have each other's cards ---


def test_one_writes_and_the_other_answers_through_who_can_read_neither(table: Table) -> None:
    oak, one, two, elm = (table.home(name) for name in ("oak", "one", "two", "elm"))
    befriend(oak, elm)
    line(table, [oak, one, two, elm])
    table.run(1000)
    told = dm(oak, elm, "bread")
    assert (told["channel"], told["pending"], told["old_prekey"]) == ("elm", False, False)
    assert direct(elm, oak) == ["bread"]
    dm(elm, oak, "water")
    assert direct(oak, elm) == direct(elm, oak) == ["bread", "water"]
    for home in (one, two):
        assert home.log.count_posts() == 0 and home.log.epoch_keys.all() == []
        assert set(home.raws()) == set(oak.raws())
    assert oak.log.missing() == elm.log.missing() == []


def test_a_direct_is_shown_as_the_person(table: Table) -> None:
    oak, elm = friends(table, 2)
    dm(oak, elm, "bread")
    (channel,) = elm.ask("channel.list")["channels"]
    assert (channel["name"], channel["kind"], channel["members"], channel["unread"]) == (
        "oak",
        "direct",
        2,
        1,
    )
    (post,) = elm.ask("read", channel="oak")["posts"]
    assert (post["channel"], post["name"], post["text"], post["sealed"]) == ("oak", "oak", "bread", True)
    elm.ask("contact.rename", who="oak", n="tree")
    assert [each["channel"] for each in elm.ask("read")["posts"]] == ["tree"]
    assert elm.texts("tree") == elm.texts("direct:tree") == elm.texts(channel["id"][:12]) == ["bread"]
    elm.post("water", channel="tree")
    table.run(1000)
    assert direct(oak, elm) == ["bread", "water"]


def test_a_name_that_is_a_person_and_a_channel_is_an_error(table: Table) -> None:
    oak, elm = friends(table, 2)
    oak.post("to everybody", channel="elm")
    dm(oak, elm, "to elm")
    with pytest.raises(CallerError, match=r"elm could be: direct:elm \(.*\), public:elm") as caught:
        oak.ask("read", channel="elm")
    assert caught.value.code is Code.usage
    assert oak.texts("public:elm") == ["to everybody"] and oak.texts("direct:elm") == ["to elm"]
    oak.ask("group.create", name="elm")
    with pytest.raises(CallerError, match=r"group:elm \(.*\), direct:elm \(.*\), public:elm"):
        oak.ask("read", channel="elm")
    with pytest.raises(CallerError, match="nobody here is ash"):
        elm.ask("read", channel="direct:ash")


def test_both_begin_it_apart_and_it_is_one_direct(table: Table) -> None:
    oak, elm = friends(table, 2)
    apart(table, oak, elm)
    dm(oak, elm, "bread")
    dm(elm, oak, "water")
    assert epoch(oak, elm) != epoch(elm, oak)
    table.link(oak, elm)
    table.run(60_000)
    assert epoch(oak, elm) == epoch(elm, oak) and len(keys(oak, elm)) == len(keys(elm, oak)) == 2
    assert sorted(direct(oak, elm)) == sorted(direct(elm, oak)) == ["bread", "water"]
    dm(elm, oak, "salt")
    assert direct(oak, elm)[-1] == "salt" and len(oak.ask("channel.list")["channels"]) == 1


def test_a_direct_goes_on_after_a_start(table: Table) -> None:
    oak, elm = friends(table, 2)
    dm(oak, elm, "bread")
    for home in (oak, elm):
        home.stop()
        home.start()
    table.link(oak, elm)
    table.run(60_000)
    dm(elm, oak, "water")
    dm(oak, elm, "salt")
    assert direct(oak, elm) == direct(elm, oak) == ["bread", "water", "salt"]
    assert len(keys(oak, elm)) == 1


def test_it_is_renewed_after_a_week_and_what_is_over_is_gone(table: Table) -> None:
    oak, elm = friends(table, 2)
    dm(oak, elm, "bread")
    first = epoch(oak, elm)
    apart(table, oak, elm)
    table.run(7 * DAY_MS + HOUR_MS)
    table.link(oak, elm)
    table.run(HOUR_MS)
    assert epoch(oak, elm) == epoch(elm, oak) != first
    assert direct(oak, elm) == direct(elm, oak) == []
    dm(oak, elm, "water")
    assert direct(elm, oak) == ["water"]
    apart(table, oak, elm)
    table.run(9 * DAY_MS)
    assert first not in keys(oak, elm)


def test_who_can_not_be_reached_is_told_so(table: Table) -> None:
    oak, elm = table.home("oak"), table.home("elm")
    oak.ask("channel.join", name="plaza")
    elm.post("hello")
    table.link(oak, elm)
    table.run(1000)
    error = refused(oak, who=identity(elm).hex(), text="bread")
    assert error.code is Code.refused and "no card" in error.message
    error = refused(oak, who=identity(oak).hex(), text="bread")
    assert error.code is Code.refused and "that is you" in error.message
    befriend(oak, elm)
    oak.ask("contact.block", who="elm")
    assert "is blocked" in refused(oak, who="elm", text="bread").message
    oak.ask("contact.unblock", who="elm")
    assert refused(oak, who="elm", text="").code is Code.usage
    assert refused(oak, who="elm", text="bread", wait="soon").code is Code.usage
    assert keys(oak, elm) == []


def test_a_member_of_a_group_can_be_written_to_without_a_card(table: Table) -> None:
    oak, elm, ash = friends(table, 3)
    for one, other in ((elm, ash), (ash, elm)):
        one.log.contacts.forget_inbox(identity(other))
    oak.ask("group.create", name="kitchen")
    for who in ("elm", "ash"):
        oak.ask("group.invite", group="kitchen", who=who)
    table.run(60_000)
    for home in (elm, ash):
        home.ask("group.accept", invite="kitchen")
    table.run(60_000)
    dm(elm, ash, "bread")
    assert direct(ash, elm) == ["bread"]


def test_a_direct_that_is_left_comes_back_with_what_is_written_next(table: Table) -> None:
    oak, elm = friends(table, 2)
    dm(oak, elm, "bread")
    elm.ask("channel.leave", channel="oak")
    assert keys(elm, oak) == [] and elm.ask("channel.list")["channels"] == []
    dm(elm, oak, "water")
    assert direct(oak, elm) == direct(elm, oak) == ["bread", "water"]


def test_who_is_presumed_arrested_has_no_direct_with_us_any_more(table: Table) -> None:
    oak, elm = friends(table, 2)
    dm(oak, elm, "bread")
    oak.ask("presume-arrested", who="elm")
    assert keys(oak, elm) == [] and oak.ask("channel.list")["channels"] == []
    dm(elm, oak, "where are you")
    table.run(HOUR_MS)
    assert keys(oak, elm) == [] and waiting(oak) == []


# --- strangers' first words ---


def test_first_words_of_a_stranger_wait_and_nothing_is_joined_or_sent(table: Table) -> None:
    oak, elm = stranger(table)
    before = len(elm.log.authors.beginning(identity(oak).hex()[:8]))
    sent = set(elm.raws())
    assert dm(oak, elm, "it is me, oak")["pending"] is False and before == 0
    (request,) = elm.ask("requests")["requests"]
    assert request["id"] == identity(oak).hex() and request["text"] == "it is me, oak"
    assert request["name"] == f"oak#{identity(oak).hex()[:4]}" and request["group"] is None
    assert request["time"].startswith("20")
    assert elm.ask("channel.list")["channels"] == [] and elm.ask("read")["posts"] == []
    assert elm.log.count_posts() == 0
    table.run(HOUR_MS)
    assert set(elm.raws()) - sent == set(oak.raws()) - sent, "elm has sent nothing"


def test_who_is_accepted_is_read_and_answered(table: Table) -> None:
    oak, elm = stranger(table)
    for text in ("one", "two", "three", "four"):
        dm(oak, elm, text)
    assert waiting(elm) == ["one", "two"], f"a key and two posts are {REQUESTS_EACH_MAX}"
    assert elm.ask("requests.accept", who=identity(oak).hex()[:8])["requests"] == []
    table.run(1000)
    assert direct(elm, oak) == ["one", "two", "three", "four"]
    dm(elm, oak, "hello")
    assert direct(oak, elm)[-1] == "hello"
    assert [each["kind"] for each in elm.ask("channel.list")["channels"]] == ["direct"]


@pytest.mark.parametrize("answer", ["contact.add", "dm"])
def test_who_becomes_a_contact_or_is_written_to_is_let_in(table: Table, answer: str) -> None:
    oak, elm = stranger(table)
    dm(oak, elm, "it is me")
    if answer == "dm":
        elm.log.contacts.set_inbox(identity(oak), 20_000, bytes(32))  # as from a group's list of members
        dm(elm, oak, "I see")
    else:
        elm.ask("contact.add", card=oak.ask("id.show")["card"], name="oak")
    table.run(60_000)
    assert waiting(elm) == [] and "it is me" in direct(elm, oak)


def test_who_is_refused_is_not_heard_for_a_week(table: Table) -> None:
    oak, elm = stranger(table)
    dm(oak, elm, "buy this")
    assert elm.ask("requests.refuse", who=identity(oak).hex())["requests"] == []
    assert elm.log.groups.all() == [] and elm.log.epoch_keys.all() == []
    dm(oak, elm, "no, really")
    elm.node.intake.sealing.look_again()
    table.run(HOUR_MS)
    assert waiting(elm) == [] and elm.log.inboxes.requests() == []
    with pytest.raises(CallerError, match="waits; see: mesh requests"):
        elm.ask("requests.accept", who=identity(oak).hex())
    apart(table, oak, elm)
    table.run((REFUSED_HOURS + 48) * HOUR_MS)
    table.link(oak, elm)
    table.run(60_000)
    dm(oak, elm, "once more")
    table.run(60_000)
    assert waiting(elm) == ["once more"]


def test_requests_outlast_a_start_and_end_with_their_words(table: Table) -> None:
    oak, elm = stranger(table)
    dm(oak, elm, "it is me", keep="24h")
    elm.stop()
    elm.start()
    assert waiting(elm) == ["it is me"]
    table.run(23 * HOUR_MS)
    assert waiting(elm) == ["it is me"]
    table.run(DAY_MS * 3)
    assert waiting(elm) == [] and elm.log.inboxes.requests() == []
    assert elm.log.groups.all() == [] and elm.log.epoch_keys.all() == []


def test_what_the_box_has_no_room_for_is_looked_at_again(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meshd.groups.requests.REQUESTS_HOUR_MAX", 2)
    oak, elm = stranger(table)
    ash = table.home("ash")
    ash.ask("contact.add", card=elm.ask("id.show")["card"], name="elm")
    table.link(ash, elm)
    table.run(1000)
    dm(oak, elm, "first")
    dm(ash, elm, "second")
    assert waiting(elm) == ["first"]
    table.run(HOUR_MS + 1000)
    assert sorted(waiting(elm)) == ["first", "second"]


# --- a recipient of whom only an old key is known ---


def away(table: Table) -> tuple[Home, Home]:
    """Oak, and elm, who was last heard of ten days ago."""
    oak, elm = friends(table, 2)
    apart(table, oak, elm)
    elm.stop()
    table.run(10 * DAY_MS)
    return oak, elm


def test_what_is_pending_is_read_once_the_other_shows_up(table: Table) -> None:
    oak, elm = away(table)
    told = dm(oak, elm, "bread")
    assert told["pending"] is True and told["old_prekey"] is False
    elm.start()
    table.link(oak, elm)
    table.run(60_000)
    assert direct(elm, oak) == ["bread"]
    assert dm(oak, elm, "water")["pending"] is False


def test_an_old_prekey_is_only_used_where_there_is_no_other(table: Table) -> None:
    oak, elm = friends(table, 2)
    assert dm(oak, elm, "bread", old_prekey=True)["old_prekey"] is False
    assert direct(elm, oak) == ["bread"]
    yew = table.home("yew")
    befriend(oak, yew)
    assert dm(oak, yew, "bread", old_prekey=True)["old_prekey"] is False, "none is known of yew"


def test_what_is_sealed_to_an_old_prekey_is_read_by_who_was_locked(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "meshd.intake.STEP_BUDGET", 1
    )  # a busy town brings more than is looked at in one event
    oak, elm = friends(table, 2)
    apart(table, oak, elm)
    elm.stop()
    elm.locked = True
    elm.start()
    table.run(10 * DAY_MS)
    oak.stop()
    oak.start()
    table.link(oak, elm)
    table.run(1000)
    told = dm(oak, elm, "bread", old_prekey=True)
    assert told["old_prekey"] is True and told["pending"] is True
    apart(table, oak, elm)
    elm.stop()
    elm.locked = False
    elm.start()
    table.run(1000)
    assert direct(elm, oak) == ["bread"]
    today = table.now().wall_ms // DAY_MS
    assert min(elm.log.inboxes.secrets()) == today, "what is over is erased once it was looked at"
    table.link(oak, elm)
    table.run(60_000)
    dm(elm, oak, "water")
    assert direct(oak, elm) == ["bread", "water"] and dm(oak, elm, "salt")["pending"] is False


def test_what_is_over_of_a_direct_goes_and_it_goes_on(table: Table) -> None:
    oak, elm = friends(table, 2)
    dm(oak, elm, "bread")
    apart(table, oak, elm)
    table.run(100 * DAY_MS)
    channel = direct_channel_id(identity(oak), identity(elm))
    assert len(oak.log.groups.epochs(channel)) < 20, "an epoch's post is kept for 90 days"
    oak.stop()
    oak.start()
    table.link(oak, elm)
    table.run(60_000)
    dm(oak, elm, "water")
    dm(elm, oak, "salt")
    assert direct(oak, elm) == direct(elm, oak) == ["water", "salt"]
