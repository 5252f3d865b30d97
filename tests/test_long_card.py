"""Long cards: prekeys under their owner's signature, for who never heard of them on the mesh."""

import base64
from pathlib import Path
from typing import Any

import pytest
import segno
from hypothesis import given
from hypothesis import strategies as st

from meshd import armor, card
from meshd import post as posts
from meshd.card import Card
from meshd.errors import CallerError, Code
from meshd.groups import prekeys
from meshd.ids import LABEL_FINGERPRINT, inbox_channel_id
from meshd.limits import PREKEY_DAYS
from meshd.post import KIND_PREKEYS, KIND_TEXT, Post
from tests.homes import Home, Table
from tests.key_parts import ASH, OAK, TODAY
from tests.test_directs import direct, waiting
from tests.test_inbox import DAY, DAY_MS, identity, known

INBOX_KEY = bytes(range(100, 132))
PLAIN = Post(
    1, inbox_channel_id(OAK.identity), b"", OAK.identity, 2**62, 1, b"", (TODAY * DAY_MS + 5) << 16, KIND_PREKEYS,
    TODAY * 24 + 168, prekeys.encode(OAK.prekeys),
)  # fmt: skip


def signed(secret: bytes = OAK.secret, **changes: Any) -> bytes:
    """Signature and signed bytes of the post that announces Oak's prekeys."""
    content = posts.encode(PLAIN._replace(**changes))
    return posts.sign(secret, posts.post_id(content)) + content


def shown(announced: bytes) -> str:
    """A card with this in it, whatever it is, and a right check."""
    inbox = TODAY.to_bytes(2, "big") + INBOX_KEY
    return armor.encode(card.LONG_PREFIX, LABEL_FINGERPRINT, inbox + announced)


def refusal(text: str) -> str:
    with pytest.raises(CallerError) as caught:
        card.decode(text)
    assert caught.value.code is Code.invalid
    return caught.value.message


# --- the text ---


def test_a_long_card_comes_back_with_its_prekeys() -> None:
    made = Card(OAK.identity, TODAY, INBOX_KEY, signed())
    text = card.encode(*made)
    assert text == shown(signed()) and card.decode(text) == made
    assert card.decode(f" {text[:300].lower()}\n{text[300:]}") == made
    assert made.announcement is not None and prekeys.parse(made.announcement) == OAK.prekeys


def test_a_phone_shows_it_as_one_qr_code() -> None:
    text = shown(signed(parents=bytes(32), sequence=3000))
    assert len(text) < 860 and set(text) <= set("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:")
    assert segno.make(text).symbol_size(border=0)[0] <= 85


def test_prekeys_that_were_exchanged_on_the_way_are_refused() -> None:
    """With the check made anew; the twelve words would be the same."""
    right = signed()
    assert right.count(OAK.prekeys.keys[2]) == 1
    changed = right.replace(OAK.prekeys.keys[2], ASH.prekeys.keys[2])
    assert "not signed by its owner" in refusal(shown(changed))
    for place in range(0, len(right), 5):
        assert refusal(shown(right[:place] + bytes((right[place] ^ 1,)) + right[place + 1 :]))


@pytest.mark.parametrize(
    "announced",
    [
        signed(ASH.secret),
        signed(author=ASH.identity),
        signed(channel=bytes(16)),
        signed(kind=KIND_TEXT),
        signed(epoch=bytes(32)),
        signed(body=prekeys.encode(OAK.prekeys._replace(first_day=TODAY + 1))),
        signed(body=prekeys.encode(OAK.prekeys._replace(keys=(bytes(32),) * PREKEY_DAYS))),
        signed(author=b"\1" + bytes(31), channel=inbox_channel_id(b"\1" + bytes(31))),
        signed()[:-1],
        signed() + b"\0",
        signed()[:64],
        b"",
    ],
    ids=[
        "signed by another", "of another", "in another channel", "a text", "of an epoch", "of another day",
        "of low order", "by nobody", "cut", "with more behind", "a signature alone", "nothing",
    ],
)  # fmt: skip
def test_what_does_not_announce_its_owners_prekeys_is_refused(announced: bytes) -> None:
    assert refusal(shown(announced))


@given(
    st.binary(max_size=600).map(shown)
    | st.binary(max_size=600).map(lambda raw: base64.b32encode(raw).decode())
)
def test_any_bytes_are_a_card_or_invalid(text: str) -> None:
    try:
        assert card.encode(*card.decode(card.LONG_PREFIX + text.removeprefix(card.LONG_PREFIX)))
    except CallerError as error:
        assert error.code is Code.invalid


# --- between nodes ---


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def long_card(home: Home) -> str:
    text: str = home.ask("id.show", prekeys=True)["card"]
    assert text.startswith(card.LONG_PREFIX)
    return text


