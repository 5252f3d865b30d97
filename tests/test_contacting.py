"""Contacts through a node: who is meant, what a card does, what comparing does, and what is no longer shown."""

from pathlib import Path

import pytest

from meshd import card, crypto
from meshd.daemon.feed import Feed
from meshd.errors import CallerError, Code
from meshd.limits import KEY_DAYS_MAX
from meshd.post import DAY_MS, Text, encode_text
from meshd.words import fingerprint
from tests.homes import PLAZA, Home, Stranger, Table
from tests.wire import WALL_MS, Author

ELM, ASH = Author(3), Author(4)
DAY = WALL_MS // DAY_MS


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


@pytest.fixture
def oak(table: Table) -> Home:
    return table.home("oak")


def card_of(author: Author, day: int = DAY, key: bytes = b"k" * 32) -> str:
    return card.encode(author.key, day, key)


def say(home: Home, author: Author, name: str, text: str = "hello") -> None:
    """Have this author post in the plaza, and be read."""
    stranger = Stranger(home, seed=author.key[0])
    home.table.settle()
    body = encode_text(Text(name, b"", text))
    stranger.give(author.envelope(channel=PLAZA, incarnation=len(text), body=body, hlc=WALL_MS << 16))
    home.ask("channel.join", name="plaza")
    home.table.settle()


def refusal(home: Home, method: str, **params: object) -> CallerError:
    with pytest.raises(CallerError) as caught:
        home.ask(method, **params)
    return caught.value


def contacts(home: Home) -> dict[str, dict[str, object]]:
    return {each["name"]: each for each in home.ask("contact.list")["contacts"]}


# --- adding ---


def test_a_card_makes_a_contact_who_is_seen(oak: Home) -> None:
    answer = oak.ask("contact.add", card=card_of(ELM), name="elm")
    assert answer["id"] == ELM.key.hex()
    assert answer["contacts"] == [
        {
            "id": ELM.key.hex(), "name": "elm", "trust": "seen", "vouched_by": [], "added": True, "muted": False,
            "blocked": False, "fingerprint": fingerprint(ELM.key),
        }
    ]  # fmt: skip
    assert oak.log.contacts.inbox(ELM.key) == (DAY, b"k" * 32)


def test_without_a_name_from_the_user_the_tag_stays(oak: Home) -> None:
    say(oak, ELM, "elm")
    oak.ask("contact.add", card=card_of(ELM))
    assert list(contacts(oak)) == [f"elm#{ELM.key.hex()[:4]}"]


def test_a_newer_card_brings_its_inbox_key_and_an_older_one_does_not(oak: Home) -> None:
    oak.ask("contact.add", card=card_of(ELM), name="elm")
    oak.ask("contact.add", card=card_of(ELM, DAY + 1, b"n" * 32))
    oak.ask("contact.add", card=card_of(ELM, DAY - 1, b"o" * 32))
    assert oak.log.contacts.inbox(ELM.key) == (DAY + 1, b"n" * 32) and list(contacts(oak)) == ["elm"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("MESHD:1:AAAA", Code.invalid),
        (card_of(ELM, DAY - KEY_DAYS_MAX - 1), Code.expired),
        (card_of(Author(100)), Code.refused),  # the first home's own
    ],
)
def test_cards_that_are_refused_change_nothing(oak: Home, text: str, code: Code) -> None:
    assert refusal(oak, "contact.add", card=text, name="elm").code is code
    assert contacts(oak) == {}


# --- who is meant ---


def test_people_are_named_by_petname_tag_or_id(oak: Home) -> None:
    say(oak, ELM, "Elm Tree")
    oak.ask("contact.add", card=card_of(ASH), name="Ash")
    tag = ELM.key.hex()[:4]
    for who in ("ash", " ASH ", ASH.key.hex()[:6], ASH.key.hex().upper(), f"ash#{ASH.key.hex()[:4]}"):
        assert oak.ask("contact.verify", who=who)["id"] == ASH.key.hex()
    for who in (f"Elm Tree#{tag}", f"elmtree#{tag.upper()}", f"#{tag}", ELM.key.hex()):
        assert oak.ask("contact.verify", who=who)["id"] == ELM.key.hex()


@pytest.mark.parametrize("who", ["nobody", "", "#", "ash#0000", "oak#zz", "0123456789ab", "#12"])
def test_who_is_not_here_is_not_found(oak: Home, who: str) -> None:
    oak.ask("contact.add", card=card_of(ASH), name="ash")
    assert refusal(oak, "contact.verify", who=who).code is Code.not_found


def test_a_petname_that_looks_like_an_id_is_the_petname(oak: Home) -> None:
    oak.ask("contact.add", card=card_of(ASH), name=ELM.key.hex()[:8])
    oak.ask("contact.add", card=card_of(ELM), name="elm")
    assert oak.ask("contact.verify", who=ELM.key.hex()[:8])["id"] == ASH.key.hex()


