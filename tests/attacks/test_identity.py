"""I: who is who, when somebody lies about it.

A key is what somebody is; a name is what they say. Nothing that comes from the net changes what the user said about
anybody, and what the user is asked to do about a lie is to look at the other's screen.
"""

from pathlib import Path

import pytest

from meshd import card, crypto
from meshd.daemon.feed import Feed
from meshd.errors import CallerError, Code
from meshd.post import DAY_MS, Text, encode, encode_text
from meshd.words import fingerprint
from tests.homes import PLAZA, Home, Stranger, Table, linked
from tests.wire import WALL_MS, Author

ELM, EVIL = Author(3), Author(66)
DAY = WALL_MS // DAY_MS


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


@pytest.fixture
def oak(table: Table) -> Home:
    home = table.home("oak")
    home.ask("channel.join", name="plaza")
    return home


def card_of(author: Author) -> str:
    return card.encode(author.key, DAY, author.key[::-1])


def raw(author: Author, name: str, text: str = "hello") -> bytes:
    return author.envelope(channel=PLAZA, body=encode_text(Text(name, b"", text)), hlc=WALL_MS << 16)


def refusal(home: Home, method: str, **params: object) -> CallerError:
    with pytest.raises(CallerError) as caught:
        home.ask(method, **params)
    return caught.value


def test_I01_a_claim_under_another_key_changes_nothing_of_a_contact(oak: Home) -> None:
    oak.ask("contact.add", card=card_of(ELM), name="elm")
    oak.ask("contact.verify", who="elm", words=fingerprint(ELM.key))
    before = (oak.log.contacts.all(), oak.log.contacts.inbox(ELM.key))
    stranger = linked(oak, 7)
    stranger.give(raw(EVIL, "elm"))  # says that it is elm
    stranger.give(EVIL.seal(encode(ELM.post(channel=PLAZA))))  # and this one in elm's very name
    assert stranger.down is not None
    (post,) = oak.ask("read")["posts"]
    assert (post["name"], post["trust"], post["author"]) == (
        f"elm#{EVIL.key.hex()[:4]}",
        "seen",
        EVIL.key.hex(),
    )
    assert (oak.log.contacts.all(), oak.log.contacts.inbox(ELM.key)) == before


def test_I01_prekeys_that_were_exchanged_on_a_card_change_nothing(table: Table, oak: Home) -> None:
    """Whoever exchanges cards on their way puts keys of their own beside an identity whose words are the right ones."""
    elm = table.home("elm")
    text = elm.ask("id.show", prekeys=True)["card"]
    said = card.decode(text)
    (keys,) = (keys for _, _, keys in elm.log.inboxes.prekeys())
    evil, _ = crypto.x25519_keypair(bytes(32))
    exchanged = said._replace(announced=said.announced.replace(keys[:32], evil))
    assert exchanged != said
    error = refusal(oak, "contact.add", card=card.encode(*exchanged), name="elm")
    assert error.code is Code.invalid and "not signed by its owner" in error.message
    assert oak.log.contacts.all() == [] and oak.log.inboxes.prekeys() == []
    oak.ask("contact.add", card=text, name="elm")
    before = oak.log.inboxes.prekeys()
    assert refusal(oak, "contact.verify", who="elm", card=card.encode(*exchanged)).code is Code.invalid
    assert oak.log.inboxes.prekeys() == before and not oak.log.contacts.get(said.identity).is_verified


@pytest.mark.parametrize("alike", ["elm", "ELM", "ｅｌｍ", "e lm", "el\u217f"])
def test_I02_names_that_look_alike_are_never_one(oak: Home, alike: str) -> None:
    oak.ask("contact.add", card=card_of(ELM), name="elm")
    linked(oak, 7).give(raw(EVIL, alike))
    oak.table.settle()
    (post,) = oak.ask("read")["posts"]
    assert (
        post["name"] == f"{alike}#{EVIL.key.hex()[:4]}"
    )  # a name from the net has a tag, the user's own has none
    assert refusal(oak, "contact.add", card=card_of(EVIL), name=alike).code is Code.refused
    assert refusal(oak, "contact.rename", who=EVIL.key.hex(), n=alike).code is Code.refused


