"""Attacks on how keys are delivered (G, I): what is seized later, what comes again, whose prekeys are no longer any."""

import random

from meshd import daykeys, envelope
from meshd.envelope import Sealed
from meshd.groups import keyenvelope, prekeys
from meshd.groups.delivery import Delivery
from meshd.ids import inbox_channel_id
from meshd.keyring import Keyring
from meshd.limits import KEY_DELAY_EACH_MS
from meshd.post import HOUR_MS, KIND_PREKEYS, Post
from tests.key_parts import ASH, CHANNEL, DAYS, EPOCH, HOUR, KEY, OAK, TODAY, opened, parsed, person, sealed

DAY_MS = 24 * HOUR_MS


def post_of(day: int) -> Sealed:
    """Something in the group that expires on this day."""
    raw = envelope.seal(
        daykeys.advance(KEY, day - TODAY), day * 24 + 12, bytes((day % 256,)) * 24, b"\x91\x7f"
    )
    found = envelope.parse(raw)
    assert isinstance(found, Sealed)
    return found


def test_G07_all_key_envelopes_and_a_seized_laptop_open_nothing_of_days_that_are_over() -> None:
    recorded = [sealed(seed=1), sealed(seed=2)]
    for over in range(5):
        ash, ring = person("ash"), Keyring()
        ash.own.erase(TODAY + over)
        for content in recorded:
            for day in DAYS:  # the thief has no reason to take the first part that opens
                secret = ash.own.secret(day)
                found = keyenvelope.open(parsed(content), ash.identity, {day: secret}.get)
                if found is not None:
                    ring.add(CHANNEL, EPOCH, found.day, found.key)
        opens = [day for day in range(TODAY, TODAY + 8) if ring.open(post_of(day))]
        assert opens == (list(range(TODAY + over, TODAY + 8)) if over < 4 else [])


def test_G09_one_key_envelope_by_five_couriers_counts_once_and_brings_nothing_back() -> None:
    ring, ash, content = Keyring(), person("ash"), sealed()
    added = []
    for _ in range(5):
        found = opened(content, ash)
        assert found is not None
        added.append(ring.add(found.channel, found.epoch, found.day, found.key))
    assert added == [True, False, False, False, False]
    recorded = opened(content, ash)
    ring.erase(TODAY + 2)
    ash.own.erase(TODAY + 2)
    assert recorded is not None and not ring.add(CHANNEL, EPOCH, recorded.day, recorded.key)
    late = opened(content, ash)
    assert late is not None and late.day == TODAY + 2 and not ring.add(CHANNEL, EPOCH, late.day, late.key)
    assert ring.open(post_of(TODAY + 1)) is None and ring.open(post_of(TODAY + 2)) is not None
    ash.own.erase(TODAY + 4)
    assert opened(content, ash) is None


def test_G11_a_member_with_outdated_prekeys_is_sent_nothing_until_it_is_heard_of() -> None:
    made = Delivery(OAK.identity, random.Random(1), lambda channel, epoch: [(TODAY, KEY)])
    made.announced(ASH.identity, person("ash", TODAY - 9).prekeys, HOUR * HOUR_MS)
    made.hold(CHANNEL, EPOCH, [OAK.identity, ASH.identity], HOUR * HOUR_MS, is_ours=True)
    assert made.due((HOUR + 24) * HOUR_MS, 10) == [] and made.reachable(EPOCH, HOUR) == []
    made.announced(ASH.identity, person("ash", TODAY + 1).prekeys, (HOUR + 24) * HOUR_MS)
    assert made.reachable(EPOCH, HOUR + 24) == [ASH.identity]
    (due,) = made.due((HOUR + 24) * HOUR_MS + 2 * KEY_DELAY_EACH_MS, 10)
    assert due.member == ASH.identity and due.life.days[0] == TODAY + 1


def test_I03_prekeys_that_another_key_signs_change_nobodys() -> None:
    """Whoever has Ash's card can post into Ash's inbox, and would like to be sent what is for Ash."""
    elm = person("elm")
    body = prekeys.encode(elm.prekeys)
    announcing = Post(
        1, inbox_channel_id(ASH.identity), b"", elm.identity, 7, 1, b"", (TODAY * DAY_MS) << 16, KIND_PREKEYS,
        HOUR + 168, body,
    )  # fmt: skip
    assert prekeys.parse(announcing) is None
    assert prekeys.parse(announcing._replace(channel=inbox_channel_id(elm.identity))) == elm.prekeys