# --- comparing ---


def test_the_words_of_their_screen_verify(oak: Home) -> None:
    oak.ask("contact.add", card=card_of(ELM), name="elm")
    asked = oak.ask("contact.verify", who="elm")
    assert asked["fingerprint"] == fingerprint(ELM.key) and contacts(oak)["elm"]["trust"] == "seen"
    oak.ask("contact.verify", who="elm", words=f" {fingerprint(ELM.key).upper()}\n")
    assert contacts(oak)["elm"]["trust"] == "verified"


@pytest.mark.parametrize(
    "words", [fingerprint(ASH.key), "abandon " * 12, "one two", fingerprint(ELM.key)[:-1] + "qq", ""]
)
def test_other_words_verify_nothing(oak: Home, words: str) -> None:
    oak.ask("contact.add", card=card_of(ELM), name="elm")
    error = refusal(oak, "contact.verify", who="elm", words=words)
    assert error.code is Code.invalid and "othing was changed" in error.message
    assert contacts(oak)["elm"]["trust"] == "seen"


def test_the_card_on_their_screen_verifies(oak: Home) -> None:
    oak.ask("contact.add", card=card_of(ELM), name="elm")
    assert refusal(oak, "contact.verify", who="elm", card=card_of(ASH)).code is Code.invalid
    oak.ask("contact.verify", who="elm", card=card_of(ELM, DAY, b"n" * 32))
    assert contacts(oak)["elm"]["trust"] == "verified" and oak.log.contacts.inbox(ELM.key) == (DAY, b"n" * 32)


def test_a_vouch_says_why_it_is_refused(oak: Home) -> None:
    oak.ask("contact.add", card=card_of(ELM), name="elm")
    assert refusal(oak, "contact.vouch", who="elm").code is Code.refused


# --- what is shown ---


def test_posts_carry_petname_and_trust(oak: Home) -> None:
    say(oak, ELM, "elm")
    (post,) = oak.ask("read")["posts"]
    assert (post["name"], post["trust"]) == (f"elm#{ELM.key.hex()[:4]}", "seen")
    oak.ask("contact.rename", who=ELM.key.hex(), n="the baker")
    oak.ask("contact.verify", who="the baker", words=fingerprint(ELM.key))
    for shown in (oak.ask("read"), oak.ask("search", query="hello")):
        assert [(post["name"], post["trust"]) for post in shown["posts"]] == [("the baker", "verified")]
    shown = oak.ask("show", id=post["id"])
    assert (shown["name"], shown["trust"]) == ("the baker", "verified")


def test_who_is_muted_is_read_but_not_followed(oak: Home) -> None:
    say(oak, ELM, "elm", "from elm")
    say(oak, ASH, "ash", "from ash!")
    oak.ask("contact.mute", who=ELM.key.hex())
    assert sorted(oak.texts()) == ["from ash!", "from elm"]
    followed = Feed(oak.node).posts(0, None, 10)
    assert [document and document["text"] for _, document in followed] == [None, "from ash!"]
    oak.ask("contact.unmute", who=ELM.key.hex())
    assert all(document for _, document in Feed(oak.node).posts(0, None, 10))


def test_muting_somebody_adds_nobody(oak: Home) -> None:
    say(oak, ELM, "elm")
    oak.ask("contact.mute", who=ELM.key.hex())
    (muted,) = contacts(oak).values()
    assert (muted["added"], muted["muted"]) == (False, True) and oak.log.contacts.recognisable(64) == []


# --- the own card ---


def test_the_own_card_is_a_card_of_today_and_moves_on(table: Table, oak: Home) -> None:
    first = card.decode(oak.ask("id.show")["card"])
    assert (first.identity.hex(), first.day) == (oak.ask("id.show")["id"], DAY)
    table.passed_ms += DAY_MS
    second = card.decode(oak.ask("id.show")["card"])
    assert second.day == DAY + 1 and second.inbox_key != first.inbox_key
    table.passed_ms += DAY_MS + 2 * 3_600_000
    table.settle()
    kept = oak.log.contacts.inbox(first.identity)
    assert kept is not None and kept[0] == DAY + 2 and card.decode(oak.ask("id.show")["card"]).day == DAY + 2
    assert len(kept[1]) == crypto.KEY_SIZE


def test_inbox_keys_are_moved_on_and_the_past_is_gone(table: Table, oak: Home) -> None:
    from meshd.daykeys import advance

    oak.ask("contact.add", card=card_of(ELM), name="elm")
    table.passed_ms += 3 * DAY_MS
    oak.ask("clock.confirm")
    table.settle()
    assert oak.log.contacts.inbox(ELM.key) == (DAY + 3, advance(b"k" * 32, 3))