def test_I02_a_name_that_several_use_is_an_error_that_lists_them(oak: Home) -> None:
    linked(oak, 7).give(raw(ELM, "elm"), raw(EVIL, "Elm"))
    oak.table.settle()
    error = refusal(oak, "contact.verify", who="elm")
    assert error.code is Code.usage
    assert ELM.key.hex()[:12] in error.message and EVIL.key.hex()[:12] in error.message


def test_I02_nobody_is_chosen_even_if_only_one_uses_the_name(oak: Home) -> None:
    linked(oak, 7).give(raw(EVIL, "elm"))
    oak.table.settle()
    assert refusal(oak, "contact.mute", who="elm").code is Code.usage


def test_I03_a_changed_key_is_a_hard_stop_and_changes_nothing(oak: Home) -> None:
    oak.ask("contact.add", card=card_of(ELM), name="elm")
    oak.ask("contact.verify", who="elm", words=fingerprint(ELM.key))
    before = (oak.log.contacts.all(), oak.log.contacts.inbox(ELM.key), oak.log.contacts.inbox(EVIL.key))
    error = refusal(oak, "contact.add", card=card_of(EVIL), name="elm")
    assert error.code is Code.refused and "face to face" in error.message
    assert refusal(oak, "contact.verify", who="elm", words=fingerprint(EVIL.key)).code is Code.invalid
    assert refusal(oak, "contact.verify", who="elm", card=card_of(EVIL)).code is Code.invalid
    after = (oak.log.contacts.all(), oak.log.contacts.inbox(ELM.key), oak.log.contacts.inbox(EVIL.key))
    assert after == before and oak.ask("contact.list")["contacts"][0]["trust"] == "verified"


def test_I07_nothing_of_a_blocked_author_is_shown_and_nobody_is_told(table: Table, oak: Home) -> None:
    stranger = linked(oak, 7)
    stranger.give(raw(ELM, "elm", "good day"), raw(EVIL, "evil", "bad day"))
    stranger.give(EVIL.envelope(channel=PLAZA, incarnation=9, sequence=1), EVIL.envelope(
        channel=PLAZA, incarnation=9, sequence=3, parents=b"x" * 32
    ))  # fmt: skip
    table.settle()
    (evil_id,) = [post["id"] for post in oak.ask("read")["posts"] if post["text"] == "bad day"]
    cursor = oak.ask("read")["cursor"]
    oak.ask("contact.block", who=EVIL.key.hex())
    stranger.give(EVIL.envelope(channel=PLAZA, incarnation=10, hlc=WALL_MS + 5 << 16), fresh=True)
    table.settle()
    assert oak.texts() == ["good day"] and oak.ask("search", query="day")["posts"][0]["text"] == "good day"
    assert len(oak.ask("search", query="day")["posts"]) == 1
    assert refusal(oak, "show", id=evil_id).code is Code.not_found
    assert oak.ask("read", since=cursor)["posts"] == [] and oak.ask("read")["missing"] == []
    assert [document for _, document in Feed(oak.node).posts(0, None, 10) if document] == oak.ask("read")[
        "posts"
    ]
    assert oak.ask("channel.list")["channels"][0]["unread"] == 0
    other = Stranger(oak, seed=9)  # what is carried for others stays what it is
    table.settle()
    assert other.is_open and len(oak.raws()) == 5
    oak.ask("contact.unblock", who=EVIL.key.hex())
    assert "bad day" in oak.texts()


def test_I08_a_post_that_names_a_live_peer_as_its_author_needs_its_signature(table: Table, oak: Home) -> None:
    beech = table.home("beech")
    table.link(oak, beech)
    table.settle()
    assert oak.open_links()
    stranger = linked(oak, 8)
    stranger.give(EVIL.seal(encode(Author(101).post(channel=PLAZA))))  # 101: the key of beech
    assert stranger.down is not None and oak.ask("read")["posts"] == []
