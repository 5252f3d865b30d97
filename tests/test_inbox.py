"""Inboxes on nodes: who has a card gets prekeys, and keys go out and come in."""

from pathlib import Path

import pytest

from meshd.daykeys import advance
from meshd.groups.keyenvelope import Delivered
from meshd.groups.prekeys import parse_keys
from meshd.ids import inbox_channel_id
from meshd.limits import PREKEY_DAYS, PREKEYS_DELAY_MS
from meshd.post import HOUR_MS
from tests.groups import DAY, commit
from tests.homes import Home, Table

DAY_MS = 24 * HOUR_MS
EPOCH, SECRET = b"e" * 32, b"s" * 32


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def identity(home: Home) -> bytes:
    assert home.node.author is not None
    return home.node.author.public


def befriend(*homes: Home) -> None:
    """Everybody has everybody's card."""
    cards = {home: home.ask("id.show") for home in homes}
    for home in homes:
        for other, shown in cards.items():
            if other is not home:
                home.ask("contact.add", card=shown["card"], name=shown["name"])


def known(home: Home) -> dict[bytes, int]:
    """The first day of the prekeys that a home knows, by identity."""
    return {identity: first_day for identity, first_day, _ in home.log.inboxes.prekeys()}


def pair(table: Table) -> tuple[Home, Home]:
    """Two that have each other's cards and are linked by one who only carries."""
    oak, elm, _ = table.home("oak"), table.home("elm"), table.home("relay")
    befriend(oak, elm)
    meet(table)
    return oak, elm


def meet(table: Table) -> None:
    """The pair and its relay are linked, for a second."""
    oak, elm, relay = table.homes
    table.link(oak, relay)
    table.link(elm, relay)
    table.run(1000)


def pass_apart(table: Table, ms: int) -> None:
    """Let time pass without the pings and rounds of links, which are nearly all there is to do in a day."""
    for home in table.homes:
        for link in list(home.node.sessions):
            table.cut(home, link)
    table.run(ms)


def test_who_has_a_card_gets_the_prekeys_of_its_owner_through_one_who_has_none(table: Table) -> None:
    oak, elm = pair(table)
    assert known(oak) == known(elm) == {identity(oak): DAY, identity(elm): DAY}
    relay = table.homes[2]
    assert len(relay.raws()) == 2 and known(relay) == {}
    for raw in relay.raws():
        assert identity(oak) not in raw and identity(elm) not in raw


def test_who_showed_nobody_a_card_announces_nothing(table: Table) -> None:
    oak = table.home()
    table.run(2 * DAY_MS)
    assert oak.raws() == [] and oak.log.inboxes.secrets() == {}


def test_a_card_that_comes_later_opens_what_is_carried_already(table: Table) -> None:
    oak, elm = table.home("oak"), table.home("elm")
    card = oak.ask("id.show")["card"]
    table.link(oak, elm)
    table.run(1000)
    assert len(elm.raws()) == 1 and known(elm) == {}
    elm.ask("contact.add", card=card, name="oak")
    table.run(1000)
    assert known(elm) == {identity(oak): DAY}


def test_prekeys_are_announced_every_day_once_and_not_at_midnight(table: Table) -> None:
    oak, elm = pair(table)
    since_midnight = table.now().wall_ms % DAY_MS
    pass_apart(table, DAY_MS - since_midnight - 1000)
    meet(table)  # until midnight
    assert known(elm)[identity(oak)] == DAY
    pass_apart(table, PREKEYS_DELAY_MS)
    meet(table)
    assert known(elm)[identity(oak)] == DAY + 1
    before = len(oak.raws())
    oak.stop()
    oak.start()
    pass_apart(table, DAY_MS // 2)
    assert len(oak.raws()) == before
    (first_day, joined) = next(row[1:] for row in elm.log.inboxes.prekeys() if row[0] == identity(oak))
    assert len(parse_keys(first_day, joined).keys) == PREKEY_DAYS


def test_secrets_of_days_that_are_over_are_gone_from_disk_and_memory(table: Table) -> None:
    oak, _ = pair(table)
    assert oak.node.inbox is not None
    assert min(oak.log.inboxes.secrets()) == DAY and oak.node.inbox._own.secret(DAY) is not None
    pass_apart(table, DAY_MS + 2 * HOUR_MS)
    meet(table)
    assert min(oak.log.inboxes.secrets()) == DAY + 1 and oak.node.inbox._own.secret(DAY) is None


def test_inbox_keys_stand_with_the_contacts_alone_and_move_on(table: Table) -> None:
    oak, elm = pair(table)
    kept = oak.log.contacts.inbox(identity(elm))
    pass_apart(table, DAY_MS + 2 * HOUR_MS)
    meet(table)
    assert kept is not None and oak.log.contacts.inbox(identity(elm)) == (DAY + 1, advance(kept[1], 1))
    assert oak.log.epoch_keys.all() == []
    assert "groups and directs" not in str(oak.ask("status")["exposed"])


def test_a_key_goes_to_a_member_through_others_and_is_not_sent_twice(table: Table) -> None:
    oak, elm = pair(table)
    assert oak.node.inbox is not None and elm.node.inbox is not None
    got: list[Delivered] = []
    elm.node.inbox.taken = lambda delivered, now: got.append(delivered)
    oak.node.intake.sealing.make_key(b"g" * 16, EPOCH, DAY, SECRET)
    members, maker = frozenset({identity(oak), identity(elm)}), (identity(oak), table.now().wall_ms)
    oak.node.inbox.hold(b"g" * 16, EPOCH, members, table.now(), maker=maker, is_ours=True)
    commit(oak)
    table.run(1000)
    assert set(got) == {Delivered(b"g" * 16, EPOCH, identity(oak), DAY, SECRET)}
    sent = oak.log.inboxes.sent(EPOCH)
    assert list(sent) == [identity(elm)] and len(oak.raws()) == 3
    oak.stop()
    oak.start()
    assert oak.node.inbox is not None
    oak.node.inbox.hold(b"g" * 16, EPOCH, members, table.now(), maker=maker, is_ours=True)
    table.run(HOUR_MS)
    assert len(oak.raws()) == 3


def test_a_new_card_shuts_out_who_has_the_old_one(table: Table) -> None:
    oak, elm = pair(table)
    assert elm.node.inbox is not None
    channel = inbox_channel_id(identity(oak))
    old = elm.node.intake.sealing.keyring.key(channel, b"", DAY)
    oak.log.contacts.set_inbox(identity(oak), DAY, b"n" * 32)
    commit(oak)
    oak.stop()
    oak.start()
    elm.ask("contact.add", card=oak.ask("id.show")["card"])
    assert elm.node.intake.sealing.keyring.key(channel, b"", DAY) == b"n" * 32 != old