def prekeys_of(home: Home, owner: Home) -> bytes | None:
    """The prekeys that a home knows of another."""
    return {who: keys for who, _, keys in home.log.inboxes.prekeys()}.get(identity(owner))


def own_prekeys(home: Home) -> bytes | None:
    return prekeys_of(home, home)


@pytest.mark.parametrize("is_long", [True, False])
def test_first_words_go_under_a_prekey_of_who_was_never_heard(table: Table, is_long: bool) -> None:
    """Oak and Elm are never on at the same time, and a third brings Elm what Oak wrote."""
    oak, elm, relay = table.home("oak"), table.home("elm"), table.home("relay")
    text = long_card(elm) if is_long else elm.ask("id.show")["card"]
    elm.stop()
    oak.ask("contact.add", card=text, name="elm")
    assert oak.ask("dm", who="elm", text="bread")["pending"] is not is_long
    table.link(oak, relay)
    table.run(60_000)
    assert oak.raws() and set(relay.raws()) == set(oak.raws())
    oak.stop()
    elm.start()
    table.link(elm, relay)
    table.run(60_000)
    assert waiting(elm) == (["bread"] if is_long else [])
    if is_long:
        elm.ask("requests.accept", who=identity(oak).hex())
        table.run(1000)
        assert direct(elm, oak) == ["bread"]


def test_the_card_shows_what_was_announced_and_a_restart_announces_it_again(table: Table) -> None:
    oak = table.home("oak")
    text = long_card(oak)
    assert long_card(oak) == text and len(oak.raws()) == 1
    announced = own_prekeys(oak)
    said = card.decode(text).announcement
    assert said is not None and announced is not None and announced in said.body
    oak.stop()
    table.run(1000)
    oak.start()
    again = card.decode(long_card(oak)).announcement
    assert again is not None and again.body == said.body and again.hlc > said.hlc and len(oak.raws()) == 2
    table.run(DAY_MS)
    later = card.decode(long_card(oak)).announcement
    assert later is not None and later.time_ms // DAY_MS == DAY + 1


def test_of_a_card_and_what_is_heard_the_newest_counts(table: Table) -> None:
    oak, elm = table.home("oak"), table.home("elm")
    old = long_card(oak)
    elm.ask("contact.add", card=old, name="oak")
    assert known(elm) == {identity(oak): DAY}
    table.run(DAY_MS)
    table.link(oak, elm)
    table.run(1000)
    heard = prekeys_of(elm, oak)
    assert known(elm)[identity(oak)] == DAY + 1 and heard == own_prekeys(oak)
    elm.ask("contact.add", card=old, name="oak")
    assert prekeys_of(elm, oak) == heard
    elm.stop()
    table.run(DAY_MS)
    elm.start()
    elm.ask("contact.verify", who="oak", card=long_card(oak))
    assert known(elm)[identity(oak)] == DAY + 2


def test_prekeys_that_are_over_are_not_used(table: Table) -> None:
    oak, elm = table.home("oak"), table.home("elm")
    text = long_card(elm)
    table.run((PREKEY_DAYS - 1) * DAY_MS)
    oak.ask("contact.add", card=text, name="elm")
    assert oak.ask("dm", who="elm", text="on the last day")["pending"] is False
    table.run(DAY_MS)
    ash = table.home("ash")
    ash.ask("contact.add", card=text, name="elm")
    assert ash.ask("dm", who="elm", text="on the next")["pending"] is True


def test_prekeys_of_days_to_come_are_passed_over_and_the_card_is_not(table: Table) -> None:
    oak, elm = table.home("oak"), table.home("elm")
    table.passed_ms += 2 * DAY_MS
    ahead = long_card(table.home("ash"))
    table.passed_ms -= 2 * DAY_MS
    told = oak.ask("contact.add", card=ahead, name="ash")
    assert [each["name"] for each in told["contacts"]] == ["ash"] and known(oak) == {}
    oak.ask("contact.add", card=long_card(elm), name="elm")
    assert known(oak) == {identity(elm): DAY}


def test_who_has_no_time_or_is_locked_shows_no_long_card(table: Table) -> None:
    oak = table.home("oak", locked=True)
    with pytest.raises(CallerError) as caught:
        oak.ask("id.show", prekeys=True)
    assert caught.value.code is Code.locked
    elm = table.home("elm")
    elm.stop()
    table.skew_ms = -40 * 365 * DAY_MS
    elm.start()
    with pytest.raises(CallerError, match="what time it is") as caught:
        elm.ask("id.show", prekeys=True)
    assert caught.value.code is Code.refused and elm.ask("id.show")["card"].startswith(card.PREFIX)
